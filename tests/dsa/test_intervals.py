"""Intervals of `DSARegressor`: what left-out respondents say of errors, and what the interval makes of it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.special import expit, logit, softmax
from scipy.stats import norm

from surveysim.cells import PredictCells
from surveysim.dsa import search
from surveysim.dsa.intervals import combined_interval, expected_variance, misfit, widening
from surveysim.dsa.shifts import baseline_logits
from tests.simulated import HAPPY, quick, simulate


def answers(deviation, n_cells=20_000, n=10, seed=0):
    """Counts of n respondents of two options, and predicted shares that are off by a normal deviation in log-odds."""
    generator = np.random.default_rng(seed)
    p = generator.uniform(0.3, 0.7, n_cells)
    yes = generator.binomial(n, expit(logit(p) + generator.normal(scale=deviation, size=n_cells)))
    return np.column_stack([n - yes, yes]).astype(float), np.column_stack([1 - p, p])


# --- the variance that left-out respondents show ----------------------------------------------------------------------


@pytest.mark.parametrize("deviation", [0.2, 0.4])
def test_the_variance_of_errors_is_recovered_from_overdispersed_counts(deviation):
    counts, P = answers(deviation)
    found, expected, _ = misfit(counts, P, np.full(P.shape, 0.02))
    # to second order: a deviation of .4 is damped a little by the curve of the shares
    assert 0.02 * found / expected == pytest.approx(deviation**2, rel=0.12)


def test_right_predictions_show_no_errors_however_small_the_cells():
    for n in (2, 3, 50):
        counts, P = answers(0.0, n=n)
        found, expected, noise = misfit(counts, P, np.full(P.shape, 0.05))
        assert abs(found) < 3 * np.sqrt(noise)
        assert noise == pytest.approx(4 * expected)  # two options of a cell say the same: half as much is known
        assert widening(found, expected, noise) == 1.0


def test_the_noise_of_right_predictions_is_known():
    p, v = np.array([[0.6, 0.3, 0.1]]), np.array([[0.02, 0.05, 0.1]])
    mean = square = 0.0
    for answers_of_three in itertools.product(np.eye(3), repeat=3):  # all that three respondents may say
        counts = np.sum(answers_of_three, axis=0, keepdims=True)
        chance = float(np.prod(p**counts))
        found, _, noise = misfit(counts, p, v)
        mean, square = mean + chance * found, square + chance * found**2
    assert mean == pytest.approx(0.0, abs=1e-12)
    assert noise == pytest.approx(square)


def test_single_respondents_and_options_that_are_not_there_say_nothing():
    counts, P = answers(0.4, n=1)
    assert misfit(counts, P, np.full(P.shape, 0.05)) == (0.0, 0.0, 0.0)
    counts, P = answers(0.4, n_cells=200)
    alone = misfit(counts, P, np.full(P.shape, 0.05))
    padded = [np.column_stack([a, np.full(len(a), fill)]) for a, fill in ((counts, 0.0), (P, np.nan))]
    assert misfit(*padded, np.full((200, 3), 0.05)) == pytest.approx(alone)
    variance = np.full(P.shape, 0.05)
    variance[100:] = np.nan
    assert misfit(counts, P, variance) == pytest.approx(misfit(counts[:100], P[:100], variance[:100]))


def test_pairs_by_hand():
    # two of three said yes where .5 was predicted: products .25, -.25, -.25, each pair twice; both options
    found, expected, noise = misfit(np.array([[1.0, 2.0]]), np.array([[0.5, 0.5]]), np.array([[0.1, 0.1]]))
    assert found == pytest.approx(2 * 0.1 * 2 * -0.25)
    assert expected == pytest.approx(2 * 0.01 * 6 * 0.0625)
    assert noise == pytest.approx(2 * 6 * 4 * 0.01 * 0.0625)  # all four of S are .25 or -.25


def test_intervals_are_widened_by_as_much_as_is_clear():
    assert widening(0.0, 0.0, 0.0) == 1.0
    assert widening(30.0, 200.0, 400.0) == 1.0  # smaller errors than expected: never narrower
    assert widening(210.0, 200.0, 400.0) == 1.0  # half a standard error
    assert widening(600.0, 200.0, 400.0) == pytest.approx(3 - 0.1)


# --- the interval -----------------------------------------------------------------------------------------------------


def test_the_interval_is_the_wider_of_both_kinds():
    center = np.array([[0.2, 0.8]])
    same = np.repeat(center[None], 5, axis=0)
    lower, upper = combined_interval(center, same, np.full((1, 2), 0.25), 0.9)
    half = norm.ppf(0.95) * 0.5
    np.testing.assert_allclose(lower, expit(logit(center) - half))
    np.testing.assert_allclose(upper, expit(logit(center) + half))
    apart = expit(logit(center) + np.array([-1.0, -0.5, 0, 0.5, 1.0])[:, None, None])
    wide = combined_interval(center, apart, np.full((1, 2), 0.25), 0.9)
    alone = combined_interval(center, apart, np.zeros((1, 2)), 0.9)
    assert (wide[0] < lower).all()
    assert (wide[1] > upper).all()
    np.testing.assert_allclose(wide, alone)


def test_the_expected_variance_is_the_logits_plus_the_squared_distance_from_it():
    survey = simulate()
    cells = PredictCells(survey.X, np.zeros(len(survey.X), dtype=int), {"": HAPPY})
    counts = survey.n[:, None] * survey.Y
    reference = baseline_logits(counts, survey.X, cells.question_index, cells.questions)[1]
    X = survey.X.copy()
    X.insert(0, "question", "")
    P = reference.predict(X)
    own = expected_variance(reference, cells, P)
    np.testing.assert_allclose(own, reference._log_odds_variance(X))
    away = expit(logit(P) + 0.3)
    np.testing.assert_allclose(expected_variance(reference, cells, away), own + 0.09)


def deviating(scale, seed=0):
    """A survey of many respondents whose cells deviate from the sum of their attributes' effects."""
    survey = simulate(n=2000, seed=seed)
    generator = np.random.default_rng(seed)
    P = softmax(np.log(survey.P) + generator.normal(scale=scale, size=survey.P.shape), axis=1)
    folds = generator.multinomial(survey.folds.sum(axis=2).astype(int), P[:, None]).astype(float)
    return survey, folds, folds.sum(axis=1) / survey.n[:, None]


