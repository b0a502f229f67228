"""Recorded elicitations as an estimator: looked up by question and background, never made up."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GroupKFold, cross_val_predict

from surveysim import Question
from surveysim.elicitation.recorded import RecordedElicitor

NAN = np.nan
QUESTIONS = {"vote": Question("Vote?", ["no", "yes"]), "trust": Question("Trust?", ["no", "some", "yes"])}


def _recorded():
    X = pd.DataFrame(
        {"question": ["vote", "vote", "trust", "trust"], "age": ["young", "old"] * 2, "n": [1.0, None, 1.0, None]}
    )
    P = np.array([[0.9, 0.1, NAN], [0.4, 0.6, NAN], [0.2, 0.3, 0.5], [0.1, 0.1, 0.8]])
    return X, P


def test_rows_are_found_by_question_and_values_in_any_order():
    X, P = _recorded()
    model = RecordedElicitor(X[["n", "age", "question"]], P, question=QUESTIONS).fit(X, P)
    order = [3, 0, 2, 1, 0]
    asked = X.iloc[order].astype({"age": "category"})
    np.testing.assert_array_equal(model.predict(asked), P[order])
    assert model.n_recorded_ == 4


def test_Y_does_not_matter():
    X, P = _recorded()
    Y = np.where(np.isnan(P), NAN, 1 / np.array([2, 2, 3, 3])[:, None])
    model = RecordedElicitor(X, P, question=QUESTIONS).fit(X[:1], Y[:1])
    np.testing.assert_array_equal(model.predict(X), P)


def test_a_cell_that_was_not_recorded_is_an_error_or_nan_never_a_guess():
    X, P = _recorded()
    P[2] = NAN  # asked, without a usable answer
    model = RecordedElicitor(X, P, question=QUESTIONS).fit(X[:1], P[:1])
    strange = pd.concat([X, X[:1].assign(age="middle")], ignore_index=True)
    with pytest.raises(ValueError, match=r"row 2 \(question 'trust', age=young, n=1.0; 2 such rows\)"):
        model.predict(strange)
    model = RecordedElicitor(X, P, question=QUESTIONS, on_missing="nan").fit(X[:1], P[:1])
    predicted = model.predict(strange)
    assert np.isnan(predicted[[2, 4]]).all()
    np.testing.assert_array_equal(predicted[[0, 1, 3]], P[[0, 1, 3]])
    assert model.n_recorded_ == 3


def test_without_a_question_and_from_arrays():
    X = np.array([[1, 2], [3, 4]])
    P = [[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]]
    np.testing.assert_array_equal(RecordedElicitor(X, P).fit(X, P).predict(X[::-1]), P[::-1])


def test_clone_pickle_frozen_and_cross_validation():
    X, P = _recorded()
    model = clone(RecordedElicitor(X, P, question=QUESTIONS, elicited_by="logprob"))
    assert model.elicited_by == "logprob"
    groups = X["question"]
    np.testing.assert_array_equal(cross_val_predict(model, X, P, cv=GroupKFold(2), groups=groups), P)
    model.fit(X, P)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), P)
    np.testing.assert_array_equal(FrozenEstimator(model).fit(X[:1], P[:1]).predict(X), P)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"on_missing": "uniform"}, ValueError, "on_missing must be 'raise' or 'nan', got 'uniform'"),
        ({"elicited_by": "verbalised"}, ValueError, "elicited_by must be one of .* got 'verbalised'"),
        ({"X_recorded": _recorded()[0].drop(columns="age")}, ValueError, "X_recorded has \\['n'\\]"),
        ({"P_recorded": _recorded()[1][:2]}, ValueError, "one row per row of X_recorded \\(4\\)"),
        ({"P_recorded": _recorded()[1][:, :2]}, ValueError, "P_recorded has 2 columns, but .* 3 options"),
        ({"P_recorded": np.full((4, 3), 1 / 3)}, ValueError, "P_recorded: row 0 has 3 options, but its question has 2"),
        ({"P_recorded": np.full((4, 3), NAN)}, ValueError, "NaN in every row"),
        ({"P_recorded": np.full((4, 3), "a")}, TypeError, "P_recorded must hold numbers"),
        ({"P_recorded": 100.1 * _recorded()[1]}, ValueError, "P_recorded: .*percentages"),
        ({"X_recorded": _recorded()[0].assign(age="old", n=1.0)}, ValueError, "rows 0 and 1 record the same cell"),
        ({"X_recorded": _recorded()[0].assign(question="sex")}, ValueError, "unknown question 'sex'"),
    ],
)
def test_bad_recordings(change, error, message):
    X, P = _recorded()
    model = RecordedElicitor(X, P, question=QUESTIONS).set_params(**change)
    with pytest.raises(error, match=message):
        model.fit(X, P)
    assert not hasattr(model, "questions_")


def test_targets_may_be_left_out():
    X, P = _recorded()
    np.testing.assert_array_equal(RecordedElicitor(X, P, question=QUESTIONS).fit(X).predict(X), P)
    alone = X.loc[:1, ["age"]], P[:2, :2]
    np.testing.assert_array_equal(RecordedElicitor(*alone).fit(alone[0]).predict(alone[0]), alone[1])
    with pytest.raises(ValueError, match="unknown question 'sex'"):
        RecordedElicitor(X, P, question=QUESTIONS).fit(X.assign(question="sex"))


def test_a_cell_recorded_twice_alike_is_one_cell():
    X, P = _recorded()
    twice = pd.concat([X, X])
    assert RecordedElicitor(twice, np.vstack([P, P]), question=QUESTIONS).fit(X, P).n_recorded_ == 4
