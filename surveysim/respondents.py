"""How many people stand behind each cell: checks of `sample_weight` and of respondent-disjoint folds."""

from __future__ import annotations

import numbers

import numpy as np
from numpy.typing import ArrayLike

from surveysim.cells import FitCells
from surveysim.errors import warn

__all__ = ["check_folds", "check_respondents", "unmasked"]

MOST_RESPONDENTS = 1e12
"""In one cell; some ten times as many as people have ever lived."""

FEWEST_RESPONDENTS = 1e-6
"""In all cells together."""


def check_respondents(sample_weight: ArrayLike | None, n_rows: int) -> np.ndarray:
    """sample_weight as respondents per row; None is one respondent each.

    Raises
    ------
    TypeError
        If it is not numeric.
    ValueError
        If it is not one number per row, or one is NaN, infinite or negative (named), or all are 0.

    Warns
    -----
    UserWarning
        If the weights look normalised: they average below 1.5 and are not whole numbers.
    """
    if sample_weight is None:
        return np.ones(n_rows)
    if isinstance(sample_weight, numbers.Real):
        n = np.full(n_rows, float(sample_weight))
    else:
        try:
            n = np.array(unmasked(sample_weight), dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise TypeError(f"sample_weight must hold numbers (respondents per row): {error}") from None
    if n.ndim != 1:
        raise ValueError(f"Sample weights must be 1D array or scalar: sample_weight has shape {n.shape}")
    if len(n) != n_rows:
        raise ValueError(f"sample_weight.shape == {n.shape}, but X has {n_rows} rows: one entry per row is expected")
    for bad, what in ((np.isnan(n), "NaN"), (np.isinf(n), "infinite"), (n < 0, "negative")):
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise ValueError(
                f"sample_weight: row {row} is {what} ({n[row]}, {bad.sum()} such rows). Respondents per cell must be "
                "finite and not negative; 0 drops a row."
            )
    if not (n > 0).any():
        raise ValueError("sample_weight is zero in every row: no respondents to learn from")
    _refuse_impossible_weights(n)
    positive = n[n > 0]
    if positive.mean() < 1.5 and (positive != np.round(positive)).any():
        warn(
            f"sample_weight looks normalised (mean {positive.mean():.3g}, not whole numbers). It means respondents per "
            "cell, which decides how much a cell is trusted: pass cells.n of surveysim.tabulate, not weights that were "
            "scaled to average 1."
        )
    return n


def _refuse_impossible_weights(n: np.ndarray) -> None:
    """Refuse more respondents than there are people, or a vanishing number: their sums would no longer be numbers."""
    if n.max() > MOST_RESPONDENTS:
        row = int(n.argmax())
        raise ValueError(
            f"sample_weight: row {row} has {n[row]:.6g} respondents, more than {MOST_RESPONDENTS:.0e}: it is the "
            "number of people behind a cell's distribution, not a population or a scaled weight"
        )
    if n.sum() < FEWEST_RESPONDENTS:
        raise ValueError(
            f"sample_weight adds up to {n.sum():.3g} respondents: pass the number of people behind each cell's "
            "distribution, as cells.n of surveysim.tabulate has it"
        )


def check_folds(folds: ArrayLike | None, cells: FitCells, n_rows: int) -> np.ndarray | None:
    """Respondent-disjoint counts of the rows that have respondents.

    Parameters
    ----------
    folds : array of shape (n_rows, n_folds, K) or None
        As `Cells.folds`: counts of each fold's respondents per option; NaN or 0 past the last option.
    cells : FitCells
        The validated training cells.
    n_rows : int
        Rows of the X that was passed.

    Returns
    -------
    float64 array of shape (n, n_folds, K) or None

    Raises
    ------
    ValueError
        If the shape does not fit, a count is negative, there are fewer than two folds, or the folds of a row do not
        add up to its respondents (named).
    """
    if folds is None:
        return None
    array = np.nan_to_num(np.asarray(folds, dtype=np.float64))
    if array.ndim != 3 or len(array) != n_rows or array.shape[2] != cells.Y.shape[1] or array.shape[1] < 2:
        raise ValueError(
            f"folds must have shape ({n_rows}, n_folds >= 2, {cells.Y.shape[1]}), as tabulate(..., folds=5).folds has; "
            f"got {array.shape}"
        )
    array = array[cells.rows]
    if (array < 0).any():
        row = int(cells.rows[np.flatnonzero((array < 0).any(axis=(1, 2)))[0]])
        raise ValueError(f"folds: row {row} has a negative count; counts of respondents are expected")
    off = np.flatnonzero(np.abs(array.sum(axis=(1, 2)) - cells.n) > 1e-3 * cells.n + 1e-6)
    if len(off):
        row = int(off[0])
        raise ValueError(
            f"folds: row {cells.rows[row]} adds up to {array[row].sum():.6g} respondents, but sample_weight says "
            f"{cells.n[row]:.6g} ({len(off)} such rows). Pass folds and n of the same tabulate call."
        )
    return array


def unmasked(values: ArrayLike) -> ArrayLike:
    """A masked array with its masked entries missing (NaN, or None among texts); anything else unchanged."""
    if not isinstance(values, np.ma.MaskedArray):
        return values
    if not np.ma.getmaskarray(values).any():
        return values.data
    kind = np.float64 if values.dtype.kind in "biuf" else object
    return np.ma.filled(values.astype(kind), np.nan if kind is np.float64 else None)
