"""Respondent-disjoint folds: every respondent in one fold, across all questions and cells."""

from __future__ import annotations

from numbers import Integral
from typing import TypeAlias

import numpy as np
import pandas as pd

from surveysim.tables.design import SampleDesign
from surveysim.tables.respondents import PerRespondent, respondent_values, rows_named

__all__ = ["Folds", "assign_folds", "read_folds"]

Folds: TypeAlias = int | tuple[int, int] | PerRespondent | None
"""How many folds, or also the seed of the draw; or each respondent's own; None: no folds."""

DEFAULT_SEED = 0
"""The seed of ``folds=5``; ``folds=(5, seed)`` gives another."""


def read_folds(data: pd.DataFrame, folds: Folds) -> pd.Series | tuple[int, int] | None:
    """The `folds=` parameter: fold ids by respondent, or (number of folds, seed), or None.

    Raises
    ------
    ValueError
        If there are fewer than two folds, or ids are not whole numbers.
    """
    if folds is None:
        return None
    if isinstance(folds, Integral) and not isinstance(folds, bool):
        folds = (int(folds), DEFAULT_SEED)
    if isinstance(folds, tuple) and len(folds) == 2:
        n_folds, seed = folds
        if not (isinstance(n_folds, Integral) and isinstance(seed, Integral)) or seed < 0:
            raise ValueError(f"folds=(number of folds, seed) needs two integers, seed at least 0, got {folds!r}")
        if n_folds < 2:
            raise ValueError(f"folds must be at least 2, got {int(n_folds)}")
        return int(n_folds), int(seed)
    if isinstance(folds, bool | float):
        raise ValueError(f"folds must be a number of folds, (number, seed), a column or fold ids, got {folds!r}")
    ids = respondent_values(data, folds, "folds")
    if ids.isna().any():
        raise ValueError(f"folds is missing in {rows_named(data, ids.isna().to_numpy())}")
    if not pd.api.types.is_numeric_dtype(ids.dtype) or (ids.astype(np.float64) % 1 != 0).any():
        raise ValueError(f"fold ids must be whole numbers, one per respondent, got dtype {ids.dtype}")
    return ids.astype(np.int64)


def assign_folds(
    folds: pd.Series | tuple[int, int], design: SampleDesign | None, n_respondents: int
) -> tuple[np.ndarray, int]:
    """A fold for each respondent.

    Random folds have as equal numbers of respondents as possible; whole clusters go to one fold (the largest first,
    to the fold with the fewest respondents), and without clusters each stratum is spread over the folds.

    Returns
    -------
    fold : int array of shape (n_respondents,)
        0..n_folds-1; given ids are numbered in ascending order.
    n_folds : int

    Raises
    ------
    ValueError
        If there are more folds than respondents (or clusters), a single one, or given folds that split a cluster.
    """
    if isinstance(folds, pd.Series):
        ids, fold = np.unique(folds.to_numpy(), return_inverse=True)
        if len(ids) < 2:
            raise ValueError(f"folds holds the single fold {ids[0]}: at least two are needed")
        if design is not None and design.clustered:
            _refuse_split_clusters(fold, design, folds)
        return fold, len(ids)
    n_folds, seed = folds
    clustered = design is not None and design.clustered
    n_units = design.n_units if design is not None and clustered else n_respondents
    if n_folds > n_units:
        what = "clusters" if clustered else "respondents"
        raise ValueError(f"folds={n_folds}, but there are only {n_units} {what}")
    shuffled = np.random.default_rng(seed).permutation(n_units)
    if design is None or not clustered:
        if design is not None:
            shuffled = shuffled[np.argsort(design.stratum_of_unit[shuffled], kind="stable")]
        fold = np.empty(n_respondents, dtype=np.int64)
        fold[shuffled] = np.arange(n_respondents) % n_folds
        return fold, n_folds
    size = np.bincount(design.unit, minlength=n_units)
    load = np.zeros(n_folds, dtype=np.int64)
    fold_of_unit = np.empty(n_units, dtype=np.int64)
    for unit in shuffled[np.argsort(-size[shuffled], kind="stable")]:
        lightest = int(load.argmin())
        fold_of_unit[unit] = lightest
        load[lightest] += size[unit]
    return fold_of_unit[design.unit], n_folds


def _refuse_split_clusters(fold: np.ndarray, design: SampleDesign, folds: pd.Series) -> None:
    lowest = np.full(design.n_units, fold.max())
    np.minimum.at(lowest, design.unit, fold)
    split = fold != lowest[design.unit]
    if split.any():
        row = int(np.flatnonzero(split)[0])
        raise ValueError(
            f"folds splits a cluster: the respondent in row {folds.index[row]!r} is in a different fold from others "
            "of the same cluster. Respondents of a cluster are alike, so such folds are not independent."
        )
