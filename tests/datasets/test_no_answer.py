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

import pandas as pd
import pytest

from surveysim.datasets import read_survey
from surveysim.datasets.no_answer import missing_kind, read_label

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