def test_intervals_hold_where_cells_deviate_and_where_they_do_not(tiny_folder, monkeypatch):
    monkeypatch.setattr(search, "STACK_GRID", (0.0,))  # the logit alone: nothing depends on the training of a head
    factors, held, widths = [], [], []
    for scale, seed in ((0.0, 0), (0.0, 1), (0.0, 2), (0.0, 3), (0.8, 0)):
        survey, folds, Y = deviating(scale, seed)
        model = quick(tiny_folder, init="baseline", max_epochs=1).fit(survey.X, Y, survey.n, folds=folds)
        lower, upper = model.predict_interval(survey.X)
        held.append(((lower <= Y) & (upper >= Y)).mean())
        factors.append(model._uncertainty.factor)
        widths.append((upper - lower).mean())
    # the logit's own posterior knows how far cells deviate: left-out respondents find nothing that it lacks, but for
    # the luck of one survey
    assert np.median(factors[:-1]) == 1.0
    assert factors[-1] == 1.0
    assert max(widths[:-1]) < 0.06
    assert widths[-1] > 2 * max(widths[:-1])
    assert min(held) > 0.85


def test_intervals_are_the_same_for_every_choice_of_rows_and_grow_with_the_level(tiny_folder):
    survey = simulate()
    model = quick(tiny_folder).fit(survey.X, survey.Y, survey.n, folds=survey.folds)
    whole = model.predict_interval(survey.X)
    np.testing.assert_array_equal(model.predict_interval(survey.X), whole)
    some = model.predict_interval(survey.X.iloc[[2, 7]])
    np.testing.assert_allclose(some, np.stack(whole)[:, [2, 7]], rtol=1e-5)
    P = model.predict(survey.X)
    before = np.zeros_like(P)
    for level in (0.1, 0.5, 0.9, 0.99):
        lower, upper = model.predict_interval(survey.X, level)
        assert ((lower >= 0) & (lower <= P) & (upper >= P) & (upper <= 1)).all()
        assert (upper - lower > before).all()
        before = upper - lower
