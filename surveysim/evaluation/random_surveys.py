"""How far a random survey of N respondents is from the truth on average: the scale on which predictions are weighed."""

from __future__ import annotations

import math

import numpy as np

from surveysim.evaluation.expected import SHARE_TERMS, expected_terms, mixed_over_sizes
from surveysim.metrics.jensen_shannon import js_noise

__all__ = ["GROUP_SIZES", "SURVEY_SIZES", "group_divergence", "respondents_for", "survey_divergence"]

SURVEY_SIZES = np.unique(np.round(2.0 ** np.arange(0, 17.5, 0.5)))
"""Sizes at which the expected divergence is computed; between them it is interpolated in logarithms, to 0.1%."""

GROUP_SIZES = np.array([1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 32, 48, 64, 128, 256, 512], dtype=float)
"""Group sizes at which the exact expectation is computed."""


def survey_divergence(
    Y: np.ndarray,
    share: np.ndarray,
    *,
    rest: np.ndarray | None = None,
    truth_respondents: np.ndarray | None = None,
    sizes: np.ndarray = SURVEY_SIZES,
) -> np.ndarray:
    """The expected Jensen-Shannon divergence of each group's shares in a simple random survey to the truth.

    A survey of N respondents has n ~ binomial(N, share) of them in a group, and estimates its distribution by their
    shares. Where it has nobody, it says what all its respondents say: the question's margin, in which the group has by
    then no part.

    Parameters
    ----------
    Y : float64 array of shape (n_groups, K)
        The truth, NaN past the last option.
    share : float64 array of shape (n_groups,)
        The group's share of its question's population, above 0 and at most 1.
    rest : float64 array of shape (n_groups, K), optional
        The distribution of everybody else; needed where the share is below 1.
    truth_respondents : float64 array of shape (n_groups,), optional
        Respondents that the truth rests on: the divergence between it and the margin is debiased.
    sizes : float64 array of shape (n_sizes,)

    Returns
    -------
    float64 array of shape (n_groups, n_sizes)
        In bits.
    """
    table = group_divergence(Y)
    q = np.nan_to_num(Y)
    result = np.empty((len(q), len(sizes)))
    for i, size in enumerate(sizes):
        result[:, i] = mixed_over_sizes(share, float(size), GROUP_SIZES, table, expand_from=GROUP_SIZES[-1])
        nobody = np.where(share < 1, (1 - np.minimum(share, 1 - 1e-12)) ** size, 0.0)
        empty = nobody > 1e-9
        if empty.any() and rest is not None:
            n = None if truth_respondents is None else truth_respondents[empty]
            result[empty, i] += nobody[empty] * _margin_divergence(q[empty], np.nan_to_num(rest[empty]), size, n)
    return result


def group_divergence(Y: np.ndarray) -> np.ndarray:
    """The expected divergence of the shares of 1, 2, 3 ... respondents (`GROUP_SIZES`) to each group's distribution.

    Parameters
    ----------
    Y : float64 array of shape (n_groups, K)

    Returns
    -------
    float64 array of shape (n_groups, len(GROUP_SIZES))
        In bits, exact.
    """
    q = np.nan_to_num(Y)
    n_sizes = len(GROUP_SIZES)
    chosen = np.flatnonzero(q > 0)  # an option that nobody takes adds nothing
    exact = np.zeros((q.size, n_sizes))
    flat = np.repeat(q.reshape(-1)[chosen], n_sizes)
    exact[chosen] = expected_terms(flat, np.tile(GROUP_SIZES, len(chosen)), SHARE_TERMS["js_divergence"]).reshape(
        -1, n_sizes
    )
    return exact.reshape(*q.shape, n_sizes).sum(axis=1)


def _margin_divergence(q: np.ndarray, rest: np.ndarray, size: float, n: np.ndarray | None) -> np.ndarray:
    """E[JS(q, shares of `size` answers drawn from rest)], less the noise that the truth q of n respondents adds."""
    drawn = expected_terms(
        rest.reshape(-1), np.full(rest.size, size), SHARE_TERMS["js_divergence"], against=q.reshape(-1)
    )
    divergence = drawn.reshape(q.shape).sum(axis=1)
    if n is None:
        return divergence
    return np.maximum(divergence - js_noise(rest, q, n) / math.log(2), 0.0)


def respondents_for(divergence: np.ndarray, expected: np.ndarray, sizes: np.ndarray = SURVEY_SIZES) -> np.ndarray:
    """The size from which on a survey's expected divergence stays below a given one.

    It need not fall from the start: cells with one respondent are worse than empty ones, for which the margin stands.
    The last crossing counts.

    Parameters
    ----------
    divergence : float64 array of shape (n,)
        Debiased.
    expected : float64 array of shape (n, n_sizes)

    Returns
    -------
    float64 array of shape (n,)
        0 where even the smallest survey is better, infinite where the divergence is not above 0. Past the last size
        the expected divergence falls as 1 / N.
    """
    D, E = np.asarray(divergence, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    worse = D[:, None] <= E
    last = E.shape[1] - 1 - np.argmax(worse[:, ::-1], axis=1)
    result = np.full(len(D), np.inf)
    never = ~worse.any(axis=1)
    result[never] = 0.0
    crossed = np.flatnonzero(~never & (D > 0))
    i = last[crossed]
    inner = i < E.shape[1] - 1
    rows, i_in = crossed[inner], i[inner]
    slope = np.log(sizes[i_in + 1] / sizes[i_in]) / np.log(E[rows, i_in] / E[rows, i_in + 1])
    result[rows] = sizes[i_in] * np.exp(slope * np.log(E[rows, i_in] / D[rows]))
    rows = crossed[~inner]
    result[rows] = sizes[-1] * E[rows, -1] / D[rows]
    return result
