"""Adapters on all blocks against the last block: ``python -m benchmarks.lora`` prints a table and writes JSON.

The same estimator, losses, stages and seed; only `tuning` differs. On a few questions of `cces_2016`, since adapters
leave nothing that could be computed once. Nothing is chosen: reference and weight are fixed, epochs are used up. Time
is the process's, for loading, fit and prediction together.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.dsa import OUTPUT, difference
from benchmarks.protocol import LEVELS, make_splits, summarise
from benchmarks.surveys import SURVEYS, Survey
from surveysim import DSARegressor
from surveysim.baselines import LogitRegressor, MarginalRegressor
from surveysim.dsa.inputs import Tuning
from surveysim.evaluation.curves.protocol import FLOOR, RespondentSplit, evaluate, evaluate_floor, fit_predict
from surveysim.models import clear_models

FIXED: dict[str, Any] = {"shift_reference": "baseline", "validation_fraction": 0, "n_members": 1, "random_state": 0}

STAGES: dict[str, dict[str, Any]] = {"stage 1 alone": {"shift_weight": 0}, "two stages": {"shift_weight": 1.5}}

ORDERED = "order-aware logit"


def models(epochs: dict[Tuning, list[int]], stages: list[str], model: str = "nano") -> dict[str, Any]:
    """Unfitted estimators by name: the baselines, then each tuning at each of its numbers of epochs a stage."""
    chosen: dict[str, Any] = {
        "pooled marginal": MarginalRegressor(unseen="uniform"),
        "plain logit": LogitRegressor(ordered=False, unseen="uniform"),
        ORDERED: LogitRegressor(unseen="uniform"),
    }
    for tuning, numbers in epochs.items():
        for n_epochs in numbers:
            for stage in stages:
                chosen[row_name(tuning, stage, n_epochs)] = DSARegressor(
                    model, tuning=tuning, max_epochs=n_epochs, **FIXED, **STAGES[stage]
                )
    return chosen


def row_name(tuning: str, stage: str, n_epochs: int) -> str:
    """A row of the table."""
    return f"{tuning}, {stage}, {n_epochs} epochs"


def measure(survey: Survey, estimators: dict[str, Any], n: int, n_splits: int) -> pd.DataFrame:
    """One row per split, model, level and question, with the process seconds of fit and prediction."""
    tables = []
    for split in make_splits(survey, n, n_splits):
        for name, estimator in estimators.items():
            clear_models()  # no trunk states of the fit before
            start = time.process_time()
            P = fit_predict(estimator.set_params(question=dict(split.train.questions)), split)
            seconds = time.process_time() - start
            tables.append(_rows(survey, split, name, evaluate(split, P)).assign(seconds=seconds))
            cells = tables[-1][tables[-1]["level"] == "cells"]
            js = np.average(cells["js"], weights=cells["n_cells"])
            print(f"split {split.seed}, {name}: {js:.4f} ({seconds:.1f} s)", flush=True)
        tables.append(_rows(survey, split, FLOOR, evaluate_floor(split, surveys=False)))
    return pd.concat(tables, ignore_index=True)


def _rows(survey: Survey, split: RespondentSplit, name: str, table: pd.DataFrame) -> pd.DataFrame:
    renamed = table.rename(columns={"n_groups": "n_cells"}).assign(level=table["level"].map(LEVELS))
    return renamed.assign(survey=survey.name, n=split.n, split=split.seed, model=name)


def show(results: pd.DataFrame) -> None:
    """Divergences and times, and each LoRA row's difference from the last block with as many epochs."""
    pd.options.display.width = 200
    for (survey, n), own in results.groupby(["survey", "n"], sort=False):
        table = pd.DataFrame({value: summarise(own, value).iloc[:, 0] for value in ("js", "js_debiased")})
        table["groups, debiased"] = summarise(own, "js_debiased", "groups").iloc[:, 0]
        once = own.drop_duplicates(["split", "model"])
        table["seconds"] = once.groupby("model")["seconds"].mean()
        questions, splits = own["question"].nunique(), own["split"].nunique()
        print(f"\n{survey}, n = {n}, {questions} questions, {splits} splits\n{table.to_string(float_format='%.4f')}")
        for name in table.index[table.index.str.startswith("lora")]:
            for other in (name.replace("lora", "last-block"), ORDERED):
                shared = own[own["split"].isin(own.loc[own["model"] == name, "split"])]
                if other in table.index:
                    found = difference(shared, name, other)
                    interval = f"[{found['low']:+.1%}, {found['high']:+.1%}]"
                    print(f"{name} against {other}: {found['difference']:+.1%} {interval}")


def main() -> None:
    """Measure, or read what was measured, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="nano", help="the language model: a name, a folder or a GGUF file")
    parser.add_argument("--survey", default="cces_2016", choices=sorted(SURVEYS))
    parser.add_argument("--size", type=int, default=500, help="training respondents")
    parser.add_argument("--questions", type=int, default=3, help="the first so many")
    parser.add_argument("--splits", type=int, default=2)
    parser.add_argument("--stages", nargs="+", default=list(STAGES), choices=list(STAGES))
    parser.add_argument("--epochs", nargs="*", type=int, default=[4], help="a stage, of both tunings")
    parser.add_argument("--last-block-epochs", nargs="*", type=int, default=[12], help="of the last block beside it")
    parser.add_argument("--quick", action="store_true", help="one question, one split")
    parser.add_argument("--output", type=Path, default=OUTPUT / "lora.json")
    parser.add_argument("--read", type=Path, nargs="+", help="print the tables of these outputs together")
    options = parser.parse_args()
    if options.quick:
        options.questions, options.splits = 1, 1
    if options.read:
        results = pd.concat([pd.read_json(file) for file in options.read], ignore_index=True)
        results = results.drop_duplicates(["survey", "n", "split", "model", "level", "question"])
    else:
        whole = SURVEYS[options.survey]()
        questions = dict(list(whole.questions.items())[: options.questions])
        survey = Survey(whole.name, whole.data, whole.backgrounds, questions, whole.skipped)
        last_block = sorted({*options.epochs, *options.last_block_epochs})
        estimators = models({"last-block": last_block, "lora": options.epochs}, options.stages, options.model)
        results = measure(survey, estimators, options.size, options.splits)
        options.output.parent.mkdir(parents=True, exist_ok=True)
        results.to_json(options.output, orient="records")
    show(results)


if __name__ == "__main__":
    main()
