"""Reference shifts of stage 2: what is known about differences between backgrounds besides the cells themselves."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Mapping
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
from scipy.optimize import minimize

from surveysim.baselines.logit import LogitRegressor
from surveysim.questions import Question

__all__ = ["REFERENCES", "ShiftReference", "baseline_logits", "fit_gap_inflation", "observed_logits", "start_logits"]

ShiftReference: TypeAlias = Literal["auto", "zero", "baseline", "zero-shot", "observed"]

REFERENCES = ("zero", "baseline", "zero-shot", "observed")
"""Where reference shifts can come from; `"auto"` chooses among the first three."""

SLOPE_SCALE = 0.5
"""Prior standard deviation of a gap-inflation slope: published models' fitted slopes lie between 0.05 and 0.9."""

PSEUDO_RESPONDENTS = 0.5
"""Added to each option before a logarithm is taken of counts (Jeffreys)."""


# Members are trained in threads at once, and filters of warnings belong to the whole process: of two threads that put
# back what they found, the second would put back the first one's.
_filters_lock = threading.Lock()


def start_logits(counts: np.ndarray, question_index: np.ndarray, n_options: np.ndarray) -> np.ndarray:
    """Log shares of each question's pooled training margin, (n_questions, K), centred over its options; 0 elsewhere.

    Parameters
    ----------
    counts : array of shape (n, K)
        Respondents per option of each cell.
    question_index : int array of shape (n,)
        Each cell's question.
    n_options : int array of shape (n_questions,)
        How many options each question has.
    """
    pooled = np.zeros((len(n_options), counts.shape[1]))
    np.add.at(pooled, question_index, counts)
    exists = np.arange(counts.shape[1]) < n_options[:, None]
    return _centred(np.log(pooled + PSEUDO_RESPONDENTS), exists)


def observed_logits(counts: np.ndarray, n_options: np.ndarray) -> np.ndarray:
    """Log shares of each cell's own counts, (n, K), half a respondent added to each option."""
    return _centred(np.log(counts + PSEUDO_RESPONDENTS), np.arange(counts.shape[1]) < n_options[:, None])


def baseline_logits(
    counts: np.ndarray,
    backgrounds: pd.DataFrame,
    question_index: np.ndarray,
    questions: Mapping[str, Question],
) -> tuple[np.ndarray, LogitRegressor]:
    """Option logits (n, K) of the order-aware logit fitted to these counts, 0 where there is no option, and the model.

    A question without respondents keeps zeros: groups are alike there.
    """

    names = np.array(list(questions), dtype=object)
    column = "question"
    while column in backgrounds.columns:
        column += "_"
    X = backgrounds.copy()
    X.insert(0, column, names[question_index])
    n_options = np.array([question.n_options for question in questions.values()])[question_index]
    n = counts.sum(axis=1)
    exists = np.arange(counts.shape[1]) < n_options[:, None]
    Y = np.where(exists, (counts + 1e-12) / (n[:, None] + 1e-12 * n_options[:, None]), np.nan)
    model = LogitRegressor(question=dict(questions), question_column=column, unseen="uniform")
    with _filters_lock, warnings.catch_warnings():  # the user's weights were looked at; these are parts of them
        warnings.filterwarnings("ignore", message="sample_weight looks normalised", category=UserWarning)
        model.fit(X, Y, sample_weight=n)
    return np.nan_to_num(model.predict_logits(X), nan=0.0), model


def fit_gap_inflation(
    zero_shot: np.ndarray, counts: np.ndarray, codes: np.ndarray, question_index: np.ndarray, n_options: np.ndarray
) -> np.ndarray:
    """How much of the untuned model's shifts the data bear out, one slope per attribute, pooled over questions.

    Maximises the likelihood of the counts under logits ``alpha_q + sum_a beta_a m_a(b)``, with alpha free, m_a the
    untuned model's mean logits by level of attribute a less the question's mean, ``beta_a >= 0`` and a Gaussian prior
    N(0, 0.5^2) on beta.

    Parameters
    ----------
    zero_shot : array of shape (n, K)
        The untuned model's option logits, NaN where there is no option.
    counts : array of shape (n, K)
        Respondents per option.
    codes : int array of shape (n, n_attributes)
        Levels of the attributes, -1 where not stated.
    question_index : int array of shape (n,)
        Each cell's question.
    n_options : int array of shape (n_questions,)
        How many options each question has.

    Returns
    -------
    float64 array of shape (n_attributes,)
        1: the model's gaps have the size of people's; below 1: it exaggerates them; 0: they are not borne out.
    """
    n_questions, n_columns = len(n_options), counts.shape[1]
    exists = np.arange(n_columns) < n_options[:, None]
    cell_exists = exists[question_index]
    logits = _centred(np.nan_to_num(zero_shot), cell_exists)
    n = counts.sum(axis=1)
    if not codes.shape[1]:
        return np.zeros(0)
    effects = np.stack([_main_effect(logits, n, codes[:, a], question_index) for a in range(codes.shape[1])])
    blocked = np.where(cell_exists, 0.0, -np.inf)

    def objective(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        alpha = parameters[: n_questions * n_columns].reshape(n_questions, n_columns)
        beta = parameters[n_questions * n_columns :]
        z = alpha[question_index] + np.tensordot(beta, effects, axes=1) + blocked
        z -= z.max(axis=1, keepdims=True)
        log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
        residual = n[:, None] * np.exp(log_p) - counts
        # a slight pull keeps the intercepts, of which one per question is redundant, in place
        value = -(counts * np.where(counts > 0, log_p, 0.0)).sum() + 0.5 * (beta**2).sum() / SLOPE_SCALE**2
        value += 0.5e-3 * (alpha**2).sum()
        gradient_alpha = np.zeros_like(alpha)
        np.add.at(gradient_alpha, question_index, residual)
        gradient_beta = (effects * residual).sum(axis=(1, 2)) + beta / SLOPE_SCALE**2
        return value, np.concatenate([(gradient_alpha + 1e-3 * alpha).ravel(), gradient_beta])

    start = np.concatenate([start_logits(counts, question_index, n_options).ravel(), np.zeros(len(effects))])
    bounds = [(None, None)] * (n_questions * n_columns) + [(0.0, None)] * len(effects)
    found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 500})
    return found.x[n_questions * n_columns :]


def _main_effect(logits: np.ndarray, n: np.ndarray, codes: np.ndarray, question_index: np.ndarray) -> np.ndarray:
    """Mean logits by question and level less the question's mean, per cell; 0 where the level is not stated."""
    level = np.unique(np.column_stack([question_index, codes]), axis=0, return_inverse=True)[1].reshape(-1)
    effect = _group_means(logits, n, level) - _group_means(logits, n, question_index)
    return np.where((codes >= 0)[:, None], effect, 0.0)


def _group_means(values: np.ndarray, weight: np.ndarray, group: np.ndarray) -> np.ndarray:
    weight = weight + 1e-9  # a group without respondents has a mean too
    total = np.bincount(group, weights=weight)
    sums = np.stack([np.bincount(group, weights=weight * column) for column in values.T], axis=1)
    return (sums / np.maximum(total, 1e-300)[:, None])[group]


def _centred(logits: np.ndarray, exists: np.ndarray) -> np.ndarray:
    mean = np.where(exists, logits, 0.0).sum(axis=1, keepdims=True) / exists.sum(axis=1, keepdims=True)
    return np.where(exists, logits - mean, 0.0)
