"""Intervals of equivalent respondents: over questions or groups (studentised bootstrap), or the truth's respondents."""

from __future__ import annotations

import numpy as np
from scipy.stats import t as student

from surveysim.evaluation.comparison import Comparison, Rows
from surveysim.evaluation.random_surveys import SURVEY_SIZES, respondents_for
from surveysim.evaluation.resampling import FEW_QUESTIONS, drawn_truths, percentile_interval, sum_units
from surveysim.metrics import js_divergence

__all__ = ["over_respondents", "over_units"]

DEGENERATE = 1e-9
"""Relative to the figure's own, standard errors in draws below it are 0: the same unit was drawn throughout."""


def over_units(
    divergence: np.ndarray,
    expected: np.ndarray,
    unit: np.ndarray,
    confidence: float,
    n_draws: int,
    generator: np.random.Generator,
) -> tuple[float, float]:
    """The interval of what a mean divergence is worth, if other questions (or groups) might have been asked.

    Divergences are skewed over questions: a few are far off, and most samples of questions lack them, so that
    percentiles of a bootstrap err towards too many respondents. A studentised bootstrap [1]_ learns the skewness: it
    asks how far means of drawn units are from the mean of all, in standard errors of their own. It is done for the
    logarithm of the mean divergence over that of the random survey of as many respondents, whose standard error
    follows from the units (linearised ratio), and where the divergence may be 0 for the difference of the two. Below 5
    units, too few to tell their skewness, Student's t takes the place of the draws.

    Parameters
    ----------
    divergence : float64 array of shape (n,)
        Debiased, of each compared group.
    expected : float64 array of shape (n, n_sizes)
        Of random surveys of `SURVEY_SIZES`.
    unit : array of shape (n,)
        Groups of the same unit are drawn together.
    confidence : float
    n_draws : int
    generator : Generator

    Returns
    -------
    low, high : float

    References
    ----------
    .. [1] A. C. Davison and D. V. Hinkley (1997), Bootstrap methods and their application, section 5.2.1.
    """
    sums = sum_units(np.column_stack([divergence, expected, np.ones(len(divergence))]), unit)
    D, E, count = sums[:, 0], sums[:, 1:-1], sums[:, -1]
    curve = E.sum(axis=0) / count.sum()
    mean = D.sum() / count.sum()
    worth = respondents_for(np.array([mean]), curve[None])[0]
    # The survey's divergence is compared at one size, that of the figure: its own curve then leads from it to the ends.
    size = np.clip(worth, SURVEY_SIZES[0], SURVEY_SIZES[-1])
    survey = _at(E, size)
    times = generator.multinomial(len(D), np.full(len(D), 1 / len(D)), size=n_draws).astype(np.float64)
    drawn = times @ D
    tail = (1 - confidence) / 2
    if mean > 0 and np.mean(drawn <= 0) < tail:
        positive = drawn > 0
        times, drawn = times[positive], drawn[positive]
        own = np.log(D.sum() / survey.sum())
        error = float(_standard_error(D / D.sum() - survey / survey.sum(), np.ones(len(D))))
        drawn_survey = times @ survey
        residual = D / drawn[:, None] - survey / drawn_survey[:, None]
        far = _in_errors(np.log(drawn / drawn_survey) - own, _standard_error(residual, times), error)
        lower, upper = _quantiles(far, tail, len(D))
        ends = np.exp(own - np.array([upper, lower]) * error) * survey.sum() / count.sum()
    else:
        own = (D - survey).sum() / count.sum()
        error = float(_standard_error(D - survey - count * own, np.ones(len(D)))) / count.sum()
        drawn_count = times @ count
        means = times @ (D - survey) / drawn_count
        residual = D - survey - count * means[:, None]
        far = _in_errors(means - own, _standard_error(residual, times) / drawn_count, error)
        lower, upper = _quantiles(far, tail, len(D))
        ends = own - np.array([upper, lower]) * error + survey.sum() / count.sum()
    high, low = respondents_for(ends, np.repeat(curve[None], 2, axis=0))
    return float(low), float(high)


def over_respondents(
    rows: Rows,
    groups: Comparison,
    debiased: np.ndarray,
    expected: np.ndarray,
    confidence: float,
    n_draws: int,
    generator: np.random.Generator,
) -> tuple[float, float]:
    """The interval of what a prediction is worth, if other respondents had been the truth.

    Percentiles of the debiased divergences to truths that are drawn anew (`drawn_truths`), moved to the figure itself.

    Parameters
    ----------
    rows : Rows
    groups : Comparison
        Of these rows.
    debiased : float64 array of shape (n_groups,)
    expected : float64 array of shape (n_groups, n_sizes)
    confidence : float
    n_draws : int
    generator : Generator

    Returns
    -------
    low, high : float
    """
    assert rows.n is not None
    assert groups.n is not None
    raw = float(js_divergence(groups.Y, groups.P))
    truths = drawn_truths(rows.Y, rows.P, rows.n, float(debiased.mean()) / raw, n_draws, generator)
    drawn = np.array(
        [
            js_divergence(groups.groups.pool(Y, rows.population)[groups.kept], groups.P, truth_respondents=groups.n)
            for Y in truths
        ]
    )
    drawn += debiased.mean() - drawn.mean()  # a sample of a sample has its noise twice
    curve = np.broadcast_to(expected.mean(axis=0), (n_draws, expected.shape[1]))
    return percentile_interval(respondents_for(drawn, curve), confidence)


def _at(E: np.ndarray, size: float) -> np.ndarray:
    """Expected divergences (n_units,) at a size between those of the table, in logarithms as `respondents_for`."""
    right = np.clip(np.searchsorted(SURVEY_SIZES, size), 1, len(SURVEY_SIZES) - 1)
    part = np.log(size / SURVEY_SIZES[right - 1]) / np.log(SURVEY_SIZES[right] / SURVEY_SIZES[right - 1])
    logs = np.log(np.maximum(E[:, right - 1 : right + 1], np.finfo(float).tiny))
    return np.exp((1 - part) * logs[:, 0] + part * logs[:, 1])


def _standard_error(residual: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Of a sum over units, from what each adds; `times` each was drawn."""
    n_units = residual.shape[-1]
    return np.sqrt(n_units / max(n_units - 1, 1) * (times * residual**2).sum(axis=-1))


def _in_errors(distance: np.ndarray, errors: np.ndarray, error: float) -> np.ndarray:
    """Distances in standard errors of their own; draws of a single unit, which have none, are left out."""
    told = errors > DEGENERATE * error
    return distance[told] / errors[told]


def _quantiles(far: np.ndarray, tail: float, n_units: int) -> tuple[float, float]:
    """The lower and the upper quantile of the distances in standard errors."""
    if n_units < FEW_QUESTIONS or not len(far):
        wide = float(student.ppf(1 - tail, max(n_units - 1, 1)))
        return -wide, wide
    return float(np.quantile(far, tail, method="lower")), float(np.quantile(far, 1 - tail, method="higher"))
