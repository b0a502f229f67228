"""The estimator contract: what X, Y, question and sample_weight may be, and what the messages say when they are not."""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from surveysim import Question
from surveysim.base import DistributionRegressor
from surveysim.baselines import CellRegressor, LogitRegressor
from surveysim.cells import FitCells, PredictCells

TRUST = Question("Do you trust the press?", ["no", "a little", "yes"])
VOTE = Question("Will you vote?", ["no", "yes"])
QUESTIONS = {"vote": VOTE, "trust": TRUST}


class Recorder(DistributionRegressor):
    """Keeps what the base class hands to an estimator, predicts equal shares."""

    def __init__(self, question=None, question_column="question"):
        self.question = question
        self.question_column = question_column

    def fit(self, X, Y, sample_weight=None, interrupt=None):
        with self._atomic_fit():
            self.cells_ = self._validate_fit(X, Y, sample_weight)
            if interrupt is not None:
                raise interrupt
        return self

    def _predict(self, cells: PredictCells) -> np.ndarray:
        self.asked_ = cells
        exists = np.arange(self.n_options_) < cells.n_options[:, None]
        return np.where(exists, 1 / cells.n_options[:, None], np.nan)


@pytest.fixture
def X():
    return pd.DataFrame({"age": ["young", "old", "old"], "children": [0.0, 2.0, np.nan]}, index=[7, 8, 9])


@pytest.fixture
def Y():
    return np.array([[0.2, 0.3, 0.5], [0.1, 0.1, 0.8], [1.0, 0.0, 0.0]])


@pytest.fixture
def X_two(X):
    return X.assign(question=["vote", "trust", "trust"])


@pytest.fixture
def Y_two():
    return np.array([[0.4, 0.6, np.nan], [0.1, 0.1, 0.8], [1.0, 0.0, 0.0]])


# --- what a fit remembers and hands on --------------------------------------------------------------------------------


def test_a_single_question_is_paired_with_every_row(X, Y):
    model = Recorder(TRUST).fit(X, Y, sample_weight=[5, 6, 7])
    cells = model.cells_
    assert isinstance(cells, FitCells)
    assert model.questions_ == {"": TRUST}
    assert model.backgrounds_ == ["age", "children"]
    assert model.n_options_ == 3
    assert model.n_features_in_ == 2
    assert model.n_dropped_ == 0
    assert list(model.feature_names_in_) == ["age", "children"]
    assert list(cells.backgrounds.index) == [0, 1, 2]
    assert cells.question_index.tolist() == [0, 0, 0]
    assert cells.question_names.tolist() == ["", "", ""]
    assert cells.n.tolist() == [5.0, 6.0, 7.0]
    assert cells.Y.dtype == np.float64
    np.testing.assert_array_equal(cells.counts, np.array([5, 6, 7])[:, None] * Y)


def test_a_mapping_pairs_rows_by_the_question_column_which_is_no_background(X_two, Y_two):
    model = Recorder(QUESTIONS).fit(X_two, Y_two)
    cells = model.cells_
    assert model.backgrounds_ == ["age", "children"]
    assert list(model.feature_names_in_) == ["age", "children", "question"]
    assert model.n_options_ == 3
    assert cells.question_index.tolist() == [0, 1, 1]
    assert cells.question_names.tolist() == ["vote", "trust", "trust"]
    assert list(cells.backgrounds.columns) == ["age", "children"]
    assert cells.counts[0].tolist() == [0.4, 0.6, 0.0]
    assert [(i, name, q, rows.tolist()) for i, name, q, rows in cells.by_question()] == [
        (0, "vote", VOTE, [0]),
        (1, "trust", TRUST, [1, 2]),
    ]
    P = model.predict(X_two)
    np.testing.assert_array_equal(P, [[0.5, 0.5, np.nan], [1 / 3] * 3, [1 / 3] * 3])


def test_the_question_column_can_have_another_name_and_be_categorical(X_two, Y_two):
    X_two = X_two.rename(columns={"question": "item"}).astype({"item": "category"})
    model = Recorder(QUESTIONS, question_column="item").fit(X_two, Y_two)
    assert model.cells_.question_names.tolist() == ["vote", "trust", "trust"]
    assert model.backgrounds_ == ["age", "children"]


def test_K_is_the_longest_question_of_the_mapping_even_if_only_a_shorter_one_is_asked(X_two, Y_two):
    only_vote = X_two.iloc[:1]
    assert Recorder(QUESTIONS).fit(only_vote, Y_two[:1]).predict(only_vote).shape == (1, 3)
    with pytest.raises(ValueError, match=r"Y has 2 columns, but question 'trust' has 3 options"):
        Recorder(QUESTIONS).fit(only_vote, Y_two[:1, :2])


