"""The two baselines without a model: hand-computed values, shrinkage, and what training did not show."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surveysim import Question
from surveysim.baselines import CellRegressor, MarginalRegressor

QUESTIONS = {
    "vote": Question("Will you vote?", ["no", "yes"]),
    "trust": Question("Do you trust the press?", ["no", "a little", "yes"]),
}


@pytest.fixture
def X():
    return pd.DataFrame({"question": ["vote", "vote", "trust", "trust"], "age": ["young", "old", "young", "old"]})


@pytest.fixture
def Y():
    return np.array([[0.5, 0.5, np.nan], [0.25, 0.75, np.nan], [0.2, 0.3, 0.5], [0.6, 0.4, 0.0]])


N = [10, 30, 20, 20]
POOLED = np.array([[0.3125, 0.6875, np.nan], [0.4, 0.35, 0.25]])


def test_the_marginal_pools_each_question_by_respondents(X, Y):
    model = MarginalRegressor(question=QUESTIONS).fit(X, Y, N)
    np.testing.assert_allclose(model.distributions_, POOLED)
    assert model.respondents_.tolist() == [40, 40]
    np.testing.assert_allclose(model.predict(X), POOLED[[0, 0, 1, 1]])


def test_the_marginal_does_not_look_at_backgrounds(X, Y):
    model = MarginalRegressor(question=QUESTIONS).fit(X, Y, N)
    np.testing.assert_allclose(model.predict(X.assign(age="of no age")), POOLED[[0, 0, 1, 1]])


def test_without_shrinkage_the_cells_are_the_training_data_themselves(X, Y):
    np.testing.assert_allclose(CellRegressor(question=QUESTIONS).fit(X, Y, N).predict(X), Y)


def test_shrinkage_counts_in_respondents_of_the_margin(X, Y):
    model = CellRegressor(shrinkage=20, question=QUESTIONS).fit(X, Y, N)
    P = model.predict(X)
    np.testing.assert_allclose(P[0], (10 * Y[0] + 20 * POOLED[0]) / 30)
    np.testing.assert_allclose(P[3], (20 * Y[3] + 20 * POOLED[1]) / 40)


def test_huge_shrinkage_is_the_marginal(X, Y):
    model = CellRegressor(shrinkage=1e12, question=QUESTIONS).fit(X, Y, N)
    np.testing.assert_allclose(model.predict(X), POOLED[[0, 0, 1, 1]])


def test_rows_of_one_cell_are_pooled_and_may_come_in_any_order(X, Y):
    twice = pd.concat([X, X.iloc[:1]])
    model = CellRegressor(question=QUESTIONS).fit(twice, np.vstack([Y, [1.0, 0.0, np.nan]]), [*N, 30])
    np.testing.assert_allclose(model.predict(X.iloc[[2, 0]])[1], [(5 + 30) / 40, 5 / 40, np.nan])
    assert model.respondents_.tolist() == [40, 30, 20, 20]
    assert len(model.distributions_) == 4


def test_a_missing_value_is_a_background_like_any_other(X, Y):
    X.loc[0, "age"] = None
    model = CellRegressor(question=QUESTIONS).fit(X, Y, N)
    np.testing.assert_allclose(model.predict(X), Y)
    asked = X.iloc[[2]].assign(age=None)
    with pytest.raises(ValueError, match="no respondents with the background of row 0"):
        model.predict(asked)


@pytest.mark.parametrize("background", ["middle", None])
def test_an_unseen_background_is_an_error_equal_shares_or_with_shrinkage_the_margin(background, X, Y):
    asked = X.iloc[[1, 2]].assign(age=["old", background])
    message = r"background of row 1 \(age=(middle|None|nan); 1 such rows\).*shrinkage > 0.*unseen=\"uniform\""
    with pytest.raises(ValueError, match=message):
        CellRegressor(question=QUESTIONS).fit(X, Y, N).predict(asked)
    uniform = CellRegressor(question=QUESTIONS, unseen="uniform").fit(X, Y, N).predict(asked)
    np.testing.assert_allclose(uniform, [Y[1], [1 / 3] * 3])
    for unseen in ("error", "uniform"):
        shrunk = CellRegressor(shrinkage=5, question=QUESTIONS, unseen=unseen).fit(X, Y, N).predict(asked)
        np.testing.assert_allclose(shrunk[1], POOLED[1])


def test_a_background_seen_in_another_question_only_is_unseen(X, Y):
    model = CellRegressor(question=QUESTIONS).fit(X.iloc[:3], Y[:3], N[:3])
    with pytest.raises(ValueError, match=r"row 3 \(age=old"):
        model.predict(X)


@pytest.mark.parametrize("model", [MarginalRegressor(), CellRegressor(), CellRegressor(shrinkage=5)], ids=repr)
def test_an_unseen_question_is_an_error_or_equal_shares(model, X, Y):
    model.set_params(question=QUESTIONS).fit(X.iloc[2:], Y[2:], N[2:])
    with pytest.raises(ValueError, match=r"no training cells of question 'vote' \(row 0 of X, 2 such rows\)"):
        model.predict(X)
    P = model.set_params(unseen="uniform").fit(X.iloc[2:], Y[2:], N[2:]).predict(X)
    np.testing.assert_allclose(P[:2], [[0.5, 0.5, np.nan]] * 2)
    assert not np.isnan(P[2:]).any()


@pytest.mark.parametrize("value", [-1, np.nan, np.inf, "10", None])
def test_shrinkage_must_be_a_number_of_respondents(value, X, Y):
    with pytest.raises(ValueError, match="shrinkage must be a finite number of respondents >= 0"):
        CellRegressor(shrinkage=value, question=QUESTIONS).fit(X, Y)


@pytest.mark.parametrize("estimator", [MarginalRegressor, CellRegressor])
def test_unseen_has_two_values(estimator, X, Y):
    with pytest.raises(ValueError, match="unseen must be 'error' or 'uniform', got 'marginal'"):
        estimator(question=QUESTIONS, unseen="marginal").fit(X, Y)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), shrinkage=st.floats(0, 1e3), share=st.floats(0.01, 0.99))
def test_splitting_a_cells_respondents_into_two_rows_changes_nothing(seed, shrinkage, share):
    generator = np.random.default_rng(seed)
    X = pd.DataFrame({"a": generator.integers(0, 3, 6), "b": generator.choice(["x", "y"], 6)})
    Y = generator.dirichlet(np.ones(4), 6)
    n = generator.uniform(2, 40, 6)
    X_split, Y_split = pd.concat([X, X.iloc[:1]]), np.vstack([Y, Y[:1]])
    n_split = np.r_[share * n[0], n[1:], (1 - share) * n[0]]
    for model in (MarginalRegressor(), CellRegressor(shrinkage)):
        P = model.fit(X, Y, n).predict(X)
        np.testing.assert_allclose(P.sum(axis=1), 1.0)
        np.testing.assert_allclose(model.fit(X_split, Y_split, n_split).predict(X), P)
