"""`FusedRegressor` in simulated worlds whose truth is known, and what it promises about odd and bad input."""

from __future__ import annotations

import copy
import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import KFold, cross_val_predict

from surveysim import FusedRegressor, Question, poststratify
from surveysim.baselines import LogitRegressor, MarginalRegressor
from surveysim.contrasts import option_contrasts
from surveysim.elicitation.recorded import RecordedElicitor
from surveysim.metrics import js_divergence

OPTIONS = ["disagree", "neither", "agree", "agree strongly"]


def world(seed=0, n_questions=30, gap=0.6, level=0.6):
    """Questions x (party x age): true shares P, and the answers a perfect model would give."""
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame(list(itertools.product(["left", "right"], ["young", "old"])), columns=["party", "age"])
    contrasts, _ = option_contrasts(np.arange(1.0, 5.0))
    scale = np.array([1.0, 0.5, 0.2])
    parts, shares = [], []
    for q in range(n_questions):
        mean = level * generator.normal(size=3) * scale
        party, age = (spread * generator.normal(size=3) * scale for spread in (gap, gap / 2))
        sign = np.where(frame["party"] == "left", -1.0, 1.0), np.where(frame["age"] == "young", -1.0, 1.0)
        scores = mean + sign[0][:, None] * party + sign[1][:, None] * age
        parts.append(frame.assign(question=f"q{q}"))
        shares.append(softmax(scores @ contrasts, axis=1))
    questions = {f"q{q}": Question(f"Question {q}", OPTIONS) for q in range(n_questions)}
    return pd.concat(parts, ignore_index=True), np.vstack(shares), questions


def sample(P, n, seed=1):
    generator = np.random.default_rng(seed)
    return np.array([generator.multinomial(n, p) / n for p in P])


def said(X, P, questions, **parameters):
    return RecordedElicitor(X, P, question=questions, **parameters)


def fuse(X, P, n, elicitor, questions, seed=1, **parameters):
    model = FusedRegressor(elicitor, question=questions, random_state=0, **parameters)
    return model.fit(X, sample(P, n, seed), np.full(len(X), float(n)))


# --- worlds where the answer is known ---------------------------------------------------------------------------------


def test_of_a_model_that_is_right_all_is_believed_and_it_is_worth_many_respondents():
    X, P, questions = world()
    model = fuse(X, P, 15, said(X, P, questions), questions)
    assert model.gap_inflation_["party"] == pytest.approx(1.0, abs=0.15)
    assert model.gap_inflation_["age"] == pytest.approx(1.0, abs=0.25)
    levels = model.slopes_.query("kind == 'level'")
    assert levels["slope"].item() == pytest.approx(1.0, abs=0.15)
    alone = fuse(X, P, 15, None, questions)
    assert js_divergence(P, model.predict(X)) < 0.5 * js_divergence(P, alone.predict(X))
    assert model.model_worth_ > 15
    assert model.effective_respondents_ == pytest.approx(alone.effective_respondents_ + model.model_worth_)
    assert alone.model_worth_ == 0


def test_of_a_model_that_exaggerates_gaps_the_true_part_is_found():
    X, P, questions = world()
    logits = np.log(P)
    by_question = logits.reshape(30, 4, 4)
    level = by_question.mean(axis=1, keepdims=True)
    exaggerated = level + 2.5 * (by_question - level)
    model = fuse(X, P, 40, said(X, softmax(exaggerated.reshape(-1, 4), axis=1), questions), questions)
    assert model.gap_inflation_["party"] == pytest.approx(0.4, abs=0.12)


def test_of_a_model_that_knows_nothing_nothing_is_believed_and_the_logit_remains():
    X, P, questions = world()
    noise = np.random.default_rng(9).dirichlet(np.ones(4), len(X))
    model = fuse(X, P, 40, said(X, noise, questions), questions)
    assert max(model.gap_inflation_.values()) < 0.1
    assert model.slopes_.query("kind in ['level', 'shift', 'rest']")["slope"].max() < 0.2
    alone = fuse(X, P, 40, None, questions)
    assert np.abs(model.predict(X) - alone.predict(X)).max() < 0.05
    assert js_divergence(P, model.predict(X)) < 1.03 * js_divergence(P, alone.predict(X))
    assert abs(model.model_worth_) < 0.1 * model.effective_respondents_


