"""Intervals of shares and differences from a variance and its degrees of freedom."""

from __future__ import annotations

import numpy as np
from scipy.stats import t

__all__ = ["check_level", "difference_interval", "share_interval", "symmetric_interval", "t_quantile"]


def check_level(level: float) -> float:
    """The confidence level, a number between 0 and 1.

    Raises
    ------
    ValueError
        Otherwise; 90 is the usual mistake.
    """
    if isinstance(level, bool) or not isinstance(level, int | float | np.floating) or not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, such as 0.9, got {level!r}")
    return float(level)


def t_quantile(level: float, freedom: np.ndarray | float) -> np.ndarray:
    """Student's t quantile of a two-sided interval."""
    return np.asarray(t.ppf(0.5 + level / 2, np.maximum(freedom, 1)))


def share_interval(
    shares: np.ndarray, respondents: np.ndarray, freedom: np.ndarray | float, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's interval of shares at an effective number of respondents, with Student's t for the normal quantile.

    It never leaves 0 to 1, has a width where nobody chose an option, and holds what it says at small samples, where
    share plus or minus a multiple of its standard error does not (Wilson 1927, JASA 22, 209-212; for complex samples
    Franco, Little, Louis and Slud 2019, Journal of Survey Statistics and Methodology 7, 334-364).

    Parameters
    ----------
    shares : float array
    respondents : float array, broadcast against `shares`
        p (1 - p) over the variance of the share, positive.
    freedom : float array or number, broadcast against `shares`
        Degrees of freedom of that variance.
    level : float

    Returns
    -------
    lower, upper : float arrays
    """
    p = np.clip(shares, 0.0, 1.0)
    q = t_quantile(level, freedom) ** 2 / respondents
    centre = (p + q / 2) / (1 + q)
    half = np.sqrt(q * (p * (1 - p) + q / 4)) / (1 + q)
    return np.clip(centre - half, 0.0, 1.0), np.clip(centre + half, 0.0, 1.0)


def symmetric_interval(
    estimates: np.ndarray, errors: np.ndarray, freedom: np.ndarray | float, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Estimate plus or minus Student's t times the standard error."""
    half = t_quantile(level, freedom) * errors
    return estimates - half, estimates + half


def difference_interval(
    shares: tuple[np.ndarray, np.ndarray],
    first: tuple[np.ndarray, np.ndarray],
    second: tuple[np.ndarray, np.ndarray],
    correlation: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The interval of a difference of two shares from the intervals of the shares.

    Each end takes over how far the two intervals reach that way, so that it has a width where nobody chose an option
    (Newcombe 1998, Statistics in Medicine 17, 873-890, method 10; for correlated shares Zou and Donner 2008, Statistics
    in Medicine 27, 1693-1702).

    Parameters
    ----------
    shares : pair of float arrays
    first, second : pairs of float arrays
        Lower and upper ends of each.
    correlation : float array
        Of the two estimates.

    Returns
    -------
    lower, upper : float arrays
    """
    (p, q), (p_low, p_high), (q_low, q_high) = shares, first, second

    def reach(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return np.sqrt(np.maximum(one**2 + other**2 - 2.0 * correlation * one * other, 0.0))

    return p - q - reach(p - p_low, q_high - q), p - q + reach(p_high - p, q - q_low)
