"""Prior variances of the logit's coefficients: the fixed tables, and draws around a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from surveysim.baselines.features import Block

__all__ = [
    "FIXED_DEGREES",
    "INTERCEPT_VARIANCE",
    "LEVEL_DEGREES",
    "ORDERED_VARIANCES",
    "PLAIN_VARIANCES",
    "START_DEGREES",
    "PriorTable",
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

START_DEGREES = 1.0
"""How many coefficients the start counts for when learned variances are drawn for intervals: attributes differ tenfold
in how far groups are apart (party next to region), so that it says little of a single one. On simulated surveys of 300
with effects five times as large as the table has them 90% intervals held 90% of cells and 88% of groups, with 2 instead
of 1 88 and 86%, and without any effects 96 and 93% with either."""

LEVEL_DEGREES = 2.0
"""The same for the variances of levels, whose deviations have heavy tails of their own."""

FIXED_DEGREES = 4.0
"""How many coefficients a variance that was not learned counts for when it is drawn for intervals. With the table taken
for the truth, 90% intervals held 86% of the cells of `cces_2016` (n = 200, six samples), where races are three times as
far apart as it says, and sexes are not; with 16 / 8 / 4 degrees of freedom 87 / 88 / 89%. One scale for the whole
table, weighted by its evidence, did not help (85%): what varies is the attributes among each other."""


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
