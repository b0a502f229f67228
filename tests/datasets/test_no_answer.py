"""No answer is not an answer: labels of many surveys in many languages, and where their codes stand.

``labels/no_answer.tsv`` and ``labels/answers.tsv`` were written down before the table of the package, from what the
documentation of the surveys named there calls its codes; half of each, by a hash, was not looked at while the table was
made.
"""

from __future__ import annotations

import csv
import hashlib
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from surveysim.datasets import SurveyWarning, read_survey
from surveysim.datasets.no_answer import missing_kind, read_label
from surveysim.tables import Missing, tabulate

LABELS = Path(__file__).parent / "labels"
SCALE = {1: "good", 2: "fair", 3: "bad"}


def labels(name: str, *, held_out: bool | None = None) -> list[dict[str, str]]:
    with (LABELS / name).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    if held_out is None:
        return rows
    return [row for row in rows if hashlib.sha256(row["label"].encode()).digest()[0] % 2 == held_out]


def read(named: dict, values: list | None = None, **parameters):
    """The survey, and the text of its warning."""
    table = pd.DataFrame({"q": (values or list(named)) * 20})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        survey = read_survey(table, value_labels={"q": named}, **parameters)
    return survey, "\n".join(str(warning.message) for warning in caught)


class TestRecall:
    def test_there_are_enough_labels_to_tell(self):
        assert len(labels("no_answer.tsv")) >= 400
        assert len({row["language"] for row in labels("no_answer.tsv")}) >= 25
        assert len({row["survey"] for row in labels("no_answer.tsv")}) >= 20
        assert len(labels("answers.tsv")) >= 400

    @pytest.mark.parametrize("held_out", [False, True])
    def test_nearly_all_are_recognised(self, held_out):
        rows = labels("no_answer.tsv", held_out=held_out)
        missed = [row["label"] for row in rows if missing_kind(row["label"]) is None]
        assert len(missed) <= 2, missed

    def test_they_are_of_the_kind_that_they_name(self):
        for row in labels("no_answer.tsv"):
            found = missing_kind(row["label"])
            joined = any(mark in row["label"] for mark in "/,・、;／")  # of several, the first counts
            assert found in (row["kind"], None) or joined, row

    def test_beside_a_scale_nine_is_no_answer_and_what_is_missed_is_said(self):
        missed = []
        for row in labels("no_answer.tsv"):
            survey, said = read({**SCALE, 9: row["label"]})
            question = survey.questions["q"]
            if question.options != ("good", "fair", "bad"):
                assert row["label"] in said, row
                missed.append(row["label"])
            assert question.ordinal, row
        assert len(missed) <= 2, missed

    @pytest.mark.parametrize("held_out", [False, True])
    def test_answers_that_look_close_stay_answers(self, held_out):
        taken = [
            row["label"] for row in labels("answers.tsv", held_out=held_out) if read_label(row["label"]).is_certain
        ]
        assert taken == []

    def test_answers_among_answers_stay_answers(self):
        """At the last code of a list of names, where nothing but the label speaks."""
        names = {1: "Reds", 2: "Greens", 3: "Blues"}
        taken, doubted = [], []
        for row in labels("answers.tsv"):
            survey, said = read({**names, 4: row["label"]})
            if survey.questions["q"].n_options < 4:
                taken.append(row["label"])
                assert row["label"] in said
            elif said:
                doubted.append(row["label"])
        assert len(taken) <= 2, taken
        assert len(doubted) <= 45, doubted


class TestForms:
    @pytest.mark.parametrize(
        ("label", "kind"),
        [
            ("N.S.", "don't know"),
            ("NS/NR", "skipped"),
            ("Kann ich nicht beurteilen", "don't know"),
            ("잘 모름", "don't know"),
            ("잘모름", "don't know"),
            ("NAP (code 0 in VOTE)", "not asked"),
            ("DK/NR", "don't know"),
            ("DK (SPONTANEOUS)", "don't know"),
            ("[-1] keine Angabe", "skipped"),
            ("-99. KEINE ANGABE", "skipped"),
            ("Doesn't know", "don't know"),
            ("说不清楚", "don't know"),
            ("نمی‌دانم", "don't know"),
            ("NÃO SABE", "don't know"),
            ("nao sabe", "don't know"),
            ("No sabe [NO LEER]", "don't know"),
            ("{Refused}", "refused"),
            ("Missing; Not asked in survey", "skipped"),
            ("Not asked in wave 3", "not asked"),
        ],
    )
    def test_brackets_codes_remarks_and_joined_labels(self, label, kind):
        assert missing_kind(label) == kind

    @pytest.mark.parametrize("label", ["Don't know him", "Refused to pay", "Missing the bus", "Not at all", "Keine"])
    def test_whole_labels_only(self, label):
        assert missing_kind(label) is None


