"""Prior variances: which coefficient gets which, and learning them from data with a known answer."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar

from surveysim.baselines import priors
from surveysim.baselines.features import BackgroundEncoder
from surveysim.baselines.newton import LogitProblem
from surveysim.baselines.priors import PriorTable, learn_variances
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
