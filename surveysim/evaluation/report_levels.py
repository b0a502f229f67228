"""The three levels at which predictions are judged: crossed cells, groups of a single attribute, and the population."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from surveysim.distributions import option_mask

__all__ = ["LEVELS", "NOT_STATED", "Groups", "check_level", "groups_of"]

LEVELS = ("cell", "attribute", "population")
"""Crossed cells, groups of a single attribute, everybody."""

NOT_STATED = "not stated"
"""The level of those whose background is missing."""


@dataclass(frozen=True)
class Groups:
    """Which cells belong to which group of a level; groups never mix questions.

    Attributes
    ----------
    question, attribute, label : object arrays of shape (n_groups,)
        The question's name ("" if there is one only), the attribute (at level "attribute"; else ""), and who they are.
    rows, group : int arrays of shape (n_pairs,)
        Row `rows[i]` is in group `group[i]`.
    """

    question: np.ndarray
    attribute: np.ndarray
    label: np.ndarray
    rows: np.ndarray
    group: np.ndarray

    def __len__(self) -> int:
        return len(self.label)

    def total(self, numbers: np.ndarray) -> np.ndarray:
        """The sum of a number per row over each group's rows."""
        return np.bincount(self.group, weights=numbers[self.rows], minlength=len(self))

    def pool(self, Y: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Distributions of the groups: the mean of the rows' distributions by `weight`.

        A group without weight has NaN.
        """
        exists = option_mask(Y)
        pooled = np.zeros((len(self), Y.shape[1]))
        np.add.at(pooled, self.group, (np.where(exists, Y, 0.0) * weight[:, None])[self.rows])
        total = self.total(weight)
        pooled = np.divide(pooled, total[:, None], out=np.full_like(pooled, np.nan), where=total[:, None] > 0)
        has_option = np.zeros((len(self), Y.shape[1]), dtype=bool)
        np.logical_or.at(has_option, self.group, exists[self.rows])
        return np.where(has_option, pooled, np.nan)


def check_level(level: str) -> str:
    """The level, or an error that lists them."""
    if level not in LEVELS:
        raise ValueError(f"level must be one of {list(LEVELS)}, got {level!r}")
    return level


def groups_of(X: pd.DataFrame | None, n_rows: int, level: str, *, question_column: str = "question") -> Groups:
    """The groups of a level among the rows of X.

    Parameters
    ----------
    X : DataFrame of shape (n_rows, n_columns) or None
        Backgrounds, with the question column if there are several questions. None: every row is a group of the same
        question, which is all that can be said, so that only level "cell" is possible.
    n_rows : int
    level : {"cell", "attribute", "population"}
    question_column : str, default="question"

    Returns
    -------
    Groups
        In the order of their first rows.

    Raises
    ------
    TypeError, ValueError
        If X is not a DataFrame of `n_rows` rows, or is needed and None.
    """
    check_level(level)
    everyone = np.arange(n_rows)
    if X is None:
        if level != "cell":
            raise ValueError(f"level={level!r} pools cells by their background: pass X, the table of backgrounds")
        blank = np.full(n_rows, "", dtype=object)
        return Groups(blank, blank, np.array([f"row {i}" for i in everyone], dtype=object), everyone, everyone)
    if not isinstance(X, pd.DataFrame):
        raise TypeError(f"X must be a pandas DataFrame of backgrounds, got {type(X).__name__}")
    if len(X) != n_rows:
        raise ValueError(f"X has {len(X)} rows, the distributions have {n_rows}: they must be the same rows")
    names = question_names(X, question_column)
    columns = [column for column in X.columns if column != question_column]
    if level != "population" and not columns:
        raise ValueError("X has no background columns: only level='population' can be told")
    values = {column: level_names(X[column]) for column in columns}
    if level == "population":
        return _number([(names, "", np.full(n_rows, "all", dtype=object))])
    if level == "attribute":
        return _number([(names, column, values[column]) for column in columns])
    parts = [[f"{column}={value}" for value in values[column]] for column in columns]
    crossed = np.array([", ".join(row) for row in zip(*parts, strict=True)], dtype=object)
    return _number([(names, "", crossed)])


def level_names(column: pd.Series) -> np.ndarray:
    """The levels of a background as text, numbers without a needless ".0"; missing: "not stated"."""
    missing = column.isna().to_numpy()
    numeric = pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype)
    texts = [f"{value:g}" if numeric else str(value) for value in column.astype(object)]
    return np.where(missing, NOT_STATED, np.array(texts, dtype=object))


def question_names(X: pd.DataFrame, question_column: str = "question") -> np.ndarray:
    """Object array (n_rows,): each row's question; "" where X has no such column."""
    if question_column in X.columns:
        return X[question_column].astype(object).to_numpy(dtype=object)
    return np.full(len(X), "", dtype=object)


def as_respondents(numbers: ArrayLike | None, n_rows: int, name: str) -> np.ndarray | None:
    """A number of respondents for each row, one number for all being enough.

    Raises
    ------
    ValueError
        If a number is negative, NaN or infinite, or there are more or fewer than rows.
    """
    if numbers is None:
        return None
    array = np.asarray(numbers, dtype=np.float64)
    array = np.full(n_rows, float(array)) if array.ndim == 0 else array
    if array.shape != (n_rows,):
        raise ValueError(f"{name} must be one number, or one per row, shape ({n_rows},); got shape {array.shape}")
    wrong = np.flatnonzero(~(np.isfinite(array) & (array >= 0)))
    if len(wrong):
        raise ValueError(f"{name} must be finite and not negative, got {array[wrong[0]]} in row {wrong[0]}")
    return array


def _number(parts: list[tuple[np.ndarray, str, np.ndarray]]) -> Groups:
    frames = [
        pd.DataFrame({"question": question, "attribute": attribute, "label": label, "row": np.arange(len(question))})
        for question, attribute, label in parts
    ]
    pairs = pd.concat(frames, ignore_index=True)
    keys = ["question", "attribute", "label"]
    number = pairs.groupby(keys, sort=False, dropna=False).ngroup().to_numpy()
    first = np.unique(number, return_index=True)[1]
    found = {key: pairs[key].to_numpy(dtype=object)[first] for key in keys}
    return Groups(**found, rows=pairs["row"].to_numpy(), group=number)
