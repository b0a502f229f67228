"""How far opinions moved between people who were asked elsewhere and the survey at hand: variances, slopes, scales."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from surveysim.baselines.features import Block
from surveysim.baselines.learning import scaled_table
from surveysim.baselines.priors import HIGHEST_CLASS, PriorTable

__all__ = ["LEVEL", "Drift", "Moments"]

LEVEL = "level"
"""The part of a drift that concerns questions' levels; the other parts are attributes."""

LEVEL_DRIFT = np.array([0.002, 0.002, 0.001, 0.0005])
"""Where the variances of levels' drift start, for contrasts without order and of degrees 1, 2, 3 and more."""

TERM_SHARE = 0.01
"""Where those of attributes' effects start, as a share of the fixed prior variances of these effects."""

SOURCE_COEFFICIENTS = 2.0
"""How many coefficients 1 counts for when the factor is learned by which a series' levels moved farther."""

TERM_COEFFICIENTS = 100.0
"""How many coefficients that factor counts for when the one of all terms is learned: where levels of a source are far
off, its groups are not trusted, either, before many respondents speak for them."""

FACTOR_COEFFICIENTS = 30.0
"""The same for the factors of attributes and degrees."""

ENTRY_COEFFICIENTS = 30.0
"""How many coefficients the start, times the factors, counts for in a single variance."""

LEVEL_COEFFICIENTS = 2.0
"""The same for levels."""

SCALE_COEFFICIENTS = 4.0
"""How many coefficients 1 counts for in the scale of one question's drift: degrees of freedom of its tails."""

SLOPE_DEVIATION = 0.3
"""Prior standard deviation of the level's slope around 1."""

ATTRIBUTE_DEVIATION = 0.15
"""The same of attributes' slopes around the level's."""

DRAWN_COEFFICIENTS = 2.0
"""How many coefficients the start counts for when variances are drawn for intervals."""

OVERRELAXATION = 1.7
"""By how much slopes go farther than the EM algorithm would: it is slow where respondents say little, and any factor
below 2 comes to the same end."""


@dataclass(frozen=True)
class Moments:
    """What a posterior says of one question's drift on one link of a series; arrays of shape (C, F) per question.

    Attributes
    ----------
    square : list of float64 arrays
        Squared posterior means of the drift.
    variance : list of float64 arrays
        Its posterior variances.
    product, target : list of float64 arrays
        Expected products of the source's coefficients with the target's, and squares of the target's; empty where
        the link does not end at the target.
    """

    square: list[np.ndarray]
    variance: list[np.ndarray]
    product: list[np.ndarray]
    target: list[np.ndarray]


