"""OpinionQA: fifteen waves of Pew's American Trends Panel, as prepared by Santurkar et al. (2023)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from surveysim.datasets.no_answer import missing_kind
from surveysim.datasets.proposal import Choices, build_survey
from surveysim.datasets.question_sets import as_list, need_columns, read_table
from surveysim.datasets.raw import RawSurvey
from surveysim.datasets.survey import QuestionSet, Report, Survey
from surveysim.questions import Question
from surveysim.tables import QUESTION_COLUMN
from surveysim.tables.missing import as_missing

__all__ = ["read_opinionqa"]

ATTRIBUTES = ("CREGION", "AGE", "SEX", "EDUCATION", "CITIZEN", "MARITAL", "RELIG", "RELIGATTEND", "POLPARTY", "INCOME",
              "POLIDEOLOGY", "RACE")  # fmt: skip
"""The attributes of OpinionQA, as its authors call them."""

ORDERED = frozenset({"AGE", "EDUCATION", "INCOME", "POLIDEOLOGY", "RELIGATTEND"})

TERMS = (
    "Pew Research Center's terms: no redistribution of the data or what is derived from them, no attempt to identify "
    "respondents."
)


def read_opinionqa(
    path: str | Path, *, waves: Sequence[int] | None = None, attributes: Sequence[str] | None = None
) -> QuestionSet:
    """Read OpinionQA: answers of US groups to 1,498 questions of Pew's American Trends Panel.

    Parameters
    ----------
    path : str or Path
        The folder ``human_resp``, or the folder of one wave in it (``American_Trends_Panel_W26``), with ``info.csv``,
        ``metadata.csv`` and ``responses.csv``. To get it: the data link in https://github.com/tatsu-lab/opinions_qa.
        Terms: Pew's, no redistribution.
    waves : list of int, optional
        Default: all waves in the folder.
    attributes : list of str, optional
        Of ``CREGION, AGE, SEX, EDUCATION, CITIZEN, MARITAL, RELIG, RELIGATTEND, POLPARTY, INCOME, POLIDEOLOGY, RACE``;
        default: all that the wave has.

    Returns
    -------
    QuestionSet
        One row for each question and group of *one* attribute, the others "not stated" (NaN); n is Kish's effective
        number of respondents. ``surveys`` holds the respondents of each wave as a `Survey`, to cross attributes:
        ``result.surveys[26].tabulate(["AGE", "SEX"])``.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If a wave, an attribute or a column is missing, or answers match no option.

    Notes
    -----
    *Unchecked*: written from the authors' code, without a file. Options are ordered by their ordinal positions
    (``option_ordinal``); texts after those are refusals. Groups that ``metadata.csv`` does not list ("Refused") are
    left out and counted.

    References
    ----------
    Santurkar, S., Durmus, E., Ladhak, F., Lee, C., Liang, P. and Hashimoto, T. (2023). Whose Opinions Do Language
    Models Reflect? arXiv:2303.17548.

    Examples
    --------
    >>> from surveysim.datasets import read_opinionqa
    >>> opinions = read_opinionqa(
    ...     "human_resp", waves=[26, 92], attributes=["POLPARTY", "AGE"]
    ... )  # doctest: +SKIP
    """
    folders = _waves(Path(path))
    if waves is not None:
        absent = [wave for wave in waves if wave not in folders]
        if absent:
            raise ValueError(f"{path} has no waves {absent}; it has {sorted(folders)}")
        folders = {wave: folders[wave] for wave in waves}
    report = Report()
    parts, distributions, sizes = [], [], []
    questions: dict[str, Question] = {}
    surveys: dict[int, Survey] = {}
    levels: dict[str, list[str]] = {}
    for wave, folder in folders.items():
        survey = _read_wave(wave, folder, attributes, report, levels)
        surveys[wave] = survey
        questions |= survey.questions
        for attribute in survey.backgrounds:
            known = survey.data[attribute].notna()
            cells = survey.subset(known).tabulate([attribute])
            parts.append(
                pd.DataFrame({QUESTION_COLUMN: cells.question_names, attribute: cells.X[attribute].astype(object)})
            )
            distributions.append(cells.Y)
            sizes.append(cells.n)
    if not parts:
        raise ValueError(f"{path}: no attributes are left")
    K = max(question.n_options for question in questions.values())
    Y = np.concatenate([np.pad(y, ((0, 0), (0, K - y.shape[1])), constant_values=np.nan) for y in distributions])
    X = pd.concat(parts, ignore_index=True)
    order = np.argsort(X[QUESTION_COLUMN].map({name: i for i, name in enumerate(questions)}), kind="stable")
    X = X.iloc[order].reset_index(drop=True)
    for attribute, names in levels.items():
        if attribute in X:
            X[attribute] = pd.Categorical(X[attribute], names, ordered=attribute in ORDERED)
    report.issue("OpinionQA")
    return QuestionSet(
        X=X,
        Y=Y[order],
        n=np.concatenate(sizes)[order],
        questions=questions,
        backgrounds=[column for column in X if column != QUESTION_COLUMN],
        n_is_assumed=False,
        surveys=surveys,
        report=report.frame(),
        DESCR=f"OpinionQA, waves {', '.join(map(str, folders))}: {len(X):,} cells, {len(questions):,} questions.",
        terms=TERMS,
    )


def _waves(path: Path) -> dict[int, Path]:
    if not path.is_dir():
        raise FileNotFoundError(f"no folder {str(path)!r}: give OpinionQA's human_resp, or one wave in it")
    candidates = [path] if (path / "info.csv").exists() else sorted(path.iterdir())
    found = {}
    for folder in candidates:
        number = re.search(r"_W(\d+)$", folder.name)
        if number and (folder / "info.csv").exists():
            found[int(number[1])] = folder
    if not found:
        raise FileNotFoundError(f"{path} holds no folder American_Trends_Panel_W<wave> with info.csv")
    return dict(sorted(found.items()))


def _read_wave(
    wave: int, folder: Path, attributes: Sequence[str] | None, report: Report, levels: dict[str, list[str]]
) -> Survey:
    tables = {name: read_table(folder / f"{name}.csv") for name in ("info", "metadata", "responses")}
    need_columns(folder / "info.csv", tables["info"], ["key", "question", "references", "option_ordinal"])
    need_columns(folder / "metadata.csv", tables["metadata"], ["key", "options"])
    responses = tables["responses"]
    weight = f"WEIGHT_W{wave}"
    need_columns(folder / "responses.csv", responses, [weight])
    questions, overrides = _wave_questions(wave, f"{folder.name}/info.csv", tables["info"], responses, report)
    data = _wave_respondents(wave, folder, tables["metadata"], responses, attributes, list(questions), report, levels)
    wanted = [column for column in data if column not in questions and column != weight]
    choices = Choices(
        questions=questions,
        backgrounds={str(a): str(a) for a in wanted},
        weight=weight,
        missing=as_missing({key: codes for key, codes in overrides.items() if codes}),
        max_options=50,
    )
    survey = build_survey(RawSurvey(folder / "responses.csv", data), choices, report)
    survey.DESCR = f"American Trends Panel, wave {wave}, as prepared for OpinionQA: {len(data):,} respondents."
    survey.terms, survey.source = TERMS, folder.name
    return survey


def _wave_questions(
    wave: int, here: str, info: pd.DataFrame, responses: pd.DataFrame, report: Report
) -> tuple[dict[str, Question | None], dict[Any, Any]]:
    """The questions of a wave, and the answers of each that are none."""
    questions: dict[str, Question | None] = {}
    overrides: dict[Any, Any] = {}
    for i, line in enumerate(info.to_dict("records")):
        key = str(line["key"])
        if key not in responses:
            report.warn(key, "questions without answers in responses.csv, left out")
            continue
        texts = [str(text).strip() for text in as_list(line["references"], f"{here}, row {i}", "references")]
        places = [float(p) for p in as_list(line["option_ordinal"], f"{here}, row {i}", "option_ordinal")]
        options = texts[: len(places)]
        if len(options) < 2:
            report.warn(key, "questions with fewer than two options, left out")
            continue
        order = np.argsort(places, kind="stable")
        distinct = len(set(places)) == len(places)
        questions[key] = Question(
            str(line["question"]), [options[k] for k in order], values=[places[k] for k in order] if distinct else None,
            context=f"American Trends Panel, wave {wave}",
        )  # fmt: skip
        overrides[key] = {text: missing_kind(text) or "refused" for text in texts[len(places) :]}
    return questions, overrides


def _wave_respondents(
    wave: int, folder: Path, about: pd.DataFrame, responses: pd.DataFrame, attributes: Sequence[str] | None,
    questions: list[str], report: Report, levels: dict[str, list[str]],
) -> pd.DataFrame:  # fmt: skip
    """Answers, attributes as categoricals, and the weight; `levels` gains the groups of every attribute."""
    metadata: dict[str, list[str]] = {
        str(line["key"]): [str(option) for option in as_list(line["options"], f"{folder.name}/metadata.csv", "options")]
        for line in about.to_dict("records")
    }
    wanted = [a for a in ATTRIBUTES if a in responses and a in metadata] if attributes is None else list(attributes)
    absent = [a for a in wanted if a not in responses or a not in metadata]
    if absent:
        raise ValueError(
            f"{folder.name} has no attributes {absent}; it has {[a for a in ATTRIBUTES if a in responses]}"
        )
    data = responses[[*questions, *wanted, f"WEIGHT_W{wave}"]].copy()
    for attribute in wanted:
        groups = metadata[attribute]
        beside = data[attribute].notna() & ~data[attribute].isin(groups)
        if beside.any():
            listed = ", ".join(sorted(map(str, data.loc[beside, attribute].unique())))
            report.note(
                attribute, f"wave {wave}: respondents of unlisted groups, not stated", int(beside.sum()), listed
            )
        levels.setdefault(attribute, [])
        levels[attribute] += [group for group in groups if group not in levels[attribute]]
        data[attribute] = pd.Categorical(data[attribute].mask(beside), groups, ordered=attribute in ORDERED)
    return data
