"""How the constants of ``prior="auto"`` were chosen: ``python -m benchmarks.priors``, leaving one survey out at a time.

Every combination of the constants is fitted on samples of every survey. For each survey, the combination is chosen that
is best on the others, and reported on this one. The criterion is the mean, over surveys and sizes, of the logarithm of
the divergence (debiased, crossed cells of at least 50 held-out respondents) relative to ``prior="fixed"``, with gains
of more than 10% counted as 10%: one survey that gains much shall not outweigh losses on others. Of combinations within
.001 of the best, which a few splits do not tell apart, the one with the smallest loss on any survey and size is taken.
The default is the choice over all surveys. ``--read`` takes what was measured before.
"""

from __future__ import annotations

import argparse
import itertools
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd

from benchmarks.protocol import make_splits
from benchmarks.surveys import MORE_SURVEYS, SURVEYS, Survey
from surveysim.baselines import LogitRegressor, learning, resemblance
from surveysim.metrics import js_divergence

OUTPUT = Path(__file__).resolve().parent / "output"
CONSTANTS = {"IDENTITY_TERMS": resemblance, "AUTO_COEFFICIENTS": learning, "FACTOR_COEFFICIENTS": learning}
GRID = list(itertools.product([20.0, 35.0], [12.0, 30.0, 60.0], [12.0, 24.0]))
MIN_RESPONDENTS = 50
LARGEST_GAIN = 0.10
NEAR = 0.001
LARGEST_SAMPLE = 0.4
"""Share of a survey's respondents to train on at most: the others are the truth."""


def name_of(values: tuple[float, ...]) -> str:
    """A combination of the constants as a column."""
    return "auto " + "/".join(f"{value:g}" for value in values)


def variants(chosen: bool) -> dict[str, tuple[dict[str, Any], dict[str, float]]]:
    """Parameters and constants by name; if `chosen`, only the defaults."""
    found: dict[str, tuple[dict[str, Any], dict[str, float]]] = {
        "fixed": ({"prior": "fixed"}, {}),
        "eb": ({"prior": "eb"}, {}),
    }
    if chosen:
        return found | {"auto": ({}, {})}
    return found | {name_of(values): ({}, dict(zip(CONSTANTS, values, strict=True))) for values in GRID}


def measure(survey: Survey, sizes: list[int], n_splits: int, *, chosen: bool) -> list[dict[str, Any]]:
    """Divergence and seconds by size, split and variant."""
    records = []
    for n in (n for n in sizes if n <= LARGEST_SAMPLE * len(survey.data)):
        for number, split in enumerate(make_splits(survey, n, n_splits)):
            kept = np.flatnonzero(split.truth.n >= MIN_RESPONDENTS)
            X, Y, respondents = split.truth.X.iloc[kept], split.truth.Y[kept], split.truth.n[kept]
            for name, (parameters, constants) in variants(chosen).items():
                model = LogitRegressor(question=split.train.questions, unseen="uniform", **parameters)
                started = time.perf_counter()
                with ExitStack() as stack:
                    for constant, value in constants.items():
                        stack.enter_context(patch.object(CONSTANTS[constant], constant, value))
                    model.fit(split.train.X, split.train.Y, sample_weight=split.train.n)
                seconds = time.perf_counter() - started
                js = js_divergence(Y, model.predict(X), truth_respondents=respondents)
                record = {"survey": survey.name, "n": n, "split": number, "model": name}
                records.append(record | {"js": js, "seconds": seconds})
        print(f"{survey.name}, n = {n}: done", flush=True)
    return records


def relative(results: pd.DataFrame) -> pd.DataFrame:
    """Mean divergence relative to "fixed", less 1: rows are surveys and sizes."""
    means = results.groupby(["survey", "n", "model"], sort=False)["js"].mean().unstack("model")
    return means.div(means["fixed"], axis=0) - 1


def standard_errors(results: pd.DataFrame) -> pd.DataFrame:
    """Of `relative`, over splits: of the differences from "fixed", relative to its mean."""
    wide = results.pivot_table(index=["survey", "n", "split"], columns="model", values="js", sort=False)
    apart = wide.sub(wide["fixed"], axis=0).groupby(["survey", "n"], sort=False)
    fixed = wide["fixed"].groupby(["survey", "n"], sort=False).mean()
    return apart.std().div(np.sqrt(apart.size()) * fixed, axis=0)


def criterion(ratios: pd.DataFrame) -> pd.Series:
    """Mean of the clipped logarithms for each combination; every survey counts alike."""
    own = ratios[[name_of(values) for values in GRID]].clip(lower=-LARGEST_GAIN)
    return own.apply(np.log1p).groupby("survey").mean().mean()


def choose(ratios: pd.DataFrame) -> str:
    """The combination that is best on these surveys."""
    values = criterion(ratios)
    near = values.index[values <= values.min() + NEAR]
    return str(ratios[near].max().idxmin())


def leave_one_out(ratios: pd.DataFrame) -> pd.DataFrame:
    """For each survey the combination that is best on the others, and what it does on this one."""
    rows = []
    for survey in ratios.index.unique("survey"):
        best = choose(ratios.drop(index=survey, level="survey"))
        own = ratios.xs(survey, level="survey")[best]
        rows.append({"survey": survey, "chosen": best} | {f"n = {n}": value for n, value in own.items()})
    return pd.DataFrame(rows).set_index("survey")


def main() -> None:
    """Measure and print."""
    loaders = {**SURVEYS, **MORE_SURVEYS}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--surveys", nargs="+", default=list(loaders), choices=list(loaders))
    parser.add_argument("--sizes", nargs="+", type=int, default=[200, 500, 1000])
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--chosen", action="store_true", help="the defaults only, no choice among constants")
    parser.add_argument("--quick", action="store_true", help="fair alone, one size, 2 splits")
    parser.add_argument("--read", action="store_true", help="choose from the output of an earlier run")
    parser.add_argument("--output", type=Path, default=OUTPUT / "priors.json")
    options = parser.parse_args()
    if options.quick:
        options.surveys, options.sizes, options.splits = ["fair"], [200], 2
    records: list[dict[str, Any]] = []
    results = pd.read_json(options.output) if options.read else pd.DataFrame()
    for name in [] if options.read else options.surveys:
        records += measure(loaders[name](), options.sizes, options.splits, chosen=options.chosen)
        results = pd.DataFrame(records)
        options.output.parent.mkdir(parents=True, exist_ok=True)
        results.to_json(options.output, orient="records")
    ratios = relative(results)
    with pd.option_context("display.width", 250, "display.max_columns", None):
        print(f"\ndivergence relative to fixed, percent\n{(100 * ratios).round(1).to_string()}")
        print(f"\nstandard errors over splits\n{(100 * standard_errors(results)).round(1).to_string()}")
        print(
            f"\nseconds\n{results.groupby(['survey', 'n', 'model'], sort=False)['seconds'].mean().unstack().round(2)}"
        )
        if not options.chosen and len(options.surveys) > 1:
            print(f"\ncriterion\n{criterion(ratios).sort_values().round(4).to_string()}")
            print(f"\nchosen: {choose(ratios)}")
            print(f"\neach survey with the choice of the others\n{leave_one_out(ratios).round(3).to_string()}")


if __name__ == "__main__":
    main()
