"""Do intervals of one question's differences cover? ``python -m benchmarks.few_questions`` draws surveys and looks.

The respondents of `fair` are the population. Surveys of N of them are drawn with replacement, and from each the
difference between the order-aware and the plain logit is told as `respondent_curve` and `compare_models` tell it: n
respondents to learn from, five splits. What it should be is the mean over many samples of n, with the population as an
exact truth.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import joblib
import numpy as np
import pandas as pd

from benchmarks.dsa import OUTPUT
from benchmarks.surveys import Survey, load_fair
from surveysim import tabulate
from surveysim.baselines import LogitRegressor
from surveysim.evaluation import compare_models, respondent_curve
from surveysim.evaluation.curves.truth_jackknife import WITHOUT
from surveysim.metrics import js_divergence

BACKGROUNDS = ["age", "religious"]
FIRST, SECOND = "order-aware logit", "plain logit"
N_TARGET = 200


def target(survey: Survey, n: int, min_share: float) -> float:
    """The relative difference, nearly exact."""
    population = tabulate(survey.data, BACKGROUNDS, survey.questions)
    compared = population.n >= min_share * len(survey.data)
    generator = np.random.default_rng(0)
    sums = np.zeros(2)
    for _ in range(N_TARGET):
        rows = generator.integers(len(survey.data), size=n)
        train = tabulate(survey.data.iloc[rows].reset_index(drop=True), BACKGROUNDS, survey.questions)
        for i, ordered in enumerate((True, False)):
            model = LogitRegressor(ordered=ordered, question=train.questions, unseen="uniform")
            model.fit(train.X, train.Y, train.n)
            sums[i] += js_divergence(population.Y[compared], model.predict(population.X[compared]))
    return sums[0] / sums[1] - 1


def one(survey: Survey, size: int, n: int, min_share: float, seed: int) -> list[dict]:
    """One survey: the difference, and its interval over respondents and over splits."""
    rows = np.random.default_rng(1000 + seed).integers(len(survey.data), size=size)
    data = survey.data.iloc[rows].reset_index(drop=True)
    min_respondents = min_share * (size - n)
    curve = respondent_curve(None, data, survey.questions, BACKGROUNDS, [n], min_respondents=min_respondents)
    found = []
    for known in (curve, curve.drop(columns=list(WITHOUT))):
        row = compare_models(known, FIRST, SECOND).loc[n]
        found.append({"seed": seed, **row[["difference", "low", "high", "resampled"]].to_dict()})
    return found


def main() -> None:
    """Draw, and print how many intervals hold the true difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--surveys", type=int, default=100)
    parser.add_argument("--respondents", type=int, default=3000, help="of each survey")
    parser.add_argument("--size", type=int, default=300, help="training respondents")
    parser.add_argument("--quick", action="store_true", help="10 surveys")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--output", type=Path, default=OUTPUT / "few_questions.json")
    options = parser.parse_args()
    survey = load_fair()
    min_share = 50 / (options.respondents - options.size)
    truth = target(survey, options.size, min_share)
    jobs = (
        joblib.delayed(one)(survey, options.respondents, options.size, min_share, seed)
        for seed in range(10 if options.quick else options.surveys)
    )
    results = pd.DataFrame([row for rows in joblib.Parallel(options.jobs)(jobs) for row in rows])
    results["covers"] = (results["low"] <= truth) & (truth <= results["high"])
    results["width"] = results["high"] - results["low"]
    print(f"true difference {truth:+.1%}; 90% intervals from {options.respondents} respondents, {options.size} train")
    print(results.groupby("resampled").agg({"covers": ["mean", "size"], "width": "median", "difference": "mean"}))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    results.assign(target=truth).to_json(options.output, orient="records")


if __name__ == "__main__":
    main()
