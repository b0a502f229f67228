"""One split of the protocol: train on n respondents, and compare with those held out, at three levels.

Respondents are permuted with ``numpy.random.default_rng(seed)``; the first n train, the rest are the truth. The truth
is a sample too, so beside the raw divergence stands the one with its expected noise taken off (debiased).
"""

from __future__ import annotations

import inspect
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import sklearn
from numpy.typing import ArrayLike
from sklearn.base import clone

from surveysim.errors import warn
from surveysim.evaluation.comparison import MIN_RESPONDENTS, Comparison, Rows
from surveysim.evaluation.curves.truth_jackknife import TRUTH_GROUPS, WITHOUT, divergence_without, group_numbers
from surveysim.evaluation.random_surveys import survey_divergence
from surveysim.evaluation.report_levels import LEVELS, question_names
from surveysim.evaluation.resampling import FEW_QUESTIONS
from surveysim.interfaces import Estimator
from surveysim.metrics import cross_entropy
from surveysim.questions import Question
from surveysim.tables import Cells, Missing, tabulate

__all__ = ["FLOOR", "SAMPLE", "SURVEY_COLUMNS", "Protocol", "RespondentSplit", "evaluate", "fit_predict"]

SAMPLE = "the training set itself"
"""The model that predicts the training respondents' own shares, and the question's margin where it has nobody."""

FLOOR = "floor"
"""What a perfect prediction would show: the truth's own expected sampling noise."""

EQUAL_SHARES = 0.001
"""Share of equal shares mixed into every prediction before the cross-entropy, which is infinite where a model gives an
option no chance that one respondent took; the same for all models."""

SURVEY_COLUMNS = {f"survey_{size}": float(size) for size in 2 ** np.arange(4, 17)}
"""Columns of the floor's rows: the expected divergence of random surveys of so many respondents."""


@dataclass(frozen=True)
class Protocol:
    """A survey and how it is tabulated: everything but the estimators, the sizes and the splits."""

    data: pd.DataFrame
    questions: Mapping[str, Question]
    backgrounds: Sequence[str]
    weights: str | None = None
    labels: Mapping[str, Mapping[Hashable, str | None]] | None = None
    missing: str | Mapping[Hashable, str] | Missing = "drop"
    folds: int | None = None
    min_respondents: float = MIN_RESPONDENTS

    def split(self, n: int, seed: int) -> RespondentSplit:
        """n respondents tabulated for training, and the others as the truth.

        Where there are too few questions to resample them, the truth has its counts by group of respondents.
        """
        order = np.random.default_rng(seed).permutation(len(self.data))
        groups = group_numbers(len(self.data))[order[n:]]
        jackknifed = len(self.questions) < FEW_QUESTIONS and len(np.unique(groups)) == TRUTH_GROUPS
        train, truth = (
            tabulate(
                self.data.iloc[rows],
                list(self.backgrounds),
                self.questions,
                weights=self.weights,
                labels=self.labels,
                missing=self.missing,
                folds=folds,
            )
            for rows, folds in ((order[:n], self.folds), (order[n:], groups if jackknifed else None))
        )
        return RespondentSplit(n, seed, train, truth, self.min_respondents)


@dataclass(frozen=True)
class RespondentSplit:
    """n respondents tabulated for training, and the others as the truth."""

    n: int
    seed: int
    train: Cells
    truth: Cells
    min_respondents: float = MIN_RESPONDENTS

    def compare(self, P: np.ndarray) -> dict[str, Comparison]:
        """Predictions for the truth's cells at each level where groups have enough respondents."""
        return _compare(_rows(self.truth, P), self.min_respondents)

    def compare_sample(self) -> dict[str, Comparison]:
        """The training sample's shares, and the question's margin in it where a group has none of its respondents."""
        compared = self.compare(self.truth.Y)
        sample = _rows(self.train, self.train.Y)
        margins = _by_name(sample, "population")
        result = {}
        for level, groups in compared.items():
            known = _by_name(sample, level)
            P = np.full_like(groups.Y, np.nan)
            for i, (question, attribute, label) in enumerate(_names(groups)):
                found = known.get((question, attribute, label))
                found = margins.get((question, "", "all")) if found is None else found
                if found is not None:
                    P[i, : len(found)] = found[: P.shape[1]]
            kept = ~np.isnan(P).all(axis=1)  # nobody in the sample was asked the question
            result[level] = Comparison(
                level,
                groups.groups,
                groups.kept[kept],
                groups.Y[kept],
                P[kept],
                None if groups.n is None else groups.n[kept],
                groups.share[kept],
                groups.rest[kept],
            )
        return result


