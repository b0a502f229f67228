"""Prior variances of the logit's coefficients: the fixed tables, and learning them by empirical Bayes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from surveysim.baselines.features import Block
from surveysim.baselines.newton import LogitProblem

__all__ = [
    "FIXED_DEGREES",
    "INTERCEPT_VARIANCE",
    "ORDERED_VARIANCES",
    "PLAIN_VARIANCES",
    "START_DEGREES",
    "PriorTable",
    "degrees_of_freedom",
    "learn_variances",
]

INTERCEPT_VARIANCE = 25.0
"""Prior variance of the intercepts, on the scale of logits: in effect they are free."""

ORDERED_VARIANCES = {
    "levels": (0.1, 0.1, 0.02, 0.005),
    "linear": (0.1, 0.15, 0.02, 0.005),
    "pair": (0.01, 0.01, 0.002, 0.0005),
}
"""Variances by kind of term, for contrasts of degree 0 (no order), 1, 2, 3 and more.

Groups differ mostly in where they stand on the scale (degree 1), less in how polarised they are (degree 2), little
beyond. Degrees 1 to 3 of levels and linear scores were found on one survey and confirmed on two others; degree 0 is
the plain logit's variance; pairs have a tenth of the levels' (on the same surveys a tenth was as good as any).
"""

PLAIN_VARIANCES = {"levels": (0.1,) * 4, "linear": (0.1,) * 4, "pair": (0.01,) * 4}
"""The same for the plain logit (``ordered=False``): one variance, the best of .05, .1, .2, .5 and 1 on two surveys."""

HIGHEST_CLASS = 3
PSEUDO_COEFFICIENTS = 4.0
"""How many coefficients the fixed variance counts for when variances are learned: few enough to move freely."""

START_DEGREES = 2.0
"""How many coefficients the start counts for when learned variances are drawn for intervals: attributes differ tenfold
in how far groups are apart (party next to region), so that it says little of a single one."""

FIXED_DEGREES = 4.0
"""How many coefficients a variance that was not learned counts for when it is drawn for intervals. With the table taken
for the truth, 90% intervals held 86% of the cells of `cces_2016` (n = 200, six samples), where races are three times as
far apart as it says, and sexes are not; with 16 / 8 / 4 degrees of freedom 87 / 88 / 89%. One scale for the whole
table, weighted by its evidence, did not help (85%): what varies is the attributes among each other."""

MAX_ROUNDS = 100
LOG_TOLERANCE = 0.01
"""Learning stops when no variance changes by more than 1% in a round."""


@dataclass(frozen=True)
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
        """The measured table for these terms, the plain logit's if not `ordered`."""
        table = ORDERED_VARIANCES if ordered else PLAIN_VARIANCES
        variances = np.array([table[block.kind] for block in blocks], dtype=np.float64)
        return cls(list(blocks), variances.reshape(len(blocks), HIGHEST_CLASS + 1))

    def of_degrees(self, degree: np.ndarray) -> np.ndarray:
        """Variance of every block (n_blocks, C) for contrasts of the given degrees (C,)."""
        return self.variances[:, np.minimum(degree, HIGHEST_CLASS)]

    def lack_of_fit(self, degree: np.ndarray, *, ordered: bool) -> np.ndarray:
        """Variance (C,) of what a cell's scores have beyond the sum of its attributes' effects.

        Groups are not sums: of a model without two-way terms, this is their prior variance, for all pairs of
        attributes; of one with them it is 0. Predictions do without (its mean is 0), intervals may not: without it 90%
        intervals held 84% of the cells of `cces_2016`, whose truth has hardly any noise of its own.
        """
        if any(block.kind == "pair" for block in self.blocks):
            return np.zeros(len(degree))
        n_attributes = sum(block.kind == "levels" for block in self.blocks)
        pair = np.array((ORDERED_VARIANCES if ordered else PLAIN_VARIANCES)["pair"])
        return n_attributes * (n_attributes - 1) / 2 * pair[np.minimum(degree, HIGHEST_CLASS)]

    def precision(self, degree: np.ndarray) -> np.ndarray:
        """One over the variance of every coefficient (C, 1 + n_columns) of a question, the intercepts first."""
        widths = [block.columns.stop - block.columns.start for block in self.blocks]
        terms = np.repeat(self.of_degrees(degree), widths, axis=0)
        return 1.0 / np.vstack([np.full((1, len(degree)), INTERCEPT_VARIANCE), terms]).T

    def drawn(self, degrees: np.ndarray, generator: np.random.Generator) -> PriorTable:
        """A table drawn around this one: each variance from a scaled inverse chi-squared distribution.

        A variance v that m coefficients tell of is drawn as ``m v / chi2(m)``; one with infinite m stays. Intervals
        that took the variances for the truth would be too narrow where few questions or respondents stand behind them.

        Parameters
        ----------
        degrees : float64 array of shape (n_blocks, 4)
            m.
        generator : numpy Generator
        """
        scales = np.ones_like(self.variances)
        uncertain = np.isfinite(degrees)
        scales[uncertain] = degrees[uncertain] / generator.chisquare(degrees[uncertain])
        return PriorTable(self.blocks, self.variances * scales)

    def add_up(self, coefficients: np.ndarray, degree: np.ndarray) -> np.ndarray:
        """Sum values given per coefficient (C, 1 + n_columns) over each block and class of degree: (n_blocks, 4)."""
        total = np.zeros_like(self.variances)
        for b, block in enumerate(self.blocks):
            columns = slice(1 + block.columns.start, 1 + block.columns.stop)
            np.add.at(total[b], np.minimum(degree, HIGHEST_CLASS), coefficients[:, columns].sum(axis=1))
        return total

    def as_frame(self) -> pd.DataFrame:
        """A row per block: its attribute (or pair), its kind of terms, its variance by degree."""
        frame = pd.DataFrame(self.variances, columns=["no order", "degree 1", "degree 2", "degree 3+"])
        frame.insert(0, "terms", [block.kind for block in self.blocks])
        frame.insert(0, "attribute", [block.name for block in self.blocks])
        return frame


