"""The joint optimum of questions that share slopes, against finite differences, an optimiser and full inverses."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax

from surveysim.contrasts import option_contrasts
from surveysim.fusion.joint import JointLogit, QuestionData


def make_problem(seed=0, sizes=(3, 4, 2), n_rows=6, n_terms=3, n_slopes=2, bounded=(False, False)):
    """Random questions, and precisions of their coefficients and slopes."""
    generator = np.random.default_rng(seed)
    questions = []
    for size in sizes:
        contrasts, _ = option_contrasts(np.arange(1.0, size + 1))
        design = np.column_stack([np.ones(n_rows), generator.integers(0, 2, (n_rows, n_terms - 1))]).astype(float)
        covariates = generator.normal(size=(n_rows, n_slopes, size - 1))
        scores = np.einsum("njc,j->nc", covariates, np.linspace(0.5, 1.0, n_slopes))
        P = np.exp(scores @ contrasts)
        counts = np.array([generator.multinomial(25, p / p.sum()) for p in P]).astype(float)
        questions.append(QuestionData(design, counts, contrasts, covariates))
    precisions = [generator.uniform(0.5, 5.0, (size - 1, n_terms)) for size in sizes]
    return JointLogit(questions, np.array(bounded, dtype=bool)), precisions, np.full(n_slopes, 2.0)


def flat_objective(problem, precisions, slope_precision):
    """The penalised deviance as a function of one vector, written out without the library's own."""
    shapes = [precision.shape for precision in precisions]

    def unpack(vector):
        B, start = [], 0
        for shape in shapes:
            B.append(vector[start : start + np.prod(shape)].reshape(shape))
            start += np.prod(shape)
        return B, vector[start:]

    def value(vector):
        B, slopes = unpack(vector)
        total = 0.5 * np.sum(slope_precision * slopes**2)
        for data, b, precision in zip(problem.questions, B, precisions, strict=True):
            for row in range(len(data.design)):
                scores = b @ data.design[row] + sum(s * data.covariates[row, j] for j, s in enumerate(slopes))
                total -= data.counts[row] @ log_softmax(scores @ data.contrasts)
            total += 0.5 * np.sum(precision * b**2)
        return total

    return value, unpack, sum(np.prod(shape) for shape in shapes) + len(slope_precision)


def test_objective_and_gradient_are_those_of_the_written_out_deviance():
    problem, precisions, slope_precision = make_problem()
    value, unpack, size = flat_objective(problem, precisions, slope_precision)
    vector = np.random.default_rng(1).normal(scale=0.3, size=size)
    B, slopes = unpack(vector)
    assert problem.objective(B, slopes, precisions, slope_precision) == pytest.approx(value(vector))
    own, shared = problem.gradient(B, slopes, precisions, slope_precision)
    gradient = np.concatenate([*(part.ravel() for part in own), shared])
    step = 1e-5 * np.eye(size)
    numeric = [(value(vector + s) - value(vector - s)) / 2e-5 for s in step]
    np.testing.assert_allclose(gradient, numeric, atol=1e-6)


def test_the_optimum_is_that_of_a_general_optimiser():
    problem, precisions, slope_precision = make_problem()
    value, unpack, size = flat_objective(problem, precisions, slope_precision)
    expected_B, expected_slopes = unpack(minimize(value, np.zeros(size), method="BFGS", options={"gtol": 1e-6}).x)
    found = problem.solve(precisions, slope_precision)
    np.testing.assert_allclose(found.slopes, expected_slopes, atol=2e-5)
    for one, other in zip(found.coefficients, expected_B, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5)


def full_inverse(problem, precisions, slope_precision):
    """Inverse of the whole Hessian at the optimum, by finite differences of the gradient."""
    found = problem.solve(precisions, slope_precision)
    _, unpack, size = flat_objective(problem, precisions, slope_precision)
    center = np.concatenate([*(b.ravel() for b in found.coefficients), found.slopes])

    def gradient(vector):
        B, slopes = unpack(vector)
        own, shared = problem.gradient(B, slopes, precisions, slope_precision)
        return np.concatenate([*(part.ravel() for part in own), shared])

    H = np.array([(gradient(center + s) - gradient(center - s)) / 2e-5 for s in 1e-5 * np.eye(size)])
    return found, H


