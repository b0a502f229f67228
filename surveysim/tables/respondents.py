"""Parameters with one value per respondent, as a column's name or as values in the order of the rows; weights."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

__all__ = ["PerRespondent", "read_weights", "respondent_values", "rows_named"]

PerRespondent: TypeAlias = str | ArrayLike
"""A value for each respondent: the column that holds them, or the values in the order of the rows."""


def respondent_values(data: pd.DataFrame, value: PerRespondent, name: str) -> pd.Series:
    """A parameter with one value per respondent, given as a column's name or as values in the order of the rows.

    Raises
    ------
    ValueError
        If the column does not exist, the length differs, or a Series has another index than the data.
    """
    if isinstance(value, str):
        if value not in data.columns:
            raise ValueError(f"{name}={value!r} is not a column of data; its columns are {list(data.columns)}")
        return data[value]
    if isinstance(value, pd.Series):
        if len(value) == len(data) and not value.index.equals(data.index):
            raise ValueError(
                f"{name} is a Series with a different index from data: pass {name}.to_numpy() if the rows match"
            )
        values = value
    else:
        array = np.asarray(value)
        if array.ndim != 1:
            raise ValueError(f"{name} must be a column's name or one value per respondent, got {value!r}")
        values = pd.Series(array)
    if len(values) != len(data):
        raise ValueError(f"{name} has {len(values):,} values, data has {len(data):,} rows")
    return pd.Series(values.array, index=data.index, name=name)


def read_weights(data: pd.DataFrame, weights: PerRespondent | None) -> np.ndarray:
    """Survey weights as float64 (n_respondents,); ones where there are none.

    Raises
    ------
    ValueError
        If weights are negative, missing or infinite (the message names the rows), or all zero.
    TypeError
        If they are not numbers.
    """
    if weights is None:
        return np.ones(len(data))
    column = respondent_values(data, weights, "weights")
    try:
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise TypeError(f"weights must be numbers, got dtype {column.dtype}: {error}") from None
    for wrong, what in (
        (np.isnan(values), "missing (NaN)"),
        (np.isinf(values), "infinite"),
        (values < 0, "negative"),
    ):
        if wrong.any():
            raise ValueError(
                f"weights are {what} in {rows_named(data, wrong)}: every respondent needs a weight of at least 0; "
                "give 0 to those to be left out"
            )
    if not values.any():
        raise ValueError("all weights are 0: no respondent is left")
    return values


def rows_named(data: pd.DataFrame, rows: np.ndarray, limit: int = 5) -> str:
    """The index labels of some rows, for an error message."""
    positions = np.flatnonzero(rows)
    listed = ", ".join(str(data.index[i]) for i in positions[:limit])
    more = f" and {len(positions) - limit:,} more" if len(positions) > limit else ""
    return f"row{'s' if len(positions) > 1 else ''} {listed}{more}"
