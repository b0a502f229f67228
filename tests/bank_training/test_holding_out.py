"""What a bank is trained on: no wording of it is among what it is judged by."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from surveysim import Question
from surveysim.bank_training.holding_out import hold_out


def questions(**surveys: list[str]) -> dict[str, Question]:
    """Surveys by name, each with these texts."""
    return {
        f"{survey}/q{i}": Question(text, ["yes", "no"])
        for survey, texts in surveys.items()
        for i, text in enumerate(texts)
    }


def ten(prefix: str) -> list[str]:
    return [f"{prefix} {i}?" for i in range(10)]


def test_a_share_of_each_survey_and_whole_surveys_are_held_out():
    parts = hold_out(questions(a=ten("A"), b=ten("B"), c=ten("C")), ["c"], 0.3, np.random.default_rng(0))
    for survey in "ab":
        assert sum(name.startswith(survey) for name in parts.questions) == 3
        assert sum(name.startswith(survey) for name in parts.training) == 7
    assert parts.surveys == {"c": [f"c/q{i}" for i in range(10)]}
    assert parts.repeated == []


def test_what_a_held_out_survey_also_asks_is_left_out_of_training():
    parts = hold_out(
        questions(a=[*ten("A"), "Do you  TRUST it?"], c=["Do you trust it?"]), ["c"], 0.3, np.random.default_rng(0)
    )
    assert parts.repeated == ["a/q10"]
    assert "a/q10" not in [*parts.training, *parts.questions]


def test_whole_surveys_choose_where_they_are_named():
    parts = hold_out(
        questions(a=ten("A"), b=[*ten("B"), "A 3?"], c=ten("C")), ["c"], 0.3, np.random.default_rng(0), ["b"]
    )
    assert parts.questions == ["a/q3", *(f"b/q{i}" for i in range(11))]  # and what they also ask
    assert parts.training == [f"a/q{i}" for i in range(10) if i != 3]


@given(
    texts=st.lists(st.lists(st.integers(0, 12), min_size=6, max_size=9), min_size=2, max_size=4),
    share=st.floats(0.25, 0.6),
    seed=st.integers(0, 99),
)
def test_no_wording_is_on_both_sides(texts, share, seed):
    asked = questions(**{f"s{i}": [f"{number}?" for number in numbers] for i, numbers in enumerate(texts)})
    try:
        parts = hold_out(asked, ["s0"], share, np.random.default_rng(seed))
    except ValueError:
        return  # too few questions are left, which is said
    sides = [parts.training, parts.questions, parts.surveys["s0"]]
    for one, other in itertools.combinations([{asked[name].text for name in side} for side in sides], 2):
        assert not one & other
    assert sorted([*(name for side in sides for name in side), *parts.repeated]) == sorted(asked)


def test_errors_say_what_is_there():
    with pytest.raises(ValueError, match=r"names \['z'\]; the table has the surveys \['a'\]"):
        hold_out(questions(a=ten("A")), ["z"], 0.3, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"choose_by_surveys names \['y'\]"):
        hold_out(questions(a=ten("A")), [], 0.3, np.random.default_rng(0), ["y"])
    with pytest.raises(ValueError, match=r"both name \['b'\]"):
        hold_out(questions(a=ten("A"), b=ten("B")), ["b"], 0.3, np.random.default_rng(0), ["b"])
    with pytest.raises(ValueError, match=r"0 questions are left held out, to choose by, at least 2 .* has 10"):
        hold_out(questions(a=ten("A")), [], 0.01, np.random.default_rng(0))
