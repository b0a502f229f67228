"""The columns of a survey that are tabulated: which they are, backgrounds with labels, answers as integers."""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import pandas as pd

from surveysim.questions import Question
from surveysim.tables.answers import CodedAnswers, UnknownAnswersError, code_answers
from surveysim.tables.backgrounds import apply_labels, blank_to_missing
from surveysim.tables.cells import QUESTION_COLUMN
from surveysim.tables.missing import MISSING_KINDS, MISSING_OPTIONS, Missing, kind_of_text

__all__ = ["check_columns", "check_names", "code_questions", "read_backgrounds", "require_columns"]


def check_columns(
    data: pd.DataFrame,
    backgrounds: Sequence[str],
    answers: Mapping[str, Question] | Question,
    others: Sequence[object],
    *,
    name: str = "backgrounds",
) -> tuple[list[str], dict[str, Question]]:
    """The backgrounds and the questions by column, after a check of everything about names that can be wrong.

    Parameters
    ----------
    data : DataFrame
    backgrounds : sequence of str
    answers : mapping of str to Question, or Question
        A single one where `data` has one column that is not named otherwise.
    others : list
        Further parameters that may name a column (weights, strata ...).
    name : str, default="backgrounds"
        What messages call the backgrounds; only those of that name may not be empty.
    """
    if not isinstance(data, pd.DataFrame):
        raise TypeError(f"data must be a pandas DataFrame, one row per respondent, got {type(data).__name__}")
    if isinstance(backgrounds, str) or not isinstance(backgrounds, Sequence | pd.Index | np.ndarray):
        raise TypeError(f"{name} must be a list of columns, got {backgrounds!r}")
    backgrounds = list(backgrounds)
    if not backgrounds and name == "backgrounds":
        raise ValueError("backgrounds is empty: name at least one column that describes the respondents")
    named = {other for other in others if isinstance(other, str)}
    answers = _as_mapping(data, answers, {*backgrounds, *named})
    for parameter, columns in ((name, backgrounds), ("answers", list(answers))):
        require_columns(data, columns, parameter)
    overlap = [column for column in backgrounds if column in answers]
    if overlap:
        raise ValueError(f"{overlap} are both backgrounds and answers: a question cannot be explained by itself")
    if QUESTION_COLUMN in backgrounds:
        raise ValueError(
            f"a background must not be called {QUESTION_COLUMN!r}, which is the column of X that names the question"
        )
    used = {*backgrounds, *answers, *named}
    twice = [column for column in dict.fromkeys(data.columns[data.columns.duplicated()]) if column in used]
    if twice:
        raise ValueError(f"data has several columns called {twice}: rename them, so that it is clear which is meant")
    if len(data) == 0:
        raise ValueError("data is empty: it has no respondents")
    return backgrounds, dict(answers)


def require_columns(data: pd.DataFrame, columns: Sequence[str], parameter: str) -> None:
    """Raise unless `columns` are names of columns of `data`, each once.

    Parameters
    ----------
    data : DataFrame
    columns : sequence of str
    parameter : str
        What the message calls them.
    """
    for column in columns:
        if not isinstance(column, str):
            raise TypeError(f"{parameter} must be names of columns (str), got {column!r}")
        if column not in data.columns:
            close = difflib.get_close_matches(column, [str(c) for c in data.columns], n=3)
            raise ValueError(
                f"{parameter}: data has no column {column!r}"
                + (f"; did you mean {' or '.join(map(repr, close))}?" if close else f": it has {list(data)}")
            )
    repeated = sorted({column for column in columns if list(columns).count(column) > 1})
    if repeated:
        raise ValueError(f"{parameter} names {repeated} more than once")


def _as_mapping(
    data: pd.DataFrame, answers: Mapping[str, Question] | Question, taken: set[str]
) -> Mapping[str, Question]:
    if isinstance(answers, Question):
        rest = [column for column in data.columns if column not in taken]
        if len(rest) != 1:
            raise ValueError(f"which column holds the answers? Write answers={{column: question}}; candidates: {rest}")
        answers = {rest[0]: answers}
    if not isinstance(answers, Mapping):
        raise TypeError(f"answers must be a mapping from columns to Question, got {answers!r}")
    if not answers:
        raise ValueError("answers is empty: name at least one column and its Question")
    for column, question in answers.items():
        if not isinstance(question, Question):
            raise TypeError(f"answers[{column!r}] must be a Question, got {question!r}")
    return answers


def check_names(
    missing: Missing,
    labels: Mapping[str, Mapping[Hashable, str | None]] | None,
    backgrounds: list[str],
    questions: Mapping[str, Question],
) -> None:
    """Raise where `missing` or `labels` name columns that are not questions, or not backgrounds."""
    unknown = [column for column in missing.question_columns() if column not in questions]
    if unknown:
        raise ValueError(f"missing declares codes for {unknown}, which are not questions: {list(questions)}")
    if labels is not None and not isinstance(labels, Mapping):
        raise TypeError(f"labels must be a mapping of backgrounds to {{code: label}}, got {labels!r}")
    unknown = [column for column in labels or () if column not in backgrounds]
    if unknown:
        raise ValueError(f"labels names {unknown}, which are not backgrounds: {backgrounds}")


def read_backgrounds(
    data: pd.DataFrame, columns: list[str], labels: Mapping[str, Mapping[Hashable, str | None]] | None
) -> pd.DataFrame:
    """The backgrounds, blanks as missing values, codes replaced by their labels."""
    read = {}
    for column in columns:
        try:
            values = blank_to_missing(data[column])
        except TypeError as error:  # lists and other values that cannot be compared
            raise TypeError(f"background {column!r} must hold single values (text, numbers): {error}") from None
        read[column] = apply_labels(values, labels[column]) if labels and column in labels else values
    return pd.DataFrame(read)


def code_questions(data: pd.DataFrame, questions: Mapping[str, Question], missing: Missing) -> dict[str, CodedAnswers]:
    """Every question's answers as integers; all questions whose answers match nothing are reported at once."""
    coded, unknown = {}, []
    for name, question in questions.items():
        try:
            coded[name] = code_answers(data[name], question, missing)
        except UnknownAnswersError as error:  # all of them at once: a codebook is read once, not question by question
            unknown.append(str(error))
    if unknown:
        raise ValueError(
            "answers that match no option. "
            + ". ".join(unknown[:5])
            + (f". And {len(unknown) - 5} more questions" if len(unknown) > 5 else "")
            + ". If they stand for a missing answer, declare them: missing={-1: 'skipped', 98: \"don't know\", "
            "99: 'refused'}; else give the Question codes."
        )
    if missing.policy == "option" and not any(
        kind_of_text(option) in MISSING_OPTIONS for answer in coded.values() for option in answer.question.options
    ):
        raise ValueError(
            'missing=\'option\' finds no "don\'t know" or "refused" answers to turn into options: declare their codes, '
            "missing=Missing('option', {98: \"don't know\"})"
        )
    if missing.policy == "error":
        found = []
        for name, answer in coded.items():
            counts = np.bincount(answer.option, minlength=answer.question.n_options + len(MISSING_KINDS))
            kinds = zip(MISSING_KINDS, counts[answer.question.n_options :], strict=True)
            found += [f"{name!r}: {kind} {count:,}" for kind, count in kinds if count]
        if found:
            raise ValueError(f"missing='error' and answers are missing: {'; '.join(found)}")
    return coded
