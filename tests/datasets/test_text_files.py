"""CSV and Excel as programs write them: lines of names, separators, encodings, blanks, commas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from surveysim.datasets import SurveyWarning, read_survey
from surveysim.datasets.files import open_survey

SCALE = ["Very satisfied", "Satisfied", "Dissatisfied", "Very dissatisfied"]


def survey_monkey() -> str:
    lines = ["ID,How satisfied?,Which do you use?,,Gender", ",Response,Phone,Laptop,Response"]
    for i in range(60):
        phone, laptop = "Phone" if i % 2 else "", "Laptop" if i % 3 else ""
        lines.append(f"{i},{SCALE[i % 4]},{phone},{laptop},{'Male' if i % 2 else 'Female'}")
    return "\n".join(lines) + "\n"


class TestLinesOfNames:
    def test_surveymonkey(self, tmp_path):
        (tmp_path / "s.csv").write_text(survey_monkey())
        with pytest.warns(SurveyWarning, match="a second line of names, taken as the choices"):
            survey = read_survey(tmp_path / "s.csv")
        assert len(survey.data) == 60
        assert survey.questions["How satisfied?"].options == tuple(reversed(SCALE))
        assert survey.questions["How satisfied?"].ordinal
        assert survey.backgrounds == ["Gender"]
        phone = survey.data["Which do you use? - Phone"]
        # 10 of 60 chose neither: whether they were asked cannot be told
        assert phone.value_counts().to_dict() == {"Selected": 30, "Not selected": 20}
        assert phone.isna().sum() == 10

    def test_surveymonkey_in_spanish_and_with_open_answers(self, tmp_path):
        text = "Respondent ID,¿Le gusta?,Comentario\n,Respuesta,Open-Ended Response\n" + "1,sí,a\n2,no,b\n" * 3
        (tmp_path / "s.csv").write_text(text, encoding="utf-8")
        raw = open_survey(tmp_path / "s.csv")
        assert len(raw.data) == 6
        assert list(raw.data) == ["Respondent ID", "¿Le gusta?", "Comentario"]

    @pytest.mark.parametrize("n_lines", [2, 3])
    def test_qualtrics_with_and_without_its_third_line(self, tmp_path, n_lines):
        lines = ["StartDate,EndDate,ResponseId,Q1", "Start Date,End Date,Response ID,Do you like it?",
                 ",".join('"{""ImportId"":""' + letter + '""}"' for letter in "abcd")]  # fmt: skip
        rows = [f"2024-05-0{i} 10:00:00,2024-05-0{i} 10:05:00,R_{i},{'Yes' if i % 2 else 'No'}" for i in range(1, 9)]
        (tmp_path / "s.csv").write_text("\n".join([*lines[:n_lines], *rows]) + "\n")
        with pytest.warns(SurveyWarning, match="taken as wording"):
            survey = read_survey(tmp_path / "s.csv")
        assert len(survey.data) == 8
        assert list(survey.questions) == ["Q1"]
        assert survey.questions["Q1"].text == "Do you like it?"

    def test_wording_above_numbers(self, tmp_path):
        text = "q1,q2,sex\nDo you trust them?,Do you like them?,Your sex\n" + "1,2,1\n2,1,2\n3,3,1\n" * 5
        (tmp_path / "s.csv").write_text(text)
        raw = open_survey(tmp_path / "s.csv")
        assert len(raw.data) == 15
        assert raw.variable_labels["q1"] == "Do you trust them?"
        assert pd.api.types.is_numeric_dtype(raw.data["q1"].dtype)

    def test_respondents_are_no_names(self, tmp_path):
        (tmp_path / "s.csv").write_text("id,q,town\n1,Yes,Ulm\n2,No,Bonn\n3,Yes,Kiel\n")
        assert len(open_survey(tmp_path / "s.csv").data) == 3


class TestForms:
    def test_utf_16(self, tmp_path):
        for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
            (tmp_path / "s.csv").write_text("q\tr\n" + "Yes\tÄ\nNo\tB\n" * 20, encoding=encoding)
            raw = open_survey(tmp_path / "s.csv")
            assert list(raw.data["r"].unique()) == ["Ä", "B"]

    def test_the_line_that_excel_writes_for_itself(self, tmp_path):
        (tmp_path / "s.csv").write_text("sep=;\nq;v\n" + "Yes;1,5\nNo;2,5\n" * 20)
        raw = open_survey(tmp_path / "s.csv")
        assert list(raw.data) == ["q", "v"]
        assert raw.data["v"].tolist()[:2] == [1.5, 2.5]

    def test_na_is_namibia_among_countries(self, tmp_path):
        (tmp_path / "s.csv").write_text("country,q,n\n" + "NA,yes,1\nZA,no,NA\nBW,yes,2\n" * 5)
        data = open_survey(tmp_path / "s.csv").data
        assert data["country"].tolist()[:3] == ["NA", "ZA", "BW"]
        assert data["n"].isna().sum() == 5

    def test_decimal_commas_and_what_only_looks_like_them(self, tmp_path):
        rows = '"12,5","1,200","1,2",Yes\n"0,75","13,400","2",No\n"3,25","200","1,3",Yes\n' * 4
        (tmp_path / "s.csv").write_text("share,people,several,q\n" + rows)
        data = open_survey(tmp_path / "s.csv").data
        assert data["share"].tolist()[:3] == [12.5, 0.75, 3.25]
        assert data["people"].iloc[0] == "1,200"  # thousands
        (tmp_path / "s.tsv").write_text(
            "share\tq\n" + "12,5\tYes\n3\tNo\n:\tNo\n" * 4
        )  # ":" is a blank, as at Eurostat
        share = open_survey(tmp_path / "s.tsv").data["share"]
        assert share.tolist()[:2] == [12.5, 3.0]
        assert share.isna().sum() == 4

    def test_dates_as_text_are_no_question(self, tmp_path):
        days = ["2023-05-01", "2023-05-02", "2023-06-01", "2023-06-02"]
        pd.DataFrame({"q": ["yes", "no"] * 20, "when": days * 10}).to_csv(tmp_path / "s.csv", index=False)
        survey = read_survey(tmp_path / "s.csv")
        assert list(survey.questions) == ["q"]
        assert survey.variables.set_index("name").loc["when", "reason"] == "a date"
        google = read_survey(pd.DataFrame({"q": ["yes", "no"] * 4, "when": ["2024/05/01 3:45:12 PM GMT+2"] * 8}))
        assert google.variables.set_index("name").loc["when", "reason"] == "a date"


class TestExcel:
    def test_a_workbook_is_read_as_the_csv(self, tmp_path):
        pytest.importorskip("openpyxl")
        table = pd.DataFrame({"age": [20, 35, 50, 71] * 4, "trust": SCALE * 4, "share": ["1,5", "2,5"] * 8})
        with pd.ExcelWriter(tmp_path / "s.xlsx") as writer:
            pd.DataFrame().to_excel(writer, sheet_name="empty")
            table.to_excel(writer, sheet_name="answers", index=False)
            table.head(2).to_excel(writer, sheet_name="more", index=False)
        with pytest.warns(SurveyWarning, match="several sheets, of which 'answers' was read"):
            survey = read_survey(tmp_path / "s.xlsx")
        assert len(survey.data) == 16
        assert survey.backgrounds == ["age group"]
        assert survey.questions["trust"].ordinal
        assert survey.data["share"].tolist()[:2] == [1.5, 2.5]

    def test_its_absence_is_said(self, tmp_path, monkeypatch):
        import sys

        monkeypatch.setitem(sys.modules, "openpyxl", None)
        (tmp_path / "s.xlsx").write_bytes(b"PK\x03\x04")
        with pytest.raises(ImportError, match=r"this needs openpyxl: pip install 'surveysim\[excel\]'"):
            read_survey(tmp_path / "s.xlsx")

    def test_a_damaged_workbook(self, tmp_path):
        pytest.importorskip("openpyxl")
        (tmp_path / "s.xlsx").write_bytes(b"PK\x03\x04 and nothing")
        with pytest.raises(ValueError, match="not a readable Excel workbook"):
            read_survey(tmp_path / "s.xlsx")


class TestSeveralAnswers:
    def test_one_or_blank(self):
        table = pd.DataFrame({"q5_1": [1, None, 1, None], "q5_2": [None, 1, 1, None], "q5_3": [None, None, 1, None],
                              "r": ["yes", "no"] * 2})  # fmt: skip
        with pytest.warns(SurveyWarning, match=r"not selected where .*; who chose none .*: q5_1 \(5 "):
            survey = read_survey(pd.concat([table] * 5, ignore_index=True))
        assert list(survey.questions) == ["q5_1", "q5_2", "q5_3", "r"]
        assert survey.questions["q5_1"].options == ("Not selected", "Selected")
        assert survey.data["q5_3"].value_counts().to_dict() == {"Not selected": 10, "Selected": 5}
        counted = survey.variables.set_index("name").loc["q5_3"]
        assert counted["not asked"] == 5

    def test_a_label_a_choice(self):
        table = pd.DataFrame({"use1": [1, None] * 10, "use2": [None, 1] * 10, "r": ["yes", "no"] * 10})
        labels = {"use1": {1: "Phone"}, "use2": {1: "Laptop"}}
        wording = {"use1": "Which do you use?", "use2": "Which do you use?"}
        with pytest.warns(SurveyWarning, match="choices of one question"):
            survey = read_survey(table, value_labels=labels, variable_labels=wording)
        assert survey.questions["use2"].text == "Which do you use?: Laptop"

    def test_joined_by_commas(self):
        texts = ["Phone, Laptop", "Phone", "Laptop, Tablet", "Tablet", "Phone, Tablet", None]
        table = pd.DataFrame({"use": texts * 10, "r": ["yes", "no"] * 30})
        with pytest.warns(SurveyWarning, match="split into a variable for every choice: use"):
            survey = read_survey(table)
        assert list(survey.questions) == ["r", "use: Laptop", "use: Phone", "use: Tablet"]
        assert survey.data["use: Phone"].value_counts().to_dict() == {"Selected": 30, "Not selected": 20}
        assert survey.data["use: Phone"].isna().sum() == 10
        assert "several answers" in survey.variables.set_index("name").loc["use", "reason"]
        named = read_survey(table, questions=["use"])
        assert named.questions["use"].n_options == 5

    @pytest.mark.parametrize(
        "texts",
        [
            ["Yes, definitely", "Yes, probably", "No, probably not", "No, never", "Maybe"],
            ["Berlin, Germany", "Paris, France", "Rome, Italy", "Oslo, Norway"],
            ["Less than 1,000", "1,000 to 2,000", "2,000 to 3,000", "3,000 or more"],
        ],
    )
    def test_commas_within_answers_join_nothing(self, texts):
        survey = read_survey(pd.DataFrame({"q": texts * 10}))
        assert list(survey.questions) == ["q"]
        assert survey.questions["q"].n_options == len(texts)


class TestStatistical:
    def test_stata_with_missing_values_of_two_kinds(self, tmp_path):
        pyreadstat = pytest.importorskip("pyreadstat")
        pyreadstat.write_dta(
            pd.DataFrame({"vote": [0, 1, "a", None] * 50, "n": [1, 2, 3, 4] * 50}), tmp_path / "t.dta",
            variable_value_labels={"vote": {0: "No", 1: "Yes", "a": "Refused"}}, missing_user_values={"vote": ["a"]},
        )  # fmt: skip
        for _ in range(3):
            survey = read_survey(tmp_path / "t.dta")
            counts = survey.variables.set_index("name").loc["vote"]
            assert counts[["answered", "refused", "not asked"]].tolist() == [100, 50, 50]
            assert survey.data["vote"].value_counts()["No"] == 50

    def test_an_impossible_date_costs_itself_alone(self, tmp_path):
        pyreadstat = pytest.importorskip("pyreadstat")
        seconds = [6.5e12, 1.3e10, np.nan] + [1.37e10] * 17
        pyreadstat.write_sav(
            pd.DataFrame({"q": [1.0, 2.0] * 10, "when": seconds}), tmp_path / "s.sav",
            variable_value_labels={"q": {1: "Yes", 2: "No"}}, variable_format={"when": "DATETIME20"},
        )  # fmt: skip
        with pytest.warns(SurveyWarning, match=r"impossible dates, taken as missing: when \(1 respondents\)"):
            survey = read_survey(tmp_path / "s.sav")
        assert list(survey.questions) == ["q"]
        assert survey.data["when"].isna().sum() == 2
        assert str(survey.data["when"].iloc[1])[:10] == "1994-09-26"  # 1.3e10 seconds after 14 October 1582