def test_without_a_question_the_options_are_numbered(X, Y):
    model = Recorder().fit(X, Y)
    assert model.questions_[""].options == ("1", "2", "3")


def test_an_array_gets_columns_x0_x1_and_may_mix_types(Y):
    X = np.array([["a", 1.5], ["b", 2], ["b", None]], dtype=object)
    model = Recorder().fit(X, Y)
    assert model.backgrounds_ == ["x0", "x1"]
    assert model.cells_.backgrounds["x1"].dtype == np.float64
    assert not hasattr(model, "feature_names_in_")


def test_an_array_can_name_its_question_column_by_position(Y_two):
    X = np.array([["vote", 1], ["trust", 2], ["trust", 3]], dtype=object)
    model = Recorder(QUESTIONS, question_column="x0").fit(X, Y_two)
    assert model.backgrounds_ == ["x1"]


def test_rows_without_respondents_are_dropped_counted_and_not_looked_at(X, Y):
    Y[1] = np.nan
    model = Recorder(TRUST).fit(X, Y, sample_weight=[5, 0, 7])
    assert model.n_dropped_ == 1
    assert model.cells_.rows.tolist() == [0, 2]
    assert model.cells_.backgrounds["age"].tolist() == ["young", "old"]
    assert model.cells_.backgrounds.index.tolist() == [0, 1]


def test_errors_name_rows_of_the_X_that_was_passed_also_after_rows_were_dropped(X, Y):
    Y[2] = [0.5, 0.5, 0.5]
    with pytest.raises(ValueError, match=r"Y: row 2 sums to 1\.5"):
        Recorder(TRUST).fit(X, Y, sample_weight=[0, 0, 7])


def test_intervals_become_text_and_keep_their_order(Y):
    X = pd.DataFrame({"age": pd.cut([20, 40, 60], [0, 30, 50, 100])})
    age = Recorder().fit(X, Y).cells_.backgrounds["age"]
    assert age.tolist() == ["(0, 30]", "(30, 50]", "(50, 100]"]
    assert age.cat.ordered


def test_X_and_Y_are_left_as_they_were(X_two, Y_two):
    X_before, Y_before = X_two.copy(), Y_two.copy()
    Recorder(QUESTIONS).fit(X_two, Y_two, sample_weight=[1, 0, 3]).predict(X_two)
    pd.testing.assert_frame_equal(X_two, X_before)
    np.testing.assert_array_equal(Y_two, Y_before)


def test_X_of_the_question_alone_has_no_backgrounds(Y_two):
    X = pd.DataFrame({"question": ["vote", "trust", "trust"]})
    model = Recorder(QUESTIONS).fit(X, Y_two)
    assert model.backgrounds_ == []
    assert model.predict(X).shape == (3, 3)


# --- questions --------------------------------------------------------------------------------------------------------


def test_a_mapping_of_one_question_accepts_X_with_and_without_its_column(X, Y):
    one = {"trust": TRUST}
    named = X.assign(question="trust")
    for trained, asked in [(X, X), (X, named), (named, X), (named, named)]:
        model = Recorder(one).fit(trained, Y)
        assert model.backgrounds_ == ["age", "children"]
        assert model.predict(asked).shape == (3, 3)
        assert model.asked_.question_names.tolist() == ["trust"] * 3
        assert list(model.asked_.backgrounds.columns) == ["age", "children"]


def test_the_column_that_one_question_may_do_without_is_still_read(X, Y):
    model = Recorder({"trust": TRUST}).fit(X, Y)
    with pytest.raises(ValueError, match="unknown question 'vote' in row 0"):
        model.predict(X.assign(question="vote"))


@pytest.mark.parametrize("question", [TRUST, None])
def test_a_single_question_with_the_column_present_is_an_error(question, X_two, Y):
    with pytest.raises(ValueError, match=r"has a column 'question', but question= is not a mapping.*question_column="):
        Recorder(question).fit(X_two, Y)


def test_several_questions_need_the_column(X, Y):
    with pytest.raises(ValueError, match=r"no column 'question' .* 2 questions\. Columns of X: 'age', 'children'"):
        Recorder(QUESTIONS).fit(X, Y)
    with pytest.raises(ValueError, match="array without column names; pass a DataFrame"):
        Recorder(QUESTIONS).fit(X.to_numpy(), Y)


