"""The noise floor: what a perfect prediction would show, because the truth it is compared with is a sample."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from surveysim import metrics
from surveysim.distributions import check_distributions, option_mask, renormalize
from surveysim.evaluation.expected import SHARE_TERMS, expected_terms
from surveysim.interfaces import RandomState
from surveysim.parameters import as_generator, check_number

__all__ = ["noise_floor"]

SIMULATED = ("js_distance",)
METRICS = (*SHARE_TERMS, "opinion_alignment", "cross_entropy", *SIMULATED)


def noise_floor(
    Y: ArrayLike,
    n: ArrayLike,
    metric: str | Callable[..., ArrayLike] = "js_divergence",
    *,
    sample_weight: ArrayLike | None = None,
    average: bool = True,
    values: ArrayLike | None = None,
    n_draws: int = 2000,
    random_state: RandomState = 0,
) -> Any:
    r"""Compute the expected value of a metric between the shares of n respondents and their distribution.

    It is what a *perfect* prediction would show against a truth of n respondents, and also how far a survey of n
    respondents per group would be from the truth.

    Parameters
    ----------
    Y : array-like of shape (n_groups, K)
        Distributions, NaN past the last option of a shorter question.
    n : float or array-like of shape (n_groups,)
        Respondents per group, above 0. An effective number between two whole ones is interpolated between them;
        below 1 it counts as 1, the smallest sample.
    metric : str or callable, default="js_divergence"
        "js_divergence", "kl_divergence", "total_variation", "wasserstein", "opinion_alignment" (where the floor is a
        ceiling), "rmse", "cross_entropy", "js_distance", or any function with the signature of `surveysim.metrics`.
    sample_weight : array-like of shape (n_groups,), optional
        Weight of each group in the average; groups of weight 0 do not count.
    average : bool, default=True
        False returns one value per group.
    values : array-like of shape (K,) or (n_groups, K), optional
        Positions of the options, for "wasserstein" and "opinion_alignment"; as there.
    n_draws : int, default=2000
        Samples drawn where there is no exact formula.
    random_state : int, RandomState, Generator or None, default=0
        Of these samples.

    Returns
    -------
    float, or float64 array of shape (n_groups,)
        In the metric's units. The average of "rmse" is the root of the mean of squares, as in the metric.

    Raises
    ------
    ValueError
        If a row is not a distribution, a group that counts has no respondents, or the metric is unknown, or ordinal and
        a row is nominal.

    Notes
    -----
    *Exact.* A metric that is a sum over options of a function f(q_k, x_k / n) has the expectation
    :math:`\sum_k \sum_x \mathrm{Bin}(x; n, q_k) f(q_k, x / n)`, because each count is binomial. So are
    the Jensen-Shannon and Kullback-Leibler divergences, total variation, squared error, and, with cumulated
    shares, the Wasserstein distance. To first order the Jensen-Shannon floor is (K - 1) / (8 n ln 2) bits, whatever the
    distribution. The cross-entropy is linear in the sample: its floor is the entropy.

    *Simulated.* The distance (a root of a sum), ordinal metrics with options outside the order (the number
    of respondents inside is then random, too), and functions that are passed.

    If Y is itself the shares of a sample, options that nobody in it chose count as impossible, so that the floor is
    a little low.

    Examples
    --------
    >>> from surveysim.evaluation import noise_floor
    >>> round(noise_floor([[0.2, 0.3, 0.5]], 50), 4)
    0.0074
    >>> round(noise_floor([[0.5, 0.5]], [1]), 4)  # one answer against even odds
    0.3113
    """
    name = metric if isinstance(metric, str) else getattr(metric, "__name__", repr(metric))
    if isinstance(metric, str) and metric not in METRICS:
        raise ValueError(f"metric must be one of {sorted(METRICS)} or a function like them, got {metric!r}")
    check_number("n_draws", n_draws, integer=True, low=1)
    Y, respondents, weight = _check(Y, n, sample_weight, average)
    if name == "opinion_alignment" and isinstance(metric, str):
        alignment = noise_floor(
            Y, respondents, "wasserstein", sample_weight=weight, average=average, values=values,
            n_draws=n_draws, random_state=random_state,
        )  # fmt: skip
        return 100 * (1 - alignment)
    if callable(metric) or metric in SIMULATED:
        function = metric if callable(metric) else getattr(metrics, metric)
        rows = _simulate(function, Y, respondents, values, n_draws, random_state)
    elif metric == "wasserstein":
        rows = _wasserstein(Y, respondents, values, n_draws, random_state)
    elif metric == "cross_entropy":
        rows = metrics.cross_entropy(Y, Y, average=False)
    else:
        rows = _sum_over_options(Y, respondents, metric)
    squares = metric == "rmse"
    if squares:
        rows = rows / option_mask(Y).sum(axis=1)
    if average:
        counted = weight > 0
        mean = float(np.average(rows[counted], weights=weight[counted]))
        return math.sqrt(mean) if squares else mean
    return np.sqrt(rows) if squares else rows


def _check(
    Y: ArrayLike, n: ArrayLike, sample_weight: ArrayLike | None, average: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n_rows = len(np.atleast_2d(np.asarray(Y)))
    respondents = np.asarray(n, dtype=np.float64)
    respondents = np.full(n_rows, float(respondents)) if respondents.ndim == 0 else respondents
    weight = np.ones(n_rows) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    for name, numbers in (("n", respondents), ("sample_weight", weight)):
        if numbers.shape != (n_rows,):
            raise ValueError(f"{name} must have one number per row of Y, shape ({n_rows},), got {numbers.shape}")
    if not (np.isfinite(weight).all() and (weight >= 0).all() and weight.any()):
        raise ValueError("sample_weight must be finite, not negative, and above 0 in at least one row")
    counted = weight > 0 if average else np.ones(n_rows, dtype=bool)
    wrong = np.flatnonzero(counted & ~((respondents > 0) & np.isfinite(respondents)))
    if len(wrong):
        raise ValueError(
            f"n must be positive and finite, got {respondents[wrong[0]]} in row {wrong[0]}: a group without "
            "respondents has no floor. Leave it out or give it sample_weight 0."
        )
    P = np.array(Y, dtype=np.float64)
    if not counted.all() and P.ndim == 2:
        P[~counted] = np.nan
        P[~counted, :2] = 0.5  # passes the checks and does not count
    P = renormalize(check_distributions(P))
    return P, np.maximum(np.where(counted, respondents, 1.0), 1.0), weight


def _sum_over_options(Y: np.ndarray, n: np.ndarray, metric: str) -> np.ndarray:
    q = np.nan_to_num(Y)
    return expected_terms(q.reshape(-1), np.repeat(n, q.shape[1]), SHARE_TERMS[metric]).reshape(q.shape).sum(axis=1)


def _wasserstein(
    Y: np.ndarray, n: np.ndarray, values: ArrayLike | None, n_draws: int, random_state: RandomState
) -> np.ndarray:
    metrics.wasserstein(Y, Y, values=values, average=False)  # refuses nominal rows and wrong shapes
    exists = option_mask(Y)
    width = int(exists.sum(axis=1).max())
    Y, exists = Y[:, :width], exists[:, :width]
    positions = np.arange(1.0, width + 1) if values is None else np.asarray(values, dtype=np.float64)[..., :width]
    positions = np.where(exists, np.broadcast_to(positions, Y.shape), np.nan)
    outside = (exists & np.isnan(positions)).any(axis=1)
    rows = np.empty(len(Y))
    if outside.any():
        some = np.flatnonzero(outside)
        rows[some] = _simulate(metrics.wasserstein, Y[some], n[some], positions[some], n_draws, random_state)
    inside = np.flatnonzero(~outside)
    if len(inside):
        order = np.argsort(positions[inside], axis=1)
        at = np.take_along_axis(positions[inside], order, axis=1)
        gaps = np.nan_to_num(np.diff(at, axis=1))
        below = np.cumsum(np.take_along_axis(np.nan_to_num(Y[inside]), order, axis=1), axis=1)[:, :-1]
        below = np.clip(below, 0.0, 1.0)
        expected = expected_terms(below.reshape(-1), np.repeat(n[inside], width - 1), SHARE_TERMS["wasserstein"])
        rows[inside] = (expected.reshape(below.shape) * gaps).sum(axis=1) / gaps.sum(axis=1)
    return rows


def _simulate(
    function: Callable[..., ArrayLike],
    Y: np.ndarray,
    n: np.ndarray,
    values: ArrayLike | None,
    n_draws: int,
    random_state: RandomState,
) -> np.ndarray:
    """The mean over drawn samples, the sample being the truth; a size between two whole numbers is drawn."""
    generator = as_generator(random_state)
    exists = option_mask(Y)
    total, found = np.zeros(len(Y)), np.zeros(len(Y))
    for _ in range(n_draws):
        size = np.floor(n + generator.random(len(n))).astype(np.int64)
        counts = generator.multinomial(size, renormalize(np.nan_to_num(Y)))
        sample = np.where(exists, counts / size[:, None], np.nan)
        rows = np.asarray(function(sample, Y, values=values, average=False), dtype=np.float64)
        told = ~np.isnan(rows)  # NaN: nobody in the sample chose an option within the order
        total[told] += rows[told]
        found += told
    return np.divide(total, found, out=np.full(len(Y), np.nan), where=found > 0)
