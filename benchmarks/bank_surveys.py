"""The surveys of ``benchmarks.bank`` as tables of single-attribute groups, and how they are held out.

Global Dialogues asks many of its questions in several rounds: each wording is kept once, in the first round
that has it. Of each question at most `GROUPS` groups of `MIN_RESPONDENTS` or more are used, drawn with a fixed seed.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.protocol import survey_missing
from benchmarks.surveys import MORE_SURVEYS, SURVEYS, Survey, data_folder
from surveysim import Question, join_cells, tabulate
from surveysim.datasets import QuestionSet, read_global_dialogues
from surveysim.distributions import pad_distributions
from surveysim.tables import QUESTION_COLUMN, Cells
from surveysim.tables.joining import survey_of

__all__ = ["HELD_OUT", "load_table", "some_questions"]

GROUPS, MIN_RESPONDENTS = 6, 50

SMALL = ["nonvoters_2020", "cces_2016", "anes96", "fair", "ess_gb", "ess_no", "wvs_usa"]

HELD_OUT: dict[str, list[str]] = {"pew": ["pew"], "small surveys": SMALL, "dialogues": ["gd3", "gd5"]}
"""Whole surveys that are held out together. Of the dialogues two of six rounds are: their topic, AI, stays among the
training questions. The other two are surveys of another house on other topics."""

CONTEXTS = {
    "nonvoters_2020": "Survey of US citizens, September 2020",
    "cces_2016": "Cooperative Congressional Election Study, United States, 2016",
    "fair": "Redbook survey of married women, United States, 1974",
    "ess_gb": "European Social Survey, Great Britain, 2018",
    "ess_no": "European Social Survey, Norway, 2021",
    "wvs_usa": "World Values Survey, United States, 1982 to 2011",
}


def load_table(folder: Path | None = None) -> Cells:
    """All surveys joined; each question with at most `GROUPS` groups."""
    folder = folder or data_folder()
    tables = {**_dialogues(folder), "pew": _pew(folder)}
    for name in SMALL:
        survey = (SURVEYS | MORE_SURVEYS)[name](folder)
        tables[name] = _single_attributes(_all_nonvoters(folder, survey) if name == "nonvoters_2020" else survey)
    return _thinned(join_cells(tables))


def some_questions(cells: Cells, surveys: list[str], n: int, seed: int = 0) -> Cells:
    """The cells of `surveys`, and n questions of the others, drawn at random."""
    names = [name for name in cells.questions if survey_of(name) not in surveys]
    chosen = np.random.default_rng(seed).permutation(len(names))[:n]
    kept = {names[i] for i in chosen} | {name for name in cells.questions if survey_of(name) in surveys}
    part = cells.subset(np.isin(cells.question_names, list(kept)))
    questions = {name: question for name, question in cells.questions.items() if name in kept}
    width = max(question.n_options for question in questions.values())  # the longest question may be left out
    return replace(part, questions=questions, Y=part.Y[:, :width])


def _dialogues(folder: Path) -> dict[str, Any]:
    """The rounds as surveys, each wording in the first that has it."""
    attributes = ["age", "gender", "religion", "environment", "AI concern"]
    found = read_global_dialogues(folder / "global_dialogues", attributes=attributes, min_respondents=MIN_RESPONDENTS)
    seen: set[str] = set()
    rounds: dict[str, list[str]] = {}
    for name, question in sorted(found.questions.items()):
        wording = " ".join(question.text.casefold().split())
        if wording not in seen:
            rounds.setdefault(name.split(" ")[0], []).append(name)
            seen.add(wording)
    tables = {}
    for number, names in rounds.items():
        rows = found.X[QUESTION_COLUMN].isin(names).to_numpy()
        X = found.X[rows].reset_index(drop=True)
        questions = {name: found.questions[name] for name in names if name in set(X[QUESTION_COLUMN])}
        tables[number] = QuestionSet(X=X, Y=found.Y[rows], n=found.n[rows], questions=questions)
    return tables


def _pew(folder: Path) -> Any:
    """What people answered to the 100 questions of the elicitations, without 'Refused'."""
    folder = folder / "opinionqa_elicited"
    lines = [json.loads(line) for line in (folder / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
    described = {line["qid"]: line for line in lines}
    table = pd.read_csv(folder / "elicited.csv.gz", usecols=["qid", "attribute", "group", "n_human", "human"])
    table = table.drop_duplicates(["qid", "attribute", "group"])
    names = {"CREGION": "region", "EDUCATION": "education", "INCOME": "income", "POLPARTY": "party", "RACE": "race",
             "SEX": "gender"}  # fmt: skip
    questions, rows, Y, n = {}, [], [], []
    for record in table[table.n_human >= MIN_RESPONDENTS].sort_values("qid", kind="stable").to_dict("records"):
        line = described[record["qid"]]
        places = line["ordinal"]
        order = sorted((k for k, place in enumerate(places) if place is not None), key=lambda k: (places[k], k))
        shares = np.array(json.loads(record["human"]), dtype=float)[order]
        if len(order) < 2 or not shares.sum() > 0:
            continue
        distinct = len({places[k] for k in order}) == len(order)
        wave = record["qid"].rpartition("_W")[2]
        questions[record["qid"]] = Question(
            line["question"], [line["options"][k] for k in order], ordinal=distinct,
            context=f"American Trends Panel, United States, wave {wave}",
        )  # fmt: skip
        rows.append({QUESTION_COLUMN: record["qid"], names[record["attribute"]]: record["group"]})
        Y.append(shares / shares.sum())
        n.append(record["n_human"])
    width = max(map(len, Y))
    return QuestionSet(X=pd.DataFrame(rows), Y=pad_distributions(Y, width), n=np.array(n, float), questions=questions)


def _all_nonvoters(folder: Path, survey: Survey) -> Survey:
    """All questions of the file in place of the twenty of the other benchmarks."""
    data = pd.read_csv(folder / "nonvoters_2020" / "nonvoters_data.csv")
    described = json.loads((folder / "nonvoters_2020" / "questions.json").read_text(encoding="utf-8"))["questions"]
    questions = {
        line["variable"]: Question(line["question"], line["options"], codes=line["codes"], ordinal=line["ordinal"])
        for line in described
    }
    frame = pd.concat([survey.data[survey.backgrounds], data[list(questions)]], axis=1)
    return Survey(survey.name, frame, survey.backgrounds, questions, survey.skipped)


def _single_attributes(survey: Survey) -> Any:
    """Groups by one attribute each, the others not stated."""
    questions = {
        name: question if question.context else replace(question, context=CONTEXTS[survey.name])
        for name, question in survey.questions.items()
    }
    missing = survey_missing(survey)
    parts = [tabulate(survey.data, [column], questions, missing=missing) for column in survey.backgrounds]
    X = pd.concat([_with_names(part) for part in parts], ignore_index=True)
    n = np.concatenate([part.n for part in parts])
    kept = n >= MIN_RESPONDENTS
    X = X[kept].reset_index(drop=True)
    Y = np.concatenate([part.Y for part in parts])[kept]
    used = {name: q for name, q in questions.items() if name in set(X[QUESTION_COLUMN])}
    return QuestionSet(X=X, Y=Y, n=n[kept], questions=used)


def _with_names(part: Cells) -> pd.DataFrame:
    """As texts: some surveys give ages in years, most in groups."""
    groups = part.X[part.backgrounds].map(lambda value: f"{value:g}" if isinstance(value, float) else str(value))
    return groups.assign(**{QUESTION_COLUMN: part.question_names})


def _thinned(cells: Cells, seed: int = 0) -> Cells:
    """At most `GROUPS` groups of each question: those of an attribute stay together, so that they have shifts."""
    generator = np.random.default_rng(seed)
    stated = cells.X[cells.backgrounds].notna().to_numpy()
    attribute = stated.argmax(axis=1)
    kept: list[int] = []
    for name in cells.questions:
        rows = np.flatnonzero(cells.question_names == name)
        own: list[int] = []
        for number in generator.permutation(np.unique(attribute[rows])):
            more = rows[attribute[rows] == number].tolist()
            own += more if len(own) + len(more) <= GROUPS else []
        kept += own or rows[:GROUPS].tolist()
    return cells.subset(np.sort(np.array(kept)))