def test_a_model_that_has_it_backwards_is_not_believed_backwards():
    X, P, questions = world()
    logits = np.log(P).reshape(30, 4, 4)
    backwards = logits.mean(axis=1, keepdims=True) - (logits - logits.mean(axis=1, keepdims=True))
    model = fuse(X, P, 40, said(X, softmax(backwards.reshape(-1, 4), axis=1), questions), questions)
    assert max(model.gap_inflation_.values()) < 0.02


def test_without_a_model_it_is_the_logit_with_shrunk_levels_and_never_much_worse():
    X, P, questions = world()
    Y, n = sample(P, 15), np.full(len(X), 15.0)
    alone = FusedRegressor(None, question=questions).fit(X, Y, n)
    logit = LogitRegressor(prior="eb", question=questions).fit(X, Y, n)
    assert js_divergence(P, alone.predict(X)) < js_divergence(P, logit.predict(X))
    assert alone.gap_inflation_ == {}
    assert alone.slopes_["kind"].unique().tolist() == ["mean"]
    # respondents overrule the levels' prior
    Y = sample(P, 100_000)
    many = np.full(len(X), 1e5)
    both = [m.fit(X, Y, many).predict(X) for m in (alone, logit)]
    np.testing.assert_allclose(both[0], both[1], atol=0.002)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    held = []
    for seed in range(2):
        X, P, questions = world(seed)
        noisy = softmax(np.log(P) + np.random.default_rng(seed).normal(scale=0.4, size=P.shape), axis=1)
        model = fuse(X, P, 20, said(X, noisy, questions), questions, seed)
        lower, upper = model.predict_interval(X, n_draws=400)
        held.append(((lower <= P) & (upper >= P)).mean())
    # real questions have heavier tails, and real cells are no sums of effects: in this world intervals are a bit wide
    assert 0.86 < np.mean(held) < 0.985


# --- unseen questions, groups and missing elicitations ----------------------------------------------------------------


def test_a_group_without_respondents_gets_the_models_shift_as_far_as_others_bear_it_out():
    X, P, questions = world(gap=1.0)
    model_says = said(X, P, questions)
    asked = ~((X["party"] == "right") & (X["age"] == "old")).to_numpy()
    Y = sample(P, 15)
    n = np.where(asked, 15.0, 0.0)
    fused = FusedRegressor(model_says, question=questions).fit(X, Y, n)
    alone = FusedRegressor(None, question=questions).fit(X, Y, n)
    errors = [js_divergence(P[~asked], m.predict(X[~asked])) for m in (fused, alone)]
    assert errors[0] < 0.5 * errors[1]


def test_an_unseen_level_of_an_attribute_is_moved_by_its_own_elicited_shift():
    X, P, questions = world(gap=1.0)
    right = (X["party"] == "right").to_numpy()
    third = X[right].assign(party="centre")
    everything = pd.concat([X, third], ignore_index=True)
    said_of_all = said(everything, np.vstack([P, P[right]]), questions)
    model = fuse(X, P, 40, said_of_all, questions)
    distance = js_divergence(P[right], model.predict(third))
    alone = fuse(X, P, 40, None, questions)
    assert distance < 0.5 * js_divergence(P[right], alone.predict(third))
    lower, upper = model.predict_interval(third, n_draws=200)
    known_lower, known_upper = model.predict_interval(X[right], n_draws=200)
    assert (upper - lower).mean() > (known_upper - known_lower).mean()


def test_an_unseen_question_is_answered_from_what_the_model_says_corrected():
    X, P, questions = world(n_questions=31)
    sharp = softmax(2.0 * np.log(P), axis=1)  # too sure of itself, in levels and shifts
    new = (X["question"] == "q30").to_numpy()
    model = FusedRegressor(said(X, sharp, questions), question=questions, random_state=0)
    model.fit(X[~new], sample(P, 40)[~new], np.full((~new).sum(), 40.0))
    predicted = model.predict(X[new])
    assert js_divergence(P[new], predicted) < js_divergence(P[new], sharp[new])
    lower, upper = model.predict_interval(X[new], n_draws=200)
    assert ((lower <= predicted) & (predicted <= upper)).mean() > 0.95
    known = model.predict_interval(X[~new], n_draws=200)
    assert (upper - lower).mean() > 1.5 * (known[1] - known[0]).mean()
    # in one call with other questions the same comes out
    np.testing.assert_allclose(model.predict(X)[new], predicted)