def learn_variances(
    problems: Sequence[LogitProblem], degrees: Sequence[np.ndarray], start: PriorTable
) -> tuple[PriorTable, list[np.ndarray], int]:
    """Variances that maximise the Laplace approximation to the marginal likelihood, pooled over questions.

    MacKay's fixed point: with b the coefficients that share a variance v, at their optimum, and S their posterior
    variances, ``gamma = sum(1 - S / v)`` of them are determined by the data, and the new v is ``sum(b**2) / gamma``.
    Numerator and denominator each get the weight of four coefficients at the start's variance, so that a variance
    that the data say nothing about stays where it was.

    Parameters
    ----------
    problems : sequence of LogitProblem
        One per question.
    degrees : sequence of int array of shape (C,)
        Degrees of each question's contrasts.
    start : PriorTable
        Where to begin, and the weak prior.

    Returns
    -------
    table : PriorTable
    coefficients : list of float64 array
        Each question's optimum under it.
    n_rounds : int

    References
    ----------
    D. J. C. MacKay (1992), Bayesian interpolation, Neural Computation 4(3), 415-447, section 4.
    """
    table = start
    coefficients: list[np.ndarray | None] = [None] * len(problems)
    n_rounds, change = 0, np.inf
    while change > LOG_TOLERANCE and n_rounds < MAX_ROUNDS:
        n_rounds += 1
        squares, determined = np.zeros_like(start.variances), np.zeros_like(start.variances)
        for q, (problem, degree) in enumerate(zip(problems, degrees, strict=True)):
            precision = table.precision(degree)
            B, _ = problem.solve(precision, coefficients[q])
            coefficients[q] = B
            squares += table.add_up(B**2, degree)
            determined += table.add_up(1.0 - problem.posterior_variances(B, precision) * precision, degree)
        updated = (squares + PSEUDO_COEFFICIENTS * start.variances) / (determined + PSEUDO_COEFFICIENTS)
        change = float(np.abs(np.log(updated / table.variances)).max(initial=0.0))
        table = PriorTable(table.blocks, updated)
    solutions = [
        problem.solve(table.precision(degree), B)[0]
        for problem, degree, B in zip(problems, degrees, coefficients, strict=True)
    ]
    return table, solutions, n_rounds


def degrees_of_freedom(
    problems: Sequence[LogitProblem],
    degrees: Sequence[np.ndarray],
    coefficients: Sequence[np.ndarray],
    table: PriorTable,
) -> np.ndarray:
    """How many coefficients tell of each learned variance, (n_blocks, 4), the start counting for `START_DEGREES`.

    Parameters
    ----------
    problems, degrees
        As for `learn_variances`.
    coefficients : sequence of float64 array
        Each question's optimum under `table`.
    table : PriorTable
        The learned variances.
    """
    determined = np.full(table.variances.shape, START_DEGREES)
    for problem, degree, B in zip(problems, degrees, coefficients, strict=True):
        precision = table.precision(degree)
        determined += table.add_up(1.0 - problem.posterior_variances(B, precision) * precision, degree)
    return determined
