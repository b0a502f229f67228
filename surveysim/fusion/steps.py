"""How large the steps of a random walk are, by part and class of degree: for what lies beyond the last answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.special import softmax

from surveysim.baselines.priors import HIGHEST_CLASS
from surveysim.fusion.drift import GROUPS, LEVELS, Drift

__all__ = ["draw_factors", "expected_factors", "scaled", "weigh_steps"]

FACTORS = np.geomspace(1 / 8, 64, 10)
"""Factors of a step's variance that are tried."""

SPREAD = 1.5
"""Prior standard deviation of their logarithms around 0."""

SWEEPS = 2


def scaled(drift: Drift, factors: np.ndarray) -> Drift:
    """The drift with the variances of its steps times these factors (2, 4), by part and class of degree."""
    table = replace(drift.spread, variances=drift.spread.variances * factors[GROUPS])
    return drift.around(table, drift.spread_levels * factors[LEVELS])


def weigh_steps(drift: Drift, evidence: Callable[[Drift], np.ndarray]) -> np.ndarray:
    """Posterior probabilities (2, 4, len(FACTORS)) of factors for the variances of a drift's steps.

    Shares say how much a coefficient has in common with the wave next to it, as if all classes of degree moved by the
    same share of what they vary. That serves for weighing a wave. A forecast leaves the waves behind, and its interval
    is as wide as the step: levels and groups get a factor for each class of degree, of which the others are expected
    to be right, on the scale of logarithms.

    Parameters
    ----------
    drift : Drift
        As learned.
    evidence : callable
        The log marginal likelihood of the waves' answers to each question, (Q,), for a drift.
    """
    drift = drift.with_shares(*drift.common)  # the next step may be one of the large ones that questions have alone
    prior = softmax(-0.5 * (np.log(FACTORS) / SPREAD) ** 2)
    factors = np.ones((2, HIGHEST_CLASS + 1))
    weights = np.tile(prior, (*factors.shape, 1))
    for _ in range(SWEEPS):
        for part, degree in np.ndindex(*factors.shape):
            tried = []
            for factor in FACTORS:
                one = factors.copy()
                one[part, degree] = factor
                tried.append(evidence(scaled(drift, one)).sum())
            if np.ptp(tried) > 0:  # else no question has a contrast of this class
                weights[part, degree] = softmax(np.array(tried) + np.log(prior))
                factors[part, degree] = np.exp(weights[part, degree] @ np.log(FACTORS))
    return weights


def expected_factors(weights: np.ndarray) -> np.ndarray:
    """The factors (2, 4) that are expected, on the scale of logarithms."""
    found: np.ndarray = np.exp(weights @ np.log(FACTORS))
    return found


def draw_factors(weights: np.ndarray, n_draws: int, generator: np.random.Generator) -> np.ndarray:
    """Draws (n_draws, 2, 4) of the factors."""
    below = np.cumsum(weights, axis=-1)[..., :-1]
    found: np.ndarray = FACTORS[(generator.random((n_draws, *below.shape[:2], 1)) >= below).sum(axis=-1)]
    return found