def test_posterior_variances_and_evidence_are_those_of_the_whole_hessian():
    problem, precisions, slope_precision = make_problem()
    found, H = full_inverse(problem, precisions, slope_precision)
    variances = np.diag(np.linalg.inv(H))
    own = np.concatenate([found.coefficient_variances(q).ravel() for q in range(len(precisions))])
    np.testing.assert_allclose(own, variances[:-2], rtol=1e-5)
    np.testing.assert_allclose(found.slope_variances(), variances[-2:], rtol=1e-5)
    prior = np.concatenate([*(p.ravel() for p in precisions), slope_precision])
    evidence = -problem.objective(found.coefficients, found.slopes, precisions, slope_precision)
    evidence += 0.5 * np.log(prior).sum() - 0.5 * np.linalg.slogdet(H)[1]
    assert found.log_evidence == pytest.approx(evidence, abs=1e-4)


def test_draws_have_the_covariance_of_the_whole_hessian():
    problem, precisions, slope_precision = make_problem(sizes=(3, 2))
    found, H = full_inverse(problem, precisions, slope_precision)
    generator = np.random.default_rng(0)
    slopes = found.draw_slopes(60_000, generator)
    own = [found.draw_coefficients(q, slopes, generator).reshape(60_000, -1) for q in range(2)]
    drawn = np.hstack([*own, slopes])
    expected = np.linalg.inv(H)
    scale = np.sqrt(np.diag(expected))
    np.testing.assert_allclose(np.cov(drawn.T) / np.outer(scale, scale), expected / np.outer(scale, scale), atol=0.03)


def test_heavy_tails_are_the_priors_and_respondents_overrule_them():
    problem, precisions, slope_precision = make_problem(sizes=(3, 2))
    many = [QuestionData(d.design, 1e5 * d.counts, d.contrasts, d.covariates) for d in problem.questions]
    firm = [np.full(precision.shape, 1e3) for precision in precisions]  # next to nothing is left to respondents
    widths = {}
    for name, questions, prior in (
        ("prior", problem.questions, firm),
        ("both", problem.questions, precisions),
        ("respondents", many, precisions),
    ):
        found = JointLogit(questions, problem.bounded).solve(prior, slope_precision)
        slopes = np.tile(found.slopes, (40_000, 1))
        ends = []
        for degrees in (np.inf, 4.0):
            B = found.draw_coefficients(0, slopes, np.random.default_rng(0), prior[0], degrees)
            ends.append(np.diff(np.quantile(B, [0.05, 0.95], axis=0), axis=0))
        widths[name] = ends[1] / ends[0]
    assert 1.2 < widths["prior"].mean() < 1.5  # Student's t with 4 degrees: 2.13 / 1.64, and no part narrower
    assert 1.02 < widths["both"].mean() < widths["prior"].mean()
    assert widths["respondents"].mean() < 1.01


def test_a_bounded_slope_stops_at_zero_and_the_rest_is_the_optimum_without_it():
    problem, precisions, slope_precision = make_problem(bounded=(True, True))
    # the first covariate turned round: its slope would be negative
    turned = [
        QuestionData(d.design, d.counts, d.contrasts, d.covariates * np.array([-1.0, 1.0])[None, :, None])
        for d in problem.questions
    ]
    found = JointLogit(turned, problem.bounded).solve(precisions, slope_precision)
    assert found.slopes[0] == 0
    assert found.free.tolist() == [False, True]
    assert found.slope_variances()[0] == 0
    without = [QuestionData(d.design, d.counts, d.contrasts, d.covariates[:, 1:]) for d in turned]
    alone = JointLogit(without, np.array([True])).solve(precisions, slope_precision[1:])
    assert found.slopes[1] == pytest.approx(alone.slopes[0], abs=1e-5)
    for one, other in zip(found.coefficients, alone.coefficients, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_without_slopes_the_questions_are_fitted_each_by_itself():
    problem, precisions, _ = make_problem(n_slopes=0, bounded=())
    together = problem.solve(precisions, np.zeros(0))
    for q, data in enumerate(problem.questions):
        alone = JointLogit([data], np.zeros(0, dtype=bool)).solve([precisions[q]], np.zeros(0))
        np.testing.assert_allclose(together.coefficients[q], alone.coefficients[0], atol=1e-6)


def test_a_start_does_not_change_the_optimum():
    problem, precisions, slope_precision = make_problem()
    found = problem.solve(precisions, slope_precision)
    stiff = problem.solve([10 * precision for precision in precisions], slope_precision)
    again = problem.solve(precisions, slope_precision, stiff)
    np.testing.assert_allclose(again.slopes, found.slopes, atol=1e-5)
