"""Prior variances: which coefficient gets which, and learning them from data with a known answer."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar

from surveysim.baselines import priors
from surveysim.baselines.features import BackgroundEncoder
from surveysim.baselines.laplace import LaplacePosterior, PriorDraw
from surveysim.baselines.newton import LogitProblem
from surveysim.baselines.priors import START_DEGREES, PriorTable, degrees_of_freedom, learn_variances
from surveysim.contrasts import option_contrasts


@pytest.fixture
def blocks():
    frame = pd.DataFrame({"age": [1, 2, 3], "sex": ["f", "m", "f"]})
    return BackgroundEncoder(linear=True, pairs=True).fit(frame).blocks


def test_every_coefficient_gets_the_variance_of_its_terms_and_degree(blocks):
    variance = 1 / PriorTable.fixed(blocks, ordered=True).precision(np.array([1, 2, 3, 4, 0]))
    levels, linear, pairs = slice(1, 6), slice(6, 7), slice(7, 10)
    np.testing.assert_allclose(variance[:, 0], 25)
    np.testing.assert_allclose(variance[:, levels], np.repeat([[0.1], [0.02], [0.005], [0.005], [0.1]], 5, axis=1))
    np.testing.assert_allclose(variance[:, linear], [[0.15], [0.02], [0.005], [0.005], [0.1]])
    np.testing.assert_allclose(variance[:, pairs], np.repeat([[0.01], [0.002], [0.0005], [0.0005], [0.01]], 3, axis=1))


def test_the_plain_logit_has_one_variance(blocks):
    singles = [block for block in blocks if block.kind == "levels"]
    variance = 1 / PriorTable.fixed(singles, ordered=False).precision(np.array([0, 0, 0]))
    np.testing.assert_allclose(variance[:, 1:], 0.1)


def test_add_up_sums_over_blocks_and_degrees(blocks):
    table = PriorTable.fixed(blocks, ordered=True)
    total = table.add_up(np.ones((5, 10)), np.array([1, 2, 3, 4, 0]))
    assert total.tolist() == [[3, 3, 3, 6], [2, 2, 2, 4], [1, 1, 1, 2], [3, 3, 3, 6]]


def test_the_table_can_be_read(blocks):
    frame = PriorTable.fixed(blocks, ordered=True).as_frame()
    assert frame["attribute"].tolist() == ["age", "sex", "age", "age x sex"]
    assert frame["terms"].tolist() == ["levels", "levels", "linear", "pair"]
    assert frame.loc[2, "degree 1"] == 0.15


def _many_groups(deviation, n_groups=60, respondents=400, seed=0):
    """One question of two options; groups differ by normal effects on the contrast with the given deviation."""
    generator = np.random.default_rng(seed)
    contrasts, degree = option_contrasts(np.arange(2.0))
    logits = generator.normal(scale=deviation, size=(n_groups, 1)) @ contrasts
    P = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    counts = np.array([generator.multinomial(respondents, p) for p in P]).astype(float)
    encoder = BackgroundEncoder(linear=False, pairs=False)
    frame = pd.DataFrame({"group": [f"g{i:02d}" for i in range(n_groups)]})
    design = encoder.fit(frame).transform(frame).with_constant
    return LogitProblem(design, counts, contrasts), degree, PriorTable.fixed(encoder.blocks, ordered=True)


@pytest.mark.parametrize("deviation", [0.2, 0.6, 1.5])
def test_learned_variances_recover_those_that_made_the_data(deviation):
    problem, degree, start = _many_groups(deviation)
    table, _, _ = learn_variances([problem], [degree], start)
    # a variance estimated from 60 groups has a standard error of sqrt(2 / 60) = 18%
    assert np.sqrt(table.variances[0, 1]) == pytest.approx(deviation, rel=0.25)


def test_the_learned_variance_maximises_the_laplace_marginal_likelihood(monkeypatch):
    problem, degree, start = _many_groups(0.6, n_groups=30, respondents=40)
    monkeypatch.setattr(priors, "PSEUDO_COEFFICIENTS", 1e-9)
    monkeypatch.setattr(priors, "LOG_TOLERANCE", 1e-6)
    table, _, _ = learn_variances([problem], [degree], start)

    def minus_log_evidence(log_variance):
        precision = PriorTable(start.blocks, np.full((1, 4), np.exp(log_variance))).precision(degree)
        B, _ = problem.solve(precision)
        _, log_determinant = np.linalg.slogdet(problem.hessian(B, precision))
        return problem.objective(B, precision) + 0.5 * log_determinant - 0.5 * np.log(precision).sum()

    best = minimize_scalar(minus_log_evidence, bounds=(-6, 4), method="bounded")
    # MacKay's step leaves out how the curvature's respondent part moves with the optimum: a few percent here
    assert np.log(table.variances[0, 1]) == pytest.approx(best.x, abs=0.05)


def test_a_variance_that_data_say_nothing_about_stays():
    problem, degree, start = _many_groups(0.6)
    table, _, _ = learn_variances([problem], [degree], start)
    np.testing.assert_array_equal(table.variances[0, [0, 2, 3]], start.variances[0, [0, 2, 3]])


def test_variances_are_pooled_over_questions():
    small, degree, start = _many_groups(0.2, seed=1)
    large, _, _ = _many_groups(1.0, seed=2)
    alone = [learn_variances([problem], [degree], start)[0].variances[0, 1] for problem in (small, large)]
    both, solutions, _ = learn_variances([small, large], [degree, degree], start)
    assert alone[0] < both.variances[0, 1] < alone[1]
    for problem, B in zip([small, large], solutions, strict=True):
        np.testing.assert_allclose(problem.gradient(B, both.precision(degree)), 0.0, atol=1e-5)


def test_without_terms_there_is_nothing_to_learn():
    problem, degree, _ = _many_groups(0.6)
    constant = LogitProblem(problem.design[:, :1], problem.counts, problem.contrasts)
    table, solutions, n_rounds = learn_variances([constant], [degree], PriorTable.fixed([], ordered=True))
    assert n_rounds == 1
    assert table.variances.shape == (0, 4)
    assert solutions[0].shape == (1, 1)


def test_variances_are_drawn_around_the_table_and_certain_ones_stay():
    table = PriorTable.fixed(_many_groups(0.6)[2].blocks, ordered=True)
    generator = np.random.default_rng(0)
    degrees = np.array([[np.inf, 4.0, 10.0, 1e9]])
    drawn = np.array([table.drawn(degrees, generator).variances[0] for _ in range(4000)])
    np.testing.assert_array_equal(drawn[:, 0], table.variances[0, 0])
    # v / draw is chi2(m) / m: mean 1, variance 2 / m
    ratio = table.variances[0, 1:3] / drawn[:, 1:3]
    np.testing.assert_allclose(ratio.mean(axis=0), 1.0, atol=0.04)
    np.testing.assert_allclose(ratio.var(axis=0), [0.5, 0.2], rtol=0.15)
    np.testing.assert_allclose(drawn[:, 3], table.variances[0, 3], rtol=1e-3)


def test_degrees_of_freedom_are_the_coefficients_that_respondents_determine():
    found = {}
    for respondents in (1, 20, 100_000):
        problem, degree, start = _many_groups(0.6, respondents=respondents)
        B, _ = problem.solve(start.precision(degree))
        found[respondents] = degrees_of_freedom([problem], [degree], [B], start)[0]
        # variances of degrees that no contrast has
        np.testing.assert_array_equal(found[respondents][[0, 2, 3]], START_DEGREES)
    assert START_DEGREES < found[1][1] < found[20][1] < found[100_000][1]
    assert found[100_000][1] == pytest.approx(START_DEGREES + 60, rel=0.03)


def test_under_another_table_the_posterior_is_that_of_a_new_optimum():
    problem, degree, start = _many_groups(0.3, n_groups=12, respondents=60)
    precision = start.precision(degree)
    B, _ = problem.solve(precision)
    other = PriorTable(start.blocks, 3 * start.variances)
    prior = PriorDraw(other.precision(degree), other.of_degrees(degree))
    posterior = LaplacePosterior(
        problem.design, problem.respondents, problem.contrasts, B, precision, [prior], np.zeros(len(degree))
    )
    draws = posterior.draws(20_000, np.random.default_rng(0)).coefficients
    expected, _ = problem.solve(prior.precision)
    moved = np.abs(expected - B).max()
    np.testing.assert_allclose(draws.mean(axis=0), expected, atol=0.1 * moved)
    np.testing.assert_allclose(draws.var(axis=0), problem.posterior_variances(expected, prior.precision), rtol=0.15)