class TestPlaces:
    def test_zero_before_a_scale(self):
        survey, said = read({0: "NAP", **SCALE})
        assert survey.questions["q"].options == ("good", "fair", "bad")
        assert survey.variables["not asked"].iloc[0] == 20
        assert said == ""

    def test_beside_a_numbered_scale(self):
        survey, said = read({-1: "[-1] keine Angabe", 0: "gar nicht", 10: "voll"}, list(range(-1, 11)))
        assert survey.questions["q"].n_options == 11
        assert survey.questions["q"].ordinal
        assert said == ""

    def test_what_is_not_in_the_table_and_stands_apart_is_kept_beside_the_scale_and_said(self):
        survey, said = read({**SCALE, 9: "Qwghlm"})
        question = survey.questions["q"]
        assert question.options == ("good", "fair", "bad", "Qwghlm")
        assert question.pinned == ("Qwghlm",)
        assert question.ordinal
        assert "q (20 respondents): 9: 'Qwghlm', 25.0%; missing={'q': {9: \"don't know\"}}" in said
        survey, said = read({**SCALE, 9: "Qwghlm"}, missing={"q": {9: "don't know"}})
        assert survey.questions["q"].n_options == 3
        assert said == ""

    def test_words_of_no_answer_at_such_a_code_are_taken_and_said(self):
        label = "Have not followed this closely enough to answer it"
        survey, said = read({**SCALE, 9: label})
        assert survey.questions["q"].n_options == 3
        assert survey.variables["don't know"].iloc[0] == 20
        assert f"9: {label!r}, 25.0%; missing={{'q': {{9: None}}}}" in said
        survey, said = read({**SCALE, 9: label}, missing={"q": {9: None}})
        assert survey.questions["q"].n_options == 4

    def test_abbreviations_among_abbreviations_are_names(self):
        states = dict(enumerate(["AK", "AL", "AZ", "CA", "MN", "NC", "ND", "NE", "NH", "OH", "WA"], 1))
        survey, said = read(states)
        assert survey.questions["q"].options == tuple(states.values())
        assert said == ""
        survey, said = read({1: "PP", 2: "SPD", 3: "OVP", 4: "NC"})
        assert survey.questions["q"].n_options == 4
        assert "4: 'NC', 25.0%; missing={'q': {4: 'skipped'}}" in said
        survey, said = read({1: "Sí", 2: "No", 3: "NS", 4: "NC"})
        assert survey.questions["q"].options == ("Sí", "No")
        assert "labels that may mean no answer, taken as no answer" in said
        survey, said = read({1: "Reds", 2: "Greens", 8: "NS", 9: "NC"})
        assert survey.questions["q"].options == ("Reds", "Greens")

    def test_refuse_beside_accept_is_an_answer(self):
        survey, said = read({1: "Accept", 2: "Refuse"})
        assert survey.questions["q"].n_options == 2
        assert said == ""

    def test_does_not_apply_is_the_end_of_a_german_scale(self):
        scale = {
            1: "Trifft voll und ganz zu", 2: "Trifft eher zu", 3: "Trifft eher nicht zu", 4: "Trifft nicht zu",
        }  # fmt: skip
        survey, said = read(scale)
        assert survey.questions["q"].options == tuple(scale.values())
        assert survey.questions["q"].ordinal
        assert said == ""
        survey, _ = read({1: "Ja", 2: "Nein", -2: "trifft nicht zu"})
        assert survey.questions["q"].options == ("Ja", "Nein")

    def test_other_at_such_a_code_is_no_doubt(self):
        survey, said = read({1: "Reds", 2: "Greens", 3: "Blues", 9: "Other party"})
        assert survey.questions["q"].pinned == ("Other party",)
        assert said == ""

    def test_categoricals_and_text(self):
        table = pd.DataFrame({"sex": ["f", "m", "N.S.", "f"] * 9, "q": ["sí", "no", "No sabe", "NS/NC"] * 9})
        survey = read_survey(table)
        assert survey.questions["q"].n_options == 2
        assert survey.data["sex"].isna().sum() == 9
        survey = read_survey(table.astype("category"))
        assert survey.questions["q"].n_options == 2
        assert survey.data["sex"].isna().sum() == 9

    def test_one_warning_lists_all(self):
        table = pd.DataFrame({name: [1, 2, 3, 9] * 5 for name in "abc"})
        with pytest.warns(SurveyWarning, match=r"kept as answers:\n    a .*\n    b .*\n    c "):
            read_survey(table, value_labels={name: {**SCALE, 9: "Qwghlm"} for name in "abc"})


