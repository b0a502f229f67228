"""What each group and question adds to the figures of a group report, with the truth as it is or drawn anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from surveysim.evaluation.comparison import Rows
from surveysim.evaluation.floors import noise_floor
from surveysim.evaluation.report_levels import Groups
from surveysim.evaluation.resampling import draw_sums, drawn_truths
from surveysim.metrics import js_divergence, opinion_alignment
from surveysim.questions import Question

__all__ = ["COLUMNS", "ReportedGroups"]

COLUMNS = (
    "one", "respondents", "raw", "debiased", "alignment", "ordinal",
    "gap_product", "gap_square", "variance_predicted", "variance_true",
)  # fmt: skip
"""Numerators and denominators of the figures."""

NO_GAP = 1e-20
"""Sum of squares below which a predicted gap is rounding: everybody differs from nobody."""


@dataclass(frozen=True)
class ReportedGroups:
    """The groups of single attributes, and the line of the report that each belongs to.

    Attributes
    ----------
    rows : Rows
    groups : Groups
        One for each group and question.
    line_of : int array of shape (n_groups,)
    lines : list of dict
        What a line is about: its attribute and, where lines are groups, the group.
    values : float64 array of shape (n_groups, K)
        Positions of the options; NaN outside the order, a row of NaN where the question is nominal.
    min_respondents : float
        Groups with fewer do not count.
    """

    rows: Rows
    groups: Groups
    line_of: np.ndarray
    lines: list[dict[str, str]]
    values: np.ndarray
    min_respondents: float

    @classmethod
    def of(
        cls, rows: Rows, by: str, questions: Mapping[str, Question] | None, min_respondents: float
    ) -> ReportedGroups:
        """The groups among these rows.

        Parameters
        ----------
        rows : Rows
        by : {"group", "attribute"}
            What a line is.
        questions : mapping of str to Question, or None
            None: every question is on an equally spaced scale.
        min_respondents : float
        """
        groups = rows.groups("attribute")
        pairs = list(zip(groups.attribute, groups.label if by == "group" else groups.attribute, strict=True))
        lines = list(dict.fromkeys(pairs))
        place = {pair: i for i, pair in enumerate(lines)}
        about = [{"attribute": a, "group": g} if by == "group" else {"attribute": a} for a, g in lines]
        line_of = np.array([place[pair] for pair in pairs])
        values = _scales(groups, groups.pool(rows.Y, rows.population), questions)
        return cls(rows, groups, line_of, about, values, min_respondents)

    @cached_property
    def respondents(self) -> np.ndarray | None:
        """Of each group; None where the truth is exact."""
        return self.rows.respondents(self.groups)

    @cached_property
    def counted(self) -> np.ndarray:
        """Bool array (n_groups,): those with enough respondents."""
        n = self.respondents
        return np.ones(len(self.groups), dtype=bool) if n is None else n >= self.min_respondents

    @cached_property
    def ordinal(self) -> np.ndarray:
        """Bool array (n_groups,): those whose question is on a scale."""
        return (~np.isnan(self.values)).sum(axis=1) > 1

    @cached_property
    def sums(self) -> np.ndarray:
        """Float array (n_groups, n_columns) for the truth as it is."""
        return self.sums_for(self.rows.Y)

    @cached_property
    def totals(self) -> np.ndarray:
        """The same per line (n_lines, n_columns)."""
        return self._by_line(self.sums)

    def told(self, line: int) -> np.ndarray:
        """Int array: the groups that count in a line."""
        return np.flatnonzero((self.line_of == line) & self.counted)

    def sums_for(self, truth: np.ndarray) -> np.ndarray:
        """What each group adds to the figures' numerators and denominators, `COLUMNS`, with this truth of the cells."""
        groups, population, n = self.groups, self.rows.population, self.respondents
        Y, P = groups.pool(truth, population), groups.pool(self.rows.P, population)
        raw = js_divergence(Y, P, average=False)
        alignment = np.full(len(groups), np.nan)
        if self.ordinal.any():
            values = self.values[self.ordinal]
            alignment[self.ordinal] = opinion_alignment(Y[self.ordinal], P[self.ordinal], values=values, average=False)
        told = ~np.isnan(alignment)
        gap, predicted = self._gaps(Y, truth), self._gaps(P, self.rows.P)
        square = (predicted**2).sum(axis=1)
        true, predicted_variance = self._variances(Y, P)
        columns = {
            "one": 1.0,
            "respondents": 0.0 if n is None else n,
            "raw": raw,
            "debiased": raw if n is None else js_divergence(Y, P, average=False, truth_respondents=n),
            "alignment": np.where(told, alignment, 0.0),
            "ordinal": told,
            "gap_product": (gap * predicted).sum(axis=1),
            "gap_square": np.where(square > NO_GAP, square, 0.0),
            "variance_predicted": predicted_variance,
            "variance_true": true,
        }
        found = np.empty((len(groups), len(COLUMNS)))
        for place, name in enumerate(COLUMNS):
            found[:, place] = np.where(self.counted, columns[name], 0.0)
        return found

    def perfect(self, line: int) -> tuple[float, float]:
        """What a perfect prediction would show: divergence, and alignment over ordinal questions; NaN without any."""
        told = self.told(line)
        ordinal = told[self.sums[told, COLUMNS.index("ordinal")] > 0]
        floors, ceilings = self._perfect
        return _mean(floors[told]), _mean(ceilings[ordinal])

    def draw_questions(self, n_draws: int, generator: np.random.Generator) -> np.ndarray:
        """Totals (n_draws, n_lines, n_columns) over questions drawn with replacement."""
        wide = np.zeros((len(self.groups), len(self.lines), len(COLUMNS)))
        wide[np.arange(len(self.groups)), self.line_of] = self.sums
        return draw_sums(wide, self.groups.question, n_draws, generator)

    def draw_truths(self, n_draws: int, generator: np.random.Generator) -> np.ndarray:
        """Totals (n_draws, n_lines, n_columns) for truths drawn anew, moved to the figures' own."""
        assert self.rows.n is not None
        own = dict(zip(COLUMNS, self.totals.sum(axis=0), strict=True))
        share = own["debiased"] / own["raw"] if own["raw"] > 0 else 1.0
        truths = drawn_truths(self.rows.Y, self.rows.P, self.rows.n, share, n_draws, generator)
        drawn = np.array([self._by_line(self.sums_for(truth)) for truth in truths])
        return drawn + self.totals - drawn.mean(axis=0)  # a sample of a sample has its noise twice

    @cached_property
    def _everybody(self) -> Groups:
        return self.rows.groups("population")

    @cached_property
    def _perfect(self) -> tuple[np.ndarray, np.ndarray]:
        floors, ceilings = np.zeros(len(self.groups)), np.full(len(self.groups), 100.0)
        if self.respondents is not None:
            truth, ordinal, n = self.groups.pool(self.rows.Y, self.rows.population), self.ordinal, self.respondents
            floors = noise_floor(truth, n, average=False)
            if ordinal.any():
                ceilings[ordinal] = noise_floor(
                    truth[ordinal],
                    n[ordinal],
                    "opinion_alignment",
                    values=self.values[ordinal],
                    average=False,
                    n_draws=200,
                )
        return floors, ceilings

    def _by_line(self, sums: np.ndarray) -> np.ndarray:
        totals = np.zeros((len(self.lines), len(COLUMNS)))
        np.add.at(totals, self.line_of, sums)
        return totals

    def _gaps(self, shares: np.ndarray, of_cells: np.ndarray) -> np.ndarray:
        """Each group's shares less those of everybody who was asked."""
        everybody = self._everybody
        place = {name: i for i, name in enumerate(everybody.question)}
        whole = np.array([place[name] for name in self.groups.question])
        return np.nan_to_num(shares - everybody.pool(of_cells, self.rows.population)[whole])

    def _variances(self, Y: np.ndarray, P: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of people's and of predicted answers; both 0 where either cannot be told."""
        true, predicted = _variance(Y, self.values), _variance(P, self.values)
        if (n := self.respondents) is not None:  # one answer has no variance
            true = true * np.where(n > 1, n / np.maximum(n - 1, 1e-9), np.nan)
        both = ~np.isnan(true) & ~np.isnan(predicted)
        return np.where(both, true, 0.0), np.where(both, predicted, 0.0)


def _scales(groups: Groups, Y: np.ndarray, questions: Mapping[str, Question] | None) -> np.ndarray:
    """Positions of each group's options; a row of NaN where the question is nominal."""
    if questions is None:
        return np.where(np.isnan(Y), np.nan, np.arange(1.0, Y.shape[1] + 1))
    values = np.full(Y.shape, np.nan)
    only = next(iter(questions.values())) if len(questions) == 1 else None
    for i, name in enumerate(groups.question):
        asked = only if only is not None and name in ("", *questions) else questions.get(name)
        if asked is None:
            raise ValueError(f"X names the question {name!r}, which question= does not have: {list(questions)}")
        values[i, : asked.n_options] = asked.positions[: Y.shape[1]]
    return values


def _mean(numbers: np.ndarray) -> float:
    return float(numbers.mean()) if len(numbers) else float("nan")


def _variance(P: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Variance of the answers: of positions on a scale of length 1, or 1 - sum of squares without a scale."""
    on_scale = ~np.isnan(positions)
    nominal = on_scale.sum(axis=1) < 2
    shares = np.where(on_scale, np.nan_to_num(P), 0.0)
    mass = shares.sum(axis=1, keepdims=True)
    shares = np.divide(shares, mass, out=np.full_like(shares, np.nan), where=mass > 0)
    x = np.nan_to_num(positions)
    length = np.ptp(np.where(on_scale, positions, x[:, :1]), axis=1) if len(P) else np.zeros(0)
    mean = (shares * x).sum(axis=1, keepdims=True)
    spread = (shares * (x - mean) ** 2).sum(axis=1) / np.where(length > 0, length, 1.0) ** 2
    return np.where(nominal, 1 - (np.nan_to_num(P) ** 2).sum(axis=1), spread)
