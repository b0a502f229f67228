"""What intervals rest on: questions, groups or respondents, resampled."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

__all__ = [
    "FEW_QUESTIONS",
    "check_confidence",
    "choose_resampled",
    "draw_respondents",
    "draw_sums",
    "drawn_truths",
    "percentile_interval",
    "sum_units",
]

FEW_QUESTIONS = 5
"""From this many questions on they are what is resampled: another survey would ask others."""

RESAMPLED = ("auto", "questions", "groups", "respondents")


def check_confidence(confidence: float) -> float:
    """A probability between 0 and 1, or an error."""
    if isinstance(confidence, bool) or not isinstance(confidence, int | float | np.floating):
        raise TypeError(f"confidence must be a number between 0 and 1, got {confidence!r}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence!r}")
    return float(confidence)


def choose_resampled(resample: str, n_questions: int, n_groups: int, *, exact_truth: bool) -> str | None:
    """What to resample: questions where there are enough of them, else the truth's respondents.

    None where there is nothing to draw: a single group with an exact truth.
    """
    if resample not in RESAMPLED:
        raise ValueError(f"resample must be one of {list(RESAMPLED)}, got {resample!r}")
    if resample == "respondents" and exact_truth:
        raise ValueError("resample='respondents' needs truth_respondents: an exact truth is not a sample")
    if resample == "questions" and n_questions < 2:
        raise ValueError("resample='questions' needs at least two questions; use 'groups' or 'respondents'")
    if resample != "auto":
        return resample
    if n_questions >= FEW_QUESTIONS:
        return "questions"
    if not exact_truth:
        return "respondents"
    return "groups" if n_groups > 1 else None


def draw_sums(numbers: np.ndarray, unit: np.ndarray, n_draws: int, generator: np.random.Generator) -> np.ndarray:
    """Sums over units drawn with replacement.

    Parameters
    ----------
    numbers : float64 array of shape (n_rows, ...)
    unit : array of shape (n_rows,)
        Rows of the same unit are drawn together.
    n_draws : int
    generator : Generator

    Returns
    -------
    float64 array of shape (n_draws, ...)
    """
    sums = sum_units(numbers, unit)
    times = generator.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=n_draws)
    return np.tensordot(times.astype(np.float64), sums, axes=1)


def sum_units(numbers: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Sums (n_units, ...) over the rows of each unit, in sorted order."""
    _, place = np.unique(unit.astype(str), return_inverse=True)
    sums = np.zeros((int(place.max()) + 1, *numbers.shape[1:]))
    np.add.at(sums, place, numbers)
    return sums


def drawn_truths(
    Y: np.ndarray, P: np.ndarray, n: np.ndarray, share: float, n_draws: int, generator: np.random.Generator
) -> Iterator[np.ndarray]:
    """Truths drawn anew, with replacement, within each cell.

    They are drawn around the truth, moved towards the prediction until the divergence between them is what it is
    without the truth's own noise. The observed truth is farther off, where the divergence is steeper, so that draws
    around it spread too much: nominal 90% intervals held up to 98%.

    Parameters
    ----------
    Y, P : float64 arrays of shape (n_cells, K)
        Truth and prediction, NaN past the last option.
    n : float64 array of shape (n_cells,)
        Respondents of the truth.
    share : float
        The debiased divergence as a share of the raw one; outside 0 to 1 it counts as 0 or 1.
    n_draws : int
    generator : Generator

    Yields
    ------
    float64 array of shape (n_cells, K)
    """
    size = np.maximum(np.round(n), 1).astype(np.int64)
    exists = ~np.isnan(Y)
    # nearby, the divergence is a square of the distance
    centre = np.nan_to_num(P + np.sqrt(np.clip(share, 0.0, 1.0)) * (Y - P))
    centre = np.clip(centre, 0.0, None)
    centre = centre / centre.sum(axis=1, keepdims=True)
    for _ in range(n_draws):
        yield np.where(exists, generator.multinomial(size, centre) / size[:, None], np.nan)


def draw_respondents(
    numbers: np.ndarray, without: np.ndarray, n_draws: int, generator: np.random.Generator
) -> np.ndarray:
    """Sums over splits for other respondents: others to learn from, and others to be the truth.

    Splits are other samples to learn from, with hardly a respondent in common; the truth is nearly the same in all of
    them, so that its noise does not average out and is added by a delete-a-group jackknife. Deviations of both kinds
    are drawn from normal distributions, those of the few splits with the tails of Student's t.

    Parameters
    ----------
    numbers : float64 array of shape (n_splits, n_columns)
    without : float64 array of shape (n_groups, n_columns)
        The sums over all splits without each group of the truth's respondents.
    n_draws : int
    generator : Generator

    Returns
    -------
    float64 array of shape (n_draws, n_columns)
    """
    J, G = len(numbers), len(without)
    drawn = np.repeat(numbers.sum(axis=0)[None], n_draws, axis=0)
    if J > 1:
        tails = np.sqrt((J - 1) / generator.chisquare(J - 1, size=(n_draws, 1)))
        deviations = (numbers - numbers.mean(axis=0)) * np.sqrt(J / (J - 1))
        drawn += tails * generator.standard_normal((n_draws, J)) @ deviations
    deviations = (without - without.mean(axis=0)) * np.sqrt((G - 1) / G)
    return drawn + generator.standard_normal((n_draws, G)) @ deviations


def percentile_interval(draws: np.ndarray, confidence: float, n_units: int | None = None) -> tuple[float, float]:
    """The ends that leave out equal shares of the draws; NaN draws are ignored, infinite ones count.

    Parameters
    ----------
    draws : float64 array of shape (n_draws,)
    confidence : float
    n_units : int, optional
        What the draws are a bootstrap over. Draws of n units spread by (n - 1) / n too little, and have the tails of a
        normal distribution and not Student's: the shares are those that make up for both (Hesterberg 2015 [1]_).

    Returns
    -------
    low, high : float

    References
    ----------
    .. [1] T. C. Hesterberg (2015), What teachers should know about the bootstrap, The American Statistician 69(4).
    """
    draws = draws[~np.isnan(draws)]
    if len(draws) == 0:
        return float("nan"), float("nan")
    tail = (1 - confidence) / 2
    if n_units is not None and n_units > 1:
        tail = float(norm.cdf(np.sqrt(n_units / (n_units - 1)) * student.ppf(tail, n_units - 1)))
    low = np.quantile(draws, tail, method="lower")
    high = np.quantile(draws, 1 - tail, method="higher")
    return float(low), float(high)
