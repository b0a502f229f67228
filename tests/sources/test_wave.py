"""A wave of another survey in a target's words: what is merged, summed out, matched, listed and refused."""

from __future__ import annotations

import pickle
from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from surveysim import FusedRegressor, Question, tabulate
from surveysim.baselines import LogitRegressor
from surveysim.cells import FitCells
from surveysim.datasets import make_next_wave, make_survey
from surveysim.errors import SurveysimWarning
from surveysim.sources import Wave, same_respondents
from surveysim.trusted import skops_types

YES_NO = Question("Do you trust the police?", ["no", "yes"])
TRAINING = pd.DataFrame({"sex": ["f", "m"], "age": ["18-29", "30+"]})


@pytest.fixture(scope="module")
def survey():
    return make_survey(600, n_backgrounds=3, n_levels=[4, 3, 2], n_questions=2, weighted=True, random_state=0)


def survey_of(sex, age, answers, weight=None):
    data = pd.DataFrame({"sex": sex, "age": age, "trust": answers})
    return tabulate(data, ["sex", "age"], {"trust": YES_NO}, weights=weight)


SMALL = survey_of(list("ffffmmmm"), ["18-29", "18-29", "30+", "30+"] * 2, [1, 2, 2, 2, 1, 1, 1, 2])


def as_fit_cells(cells):
    frame = cells.X[cells.backgrounds].reset_index(drop=True)
    index = pd.Index(list(cells.questions)).get_indexer(cells.question_names)
    return FitCells(frame, index, dict(cells.questions), cells.Y, cells.n, np.arange(len(cells)))


# --- equal names ------------------------------------------------------------------------------------------------------


def test_equal_names_give_the_cells_themselves(survey):
    cells = survey.tabulate()
    evidence = Wave(cells).evidence(survey.questions, cells.X[cells.backgrounds])
    np.testing.assert_allclose(evidence.Y, cells.Y)
    np.testing.assert_allclose(evidence.n, cells.n)
    assert evidence.question_names.tolist() == cells.question_names.tolist()
    pd.testing.assert_frame_equal(evidence.backgrounds, cells.X[cells.backgrounds])
    assert evidence.unmatched.empty


def test_options_come_in_the_target_s_order_and_width():
    cells = tabulate(
        pd.DataFrame({"sex": ["f", "m"], "age": ["18-29", "30+"], "trust": ["yes", "no"]}),
        ["sex", "age"],
        {"trust": Question("Do you trust the police?", ["yes", "no"])},
    )
    longer = {"trust": YES_NO, "other": Question("Other?", ["a", "b", "c"])}
    with pytest.warns(SurveysimWarning, match="question 'other': the source did not ask it"):
        evidence = Wave(cells).evidence(longer, TRAINING)
    np.testing.assert_allclose(evidence.Y, [[0, 1, np.nan], [1, 0, np.nan]])


def test_a_single_question_needs_no_name():
    evidence = Wave(SMALL).evidence(YES_NO, TRAINING)
    assert set(evidence.question_names) == {""}


def test_a_question_is_found_by_its_wording():
    renamed = {"v17": Question("do you trust the police", ["no", "yes"])}
    assert set(Wave(SMALL).evidence(renamed, TRAINING).question_names) == {"v17"}


def test_another_wording_under_the_same_name_is_pointed_out():
    other = {"trust": Question("Do you trust the courts?", ["no", "yes"])}
    with pytest.warns(SurveysimWarning, match=r"questions \['trust'\] have the same name in the source and another"):
        Wave(SMALL).evidence(other, TRAINING)


# --- putting together -------------------------------------------------------------------------------------------------


def test_an_attribute_that_the_target_lacks_is_summed_out_as_tabulate_would(survey):
    crossed, alone = survey.tabulate(), survey.tabulate(["background 2"])
    evidence = Wave(crossed).evidence(survey.questions, alone.X[["background 2"]])
    np.testing.assert_allclose(evidence.Y, alone.Y)
    np.testing.assert_allclose(evidence.n, alone.n)
    assert evidence.unmatched["kind"].tolist() == ["attribute", "attribute"]


