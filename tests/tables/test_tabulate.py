"""tabulate: cells by hand, in order, with the dtypes of the file; nothing lost in silence; what it refuses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surveysim import Question, tabulate
from surveysim.distributions import check_distributions
from surveysim.tables import MISSING_KINDS

YES_NO = Question("Yes?", ["yes", "no"])
RATING = Question("How good?", ["bad", "fair", "good"])

SURVEY = pd.DataFrame(
    {
        "age": pd.Categorical(
            ["young", "old", "young", "old", "young", "old"], ["young", "middle", "old"], ordered=True
        ),
        "children": [2, 0, 2, 0, 10, 0],
        "vote": ["yes", "no", "no", "no", "yes", None],
        "rating": [1, 2, 3, 3, 3, 1],
        "weight": [1.0, 1.0, 3.0, 2.0, 5.0, 1.0],
    }
)


@pytest.fixture
def cells():
    return tabulate(SURVEY, ["age", "children"], {"vote": YES_NO, "rating": RATING}, weights="weight", folds=2)


class TestByHand:
    def test_order_question_then_background(self, cells):
        expected = [
            ("vote", "young", 2),
            ("vote", "young", 10),
            ("vote", "old", 0),
            ("rating", "young", 2),
            ("rating", "young", 10),
            ("rating", "old", 0),
        ]
        assert list(cells.X.itertuples(index=False, name=None)) == expected

    def test_dtypes_are_kept(self, cells):
        assert cells.X["age"].dtype == SURVEY["age"].dtype
        assert cells.X["children"].dtype == SURVEY["children"].dtype
        assert cells.X.index.equals(pd.RangeIndex(6))

    def test_shares(self, cells):
        expected = [
            [0.25, 0.75, np.nan],
            [1, 0, np.nan],
            [0, 1, np.nan],
            [0.25, 0, 0.75],
            [0, 0, 1],
            [0.25, 0.25, 0.5],
        ]
        np.testing.assert_allclose(cells.Y, expected)
        check_distributions(cells.Y, [2, 2, 2, 3, 3, 3])

    def test_respondents(self, cells):
        np.testing.assert_array_equal(cells.n_raw, [2, 1, 2, 2, 1, 3])
        np.testing.assert_allclose(cells.weight_sum, [4, 5, 3, 4, 5, 4])
        # Kish: (1 + 3)^2 / (1 + 9) = 1.6; (1 + 2)^2 / 5 = 1.8; (1 + 2 + 1)^2 / 6
        np.testing.assert_allclose(cells.n, [1.6, 1, 1.8, 1.6, 1, 16 / 6])

    def test_missing_and_excluded(self, cells):
        assert list(cells.missing.columns) == list(MISSING_KINDS)
        np.testing.assert_array_equal(cells.missing["not asked"], [0, 0, 1, 0, 0, 0])
        assert cells.missing.to_numpy().sum() == 1
        assert cells.excluded.to_dict("records") == [
            {"question": "vote", "reason": "not asked", "respondents": 1, "weight_sum": 1.0, "outside_cells": 0}
        ]


def test_one_question_adds_no_question_column():
    cells = tabulate(SURVEY, ["children"], {"rating": RATING})
    assert list(cells.X.columns) == ["children"]
    assert cells.questions == {"rating": RATING}
    np.testing.assert_allclose(cells.n, [3, 2, 1])
    np.testing.assert_array_equal(cells.n_raw, [3, 2, 1])


def test_a_single_question_finds_the_only_column_left():
    data = SURVEY[["age", "rating", "weight"]]
    cells = tabulate(data, ["age"], RATING, weights="weight")
    assert list(cells.questions) == ["rating"]
    with pytest.raises(ValueError, match=r"candidates: \['children', 'vote', 'rating'\]"):
        tabulate(SURVEY, ["age"], RATING, weights="weight")


def test_questions_come_in_the_order_of_the_mapping():
    cells = tabulate(SURVEY, ["age"], {"vote": YES_NO, "rating": RATING})
    assert cells.X["question"].tolist() == ["vote", "vote", "rating", "rating"]
    cells = tabulate(SURVEY, ["age"], {"rating": RATING, "vote": YES_NO})
    assert cells.X["question"].tolist() == ["rating", "rating", "vote", "vote"]


def test_data_is_left_as_it_was():
    before = SURVEY.copy(deep=True)
    tabulate(SURVEY, ["age", "children"], {"vote": YES_NO}, weights="weight", folds=2)
    pd.testing.assert_frame_equal(SURVEY, before)


def test_the_index_of_data_plays_no_part():
    labelled = SURVEY.set_index(pd.Index([7, 7, 7, 1, 1, 1]))
    one = tabulate(SURVEY, ["age"], {"rating": RATING}, weights="weight")
    other = tabulate(labelled, ["age"], {"rating": RATING}, weights="weight")
    pd.testing.assert_frame_equal(one.X, other.X)
    np.testing.assert_array_equal(one.Y, other.Y)


class TestBackgrounds:
    def levels(self, values, **parameters):
        data = pd.DataFrame({"b": values, "q": [1] * len(values)})
        return tabulate(data, ["b"], {"q": YES_NO}, **parameters).X["b"]

    def test_numbers_by_value_text_by_alphabet_booleans_false_first(self):
        assert self.levels([10, 9, 2.5]).tolist() == [2.5, 9, 10]
        assert self.levels(["b", "a", "10", "9"]).tolist() == ["10", "9", "a", "b"]
        assert self.levels([True, False, True]).tolist() == [False, True]

    def test_unordered_categories_in_their_order_and_still_unordered(self):
        levels = self.levels(pd.Categorical(["a", "c"], ["c", "b", "a"]))
        assert levels.tolist() == ["c", "a"]
        assert levels.cat.ordered is False

    @pytest.mark.parametrize(
        "values",
        [
            ["b", None, "a", None],
            [2.0, np.nan, 1.0, np.nan],
            pd.array([2, None, 1, None], dtype="Int64"),
            pd.Categorical(["b", None, "a", None], ordered=True),
            ["b", "", "a", "  "],
        ],
    )
    def test_missing_is_a_level_of_its_own_the_last(self, values):
        levels = self.levels(values)
        assert len(levels) == 3
        assert levels.isna().tolist() == [False, False, True]

    def test_values_that_cannot_be_compared_still_have_an_order(self):
        values = [("b", 1), 3, "a", ("a", 1)]
        assert self.levels(values).tolist() == self.levels(values[::-1]).tolist()

    def test_labels_make_an_ordered_categorical(self):
        levels = self.levels([3, 1.0, 2, 9, 2], labels={"b": {1: "low", 2: "middle", 3: "high", 9: None}})
        assert levels.tolist()[:3] == ["low", "middle", "high"]
        assert levels.isna().tolist() == [False, False, False, True]
        assert levels.cat.ordered
        assert levels.cat.categories.tolist() == ["low", "middle", "high"]

    def test_codes_may_share_a_label(self):
        data = pd.DataFrame({"b": ["1", "2", "3"], "q": [1, 2, 2]})
        cells = tabulate(data, ["b"], {"q": YES_NO}, labels={"b": {1: "low", 2: "low", 3: "high"}})
        np.testing.assert_allclose(cells.Y, [[0.5, 0.5], [0, 1]])

    def test_an_unordered_categorical_stays_unordered_with_labels(self):
        codes = pd.Categorical([2, 1], [1, 2])
        levels = self.levels(codes, labels={"b": {1: "north", 2: "south"}})
        assert levels.tolist() == ["north", "south"]
        assert not levels.cat.ordered

    def test_codes_without_a_label(self):
        with pytest.raises(ValueError, match=r"'b' holds codes without a label: 7 \(2 times\).*None"):
            self.levels([1, 7, 7], labels={"b": {1: "low"}})

    def test_bad_labels(self):
        with pytest.raises(ValueError, match=r"labels names \['c'\]"):
            self.levels([1], labels={"c": {1: "low"}})
        with pytest.raises(TypeError, match=r"labels\['b'\]\[1\] must be a text"):
            self.levels([1], labels={"b": {1: 5}})
        with pytest.raises(TypeError, match=r"labels\['b'\] must be a mapping"):
            self.levels([1], labels={"b": ["low"]})
        with pytest.raises(TypeError, match="labels must be a mapping"):
            self.levels([1], labels=["b"])


class TestExclusions:
    def test_weight_zero(self):
        data = SURVEY.assign(weight=[0, 1, 1, 0, 1, 1])
        cells = tabulate(data, ["age"], {"rating": RATING}, weights="weight")
        without = tabulate(data[data["weight"] > 0], ["age"], {"rating": RATING}, weights="weight")
        np.testing.assert_array_equal(cells.Y, without.Y)
        np.testing.assert_array_equal(cells.n, without.n)
        first = cells.excluded.iloc[0]
        assert (first["question"], first["reason"], first["respondents"]) == ("", "weight 0", 2)

    def test_a_background_where_nobody_answered_is_counted(self):
        data = pd.DataFrame({"b": ["x", "x", "y", "y"], "q": [1, np.nan, np.nan, -1]})
        cells = tabulate(data, ["b"], {"q": YES_NO}, missing={-1: "skipped"})
        assert cells.X["b"].tolist() == ["x"]
        excluded = cells.excluded.set_index("reason")
        assert excluded.loc["not asked", ["respondents", "outside_cells"]].tolist() == [2, 1]
        assert excluded.loc["skipped", ["respondents", "outside_cells"]].tolist() == [1, 1]

    def test_a_question_nobody_answered_warns(self):
        data = SURVEY.assign(vote=None)
        with pytest.warns(UserWarning, match=r"nobody answered \['vote'\]"):
            cells = tabulate(data, ["age"], {"vote": YES_NO, "rating": RATING})
        assert set(cells.X["question"]) == {"rating"}
        assert list(cells.questions) == ["vote", "rating"]

    def test_all_answers_missing(self):
        with pytest.raises(ValueError, match=r"all answers are missing: nobody answered \['vote', 'other'\]"):
            tabulate(SURVEY.assign(vote=None, other=np.nan), ["age"], {"vote": YES_NO, "other": YES_NO})


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"data": [[1, 2]]}, TypeError, "DataFrame"),
        ({"data": SURVEY[:0]}, ValueError, "data is empty"),
        ({"backgrounds": "age"}, TypeError, "list of columns, got 'age'"),
        ({"backgrounds": []}, ValueError, "backgrounds is empty"),
        ({"backgrounds": ["agee"]}, ValueError, "no column 'agee'; did you mean 'age'"),
        ({"backgrounds": ["xyz"]}, ValueError, "no column 'xyz': it has"),
        ({"backgrounds": ["age", "age"]}, ValueError, r"backgrounds names \['age'\] more than once"),
        ({"backgrounds": [1]}, TypeError, "names of columns"),
        ({"backgrounds": ["age", "rating"]}, ValueError, r"\['rating'\] are both backgrounds and answers"),
        ({"data": SURVEY.rename(columns={"age": "question"}), "backgrounds": ["question"]}, ValueError, "'question'"),
        (
            {"data": pd.concat([SURVEY, SURVEY[["age"]]], axis=1)},
            ValueError,
            r"several columns called \['age'\]",
        ),
        ({"answers": {}}, ValueError, "answers is empty"),
        ({"answers": ["rating"]}, TypeError, "mapping from columns to Question"),
        ({"answers": {"rating": "How good?"}}, TypeError, r"answers\['rating'\] must be a Question"),
        ({"answers": {"ratin": RATING}}, ValueError, "did you mean 'rating'"),
        ({"weights": "w"}, ValueError, "weights='w' is not a column"),
        ({"weights": [1.0, 2.0]}, ValueError, "weights has 2 values, data has 6 rows"),
        ({"weights": [1, -1, 1, 1, 1, -2]}, ValueError, "negative in rows 1, 5"),
        ({"weights": [1, 1, np.nan, 1, 1, 1]}, ValueError, r"missing \(NaN\) in row 2:"),
        ({"weights": [1, 1, np.inf, 1, 1, 1]}, ValueError, "infinite in row 2"),
        ({"weights": [0.0] * 6}, ValueError, "all weights are 0"),
        ({"weights": ["a"] * 6}, TypeError, "weights must be numbers"),
        ({"weights": SURVEY["weight"].iloc[::-1]}, ValueError, "a different index"),
        ({"weights": np.ones((6, 2))}, ValueError, "one value per respondent"),
        ({"missing": "skip"}, ValueError, "missing must be one of"),
        ({"missing": None}, TypeError, "missing must be one of"),
        ({"missing": {"vote": {9: "refused"}}}, ValueError, r"codes for \['vote'\], which are not questions"),
        ({"deff": 0}, ValueError, "deff must be positive"),
        ({"deff": True}, TypeError, "deff must be a number"),
        ({"deff": {"vote": 1.2}}, ValueError, "name each question once"),
        ({"folds": 1}, ValueError, "at least 2"),
        ({"folds": 7}, ValueError, "only 6 respondents"),
        ({"folds": 2.0}, ValueError, "number of folds"),
        ({"folds": (2, -1)}, ValueError, "seed at least 0"),
        ({"folds": [0, 1, 0, 1, 0, None]}, ValueError, "folds is missing in row 5"),
        ({"folds": [0, 1, 0, 1, 0, 0.5]}, ValueError, "whole numbers"),
        ({"folds": [3] * 6}, ValueError, "single fold 3"),
        ({"cluster": [1] * 6}, ValueError, "single cluster"),
        ({"cluster": [1, 2, None, 1, 2, 1]}, ValueError, "cluster is missing in row 2"),
        ({"strata": ["a", "b", "a", "b", "a", None]}, ValueError, "strata is missing in row 5"),
    ],
)
def test_refuses(change, error, message):
    parameters = {"data": SURVEY, "backgrounds": ["age"], "answers": {"rating": RATING}, **change}
    with pytest.raises(error, match=message):
        tabulate(parameters.pop("data"), parameters.pop("backgrounds"), parameters.pop("answers"), **parameters)


def test_infinite_background():
    with pytest.raises(ValueError, match="'b' is infinite in row 1"):
        tabulate(pd.DataFrame({"b": [1.0, np.inf], "q": [1, 2]}), ["b"], {"q": YES_NO})


def test_background_of_lists():
    with pytest.raises(TypeError, match="'b' must hold single values"):
        tabulate(pd.DataFrame({"b": [[1], [2]], "q": [1, 2]}), ["b"], {"q": YES_NO})


@st.composite
def surveys(draw):
    n = draw(st.integers(2, 40))
    column = lambda elements: draw(st.lists(elements, min_size=n, max_size=n))  # noqa: E731
    return pd.DataFrame(
        {
            "a": column(st.sampled_from(["x", "y", None])),
            "b": column(st.integers(0, 2)),
            "q": [1.0, *column(st.sampled_from([1, 2, 3, -1, 98, 99, np.nan]))[1:]],
            "p": ["yes", *column(st.sampled_from(["yes", "no", "Refused", None]))[1:]],
            "w": [1.0, *column(st.sampled_from([0.0, 0.5, 1.0, 2.75]))[1:]],
        }
    )


ANSWERS = {"q": RATING, "p": YES_NO}
CODES = {-1: "skipped", 98: "don't know", 99: "refused"}


@settings(deadline=None)
@given(surveys())
def test_everyone_is_counted_once_per_question(data):
    cells = tabulate(data, ["a", "b"], ANSWERS, weights="w", missing=CODES)
    counted = (cells.n_raw + cells.missing.sum(axis=1)).groupby(cells.X["question"]).sum()
    by_question = cells.excluded.groupby("question")
    weightless = int((data["w"] == 0).sum())
    for name in ANSWERS:
        outside = by_question["outside_cells"].sum().get(name, 0)
        assert counted[name] + outside + weightless == len(data)
        left_out = by_question["respondents"].sum().get(name, 0)
        assert left_out == cells.missing[cells.X["question"] == name].to_numpy().sum() + outside
    assert by_question["respondents"].sum().get("", 0) == weightless


@settings(deadline=None)
@given(surveys())
def test_cells_are_what_pandas_groups(data):
    cells = tabulate(data, ["a", "b"], ANSWERS, weights="w", missing=CODES)
    kept = data[data["w"] > 0]
    for name, question in ANSWERS.items():
        valid = [1, 2, 3] if name == "q" else ["yes", "no"]
        groups = kept[kept[name].isin(valid)].groupby(["a", "b"], dropna=False, sort=True)
        rows = np.flatnonzero(cells.X["question"] == name)
        assert len(rows) == len(groups)
        for row, (_, group) in zip(rows, groups, strict=True):
            w = group["w"]
            shares = [w[group[name] == value].sum() / w.sum() for value in valid]
            np.testing.assert_allclose(cells.Y[row, : question.n_options], shares)
            np.testing.assert_allclose(cells.n[row], w.sum() ** 2 / (w**2).sum())
            assert cells.X["b"][row] == group["b"].iloc[0]
            assert cells.n_raw[row] == len(group)


@settings(deadline=None)
@given(surveys(), st.randoms(use_true_random=False))
def test_the_order_of_respondents_does_not_matter(data, random):
    order = list(range(len(data)))
    random.shuffle(order)
    one = tabulate(data, ["a", "b"], ANSWERS, weights="w", missing=CODES)
    other = tabulate(data.iloc[order].reset_index(drop=True), ["a", "b"], ANSWERS, weights="w", missing=CODES)
    pd.testing.assert_frame_equal(one.X, other.X)
    np.testing.assert_allclose(one.Y, other.Y)
    np.testing.assert_allclose(one.n, other.n)
    pd.testing.assert_frame_equal(one.missing, other.missing)
    pd.testing.assert_frame_equal(one.excluded, other.excluded)


@settings(deadline=None)
@given(surveys(), st.floats(0.01, 1000))
def test_the_scale_of_weights_does_not_matter(data, scale):
    one = tabulate(data, ["a"], ANSWERS, weights="w", missing=CODES)
    other = tabulate(data, ["a"], ANSWERS, weights=data["w"] * scale, missing=CODES)
    np.testing.assert_allclose(one.Y, other.Y)
    np.testing.assert_allclose(one.n, other.n)
    np.testing.assert_allclose(one.weight_sum * scale, other.weight_sum)


def test_many_respondents_are_not_looped_over():
    # a guard against a Python loop over respondents (then minutes), not a benchmark
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"a": rng.integers(0, 4, 200_000), "b": rng.integers(0, 5, 200_000)})
    answers = {f"q{i}": RATING for i in range(5)}
    data = data.assign(**{name: rng.integers(1, 4, len(data)) for name in answers})
    cells = tabulate(data, ["a", "b"], answers, folds=5)
    assert len(cells) == 100
    assert cells.n_raw.sum() == 1_000_000
