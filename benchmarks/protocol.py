"""The protocol of `surveysim.evaluation` on the surveys of the benchmarks, with the column names of their outputs.

Respondents are permuted with ``numpy.random.default_rng(split)``; the first n train, the rest are the truth.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.surveys import Survey
from surveysim import Question
from surveysim.evaluation import FLOOR, SAMPLE
from surveysim.evaluation.comparison import Comparison
from surveysim.evaluation.curves.protocol import (
    Protocol,
    RespondentSplit,
    evaluate,
    evaluate_floor,
    evaluate_sample,
    fit_predict,
)
from surveysim.evaluation.curves.truth_jackknife import WITHOUT
from surveysim.metrics import option_values, wasserstein
from surveysim.tables import Missing

__all__ = [
    "FLOOR",
    "LEVELS",
    "SAMPLE",
    "EstimatorFactory",
    "as_curve",
    "make_splits",
    "run",
    "scale_distances",
    "sizes_that_fit",
    "summarise",
    "survey_missing",
]

LEVELS = {"cell": "cells", "attribute": "groups", "population": "population"}
"""Names of the levels in the outputs."""

MIN_TRUTH = 400
"""Respondents without whom the truth of a survey would be mostly noise."""

EstimatorFactory = Callable[[Mapping[str, Question]], Any]
"""From the survey's questions to an unfitted estimator."""


def make_splits(survey: Survey, n: int, n_splits: int = 5, *, folds: int | None = None) -> Iterator[RespondentSplit]:
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
    protocol = Protocol(survey.data, survey.questions, survey.backgrounds, missing=survey_missing(survey), folds=folds)
    for split in range(n_splits):
        yield protocol.split(n, split)


def sizes_that_fit(survey: Survey, sizes: Sequence[int]) -> list[int]:
    """Training sizes that leave at least `MIN_TRUTH` respondents to be the truth."""
    return [n for n in sizes if n + MIN_TRUTH <= len(survey.data)]


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
        One row per survey, n, split, model, level ("cells", "groups": single attributes, "population") and question:
        n_cells, js, js_debiased, w1 (`scale_distances`), respondents, cross_entropy, seconds. The training set itself
        and the floor are among the models.
    """
    tables = []
    for n in sizes:
        for split in make_splits(survey, n, n_splits, folds=folds):
            found = {SAMPLE: evaluate_sample(split).merge(scale_distances(split, split.compare_sample()), how="left")}
            for name, factory in factories.items():
                start = time.perf_counter()
                P = fit_predict(factory(split.train.questions), split)
                seconds = time.perf_counter() - start
                distances = scale_distances(split, split.compare(P))
                found[name] = evaluate(split, P).merge(distances, how="left").assign(seconds=seconds)
                if report is not None:
                    cells = found[name][found[name]["level"] == found[name]["level"].iloc[0]]
                    mean = np.average(cells["js"], weights=cells["n_groups"])
                    report(f"{survey.name} n={n} split={split.seed} {name}: {mean:.4f} ({seconds:.1f} s)")
            found[FLOOR] = evaluate_floor(split, surveys=False).merge(_floor_distances(split), how="left")
            tables += [table.assign(model=name, n=n, split=split.seed) for name, table in found.items()]
    return as_output(pd.concat(tables, ignore_index=True), survey.name)


def scale_distances(split: RespondentSplit, compared: Mapping[str, Comparison]) -> pd.DataFrame:
    """Mean Wasserstein distance (w1, 0 to 1) over the groups of each level and question with ordered options."""
    parts = []
    for level, groups in compared.items():
        ordered = np.array([split.truth.questions[str(name)].ordinal for name in groups.question], dtype=bool)
        table = pd.DataFrame({"level": level, "question": groups.question, "w1": np.nan})[ordered]
        if len(table):
            values = option_values(split.truth.questions, table[["question"]])
            table["w1"] = wasserstein(groups.Y[ordered], groups.P[ordered], values=values, average=False)
        parts.append(table.groupby(["level", "question"], sort=False, as_index=False).mean())
    return pd.concat(parts, ignore_index=True)


def _floor_distances(split: RespondentSplit, n_draws: int = 20) -> pd.DataFrame:
    """The same for a perfect prediction: the truth's own sampling noise, by simulation, since it has no expansion."""
    generator = np.random.default_rng(split.seed)
    exact = split.compare(split.truth.Y)
    drawn = []
    for _ in range(n_draws):
        sampled = {}
        for level, groups in exact.items():
            assert groups.n is not None
            n = np.maximum(groups.n.round(), 1).astype(int)
            shares = generator.multinomial(n, np.nan_to_num(groups.Y)) / n[:, None]
            sampled[level] = replace(groups, P=np.where(np.isnan(groups.Y), np.nan, shares))
        drawn.append(scale_distances(split, sampled))
    return pd.concat(drawn).groupby(["level", "question"], sort=False, as_index=False).mean()


def as_output(curve: pd.DataFrame, survey: str) -> pd.DataFrame:
    """A respondent curve with the names of the outputs."""
    columns = ["level", "question", "n_cells", "js", "js_debiased", "w1", "respondents", "cross_entropy"]
    columns += [column for column in WITHOUT if column in curve]
    renamed = curve.rename(columns={"n_groups": "n_cells"}).assign(survey=survey, level=curve["level"].map(LEVELS))
    return renamed[[*columns, "survey", "n", "split", "model", "seconds"]]


def as_curve(output: pd.DataFrame, survey: str) -> pd.DataFrame:
    """The inverse: one survey's rows of an output as a respondent curve, without the columns of random surveys."""
    own = output[output["survey"] == survey].rename(columns={"n_cells": "n_groups"}).drop(columns="survey")
    return own.assign(level=own["level"].map({name: level for level, name in LEVELS.items()}))


def survey_missing(survey: Survey) -> Any:
    """What `tabulate` is told of the survey's codes for no answer."""
    return Missing("drop", dict.fromkeys(survey.skipped, "skipped")) if survey.skipped else "drop"


def summarise(results: pd.DataFrame, value: str = "js", level: str = "cells") -> pd.DataFrame:
    """Mean over cells and splits: one row per model, one column per survey and sample size.

    Parameters
    ----------
    results : DataFrame
        From `run` (several may be concatenated).
    value : {"js", "js_debiased", "w1", "cross_entropy"}, default="js"
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
