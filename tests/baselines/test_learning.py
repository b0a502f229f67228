"""Learning priors from data with a known answer: variances, factors of attributes and degrees, resemblance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar

from surveysim.baselines import learning
from surveysim.baselines.features import BackgroundEncoder
from surveysim.baselines.joint import QuestionData
from surveysim.baselines.learning import LogitFamily, pooled_coefficients, scaled_table
from surveysim.baselines.priors import FIXED_DEGREES, START_DEGREES, PriorTable
from surveysim.contrasts import option_contrasts


def many_groups(deviation, n_groups=60, respondents=400, seed=0, effects=None):
    """One question of two options; groups differ by normal effects on the contrast with the given deviation."""
    generator = np.random.default_rng(seed)
    contrasts, degree = option_contrasts(np.arange(2.0))
    effects = generator.normal(scale=deviation, size=n_groups) if effects is None else effects
    logits = effects[:, None] @ contrasts
    P = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    counts = np.array([generator.multinomial(respondents, p) for p in P]).astype(float)
    encoder = BackgroundEncoder(linear=False, pairs=False)
    frame = pd.DataFrame({"group": [f"g{i:02d}" for i in range(len(effects))]})
    design = encoder.fit(frame).transform(frame).with_constant
    data = QuestionData.without_covariates(design, counts, contrasts)
    return data, degree, PriorTable.fixed(encoder.blocks, ordered=True)


def family(questions, prior="eb"):
    """A family of such questions."""
    return LogitFamily([q[0] for q in questions], [q[1] for q in questions], questions[0][2], prior=prior)


def learned(questions, prior="eb"):
    """What is learned from them."""
    return family(questions, prior).fit().found


@pytest.mark.parametrize("deviation", [0.2, 0.6, 1.5])
@pytest.mark.parametrize("prior", ["eb", "auto"])
def test_learned_variances_recover_those_that_made_the_data(deviation, prior):
    table = learned([many_groups(deviation)], prior).table
    # a variance estimated from 60 groups has a standard error of sqrt(2 / 60) = 18%
    assert np.sqrt(table.variances[0, 1]) == pytest.approx(deviation, rel=0.25)


def test_the_learned_variance_maximises_the_laplace_marginal_likelihood(monkeypatch):
    question = many_groups(0.6, n_groups=30, respondents=40)
    monkeypatch.setattr(learning, "PSEUDO_COEFFICIENTS", 1e-9)
    monkeypatch.setattr(learning, "LOG_TOLERANCE", 1e-6)
    group = family([question])
    found = group.fit().found

    def minus_log_evidence(log_variance):
        table = PriorTable(question[2].blocks, np.full((1, 4), np.exp(log_variance)))
        return -group.solve(learning.replace(group.start, table=table)).log_evidence

    best = minimize_scalar(minus_log_evidence, bounds=(-6, 4), method="bounded")
    # MacKay's step leaves out how the curvature's respondent part moves with the optimum: a few percent here
    assert np.log(found.table.variances[0, 1]) == pytest.approx(best.x, abs=0.05)


def test_a_variance_that_data_say_nothing_about_stays():
    question = many_groups(0.6)
    np.testing.assert_array_equal(
        learned([question]).table.variances[0, [0, 2, 3]], question[2].variances[0, [0, 2, 3]]
    )


def test_fixed_variances_are_the_table_and_nothing_is_learned():
    question = many_groups(0.6)
    fit = family([question], "fixed").fit()
    np.testing.assert_array_equal(fit.found.table.variances, question[2].variances)
    assert fit.n_rounds == 0
    assert np.isnan(fit.determined).all()


def test_variances_are_pooled_over_questions():
    small, large = many_groups(0.2, seed=1), many_groups(1.0, seed=2)
    alone = [learned([question]).table.variances[0, 1] for question in (small, large)]
    both = family([small, large])
    fit = both.fit()
    assert alone[0] < fit.found.table.variances[0, 1] < alone[1]
    gradient, _ = both.problem.gradient(fit.optimum.coefficients, fit.optimum.slopes, both.prior(fit.found))
    for part in gradient:
        np.testing.assert_allclose(part, 0.0, atol=1e-5)


def test_without_terms_there_is_nothing_to_learn():
    data, degree, _ = many_groups(0.6)
    constant = QuestionData.without_covariates(data.design[:, :1], data.counts, data.contrasts)
    for prior in ("eb", "auto"):
        fit = LogitFamily([constant] * 2, [degree] * 2, PriorTable.fixed([], ordered=True), prior=prior).fit()
        assert fit.found.table.variances.shape == (0, 4)
        assert fit.optimum.coefficients[0].shape == (1, 1)


# --- factors ----------------------------------------------------------------------------------------------------------


def two_attributes():
    """A table of two attributes with a block each, and nothing learned of it."""
    frame = pd.DataFrame({"a": ["u", "v"], "b": ["x", "y"]})
    table = PriorTable.fixed(BackgroundEncoder(linear=False, pairs=False).fit(frame).blocks, ordered=True)
    return table, np.zeros((2, 4)), np.zeros((2, 4))


def test_without_data_factors_are_one():
    table, squares, determined = two_attributes()
    np.testing.assert_array_equal(scaled_table(table, squares, determined, 24.0, 2.0).variances, table.variances)


def test_factors_of_degrees_and_attributes_by_hand():
    table, squares, determined = two_attributes()
    squares[:, 1], determined[:, 1] = [0.1 * 14, 0.1 * 2], [4, 4]  # of variances of .1
    found = scaled_table(table, squares, determined, 4.0).variances
    degree = (14 + 2 + 4) / (8 + 4)
    of_a, of_b = (14 / degree + 4) / (4 + 4), (2 / degree + 4) / (4 + 4)
    np.testing.assert_allclose(found[:, 1], [0.1 * degree * of_a, 0.1 * degree * of_b])
    np.testing.assert_allclose(found[:, 2], [0.02 * of_a, 0.02 * of_b])  # the attribute's factor is of all degrees


def test_degree_one_alone_says_nothing_of_the_others_with_one_attribute():
    table, squares, determined = two_attributes()
    squares[:, 1], determined[:, 1] = 0.1 * 400, 40
    found = scaled_table(table, squares, determined, 24.0, 2.0).variances
    np.testing.assert_allclose(found[:, 1], 1.0, rtol=0.1)
    np.testing.assert_allclose(found[:, 2:], table.variances[:, 2:], rtol=0.05)


@pytest.mark.parametrize("ratio", [1.5, 10.0])
def test_a_factor_within_its_limit_keeps_its_weight_and_beyond_it_loses_it(ratio):
    determined = 20.0
    errors = np.log(ratio) * np.sqrt(determined / 2)  # 1.28 and 7.28
    weight = 24.0 if errors < 2 else 24.0 * (2 / errors) ** 2
    hand = (ratio * determined + weight) / (determined + weight)
    assert learning._factor(ratio * determined, determined, 24.0, 2.0) == pytest.approx(hand)
    assert learning._factor(ratio * determined, determined, 24.0, np.inf) == pytest.approx(
        (ratio * determined + 24) / (determined + 24)
    )


def test_effects_ten_times_the_table_are_believed_as_with_eb():
    questions = [many_groups(1.5, n_groups=4, respondents=100, seed=seed) for seed in range(10)]
    auto, eb = (learned(questions, prior).table.variances[0, 1] for prior in ("auto", "eb"))
    # with a start that counts for 24 and 60 coefficients whatever they say: .75 of it
    assert auto == pytest.approx(eb, rel=0.12)


# --- resemblance ------------------------------------------------------------------------------------------------------


def alike(correlation, seed=0, n_questions=4, respondents=60, n_groups=40):
    """Questions whose groups' effects have this correlation, the last one turned round; and the true effects."""
    generator = np.random.default_rng(seed)
    R = np.full((n_questions, n_questions), correlation) + (1 - correlation) * np.eye(n_questions)
    effects = 0.5 * generator.multivariate_normal(np.zeros(n_questions), R, size=n_groups)
    effects[:, -1] *= -1
    questions = [many_groups(0, respondents=respondents, seed=seed + 7 * q, effects=effects[:, q]) for q in range(4)]
    return questions, effects


