"""Values of a background column as integer codes, learned on training cells and applied to new ones."""

from __future__ import annotations

import difflib
import re
from typing import Any

import numpy as np
import pandas as pd

from surveysim.errors import warn

__all__ = [
    "MANY",
    "MISSING",
    "MOST_COEFFICIENTS",
    "UNSEEN",
    "LevelIndex",
    "as_numbers",
    "check_level_counts",
    "is_number_column",
]

UNSEEN = -1
"""Code of a value that training did not show."""

MISSING = "<missing>"
"""Name of the level that all missing values of a column share."""


MANY = 1000
"""A column of more values than that is looked at twice: it may be an identifier, or a number that wants to be cut."""


MOST_COEFFICIENTS = 1000
"""Values of all columns together of which each has coefficients: time grows with the third power of their number (500
of them, a question with 4 options: 7 seconds of one processor core)."""


def check_level_counts(backgrounds: pd.DataFrame, most: int | None) -> None:
    """Warn where a column has thousands of values; refuse more than an estimator can handle.

    Parameters
    ----------
    backgrounds : DataFrame
    most : int or None
        So many values all columns may have together; numbers are not counted. None: any number.

    Raises
    ------
    ValueError
        If there are more than `most`.

    Warns
    -----
    SurveysimWarning
        If a column has more than 1,000.
    """
    counts = {str(name): int(backgrounds[name].nunique(dropna=False)) for name in backgrounds.columns}
    cure = "Drop it if it identifies respondents; put rare values together, or cut numbers into groups (pandas.cut)"
    coefficients = {name: n for name, n in counts.items() if not is_number_column(backgrounds[name])}
    if most is not None and sum(coefficients.values()) > most:
        name = max(coefficients, key=coefficients.__getitem__)
        raise ValueError(
            f"X: column {name!r} has {counts[name]:,} different values in {len(backgrounds):,} rows; with a "
            f"coefficient for each value of all columns, no more than {most:,} can be estimated in sensible time. "
            f"{cure}."
        )
    for name, n in counts.items():
        if n > MANY:
            warn(f"X: column {name!r} has {n:,} different values in {len(backgrounds):,} rows. {cure}.")


class LevelIndex:
    """Codes for the values of one column; missing values are a level of their own.

    Values match as Python compares them (1 equals 1.0, not "1"), so a column may change between categorical, object
    and number types from fit to predict.
    """

    def __init__(self, column: pd.Series) -> None:
        present = column.dropna()
        if isinstance(column.dtype, pd.CategoricalDtype):
            seen = set(present.astype(object))
            values: list[Any] = [value for value in column.dtype.categories if value in seen]
        else:
            values = list(dict.fromkeys(present.astype(object)))
            try:
                values.sort()
            except TypeError:  # texts and numbers in one column
                values.sort(key=lambda value: (type(value).__name__, str(value)))
        self.values = values
        self.has_missing = len(present) < len(column)
        self._code = {value: code for code, value in enumerate(values)}

    def __len__(self) -> int:
        return len(self.values) + self.has_missing

    @property
    def names(self) -> list[str]:
        """One name per code."""
        return [str(value) for value in self.values] + [MISSING] * self.has_missing

    def codes(self, column: pd.Series) -> np.ndarray:
        """Int array: each value's code, `UNSEEN` for values that training did not show."""
        missing = column.isna().to_numpy()
        places, values = pd.factorize(column.astype(object))  # each value is looked up once, however many rows it has
        codes = np.array([*(self._code.get(value, UNSEEN) for value in values), UNSEEN], dtype=int)[places]
        codes[missing] = len(self.values) if self.has_missing else UNSEEN
        return codes

    def warn_of_misspelt(self, name: str, column: pd.Series, codes: np.ndarray) -> None:
        """Warn about levels that training did not have and that are spelled almost like one that it had.

        Parameters
        ----------
        name : str
            The background.
        column : Series
            The values to predict for.
        codes : int array
            Their codes, as `codes` gives them.

        Warns
        -----
        SurveysimWarning
            Once a background, with the nearest level of training. Levels unlike all of them are left to the model.
        """
        strange = column[(codes == UNSEEN) & column.notna().to_numpy()].astype(object).value_counts()
        texts = {value.casefold(): value for value in self.values if isinstance(value, str)}
        found = []
        for value, n in strange.items():
            if isinstance(value, str):
                near = difflib.get_close_matches(value.casefold().strip(), list(texts), n=1, cutoff=0.8)
                if near and not _differ_in_digits(value, near[0]):
                    found.append(f"{value!r} ({n:,} rows; {texts[near[0]]!r}?)")
        if found:
            listed = ", ".join(found[:5])
            warn(f"X: column {name!r} has levels that training did not have: {listed}. They count as unknown.")


def _differ_in_digits(first: str, second: str) -> bool:
    """ "18-29" and "19-29" are two levels, not a misspelling."""
    return re.findall(r"\d+", first) != re.findall(r"\d+", second)


def is_number_column(column: pd.Series) -> bool:
    """Whether all values are numbers; booleans and categoricals are not."""
    if isinstance(column.dtype, pd.CategoricalDtype) or pd.api.types.is_bool_dtype(column.dtype):
        return False
    if pd.api.types.is_numeric_dtype(column.dtype):
        return True
    kind = pd.api.types.infer_dtype(column, skipna=True)
    return kind in ("integer", "floating", "mixed-integer-float", "decimal")


def as_numbers(column: pd.Series) -> np.ndarray:
    """Float64 array of a column's numbers; NaN for what is missing or not a number."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object)
    return pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
