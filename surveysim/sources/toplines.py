"""Published toplines in a DataFrame, an option a row or an option a column, as X, Y, n and questions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from surveysim.sources.names import listed
from surveysim.tables import QUESTION_COLUMN

__all__ = ["Toplines", "read_toplines"]

ROUNDING = 0.005
"""How far each published share may be off: whole percentages are rounded. Sums are off by no more than all of them."""

LEAST_TOLERANCE = 0.01
"""How far a sum may be off with two options."""

SIGNS = re.compile(r"[\s%,\u00a0\u202f]")
"""What printed numbers have beside digits."""

BLANKS = ("", "-", "\u2013", "\u2014", "*", "n/a", "na")
"""What stands in printed tables where a number was left out."""

NUMBERS = "Attributes that are numbers look like options: make them text, or give one option a row."

TIDY = ({"attribute", "variable", "demographic", "background"}, {"level", "value", "category", "group"})
"""Names of columns of which one says what attribute the other has a level of."""

IGNORED = ("n_raw", "weight_sum")
"""Columns of `Cells.to_frame` that are not needed."""


@dataclass(frozen=True)
class OptionList:
    """The options of a question whose wording the table does not give."""

    options: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Toplines:
    """Published distributions: X (missing: the total over that attribute), Y, n and the options by question."""

    X: pd.DataFrame
    Y: np.ndarray
    n: np.ndarray
    questions: Mapping[str, OptionList]


def read_toplines(frame: pd.DataFrame) -> Toplines:
    """Read a table of published shares.

    Parameters
    ----------
    frame : DataFrame
        *Long*: columns ``option``, ``share`` and ``n``, a row for each option (`Cells.to_frame` writes it). *Wide*:
        a column for each option and ``n``, a row for each distribution. In both ``question`` names the question, if
        there are several; every other column is an attribute, text or categorical, missing for the total over it.

    Returns
    -------
    Toplines

    Raises
    ------
    ValueError
        If columns are missing, an option is repeated, shares are negative or sum to neither 1 nor 100.
    """
    if "n" not in frame:
        raise ValueError(
            f"toplines need a column 'n', the respondents behind each distribution: the columns are "
            f"{listed(list(frame.columns))}"
        )
    repeated = frame.columns[frame.columns.duplicated()]
    if len(repeated):
        raise ValueError(f"toplines have more than one column named {repeated[0]!r}")
    frame = frame.drop(columns=[name for name in IGNORED if name in frame]).reset_index(drop=True)
    _refuse_tidy(frame)
    frame["n"] = _numbers(frame["n"], "n")
    frame = frame[frame["n"] != 0].reset_index(drop=True)  # nobody was asked: shares may be blank
    if not len(frame):
        raise ValueError("the table of toplines is empty, or every n is 0")
    if QUESTION_COLUMN in frame:
        unnamed = np.flatnonzero(frame[QUESTION_COLUMN].isna())
        if len(unnamed):
            raise ValueError(f"toplines: row {unnamed[0]} does not name its question")
        frame[QUESTION_COLUMN] = frame[QUESTION_COLUMN].map(_as_text).astype(object)
    if {"option", "share"} <= set(frame.columns):
        frame["share"] = _numbers(frame["share"], "share")
        return _long(frame)
    if "option" in frame or "share" in frame:
        raise ValueError("toplines of one option a row need both columns 'option' and 'share'")
    return _wide(frame)


def _as_text(name: object) -> str:
    """The name of a question; numbers as they are written."""
    return f"{name:g}" if isinstance(name, float) else str(name)


def _refuse_tidy(frame: pd.DataFrame) -> None:
    """A column of attributes' names beside one of their levels is no attribute itself: rows would be of everybody."""
    names = {str(name).strip().lower(): name for name in frame.columns}
    one, other = ([name for plain, name in names.items() if plain in words] for words in TIDY)
    if one and other:
        raise ValueError(
            f"toplines: the columns {one[0]!r} and {other[0]!r} look like an attribute's name and its level. Give each "
            f"attribute a column of its own, missing where a row is the total over it: rows of "
            f"{frame[one[0]].iloc[0]!r} have {frame[other[0]].iloc[0]!r} in the column {frame[one[0]].iloc[0]!r}. (If "
            "they are attributes, rename them, and say so with attributes=.)"
        )


def _numbers(column: pd.Series, name: object) -> pd.Series:
    """A column as numbers.

    Raises
    ------
    ValueError
        If a value is text.
    """
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype):
        return column.astype(float)
    values = pd.to_numeric(column, errors="coerce").astype(float)
    wrong = np.flatnonzero(values.isna() & column.notna())
    if len(wrong):
        raise ValueError(
            f"toplines: the column {name!r} holds {column.iloc[wrong[0]]!r} in row {wrong[0]}, where a number was "
            "expected"
        )
    return values


def _looks_printed(column: pd.Series) -> bool:
    """Whether a column of text holds printed numbers: "60%", "1,234", "-" here and there."""
    texts = [SIGNS.sub("", str(value)).lower() for value in column.dropna()]
    told = [text for text in texts if text not in BLANKS]
    signed = any("%" in str(value) for value in column) or len(told) < len(texts)
    return bool(told) and signed and all(re.fullmatch(r"[<>~]?\d+(?:\.\d+)?", text) for text in told)


