"""What is an order worth that is only in the texts? ``python -m benchmarks.text_order``: ages and degrees as texts.

Ordered backgrounds become plain texts, as a CSV has them: their order is read from the levels. Beside that their order
is hidden (levels are renamed), and the plain logit. Divergence (debiased, crossed cells) relative to ordered
categoricals.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
import pandas as pd

from benchmarks.protocol import make_splits
from benchmarks.surveys import MORE_SURVEYS, SURVEYS, Survey
from surveysim.baselines import LogitRegressor
from surveysim.metrics import js_divergence

MIN_RESPONDENTS = 50
SHUFFLED = ["ash", "oak", "elm", "fir", "yew", "bay", "box"]
"""Names that read like nothing, for levels in an order that the alphabet does not keep."""


def as_texts(survey: Survey, *, hidden: bool) -> Survey:
    """The survey with its ordered backgrounds as texts; `hidden`: as texts without an order."""
    data = survey.data.copy()
    for name in survey.backgrounds:
        column = data[name]
        if isinstance(column.dtype, pd.CategoricalDtype) and column.dtype.ordered:
            names = dict(zip(column.dtype.categories, SHUFFLED, strict=False))
            data[name] = column.astype(object).map(names) if hidden else column.astype(object)
    return replace(survey, data=data)


def measure(survey: Survey, n: int, n_splits: int) -> pd.DataFrame:
    """Divergence by split (rows) and treatment."""
    kinds = {
        "ordered categoricals": (survey, True),
        "texts": (as_texts(survey, hidden=False), True),
        "order hidden": (as_texts(survey, hidden=True), True),
        "plain logit": (survey, False),
    }
    found: dict[str, list[float]] = {}
    for name, (own, ordered) in kinds.items():
        for split in make_splits(own, n, n_splits):
            kept = np.flatnonzero(split.truth.n >= MIN_RESPONDENTS)
            X, Y, respondents = split.truth.X.iloc[kept], split.truth.Y[kept], split.truth.n[kept]
            model = LogitRegressor(ordered=ordered, question=split.train.questions, unseen="uniform")
            model.fit(split.train.X, split.train.Y, sample_weight=split.train.n)
            found.setdefault(name, []).append(float(js_divergence(Y, model.predict(X), truth_respondents=respondents)))
    return pd.DataFrame(found)


def main() -> None:
    """Measure and print."""
    loaders = {**SURVEYS, **MORE_SURVEYS}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--surveys", nargs="+", default=["nonvoters_2020", "cces_2016", "wvs_usa", "wvs_poverty"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[200, 500, 1000])
    parser.add_argument("--splits", type=int, default=5)
    options = parser.parse_args()
    for name in options.surveys:
        for n in options.sizes:
            js = measure(loaders[name](), n, options.splits)
            ratio = js.mean() / js["ordered categoricals"].mean()
            print(f"{name}, n = {n}: " + ", ".join(f"{kind} {value:.3f}" for kind, value in ratio.items()), flush=True)


if __name__ == "__main__":
    main()
