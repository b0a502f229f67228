"""Arrays of answer distributions: rows on the simplex, NaN past the last option of a shorter question."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from surveysim.option_columns import by_position

__all__ = ["check_distributions", "option_mask", "pad_distributions", "renormalize"]

TOLERANCE = 1e-6
"""How far a row's sum may be from 1, and an entry below 0 (the data contract)."""


def check_distributions(
    Y: ArrayLike, n_options: int | Sequence[int] | None = None, name: str = "Y", *, missing_rows: bool = False
) -> np.ndarray:
    """Validate distributions and return them as float64.

    Parameters
    ----------
    Y : array-like of shape (n, K)
        One distribution per row, NaN past the last option of a shorter question. Columns of a DataFrame must be
        numbered.
    n_options : int or sequence of int of length n, optional
        How many options each row's question has; default: what the NaNs say.
    name : str, default="Y"
        What error messages call the array.
    missing_rows : bool, default=False
        Let rows of only NaN pass unchanged: cells without a usable answer.

    Returns
    -------
    float64 array of shape (n, K)
        A copy; entries within the tolerance of 1e-6 below 0 are set to 0, rows are otherwise returned as they came.

    Raises
    ------
    TypeError
        If Y is not numeric.
    ValueError
        If Y is not two-dimensional or empty, a row does not sum to 1, has negative or infinite entries, a NaN among
        its options, or another number of options than its question. The message names the row and the reason.

    Examples
    --------
    >>> check_distributions([[0.25, 0.75], [1.0, 0.0]])
    array([[0.25, 0.75],
           [1.  , 0.  ]])
    >>> check_distributions([[0.25, 0.25]])
    Traceback (most recent call last):
        ...
    ValueError: Y: row 0 sums to 0.5, not to 1. A distribution is expected in each row (shares, not percentages).
    """
    P = _as_float_matrix(Y, name)
    n_rows, n_columns = P.shape
    exists = ~np.isnan(P)
    counted = exists.sum(axis=1)
    gaps = exists != (np.arange(n_columns) < counted[:, None])
    if gaps.any():
        row = int(np.flatnonzero(gaps.any(axis=1))[0])
        raise ValueError(
            f"{name}: row {row} has NaN among its options: {P[row]}. NaN may only pad past the last option of a "
            "shorter question; a cell without an estimate has to be left out."
        )
    told = counted > 0
    if not (missing_rows or told.all()):
        raise ValueError(f"{name}: row {int(np.flatnonzero(~told)[0])} is all NaN; a distribution is expected")
    if n_options is not None:
        expected = np.broadcast_to(np.asarray(n_options, dtype=int), (n_rows,))
        wrong = np.flatnonzero(told & (counted != expected))
        if len(wrong):
            row = int(wrong[0])
            raise ValueError(
                f"{name}: row {row} has {counted[row]} options, but its question has {expected[row]} "
                f"({len(wrong)} such rows). Pad shorter questions with NaN at the end."
            )
    if np.isinf(P).any():
        row = int(np.flatnonzero(np.isinf(P).any(axis=1))[0])
        raise ValueError(f"{name}: row {row} has an infinite entry: {P[row]}")
    sums = np.nansum(P, axis=1)
    off = np.flatnonzero(told & (np.abs(sums - 1.0) > TOLERANCE))
    if len(off):
        raise ValueError(_off_simplex_message(P, sums, off, name))
    negative = np.flatnonzero((P < -TOLERANCE).any(axis=1))
    if len(negative):
        row = int(negative[0])
        raise ValueError(f"{name}: row {row} has a negative entry: {P[row]}")
    if (counted == 1).any():
        row = int(np.flatnonzero(counted == 1)[0])
        raise ValueError(f"{name}: row {row} has a single option; a distribution over at least two is expected")
    P[P < 0] = 0.0
    return P


def option_mask(Y: np.ndarray) -> np.ndarray:
    """Boolean array shaped like `Y`, True where the row's question has that option."""
    return ~np.isnan(Y)


def pad_distributions(rows: Sequence[ArrayLike], n_options: int | None = None) -> np.ndarray:
    """Stack one-dimensional distributions of different lengths, NaN past each one's last option.

    Parameters
    ----------
    rows : sequence of 1-D array-like
        The distributions.
    n_options : int, optional
        Number of columns; default: the longest row's.

    Returns
    -------
    float64 array of shape (len(rows), n_options)

    Examples
    --------
    >>> pad_distributions([[0.5, 0.5], [0.2, 0.3, 0.5]])
    array([[0.5, 0.5, nan],
           [0.2, 0.3, 0.5]])
    """
    arrays = [np.asarray(row, dtype=np.float64) for row in rows]
    width = max(len(row) for row in arrays) if n_options is None else n_options
    padded = np.full((len(arrays), width), np.nan)
    for i, row in enumerate(arrays):
        padded[i, : len(row)] = row
    return padded


def renormalize(P: np.ndarray) -> np.ndarray:
    """Divide each row by its sum over the options that exist; NaN padding stays.

    Raises
    ------
    ValueError
        If a row sums to zero.
    """
    P = np.asarray(P, dtype=np.float64)
    sums = np.nansum(P, axis=-1, keepdims=True)
    if (sums <= 0).any():
        raise ValueError(
            f"row {int(np.flatnonzero((sums <= 0).reshape(-1))[0])} sums to zero, so it is not a distribution"
        )
    return P / sums


def _as_float_matrix(Y: ArrayLike, name: str) -> np.ndarray:
    P = np.asarray(by_position(Y, name))
    if P.dtype == object or not np.issubdtype(P.dtype, np.number):
        try:
            P = P.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise TypeError(f"{name} must hold numbers, got dtype {P.dtype}: {error}") from None
    if np.iscomplexobj(P):
        raise ValueError(f"Complex data not supported: {name} must hold real numbers")
    if P.ndim != 2:
        raise ValueError(
            f"{name} must be two-dimensional, one distribution over the options a row; got shape {P.shape}. "
            "From one answer per respondent, surveysim.tabulate makes such distributions. What fits one column of Y "
            "at a time, such as MultiOutputRegressor and RegressorChain, cannot: the columns are one distribution."
        )
    if P.shape[0] == 0 or P.shape[1] < 2:
        raise ValueError(f"{name} must have at least one row and two columns (options), got shape {P.shape}")
    return np.array(P, dtype=np.float64)


def _off_simplex_message(P: np.ndarray, sums: np.ndarray, off: np.ndarray, name: str) -> str:
    row = int(off[0])
    message = f"{name}: row {row} sums to {sums[row]:.6g}, not to 1"
    if len(off) > 1:
        message += f" ({len(off)} such rows)"
    finite = P[~np.isnan(P)]
    if (finite >= 0).all() and (finite == np.round(finite)).all():
        return message + (
            ". All entries are whole numbers. If they are counts of respondents, let surveysim.tabulate make "
            "distributions, or divide each row by its sum and pass the sums as sample_weight. If this comes from "
            'cross_val_predict(method="predict_proba"): scikit-learn label-encodes a two-column y there; leave out '
            "`method`, since predict returns the same distributions."
        )
    told = ~np.isnan(P).all(axis=1)
    if len(off) == told.sum() and np.allclose(sums[told], 100, atol=1.5):
        return message + ". These look like percentages: divide by 100 (and renormalise rounding errors)."
    return message + ". A distribution is expected in each row (shares, not percentages)."
