"""The joint optimum of several questions, against finite differences, an optimiser and full inverses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import log_softmax
from sklearn.exceptions import ConvergenceWarning

from surveysim.baselines import joint
from surveysim.baselines.joint import JointLogit, JointPrior, QuestionData
from surveysim.contrasts import option_contrasts

TIES = ["none", "slopes", "coupled", "both"]


def make_problem(
    ties="slopes", seed=0, sizes=(3, 4, 2), n_rows=6, n_terms=3, n_slopes=2, bounded=(False, False), respondents=25
):
    """Random questions and their prior: tied by slopes, by coefficients of the first contrast, by both or not."""
    generator = np.random.default_rng(seed)
    n_slopes = n_slopes if ties in ("slopes", "both") else 0
    questions = []
    for size in sizes:
        contrasts, _ = option_contrasts(np.arange(1.0, size + 1))
        design = np.column_stack([np.ones(n_rows), generator.integers(0, 2, (n_rows, n_terms - 1))]).astype(float)
        covariates = generator.normal(size=(n_rows, n_slopes, size - 1))
        scores = np.einsum("njc,j->nc", covariates, np.linspace(0.5, 1.0, n_slopes))
        P = np.exp(scores @ contrasts)
        counts = np.array([generator.multinomial(respondents, p / p.sum()) for p in P]).astype(float)
        questions.append(QuestionData(design, counts, contrasts, covariates))
    precisions = [generator.uniform(0.5, 5.0, (size - 1, n_terms)) for size in sizes]
    coupled = [np.zeros((size - 1, n_terms), dtype=bool) for size in sizes]
    coupling = np.zeros((0, 0))
    if ties in ("coupled", "both"):
        for mask in coupled:
            mask[0, 1:] = True
        size = len(sizes) * (n_terms - 1)
        root = generator.normal(size=(size, size))
        coupling = root @ root.T / size + np.eye(size)
    problem = JointLogit(questions, np.array(bounded[:n_slopes], dtype=bool), coupled)
    return problem, JointPrior(precisions, np.full(n_slopes, 2.0), coupling)


def flat_objective(problem, prior):
    """The penalised deviance as a function of one vector, written out without the library's own."""
    shapes = [precision.shape for precision in prior.precisions]

    def unpack(vector):
        B, start = [], 0
        for shape in shapes:
            B.append(vector[start : start + np.prod(shape)].reshape(shape))
            start += np.prod(shape)
        return B, vector[start:]

    def value(vector):
        B, slopes = unpack(vector)
        total = 0.5 * np.sum(prior.slopes * slopes**2)
        together = []
        for data, b, precision, mask in zip(problem.questions, B, prior.precisions, problem.coupled, strict=True):
            for row in range(len(data.design)):
                scores = b @ data.design[row] + sum(s * data.covariates[row, j] for j, s in enumerate(slopes))
                total -= data.counts[row] @ log_softmax(scores @ data.contrasts)
            total += 0.5 * np.sum((precision * b**2)[~mask])
            together += b[mask].tolist()
        return total + 0.5 * np.array(together) @ prior.coupling @ np.array(together)

    return value, unpack, sum(np.prod(shape) for shape in shapes) + len(prior.slopes)


@pytest.mark.parametrize("ties", TIES)
def test_objective_and_gradient_are_those_of_the_written_out_deviance(ties):
    problem, prior = make_problem(ties)
    value, unpack, size = flat_objective(problem, prior)
    vector = np.random.default_rng(1).normal(scale=0.3, size=size)
    B, slopes = unpack(vector)
    assert problem.objective(B, slopes, prior) == pytest.approx(value(vector))
    own, shared = problem.gradient(B, slopes, prior)
    gradient = np.concatenate([*(part.ravel() for part in own), shared])
    step = 1e-5 * np.eye(size)
    numeric = [(value(vector + s) - value(vector - s)) / 2e-5 for s in step]
    np.testing.assert_allclose(gradient, numeric, atol=1e-6)


