"""The gate: a correction counts only if it helps questions that it was not fitted on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student
from sklearn.base import clone

from surveysim.calibration.examples import Examples
from surveysim.calibration.maps import Calibrator, PriorCorrection
from surveysim.calibration.objectives import distance

__all__ = ["Gate", "gate_of"]

MIN_QUESTIONS = 3
"""Fewer held-out questions say nothing about their own error."""

MAX_FOLDS = 10

WITH_PRIOR, WITHOUT_PRIOR = 0.84, 0.95
"""How sure the gate must be that a correction helps, by whether a prior holds it: one standard error of many
questions, and 1.6. Chosen on the two tuning models of `surveysim.calibration.priors`, in 20 draws each: at one standard
error "linear" was opened in a fifth of the draws of 3 to 10 questions and lost .5 to .9 points of opinion alignment on
average, 13 at worst; at 95% it lost less than .25 on average, and gained .16 of .20 points at 40. "tempered" loses
nothing at 84%, and half of what it gains at 95%."""


@dataclass(frozen=True)
class Gate:
    """How a correction did on held-out questions: its gain, and whether that is more than chance.

    Attributes
    ----------
    open : bool
        Whether the fitted correction is used.
    n_questions : int
        Questions that were held out, in turn.
    gain : float
        Mean over questions of the objective under the prior's correction minus that under the fitted one; NaN where
        the gate did not judge.
    standard_error : float
        Of that mean.
    needed : float
        Standard errors that the gain must exceed: a quantile of Student's t, larger for few questions and for maps that
        no prior holds.

    Examples
    --------
    >>> from surveysim.calibration import Gate
    >>> Gate(open=True, n_questions=5, gain=0.02, standard_error=0.01).open
    True
    """

    open: bool
    n_questions: int
    gain: float = float("nan")
    standard_error: float = float("nan")
    needed: float = float("nan")


def gate_of(calibrator: Calibrator, examples: Examples, generator: np.random.Generator | None) -> Gate:
    """Hold questions out in turn and compare the fitted correction with the prior's.

    Parameters
    ----------
    calibrator : Calibrator
        Cloned for each fold.
    examples : Examples
        Fewer than three questions cannot be judged: the gate is then open for maps that a prior holds, and closed for
        the others.
    generator : numpy Generator or None
        Which questions share a fold, where there are more than 10; None: they are dealt out in their order.

    Returns
    -------
    Gate
        Open if held-out questions are better by so many standard errors of the mean over questions that it is hardly
        chance.
    """
    questions, index = np.unique(examples.question, return_inverse=True)
    n_questions = len(questions)
    if n_questions < MIN_QUESTIONS:
        return Gate(open=calibrator.has_prior, n_questions=n_questions)
    fold_of = np.arange(n_questions) % min(MAX_FOLDS, n_questions)
    if n_questions > MAX_FOLDS and generator is not None:
        generator.shuffle(fold_of)
    fold = fold_of[index]
    held_out = np.full(examples.P.shape, np.nan)
    for number in range(fold_of.max() + 1):
        out = fold == number
        held_out[out] = clone(calibrator).fit(examples.rows(~out)).predict(examples.rows(out))
    better = distance(PriorCorrection().predict(examples), examples) - distance(held_out, examples)
    weight = np.bincount(index, examples.weight)
    gains = np.bincount(index, examples.weight * better) / weight
    gain = float(gains.mean())
    standard_error = float(gains.std(ddof=1) / np.sqrt(n_questions))
    needed = float(student.ppf(WITH_PRIOR if calibrator.has_prior else WITHOUT_PRIOR, n_questions - 1))
    return Gate(gain > needed * standard_error, n_questions, gain, standard_error, needed)