@dataclass(frozen=True)
class Drift:
    """How far a series of waves is from the target.

    The coefficients of the wave next to the target are ``slope * target + drift``, those of an earlier wave the next
    one's + drift. Drifts are Gaussian; their variance grows with the time between.

    Attributes
    ----------
    table : PriorTable
        Variances of the terms' drift per unit of time.
    levels : float64 array of shape (4,)
        Of the levels', by class of degree.
    slopes : float64 array of shape (1 + n_attributes,)
        Of the level and of each attribute's effects.
    scales : float64 array of shape (n_links, Q)
        By how much a question's variances are larger than those of others.
    determined, level_determined : float64 arrays of shapes (n_blocks, 4) and (4,)
        How many coefficients stand behind each variance, those of the start included.
    """

    table: PriorTable
    levels: np.ndarray
    slopes: np.ndarray
    scales: np.ndarray
    determined: np.ndarray
    level_determined: np.ndarray

    @classmethod
    def start(cls, blocks: Sequence[Block], *, ordered: bool, n_links: int, n_questions: int) -> Drift:
        """What is expected before anything is seen: questions moved a little, groups less."""
        table = PriorTable.fixed(blocks, ordered=ordered)
        table = PriorTable(table.blocks, TERM_SHARE * table.variances)
        n_parts = len(parts(blocks))
        return cls(
            table,
            LEVEL_DRIFT.copy(),
            np.ones(n_parts),
            np.ones((n_links, n_questions)),
            np.full(table.variances.shape, ENTRY_COEFFICIENTS),
            np.full(HIGHEST_CLASS + 1, LEVEL_COEFFICIENTS),
        )

    def seen(self, slope: float, factors: np.ndarray, scales: np.ndarray) -> Drift:
        """Where learning begins after a first look at the levels: their slope, how much farther they moved than is
        expected for each class of degree (4,), and the scales (Q,) of questions that moved farther than the others."""
        table = PriorTable(self.table.blocks, factors * self.table.variances)
        slopes = np.full(len(self.slopes), slope)
        return replace(self, table=table, levels=factors * self.levels, slopes=slopes, scales=self.scales * scales)

    def of_links(self, links: Sequence[int]) -> Drift:
        """The same for a series of some of the waves."""
        return replace(self, scales=self.scales[list(links)])

    def variances(self, degree: np.ndarray) -> np.ndarray:
        """Variances (C, F) of a question's coefficients per unit of time, its own scale apart."""
        found = 1.0 / self.table.precision(degree)
        found[:, 0] = self.levels[np.minimum(degree, HIGHEST_CLASS)]
        return found

    def slope_of_terms(self) -> np.ndarray:
        """The slope of every column of the design matrix (F,), the constant first."""
        return self.slopes[part_of_columns(self.table.blocks)]

    def learned(
        self,
        start: Drift,
        moments: Sequence[Moments],
        gaps: np.ndarray,
        degrees: Sequence[np.ndarray],
    ) -> Drift:
        """Variances, slopes and scales after one more step of learning.

        As for the variances of terms (MacKay 1992), a variance is the sum of squares over the number of coefficients
        that the data determine, with the start counting for some; what the start of a series is, is itself
        learned: how far levels moved says how far groups may have.

        Parameters
        ----------
        start : Drift
            Where learning began.
        moments : sequence of Moments
            For each link.
        gaps : float64 array of shape (n_links,)
            Time between.
        degrees : sequence of int arrays of shape (C,)
            Of each question's contrasts.
        """
        total, determined = np.zeros_like(self.table.variances), np.zeros_like(self.table.variances)
        level_total, level_determined = np.zeros(HIGHEST_CLASS + 1), np.zeros(HIGHEST_CLASS + 1)
        for degree, which in _of_equal_degrees(degrees):
            unit, classes = self.variances(degree), np.minimum(degree, HIGHEST_CLASS)
            for link, own in enumerate(moments):
                factor = gaps[link] * self.scales[link, which][:, None, None]
                square = (np.stack([own.square[q] for q in which]) / factor).sum(axis=0)
                informed = (1.0 - np.stack([own.variance[q] for q in which]) / (unit * factor)).sum(axis=0)
                total += self.table.add_up(square, degree)
                determined += self.table.add_up(informed, degree)
                np.add.at(level_total, classes, square[:, 0])
                np.add.at(level_determined, classes, informed[:, 0])
        moved = float((level_total / start.levels).sum()) + SOURCE_COEFFICIENTS
        moved /= float(level_determined.sum()) + SOURCE_COEFFICIENTS
        table = PriorTable(start.table.blocks, moved * start.table.variances)
        whole = float((total / table.variances).sum()) + TERM_COEFFICIENTS
        table = PriorTable(table.blocks, table.variances * whole / (float(determined.sum()) + TERM_COEFFICIENTS))
        table = scaled_table(table, total, determined, FACTOR_COEFFICIENTS)
        variances = (total + ENTRY_COEFFICIENTS * table.variances) / (determined + ENTRY_COEFFICIENTS)
        levels = level_total + LEVEL_COEFFICIENTS * start.levels
        levels = levels / (level_determined + LEVEL_COEFFICIENTS)
        slopes = self._slopes(moments[-1], gaps[-1], degrees)
        found = replace(
            self,
            table=PriorTable(table.blocks, variances),
            levels=levels,
            slopes=np.maximum(self.slopes + OVERRELAXATION * (slopes - self.slopes), 0.0),
            determined=determined + ENTRY_COEFFICIENTS,
            level_determined=level_determined + LEVEL_COEFFICIENTS,
        )
        return replace(found, scales=self._scales(found, moments, gaps, degrees))

    def _scales(
        self, found: Drift, moments: Sequence[Moments], gaps: np.ndarray, degrees: Sequence[np.ndarray]
    ) -> np.ndarray:
        """The scale of each question, given the variances that were found."""
        scales = np.ones_like(self.scales)
        for degree, which in _of_equal_degrees(degrees):
            before, after = self.variances(degree), found.variances(degree)
            for link, own in enumerate(moments):
                factor = gaps[link] * self.scales[link, which][:, None, None]
                informed = 1.0 - np.stack([own.variance[q] for q in which]) / (before * factor)
                relative = np.stack([own.square[q] for q in which]) / (after * gaps[link])
                scales[link, which] = (relative.sum(axis=(1, 2)) + SCALE_COEFFICIENTS) / (
                    informed.sum(axis=(1, 2)) + SCALE_COEFFICIENTS
                )
        return scales

    def _slopes(self, moments: Moments, gap: float, degrees: Sequence[np.ndarray]) -> np.ndarray:
        """The slope of each part: the EM step of a regression of the source on the target with known variances."""
        place = part_of_columns(self.table.blocks)
        product, square = np.zeros(len(self.slopes)), np.zeros(len(self.slopes))
        for degree, which in _of_equal_degrees(degrees):
            variance = self.variances(degree) * gap * self.scales[-1, which][:, None, None]
            for sums, values in ((product, moments.product), (square, moments.target)):
                np.add.at(sums, place, (np.stack([values[q] for q in which]) / variance).sum(axis=(0, 1)))
        weight, own_weight = SLOPE_DEVIATION**-2, ATTRIBUTE_DEVIATION**-2
        found = np.empty(len(self.slopes))
        found[0] = (product[0] + weight) / (square[0] + weight)
        found[1:] = (product[1:] + own_weight * found[0]) / (square[1:] + own_weight)
        return np.maximum(found, 0.0)

    def drawn(self, generator: np.random.Generator) -> Drift:
        """Variances from their approximate posterior, scaled inverse chi-squared around these.

        What was expected counts for `DRAWN_COEFFICIENTS`: intervals that believed it as predictions do would be too
        narrow where opinions moved and few respondents say so.
        """
        levels = self.level_determined - LEVEL_COEFFICIENTS + DRAWN_COEFFICIENTS
        terms = self.determined - ENTRY_COEFFICIENTS + DRAWN_COEFFICIENTS
        # one more factor for a series as a whole: if it moved farther than is believed, it did so everywhere
        whole = levels.sum() / generator.chisquare(levels.sum() / len(levels)) / len(levels)
        table = self.table.drawn(terms, generator)
        table = PriorTable(table.blocks, whole * table.variances)
        return replace(self, table=table, levels=whole * self.levels * levels / generator.chisquare(levels))

    def change(self, other: Drift) -> float:
        """The largest change of a logarithm of a variance, or of a slope."""
        return max(
            float(np.abs(np.log(other.scales / self.scales)).max()),
            float(np.abs(np.log(other.levels / self.levels)).max()),
            float(np.abs(np.log(other.table.variances / self.table.variances)).max(initial=0.0)),
            float(np.abs(other.slopes - self.slopes).max()),
        )


def parts(blocks: Sequence[Block]) -> list[str]:
    """What has a slope: the level, then each attribute (or pair) with terms."""
    return [LEVEL, *dict.fromkeys(block.name for block in blocks)]


def part_of_columns(blocks: Sequence[Block]) -> np.ndarray:
    """The part of every column of the design matrix, the constant first."""
    names = parts(blocks)
    widths = [block.columns.stop - block.columns.start for block in blocks]
    return np.r_[0, np.repeat([names.index(block.name) for block in blocks], widths)].astype(int)


def _of_equal_degrees(degrees: Sequence[np.ndarray]) -> list[tuple[np.ndarray, list[int]]]:
    """The distinct degrees of contrasts, and the questions that have them."""
    found: dict[bytes, tuple[np.ndarray, list[int]]] = {}
    for q, degree in enumerate(degrees):
        found.setdefault(degree.tobytes(), (degree, []))[1].append(q)
    return list(found.values())
