"""Options of two wordings: summed, split with stated shares, left out, or the question is not used."""

from __future__ import annotations

import numpy as np
import pytest

from surveysim import Question
from surveysim.sources.options import match_options

THREE = Question("Satisfied?", ["no", "neither", "yes"])
Y = np.array([[0.1, 0.2, 0.3, 0.4]])


def test_equal_names_in_another_order():
    match = match_options(["Yes", "No", "Neither"], THREE, None, "q")
    shares, kept = match.apply(np.array([[0.5, 0.3, 0.2]]))
    np.testing.assert_allclose(shares, [[0.3, 0.2, 0.5]])
    np.testing.assert_allclose(kept, [1.0])
    assert match.failure == ""


def test_several_options_are_summed():
    mapping = {"very": "yes", "fairly": "yes"}
    match = match_options(["no", "neither", "fairly", "very"], THREE, mapping, "q")
    np.testing.assert_allclose(match.apply(Y)[0], [[0.1, 0.2, 0.7]])


def test_one_option_is_split_with_the_stated_shares():
    two = Question("Satisfied?", ["no", "neither", "fairly", "very"])
    match = match_options(["no", "neither", "yes"], two, {"yes": {"fairly": 0.25, "very": 0.75}}, "q")
    np.testing.assert_allclose(match.apply(np.array([[0.2, 0.4, 0.4]]))[0], [[0.2, 0.4, 0.1, 0.3]])


def test_no_answer_is_left_out_and_the_others_rescaled():
    match = match_options(["no", "neither", "yes", "Don't know"], THREE, None, "q")
    shares, kept = match.apply(Y)
    np.testing.assert_allclose(shares, np.array([[1, 2, 3]]) / 6)
    np.testing.assert_allclose(kept, [0.6])
    assert [option for option, _ in match.left_out] == ["Don't know"]


def test_an_option_is_left_out_where_the_user_says_so():
    match = match_options(["no", "neither", "yes", "depends"], THREE, {"depends": None}, "q")
    np.testing.assert_allclose(match.apply(Y)[1], [0.6])
    assert match.left_out == []


def test_everybody_may_be_left_out():
    match = match_options(["no", "neither", "yes", "refused"], THREE, None, "q")
    shares, kept = match.apply(np.array([[0.0, 0.0, 0.0, 1.0]]))
    assert np.isnan(shares).all()
    assert kept[0] == 0


def test_an_option_that_only_one_side_offers_is_not_guessed_away():
    assert (
        "['depends'] are none of the target's"
        in match_options(["no", "neither", "yes", "depends"], THREE, None, "q").failure
    )
    assert "['neither'] are none of the source's" in match_options(["no", "yes"], THREE, None, "q").failure


def test_options_of_which_none_matches_are_an_error():
    with pytest.raises(ValueError, match=r"question 'q': the source's options \['1', '2'\] are none of the target's"):
        match_options(["1", "2"], THREE, None, "q")


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"maybe": "yes"}, "names 'maybe', which the source does not have"),
        ({"yes": "agree"}, "maps 'yes' to 'agree', which the target does not have"),
        ({"yes": {"no": 0.5, "yes": 0.4}}, "must be at least 0 and sum to 1"),
        ({"yes": {"no": -0.5, "yes": 1.5}}, "must be at least 0 and sum to 1"),
    ],
)
def test_wrong_mappings_are_refused(mapping, message):
    with pytest.raises(ValueError, match=message):
        match_options(["no", "neither", "yes"], THREE, mapping, "q")
