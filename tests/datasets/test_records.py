"""AlignSurvey and SocSci210, as their pages describe them, made here with made-up people."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from surveysim.datasets import SurveyWarning, read_align_survey, read_socsci210

INSTRUCTION = """The survey is in 2024. You need to simulate a real survey respondent answering the following question.
Your personal background:
your age: {age}
your sex: {sex}
your ethnicity:{blank}

Survey question:
which social class would you say you belong in:
the working class or the middle class?
A. working class
B. middle class

Please provide your answer directly."""


def record(who, sex, output, age="64.0"):
    return {
        "instruction": INSTRUCTION.format(age=age, sex=sex, blank=" "),
        "input": "",
        "output": output,
        "respondent_id": who,
    }


def written(tmp_path, records, name="a.json"):
    path = tmp_path / name
    path.write_text(json.dumps(records))
    return path


RECORDS = [
    record(1, "male", "A. working class"),
    record(2, "male", "Middle class"),  # without the letter
    record(3, "female", "B. middle class"),
]


def test_align_survey_counts_respondents_by_group(tmp_path):
    survey = read_align_survey(written(tmp_path, RECORDS), attributes=["sex"])
    assert survey.X.values.tolist() == [["q1", "male"], ["q1", "female"]]
    np.testing.assert_allclose(survey.Y, [[0.5, 0.5], [0, 1]])
    assert survey.n.tolist() == [2, 1]
    question = survey.questions["q1"]
    assert question.text == "which social class would you say you belong in: the working class or the middle class?"
    assert question.options == ("working class", "middle class")


def test_align_survey_without_attributes_is_the_total(tmp_path):
    survey = read_align_survey(written(tmp_path, RECORDS))
    np.testing.assert_allclose(survey.Y, [[1 / 3, 2 / 3]])
    assert survey.backgrounds == []


def test_an_attribute_that_a_person_left_blank_is_not_stated(tmp_path):
    survey = read_align_survey(written(tmp_path, RECORDS), attributes=["sex", "ethnicity"])
    assert survey.backgrounds == ["sex"]


def test_records_that_cannot_be_read_are_counted_and_repeated_ones_left_out(tmp_path):
    records = [*RECORDS, record(4, "male", "upper class"), {"instruction": "Hello", "output": "A"}, RECORDS[0]]
    with pytest.warns(SurveyWarning, match="records that cannot be read"):
        survey = read_align_survey(written(tmp_path, records))
    assert survey.n.tolist() == [3]
    assert set(survey.report["what"]) == {
        "records that cannot be read, left out", "repeated records of a respondent, left out",
    }  # fmt: skip


def test_attributes_that_nobody_states_are_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"no instruction states \['income'\]; they state \['age', 'ethnicity', 'sex'\]"
    ):
        read_align_survey(written(tmp_path, RECORDS), attributes=["income"])


def participant(who, response, sex="Male", task=0, condition=0, study="abc12"):
    return {
        "sample_id": who,
        "participant": who,
        "demographic": {"sex": sex, "age": 40},
        "stimuli": f"Should spending rise? Task {task}",
        "response": response,
        "condition_num": condition,
        "task_num": task,
        "study_id": study,
    }


def test_socsci210_has_a_question_for_each_task_and_condition(tmp_path):
    people = [
        participant(1, 1), participant(2, 3), participant(3, 3, sex="Female"), participant(1, 2, condition=1),
        participant(2, 1, condition=1), participant(1, 60_000_000, task=1), participant(2, 5, task=1),
    ]  # fmt: skip
    survey = read_socsci210(written(tmp_path, people), attributes=["sex"])
    assert list(survey.questions) == ["abc12 condition 0 task 0", "abc12 condition 1 task 0"]
    assert survey.questions["abc12 condition 0 task 0"].options == ("1", "2", "3")  # nobody chose 2
    np.testing.assert_allclose(survey.Y, [[0.5, 0, 0.5], [0, 0, 1], [0.5, 0.5, np.nan]])
    assert survey.n.tolist() == [2, 1, 2]
    left_out = survey.report[survey.report["what"].str.startswith("tasks whose answers")]
    assert left_out["respondents"].tolist() == [2]  # an amount


def test_socsci210_reads_dictionaries_that_are_text_and_counts_people_once(tmp_path):
    people = pd.DataFrame([participant(1, 1), participant(2, 2), participant(2, 2), participant(3, 1, study="zz")])
    people["demographic"] = people["demographic"].astype(str)
    path = tmp_path / "s.csv"
    people.to_csv(path, index=False)
    survey = read_socsci210(path, studies=["abc12"], attributes=["sex"])
    assert survey.n.tolist() == [2]
    assert survey.X["sex"].tolist() == ["Male"]


def test_socsci210_refuses_what_the_file_does_not_have(tmp_path):
    path = written(tmp_path, [participant(1, 1), participant(2, 2)])
    with pytest.raises(ValueError, match=r"no studies \['other'\]"):
        read_socsci210(path, studies=["other"])
    with pytest.raises(ValueError, match=r"demographic has no \['income'\]"):
        read_socsci210(path, attributes=["income"])
