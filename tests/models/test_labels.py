"""The tokens that stand for options."""

from __future__ import annotations

import string

import pytest

from surveysim.models import load_model
from surveysim.models.labels import find_labels, index_vocabulary
from surveysim.prompts import Prompt
from tests.tiny_models import FAMILIES, make_tiny_tokenizer


@pytest.fixture(params=FAMILIES)
def model(request, tiny):
    return load_model(tiny(request.param))


def test_labels_are_single_tokens_after_the_prompt(model):
    labels = model.labels(4)
    assert labels.letters == ("A", "B", "C", "D")
    text = model.to_text(Prompt("Answer.", "Happy?", "Answer:"))
    before = model.encode([text])[0]
    for letter, variants in zip(labels.letters, labels.variants, strict=True):
        continued = model.encode([text + letter, text + " " + letter])
        seen = {ids[-1] for ids in continued if ids[:-1] == before}
        assert seen
        assert seen <= set(variants)


def test_variants_are_all_entries_that_read_the_same(model):
    labels = model.labels(3)
    for letter, variants in zip(labels.letters, labels.variants, strict=True):
        vocabulary = model.tokenizer.get_vocab()
        same = {
            i for token, i in vocabulary.items() if token.lstrip("▁Ġ") == letter or token == f"<0x{ord(letter):02X}>"
        }
        assert set(variants) == same
        assert len(variants) >= 2  # "A" and " A" at least
    assert len({i for variants in labels.variants for i in variants}) == sum(map(len, labels.variants))


def test_more_options_than_letters(model):
    assert model.labels(26).letters == tuple(string.ascii_uppercase)
    assert model.labels(27).letters == tuple(string.ascii_uppercase + "a")
    assert model.labels(52).letters == tuple(string.ascii_letters.swapcase())
    assert model.labels(52) is model.labels(52)


def test_the_limit_is_named(model):
    with pytest.raises(ValueError, match=r"53 options need as many labels .* has 52: ask with at most 52 options"):
        model.labels(53)


@pytest.mark.parametrize("n_options", [0, -1])
def test_no_options(model, n_options):
    with pytest.raises(ValueError, match=f"n_options must be at least 1, got {n_options}"):
        model.labels(n_options)


class Words:
    """A tokenizer of given pieces: the longest match first, whatever stands before."""

    is_fast = False
    all_special_ids = (0,)

    def __init__(self, pieces: list[str]) -> None:
        self.pieces = ["A", *pieces]  # entry 0 reads like a label, but is a special token

    def get_vocab(self) -> dict[str, int]:
        return {f"{i}:{piece}": i for i, piece in enumerate(self.pieces)}

    def decode(self, ids: list[int]) -> str:
        return "".join(self.pieces[i] for i in ids)

    def encode(self, texts) -> list[list[int]]:
        return [self.encode_one(text) for text in texts]

    def encode_one(self, text: str) -> list[int]:
        ids = []
        while text:
            ids.append(max((i for i, p in enumerate(self.pieces) if i and text.startswith(p)),
                           key=lambda i: len(self.pieces[i])))  # fmt: skip
            text = text[len(self.pieces[ids[-1]]) :]
        return ids

    def labels(self, n_options: int, context: str = "?"):
        index = index_vocabulary(self, len(self.pieces))
        return find_labels(n_options, context=context, encode=self.encode, index=index, name="words")


def test_a_label_that_merges_with_the_prompt_is_taken_with_its_space():
    words = Words(["?", "A", "B", "?A", "?B", " A", " B", " "])
    labels = words.labels(2)
    assert labels.letters == ("A", "B")
    assert labels.variants == ((2, 6), (3, 7))


def test_small_letters_where_capitals_are_two_tokens():
    words = Words(["?", " ", "^", "a", "b", " a", "1", "2"])
    words.pieces += ["?A", "?B", " A"]  # "A" exists only glued to the prompt or in another place
    words.pieces += ["A", "B", "?A ", " B"]
    words.pieces = [p for p in words.pieces if p not in ("B", " B")] + ["?B"]

    def encode(texts):
        return words.encode([t.replace("B", "^b") if t.endswith("B") else t for t in texts])

    index = index_vocabulary(words, len(words.pieces))
    labels = find_labels(2, context="?", encode=encode, index=index, name="words")
    assert labels.letters == ("a", "b")
    assert labels.variants[0] == (words.pieces.index("a"), words.pieces.index(" a"))


def test_numbers_where_letters_fail():
    words = Words(["?", " ", "1", "2", "A", "?A", " A"])

    def encode(texts):
        return [[1, 2, 2] if text[-1].isalpha() else words.encode_one(text) for text in texts]

    index = index_vocabulary(words, len(words.pieces))
    assert find_labels(2, context="?", encode=encode, index=index, name="words").letters == ("1", "2")


def test_special_tokens_and_surplus_entries_are_no_variants():
    words = Words(["?", "A", " A", "A\n"])
    index = index_vocabulary(words, size=4)
    assert index["A"] == (2, 3)


def test_numbers_up_to_999_in_a_vocabulary_that_has_them(tiny):
    tokenizer = make_tiny_tokenizer("qwen3")
    index = index_vocabulary(tokenizer, 10**6)
    index |= {str(i): (1000 + i,) for i in range(10, 100)}

    def encode(texts):
        rows = []
        for text in texts:
            stem, _, label = text.partition("?")
            row = tokenizer(stem + "?")["input_ids"]
            rows.append([*row, *index.get(label, (-1, -1))[:1]] if label else row)
        return rows

    labels = find_labels(60, context="Which?", encode=encode, index=index, name="numbers")
    assert labels.letters == tuple(str(i) for i in range(1, 61))
