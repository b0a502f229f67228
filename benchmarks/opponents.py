"""Opponents people ask for, beside the order-aware logit: ``python -m benchmarks.opponents [survey ...]``.

Gradient-boosted trees (scikit-learn's `HistGradientBoostingClassifier`, the algorithm of LightGBM) with their defaults,
and held short for small surveys; and a proportional-odds model, the textbook's choice for ordered answers. Questions
are fitted one by one, on the respondents themselves: cells are split into answers again. The last table is the debiased
divergence of crossed cells relative to the order-aware logit, with its 90% interval.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import expit, log_expit
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from benchmarks.baselines import BASELINES
from benchmarks.protocol import as_curve, run, sizes_that_fit, summarise
from benchmarks.surveys import SURVEYS
from surveysim import Question
from surveysim.base import DistributionRegressor
from surveysim.baselines.features import BackgroundEncoder
from surveysim.cells import FitCells, PredictCells
from surveysim.evaluation import compare_models

__all__ = ["BoostedTrees", "ProportionalOdds", "fit_proportional_odds", "proportional_odds"]

OUTPUT = Path(__file__).resolve().parent / "output"
LOGIT = "order-aware logit"
RIDGE_SD = 0.3
"""Prior standard deviation of an effect in log-odds: about as far as the order-aware logit's prior lets answers move.
The textbook's fit without a prior is much farther off on small surveys."""


class _Apart(DistributionRegressor):
    """Each question fitted apart; questions without training cells get equal shares."""

    def fit(self, X: Any, Y: ArrayLike, sample_weight: ArrayLike | None = None) -> _Apart:
        """Fit every question."""
        with self._atomic_fit():
            cells = self._validate_fit(X, Y, sample_weight)
            self.encoder_ = self._learn(cells)
            design = self._design(cells)
            self.models_ = {}
            for index, _, question, rows in cells.by_question():
                counts = np.rint(cells.Y[rows, : question.n_options] * cells.n[rows, None]).astype(int)
                self.models_[index] = self._fit_one(question, design[rows], counts)
        return self

    def _predict(self, cells: PredictCells) -> np.ndarray:
        P = np.full((len(cells), self.n_options_), np.nan)
        design = self._design(cells)
        for index, _, question, rows in cells.by_question():
            K = question.n_options
            P[rows, :K] = self.models_[index](design[rows]) if index in self.models_ else 1 / K
        return P


class BoostedTrees(_Apart):
    """`HistGradientBoostingClassifier` on the answers; ordered backgrounds as ranks, the others as categories.

    Parameters
    ----------
    question, question_column
        As in every estimator.
    short : bool, default=False
        30 rounds of 4 leaves at a rate of .1 with an L2 penalty of 10, in place of scikit-learn's defaults (100 rounds
        of 31 leaves).
    """

    def __init__(
        self,
        question: Question | Mapping[str, Question] | None = None,
        question_column: str = "question",
        short: bool = False,
    ) -> None:
        self.question = question
        self.question_column = question_column
        self.short = short

    def _learn(self, cells: FitCells) -> dict[str, tuple[list[str], bool]]:
        """The levels of each background, and whether they are ordered."""
        return {str(name): _levels(column) for name, column in cells.backgrounds.items()}

    def _design(self, cells: PredictCells) -> np.ndarray:
        columns = []
        for name, (levels, _) in self.encoder_.items():
            place = {level: float(i) for i, level in enumerate(levels)}
            columns.append([place.get(str(value), np.nan) for value in cells.backgrounds[name]])
        return np.array(columns).T

    def _fit_one(self, question: Question, design: np.ndarray, counts: np.ndarray) -> Any:
        cell, option = np.nonzero(counts)
        times = counts[cell, option]
        answers, X = np.repeat(option, times), np.repeat(design[cell], times, axis=0)
        chosen = np.unique(answers)
        if len(chosen) < 2:
            return partial(_always, chosen[0], question.n_options)
        held = {"max_iter": 30, "max_leaf_nodes": 4, "l2_regularization": 10.0} if self.short else {}
        nominal = [not ordered for _, ordered in self.encoder_.values()]
        model = HistGradientBoostingClassifier(categorical_features=nominal, random_state=0, **held).fit(X, answers)
        return partial(_spread, model.predict_proba, chosen, question.n_options)


class ProportionalOdds(_Apart):
    """Cumulative logit with one effect per term for all options; a plain multinomial logit for nominal questions.

    Terms are those of the order-aware logit: a level each, and a linear score for ordered backgrounds.
    """

    def __init__(
        self, question: Question | Mapping[str, Question] | None = None, question_column: str = "question"
    ) -> None:
        self.question = question
        self.question_column = question_column

    def _learn(self, cells: FitCells) -> BackgroundEncoder:
        return BackgroundEncoder(linear=True, pairs=False).fit(cells.backgrounds)

    def _design(self, cells: PredictCells) -> np.ndarray:
        return self.encoder_.transform(cells.backgrounds).matrix

    def _fit_one(self, question: Question, design: np.ndarray, counts: np.ndarray) -> Any:
        chosen = np.flatnonzero(counts.sum(axis=0))
        if len(chosen) < 2:
            return partial(_always, chosen[0], question.n_options)
        if question.ordinal:
            thresholds, effects = fit_proportional_odds(design, counts[:, chosen])
            return partial(_spread, partial(proportional_odds, thresholds, effects), chosen, question.n_options)
        cell, option = np.nonzero(counts)
        model = LogisticRegression(C=RIDGE_SD**2, max_iter=1000)
        model.fit(design[cell], option, sample_weight=counts[cell, option])
        return partial(_spread, model.predict_proba, chosen, question.n_options)


