"""How many respondents a prediction is worth: the size of the random survey that would be as far from the truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from surveysim.errors import SurveysimError
from surveysim.evaluation.comparison import MIN_RESPONDENTS, Comparison, check_rows
from surveysim.evaluation.floors import noise_floor
from surveysim.evaluation.random_surveys import GROUP_SIZES, group_divergence, respondents_for, survey_divergence
from surveysim.evaluation.report_levels import check_level
from surveysim.evaluation.resampling import check_confidence, choose_resampled
from surveysim.evaluation.worth_intervals import over_respondents, over_units
from surveysim.interfaces import RandomState
from surveysim.parameters import as_generator, check_number

__all__ = ["EquivalentRespondents", "NoisyTruthError", "equivalent_respondents"]

LARGEST_FLOOR = 0.5
"""Share of the raw divergence that may be the truth's own noise: above it, what is left is mostly noise as well."""


class NoisyTruthError(SurveysimError, ValueError):
    """The truth has too few respondents to tell how good a prediction is."""


@dataclass(frozen=True)
class EquivalentRespondents:
    """What a prediction is worth; `float()` of it is the number of respondents.

    Attributes
    ----------
    respondents : float
        Total respondents (who answer the question) of a simple random survey that is as far from the truth, on average.
        Infinite if no finite survey is as good, 0 if any survey is better.
    low, high : float
        Interval; NaN where there was nothing to resample.
    per_group : float
        Respondents per group, the same in each, whose shares would be as far from the truth.
    level : str
    divergence, debiased, floor : float
        Mean Jensen-Shannon divergence over the compared groups in bits: as it is, without the truth's noise, and
        that of a perfect prediction.
    n_groups, n_questions : int
        Groups that were compared (counted once for each question), and questions.
    resampled : str or None
        What the interval rests on: "questions", "groups" or "respondents" of the truth.
    confidence : float

    Examples
    --------
    >>> from surveysim.evaluation import equivalent_respondents
    >>> worth = equivalent_respondents([[0.2, 0.8], [0.4, 0.6]], [[0.25, 0.75], [0.35, 0.65]])
    >>> worth.level, worth.n_groups, float(worth) == worth.respondents
    ('cell', 2, True)
    """

    respondents: float
    low: float
    high: float
    per_group: float
    level: str
    divergence: float
    debiased: float
    floor: float
    n_groups: int
    n_questions: int
    resampled: str | None
    confidence: float

    def __float__(self) -> float:
        return self.respondents

    def __str__(self) -> str:
        interval = f" ({self.confidence:.0%} interval {self.low:,.0f} to {self.high:,.0f}, over {self.resampled})"
        return (
            f"worth {self.respondents:,.0f} respondents{interval if self.resampled else ''} at level {self.level!r}, "
            f"{self.per_group:,.0f} per group"
        )


