"""How far a series of waves has drifted: the posterior of its shares, from how well it agrees with all else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit, logit, logsumexp, softmax

from surveysim.baselines.question_stacks import Quadratic
from surveysim.fusion.agreement import AgreementOfWave
from surveysim.fusion.drift import GRID, Drift
from surveysim.fusion.series import Series

__all__ = ["AgreementOfSeries", "learned_shares"]

OWN_PROBABILITY = 0.05
"""Prior probability that a question has shares of its own."""

COMMON_STEPS = 4.0
"""Prior standard deviation of the groups' share around the levels', in steps of the grid: how far levels moved says how
far groups may have."""


def learned_shares(
    series: Series,
    drift: Drift,
    known: Sequence[Quadratic],
    degrees: Sequence[np.ndarray],
    centers: Sequence[np.ndarray],
) -> Drift:
    """The drift with the posterior of its shares, on a grid.

    The marginal likelihood of a wave's answers given all else is Gaussian for each question. First levels and groups
    have one share, then each its own given the other. A question may have, with a small probability, a share of its own
    on a link, so that a few that are far off do not speak against the others.

    Parameters
    ----------
    series : Series
    drift : Drift
        Of the series, its shares apart.
    known : sequence of Quadratic
        Of each question's coefficients, from everything but the series.
    degrees : sequence of int arrays of shape (C,)
        Of each question's contrasts.
    centers : sequence of float64 arrays of shape (C * F,)
        Expected coefficients.
    """
    n_links = len(series.names)
    evidence: Callable[[Drift], np.ndarray]
    if n_links == 1:
        evidence = AgreementOfWave(series, drift, known, degrees, centers)
    else:
        evidence = AgreementOfSeries(series, known, degrees, centers)
    together = np.array([evidence(drift.with_shares(share, share)) for share in GRID])  # (len(GRID), Q)
    both = _expected(_tolerant(together, _of_own(together)))
    own = together[None]
    if n_links > 1:
        common = drift.with_shares(both, both)
        own = np.array([[evidence(common.with_own(link, share)) for share in GRID] for link in range(n_links)])
    alone = np.max([_of_own(one) for one in own], axis=0)
    by_level = np.array([evidence(drift.with_shares(share, both)) for share in GRID])
    levels = _tolerant(by_level, alone) + _near(both)
    level = _expected(levels)
    by_group = np.array([evidence(drift.with_shares(level, share)) for share in GRID])
    groups = _tolerant(by_group, alone) + _near(level)
    weights = softmax([levels, groups], axis=1)
    # the common shares' evidence for each question, and that of its own on each link
    common_evidence = np.log1p(-OWN_PROBABILITY) + logsumexp(by_group, axis=0, b=weights[1][:, None])
    odds = own + np.log(OWN_PROBABILITY / len(GRID)) - common_evidence
    own_weights = softmax(np.concatenate([odds, np.zeros_like(odds[:, :1])], axis=1), axis=1)[:, :-1]
    return replace(drift, weights=weights, own=own_weights.transpose(0, 2, 1)).expected()


def _of_own(evidence: np.ndarray) -> np.ndarray:
    """Log evidence (Q,) of questions with a share of their own, from that of every share in the grid."""
    found: np.ndarray = logsumexp(evidence, axis=0) - np.log(len(GRID))
    return found


def _tolerant(common: np.ndarray, alone: np.ndarray) -> np.ndarray:
    """Log evidence (len(GRID),) of a common share, of all questions together, each of which may have its own."""
    found: np.ndarray = np.logaddexp(np.log1p(-OWN_PROBABILITY) + common, np.log(OWN_PROBABILITY) + alone).sum(axis=1)
    return found


def _near(share: float) -> np.ndarray:
    """Log prior (len(GRID),) of one common share given the other."""
    steps = np.arange(len(GRID))
    found: np.ndarray = -0.5 * ((steps - np.interp(logit(share), logit(GRID), steps)) / COMMON_STEPS) ** 2
    return found


def _expected(log_posterior: np.ndarray) -> float:
    """The expected share, on the scale of log odds."""
    return float(expit(softmax(log_posterior) @ logit(GRID)))


@dataclass(frozen=True)
class AgreementOfSeries:
    """The log marginal likelihood of each question's answers in a series (Q,), up to a constant, for given shares."""

    series: Series
    known: Sequence[Quadratic]
    degrees: Sequence[np.ndarray]
    centers: Sequence[np.ndarray]

    def __call__(self, drift: Drift) -> np.ndarray:
        found = np.zeros(len(self.degrees))
        for own in self.series.filtered(drift, self.degrees, self.centers):
            matrices, linear = own.told(self.centers)
            center = np.stack([self.centers[q] for q in own.which])
            value = np.sum([one.constant for one in own.passed], axis=0)
            # what passed is counted from the centers, what is known from 0
            value -= np.einsum("qi,qi->q", linear, center) - 0.5 * np.einsum("qi,qij,qj->q", center, matrices, center)
            H = np.stack([self.known[q].matrix for q in own.which]) + matrices
            h = np.stack([self.known[q].linear for q in own.which]) + linear
            value += 0.5 * np.einsum("qi,qi->q", h, np.linalg.solve(H, h[:, :, None])[:, :, 0])
            found[own.which] = value - 0.5 * np.linalg.slogdet(H)[1]
        return found
