"""Draws of predictions with correlated errors, from which intervals of groups of cells are made."""

from __future__ import annotations

import numpy as np
from scipy.special import softmax
from scipy.stats import norm, t

from surveysim.cells import PredictCells
from surveysim.dsa.fitted import with_questions
from surveysim.dsa.intervals import Uncertainty, expected_variance, jackknife_variance

__all__ = ["draw_predictions"]

LEVEL = 0.9
"""Coverage at which draws are as wide as `combined_interval`; the jackknife's tails are a little longer farther out."""


def draw_predictions(
    uncertainty: Uncertainty,
    cells: PredictCells,
    center: np.ndarray,
    refits: np.ndarray,
    n_draws: int,
    generator: np.random.Generator,
) -> np.ndarray:
    """Draws around a prediction, as wide in each cell as its interval, and joint over the cells of a question.

    The error of a prediction m has two parts, as in `expected_variance`. What the logit leaves open: draws l from its
    posterior less its prediction, in which cells already hang together by the terms they share. And the distance of
    the prediction from the logit, which is an error to an unknown extent, in every cell of the question to the same
    one: times one standard normal number for each draw and question. So the mean of some cells has the variance that
    `expected_variance` would give to that mean. Where the jackknife's standard error of a cell is wider, its draws are
    spread by as much.

    Parameters
    ----------
    uncertainty : Uncertainty
        The logit of the training cells, and by how much the expected variance is to be multiplied.
    cells : PredictCells
        What is predicted.
    center : array of shape (n, K)
        The prediction, NaN past the last option.
    refits : array of shape (G, n, K)
        Predictions of the refits without each group.
    n_draws : int
    generator : numpy Generator

    Returns
    -------
    float64 array of shape (n_draws, n, K)
    """
    reference = uncertainty.logit
    X = with_questions(reference, cells)
    level = reference.predict(X)
    expected = expected_variance(reference, cells, center)
    width = _widths(expected, uncertainty, refits)
    errors = _log(reference.predict_draws(X, n_draws, random_state=generator)) - _log(level)
    distance = _log(level) - _log(center)
    known = ~np.isnan(expected)
    found = np.full((n_draws, *center.shape), np.nan)
    for _, _, question, rows in cells.by_question():
        own = (slice(None), rows, slice(question.n_options))
        if known[rows].any():
            shared = generator.standard_normal((n_draws, 1, 1))
            error = errors[own] + shared * distance[own[1:]]
        else:  # the question has no training cells: its level is off by the same in all cells
            error = np.sqrt(uncertainty.typical) * _unit_log_odds(center[own[1:]], n_draws, generator)
        found[own] = softmax(_log(center[own[1:]]) + width[rows, None] * error, axis=-1)
    return found


def _widths(expected: np.ndarray, uncertainty: Uncertainty, refits: np.ndarray) -> np.ndarray:
    """By what each cell's draws are multiplied, (n,): the factor, and where the jackknife is wider, that as well."""
    variance = uncertainty.factor * np.where(np.isnan(expected), uncertainty.typical, expected)
    tails = t.ppf(0.5 + LEVEL / 2, len(refits) - 1) / norm.ppf(0.5 + LEVEL / 2)
    wider = np.maximum(tails**2 * jackknife_variance(refits), variance)
    exists = ~np.isnan(refits[0])
    return np.sqrt(uncertainty.factor * np.mean(wider / variance, axis=1, where=exists))


def _unit_log_odds(P: np.ndarray, n_draws: int, generator: np.random.Generator) -> np.ndarray:
    """Normal errors (n_draws, n, K) of logits, one vector for all cells, whose log-odds have variances around 1."""
    K = P.shape[1]
    # log-odds of option k move by (z_k - sum_j p_j z_j) / (1 - p_k)
    slope = (np.eye(K)[None] - P[:, None, :]) / np.maximum(1.0 - P, 1e-9)[:, :, None]
    size = np.sqrt(np.mean((slope**2).sum(axis=2)))
    return np.broadcast_to(generator.standard_normal((n_draws, 1, K)) / size, (n_draws, *P.shape))


def _log(P: np.ndarray) -> np.ndarray:
    return np.log(np.clip(P, 1e-9, None))
