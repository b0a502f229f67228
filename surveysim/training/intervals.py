"""How much a prediction depends on who was sampled: refits without one group of respondents each."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit, logit
from scipy.stats import t

from surveysim.base import PredictCells
from surveysim.training.fit import TrainingCells, as_member, make_trainer
from surveysim.training.progress import EpochBar
from surveysim.training.selection import split_respondents
from surveysim.training.setup import trunk_inputs

__all__ = ["counts_without_each_group", "jackknife_interval", "refit_without_each_group"]

N_GROUPS = 5
"""Random groups of respondents where the fit had no folds."""


def refit_without_each_group(model: Any, estimator: Any) -> list[dict[str, Any]]:
    """Members trained without each respondent fold in turn, everything else as in the fit."""
    training = estimator._training
    cells = PredictCells(training.backgrounds, training.question_index, estimator.questions_)
    members = []
    with EpochBar(estimator.verbose) as bar:
        recipe, inputs = trunk_inputs(model, estimator, estimator._template, cells)
        trainer = make_trainer(model, estimator, recipe, inputs, cells, training.seed, bar)
        for counts in counts_without_each_group(training):
            trainer.generator.manual_seed(training.seed)  # the same batches in the same order as in the fit
            members.append(as_member(trainer.train(counts, training.plan)))
    return members


def counts_without_each_group(training: TrainingCells) -> list[np.ndarray]:
    """Respondents per option of each cell (n, K) without each fold, or each random group, in turn."""
    folds = training.folds
    if folds is None:
        folds = _random_groups(training.counts, np.random.default_rng(training.seed))
    return [np.maximum(training.counts - folds[:, group], 0.0) for group in range(folds.shape[1])]


def jackknife_interval(center: np.ndarray, refits: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Interval from delete-a-group refits, symmetric in the log-odds of each share.

    The variance is ``(G - 1) / G * sum_g (l_g - mean(l))^2`` over the G refits' log-odds l_g; the quantile is that of
    Student's t with G - 1 degrees of freedom.

    Parameters
    ----------
    center : array of shape (n, K)
        The prediction.
    refits : array of shape (G, n, K)
        The refits' predictions.
    level : float
        Nominal coverage.

    Returns
    -------
    lower, upper : arrays of shape (n, K)
    """
    n_groups = len(refits)
    odds = _log_odds(refits)
    variance = (n_groups - 1) / n_groups * ((odds - odds.mean(axis=0)) ** 2).sum(axis=0)
    half = t.ppf(0.5 + level / 2, n_groups - 1) * np.sqrt(variance)
    middle = _log_odds(center)
    return expit(middle - half), expit(middle + half)


def _log_odds(P: np.ndarray) -> np.ndarray:
    return logit(np.clip(P, 1e-9, 1 - 1e-9))


def _random_groups(counts: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Counts (n, N_GROUPS, K): each respondent in one group at random; fractions of respondents go with the first."""
    rest, groups = counts, []
    for group in range(N_GROUPS - 1):
        parts = split_respondents(rest, None, 1.0 / (N_GROUPS - group), 1, generator)
        groups.append(parts[0].held_out if parts else np.zeros_like(rest))
        rest = parts[0].train if parts else rest
    return np.stack([rest, *groups], axis=1)
