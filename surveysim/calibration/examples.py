"""The data of calibrators: elicited distributions, their observed counterparts, and what is known about each row."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from surveysim.distributions import check_distributions, renormalize

__all__ = ["Examples", "Scale", "as_elicited", "as_positions"]

CELL_NOISE = 300.0
"""Respondents at which a cell's own sampling noise is as large as what no calibrator can fit; a cell of n respondents
counts n / (n + 300). Chosen with the two models of `surveysim.calibration.priors`."""

ROUNDING = 1e-12
"""Rows whose sums are this close to 1 are left as they are, so that the identity is one to the last bit."""

SAME_QUESTION = 0.5
"""Correlation of the cells of one question: m of them count as m / (1 + 0.5 (m - 1)) independent ones."""


@dataclass(frozen=True)
class Examples:
    """Rows of one kind, ordinal or nominal, all with known distributions.

    Attributes
    ----------
    P : float64 array of shape (n, K)
        Elicited distributions, NaN past the last option of a shorter question.
    positions : float64 array of shape (n, K)
        Places of the options on their scale; NaN outside the order (all NaN: nominal).
    Y : float64 array of shape (n, K) or None
        Observed distributions, padded like P; None when predicting.
    weight : float64 array of shape (n,)
        How much each row counts, between 0 and 1.
    question : int array of shape (n,)
        Rows with the same number are of one question.
    features : float64 array of shape (n, n_features)
        Backgrounds as numbers; no columns where they are not used.
    objective : {"kl", "w1", "tv", "js"}
        What is minimised.
    elicited_by : str or None
        How the distributions were elicited.

    Examples
    --------
    >>> from surveysim.calibration import Examples
    >>> sorted(Examples.__annotations__)[:3]
    ['P', 'Y', 'elicited_by']
    """

    P: np.ndarray
    positions: np.ndarray
    Y: np.ndarray | None
    weight: np.ndarray
    question: np.ndarray
    features: np.ndarray
    objective: str
    elicited_by: str | None

    def __len__(self) -> int:
        return len(self.P)

    def rows(self, chosen: np.ndarray) -> Examples:
        """Select some of the examples.

        Parameters
        ----------
        chosen : bool or int array
            The rows, as a mask or as positions.

        Returns
        -------
        Examples
        """
        return replace(
            self,
            P=self.P[chosen],
            positions=self.positions[chosen],
            Y=None if self.Y is None else self.Y[chosen],
            weight=self.weight[chosen],
            question=self.question[chosen],
            features=self.features[chosen],
        )

    @cached_property
    def exists(self) -> np.ndarray:
        """Bool array (n, K): the options that each row's question has."""
        return ~np.isnan(self.P)

    @cached_property
    def n_options(self) -> np.ndarray:
        """Int array (n,)."""
        return self.exists.sum(axis=1)

    @cached_property
    def ordered(self) -> np.ndarray:
        """Bool array (n, K): the options that lie on the scale."""
        return ~np.isnan(self.positions)

    @cached_property
    def truth(self) -> np.ndarray:
        """Y with 0 where there is no option."""
        assert self.Y is not None
        return np.nan_to_num(self.Y)

    @cached_property
    def scale(self) -> Scale:
        """The options along the scale."""
        return Scale(self.positions, self.truth)

    @property
    def n_questions(self) -> int:
        """Distinct questions."""
        return len(np.unique(self.question))

    @cached_property
    def shapes(self) -> list[tuple[int, ...]]:
        """Each row's shape of question: how many options, then the places of those outside the order."""
        distinct, index = np.unique(np.hstack([self.exists, self.ordered]), axis=0, return_inverse=True)
        width = self.exists.shape[1]
        found = [(int(row[:width].sum()), *np.flatnonzero(row[:width] & ~row[width:]).tolist()) for row in distinct]
        return [found[i] for i in index.ravel()]

    def by_shape(self) -> list[tuple[tuple[int, ...], np.ndarray]]:
        """The distinct shapes, sorted, and the rows of each."""
        distinct = sorted(set(self.shapes))
        number = {shape: i for i, shape in enumerate(distinct)}
        index = np.array([number[shape] for shape in self.shapes], dtype=int)
        return [(shape, np.flatnonzero(index == i)) for i, shape in enumerate(distinct)]

    @cached_property
    def evidence(self) -> np.ndarray:
        """Float array (n,): rows' weights, less where rows share a question and so repeat each other.

        A question's rows count together as m / (1 + 0.5 (m - 1)) times their mean weight.
        """
        _, inverse, cells = np.unique(self.question, return_inverse=True, return_counts=True)
        return self.weight / (1 + SAME_QUESTION * (cells[inverse] - 1))

    def log_p(self, floor: float) -> np.ndarray:
        """Logarithms of the elicited shares.

        Parameters
        ----------
        floor : float
            Smaller shares are raised to this one before the logarithm is taken.

        Returns
        -------
        float64 array of shape (n, K)
            Centred per row; 0 where there is no option.
        """
        logs = np.log(np.maximum(np.where(self.exists, self.P, 1.0), floor))
        centred = logs - np.sum(logs, axis=1, keepdims=True, where=self.exists) / self.n_options[:, None]
        return np.where(self.exists, centred, 0.0)


