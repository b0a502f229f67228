"""Exact expectations: what a metric between a distribution and a sample of n answers from it is on average.

All but one of the metrics are sums over options (or over cumulated options) of a function of that option's share alone,
and an option's count is binomial: no simulation of whole samples is needed.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.special import gammaln, rel_entr, xlog1py, xlogy

from surveysim.metrics.jensen_shannon import js_terms

__all__ = ["SHARE_TERMS", "expected_terms", "mixed_over_sizes"]

# Counts further than 8 standard deviations and 10 answers from their mean are left out: a probability below 1e-13.
DEVIATIONS, MARGIN = 8.0, 10.0
ENTRIES_AT_ONCE = 1_000_000

Terms = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From a share and an observed share to what the option adds to the metric."""


SHARE_TERMS: dict[str, Terms] = {
    "js_divergence": lambda q, r: js_terms(q, r) / math.log(2),
    "kl_divergence": lambda q, r: rel_entr(r, q) / math.log(2),  # of the sample, which is the truth, to q
    "total_variation": lambda q, r: np.abs(q - r) / 2,
    "wasserstein": lambda q, r: np.abs(q - r),  # of cumulated shares
    "rmse": lambda q, r: (q - r) ** 2,
}
"""What one option adds to each metric, in its units."""


def expected_terms(q: np.ndarray, n: np.ndarray, terms: Terms, against: np.ndarray | None = None) -> np.ndarray:
    """E[terms(against, x / n)] with x binomial(n, q), summed exactly.

    Parameters
    ----------
    q : float64 array of shape (m,)
        Shares that the answers are drawn from.
    n : float64 array of shape (m,)
        Answers, at least 1. Between two whole numbers the expectation is interpolated linearly, that is, over a sample
        whose size is one or the other.
    terms : callable
    against : float64 array of shape (m,), optional
        The share that the sample is compared with; default q.

    Returns
    -------
    float64 array of shape (m,)
    """
    against = q if against is None else against
    low = np.floor(n)
    result = _whole(q, low, terms, against)
    between = n > low
    if between.any():
        above = _whole(q[between], low[between] + 1, terms, against[between])
        result[between] += (n - low)[between] * (above - result[between])
    return result


def _whole(q: np.ndarray, n: np.ndarray, terms: Terms, against: np.ndarray) -> np.ndarray:
    first, last = _window(q, n)
    width = (last - first + 1).astype(np.int64)
    result = np.empty(len(q))
    order = np.argsort(width, kind="stable")  # windows of like width together, so that little is padded
    start = 0
    while start < len(order):
        stop = start + 1
        while stop < len(order) and (stop + 1 - start) * width[order[stop]] <= ENTRIES_AT_ONCE:
            stop += 1
        some = order[start:stop]
        x = first[some, None] + np.arange(width[some[-1]])
        chance = _binomial(x, n[some, None], q[some, None])
        values = terms(against[some, None], np.minimum(x / n[some, None], 1.0))
        values = np.where(chance > 0, values, 0.0)  # what cannot happen may be infinite
        result[some] = (chance * values).sum(axis=1)
        start = stop
    return result


def _window(q: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    reach = DEVIATIONS * np.sqrt(n * q * (1 - q)) + MARGIN
    return np.maximum(np.floor(n * q - reach), 0.0), np.minimum(np.ceil(n * q + reach), n)


def _binomial(x: np.ndarray, n: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Probabilities of counts x, 0 beyond n (windows are padded)."""
    beyond = x > n
    x = np.where(beyond, n, x)
    log = gammaln(n + 1) - gammaln(x + 1) - gammaln(n - x + 1) + xlogy(x, q) + xlog1py(n - x, -q)
    return np.where(beyond, 0.0, np.exp(log))


def mixed_over_sizes(
    share: np.ndarray, size: float, sizes: np.ndarray, table: np.ndarray, *, expand_from: float
) -> np.ndarray:
    """E[h(n); n > 0] for group sizes n binomial(size, share), from a table of h at some sizes.

    n h(n) is nearly constant for large n, so it is what is interpolated, linearly in log n. Past the table, and for
    groups of more than `expand_from` respondents, h(n) = a / n + b / n^2, with E[1/n] = 1/mu + (1 - share) / mu^2.

    Parameters
    ----------
    share : float64 array of shape (n_groups,)
        The groups' shares of the population.
    size : float
        Respondents in all.
    sizes : float64 array of shape (n_sizes,)
        Increasing, from 1 on.
    table : float64 array of shape (n_groups, n_sizes)
        h of each group at these sizes.
    expand_from : float

    Returns
    -------
    float64 array of shape (n_groups,)
    """
    scaled = table * sizes
    slope = (scaled[:, -1] - scaled[:, -2]) / (1 / sizes[-1] - 1 / sizes[-2])
    level = scaled[:, -1] - slope / sizes[-1]
    mean = size * share
    result = np.empty(len(share))
    large = mean > expand_from
    inverse = 1 / mean[large] + (1 - share[large]) / mean[large] ** 2
    result[large] = level[large] * inverse + slope[large] / mean[large] ** 2
    small = np.flatnonzero(~large)
    if len(small):
        first, last = _window(share[small], np.full(len(small), size))
        n = np.maximum(first, 1.0)[:, None] + np.arange(int((last - first).max()) + 1)
        n_in = np.minimum(n, size)
        right = np.clip(np.searchsorted(sizes, n_in, side="right"), 1, len(sizes) - 1)
        part = np.log(n_in / sizes[right - 1]) / np.log(sizes[right] / sizes[right - 1])
        group = small[:, None]
        inside = (1 - part) * scaled[group, right - 1] + part * scaled[group, right]
        h = np.where(n_in <= sizes[-1], inside, level[group] + slope[group] / n_in) / n_in
        result[small] = (_binomial(n, np.array(size), share[group]) * h).sum(axis=1)
    return result