def test_resemblance_of_questions_is_learned_with_its_sign():
    questions, _ = alike(0.9, respondents=200)
    R = family(questions, "auto").resemblance_frame(family(questions, "auto").fit(), list("abcd"))
    assert list(R.columns) == list("abcd")
    # forty terms next to the twenty that the identity counts for
    assert (R.to_numpy()[:3, :3] > 0.4).all()
    assert (R.loc["d", ["a", "b", "c"]] < -0.4).all()
    np.testing.assert_allclose(np.diag(R), 1.0)


def test_questions_that_do_not_resemble_each_other_are_found_not_to():
    questions, _ = alike(0.0, respondents=200)
    R = learned(questions, "auto").resemblance
    assert np.abs(R - np.diag(np.diag(R))).max() < 0.25


def test_what_questions_have_in_common_brings_effects_nearer_to_the_truth():
    errors = {"eb": [], "auto": []}
    for seed in range(5):
        questions, effects = alike(0.9, seed=100 * seed, respondents=15)
        for prior, found in errors.items():
            optimum = family(questions, prior).fit().optimum
            scores = np.array([(q[0].design @ B.T)[:, 0] for q, B in zip(questions, optimum.coefficients, strict=True)])
            found.append(np.mean((scores.T - effects) ** 2))
    assert np.mean(errors["auto"]) < 0.85 * np.mean(errors["eb"])