def test_levels_are_merged_as_tabulate_would(survey):
    halves = {"level 1": "low", "level 2": "low", "level 3": "high", "level 4": "high"}
    data = survey.data.assign(**{"background 1": survey.data["background 1"].astype(object).map(halves)})
    merged = tabulate(data, survey.backgrounds, survey.questions, weights="weight")
    wave = Wave(survey.tabulate(), levels={"background 1": halves})
    evidence = wave.evidence(survey.questions, merged.X[merged.backgrounds])
    order = ["background 1", "background 2", "background 3"]
    both = [
        frame.assign(question=names, n=n).sort_values(["question", *order])["n"].to_numpy()
        for frame, names, n in (
            (evidence.backgrounds.astype(str), evidence.question_names, evidence.n),
            (merged.X[order].astype(str), merged.question_names, merged.n),
        )
    ]
    np.testing.assert_allclose(*both)


def test_a_population_s_shares_go_before_the_sample_s():
    """Half of the sampled women are young, a tenth of the population's: 0.1 x 1/2 + 0.9 x 1 = 0.95 say yes."""
    population = pd.DataFrame({"age": ["18-29", "30+"], "share": [0.1, 0.9]})
    evidence = Wave(SMALL, population=population).evidence(YES_NO, TRAINING[["sex"]])
    np.testing.assert_allclose(evidence.Y[0], [0.05, 0.95])
    # each cell has two respondents: 1 / (0.1^2 / 2 + 0.9^2 / 2)
    np.testing.assert_allclose(evidence.n[0], 1 / 0.41)


def test_an_attribute_that_the_source_lacks_is_missing():
    with pytest.warns(SurveysimWarning, match="attribute 'region': the source does not have it"):
        evidence = Wave(SMALL).evidence(YES_NO, TRAINING.assign(region="north"))
    assert evidence.backgrounds["region"].isna().all()
    assert len(evidence) == 4


def test_no_answer_costs_respondents():
    with_dont_know = Question("Do you trust the police?", ["no", "yes", "Don't know"])
    data = pd.DataFrame({"sex": ["f"] * 4, "age": ["30+"] * 4, "trust": ["no", "yes", "yes", "Don't know"]})
    cells = tabulate(data, ["sex", "age"], {"trust": with_dont_know}, missing="option")
    evidence = Wave(cells).evidence(YES_NO, TRAINING)
    np.testing.assert_allclose(evidence.Y, [[1 / 3, 2 / 3]])
    np.testing.assert_allclose(evidence.n, [3.0])


def test_people_who_did_not_state_an_attribute_are_no_total():
    cells = survey_of(["f", "f", "m"], ["18-29", None, "30+"], [1, 2, 2])
    evidence = Wave(cells).evidence(YES_NO, TRAINING)
    assert evidence.backgrounds.notna().all().all()
    assert evidence.n.sum() == 2
    assert "not stated" in evidence.unmatched["name"].iloc[0]
    # but they count where age is summed out
    assert Wave(cells).evidence(YES_NO, TRAINING[["sex"]]).n.tolist() == [2.0, 1.0]


# --- tables of the same people ----------------------------------------------------------------------------------------


def test_tables_that_others_imply_are_left_out(survey):
    tables = [survey.tabulate(), survey.tabulate(["background 1"]), survey.tabulate(["background 2"])]
    backgrounds = tables[0].X[tables[0].backgrounds]
    evidence = Wave(tables).evidence(survey.questions, backgrounds)
    np.testing.assert_allclose(evidence.n, tables[0].n)


