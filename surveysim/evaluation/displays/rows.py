"""Which rows a display of distributions shows, and what is written about them."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from surveysim.distributions import check_distributions
from surveysim.evaluation.report_levels import as_respondents, level_names, question_names
from surveysim.questions import Question, as_questions

__all__ = ["choose_rows", "remarks_of", "rows_said", "titles_and_options"]

PANELS = 6
"""Panels drawn unless rows are named."""


def choose_rows(rows: Sequence[int] | None, n_rows: int, respondents: ArrayLike | None) -> np.ndarray:
    """Positions of the rows to draw: those named, else the ones with the most respondents."""
    if rows is not None:
        chosen = np.asarray(rows, dtype=np.int64)
        if chosen.ndim != 1 or len(chosen) == 0 or chosen.min() < -n_rows or chosen.max() >= n_rows:
            raise ValueError(f"rows must be positions among the {n_rows} rows, got {rows!r}")
        return chosen
    n = as_respondents(respondents, n_rows, "truth_respondents")
    if n is None:
        return np.arange(min(n_rows, PANELS))
    return np.sort(np.argsort(-n, kind="stable")[:PANELS])


def rows_said(array: np.ndarray, chosen: np.ndarray, name: str, *, may_lack: bool) -> np.ndarray:
    """The chosen rows of what is compared; rows of NaN where nothing was said."""
    some = array[chosen]
    lacking = np.isnan(some).all(axis=1)
    if lacking.any() and not may_lack:
        raise ValueError(f"{name!r} has no prediction for row {chosen[np.flatnonzero(lacking)[0]]}")
    if not lacking.all():
        some[~lacking] = check_distributions(some[~lacking], name=name)
    return some


def titles_and_options(
    X: pd.DataFrame | None,
    n_rows: int,
    chosen: np.ndarray,
    truth: np.ndarray,
    question: Question | Mapping[str, Question] | None,
    question_column: str,
) -> tuple[list[str], list[list[str]]]:
    """Who each chosen row is, and its options."""
    if X is not None and len(X) != n_rows:
        raise ValueError(f"X has {len(X)} rows, the truth has {n_rows}")
    questions = as_questions(question) or {}
    names = np.full(n_rows, "", dtype=object) if X is None else question_names(X, question_column)
    titles, options = [], []
    columns = [] if X is None else [column for column in X.columns if column != question_column]
    values = {column: level_names(X[column]) for column in columns} if X is not None else {}
    for row in chosen:
        asked = questions.get(names[row]) or (next(iter(questions.values())) if len(questions) == 1 else None)
        n_options = int((~np.isnan(truth[row])).sum())
        options.append(list(asked.options) if asked is not None else [str(k + 1) for k in range(n_options)])
        who = ", ".join(_phrase(column, str(values[column][row])) for column in columns) or f"row {row}"
        several = len(set(names[chosen])) > 1
        titles.append("\n".join(textwrap.wrap(f"{names[row]}: {who}" if several else who, 44)))
    return titles, options


def _phrase(column: str, value: str) -> str:
    """Name a value that says nothing by itself, as a number does."""
    return f"{column} {value}" if value.replace(".", "").replace("-", "").isdigit() else value


def remarks_of(
    n_rows: int,
    chosen: np.ndarray,
    truth_respondents: ArrayLike | None,
    sample_respondents: ArrayLike | None,
    truth_name: str,
) -> list[str] | None:
    """How many respondents stand behind each chosen row; None where nobody said."""
    n = as_respondents(truth_respondents, n_rows, "truth_respondents")
    m = as_respondents(sample_respondents, n_rows, "sample_respondents")
    if n is None and m is None:
        return None
    parts = []
    for row in chosen:
        told = [f"{truth_name} {n[row]:,.0f}"] if n is not None else []
        told += [f"sample {m[row]:,.0f}"] if m is not None else []
        parts.append(", ".join(told) + " respondents")
    return parts
