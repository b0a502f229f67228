"""The nearest distribution to a vector that need not be one."""

from __future__ import annotations

import numpy as np

__all__ = ["nearest_distribution"]


def nearest_distribution(shares: np.ndarray) -> np.ndarray:
    """Project each row on the simplex: shares of at least 0 that sum to 1, nearest in squared distance.

    The truth lies in the simplex, so that no row gets further from it (Duchi, Shalev-Shwartz, Singer and Chandra 2008,
    Efficient projections onto the l1-ball, ICML).

    Parameters
    ----------
    shares : float array of shape (n, K)

    Examples
    --------
    >>> nearest_distribution(np.array([[0.7, 0.4, -0.1]]))
    array([[0.65, 0.35, 0.  ]])
    """
    ordered = -np.sort(-shares, axis=1)
    excess = ordered.cumsum(axis=1) - 1.0
    kept = ordered - excess / np.arange(1, shares.shape[1] + 1) > 0
    last = kept.sum(axis=1) - 1
    threshold = excess[np.arange(len(shares)), last] / (last + 1)
    return np.maximum(shares - threshold[:, None], 0.0)
