"""Global Dialogues of the Collective Intelligence Project: answers by single attributes, with counts."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from surveysim.datasets.question_sets import (
    GroupAnswers,
    add_question,
    as_list,
    finish_set,
    need_columns,
    read_table,
)
from surveysim.datasets.survey import QuestionSet, Report
from surveysim.questions import Question

__all__ = ["read_global_dialogues"]

# How the segments of a Global Dialogue are coded in its published tables (docs of collect-intel/global-dialogues).
_SEGMENTS = {"O1": "language", "O2": "age", "O3": "gender", "O4": "environment", "O5": "AI concern", "O6": "religion",
             "O7": "country"}  # fmt: skip
_SEGMENT_NAMES = {"ageGroup": "age", "aiConcern": "AI concern"}


def read_global_dialogues(
    path: str | Path,
    *,
    attributes: Sequence[str] | None = None,
    min_respondents: float = 1.0,
    respondents: float | Mapping[str, float] | None = None,
) -> QuestionSet:
    """Read Global Dialogues: what people of many countries think of AI, by single attributes.

    Parameters
    ----------
    path : str or Path
        Either ``GD<N>_aggregate_standardized.csv`` with ``GD<N>_segment_counts_by_question.csv`` beside it, as
        published at https://github.com/collect-intel/global-dialogues, or a folder with ``questions.jsonl`` and
        ``distributions.csv`` (or .csv.gz): one line per group, with its number of people and its shares as a list.
        Terms: the Collective Intelligence Project publishes data as CC0 and code as MIT; see the repository.
    attributes : list of str, optional
        Of ``age, gender, country, religion, environment, AI concern, language``; default: all that there are.
    min_respondents : float, default=1.0
        Groups with fewer people are left out and counted: most countries have fewer than 20.
    respondents : float or mapping of question to float, optional
        Respondents of the dialogue: no group has more. Default: for a folder, the largest sum of group sizes over an
        attribute of the round; for a published file, the column ``All``.

    Returns
    -------
    QuestionSet
        Questions are called by round and identifier.

    Raises
    ------
    FileNotFoundError, ValueError
        If a file or column is missing.

    Notes
    -----
    The folder is checked (six rounds, 303 questions); the published tables are *unchecked*: their reader is written
    from the repository's data guide. Only questions of type "Poll Single Select" are read. Ages are ordered.

    Examples
    --------
    >>> from surveysim.datasets import read_global_dialogues
    >>> dialogues = read_global_dialogues(
    ...     "GD3_aggregate_standardized.csv", min_respondents=50
    ... )  # doctest: +SKIP
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no file or folder {str(path)!r}")
    report = Report()
    rows, questions, totals = (_dialogues_folder if path.is_dir() else _dialogues_table)(path, report)
    found = list(dict.fromkeys(name for row in rows for name in row.group))
    if attributes is not None:
        unknown = [name for name in attributes if name not in found]
        if unknown:
            raise ValueError(f"attributes names {unknown}; {path.name} has {found}")
        rows = [row for row in rows if set(row.group) <= set(attributes)]
    few = [row for row in rows if row.respondents < min_respondents]
    if few:
        people = int(sum(row.respondents for row in few))
        report.note(
            "", f"distributions of fewer than {min_respondents:g} people, left out", people, f"{len(few):,} rows"
        )
        rows = [row for row in rows if row.respondents >= min_respondents]
    made = finish_set(
        rows, questions, report, totals if respondents is None else respondents, False,
        f"Global Dialogues, {path.name}",
        "Collective Intelligence Project: data CC0, code MIT; see the repository.",
    )  # fmt: skip
    if "age" in made.X:
        seen = sorted(made.X["age"].dropna().unique(), key=lambda a: (not a.startswith(("<", "under")), a))
        made.X["age"] = pd.Categorical(made.X["age"], seen, ordered=True)
    return made