def evaluate(split: RespondentSplit, P: np.ndarray) -> pd.DataFrame:
    """How far predictions are from the truth, per level and question.

    Parameters
    ----------
    split : RespondentSplit
    P : float array of shape (n_truth_cells, K)
        Predictions for ``split.truth.X``.

    Returns
    -------
    DataFrame
        Columns level ("cell", "attribute", "population"), question, n_groups, js and js_debiased (mean over the groups
        with enough held-out respondents), respondents and cross_entropy (level "cell" only: bits per answer, over
        *all* cells weighted by respondents). With few questions, js_debiased without each group of the truth's
        respondents too (`WITHOUT`).
    """
    truth = split.truth
    compared = split.compare(P)
    table = per_question(compared, _without(truth, P, compared))
    exists = ~np.isnan(truth.Y)
    mixed = (1 - EQUAL_SHARES) * P + EQUAL_SHARES * exists / exists.sum(axis=1, keepdims=True)
    bits = cross_entropy(truth.Y, mixed, average=False)
    by_question = pd.DataFrame({"question": _question_names(truth), "bits": bits * truth.n, "respondents": truth.n})
    sums = by_question.groupby("question", sort=False)[["bits", "respondents"]].sum()
    cells = table["level"] == "cell"
    asked = table.loc[cells, "question"]
    table.loc[cells, "respondents"] = sums["respondents"].reindex(asked).to_numpy()
    table.loc[cells, "cross_entropy"] = (sums["bits"] / sums["respondents"]).reindex(asked).to_numpy()
    return table


def evaluate_sample(split: RespondentSplit) -> pd.DataFrame:
    """The same for the training sample itself."""
    compared = split.compare_sample()
    return per_question(compared, _without(split.truth, split.truth.Y, compared, pooled=False))


def evaluate_floor(split: RespondentSplit, *, surveys: bool = True) -> pd.DataFrame:
    """The same for a perfect prediction, and for random surveys of other sizes.

    Its raw divergence is what debiasing subtracts there; with `surveys`, the columns `SURVEY_COLUMNS` are added.
    """
    compared = split.compare(split.truth.Y)
    table = per_question(compared)
    table["js"], table["js_debiased"] = -table["js_debiased"], 0.0
    if split.truth.folds is not None:
        table[list(WITHOUT)] = 0.0
    if not surveys:
        return table
    sizes = np.array(list(SURVEY_COLUMNS.values()))
    parts = []
    for level, groups in compared.items():
        expected = survey_divergence(groups.Y, groups.share, rest=groups.rest, truth_respondents=groups.n, sizes=sizes)
        frame = pd.DataFrame(expected, columns=list(SURVEY_COLUMNS))
        parts.append(frame.groupby(groups.question.astype(str), sort=False).mean().reset_index(names="question"))
        parts[-1].insert(0, "level", level)
    return table.merge(pd.concat(parts), on=["level", "question"], how="left", validate="one_to_one")


def fit_predict(estimator: Estimator, split: RespondentSplit) -> np.ndarray:
    """Fit on the training cells, predict the truth's cells.

    Respondents per cell are passed as `sample_weight`, respondent-disjoint folds as `folds`, where ``fit`` takes them.
    """
    extra = passed_weight(estimator, split.train.n)
    if split.train.folds is not None and "folds" in inspect.signature(estimator.fit).parameters:
        extra["folds"] = split.train.folds
    estimator.fit(split.train.X, split.train.Y, **extra)
    return np.asarray(estimator.predict(split.truth.X), dtype=np.float64)


