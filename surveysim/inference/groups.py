"""Groups of respondents, their order and the pairs of them that are compared."""

from __future__ import annotations

from collections.abc import Sequence
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
        raise ValueError(f"by: nobody has {list(columns)} stated")
    known = data.loc[stated, list(columns)]
    codes, first = combine([level_codes(known[column]) for column in columns])
    of_row = np.full(len(data), -1)
    of_row[stated] = codes
    return Groups(known.iloc[first].reset_index(drop=True), of_row)


def pair_groups(groups: Groups, difference: str | tuple[str, object]) -> Pairs:
    """Every group with the one that differs from it in a single column alone, which has the reference level there.

    Parameters
    ----------
    groups : Groups
    difference : str or (str, level)
        A column of the groups, and its reference level; by default its first level.

    Raises
    ------
    ValueError
        If it is no column of the groups, there is no such level, or no two groups can be compared.
    """
    column, reference = difference if isinstance(difference, tuple) else (difference, None)
    frame = groups.frame
    if column not in frame.columns:
        raise ValueError(f"difference={column!r} must be one of the columns of by, {list(frame.columns)}")
    codes, _ = level_codes(frame[column])
    if isinstance(difference, tuple):
        chosen = np.flatnonzero((frame[column] == reference).to_numpy())
        if len(chosen) == 0:
            raise ValueError(
                f"difference: {column!r} has no level {reference!r}; it has {list(frame[column].unique())}"
            )
        code = codes[chosen[0]]
    else:
        code = codes.min()
    others = [other for other in frame.columns if other != column]
    places = {tuple(frame.loc[row, others]): row for row in np.flatnonzero(codes == code)}
    found = [
        (row, places[tuple(frame.loc[row, others])])
        for row in range(len(frame))
        if codes[row] != code and tuple(frame.loc[row, others]) in places
    ]
    if not found:
        raise ValueError(f"difference: no two groups differ in {column!r} alone")
    group, base = (np.array(rows, dtype=np.int64) for rows in zip(*found, strict=True))
    named = frame.iloc[group].reset_index(drop=True)
    levels = [str(level) for level in frame[column].tolist()]
    named[column] = [f"{levels[g]} - {levels[r]}" for g, r in found]
    return Pairs(named, group, base)
