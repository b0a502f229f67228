"""The Jensen-Shannon divergence of an option, and what the truth's sampling noise adds to it."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["MIN_ANSWERS", "js_noise", "js_terms", "noise_carried"]

MIN_ANSWERS = 1.0
"""No sample is smaller than one answer. Kish's n over a design effect can be; dividing by it would make a divergence of
-35 bits out of a cell about which nothing is known."""


def js_terms(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """What an option with shares p and q adds to the Jensen-Shannon divergence, in nats; symmetric.

    With s = p + q and d = (p - q) / s it is s/4 [(1 + d) ln(1 + d) + (1 - d) ln(1 - d)] =
    s/4 [2 d artanh(d) + ln(1 - d^2)]. The textbook sum of two divergences cancels to noise, or to a negative number
    whose root is NaN, where p and q nearly agree.
    """
    s = p + q
    d = np.divide(p - q, s, out=np.zeros(np.broadcast(p, q).shape), where=s > 0)
    disjoint = np.abs(d) == 1
    d = np.where(disjoint, 0.0, d)
    terms = np.where(disjoint, 2 * math.log(2), 2 * d * np.arctanh(d) + np.log1p(-d * d))
    return s * terms / 4


def js_noise(prediction: np.ndarray, truth: np.ndarray, respondents: np.ndarray) -> np.ndarray:
    """The expected contribution of the truth's sampling noise to each row's divergence, in nats.

    Parameters
    ----------
    prediction, truth : float64 arrays of shape (n, K)
        The truth's are observed shares; 0 where there is no option.
    respondents : float64 array of shape (n,)
        Respondents that each row's truth rests on.

    Returns
    -------
    float64 array of shape (n,)
        Derived in `surveysim.metrics.js_divergence`.
    """
    n = np.maximum(respondents, MIN_ANSWERS)
    total = prediction + truth
    share = np.divide(prediction * (1 - truth), total, out=np.zeros_like(total), where=total > 0)
    return (share * noise_carried(truth, n)).sum(axis=1) / (4 * n)


def noise_carried(truth: np.ndarray, respondents: np.ndarray) -> np.ndarray:
    """How often each option's own noise is counted, by its number of answers: 0 without any, 2 with one, 1 from 2 on.

    An option that nobody chose may be one that nobody would choose, which has no noise, so it counts nothing; one that
    would be chosen by few is then chosen once instead about as often, and counts for both. Between whole numbers, as
    weights make them, it is linear.

    Parameters
    ----------
    truth : float64 array of shape (n, K)
        Observed shares.
    respondents : float64 array of shape (n,)

    Returns
    -------
    float64 array of shape (n, K)
    """
    with np.errstate(invalid="ignore"):  # infinitely many respondents x no share
        answers = np.where(truth > 0, truth * respondents[:, None], 0.0)
    return np.interp(answers, [0.0, 1.0, 2.0], [0.0, 2.0, 1.0])
