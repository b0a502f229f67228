"""Where training starts and what the reference shifts are."""

from __future__ import annotations

import contextlib
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from surveysim.baselines import LogitRegressor
from surveysim.dsa.pairs import background_codes
from surveysim.dsa.shifts import baseline_logits, fit_gap_inflation, observed_logits, start_logits
from tests.simulated import QUESTIONS, simulate

N_OPTIONS = np.array([4, 3, 2])


@pytest.fixture
def survey():
    return simulate(QUESTIONS)


@pytest.fixture
def question_index(survey):
    return survey.X["question"].map(list(QUESTIONS).index).to_numpy()


@pytest.fixture
def counts(survey):
    return np.nan_to_num(survey.folds.sum(axis=1))


def test_the_start_is_each_questions_margin(counts, question_index):
    start = start_logits(counts, question_index, N_OPTIONS)
    for q, k in enumerate(N_OPTIONS):
        pooled = counts[question_index == q, :k].sum(axis=0) + 0.5
        np.testing.assert_allclose(softmax(start[q, :k]), pooled / pooled.sum())
        assert start[q, :k].sum() == pytest.approx(0)
        assert (start[q, k:] == 0).all()


def test_threads_leave_the_filters_of_warnings_as_they_were(survey, counts, question_index, monkeypatch):
    """Members are trained at once, and filters belong to the process: one thread must not put back another's."""
    barrier, met, own = threading.Barrier(2), [], LogitRegressor.fit

    def fit(self, *args, **kwargs):
        with contextlib.suppress(threading.BrokenBarrierError):
            barrier.wait(0.1)
            met.append(True)
        return own(self, *args, **kwargs)

    monkeypatch.setattr(LogitRegressor, "fit", fit)
    before = list(warnings.filters)
    backgrounds = survey.X.drop(columns="question")
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(baseline_logits, counts, backgrounds, question_index, QUESTIONS) for _ in range(2)]
    for future in futures:
        future.result()
    assert not met
    assert warnings.filters == before


def test_observed_logits_are_each_cells_own_shares(counts, question_index):
    options = N_OPTIONS[question_index]
    logits = observed_logits(counts, options)
    for row, k in enumerate(options):
        np.testing.assert_allclose(softmax(logits[row, :k]), (counts[row, :k] + 0.5) / (counts[row, :k] + 0.5).sum())
    assert (logits[options == 2, 2:] == 0).all()


def test_baseline_logits_are_those_of_the_order_aware_logit(survey, counts, question_index):
    backgrounds = survey.X.drop(columns="question")
    logits, _ = baseline_logits(counts, backgrounds, question_index, QUESTIONS)
    expected = LogitRegressor(question=QUESTIONS).fit(survey.X, survey.Y, survey.n).predict_logits(survey.X)
    np.testing.assert_allclose(logits, np.nan_to_num(expected), atol=1e-6)


def test_baseline_logits_of_a_question_without_respondents_are_zero(survey, counts, question_index):
    counts[question_index == 1] = 0.0
    logits, _ = baseline_logits(counts, survey.X.drop(columns="question"), question_index, QUESTIONS)
    assert (logits[question_index == 1] == 0).all()
    assert (logits[question_index == 0] != 0).any()


def test_a_background_may_be_called_question(survey, counts, question_index):
    backgrounds = survey.X.drop(columns="question").rename(columns={"sex": "question"})
    renamed, _ = baseline_logits(counts, backgrounds, question_index, QUESTIONS)
    expected, _ = baseline_logits(counts, survey.X.drop(columns="question"), question_index, QUESTIONS)
    np.testing.assert_allclose(renamed, expected)


def test_counts_below_one_and_a_half_are_no_normalised_weights(survey, counts, question_index):
    """They come from thinning small cells; the user has been warned of his own weights already."""
    baseline_logits(counts / 40, survey.X.drop(columns="question"), question_index, QUESTIONS)


# --- gap inflation ----------------------------------------------------------------------------------------------------


