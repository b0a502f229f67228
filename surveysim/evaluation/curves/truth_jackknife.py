"""How much a figure depends on who was held out: divergences without one group of the truth's respondents at a time."""

from __future__ import annotations

import numpy as np

from surveysim.evaluation.comparison import Comparison, Rows
from surveysim.metrics import js_divergence

__all__ = ["TRUTH_GROUPS", "WITHOUT", "divergence_without", "group_numbers"]

TRUTH_GROUPS = 20
"""Groups of respondents in the delete-a-group jackknife (Kott 2001): its variance has 19 degrees of freedom."""

WITHOUT = tuple(f"without_{group}" for group in range(TRUTH_GROUPS))
"""Columns of a respondent curve that has too few questions to resample them."""


def group_numbers(n_respondents: int) -> np.ndarray:
    """A survey's respondents in equal groups at random, always the same: (n_respondents,), 0 to 19.

    The truths of different splits are nearly the same respondents, so that their noise does not average out. Groups
    that belong to the respondent and not to the split keep that in view.
    """
    return np.random.default_rng(0).permutation(n_respondents) % TRUTH_GROUPS


def divergence_without(rows: Rows, folds: np.ndarray, groups: Comparison, *, pooled: bool = True) -> np.ndarray:
    """Debiased divergence of each compared group of cells without each group of respondents.

    Parameters
    ----------
    rows : Rows
        Truth and prediction of the cells.
    folds : array of shape (n_cells, TRUTH_GROUPS, K)
        The truth's counts by group of respondents.
    groups : Comparison
        Of these cells, with everybody.
    pooled : bool, default=True
        Pool the predictions of cells as the remaining respondents are spread. False: `groups` has them.

    Returns
    -------
    float64 array of shape (n_compared, TRUTH_GROUPS)
    """
    assert rows.n is not None
    counts = np.nan_to_num(folds)[:, :, : rows.Y.shape[1]]
    everybody = counts.sum(axis=(1, 2))
    found = np.empty((len(groups.kept), TRUTH_GROUPS))
    complete = groups.divergence()[1]
    for g in range(TRUTH_GROUPS):
        without = counts.sum(axis=1) - counts[:, g]
        left = without.sum(axis=1)
        share = np.where(left > 1e-9 * everybody, left / everybody, 0.0)
        Y = np.where(share[:, None] > 0, without / np.maximum(left, 1e-300)[:, None], np.nan_to_num(rows.Y))
        population = rows.population * share
        Y = groups.groups.pool(np.where(np.isnan(rows.Y), np.nan, Y), population)[groups.kept]
        P = groups.groups.pool(rows.P, population)[groups.kept] if pooled else groups.P
        total = groups.groups.total(population)[groups.kept]
        squares = population**2 / np.where(share > 0, rows.n * share, 1.0)
        n = total**2 / np.maximum(groups.groups.total(squares)[groups.kept], 1e-300)
        known = total > 0  # else all its respondents are of this group: nothing can be told without them
        found[~known, g] = complete[~known]
        if known.any():
            found[known, g] = js_divergence(Y[known], P[known], average=False, truth_respondents=n[known])
    return found
