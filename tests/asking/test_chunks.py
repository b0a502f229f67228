"""Asks cut into chunks: each once, about equal work, neighbours together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from surveysim.asking import chunks
from surveysim.asking.asks import Ask
from surveysim.asking.chunks import make_chunks
from surveysim.prompts import Prompt


def label_asks(tokens):
    return [Ask(Prompt("", str(ids)), "label", ("A", "B")) for ids in tokens]


def text_asks(tokens, draws=1):
    asks = [Ask(Prompt("", str(ids)), "text", ("A", "B"), sample=i) for ids in tokens for i in range(draws)]
    return asks, [ids for ids in tokens for _ in range(draws)]


def tokens_read(chunk, tokens, n_prefix):
    prompts = {tokens[position] for position in chunk}
    return n_prefix * len({ids[:n_prefix] for ids in prompts}) + sum(len(ids) - n_prefix for ids in prompts)


def questions(n_questions, n_backgrounds):
    """Prompts of 40 tokens that all share, 60 that a question's share, one of ten first attributes, and 20 tokens."""
    random = np.random.default_rng(0)
    backgrounds = [(1000 + i % 10, *random.integers(10, 1000, size=20).tolist()) for i in range(n_backgrounds)]
    return [(*range(40), *[5000 + q] * 60, *own) for q in range(n_questions) for own in backgrounds]


def test_chunks_are_of_equal_work_and_questions_stay_together():
    tokens = questions(12, 96)
    random = np.random.default_rng(1)
    order = random.permutation(len(tokens)).tolist()
    shuffled = [tokens[i] for i in order]
    made = make_chunks(label_asks(shuffled), shuffled, 2, overhead=128)
    work = [tokens_read(chunk, shuffled, 100) for chunk in made]
    assert sum(map(len, made)) == len(tokens)
    assert max(work) <= chunks.TOKENS_PER_CHUNK
    assert min(work[:-1]) > 0.9 * chunks.TOKENS_PER_CHUNK
    # a chunk of 4,096 tokens has two questions and rests of others
    assert max(len({shuffled[p][99] for p in chunk}) for chunk in made) <= 3
    # and what is cut in the middle was in the order of first attributes
    firsts = [{shuffled[p][100] for p in chunk if shuffled[p][99] == shuffled[chunk[0]][99]} for chunk in made]
    assert min(map(len, firsts)) < 10


def test_all_processes_get_something_but_nobody_crumbs():
    tokens = questions(2, 96)
    asks = label_asks(tokens)
    sizes = {n: len(make_chunks(asks, tokens, n, overhead=128)) for n in (1, 2, 50)}
    assert sizes[1] == 4  # 4,032 own tokens in three, and twice the question's 100
    assert sizes[2] == sizes[50] == 5  # no less than 1,024 tokens, the question's included


def test_as_many_texts_as_are_written_at_once():
    tokens = [(1, 2, 3)]
    asks, own = text_asks(tokens, draws=3000)
    made = make_chunks(asks, own, 2, overhead=128)
    assert max(map(len, made)) == (4096 - 3) // 16
    assert [position for chunk in made for position in chunk] == list(range(3000))  # draws of one prompt are cut, too


def test_draws_of_a_prompt_stay_together_where_they_fit():
    asks, tokens = text_asks(questions(1, 40), draws=30)
    made = make_chunks(asks, tokens, 2, overhead=128)
    chunk_of = {position: number for number, chunk in enumerate(made) for position in chunk}
    assert all(len({chunk_of[30 * i + j] for j in range(30)}) == 1 for i in range(40))
    assert len(made) >= 6


@given(
    st.lists(st.tuples(st.lists(st.integers(0, 2), min_size=1, max_size=9), st.booleans()), max_size=40),
    st.sampled_from([1, 20, 4096]),
    st.integers(2, 5),
)
def test_each_ask_is_in_one_chunk_with_its_own_kind(drawn, size, n_processes):
    tokens = [tuple(ids) for ids, _ in drawn]
    asks = [Ask(Prompt("", "?"), "text" if text else "label", ("A",), sample=i) for i, (_, text) in enumerate(drawn)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "TOKENS_PER_CHUNK", size)
        made = make_chunks(asks, tokens, n_processes, overhead=2)
    assert sorted(position for chunk in made for position in chunk) == list(range(len(asks)))
    assert all(chunk and len({asks[position].kind for position in chunk}) == 1 for chunk in made)
