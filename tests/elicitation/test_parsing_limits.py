"""What must not be taken for an answer: words of sentences, thoughts that were cut, texts made to be slow."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surveysim import Question
from surveysim.asking.asks import Answer, Ended
from surveysim.asking.line_ends import until_line_break
from surveysim.elicitation import is_refusal, parse_label, parse_labels, parse_percentages
from surveysim.elicitation.averaging import read_answer
from surveysim.elicitation.methods import METHODS
from surveysim.elicitation.texts import without_thoughts

OPTIONS = ["very good", "good", "fair", "poor", "very poor"]
LABELS = "ABCDE"
LONG = "ABCDEFGHI"


# --- sentences are no lists -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "A great way to start, people!",
        "I can give you a list.",
        "I'm happy to help.",
        "As an AI, I",
        "Vitamin B is good for you",
        "Option A and B are both possible.",
        "A, B, C, D and E are the labels",
        "The labels are A. very good B. good C. fair",
        "A) good\nB) fair\nB) fair",
        "I, A person of that age, would not say.",
    ],
)
def test_words_of_a_sentence_are_no_list(text: str) -> None:
    assert parse_labels(text, LONG, OPTIONS + list("wxyz")) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Sure! A B B A", "ABBA"),
        ("My list: I A A\nI hope this helps", "IAA"),
        ("A B B A\nI hope this helps", "ABBA"),
        ("I", "I"),
        ("Answer: I", "I"),
        ("I, A, I, I", "IAII"),
        ("D, E, E, A person", "DEE"),
        ("The answers are: C, C, D", "CCD"),
    ],
)
def test_lists_beside_sentences_are_lists(text: str, found: str) -> None:
    assert "".join(LONG[place] for place in parse_labels(text, LONG)) == found


# --- a label beside the words of another option -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "My answer is E) good.",
        "E) good",
        "(e) good",
        "E. good",
        "**E**: good",
        "E, good",
        "E good",
        "good (E)",
        "Good: E",
        "The answer is A, good",
        "Label E good",
        "I think it is E. good",
        '{"answer": "E) good"}',
        "Answer: A great many people say so",
    ],
)
def test_a_label_beside_another_option_is_no_choice(text: str) -> None:
    assert parse_label(text, LABELS, OPTIONS) is None


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("My answer is E) very poor.", "E"),
        ("very poor (E)", "E"),
        ("I'd say E, very poor", "E"),
        ("A poor person would choose B.", "B"),
        ("B. Good", "B"),
        ("I choose B because poor people do", "B"),
    ],
)
def test_a_label_beside_its_own_option_is_one(text: str, label: str) -> None:
    assert parse_label(text, LABELS, OPTIONS) == LABELS.index(label)


@pytest.mark.parametrize(
    "text",
    [
        '{"A": 40, "B": 60, "E. good": 0}',
        "A: 40%, B: 60%, E. good: 0%",
        '[{"A. good": 40}, {"B": 60}]',
    ],
)
def test_percentages_with_a_label_beside_another_option_are_dropped(text: str) -> None:
    assert parse_percentages(text, LABELS, OPTIONS) is None


# --- texts that were cut ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "Okay, they want me to choose. Option A.",
        "I need to choose. Option A.",
        "Let me think about option A first",
        "We have to weigh it: most would go with good",
        "Hmm. The answer is B, or maybe",
    ],
)
def test_of_a_cut_text_only_the_beginning_counts(text: str) -> None:
    assert parse_label(text, LABELS, OPTIONS, cut=True) is None


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("A. I am rather", "A"),
        ("The answer is B because", "B"),
        ("I would choose D because I am", "D"),
        ("**B**. good, since the", "B"),
        ("fair, as they", "C"),
        ("Answer: E", "E"),
    ],
)
def test_what_a_cut_text_begins_with_is_an_answer(text: str, label: str) -> None:
    assert parse_label(text, LABELS, OPTIONS, cut=True) == LABELS.index(label)


def test_numbers_and_lists_in_cut_texts() -> None:
    numbers = '{"A": 10, "B": 20, "C": 30, "D": 25, "E": 15}'
    assert parse_percentages(f"Here is my estimate: {numbers} This", LABELS, OPTIONS, cut=True) is not None
    assert parse_percentages(f"Young people vote less. So maybe {numbers}? Or", LABELS, OPTIONS, cut=True) is None
    assert parse_percentages("They care. A: 50% B: 50% C: 0% D: 0% E: 0% But", LABELS, OPTIONS, cut=True) is None
    assert parse_labels("Here they are: B C C B A", LABELS, cut=True) == [1, 2, 2, 1, 0]
    assert parse_labels("We need thirty. It might begin: B C C B", LABELS, cut=True) == []


@pytest.mark.parametrize(("ended", "place"), [("stop", 0), ("length", None)])
def test_how_an_answer_ended_decides_how_it_is_read(ended: Ended, place: int | None) -> None:
    answer = Answer(text="They want me to choose. Option A.", ended=ended)
    question = Question("How is it?", OPTIONS)
    reading = read_answer(answer, METHODS["sampled"], question, range(5), LABELS, 1.0)
    assert (None if reading.shares is None else int(reading.shares.argmax())) == place


def test_a_refusal_of_the_server_is_one_whatever_it_says() -> None:
    answer = Answer(text="B", ended="refusal")
    for name in METHODS:
        assert read_answer(answer, METHODS[name], Question("How is it?", OPTIONS), range(5), LABELS, 1.0).refused


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("<think>A?</think>B", "B"),
        ("A or B?</think>B", "B"),
        ("[THINK]A?[/THINK]B", "B"),
        ("\u25c1think\u25b7A?\u25c1/think\u25b7B", "B"),
        ("<thinking>A?", None),
        ("B<think>but maybe A", None),
        ("analysisWe choose. Option A.assistantfinalB", "B"),
        ("analysisWe choose. Option A.", None),
        ("analysis of the data: B", "analysis of the data: B"),
    ],
)
def test_thoughts_in_every_notation(text: str, rest: str | None) -> None:
    assert without_thoughts(text) == rest


# --- base models ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (" B\nQuestion: What else?\nA. no\nAnswer: A", " B"),
        ("\n B\n\nQuestion:", "\n B"),
        ("B. good\nC. fair", "B. good"),
        ('{"A": 20,\n "B": 80}\nQuestion:', '{"A": 20,\n "B": 80}'),
        ("Here they are:\nA B\nB\n\nQuestion", "Here they are:\nA B\nB"),
        ("I like it\nQuestion:", "I like it"),
        ("good", "good"),
        ("", ""),
    ],
)
def test_the_answer_of_a_base_model_ends_with_its_line(text: str, answer: str) -> None:
    assert until_line_break(text, LABELS, done=True) == answer


def test_while_a_base_model_writes_its_answer_may_go_on() -> None:
    assert until_line_break("B. go", LABELS) is None
    assert until_line_break("B. good\n", LABELS) == "B. good"
    assert until_line_break("I like it\n", ()) == "I like it"


# --- time -------------------------------------------------------------------------------------------------------------

PIECES = [
    *("[", "{", '["', '{"A":', "[1,", "A ", "A(", "A 1.", "1.", " ", "\n", "answer ", "answer is ", "not the ", "i "),
    *("<think>", "assistantfinal", "good ", "A, good ", '{"A": "1', "person ", "B", '"', "\\", "E) go"),
]


def seconds(read: Callable[[str], object], text: str) -> float:
    """The lesser of two times by the processor's clock of this thread: other processes do not count."""
    found = []
    for _ in range(2):
        start = time.thread_time()
        read(text)
        found.append(time.thread_time() - start)
    return min(found)


