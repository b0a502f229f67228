"""Replicate weights: how a survey's producer lets others estimate variances without telling the design."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from surveysim.tables.share_variance import DomainAnswers

__all__ = ["ReplicateMethod", "ReplicateWeights", "Replicates", "read_replicates"]

ReplicateMethod = Literal["JK1", "JK2", "JKn", "BRR", "Fay", "bootstrap", "SDR"]
"""How the replicates were made; the codebook says."""


@dataclass(frozen=True, eq=False)
class ReplicateWeights:
    """A survey's replicate weights and how they were made.

    The variance of an estimate t is ``scale * sum_r rscales[r] * (t_r - t)^2`` over the R replicates, t_r being the
    estimate with the r-th set of weights.

    Parameters
    ----------
    columns : str, list of str, or array of shape (n_respondents, R)
        The replicate weights: names of columns, a pattern (``"pwgtp[0-9]*"``, which is expanded in the order of
        the file), or the numbers.
    method : {"JK1", "JK2", "JKn", "BRR", "Fay", "bootstrap", "SDR"}
        Decides the default of `scale`: delete-one jackknife (R - 1) / R; paired jackknife 1; stratified jackknife 1,
        with `rscales` to be given; balanced repeated replication 1 / R; Fay's variant 1 / (R (1 - rho)^2); bootstrap
        1 / R; successive differences 4 / R.
    fay_rho : float, optional
        How far Fay's method perturbs the weights, 0 <= rho < 1: required with ``method="Fay"``.
    scale : float, optional
        In place of the method's.
    rscales : array of shape (R,), optional
        One factor per replicate; for ``"JKn"`` (n_h - 1) / n_h of the stratum from which the replicate leaves one out.
    combined : bool, default=True
        Whether they are weights. False: factors by which the survey weight is multiplied.

    References
    ----------
    K. M. Wolter (2007), Introduction to Variance Estimation, chapters 3 to 5; D. R. Judkins (1990), Fay's method for
    variance estimation, Journal of Official Statistics 6, 223-239.

    Examples
    --------
    >>> from surveysim.tables import ReplicateWeights
    >>> ReplicateWeights("repwt*", "Fay", fay_rho=0.5).factor(80)
    0.05
    """

    columns: str | Sequence[str] | ArrayLike
    method: ReplicateMethod
    fay_rho: float | None = None
    scale: float | None = None
    rscales: ArrayLike | None = None
    combined: bool = True

    def __post_init__(self) -> None:
        if self.method not in get_args(ReplicateMethod):
            raise ValueError(f"method must be one of {list(get_args(ReplicateMethod))}, got {self.method!r}")
        if (self.method == "Fay") != (self.fay_rho is not None):
            raise ValueError("fay_rho belongs to method='Fay', which needs it: 0 <= fay_rho < 1, often 0.3 or 0.5")
        if self.fay_rho is not None and not 0 <= self.fay_rho < 1:
            raise ValueError(f"fay_rho must be at least 0 and below 1, got {self.fay_rho!r}")
        if self.method == "JKn" and self.rscales is None:
            raise ValueError("method='JKn' needs rscales, (n_h - 1) / n_h for each replicate's stratum")
        if self.scale is not None and not self.scale > 0:
            raise ValueError(f"scale must be positive, got {self.scale!r}")

    def factor(self, n_replicates: int) -> float:
        """The scale for a number of replicates.

        Parameters
        ----------
        n_replicates : int
            R.

        Returns
        -------
        float
        """
        if self.scale is not None:
            return float(self.scale)
        R = n_replicates
        rho = self.fay_rho or 0.0
        return {
            "JK1": (R - 1) / R,
            "JK2": 1.0,
            "JKn": 1.0,
            "BRR": 1.0 / R,
            "Fay": 1.0 / (R * (1.0 - rho) ** 2),
            "bootstrap": 1.0 / R,
            "SDR": 4.0 / R,
        }[self.method]


@dataclass(frozen=True, eq=False)
class Replicates:
    """Replicate weights as read from a survey.

    Attributes
    ----------
    weights : float64 array of shape (n_respondents, R)
    scales : float64 array of shape (R,)
        What each replicate's squared deviation counts for.
    """

    weights: np.ndarray
    scales: np.ndarray

    def deviations(self, answers: DomainAnswers) -> np.ndarray:
        """Deviations (R, G, K) whose cross products are the covariances of all domains' shares."""
        shares = np.stack([answers.shares_under(weight) for weight in self.weights.T])
        return np.sqrt(self.scales)[:, None, None] * (shares - answers.shares)

    @cached_property
    def degrees_of_freedom(self) -> int:
        """The rank of the replicate weights less 1, at least 1 (as in R's survey package)."""
        gram = np.linalg.eigvalsh(self.weights.T @ self.weights)
        return max(int((gram > 1e-10 * gram.max()).sum()) - 1, 1)

    def subset(self, kept: np.ndarray) -> Replicates:
        """Those of some respondents (boolean, n_respondents)."""
        return Replicates(self.weights[kept], self.scales)


def read_replicates(data: pd.DataFrame, given: ReplicateWeights | None, weight: np.ndarray) -> Replicates | None:
    """The `replicate_weights=` parameter of a public function.

    Raises
    ------
    TypeError
        If it is no `ReplicateWeights`: numbers alone do not say how they were made.
    ValueError
        If columns do not exist, lengths differ, or a weight is negative, missing or infinite.
    """
    if given is None:
        return None
    if not isinstance(given, ReplicateWeights):
        raise TypeError(
            "replicate_weights must be a ReplicateWeights, which says how they were made: "
            f"ReplicateWeights(columns, 'BRR'); got {type(given).__name__}"
        )
    weights = _read_columns(data, given.columns)
    if len(weights) != len(data):
        raise ValueError(f"replicate weights have {len(weights):,} rows, data has {len(data):,}")
    R = weights.shape[1]
    if R < 2:
        raise ValueError(f"replicate weights need at least two replicates, got {R}")
    wrong = ~np.isfinite(weights) | (weights < 0)
    if wrong.any() and not (given.method == "SDR" and np.isfinite(weights).all()):
        row, r = (int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(f"replicate weight {r + 1} is {weights[row, r]} in row {data.index[row]}: expected at least 0")
    rscales = np.ones(R) if given.rscales is None else np.asarray(given.rscales, dtype=np.float64)
    if rscales.shape != (R,) or not (np.isfinite(rscales).all() and (rscales >= 0).all()):
        raise ValueError(f"rscales must be {R} numbers of at least 0, one per replicate; got shape {rscales.shape}")
    if not given.combined:
        weights = weights * weight[:, None]
    return Replicates(weights, given.factor(R) * rscales)


def _read_columns(data: pd.DataFrame, columns: str | Sequence[str] | ArrayLike) -> np.ndarray:
    if isinstance(columns, str):
        found = [column for column in data.columns if isinstance(column, str) and fnmatch.fnmatch(column, columns)]
        if not found:
            raise ValueError(f"no column of data matches the replicate weights {columns!r}")
        columns = found
    if isinstance(columns, Sequence) and all(isinstance(column, str) for column in columns):
        lacking = [column for column in columns if column not in data.columns]
        if lacking:
            raise ValueError(f"replicate weights: data has no columns {lacking[:5]}")
        columns = data[list(columns)]
    try:
        weights = np.asarray(columns, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"replicate weights must be numbers: {error}") from None
    if weights.ndim != 2:
        raise ValueError(f"replicate weights must be columns, one per replicate; got shape {weights.shape}")
    return weights
