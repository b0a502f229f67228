"""SimBench's files, as its card and scripts describe them, made here with made-up answers."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from surveysim.datasets import SurveyWarning, leave_out_overlapping, read_simbench
from surveysim.datasets.contamination import overlapping
from surveysim.datasets.simbench import split_question

QUESTION = "How satisfied are you?\n\nOptions:\n(A): Very satisfied\n(B): Fairly satisfied\n(C): Not satisfied"
PERSON = "You are from {cntry}. You are {age_group} years old."


def row(dataset="ESS", variables=None, answer=None, n=100, text=QUESTION, template=PERSON, **more):
    return {
        "dataset_name": dataset,
        "group_prompt_template": template,
        "group_prompt_variable_map": str(
            {"cntry": "Finland", "age_group": "18-29"} if variables is None else variables
        ),
        "input_template": text,
        "human_answer": str({"A": 0.2, "B": 0.5, "C": 0.3} if answer is None else answer),
        "group_size": n,
        "auxiliary": "{}",
        **more,
    }


def written(tmp_path, *rows, name="simbench.csv"):
    path = tmp_path / name
    pd.DataFrame(list(rows)).to_csv(path, index=False)
    return path


def test_groups_become_attributes_and_letters_their_options(tmp_path):
    other = row(variables={"cntry": "Kenya", "age_group": "30-49"}, answer={"A": 10, "B": 20, "C": 70}, n=250)
    simbench = read_simbench(written(tmp_path, row(), other))
    assert simbench.backgrounds == ["cntry", "age_group"]
    assert simbench.X.values.tolist() == [["ESS 1", "Finland", "18-29"], ["ESS 1", "Kenya", "30-49"]]
    np.testing.assert_allclose(simbench.Y, [[0.2, 0.5, 0.3], [0.1, 0.2, 0.7]])  # percentages are shares, too
    assert simbench.n.tolist() == [100, 250]
    question = simbench.questions["ESS 1"]
    assert question.text == "How satisfied are you?"
    assert question.options == ("Very satisfied", "Fairly satisfied", "Not satisfied")
    assert question.ordinal
    assert simbench.groups.tolist()[1] == "You are from Kenya. You are 30-49 years old."
    assert simbench.labels[0] == ["A", "B", "C"]
    assert simbench.recorded is None


def test_a_population_without_attributes_is_described_by_its_sentence(tmp_path):
    worker = row(variables={}, template="You are an Amazon Mechanical Turk worker.", dataset="Jester")
    simbench = read_simbench(written(tmp_path, worker))
    assert simbench.X.values.tolist() == [["Jester 1", "You are an Amazon Mechanical Turk worker."]]
    assert simbench.backgrounds == ["group"]


def test_the_sentence_can_be_asked_for(tmp_path):
    simbench = read_simbench(written(tmp_path, row()), backgrounds="group")
    assert simbench.X["group"].tolist() == ["You are from Finland. You are 18-29 years old."]
    assert simbench.attributes.to_dict("list") == {"cntry": ["Finland"], "age_group": ["18-29"]}


def test_options_without_a_value_were_not_offered(tmp_path):
    offered = read_simbench(written(tmp_path, row(answer={"A": 0.5, "B": 0.5, "C": None})))
    np.testing.assert_allclose(offered.Y, [[0.5, 0.5]])
    assert offered.questions["ESS 1"].options == ("Very satisfied", "Fairly satisfied")


def test_the_same_text_in_two_data_sets_is_two_questions(tmp_path):
    simbench = read_simbench(written(tmp_path, row(), row(dataset="ISSP"), row(n=50)))
    assert simbench.X["question"].tolist() == ["ESS 1", "ESS 1", "ISSP 2"]
    assert simbench.n.tolist() == [100, 50, 100]
    assert simbench.datasets.tolist() == ["ESS", "ESS", "ISSP"]
    only = read_simbench(tmp_path / "simbench.csv", datasets=["ISSP"])
    assert only.X["question"].tolist() == ["ISSP 1"]


def test_rows_that_cannot_be_read_are_counted(tmp_path):
    bad = [
        row(answer={"A": 1.0}),
        {**row(), "human_answer": "__import__('os').getcwd()"},
        row(answer={"A": -1, "B": 2}),
    ]
    with pytest.warns(SurveyWarning, match="rows that cannot be read"):
        simbench = read_simbench(written(tmp_path, row(), *bad))
    assert len(simbench.X) == 1
    assert (simbench.report["what"] == "rows that cannot be read, left out").sum() == 3


def test_json_and_parquet_hold_dictionaries(tmp_path):
    line = {**row(), "human_answer": {"A": 0.2, "B": 0.5, "C": 0.3}, "group_prompt_variable_map": {"cntry": "Peru"}}
    (tmp_path / "s.json").write_text(json.dumps([line]))
    pd.DataFrame([row()]).to_parquet(tmp_path / "s.parquet")
    assert read_simbench(tmp_path / "s.json").X["cntry"].tolist() == ["Peru"]
    assert read_simbench(tmp_path / "s.parquet").X["cntry"].tolist() == ["Finland"]


def test_recorded_answers_come_in_the_order_of_the_options(tmp_path):
    rows = [
        row(Response_Distribution="[0.1, 0.2, 0.7]"),
        row(Response_Distribution="{'C': 50, 'A': 50}", n=60),
        row(Response_Distribution="I cannot answer", n=70),
        row(Response_Distribution="[0.1, 0.9]", n=80),
    ]
    recorded = read_simbench(written(tmp_path, *rows)).recorded
    np.testing.assert_allclose(recorded[:2], [[0.1, 0.2, 0.7], [0.5, 0.0, 0.5]])
    assert np.isnan(recorded[2:]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backgrounds": "both"}, "backgrounds must be"),
        ({"datasets": ["GSS"]}, r"no data sets \['GSS'\]; it has \['ESS'\]"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        read_simbench(written(tmp_path, row()), **change)


def test_pickles_are_not_opened(tmp_path):
    with pytest.raises(ValueError, match="pickles are not opened"):
        read_simbench(tmp_path / "SimBenchPop.pkl")
    path = written(tmp_path, {"dataset_name": "ESS"})
    with pytest.raises(ValueError, match="lacks the columns"):
        read_simbench(path)


def test_a_question_whose_options_are_not_listed_keeps_their_letters():
    assert split_question("Yes or no?", ["A", "B"]) == ("Yes or no?", ["A", "B"])
    assert split_question("Which?\n(A): same\n(B): same", ["A", "B"])[1] == ["A", "B"]


# --- the contamination rule -------------------------------------------------------------------------------------------


def grouped(tmp_path, *groups, name="a.csv", text=QUESTION, dataset="ESS"):
    rows = [row(variables=group, text=text, dataset=dataset) for group in groups]
    return read_simbench(written(tmp_path, *rows, name=name))


@pytest.mark.parametrize(
    ("evidence", "target", "is_left"),
    [
        ({"cntry": "Sweden"}, {"cntry": "Finland"}, True),
        ({"cntry": "Finland", "age_group": "30-49"}, {"cntry": "Finland", "age_group": "18-29"}, True),
        ({"cntry": "Finland"}, {"cntry": "Finland", "age_group": "18-29"}, False),  # they are in it
        ({"cntry": "Finland", "sex": "female"}, {"cntry": "Finland", "age_group": "18-29"}, False),  # young women
        ({"age_group": "25-34"}, {"age_group": "18-29"}, False),  # those from 25 to 29
        ({}, {"cntry": "Finland"}, False),
        ({"country": "Sweden"}, {"cntry": "Finland"}, False),  # not known to be the same attribute
        ({"sex": "Female"}, {"sex": "women"}, False),
        ({"sex": "male"}, {"sex": "women"}, True),
        ({"cntry": "USA"}, {"cntry": "the United States"}, False),
        ({"race": "Black"}, {"race": "Black or African American"}, False),
        ({"sex": "1"}, {"sex": "women"}, False),  # a code may mean anything
        ({"cntry": "all"}, {"cntry": "Finland"}, False),
        ({"age_group": "65+"}, {"age_group": "70 or older"}, False),
        ({"age_group": "under 30"}, {"age_group": "30-49"}, True),
    ],
)
def test_rows_of_the_same_question_and_overlapping_people_are_never_evidence(tmp_path, evidence, target, is_left):
    ours, theirs = grouped(tmp_path, evidence, name="e.csv"), grouped(tmp_path, target, name="t.csv")
    assert overlapping(ours, theirs).tolist() == [not is_left]
    other_question = grouped(tmp_path, evidence, name="o.csv", text=QUESTION.replace("satisfied are", "happy are"))
    assert overlapping(other_question, theirs).tolist() == [False]


def test_levels_that_one_set_has_both_of_are_different_people(tmp_path):
    ours = grouped(tmp_path, {"education": "high school"}, {"education": "some high school"}, name="e.csv")
    theirs = grouped(tmp_path, {"education": "some high school"}, name="t.csv")
    assert overlapping(ours, theirs).tolist() == [False, True]
    assert overlapping(grouped(tmp_path, {"education": "high school"}, name="o.csv"), theirs).tolist() == [True]


def test_two_spellings_in_one_set_are_the_same_people(tmp_path):
    ours = grouped(tmp_path, {"cntry": "USA"}, {"cntry": "United States"}, name="e.csv")
    assert overlapping(ours, grouped(tmp_path, {"cntry": "USA"}, name="t.csv")).tolist() == [True, True]


@pytest.mark.parametrize(
    "change", [str.upper, lambda text: text.replace("?", " ?"), lambda text: text.replace(" ", "  ")]
)
def test_the_same_question_is_written_in_several_ways(tmp_path, change):
    ours = grouped(
        tmp_path,
        {"cntry": "Finland"},
        name="e.csv",
        text=change(QUESTION.split("\n")[0]) + QUESTION[len(QUESTION.split("\n")[0]) :],
    )
    assert overlapping(ours, grouped(tmp_path, {"cntry": "Finland"}, name="t.csv")).tolist() == [True]


def test_another_data_set_that_asks_the_same_of_the_same_people_is_contaminated(tmp_path):
    ours = grouped(tmp_path, {"cntry": "Finland"}, {"cntry": "Peru"}, name="e.csv", dataset="ISSP")
    kept = leave_out_overlapping(ours, grouped(tmp_path, {"cntry": "Finland"}, name="t.csv"))
    assert kept.X["cntry"].tolist() == ["Peru"]
    assert kept.labels == [["A", "B", "C"]]
    assert kept.datasets.tolist() == ["ISSP"]


def test_sentences_alone_do_not_tell_groups_apart(tmp_path):
    path = written(tmp_path, row(), row(variables={"cntry": "Finland", "age_group": "50+"}))
    everybody = read_simbench(path, backgrounds="group")
    young = read_simbench(written(tmp_path, row(), name="t.csv"), backgrounds="group")
    assert leave_out_overlapping(everybody, young).groups.tolist() == ["You are from Finland. You are 50+ years old."]


def test_nothing_left_is_an_error(tmp_path):
    simbench = grouped(tmp_path, {"cntry": "Finland"})
    with pytest.raises(ValueError, match="nothing is left"):
        leave_out_overlapping(simbench, simbench)
