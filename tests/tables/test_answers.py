"""How answers find their option, and how the four kinds of missing answers are told apart."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from surveysim import Question, tabulate
from surveysim.tables import MISSING_KINDS, Missing
from surveysim.tables.answers import code_answers
from surveysim.tables.matching import CodeBook, OptionMatcher, as_number

AGREE = Question("Agree?", ["Strongly agree", "Agree", "Disagree"])
CODED = Question("Agree?", ["Strongly agree", "Agree", "Disagree"], codes=[0, 1, 2])


def options_of(values, question=AGREE, missing=None, dtype=None):
    column = pd.Series(values, name="q", dtype=dtype)
    return code_answers(column, question, missing or Missing()).option.tolist()


class TestMatching:
    def test_text_with_stray_spaces_and_case(self):
        assert options_of(["Agree", " strongly  AGREE ", "disagree"]) == [1, 0, 2]

    def test_typographic_apostrophe(self):
        question = Question("Q?", ["I don't", "I do"])
        assert options_of(["I don’t", "I do"], question) == [0, 1]

    def test_options_that_differ_by_case_only_need_exact_text(self):
        question = Question("Q?", ["us", "US", "them"])
        assert options_of(["US", "us"], question) == [1, 0]
        assert OptionMatcher(question).find("Us") is None

    @pytest.mark.parametrize("values", [[3, 1, 2], [3.0, 1.0, 2.0], ["3", "1", "2"], ["3.0", " 1", "2"]])
    def test_integers_1_to_k_without_codes(self, values):
        assert options_of(values) == [2, 0, 1]

    @pytest.mark.parametrize("dtype", ["Int64", "float32", "int8", "category", "string", object])
    def test_any_column_type(self, dtype):
        values = ["2", "1"] if dtype == "string" else [2, 1]
        assert options_of(values, dtype=dtype) == [1, 0]

    @pytest.mark.parametrize("values", [[2, 0], [2.0, 0.0], ["2", "0"]])
    def test_codes(self, values):
        assert options_of(values, CODED) == [2, 0]

    def test_codes_close_the_way_to_integers(self):
        # 3 is no code; as the integer 3 it would silently become "Disagree"
        with pytest.raises(ValueError, match=r"3 \(1 times\)"):
            options_of([1, 3], CODED)

    def test_text_codes(self):
        question = Question("Q?", ["yes", "no"], codes=["Y", "N"])
        assert options_of(["N", "Y", "yes"], question) == [1, 0, 0]

    def test_text_codes_that_write_numbers(self):
        question = Question("Q?", ["yes", "no"], codes=["01", "02"])
        assert options_of([1, 2.0], question) == [0, 1]
        assert options_of(["01", "2"], question) == [0, 1]

    def test_numeral_options_match_by_value_not_by_position(self):
        question = Question("0 to 4?", ["0", "1", "2", "3", "4"])
        assert options_of([0, 4, 1.0, "3"], question) == [0, 4, 1, 3]

    def test_numeral_options_close_the_way_to_positions(self):
        # as a position, 3 would be "2" children
        question = Question("Children?", ["0", "1", "2", "3 or more"])
        with pytest.raises(ValueError, match=r"3 \(1 times\)"):
            options_of([0, 3], question)

    def test_numeral_options_at_their_own_position_leave_it_open(self):
        question = Question("1 to 4?", ["1 (not at all)", "2", "3", "4 (very)"])
        assert options_of([1, 2, 3, 4], question) == [0, 1, 2, 3]

    def test_text_that_is_one_options_text_and_anothers_code_is_an_error(self):
        reversed_ = Question("Q?", ["1", "2", "3"], codes=[3, 2, 1])
        assert options_of([3, 1], reversed_) == [0, 2]  # numbers: what the file holds
        with pytest.raises(ValueError, match="'3' by its text and '1' by its code"):
            options_of(["3", "2"], reversed_)

    def test_true_is_not_the_first_option(self):
        question = Question("Q?", ["No", "Yes"])
        with pytest.raises(ValueError, match=r"True \(2 times\)"):
            options_of([True, True], question)
        assert options_of([True, False], Question("Q?", ["No", "Yes"], codes=[False, True])) == [1, 0]

    def test_numbers_between_the_integers_are_unknown(self):
        with pytest.raises(ValueError, match=r"2\.5 \(1 times\)"):
            options_of([1, 2.5])

    def test_ambiguous_numbers_of_codes_do_not_match(self):
        book = CodeBook(["1", "01"])
        assert (book.find("1"), book.find("01"), book.find(1)) == (0, 1, None)

    @pytest.mark.parametrize(
        ("value", "number"),
        [(3, 3.0), ("3", 3.0), (" -1 ", -1.0), ("2.", 2.0), ("nan", None), ("1e3", None), (True, None), (None, None)],
    )
    def test_as_number(self, value, number):
        assert as_number(value) == number

    @given(st.data())
    def test_every_option_is_found_by_text_code_and_number(self, data):
        n_options = data.draw(st.integers(2, 8))
        codes = data.draw(st.lists(st.integers(-50, 50), min_size=n_options, max_size=n_options, unique=True))
        question = Question("Q?", [f"option {chr(65 + k)}" for k in range(n_options)], codes=codes)
        expected = list(range(n_options))
        assert options_of(list(question.options), question) == expected
        assert options_of(codes, question) == expected
        assert options_of([float(code) for code in codes], question) == expected
        assert options_of([str(code) for code in codes], question) == expected


class TestKindsOfMissing:
    def test_blanks_are_not_asked_whatever_they_look_like(self):
        not_asked = AGREE.n_options + MISSING_KINDS.index("not asked")
        assert options_of([None, np.nan, pd.NA, "", "  ", "Agree"]) == [*[not_asked] * 5, 1]
        assert options_of([1, None], dtype="Int64") == [0, not_asked]

    def test_blanks_can_be_declared_skipped(self):
        skipped = AGREE.n_options + MISSING_KINDS.index("skipped")
        assert options_of([None, "", 2], missing=Missing(blank="skipped")) == [skipped, skipped, 1]

    def test_declared_codes(self):
        missing = Missing(codes={-1: "skipped", 8: "don't know", "9": "refused", ".a": "not asked"})
        assert options_of([-1.0, "8", 9, ".a", 1], missing=missing) == [5, 3, 4, 6, 0]

    def test_text_that_says_so(self):
        values = ["Don’t know", "REFUSAL", "No answer", "Not applicable", "Agree"]
        assert options_of(values) == [3, 4, 5, 6, 1]

    def test_an_option_goes_before_text_that_says_so(self):
        question = Question("Q?", ["yes", "no", "don't know"], pinned=["don't know"])
        assert options_of(["don't know", "yes"], question) == [2, 0]

    def test_numbers_are_never_guessed(self):
        with pytest.raises(ValueError, match=r"99 \(2 times\), -1 \(1 times\)"):
            options_of([1, 99, 99, -1])

    def test_codes_of_one_question_replace_the_general_ones(self):
        missing = Missing(codes={9: "refused", "q": {99: "refused"}})
        ten = Question("0 to 10?", [str(k) for k in range(11)])
        assert options_of([9, 99, 0], ten, missing) == [9, 12, 0]

    def test_a_missing_code_that_is_an_option_is_an_error(self):
        ten = Question("0 to 10?", [str(k) for k in range(11)])
        with pytest.raises(ValueError, match=r"'q': 9 is declared missing \(refused\) but is the option '9'"):
            options_of([0], ten, Missing(codes={9: "refused"}))

    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            ({"policy": "ignore"}, ValueError, "drop.*option.*error"),
            ({"codes": {9: "no idea"}}, ValueError, r"missing\[9\] must be one of the kinds"),
            ({"codes": {"q": {9: 3}}}, ValueError, r"missing\['q'\]\[9\]"),
            ({"codes": [9]}, TypeError, "mapping from codes to kinds"),
            ({"codes": {np.nan: "skipped"}}, ValueError, "blank="),
            ({"codes": {"q": {None: "skipped"}}}, ValueError, "blank="),
            ({"blank": "empty"}, ValueError, "blank must be one of the kinds"),
        ],
    )
    def test_bad_declarations(self, arguments, error, message):
        with pytest.raises(error, match=message):
            Missing(**arguments)

    def test_unhashable_answers(self):
        with pytest.raises(TypeError, match="'q' must be single values"):
            options_of([[1, 2], [3]])


class TestPolicyOption:
    """`missing="option"`: don't know and refused become answers."""

    missing = Missing("option", {-1: "skipped", 8: "don't know", 9: "refused"})
    data = pd.DataFrame({"g": ["a"] * 6, "q": [1, 3, 8, 9, 9, -1]})

    def test_pinned_options_are_added_last(self):
        cells = tabulate(self.data, ["g"], {"q": AGREE}, missing=self.missing)
        question = cells.questions["q"]
        assert question.options == (*AGREE.options, "Don't know", "Refused")
        assert question.pinned == ("Don't know", "Refused")
        np.testing.assert_array_equal(question.positions, [1, 2, 3, np.nan, np.nan])
        np.testing.assert_allclose(cells.Y, [[0.2, 0, 0.2, 0.2, 0.4]])
        assert cells.missing.to_dict("records") == [{"don't know": 0, "refused": 0, "skipped": 1, "not asked": 0}]

    def test_declared_kinds_are_options_even_if_nobody_gave_them(self):
        cells = tabulate(self.data[:2], ["g"], {"q": AGREE}, missing=self.missing)
        assert cells.questions["q"].n_options == 5
        assert cells.Y.shape == (1, 5)

    def test_the_new_question_tabulates_the_next_wave_alike(self):
        first = tabulate(self.data, ["g"], {"q": AGREE}, missing=self.missing)
        again = tabulate(self.data, ["g"], first.questions, missing=self.missing)
        assert again.questions == first.questions
        np.testing.assert_array_equal(again.Y, first.Y)
        # its codes now hold the missing codes, so that it needs no declaration but for what is skipped
        plain = tabulate(self.data, ["g"], first.questions, missing={-1: "skipped"})
        np.testing.assert_array_equal(plain.Y, first.Y)

    def test_values_and_codes_are_extended(self):
        question = Question("Q?", ["low", "high"], codes=["l", "h"], values=[0, 10])
        data = pd.DataFrame({"g": ["a"] * 3, "q": ["l", "h", "Don't know"]})
        extended = tabulate(data, ["g"], {"q": question}, missing="option").questions["q"]
        assert extended.codes == ("l", "h", "Don't know")
        np.testing.assert_array_equal(extended.positions, [0, 10, np.nan])

    def test_numeral_options_keep_matching_by_value(self):
        question = Question("Children?", ["0", "1", "2", "more"])
        data = pd.DataFrame({"g": ["a"] * 3, "q": ["0", "2", "8"]})
        first = tabulate(data, ["g"], {"q": question}, missing=self.missing)
        assert first.questions["q"].codes == (0, 1, 2, "more", 8, 9)
        again = tabulate(data, ["g"], first.questions, missing=self.missing)
        np.testing.assert_array_equal(again.Y, first.Y)

    def test_an_existing_option_is_used(self):
        question = Question("Q?", ["yes", "no", "Don't know"], codes=[1, 2, 7], pinned=["Don't know"])
        data = pd.DataFrame({"g": ["a"] * 4, "q": [1, 7, 8, 8]})
        cells = tabulate(data, ["g"], {"q": question}, missing=Missing("option", {8: "don't know"}))
        assert cells.questions["q"] == question
        np.testing.assert_allclose(cells.Y, [[0.25, 0, 0.75]])

    def test_the_longest_question_counts_its_new_options(self):
        data = self.data.assign(p=["x", "y", "x", "y", "x", "y"])
        answers = {"p": Question("P?", ["x", "y"]), "q": AGREE}
        cells = tabulate(
            data, ["g"], answers, missing=Missing("option", {"q": dict(self.missing.codes), -5: "skipped"})
        )
        assert cells.questions["p"].n_options == 2
        assert cells.Y.shape == (2, 5)
        np.testing.assert_array_equal(np.isnan(cells.Y[0]), [False, False, True, True, True])

    def test_nothing_to_turn_into_an_option(self):
        with pytest.raises(ValueError, match='finds no "don\'t know"'):
            tabulate(pd.DataFrame({"g": ["a"], "q": [1]}), ["g"], {"q": AGREE}, missing="option")