def test_an_unseen_question_that_the_model_was_not_asked_is_an_error_or_equal_shares():
    X, P, questions = world(n_questions=4)
    new = (X["question"] == "q3").to_numpy()
    elicitor = said(X[~new], P[~new], questions, on_missing="nan")
    Y, n = sample(P, 20)[~new], np.full((~new).sum(), 20.0)
    for one in (elicitor, None):
        model = FusedRegressor(one, question=questions).fit(X[~new], Y, n)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            with pytest.raises(ValueError, match="neither training cells nor elicited distributions of question 'q3'"):
                model.predict(X[new])
            uniform = FusedRegressor(one, question=questions, base=LogitRegressor(prior="eb", unseen="uniform"))
            uniform.fit(X[~new], Y, n)
            np.testing.assert_allclose(uniform.predict(X)[new], 0.25)
            lower, upper = uniform.predict_interval(X, n_draws=20)
            np.testing.assert_allclose(uniform.predict_draws(X, 3)[:, new], 0.25)
        assert (lower[new] == 0).all()
        assert (upper[new] == 1).all()


def test_cells_without_elicited_distributions_are_counted_and_fall_back():
    X, P, questions = world()
    Q = P.copy()
    gone = np.r_[np.flatnonzero(X["question"] == "q0"), 6, 9]
    Q[gone] = np.nan
    elicitor = said(X, Q, questions, on_missing="nan")
    Y, n = sample(P, 30), np.full(len(X), 30.0)
    model = FusedRegressor(elicitor, question=questions)
    message = r"no distribution for 6 of 120 cells in fit \(the first: row 0, question 'q0', party=left, age=young\)"
    with pytest.warns(UserWarning, match=message):
        model.fit(X, Y, n)
    assert model.n_missing_ == 6
    with pytest.warns(UserWarning, match="6 of 120 cells in predict"):
        predicted = model.predict(X)
    assert np.isfinite(predicted).all()
    # a question of which nothing was elicited: its level is free, as in the logit
    alone = LogitRegressor(question=questions).fit(X, Y, n).predict(X)
    np.testing.assert_allclose(predicted[:4].mean(axis=0), alone[:4].mean(axis=0), atol=0.03)


def test_an_elicitor_that_says_nothing_at_all_leaves_the_logit():
    X, P, questions = world(n_questions=5)

    class Silent(BaseEstimator):
        def fit(self, X, Y):
            self.fitted_ = True
            return self

        def predict(self, X):
            return np.full((len(X), 4), np.nan)

    Y, n = sample(P, 30), np.full(len(X), 30.0)
    with pytest.warns(UserWarning, match="no distribution for 20 of 20 cells in fit"):
        model = FusedRegressor(Silent(), question=questions).fit(X, Y, n)
    with pytest.warns(UserWarning, match="no distribution for 20 of 20 cells in predict"):
        predicted = model.predict(X)
    assert set(model.gap_inflation_.values()) == {0.0}
    logit = LogitRegressor(prior="eb", question=questions).fit(X, Y, n).predict(X)
    np.testing.assert_allclose(predicted, logit, atol=0.03)


# --- draws and post-stratification ------------------------------------------------------------------------------------


def test_draws_of_a_population_have_an_interval_narrower_than_its_groups():
    X, P, questions = world(n_questions=6)
    model = fuse(X, P, 30, said(X, P, questions), questions)
    draws = model.predict_draws(X, 300)
    assert draws.shape == (300, len(X), 4)
    np.testing.assert_allclose(draws.sum(axis=2), 1.0)
    population = X[["party", "age"]].drop_duplicates().assign(share=0.25)
    result = poststratify(draws, X, population)
    total = result.groupby(level="question", sort=False).quantile(0.95)
    total -= result.groupby(level="question", sort=False).quantile(0.05)
    lower, upper = model.predict_interval(X, n_draws=300)
    assert total.to_numpy().mean() < 0.8 * (upper - lower).mean()
    np.testing.assert_allclose(draws.mean(axis=0), model.predict(X), atol=0.04)
    np.testing.assert_allclose(np.quantile(draws, 0.95, axis=0), upper, atol=0.04)
    by_party = poststratify(draws, X, population, by="party")
    assert by_party.index.names == ["draw", "question", "party"]


