"""The order-aware logit, against scikit-learn, a general optimiser, analytic covariances and its own promises."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp, softmax
from sklearn.linear_model import LogisticRegression

from surveysim import Question
from surveysim.baselines import LogitRegressor, MarginalRegressor, learning
from surveysim.baselines.lack_of_fit import GRID, LackOfFit
from surveysim.metrics import js_divergence

LEVELS = ["18-29", "30-44", "45-64", "65+"]
LIKERT = Question("Shops should open on Sundays.", ["disagree", "neither", "agree", "agree strongly"])
PARTY = Question("Which party?", ["red", "green", "blue"], ordinal=False)
VOTE = Question("Will you vote?", ["no", "yes"])


def survey(seed=0, n_options=4, respondents=40):
    """Cells of age x region x sex whose answers follow age and region."""
    generator = np.random.default_rng(seed)
    X = pd.MultiIndex.from_product([LEVELS, ["east", "north", "south"], ["f", "m"]], names=["age", "region", "sex"])
    X = X.to_frame(index=False)
    X["age"] = pd.Categorical(X["age"], LEVELS, ordered=True)
    tilt = 0.4 * (X["age"].cat.codes.to_numpy() - 1.5) + 0.3 * (X["region"] == "south").to_numpy()
    P = softmax(tilt[:, None] * np.linspace(-1, 1, n_options), axis=1)
    n = generator.integers(1, respondents, len(X))
    Y = np.array([generator.multinomial(size, p) for size, p in zip(n, P, strict=True)]) / n[:, None]
    return X, Y, n.astype(float), P


# --- the optimum ------------------------------------------------------------------------------------------------------


def test_the_plain_logit_is_scikit_learns_multinomial_ridge_on_one_hot_columns():
    X, Y, n, _ = survey()
    P = LogitRegressor(ordered=False, prior="fixed", question=LIKERT).fit(X, Y, n).predict(X)
    one_hot = pd.get_dummies(X.astype(str)).to_numpy(dtype=float)
    # the ridge on all K coefficients is the same as ours on K - 1 orthonormal contrasts (its optimum is centred);
    # variance .1 is C = .1, and an intercept of variance 25 a column of height sqrt(25 / .1)
    columns = np.column_stack([np.full(len(X), np.sqrt(25 / 0.1)), one_hot])
    rows, option = np.repeat(np.arange(len(X)), 4), np.tile(np.arange(4), len(X))
    oracle = LogisticRegression(C=0.1, fit_intercept=False, solver="newton-cg", tol=1e-10, max_iter=10_000)
    oracle.fit(columns[rows], option, sample_weight=(n[:, None] * Y).ravel())
    np.testing.assert_allclose(P, oracle.predict_proba(columns), atol=1e-6)


def test_the_order_aware_logit_minimises_the_penalised_deviance_written_out_in_full():
    X, Y, n, _ = survey(n_options=3)
    question = Question("How often?", ["never", "sometimes", "often"])
    P = LogitRegressor(prior="fixed", question=question).fit(X, Y, n).predict(X)
    one_hot = pd.get_dummies(X.astype(str)).to_numpy(dtype=float)
    rank = X["age"].cat.codes.to_numpy(dtype=float)
    Z = np.column_stack([np.ones(len(X)), one_hot, (rank - rank.mean()) / rank.std()])
    T = np.array([[-1, 0, 1] / np.sqrt(2), [1, -2, 1] / np.sqrt(6)])
    kinds = [25.0, *[None] * 9, "linear"]
    variance = np.array(
        [
            [25.0 if k == 25.0 else (0.15 if k == "linear" else 0.1) for k in kinds],
            [25.0 if k == 25.0 else 0.02 for k in kinds],
        ]
    )

    def penalised(b):
        B = b.reshape(2, -1)
        return -np.sum(n[:, None] * Y * log_softmax(Z @ B.T @ T, axis=1)) + 0.5 * np.sum(B**2 / variance)

    found = minimize(penalised, np.zeros(variance.size), method="BFGS", options={"gtol": 1e-6, "maxiter": 5000})
    expected = softmax(Z @ found.x.reshape(2, -1).T @ T, axis=1)
    np.testing.assert_allclose(P, expected, atol=1e-5)


def test_fitted_attributes_are_the_model():
    X, Y, n, _ = survey()
    model = LogitRegressor(question=LIKERT, interactions=True).fit(X, Y, n)
    assert model.terms_[:10] == [
        *(f"age={level}" for level in LEVELS),
        *("region=east", "region=north", "region=south"),
        *("sex=f", "sex=m"),
        "age (linear)",
    ]
    assert model.coef_[""].shape == (3, len(model.terms_))
    assert model.terms_[-1] == "region=south x sex=m"
    assert model.prior_variances_.shape == (7, 6)
    # an old southern woman, put together by hand
    wanted = ["age=65+", "region=south", "sex=f", "age=65+ x region=south", "age=65+ x sex=f", "region=south x sex=f"]
    terms = np.isin(model.terms_, wanted).astype(float)
    terms[9] = 1.5 / np.std([0, 1, 2, 3])
    logits = (model.intercept_[""] + model.coef_[""] @ terms) @ model.contrasts_[""]
    row = (X["age"] == "65+") & (X["region"] == "south") & (X["sex"] == "f")
    np.testing.assert_allclose(model.predict_logits(X[row])[0], logits)
    np.testing.assert_allclose(model.predict(X[row])[0], softmax(logits))


def test_intercepts_are_free_so_that_one_cell_is_fitted_as_it_is():
    X = pd.DataFrame({"age": ["any"]})
    P = LogitRegressor(question=LIKERT).fit(X, [[0.1, 0.2, 0.3, 0.4]], [5000]).predict(X)
    np.testing.assert_allclose(P, [[0.1, 0.2, 0.3, 0.4]], atol=1e-3)


def test_many_respondents_overrule_the_prior():
    X, Y, n, _ = survey()
    women = (X["sex"] == "f").to_numpy()
    X, Y, n = X[women].drop(columns="sex"), Y[women], n[women]
    # with a term for every pair of the two attributes left the model can follow every cell
    model = LogitRegressor(question=LIKERT, interactions=True)
    assert js_divergence(Y, model.fit(X, Y, n).predict(X)) > 0.02
    assert js_divergence(Y, model.fit(X, Y, n * 1e5).predict(X)) < 0.001


def test_it_is_closer_to_the_truth_than_the_sample_the_margin_and_the_plain_logit():
    closer = []
    for seed in range(5):
        X, Y, n, P = survey(seed)
        plain = LogitRegressor(ordered=False, question=LIKERT)
        others = [Y, MarginalRegressor(question=LIKERT).fit(X, Y, n).predict(X), plain.fit(X, Y, n).predict(X)]
        mine = js_divergence(P, LogitRegressor(question=LIKERT).fit(X, Y, n).predict(X))
        closer.append([mine < js_divergence(P, other) for other in others])
    assert np.sum(closer, axis=0).tolist() == [5, 5, 5]


# --- order ------------------------------------------------------------------------------------------------------------


def test_reversing_the_scale_reverses_the_prediction():
    X, Y, n, _ = survey()
    P = LogitRegressor(question=LIKERT).fit(X, Y, n).predict(X)
    reversed_P = LogitRegressor(question=LIKERT).fit(X, Y[:, ::-1], n).predict(X)
    np.testing.assert_allclose(reversed_P, P[:, ::-1], atol=1e-8)


def test_the_order_of_nominal_options_does_not_matter_and_that_of_ordinal_ones_does():
    X, Y, n, _ = survey(n_options=3)
    shuffled = [2, 0, 1]
    ordinal = Question("How much?", ["a", "b", "c"])
    for question, same in ((PARTY, True), (ordinal, False)):
        P = LogitRegressor(question=question).fit(X, Y, n).predict(X)
        P_shuffled = LogitRegressor(question=question).fit(X, Y[:, shuffled], n).predict(X)
        assert np.allclose(P_shuffled, P[:, shuffled], atol=1e-7) == same


def test_a_pinned_option_is_outside_the_order():
    pinned = Question("How much?", ["little", "some", "much", "don't know"], pinned=["don't know"])
    X, Y, n, _ = survey()
    model = LogitRegressor(question=pinned).fit(X, Y, n)
    contrasts = model.contrasts_[""]
    assert (np.abs(contrasts[:2, 3]) < 1e-12).all()
    assert abs(contrasts[2, 3]) > 0.5
    np.testing.assert_allclose(model.predict(X).sum(axis=1), 1.0)


def test_an_age_level_left_out_lies_beyond_its_neighbours_only_if_age_is_ordered():
    X, Y, n, _ = survey(respondents=400)
    young = (X["age"] == "18-29").to_numpy()
    seen, asked = X[~young], X[young]
    # up the scale with age, so the young stand lowest
    mean = {}
    for ordered in (True, False):
        model = LogitRegressor(ordered=ordered, question=LIKERT).fit(seen, Y[~young], n[~young])
        mean[ordered] = (model.predict(asked) @ [1, 2, 3, 4]).mean()
        neighbours = (model.predict(X[X["age"] == "30-44"]) @ [1, 2, 3, 4]).mean()
        assert (mean[ordered] < neighbours - 0.1) == ordered
    truth = (Y[young] @ [1, 2, 3, 4]).mean()
    assert abs(mean[True] - truth) < abs(mean[False] - truth) / 2


# --- several questions ------------------------------------------------------------------------------------------------


def two_questions():
    X, Y, n, _ = survey()
    X = pd.concat([X.assign(question="vote"), X.assign(question="shops")], ignore_index=True)
    other = np.full_like(Y, np.nan)
    other[:, 0], other[:, 1] = Y[:, :2].sum(axis=1), Y[:, 2:].sum(axis=1)
    return X, np.vstack([other, Y]), np.r_[n, n]


def test_with_fixed_variances_questions_are_fitted_each_by_itself():
    X, Y, n = two_questions()
    P = LogitRegressor(prior="fixed", question={"vote": VOTE, "shops": LIKERT}).fit(X, Y, n).predict(X)
    half = len(X) // 2
    alone = LogitRegressor(prior="fixed", question=LIKERT).fit(X[half:].drop(columns="question"), Y[half:], n[half:])
    np.testing.assert_allclose(P[half:], alone.predict(X[half:].drop(columns="question")))
    assert np.isnan(P[:half, 2:]).all()
    assert not np.isnan(P[:half, :2]).any()


def test_learned_variances_see_all_questions():
    X, Y, n = two_questions()
    model = LogitRegressor(prior="eb", question={"vote": VOTE, "shops": LIKERT}).fit(X, Y, n)
    variances = model.prior_variances_.set_index(["attribute", "terms"])
    # sex has no effect in these data; age has, along the scale
    assert variances.loc[("sex", "levels"), "degree 1"] < 0.1
    assert variances.loc[("age", "linear"), "degree 1"] > 0.15
    assert 1 < model.n_iter_ < 100


def test_logits_are_centred_padded_and_give_the_predictions():
    X, Y, n = two_questions()
    model = LogitRegressor(question={"vote": VOTE, "shops": LIKERT}).fit(X, Y, n)
    logits = model.predict_logits(X)
    assert logits.dtype == np.float64
    np.testing.assert_allclose(np.nansum(logits, axis=1), 0.0, atol=1e-12)
    np.testing.assert_array_equal(np.isnan(logits), np.isnan(Y))
    normalised = logits - logsumexp(np.where(np.isnan(logits), -np.inf, logits), axis=1, keepdims=True)
    np.testing.assert_allclose(np.exp(normalised), model.predict(X))


def test_an_unseen_question_is_an_error_or_equal_shares():
    X, Y, n = two_questions()
    questions = {"vote": VOTE, "shops": LIKERT, "party": PARTY}
    asked = X.assign(question="party")
    model = LogitRegressor(question=questions).fit(X, Y, n)
    for method in (model.predict, model.predict_logits, model.predict_interval):
        with pytest.raises(ValueError, match="no training cells of question 'party'"):
            method(asked)
    model.set_params(unseen="uniform").fit(X, Y, n)
    np.testing.assert_allclose(model.predict(asked)[:, :3], 1 / 3)
    np.testing.assert_array_equal(model.predict_logits(asked)[:, :3], 0.0)
    lower, upper = model.predict_interval(asked)
    assert (lower[:, :3] == 0).all()
    assert (upper[:, :3] == 1).all()
    assert np.isnan(lower[:, 3]).all()


def test_an_unseen_level_has_the_effect_zero():
    X, Y, n, _ = survey()
    model = LogitRegressor(question=LIKERT).fit(X, Y, n)
    one = X.iloc[[0]]
    terms = np.isin(model.terms_, ["age=18-29", "sex=f"]).astype(float)
    terms[9] = -1.5 / np.std([0, 1, 2, 3])
    expected = (model.intercept_[""] + model.coef_[""] @ terms) @ model.contrasts_[""]
    np.testing.assert_allclose(model.predict_logits(one.assign(region="overseas"))[0], expected)


# --- intervals --------------------------------------------------------------------------------------------------------


def test_intervals_are_those_of_the_analytic_covariance(monkeypatch):
    monkeypatch.setattr(learning, "FIXED_DEGREES", np.inf)  # prior variances without doubt
    X, Y, n, _ = survey(respondents=300, n_options=2)
    model = LogitRegressor(prior="fixed", question=VOTE).fit(X, Y, n)
    # cells that are known to be .1 away from the sum of their effects
    model._lack_of_fit = LackOfFit(np.tile(np.isclose(GRID, GRID[np.abs(GRID - 0.1).argmin()]).astype(float), (4, 1)))
    lower, upper = model.predict_interval(X, level=0.8, n_draws=40_000, random_state=0)
    # with two options the logit difference is normal: mean and variance by hand from the curvature
    one_hot = pd.get_dummies(X.astype(str)).to_numpy(dtype=float)
    rank = X["age"].cat.codes.to_numpy(dtype=float)
    Z = np.column_stack([np.ones(len(X)), one_hot, (rank - rank.mean()) / rank.std()])
    precision = 1 / np.array([25.0, *[0.1] * 9, 0.15])
    p = model.predict(X)[:, 1]
    # on the contrast (-1, 1) / sqrt 2 a score c gives the logit difference sqrt 2 c
    H = (Z * (2 * n * p * (1 - p))[:, None]).T @ Z + np.diag(precision)
    own = GRID[np.abs(GRID - 0.1).argmin()] ** 2
    deviation = np.sqrt(2 * (np.einsum("if,fg,ig->i", Z, np.linalg.inv(H), Z) + own))
    difference = np.log(p / (1 - p))
    expected = [1 / (1 + np.exp(-(difference + z * deviation))) for z in (-1.2815516, 1.2815516)]
    np.testing.assert_allclose(lower[:, 1], expected[0], atol=0.004)
    np.testing.assert_allclose(upper[:, 1], expected[1], atol=0.004)
    np.testing.assert_allclose(lower[:, 0], 1 - upper[:, 1], atol=1e-12)


def test_doubt_about_prior_variances_widens_intervals_where_respondents_are_few(monkeypatch):
    few, many = survey(respondents=100), survey(respondents=30_000)

    def width(data):
        X, Y, n, _ = data
        model = LogitRegressor(prior="fixed", question=LIKERT, interactions=True).fit(X, Y, n)
        lower, upper = model.predict_interval(X, n_draws=400, random_state=0)
        return (upper - lower).mean()

    doubtful = width(few), width(many)
    monkeypatch.setattr(learning, "FIXED_DEGREES", np.inf)
    certain = width(few), width(many)
    assert doubtful[0] > 1.05 * certain[0]
    assert doubtful[1] == pytest.approx(certain[1], rel=0.1)


def test_ends_of_intervals_settle_as_draws_grow():
    X, Y, n, _ = survey(respondents=100)
    model = LogitRegressor(question=LIKERT).fit(X, Y, n)

    def error(n_draws):
        return np.std([model.predict_interval(X, n_draws=n_draws, random_state=seed) for seed in range(6)], axis=0)

    assert error(10_000).mean() < 0.5 * error(1000).mean()


@pytest.mark.parametrize("parameters", [{}, {"prior": "eb"}, {"interactions": True}])
def test_the_variance_of_log_odds_is_that_of_draws_and_of_each_row_by_itself(parameters):
    X, Y, n, _ = survey(respondents=400)
    model = LogitRegressor(question=LIKERT, **parameters).fit(X, Y, n)
    new = pd.concat([X, X.iloc[:1].assign(region="overseas")])  # and a level that training did not show
    variance = model._log_odds_variance(new)
    P = model.predict(new)
    draws = model.predict_draws(new, 4000, random_state=0)
    error = np.log(draws / (1 - draws)) - np.log(P / (1 - P))
    found = np.quantile(np.abs(error), 0.9, axis=0) / 1.6448536
    # a mixture over variances has longer tails than its variance says
    assert np.sqrt(variance).mean() == pytest.approx(found.mean(), rel=0.15)
    assert np.corrcoef(np.sqrt(variance).ravel(), found.ravel())[0, 1] > 0.9
    np.testing.assert_allclose(model._log_odds_variance(new.iloc[[3, -1]]), variance[[3, -1]])
    assert (variance[-1] > variance[0]).all()


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    held = []
    for seed in range(10):
        X, Y, n, P = survey(seed)
        lower, upper = LogitRegressor(question=LIKERT).fit(X, Y, n).predict_interval(X, 0.9, random_state=seed)
        held.append(((lower <= P) & (upper >= P)).mean())
    assert 0.82 < np.mean(held) <= 0.99


def test_intervals_shrink_with_respondents_and_grow_with_the_level():
    X, Y, n, P = survey()
    model = LogitRegressor(question=LIKERT).fit(X, Y, n)

    def width(model, level=0.9):
        lower, upper = model.predict_interval(X, level, random_state=0)
        assert ((lower <= upper) & (lower >= 0) & (upper <= 1)).all()
        return (upper - lower).mean()

    assert width(model, 0.5) < width(model, 0.9) < width(model, 0.99)
    many = 1000 * n
    assert width(LogitRegressor(question=LIKERT, interactions=True).fit(X, P, many)) < width(model) / 3
    # effects that add up are known with many respondents, in a model without two-way terms as well ...
    assert width(LogitRegressor(question=LIKERT).fit(X, P, many)) < width(model) / 3
    # ... which no number of respondents makes a cell the sum of its attributes where they do not
    interacting = np.where((X["sex"] == "f").to_numpy()[:, None], P, P[:, ::-1])
    assert width(LogitRegressor(question=LIKERT).fit(X, interacting, many)) > width(model)


def test_an_unseen_level_is_less_certain_than_any_seen():
    X, Y, n, _ = survey(respondents=400)
    model = LogitRegressor(question=LIKERT, interactions=True).fit(X, Y, n)
    lower, upper = model.predict_interval(X, random_state=0)
    lower_new, upper_new = model.predict_interval(X.assign(region="overseas"), random_state=0)
    assert (upper_new - lower_new).mean() > 1.5 * (upper - lower).mean()


def test_draws_follow_the_random_state_and_leave_the_global_one_alone():
    X, Y, n, _ = survey()
    model = LogitRegressor(question=LIKERT).fit(X, Y, n)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first = model.predict_interval(X, random_state=3)
    np.testing.assert_array_equal(first, model.predict_interval(X, random_state=np.random.default_rng(3)))
    assert not np.array_equal(first, model.predict_interval(X, random_state=4))
    np.testing.assert_array_equal(state, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"level": 0}, "level must be between 0 and 1"), ({"level": 90}, "level"), ({"n_draws": 0}, "n_draws must be")],
)
def test_interval_arguments_are_checked(arguments, message):
    X, Y, n, _ = survey()
    model = LogitRegressor(question=LIKERT).fit(X, Y, n)
    with pytest.raises(ValueError, match=message):
        model.predict_interval(X, **arguments)


# --- parameters, and what may not matter ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"prior": "bayes"}, r"prior must be 'auto', 'fixed' or 'eb' \(empirical Bayes\), got 'bayes'"),
        ({"ordered": "no"}, "ordered must be True or False, got 'no'"),
        ({"interactions": 2}, "interactions must be True or False, got 2"),
        ({"unseen": "marginal"}, "unseen must be 'error' or 'uniform'"),
    ],
)
def test_parameters_are_checked_in_fit(parameters, message):
    X, Y, n, _ = survey()
    with pytest.raises(ValueError, match=message):
        LogitRegressor(question=LIKERT, **parameters).fit(X, Y, n)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    share=st.floats(0.05, 0.95),
    parameters=st.sampled_from([{}, {"ordered": False}, {"interactions": True}, {"prior": "eb"}]),
)
def test_neither_order_nor_splitting_nor_empty_rows_change_a_fit(seed, share, parameters):
    generator = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "age": pd.Categorical(generator.choice(LEVELS, 8), LEVELS, ordered=True),
            "years": generator.integers(18, 90, 8).astype(float),
            "region": generator.choice(["east", "west", None], 8),
        }
    )
    Y = generator.dirichlet(np.ones(4), 8)
    n = generator.uniform(5, 60, 8)
    model = LogitRegressor(question=LIKERT, **parameters)
    P = model.fit(X, Y, n).predict(X)
    np.testing.assert_allclose(P.sum(axis=1), 1.0)
    assert (P > 0).all()
    # rows in another order, the first one's respondents in two rows, and a row without respondents
    order = generator.permutation(8)
    rows = np.r_[order, 0, 0]
    weight = np.r_[np.where(order == 0, share * n[0], n[order]), (1 - share) * n[0], 0.0]
    strange = X.iloc[rows].copy()
    strange.iloc[-1, 1] = 1e6
    again = model.fit(strange, Y[rows], weight).predict(X)
    np.testing.assert_allclose(again, P, atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.sampled_from([0.3, 5.0, 1e4]))
def test_pooled_questions_of_any_kind_give_the_same_whatever_their_order(seed, scale):
    generator = np.random.default_rng(seed)
    questions = {"vote": VOTE, "shops": LIKERT, "party": PARTY, "more": LIKERT, "never asked": LIKERT}
    n_rows = 20
    X = pd.DataFrame(
        {
            "question": generator.choice(["vote", "shops", "party", "more"], n_rows),
            "age": generator.choice(LEVELS, n_rows),
            "years": generator.integers(18, 90, n_rows).astype(float),
        }
    )
    Y = np.full((n_rows, 4), np.nan)
    for row, name in enumerate(X["question"]):
        Y[row, : questions[name].n_options] = generator.dirichlet(np.full(questions[name].n_options, 0.5))
    n = scale * generator.uniform(1, 60, n_rows)
    model = LogitRegressor(question=questions, unseen="uniform").fit(X, Y, n)
    P = model.predict(X)
    np.testing.assert_allclose(np.nansum(P, axis=1), 1.0)
    assert model.resemblance_.shape == (X["question"].nunique(),) * 2
    lower, upper = model.predict_interval(X, n_draws=50, random_state=0)
    assert (upper >= lower)[~np.isnan(P)].all()
    turned = LogitRegressor(question=dict(reversed(questions.items())), unseen="uniform").fit(X, Y, n)
    np.testing.assert_allclose(turned.predict(X), P, atol=1e-6)
