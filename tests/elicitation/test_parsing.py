"""What models write, as it was meant: percentages, labels, refusals; never evaluated, never invented."""

import json
import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from surveysim.elicitation import is_refusal, is_refusal_option, parse_label, parse_labels, parse_percentages
from surveysim.prompts import candidate_labels, whole_percentages

LABELS = "ABCDE"
SCALE = ["very poor", "poor", "fair", "good", "very good"]
SHARES = [0.1, 0.2, 0.3, 0.25, 0.15]


def percentages(text, labels=LABELS, options=SCALE):
    shares = parse_percentages(text, labels, options)
    return None if shares is None else shares.tolist()


class TestPercentages:
    @pytest.mark.parametrize(
        "text",
        [
            '{"A": 10, "B": 20, "C": 30, "D": 25, "E": 15}',
            '```json\n{"A": 10, "B": 20, "C": 30, "D": 25, "E": 15}\n```',
            'Here is my estimate:\n{"A": 10, "B": 20, "C": 30, "D": 25, "E": 15}\nHope this helps {really}!',
            '{"A": "10%", "B": "20 %", "C": "30", "D": 25.0, "E": 15}',
            '{"A": 0.1, "B": 0.2, "C": 0.3, "D": 0.25, "E": 0.15}',
            '{"a": 10, "b": 20, "c": 30, "d": 25, "e": 15}',
            '{"A.": 10, "(B)": 20, "C:": 30, "D": 25, "E": 15}',
            '{"very poor": 10, "Poor": 20, "fair": 30, "good": 25, "very good": 15}',
            '{"A. very poor": 10, "B. poor": 20, "C. fair": 30, "D. good": 25, "E. very good": 15}',
            '{"percentages": {"A": 10, "B": 20, "C": 30, "D": 25, "E": 15}, "n": 1000}',
            '{"A": 10, "B": 20, "C": 30, "D": 25, "E": 15, "total": 100}',
            '[{"label": "A", "percentage": 10}, {"label": "B", "percentage": 20}, {"label": "C", "percentage": 30},'
            ' {"label": "D", "percentage": 25}, {"label": "E", "percentage": "15%"}]',
            '[{"A": 10}, {"B": 20}, {"C": 30}, {"D": 25}, {"E": 15}]',
            "[10, 20, 30, 25, 15]",
            "{'A': 10, 'B': 20, 'C': 30, 'D': 25, 'E': 15}",
            "{\u201cA\u201d: 10, \u201cB\u201d: 20, \u201cC\u201d: 30, \u201cD\u201d: 25, \u201cE\u201d: 15}",
            '{"A": 10, "B": 20, "C": 30, "D": 25, "E": 15',
            '{"A": 10, "B": 20, "C": 30, "D": 25, "E": 15,}',
            "A: 10%\nB: 20%\nC: 30%\nD: 25%\nE: 15%",
            "A. very poor - 10%; B. poor - 20%; C. fair - 30%; D. good - 25%; E. very good - 15%",
            "| A | 10% |\n| B | 20% |\n| C | 30% |\n| D | 25% |\n| E | 15% |",
            "For people of 18-29 in 2020: A 10, B 20, C 30, D 25, E 15",
        ],
    )
    def test_the_same_distribution_in_many_forms(self, text):
        assert percentages(text) == pytest.approx(SHARES)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "I cannot say.",
            "mostly good",
            '{"A": 10, "B": 20, "C": 30, "D": 25}',  # one label missing, and the others are not everything
            '{"A": 10, "A": 20, "B": 20, "C": 30, "D": 25, "E": 15}',  # two numbers for one label
            '{"A": -10, "B": 40, "C": 30, "D": 25, "E": 15}',
            '{"A": NaN, "B": 20, "C": 30, "D": 25, "E": 15}',
            '{"A": 1e999, "B": 20, "C": 30, "D": 25, "E": 15}',
            '{"A": true, "B": 20, "C": 30, "D": 25, "E": 15}',
            '{"A": "many", "B": 20, "C": 30, "D": 25, "E": 15}',
            '{"A": 0, "B": 0, "C": 0, "D": 0, "E": 0}',
            '{"A": 100, "B": 100, "C": 100, "D": 100, "E": 100}',  # five answers to another question
            '{"A": 5, "B": 5, "C": 5, "D": 5, "E": 5}',
            "[10, 20, 30, 40]",
            'As in [20, 20, 20, 20, 20]: {"A": 10, "B": 20, "C": 30, "D": 25, "E": 15}',  # an example, then an answer
            "A 10 A 20 B 20 C 30 D 25 E 15",
            '{"F": 50, "G": 50}',
            "__import__('os').system('true')",
            "[" * 5000,
            '{"A":' * 2000,
            "9" * 6000,
        ],
    )
    def test_what_states_no_distribution_is_none(self, text):
        assert percentages(text) is None

    def test_the_same_distribution_said_twice_is_one(self):
        assert (
            percentages('{"A": 10, "B": 20, "C": 30, "D": 25, "E": 15}\nThat is: [0.1, 0.2, 0.3, 0.25, 0.15]') == SHARES
        )

    def test_whole_percentages_that_miss_100_are_renormalised_and_a_missing_zero_is_zero(self):
        assert percentages('{"A": 11, "B": 20, "C": 30, "D": 25, "E": 15}') == pytest.approx(
            [share / 101 for share in (11, 20, 30, 25, 15)]
        )
        assert percentages('{"B": 40, "C": 60}') == [0, 0.4, 0.6, 0, 0]
        assert percentages('{"C": 1.0}') == [0, 0, 1, 0, 0]

    def test_labels_that_differ_in_case_alone_are_told_apart(self):
        assert percentages('{"A": 70, "a": 30}', ["A", "a"], ["yes", "no"]) == pytest.approx([0.7, 0.3])

    def test_a_label_that_is_another_options_text_is_the_label(self):
        assert percentages('{"1": 70, "2": 30}', ["1", "2"], ["2", "1"]) == pytest.approx([0.7, 0.3])

    @given(
        st.integers(2, 60).flatmap(lambda k: st.lists(st.integers(0, 1000), min_size=k, max_size=k)),
        st.sampled_from(["", "Sure! ", "Estimate {in percent}: ", "[1] "]),
        st.sampled_from(["", "\nI hope that helps.", " [end]", "}"]),
    )
    @example([1] + [0] * 29, "", "")
    def test_a_distribution_comes_back_as_it_was_written(self, counts, before, after):
        counts = np.array(counts, dtype=float)
        counts[0] += 1
        labels = candidate_labels(len(counts))[0]
        percent = whole_percentages(counts / counts.sum())
        text = before + json.dumps(dict(zip(labels, percent, strict=True))) + after
        found = parse_percentages(text, labels, [f"option {label}!" for label in labels])
        np.testing.assert_allclose(found, np.array(percent) / 100)

    @given(st.text(alphabet=st.sampled_from("ABCabc\"{}[]:,.% 0123456789-\n'enanNI")) | st.text())
    def test_any_text_gives_a_distribution_or_none(self, text):
        shares = parse_percentages(text, LABELS, SCALE)
        if shares is not None:
            assert shares.shape == (5,)
            assert (shares >= 0).all()
            assert math.isclose(shares.sum(), 1)


