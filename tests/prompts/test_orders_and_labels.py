"""Option orders keep pinned options last; labels never run out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surveysim import Question
from surveysim.prompts import LABEL_ALPHABETS, candidate_labels, option_orders

SCALE = Question("?", ["no", "don't know", "maybe", "yes"], pinned=["don't know"])
COLORS = Question("?", ["red", "green", "blue"], ordinal=False)


def test_auto_is_forward_and_reverse_for_scales_with_pinned_options_last():
    assert option_orders(SCALE) == [(0, 2, 3, 1), (3, 2, 0, 1)]


def test_auto_is_cyclic_for_nominal_questions():
    assert option_orders(COLORS, "auto") == [(0, 1, 2), (1, 2, 0), (2, 0, 1)]


@pytest.mark.parametrize(
    ("kind", "orders"),
    [
        ("given", [(0, 2, 3, 1)]),
        ("reverse", [(3, 2, 0, 1)]),
        ("forward-reverse", [(0, 2, 3, 1), (3, 2, 0, 1)]),
        ("cyclic", [(0, 2, 3, 1), (2, 3, 0, 1), (3, 0, 2, 1)]),
    ],
)
def test_kinds(kind, orders):
    assert option_orders(SCALE, kind) == orders


def test_unknown_kinds_are_refused():
    with pytest.raises(ValueError, match=r"must be one of .*'cyclic'.* got 'random'"):
        option_orders(SCALE, "random")


@given(st.integers(2, 12), st.sets(st.integers(0, 11)), st.booleans(), st.sampled_from(["auto", "cyclic", "reverse"]))
def test_orders_are_permutations_with_pinned_options_last(n_options, pinned, ordinal, kind):
    pinned = sorted(i for i in pinned if i < n_options)[: n_options - 2]
    options = [f"o{i}" for i in range(n_options)]
    question = Question("?", options, ordinal=ordinal, pinned=[options[i] for i in pinned])
    orders = option_orders(question, kind)
    assert len(set(orders)) == len(orders)
    for order in orders:
        assert sorted(order) == list(range(n_options))
        assert sorted(order[n_options - len(pinned) :]) == pinned


def test_capital_letters_then_small_ones_then_both_then_numbers():
    assert candidate_labels(3) == (("A", "B", "C"), ("a", "b", "c"), ("1", "2", "3"))
    assert [labels[-1] for labels in candidate_labels(26)] == ["Z", "z", "26"]
    assert [labels[-1] for labels in candidate_labels(27)] == ["a", "27"]
    assert [labels[-1] for labels in candidate_labels(52)] == ["z", "52"]
    assert [labels[-1] for labels in candidate_labels(53)] == ["53"]


@given(st.integers(1, 300))
def test_there_are_always_as_many_different_labels_as_options(n_options):
    for labels in candidate_labels(n_options):
        assert len(set(labels)) == len(labels) == n_options


def test_alphabets_have_no_repeats():
    assert [len(set(alphabet)) for alphabet in LABEL_ALPHABETS] == [26, 26, 52]


def test_no_options_no_labels():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        candidate_labels(0)
