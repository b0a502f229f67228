"""The validation that all metrics share: two arrays of distributions checked, aligned and ready for a formula."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from surveysim.distributions import check_distributions, option_mask, renormalize
from surveysim.option_columns import align_tables

__all__ = ["Pairs", "check_pairs", "refuse_debiasing"]


@dataclass(frozen=True)
class Pairs:
    """Truth and prediction of n cells over K options, after all checks.

    Attributes
    ----------
    truth, prediction : float64 arrays of shape (n, K)
        Rows sum to 1; options that a row's question does not have hold 0.
    exists : bool array of shape (n, K)
        True where the row's question has that option.
    weight : float64 array of shape (n,)
        Weight of each row in the average.
    average : bool
        Whether `result` averages.
    respondents : float64 array of shape (n,) or None
        Respondents that each row's truth rests on.
    """

    truth: np.ndarray
    prediction: np.ndarray
    exists: np.ndarray
    weight: np.ndarray
    average: bool
    respondents: np.ndarray | None

    @property
    def counted(self) -> np.ndarray:
        """Boolean array (n,): rows that count, that is all of them unless an average gives them weight 0."""
        return self.weight > 0 if self.average else np.ones(len(self.weight), dtype=bool)

    def mean(self, rows: np.ndarray) -> float:
        """The weighted mean over the rows that count (0 * inf must not make the mean NaN)."""
        counted = self.counted
        return float(np.average(rows[counted], weights=self.weight[counted]))

    def result(self, rows: np.ndarray) -> Any:
        """What a metric returns: the weighted mean, or the values per row."""
        return self.mean(rows) if self.average else rows


def check_pairs(
    Y_true: ArrayLike,
    Y_pred: ArrayLike,
    *,
    sample_weight: ArrayLike | None,
    average: bool,
    truth_respondents: ArrayLike | None = None,
) -> Pairs:
    """Validate what every metric is given; the data contract of `surveysim.distributions`, for both arrays.

    Two DataFrames with the same columns are matched by name; one whose columns have names needs another like it.

    Rows of weight 0 do not count in an average, so they may hold anything there (an empty cell's NaN, for example).
    """
    Y_true, Y_pred = align_tables(Y_true, Y_pred, ("Y_true", "Y_pred"))
    n_rows = _n_rows(Y_true, Y_pred)
    if sample_weight is None:
        weight = np.ones(n_rows)
    else:
        weight = _row_numbers(sample_weight, n_rows, "sample_weight")
        wrong = np.flatnonzero(~(np.isfinite(weight) & (weight >= 0)))
        if len(wrong):
            raise ValueError(f"sample_weight must be finite and not negative, got {weight[wrong[0]]} in row {wrong[0]}")
    counted = weight > 0 if average else np.ones(n_rows, dtype=bool)
    if not counted.any():
        raise ValueError("sample_weight sums to 0: no row counts, so an average is not defined")
    truth = check_distributions(_stand_in(Y_true, counted), name="Y_true")
    prediction = check_distributions(_stand_in(Y_pred, counted), name="Y_pred")
    truth, prediction = _same_options(truth, prediction)
    respondents = None
    if truth_respondents is not None:
        respondents = _check_respondents(truth_respondents, counted)
    return Pairs(
        # The contract lets a row be off by 1e-6; the divergences need the exact sum to be >= 0.
        truth=np.nan_to_num(renormalize(truth)),
        prediction=np.nan_to_num(renormalize(prediction)),
        exists=option_mask(truth),
        weight=weight,
        average=average,
        respondents=respondents,
    )


def refuse_debiasing(metric: str, truth_respondents: ArrayLike | None, reason: str) -> None:
    """Raise where a metric's sampling noise has no sound correction."""
    if truth_respondents is not None:
        raise ValueError(
            f"{metric} cannot be debiased: {reason}. Leave out truth_respondents, or use js_divergence, kl_divergence "
            "or rmse."
        )


def _n_rows(Y_true: ArrayLike, Y_pred: ArrayLike) -> int:
    n_true, n_pred = (np.shape(Y)[0] if np.ndim(Y) else 0 for Y in (Y_true, Y_pred))
    if n_true != n_pred:
        raise ValueError(f"Y_true and Y_pred must have the same rows, got {n_true} and {n_pred}")
    return n_true


def _row_numbers(numbers: ArrayLike, n_rows: int, name: str) -> np.ndarray:
    array = np.asarray(numbers, dtype=np.float64)
    if array.shape != (n_rows,):
        raise ValueError(f"{name} must have one number per row, shape ({n_rows},), got shape {array.shape}")
    return array


def _stand_in(Y: ArrayLike, counted: np.ndarray) -> ArrayLike:
    """Y with rows that do not count replaced by even odds on two options, which pass every check."""
    if counted.all():
        return Y
    try:
        P = np.array(Y, dtype=np.float64)
    except (TypeError, ValueError):
        return Y  # check_distributions says what is wrong
    if P.ndim == 2:
        P[~counted] = np.nan
        P[~counted, :2] = 0.5
    return P


def _check_respondents(truth_respondents: ArrayLike, counted: np.ndarray) -> np.ndarray:
    if np.ndim(truth_respondents) == 0:
        truth_respondents = np.full(len(counted), truth_respondents)
    n = _row_numbers(truth_respondents, len(counted), "truth_respondents")
    wrong = np.flatnonzero(counted & ~(n > 0))
    if len(wrong):
        raise ValueError(
            f"truth_respondents must be positive, got {n[wrong[0]]} in row {wrong[0]}. "
            "A cell without respondents has no truth: leave it out or give it sample_weight 0."
        )
    return np.where(counted, n, np.inf)


def _same_options(truth: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Drop surplus all-NaN columns and make sure that both arrays have the same options in each row."""
    n_options = [option_mask(P).sum(axis=1) for P in (truth, prediction)]
    wrong = np.flatnonzero(n_options[0] != n_options[1])
    if len(wrong):
        row = int(wrong[0])
        raise ValueError(
            f"row {row} has {n_options[0][row]} options in Y_true but {n_options[1][row]} in Y_pred "
            f"({len(wrong)} such rows): both must pad with NaN past the last option of the row's question"
        )
    width = int(n_options[0].max())
    return truth[:, :width], prediction[:, :width]
