"""Cells: subsets, the tidy table, the summary that is printed."""

from __future__ import annotations

import copy
import dataclasses
import html

import numpy as np
import pandas as pd
import pytest

from surveysim import Question, tabulate

YES_NO = Question("Yes?", ["yes", "no"])
RATING = Question("How good?", ["bad", "fair", "good"])
SURVEY = pd.DataFrame(
    {
        "sex": ["f", "m", "f", "m"],
        "age": pd.Categorical(["old", "young", "old", "old"], ["young", "old"], ordered=True),
        "q": [1, 3, 2, -1],
        "p": ["yes", "no", "no", None],
    }
)


@pytest.fixture
def cells():
    return tabulate(SURVEY, ["sex", "age"], {"q": RATING, "p": YES_NO}, missing={-1: "skipped"}, folds=2)


@pytest.fixture
def one_question():
    return tabulate(SURVEY, ["sex"], {"p": YES_NO})


def test_is_frozen(cells):
    with pytest.raises(dataclasses.FrozenInstanceError):
        cells.n = np.ones(4)


def test_length_names_and_backgrounds(cells, one_question):
    assert len(cells) == 4
    assert cells.question_names.tolist() == ["q", "q", "p", "p"]
    assert one_question.question_names.tolist() == ["p", "p"]
    assert cells.backgrounds == ["sex", "age"]
    assert one_question.backgrounds == ["sex"]


@pytest.mark.parametrize("mask", [[False, False, True, True], [2, 3], np.array([2, 3]), pd.Series([0, 0, 1, 1]) == 1])
def test_subset(cells, mask):
    part = cells.subset(mask)
    assert part.X["question"].tolist() == ["p", "p"]
    assert part.X.index.equals(pd.RangeIndex(2))
    assert part.missing.index.equals(pd.RangeIndex(2))
    np.testing.assert_array_equal(part.Y, cells.Y[2:])
    assert part.Y.shape[1] == 3  # the longest question of the mapping, as before
    np.testing.assert_array_equal(part.n, cells.n[2:])
    np.testing.assert_array_equal(part.n_raw, cells.n_raw[2:])
    np.testing.assert_array_equal(part.weight_sum, cells.weight_sum[2:])
    np.testing.assert_array_equal(part.folds, cells.folds[2:])
    assert part.questions == cells.questions
    assert part.X["age"].dtype == SURVEY["age"].dtype
    assert len(cells) == 4


def test_subset_by_position_repeats_and_reorders(cells):
    np.testing.assert_array_equal(cells.subset([3, 0, 0]).n, cells.n[[3, 0, 0]])


def test_subset_can_be_empty(cells):
    assert len(cells.subset([])) == 0
    assert len(cells.subset(np.zeros(4, dtype=bool))) == 0
    assert repr(cells.subset([])) == "Cells(0 cells)"
    assert len(cells.subset([]).to_frame()) == 0


def test_subset_refuses(cells):
    with pytest.raises(ValueError, match="one entry per cell, 4"):
        cells.subset([True, False])
    with pytest.raises(ValueError, match="integer positions"):
        cells.subset([0.5])
    with pytest.raises(IndexError):
        cells.subset([4])


def test_to_frame(cells):
    frame = cells.to_frame()
    assert list(frame.columns) == ["question", "sex", "age", "option", "share", "n", "n_raw", "weight_sum"]
    assert len(frame) == 2 * 3 + 2 * 2  # no rows for padding
    women = frame[(frame["sex"] == "f") & (frame["question"] == "q")]
    assert women["option"].tolist() == ["bad", "fair", "good"]
    np.testing.assert_allclose(women["share"], [0.5, 0.5, 0])
    assert women["n_raw"].tolist() == [2, 2, 2]
    np.testing.assert_allclose(frame.groupby(["question", "sex", "age"], observed=True)["share"].sum(), 1)
    assert frame["age"].dtype == SURVEY["age"].dtype


def test_to_frame_names_a_single_question_too(one_question):
    frame = one_question.to_frame()
    assert frame["question"].tolist() == ["p"] * 4
    assert frame["option"].tolist() == ["yes", "no", "yes", "no"]


def test_to_frame_refuses_backgrounds_with_the_names_of_its_columns():
    cells = tabulate(SURVEY.rename(columns={"sex": "option"}), ["option"], {"p": YES_NO})
    with pytest.raises(ValueError, match=r"column names \['option'\], which are backgrounds"):
        cells.to_frame()


def test_repr_is_a_summary(cells, one_question):
    assert repr(cells) == (
        "Cells(4 cells: 2 questions, 2 backgrounds of sex, age\n"
        "  answers 6, worth 6; respondents n per cell: median 1.5, from 1.0 to 2.0\n"
        "  missing answers in these cells: none\n"
        "  2 folds of respondents)"
    )
    assert "missing answers in these cells: not asked 1" in repr(one_question)
    assert "folds" not in repr(one_question)


def test_html_has_options_by_name_in_percent_and_escapes_them(one_question):
    page = one_question._repr_html_()
    assert "<th>yes</th>" in page
    assert "Cells(" in page
    assert html.escape(f"p: {one_question.questions['p'].text}") in page
    odd = Question("<b>Bold</b>?", ["yes & no", "<i>"])
    page = tabulate(pd.DataFrame({"sex": ["f"] * 3 + [None], "p": [1, 1, 2, 1]}), ["sex"], {"p": odd})._repr_html_()
    assert "<b>" not in page
    assert "<i>" not in page
    assert "yes &amp; no" in page
    assert "<td>67</td>" in page  # two of three
    assert "not stated" in page


def test_html_of_many_cells_is_short():
    many = pd.DataFrame({"age": range(40), **{f"q{i}": [1, 2] * 20 for i in range(5)}})
    page = tabulate(many, ["age"], {f"q{i}": YES_NO for i in range(5)})._repr_html_()
    assert page.count("<table") == 3
    assert "the first 10 of 40 cells" in page
    assert "and 2 more questions" in page


def test_can_be_copied(cells):
    other = copy.deepcopy(cells)
    pd.testing.assert_frame_equal(other.X, cells.X)
    np.testing.assert_array_equal(other.folds, cells.folds)