def _gaps(slopes, n, seed=0):
    """A crossed survey whose gaps are `slopes` times those of a model, two questions of four options."""
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame([(a, b, q) for q in (0, 1) for a in range(4) for b in range(4)], columns=["a", "b", "q"])
    effects = generator.normal(size=(2, 2, 4, 4))
    parts = np.stack([effects[i][frame["q"], frame[name]] for i, name in enumerate("ab")])
    parts -= parts.mean(axis=2, keepdims=True)
    for q in (0, 1):
        rows = frame["q"] == q
        parts[:, rows] -= parts[:, rows].mean(axis=1, keepdims=True)
    level = generator.normal(size=(2, 4))[frame["q"]]
    P = softmax(level + np.tensordot(slopes, parts, axes=1), axis=1)
    zero_shot = generator.normal(size=(2, 4))[frame["q"]] + parts.sum(axis=0)
    return zero_shot, n * P, background_codes(frame[["a", "b"]]), frame["q"].to_numpy()


def test_slopes_are_found_again_in_large_samples():
    zero_shot, counts, codes, question_index = _gaps([0.8, 0.2], n=1e6)
    slopes = fit_gap_inflation(zero_shot, counts, codes, question_index, np.array([4, 4]))
    np.testing.assert_allclose(slopes, [0.8, 0.2], atol=0.01)


def test_slopes_are_never_negative():
    zero_shot, counts, codes, question_index = _gaps([-0.5, 0.5], n=1000)
    slopes = fit_gap_inflation(zero_shot, counts, codes, question_index, np.array([4, 4]))
    assert slopes[0] == 0.0
    assert slopes[1] > 0.3


def test_slopes_shrink_to_zero_in_small_samples():
    sizes = [0.02, 0.3, 3, 3000]
    slopes = []
    for n in sizes:
        zero_shot, counts, codes, question_index = _gaps([1.0, 1.0], n=n)
        slopes.append(fit_gap_inflation(zero_shot, counts, codes, question_index, np.array([4, 4])).mean())
    assert slopes == sorted(slopes)
    assert slopes[0] < 0.1
    assert slopes[-1] == pytest.approx(1.0, abs=0.02)


def test_the_slope_is_the_optimum_of_the_penalised_likelihood():
    zero_shot, counts, codes, question_index = _gaps([0.6, 0.6], n=20)
    codes = codes[:, :1]
    (slope,) = fit_gap_inflation(zero_shot, counts, codes, question_index, np.array([4, 4]))
    effect = np.zeros_like(zero_shot)
    for q in (0, 1):
        rows = question_index == q
        weight, z = counts[rows].sum(axis=1), zero_shot[rows] - zero_shot[rows].mean(axis=1, keepdims=True)
        means = [np.average(z[codes[rows, 0] == level], axis=0, weights=weight[codes[rows, 0] == level])
                 for level in range(4)]  # fmt: skip
        effect[rows] = np.array(means)[codes[rows, 0]] - np.average(z, axis=0, weights=weight)

    def loss(parameters):
        z = parameters[:8].reshape(2, 4)[question_index] + parameters[8] * effect
        return (
            -(counts * log_softmax(z, axis=1)).sum()
            + parameters[8] ** 2 / (2 * 0.5**2)
            + 5e-4 * (parameters[:8] ** 2).sum()
        )

    assert slope == pytest.approx(minimize(loss, np.zeros(9)).x[8], abs=1e-3)


def test_attributes_that_are_not_stated_have_no_effect():
    zero_shot, counts, codes, question_index = _gaps([0.8, 0.2], n=1e5)
    lone = np.where(codes == codes, codes, 0)
    lone[::2, 1] = -1
    slopes = fit_gap_inflation(zero_shot, counts, lone, question_index, np.array([4, 4]))
    assert np.isfinite(slopes).all()
    none_stated = np.full_like(codes, -1)
    np.testing.assert_array_equal(
        fit_gap_inflation(zero_shot, counts, none_stated, question_index, np.array([4, 4])), 0.0
    )


def test_ragged_questions_have_slopes_too(survey, question_index):
    exists = np.arange(4) < N_OPTIONS[question_index][:, None]
    zero_shot = np.where(exists, np.log(survey.P), np.nan)
    codes = background_codes(survey.X.drop(columns="question"))
    slopes = fit_gap_inflation(zero_shot, 1e4 * np.nan_to_num(survey.P), codes, question_index, N_OPTIONS)
    np.testing.assert_allclose(slopes, 1.0, atol=0.15)


def test_without_attributes_there_are_no_slopes():
    zero_shot, counts, codes, question_index = _gaps([0.8, 0.2], n=100)
    assert fit_gap_inflation(zero_shot, counts, codes[:, :0], question_index, np.array([4, 4])).shape == (0,)