def test_policy_error_lists_kinds_and_counts():
    data = pd.DataFrame({"g": ["a"] * 4, "q": [1, -1, -1, None], "p": [1, 2, 1, 1]})
    answers = {"q": AGREE, "p": AGREE}
    with pytest.raises(ValueError, match=r"'q': skipped 2; 'q': not asked 1$"):
        tabulate(data, ["g"], answers, missing=Missing("error", {-1: "skipped"}))
    assert len(tabulate(data[:1], ["g"], answers, missing="error")) == 2


def test_unknown_answers_of_all_questions_are_listed_at_once():
    data = pd.DataFrame({"g": ["a"] * 3, "q": [1, 7, 7], "p": ["maybe", "Agree", "Agree"]})
    with pytest.raises(ValueError, match="match no option") as caught:
        tabulate(data, ["g"], {"q": CODED, "p": AGREE})
    message = str(caught.value)
    assert "'q': 7 (2 times); expected the options" in message
    assert "or their codes [0, 1, 2]" in message
    assert "'p': 'maybe' (1 times)" in message
    assert "the integers 1 to 3" in message
    assert "missing={-1: 'skipped'" in message


def test_long_lists_of_unknown_answers_are_cut():
    data = pd.DataFrame({"g": ["a"] * 40, "q": np.arange(40)})
    with pytest.raises(ValueError, match="and 27 more values"):
        tabulate(data, ["g"], {"q": AGREE})
