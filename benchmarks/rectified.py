"""Models beside respondents, with intervals that hold whatever the model: ``python -m benchmarks.rectified``.

All who answered a survey are the finite population; samples of n are drawn from them with replacement. For every
question and option, the rectified share and the sample's own are compared with the population's: the ratio of their
mean squared errors, and how often 90% intervals hold. Models: a logit, cross-fitted; recorded answers that are good
(the population's own distribution in every cell), useless (random ones) and wrong (the good ones, options reversed).
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.protocol import survey_missing
from benchmarks.surveys import SURVEYS, Survey
from surveysim import Question, RecordedElicitor, tabulate
from surveysim.baselines import LogitRegressor
from surveysim.inference import rectify
from surveysim.tables import Cells

OUTPUT = Path(__file__).resolve().parent / "output"
KEYS = ["question", "option"]


def recorded_models(everybody: Cells, questions: Mapping[str, Question]) -> dict[str, Any]:
    """Recorded answers, fitted to nothing."""
    rng = np.random.default_rng(0)
    useless = rng.dirichlet(np.ones(everybody.Y.shape[1]), len(everybody))
    useless = np.where(np.isnan(everybody.Y), np.nan, useless)
    useless /= np.nansum(useless, axis=1, keepdims=True)
    wrong = everybody.Y.copy()
    for row in wrong:
        told = ~np.isnan(row)
        row[told] = row[told][::-1]
    answers = {"good": everybody.Y, "useless": useless, "wrong": wrong}
    return {
        name: RecordedElicitor(everybody.X, P, question=questions).fit(everybody.X, everybody.Y)
        for name, P in answers.items()
    }


def population_of(survey: Survey) -> pd.DataFrame:
    """The population's backgrounds with counts."""
    return survey.data.groupby(survey.backgrounds, observed=True, dropna=False).size().rename("n").reset_index()


def measure(survey: Survey, sizes: list[int], n_samples: int, by: list[str], models: list[str] | None) -> pd.DataFrame:
    """Squared errors and whether intervals held, one row per sample, model, question, option (and group)."""
    missing = survey_missing(survey)
    everybody = tabulate(survey.data, survey.backgrounds, survey.questions, missing=missing)
    true = tabulate(survey.data.assign(everybody="all"), by or ["everybody"], survey.questions, missing=missing)
    truth = true.to_frame()[[*by, *KEYS, "share"]].rename(columns={"share": "truth"})
    population = population_of(survey)
    recorded = recorded_models(everybody, survey.questions)
    records = []
    for n in sizes:
        for sample in range(n_samples):
            rng = np.random.default_rng([n, sample])
            data = survey.data.iloc[rng.integers(0, len(survey.data), n)].reset_index(drop=True)
            cells = tabulate(data, survey.backgrounds, survey.questions, missing=missing, folds=(5, sample))
            for name, model in ({"logit": LogitRegressor(question=survey.questions)} | recorded).items():
                if models and name not in models:
                    continue
                table = rectify(model, cells, population, by=by or None, refit=name == "logit")
                table = table.merge(truth, on=[*by, *KEYS])
                record = {
                    "model": name,
                    "n": n,
                    "sample": sample,
                    "question": table["question"],
                    "option": table["option"],
                    "rectified": (table["share"] / 100 - table["truth"]) ** 2,
                    "alone": (table["sample"] / 100 - table["truth"]) ** 2,
                    "held": (table["lower"] / 100 <= table["truth"]) & (table["truth"] <= table["upper"] / 100),
                    "width": (table["upper"] - table["lower"]),
                    "power": table["power"],
                }
                records.append(pd.DataFrame(record))
        print(summarise(pd.concat(records)).xs(n, level="n").to_string(float_format="%.3f"), flush=True)
    return pd.concat(records)


def summarise(results: pd.DataFrame) -> pd.DataFrame:
    """Ratio of mean squared errors with a standard error over samples, coverage, mean width (points) and power."""
    grouped = results.groupby(["model", "n"], sort=False)
    ratio = grouped["rectified"].mean() / grouped["alone"].mean()
    per_sample = results.groupby(["model", "n", "sample"], sort=False)[["rectified", "alone"]].mean().reset_index()
    per_sample = per_sample.join(ratio.rename("ratio"), on=["model", "n"]).join(
        grouped["alone"].mean().rename("mean"), on=["model", "n"]
    )
    per_sample["excess"] = (per_sample["rectified"] - per_sample["ratio"] * per_sample["alone"]) / per_sample["mean"]
    by_sample = per_sample.groupby(["model", "n"], sort=False)["excess"]
    table = pd.DataFrame({"mse_ratio": ratio, "se": by_sample.std() / np.sqrt(by_sample.size())})
    return table.assign(coverage=grouped["held"].mean(), width=grouped["width"].mean(), power=grouped["power"].mean())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--survey", default="nonvoters_2020", choices=sorted(SURVEYS))
    parser.add_argument("--questions", type=int, default=10, help="the first of the survey's questions")
    parser.add_argument("--sizes", nargs="+", type=int, default=[100, 300, 1000])
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--by", nargs="*", default=[], help="backgrounds that make groups; none: the population")
    parser.add_argument("--models", nargs="+", help="logit, good, useless, wrong")
    parser.add_argument("--quick", action="store_true", help="one size, 20 samples, recorded models only")
    parser.add_argument("--output", type=Path, default=OUTPUT / "rectified.json")
    options = parser.parse_args()
    if options.quick:
        options.sizes, options.samples, options.models = [300], 20, ["good", "useless", "wrong"]
    survey = SURVEYS[options.survey]()
    chosen = dict(list(survey.questions.items())[: options.questions])
    survey = Survey(survey.name, survey.data, survey.backgrounds, chosen, survey.skipped)
    results = measure(survey, options.sizes, options.samples, options.by, options.models)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    results.to_json(options.output, orient="records")
    print(summarise(results).to_string(float_format="%.3f"))


if __name__ == "__main__":
    main()