def test_the_em_step_raises_the_evidence():
    questions, _ = alike(0.9)
    group = family(questions, "auto")
    before = group.solve(group.start)
    fit = group.fit()
    assert fit.optimum.log_evidence > before.log_evidence + 5


def test_the_prior_says_the_log_determinant_of_its_coupling():
    questions, _ = alike(0.9)
    group = family(questions, "auto")
    prior = group.prior(group.fit().found)
    sign, expected = np.linalg.slogdet(prior.coupling)
    assert sign == 1
    assert prior.log_determinant == pytest.approx(expected)


def test_degree_one_of_single_attributes_is_pooled_and_no_more():
    frame = pd.DataFrame({"age": [1, 2, 3], "sex": ["f", "m", "f"]})
    blocks = BackgroundEncoder(linear=True, pairs=True).fit(frame).blocks  # 3 + 2 levels, a score, 3 pairs
    table = PriorTable.fixed(blocks, ordered=True)
    degrees = [np.array([1, 2]), np.array([0, 0]), np.array([1])]
    masks = pooled_coefficients(degrees, table)
    assert [mask.sum(axis=1).tolist() for mask in masks] == [[6, 0], [0, 0], [6]]
    assert not masks[0][:, 0].any()  # the intercept
    assert sum(mask.sum() for mask in pooled_coefficients(degrees[:2], table)) == 0  # nothing to pool with


def test_more_questions_than_a_dense_system_can_hold_are_not_pooled(monkeypatch):
    questions, _ = alike(0.5)
    monkeypatch.setattr(learning, "MAX_COUPLED", 100)
    fit = family(questions, "auto").fit()
    assert fit.found.resemblance.shape == (0, 0)
    assert len(fit.optimum.shared) == 0


# --- draws of the variances -------------------------------------------------------------------------------------------


def test_degrees_of_freedom_are_the_coefficients_that_respondents_determine(monkeypatch):
    seen = {}
    monkeypatch.setattr(PriorTable, "drawn", lambda self, degrees, generator: (seen.update(m=degrees), self)[1])
    found = {}
    for respondents in (1, 20, 100_000):
        group = family([many_groups(0.6, respondents=respondents)])
        group.draw(group.fit(), np.random.default_rng(0))
        found[respondents] = seen["m"][0]
        # variances of degrees that no contrast has
        np.testing.assert_allclose(found[respondents][[0, 2, 3]], START_DEGREES)
    assert START_DEGREES < found[1][1] < found[20][1] < found[100_000][1]
    assert found[100_000][1] == pytest.approx(START_DEGREES + 60, rel=0.03)
    group = family([many_groups(0.6)], "fixed")
    group.draw(group.fit(), np.random.default_rng(0))
    np.testing.assert_array_equal(seen["m"], FIXED_DEGREES)