READERS: dict[str, Callable[[str], object]] = {
    "percentages": lambda text: parse_percentages(text, LABELS, OPTIONS),
    "label": lambda text: parse_label(text, LABELS, OPTIONS),
    "labels": lambda text: parse_labels(text, LABELS, OPTIONS),
    "refusal": is_refusal,
    "lines": lambda text: without_thoughts(text),
}


@pytest.mark.parametrize("piece", PIECES)
def test_eight_times_the_text_takes_about_eight_times_as_long(piece: str) -> None:
    short, long = 2**11, 2**14
    for name, read in READERS.items():
        for before, after in (("", ""), ('A {"A": 1', "x")):
            texts = [before + piece * (size // len(piece)) + after for size in (short, long)]
            small, large = (seconds(read, text) for text in texts)
            # 64 times as long, if the time grew with the square.
            assert large < 24 * small + 5e-3, (name, texts[0][:20], small, large)


def test_64_kilobytes_of_brackets_are_read_in_no_time() -> None:
    assert seconds(lambda text: parse_percentages(text, LABELS, OPTIONS), "[" * 2**16) < 1.0


@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join), st.booleans())
def test_whatever_the_text_it_is_an_answer_or_none(text: str, cut: bool) -> None:
    place = parse_label(text, LABELS, OPTIONS, cut=cut)
    assert place is None or 0 <= place < 5
    assert set(parse_labels(text, LABELS, OPTIONS, cut=cut)) <= set(range(5))
    shares = parse_percentages(text, LABELS, OPTIONS, cut=cut)
    assert shares is None or abs(shares.sum() - 1) < 1e-9