def test_the_logit_has_draws_too():
    X, P, questions = world(n_questions=3)
    questions = questions | {"q2": Question("Short", ["no", "yes"])}
    Y = sample(P, 30)
    Y[8:] = np.column_stack([Y[8:, :2].sum(axis=1), Y[8:, 2:].sum(axis=1), np.full((4, 2), np.nan)])
    model = LogitRegressor(question=questions).fit(X, Y, np.full(len(X), 30.0))
    draws = model.predict_draws(X, 500, random_state=0)
    assert draws.shape == (500, 12, 4)
    assert np.isnan(draws[:, 8:, 2:]).all()
    np.testing.assert_allclose(np.nansum(draws, axis=2), 1.0)
    lower, upper = model.predict_interval(X, 0.9, n_draws=500, random_state=0)
    np.testing.assert_allclose(np.nanquantile(draws[:, :8], [0.05, 0.95], axis=0), [lower[:8], upper[:8]])
    with pytest.raises(ValueError, match="n_draws must be at least 1"):
        model.predict_draws(X, 0)


def test_draws_follow_the_random_state_and_leave_the_global_one_alone():
    X, P, questions = world(n_questions=4)
    model = fuse(X, P, 30, said(X, P, questions), questions)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    np.testing.assert_array_equal(model.predict_draws(X, 5), model.predict_draws(X, 5, random_state=0))
    assert not np.array_equal(model.predict_draws(X, 5), model.predict_draws(X, 5, random_state=1))
    np.testing.assert_array_equal(model.predict_interval(X, n_draws=20), model.predict_interval(X, n_draws=20))
    np.testing.assert_array_equal(state, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize(
    ("arguments", "message"), [({"level": 1.5}, "level must be"), ({"n_draws": 0}, "n_draws must")]
)
def test_interval_arguments_are_checked(arguments, message):
    X, P, questions = world(n_questions=2)
    model = fuse(X, P, 30, None, questions)
    with pytest.raises(ValueError, match=message):
        model.predict_interval(X, **arguments)


# --- tables of other shapes -------------------------------------------------------------------------------------------


def test_a_table_of_single_attributes_has_a_slope_for_each():
    _, P, questions = world()
    logits = np.log(P).reshape(30, 4, 4)
    rows, shares = [], []
    for q in range(30):
        for column, value, kept in (
            ("party", "left", [0, 1]),
            ("party", "right", [2, 3]),
            ("age", "young", [0, 2]),
            ("age", "old", [1, 3]),
        ):
            rows.append({"party": None, "age": None, "question": f"q{q}"} | {column: value})
            shares.append(softmax(logits[q, kept].mean(axis=0)))
    single, shares = pd.DataFrame(rows), np.array(shares)
    model = fuse(single, shares, 40, said(single, shares, questions), questions)
    assert model.gap_inflation_["party"] == pytest.approx(1.0, abs=0.15)
    assert model.gap_inflation_["age"] == pytest.approx(0.85, abs=0.25)  # smaller shifts are shrunk more
    assert "rest" not in set(model.slopes_["kind"])


def test_questions_of_all_kinds_and_lengths_go_together():
    X, P, questions = world(n_questions=3)
    questions = {
        "q0": questions["q0"],
        "q1": Question("Vote?", ["no", "yes"]),
        "q2": Question("Party?", ["red", "green", "blue"], ordinal=False),
    }
    P = P.copy()
    P[4:8] = np.column_stack([P[4:8, :2].sum(axis=1), P[4:8, 2:].sum(axis=1), np.full((4, 2), np.nan)])
    P[8:] = np.column_stack([P[8:, 0], P[8:, 1], P[8:, 2:].sum(axis=1), np.full(4, np.nan)])
    Y = np.array([np.pad(p[~np.isnan(p)], (0, np.isnan(p).sum()), constant_values=np.nan) for p in P])
    model = FusedRegressor(said(X, P, questions), question=questions).fit(X, Y, np.full(12, 30.0))
    predicted = model.predict(X)
    np.testing.assert_array_equal(np.isnan(predicted), np.isnan(P))
    np.testing.assert_allclose(np.nansum(predicted, axis=1), 1.0)
    # unordered contrasts mean something else in every question: no common mean of theirs
    assert model.slopes_.query("kind == 'mean'")["of"].unique().tolist() == ["2", "4"]
    assert model.slopes_.query("kind == 'shift' and of == 'party'")["degree"].tolist() == ["no order", "1", "2", "3+"]


def test_one_question_from_an_array_and_without_weights():
    X = np.array([[0.0], [1.0], [2.0]])
    Y = np.array([[0.2, 0.8], [0.5, 0.5], [0.7, 0.3]])
    elicitor = RecordedElicitor(X, Y[:, ::-1])
    model = FusedRegressor(elicitor).fit(X, Y)
    assert model.predict(X).shape == (3, 2)
    assert model.n_missing_ == 0
    np.testing.assert_array_equal(model.predict(X), model.predict_proba(X))


def test_by_itself_and_with_models_the_base_learns_variances_and_does_not_pool_questions():
    X, P, questions = world(n_questions=6)
    for source in (None, said(X, P, questions), {"one": said(X, P, questions)}):
        model, learned, pooled = (
            fuse(X, P, 30, source, questions, base=base).predict(X)
            for base in (None, LogitRegressor(prior="eb"), LogitRegressor(prior="auto"))
        )
        assert np.array_equal(model, learned)
        assert np.abs(model - pooled).max() > 1e-3
    assert FusedRegressor(None).set_params(base__interactions=True).base.prior == "eb"


@pytest.mark.parametrize("prior", ["auto", "eb", "fixed"])
def test_a_named_model_is_worth_what_it_is_by_itself_whatever_the_prior(prior):
    X, P, questions = world(n_questions=6)
    base, elicitor = LogitRegressor(prior=prior), said(X, P, questions)
    alone = fuse(X, P, 30, elicitor, questions, base=base)
    named = fuse(X, P, 30, {"one": elicitor}, questions, base=base)
    assert named.effective_respondents_ == pytest.approx(alone.effective_respondents_)
    assert named.model_worth_ == pytest.approx(alone.model_worth_)
    assert abs(alone.model_worth_) > 1


def test_base_decides_which_logit_is_extended():
    X, P, questions = world(n_questions=5)
    elicitor = said(X, P, questions)
    default = fuse(X, P, 30, elicitor, questions)
    fixed = fuse(X, P, 30, elicitor, questions, base=LogitRegressor(prior="fixed"))
    pairs = fuse(X, P, 30, elicitor, questions, base=LogitRegressor(prior="eb", interactions=True))
    plain = fuse(X, P, 30, elicitor, questions, base=LogitRegressor(ordered=False))
    assert fixed.prior_variances_["degree 1"].tolist() == [0.1, 0.1]
    assert default.prior_variances_["degree 1"].tolist() != [0.1, 0.1]
    assert pairs.prior_variances_["terms"].tolist() == ["levels", "levels", "pair"]
    assert plain.slopes_.query("kind == 'shift'")["degree"].unique().tolist() == ["no order"]


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.floats(0.1, 0.9))
def test_neither_order_nor_splitting_nor_empty_rows_change_a_fit(seed, share):
    generator = np.random.default_rng(seed)
    X, P, questions = world(seed, n_questions=3)
    n = generator.uniform(5, 60, len(X))
    Y = generator.dirichlet(np.ones(4), len(X))
    elicitor = said(X, P, questions)
    first = FusedRegressor(elicitor, question=questions).fit(X, Y, n).predict(X)
    np.testing.assert_allclose(first.sum(axis=1), 1.0)
    order = generator.permutation(len(X))
    rows = np.r_[order, 0, 1]
    weight = np.r_[np.where(order == 0, share * n[0], n[order]), (1 - share) * n[0], 0.0]
    again = FusedRegressor(elicitor, question=questions).fit(X.iloc[rows], Y[rows], weight)
    assert again.n_dropped_ == 1
    np.testing.assert_allclose(again.predict(X), first, atol=1e-5)


