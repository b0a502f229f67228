"""Intervals of shares, of means and of differences, from samples and from draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

__all__ = ["Interval", "difference_interval", "draws_interval", "mean_interval", "mean_of", "wilson_interval"]


@dataclass(frozen=True)
class Interval:
    """Figures with the ends of their intervals, all arrays of one shape; NaN where nothing is known."""

    value: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


def wilson_interval(share: np.ndarray, n: np.ndarray, level: float) -> Interval:
    """The share in a sample of `n`, with Wilson's score interval [1]_ for each share by itself.

    It stays within 0 and 1, and says something where nobody or everybody chose an option.

    Parameters
    ----------
    share : array of shape (n_groups, K)
        Between 0 and 1.
    n : array of shape (n_groups,)
        (Effective) respondents; where there are none nothing is known.
    level : float

    References
    ----------
    .. [1] Wilson, E. B. (1927). "Probable inference, the law of succession, and statistical inference." Journal of the
       American Statistical Association 22, 209-212. With effective numbers: Korn and Graubard (1998), Survey
       Methodology 24, 193-201.
    """
    z2 = norm.ppf(0.5 + level / 2) ** 2
    known = np.where(n > 0, n, np.nan)[:, None]
    middle = (share + z2 / (2 * known)) / (1 + z2 / known)
    half = np.sqrt(z2 * (share * (1 - share) + z2 / (4 * known)) / known) / (1 + z2 / known)
    value = np.where(np.isnan(known), np.nan, share)
    # rounding leaves 1e-17 of 0 and 1
    return Interval(value, np.clip(middle - half, 0.0, value), np.clip(middle + half, value, 1.0))


def mean_of(share: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The mean value of those who chose an option with a value (not NaN), over the last axis."""
    counted = ~np.isnan(values)
    total = share[..., counted].sum(axis=-1)
    weighted = share[..., counted] @ values[counted]
    return np.divide(weighted, total, out=np.full(total.shape, np.nan), where=total > 0)


def mean_interval(share: np.ndarray, n: np.ndarray, values: np.ndarray, level: float) -> Interval:
    """The mean of the options' values in a sample of `n`, with a normal interval; shape (n_groups, 1)."""
    counted = share[:, ~np.isnan(values)].sum(axis=1) * n
    known = np.where(counted > 1, counted, np.nan)
    mean = mean_of(share, values)
    variance = np.maximum(mean_of(share, values**2) - mean**2, 0.0) * known / (known - 1)
    half = norm.ppf(0.5 + level / 2) * np.sqrt(variance / known)
    return Interval(np.where(n > 0, mean, np.nan)[:, None], (mean - half)[:, None], (mean + half)[:, None])


def draws_interval(value: np.ndarray, draws: np.ndarray | None, level: float) -> Interval:
    """Figures with the quantiles of their draws (n_draws, ...); without draws there are no intervals."""
    if draws is None:
        nothing = np.full(value.shape, np.nan)
        return Interval(value, nothing, nothing.copy())
    lower, upper = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return Interval(value, np.minimum(lower, value), np.maximum(upper, value))


def difference_interval(one: Interval, other: Interval) -> Interval:
    """Difference of two independent figures, its interval recovered from theirs (MOVER).

    With Wilson's intervals this is Newcombe's interval for the difference of two shares [1]_; for others see [2]_.

    References
    ----------
    .. [1] Newcombe, R. G. (1998). "Interval estimation for the difference between independent proportions." Statistics
       in Medicine 17, 873-890.
    .. [2] Zou, G. Y. and Donner, A. (2008). "Construction of confidence limits about effect measures." Statistics in
       Medicine 27, 1693-1702.
    """
    value = one.value - other.value
    down = np.hypot(one.value - one.lower, other.upper - other.value)
    up = np.hypot(one.upper - one.value, other.value - other.lower)
    return Interval(value, value - down, value + up)
