"""Two real surveys that come with statsmodels, so that examples need no network."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

from surveysim.datasets.backgrounds import check_bands
from surveysim.datasets.proposal import AGE_BANDS, Choices, build_survey
from surveysim.datasets.raw import RawSurvey, require
from surveysim.datasets.survey import Report, Survey

__all__ = ["load_anes96", "load_fair"]

# Labels and descriptions are those of the data sets' notes in statsmodels.
_LEANING = ["Extremely liberal", "Liberal", "Slightly liberal", "Moderate", "Slightly conservative", "Conservative",
            "Extremely conservative"]  # fmt: skip
_PARTY = ["Strong Democrat", "Weak Democrat", "Independent-Democrat", "Independent-Independent",
          "Independent-Republican", "Weak Republican", "Strong Republican"]  # fmt: skip
_SCHOOLING = ["1-8 grades", "Some high school", "High school graduate", "Some college", "College degree",
              "Master's degree", "PhD"]  # fmt: skip
_INCOME = ["None or less than $2,999", "$3,000-$4,999", "$5,000-$6,999", "$7,000-$8,999", "$9,000-$9,999",
           "$10,000-$10,999", "$11,000-$11,999", "$12,000-$12,999", "$13,000-$13,999", "$14,000-$14,999",
           "$15,000-$16,999", "$17,000-$19,999", "$20,000-$21,999", "$22,000-$24,999", "$25,000-$29,999",
           "$30,000-$34,999", "$35,000-$39,999", "$40,000-$44,999", "$45,000-$49,999", "$50,000-$59,999",
           "$60,000-$74,999", "$75,000-$89,999", "$90,000-$104,999", "$105,000 and over"]  # fmt: skip


def load_anes96(*, age_bands: Sequence[float] = AGE_BANDS) -> Survey:
    """Load the American National Election Study 1996, which comes with statsmodels: 944 respondents, six questions.

    Parameters
    ----------
    age_bands : sequence of int, default=(30, 45, 65)
        Where age groups begin, the first apart.

    Returns
    -------
    Survey
        Backgrounds: age group, education (7 levels), household income (24). Questions: party identification and three
        placements from liberal to conservative on seven points, days of television news, expected vote. Texts are the
        descriptions in statsmodels, not the wording of the interview. No weight.

    Raises
    ------
    ImportError
        If statsmodels is not installed.

    Notes
    -----
    Terms: public domain. Source: The American National Election Studies, by way of ``statsmodels.datasets.anes96``.

    Examples
    --------
    >>> from surveysim.datasets import load_anes96
    >>> survey = load_anes96()
    >>> survey.questions["selfLR"].options[0]
    'Extremely liberal'
    >>> len(survey.tabulate(["age group", "education"], ["selfLR"]))
    26
    """
    scale: dict[Hashable, str] = {i + 1: text for i, text in enumerate(_LEANING)}
    return _load(
        "anes96",
        Choices(
            questions=dict.fromkeys(["PID", "selfLR", "ClinLR", "DoleLR", "TVnews", "vote"]),
            backgrounds={"age": "age group", "educ": "education", "income": "household income"},
            weight=None,
            ordinal={"PID": True, "selfLR": True, "ClinLR": True, "DoleLR": True, "TVnews": True, "vote": False},
            age_bands=check_bands(age_bands),
            context="American National Election Study, 1996",
            variable_labels={
                "PID": "Party identification",
                "selfLR": "Self-reported political leanings",
                "ClinLR": "Impression of Bill Clinton's political leanings",
                "DoleLR": "Impression of Bob Dole's political leanings",
                "TVnews": "Number of times per week that you watch TV news",
                "vote": "Expected vote",
            },
            value_labels={
                "PID": dict(enumerate(_PARTY)),
                "selfLR": scale,
                "ClinLR": scale,
                "DoleLR": scale,
                "vote": {0: "Clinton", 1: "Dole"},
                "educ": {i + 1: text for i, text in enumerate(_SCHOOLING)},
                "income": {i + 1: text for i, text in enumerate(_INCOME)},
            },
        ),
        "American National Election Study 1996: 944 respondents who expected to vote for Clinton or Dole.",
        "Public domain.",
    )


def load_fair() -> Survey:
    """Load the Redbook survey of 1974, which comes with statsmodels: 6,366 married women rated their marriage.

    Returns
    -------
    Survey
        Backgrounds: age (six values, midpoints of intervals), children, religiousness, education, occupation, years
        married. One question, five options. No weight.

    Raises
    ------
    ImportError
        If statsmodels is not installed.

    Notes
    -----
    Terms: included in statsmodels with permission of the author. Source: Fair, R. (1978), A Theory of Extramarital
    Affairs, Journal of Political Economy 86(1), 45-61, by way of ``statsmodels.datasets.fair``. Readers of a magazine
    who answered its questionnaire are not a sample of any population.

    Examples
    --------
    >>> from surveysim.datasets import load_fair
    >>> survey = load_fair()
    >>> len(survey.tabulate(["age", "religiousness", "children"]))
    121
    """
    return _load(
        "fair",
        Choices(
            questions={"rate_marriage": None},
            backgrounds={
                "age": "age",
                "religious": "religiousness",
                "children": "children",
                "educ": "education",
                "occupation": "occupation",
                "yrs_married": "years married",
            },
            kinds={"age": "number", "children": "number", "yrs_married": "number", "religious": "ordered"},
            weight=None,
            ordinal={"rate_marriage": True, "occupation": False},
            context="Redbook survey of married women, 1974",
            variable_labels={"rate_marriage": "How do you rate your marriage?"},
            value_labels={
                "rate_marriage": {1: "very poor", 2: "poor", 3: "fair", 4: "good", 5: "very good"},
                "religious": {1: "not", 2: "mildly", 3: "fairly", 4: "strongly"},
                "educ": {
                    9: "grade school",
                    12: "high school",
                    14: "some college",
                    16: "college graduate",
                    17: "some graduate school",
                    20: "advanced degree",
                },
                "occupation": {
                    1: "student",
                    2: "farming, agriculture; semi-skilled, or unskilled worker",
                    3: "white-collar",
                    4: "teacher, counselor, social worker, nurse; artist, writer; technician, skilled worker",
                    5: "managerial, administrative, business",
                    6: "professional with advanced degree",
                },
            },
        ),
        "Redbook survey of 1974: 6,366 married women who answered a magazine's questionnaire.",
        "Included in statsmodels with permission of the author (Fair 1978).",
    )


def _load(name: str, choices: Choices, description: str, terms: str) -> Survey:
    require("statsmodels")
    import statsmodels.datasets

    data: Any = getattr(statsmodels.datasets, name).load_pandas().data
    survey = build_survey(RawSurvey(Path(name), data), choices, Report())
    survey.DESCR, survey.terms, survey.source = description, terms, f"statsmodels.datasets.{name}"
    return survey