# --- elicitors --------------------------------------------------------------------------------------------------------


def test_a_fitted_elicitor_is_used_as_it_is_and_an_unfitted_one_is_cloned():
    X, P, questions = world(n_questions=3)
    fitted = MarginalRegressor(question=questions).fit(X, P)
    model = fuse(X, P, 30, fitted, questions)
    assert model.elicitor_ is fitted
    recorded = said(X, P, questions)
    model = fuse(X, P, 30, recorded, questions)
    assert model.elicitor_ is not recorded
    with pytest.raises(NotFittedError):
        recorded.predict(X)


def test_cross_validation_with_recordings_and_with_a_frozen_model():
    X, P, questions = world(n_questions=6)
    Y = sample(P, 30)
    folds = KFold(3, shuffle=True, random_state=0)
    frozen = FrozenEstimator(MarginalRegressor(question=questions).fit(X, P))
    for elicitor in (said(X, P, questions), frozen):
        model = FusedRegressor(elicitor, question=questions)
        predicted = cross_val_predict(clone(model), X, Y, cv=folds)
        np.testing.assert_allclose(predicted.sum(axis=1), 1.0)


def test_an_elicitor_without_questions_gets_those_of_the_fusion():
    X, P, questions = world(n_questions=3)
    X = X.rename(columns={"question": "asked"})
    elicitor = RecordedElicitor(X, P)
    model = FusedRegressor(elicitor, question=questions, question_column="asked").fit(X, sample(P, 30))
    assert model.elicitor_.questions_ == questions
    assert elicitor.question is None


