"""The gate: a correction counts only if it helps questions that it was not fitted on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.base import clone

from surveysim.calibration.examples import Examples
from surveysim.calibration.maps import Calibrator, PriorCorrection
from surveysim.calibration.objectives import distance

__all__ = ["Gate", "judge"]

MIN_QUESTIONS = 3
"""Fewer held-out questions say nothing about their own error."""

MAX_FOLDS = 10


@dataclass(frozen=True)
class Gate:
    """What held-out questions said.

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


def judge(calibrator: Calibrator, examples: Examples, generator: np.random.Generator) -> Gate:
    """Hold questions out in turn and compare the fitted correction with the prior's.

    Parameters
    ----------
    calibrator : Calibrator
        Cloned for each fold.
    examples : Examples
        Of at least three questions, else the gate is open: it cannot judge.
    generator : numpy Generator
        Which questions share a fold, where there are more than 10.

    Returns
    -------
    Gate
        Open if held-out questions are better by more than one standard error of the mean over questions.
    """
    questions, index = np.unique(examples.question, return_inverse=True)
    n_questions = len(questions)
    if n_questions < MIN_QUESTIONS:
        return Gate(open=True, n_questions=n_questions)
    fold_of = np.arange(n_questions) % min(MAX_FOLDS, n_questions)
    if n_questions > MAX_FOLDS:
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
    return Gate(gain > standard_error, n_questions, gain, standard_error)
