"""The penalised logit's optimum and curvature, against general-purpose optimisers and differences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime, minimize
from sklearn.exceptions import ConvergenceWarning

from surveysim.baselines import newton
from surveysim.baselines.newton import LogitProblem
from surveysim.contrasts import option_contrasts


def problem(seed=0, n=12, n_columns=4, n_options=4, respondents=30):
    generator = np.random.default_rng(seed)
    design = np.column_stack([np.ones(n), generator.normal(size=(n, n_columns - 1))])
    shares = generator.dirichlet(np.ones(n_options), size=n)
    counts = np.array([generator.multinomial(respondents, share) for share in shares]).astype(float)
    contrasts, _ = option_contrasts(np.arange(n_options, dtype=float))
    precision = generator.uniform(0.5, 50, size=(n_options - 1, n_columns))
    return LogitProblem(design, counts, contrasts), precision


def test_the_optimum_is_that_of_a_general_purpose_optimiser():
    logit, precision = problem()
    B, n_steps = logit.solve(precision)
    found = minimize(
        lambda b: logit.objective(b.reshape(precision.shape), precision),
        np.zeros(precision.size),
        method="L-BFGS-B",
        options={"ftol": 1e-15, "gtol": 1e-9, "maxiter": 10_000},
    )
    np.testing.assert_allclose(B.ravel(), found.x, atol=2e-5)
    assert logit.objective(B, precision) <= found.fun + 1e-9
    assert n_steps < 12


def test_the_gradient_is_zero_at_the_optimum():
    logit, precision = problem(seed=1)
    B, _ = logit.solve(precision)
    np.testing.assert_allclose(logit.gradient(B, precision), 0.0, atol=1e-6)


def test_gradient_and_curvature_are_the_differences_of_the_objective():
    logit, precision = problem(seed=2, n=5, n_columns=3, n_options=3)
    B = np.random.default_rng(3).normal(size=precision.shape)

    def value(b):
        return logit.objective(b.reshape(precision.shape), precision)

    def slope(b):
        return logit.gradient(b.reshape(precision.shape), precision).ravel()

    np.testing.assert_allclose(slope(B.ravel()), approx_fprime(B.ravel(), value, 1e-7), rtol=1e-4, atol=1e-3)
    H = logit.hessian(B, precision)
    np.testing.assert_allclose(H, approx_fprime(B.ravel(), slope, 1e-7), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(H, H.T)


def test_posterior_variances_are_the_diagonal_of_the_inverse_curvature():
    logit, precision = problem(seed=4)
    B, _ = logit.solve(precision)
    expected = np.diag(np.linalg.inv(logit.hessian(B, precision))).reshape(precision.shape)
    np.testing.assert_allclose(logit.posterior_variances(B, precision), expected)
    assert (expected < 1 / precision).all()


def test_without_data_the_prior_is_all_there_is():
    logit, precision = problem(seed=5)
    empty = LogitProblem(logit.design, np.zeros_like(logit.counts), logit.contrasts)
    B, _ = empty.solve(precision)
    np.testing.assert_array_equal(B, 0.0)
    np.testing.assert_allclose(empty.posterior_variances(B, precision), 1 / precision)


def test_extreme_data_and_a_bad_start_need_the_step_halving_and_converge():
    contrasts, _ = option_contrasts(np.arange(2.0))
    logit = LogitProblem(np.ones((1, 1)), np.array([[1e6, 0.0]]), contrasts)
    precision = np.array([[1e-6]])
    far, _ = logit.solve(precision, start=np.array([[60.0]]))
    near, _ = logit.solve(precision)
    np.testing.assert_allclose(far, near, rtol=1e-6)
    np.testing.assert_allclose(logit.gradient(near, precision), 0.0, atol=1e-6)


def test_an_optimum_that_is_not_reached_is_said(monkeypatch):
    logit, precision = problem()
    monkeypatch.setattr(newton, "MAX_STEPS", 1)
    with pytest.warns(ConvergenceWarning, match="did not reach the optimum in 1 steps"):
        logit.solve(precision)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(1, 15),
    n_columns=st.integers(1, 6),
    n_options=st.integers(2, 8),
    respondents=st.integers(1, 10_000),
)
def test_newton_converges_on_any_problem(seed, n, n_columns, n_options, respondents):
    logit, precision = problem(seed, n, n_columns, n_options, respondents)
    B, _ = logit.solve(precision)
    np.testing.assert_allclose(logit.gradient(B, precision), 0.0, atol=1e-5 * (1 + respondents))