class TestOneLabel:
    @pytest.mark.parametrize(
        ("text", "label"),
        [
            ("E", "E"),
            (" E\n", "E"),
            ("E.", "E"),
            ("(e)", "E"),
            ("**E**", "E"),
            ("E. very good", "E"),
            ("E) Very good", "E"),
            ("[E] very good", "E"),
            ("E - very good", "E"),
            ("very good", "E"),
            ("Very good.", "E"),
            ("good", "D"),
            ("Poor", "B"),
            ("E\n\nBecause A is wrong", "E"),
            ("The answer is D.", "D"),
            ("Answer: D", "D"),
            ("Label: `D`", "D"),
            ("I would choose D because of my age", "D"),
            ("Option D", "D"),
            ("D because they do", "D"),
            ('{"answer": "D"}', "D"),
            ("A person like this would choose B.", "B"),
            ("A woman like her would say: fair", "C"),
            ("I'd say good, I think", "D"),
            ("As a farmer I feel that it is very poor.", "A"),
            ("\u201cD\u201d", "D"),
            ("A", "A"),
            ("A.", "A"),
        ],
    )
    def test_the_label_that_is_meant(self, text, label):
        assert parse_label(text, LABELS, SCALE) == LABELS.index(label)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "...",
            "A or B",
            "C, D",
            "E. good",
            "very poor or poor",
            "The answer is B. The answer is C.",
            "F",
            "7",
            "It depends.",
            "A woman of her age has no opinion",
            "I'm sorry, but I cannot answer that.",
            "good or bad? very good",
        ],
    )
    def test_none_or_several_is_none(self, text):
        assert parse_label(text, LABELS, SCALE) is None

    def test_an_option_within_another_is_not_that_option(self):
        options = ["agree", "disagree", "strongly agree", "strongly disagree"]
        assert parse_label("I strongly disagree with it", "ABCD", options) == 3
        assert parse_label("Disagree", "ABCD", options) == 1

    @pytest.mark.parametrize(
        "text",
        [
            "Not yes",
            "not yes.",
            "I would not say yes",
            "It isn't A",
            "The answer is not B.",
            "I'd never choose A",
            "not (A)",
        ],
    )
    def test_what_is_denied_is_not_chosen(self, text):
        assert parse_label(text, "ABC", ["yes", "no", "perhaps"]) is None

    @pytest.mark.parametrize(
        ("text", "place"),
        [
            ("I say not at all", 2),
            ("Not at all", 2),
            ("A, not B", 0),
            ("I do not know much about it, but I would choose B", 1),
            ("They are not a fan of the press, so: B", 1),
            ("No doubt: very", 0),
        ],
    )
    def test_not_something_else_is_no_denial(self, text, place):
        assert parse_label(text, "ABC", ["very", "somewhat", "not at all"]) == place

    def test_a_label_of_two_letters_or_numbers(self):
        labels = [str(i) for i in range(1, 13)]
        options = [f"{i} hours" for i in range(12)]
        assert parse_label("12", labels, options) == 11
        assert parse_label("12. 11 hours", labels, options) == 11
        assert parse_label("11 hours", labels, options) == 11

    @given(st.text(), st.integers(2, 30))
    def test_any_text_gives_a_place_or_none(self, text, n_options):
        labels = candidate_labels(n_options)[0]
        place = parse_label(text, labels, [f"choice {label}" for label in labels])
        assert place is None or 0 <= place < n_options

    @given(
        st.integers(2, 60), st.data(), st.sampled_from(["{}", "{}.", "({})", " {}\n", "**{}**", "Answer: {}", "[{}]"])
    )
    def test_each_label_is_read_in_each_form(self, n_options, data, form):
        labels = candidate_labels(n_options)[0]
        place = data.draw(st.integers(0, n_options - 1))
        options = [f"the choice number {i}!" for i in range(n_options)]
        assert parse_label(form.format(labels[place]), labels, options) == place


