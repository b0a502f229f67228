"""A first look at a source: do its levels agree with those of the respondents? Where learning begins depends on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from surveysim.baselines.priors import HIGHEST_CLASS, PriorTable
from surveysim.baselines.question_stacks import Quadratic

__all__ = ["Levels", "agreement", "levels_of"]

SLOPES = np.linspace(0.0, 1.0, 11)
FACTORS = np.geomspace(0.1, 3000.0, 32)
"""What is tried: slopes of the source's levels on the respondents', and factors of the drift that is expected."""

TAIL_DEGREES = 12.0
"""Degrees of freedom of the distribution of a question's distance."""

FAR = 3.0
"""Mean squared standardised distance from which on a question has a drift of its own size."""

FEWEST = 3
"""Questions of one size from which on their mean is taken for what is expected of each."""


@dataclass(frozen=True)
class Levels:
    """Scores of questions' pooled answers on their contrasts, and their sampling variances; (C,) per question.

    Attributes
    ----------
    scores, variances : list of float64 arrays
        NaN for questions without respondents.
    """

    scores: list[np.ndarray]
    variances: list[np.ndarray]


def levels_of(
    information: Sequence[Quadratic], degrees: Sequence[np.ndarray], table: PriorTable, middle: np.ndarray
) -> Levels:
    """Scores in the middle of a survey's backgrounds.

    Parameters
    ----------
    information : sequence of Quadratic
        Of each question's coefficients.
    degrees : sequence of int arrays of shape (C,)
        Of its contrasts.
    table : PriorTable
        Prior variances of the terms.
    middle : float64 array of shape (F,)
        The mean terms.
    """
    scores, variances = [], []
    for one, degree in zip(information, degrees, strict=True):
        n_contrasts = len(degree)
        scores.append(np.full(n_contrasts, np.nan))
        variances.append(np.full(n_contrasts, np.nan))
        if not one.matrix.any():
            continue
        moves = np.kron(np.eye(n_contrasts), middle)
        solved = np.linalg.solve(one.matrix + np.diag(table.precision(degree).ravel()), moves.T)
        scores[-1], variances[-1] = solved.T @ one.linear, np.einsum("cs,sc->c", moves, solved)
    return Levels(scores, variances)


def agreement(
    target: Levels,
    source: Levels,
    degrees: Sequence[np.ndarray],
    drift: np.ndarray,
    *,
    slope_deviation: float,
    coefficients: float,
) -> tuple[float, float, np.ndarray]:
    """The likeliest slope of a source's levels, and by how much they moved farther than is expected.

    The marginal likelihood of the source's levels given the respondents', on a grid, so that no start decides: for a
    question with the respondents' level t, known to a sampling variance, the source's is ``m + slope (t - m) + drift``
    around the mean m of questions of its size.

    Parameters
    ----------
    target, source : Levels
    degrees : sequence of int arrays of shape (C,)
        Of each question's contrasts.
    drift : float64 array of shape (4,)
        Variances of drift that are expected, by class of degree.
    slope_deviation : float
        Prior standard deviation of the slope around 1.
    coefficients : float
        How many coefficients a factor of 1 counts for.

    Returns
    -------
    slope, factor : float
        1 and 1 without a question in common.
    scales : float64 array of shape (Q,)
        By how much the variance of a question's drift is larger than that of the others: above 1 for those that are
        far from what slope and factor say.
    """
    log_probability = -0.5 * ((SLOPES[:, None] - 1.0) / slope_deviation) ** 2
    log_probability = log_probability - 0.5 * coefficients * (np.log(FACTORS) + 1.0 / FACTORS)
    seen = []
    for key in {(len(degree), bool(degree.all())) for degree in degrees}:
        which = [q for q, degree in enumerate(degrees) if (len(degree), bool(degree.all())) == key]
        t, s_t, s, s_s = (
            np.array([values[q] for q in which])
            for values in (target.scores, target.variances, source.scores, source.variances)
        )
        known = ~np.isnan(t).any(axis=1) & ~np.isnan(s).any(axis=1)
        if not known.any():
            continue
        t, s_t, s, s_s = t[known], s_t[known], s[known], s_s[known]
        unit = drift[np.minimum(np.array([degrees[q] for q in which])[known], HIGHEST_CLASS)]
        # unordered contrasts mean something else in every question
        mean = (t.mean(axis=0) + s.mean(axis=0)) / 2 if len(t) >= FEWEST and key[1] else np.zeros(t.shape[1])
        spread = np.maximum(((s - mean) ** 2 - s_s).mean(axis=0), 1e-3)
        reliability = spread / (spread + s_t)
        expected = reliability * (t - mean)
        for i, slope in enumerate(SLOPES):
            left = s - mean - slope * expected
            variance = slope**2 * spread * (1.0 - reliability) + s_s + FACTORS[:, None, None] * unit
            # heavy tails for a question as a whole: a few that are far off do not speak against the others
            size = left.shape[1]
            distance = (left**2 / variance).sum(axis=2)
            tails = 0.5 * (TAIL_DEGREES + size) * np.log1p(distance / TAIL_DEGREES)
            log_probability[i] -= (0.5 * np.log(variance).sum(axis=2) + tails).sum(axis=1)
        seen.append((np.array(which)[known], s, mean, spread, reliability, expected, s_s, unit))
    best = np.unravel_index(int(log_probability.argmax()), log_probability.shape)
    slope, factor = float(SLOPES[best[0]]), float(FACTORS[best[1]])
    scales = np.ones(len(degrees))
    for questions, s, mean, spread, reliability, expected, s_s, unit in seen:
        left = s - mean - slope * expected
        noise = slope**2 * spread * (1.0 - reliability) + s_s
        far = (left**2 / (noise + factor * unit)).mean(axis=1) > FAR
        surplus = np.maximum(left**2 - noise, 0.0) / (factor * unit)
        scales[questions[far]] = np.maximum(surplus.mean(axis=1)[far], 1.0)
    return slope, factor, scales
