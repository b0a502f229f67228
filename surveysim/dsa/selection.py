"""Held-out respondents: what epochs, reference and weight are chosen by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student_t

__all__ = ["Split", "clearly_better", "held_out_losses", "split_respondents"]


@dataclass(frozen=True)
class Split:
    """Respondents per option of each cell, (n, K), in two parts that share no respondent."""

    train: np.ndarray
    held_out: np.ndarray


def split_respondents(
    counts: np.ndarray,
    folds: np.ndarray | None,
    fraction: float,
    n_splits: int,
    generator: np.random.Generator,
    *,
    by_cell: bool = False,
) -> list[Split]:
    """Hold out respondents.

    Parameters
    ----------
    counts : array of shape (n, K)
        Respondents per option of each cell; not necessarily whole numbers.
    folds : array of shape (n, n_folds, K) or None
        Respondent-disjoint counts, as `tabulate` makes them; groups of folds are held out in turn.
    fraction : float
        Share of respondents held out by each split.
    n_splits : int
        How many splits; with folds at most as many as there are groups.
    generator : numpy Generator
        Without folds: which respondents.
    by_cell : bool, default=False
        Hold out whole cells: the only way where nobody knows how many respondents a cell has.

    Returns
    -------
    list of Split
        Without folds, each cell's counts are rounded at random to whole respondents (expectation kept), of whom each
        is held out with probability `fraction`. A respondent who answered several questions is then not held out as
        a whole, which makes the held-out loss a little optimistic. A split that would leave nobody to learn from, or
        nobody to judge by, is left out, so that a survey of very few respondents may have none.
    """
    splits = _split(counts, folds, fraction, n_splits, generator, by_cell)
    return [split for split in splits if split.train.sum() > 0 and split.held_out.sum() > 0]


def _split(
    counts: np.ndarray,
    folds: np.ndarray | None,
    fraction: float,
    n_splits: int,
    generator: np.random.Generator,
    by_cell: bool,
) -> list[Split]:
    if folds is not None:
        n_folds = folds.shape[1]
        per_split = max(1, round(fraction * n_folds))
        starts = range(0, n_folds - per_split + 1, per_split)
        out = [folds[:, start : start + per_split].sum(axis=1) for start in starts][:n_splits]
        return [Split(np.maximum(counts - part, 0.0), part) for part in out]
    if by_cell:
        group = generator.permutation(len(counts)) % max(2, round(1 / fraction))
        masks = [(group == g)[:, None] for g in range(min(n_splits, int(group.max()) + 1))]
        return [Split(np.where(mask, 0.0, counts), np.where(mask, counts, 0.0)) for mask in masks]
    splits = []
    for _ in range(n_splits):
        whole = np.floor(counts + generator.random(counts.shape))
        part = np.minimum(generator.binomial(whole.astype(np.int64), fraction), counts)
        splits.append(Split(counts - part, part))
    return splits


def held_out_losses(logits: np.ndarray, held_out: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Cross-entropy of held-out respondents, summed by unit.

    Parameters
    ----------
    logits : array of shape (n, K)
        Predicted option logits, NaN where there is no option.
    held_out : array of shape (n, K)
        Respondents per option.
    unit : int array of shape (n,)
        What is resampled for standard errors: each cell's question, or the cell itself where questions are few.

    Returns
    -------
    array of shape (unit.max() + 1,)
        Nats per held-out respondent of *all* units, so that their sum is the mean loss.
    """
    shifted = logits - np.nanmax(logits, axis=1, keepdims=True)
    log_p = shifted - np.log(np.nansum(np.exp(shifted), axis=1, keepdims=True))
    loss = -np.nansum(np.where(held_out > 0, held_out * log_p, 0.0), axis=1)
    return np.bincount(unit, weights=loss, minlength=int(unit.max()) + 1) / held_out.sum()


def clearly_better(candidate: np.ndarray, default: np.ndarray, n_errors: float = 1.0) -> bool:
    """Whether a candidate's held-out losses are lower than the default's by more than `n_errors` standard errors.

    Parameters
    ----------
    candidate, default : arrays of shape (n_splits, n_units)
        Losses by unit; those of a split sum to its mean loss.
    n_errors : float, default=1
        How many standard errors.

    Returns
    -------
    bool
        The standard error is the larger of two: over units (questions), and, from three splits on, over splits, which
        hold out different respondents. One respondent answers many questions, so that questions alone would claim too
        much. Since a handful of splits says little about its own error, theirs is multiplied by the ratio of Student's
        quantile to the normal one.
    """
    difference = np.atleast_2d(default) - np.atleast_2d(candidate)
    n_splits, n_units = difference.shape
    gain = difference.sum(axis=1).mean()
    error = 0.0
    if n_units > 1:
        error = difference.mean(axis=0).std(ddof=1) * np.sqrt(n_units)
    if n_splits > 2:
        wider = student_t.ppf(norm.cdf(n_errors), n_splits - 1) / n_errors
        error = max(error, wider * difference.sum(axis=1).std(ddof=1) / np.sqrt(n_splits))
    return bool(gain > n_errors * error)
