"""Groups of respondents, their order and the pairs of them that are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from surveysim.tables.backgrounds import combine, level_codes

__all__ = ["Groups", "Pairs", "as_columns", "pair_groups", "read_groups"]


@dataclass(frozen=True)
class Groups:
    """Groups by the crossing of some columns.

    Attributes
    ----------
    frame : DataFrame of shape (n_groups, n_columns)
        The level of each column; without columns one group, everybody.
    of_row : int array of shape (n_rows,)
        -1 for rows in which a column is missing.
    """

    frame: pd.DataFrame
    of_row: np.ndarray

    def __len__(self) -> int:
        return len(self.frame)


@dataclass(frozen=True)
class Pairs:
    """Pairs of groups, the second one being the reference; `frame` names them, "b - a" in the compared column."""

    frame: pd.DataFrame
    group: np.ndarray
    reference: np.ndarray


def as_columns(by: str | Sequence[str] | None) -> list[str]:
    """The `by=` parameter as a list of columns."""
    return [] if by is None else [by] if isinstance(by, str) else list(by)


def read_groups(data: pd.DataFrame, columns: Sequence[str]) -> Groups:
    """Number the groups that occur, in the order of their levels.

    Raises
    ------
    ValueError
        If nobody has all columns stated.
    """
    if not columns:
        return Groups(pd.DataFrame(index=[0]), np.zeros(len(data), dtype=np.int64))
    stated = data[list(columns)].notna().all(axis=1).to_numpy()
    if not stated.any():
        raise ValueError(f"by: nobody stated {list(columns)}")
    known = data.loc[stated, list(columns)]
    codes, first = combine([level_codes(known[column]) for column in columns])
    of_row = np.full(len(data), -1)
    of_row[stated] = codes
    return Groups(known.iloc[first].reset_index(drop=True), of_row)


def pair_groups(groups: Groups, difference: str | Mapping[str, tuple[object, object]]) -> Pairs:
    """Pairs of groups that differ in a single column alone.

    Parameters
    ----------
    groups : Groups
    difference : str or mapping of str to (level, level)
        A column of the groups: each level less the first. ``{"gender": ("woman", "man")}``: woman less man.

    Raises
    ------
    TypeError
        If it is neither.
    ValueError
        If it is not a column of the groups, there is no such level, or no two groups can be compared.
    """
    column, chosen = _read_difference(difference)
    frame = groups.frame
    if column not in frame.columns:
        raise ValueError(f"difference={column!r} must be one of the columns of by, {list(frame.columns)}")
    codes, _ = level_codes(frame[column])
    if chosen is None:
        first = codes.min()
        compared = [(code, first) for code in np.unique(codes) if code != first]
    else:
        compared = [(_code_of(frame[column], codes, chosen[0]), _code_of(frame[column], codes, chosen[1]))]
    others = [other for other in frame.columns if other != column]
    places = {(codes[row], *frame.loc[row, others]): row for row in range(len(frame))}
    found = [
        (row, places[other, *frame.loc[row, others]])
        for row in range(len(frame))
        for one, other in compared
        if codes[row] == one and (other, *frame.loc[row, others]) in places
    ]
    if not found:
        raise ValueError(f"difference: no two groups differ in {column!r} alone")
    group, base = (np.array(rows, dtype=np.int64) for rows in zip(*found, strict=True))
    named = frame.iloc[group].reset_index(drop=True)
    levels = [str(level) for level in frame[column].tolist()]
    named[column] = [f"{levels[g]} - {levels[r]}" for g, r in found]
    return Pairs(named, group, base)


def _read_difference(difference: str | Mapping[str, tuple[object, object]]) -> tuple[str, tuple[object, object] | None]:
    if isinstance(difference, str):
        return difference, None
    if not (isinstance(difference, Mapping) and len(difference) == 1):
        raise TypeError(f"difference must be a column, or a mapping {{column: (level, level)}}, got {difference!r}")
    column, chosen = next(iter(difference.items()))
    if not (isinstance(chosen, tuple | list) and len(chosen) == 2):
        raise TypeError(f"difference[{column!r}] must be two levels, the first less the second, got {chosen!r}")
    return column, (chosen[0], chosen[1])


def _code_of(column: pd.Series, codes: np.ndarray, level: object) -> int:
    where = np.flatnonzero((column == level).to_numpy())
    if len(where) == 0:
        raise ValueError(f"difference: {column.name!r} has no level {level!r}; it has {list(column.unique())}")
    return int(codes[where[0]])
