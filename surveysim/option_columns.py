"""Tables of distributions whose columns have names: matched to options by name, never by their order alone."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from surveysim.interfaces import NamedTable

if TYPE_CHECKING:
    from typing_extensions import TypeIs

__all__ = ["align_tables", "by_position", "is_table", "match_options", "option_names", "unnamed"]

MAX_LISTED = 12
"""How many columns an error message lists."""


def is_table(Y: object) -> TypeIs[NamedTable]:
    """Whether Y is a table with named columns: from pandas, polars, or anything with ``columns`` and ``to_numpy``."""
    return hasattr(Y, "columns") and callable(getattr(Y, "to_numpy", None))


def match_options(
    Y: ArrayLike,
    options: Mapping[str, Sequence[str]],
    codes: Mapping[str, Sequence[Hashable] | None],
    index: np.ndarray,
    name: str = "Y",
) -> ArrayLike:
    """The distributions of a table, in the order of each row's own options; arrays without names come back unchanged.

    Columns are found by the options' texts, by the codes that the data file has for them, or by numbers 1..K or
    0..K-1, in any order. Texts and codes are those of all questions together: in a row the columns of options that its
    question does not have hold NaN or 0.

    Parameters
    ----------
    Y : table or array-like of n rows
        Anything without column names comes back as it is.
    options : mapping of str to sequence of str
        Each question's options by the question's name.
    codes : mapping of str to sequence or None
        Their codes.
    index : int array of shape (n,)
        Each row's question, as a position in `options`.
    name : str, default="Y"
        What error messages call the table.

    Returns
    -------
    float64 array of shape (n, K), or Y
        NaN past the last option of a shorter question.

    Raises
    ------
    ValueError
        If columns repeat, match no reading, or two readings that differ; if a row has a share of an option that its
        question does not have.
    """
    if not is_table(Y):
        return Y
    columns = _distinct_columns(Y, name)
    array = _values(Y)
    order = _numbered(columns)
    if len(array) != len(index) or array.dtype != np.float64 or _is_unnamed(Y):
        # what is wrong with it, if anything, is said by the checks of an array
        return array if order is None else array[:, order]
    asked = np.unique(index)
    exact = _places({c.strip(): j for j, c in enumerate(columns) if isinstance(c, str)}, options, columns, asked)
    if exact is not None:
        return _arranged(array, columns, options, exact, index, name)
    texts = _places({str(c).strip(): j for j, c in enumerate(columns)}, options, columns, asked)
    known = {question: own for question, own in codes.items() if own is not None}
    by_code = _places(dict(zip(columns, range(len(columns)), strict=True)), known, columns, asked, len(options))
    readings = [places for places in (texts, by_code) if places is not None]
    found = [_arranged(array, columns, options, places, index, name) for places in readings]
    if order is not None:
        found.append(array[:, order])
    if not found:
        raise ValueError(_unknown_columns(columns, options, name))
    if any(not _same(found[0], other) for other in found[1:]):
        raise ValueError(
            f"{name}: columns {_listed(columns)} can be read as numbers of the options and as their codes or texts, "
            f"which say different things. Name the columns as the options: {_listed(_union(options))}."
        )
    return found[0]


def by_position(Y: ArrayLike, name: str = "Y") -> ArrayLike:
    """The values of a table whose columns are numbered 1..K or 0..K-1; arrays without names are returned as they are.

    Raises
    ------
    ValueError
        If columns have other names: where no question is known they cannot be matched.
    """
    if not is_table(Y):
        return Y
    columns = _distinct_columns(Y, name)
    order = _numbered(columns)
    if order is None:
        raise ValueError(
            f"{name} has columns {_listed(columns)}, and there is no question here to match them with. Pass "
            f"{name}.to_numpy() with the columns in the order of the options, or number the columns 1..K."
        )
    return _values(Y)[:, order]


def align_tables(first: ArrayLike, second: ArrayLike, names: tuple[str, str]) -> tuple[ArrayLike, ArrayLike]:
    """Two tables with the same columns, by name, as arrays in the order of the first; arrays stay as they are.

    Parameters
    ----------
    first, second : table or array-like
    names : pair of str
        What error messages call them.

    Raises
    ------
    ValueError
        If the tables have other columns, or one has names (not only numbers) and the other has none.
    """
    if is_table(first) and is_table(second):
        columns, others = (_distinct_columns(Y, name) for Y, name in zip((first, second), names, strict=True))
        if set(columns) == set(others):
            place = {column: j for j, column in enumerate(others)}
            return _values(first), _values(second)[:, [place[column] for column in columns]]
        if _numbered(columns) is None or _numbered(others) is None:
            raise ValueError(
                f"{names[0]} has columns {_listed(columns)}, but {names[1]} {_listed(others)}: distributions are "
                "compared option by option, so both need the same columns"
            )
    for table, name, other in ((first, names[0], names[1]), (second, names[1], names[0])):
        if is_table(table) and _numbered(_distinct_columns(table, name)) is None:
            raise ValueError(
                f"{name} has columns {_listed(list(table.columns))}, but {other} has no such names to match them with. "
                f"Pass {name}.to_numpy() with the columns in the order of the options, or name those of {other} alike."
            )
    return by_position(first, names[0]), by_position(second, names[1])


def option_names(Y: object) -> list[Hashable] | None:
    """The names of a table's columns; None if it has none, or only numbers."""
    if not is_table(Y) or _numbered(list(Y.columns)) is not None:
        return None
    return list(Y.columns)


