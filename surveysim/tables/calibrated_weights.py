"""The smallest change of weights that reaches given totals, for three distances (Deville and Särndal 1992)."""

from __future__ import annotations

from typing import Literal

import numpy as np

__all__ = ["Distance", "calibrate"]

Distance = Literal["raking", "linear", "logit"]


def calibrate(
    base: np.ndarray,
    members: np.ndarray,
    targets: np.ndarray,
    distance: Distance,
    bounds: tuple[float, float] | None,
    tolerance: float,
    max_iter: int,
) -> np.ndarray:
    """Weights w_i = d_i F(x_i . lambda) with sum_i w_i x_i = targets times sum d.

    F is exp(u) for raking (proportional fitting), 1 + u for the linear distance, cut at `bounds`, and for the logit
    distance the increasing function from the lower bound through 1 to the upper. The last two by Newton's method.

    Parameters
    ----------
    base : float array of shape (n,)
        d, positive.
    members : bool array of shape (n, L)
        x: who has which level.
    targets : float array of shape (L,)
        Shares.
    distance : {"raking", "linear", "logit"}
    bounds : (float, float) or None
        Of w / d; needed for "logit".
    tolerance : float
        Largest gap, as a share.
    max_iter : int

    Raises
    ------
    ValueError
        If the targets are not reached; the message has the gap.
    """
    total = base.sum()
    if distance == "raking":
        return _rake(base, members, targets, tolerance, max_iter)
    X = members.astype(np.float64)
    lam = np.zeros(X.shape[1])
    gap = np.inf
    weight = base
    for _ in range(max_iter):
        factor, slope = _factors(X @ lam, distance, bounds)
        weight = base * factor
        miss = targets - weight @ X / total
        gap = float(np.abs(miss).max())
        if gap <= tolerance:
            return np.asarray(weight)
        curvature = (X * (base * slope / total)[:, None]).T @ X
        step, *_ = np.linalg.lstsq(curvature, miss, rcond=1e-10)
        lam = _damped(lam, step, X, base, total, targets, gap, distance, bounds)
    raise ValueError(_unreached(gap, tolerance, bounds))


def _damped(
    lam: np.ndarray,
    step: np.ndarray,
    X: np.ndarray,
    base: np.ndarray,
    total: float,
    targets: np.ndarray,
    gap: float,
    distance: Distance,
    bounds: tuple[float, float] | None,
) -> np.ndarray:
    """The longest of the steps 1, 1/2 ... 1/64 that narrows the gap; the shortest if none does."""
    size = 1.0
    for _ in range(6):
        factor, _ = _factors(X @ (lam + size * step), distance, bounds)
        if np.abs(targets - (base * factor) @ X / total).max() < gap:
            break
        size /= 2
    return np.asarray(lam + size * step)


def _factors(u: np.ndarray, distance: Distance, bounds: tuple[float, float] | None) -> tuple[np.ndarray, np.ndarray]:
    """F and its derivative."""
    if distance == "linear":
        if bounds is None:
            return 1.0 + u, np.ones_like(u)
        inside = (1.0 + u > bounds[0]) & (1.0 + u < bounds[1])
        return np.clip(1.0 + u, *bounds), np.where(inside, 1.0, 1e-6)
    assert bounds is not None
    low, high = bounds
    A = (high - low) / ((1.0 - low) * (high - 1.0))
    e = np.exp(np.clip(A * u, -50, 50))
    factor = (low * (high - 1.0) + high * (1.0 - low) * e) / ((high - 1.0) + (1.0 - low) * e)
    return factor, A * (factor - low) * (high - factor) / (high - low)


def _rake(base: np.ndarray, members: np.ndarray, targets: np.ndarray, tolerance: float, max_iter: int) -> np.ndarray:
    weight, total = base.copy(), base.sum()
    rows = [np.flatnonzero(column) for column in members.T]
    gap = np.inf
    for _ in range(max_iter):
        for has, target in zip(rows, targets, strict=True):
            reached = weight[has].sum()
            if reached > 0:
                weight[has] *= target * total / reached
        gap = float(np.abs(weight @ members / total - targets).max())
        if gap <= tolerance:
            return weight
    raise ValueError(_unreached(gap, tolerance, None))


def _unreached(gap: float, tolerance: float, bounds: tuple[float, float] | None) -> str:
    widen = "" if bounds is None else f"widen the bounds {bounds}, "
    return (
        f"the margins cannot be reached (a gap of {gap:.2g} is left, tolerance={tolerance:g}): {widen}merge small "
        "levels, or check that margins do not contradict each other in this sample"
    )