@pytest.mark.parametrize("ties", TIES)
def test_the_optimum_is_that_of_a_general_optimiser(ties):
    problem, prior = make_problem(ties)
    value, unpack, size = flat_objective(problem, prior)
    expected_B, expected_slopes = unpack(minimize(value, np.zeros(size), method="BFGS", options={"gtol": 1e-6}).x)
    found = problem.solve(prior)
    np.testing.assert_allclose(found.slopes, expected_slopes, atol=2e-5)
    for one, other in zip(found.coefficients, expected_B, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5)
    assert found.n_steps < 12


def full_inverse(problem, prior):
    """The optimum, and the whole Hessian there, by finite differences of the gradient."""
    found = problem.solve(prior)
    _, unpack, size = flat_objective(problem, prior)
    center = np.concatenate([*(b.ravel() for b in found.coefficients), found.slopes])

    def gradient(vector):
        B, slopes = unpack(vector)
        own, shared = problem.gradient(B, slopes, prior)
        return np.concatenate([*(part.ravel() for part in own), shared])

    H = np.array([(gradient(center + s) - gradient(center - s)) / 2e-5 for s in 1e-5 * np.eye(size)])
    return found, H


@pytest.mark.parametrize("ties", TIES)
def test_posterior_variances_and_evidence_are_those_of_the_whole_hessian(ties):
    problem, prior = make_problem(ties)
    found, H = full_inverse(problem, prior)
    covariance = np.linalg.inv(H)
    variances = np.diag(covariance)
    own = np.concatenate([found.coefficient_variances(q).ravel() for q in range(3)])
    np.testing.assert_allclose(own, variances[: len(own)], rtol=1e-5)
    np.testing.assert_allclose(found.slope_variances(), variances[len(own) :], rtol=1e-5)
    second = np.r_[6:15, len(own) : len(H)]  # 2 x 3 coefficients of the first question come before its 3 x 3
    np.testing.assert_allclose(found.covariance(1), covariance[np.ix_(second, second)], atol=1e-6)
    own_prior = [p[~mask] for p, mask in zip(prior.precisions, problem.coupled, strict=True)]
    evidence = 0.5 * np.log(np.concatenate([*own_prior, prior.slopes])).sum()
    evidence += 0.5 * np.linalg.slogdet(prior.coupling)[1] - 0.5 * np.linalg.slogdet(H)[1]
    evidence -= problem.objective(found.coefficients, found.slopes, prior)
    assert found.log_evidence == pytest.approx(evidence, abs=1e-4)


@pytest.mark.parametrize("ties", TIES)
def test_draws_have_the_covariance_of_the_whole_hessian(ties):
    problem, prior = make_problem(ties, sizes=(3, 2))
    found, H = full_inverse(problem, prior)
    generator = np.random.default_rng(0)
    shared = found.draw_shared(60_000, generator)
    own = [found.draw_coefficients(q, shared, generator).reshape(60_000, -1) for q in range(2)]
    drawn = np.hstack([*own, shared[:, : found.n_slopes]])
    expected = np.linalg.inv(H)
    scale = np.sqrt(np.diag(expected))
    np.testing.assert_allclose(np.cov(drawn.T) / np.outer(scale, scale), expected / np.outer(scale, scale), atol=0.03)


def test_heavy_tails_are_the_priors_and_respondents_overrule_them():
    problem, prior = make_problem(sizes=(3, 2))
    many = [QuestionData(d.design, 1e5 * d.counts, d.contrasts, d.covariates) for d in problem.questions]
    firm = JointPrior([np.full(p.shape, 1e3) for p in prior.precisions], prior.slopes)  # little is left to respondents
    widths = {}
    for name, questions, own in (
        ("prior", problem.questions, firm),
        ("both", problem.questions, prior),
        ("respondents", many, prior),
    ):
        found = JointLogit(questions).solve(own)
        slopes = np.tile(found.slopes, (40_000, 1))
        ends = []
        for degrees in (np.inf, 4.0):
            B = found.draw_coefficients(0, slopes, np.random.default_rng(0), own.precisions[0], degrees)
            ends.append(np.diff(np.quantile(B, [0.05, 0.95], axis=0), axis=0))
        widths[name] = ends[1] / ends[0]
    assert 1.2 < widths["prior"].mean() < 1.5  # Student's t with 4 degrees: 2.13 / 1.64, and no part narrower
    assert 1.02 < widths["both"].mean() < widths["prior"].mean()
    assert widths["respondents"].mean() < 1.01