def test_an_elicitor_that_would_learn_from_the_same_respondents_warns():
    X, P, questions = world(n_questions=3)
    with pytest.warns(UserWarning, match="MarginalRegressor is not fitted and now learns from the same respondents"):
        fuse(X, P, 30, MarginalRegressor(question=questions), questions)


class Fixed(BaseEstimator):
    """Says what it was told, whatever it is asked."""

    def __init__(self, P=None):
        self.P = P

    def fit(self, X, Y):
        self.fitted_ = True
        return self

    def predict(self, X):
        return self.P


class Duck:
    """Has the methods, and is no estimator."""

    def fit(self, X, Y):
        return self

    def predict(self, X):
        return np.full((8, 4), 0.25)


@pytest.mark.parametrize(
    ("elicitor", "error", "message"),
    [
        (Duck(), TypeError, "elicitor must be an estimator of scikit-learn"),
        (Fixed([["a"] * 4] * 8), TypeError, r"elicitor.predict must hold numbers"),
        ("gpt-4", TypeError, "elicitor must be an estimator with predict"),
        (RecordedElicitor, TypeError, "elicitor must be an estimator with predict"),
        (MarginalRegressor(question=Question("Other", ["no", "yes"])), ValueError, "elicitor has other questions"),
        (Fixed(np.full((3, 4), 0.25)), ValueError, r"shape \(3, 4\); 8 rows and 4 columns"),
        (Fixed(np.full((8, 4), 0.5)), ValueError, "elicitor.predict: row 0 sums to 2"),
    ],
)
def test_bad_elicitors_are_refused(elicitor, error, message):
    X, P, questions = world(n_questions=2)
    with pytest.raises(error, match=message):
        FusedRegressor(elicitor, question=questions).fit(X, P)


def test_recordings_that_lack_cells_are_an_error_unless_they_may():
    X, P, questions = world(n_questions=2)
    with pytest.raises(ValueError, match="no recorded distribution for row 7"):
        FusedRegressor(said(X[:7], P[:7], questions), question=questions).fit(X, P)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"base": "logit"}, TypeError, "base must be a LogitRegressor or None, got 'logit'"),
        ({"base": LogitRegressor(prior="bayes")}, ValueError, "prior must be"),
        ({"base": LogitRegressor(unseen="margin")}, ValueError, "unseen must be"),
        ({"random_state": "seed"}, ValueError, "random_state must be"),
    ],
)
def test_parameters_are_checked_in_fit(parameters, error, message):
    X, P, questions = world(n_questions=2)
    with pytest.raises(error, match=message):
        FusedRegressor(None, question=questions, **parameters).fit(X, P)


def test_a_refit_that_fails_keeps_the_previous_fit():
    X, P, questions = world(n_questions=2)
    model = fuse(X, P, 30, said(X, P, questions), questions)
    before = model.predict(X)
    with pytest.raises(ValueError, match="sums to"):
        model.fit(X, 2 * P)
    np.testing.assert_array_equal(model.predict(X), before)
    with pytest.raises(NotFittedError):
        FusedRegressor(None, question=questions).predict(X)


def test_predicting_changes_nothing_that_a_copy_would_see():
    X, P, questions = world(n_questions=4)
    new = (X["question"] == "q3").to_numpy()
    model = FusedRegressor(said(X, P, questions), question=questions).fit(X[~new], sample(P, 20)[~new])
    other = copy.deepcopy(model)
    model.predict(X[new])
    np.testing.assert_array_equal(model.predict(X[~new]), other.predict(X[~new]))
