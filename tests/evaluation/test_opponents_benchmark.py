"""The opponents of `benchmarks.opponents` are what they say: an independent fit, distributions, questions apart."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from statsmodels.miscmodels.ordinal_model import OrderedModel

from benchmarks.opponents import BoostedTrees, ProportionalOdds, fit_proportional_odds, proportional_odds
from surveysim import Question

QUESTIONS = {
    "a": Question("Content?", ["no", "partly", "mostly", "yes"]),
    "b": Question("Party?", ["red", "blue", "green"], ordinal=False),
}


def test_proportional_odds_are_those_of_statsmodels() -> None:
    generator = np.random.default_rng(0)
    X = generator.standard_normal((2000, 2))
    P = proportional_odds(np.array([-1.0, 0.0, 1.5]), np.array([0.8, -0.5]), X)
    answers = np.array([generator.choice(4, p=p) for p in P])
    thresholds, effects = fit_proportional_odds(X, np.eye(4, dtype=int)[answers], sd=1e3)
    oracle = OrderedModel(answers, X, distr="logit").fit(method="bfgs", disp=0)
    np.testing.assert_allclose(effects, oracle.params[:2], atol=2e-3)
    np.testing.assert_allclose(thresholds, oracle.model.transform_threshold_params(oracle.params)[1:-1], atol=2e-3)


@pytest.mark.parametrize("model", [BoostedTrees(QUESTIONS, short=True), ProportionalOdds(QUESTIONS)])
def test_opponents_learn_groups_question_by_question(model: BoostedTrees | ProportionalOdds) -> None:
    age = pd.Categorical(["18-29", "30-64", "65+"] * 2, ["18-29", "30-64", "65+"], ordered=True)
    X = pd.DataFrame({"question": ["a"] * 3 + ["b"] * 3, "age": age})
    Y = np.array(
        [
            [0.1, 0.2, 0.3, 0.4],
            [0.25, 0.25, 0.25, 0.25],
            [0.4, 0.3, 0.2, 0.1],
            [0.7, 0.2, 0.1, np.nan],
            [0.3, 0.4, 0.3, np.nan],
            [0.1, 0.2, 0.7, np.nan],
        ]
    )
    P = model.fit(X, Y, np.full(6, 300)).predict(X)
    np.testing.assert_allclose(np.nansum(P, axis=1), 1)
    np.testing.assert_allclose(P, Y, atol=0.08)
