"""`DSARegressor.predict_draws`: as wide as the intervals in each cell, and joint over the cells of a question."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logit

from surveysim.cells import PredictCells
from surveysim.dsa.draws import draw_predictions
from surveysim.dsa.fitted import with_questions
from surveysim.dsa.intervals import Uncertainty, expected_variance
from surveysim.dsa.shifts import baseline_logits
from tests.simulated import HAPPY, QUESTIONS, Survey, quick, simulate


@pytest.fixture(scope="module")
def survey() -> Survey:
    return simulate(QUESTIONS)


@pytest.fixture(scope="module")
def fitted(tiny_folder, survey):
    return quick(tiny_folder, QUESTIONS).fit(survey.X, survey.Y, survey.n, folds=survey.folds)


def spread(P: np.ndarray) -> np.ndarray:
    """Standard deviation of log-odds over draws."""
    return logit(np.clip(P, 1e-9, 1 - 1e-9)).std(axis=0)


def test_draws_are_distributions_around_the_prediction(fitted, survey):
    draws = fitted.predict_draws(survey.X, 300, random_state=0)
    P = fitted.predict(survey.X)
    assert draws.shape == (300, *P.shape)
    np.testing.assert_array_equal(np.isnan(draws), np.broadcast_to(np.isnan(P), draws.shape))
    np.testing.assert_allclose(np.nansum(draws, axis=2), 1.0)
    exists = ~np.isnan(P)
    assert np.abs(np.median(draws, axis=0) - P)[exists].mean() < 0.03


def test_draws_are_as_wide_as_intervals(fitted, survey):
    draws = fitted.predict_draws(survey.X, 2000, random_state=0)
    lower, upper = fitted.predict_interval(survey.X)
    exists = ~np.isnan(lower)
    ends = np.quantile(draws[:, exists], [0.05, 0.95], axis=0)
    ratio = np.diff(logit(ends), axis=0)[0] / (logit(upper[exists]) - logit(lower[exists]))
    assert np.median(ratio) == pytest.approx(1.0, abs=0.06)
    low, high = np.quantile(ratio, [0.05, 0.95])  # an option of its own may be off: one width serves all of a cell
    assert low > 0.7
    assert high < 1.7  # draws of cells that may deviate, or not at all, have long tails


def test_draws_repeat_with_their_seed(fitted, survey):
    some = survey.X.iloc[[3, 8]]
    first = fitted.predict_draws(some, 50, random_state=1)
    np.testing.assert_array_equal(fitted.predict_draws(some, 50, random_state=1), first)
    assert not np.array_equal(fitted.predict_draws(some, 50, random_state=2), first)
    with pytest.raises(ValueError, match="n_draws must be a whole number of at least 1"):
        fitted.predict_draws(some, 0)


def cells_of(survey: Survey) -> PredictCells:
    return PredictCells(survey.X, np.zeros(len(survey.X), dtype=int), {"": HAPPY})


def calibration(survey: Survey, factor: float = 1.0) -> Uncertainty:
    cells = cells_of(survey)
    reference = baseline_logits(survey.folds.sum(axis=1), survey.X, cells.question_index, cells.questions)[1]
    return Uncertainty((), reference, factor, 0.1)


def test_the_distance_from_the_statistical_model_is_one_error_for_all_cells():
    survey = simulate(n=100_000)  # hardly anything is left open by the sample
    cells, known = cells_of(survey), calibration(survey)
    level = known.logit.predict(with_questions(known.logit, cells))
    shifted = level * [0.7, 0.9, 1.1, 1.4]
    center = shifted / shifted.sum(axis=1, keepdims=True)
    draws = draw_predictions(known, cells, center, np.stack([center] * 5), 1000, np.random.default_rng(0))
    top = logit(draws[:, :, 3])
    assert np.corrcoef(top.T)[np.triu_indices(len(cells), 1)].min() > 0.3
    # of the mean over all cells: (mean distance)^2, which independent errors of 12 cells would make a twelfth
    distance = np.abs((logit(center) - logit(level))[:, 3].mean())
    assert top.mean(axis=1).std() > 0.8 * distance


def test_a_factor_widens_all_draws():
    survey = simulate()
    cells = cells_of(survey)
    reference = calibration(survey).logit
    center = reference.predict(with_questions(reference, cells))
    refits = np.stack([center] * 5)
    narrow, wide = (
        draw_predictions(calibration(survey, factor), cells, center, refits, 500, np.random.default_rng(0))
        for factor in (1.0, 4.0)
    )
    np.testing.assert_allclose(np.median(spread(wide) / spread(narrow)), 2.0, rtol=0.1)


def test_a_wider_jackknife_widens_the_cells_concerned():
    survey = simulate()
    cells, known = cells_of(survey), calibration(survey)
    center = known.logit.predict(with_questions(known.logit, cells))
    variance = expected_variance(known.logit, cells, center)
    refits = np.stack([center] * 5)
    for group in range(5):  # cell 0 is very different in each refit
        refits[group, 0] = np.roll([0.05, 0.1, 0.25, 0.6], group)
    draws = draw_predictions(known, cells, center, refits, 1000, np.random.default_rng(0))
    ratio = spread(draws).mean(axis=1) / np.sqrt(variance).mean(axis=1)
    assert ratio[0] > 3
    np.testing.assert_allclose(ratio[1:], 1.0, rtol=0.35)


def test_a_question_without_training_cells_has_one_error_for_all_cells():
    survey = simulate()
    reference = calibration(survey).logit
    cells = PredictCells(survey.X, np.ones(len(survey.X), dtype=int), {"": HAPPY, "new": HAPPY})
    center = survey.P
    known = Uncertainty((), _WithNew(reference), 1.0, 0.25)
    draws = draw_predictions(known, cells, center, np.stack([center] * 5), 4000, np.random.default_rng(0))
    assert np.sqrt((spread(draws) ** 2).mean()) == pytest.approx(0.5, rel=0.1)
    assert np.corrcoef(logit(draws[:, 0, 0]), logit(draws[:, 1, 0]))[0, 1] > 0.9


class _WithNew:
    """A logit that knows of a question, and nothing about it."""

    question_column = "question"

    def __init__(self, logit_model):
        self.model = logit_model

    def predict(self, X):
        return np.full((len(X), 4), 0.25)

    def predict_draws(self, X, n_draws, *, random_state):
        return np.full((n_draws, len(X), 4), 0.25)

    def _log_odds_variance(self, X):
        return np.full((len(X), 4), np.nan)
