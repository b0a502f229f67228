"""Rows' options sorted along their scales, for distances that live there."""

from __future__ import annotations

import numpy as np

__all__ = ["Scale"]


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
