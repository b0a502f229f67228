"""Names of two surveys: what is the same name, and what is never taken for it."""

from __future__ import annotations

import pytest

from surveysim.sources.names import find_name, match_names, plain_name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Don\u2019t know.", "dont know"),
        ("Strongly  agree", "strongly agree"),
        ("trust_police", "Trust police"),
        ("18\u201329", "18-29"),
        ("3.0", 3),
        ("Yes, often", "yes often"),
        ("(Other)", "other"),
    ],
)
def test_case_spacing_and_punctuation_do_not_matter(one, other):
    assert plain_name(one) == plain_name(other)


@pytest.mark.parametrize(
    ("one", "other"), [("<20", ">20"), ("65+", "65"), ("agree", "disagree"), ("-1", "1"), ("5%", "5")]
)
def test_signs_that_tell_names_apart_stay(one, other):
    assert plain_name(one) != plain_name(other)


def test_an_equal_name_goes_before_a_similar_one():
    assert find_name("Age", ["age", "Age"]) == "Age"
    assert find_name("AGE", ["age", "Age"]) is None  # two are as similar
    assert find_name("AGE", ["age", "sex"]) == "age"


def test_a_mapping_goes_before_equal_names():
    match = match_names(["q1", "q2", "q3"], ["q1", "q2"], {"q1": "q2", "q3": None}, "questions")
    assert match.ours == {"q1": "q2"}
    assert match.left_out == ["q3"]
    assert match.unmatched == ["q2"]  # its name is taken


def test_two_names_that_differ_in_case_alone_are_not_guessed():
    match = match_names(["Age", "AGE"], ["age"], None, "attributes")
    assert match.ours == {}
    assert match.unmatched == ["Age", "AGE"]


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"q9": "q1"}, r"questions names 'q9', which the source does not have: it has \['q1', 'q2'\]"),
        ({"q1": "q9"}, r"questions maps 'q1' to 'q9', which the target does not have"),
        ({"q1": "q1", "q2": "q1"}, r"\['q1', 'q2'\] of the source are all 'q1' of the target"),
    ],
)
def test_mappings_of_names_that_do_not_exist_are_refused(mapping, message):
    with pytest.raises(ValueError, match=message):
        match_names(["q1", "q2"], ["q1"], mapping, "questions")


def test_a_mapping_must_be_one():
    with pytest.raises(TypeError, match="questions must be a mapping"):
        match_names(["q1"], ["q1"], ["q1"], "questions")
