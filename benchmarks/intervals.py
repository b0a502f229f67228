"""Do 90% intervals hold 90%? ``python -m benchmarks.intervals``: predictive intervals against held-out respondents.

Training on n respondents, the others are the truth (`benchmarks.protocol`). A cell's held-out shares are a sample, too,
so its noise is added: from each posterior draw as many respondents as the truth has are drawn, and the observed share
should lie between the 5% and 95% quantiles of those. Shares are whole numbers of respondents: ties count by chance, so
that a perfect model holds exactly 90%. Cells of at least 50 held-out respondents, mean over options, cells and splits.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from scipy.stats import norm

from benchmarks.protocol import make_splits, sizes_that_fit
from benchmarks.surveys import MORE_SURVEYS, SURVEYS
from surveysim import DSARegressor, FusedRegressor, Question
from surveysim.baselines import LogitRegressor

OUTPUT = Path(__file__).resolve().parent / "output"
MIN_RESPONDENTS = 50
N_DRAWS = 400
LEVEL = 0.9
LOADERS = {**SURVEYS, **MORE_SURVEYS}


def logits(questions: Mapping[str, Question]) -> dict[str, Any]:
    """The logits and the fusion with nothing; seconds each."""
    return {
        "logit": LogitRegressor(question=questions),
        "logit, fixed variances": LogitRegressor(question=questions, prior="fixed"),
        "logit, learned variances": LogitRegressor(question=questions, prior="eb"),
        "logit, pairs": LogitRegressor(question=questions, interactions=True),
        "fused with nothing": FusedRegressor(None, question=questions),
    }


def language_models(questions: Mapping[str, Question]) -> dict[str, Any]:
    """DSA on nano; minutes."""
    return {"DSA on nano": DSARegressor("nano", question=dict(questions), random_state=0)}


def draws_of(model: Any, X: pd.DataFrame, generator: np.random.Generator) -> np.ndarray:
    """Draws (n_draws, n, K): the model's own, else normal ones around the middle of its interval, in log-odds."""
    if hasattr(model, "predict_draws"):
        return model.predict_draws(X, N_DRAWS, random_state=generator)
    # DSA's interval is symmetric in log-odds
    lower, upper = (logit(np.clip(end, 1e-9, 1 - 1e-9)) for end in model.predict_interval(X, LEVEL))
    scale = (upper - lower) / 2 / norm.ppf(0.5 + LEVEL / 2)
    return expit((lower + upper) / 2 + scale * generator.standard_normal((N_DRAWS, 1, 1)))


def ranks(draws: np.ndarray, Y: np.ndarray, n: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Where each observed share stands among shares simulated from the draws, 0 to 1 (n_cells, K); ties by chance."""
    u = np.full(Y.shape, np.nan)
    for row, (shares, respondents) in enumerate(zip(Y, n, strict=True)):
        size = round(respondents)
        for k in np.flatnonzero(~np.isnan(shares)):
            simulated = generator.binomial(size, draws[:, row, k])
            observed = round(shares[k] * size)
            u[row, k] = np.mean(simulated < observed) + generator.random() * np.mean(simulated == observed)
    return u


def measure(
    surveys: list[str], sizes: list[int], n_splits: int, make: Any, only: list[str] | None = None
) -> pd.DataFrame:
    """Coverage by survey, size, split and model; of all models, or of those named."""
    records = []
    for name in surveys:
        survey = LOADERS[name]()
        for n in sizes_that_fit(survey, sizes):
            for split_number, split in enumerate(make_splits(survey, n, n_splits, folds=5)):
                kept = np.flatnonzero(split.truth.n >= MIN_RESPONDENTS)
                X, Y, size = split.truth.X.iloc[kept], split.truth.Y[kept], split.truth.n[kept]
                for model_name, model in make(split.train.questions).items():
                    if only is not None and model_name not in only:
                        continue
                    generator = np.random.default_rng(split_number)
                    extra = {"folds": split.train.folds} if isinstance(model, DSARegressor) else {}
                    model.fit(split.train.X, split.train.Y, sample_weight=split.train.n, **extra)
                    u = ranks(draws_of(model, X, generator), Y, size, generator)
                    held = (u >= (1 - LEVEL) / 2) & (u <= (1 + LEVEL) / 2)
                    shares = int((~np.isnan(u)).sum())
                    record = {"survey": name, "n": n, "split": split_number, "model": model_name, "shares": shares}
                    records.append(record | {"coverage": held.sum() / shares})
                    print(records[-1], flush=True)
    return pd.DataFrame(records)


def show(results: pd.DataFrame) -> None:
    """Print the table."""
    mean = results.groupby(["model", "survey", "n"], sort=False)["coverage"].mean()
    print(f"\ncoverage of {LEVEL:.0%} intervals\n{mean.unstack(['survey', 'n']).to_string(float_format='%.3f')}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--surveys", nargs="+", default=["nonvoters_2020", "cces_2016", "fair"], choices=sorted(LOADERS)
    )
    parser.add_argument("--sizes", nargs="+", type=int, default=[200, 500, 1000])
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--models", nargs="+", help='some of the models only, such as "logit" "fused with nothing"')
    parser.add_argument("--dsa", action="store_true", help="DSA on nano instead of the logits")
    parser.add_argument("--quick", action="store_true", help="fair alone, one size, 2 splits")
    parser.add_argument("--output", type=Path, default=OUTPUT / "intervals.json")
    options = parser.parse_args()
    if options.quick:
        options.surveys, options.sizes, options.splits = ["fair"], [500], 2
    make = language_models if options.dsa else logits
    results = measure(options.surveys, options.sizes, options.splits, make, options.models)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    results.to_json(options.output, orient="records")
    show(results)


if __name__ == "__main__":
    main()
