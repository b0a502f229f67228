"""Several surveys as one table: different questions, attributes and numbers of options."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Protocol, cast

import numpy as np
import pandas as pd

from surveysim.questions import Question
from surveysim.tables.cells import QUESTION_COLUMN, Cells

__all__ = ["SURVEY_SEPARATOR", "join_cells", "survey_of"]

SURVEY_SEPARATOR = "/"
"""Between the survey's name and the question's in a joined table."""


class CellTable(Protocol):
    """What is joined: `Cells`, or a `surveysim.datasets.QuestionSet`."""

    X: pd.DataFrame
    Y: np.ndarray
    n: np.ndarray
    questions: Mapping[str, Question]


def join_cells(surveys: Mapping[str, object]) -> Cells:
    """Join the cells of several surveys in one table, to fit one model on all of them.

    Parameters
    ----------
    surveys : mapping of str to Cells or QuestionSet
        Tables by the names of their surveys; anything with ``X``, ``Y``, ``n`` and ``questions`` will do. Questions say
        where and when they were asked (``Question(..., context="European Social Survey, Norway, 2021")``): the
        context is kept, and it is what a language model reads about the survey.

    Returns
    -------
    Cells
        Questions are called ``"survey/question"``. X has the columns of all surveys; what a survey does not have is
        NaN, "not stated". Columns that are categoricals with the same levels in all surveys that have them stay
        categoricals; others hold plain values. Questions without cells are left out. `folds` are kept where all tables
        have equally many; `excluded` names questions as the table does.

    Raises
    ------
    TypeError
        If a value is not a table of cells.
    ValueError
        If there are no surveys, a name is empty or has a ``"/"``, a table of several questions does not say which one
        a row is about, or a column holds numbers in one survey and text in another.

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim import Question, join_cells, tabulate
    >>> town = pd.DataFrame({"sex": ["f", "f", "m"], "vote": [1, 2, 2]})
    >>> club = pd.DataFrame({"age": ["young", "old", "old"], "fee": [1, 3, 2]})
    >>> cells = join_cells(
    ...     {
    ...         "town": tabulate(
    ...             town, ["sex"], {"vote": Question("Will you vote?", ["no", "yes"])}
    ...         ),
    ...         "club": tabulate(
    ...             club,
    ...             ["age"],
    ...             {"fee": Question("Is the fee fair?", ["no", "partly", "yes"])},
    ...         ),
    ...     }
    ... )
    >>> list(cells.questions), cells.backgrounds, cells.Y.shape
    (['town/vote', 'club/fee'], ['sex', 'age'], (4, 3))
    """
    if not isinstance(surveys, Mapping) or not surveys:
        raise ValueError(f"surveys must map at least one name to a table of cells, got {type(surveys).__name__}")
    tables = {name: _checked(name, table) for name, table in surveys.items()}
    names = {survey: _question_names(survey, table) for survey, table in tables.items()}
    questions = {
        f"{survey}{SURVEY_SEPARATOR}{name}": question
        for survey, table in tables.items()
        for name, question in table.questions.items()
        if name in set(names[survey])
    }
    if not questions:
        raise ValueError(f"the tables of {list(surveys)} have no cells")
    width = max(question.n_options for question in questions.values())
    X = pd.concat([_frame(survey, table, names[survey]) for survey, table in tables.items()], ignore_index=True)
    for column in X.columns.drop(QUESTION_COLUMN):
        X[column] = _united(column, tables, X[column])
    n = np.concatenate([np.asarray(table.n, dtype=float) for table in tables.values()])
    return Cells(
        X=X,
        Y=np.concatenate([_padded(np.asarray(table.Y, dtype=float), width) for table in tables.values()]),
        n=n,
        questions=questions,
        n_raw=np.concatenate([getattr(table, "n_raw", np.rint(table.n)).astype(np.int64) for table in tables.values()]),
        weight_sum=np.concatenate([np.asarray(getattr(table, "weight_sum", table.n)) for table in tables.values()]),
        missing=pd.concat([_missing(table) for table in tables.values()], ignore_index=True).fillna(0),
        excluded=_excluded(tables),
        folds=_folds(tables, width),
        design_effect={
            f"{survey}{SURVEY_SEPARATOR}{name}": effect
            for survey, table in tables.items()
            for name, effect in getattr(table, "design_effect", {}).items()
        },
    )


def survey_of(question: str) -> str:
    """The survey of a question in a joined table; an empty text in a table of one survey.

    Examples
    --------
    >>> survey_of("town/vote"), survey_of("vote")
    ('town', '')
    """
    survey, separator, _ = question.partition(SURVEY_SEPARATOR)
    return survey if separator else ""


def _checked(name: object, table: object) -> CellTable:
    if not isinstance(name, str) or not name.strip() or SURVEY_SEPARATOR in name:
        raise ValueError(
            f"a survey's name must not contain {SURVEY_SEPARATOR!r}, which separates it from its questions' names: "
            f"{name!r}"
        )
    lacking = [part for part in ("X", "Y", "n", "questions") if not hasattr(table, part)]
    if lacking or not isinstance(getattr(table, "X", None), pd.DataFrame):
        raise TypeError(
            f"surveys[{name!r}] must be Cells or a QuestionSet, got {type(table).__name__}"
            + (f" without {lacking}" if lacking else "")
        )
    found = cast(CellTable, table)
    if not len(found.X) == len(found.Y) == len(found.n):
        raise ValueError(
            f"surveys[{name!r}]: X, Y and n must have equally many rows, got {len(found.X)}, {len(found.Y)} and "
            f"{len(found.n)}"
        )
    return found


def _question_names(survey: str, table: CellTable) -> np.ndarray:
    """Each row's question; a table of one question may do without the column."""
    if QUESTION_COLUMN in table.X:
        named = table.X[QUESTION_COLUMN].to_numpy(dtype=object)
        unknown = sorted({str(name) for name in named} - set(table.questions))
        if unknown:
            raise ValueError(f"surveys[{survey!r}]: rows name the questions {unknown[:5]}, which `questions` lacks")
        return named
    if len(table.questions) != 1:
        raise ValueError(
            f"surveys[{survey!r}] has {len(table.questions)} questions and no column {QUESTION_COLUMN!r} that says "
            "which one a row is about"
        )
    return np.full(len(table.X), next(iter(table.questions)), dtype=object)


