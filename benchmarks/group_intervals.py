"""Do 90% intervals of groups hold 90%? ``python -m benchmarks.group_intervals``: simulated surveys with a known truth.

Of cells, of groups of a single attribute and of the population, by `surveysim.group_estimates` with the population's
joint shares: the sample's own shares where it has somebody in every cell of the group, the logit, and DSA on nano.
"Cells independent" is the ablation: the same draws, those of each cell put into an order of their own, so that errors
of cells are independent and average out in groups.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from surveysim import DSARegressor, group_estimates
from surveysim.baselines import LogitRegressor
from surveysim.datasets import Survey, make_survey
from surveysim.tables import Cells

OUTPUT = Path(__file__).resolve().parent / "output"
LEVEL = 0.9


class IndependentCells:
    """A fitted estimator whose draws are put into an order of their own in each cell."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return self.model.predict(X)

    def predict_draws(self, X: pd.DataFrame, n_draws: int, *, random_state: Any) -> np.ndarray:
        draws = self.model.predict_draws(X, n_draws, random_state=random_state)
        generator = np.random.default_rng(0)
        return np.stack([draws[generator.permutation(n_draws), row] for row in range(len(X))], axis=1)


def fitted(cells: Cells, *, logit_only: bool) -> dict[str, Any]:
    """The models, by name; None stands for the sample itself."""
    models: dict[str, Any] = {"sample": None, "logit": LogitRegressor(question=cells.questions)}
    models["logit"].fit(cells.X, cells.Y, sample_weight=cells.n)
    models["logit, cells independent"] = IndependentCells(models["logit"])
    if not logit_only:
        dsa = DSARegressor("nano", question=dict(cells.questions), random_state=0)
        dsa.fit(cells.X, cells.Y, sample_weight=cells.n, folds=cells.folds)
        models |= {"DSA on nano": dsa, "DSA on nano, cells independent": IndependentCells(dsa)}
    return models


def population_of(survey: Survey) -> pd.DataFrame:
    """Joint shares of the backgrounds."""
    frame = survey.truth_X[survey.backgrounds].assign(share=survey.truth_share)
    return frame.drop_duplicates(survey.backgrounds).reset_index(drop=True)


class Truth:
    """The truth as an estimator."""

    def __init__(self, survey: Survey) -> None:
        self.predict = survey.truth.predict


def measure(n_surveys: int, n: int, interaction: float, *, logit_only: bool) -> pd.DataFrame:
    """Whether each interval holds, and its width, by survey, model and level."""
    records = []
    for seed in range(n_surveys):
        survey = make_survey(n, 3, 4, n_levels=[2, 4, 3], interaction=interaction, random_state=seed)
        cells = survey.tabulate(folds=5)
        population = population_of(survey)
        truth = Truth(survey)
        for name, model in fitted(cells, logit_only=logit_only).items():
            levels = [
                ("cell", survey.backgrounds),
                *[("attribute", [a]) for a in survey.backgrounds],
                ("population", []),
            ]
            for level, by in levels:
                try:
                    table = group_estimates(model, cells, by, level=LEVEL, population=population)
                except ValueError:
                    if model is not None:
                        raise
                    continue  # the sample has nobody in one of the cells
                true = group_estimates(truth, cells, by, population=population)["share"]
                held = (table["lower"] <= true) & (true <= table["upper"])
                records.append(
                    {
                        "n": n,
                        "interaction": interaction,
                        "survey": seed,
                        "model": name,
                        "level": level,
                        "held": held.mean(),
                        "width": (table["upper"] - table["lower"]).mean(),
                        "error": (table["share"] - true).abs().mean(),
                    }
                )
        print(summary(pd.DataFrame(records)).to_string(), flush=True)
    return pd.DataFrame(records)


def summary(records: pd.DataFrame) -> pd.DataFrame:
    """Means over surveys, in percent; the standard error of `held` is over surveys."""
    by = records.groupby(["n", "interaction", "model", "level"], sort=False)
    found = by[["held", "width", "error"]].mean()
    found["held"] *= 100
    found.insert(1, "held_error", 100 * by["held"].sem())
    return found.round(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--surveys", type=int, default=20)
    parser.add_argument("--n", type=int, default=500)
    parser.add_argument("--interaction", type=float, default=0.15)
    parser.add_argument("--logit-only", action="store_true")
    arguments = parser.parse_args()
    records = measure(arguments.surveys, arguments.n, arguments.interaction, logit_only=arguments.logit_only)
    OUTPUT.mkdir(exist_ok=True)
    records.to_csv(OUTPUT / "group_intervals.csv", index=False)


if __name__ == "__main__":
    main()