def fit_proportional_odds(
    design: np.ndarray, counts: np.ndarray, sd: float = RIDGE_SD
) -> tuple[np.ndarray, np.ndarray]:
    """Thresholds (K - 1,) and effects of the proportional-odds model, by penalised maximum likelihood.

    Parameters
    ----------
    design : float64 array of shape (n, n_terms)
    counts : int array of shape (n, K)
        Answers; every option is chosen by somebody.
    sd : float, default=0.3
        Of the effects' normal prior.
    """
    K = counts.shape[1]
    below = np.cumsum(counts.sum(axis=0))[:-1] / counts.sum()
    first = np.log(below / (1 - below))
    start = np.concatenate([first[:1], np.log(np.maximum(np.diff(first), 1e-3)), np.zeros(design.shape[1])])

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        steps, effects = np.exp(theta[1 : K - 1]), theta[K - 1 :]
        thresholds = theta[0] + np.concatenate([[0.0], np.cumsum(steps)])
        eta = thresholds - (design @ effects)[:, None]
        low = np.column_stack([np.full(len(eta), -np.inf), eta])
        high = np.column_stack([eta, np.full(len(eta), np.inf)])
        # log(expit(high) - expit(low)) without cancellation
        log_p = log_expit(high) + log_expit(-low) + np.log(-np.expm1(np.minimum(low - high, -1e-12)))
        with np.errstate(invalid="ignore", over="ignore"):
            odds = 1 / np.expm1(np.maximum(high - low, 1e-12))
        by_high = counts * (expit(-high) + odds)
        by_low = counts * (-expit(low) - odds)
        by_eta = by_high[:, :-1] + by_low[:, 1:]
        by_threshold = by_eta.sum(axis=0)
        later = np.cumsum(by_threshold[::-1])[::-1]
        gradient = np.concatenate([[later[0]], later[1:] * steps, -design.T @ by_eta.sum(axis=1)])
        gradient[K - 1 :] -= effects / sd**2
        return -float((counts * log_p).sum() - effects @ effects / (2 * sd**2)), -gradient

    theta = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 1000}).x
    return theta[0] + np.concatenate([[0.0], np.cumsum(np.exp(theta[1 : K - 1]))]), theta[K - 1 :]


def proportional_odds(thresholds: np.ndarray, effects: np.ndarray, design: np.ndarray) -> np.ndarray:
    """Distributions (n, K)."""
    below = expit(thresholds - (design @ effects)[:, None])
    return np.diff(below, axis=1, prepend=0.0, append=1.0)


def _levels(column: pd.Series) -> tuple[list[str], bool]:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return [str(level) for level in column.dtype.categories], bool(column.dtype.ordered)
    levels = sorted(column.dropna().unique())
    return [str(level) for level in levels], pd.api.types.is_numeric_dtype(column.dtype)


def _always(option: int, n_options: int, design: np.ndarray) -> np.ndarray:
    P = np.zeros((len(design), n_options))
    P[:, option] = 1.0
    return P


def _spread(predict: Any, chosen: np.ndarray, n_options: int, design: np.ndarray) -> np.ndarray:
    """Predictions for the options that somebody chose, 0 for the others."""
    P = np.zeros((len(design), n_options))
    P[:, chosen] = predict(design)
    return P


OPPONENTS: dict[str, Callable[..., Any]] = {
    "pooled marginal": BASELINES["pooled marginal"],
    "plain logit": BASELINES["plain logit"],
    LOGIT: BASELINES[LOGIT],
    "order-aware logit, learned variances": BASELINES["order-aware logit, learned variances"],
    "proportional odds": partial(ProportionalOdds),
    "boosted trees": partial(BoostedTrees),
    "boosted trees, held short": partial(BoostedTrees, short=True),
}


def against_logit(results: pd.DataFrame) -> pd.DataFrame:
    """Each opponent's debiased divergence of crossed cells over the order-aware logit's, with its interval."""
    found = []
    for survey in results["survey"].unique():
        curve = as_curve(results, survey)
        for name in OPPONENTS:
            if name == LOGIT:
                continue
            for n, row in compare_models(curve, name, LOGIT).drop(index="all").iterrows():
                text = f"{row['difference']:+.0%} [{row['low']:+.0%}, {row['high']:+.0%}]"
                found.append({"model": name, "survey": survey, "n": n, "over the logit": text})
    return pd.DataFrame(found)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("surveys", nargs="*", default=list(SURVEYS), help=f"of {', '.join(SURVEYS)}")
    parser.add_argument("--sizes", nargs="+", type=int, default=[200, 500, 1000], help="training respondents")
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="fair alone, one size, 2 splits")
    parser.add_argument("--output", type=Path, default=OUTPUT / "opponents.json")
    options = parser.parse_args()
    if options.quick:
        options.surveys, options.sizes, options.splits = ["fair"], [500], 2
    tables = []
    for name in options.surveys:
        survey = SURVEYS[name]()
        sizes = sizes_that_fit(survey, options.sizes)
        tables.append(run(survey, OPPONENTS, sizes=sizes, n_splits=options.splits, report=print))
        results = pd.concat(tables, ignore_index=True)
        options.output.parent.mkdir(parents=True, exist_ok=True)
        results.to_json(options.output, orient="records")  # a long run keeps what it has
    with pd.option_context("display.width", 250, "display.max_columns", None, "display.max_rows", None):
        for level in ("cells", "groups", "population"):
            print(f"\nJensen-Shannon divergence (base 2), debiased, {level}")
            print(summarise(results, "js_debiased", level).round(4).to_string())
        table = against_logit(results).set_index(["model", "survey", "n"])["over the logit"]
        print("\ncrossed cells, debiased, over the order-aware logit")
        print(table.unstack(["survey", "n"]).reindex([name for name in OPPONENTS if name != LOGIT]).to_string())


if __name__ == "__main__":
    main()
