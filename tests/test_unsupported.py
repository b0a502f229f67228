"""Combinations that scikit-learn or the task rule out, each with the message that the user sees."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import BaggingRegressor, VotingRegressor
from sklearn.metrics import get_scorer
from sklearn.model_selection import StratifiedKFold, cross_val_predict, cross_val_score

from surveysim import Question
from surveysim.baselines import LogitRegressor, MarginalRegressor

QUESTIONS = {
    "vote": Question("Will you vote?", ["no", "yes"]),
    "trust": Question("Do you trust the press?", ["no", "a little", "yes"]),
}


@pytest.fixture
def X():
    return pd.DataFrame({"question": ["vote", "trust"] * 6, "age": ["young", "old", "old"] * 4})


@pytest.fixture
def Y():
    return np.array([[0.4, 0.6, np.nan], [0.2, 0.3, 0.5]] * 6)


@pytest.fixture
def model():
    return LogitRegressor(question=QUESTIONS)


def test_stratified_folds_refuse_ragged_targets(model, X, Y):
    with pytest.raises(ValueError, match=r"Input y contains NaN"):
        cross_val_score(model, X, Y, cv=StratifiedKFold(3))


def test_stratified_folds_need_classes(X):
    Y = np.array([[0.4, 0.6], [0.2, 0.8]] * 6)
    with pytest.raises(ValueError, match=r"Supported target types are.*'continuous-multioutput'"):
        cross_val_score(MarginalRegressor(), X[["age"]], Y, cv=StratifiedKFold(3))


def test_bagging_refuses_ragged_targets(model, X, Y):
    with pytest.raises(ValueError, match=r"Input y contains NaN"):
        BaggingRegressor(model, n_estimators=2).fit(X, Y)


def test_bagging_hands_on_arrays_so_several_questions_lose_their_column(X):
    questions = {"vote": QUESTIONS["vote"], "again": QUESTIONS["vote"]}
    X = X.assign(question=["vote", "again"] * 6)
    Y = np.array([[0.4, 0.6], [0.2, 0.8]] * 6)
    with pytest.raises(ValueError, match=r"array without column names; pass a DataFrame \(BaggingRegressor"):
        BaggingRegressor(MarginalRegressor(question=questions), n_estimators=2).fit(X, Y)


def test_a_transformed_target_may_not_be_ragged(model, X, Y):
    with pytest.raises(ValueError, match="Input y contains NaN"):
        TransformedTargetRegressor(model, func=np.sqrt, inverse_func=np.square).fit(X, Y)


def test_a_transformed_target_is_off_the_simplex(X):
    Y = np.array([[0.4, 0.6], [0.2, 0.8]] * 6)
    transformed = TransformedTargetRegressor(MarginalRegressor(), func=np.sqrt, inverse_func=np.square)
    with pytest.raises(ValueError, match=r"Y: row 0 sums to 1\.40705, not to 1"):
        transformed.fit(X[["age"]], Y)


@pytest.mark.parametrize("scoring", ["neg_mean_squared_error", "neg_mean_absolute_error", "r2"])
def test_scorers_of_scikit_learn_refuse_ragged_targets(scoring, model, X, Y):
    model.fit(X, Y)
    with pytest.raises(ValueError, match="Input contains NaN"):
        get_scorer(scoring)(model, X, Y)


def test_cross_val_predict_of_probabilities_label_encodes_and_the_error_says_so(X):
    Y = np.array([[0.4, 0.6], [0.2, 0.8], [0.3, 0.7]] * 4)
    message = r"(?s)whole numbers.*cross_val_predict\(method=\"predict_proba\"\).*leave out"
    with pytest.raises(ValueError, match=message):
        cross_val_predict(MarginalRegressor(), X[["age"]], Y, cv=3, method="predict_proba")


def test_voting_takes_no_distributions(X):
    Y = np.array([[0.4, 0.6], [0.2, 0.8]] * 6)
    with pytest.raises(ValueError, match=r"y should be a 1d array"):
        VotingRegressor([("a", MarginalRegressor()), ("b", LogitRegressor())]).fit(X[["age"]], Y)