def unnamed(Y: ArrayLike, names: list[Hashable] | None, name: str) -> ArrayLike:
    """The values of one table by itself, whose order of columns is that of its options.

    Raises
    ------
    ValueError
        If it has the columns `names` of an earlier one in another order.
    """
    own = option_names(Y)
    if own is None or not is_table(Y):
        return by_position(Y, name)
    if names is not None and own != names and set(own) == set(names):
        raise ValueError(
            f"{name} has columns {_listed(own)} in a different order than at fit: {_listed(names)}. Select them in "
            f"that order: {name}[[...]]."
        )
    _distinct_columns(Y, name)
    return _values(Y)


def _distinct_columns(Y: NamedTable, name: str) -> list[Hashable]:
    columns = list(Y.columns)
    repeated = [column for j, column in enumerate(columns) if column in columns[:j]]
    if repeated:
        raise ValueError(f"{name} has more than one column {repeated[0]!r}: each option has one column")
    return columns


def _values(Y: NamedTable) -> np.ndarray:
    """The table's numbers as float64, if they are numbers; missing ones are NaN."""
    array = Y.to_numpy()
    if np.iscomplexobj(array):
        return np.asarray(array)
    try:
        if isinstance(Y, pd.DataFrame):
            return np.asarray(Y.to_numpy(dtype=np.float64, na_value=np.nan))
        return np.asarray(array, dtype=np.float64)
    except (TypeError, ValueError):
        return np.asarray(array)


def _is_unnamed(Y: object) -> bool:
    """Whether pandas numbered the columns by itself, so that they say nothing but their order."""
    return (
        isinstance(Y, pd.DataFrame)
        and isinstance(Y.columns, pd.RangeIndex)
        and Y.columns.equals(pd.RangeIndex(Y.shape[1]))
    )


def _numbered(columns: Sequence[Hashable]) -> list[int] | None:
    """The order of columns that are numbers 0..K-1 or 1..K, as numbers or as text; None if they are not."""
    try:
        numbers = [float(column) for column in columns]  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    order = sorted(range(len(numbers)), key=numbers.__getitem__)
    ranked = [numbers[j] for j in order]
    counted = [list(map(float, range(start, start + len(ranked)))) for start in (0, 1)]
    return order if ranked in counted else None


def _places(
    lookup: Mapping[Hashable, int],
    wanted: Mapping[str, Sequence[Hashable]],
    columns: Sequence[Hashable],
    asked: np.ndarray,
    n_questions: int | None = None,
) -> list[list[int]] | None:
    """Each question's columns, in the order of its options; None unless all asked options and all columns are found."""
    if len(lookup) != len(columns) or (n_questions is not None and len(wanted) != n_questions):
        return None
    places, used = [], set()
    for number, own in enumerate(wanted.values()):
        found = [lookup.get(key, -1) for key in own]
        if number in asked and -1 in found:
            return None
        used.update(found)
        places.append(found)
    return places if used - {-1} == set(range(len(columns))) else None


def _arranged(
    array: np.ndarray,
    columns: Sequence[Hashable],
    options: Mapping[str, Sequence[str]],
    places: Sequence[Sequence[int]],
    index: np.ndarray,
    name: str,
) -> np.ndarray:
    width = max(map(len, options.values()))
    result = np.full((len(array), width), np.nan)
    for number, (question, own) in enumerate(zip(options, places, strict=True)):
        rows = np.flatnonzero(index == number)
        if not len(rows):
            continue
        result[rows[:, None], np.arange(len(own))] = array[rows][:, list(own)]
        foreign = [j for j in range(len(columns)) if j not in own]
        stray = np.argwhere(np.nan_to_num(array[rows][:, foreign]) != 0)
        if len(stray):
            row, place = stray[0]
            raise ValueError(
                f"{name}: row {rows[row]} has {array[rows[row], foreign[place]]:.6g} in column "
                f"{columns[foreign[place]]!r}, which is not an option of its question {question!r}: expected NaN"
            )
    return result


def _same(first: np.ndarray, second: np.ndarray) -> bool:
    width = min(first.shape[1], second.shape[1])
    surplus = [P[:, width:] for P in (first, second)]
    return np.array_equal(first[:, :width], second[:, :width], equal_nan=True) and all(
        bool(np.isnan(P).all()) for P in surplus
    )


def _unknown_columns(columns: Sequence[Hashable], options: Mapping[str, Sequence[str]], name: str) -> str:
    expected = _union(options)
    numbers = max(map(len, options.values()))
    whose = "the question's options" if len(options) == 1 else "the options of the questions together"
    message = f"{name}: columns {_listed(columns)} are neither {whose} {_listed(expected)} nor numbers 1..{numbers}"
    missing = [option for option in expected if option not in map(str, columns)]
    strange = [column for column in columns if str(column).strip() not in expected]
    if strange and missing and len(missing) < len(expected):
        message += f"; no option is {_listed(strange)}, and {_listed(missing)} is missing"
    if list(options) == [""] and expected == [str(k + 1) for k in range(len(expected))]:
        message += '. With question=None options are called "1".."K": pass question=Question(text, options)'
    return message + (
        f". Columns are matched by name; if they stand in the order of the options, pass {name}.to_numpy()."
    )


def _union(options: Mapping[str, Sequence[str]]) -> list[str]:
    return list(dict.fromkeys(option for own in options.values() for option in own))


def _listed(names: Sequence[object]) -> str:
    shown = ", ".join(repr(name) for name in names[:MAX_LISTED])
    return f"[{shown}{f', ... ({len(names)} in all)' if len(names) > MAX_LISTED else ''}]"
