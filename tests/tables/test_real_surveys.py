"""Real surveys: FiveThirtyEight's non-voters, statsmodels' ANES 1996 and Fair, CCES and ESS, against pandas."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from surveysim import Question, poststratify, rake, tabulate
from surveysim.tables import Missing

AGES = ["18-29", "30-44", "45-64", "65 or older"]


@pytest.fixture(scope="module")
def nonvoters(survey_data):
    folder = survey_data / "nonvoters_2020"
    data = pd.read_csv(folder / "nonvoters_data.csv")
    data = pd.concat([data, pd.cut(data["ppage"], [17, 29, 44, 64, 120], labels=AGES).rename("age")], axis=1)
    described = json.loads((folder / "questions.json").read_text())["questions"]
    questions = {
        q["variable"]: Question(q["question"], q["options"], codes=q["codes"], ordinal=q["ordinal"]) for q in described
    }
    return data, questions


@pytest.mark.realdata
class TestNonvoters:
    backgrounds = ["age", "race", "educ", "gender"]

    def test_all_questions_at_once(self, nonvoters):
        data, questions = nonvoters
        cells = tabulate(data, self.backgrounds, questions, weights="weight", missing={-1: "skipped"}, folds=5)
        assert set(cells.X["question"]) == set(questions)
        assert len(cells.X.drop(columns="question").drop_duplicates()) == 96
        counted = pd.Series(cells.n_raw + cells.missing.sum(axis=1)).groupby(cells.X["question"]).sum()
        outside = cells.excluded.groupby("question")["outside_cells"].sum().reindex(counted.index).fillna(0)
        assert (counted + outside == 5836).all()
        np.testing.assert_allclose(cells.folds.sum(axis=(1, 2)), cells.n)
        assert (cells.n <= cells.n_raw + 1e-9).all()
        assert cells.X["age"].cat.ordered

    def test_a_cell_by_pandas(self, nonvoters):
        data, questions = nonvoters
        cells = tabulate(data, self.backgrounds, {"Q2_1": questions["Q2_1"]}, weights="weight", missing={-1: "skipped"})
        here = {"age": "65 or older", "race": "Black", "educ": "College", "gender": "Female"}
        row = int(np.flatnonzero((cells.X.astype(object) == pd.Series(here)).all(axis=1))[0])
        group = data[(data[list(here)].astype(object) == pd.Series(here)).all(axis=1)]
        answered = group[group["Q2_1"] > 0]
        expected = answered.groupby("Q2_1")["weight"].sum().reindex([1, 2, 3, 4], fill_value=0)
        np.testing.assert_allclose(cells.Y[row], expected / expected.sum())
        assert cells.n_raw[row] == len(answered)
        assert cells.n[row] == pytest.approx(answered["weight"].sum() ** 2 / (answered["weight"] ** 2).sum())
        assert cells.missing["skipped"][row] == len(group) - len(answered)

    def test_skipped_and_not_asked_are_told_apart(self, nonvoters):
        data, _ = nonvoters
        reason = Question("Why are you not registered?", [f"reason {k}" for k in "abcdefg"], ordinal=False)
        cells = tabulate(data, ["gender"], {"Q22": reason}, missing={-1: "skipped"})
        assert cells.missing.sum().to_dict() == {"don't know": 0, "refused": 0, "skipped": 12, "not asked": 5350}
        assert cells.n_raw.sum() == 474

    def test_the_code_for_skipped_has_to_be_declared(self, nonvoters):
        data, questions = nonvoters
        with pytest.raises(ValueError, match=r"'Q2_1': -1 \(35 times\)"):
            tabulate(data, self.backgrounds, {"Q2_1": questions["Q2_1"]})

    def test_poststratified_to_raked_margins(self, nonvoters):
        data, questions = nonvoters
        cells = tabulate(
            data, ["age", "gender"], {"Q2_1": questions["Q2_1"]}, weights="weight", missing={-1: "skipped"}
        )
        margins = {
            column: data.groupby(column, observed=True)["weight"].sum() / data["weight"].sum()
            for column in ("age", "gender")
        }
        population = rake(margins, seed=data.groupby(["age", "gender"], observed=True).size().rename("n").reset_index())
        result = poststratify(cells.Y, cells.X, population)
        answered = data[data["Q2_1"] > 0]
        expected = answered.groupby("Q2_1")["weight"].sum() / answered["weight"].sum()
        np.testing.assert_allclose(result.to_numpy()[0], expected, atol=0.005)


def test_fair():
    survey = sm.datasets.fair.load_pandas().data
    question = Question(
        "How do you rate your marriage?", ["very poor", "poor", "fair", "good", "very good"], codes=[1, 2, 3, 4, 5]
    )
    cells = tabulate(survey, backgrounds=["age", "religious", "children"], answers={"rate_marriage": question})
    table = pd.crosstab([survey["age"], survey["religious"], survey["children"]], survey["rate_marriage"])
    pd.testing.assert_frame_equal(cells.X, table.index.to_frame(index=False))
    np.testing.assert_allclose(cells.Y, table.div(table.sum(axis=1), axis=0))
    np.testing.assert_array_equal(cells.n, table.sum(axis=1))
    assert cells.n.sum() == 6366
    assert len(cells.excluded) == 0


def test_anes96_with_several_scales():
    survey = sm.datasets.anes96.load_pandas().data
    party = Question("Party identification", ["strong D", "weak D", "lean D", "none", "lean R", "weak R", "strong R"],
                     codes=range(7))  # fmt: skip
    side = Question("Left or right?", [f"{k} of 7" for k in range(1, 8)])
    vote = Question("Vote", ["Clinton", "Dole"], codes=[0, 1], ordinal=False)
    labels = {"educ": {k: f"level {k}" for k in range(1, 8)}}
    answers = {"PID": party, "selfLR": side, "vote": vote}
    cells = tabulate(survey, ["educ"], answers, labels=labels)
    assert cells.X["educ"].cat.ordered
    assert cells.X["question"].tolist() == ["PID"] * 7 + ["selfLR"] * 7 + ["vote"] * 7
    assert cells.Y.shape == (21, 7)
    assert np.isnan(cells.Y[14:, 2:]).all()
    for name, rows in (("PID", slice(0, 7)), ("selfLR", slice(7, 14))):
        expected = pd.crosstab(survey["educ"], survey[name], normalize="index")
        np.testing.assert_allclose(cells.Y[rows], expected)
    np.testing.assert_allclose(cells.Y[14:, 1], survey.groupby("educ")["vote"].mean())


@pytest.mark.realdata
def test_wellcome_declared_codes_become_options(survey_data):
    data = pd.read_parquet(survey_data / "wgm_2018_country" / "wgm2018_country_items.parquet")
    question = Question("How much do you know about science?", ["a lot", "some", "not much", "nothing at all"])
    missing = Missing("option", {98: "don't know", 99: "refused"})
    cells = tabulate(data, ["Country"], {"Q1": question}, missing=missing)
    assert cells.questions["Q1"].options[-2:] == ("Don't know", "Refused")
    totals = (cells.Y * cells.n[:, None]).sum(axis=0)
    np.testing.assert_allclose(totals, [11288, 63764, 41855, 27669, 4230, 208])


@pytest.mark.realdata
def test_cces_counts(survey_data):
    data = pd.read_parquet(survey_data / "cces_2016" / "cces2016_tv16.parquet")
    described = json.loads((survey_data / "cces_2016" / "questions.json").read_text())["questions"]
    questions = {q["variable"]: Question(q["question"], q["options"], codes=q["codes"]) for q in described}
    cells = tabulate(data, ["female", "collegeed", "racef", "state"], questions, folds=5)
    for name in questions:
        rows = cells.X["question"] == name
        assert cells.n_raw[rows].sum() == data[name].notna().sum()
        assert cells.excluded.set_index("question").loc[name, "respondents"] == data[name].isna().sum()
