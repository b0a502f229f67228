"""What a sample's design makes of its respondents: weights, clusters, strata and the design effect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["Design", "cell_design_effects", "check_deff", "read_weights", "respondent_values", "sample_design_effect"]

SMALLEST_DESIGN_EFFECT = 0.5
"""An estimate below this (strata that fix every answer, few respondents) would make respondents out of nothing."""


def respondent_values(data: pd.DataFrame, value: Any, name: str) -> pd.Series:
    """A parameter with one value per respondent, given as a column's name or as values in the order of the rows.

    Raises
    ------
    ValueError
        If the column does not exist, the length differs, or a Series has another index than the data.
    """
    if isinstance(value, str):
        if value not in data.columns:
            raise ValueError(f"{name}={value!r} is not a column of data; its columns are {list(data.columns)}")
        return data[value]
    if isinstance(value, pd.Series):
        if len(value) == len(data) and not value.index.equals(data.index):
            raise ValueError(f"{name} is a Series with another index than data: pass {name}.to_numpy() if rows match")
        values = value
    else:
        array = np.asarray(value)
        if array.ndim != 1:
            raise ValueError(f"{name} must be a column's name or one value per respondent, got {value!r}")
        values = pd.Series(array)
    if len(values) != len(data):
        raise ValueError(f"{name} has {len(values):,} values, data has {len(data):,} rows")
    return pd.Series(values.array, index=data.index, name=name)


def read_weights(data: pd.DataFrame, weights: Any) -> np.ndarray:
    """Survey weights as float64 (n_respondents,); ones where there are none.

    Raises
    ------
    ValueError
        If weights are negative, missing or infinite (the message names the rows), or all zero.
    TypeError
        If they are not numbers.
    """
    if weights is None:
        return np.ones(len(data))
    column = respondent_values(data, weights, "weights")
    try:
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise TypeError(f"weights must be numbers, got dtype {column.dtype}: {error}") from None
    for wrong, what in (
        (np.isnan(values), "missing (NaN)"),
        (np.isinf(values), "infinite"),
        (values < 0, "negative"),
    ):
        if wrong.any():
            raise ValueError(
                f"weights are {what} in {rows_named(data, wrong)}: every respondent needs a weight of at least 0; "
                "give 0 to those to be left out"
            )
    if not values.any():
        raise ValueError("all weights are 0: no respondent is left")
    return values


def rows_named(data: pd.DataFrame, rows: np.ndarray, limit: int = 5) -> str:
    """The index labels of some rows, for an error message."""
    positions = np.flatnonzero(rows)
    listed = ", ".join(str(data.index[i]) for i in positions[:limit])
    more = f" and {len(positions) - limit:,} more" if len(positions) > limit else ""
    return f"row{'s' if len(positions) > 1 else ''} {listed}{more}"


def check_deff(deff: Any, questions: Mapping[str, Any]) -> dict[str, float] | None:
    """The `deff=` parameter as one number per question, or None.

    Raises
    ------
    ValueError
        If a number is not positive, or a mapping names other questions than there are.
    """
    if deff is None:
        return None
    if isinstance(deff, Mapping):
        if set(deff) != set(questions):
            raise ValueError(f"deff must name each question once: expected {list(questions)}, got {list(deff)}")
        by_question = {name: deff[name] for name in questions}
    else:
        by_question = dict.fromkeys(questions, deff)
    for name, value in by_question.items():
        if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
            raise TypeError(f"deff must be a number or a mapping of question to number, got {value!r} for {name!r}")
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"deff must be positive, got {value!r} for question {name!r}")
    return {name: float(value) for name, value in by_question.items()}


@dataclass(frozen=True)
class Design:
    """Strata and clusters of the respondents.

    Attributes
    ----------
    unit : int array of shape (n_respondents,)
        The primary sampling unit: the cluster within its stratum, or the respondent where there are no clusters.
    stratum_of_unit : int array of shape (n_units,)
    clustered : bool
        Whether units are clusters.
    """

    unit: np.ndarray
    stratum_of_unit: np.ndarray
    clustered: bool

    @classmethod
    def of(cls, strata: pd.Series | None, cluster: pd.Series | None) -> Design | None:
        """The design that two columns describe; clusters are numbered anew within each stratum, as files often do.

        Raises
        ------
        ValueError
            If a stratum or cluster is missing, or there are fewer than two clusters.
        """
        if strata is None and cluster is None:
            return None
        n_respondents = len(strata) if strata is not None else len(cluster)  # type: ignore[arg-type]
        stratum = np.zeros(n_respondents, dtype=np.int64) if strata is None else _numbered(strata, "strata")
        if cluster is None:
            return cls(np.arange(n_respondents), stratum, clustered=False)
        within = _numbered(cluster, "cluster")
        _, first, unit = np.unique(stratum * (within.max() + 1) + within, return_index=True, return_inverse=True)
        if len(first) < 2:
            raise ValueError("cluster holds a single cluster: its design effect and folds need at least two")
        return cls(unit, stratum[first], clustered=True)

    @property
    def n_units(self) -> int:
        return len(self.stratum_of_unit)


def _numbered(column: pd.Series, name: str) -> np.ndarray:
    codes, _ = pd.factorize(column)
    if (codes < 0).any():
        raise ValueError(f"{name} is missing in {rows_named(column.to_frame(), codes < 0)}")
    return codes.astype(np.int64)


def sample_design_effect(option: np.ndarray, weight: np.ndarray, n_options: int, design: Design) -> float:
    """Design effect of clusters and strata on a question's proportions in the whole sample.

    The linearised (Taylor) variance of the weighted proportions p_k under the design, over the same variance as if
    respondents had been drawn one by one with the same weights, each summed over the options:

        deff = sum_k V(p_k) / sum_k V_0(p_k),
        V(p_k) = sum_h a_h / (a_h - 1) sum_j (z_hjk - mean_j z_hjk)^2,   z_hjk = sum_(i in hj) w_i (y_ik - p_k) / sum w,

    over strata h and their a_h clusters j; V_0 takes every respondent as a cluster of one stratum. Unequal weighting
    is in both, and so drops out: Kish's n holds it already (Gabler, Haeder and Lahiri 1999, Survey Methodology 25,
    105-106). With equal weights V_0 is p (1 - p) / (n - 1), simple random sampling with replacement. Clusters in
    which nobody answered count as zeros; a stratum with a single cluster is centred at the mean of all clusters, which
    errs on the safe side. Sources: Wolter (2007), Introduction to Variance Estimation, chapter 6; Kish (1965),
    Survey Sampling, section 8.2.

    Parameters
    ----------
    option : int array of shape (n_respondents,)
        0..K-1, larger for missing answers.
    weight : float array of shape (n_respondents,)
    n_options : int
        K.
    design : Design

    Returns
    -------
    float
        1 where all who answered agree, so that there is no variance to compare.
    """
    answered = option < n_options
    n_answered = int(answered.sum())
    y, w = option[answered], weight[answered]
    total = np.bincount(y, weights=w, minlength=n_options)
    if n_answered < 2 or np.count_nonzero(total) < 2:
        return 1.0
    p = total / total.sum()
    flat = design.unit[answered] * n_options + y
    sums = np.bincount(flat, weights=w, minlength=design.n_units * n_options).reshape(design.n_units, n_options)
    z = sums - sums.sum(axis=1, keepdims=True) * p
    stratum = design.stratum_of_unit
    a = np.bincount(stratum)
    centre = np.stack([np.bincount(stratum, weights=column) for column in z.T], axis=1) / a[:, None]
    centre[a == 1] = z.mean(axis=0)
    spread = ((z - centre[stratum]) ** 2).sum(axis=1)
    correction = np.where(a > 1, a / np.maximum(a - 1, 1), 1.0)
    variance = (correction[stratum] * spread).sum()
    alone = (w**2 * (1.0 - 2.0 * p[y] + (p**2).sum())).sum() * n_answered / (n_answered - 1)
    return float(variance / alone)


def cell_design_effects(
    deff: float, background: np.ndarray, answered: np.ndarray, weight: np.ndarray, n_backgrounds: int, design: Design
) -> np.ndarray:
    """What a question's design effect means for each cell.

    A cell takes only a few respondents of each cluster, so that clustering costs it less than the whole sample. With
    b = sum_j (sum_(i in j) w_i)^2 / sum_i w_i^2, the (weighted) respondents per cluster, in the sample and b_c in
    the cell, Kish's synthetic rate of homogeneity roh = (deff - 1) / (b - 1) is taken to be the same in both:
    deff_c = 1 + roh (b_c - 1) (Kish, Groves and Krotki 1976, WFS Occasional Papers 11; with weights Gabler, Haeder
    and Lahiri 1999). Without clusters, deff_c = 1 + (deff - 1) m_c, m_c being the cell's share of the sample's
    weight: the gain of stratifying fades in groups that cut across the strata.

    Returns
    -------
    float64 array of shape (n_backgrounds,)
        At least `SMALLEST_DESIGN_EFFECT`.
    """
    w = np.where(answered, weight, 0.0)
    if design.clustered:
        squares = np.bincount(background, weights=w**2, minlength=n_backgrounds)
        pair, where = np.unique(background * design.n_units + design.unit, return_inverse=True)
        taken = np.bincount(where, weights=w) ** 2
        together = np.bincount(pair // design.n_units, weights=taken, minlength=n_backgrounds)
        excess = np.divide(together, squares, out=np.ones(n_backgrounds), where=squares > 0) - 1.0
        in_sample = (np.bincount(design.unit, weights=w) ** 2).sum() / squares.sum() - 1.0
        if in_sample < 1e-9:  # every cluster has a single respondent
            return np.ones(n_backgrounds)
        share = excess / in_sample
    else:
        share = np.bincount(background, weights=w, minlength=n_backgrounds) / w.sum()
    return np.maximum(1.0 + (deff - 1.0) * share, SMALLEST_DESIGN_EFFECT)
