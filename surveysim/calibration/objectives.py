"""How far a calibrated distribution is from the observed one, with its gradient in the logits.

All functions take logits (n, K) that may hold anything where there is no option, and return the loss per row and its
gradient (n, K), 0 where there is no option.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np
from scipy.special import rel_entr, xlogy

from surveysim.calibration.examples import Examples
from surveysim.metrics.jensen_shannon import js_terms

__all__ = ["OBJECTIVES", "SCALE", "Objective", "distance", "loss"]

OBJECTIVES = ("kl", "w1", "tv", "js")

Objective: TypeAlias = Literal["auto", "kl", "w1", "tv", "js"]
"""What a user may ask for; "auto" is "w1" for ordinal and "kl" for nominal questions."""

SMOOTHING = 1e-3
"""Absolute differences of shares below this are rounded off, so that their gradient is continuous."""

KL_SHARE = 0.3
"""Share of the Kullback-Leibler divergence that is mixed into "w1" and "tv" while fitting. Alone, absolute differences
say little from few examples: on the tuning models of `surveysim.calibration.priors`, with 1 to 5 questions, W1 alone
gained 0.4 to 0.5 points of opinion alignment over raw output, with this share 0.5 to 0.7; larger shares no more."""

SCALE = {"w1": 0.05, "tv": 0.05, "kl": 0.1, "js": 0.04}
"""Loss that counts as one unit of log-likelihood against the priors: about what a calibrated cell still misses."""


def distance(Q: np.ndarray, examples: Examples) -> np.ndarray:
    """Loss per row (n,) of calibrated distributions Q by the objective itself, without smoothing or mixing.

    Kullback-Leibler divergence in nats; Wasserstein-1 as a share of the scale's length, plus half the differences of
    options outside the order; total variation; Jensen-Shannon divergence in bits.
    """
    Y, Q = examples.truth, np.nan_to_num(Q)
    if examples.objective == "kl":
        return rel_entr(Y, np.maximum(Q, 1e-12)).sum(axis=1)
    if examples.objective == "tv":
        return np.abs(Q - Y).sum(axis=1) / 2
    if examples.objective == "js":
        return js_terms(Q, Y).sum(axis=1) / np.log(2)
    scale = examples.scale
    outside = examples.exists & ~examples.ordered
    along = np.abs(np.cumsum(scale.sort(scale.within(Q) - scale.truth), axis=1)[:, :-1]) * scale.gaps
    return along.sum(axis=1) + (np.abs(Q - Y) * outside).sum(axis=1) / 2


def loss(logits: np.ndarray, examples: Examples) -> tuple[np.ndarray, np.ndarray]:
    """What is minimised when fitting: the objective, smoothed, with some KL mixed into "w1" and "tv"."""
    log_q = np.where(examples.exists, logits, -np.inf)
    log_q -= log_q.max(axis=1, keepdims=True)
    log_q -= np.log(np.exp(log_q).sum(axis=1, keepdims=True))
    Q = np.exp(log_q)
    rows, gradient = _SMOOTH[examples.objective](Q, log_q, examples)
    if examples.objective in ("w1", "tv"):
        kl, kl_gradient = _kl(Q, log_q, examples)
        rows = (1 - KL_SHARE) * rows + KL_SHARE * kl
        gradient = (1 - KL_SHARE) * gradient + KL_SHARE * kl_gradient
    return rows, gradient


def _through_softmax(Q: np.ndarray, by_share: np.ndarray) -> np.ndarray:
    """Gradient in the logits from the gradient in the shares."""
    return Q * (by_share - np.sum(Q * by_share, axis=1, keepdims=True))


def _soft_absolute(difference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """|x| without its kink, and its derivative."""
    root = np.sqrt(difference**2 + SMOOTHING**2)
    return root - SMOOTHING, difference / root


def _kl(Q: np.ndarray, log_q: np.ndarray, examples: Examples) -> tuple[np.ndarray, np.ndarray]:
    Y = examples.truth
    rows = (xlogy(Y, Y) - Y * np.where(examples.exists, log_q, 0.0)).sum(axis=1)
    return rows, Q - Y


def _tv(Q: np.ndarray, log_q: np.ndarray, examples: Examples) -> tuple[np.ndarray, np.ndarray]:
    size, slope = _soft_absolute(Q - examples.truth)
    return size.sum(axis=1) / 2, _through_softmax(Q, slope / 2)


def _js(Q: np.ndarray, log_q: np.ndarray, examples: Examples) -> tuple[np.ndarray, np.ndarray]:
    Y = examples.truth
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(Q > 0, np.log(2 * Q / (Q + Y)), 0.0)
    return js_terms(Q, Y).sum(axis=1) / np.log(2), _through_softmax(Q, ratio / (2 * np.log(2)))


def _w1(Q: np.ndarray, log_q: np.ndarray, examples: Examples) -> tuple[np.ndarray, np.ndarray]:
    scale = examples.scale
    inside = scale.within(Q)
    size, slope = _soft_absolute(np.cumsum(scale.sort(inside - scale.truth), axis=1)[:, :-1])
    rows = (scale.gaps * size).sum(axis=1)
    # a share at one place moves the cumulative shares from there on
    by_share = np.zeros_like(Q)
    by_share[:, :-1] = np.cumsum((scale.gaps * slope)[:, ::-1], axis=1)[:, ::-1]
    gradient = _through_softmax(inside, scale.unsort(by_share))
    outside = examples.exists & ~examples.ordered
    if outside.any():
        size, slope = _soft_absolute(np.where(outside, Q - examples.truth, 0.0))
        rows = rows + (size * outside).sum(axis=1) / 2
        gradient = gradient + _through_softmax(Q, slope * outside / 2)
    return rows, gradient


_SMOOTH: dict[str, Callable[[np.ndarray, np.ndarray, Examples], tuple[np.ndarray, np.ndarray]]] = {
    "kl": _kl,
    "w1": _w1,
    "tv": _tv,
    "js": _js,
}
