"""Question-level sets: published distributions become X, Y and n, and what is left out is counted."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from surveysim.baselines import LogitRegressor
from surveysim.datasets import SurveyWarning, read_global_dialogues, read_global_opinion_qa, read_opinionqa, read_subpop
from surveysim.metrics import js_divergence


def subpop_rows() -> list[dict]:
    question = {"qkey": "HAPPY_W27", "question": "How happy are you?", "options": str(["Very", "Not very", "Refused"])}
    party = {"qkey": "PARTY_W27", "question": "Which party?", "options": str(["Reds", "Greens", "Blues", "Refused"])}
    return [
        {**question, "attribute": "AGE", "group": "18-29", "responses": str([0.25, 0.75]), "refusal_rate": 0.01,
         "ordinal": str([1.0, 1.0])},
        {**question, "attribute": "SEX", "group": "Female", "responses": str([0.5, 0.5]), "refusal_rate": 0.02,
         "ordinal": str([1.0, 1.0])},
        {**party, "attribute": "SEX", "group": "Female", "responses": str([0.2, 0.3, 0.5]), "refusal_rate": 0.0,
         "ordinal": str([1.0, 1.0, 1.0])},
    ]  # fmt: skip


class TestSubpop:
    @pytest.mark.parametrize("ending", ["csv", "json", "jsonl"])
    def test_rows_state_one_attribute(self, tmp_path, ending):
        table, path = pd.DataFrame(subpop_rows()), tmp_path / f"subpop.{ending}"
        if ending == "csv":
            table.to_csv(path, index=False)
        else:
            table.to_json(path, orient="records", lines=ending == "jsonl")
        found = read_subpop(path, n=250)
        assert found.X.astype(object).where(found.X.notna(), None).to_numpy().tolist() == [
            ["HAPPY_W27", "18-29", None],
            ["HAPPY_W27", None, "Female"],
            ["PARTY_W27", None, "Female"],
        ]
        assert list(found.X.columns) == ["question", "AGE", "SEX"]
        np.testing.assert_array_equal(found.Y, [[0.25, 0.75, np.nan], [0.5, 0.5, np.nan], [0.2, 0.3, 0.5]])
        assert found.n.tolist() == [250, 250, 250]
        assert found.n_is_assumed
        assert "n is assumed" in found.report["what"].iloc[-1]
        assert found.questions["HAPPY_W27"].options == ("Very", "Not very")
        assert found.questions["HAPPY_W27"].text == "How happy are you?"
        assert not found.questions["PARTY_W27"].ordinal
        assert found.backgrounds == ["AGE", "SEX"]

    def test_n_by_group_or_question_capped_at_the_survey(self, tmp_path):
        path = tmp_path / "s.csv"
        pd.DataFrame(subpop_rows()).to_csv(path, index=False)
        sizes = {("AGE", "18-29"): 90, "PARTY_W27": 5000, ("SEX", "Female"): 800}
        found = read_subpop(path, n=sizes, respondents={"HAPPY_W27": 500, "PARTY_W27": 1000})
        assert found.n.tolist() == [90, 500, 1000]
        assert found.report.set_index("what").loc["n capped at the survey's respondents", "detail"] == "2 distributions"
        with pytest.raises(ValueError, match=r"n has no value for the question 'HAPPY_W27'"):
            read_subpop(path, n={"PARTY_W27": 1})
        with pytest.raises(ValueError, match="respondents has no value"):
            read_subpop(path, respondents={"HAPPY_W27": 500})

    def test_counts_of_the_file_go_first(self, tmp_path):
        path = tmp_path / "s.csv"
        pd.DataFrame(subpop_rows()).assign(n=[10, 20, 30]).to_csv(path, index=False)
        found = read_subpop(path)
        assert found.n.tolist() == [10, 20, 30]
        assert not found.n_is_assumed
        pd.DataFrame(subpop_rows()).assign(n=[10, None, 30]).to_csv(path, index=False)
        found = read_subpop(path, n=77)
        assert found.n.tolist() == [10, 77, 30]
        assert found.n_is_assumed  # one of them is

    def test_attributes_that_no_row_is_left_of_are_no_backgrounds(self, tmp_path):
        table = pd.DataFrame(subpop_rows())
        table["responses"] = table["responses"].mask(table["attribute"] == "SEX", "[0.9, 0.9]")
        table.to_csv(tmp_path / "s.csv", index=False)
        with pytest.warns(SurveyWarning, match="not a distribution"):
            found = read_subpop(tmp_path / "s.csv")
        assert found.backgrounds == ["AGE"]

    def test_crossed_groups_and_ordinal_positions(self, tmp_path):
        row = {
            **subpop_rows()[0],
            "attribute": str(["AGE", "SEX"]),
            "group": str(["18-29", "Male"]),
            "ordinal": "[3.0, 1.0]",
        }
        pd.DataFrame([row]).to_csv(tmp_path / "s.csv", index=False)
        found = read_subpop(tmp_path / "s.csv")
        assert found.X.iloc[0].tolist() == ["HAPPY_W27", "18-29", "Male"]
        np.testing.assert_array_equal(found.questions["HAPPY_W27"].positions, [3, 1])

    @pytest.mark.parametrize(
        ("column", "value", "message"),
        [
            ("responses", "__import__('os').system('true')", "row 0: responses cannot be read"),
            ("responses", "3", "row 0: responses is not a list"),
            ("options", str(["Same", "Same", "Refused"]), "row 0: options must all be different"),
        ],
    )
    def test_what_cannot_be_read_is_named(self, tmp_path, column, value, message):
        pd.DataFrame([{**subpop_rows()[0], column: value}]).to_csv(tmp_path / "s.csv", index=False)
        with pytest.raises(ValueError, match=message):
            read_subpop(tmp_path / "s.csv")

    def test_wrong_files(self, tmp_path):
        pd.DataFrame({"qkey": ["a"]}).to_csv(tmp_path / "s.csv", index=False)
        with pytest.raises(ValueError, match=r"lacks the columns \['attribute', 'group'"):
            read_subpop(tmp_path / "s.csv")
        with pytest.raises(FileNotFoundError, match=r"none\.csv"):
            read_subpop(tmp_path / "none.csv")
        (tmp_path / "s.txt").write_text("x")
        with pytest.raises(ValueError, match="is not one of"):
            read_subpop(tmp_path / "s.txt")
        (tmp_path / "l.csv").write_bytes("qkey\nå\n".encode("latin-1"))
        with pytest.raises(ValueError, match="not UTF-8"):
            read_subpop(tmp_path / "l.csv")
        (tmp_path / "b.json").write_text('[{"qkey": ')
        with pytest.raises(ValueError, match=r"b\.json cannot be read"):
            read_subpop(tmp_path / "b.json")
        rows = subpop_rows()[:2]
        rows[1]["question"] = "Another wording"
        pd.DataFrame(rows).to_csv(tmp_path / "s.csv", index=False)
        with pytest.raises(ValueError, match="row 1: question 'HAPPY_W27' has another wording"):
            read_subpop(tmp_path / "s.csv")


class TestGlobalOpinionQA:
    def write(self, tmp_path, **changes):
        line = {
            "question": "Is the economy good?",
            "selections": "defaultdict(<class 'list'>, {'Japan': [0.1, 0.2, 0.3, 0.2, 0.2], "
            "'France (Non-national sample)': [0.4, 0.4, 0.1, 0.1, 0.0]})",
            "options": "['Very good', 'Somewhat good', 'Somewhat bad', 'Very bad', 'DK/Refused']",
            "source": "GAS",
        }
        other = {
            **line,
            "question": "Is God important?",
            "source": "WVS",
            "options": str([str(k) for k in range(1, 6)]),
        }
        path = tmp_path / "global_opinions.csv"
        pd.DataFrame([{**line, **changes}, other]).to_csv(path, index=False)
        return path

    def test_countries(self, tmp_path):
        found = read_global_opinion_qa(self.write(tmp_path))
        assert found.X["question"].tolist() == ["GAS 1"] * 2 + ["WVS 2"] * 2
        assert found.X["country"].tolist() == ["Japan", "France (Non-national sample)"] * 2
        np.testing.assert_allclose(found.Y[0], [0.125, 0.25, 0.375, 0.25, np.nan])
        assert found.questions["GAS 1"].options[-1] == "Very bad"
        assert found.questions["GAS 1"].ordinal
        assert found.questions["WVS 2"].ordinal
        assert (found.n == 1000).all()
        assert (
            "DK/Refused"
            in found.report.set_index("what").loc["reasons for no answer, left out of the shares", "detail"]
        )
        assert found.n_is_assumed

    def test_one_source_and_n_by_country(self, tmp_path):
        path = self.write(tmp_path)
        found = read_global_opinion_qa(path, source="WVS", n={"Japan": 1353, "France (Non-national sample)": 700})
        assert found.n.tolist() == [1353, 700]
        assert list(found.questions) == ["WVS 2"]
        with pytest.raises(ValueError, match=r"source='ESS' is not in .*\['GAS', 'WVS'\]"):
            read_global_opinion_qa(path, source="ESS")

    @pytest.mark.parametrize(
        ("changes", "what"),
        [
            ({"selections": "defaultdict(<class 'list'>, {'Japan': open('x')})"}, "lines that cannot be read"),
            ({"selections": "[1, 2]"}, "lines that cannot be read"),
            ({"selections": "{'Japan': [0.5, 0.5]}"}, "distributions with another number of options"),
            ({"selections": "{'Japan': [0.5, 0.3, 0.9, 0.1, 0.1]}"}, "shares that are not a distribution"),
            ({"selections": "{'Japan': None}"}, "distributions that are not lists of numbers"),
            ({"selections": "{'Japan': ['a', 'b']}"}, "distributions that are not lists of numbers"),
        ],
    )
    def test_bad_lines_are_counted_and_never_evaluated(self, tmp_path, changes, what):
        with pytest.warns(SurveyWarning, match=what):
            found = read_global_opinion_qa(self.write(tmp_path, **changes))
        assert list(found.questions) == ["WVS 2"]
        assert (found.report["severity"] == "warning").sum() == 1


def dialogues_tables(folder, n_all=100):
    options = ["More excited than concerned", "Equally concerned and excited", "More concerned than excited"]
    poll = {"Question ID": "q1", "Question Type": "Poll Single Select", "Question": "How does AI make you feel?"}
    shares = {"All": [50, 30, 20], "O2: 18-25": ["60%", "30%", "10%"], "O2: 26-35": [40, 30, 30],
              "O3: Female": [45, 35, 20],
              "O7: Norway": [100, 0, 0], "O11: Branch": [1, 2, 97], "Europe": [50, 30, 20]}  # fmt: skip
    rows = [{**poll, "Response": option, **{c: v[i] for c, v in shares.items()}} for i, option in enumerate(options)]
    rows.append(
        {"Question ID": "q2", "Question Type": "Ask Opinion", "Question": "Why?", "Response": "because", "All": 70}
    )
    pd.DataFrame(rows).to_csv(folder / "GD9_aggregate_standardized.csv", index=False)
    counts = {"Question ID": "q1", "Question Text": "...", "All": n_all, "O2: 18-25": 60, "O2: 26-35": 40,
              "O3: Female": 130,
              "O7: Norway": 2}  # fmt: skip
    pd.DataFrame([counts]).to_csv(folder / "GD9_segment_counts_by_question.csv", index=False)
    return folder / "GD9_aggregate_standardized.csv"


class TestGlobalDialogues:
    def test_published_tables(self, tmp_path):
        found = read_global_dialogues(dialogues_tables(tmp_path))
        assert found.X[["age", "gender", "country"]].notna().sum().tolist() == [2, 1, 1]
        np.testing.assert_allclose(found.Y[0], [0.6, 0.3, 0.1])
        assert found.n.tolist() == [60, 40, 100, 2]  # women are 130 in the table, but 100 were asked
        what = found.report["what"].tolist()
        assert "questions that are not single-select polls, left out" in what
        assert "segments that are not an attribute of people, left out" in what
        assert "n capped at the survey's respondents" in what
        assert found.questions["gd9 q1"].ordinal
        assert found.questions["gd9 q1"].context == "Global Dialogues, round 9"
        assert not found.n_is_assumed

    def test_small_groups_and_attributes(self, tmp_path):
        path = dialogues_tables(tmp_path)
        found = read_global_dialogues(path, min_respondents=50, attributes=["age", "country"])
        assert found.X["age"].tolist() == ["18-25"]
        left_out = found.report.set_index("what").loc["distributions of fewer than 50 people, left out"]
        assert (left_out["respondents"], left_out["detail"]) == (42, "2 rows")
        with pytest.raises(ValueError, match=r"attributes names \['income'\]"):
            read_global_dialogues(path, attributes=["income"])

    def test_missing_files(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="no file or folder"):
            read_global_dialogues(tmp_path / "none.csv")
        with pytest.raises(FileNotFoundError, match=r"needs questions\.jsonl"):
            read_global_dialogues(tmp_path)
        path = dialogues_tables(tmp_path)
        (tmp_path / "GD9_segment_counts_by_question.csv").unlink()
        with pytest.raises(FileNotFoundError, match=r"place GD9_segment_counts_by_question\.csv beside it"):
            read_global_dialogues(path)

    @pytest.mark.realdata
    def test_six_rounds(self, survey_data):
        folder = survey_data / "global_dialogues"
        found = read_global_dialogues(folder)
        assert len(found.questions) == 303
        assert len(found.X) == 14292
        assert (found.X[found.backgrounds].notna().sum(axis=1) == 1).all()
        np.testing.assert_allclose(np.nansum(found.Y, axis=1), 1)
        raw = pd.read_csv(folder / "distributions.csv.gz").iloc[0]
        here = (found.X["question"] == f"{raw['round']} {raw['qid']}") & (found.X["age"] == raw["group"])
        row = int(np.flatnonzero(here)[0])
        shares = json.loads(raw["p"])
        np.testing.assert_allclose(found.Y[row, : len(shares)], np.array(shares) / sum(shares))
        assert found.n[row] == raw["segment_n"]
        assert found.X["age"].cat.ordered

    @pytest.mark.realdata
    def test_a_model_can_be_fitted(self, survey_data):
        found = read_global_dialogues(survey_data / "global_dialogues", min_respondents=50)
        names = list(found.questions)[:3]
        rows = found.X["question"].isin(names).to_numpy()
        questions = {name: found.questions[name] for name in names}
        width = max(question.n_options for question in questions.values())
        X, Y, n = found.X[rows], found.Y[rows][:, :width], found.n[rows]
        model = LogitRegressor(question=questions).fit(X, Y, sample_weight=n)
        assert js_divergence(Y, model.predict(X), sample_weight=n) < 0.01


class TestOpinionQA:
    @pytest.fixture
    def folder(self, tmp_path):
        wave = tmp_path / "human_resp" / "American_Trends_Panel_W92"
        wave.mkdir(parents=True)
        pd.DataFrame(
            {
                "key": ["BILLION_W92", "GONE_W92"],
                "question": ["Are billionaires a good thing?", "Not asked?"],
                "references": [
                    str(["A good thing", "A bad thing", "Neither", "Refused"]),
                    str(["Yes", "No", "Refused"]),
                ],
                "option_ordinal": ["[1.0, 2.0, 1.5]", "[1.0, 2.0]"],
            }
        ).to_csv(wave / "info.csv", index=False)
        pd.DataFrame({"key": ["AGE", "SEX"], "options": [str(["18-29", "65+"]), str(["Male", "Female"])]}).to_csv(
            wave / "metadata.csv", index=False
        )
        pd.DataFrame(
            {
                "BILLION_W92": ["A good thing", "A bad thing", "Neither", "Refused", "A good thing", None],
                "AGE": ["18-29", "18-29", "65+", "65+", "65+", "65+"],
                "SEX": ["Male", "Female", "Male", "Female", "Refused", "Male"],
                "WEIGHT_W92": [1.0, 3.0, 1.0, 1.0, 1.0, 1.0],
            }
        ).to_csv(wave / "responses.csv", index=False)
        return wave.parent

    def test_single_attributes(self, folder):
        with pytest.warns(SurveyWarning, match=r"questions without answers.*GONE_W92"):
            found = read_opinionqa(folder)
        question = found.questions["BILLION_W92"]
        assert question.options == ("A good thing", "Neither", "A bad thing")
        np.testing.assert_array_equal(question.positions, [1, 1.5, 2])
        assert found.X["AGE"].astype(object).where(found.X["AGE"].notna(), None).tolist() == [
            "18-29",
            "65+",
            None,
            None,
        ]
        assert found.X["SEX"].astype(object).where(found.X["SEX"].notna(), None).tolist() == [
            None,
            None,
            "Male",
            "Female",
        ]
        np.testing.assert_allclose(found.Y, [[0.25, 0, 0.75], [0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1]])
        np.testing.assert_allclose(found.n, [16 / 10, 2, 2, 1])
        assert found.X["AGE"].cat.ordered
        assert not found.X["SEX"].cat.ordered
        unlisted = found.report[found.report["variable"] == "SEX"].iloc[0]
        assert (unlisted["respondents"], unlisted["detail"]) == (1, "Refused")

    def test_respondents_can_be_crossed(self, folder):
        with pytest.warns(SurveyWarning, match="GONE_W92"):
            survey = read_opinionqa(folder / "American_Trends_Panel_W92").surveys[92]
        cells = survey.tabulate(["AGE", "SEX"])
        assert cells.n_raw.sum() == 4
        assert cells.excluded.set_index("reason")["respondents"].to_dict() == {"refused": 1, "not asked": 1}

    def test_wrong_folders(self, folder, tmp_path):
        with pytest.raises(FileNotFoundError, match="no folder"):
            read_opinionqa(tmp_path / "none")
        with pytest.raises(FileNotFoundError, match="holds no folder American_Trends_Panel_W<wave>"):
            read_opinionqa(tmp_path)
        with pytest.raises(ValueError, match=r"has no waves \[26\]; it has \[92\]"):
            read_opinionqa(folder, waves=[26])
        with pytest.raises(ValueError, match=r"has no attributes \['RACE'\]"):
            read_opinionqa(folder, attributes=["RACE"])
        (folder / "American_Trends_Panel_W92" / "responses.csv").unlink()
        with pytest.raises(FileNotFoundError, match=r"responses\.csv"):
            read_opinionqa(folder)
