"""How far cells are from the sum of their effects is found in surveys that were made so."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from surveysim import Question
from surveysim.baselines import LogitRegressor, lack_of_fit
from surveysim.baselines.lack_of_fit import DEGREE_RATIOS, GRID, NO_DEVIATION, SCALE, SPREAD, LackOfFit
from surveysim.contrasts import option_contrasts
from tests.simulated import HAPPY, simulate

QUESTION = Question("How much?", ["little", "some", "much"])


def survey(deviation, respondents=60, seed=0, n_levels=7, second=1.0):
    """Cells of two attributes whose scores of degree 1 are sums of effects and deviations of their own.

    Degree 2 has deviations, too: `second` times as large as is expected of it.
    """
    generator = np.random.default_rng(seed)
    X = pd.DataFrame(list(itertools.product("abcdefghij"[:n_levels], "uvwxyz"[: n_levels - 1])), columns=["one", "two"])
    contrasts, _ = option_contrasts(np.arange(3.0))
    effects = [generator.normal(0, 0.3, n_levels)[pd.factorize(X[name])[0]] for name in X]
    scores = np.sum(effects, axis=0) + deviation * generator.standard_normal(len(X))
    others = second * np.sqrt(DEGREE_RATIOS[2]) * deviation * generator.standard_normal(len(X))
    P = softmax(np.column_stack([scores, others]) @ contrasts, axis=1)
    Y = np.array([generator.multinomial(respondents, p) for p in P]) / respondents
    return X, Y, np.full(len(X), float(respondents))


@pytest.mark.parametrize("prior", ["auto", "fixed"])
@pytest.mark.parametrize("deviation", [0.0, 0.3, 0.7])
def test_the_deviation_of_cells_is_found(deviation, prior):
    found = []
    for seed in range(4):
        X, Y, n = survey(deviation, seed=seed)
        found.append(LogitRegressor(prior=prior, question=QUESTION).fit(X, Y, n).cell_deviation_)
    # 42 cells tell a deviation to about a sixth
    assert np.mean(found) == pytest.approx(deviation, abs=0.12)


@pytest.mark.parametrize("prior", ["auto", "eb"])
def test_large_samples_of_sums_of_effects_have_narrow_intervals(prior):
    """24,000 respondents in 12 cells: the fit follows each cell closely, and what it leaves is no deviation.

    The variance of residuals on correlated contrasts is the diagonal of I - I S I, for the information I of a cell and
    the covariance S of its scores. One less the product of their diagonals can be negative.
    """
    held = []
    for seed in range(40):
        survey = simulate(n=2000, seed=seed)
        model = LogitRegressor(question=HAPPY, prior=prior).fit(survey.X, survey.Y, survey.n)
        assert model.cell_deviation_ < 0.2
        low, high = model.predict_interval(survey.X)
        assert (high - low).mean() < 0.06
        held.append((low <= survey.P) & (high >= survey.P))
    assert np.mean(held) == pytest.approx(0.9, abs=0.04)


def test_residuals_are_as_large_as_expected_where_the_model_is_right():
    """Their squares over the variance that the fit leaves, where respondents are so many that the prior says little."""
    squares = []
    for seed in range(40):
        survey = simulate(n=2000, seed=seed)
        model = LogitRegressor(question=HAPPY, prior="eb").fit(survey.X, survey.Y, survey.n)
        data, degree = model._family.problem.questions[0], model._family.degrees[0]
        found = lack_of_fit._Residuals.of(data, degree, model._fit.optimum, 0)
        squares.append(found.squares / found.variances)
    assert np.mean(squares) == pytest.approx(1.0, abs=0.1)


def test_a_deviation_on_one_degree_is_not_taken_for_one_on_another():
    """Contrasts are correlated, so that it is in the residuals of all."""
    first, second = [], []
    for seed in range(4):
        X, Y, n = survey(0.7, respondents=5000, seed=seed, second=0.0)
        found = LogitRegressor(question=QUESTION).fit(X, Y, n)._lack_of_fit.mean()
        first.append(found[1])
        second.append(found[2])
    assert np.mean(first) == pytest.approx(0.49, rel=0.25)
    assert np.mean(second) < 0.1 * 0.49 * DEGREE_RATIOS[2]


def test_a_table_that_the_fit_nearly_exhausts_has_no_larger_deviations_than_a_big_one():
    """In a 2 by 2 table the fit takes three of four deviations: what is left of one is a quarter of its variance."""
    found = []
    for seed in range(60):
        generator = np.random.default_rng(seed)
        X = pd.DataFrame(list(itertools.product("ab", "uv", [f"Q{q}" for q in range(5)])))
        X.columns = ["one", "two", "question"]
        contrasts, _ = option_contrasts(np.arange(3.0))
        scores = 0.4 * generator.standard_normal((len(X), 2)) * np.sqrt(DEGREE_RATIOS[1:3])
        Y = np.array([generator.multinomial(1000, p) / 1000 for p in softmax(scores @ contrasts, axis=1)])
        questions = dict.fromkeys(X["question"].unique(), QUESTION)
        model = LogitRegressor(question=questions, prior="eb").fit(X, Y, np.full(len(X), 1000.0))
        found.append(model._lack_of_fit.mean()[1])
    # before, four times as large
    assert np.median(found) == pytest.approx(0.16, rel=0.4)


def test_single_respondents_tell_nothing_of_their_cell():
    X, Y, n = survey(0.7, respondents=1)
    model = LogitRegressor(question=QUESTION).fit(X, Y, n)
    probabilities = model._lack_of_fit.probabilities
    np.testing.assert_allclose(probabilities, np.tile(probabilities[0], (4, 1)))
    assert probabilities[0, 0] == pytest.approx(NO_DEVIATION)
    # by simulation: half of t for what classes share, times a log-normal factor of the class
    generator = np.random.default_rng(0)
    drawn = np.abs(SCALE * generator.standard_t(4, 200_000)) * np.exp(SPREAD * generator.standard_normal(200_000))
    for quantile in (0.1, 0.5, 0.9):
        place = np.searchsorted(probabilities[0, 1:].cumsum() / (1 - NO_DEVIATION), quantile)
        assert GRID[1 + place] == pytest.approx(np.quantile(drawn, quantile), rel=0.15)  # points are 13% apart


@pytest.mark.parametrize("deviation", [0.0, 0.7])
def test_what_degree_one_shows_is_said_of_the_others(deviation):
    expected = []
    for seed in range(4):
        X, Y, n = survey(deviation, respondents=8, seed=seed)  # too few to see much of degree 2 by itself
        expected.append(LogitRegressor(question=QUESTION).fit(X, Y, n)._lack_of_fit.mean() / DEGREE_RATIOS)
    _, first, second, higher = np.mean(expected, axis=0)
    # of t with 4 degrees of freedom, times that of the factor
    prior = (1 - NO_DEVIATION) * 2 * SCALE**2 * np.exp(2 * SPREAD**2)
    assert (first > prior) == (second > prior) == (higher > prior) == (deviation > 0)


def test_nothing_is_left_out_with_two_way_terms_or_one_attribute():
    X, Y, n = survey(0.7)
    assert LogitRegressor(interactions=True, question=QUESTION).fit(X, Y, n).cell_deviation_ == 0
    assert LogitRegressor(question=QUESTION).fit(X[["one"]], Y, n).cell_deviation_ == 0
    assert LackOfFit.none().draws(2, np.random.default_rng(0)).tolist() == [[0.0] * 4] * 2


def test_irrelevant_attributes_hardly_widen_intervals():
    generator = np.random.default_rng(0)
    width = {}
    for p in (2, 10):
        X = pd.DataFrame({f"x{i}": generator.choice(["u", "v"], 1000) for i in range(p)})
        Y = np.eye(3)[generator.choice(3, 1000, p=[0.5, 0.3, 0.2])]
        model = LogitRegressor(question=QUESTION).fit(X, Y, np.ones(1000))
        lower, upper = model.predict_interval(X[:50], random_state=0, n_draws=400)
        width[p] = (upper - lower).mean()
    # a term of .01 for each pair of attributes made it 4 times as wide
    assert width[10] < 2 * width[2]


def test_many_respondents_tell_whether_cells_deviate():
    none = []
    for deviation in (0.0, 0.7):
        X, Y, n = survey(deviation, respondents=2000)
        none.append(LogitRegressor(question=QUESTION).fit(X, Y, n)._lack_of_fit.probabilities[0, 0])
    assert none[0] > 0.8
    assert none[1] < 1e-6


def test_the_probability_of_no_deviation_follows_bayes_rule(monkeypatch):
    # one deviation is possible beside 0, and classes have the shared one: two hypotheses, by hand
    monkeypatch.setattr(lack_of_fit, "GRID", np.array([0.0, 0.3]))
    monkeypatch.setattr(lack_of_fit, "_prior_of_shared", lambda: np.zeros(1))
    log_likelihood = np.log([[0.5, 0.25], [0.2, 0.4], [1.0, 1.0], [0.3, 0.1]])
    found = lack_of_fit._pooled(log_likelihood)
    odds = NO_DEVIATION / (1 - NO_DEVIATION) * (0.5 * 0.2 * 0.3) / (0.25 * 0.4 * 0.1)
    np.testing.assert_allclose(found[:, 0], odds / (1 + odds))
    np.testing.assert_allclose(found.sum(axis=1), 1.0)


@pytest.mark.parametrize("n_draws", [10, 4000])
def test_draws_have_the_mean_and_are_all_zero_or_none(n_draws):
    X, Y, n = survey(0.0, respondents=30)
    lack = LogitRegressor(question=QUESTION).fit(X, Y, n)._lack_of_fit
    generator = np.random.default_rng(0)
    drawn = lack.draws(n_draws, generator)
    zero = (drawn == 0).all(axis=1)
    assert (zero == (drawn == 0).any(axis=1)).all()
    assert zero.mean() == pytest.approx(lack.probabilities[0, 0], abs=1 / n_draws)
    many = np.concatenate([lack.draws(n_draws, generator) for _ in range(20_000 // n_draws)])
    np.testing.assert_allclose(many.mean(axis=0), lack.mean(), rtol=0.1)
