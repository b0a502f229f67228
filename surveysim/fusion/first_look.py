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

ROUNDS = 3
"""How often the factors of the degrees and the slope are tried in turn."""

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
) -> tuple[float, np.ndarray, np.ndarray]:
    """The likeliest slope of a source's levels, and by how much they moved farther than is expected.

    The marginal likelihood of the source's levels given the respondents', on a grid, so that no start decides: for a
    question with the respondents' level t, known to a sampling variance, the source's is ``m + slope (t - m) + drift``
    around the mean m of questions of its size. First one factor for all degrees of contrasts, then one for each: where
    opinions moved up or down a long scale, its many higher contrasts may stand still.

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
    slope : float
        1 without a question in common.
    factors : float64 array of shape (4,)
        By class of degree; 1 without a question in common.
    scales : float64 array of shape (Q,)
        By how much the variance of a question's drift is larger than that of the others: above 1 for those that are
        far from what slope and factors say.
    """
    groups = _groups(target, source, degrees)
    classes = sorted({int(c) for group in groups for c in np.unique(group.classes)})

    def log_probability(slope: float, factors: np.ndarray, whole: float) -> float:
        # the inverse chi-squared of a variance with so many coefficients behind it: of all, and of each class in them
        own = factors[classes] / whole
        prior = -0.5 * ((slope - 1.0) / slope_deviation) ** 2 - 0.5 * coefficients * (
            np.log(whole) + 1.0 / whole + float((np.log(own) + 1.0 / own - 1.0).sum())
        )
        return float(prior + sum(group.log_likelihood(slope, factors * drift) for group in groups))

    def best_of(tried: Sequence[tuple[float, np.ndarray, float]]) -> tuple[float, np.ndarray, float]:
        return max(tried, key=lambda one: log_probability(*one))

    ones = np.ones(HIGHEST_CLASS + 1)
    common = best_of([(float(slope), factor * ones, float(factor)) for slope in SLOPES for factor in FACTORS])
    ends = []
    for found in (common, (common[0], ones, 1.0)):
        for _ in range(ROUNDS):
            slope, factors, whole = found
            for c in classes:
                tried = [np.where(np.arange(len(ones)) == c, whole * factor, factors) for factor in (1.0, *FACTORS)]
                slope, factors, whole = best_of([(slope, one, whole) for one in tried])
            found = best_of([(float(one), factors, whole) for one in SLOPES])
        ends.append(found)
    slope, factors, _ = best_of([common, *ends])
    scales = np.ones(len(degrees))
    for group in groups:
        far, farther = group.scales(slope, factors * drift)
        scales[group.which[far]] = farther[far]
    return slope, factors, scales


@dataclass(frozen=True)
class _Group:
    """Levels of questions of one size, around their mean; arrays of shape (n, C) unless said otherwise.

    Attributes
    ----------
    which : int array of shape (n,)
        The questions that both sides asked.
    classes : int array
        The class of degree of every contrast.
    source : float64 array
        The source's levels, and their sampling variances `noise`.
    expected, doubt : float64 arrays
        Posterior means and variances of the target's.
    """

    which: np.ndarray
    classes: np.ndarray
    source: np.ndarray
    noise: np.ndarray
    expected: np.ndarray
    doubt: np.ndarray

    def log_likelihood(self, slope: float, drift: np.ndarray) -> float:
        """Of the source's levels, given a slope and variances of drift (4,)."""
        left = self.source - slope * self.expected
        variance = slope**2 * self.doubt + self.noise + drift[self.classes]
        # heavy tails for a question as a whole: a few that are far off do not speak against the others
        distance = (left**2 / variance).sum(axis=1)
        tails = 0.5 * (TAIL_DEGREES + left.shape[1]) * np.log1p(distance / TAIL_DEGREES)
        return -float((0.5 * np.log(variance).sum(axis=1) + tails).sum())

    def scales(self, slope: float, drift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which questions are far off, and by how much the variance of their drift is larger, (n,) each."""
        left = self.source - slope * self.expected
        noise = slope**2 * self.doubt + self.noise
        far = (left**2 / (noise + drift[self.classes])).mean(axis=1) > FAR
        surplus = np.maximum(left**2 - noise, 0.0) / drift[self.classes]
        return far, np.maximum(surplus.mean(axis=1), 1.0)


def _groups(target: Levels, source: Levels, degrees: Sequence[np.ndarray]) -> list[_Group]:
    groups = []
    for key in sorted({(len(degree), bool(degree.all())) for degree in degrees}):
        which = np.array([q for q, degree in enumerate(degrees) if (len(degree), bool(degree.all())) == key])
        t, s_t, s, s_s = (
            np.array([values[q] for q in which])
            for values in (target.scores, target.variances, source.scores, source.variances)
        )
        known = ~np.isnan(t).any(axis=1) & ~np.isnan(s).any(axis=1)
        if not known.any():
            continue
        which, t, s_t, s, s_s = which[known], t[known], s_t[known], s[known], s_s[known]
        classes = np.minimum([degrees[q] for q in which], HIGHEST_CLASS)
        # unordered contrasts mean something else in every question
        mean = (t.mean(axis=0) + s.mean(axis=0)) / 2 if len(t) >= FEWEST and key[1] else np.zeros(t.shape[1])
        spread = np.maximum(((s - mean) ** 2 - s_s).mean(axis=0), 1e-3)
        reliability = spread / (spread + s_t)
        groups.append(_Group(which, classes, s - mean, s_s, reliability * (t - mean), spread * (1.0 - reliability)))
    return groups
