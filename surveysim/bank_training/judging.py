"""How well a bank, and what it has to beat, predict questions that were held out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from surveysim.bank_training.run import weighed
from surveysim.bank_training.tables import BankCells
from surveysim.metrics import js_divergence

__all__ = ["BANK", "EQUAL", "MEAN", "UNTUNED", "judge"]

BANK, UNTUNED = "bank", "untuned model"
MEAN, EQUAL = "mean of the training questions", "equal shares"


def judge(
    held_out: str, cells: BankCells, means: np.ndarray, logits: Mapping[str, np.ndarray], weight: float
) -> list[dict[str, Any]]:
    """One row of the report for each of four predictions.

    Parameters
    ----------
    held_out : str
        What these cells are.
    cells : BankCells
    means : array of shape (n, K)
        Log shares of the mean training question.
    logits : mapping of str to array of shape (n, K)
        Of `BANK` and `UNTUNED`; NaN where there is no option.
    weight : float
        Of the bank's logits beside the mean.
    """
    zeros = np.zeros_like(means)
    predictions = {
        BANK: weighed(means, logits[BANK], weight),
        UNTUNED: weighed(zeros, logits[UNTUNED], 1.0),
        MEAN: weighed(means, logits[UNTUNED], 0.0),
        EQUAL: weighed(zeros, logits[UNTUNED], 0.0),
    }
    index = np.unique(cells.cells.question_index, return_inverse=True)[1]
    total = np.bincount(index, weights=cells.weights)
    exists = ~np.isnan(cells.Y)

    def by_question(values: np.ndarray) -> float:
        return float(np.mean(np.bincount(index, weights=cells.weights * values) / total))

    rows = []
    for name, P in predictions.items():
        padded = np.where(exists, P, np.nan)
        entropy = -np.sum(np.where(exists, cells.Y * np.log(np.maximum(P, 1e-30)), 0.0), axis=1)
        raw = js_divergence(cells.Y, padded, average=False)
        debiased = js_divergence(cells.Y, padded, average=False, truth_respondents=cells.n)
        rows.append(
            {
                "held_out": held_out,
                "predicted_by": name,
                "n_questions": len(total),
                "n_cells": len(cells),
                "cross_entropy": by_question(entropy),
                "js": by_question(raw),
                "js_debiased": by_question(debiased),
            }
        )
    return rows
