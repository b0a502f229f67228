"""How questions resemble each other: a covariance of questions from few effects, shrunk to the identity."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from surveysim.baselines.features import Block

__all__ = ["free_effects", "identity_terms", "learned_resemblance"]

IDENTITY_TERMS = 20.0
"""How many terms the identity counts for at least, and with up to 20 questions whose effects are many enough."""

QUESTIONS_PER_EFFECT = 2.25
"""How many questions to a free effect may be without the identity counting for more."""

SCARCITY_POWER = 1.0
"""With which power of their ratio it does.

With the identity counting for 20 terms whatever the questions, 98 of them by region (two groups: one free effect) had a
divergence 21 and 12% above that without pooling, at 10 and 50 respondents a group; 45 by age 5% at 200. The power was
chosen among 1 and 2 by ``python -m benchmarks.pooling``, which leaves each survey out when it chooses for it."""


def free_effects(blocks: Sequence[Block]) -> int:
    """How many effects attributes have, each level beside a first one: a linear score tells of the same levels."""
    return sum(block.columns.stop - block.columns.start - 1 for block in blocks if block.kind == "levels")


def identity_terms(n_questions: int, n_effects: int) -> float:
    """How many terms the identity counts for when the resemblance of questions is learned.

    The resemblance is learned from the effects that it then shrinks, so that they confirm what they have by chance in
    common: with Q questions and a single effect, the direction of its Q estimates is believed to be that in which
    questions vary, by a factor of about ``(Q + s) / (1 + s)``. So s grows with the number of questions above 20 (an
    inverse Wishart prior is proper only where s is larger), and with the questions to a free effect.

    Parameters
    ----------
    n_questions : int
        That are pooled.
    n_effects : int
        From `free_effects`.

    Returns
    -------
    float
    """
    scarcity = max(1.0, n_questions / (QUESTIONS_PER_EFFECT * max(n_effects, 1)))
    return float(max(IDENTITY_TERMS, n_questions) * scarcity**SCARCITY_POWER)


def learned_resemblance(products: np.ndarray, n_terms: int, n_effects: int) -> np.ndarray:
    """The resemblance matrix (Q, Q): the mean of terms' products, shrunk to the identity.

    Parameters
    ----------
    products : float64 array of shape (Q, Q)
        Expected products of the questions' effects, standardised and summed over terms.
    n_terms : int
        How many.
    n_effects : int
        How many of them are free.
    """
    weight = identity_terms(len(products), n_effects)
    R = (products + weight * np.eye(len(products))) / (n_terms + weight)
    # the scale is that of the variances
    return R / np.exp(np.mean(np.log(np.diag(R))))
