"""The baselines on three real surveys: ``python -m benchmarks.baselines [survey ...]``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd

from benchmarks.protocol import FLOOR, SAMPLE, EstimatorFactory, run, sizes_that_fit, summarise
from benchmarks.surveys import MORE_SURVEYS, SURVEYS
from surveysim import Question
from surveysim.baselines import CellRegressor, LogitRegressor, MarginalRegressor

__all__ = ["BASELINES"]


def _make(estimator: type, questions: Mapping[str, Question], **params: Any) -> Any:
    return estimator(question=questions, unseen="uniform", **params)


def _baseline(estimator: type, **params: Any) -> EstimatorFactory:
    return partial(_make, estimator, **params)


BASELINES: dict[str, EstimatorFactory] = {
    "pooled marginal": _baseline(MarginalRegressor),
    "cells, shrunk by 30 respondents": _baseline(CellRegressor, shrinkage=30.0),
    "plain logit": _baseline(LogitRegressor, ordered=False),
    "order-aware logit": _baseline(LogitRegressor),
    "order-aware logit, fixed variances": _baseline(LogitRegressor, prior="fixed"),
    "order-aware logit, learned variances": _baseline(LogitRegressor, prior="eb"),
    "order-aware logit, pairs": _baseline(LogitRegressor, interactions=True),
}
"""What every benchmark of a model prints beside it."""


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    loaders = {**SURVEYS, **MORE_SURVEYS}
    parser.add_argument("surveys", nargs="*", default=list(SURVEYS), help=f"of {', '.join(loaders)}")
    parser.add_argument("--sizes", nargs="+", type=int, default=[200, 500, 1000], help="training respondents")
    parser.add_argument("--splits", type=int, default=5)
    options = parser.parse_args()
    tables = []
    for name in options.surveys:
        survey = loaders[name]()
        sizes = sizes_that_fit(survey, options.sizes)
        tables.append(run(survey, BASELINES, sizes=sizes, n_splits=options.splits))
    results = pd.concat(tables, ignore_index=True)
    rows = [SAMPLE, *BASELINES, FLOOR]
    with pd.option_context("display.width", 200, "display.max_columns", None):
        for level in ("cells", "groups", "population"):
            for value, title in (("js", "raw"), ("js_debiased", "debiased")):
                print(f"\nJensen-Shannon divergence (base 2), {title}, {level}")
                print(summarise(results, value, level).reindex(rows).round(4).to_string())
        print("\nCross-entropy, bits per answer, all cells")
        print(summarise(results, "cross_entropy").round(4).to_string())
        seconds = results[results["level"] == "cells"].drop_duplicates(["survey", "n", "split", "model"])
        print("\nSeconds for fit and predict")
        print(seconds.groupby(["model", "survey", "n"], sort=False)["seconds"].mean().unstack(["survey", "n"]).round(2))


if __name__ == "__main__":
    main()
