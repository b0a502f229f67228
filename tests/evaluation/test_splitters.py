"""Splitters for the unseen: what they leave out, and that scikit-learn takes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score

from surveysim import Question, tabulate
from surveysim.baselines import LogitRegressor
from surveysim.evaluation import LeaveBothOut, LeaveCombinationsOut, LeaveLevelsOut, LeaveQuestionsOut
from surveysim.tables import Cells


@pytest.fixture
def cells(respondents: pd.DataFrame, questions: dict[str, Question]) -> Cells:
    return tabulate(respondents, ["age", "sex"], questions)


def test_each_level_is_left_out_once_and_as_a_whole(cells: Cells) -> None:
    splitter = LeaveLevelsOut()
    told = splitter.describe(cells.X)
    assert told["level"].tolist() == ["18-29", "30-64", "65+", *cells.X["sex"].unique()]
    assert told["place"].tolist() == ["end", "inner", "end", "unordered", "unordered"]
    folds = list(splitter.split(cells.X, cells.Y))
    assert splitter.get_n_splits(cells.X) == len(folds) == 5
    for (train, test), row in zip(folds, told.itertuples(), strict=True):
        assert set(cells.X[row.column].astype(str).iloc[test]) == {row.level}
        assert row.level not in set(cells.X[row.column].astype(str).iloc[train])
        assert sorted([*train, *test]) == list(range(len(cells)))


@pytest.mark.parametrize(
    ("place", "levels"), [("end", ["18-29", "65+"]), ("inner", ["30-64"]), ("unordered", ["f", "m"])]
)
def test_end_and_inner_levels_apart(place: str, levels: list[str], cells: Cells) -> None:
    assert sorted(LeaveLevelsOut(place=place).describe(cells.X)["level"]) == levels


def test_numbers_are_ordered_and_missing_levels_stay_in_training() -> None:
    X = pd.DataFrame({"children": [2.0, 0.0, 1.0, np.nan], "all": ["x"] * 4})
    splitter = LeaveLevelsOut()
    assert splitter.describe(X).values.tolist() == [
        ["children", "0", "end", 1],
        ["children", "1", "inner", 1],
        ["children", "2", "end", 1],
    ]
    assert [test.tolist() for _, test in splitter.split(X)] == [[1], [2], [0]]
    assert all(3 in train for train, _ in splitter.split(X))


def test_combinations_leave_every_level_in_training(cells: Cells) -> None:
    splitter = LeaveCombinationsOut(n_splits=3)
    tested = []
    for train, test in splitter.split(cells.X):
        for column in ("age", "sex"):
            assert set(cells.X[column].iloc[test]) <= set(cells.X[column].iloc[train])
        pairs = [set(zip(cells.X["age"].iloc[rows], cells.X["sex"].iloc[rows], strict=True)) for rows in (train, test)]
        assert not pairs[0] & pairs[1]
        tested += test.tolist()
    assert sorted(tested) == list(range(len(cells)))
    again = list(splitter.split(cells.X))
    for (_, first), (_, second) in zip(again, splitter.split(cells.X), strict=True):
        np.testing.assert_array_equal(first, second)


def test_questions_are_left_out_one_at_a_time_or_in_folds(cells: Cells) -> None:
    names = cells.question_names
    alone = [set(names[test]) for _, test in LeaveQuestionsOut().split(cells.X)]
    assert alone == [{"happy"}, {"party"}, {"vote"}]
    folds = list(LeaveQuestionsOut(n_splits=2).split(cells.X))
    assert len(folds) == 2
    for train, test in folds:
        assert not set(names[train]) & set(names[test])


def test_both_are_unseen(cells: Cells) -> None:
    splitter = LeaveBothOut(LeaveLevelsOut("sex"), LeaveQuestionsOut())
    folds = list(splitter.split(cells.X))
    assert splitter.get_n_splits(cells.X) == len(folds) == 6
    for train, test in folds:
        sex, question = set(cells.X["sex"].iloc[test]), set(cells.question_names[test])
        assert len(sex) == len(question) == 1
        assert not sex & set(cells.X["sex"].iloc[train])
        assert not question & set(cells.question_names[train])


def test_scikit_learn_takes_them(cells: Cells) -> None:
    splitters = [
        LeaveLevelsOut(),
        LeaveCombinationsOut(n_splits=3),
        LeaveQuestionsOut(),
        LeaveBothOut(LeaveLevelsOut("sex"), LeaveQuestionsOut()),
    ]
    with sklearn.config_context(enable_metadata_routing=True):
        model = LogitRegressor(question=cells.questions, unseen="uniform").set_fit_request(sample_weight=True)
        model.set_score_request(sample_weight=True)
        for splitter in splitters:
            scores = cross_val_score(model, cells.X, cells.Y, cv=splitter, params={"sample_weight": cells.n})
            assert len(scores) == splitter.get_n_splits(cells.X)
            assert (scores < 0).all()
        search = GridSearchCV(model, {"prior": ["fixed", "eb"]}, cv=splitters[0])
        search.fit(cells.X, cells.Y, sample_weight=cells.n)
    assert search.n_splits_ == 5
    assert "LeaveLevelsOut(" in repr(splitters[0])
    assert clone(search).cv is not None


@pytest.mark.parametrize(
    ("splitter", "X", "error", "message"),
    [
        (LeaveLevelsOut(), None, ValueError, "X must be passed"),
        (LeaveLevelsOut(), [[1]], TypeError, "must be a pandas DataFrame"),
        (LeaveLevelsOut("county"), {"a": [1, 2]}, ValueError, r"columns names \['county'\]"),
        (LeaveLevelsOut(place="middle"), {"a": [1, 2]}, ValueError, "place must be one of"),
        (LeaveLevelsOut(place="inner"), {"a": [1, 2]}, ValueError, "no level to leave out"),
        (LeaveLevelsOut("question"), {"question": ["a", "b"]}, ValueError, "is not a background"),
        (LeaveCombinationsOut(n_splits=2), {"a": [1, 2]}, ValueError, "a combination needs two backgrounds"),
        (LeaveCombinationsOut(n_splits=9), {"a": [1, 2], "b": [1, 1]}, ValueError, "too few for n_splits=9"),
        (LeaveCombinationsOut(n_splits=2), {"a": [1, 2], "b": [1, 2]}, ValueError,
         "a='[12]' is in the combinations of only one fold"),
        (LeaveQuestionsOut(), {"a": [1, 2]}, ValueError, "no column 'question'"),
        (LeaveQuestionsOut(), {"question": ["a", "a"]}, ValueError, "leaves nothing to train on"),
        (LeaveQuestionsOut(), {"question": ["a", None]}, ValueError, "names no question in row 1"),
        (LeaveBothOut(LeaveLevelsOut(), LeaveQuestionsOut()), {"question": ["a", "a", "b"], "s": [1, 2, 1]}, ValueError,
         "leaving out both leaves nothing"),
    ],
)  # fmt: skip
def test_what_is_refused(splitter: Any, X: Any, error: type[Exception], message: str) -> None:
    frame = pd.DataFrame(X) if isinstance(X, dict) else X
    with pytest.raises(error, match=message):
        list(splitter.split(frame))
