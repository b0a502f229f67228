"""Question: what it accepts, what it refuses, and what its options' positions are."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from surveysim.questions import Question, as_questions

TRUST = ["none", "some", "a lot"]


def test_fields_are_normalised_to_tuples_and_stripped():
    question = Question("  Do you trust them? ", [" none", "some ", "a lot"], codes=np.array([1, 2, 3]))
    assert question.text == "Do you trust them?"
    assert question.options == ("none", "some", "a lot")
    assert question.codes == (1, 2, 3)
    assert all(type(code) is int for code in question.codes)
    assert question.n_options == 3


def test_is_hashable_and_equal_by_content():
    one = Question("Q?", TRUST, codes=[1, 2, 3], pinned=[])
    other = Question("Q?", tuple(TRUST), codes=(1, 2, 3))
    assert one == other
    assert len({one, other}) == 1
    assert one != Question("Q?", TRUST, codes=[1, 2, 4])


def test_is_frozen():
    with pytest.raises(AttributeError):
        Question("Q?", TRUST).text = "other"


def test_positions_are_1_to_k():
    np.testing.assert_array_equal(Question("Q?", TRUST).positions, [1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("options", "first"),
    [
        ([str(i) for i in range(11)], 0),
        (["0 not at all", "1", "2", "3 completely"], 0),
        (["-2 much worse", "-1", "0", "1", "2 much better"], -2),
        (["no children", "1 child", "2 or more"], 1),  # not all are numbers
        (["18-29", "30-44", "45-64"], 1),  # ranges
        (["10", "20", "30"], 1),  # do not count
        (["3", "2", "1"], 1),  # count down
    ],
)
def test_options_that_count_stand_at_their_own_numbers(options, first):
    np.testing.assert_array_equal(Question("Q?", options).positions, np.arange(first, first + len(options)))


def test_positions_follow_values_rising_or_falling():
    np.testing.assert_array_equal(Question("Q?", TRUST, values=[0, 1, 10]).positions, [0.0, 1.0, 10.0])
    np.testing.assert_array_equal(Question("Q?", TRUST, values=[3, 2, 0.5]).positions, [3.0, 2.0, 0.5])


def test_pinned_options_have_no_position_wherever_they_stand():
    question = Question("Q?", ["don't know", *TRUST], pinned=["don't know"])
    np.testing.assert_array_equal(question.positions, [np.nan, 1.0, 2.0, 3.0])
    np.testing.assert_array_equal(question.pinned_mask, [True, False, False, False])


def test_values_of_pinned_options_are_ignored():
    question = Question("Q?", [*TRUST, "don't know"], values=[1, 2, 4, 99], pinned=["don't know"])
    np.testing.assert_array_equal(question.positions, [1.0, 2.0, 4.0, np.nan])
    assert question == Question("Q?", [*TRUST, "don't know"], values=[1, 2, 4, None], pinned=["don't know"])


def test_nominal_options_have_no_positions():
    assert np.isnan(Question("Party?", ["A", "B", "C"], ordinal=False).positions).all()


def test_pinned_is_kept_in_the_order_of_the_options():
    question = Question("Q?", [*TRUST, "other", "don't know"], pinned=["don't know", "other"])
    assert question.pinned == ("other", "don't know")


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"text": 3}, TypeError, "text must be a string"),
        ({"text": "  "}, ValueError, "text is empty"),
        ({"options": "yes"}, TypeError, "options must be a list"),
        ({"options": {"a", "b"}}, TypeError, "options must be a list"),
        ({"options": ["a", 2]}, TypeError, r"options\[1\] must be a string"),
        ({"options": ["a", " "]}, ValueError, r"options\[1\] is empty"),
        ({"options": ["a"]}, ValueError, "at least two options"),
        ({"options": ["a", "b", "a "]}, ValueError, "'a' is repeated"),
        ({"codes": [1, 2]}, ValueError, "3 options, 2 codes"),
        ({"codes": [1, 2, 2]}, ValueError, "2 is repeated"),
        ({"codes": [1, 2, 2.0]}, ValueError, "2.0 is repeated"),
        ({"pinned": "none"}, TypeError, "pinned must be a list"),
        ({"pinned": ["unsure"]}, ValueError, "unsure"),
        ({"pinned": ["some", "a lot"]}, ValueError, "at least two options must stay unpinned"),
        ({"values": [1, 2]}, ValueError, "3 options, 2"),
        ({"values": [1, 3, 2]}, ValueError, "strictly monotone"),
        ({"values": [1, 1, 2]}, ValueError, "strictly monotone"),
        ({"values": [1, 2, np.inf]}, ValueError, "finite"),
        ({"values": [1, 2, 3], "ordinal": False}, ValueError, "ordinal=True"),
        ({"context": 2016}, TypeError, "context must be a string"),
    ],
)
def test_refuses(parameters, error, message):
    complete = {"text": "Q?", "options": TRUST, **parameters}
    with pytest.raises(error, match=message):
        Question(complete.pop("text"), complete.pop("options"), **complete)


def test_repr_is_the_call_that_makes_the_question():
    assert repr(Question("Party?", ["A", "B"], ordinal=False)) == "Question('Party?', ['A', 'B'], ordinal=False)"
    full = Question("Q?", ["a", "b", "DK"], codes=[1, 2, 9], values=[1, 5, 0], pinned=["DK"], context="ESS 2020")
    assert repr(full) == (
        "Question('Q?', ['a', 'b', 'DK'], codes=[1, 2, 9], values=[1.0, 5.0, None], pinned=['DK'], context='ESS 2020')"
    )


options_lists = st.lists(st.text(min_size=1).filter(str.strip), min_size=2, max_size=8, unique_by=str.strip)


@given(options=options_lists, ordinal=st.booleans(), data=st.data())
def test_survives_json(options, ordinal, data):
    pinned = data.draw(st.lists(st.sampled_from(options), max_size=len(options) - 2, unique=True))
    question = Question("Q?", options, codes=list(range(len(options))), ordinal=ordinal, pinned=pinned, context="here")
    assert Question.from_dict(json.loads(json.dumps(question.to_dict()))) == question


def test_as_questions():
    question = Question("Q?", TRUST)
    assert as_questions(None) is None
    assert as_questions(question) == {"": question}
    mapping = {"b": question, "a": question}
    assert list(as_questions(mapping)) == ["b", "a"]
    assert as_questions(mapping) is not mapping


def test_as_questions_refuses():
    with pytest.raises(ValueError, match="empty mapping"):
        as_questions({})
    with pytest.raises(TypeError, match=r"question\['a'\]"):
        as_questions({"a": "Do you trust them?"})
    with pytest.raises(TypeError, match="Question or a mapping"):
        as_questions("Do you trust them?")