def passed_weight(estimator: Estimator, weight: ArrayLike | None) -> dict[str, Any]:
    """Respondents as a keyword of ``fit``, if it takes them; a warning where it does not."""
    if weight is None:
        return {}
    parameters = inspect.signature(estimator.fit).parameters
    routed = sklearn.get_config()["enable_metadata_routing"] and any(
        parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()
    )
    if "sample_weight" in parameters or routed:
        return {"sample_weight": weight}
    warn(
        f"{type(estimator).__name__}.fit does not take sample_weight, so every cell counts the same. For "
        "a pipeline or search, enable scikit-learn's metadata routing."
    )
    return {}


def asked(estimator: Estimator, questions: Mapping[str, Question]) -> Estimator:
    """A clone of the estimator that knows the questions, unless it was given some already."""
    estimator = clone(estimator)
    open_ = [
        name
        for name, value in estimator.get_params(deep=True).items()
        if name.rpartition("__")[2] == "question" and value is None
    ]
    return estimator.set_params(**{name: dict(questions) for name in open_}) if open_ else estimator


def per_question(compared: Mapping[str, Comparison], without: Mapping[str, np.ndarray] | None = None) -> pd.DataFrame:
    """Mean divergences over the groups of each level and question."""
    parts = []
    for level, groups in compared.items():
        raw, debiased = groups.divergence()
        frame = pd.DataFrame({"question": groups.question, "js": raw, "js_debiased": debiased, "n_groups": 1})
        if without is not None:
            frame[list(WITHOUT)] = without[level]
        means = dict.fromkeys(frame.columns.drop(["question", "n_groups"]), "mean")
        table = frame.groupby("question", sort=False).agg({"n_groups": "sum", **means})
        parts.append(table.reset_index().assign(level=level))
    columns = ["level", "question", "n_groups", "js", "js_debiased"]
    return pd.concat(parts, ignore_index=True)[[*columns, *(WITHOUT if without is not None else ())]]


def _without(
    truth: Cells, P: np.ndarray, compared: Mapping[str, Comparison], *, pooled: bool = True
) -> dict[str, np.ndarray] | None:
    """Divergences without each group of the truth's respondents, by level; None where they are not told apart."""
    if truth.folds is None:
        return None
    rows = _rows(truth, P)
    return {level: divergence_without(rows, truth.folds, groups, pooled=pooled) for level, groups in compared.items()}


def _rows(cells: Cells, P: np.ndarray) -> Rows:
    X = cells.X
    if "question" not in X.columns:
        X = X.assign(question=next(iter(cells.questions)))
    return Rows(X, cells.Y, P, cells.n, cells.weight_sum, np.arange(len(cells)), "question")


def _question_names(cells: Cells) -> np.ndarray:
    return cells.question_names if "question" not in cells.X.columns else question_names(cells.X)


def _compare(rows: Rows, min_respondents: float) -> dict[str, Comparison]:
    compared = {}
    for level in LEVELS:
        try:
            compared[level] = rows.compare(level, min_respondents)
        except ValueError:
            if level == "population":  # nothing is left to compare with
                raise
    return compared


def _names(groups: Comparison) -> list[tuple[str, str, str]]:
    kept = groups.kept
    g = groups.groups
    return list(zip(g.question[kept], g.attribute[kept], g.label[kept], strict=True))


def _by_name(rows: Rows, level: str) -> dict[tuple[str, str, str], np.ndarray]:
    groups = rows.groups(level)
    shares = groups.pool(rows.Y, rows.population)
    names = zip(groups.question, groups.attribute, groups.label, strict=True)
    return dict(zip(names, shares, strict=True))
