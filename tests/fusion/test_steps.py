"""How large the steps of a walk are is read off the walk, for levels and groups and each class of degree."""

from __future__ import annotations

import numpy as np
import pytest

from surveysim.fusion.drift import GROUPS, LEVELS
from surveysim.fusion.steps import FACTORS, draw_factors, weigh_steps
from tests.fusion.test_forecasts import fitted, trend


def expected(weights):
    return np.exp(weights @ np.log(FACTORS))


@pytest.mark.parametrize("size", [0.1, 0.4])
def test_steps_are_as_large_as_those_that_were_taken(size):
    """Levels move by `size` a year along the scale, whose contrast has the length of the root of the options."""
    found, true = [], []
    for seed in range(4):
        waves, survey = trend([2010, 2012, 2014, 2016, 2018], drift=size, shift_drift=0.05, seed=seed)
        model = fitted(waves, survey, 2018)
        series, forecast = model._model.fit.found.drifts[0], model.forecast()._model
        found.append(expected(forecast.factors)[LEVELS, 1] * series.levels[1])
        ordinal = [question.n_options for question in survey.questions.values() if question.ordinal]
        true.append(2 * size**2 * np.mean(ordinal))
    assert np.exp(np.mean(np.log(found))) == pytest.approx(np.mean(true), rel=0.5)


def test_factors_find_a_likelihood_that_is_known():
    """A likelihood of normal steps with four times the variance that is said, on levels of degree 1 alone."""
    waves, survey = trend([2010, 2012, 2014], n_questions=4)
    drift = fitted(waves, survey, 2014)._model.fit.found.drifts[0]
    said = drift.spread_levels[1]

    def evidence(tried):
        variance = tried.spread_levels[1] / said
        return np.array([-0.5 * 200 * (np.log(variance) + 4.0 / variance)])

    weights = weigh_steps(drift, evidence)
    assert expected(weights)[LEVELS, 1] == pytest.approx(4.0, rel=0.3)
    np.testing.assert_allclose(expected(weights)[GROUPS], expected(weights)[GROUPS, 0])  # nothing is said of them
    drawn = draw_factors(weights, 4000, np.random.default_rng(0))
    np.testing.assert_allclose(np.log(drawn).mean(axis=0), np.log(expected(weights)), atol=0.1)