class TestManyLabels:
    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("A B B A", "ABBA"),
            ("A, B, B and A", "ABBA"),
            ("ABBA", "ABBA"),
            ("A\nB\nB\nA\n", "ABBA"),
            ("['A', 'B', 'B', 'A']", "ABBA"),
            ("1. A\n2. B\n3) B\n4: A", "ABBA"),
            ("Person 1: A\nPerson 2: B\nPerson 3: B\nPerson 4: A", "ABBA"),
            ("Here are 4 labels:\nA B B A\nI hope this helps.", "ABBA"),
            ("A", "A"),
            ("", ""),
            ("none", ""),
            ("a b", ""),
            ("A sequence follows: B B A C", "BBAC"),
        ],
    )
    def test_lists_in_many_forms(self, text, found):
        assert "".join("ABC"[place] for place in parse_labels(text, "ABC")) == found

    def test_numbers_as_labels_are_not_taken_for_numbering(self):
        assert parse_labels("3 1 2 2", ["1", "2", "3"]) == [2, 0, 1, 1]

    @given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.sampled_from([" ", ", ", "\n", "; ", "", " | "]))
    def test_a_list_comes_back_as_it_was_written(self, places, separator):
        text = separator.join(LABELS[place] for place in places)
        assert parse_labels(text, LABELS) == places

    @given(st.text())
    def test_any_text_gives_places(self, text):
        assert all(0 <= place < 5 for place in parse_labels(text, LABELS))


class TestRefusals:
    @pytest.mark.parametrize(
        "text",
        [
            "I'm sorry, but I can't answer for other people.",
            "I\u2019m unable to help with that.",
            "As an AI language model, I don't have personal opinions.",
            "I cannot take part in surveys.",
            "I prefer not to say",
            "I won't guess what women think.",
        ],
    )
    def test_declining(self, text):
        assert is_refusal(text)
        assert parse_label(text, LABELS, SCALE) is None

    @pytest.mark.parametrize("text", ["A", "good", "I am not sure", "Don't know", "I say fair", ""])
    def test_answering(self, text):
        assert not is_refusal(text)

    def test_an_answer_with_a_disclaimer_is_an_answer(self):
        assert parse_label("As an AI I have no opinions, but the answer is B.", LABELS, SCALE) == 1
        text = 'I\'m sorry, this is only a guess: {"A": 10, "B": 20, "C": 30, "D": 25, "E": 15}'
        assert percentages(text) == pytest.approx(SHARES)

    @pytest.mark.parametrize(
        ("option", "refusing"),
        [
            ("Refused", True),
            ("refusal", True),
            ("Prefer not to say", True),
            ("I'd rather not say", True),
            ("No answer", True),
            ("Declined to answer", True),
            ("(Refused)", True),
            ("Refused/Web blank", True),
            ("I prefer not to answer", True),
            ("(VOL.) Refused", True),
            ("Refused (volunteered)", True),
            ("Prefer not to disclose", True),
            ("Choose not to answer", True),
            ("I choose to say more", False),
            ("Don't know/Refused", False),
            ("Don't know", False),
            ("Refused to pay", False),
            ("No", False),
            ("Not sure", False),
            ("No answer is right", False),
        ],
    )
    def test_options(self, option, refusing):
        assert is_refusal_option(option) is refusing