def test_single_attributes_stand_beside_one_another(survey):
    tables = [survey.tabulate(["background 1"]), survey.tabulate(["background 2"])]
    backgrounds = survey.data[["background 1", "background 2"]]
    evidence = Wave(tables).evidence(survey.questions, backgrounds)
    assert evidence.backgrounds["background 2"].isna().sum() == 8  # two questions, four levels of the first
    assert evidence.backgrounds["background 1"].isna().sum() == 6


# --- an estimator's predictions ---------------------------------------------------------------------------------------


def test_an_estimator_s_predictions_take_the_place_of_the_shares(survey):
    cells = survey.tabulate()
    model = LogitRegressor(question=survey.questions).fit(cells.X, cells.Y, cells.n)
    wave = Wave(cells, estimator=model)
    evidence = wave.evidence(survey.questions, cells.X[cells.backgrounds])
    np.testing.assert_allclose(evidence.Y, model.predict(cells.X))
    np.testing.assert_allclose(evidence.n, cells.n)
    assert "as LogitRegressor predicts them" in repr(wave)


def test_an_estimator_of_other_options_is_refused(survey):
    cells = survey.tabulate()
    model = LogitRegressor(question=survey.questions).fit(cells.X, cells.Y, cells.n)
    other = {name: replace(q, options=[*reversed(q.options)], codes=None) for name, q in survey.questions.items()}
    with pytest.raises(ValueError, match=r"question 'q1': the estimator's options .* are not those of cells"):
        Wave(replace(cells, questions=other), estimator=model).evidence(other, cells.X[cells.backgrounds])


# --- the same respondents ---------------------------------------------------------------------------------------------


def test_a_source_of_the_training_respondents_is_recognised(survey):
    cells = survey.tabulate()
    assert Wave(cells).has_respondents_of(as_fit_cells(cells))
    model = LogitRegressor(question=survey.questions).fit(cells.X, cells.Y, cells.n)
    assert Wave(cells, estimator=model).has_respondents_of(as_fit_cells(cells))


def test_other_respondents_of_the_same_survey_are_others(survey):
    first, second = survey.subset(np.arange(300)), survey.subset(np.arange(300, 600))
    assert not Wave(first.tabulate()).has_respondents_of(as_fit_cells(second.tabulate()))
    backgrounds = survey.data[survey.backgrounds]
    evidence = [Wave(part.tabulate()).evidence(survey.questions, backgrounds) for part in (first, second)]
    assert not same_respondents(*evidence)
    assert same_respondents(evidence[0], evidence[0])


def test_a_handful_of_people_may_be_equal_by_chance():
    assert not Wave(SMALL).has_respondents_of(as_fit_cells(SMALL))  # 8 respondents


# --- bad input --------------------------------------------------------------------------------------------------------


def test_no_question_in_common_is_an_error():
    with pytest.raises(ValueError, match=r"Wave '2020': the source has no question in common with the target"):
        Wave(SMALL, name="2020").evidence({"a": Question("A?", ["x", "y"]), "b": Question("B?", ["x", "y"])}, TRAINING)


def test_a_single_target_question_of_another_wording_has_to_be_named(survey):
    question, cells = survey.questions["q1"], survey.tabulate()
    other = replace(question, text="Something else?")
    with pytest.raises(
        ValueError, match=r"""a single one of another wording. Say which it is, questions=\{'q1': ""\}"""
    ):
        Wave(cells).evidence(other, cells.X[cells.backgrounds])
    evidence = Wave(cells, questions={"q1": ""}).evidence(other, cells.X[cells.backgrounds])
    np.testing.assert_allclose(evidence.n, cells.n[cells.question_names == "q1"])


def test_no_question_whose_options_match_is_an_error_that_says_why():
    with pytest.raises(ValueError, match=r"options match: 'trust': the target's options \['it depends'\] are none"):
        Wave(SMALL).evidence({"trust": Question("Do you trust the police?", ["no", "it depends", "yes"])}, TRAINING)


def test_no_cell_in_common_is_an_error():
    wave = Wave(survey_of(["f", "f"], ["18-29", "30+"], [1, 2]), levels={"sex": {"f": None}})
    with pytest.raises(ValueError, match="no cell in common"):
        wave.evidence(YES_NO, TRAINING)


