"""Truth and prediction brought to one level: the groups that have enough respondents to be compared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from surveysim.distributions import option_mask
from surveysim.evaluation.report_levels import Groups, as_respondents, groups_of
from surveysim.metrics import js_divergence
from surveysim.metrics.checks import check_pairs

__all__ = ["MIN_RESPONDENTS", "Comparison", "Rows", "check_rows"]

MIN_RESPONDENTS = 50.0
"""Groups are compared from this many respondents of the truth on: with fewer, the truth is mostly noise."""


@dataclass(frozen=True)
class Rows:
    """Cells that passed all checks; those without respondents or population are left out.

    Attributes
    ----------
    X : DataFrame or None
    Y, P : float64 arrays of shape (n_rows, K)
        Truth and prediction.
    n : float64 array of shape (n_rows,) or None
        Respondents that the truth rests on; None: it is exact.
    population : float64 array of shape (n_rows,)
        How many people of the population each row stands for, on any scale.
    kept : int array of shape (n_rows,)
        Their positions among the rows that were passed.
    """

    X: pd.DataFrame | None
    Y: np.ndarray
    P: np.ndarray
    n: np.ndarray | None
    population: np.ndarray
    kept: np.ndarray
    question_column: str

    def groups(self, level: str) -> Groups:
        """The groups of a level."""
        return groups_of(self.X, len(self.Y), level, question_column=self.question_column)

    def respondents(self, groups: Groups) -> np.ndarray | None:
        """Respondents of each group: Kish's effective number where the population weighs rows unlike their n."""
        if self.n is None:
            return None
        total = groups.total(self.population)
        return total**2 / groups.total(self.population**2 / self.n)

    def compare(self, level: str, min_respondents: float = MIN_RESPONDENTS) -> Comparison:
        """Pool to a level and keep the groups with enough respondents.

        Raises
        ------
        ValueError
            If there are none.
        """
        groups = self.groups(level)
        n = self.respondents(groups)
        Y, P = (groups.pool(array, self.population) for array in (self.Y, self.P))
        share, rest = _shares(groups, Y, self.population)
        kept = np.arange(len(groups)) if n is None else np.flatnonzero(n >= min_respondents)
        if len(kept) == 0:
            assert n is not None
            raise ValueError(
                f"no group of level {level!r} has {min_respondents:g} respondents in the truth; the largest has "
                f"{n.max():.4g}. Use a larger truth, a coarser level, or a smaller min_respondents (below about 10, "
                "debiasing is no longer reliable)."
            )
        return Comparison(
            level=level,
            groups=groups,
            kept=kept,
            Y=Y[kept],
            P=P[kept],
            n=None if n is None else n[kept],
            share=share[kept],
            rest=rest[kept],
        )


@dataclass(frozen=True)
class Comparison:
    """The groups of a level that are compared. Arrays have a row per such group.

    Attributes
    ----------
    level : str
    groups : Groups
        All groups; `kept` are those with enough respondents.
    kept : int array of shape (n_groups,)
    Y, P : float64 arrays of shape (n_groups, K)
    n : float64 array of shape (n_groups,) or None
    share : float64 array of shape (n_groups,)
        Share of the question's population.
    rest : float64 array of shape (n_groups, K)
        The distribution of everybody else who was asked the question.
    """

    level: str
    groups: Groups
    kept: np.ndarray
    Y: np.ndarray
    P: np.ndarray
    n: np.ndarray | None
    share: np.ndarray
    rest: np.ndarray

    @property
    def question(self) -> np.ndarray:
        """Each group's question."""
        return self.groups.question[self.kept]

    def divergence(self) -> tuple[np.ndarray, np.ndarray]:
        """Each group's Jensen-Shannon divergence in bits, raw and debiased (the same where the truth is exact)."""
        raw = js_divergence(self.Y, self.P, average=False)
        return raw, raw if self.n is None else js_divergence(self.Y, self.P, average=False, truth_respondents=self.n)


def check_rows(
    Y_true: ArrayLike,
    Y_pred: ArrayLike,
    *,
    truth_respondents: ArrayLike | None,
    X: pd.DataFrame | None,
    question_column: str = "question",
    population: ArrayLike | None = None,
) -> Rows:
    """Validate what the functions of this package are given.

    Rows with 0 respondents have no truth; they are left out and may hold NaN.

    Raises
    ------
    TypeError, ValueError
        With the row at fault; among them a row without a prediction.
    """
    n_rows = len(np.asarray(Y_true))
    n = as_respondents(truth_respondents, n_rows, "truth_respondents")
    people = as_respondents(population, n_rows, "population")
    if people is None:
        people = np.ones(n_rows) if n is None else n
    counted = (people > 0) & (np.ones(n_rows, dtype=bool) if n is None else n > 0)
    if not counted.any():
        raise ValueError("no row has respondents: there is no truth to compare with")
    predicted = np.asarray(Y_pred, dtype=np.float64)
    if predicted.ndim == 2 and len(predicted) == n_rows:
        lacking = np.flatnonzero(counted & np.isnan(predicted).all(axis=1))
        if len(lacking):
            raise ValueError(
                f"Y_pred has no prediction for row {lacking[0]} ({len(lacking)} such rows): a row may be NaN only "
                "past its last option. If an elicitation failed there, ask again, or leave these rows out of both "
                "truth and prediction, and say so."
            )
    pairs = check_pairs(Y_true, Y_pred, sample_weight=counted.astype(float), average=True)
    kept = np.flatnonzero(counted)
    exists = pairs.exists[kept]
    width = int(exists.sum(axis=1).max())
    if X is not None and isinstance(X, pd.DataFrame) and len(X) == n_rows:
        X = X.iloc[kept].reset_index(drop=True)
    rows = Rows(
        X=X,
        Y=np.where(exists, pairs.truth[kept], np.nan)[:, :width],
        P=np.where(exists, pairs.prediction[kept], np.nan)[:, :width],
        n=None if n is None else n[kept],
        population=people[kept],
        kept=kept,
        question_column=question_column,
    )
    rows.groups("cell")  # says what is wrong with X
    return rows


def _shares(groups: Groups, Y: np.ndarray, population: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each group's share of its question's population, and the distribution of the others."""
    weight = groups.total(population)
    names, place = np.unique(groups.question.astype(str), return_inverse=True)
    # attributes repeat the population: every one of them divides it anew
    first = {name: groups.attribute[np.flatnonzero(place == i)[0]] for i, name in enumerate(names)}
    once = groups.attribute == np.array([first[name] for name in names], dtype=object)[place]
    total = np.bincount(place[once], weights=weight[once], minlength=len(names))
    counts = np.zeros((len(names), Y.shape[1]))
    np.add.at(counts, place[once], np.nan_to_num(Y[once]) * weight[once, None])
    others = total[place] - weight
    share = np.minimum(weight / total[place], 1.0)
    alone = others <= 1e-12 * total[place]
    rest = np.clip(counts[place] - np.nan_to_num(Y) * weight[:, None], 0.0, None)
    sums = rest.sum(axis=1, keepdims=True)
    rest = np.divide(rest, sums, out=np.nan_to_num(Y), where=(sums > 0) & ~alone[:, None])
    return np.where(alone, 1.0, share), np.where(option_mask(Y), rest, np.nan)
