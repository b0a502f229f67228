"""The protocol: train on n respondents, compare with the respondents held out, at three levels.

Respondents are permuted with ``numpy.random.default_rng(split)``; the first n train, the rest are the unweighted truth.
The truth is a sample too, so beside the raw divergence stands the one with its expected noise taken off (debiased).
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.surveys import Survey
from surveysim import Question, tabulate
from surveysim.metrics import cross_entropy, js_divergence
from surveysim.tables import Cells, Missing

__all__ = ["FLOOR", "SAMPLE", "Split", "evaluate", "make_splits", "run", "summarise"]

SAMPLE = "the training set itself"
FLOOR = "floor"
LEVELS = ("cells", "groups", "population")

MIN_RESPONDENTS = 50
"""Cells and groups count from this many held-out respondents on."""

EQUAL_SHARES = 0.001
"""Share of equal shares mixed into every prediction before the cross-entropy, which is infinite where a model gives an
option no chance that one respondent took; the same for all models."""

EstimatorFactory = Callable[[Mapping[str, Question]], Any]
"""From the survey's questions to an unfitted estimator."""


@dataclass(frozen=True)
class Split:
    """n respondents tabulated for training, and the others as the truth."""

    survey: Survey
    n: int
    split: int
    train: Cells
    truth: Cells


def make_splits(survey: Survey, n: int, n_splits: int = 5, *, folds: int | None = None) -> Iterator[Split]:
    """Yield the splits of a survey at one sample size.

    Parameters
    ----------
    survey : Survey
    n : int
        Respondents to train on.
    n_splits : int, default=5
    folds : int, optional
        Respondent-disjoint folds to keep in ``train.folds``, for estimators that select on them.
    """
    for split in range(n_splits):
        order = np.random.default_rng(split).permutation(len(survey.data))
        train, truth = (
            tabulate(
                survey.data.iloc[rows],
                survey.backgrounds,
                survey.questions,
                missing=Missing("drop", dict.fromkeys(survey.skipped, "skipped")) if survey.skipped else "drop",
                folds=kept,
            )
            for rows, kept in ((order[:n], folds), (order[n:], None))
        )
        yield Split(survey, n, split, train, truth)


def evaluate(split: Split, P: np.ndarray) -> pd.DataFrame:
    """How far predictions are from the truth, per level and question.

    Parameters
    ----------
    split : Split
    P : float array of shape (n_truth_cells, K)
        Predictions for ``split.truth.X``.

    Returns
    -------
    DataFrame
        Columns level ("cells", "groups": single attributes, "population"), question, n_cells, js and js_debiased (mean
        over the cells or groups with at least 50 held-out respondents), respondents and cross_entropy (level "cells"
        only: bits per answer, over *all* cells weighted by respondents).
    """
    truth = _tables(split.truth, split.truth.Y)
    records = _compare(truth, _tables(split.truth, P))
    exists = ~np.isnan(split.truth.Y)
    mixed = (1 - EQUAL_SHARES) * P + EQUAL_SHARES * exists / exists.sum(axis=1, keepdims=True)
    bits = cross_entropy(split.truth.Y, mixed, average=False)
    names = split.truth.question_names
    for record in records:
        if record["level"] == "cells":
            asked = names == record["question"]
            record["respondents"] = split.truth.n[asked].sum()
            record["cross_entropy"] = np.average(bits[asked], weights=split.truth.n[asked])
    return pd.DataFrame(records)


def evaluate_sample(split: Split) -> pd.DataFrame:
    """The same for the training sample itself; where it has nobody, the question's margin in it."""
    truth = _tables(split.truth, split.truth.Y)
    sample = _tables(split.train, split.train.Y)
    margin = sample["population"].droplevel(1)
    for level, table in sample.items():
        empty = truth[level].index.difference(table.index)
        filled = margin.loc[empty.get_level_values(0)].set_axis(empty)
        sample[level] = pd.concat([table, filled])
    return pd.DataFrame(_compare(truth, sample))


def evaluate_floor(split: Split) -> pd.DataFrame:
    """What a perfect prediction would show: the truth's own expected sampling noise in the raw divergence."""
    truth = _tables(split.truth, split.truth.Y)
    records = _compare(truth, truth)
    for record in records:
        record["js"], record["js_debiased"] = -record["js_debiased"], 0.0
    return pd.DataFrame(records)


