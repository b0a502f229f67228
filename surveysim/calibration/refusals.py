"""Options that an elicitor leaves out by rule: removed before calibration, restored with share 0 afterwards."""

from __future__ import annotations

import numpy as np

__all__ = ["LeftOut"]


class LeftOut:
    """Refusal options to which an elicitor gave nothing, because it keeps refusals apart.

    Their 0 is not a statement about people, and must not be calibrated: the power 0.2 of label probabilities would make
    a tenth of it.

    Parameters
    ----------
    P : float64 array of shape (n, K)
        What was elicited.
    positions : float64 array of shape (n, K)
        Places of the options on their scales.
    refusing : bool array of shape (n, K)
        Which options stand for refusing to answer.

    Attributes
    ----------
    mask : bool array of shape (n, K)
        What is left out.
    """

    def __init__(self, P: np.ndarray, positions: np.ndarray, refusing: np.ndarray) -> None:
        exists = ~np.isnan(P)
        empty = refusing & (P == 0)
        kept = exists & ~empty
        # What is left must be a distribution, and a scale needs two options.
        enough = (kept.sum(axis=1) >= 2) & ((kept & ~np.isnan(positions)).sum(axis=1) != 1)
        self.mask = empty & enough[:, None]
        self._order = np.argsort(~(exists & ~self.mask), axis=1, kind="stable")

    def take_away(self, array: np.ndarray) -> np.ndarray:
        """The columns that are kept, moved to the left; NaN after them."""
        return np.take_along_axis(np.where(self.mask, np.nan, array), self._order, axis=1)

    def put_back(self, Q: np.ndarray) -> np.ndarray:
        """Distributions in the question's order of options again, with 0 for what was left out."""
        whole = np.empty_like(Q)
        np.put_along_axis(whole, self._order, Q, axis=1)
        whole[self.mask] = 0.0
        return whole
