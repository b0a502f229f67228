"""Several surveys as one table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from surveysim import Question, join_cells, tabulate
from surveysim.datasets import QuestionSet
from surveysim.tables import Cells
from surveysim.tables.joining import survey_of

AGES = pd.CategoricalDtype(["young", "old"], ordered=True)
VOTE = Question("Will you vote?", ["no", "yes"], context="Town survey, 2020")
FEE = Question("Is the fee fair?", ["no", "partly", "yes"])


def town(**parameters) -> Cells:
    people = pd.DataFrame({"sex": ["f", "f", "m", "m"], "age": ["young", "old"] * 2, "vote": [1, 2, 2, None]})
    return tabulate(people.astype({"age": AGES}), ["sex", "age"], {"vote": VOTE}, **parameters)


def club(**parameters) -> Cells:
    people = pd.DataFrame({"age": ["young", "old", "old"], "fee": [1, 3, 2]}).astype({"age": AGES})
    return tabulate(people, ["age"], {"fee": FEE}, **parameters)


def published() -> QuestionSet:
    X = pd.DataFrame({"question": ["q1", "q1"], "party": ["red", "blue"]})
    return QuestionSet(X=X, Y=np.array([[0.2, 0.8], [0.5, 0.5]]), n=np.array([90.6, 40.0]), questions={"q1": VOTE})


def test_rows_columns_and_questions_are_united():
    cells = join_cells({"town": town(), "club": club(), "wave": published()})
    assert list(cells.questions) == ["town/vote", "club/fee", "wave/q1"]
    assert cells.questions["town/vote"] == VOTE  # with its context
    assert list(cells.X.columns) == ["question", "sex", "age", "party"]
    assert len(cells) == 3 + 2 + 2
    assert cells.Y.shape == (7, 3)
    np.testing.assert_array_equal(cells.Y[3:5], [[1, 0, 0], [0, 0.5, 0.5]])
    np.testing.assert_array_equal(np.isnan(cells.Y).sum(axis=1), [1, 1, 1, 0, 0, 1, 1])
    assert cells.n.tolist() == [1, 1, 1, 1, 2, 90.6, 40.0]
    assert cells.n_raw.tolist() == [1, 1, 1, 1, 2, 91, 40]
    assert cells.X.loc[3:, "sex"].isna().all()
    assert cells.X.loc[:4, "party"].isna().all()


def test_what_was_left_out_keeps_its_survey():
    cells = join_cells({"town": town(), "club": club()})
    assert cells.excluded["question"].tolist() == ["town/vote"]
    assert (cells.missing >= 0).all(axis=None)
    assert len(cells.missing) == len(cells)


def test_the_same_levels_stay_a_categorical_and_other_levels_become_texts():
    both = join_cells({"town": town(), "club": club()})
    assert both.X["age"].dtype == AGES
    other = club()
    other.X["age"] = other.X["age"].astype(str).astype("category")
    mixed = join_cells({"town": town(), "club": other})
    assert mixed.X["age"].tolist() == ["young", "old", "young", *other.X["age"]]
    assert mixed.X["age"].dtype == object


def test_folds_are_kept_where_all_have_equally_many():
    both = join_cells({"town": town(folds=2), "club": club(folds=2)})
    assert both.folds is not None
    np.testing.assert_allclose(both.folds.sum(axis=1) / both.n[:, None], np.nan_to_num(both.Y))
    assert join_cells({"town": town(folds=2), "club": club(folds=3)}).folds is None
    assert join_cells({"town": town(folds=2), "club": club()}).folds is None


def test_a_subset_with_questions_that_have_no_cells_is_no_wider_than_it_needs():
    wide = join_cells({"town": town(), "club": club()})
    narrow = wide.subset(wide.question_names == "town/vote")
    again = join_cells({"a": narrow})
    assert again.Y.shape == (3, 2)
    assert list(again.questions) == ["a/town/vote"]
    assert survey_of("a/town/vote") == "a"


def test_an_estimator_is_fitted_on_the_joined_table():
    from surveysim.baselines import LogitRegressor

    cells = join_cells({"town": town(), "club": club()})
    P = LogitRegressor(question=cells.questions).fit(cells.X, cells.Y, cells.n).predict(cells.X)
    np.testing.assert_array_equal(np.isnan(P), np.isnan(cells.Y))


def numbered(table: Cells) -> Cells:
    table.X["age"] = [18.0, 70.0]
    return table


@pytest.mark.parametrize(
    ("surveys", "error", "message"),
    [
        ({}, ValueError, "at least one name"),
        ([], ValueError, "surveys must map"),
        ({"a/b": "town"}, ValueError, "'a/b'"),
        ({" ": "town"}, ValueError, "must not contain"),
        (
            {"a": 1},
            TypeError,
            r"surveys\['a'\] must be Cells or a QuestionSet, got int without \['X', 'Y', 'n', 'questions'\]",
        ),
        ({"a": "empty"}, ValueError, "have no cells"),
        ({"a": "town", "b": "numbered"}, ValueError, "'age' holds numbers in 'b' and texts in 'a'"),
        ({"a": "unnamed"}, ValueError, r"surveys\['a'\] has 2 questions and no column 'question'"),
        ({"a": "unknown"}, ValueError, r"rows name the questions \['q9'\]"),
        ({"a": "short"}, ValueError, "equally many rows, got 2, 2 and 1"),
    ],
)
def test_clashes_are_named(surveys, error, message):
    wave = published()
    tables = {
        "town": town(),
        "numbered": numbered(club()),
        "empty": town().subset([]),
        "unnamed": QuestionSet(**{**wave, "X": wave.X[["party"]], "questions": {"q1": VOTE, "q2": VOTE}}),
        "unknown": QuestionSet(**{**wave, "X": wave.X.assign(question="q9")}),
        "short": QuestionSet(**{**wave, "n": wave.n[:1]}),
    }
    if isinstance(surveys, dict):
        surveys = {
            name: tables.get(table, table) if isinstance(table, str) else table for name, table in surveys.items()
        }
    with pytest.raises(error, match=message):
        join_cells(surveys)
