"""Prior variances of the logit's coefficients: the fixed table, and learning them by empirical Bayes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from surveysim.baselines.features import Block
from surveysim.baselines.newton import LogitProblem

__all__ = ["INTERCEPT_VARIANCE", "PLAIN_VARIANCE", "PriorTable", "degree_classes", "learn_variances"]

INTERCEPT_VARIANCE = 25.0
"""Prior variance of the intercepts: in logits, so in effect they are free."""

ORDERED_VARIANCES = {
    # kind of term: degree 0 (no order), 1, 2, 3 and more. Degrees 1-3 of levels and linear scores were found on one
    # survey and confirmed on two others.
    "levels": (0.1, 0.1, 0.02, 0.005),
    "linear": (0.15, 0.15, 0.02, 0.005),
    "pair": (0.02, 0.02, 0.004, 0.001),
}

PLAIN_VARIANCE = 0.1
"""Prior variance of every coefficient of the plain logit (``ordered=False``)."""

HIGHEST_CLASS = 3
"""Contrasts of this degree and above share their variance."""


def degree_classes(degree: np.ndarray) -> np.ndarray:
    """Degrees of option contrasts with all from 3 on taken together."""
    return np.minimum(degree, HIGHEST_CLASS)


@dataclass
class PriorTable:
    """Variances by block of terms and class of degree.

    Attributes
    ----------
    blocks : list of Block
        The terms.
    variances : float64 array of shape (n_blocks, 4)
        One row per block; columns are degree 0 (no order), 1, 2, 3 and more.
    """

    blocks: list[Block]
    variances: np.ndarray

    @classmethod
    def fixed(cls, blocks: Sequence[Block], *, ordered: bool) -> PriorTable:
        """The table found by measurement, or one variance for everything if not `ordered`."""
        rows = [
            ORDERED_VARIANCES[block.kind]
            if ordered
            else [PLAIN_VARIANCE * (0.2 if block.kind == "pair" else 1.0)] * (HIGHEST_CLASS + 1)
            for block in blocks
        ]
        return cls(list(blocks), np.array(rows, dtype=np.float64).reshape(len(rows), HIGHEST_CLASS + 1))

    def precision(self, degree: np.ndarray) -> np.ndarray:
        """One over the variance of every coefficient (C, 1 + n_columns) of a question; intercepts first."""
        n_columns = self.blocks[-1].columns.stop if self.blocks else 0
        variance = np.empty((len(degree), 1 + n_columns))
        variance[:, 0] = INTERCEPT_VARIANCE
        for block, row in zip(self.blocks, self.variances, strict=True):
            variance[:, 1 + block.columns.start : 1 + block.columns.stop] = row[degree_classes(degree)][:, None]
        return 1.0 / variance

    def as_frame(self) -> pd.DataFrame:
        """A row per block with its terms and its variance by degree."""
        frame = pd.DataFrame(self.variances, columns=pd.Index(["no order", "degree 1", "degree 2", "degree 3+"]))
        frame.insert(0, "terms", [block.kind for block in self.blocks])
        frame.insert(0, "attribute", [block.name for block in self.blocks])
        return frame


PSEUDO_COEFFICIENTS = 4.0
MAX_ROUNDS = 60
LOG_TOLERANCE = 0.01


def learn_variances(
    problems: Sequence[LogitProblem], degrees: Sequence[np.ndarray], table: PriorTable
) -> tuple[PriorTable, list[np.ndarray], int]:
    blocks = table.blocks
    start = table.variances
    variances = start.copy()
    coefficients: list[np.ndarray | None] = [None] * len(problems)
    rounds = 0
    for rounds in range(1, MAX_ROUNDS + 1):
        squares = np.zeros_like(start)
        effective = np.zeros_like(start)
        current = PriorTable(blocks, variances)
        for q, (problem, degree) in enumerate(zip(problems, degrees, strict=True)):
            precision = current.precision(degree)
            B, _ = problem.solve(precision, coefficients[q])
            coefficients[q] = B
            # how much of each coefficient the data determine, between 0 and 1
            determined = 1.0 - problem.posterior_variances(B, precision) * precision
            for b, block in enumerate(blocks):
                columns = slice(1 + block.columns.start, 1 + block.columns.stop)
                np.add.at(squares[b], degree_classes(degree), (B[:, columns] ** 2).sum(axis=1))
                np.add.at(effective[b], degree_classes(degree), determined[:, columns].sum(axis=1))
        updated = (squares + PSEUDO_COEFFICIENTS * start) / (effective + PSEUDO_COEFFICIENTS)
        change = np.abs(np.log(updated / variances)).max(initial=0.0)
        variances = updated
        if change < LOG_TOLERANCE:
            break
    final = PriorTable(blocks, variances)
    solutions = [
        problem.solve(final.precision(degree), B)[0]
        for problem, degree, B in zip(problems, degrees, coefficients, strict=True)
    ]
    return final, solutions, rounds