def _frame(survey: str, table: CellTable, names: np.ndarray) -> pd.DataFrame:
    """A survey's rows as plain values, with the questions' new names."""
    frame = table.X.drop(columns=QUESTION_COLUMN, errors="ignore").astype(object)
    frame.insert(0, QUESTION_COLUMN, [f"{survey}{SURVEY_SEPARATOR}{name}" for name in names])
    return frame


def _united(column: Hashable, tables: Mapping[str, CellTable], values: pd.Series) -> pd.Series:
    """A column as all its surveys have it: one categorical, numbers, or plain values."""
    found = {survey: table.X[column] for survey, table in tables.items() if column in table.X}
    dtypes = {survey: part.dtype for survey, part in found.items()}
    first = next(iter(dtypes.values()))
    if isinstance(first, pd.CategoricalDtype) and all(dtype == first for dtype in dtypes.values()):
        return values.astype(first)
    numbers = {survey: _is_number(part) for survey, part in found.items() if part.notna().any()}
    if len(set(numbers.values())) > 1:
        one, other = (next(s for s, number in numbers.items() if number is kind) for kind in (True, False))
        raise ValueError(
            f"column {column!r} holds numbers in {one!r} and texts in {other!r}: bring both to one form, or give one "
            "of them another name"
        )
    if all(numbers.values()) and not any(isinstance(dtype, pd.CategoricalDtype) for dtype in dtypes.values()):
        return pd.to_numeric(values)
    return values.where(values.notna(), np.nan)


def _is_number(column: pd.Series) -> bool:
    kept = column.dropna()
    return all(isinstance(value, int | float | np.number) and not isinstance(value, bool) for value in kept)


def _padded(Y: np.ndarray, width: int) -> np.ndarray:
    """Columns up to `width`: NaN added, or columns of questions without cells taken off."""
    added = max(0, width - Y.shape[1])
    return np.pad(Y, ((0, 0), (0, added)), constant_values=np.nan)[:, :width]


def _missing(table: CellTable) -> pd.DataFrame:
    found = getattr(table, "missing", None)
    return found if isinstance(found, pd.DataFrame) else pd.DataFrame(index=range(len(table.X)))


def _excluded(tables: Mapping[str, CellTable]) -> pd.DataFrame:
    parts = []
    for survey, table in tables.items():
        found = getattr(table, "excluded", None)
        if isinstance(found, pd.DataFrame) and len(found):
            parts.append(found.assign(question=[f"{survey}{SURVEY_SEPARATOR}{name}" for name in found["question"]]))
    columns = ["question", "reason", "respondents", "weight_sum", "outside_cells"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def _folds(tables: Mapping[str, CellTable], width: int) -> np.ndarray | None:
    """Respondent-disjoint counts, where all surveys have equally many folds."""
    found: list[Any] = [getattr(table, "folds", None) for table in tables.values()]
    if any(part is None for part in found) or len({part.shape[1] for part in found}) != 1:
        return None
    wide = [np.pad(part, ((0, 0), (0, 0), (0, max(0, width - part.shape[2]))))[:, :, :width] for part in found]
    return np.concatenate(wide)