class Scale:
    """The order of each row's options and the gaps between neighbours, as shares of the scale's length.

    Parameters
    ----------
    positions : float64 array of shape (n, K)
        NaN: outside the order.
    truth : float64 array of shape (n, K)
        Observed distributions, 0 where there is no option.
    """

    def __init__(self, positions: np.ndarray, truth: np.ndarray) -> None:
        self.ordered = ~np.isnan(positions)
        self._order = np.argsort(positions, axis=1)  # NaN goes last
        self._as_given = bool((self._order == np.arange(positions.shape[1])).all())
        gaps = np.nan_to_num(np.diff(np.take_along_axis(positions, self._order, axis=1), axis=1))
        self.gaps = gaps / gaps.sum(axis=1, keepdims=True)
        self._equal = self.ordered / self.ordered.sum(axis=1, keepdims=True)
        self.truth = self.within(truth)

    def within(self, P: np.ndarray) -> np.ndarray:
        """Shares among the ordered options alone; equal ones where all mass lies outside the order."""
        inside = np.where(self.ordered, P, 0.0)
        total = inside.sum(axis=1, keepdims=True)
        if (total > 0).all():
            return inside / total
        return np.where(total > 0, inside / np.where(total > 0, total, 1.0), self._equal)

    def sort(self, array: np.ndarray) -> np.ndarray:
        """Columns in the order of the scale."""
        return array if self._as_given else np.take_along_axis(array, self._order, axis=1)

    def unsort(self, array: np.ndarray) -> np.ndarray:
        """Columns back in the order of the options."""
        if self._as_given:
            return array
        out = np.empty_like(array)
        np.put_along_axis(out, self._order, array, axis=1)
        return out


def as_elicited(P: ArrayLike, name: str = "P") -> tuple[np.ndarray, np.ndarray]:
    """Elicited distributions as float64 that sum to 1, and which rows hold one.

    A row of NaN only stands for a cell for which there is no usable answer. Everything else must be a distribution.

    Returns
    -------
    P : float64 array of shape (n, K)
    answered : bool array of shape (n,)

    Raises
    ------
    TypeError, ValueError
        As `surveysim.distributions.check_distributions`, naming the row.
    """
    checked = check_distributions(P, name=name, missing_rows=True)
    answered: np.ndarray = np.logical_not(np.isnan(checked).all(axis=1))
    off = answered & (np.abs(np.nansum(checked, axis=1) - 1) > ROUNDING)
    checked[off] = renormalize(checked[off])
    return checked, answered


def as_positions(values: ArrayLike | None, exists: np.ndarray) -> np.ndarray:
    """Positions (n, K) of options on their scales, from what the user passed as `values`.

    Parameters
    ----------
    values : None, array of shape (K,) or (n, K)
        None: equally spaced. NaN: outside the order; a row of NaN only is nominal.
    exists : bool array of shape (n, K)

    Raises
    ------
    ValueError
        If the shape does not fit, a position is infinite, or two options share one (the row is named).
    """
    n_rows, width = exists.shape
    if values is None:
        return np.where(exists, np.arange(1.0, width + 1), np.nan)
    given: Any = np.asarray(values, dtype=np.float64)
    if given.shape[-1:] != (width,) or given.ndim > 2 or (given.ndim == 2 and len(given) != n_rows):
        raise ValueError(
            f"values must hold a position per option, shape ({width},) or ({n_rows}, {width}), got {given.shape}"
        )
    positions = np.where(exists, np.broadcast_to(given, exists.shape), np.nan)
    if np.isinf(positions).any():
        raise ValueError("values must be finite positions, or NaN for options outside the order, got infinity")
    sorted_positions = np.sort(positions, axis=1)
    tied = np.flatnonzero((np.diff(sorted_positions, axis=1) == 0).any(axis=1))
    if len(tied):
        raise ValueError(
            f"values: row {tied[0]} gives two options the same position: {positions[tied[0]]}. For a nominal question "
            "pass a row of NaN."
        )
    alone = np.flatnonzero((~np.isnan(positions)).sum(axis=1) == 1)
    if len(alone):
        raise ValueError(f"values: row {alone[0]} has a single option on its scale; a scale needs two")
    return positions