def _long(frame: pd.DataFrame) -> Toplines:
    attributes = [name for name in frame.columns if name not in (QUESTION_COLUMN, "option", "share", "n")]
    keys = ([QUESTION_COLUMN] if QUESTION_COLUMN in frame else []) + attributes
    cell = frame.groupby(keys, dropna=False, sort=False, observed=True).ngroup().to_numpy() if keys else np.zeros(
        len(frame), dtype=int
    )  # fmt: skip
    first = np.unique(cell, return_index=True)[1]
    X = frame.loc[first, keys].reset_index(drop=True)
    names = X[QUESTION_COLUMN].astype(object).to_numpy() if QUESTION_COLUMN in X else np.full(len(X), "", dtype=object)
    options: dict[Any, list[str]] = {}
    for name, option in zip(names[cell], frame["option"].astype(str), strict=True):
        own = options.setdefault(name, [])
        if option not in own:
            own.append(option)
    Y = np.full((len(X), max(map(len, options.values()))), np.nan)
    for i, (row, option, share) in enumerate(zip(cell, frame["option"].astype(str), frame["share"], strict=True)):
        place = options[names[row]].index(option)
        if not np.isnan(Y[row, place]):
            raise ValueError(f"toplines: row {i} repeats the option {option!r} of {X.iloc[row].to_dict()}")
        Y[row, place] = share
    for row, name in enumerate(names):  # an option that a group's rows do not list was chosen by nobody
        told = Y[row, : len(options[name])]
        told[np.isnan(told)] = 0.0
    sizes = frame.groupby(cell)["n"]
    if (sizes.nunique() > 1).any():
        row = int(np.flatnonzero(sizes.nunique().to_numpy() > 1)[0])
        raise ValueError(f"toplines: the rows of {X.iloc[row].to_dict()} have different n")
    return _finish(X, Y, sizes.first().to_numpy(dtype=float), {str(k): tuple(v) for k, v in options.items()})


def _wide(frame: pd.DataFrame) -> Toplines:
    columns = [name for name in frame.columns if name not in (QUESTION_COLUMN, "n")]
    shares = [name for name in columns if pd.api.types.is_numeric_dtype(frame[name].dtype)]
    printed = [name for name in columns if name not in shares and _looks_printed(frame[name])]
    if printed:
        column = frame[printed[0]]
        odd = next(value for value in column.dropna() if pd.isna(pd.to_numeric(value, errors="coerce")))
        raise ValueError(
            f"toplines: the column {printed[0]!r} looks like shares and holds text, such as {odd!r}: make it numbers, "
            "and leave out rows that are not published"
        )
    if len(shares) < 2:
        raise ValueError(
            "toplines need a column of numbers for each option, or columns 'option' and 'share'; numbers are in "
            f"{listed(shares)} of {listed(columns)}"
        )
    X = frame.drop(columns=[*shares, "n"])
    names = X[QUESTION_COLUMN].astype(object).to_numpy() if QUESTION_COLUMN in X else np.full(len(X), "", dtype=object)
    values = frame[shares].to_numpy(dtype=float, na_value=np.nan)
    options: dict[str, tuple[str, ...]] = {}
    width = 0
    for name in dict.fromkeys(names):
        used = ~np.isnan(values[names == name]).all(axis=0)
        options[str(name)] = tuple(str(share) for share, is_used in zip(shares, used, strict=True) if is_used)
        width = max(width, int(used.sum()))
    Y = np.full((len(X), width), np.nan)
    for row, name in enumerate(names):
        own = [shares.index(share) for share in shares if str(share) in options[str(name)]]
        Y[row, : len(own)] = np.nan_to_num(values[row, own])
    found = _finish(X, Y, frame["n"].to_numpy(dtype=float, na_value=np.nan), options)
    repeated = np.flatnonzero(X.duplicated()) if len(X.columns) else np.arange(1, len(X))
    if len(repeated):
        row = int(repeated[0])
        raise ValueError(
            f"toplines: row {row} repeats {X.iloc[row].to_dict() or 'the total'}. If rows differ in what is not in the "
            f"table, they are of other people or of the same: leave out all but one, or add a column. {NUMBERS}"
        )
    return found


def _finish(X: pd.DataFrame, Y: np.ndarray, n: np.ndarray, options: Mapping[str, tuple[str, ...]]) -> Toplines:
    negative = np.flatnonzero((Y < 0).any(axis=1) | np.isinf(Y).any(axis=1))
    if len(negative):
        row = int(negative[0])
        raise ValueError(f"toplines: a share of {X.iloc[row].to_dict()} is negative or infinite: {Y[row].tolist()}")
    sums = np.nansum(Y, axis=1)
    tolerance = np.maximum(LEAST_TOLERANCE, ROUNDING * (~np.isnan(Y)).sum(axis=1)) + 1e-9
    wrong = np.flatnonzero((np.abs(sums - 100.0) > 100 * tolerance) & (np.abs(sums - 1.0) > tolerance))
    if len(wrong):
        row = int(wrong[0])
        raise ValueError(
            f"toplines: the shares of {X.iloc[row].to_dict()} sum to {sums[row]:.6g}, neither to 1 nor to 100."
            f"{_cause(sums[row], n[row])} {NUMBERS}"
        )
    return Toplines(X, Y / sums[:, None], n, {name: OptionList(own) for name, own in options.items()})


def _cause(total: float, n: float) -> str:
    """What may be the matter with a sum."""
    if total == 0:
        return " Leave out rows that are not published, or give them n=0."
    if 0.5 < total < 1 or 50 < total < 100:
        return " What is missing may be an option or a reason for no answer: add it as an option."
    if np.isclose(total, n):
        return " They look like numbers of respondents: divide them by n."
    return ""
