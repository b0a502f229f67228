"""Why learned priors lose where questions are nearly one: ``python -m benchmarks.same_respondents``.

`LogitRegressor` sees cells, not respondents. Questions of one battery are answered by the same people, whose answers go
together, so that their sampling errors do, too. What is learned from all questions at once (variances, resemblance)
takes them for independent. Here every question gets respondents of its own beside that: as many answers, no shared
errors. The truth is the same for both. Divergence (debiased, cells of at least 30 held-out respondents) relative to
``prior="fixed"``, which fits each question by itself.
"""

from __future__ import annotations

import argparse
from typing import Any, Literal

import numpy as np
import pandas as pd

from benchmarks.protocol import survey_missing
from benchmarks.surveys import MORE_SURVEYS, SURVEYS, Survey
from surveysim import tabulate
from surveysim.baselines import LogitRegressor
from surveysim.metrics import js_divergence
from surveysim.tables import Cells

LOADERS = {**SURVEYS, **MORE_SURVEYS}
MIN_RESPONDENTS = 30
PRIORS: tuple[Literal["fixed", "eb", "auto"], ...] = ("fixed", "eb", "auto")


def cells_of(survey: Survey, data: pd.DataFrame) -> Cells:
    """The survey's cells of these respondents."""
    return tabulate(data, survey.backgrounds, survey.questions, missing=survey_missing(survey))


def samples(survey: Survey, n: int, seed: int) -> tuple[dict[str, Cells], Cells]:
    """n respondents who answer all questions, n others for each question, and the truth of those left."""
    order = np.random.default_rng(seed).permutation(len(survey.data))
    end = n * len(survey.questions)
    apart = survey.data.iloc[order[:end]].copy()
    for place, name in enumerate(survey.questions):
        others = np.arange(end) // n != place
        apart[name] = apart[name].astype(object).mask(others)
    train = {"the same respondents": survey.data.iloc[order[:n]], "respondents of their own": apart}
    return {name: cells_of(survey, data) for name, data in train.items()}, cells_of(
        survey, survey.data.iloc[order[end:]]
    )


def measure(survey: Survey, n: int, n_splits: int) -> list[dict[str, Any]]:
    """Divergence by split, kind of sample and prior."""
    records = []
    for split in range(n_splits):
        train, truth = samples(survey, n, split)
        kept = np.flatnonzero(truth.n >= MIN_RESPONDENTS)
        for kind, cells in train.items():
            for prior in PRIORS:
                model = LogitRegressor(question=cells.questions, prior=prior, unseen="uniform")
                P = model.fit(cells.X, cells.Y, sample_weight=cells.n).predict(truth.X.iloc[kept])
                js = js_divergence(truth.Y[kept], P, truth_respondents=truth.n[kept])
                records.append(
                    {"survey": survey.name, "n": n, "split": split, "sample": kind, "prior": prior, "js": js}
                )
    return records


def answers_correlation(survey: Survey) -> float:
    """Mean correlation of two questions' answers, by rank of the option."""
    ranks = {}
    for name, question in survey.questions.items():
        codes = list(question.codes or question.options)
        ranks[name] = survey.data[name].map({code: rank for rank, code in enumerate(codes)}).astype(float)
    table = pd.DataFrame(ranks).corr().to_numpy()
    return float(np.abs(table[np.triu_indices(len(table), 1)]).mean())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--surveys", nargs="+", default=["ess_gb", "ess_no", "wvs_usa"], choices=sorted(LOADERS))
    parser.add_argument("--n", type=int, default=200)
    parser.add_argument("--splits", type=int, default=20)
    options = parser.parse_args()
    for name in options.surveys:
        survey = LOADERS[name]()
        results = pd.DataFrame(measure(survey, options.n, options.splits))
        wide = results.pivot_table(index="split", columns=["sample", "prior"], values="js", sort=False)
        print(f"\n{name}, n = {options.n}, mean correlation of answers {answers_correlation(survey):.2f}")
        for kind in wide.columns.unique("sample"):
            fixed = wide[kind]["fixed"]
            for prior in PRIORS[1:]:
                apart = wide[kind][prior] - fixed
                error = apart.std() / np.sqrt(len(apart)) / fixed.mean()
                print(f"{kind}, {prior}: {apart.mean() / fixed.mean():+.1%} (standard error {error:.1%})", flush=True)


if __name__ == "__main__":
    main()
