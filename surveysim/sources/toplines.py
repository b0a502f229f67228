"""Published toplines in a DataFrame, an option a row or an option a column, as X, Y, n and questions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from surveysim.sources.names import listed
from surveysim.tables import QUESTION_COLUMN

__all__ = ["Toplines", "read_toplines"]

SUM_TOLERANCE = 0.03
"""How far published shares may be from 1 (or 100) in sum: whole percentages are rounded."""

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
    frame = frame.drop(columns=[name for name in IGNORED if name in frame]).reset_index(drop=True)
    if not len(frame):
        raise ValueError("the table of toplines is empty")
    if {"option", "share"} <= set(frame.columns):
        return _long(frame)
    if "option" in frame or "share" in frame:
        raise ValueError("toplines of one option a row need both columns 'option' and 'share'")
    return _wide(frame)


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
    return _finish(X, Y, frame["n"].to_numpy(dtype=float, na_value=np.nan), options)


def _finish(X: pd.DataFrame, Y: np.ndarray, n: np.ndarray, options: Mapping[str, tuple[str, ...]]) -> Toplines:
    sums = np.nansum(Y, axis=1)
    percent = np.abs(sums - 100.0) <= 100 * SUM_TOLERANCE
    wrong = np.flatnonzero(~percent & (np.abs(sums - 1.0) > SUM_TOLERANCE) | (Y < 0).any(axis=1))
    if len(wrong):
        row = int(wrong[0])
        raise ValueError(
            f"toplines: the shares of {X.iloc[row].to_dict()} sum to {sums[row]:.6g}, neither to 1 nor to 100, or are "
            "negative. Attributes that are numbers look like options: make them text, or give one option a row."
        )
    return Toplines(X, Y / sums[:, None], n, {name: OptionList(own) for name, own in options.items()})
