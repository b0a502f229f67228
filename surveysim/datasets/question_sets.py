"""Question-level sets: from published distributions of answers by group to X, Y and n."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from surveysim.datasets.no_answer import missing_kind
from surveysim.datasets.ordering import monotone
from surveysim.datasets.scales import scale_scores
from surveysim.datasets.survey import QuestionSet, Report
from surveysim.datasets.text_files import BLANKS
from surveysim.datasets.wording import outside_scale
from surveysim.questions import Question
from surveysim.tables import QUESTION_COLUMN

__all__ = [
    "GroupAnswers",
    "add_question",
    "as_list",
    "assumed_respondents",
    "build_set",
    "finish_set",
    "need_columns",
    "parse_literal",
    "read_table",
]

SUM_TOLERANCE = 0.02
"""Shares that sum to 1 within this are rounded figures and are rescaled; others are left out and counted."""


@dataclass(frozen=True)
class GroupAnswers:
    """One published distribution: a question, the attributes of the group, the shares and the respondents."""

    question: str
    group: Mapping[str, str]
    shares: Sequence[float]
    respondents: float


def build_set(
    rows: Sequence[GroupAnswers],
    questions: Mapping[str, Question],
    report: Report,
    *,
    respondents: float | Mapping[str, float] | None = None,
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, dict[str, Question]]:
    """X, Y and n of published distributions, sorted by question.

    Rows whose shares are not a distribution are left out and counted; n is capped at the survey's respondents.
    """
    K = max((question.n_options for question in questions.values()), default=0)
    kept, Y, n = [], [], []
    place = {name: i for i, name in enumerate(questions)}
    for row in sorted(rows, key=lambda row: place[row.question]):
        shares = np.asarray(row.shares, dtype=float)
        if len(shares) != questions[row.question].n_options:
            report.warn(row.question, "distributions with another number of options, left out", int(row.respondents))
            continue
        if np.isnan(shares).any() or (shares < 0).any() or abs(shares.sum() - 1) > SUM_TOLERANCE:
            report.warn(row.question, "shares that are not a distribution, left out", int(row.respondents),
                        f"{dict(row.group)}: {np.round(shares, 3).tolist()}")  # fmt: skip
            continue
        if not row.respondents > 0:
            report.warn(row.question, "distributions of nobody, left out", 0, str(dict(row.group)))
            continue
        y = np.full(K, np.nan)
        y[: len(shares)] = shares / shares.sum()
        kept.append(row)
        Y.append(y)
        n.append(row.respondents)
    if not kept:
        raise ValueError("no distributions are left: " + "; ".join(sorted({what for _, _, what, _, _ in report.rows})))
    attributes = list(dict.fromkeys(name for row in kept for name in row.group))
    used = {row.question for row in kept}
    unused = [name for name in questions if name not in used]
    if unused:
        report.note("", "questions without distributions", 0, f"{len(unused)} questions")
    data: dict[str, Any] = {QUESTION_COLUMN: [row.question for row in kept]}
    data |= {name: pd.array([row.group.get(name) for row in kept], dtype=object) for name in attributes}
    sizes = np.array(n, dtype=float)
    if respondents is not None:
        asked = [row.question for row in kept]
        if isinstance(respondents, Mapping):
            absent = sorted(set(asked) - set(respondents))
            if absent:
                raise ValueError(f"respondents has no value for the questions {absent[:5]}")
            most = np.array([float(respondents[name]) for name in asked])
        else:
            most = np.full(len(sizes), float(respondents))
        above = sizes > most
        if above.any():
            report.note("", "n capped at the survey's respondents", 0, f"{int(above.sum()):,} distributions")
            sizes = np.minimum(sizes, most)
    X = pd.DataFrame(data).where(lambda frame: frame.notna(), np.nan)
    return X, np.array(Y), sizes, {name: question for name, question in questions.items() if name in used}


def finish_set(
    rows: Sequence[GroupAnswers], questions: Mapping[str, Question], report: Report,
    respondents: float | Mapping[str, float] | None, assumed: bool, description: str, terms: str,
) -> QuestionSet:  # fmt: skip
    X, Y, n, used = build_set(rows, questions, report, respondents=respondents)
    if assumed:
        report.note("", "n is assumed where the file has no counts", 0, f"from {n.min():g} to {n.max():g}")
    report.issue(description)
    return QuestionSet(
        X=X,
        Y=Y,
        n=n,
        questions=used,
        backgrounds=[column for column in X if column != QUESTION_COLUMN],
        n_is_assumed=assumed,
        report=report.frame(),
        DESCR=f"{description}: {len(X):,} distributions of {len(used):,} questions.",
        terms=terms,
    )


def add_question(
    questions: dict[str, Question], key: str, text: str, options: list[str], positions: list | None,
    context: str | None, where: str,
) -> None:  # fmt: skip
    """Add a question, or see that it is the same as before."""
    text, options = text.strip(), [str(option).strip() for option in options]
    if key in questions:
        if questions[key].text != text or list(questions[key].options) != options:
            raise ValueError(f"{where}: question {key!r} has another wording or other options than before")
        return
    pinned = [option for option in options if outside_scale(option) or missing_kind(option) is not None]
    pinned = pinned if len(options) - len(pinned) >= 2 else []
    line = [option for option in options if option not in pinned]
    values = None
    scores = scale_scores(line)
    ordinal = scores is not None and monotone(scores)
    if positions is not None and len(positions) == len(options):
        places = [p for p, option in zip(positions, options, strict=True) if option not in pinned]
        if all(p is not None for p in places) and len(set(places)) == len(places):
            ordinal = monotone(places)
            values = [None if option in pinned else float(p) for p, option in zip(positions, options, strict=True)]
            values = values if ordinal else None
    try:
        questions[key] = Question(text, options, ordinal=ordinal, values=values, pinned=pinned, context=context)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error}") from None


def assumed_respondents(n: float | Mapping[Any, float], question: str, group: Hashable, where: str) -> float:
    if not isinstance(n, Mapping):
        return float(n)
    keys = [question, group]
    if isinstance(group, tuple) and len(group) == 1:
        keys.append(group[0])
    for key in keys:
        if key in n:
            return float(n[key])
    raise ValueError(f"{where}: n has no value for the question {question!r} or the group {group!r}")


def read_table(path: Path) -> pd.DataFrame:
    if not path.exists():
        raise FileNotFoundError(f"no file {str(path)!r}")
    readers: dict[str, Callable[..., pd.DataFrame]] = {
        ".csv": lambda: pd.read_csv(path, keep_default_na=False, na_values=list(BLANKS), low_memory=False),
        ".json": lambda: pd.read_json(path),
        ".jsonl": lambda: pd.read_json(path, lines=True),
        ".parquet": lambda: pd.read_parquet(path),
    }
    ending = path.suffix.lower()
    if ending not in readers:
        raise ValueError(f"{path.name}: the format {ending or 'without ending'} is not one of {sorted(readers)}")
    try:
        return readers[ending]()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} is not UTF-8 text (byte {error.start:,}): save it as UTF-8") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
        raise ValueError(f"{path.name} cannot be read: {error}") from None


def need_columns(path: Path, table: pd.DataFrame, columns: Sequence[str]) -> None:
    absent = [column for column in columns if column not in table]
    if absent:
        raise ValueError(f"{path.name} lacks the columns {absent}; it has {list(table.columns)[:12]}")


def as_list(value: object, where: str, column: str) -> list:
    if isinstance(value, str):
        value = parse_literal(value, where, column)
    if not isinstance(value, list | tuple | np.ndarray):
        raise ValueError(f"{where}: {column} is not a list: {str(value)[:60]!r}")
    return list(value)


def parse_literal(text: str, where: str, column: str) -> Any:
    """JSON or a Python literal; never evaluated."""
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        raise ValueError(f"{where}: {column} cannot be read: {text[:60]!r}") from None