def test_an_unknown_question_is_named_with_those_that_are_known(X_two, Y_two):
    X_two["question"] = ["vote", "turst", "trust"]
    message = r"column 'question' names unknown question 'turst' in row 1\. Known questions: 'vote', 'trust'"
    with pytest.raises(ValueError, match=message):
        Recorder(QUESTIONS).fit(X_two, Y_two)


def test_a_row_must_name_its_question(X_two, Y_two):
    X_two["question"] = ["vote", None, "trust"]
    with pytest.raises(ValueError, match="'question' is missing in row 1"):
        Recorder(QUESTIONS).fit(X_two, Y_two)


@pytest.mark.parametrize(
    ("question", "error", "message"),
    [
        ("Do you?", TypeError, "must be a Question or a mapping"),
        ({}, ValueError, "empty mapping"),
        ({"a": "Do you?"}, TypeError, r"question\['a'\] must be a Question"),
    ],
)
def test_question_must_be_a_question(question, error, message, X, Y):
    with pytest.raises(error, match=message):
        Recorder(question).fit(X, Y)


def test_question_column_must_be_a_name(X, Y):
    with pytest.raises(TypeError, match="question_column must be the name of a column"):
        Recorder(TRUST, question_column=None).fit(X, Y)


# --- Y ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda Y: Y[:2], r"X has 3 rows, but Y has 2"),
        (lambda Y: Y[:, :2], r"Y has 2 columns, but the question has 3 options"),
        (lambda Y: Y * 97.5, r"row 0 sums to 97.5.*percentages"),
        (lambda Y: np.round(Y * 10), r"row 0 sums to 10.*tabulate"),
        (lambda Y: np.array([0, 1, 2]), r"two-dimensional.*tabulate"),
        (lambda Y: Y - [[0.3, -0.3, 0]], r"row 0 has a negative entry"),
        (lambda Y: np.where(np.eye(3) > 0, np.nan, Y), r"row 0 has NaN among its options"),
        (lambda Y: [[0.5, 0.5], [0.2, 0.3, 0.5], [1, 0, 0]], r"rows differ in length; pad shorter questions with NaN"),
        (lambda Y: None, r"target y is None"),
    ],
)
def test_a_Y_that_is_no_distribution_is_refused_with_the_row_and_the_reason(change, message, X, Y):
    with pytest.raises(ValueError, match=message):
        Recorder(TRUST).fit(X, change(Y))


def test_Y_must_have_as_many_options_as_the_rows_question(X_two, Y_two):
    X_two["question"] = ["vote", "vote", "trust"]
    with pytest.raises(ValueError, match=r"row 1 has 3 options, but its question has 2"):
        Recorder(QUESTIONS).fit(X_two, Y_two)


def test_Y_of_words_is_a_type_error(X):
    with pytest.raises(TypeError, match="Y must hold numbers"):
        Recorder(TRUST).fit(X, [["no", "yes", "no"]] * 3)


def test_Y_may_be_a_frame(X, Y):
    columns = pd.DataFrame(Y, columns=["no", "a little", "yes"])
    np.testing.assert_array_equal(Recorder(TRUST).fit(X, columns).cells_.Y, Y)


# --- X ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "error", "message"),
    [
        ([1.0, np.inf, 2.0], ValueError, r"column 'bad' has an infinite value \(inf\) in row 1"),
        (pd.to_datetime(["2020-01-01"] * 3), TypeError, r"column 'bad' has dtype datetime64"),
        ([["a"], ["b"], ["c"]], TypeError, r"column 'bad': row 0 holds \['a'\] of type list"),
        ([1, "a", 1j], ValueError, r"Complex data not supported: X: column 'bad': row 2"),
        (["a", float("inf"), "b"], ValueError, r"column 'bad': row 1 holds an infinite value"),
        (pd.Categorical([("a",), ("b",), ("a",)]), TypeError, r"column 'bad': category 0 holds \('a',\)"),
    ],
)
def test_a_background_that_is_no_text_or_number_is_refused(column, error, message, X, Y):
    X["bad"] = column
    with pytest.raises(error, match=message):
        Recorder().fit(X, Y)


@pytest.mark.parametrize(
    "column",
    [
        ["a", None, "b"],
        pd.array(["a", pd.NA, "b"], dtype="string"),
        pd.array([1, pd.NA, 3], dtype="Int64"),
        [True, False, True],
        ["a", 1, True],
        pd.Categorical([1, 2, None]),
        pd.arrays.IntervalArray.from_tuples([(0, 1), (1, 2), (0, 1)]),
    ],
)
def test_every_kind_of_background_is_accepted(column, X, Y):
    X["good"] = column
    for model in (Recorder(), LogitRegressor(), CellRegressor()):
        np.testing.assert_allclose(model.fit(X, Y).predict(X).sum(axis=1), 1.0)


