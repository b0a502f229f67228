"""The cells of a bank's questions: how much each counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from surveysim.cells import FitCells, PredictCells

__all__ = ["BankCells"]

MOST_RESPONDENTS = 100.0
"""A cell of n respondents counts as ``n * 100 / (n + 100)``: the sampling noise of a large cell is small beside how far
apart questions are, so that more respondents say no more about other questions."""


@dataclass(frozen=True)
class BankCells:
    """Some questions' cells.

    Attributes
    ----------
    cells : PredictCells
        With all questions of the table; only some have rows.
    Y : float64 array of shape (n, K)
    n : float64 array of shape (n,)
    weights : float64 array of shape (n,)
        What a cell counts. All questions count alike.
    """

    cells: PredictCells
    Y: np.ndarray
    n: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, cells: FitCells, names: Sequence[str]) -> BankCells:
        """The cells of these questions."""
        rows = np.flatnonzero(np.isin(cells.question_names, list(names)))
        n, index = cells.n[rows], cells.question_index[rows]
        weights = n * MOST_RESPONDENTS / (n + MOST_RESPONDENTS)
        totals = np.bincount(index, weights=weights, minlength=len(cells.questions))
        seen = totals[totals > 0]
        if len(seen):
            weights = weights * (seen.mean() / totals[index])
        kept = PredictCells(cells.backgrounds.iloc[rows].reset_index(drop=True), index, cells.questions)
        return cls(kept, cells.Y[rows], n, weights)

    @property
    def counts(self) -> np.ndarray:
        """What a cell counts, by option (n, K); 0 past the last option."""
        return self.weights[:, None] * np.nan_to_num(self.Y, nan=0.0)

    def __len__(self) -> int:
        return len(self.n)