def _dialogues_folder(path: Path, report: Report) -> tuple[list[GroupAnswers], dict[str, Question], dict[str, float]]:
    described = path / "questions.jsonl"
    tables = [path / name for name in ("distributions.csv", "distributions.csv.gz") if (path / name).exists()]
    if not described.exists() or not tables:
        raise FileNotFoundError(f"{path} needs questions.jsonl and distributions.csv or distributions.csv.gz")
    questions: dict[str, Question] = {}
    for i, text in enumerate(described.read_text(encoding="utf-8").splitlines()):
        line = json.loads(text)
        key = f"{line['round']} {line['qid']}"
        context = f"Global Dialogues, round {line['round'].removeprefix('gd')}"
        add_question(questions, key, line["question"], line["options"], None, context, f"questions.jsonl, line {i + 1}")
    table = pd.read_csv(tables[0])
    need_columns(tables[0], table, ["round", "qid", "attribute", "group", "segment_n", "p"])
    rows = []
    for i, line in enumerate(table.to_dict("records")):
        key = f"{line['round']} {line['qid']}"
        if key not in questions:
            raise ValueError(f"{tables[0].name}, row {i}: question {key!r} is not in questions.jsonl")
        attribute = _SEGMENT_NAMES.get(line["attribute"], line["attribute"])
        shares = as_list(line["p"], f"{tables[0].name}, row {i}", "p")
        rows.append(GroupAnswers(key, {attribute: str(line["group"])}, shares, float(line["segment_n"])))
    groups = table.drop_duplicates(["round", "attribute", "group"]).groupby(["round", "attribute"])["segment_n"].sum()
    by_round = groups.groupby("round").max()
    return rows, questions, {key: float(by_round[key.split(" ")[0]]) for key in questions}


def _dialogues_table(path: Path, report: Report) -> tuple[list[GroupAnswers], dict[str, Question], dict[str, float]]:
    table = read_table(path)
    need_columns(path, table, ["Question ID", "Question Type", "Question", "Response", "All"])
    counts_path = path.with_name(path.name.replace("aggregate_standardized", "segment_counts_by_question"))
    if counts_path == path or not counts_path.exists():
        raise FileNotFoundError(f"{path.name} has no counts: place {counts_path.name} beside it")
    listed = read_table(counts_path).drop_duplicates("Question ID").to_dict("records")
    counts: dict[Any, dict[Any, Any]] = {line["Question ID"]: line for line in listed}
    polls = table[table["Question Type"].str.casefold() == "poll single select"]
    others = table.loc[~table.index.isin(polls.index), "Question ID"].nunique()
    if others:
        report.note("", "questions that are not single-select polls, left out", 0, f"{others} questions")
    columns = {c: c.split(":", 1) for c in polls.columns if re.match(r"O\d+:", c)}
    round = path.name.split("_")[0].lower()
    rows, totals = [], {}
    questions: dict[str, Question] = {}
    for qid, block in polls.groupby("Question ID", sort=False):
        key, where = f"{round} {qid}", f"{path.name}, question {qid}"
        options = [str(option) for option in block["Response"]]
        if len(options) < 2 or len(set(options)) < len(options):
            report.warn(key, "questions with fewer than two options, or repeated ones, left out", 0, str(options))
            continue
        if qid not in counts:
            report.warn(key, "questions without counts, left out")
            continue
        context = f"Global Dialogues, round {round.removeprefix('gd')}"
        add_question(questions, key, str(block["Question"].iloc[0]), options, None, context, where)
        totals[key] = float(counts[qid]["All"])
        for column, (segment, group) in columns.items():
            shares = pd.to_numeric(block[column].astype(str).str.rstrip("%"), errors="coerce").to_numpy() / 100
            size = float(counts[qid].get(column, 0) or 0)
            if segment not in _SEGMENTS or size == 0 or np.isnan(shares).all():
                continue
            rows.append(GroupAnswers(key, {_SEGMENTS[segment]: group.strip()}, shares.tolist(), size))
    beside = sorted({segment for segment, _ in columns.values()} - set(_SEGMENTS))
    if beside:
        report.note("", "segments that are not an attribute of people, left out", 0, ", ".join(beside))
    return rows, questions, totals
