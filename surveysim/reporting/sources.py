"""The source of a group's figures: the sample's own answers, or an estimator's predictions and draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from surveysim.interfaces import Predictor
from surveysim.questions import Question
from surveysim.reporting.intervals import (
    Interval,
    difference_interval,
    draws_interval,
    mean_interval,
    mean_of,
    wilson_interval,
)
from surveysim.reporting.weights import QuestionGroups

__all__ = ["NO_INTERVAL", "POSTERIOR", "SAMPLING", "Figures", "predicted_figures", "sample_figures"]

POSTERIOR, SAMPLING, NO_INTERVAL = "posterior", "sampling", "none"
"""What intervals say: how far the estimate may be from the group's share, by an estimator's draws; how far a sample's
share may be from it by chance alone; nothing."""

NUMBERS_AT_ONCE = 40_000_000
"""Draws are held for as many questions as keep them below this (320 MB)."""


@dataclass(frozen=True)
class Figures:
    """Figures of one question's groups: shares of the options, or one mean.

    Attributes
    ----------
    values : Interval of arrays of shape (n_groups, n_figures)
    draws : array of shape (n_draws, n_groups, n_figures) or None
    kind : str
        What their intervals say.
    """

    values: Interval
    draws: np.ndarray | None
    kind: str

    def differences(self, first: Sequence[int], second: Sequence[int], level: float) -> Figures:
        """Groups `first` less groups `second`. Groups of a sample are of different people, hence independent."""
        a, b = list(first), list(second)
        if self.draws is None:
            one, other = (
                Interval(self.values.value[rows], self.values.lower[rows], self.values.upper[rows]) for rows in (a, b)
            )
            return Figures(difference_interval(one, other), None, self.kind)
        draws = self.draws[:, a] - self.draws[:, b]
        return Figures(draws_interval(self.values.value[a] - self.values.value[b], draws, level), draws, self.kind)


def sample_figures(groups: QuestionGroups, question: Question, values: np.ndarray | None, level: float) -> Figures:
    """The sample's own shares (or, with `values`, means) with their sampling intervals.

    Raises
    ------
    ValueError
        If the population has cells of which the sample has nobody.
    """
    empty = np.flatnonzero((groups.n == 0) & (np.asarray((groups.weights != 0).sum(axis=0)).ravel() > 0))
    if len(empty):
        listed = "; ".join(str(groups.X.iloc[row].to_dict()) for row in empty[:5])
        more = f" and {len(empty) - 5:,} more" if len(empty) > 5 else ""
        raise ValueError(
            f"the sample has nobody in {len(empty):,} cells of the population: {listed}{more}. Estimate with a model, "
            "which predicts them, or merge levels of the backgrounds."
        )
    share = groups.weights @ groups.Y[:, : question.n_options]
    n = groups.effective_respondents
    found = wilson_interval(share, n, level) if values is None else mean_interval(share, n, values, level)
    return Figures(found, None, SAMPLING)


def predicted_figures(
    model: Predictor,
    asked: Sequence[tuple[QuestionGroups, Question, np.ndarray | None]],
    *,
    level: float,
    n_draws: int,
    random_state: int | np.random.Generator | None,
) -> list[Figures]:
    """An estimator's shares (or means) of the groups of each question, with intervals if it has ``predict_draws``.

    Parameters
    ----------
    model : fitted estimator
    asked : list of (groups, question, values)
        With `values` of the options means are taken instead of shares.
    level, n_draws, random_state
        As in `group_estimates`.

    Raises
    ------
    TypeError
        If the model has no ``predict``.
    ValueError
        If it predicts fewer options than a question has, and as the model raises.
    """
    if not callable(getattr(model, "predict", None)) or isinstance(model, type):
        raise TypeError(f"model must be a fitted estimator, or None for the sample's own shares; got {model!r}")
    model = getattr(model, "best_estimator_", model)  # a search predicts with it, and has no draws of its own
    found: list[Figures] = []
    for batch in _batches([(groups, question) for groups, question, _ in asked], n_draws):
        X = pd.concat([asked[i][0].X for i in batch], ignore_index=True)
        P = _predictions(model.predict(X), len(X), model)
        draws = model.predict_draws(X, n_draws, random_state=random_state) if hasattr(model, "predict_draws") else None
        start = 0
        for i in batch:
            groups, question, values = asked[i]
            rows = slice(start, start + len(groups.X))
            start = rows.stop
            if P.shape[1] < question.n_options:
                raise ValueError(
                    f"{type(model).__name__} predicts {P.shape[1]} options, but question {groups.question!r} has "
                    f"{question.n_options}: was it fitted on these cells?"
                )
            own = None if draws is None else draws[:, rows, : question.n_options]
            found.append(_pooled(groups, P[rows, : question.n_options], own, values, level))
    return found


def _pooled(
    groups: QuestionGroups, P: np.ndarray, draws: np.ndarray | None, values: np.ndarray | None, level: float
) -> Figures:
    """Cells pooled to groups, draw by draw; without draws there are no intervals."""
    value = groups.weights @ P
    if draws is not None:
        n_draws, n_cells, K = draws.shape
        flat = groups.weights @ draws.transpose(1, 0, 2).reshape(n_cells, n_draws * K)
        draws = flat.reshape(len(groups), n_draws, K).transpose(1, 0, 2)
    if values is not None:
        value = mean_of(value, values)[:, None]
        draws = None if draws is None else mean_of(draws, values)[:, :, None]
    return Figures(draws_interval(value, draws, level), draws, NO_INTERVAL if draws is None else POSTERIOR)


def _predictions(P: ArrayLike, n_rows: int, model: Predictor) -> np.ndarray:
    array = np.asarray(P, dtype=np.float64)
    if array.ndim != 2 or len(array) != n_rows:
        raise ValueError(
            f"{type(model).__name__}.predict must return a distribution for each of {n_rows} rows, got an array of "
            f"shape {array.shape}"
        )
    return array


def _batches(asked: Sequence[tuple[QuestionGroups, Question]], n_draws: int) -> list[list[int]]:
    """Questions whose draws are held together."""
    batches: list[list[int]] = [[]]
    used = 0
    widest = max(question.n_options for _, question in asked)
    for i, (groups, _) in enumerate(asked):
        size = len(groups.X) * widest * n_draws
        if batches[-1] and used + size > NUMBERS_AT_ONCE:
            batches.append([])
            used = 0
        batches[-1].append(i)
        used += size
    return batches
