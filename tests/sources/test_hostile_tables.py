"""Tables as they come: nothing is misread in silence, and what is refused says what to do."""

from __future__ import annotations

import re
import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from surveysim import Question, tabulate
from surveysim.errors import SurveysimWarning
from surveysim.sources import Wave

YES_NO = Question("Do you trust the police?", ["no", "yes"])
TRAINING = pd.DataFrame({"sex": ["f", "m"], "age": ["18-29", "30+"]})


def toplines(no=(60, 50), n=(100, 100), **attributes):
    no = np.asarray(no, dtype=float)
    return pd.DataFrame({**attributes, "no": no, "yes": 100 - no, "n": n})


def evidence(table, target=YES_NO, training=TRAINING, **mappings):
    """With the sentences of its warning."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = Wave(table, **mappings).evidence(target, training)
    return found, " ".join(str(one.message) for one in caught)


def listed(found, kind="level"):
    own = found.unmatched[found.unmatched["kind"] == kind]
    return dict(zip(own["name"], own["why"], strict=True))


# --- levels -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("called", ["Total", "ALL", "Both sexes", "Overall"])
def test_the_row_of_everybody_is_no_group_of_its_own(called):
    found, said = evidence(toplines((60, 50, 55), (100, 100, 200), sex=["f", "m", called]))
    assert found.backgrounds["sex"].tolist() == ["f", "m"]
    assert "reads like the total over the attribute" in said


def test_a_level_called_all_of_the_target_s_own_is_a_level():
    training = pd.DataFrame({"sex": ["f", "all"]})
    found, _ = evidence(toplines(sex=["f", "All"]), training=training)
    assert found.backgrounds["sex"].tolist() == ["f", "all"]


def test_a_range_beside_one_that_holds_it_is_left_out():
    found, said = evidence(toplines((60, 50, 55), (100, 100, 50), age=["18-29", "30+", "65+"]))
    assert found.backgrounds["age"].tolist() == ["18-29", "30+"]
    assert found.n.tolist() == [100, 100]
    assert "level 'age: 65+': overlaps ['30+']" in said


def test_nets_beside_their_parts_count_once():
    table = toplines((60, 50, 55), (100, 40, 60), age=["18-29", "18-24", "25-29"])
    found, said = evidence(table)
    assert found.n.tolist() == [100]
    assert "the same people in part" in said
    both = {"age": {"18-24": "18-29", "25-29": "18-29"}}
    with pytest.raises(ValueError, match=r"overlap and are both '18-29': the same people would count twice"):
        evidence(table, levels=both)
    parts, _ = evidence(table, levels={"age": {**both["age"], "18-29": None}})
    assert parts.n.tolist() == [100]
    np.testing.assert_allclose(parts.Y, [[0.53, 0.47]])


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (["18-24", "25-29"], {"18-29": 200.0}),
        (["18 to 29", "30 and over"], {"18-29": 100.0, "30+": 100.0}),
        (["18\u201329", "over 29"], {"18-29": 100.0, "30+": 100.0}),
        (["18-29", "30-64"], {"18-29": 100.0, "30+": 100.0}),  # nobody older was asked
        (["18-24", "25-34"], {}),
        (["18-24", "30+"], {"30+": 100.0}),
    ],
)
def test_cuts_of_age(theirs, ours):
    training = TRAINING[["age"]]
    if not ours:
        found, said = evidence(toplines(age=theirs), training=training)
        assert found.backgrounds["age"].isna().all()
        assert "no level matches: summed out" in said
        return
    found, _ = evidence(toplines(age=theirs), training=training)
    assert dict(zip(found.backgrounds["age"], found.n, strict=True)) == ours


def test_an_open_end_that_the_source_has_nobody_of_is_listed():
    training = pd.DataFrame({"age": ["under 30", "30+"]})
    found, said = evidence(toplines(age=["25-29", "30+"]), training=training)
    assert found.n.tolist() == [100, 100]
    assert listed(found)["age: 25-29"].startswith("taken for 'under 30', though it ends earlier")
    assert said == ""


def test_a_code_far_from_the_target_s_numbers_is_pointed_at():
    training = pd.DataFrame({"sex": [1, 2]})
    _, said = evidence(toplines(sex=["1", "9"]), training=training)
    assert "level 'sex: 9': far from the target's values, 1 to 2: is it a code?" in said
    _, said = evidence(toplines(age=["18", "95"]), training=pd.DataFrame({"age": [20, 60, 80]}))
    assert said == ""


def test_levels_of_punctuation_are_not_all_the_same():
    found, _ = evidence(toplines(sex=["-", "m"]), training=pd.DataFrame({"sex": ["?", "m"]}))
    assert found.backgrounds["sex"].tolist() == ["m"]
    found, _ = evidence(toplines(sex=["B-", "A"]), training=pd.DataFrame({"sex": ["B", "A"]}))
    assert found.backgrounds["sex"].tolist() == ["A"]
    assert "sex: B-" in listed(found)


@pytest.mark.parametrize("levels", [["1", "2"], [1, 2], [1.0, 2.0], pd.Categorical([1, 2]), pd.Categorical(["1", "2"])])
@pytest.mark.parametrize("ours", [["1", "2"], [1, 2], pd.Categorical([1, 2]), pd.Categorical(["1", "2"])])
def test_numbers_texts_and_categories_are_the_same_levels(levels, ours):
    table = SimpleNamespace(
        X=pd.DataFrame({"sex": levels}), Y=np.array([[0.6, 0.4], [0.5, 0.5]]), n=np.array([10.0, 20.0]),
        questions={"": YES_NO},
    )  # fmt: skip
    found, said = evidence(table, training=pd.DataFrame({"sex": ours}))
    assert [float(level) for level in found.backgrounds["sex"]] == [1.0, 2.0]
    assert found.n.tolist() == [10, 20]
    assert said == ""


# --- printed tables ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (toplines(age=["18-29", "18-29"]), "row 1 repeats {'age': '18-29'}"),
        (pd.DataFrame({"no": ["60%", "50%"], "yes": ["40%", "50%"], "n": [10, 10]}), "holds text, such as '60%'"),
        (pd.DataFrame({"a": ["x", "y"], "no": [60, "-"], "yes": [40, "-"], "n": [9, 9]}), "holds text, such as '-'"),
        (toplines(n=["1,234", "10"]), "the column 'n' holds '1,234' in row 0"),
        (toplines(attribute=["sex", "age"], level=["f", "30+"]), "'attribute' and 'level' look like an attribute's"),
        (toplines(Variable=["sex", "age"], Category=["f", "30+"]), "'Variable' and 'Category' look like"),
        (pd.DataFrame({"no": [160], "yes": [140], "n": [300]}), "They look like numbers of respondents: divide"),
        (pd.DataFrame({"no": [57], "yes": [40], "n": [300]}), "What is missing may be an option or a reason"),
        (pd.DataFrame({"no": [0.57], "yes": [0.4], "n": [300]}), "What is missing may be an option or a reason"),
        (pd.DataFrame({"no": [-60], "yes": [160], "n": [10]}), "a share of {} is negative or infinite"),
        (
            pd.DataFrame({"age": [18, 45], "no": [0.6, 0.5], "yes": [0.4, 0.5], "n": [9, 9]}),
            "numbers look like options",
        ),
        (pd.DataFrame({"question": ["a", None], "no": [60, 50], "yes": [40, 50], "n": 9}), "row 1 does not name its"),
        (pd.DataFrame([[60, 40, 9, 9]], columns=["no", "yes", "n", "n"]), "more than one column named 'n'"),
        (toplines(n=[0, 0]), "empty, or every n is 0"),
        (toplines((np.nan, 50), (10, 10), age=["18-29", "30+"]), "Leave out rows that are not published"),
    ],
)
def test_what_would_be_misread_is_refused(table, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Wave(table)


def test_groups_of_nobody_may_be_blank():
    found, _ = evidence(toplines((60, np.nan), (100, 0), age=["18-29", "30+"]))
    assert found.n.tolist() == [100]


def test_rounded_percentages_sum_to_about_a_hundred():
    found, _ = evidence(
        pd.DataFrame({"a": [33], "b": [33], "c": [33], "n": [300]}), Question("Which?", ["a", "b", "c"])
    )
    np.testing.assert_allclose(found.Y, [[1 / 3] * 3])
    ten = pd.DataFrame({f"o{i}": [9.6] for i in range(10)} | {"n": [300]})
    assert len(evidence(ten, Question("Which?", [f"o{i}" for i in range(10)]))[0]) == 1


@pytest.mark.parametrize("names", [[1, 2], [1.0, 2.0], ["1", "2"]])
@pytest.mark.parametrize("is_long", [True, False])
def test_questions_may_be_numbered(names, is_long):
    table = toplines(question=names)
    if is_long:
        table = table.melt(["question", "n"], var_name="option", value_name="share")
    found, _ = evidence(table, {"1": YES_NO, "2": Question("Other?", ["no", "yes"])})
    assert found.question_names.tolist() == ["1", "2"]
    np.testing.assert_allclose(found.Y[:, 0], [0.6, 0.5])


def test_names_differ_in_case_and_spaces():
    table = toplines(question=[" Trust ", "OTHER"]).rename(columns={"no": " NO", "yes": "Yes."})
    found, _ = evidence(table, {"trust": YES_NO, "other": Question("Other?", ["no", "yes"])})
    assert found.question_names.tolist() == ["trust", "other"]


def test_frames_of_other_libraries_are_read():
    """Those of polars and pyarrow have ``to_pandas``."""
    table = toplines(sex=["f", "m"])
    found, _ = evidence(SimpleNamespace(to_pandas=lambda: table))
    assert found.backgrounds["sex"].tolist() == ["f", "m"]
    found, _ = evidence([SimpleNamespace(to_pandas=lambda: table), toplines(age=["18-29", "30+"])])
    assert len(found) == 4
    found, _ = evidence(table, training=SimpleNamespace(to_pandas=lambda: TRAINING))
    assert len(found) == 2


# --- questions, tables and numbers ------------------------------------------------------------------------------------


def test_a_single_question_of_another_wording_is_pointed_out():
    data = pd.DataFrame({"sex": ["f", "m"] * 30, "ice": ["no", "yes", "yes"] * 20})
    cells = tabulate(data, ["sex"], {"ice": Question("Do you like ice cream?", ["no", "yes"])})
    with pytest.warns(SurveysimWarning, match=r"its only question, 'Do you like ice cream\?', has another wording"):
        Wave(cells).evidence(YES_NO, TRAINING[["sex"]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Wave(cells, questions={"ice": ""}).evidence(YES_NO, TRAINING[["sex"]])


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (
            [toplines(Age=["18-29", "30+"]), toplines(age=["18-29", "30+"], sex=["f", "f"])],
            "the attribute 'Age', anoth",
        ),
        (
            [toplines(question=["Q1", "q2"]), toplines(question=["q1", "q2"], sex=["f", "f"])],
            "the question 'Q1', anoth",
        ),
    ],
)
def test_tables_of_one_survey_call_things_by_one_name(tables, message):
    with pytest.raises(ValueError, match=f"one table calls {message}"):
        Wave(tables)


def test_an_option_that_only_the_target_has_says_what_to_do():
    target = {"a": Question("A?", ["no", "yes", "Don't know"]), "b": YES_NO}
    _, said = evidence(toplines(question=["a", "b"]), target)
    assert """options={'a': {theirs: "Don't know"}}, or tabulate your survey without it""" in said


def test_assumed_numbers_of_respondents_are_told_of():
    table = SimpleNamespace(
        X=pd.DataFrame({"sex": ["f", "m"]}), Y=np.array([[0.6, 0.4], [0.5, 0.5]]), n=np.array([10.0, 20.0]),
        questions={"": YES_NO}, n_is_assumed=True,
    )  # fmt: skip
    _, said = evidence(table, training=TRAINING[["sex"]])
    assert "its numbers of respondents are assumed" in said
