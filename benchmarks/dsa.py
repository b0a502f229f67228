"""DSARegressor beside its own baselines: ``python -m benchmarks.dsa`` prints all tables and writes them as JSON.

Every row of a language model stands beside the statistical model it could have copied, and their difference has an
interval: a bootstrap over questions, over respondents where questions are few (over splits in outputs without them).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.baselines import BASELINES
from benchmarks.protocol import as_curve, run, sizes_that_fit, summarise
from benchmarks.survey_files import KINDS, read_file
from benchmarks.surveys import MORE_SURVEYS, SURVEYS, Survey
from surveysim import DSARegressor, Question
from surveysim.evaluation import compare_models
from surveysim.evaluation.curves.truth_jackknife import WITHOUT

OUTPUT = Path(__file__).resolve().parent / "output"
LOADERS = {**SURVEYS, **MORE_SURVEYS}

STAGE_1 = "DSA, stage 1 alone"
TWO_STAGES = "DSA, two stages"
ON_BASELINE = "DSA, init='baseline'"
PLAIN = "plain logit"
ORDERED = "order-aware logit"

MODELS: dict[str, dict[str, Any]] = {
    STAGE_1: {"shift_weight": 0},
    TWO_STAGES: {},
    ON_BASELINE: {"init": "baseline"},
}

MORE_MODELS: dict[str, dict[str, Any]] = {
    "DSA, 2 blocks": {"n_blocks": 2},
    "DSA, 4 blocks": {"n_blocks": 4},
    "DSA, LoRA": {"tuning": "lora"},
}
"""Two stages with other parts of the model trained; measured where ``--models`` names them."""

FIXED: dict[str, Any] = {"shift_reference": "baseline", "shift_weight": 1.5}
"""What ``--fixed`` sets in place of the search for reference and weight: their defaults, a third of the time."""

# Each claim compares two rows of the table.
COMPARED = ((TWO_STAGES, PLAIN), (TWO_STAGES, STAGE_1), (TWO_STAGES, ORDERED), (ON_BASELINE, ORDERED))


def make(questions: Mapping[str, Question], *, model: str, **parameters: Any) -> DSARegressor:
    """A `DSARegressor` with seed 0."""
    return DSARegressor(model, question=dict(questions), random_state=0, **parameters)


def difference(results: pd.DataFrame, first: str, second: str, n_draws: int = 2000) -> dict[str, float]:
    """Relative difference of two models' debiased divergence of crossed cells over all sizes, and its 90% interval."""
    cells = results[results["level"] == "cells"]
    own = cells[cells["model"].isin([first, second])]
    if cells["question"].nunique() < 5 and set(WITHOUT) <= set(own.dropna(axis=1).columns):
        table = compare_models(as_curve(cells, cells["survey"].iloc[0]), first, second)
        return {name: float(table[name].to_numpy()[-1]) for name in ("difference", "low", "high")}  # all sizes
    unit = "question" if cells["question"].nunique() >= 5 else "split"
    sums = (
        cells.assign(total=cells["js_debiased"] * cells["n_cells"])
        .pivot_table(index=unit, columns="model", values="total", aggfunc="sum")[[first, second]]
        .to_numpy()
    )
    rng = np.random.default_rng(0)
    drawn = sums[rng.integers(len(sums), size=(n_draws, len(sums)))].sum(axis=1)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1] - 1, [0.05, 0.95])
    total = sums.sum(axis=0)
    return {"difference": total[0] / total[1] - 1, "low": low, "high": high}


def measure(options: argparse.Namespace) -> pd.DataFrame:
    """Run all models on the chosen surveys and sizes."""
    sizes, n_splits = (options.sizes[:2], 2) if options.quick else (options.sizes, options.splits)
    factories = {name: factory for name, factory in BASELINES.items() if "pairs" not in name}
    for name in options.models:
        own_parameters = (FIXED if options.fixed else {}) | (MODELS | MORE_MODELS)[name]
        if options.epochs is not None:
            own_parameters = own_parameters | {"max_epochs": options.epochs}
        factories[name] = partial(make, model=options.model, **own_parameters)
    report = partial(print, flush=True)
    tables = []
    loaders: list[Callable[[], Survey]] = [
        partial(read_file, kind, edition, path, options.countries) for kind, edition, path in options.file
    ]
    for load in loaders or [LOADERS[name] for name in options.surveys]:
        survey = first_questions(load(), options.questions)
        own = sizes_that_fit(survey, sizes)
        tables.append(run(survey, factories, sizes=own, n_splits=n_splits, folds=5, report=report))
        save(pd.concat(tables, ignore_index=True), options.output)  # hours: what is done stays
    return pd.concat(tables, ignore_index=True)


def first_questions(survey: Survey, n: int | None) -> Survey:
    """The survey with its first n questions alone; None: all."""
    return survey if n is None else replace(survey, questions=dict(list(survey.questions.items())[:n]))


def save(results: pd.DataFrame, output: Path) -> None:
    """Write results as JSON."""
    output.parent.mkdir(parents=True, exist_ok=True)
    results.to_json(output, orient="records")


def show(results: pd.DataFrame) -> None:
    """Print the tables, the differences with their intervals, and the times."""
    pd.options.display.width = 200
    for level in ("cells", "groups", "population"):
        for value in ("js", "js_debiased", "w1", "cross_entropy"):
            if value in results and results[value].notna().any() and (value != "cross_entropy" or level == "cells"):
                print(f"\n{value}, {level}\n{summarise(results, value, level).to_string(float_format='%.4f')}")
    print("\ndebiased divergence of crossed cells, relative difference [90% interval]")
    for survey, own in results.groupby("survey", sort=False):
        for first, second in COMPARED:
            if not {first, second} <= set(own["model"]):
                continue
            found = difference(own, first, second)
            low, high = found["low"], found["high"]
            print(f"{survey}: {first} against {second}: {found['difference']:+.1%} [{low:+.1%}, {high:+.1%}]")
    seconds = results[results["seconds"].notna()].groupby("model", sort=False)["seconds"].mean()
    print(f"\nseconds per fit and prediction\n{seconds.to_string(float_format='%.1f')}")


def main() -> None:
    """Measure, or read what was measured, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="nano", help="name or folder of the language model")
    parser.add_argument("--surveys", nargs="+", default=["nonvoters_2020", "fair"], choices=sorted(LOADERS))
    parser.add_argument("--file", nargs=3, action="append", default=[], metavar=("SURVEY", "EDITION", "PATH"),
                        help=f"in place of --surveys, one of {', '.join(KINDS)}: ess 11 ESS11.sav")  # fmt: skip
    parser.add_argument("--questions", type=int, help="the first so many of each survey; default: all")
    parser.add_argument("--countries", nargs="+", help="of the files of ess and wvs: GB NO")
    parser.add_argument("--models", nargs="*", default=list(MODELS), choices=[*MODELS, *MORE_MODELS])
    parser.add_argument("--fixed", action="store_true", help="no search for reference and weight of stage 2")
    parser.add_argument("--sizes", nargs="+", type=int, default=[200, 500, 1000])
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--epochs", type=int, help="a stage, at most; default: that of DSARegressor")
    parser.add_argument("--quick", action="store_true", help="2 splits x 2 sizes")
    parser.add_argument("--output", type=Path, default=OUTPUT / "dsa.json")
    parser.add_argument("--read", type=Path, nargs="+", help="print the tables of these outputs together")
    options = parser.parse_args()
    if options.read:
        results = pd.concat([pd.read_json(file) for file in options.read], ignore_index=True)
    else:
        results = measure(options)
    show(results)


if __name__ == "__main__":
    main()