def test_a_bounded_slope_stops_at_zero_and_the_rest_is_the_optimum_without_it():
    problem, prior = make_problem(bounded=(True, True))
    # the first covariate turned round: its slope would be negative
    turned = [
        QuestionData(d.design, d.counts, d.contrasts, d.covariates * np.array([-1.0, 1.0])[None, :, None])
        for d in problem.questions
    ]
    found = JointLogit(turned, problem.bounded).solve(prior)
    assert found.slopes[0] == 0
    assert found.free.tolist() == [False, True]
    assert found.slope_variances()[0] == 0
    without = [QuestionData(d.design, d.counts, d.contrasts, d.covariates[:, 1:]) for d in turned]
    alone = JointLogit(without, np.array([True])).solve(JointPrior(prior.precisions, prior.slopes[1:]))
    assert found.slopes[1] == pytest.approx(alone.slopes[0], abs=1e-5)
    for one, other in zip(found.coefficients, alone.coefficients, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_untied_questions_are_fitted_each_by_itself():
    problem, prior = make_problem("none")
    together = problem.solve(prior)
    for q, data in enumerate(problem.questions):
        alone = JointLogit([data]).solve(JointPrior([prior.precisions[q]]))
        np.testing.assert_allclose(together.coefficients[q], alone.coefficients[0], atol=1e-6)


def test_a_diagonal_coupling_is_no_tie():
    problem, prior = make_problem("coupled")
    values = [p[mask] for p, mask in zip(prior.precisions, problem.coupled, strict=True)]
    found = problem.solve(JointPrior(prior.precisions, coupling=np.diag(np.concatenate(values))))
    apart = JointLogit(problem.questions).solve(JointPrior(prior.precisions))
    for q in range(3):
        np.testing.assert_allclose(found.coefficients[q], apart.coefficients[q], atol=1e-6)
        np.testing.assert_allclose(found.coefficient_variances(q), apart.coefficient_variances(q), rtol=1e-6)
    assert found.log_evidence == pytest.approx(apart.log_evidence)


def test_what_one_question_knows_moves_a_coupled_one():
    problem, prior = make_problem("coupled", sizes=(3, 3), n_terms=2, respondents=200)
    other = problem.questions[1]
    mute = QuestionData.without_covariates(other.design, 0 * other.counts, other.contrasts)
    R = np.array([[1.0, 0.8], [0.8, 1.0]])
    found = JointLogit([problem.questions[0], mute], None, problem.coupled).solve(
        JointPrior(prior.precisions, coupling=np.linalg.inv(R))
    )
    # without respondents of its own a coefficient is the regression on the other's
    assert found.coefficients[1][0, 1] == pytest.approx(0.8 * found.coefficients[0][0, 1])
    expected = 1.0 - 0.8**2 + 0.8**2 * found.coefficient_variances(0)[0, 1]
    assert found.coefficient_variances(1)[0, 1] == pytest.approx(expected)


def test_a_start_does_not_change_the_optimum():
    problem, prior = make_problem("both")
    found = problem.solve(prior)
    stiff = problem.solve(JointPrior([10 * p for p in prior.precisions], prior.slopes, 10 * prior.coupling))
    again = problem.solve(prior, stiff)
    np.testing.assert_allclose(again.shared, found.shared, atol=1e-5)


def test_one_step_is_near_the_optimum_of_another_prior():
    problem, prior = make_problem("both")
    found = problem.solve(prior)
    other = JointPrior([1.5 * p for p in prior.precisions], prior.slopes, 1.5 * prior.coupling)
    near, there = problem.step(other, found), problem.solve(other, found)
    for q in range(3):
        moved = np.abs(there.coefficients[q] - found.coefficients[q]).max()
        np.testing.assert_allclose(near.coefficients[q], there.coefficients[q], atol=0.1 * moved)


def test_without_data_the_prior_is_all_there_is():
    problem, prior = make_problem("none")
    empty = [QuestionData.without_covariates(d.design, 0 * d.counts, d.contrasts) for d in problem.questions]
    found = JointLogit(empty).solve(prior)
    for q in range(3):
        np.testing.assert_array_equal(found.coefficients[q], 0.0)
        np.testing.assert_allclose(found.coefficient_variances(q), 1 / prior.precisions[q])


def test_extreme_data_need_the_step_halving_and_converge():
    contrasts, _ = option_contrasts(np.arange(2.0))
    problem = JointLogit([QuestionData.without_covariates(np.ones((1, 1)), np.array([[1e6, 0.0]]), contrasts)])
    prior = JointPrior([np.array([[1e-6]])])
    found = problem.solve(prior)
    np.testing.assert_allclose(problem.gradient(found.coefficients, found.slopes, prior)[0][0], 0.0, atol=1e-6)


def test_an_optimum_that_is_not_reached_is_said(monkeypatch):
    problem, prior = make_problem()
    monkeypatch.setattr(joint, "MAX_STEPS", 1)
    with pytest.warns(ConvergenceWarning, match="did not reach the optimum in 1 steps"):
        problem.solve(prior)


@settings(max_examples=40, deadline=None)
@given(
    ties=st.sampled_from(TIES),
    seed=st.integers(0, 10_000),
    n_rows=st.integers(1, 12),
    n_terms=st.integers(1, 5),
    sizes=st.lists(st.integers(2, 7), min_size=1, max_size=3),
    respondents=st.integers(1, 10_000),
)
def test_newton_converges_on_any_problem(ties, seed, n_rows, n_terms, sizes, respondents):
    problem, prior = make_problem(ties, seed, sizes, n_rows, n_terms, respondents=respondents)
    found = problem.solve(prior)
    own, shared = problem.gradient(found.coefficients, found.slopes, prior)
    for part in (*own, shared):
        np.testing.assert_allclose(part, 0.0, atol=1e-5 * (1 + respondents))


def test_evidence_beside_respondents_is_part_of_the_optimum():
    from surveysim.baselines.joint import JointLogit, JointPrior
    from surveysim.baselines.question_stacks import Quadratic, QuestionData

    generator = np.random.default_rng(0)
    contrasts = np.array([[-1.0, 0.0, 1.0], [1.0, -2.0, 1.0]]) / np.sqrt([[2.0], [6.0]])
    data = QuestionData(
        np.column_stack([np.ones(4), generator.normal(size=4)]),
        generator.uniform(1, 9, (4, 3)),
        contrasts,
        generator.normal(size=(4, 1, 2)),
    )
    root = generator.normal(size=(5, 5))
    known = Quadratic(root @ root.T, generator.normal(size=5))
    problem, prior = JointLogit([data]), JointPrior([np.ones((2, 2))], np.ones(1), evidence=[known])
    found = problem.solve(prior)
    gradient, by_slopes = problem.gradient(found.coefficients, found.slopes, prior)
    np.testing.assert_allclose(gradient[0], 0.0, atol=1e-6)
    np.testing.assert_allclose(by_slopes, 0.0, atol=1e-6)
    # by differences: the gradient is that of the objective, what is known included
    B, s, step = found.coefficients[0] + 0.3, found.slopes - 0.2, 1e-6
    gradient, by_slopes = problem.gradient([B], s, prior)
    moved = B.copy()
    moved[1, 0] += step
    change = problem.objective([moved], s, prior) - problem.objective([B], s, prior)
    assert change / step == pytest.approx(gradient[0][1, 0], rel=1e-4)
    change = problem.objective([B], s + step, prior) - problem.objective([B], s, prior)
    assert change / step == pytest.approx(by_slopes[0], rel=1e-4)


def test_a_log_determinant_that_is_given_is_that_of_the_coupling():
    _, prior = make_problem("coupled")
    assert prior.log_determinant == pytest.approx(np.log(np.linalg.eigvalsh(prior.coupling)).sum())
    assert replace(prior, coupling_log_determinant=3.0).log_determinant == 3.0
    assert JointPrior(prior.precisions).log_determinant == 0.0