def test_an_attribute_of_which_no_level_matches_is_summed_out_and_listed():
    with pytest.warns(SurveysimWarning, match="attribute 'sex': no level matches: summed out"):
        evidence = Wave(SMALL).evidence(YES_NO, TRAINING.assign(sex=["1", "2"]))
    assert evidence.backgrounds["sex"].isna().all()
    assert evidence.backgrounds["age"].tolist() == ["18-29", "30+"]


def test_options_that_do_not_match_at_all_are_an_error():
    with pytest.raises(ValueError, match="are none of the target's"):
        Wave(SMALL).evidence(Question("Do you trust the police?", ["1", "2", "3"]), TRAINING)


def test_a_question_with_another_option_is_listed_and_left_out(survey):
    middle = replace(survey.questions["q2"], options=[*survey.questions["q2"].options[:4], "never thought of it"])
    cells = survey.tabulate()
    with pytest.warns(SurveysimWarning, match=r"question 'q2': the source's options \['option 5'\] are none of"):
        evidence = Wave(cells).evidence({"q1": survey.questions["q1"], "q2": middle}, cells.X[cells.backgrounds])
    assert set(evidence.question_names) == {"q1"}


@pytest.mark.parametrize("n", [-1.0, np.nan, np.inf])
def test_numbers_of_respondents_must_be_numbers(n):
    with pytest.raises(ValueError, match=r"cells.n is .* in row 1"):
        Wave(replace(SMALL, n=np.array([1.0, n, 1.0, 1.0])))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"levels": {"income": {}}}, r"levels names the attributes \['income'\]; the target has \['sex', 'age'\]"),
        ({"options": {"income": {}}}, r"options names the questions \['income'\]"),
        ({"attributes": {"income": "age"}}, "attributes names 'income', which the source does not have"),
        ({"questions": {"trust": "income"}}, "questions maps 'trust' to 'income', which the target does not have"),
    ],
)
def test_mappings_of_what_does_not_exist_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        Wave(SMALL, **parameters).evidence({"trust": YES_NO}, TRAINING)


def test_a_population_that_lacks_a_group_is_refused():
    with pytest.raises(ValueError, match=r"population lacks the group \{'age': '30\+'\}"):
        Wave(SMALL, population=pd.DataFrame({"age": ["18-29"], "share": [1.0]}))


def test_what_is_no_table_is_refused():
    with pytest.raises(TypeError, match=r"cells must be what surveysim\.tabulate returns"):
        Wave(np.eye(2))
    with pytest.raises(ValueError, match="empty list"):
        Wave([])


# --- as a parameter of an estimator -----------------------------------------------------------------------------------


def test_a_wave_can_be_cloned_and_pickled(survey):
    wave = Wave(survey.tabulate(), time="2024-03-01", name="spring")
    assert clone(wave) is wave
    assert clone(FusedRegressor({"spring": wave})).elicitor["spring"].name == "spring"
    again = pickle.loads(pickle.dumps(wave))
    assert repr(again) == repr(wave)
    assert repr(wave).startswith("Wave 'spring'(")
    assert wave.kind == "people"
    assert again.time == date(2024, 3, 1)


@pytest.mark.parametrize("time", ["2024-03-01", 2024, None])
def test_a_fitted_estimator_with_a_wave_goes_through_skops(survey, time):
    io = pytest.importorskip("skops.io")
    later = make_next_wave(survey, 100, random_state=1)
    cells = later.tabulate()
    model = FusedRegressor(Wave(survey.tabulate(), time=time), question=later.questions)
    model.fit(cells.X, cells.Y, sample_weight=cells.n)
    again = io.loads(io.dumps(model), trusted=skops_types())
    np.testing.assert_array_equal(again.predict(cells.X), model.predict(cells.X))
    assert again.elicitor.time == model.elicitor.time