def equivalent_respondents(
    Y_true: ArrayLike,
    Y_pred: ArrayLike,
    *,
    truth_respondents: ArrayLike | None = None,
    X: pd.DataFrame | None = None,
    level: str = "cell",
    question_column: str = "question",
    population: ArrayLike | None = None,
    min_respondents: float = MIN_RESPONDENTS,
    resample: Literal["auto", "questions", "groups", "respondents"] = "auto",
    confidence: float = 0.9,
    n_draws: int = 1000,
    random_state: RandomState = 0,
) -> EquivalentRespondents:
    r"""Find how many respondents a prediction is worth.

    The answer is the size of the simple random survey, spread over the groups as the population is, whose expected
    divergence from the truth equals the prediction's debiased one. The same prediction is worth different numbers at
    different levels: many respondents in crossed cells, where a survey has few each, and often none for the population.

    Parameters
    ----------
    Y_true, Y_pred : array-like of shape (n_cells, K)
        Truth and prediction, one row for each background and question, NaN past the last option of a shorter question.
    truth_respondents : float or array-like of shape (n_cells,), optional
        Respondents that each row's truth rests on. Rows with 0 are left out. None: the truth is exact.
    X : DataFrame of shape (n_cells, n_columns), optional
        Backgrounds, and the question column where there are several questions. Without it every row is a group of the
        same question, which is enough for level "cell".
    level : {"cell", "attribute", "population"}, default="cell"
        Crossed cells; groups of a single attribute (cells pooled); everybody.
    question_column : str, default="question"
    population : array-like of shape (n_cells,), optional
        People (or any multiple) that each row stands for: how cells are pooled, and how a survey spreads over groups.
        Default: `truth_respondents`, and equal where the truth is exact.
    min_respondents : float, default=50
        Groups with at least this many respondents in the truth are compared, each with the same weight.
    resample : {"auto", "questions", "groups", "respondents"}, default="auto"
        What the interval is a bootstrap over. "auto": questions, if there are at least 5; else the truth's respondents
        (how well *this* truth determines the figure, for these questions); else, if the truth is exact, groups.
    confidence : float, default=0.9
        Confidence level of the interval.
    n_draws : int, default=1000
        Bootstrap draws.
    random_state : int, RandomState, Generator or None, default=0

    Returns
    -------
    EquivalentRespondents

    Raises
    ------
    NoisyTruthError
        A ValueError: if the noise floor is over half of the raw divergence, as it is when the prediction *is* the truth
        that it is compared with.
    ValueError
        If rows are not distributions or lack a prediction, or no group has enough respondents.

    Notes
    -----
    The divergence is Jensen-Shannon's, base 2, and so is the survey's; its expectation is exact (a sum over binomial
    counts, see `noise_floor`), over random group sizes too. Where a survey has nobody in a group, it says what all its
    respondents together say. That makes very small surveys better than somewhat larger ones, in which many groups have
    a single respondent; the number reported is the size from which surveys stay better.

    Intervals over questions or groups come from a studentised bootstrap: divergences are skewed, and percentiles would
    err towards too many respondents. Over respondents, truths are resampled from the one observed, moved towards the
    prediction by the truth's own noise. Intervals of nominally 90% held the worth in 85 to 89% of simulated surveys of
    5, 10 and 20 questions (83 to 85% where a few questions make up most of the divergence), and in 85 to 96% over
    respondents (``python -m benchmarks.equivalents_coverage``).

    To first order, surveys with n respondents in each group have a divergence of (K - 1) / (8 n ln 2).

    Examples
    --------
    >>> import numpy as np
    >>> from surveysim.evaluation import equivalent_respondents
    >>> truth = np.array([[0.2, 0.3, 0.5], [0.3, 0.3, 0.4], [0.4, 0.3, 0.3], [0.5, 0.3, 0.2]])
    >>> prediction = truth + [
    ...     [0.05, 0, -0.05],
    ...     [-0.05, 0, 0.05],
    ...     [0, 0.05, -0.05],
    ...     [0.05, -0.05, 0],
    ... ]
    >>> worth = equivalent_respondents(truth, prediction)
    >>> round(worth.per_group), round(worth.respondents)
    (130, 524)
    """
    check_level(level)
    check_confidence(confidence)
    check_number("min_respondents", min_respondents, low=0, open_low=True)
    check_number("n_draws", n_draws, integer=True, low=1)
    rows = check_rows(
        Y_true,
        Y_pred,
        truth_respondents=truth_respondents,
        X=X,
        question_column=question_column,
        population=population,
    )
    groups = rows.compare(level, min_respondents)
    raw, debiased = groups.divergence()
    floor = 0.0 if groups.n is None else float(noise_floor(groups.Y, groups.n))
    _refuse_noise(float(raw.mean()), floor, groups)
    expected = survey_divergence(groups.Y, groups.share, rest=groups.rest, truth_respondents=groups.n)
    in_groups = group_divergence(groups.Y)
    n_questions = len(set(groups.question))
    resampled = choose_resampled(resample, n_questions, len(groups.kept), exact_truth=groups.n is None)
    low, high = float("nan"), float("nan")
    if resampled == "respondents":
        low, high = over_respondents(rows, groups, debiased, expected, confidence, n_draws, as_generator(random_state))
    elif resampled is not None:
        unit = groups.question if resampled == "questions" else np.arange(len(debiased))
        low, high = over_units(debiased, expected, unit, confidence, n_draws, as_generator(random_state))
    mean = np.array([debiased.mean()])
    return EquivalentRespondents(
        respondents=float(respondents_for(mean, expected.mean(axis=0, keepdims=True))[0]),
        low=low,
        high=high,
        per_group=float(respondents_for(mean, in_groups.mean(axis=0, keepdims=True), GROUP_SIZES)[0]),
        level=level,
        divergence=float(raw.mean()),
        debiased=float(mean[0]),
        floor=floor,
        n_groups=len(groups.kept),
        n_questions=n_questions,
        resampled=resampled,
        confidence=confidence,
    )


def is_too_noisy(raw: float, floor: float) -> bool:
    """Whether the truth's noise is over half of what was found."""
    return floor > LARGEST_FLOOR * raw


def _refuse_noise(raw: float, floor: float, groups: Comparison) -> None:
    if floor == 0 or not is_too_noisy(raw, floor):
        return
    if raw < 1e-12:
        raise NoisyTruthError(
            "the prediction equals the truth, which is itself a sample: was it made from the same respondents? Compare "
            "with respondents that it has not seen, or leave out truth_respondents if the truth is exact."
        )
    raise NoisyTruthError(
        f"at level {groups.level!r} the truth's own sampling noise, {floor:.4f} bits, is over half of the divergence "
        f"found, {raw:.4f}: what the prediction is worth cannot be determined. Use a truth with more respondents, "
        "a coarser level, or a larger min_respondents."
    )