def test_empty_and_repeated_columns_are_refused(X, Y):
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        Recorder().fit(X.iloc[:0], Y[:0])
    with pytest.raises(ValueError, match=r"0 feature\(s\)"):
        Recorder().fit(X[[]], Y)
    with pytest.raises(ValueError, match="more than one column named 'age'"):
        Recorder().fit(pd.concat([X, X[["age"]]], axis=1), Y)


def test_a_column_missing_at_predict_is_named(X, Y):
    model = Recorder().fit(X, Y)
    with pytest.raises(ValueError, match=r"(?s)feature names.*missing.*children"):
        model.predict(X[["age"]])
    with pytest.raises(ValueError, match=r"(?s)feature names.*unseen.*income"):
        model.predict(X.assign(income=1))
    with pytest.raises(ValueError, match="must be in the same order"):
        model.predict(X[["children", "age"]])


def test_the_question_column_missing_at_predict_is_named(X_two, Y_two):
    model = Recorder(QUESTIONS).fit(X_two, Y_two)
    with pytest.raises(ValueError, match=r"(?s)feature names.*missing.*question"):
        model.predict(X_two.drop(columns="question"))


def test_numbers_as_column_names_are_compared_too(Y):
    X = pd.DataFrame([["a", 1], ["b", 2], ["b", 3]])
    model = Recorder().fit(X, Y)
    assert model.backgrounds_ == ["0", "1"]
    model.predict(X)
    with pytest.raises(ValueError, match=r"order at fit: \['0', '1'\]"):
        model.predict(X[[1, 0]])


def test_an_array_after_a_frame_warns_as_in_scikit_learn_and_is_read_by_position(X, Y):
    model = Recorder().fit(X, Y)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model.predict(X.to_numpy())
    assert list(model.asked_.backgrounds.columns) == ["age", "children"]
    model = Recorder().fit(X.to_numpy(), Y)
    with pytest.warns(UserWarning, match="X has feature names"):
        model.predict(X)


# --- sample_weight ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weight", "error", "message"),
    [
        ([1, np.nan, 2], ValueError, r"sample_weight: row 1 is NaN"),
        ([1, 2, -3], ValueError, r"sample_weight: row 2 is negative \(-3\.0"),
        ([np.inf, 2, 3], ValueError, r"sample_weight: row 0 is infinite"),
        ([0, 0, 0], ValueError, r"zero in every row"),
        ([1, 2], ValueError, r"sample_weight\.shape == \(2,\), but X has 3 rows"),
        ([[1], [2], [3]], ValueError, r"1D array"),
        (["many", "few", "none"], TypeError, r"sample_weight must hold numbers"),
    ],
)
def test_weights_that_are_no_respondents_are_refused(weight, error, message, X, Y):
    with pytest.raises(error, match=message):
        Recorder().fit(X, Y, sample_weight=weight)


def test_weights_that_look_normalised_warn(X, Y):
    with pytest.warns(UserWarning, match=r"looks normalised \(mean 1, not whole numbers\).*cells\.n"):
        Recorder().fit(X, Y, sample_weight=[0.5, 1.0, 1.5])


@pytest.mark.parametrize("weight", [None, 1, 7.5, [1, 1, 1], [1, 0, 1], [1.2, 9.5, 30.1]])
def test_weights_that_are_respondents_do_not_warn(weight, X, Y):
    Recorder().fit(X, Y, sample_weight=weight)


# --- a fit that does not come to its end ------------------------------------------------------------------------------


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt(), RuntimeError("out of memory")])
def test_an_interrupted_first_fit_leaves_the_estimator_unfitted(interrupt, X, Y):
    model = Recorder()
    with pytest.raises(type(interrupt)):
        model.fit(X, Y, interrupt=interrupt)
    with pytest.raises(NotFittedError):
        model.predict(X)


def test_an_interrupted_refit_keeps_the_previous_fit(X, Y, X_two, Y_two):
    model = Recorder(QUESTIONS).fit(X_two, Y_two)
    before = copy.copy(vars(model))
    with pytest.raises(KeyboardInterrupt):
        model.fit(X_two.drop(columns="age"), Y_two, interrupt=KeyboardInterrupt())
    with pytest.raises(ValueError, match="no column 'question'"):
        model.fit(X, Y)
    assert vars(model) == before
    assert model.predict(X_two).shape == (3, 3)
