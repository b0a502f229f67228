"""Prompts that share a beginning: grouped so that the fewest tokens are read, and never wrongly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surveysim.models.prefixes import group_by_prefix

prompts = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=8), min_size=1, max_size=20)


def cost(asked, groups, overhead):
    return sum(
        group.n_prefix
        + (overhead if group.n_prefix else 0)
        + sum(len(asked[row]) - group.n_prefix for row in group.rows)
        for group in groups
    )


@given(prompts, st.integers(0, 6))
def test_every_prompt_is_in_one_group_whose_beginning_it_has_and_keeps_a_token(asked, overhead):
    groups = group_by_prefix(asked, overhead=overhead)
    assert sorted(row for group in groups for row in group.rows) == list(range(len(asked)))
    for group in groups:
        beginnings = {tuple(asked[row][: group.n_prefix]) for row in group.rows}
        assert len(beginnings) == 1
        assert all(len(asked[row]) > group.n_prefix for row in group.rows)
        lengths = [len(asked[row]) for row in group.rows]
        assert lengths == sorted(lengths)


@given(prompts, st.integers(0, 6))
def test_sharing_never_reads_more_than_reading_everything(asked, overhead):
    # A group that all its branches leave again is not read, so what is left can only be cheaper.
    groups = group_by_prefix(asked, overhead=overhead)
    assert cost(asked, groups, overhead) <= sum(map(len, asked)) + overhead * len(asked)


def test_a_question_shares_its_text_and_two_questions_do_not_share_too_little():
    system, one, two = [1] * 30, [2] * 100, [3] * 100
    asked = [system + question + [9, background] for question in (one, two) for background in range(20)]
    groups = group_by_prefix(asked, overhead=50)
    assert sorted((group.n_prefix, sorted(group.rows)) for group in groups) == [
        (131, list(range(20))),
        (131, list(range(20, 40))),
    ]


def test_few_prompts_per_question_share_what_is_common_to_all():
    system = [1] * 300
    asked = [[*system, 2 + question, 7, 7, background] for question in range(20) for background in range(2)]
    assert [group.n_prefix for group in group_by_prefix(asked, overhead=50)] == [300]


def test_questions_that_begin_with_the_same_word_are_still_apart():
    asked = [[1, 5] + [question] * 60 + [background] for question in (2, 3) for background in range(10)]
    assert sorted(group.n_prefix for group in group_by_prefix(asked, overhead=100)) == [62, 62]


@pytest.mark.parametrize("asked", [[], [[1]], [[1, 2, 3]] * 3])
def test_nothing_one_and_the_same(asked):
    groups = group_by_prefix(asked, overhead=0)
    assert sorted(row for group in groups for row in group.rows) == list(range(len(asked)))
