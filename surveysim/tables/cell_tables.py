"""The cells of one question, and what was left out of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from surveysim.tables.answers import CodedAnswers
from surveysim.tables.missing import MISSING_KINDS
from surveysim.tables.share_variance import DomainAnswers

__all__ = ["CellTable", "list_excluded", "tabulate_question"]


@dataclass(frozen=True)
class CellTable:
    """One question's cells; arrays have a row per cell unless they say otherwise.

    Attributes
    ----------
    cell : int array
        The number of each cell's background.
    Y : float array (n_cells, K)
        NaN past the question's last option.
    n, kish, weight_sum : float arrays
        Effective respondents, Kish's before the design effect, and the sum of weights.
    n_raw : int array
    missing : int array (n_cells, 4)
        Missing answers by kind.
    left_out, left_out_weight : arrays (4,)
        Missing answers by kind in all backgrounds, cells or not, and the sum of their weights.
    folds : float array (n_cells, n_folds, K), or None
    """

    cell: np.ndarray
    Y: np.ndarray
    n: np.ndarray
    kish: np.ndarray
    n_raw: np.ndarray
    weight_sum: np.ndarray
    missing: np.ndarray
    left_out: np.ndarray
    left_out_weight: np.ndarray
    folds: np.ndarray | None = None


def tabulate_question(
    answer: CodedAnswers, answers: DomainAnswers, effect: np.ndarray, fold: np.ndarray | None, n_folds: int, width: int
) -> CellTable:
    """Tabulate one question by background.

    Parameters
    ----------
    answer : CodedAnswers
        With the kinds of missing answers.
    answers : DomainAnswers
        The same by background, with weights.
    effect : float array of shape (n_backgrounds,)
        Design effects.
    fold : int array of shape (n_respondents,), or None
    n_folds : int
    width : int
        Columns of Y.
    """
    n_options, n_backgrounds = answers.n_options, answers.n_domains
    n_outcomes = n_options + len(MISSING_KINDS)
    flat = answers.domain * n_outcomes + answer.option
    respondents = np.bincount(flat, minlength=n_backgrounds * n_outcomes).reshape(n_backgrounds, n_outcomes)
    left_out_weight = np.bincount(answer.option, weights=answers.weight, minlength=n_outcomes)[n_options:]
    cell = np.flatnonzero(answers.respondents)
    kish, weight_sum = answers.kish[cell], answers.weight_sums[cell]
    n = kish / effect[cell]
    Y = np.full((len(cell), width), np.nan)
    Y[:, :n_options] = answers.shares[cell]
    counts = None
    if fold is not None:
        row_of_cell = np.full(n_backgrounds, -1)
        row_of_cell[cell] = np.arange(len(cell))
        rows = answers.counted
        flat = (row_of_cell[answers.domain[rows]] * n_folds + fold[rows]) * width + answers.option[rows]
        counts = np.bincount(flat, weights=answers.weight[rows], minlength=len(cell) * n_folds * width)
        counts = counts.reshape(len(cell), n_folds, width) * (n / weight_sum)[:, None, None]
    return CellTable(
        cell=cell,
        Y=Y,
        n=n,
        kish=kish,
        n_raw=answers.respondents[cell],
        weight_sum=weight_sum,
        missing=respondents[cell, n_options:],
        left_out=respondents[:, n_options:].sum(axis=0),
        left_out_weight=left_out_weight,
        folds=counts,
    )


def list_excluded(tables: dict[str, CellTable], n_weightless: int) -> pd.DataFrame:
    """Everything that is in no cell, as `Cells.excluded` has it."""
    rows: list[tuple[str, str, int, float, int]] = []
    if n_weightless:
        rows.append(("", "weight 0", n_weightless, 0.0, n_weightless))
    for name, table in tables.items():
        in_cells = table.missing.sum(axis=0)
        for i, kind in enumerate(MISSING_KINDS):
            left_out = int(table.left_out[i])
            if left_out:
                rows.append((name, kind, left_out, float(table.left_out_weight[i]), left_out - int(in_cells[i])))
    return pd.DataFrame(rows, columns=["question", "reason", "respondents", "weight_sum", "outside_cells"])