class TestCodes:
    def test_a_general_declaration_spares_answers(self):
        table = pd.DataFrame({"party": list(range(1, 10)) * 20, "trust": [1, 2, 3, 3, 1, 2, 1, 8, 9] * 20})
        names = {"party": {i: f"Party {i}" for i in range(1, 10)}, "trust": SCALE}
        missing = {8: "don't know", 9: "refused"}
        with pytest.warns(SurveyWarning, match=r"kept as answers:\n    party \(20 respondents\): 8: 'Party 8', 11.1%"):
            survey = read_survey(table, missing=missing, value_labels=names)
        assert survey.questions["party"].n_options == 9
        counted = survey.variables.set_index("name").loc["trust"]
        assert (counted["don't know"], counted["refused"]) == (20, 20)
        own = {"party": {9: "refused"}, **missing}
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert read_survey(table, missing=own, value_labels=names).questions["party"].n_options == 8

    def test_four_points_with_8_and_9_ask(self):
        table = pd.DataFrame({"sex": ["f", "m"] * 60, "trust": [1, 2, 3, 4, 8, 9] * 20})
        with pytest.raises(ValueError, match="'trust' has no labels, and 8, 9 look like codes"):
            read_survey(table, questions=["trust"])

    def test_ages_of_99_are_said(self):
        table = pd.DataFrame({"age": [20, 40, 50, 70, 99] * 40, "q": ["yes", "no"] * 100})
        with pytest.warns(SurveyWarning, match=r"age \(40 respondents\): 99, 20.0%; missing={'age': {99: 'refused'}}"):
            read_survey(table)
        survey = read_survey(table, missing={"age": {99: "refused"}})
        assert survey.data["age group"].isna().sum() == 40
        everybody = np.arange(18, 100)
        old = pd.DataFrame({"age": everybody, "q": ["yes", "no"] * 41})
        assert (read_survey(old).report["severity"] == "note").all()  # where others are 96 and 97, 99 is an age

    def test_ninety_or_older(self):
        table = pd.DataFrame({"age": ["18", "44", "64", "90+", "85 or older"] * 4, "q": ["yes", "no"] * 10})
        assert read_survey(table).data["age group"].value_counts().to_dict() == {
            "under 30": 4, "30-44": 4, "45-64": 4, "65 or older": 8,
        }  # fmt: skip

    def test_a_code_that_a_list_lacks(self):
        labels = {1: "Register", 2: "Campaign", 3: "Media", 4: "Fraud", 5: "Pressure", 10: "Other", 11: "Money"}
        survey, said = read(labels, [1, 2, 3, 4, 5, 8, 8, 8, 10, 11])
        assert set(survey.questions["q"].options) == set(labels.values())
        assert "values without labels, taken as no answer: q (60 respondents)" in said

    def test_a_label_on_the_top_alone_is_of_an_amount(self):
        labels = {8: "Eight or more", 9: "NA"}
        values = [0, 1, 2, 3, 4, 8, 9]
        survey, _ = read(labels, values, variable_labels={"q": "Number of children"})
        assert survey.backgrounds == ["q"]
        assert sorted(survey.data["q"].dropna().unique()) == [0, 1, 2, 3, 4, 8]
        assert survey.data["q"].isna().sum() == 20
        survey, _ = read(labels, values, questions=["q"])
        assert survey.questions["q"].options == (*map(str, range(8)), "Eight or more")

    def test_dashes_are_blanks_unless_they_grade(self):
        table = pd.DataFrame({"q": ["low", "-", "high", "low"] * 5, "r": ["++", "+", "-", "--"] * 5})
        survey = read_survey(table, questions=["q", "r"])
        assert survey.questions["q"].n_options == 2
        assert survey.questions["r"].n_options == 4


def test_tabulate_takes_what_is_declared_an_answer():
    missing = Missing(codes={9: "refused", "q": {9: None, 8: "don't know"}})
    assert missing.codes_of("q") == {8: "don't know"}
    assert missing.answers_of("q") == {9}
    assert missing.codes_of("r") == {9: "refused"}
    survey, _ = read({**SCALE, 9: "Don't know"}, missing={"q": {9: None}})
    survey.data["all"] = "x"
    cells = tabulate(survey.data, ["all"], survey.questions)
    np.testing.assert_allclose(cells.Y[0], [0.25] * 4)
