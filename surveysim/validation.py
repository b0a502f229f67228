"""Validation of input: what X, Y and sample_weight may hold."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_array

from surveysim.distributions import check_distributions
from surveysim.errors import warn
from surveysim.interfaces import Table
from surveysim.option_columns import match_options
from surveysim.questions import Question
from surveysim.respondents import unmasked

__all__ = [
    "arrange_options",
    "as_matrix",
    "check_backgrounds",
    "check_targets",
    "pair_questions",
]

PERCENT_TOLERANCE = 1.5
"""How far percentages that are rounded may be from 100 in all: half a point for each of three options."""

MAX_LISTED = 20
"""How many names an error message lists before it stops."""


def check_backgrounds(X: Table) -> pd.DataFrame:
    """X as a DataFrame of values that can stand in a prompt or a design matrix, index 0..n-1.

    Parameters
    ----------
    X : DataFrame or array-like of shape (n, n_columns)
        Strings, categoricals, numbers, booleans; missing values are allowed. An array gets the columns x0, x1 ...

    Returns
    -------
    DataFrame
        A shallow copy with string column names; intervals (as `pandas.cut` makes them) become their text.

    Raises
    ------
    TypeError
        If a column holds anything else (dates, lists ...), or X is sparse.
    ValueError
        If X is empty or not two-dimensional, columns repeat, or a number is infinite. The message names the column
        and the row.
    """
    if not isinstance(X, pd.DataFrame) and hasattr(X, "to_pandas"):
        X = X.to_pandas()  # type: ignore[operator]
    if isinstance(X, pd.DataFrame):
        for size, what in ((X.shape[0], "sample"), (X.shape[1], "feature")):
            if size == 0:
                raise ValueError(f"Found array with 0 {what}(s) (shape={X.shape}) while a minimum of 1 is required.")
        frame = X.reset_index(drop=True)
        frame.columns = pd.Index([str(column) for column in X.columns], dtype=object)
    else:
        X = unmasked(X)
        array = check_array(X, dtype=None, ensure_all_finite=False, input_name="X")
        frame = pd.DataFrame(array, columns=[f"x{j}" for j in range(array.shape[1])])
        if array.dtype == object:
            frame = frame.infer_objects()
    repeated = frame.columns[frame.columns.duplicated()]
    if len(repeated):
        raise ValueError(f"X has more than one column named {repeated[0]!r}; column names must be different")
    for column in frame.columns:
        frame[column] = _check_column(frame[column])
    return frame


def _check_column(column: pd.Series) -> pd.Series:
    name, dtype = column.name, column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        categories = dtype.categories
        if isinstance(categories, pd.IntervalIndex):
            return column.cat.rename_categories([str(interval) for interval in categories])
        _refuse_foreign_values(pd.Series(categories, name=name, dtype=object), f"X: column {name!r}: category")
        return column
    if pd.api.types.is_bool_dtype(dtype):
        return column
    if pd.api.types.is_complex_dtype(dtype):
        raise ValueError(f"Complex data not supported: X: column {name!r}")
    if pd.api.types.is_numeric_dtype(dtype):
        infinite = np.flatnonzero(np.isinf(column.to_numpy(dtype=np.float64, na_value=np.nan)))
        if len(infinite):
            raise ValueError(
                f"X: column {name!r} has an infinite value (inf) in row {infinite[0]}. Numbers must be finite; write a "
                "missing value as NaN or None."
            )
        return column
    if isinstance(dtype, pd.IntervalDtype):
        return column.map(str, na_action="ignore").astype(object)
    if not (pd.api.types.is_object_dtype(dtype) or pd.api.types.is_string_dtype(dtype)):
        raise TypeError(
            f"X: column {name!r} has dtype {dtype}; backgrounds are strings, categoricals, numbers or booleans. "
            "Convert it first, for example to the text a prompt should show."
        )
    if pd.api.types.is_object_dtype(dtype):
        _refuse_foreign_values(column, f"X: column {name!r}: row")
    return column


def _refuse_foreign_values(values: pd.Series, where: str) -> None:
    """Check the values of an object column: text, numbers, booleans and missing values, nothing else."""
    for position, value in enumerate(values):
        if isinstance(value, str | bool | np.bool_):
            continue
        if isinstance(value, numbers.Real):
            if np.isinf(float(value)):
                raise ValueError(f"{where} {position} holds an infinite value (inf); numbers must be finite")
            continue
        if value is None or value is pd.NA or value is pd.NaT:
            continue
        if isinstance(value, numbers.Complex):
            raise ValueError(f"Complex data not supported: {where} {position} holds {value!r}")
        raise TypeError(
            f"{where} {position} holds {value!r} of type {type(value).__name__}; "
            "argument must be a string or a number (or a boolean, or missing)"
        )


def pair_questions(
    frame: pd.DataFrame,
    questions: Mapping[str, Question],
    question_column: str,
    *,
    named: bool,
    from_array: bool = False,
) -> np.ndarray:
    """Find each row's question.

    Parameters
    ----------
    frame : DataFrame of n rows
        As returned by `check_backgrounds`.
    questions : mapping of str to Question
        What the rows may be about.
    question_column : str
        The column that names each row's question.
    named : bool
        Whether the user passed a mapping, so that the column is looked for. With a single question the column's
        presence is an error: it would silently become something else than the user thinks.
    from_array : bool, default=False
        Whether X came without column names (for the message).

    Returns
    -------
    int array of shape (n,)
        Positions in `questions`.

    Raises
    ------
    ValueError
        If the column is missing though needed, present though there is one question, or names an unknown question.
    """
    present = question_column in frame.columns
    if not named:
        if present:
            raise ValueError(
                f"X has a column {question_column!r}, but question= is not a mapping. With several questions pass "
                f"question={{name: Question(...)}}; with one, drop the column, or set question_column= to another name "
                f"if {question_column!r} is a background."
            )
        return np.zeros(len(frame), dtype=int)
    if not present:
        if len(questions) == 1:
            return np.zeros(len(frame), dtype=int)
        hint = (
            " X came as an array without column names; pass a DataFrame (BaggingRegressor and some other "
            "meta-estimators hand on arrays: they are not supported with several questions)."
            if from_array
            else ""
        )
        raise ValueError(
            f"X has no column {question_column!r} to name each row's question, and question= holds {len(questions)} "
            f"questions. Columns of X: {_listed(frame.columns)}.{hint}"
        )
    column = frame[question_column]
    absent = np.flatnonzero(column.isna().to_numpy())
    if len(absent):
        raise ValueError(
            f"X: column {question_column!r} is missing in row {absent[0]}; each row must name its question"
        )
    position = {name: index for index, name in enumerate(questions)}
    index = np.array([position.get(name, -1) for name in column.astype(object)], dtype=int)
    unknown = np.flatnonzero(index < 0)
    if len(unknown):
        strange = list(dict.fromkeys(column.astype(object).iloc[unknown]))
        raise ValueError(
            f"X: column {question_column!r} names unknown question {strange[0]!r} in row {unknown[0]}"
            f"{f' ({len(strange)} unknown names in all)' if len(strange) > 1 else ''}. "
            f"Known questions: {_listed(questions)}."
        )
    return index


def arrange_options(
    Y: ArrayLike, questions: Mapping[str, Question], question_index: np.ndarray, name: str = "Y"
) -> ArrayLike:
    """Y with its columns in the order of each row's options, if they have names; else Y as passed.

    Parameters
    ----------
    Y : DataFrame or array-like of n rows
        Columns of a DataFrame are found by the options' texts, their codes, or numbers 1..K or 0..K-1.
    questions : mapping of str to Question
        All questions there are.
    question_index : int array of shape (n,)
        Each row's question, as a position in `questions`.
    name : str, default="Y"
        What error messages call it.

    Raises
    ------
    ValueError
        If columns are called otherwise; see `surveysim.option_columns.match_options`.
    """
    options = {key: question.options for key, question in questions.items()}
    codes = {key: question.codes for key, question in questions.items()}
    return match_options(Y, options, codes, question_index, name)


def as_matrix(Y: ArrayLike) -> np.ndarray:
    """Y as an array, whatever was passed; masked entries are NaN.

    Raises
    ------
    TypeError
        If it is sparse.
    ValueError
        If its rows differ in length.
    """
    if hasattr(Y, "toarray") and hasattr(Y, "nnz"):
        raise TypeError("Y is sparse, but distributions are dense: pass Y.toarray()")
    try:
        return np.asarray(unmasked(Y))
    except ValueError as error:
        raise ValueError(f"Y: rows differ in length; pad shorter questions with NaN at the end ({error})") from None


def check_targets(Y: np.ndarray, n_options: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Y of the rows that have respondents, as float64.

    Rows without respondents may hold anything: they are not looked at. `n_options` and `kept` (bool) have one entry
    per row of X; messages name rows of X.

    Raises
    ------
    TypeError, ValueError
        As `surveysim.distributions.check_distributions`; and if rows differ in number from X, or columns from the
        longest question.

    Warns
    -----
    SurveysimWarning
        If all rows sum to about 100: they are taken as percentages.
    """
    if Y.ndim and len(Y) != len(kept):
        raise ValueError(f"X has {len(kept)} rows, but Y has {len(Y)}: inconsistent numbers of samples")
    if Y.ndim == 2 and not kept.all():
        # certainty of the first option: valid for every question, whole numbers in whatever dtype Y has
        option = np.arange(Y.shape[1])
        certain = np.where(option < n_options[:, None], (option == 0) * 1.0, np.nan)
        Y = np.where(kept[:, None], Y, certain)
    return check_distributions(_scale_percentages(Y, kept), n_options=n_options.tolist(), name="Y")[kept]


def _scale_percentages(Y: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Percentages, which rounding may make sum to 99 or 101, as shares; anything else unchanged."""
    if Y.ndim != 2 or not pd.api.types.is_numeric_dtype(Y.dtype) or not kept.any():
        return Y
    shares = np.array(Y, dtype=np.float64)
    sums = np.nansum(shares[kept], axis=1)
    if (np.abs(sums - 100.0) > PERCENT_TOLERANCE).any() or (shares[kept] < 0).any():
        return Y
    warn(
        f"Y: all rows sum to about 100 ({sums.min():.4g} to {sums.max():.4g}): taken as percentages, and scaled to sum "
        "to 1. If they are counts of respondents, pass shares as Y and the counts' sums as sample_weight."
    )
    shares[kept] /= sums[:, None]
    return shares


def _listed(names: Iterable[object]) -> str:
    names = list(names)
    shown = ", ".join(repr(name) for name in names[:MAX_LISTED])
    return shown if len(names) <= MAX_LISTED else f"{shown} ... ({len(names)} in all)"
