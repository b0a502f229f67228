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
        ValueError, match=r"no instruction states \['income'\]; they state \['age', 'ethnicity', 'sex', 'year'\]"
    ):
        read_align_survey(written(tmp_path, RECORDS), attributes=["income"])


def test_an_option_may_be_named_by_its_letter_alone(tmp_path):
    records = [record(1, "male", "B"), record(2, "male", "(A)")]
    survey = read_align_survey(written(tmp_path, records))
    np.testing.assert_allclose(survey.Y, [[0.5, 0.5]])
    with pytest.raises(ValueError, match="records that cannot be read"):
        read_align_survey(written(tmp_path, [record(1, "male", "C")]))


def test_years_are_kept_apart_or_told_of(tmp_path):
    earlier = record(4, "male", "A. working class")
    earlier["instruction"] = earlier["instruction"].replace("2024", "2018")
    path = written(tmp_path, [*RECORDS, earlier])
    with pytest.warns(SurveyWarning, match="answers of several years, put together"):
        assert read_align_survey(path).n.tolist() == [4]
    survey = read_align_survey(path, attributes=["year"])
    assert survey.X["year"].tolist() == ["2024", "2018"]
    assert survey.n.tolist() == [3, 1]


CHINESE = """你需要模拟一位真实的问卷填写者来回答以下问题。
你的个人背景：
居住地: 山东省
您的性别: {sex}
估计您家一年至少需要多少钱（包括自产自消部分的折算价值）？: 30000

问卷问题：
考虑到生活的各个方面，您觉得幸福吗？
选项：
{options}

请直接输出你的答案："""


def test_chinese_records_are_read_and_their_shuffled_options_put_together(tmp_path):
    orders = ["A. 一般\nB. 幸福\nC. 不幸福", "A. 不幸福\nB. 一般\nC. 幸福"]
    records = [
        {"instruction": CHINESE.format(sex=sex, options=options), "input": "", "output": output, "person_id": who}
        for who, sex, options, output in (("1", "男", orders[0], "B. 幸福"), ("2", "女", orders[1], "C. 幸福"),
                                          ("3", "女", orders[1], "A"), ("3", "女", orders[1], "A"))
    ]  # fmt: skip
    survey = read_align_survey(written(tmp_path, records), attributes=["您的性别"])
    assert survey.questions["q1"].options == ("一般", "幸福", "不幸福")
    assert survey.questions["q1"].text == "考虑到生活的各个方面，您觉得幸福吗？"
    np.testing.assert_allclose(survey.Y, [[0, 1, 0], [0, 0.5, 0.5]])
    assert survey.n.tolist() == [1, 2]


STANCE = """你是一名社会学研究人员，正在分析一名受访者的访谈数据:
背景信息：
性别: {sex}
年龄: 18-25岁

请判断受访者对公共服务评价的倾向，并解释你的判断理由。
输出格式为JSON，包含"predict"和"reason"两个字段。predict字段从"积极"、"消极"或"中立"中选择。"""


def test_stances_of_interviews_are_read(tmp_path):
    records = [
        {"instruction": STANCE.format(sex=sex), "input": " ", "id": who,
         "output": json.dumps({"predict": stance, "reason": "受访者"}, ensure_ascii=False)}
        for who, sex, stance in ((1, "男", "积极"), (2, "女", "中立"), (3, "女", "积极"))
    ]  # fmt: skip
    survey = read_align_survey(written(tmp_path, records), attributes=["性别"])
    assert survey.questions["q1"].text == "请判断受访者对公共服务评价的倾向"
    assert survey.questions["q1"].options == ("积极", "消极", "中立")
    np.testing.assert_allclose(survey.Y, [[1, 0, 0], [0.5, 0, 0.5]])
    broken = [{**records[0], "output": "积极"}]
    with pytest.raises(ValueError, match="records that cannot be read"):
        read_align_survey(written(tmp_path, broken))


def test_interviews_hold_no_answers_to_options(tmp_path):
    guess = "请根据对话内容，预测被访者的 “家庭年收入”。\n可选值：5万以下、5万-20万。"
    with pytest.raises(ValueError, match="no distributions are left"):
        read_align_survey(written(tmp_path, [{"instruction": guess, "input": "", "output": "['5万以下']", "id": 2}]))


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


def test_socsci210_tells_of_tasks_with_several_texts(tmp_path):
    people = [participant(1, 1), {**participant(2, 2), "stimuli": "Should it fall?"}]
    with pytest.warns(SurveyWarning, match="tasks with several texts"):
        survey = read_socsci210(written(tmp_path, people))
    assert survey.questions["abc12 condition 0 task 0"].text == "Should spending rise? Task 0"


def test_socsci210_refuses_what_the_file_does_not_have(tmp_path):
    path = written(tmp_path, [participant(1, 1), participant(2, 2)])
    with pytest.raises(ValueError, match=r"no studies \['other'\]"):
        read_socsci210(path, studies=["other"])
    with pytest.raises(ValueError, match=r"demographic has no \['income'\]"):
        read_socsci210(path, attributes=["income"])