def run(
    survey: Survey,
    factories: Mapping[str, EstimatorFactory],
    *,
    sizes: Sequence[int] = (200, 500, 1000),
    n_splits: int = 5,
    folds: int | None = None,
    report: Callable[[str], None] | None = None,
) -> pd.DataFrame:
    """Fit and evaluate estimators over sample sizes and splits.

    Parameters
    ----------
    survey : Survey
    factories : mapping of str to callable
        Names of models, and functions from the questions (a mapping of at least one) to an unfitted estimator.
    sizes, n_splits
        Training respondents, and how many splits of each.
    folds : int, optional
        Kept in the training cells and passed to estimators whose ``fit`` takes `folds`.
    report : callable, optional
        Called with a line after each fit, such as ``print``.

    Returns
    -------
    DataFrame
        The columns of `evaluate`, with survey, n, split, model and seconds (fit and predict). The training set itself
        and the floor are among the models.
    """
    results = []
    for n in sizes:
        for split in make_splits(survey, n, n_splits, folds=folds):
            tables = {SAMPLE: evaluate_sample(split), FLOOR: evaluate_floor(split)}
            for name, factory in factories.items():
                start = time.perf_counter()
                P = fit_predict(factory(split.train.questions), split)
                seconds = time.perf_counter() - start
                tables[name] = evaluate(split, P).assign(seconds=seconds)
                if report is not None:
                    cells = tables[name].query("level == 'cells'")
                    js = np.average(cells["js"], weights=cells["n_cells"])
                    report(f"{survey.name} n={n} split={split.split} {name}: {js:.4f} ({seconds:.1f} s)")
            for name, table in tables.items():
                results.append(table.assign(survey=survey.name, n=n, split=split.split, model=name))
    return pd.concat(results, ignore_index=True)


def fit_predict(estimator: Any, split: Split) -> np.ndarray:
    """Fit on the training cells, predict the truth's cells."""
    extra = {}
    if split.train.folds is not None and "folds" in inspect.signature(estimator.fit).parameters:
        extra["folds"] = split.train.folds
    estimator.fit(split.train.X, split.train.Y, sample_weight=split.train.n, **extra)
    return estimator.predict(split.truth.X)


def summarise(results: pd.DataFrame, value: str = "js", level: str = "cells") -> pd.DataFrame:
    """Mean over cells and splits: one row per model, one column per survey and sample size.

    Parameters
    ----------
    results : DataFrame
        From `run` (several may be concatenated).
    value : {"js", "js_debiased", "cross_entropy"}, default="js"
    level : {"cells", "groups", "population"}, default="cells"
    """
    chosen = results[(results["level"] == level) & results[value].notna()]
    weight = "respondents" if value == "cross_entropy" else "n_cells"
    weighted = chosen.assign(product=chosen[value] * chosen[weight])
    keys = ["model", "survey", "n"]
    per_split = weighted.groupby([*keys, "split"], sort=False)[["product", weight]].sum()
    means = (per_split["product"] / per_split[weight]).groupby(keys, sort=False).mean()
    table = means.unstack(["survey", "n"])
    return table.reindex(list(dict.fromkeys(chosen["model"])))


def _tables(cells: Cells, Y: np.ndarray) -> dict[str, pd.DataFrame]:
    """Distributions Y of the cells and their respondents, pooled to each level; indexed by question and group."""
    values = {name: [f"{name}={value}" for value in cells.X[name].astype(object)] for name in cells.backgrounds}
    crossed = [", ".join(row) for row in zip(*values.values(), strict=True)]
    tables = {
        "cells": _pool(cells, crossed, Y),
        "groups": pd.concat([_pool(cells, group, Y) for group in values.values()]),
        "population": _pool(cells, ["all"] * len(cells), Y),
    }
    assert tuple(tables) == LEVELS
    return tables


def _pool(cells: Cells, group: list[str], Y: np.ndarray) -> pd.DataFrame:
    counts = pd.DataFrame(Y * cells.n[:, None]).assign(n=cells.n)
    pooled = counts.groupby([cells.question_names, np.array(group)], sort=False).sum(min_count=1)
    return pooled.div(pooled["n"], axis=0).assign(n=pooled["n"])


def _compare(truth: dict[str, pd.DataFrame], prediction: dict[str, pd.DataFrame]) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    for level in LEVELS:
        known = truth[level][truth[level]["n"] >= MIN_RESPONDENTS]
        Y = known.drop(columns="n").to_numpy()
        P = prediction[level].loc[known.index].drop(columns="n").to_numpy()
        raw = js_divergence(Y, P, average=False)
        debiased = js_divergence(Y, P, average=False, truth_respondents=known["n"].to_numpy())
        names = known.index.get_level_values(0).to_numpy()
        for name in dict.fromkeys(names):
            of = names == name
            records.append(
                {
                    "level": level,
                    "question": name,
                    "n_cells": int(of.sum()),
                    "js": raw[of].mean(),
                    "js_debiased": debiased[of].mean(),
                }
            )
    return records
