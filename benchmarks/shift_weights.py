"""How heavy should stage 2 be? ``python -m benchmarks.shift_weights``, leaving one survey out at a time.

DSA on nano with the logit's shifts at several weights, nothing searched for: two epochs of stage 1, all of stage 2. So
each weight shows what it is worth by itself, in a tenth of the time of a default fit. Divergence (debiased, crossed
cells of at least 50 held-out respondents) relative to the plain logit's. For each survey the weight is chosen that is
best on the others (mean logarithm of the divergence relative to the plain logit over surveys and sizes), and reported
on this one. ``--read`` takes what was measured before.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd

from benchmarks.dsa import LOADERS, OUTPUT, make
from benchmarks.protocol import make_splits, sizes_that_fit
from surveysim.baselines import LogitRegressor
from surveysim.dsa import fit
from surveysim.dsa.trainer import Candidate, Plan
from surveysim.metrics import js_divergence

WEIGHTS = (1.5, 6.0, 24.0)
EPOCHS = (2, 12)
REFERENCE: dict[str, Any] = {"shift_reference": "baseline", "verbose": -1}
MIN_RESPONDENTS = 50
PLAIN, ORDERED = "plain logit", "order-aware logit"


def models(questions: Any, weights: list[float], **parameters: Any) -> dict[str, tuple[Any, Plan | None]]:
    """Estimators by name, and what DSA is to do."""
    found: dict[str, tuple[Any, Plan | None]] = {
        PLAIN: (LogitRegressor(ordered=False, question=questions), None),
        ORDERED: (LogitRegressor(question=questions), None),
    }
    for weight in weights:
        plan = Plan(Candidate("baseline", weight), EPOCHS, 1.0)
        found[f"weight {weight:g}"] = make(questions, model="nano", **REFERENCE, **parameters), plan
    return found


def measure(name: str, n: int, split: int, weights: list[float], **parameters: Any) -> list[dict[str, Any]]:
    """Debiased divergence of each model on one sample."""
    *_, sample = make_splits(LOADERS[name](), n, split + 1, folds=5)
    kept = np.flatnonzero(sample.truth.n >= MIN_RESPONDENTS)
    X, Y, respondents = sample.truth.X.iloc[kept], sample.truth.Y[kept], sample.truth.n[kept]
    train, records = sample.train, []
    for model_name, (model, plan) in models(train.questions, weights, **parameters).items():
        with patch.object(fit, "_choose_plan", return_value=plan):
            model.fit(train.X, train.Y, sample_weight=train.n)
        js = js_divergence(Y, model.predict(X), truth_respondents=respondents)
        records.append({"survey": name, "n": n, "split": split, "model": model_name, "js": js})
    return records


def relative(results: pd.DataFrame) -> pd.DataFrame:
    """Mean divergence relative to the plain logit, less 1: rows are surveys and sizes."""
    means = results.groupby(["survey", "n", "model"], sort=False)["js"].mean().unstack("model")
    return means[list(dict.fromkeys(results["model"]))].div(means[PLAIN], axis=0) - 1


def choose(ratios: pd.DataFrame) -> str:
    """The best weight on these surveys; every survey counts alike."""
    weights = ratios[[column for column in ratios.columns if str(column).startswith("weight")]]
    logs = pd.DataFrame(np.log1p(weights))
    return str(logs.groupby("survey").mean().mean().idxmin())


def show(results: pd.DataFrame) -> None:
    """Print the table, the choice, and the choice of the others for each survey."""
    ratios = relative(results)
    print(f"\nagainst the plain logit, percent\n{(100 * ratios).round(1).to_string()}")
    print(f"\nchosen: {choose(ratios)}")
    for survey in ratios.index.unique("survey"):
        others = ratios.drop(index=survey, level="survey")
        if len(others):
            best = choose(others)
            own = ratios.xs(survey, level="survey")[best]
            print(f"{survey}: the others choose {best}: " + ", ".join(f"n = {n} {v:+.1%}" for n, v in own.items()))


def main() -> None:
    """Measure, or read what was measured, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--surveys", nargs="+", default=list(LOADERS), choices=list(LOADERS))
    parser.add_argument("--sizes", nargs="+", type=int, default=[200, 500, 1000])
    parser.add_argument("--splits", type=int, default=2)
    parser.add_argument("--weights", nargs="+", type=float, default=list(WEIGHTS))
    parser.add_argument("--common-rows", action="store_true", help="question_rows=False")
    parser.add_argument("--output", type=Path, default=OUTPUT / "shift_weights.json")
    parser.add_argument("--read", type=Path, nargs="+", help="print the tables of these outputs together")
    options = parser.parse_args()
    if options.read:
        show(pd.concat([pd.read_json(file) for file in options.read], ignore_index=True))
        return
    records: list[dict[str, Any]] = []
    options.output.parent.mkdir(parents=True, exist_ok=True)
    for split in range(options.splits):
        for name in options.surveys:
            for n in sizes_that_fit(LOADERS[name](), options.sizes):
                records += measure(name, n, split, options.weights, question_rows=not options.common_rows)
                print(
                    name,
                    n,
                    split,
                    {r["model"]: round(r["js"], 4) for r in records[-2 - len(options.weights) :]},
                    flush=True,
                )
                pd.DataFrame(records).to_json(options.output, orient="records")
    show(pd.DataFrame(records))


if __name__ == "__main__":
    main()
