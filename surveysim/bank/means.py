"""The mean of the training questions: what can be said of a new question without a language model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from surveysim.cells import PredictCells

__all__ = ["mean_logits", "question_margins", "question_means", "start_logits"]

FEWEST_SHARE = 1e-3
"""Shares are at least this before a logarithm is taken: the mean of a few questions may have nobody at an option."""


def question_margins(cells: PredictCells, Y: np.ndarray, weights: np.ndarray) -> dict[int, np.ndarray]:
    """Each question's margin (K,), by its number among `cells.questions`: the weighted mean over its cells."""
    return {
        number: np.average(Y[rows, : question.n_options], axis=0, weights=weights[rows])
        for number, _, question, rows in cells.by_question()
    }


def question_means(margins: Mapping[int, np.ndarray]) -> dict[int, tuple[float, ...]]:
    """The mean margin, option by option in their order, of all questions with as many options."""
    by_length: dict[int, list[np.ndarray]] = {}
    for margin in margins.values():
        by_length.setdefault(len(margin), []).append(margin)
    return {K: tuple(np.mean(found, axis=0).tolist()) for K, found in sorted(by_length.items())}


def mean_logits(means: Mapping[int, Sequence[float]], n_options: Sequence[int], width: int) -> np.ndarray:
    """Log shares (len(n_options), width) of the mean question of each length, centred; 0 where none was seen."""
    logits = np.zeros((len(n_options), width))
    for row, K in enumerate(n_options):
        if int(K) in means:
            logits[row, : int(K)] = _centred_log(np.asarray(means[int(K)]))
    return logits


def start_logits(margins: Mapping[int, np.ndarray], n_questions: int, width: int) -> np.ndarray:
    """For each training question log shares (n_questions, width) of the mean of the *others* with as many options.

    With the question's own margin in it the mean would look better in training than it is for a new question.
    """
    logits = np.zeros((n_questions, width))
    for number, margin in margins.items():
        others = [m for other, m in margins.items() if other != number and len(m) == len(margin)]
        if others:
            logits[number, : len(margin)] = _centred_log(np.mean(others, axis=0))
    return logits


def _centred_log(shares: np.ndarray) -> np.ndarray:
    logs = np.log(np.maximum(shares, FEWEST_SHARE))
    return logs - logs.mean()
