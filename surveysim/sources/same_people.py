"""Whether two tables are of the same respondents: they agree more than tables of different people can by chance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import binom

from surveysim.cells import FitCells
from surveysim.sources.evidence import Evidence

__all__ = ["Compared", "same_respondents"]

CHANCE = 1e-6
"""Tables are of the same respondents where agreement by chance is less likely than this."""

ROUNDED = (1e-6, 0.001, 0.0075, 0.02)
"""How far shares of the same people may be apart: not at all; rounded to a tenth of a percent; to whole percents, and
scaled to 100; summed with other weights, or a few people more or less."""

SAME_SHARE = 0.9
"""The part of the rows in common that has to agree."""

GRIDS = (0.01, 0.001)
"""What printed shares are multiples of: equal ones are then no rarer than that. Shares that are neither printed nor
those of whole respondents may be of the coarser grid, scaled to 100."""

OTHER_QUESTIONS = 0.5
"""What further questions count for beside the most telling one: the same people's answers to several go together."""


def same_respondents(evidence: Evidence, cells: FitCells | Evidence) -> bool:
    """Whether evidence was tabulated from the respondents of `cells`, all or some of them, or from these and others.

    Parameters
    ----------
    evidence : Evidence
    cells : FitCells or Evidence
        Training cells, or the evidence of another source.

    Returns
    -------
    bool

    Notes
    -----
    Rows of the same question and group are compared; where one table has totals over an attribute, the other is summed
    up. Two signs tell the same people, each where the probability that tables of different people show it, had they the
    same opinions, is below 1e-6:

    - nine tenths of the rows agree, exactly or as far as rounding, scaling and a few people explain;
    - in each row one table has at least as many respondents for every option as the other (of whole respondents only).

    A few small cells, or a total, may agree by chance and are not refused. Neither sign finds a panel, whose members
    answer both waves, nor a few respondents among many others, nor totals of weighted respondents, whose weights
    cells do not hold.

    Examples
    --------
    >>> from surveysim.datasets import make_survey
    >>> from surveysim.sources import Wave, same_respondents
    >>> survey = make_survey(400, random_state=0)
    >>> parts = [survey.subset(range(200)), survey.subset(range(200, 400)), survey]
    >>> backgrounds = survey.data[survey.backgrounds]
    >>> one, other, both = (
    ...     Wave(part.tabulate()).evidence(survey.questions, backgrounds) for part in parts
    ... )
    >>> same_respondents(one, one), same_respondents(one, other), same_respondents(one, both)
    (True, False, True)
    """
    columns = [name for name in evidence.backgrounds.columns if name in cells.backgrounds.columns]
    return Compared(evidence, columns).shares_respondents_with(Compared(cells, columns))


@dataclass(frozen=True)
class _Rows:
    """Rows of one question and group each: keys, shares (m, K) and respondents (m,)."""

    keys: pd.MultiIndex
    Y: np.ndarray
    n: np.ndarray

    def at(self, keys: pd.MultiIndex) -> _Rows:
        places = self.keys.get_indexer(keys)
        return _Rows(keys, self.Y[places], self.n[places])

    @property
    def counts(self) -> np.ndarray:
        return self.Y * self.n[:, None]

    @property
    def is_whole(self) -> bool:
        """Whether shares are those of whole respondents."""
        counts = self.counts
        return bool((np.abs(counts - np.round(counts)) < 1e-3).all())

    @property
    def grid(self) -> float:
        """What shares are multiples of; 0 where they are those of whole respondents and nothing else is known."""
        for grid in GRIDS:
            if (np.abs(self.Y / grid - np.round(self.Y / grid)) < 1e-6).all():
                return grid
        return 0.0 if self.is_whole else GRIDS[0]


class Compared:
    """A table that is compared with others; what it is for the first is kept for the next.

    Parameters
    ----------
    cells : Evidence or FitCells
    columns : sequence of str
        Attributes that all tables have.
    """

    def __init__(self, cells: Evidence | FitCells, columns: Sequence[str]) -> None:
        asked = np.asarray(cells.n) > 0
        frame = pd.DataFrame({f"key {j}": cells.backgrounds[name].astype(object) for j, name in enumerate(columns)})
        patterns = frame.notna().to_numpy().reshape(len(asked), len(columns))[asked]
        frame = frame.reset_index(drop=True)
        frame["question"] = np.asarray(cells.question_names, dtype=object)
        frame["n"] = cells.n
        self._width = cells.Y.shape[1]
        counts = pd.DataFrame(np.nan_to_num(cells.Y) * np.asarray(cells.n)[:, None])
        frame = pd.concat([frame, counts], axis=1)[asked]
        self.tables = {
            stated: frame[(patterns == np.array(stated, dtype=bool)).all(axis=1)]
            for stated in dict.fromkeys(map(tuple, patterns.tolist()))
        }
        """Rows apart by which attributes they state."""
        self._summed: dict[tuple[bool, ...], list[_Rows]] = {}

    def shares_respondents_with(self, other: Compared) -> bool:
        """Whether one sign or the other tells the same people; see `same_respondents`."""
        return any(_agree(*pair) or _nested(*pair) for pair in self._in_common(other))

    def _in_common(self, other: Compared) -> Iterator[tuple[_Rows, _Rows]]:
        """The rows that both have in common, for each set of attributes that either of them states."""
        for stated in dict.fromkeys([*self.tables, *other.tables]):
            for ours in self.summed(stated):
                for theirs in other.summed(stated):
                    keys = ours.keys.intersection(theirs.keys, sort=False)
                    if len(keys):
                        yield ours.at(keys), theirs.at(keys)

    def summed(self, stated: tuple[bool, ...]) -> list[_Rows]:
        """Each table that states these attributes and perhaps more, summed over the others; and all of them together.

        Parameters
        ----------
        stated : tuple of bool
            For each attribute.
        """
        if stated not in self._summed:
            finer = [
                own for key, own in self.tables.items() if all(k or not s for s, k in zip(stated, key, strict=True))
            ]
            if len(finer) > 1:
                finer.append(pd.concat(finer, ignore_index=True))
            by = ["question", *[f"key {j}" for j, is_stated in enumerate(stated) if is_stated]]
            self._summed[stated] = [_sum(own, by, self._width) for own in finer]
        return self._summed[stated]


def _sum(table: pd.DataFrame, by: list[str], width: int) -> _Rows:
    """Rows with equal keys added up."""
    numbers = list(range(width))
    summed = table.groupby(by, sort=False, observed=True)[["n", *numbers]].sum()
    keys = summed.index if isinstance(summed.index, pd.MultiIndex) else pd.MultiIndex.from_arrays([summed.index])
    n = summed["n"].to_numpy(dtype=float)
    return _Rows(keys, summed[numbers].to_numpy(dtype=float) / n[:, None], n)


def _wide(numbers: np.ndarray, other: _Rows) -> np.ndarray:
    """With as many columns as the other, where it has more: its target has longer questions."""
    return np.pad(numbers, ((0, 0), (0, max(0, other.Y.shape[1] - numbers.shape[1]))))


def _agree(one: _Rows, other: _Rows) -> bool:
    """Whether nine tenths of the rows agree, as they would not by chance."""
    distance = np.abs(_wide(one.Y, other) - _wide(other.Y, one)).max(axis=1)
    for tolerance in ROUNDED:
        agreeing = distance <= tolerance
        if agreeing.mean() < SAME_SHARE:
            continue
        grid = max(one.grid, other.grid)
        chance = _log_chance(one, other, tolerance, grid)[agreeing]
        if tolerance == ROUNDED[0]:
            chance = chance + _log_chance_of_sizes(one, other)[agreeing]
        questions = np.asarray(one.keys.get_level_values(0))[agreeing]
        if _together(pd.Series(chance).groupby(questions).sum().tolist()) < np.log(CHANCE):
            return True
    return False


def _log_chance(one: _Rows, other: _Rows, tolerance: float, grid: float) -> np.ndarray:
    """Log of the probability (m,) that shares of different people with the same opinions are as near as that.

    The density of their difference at 0 by a Gaussian, over the options that anybody chose, times the volume in which
    they count as equal: at least that of one respondent more or less.
    """
    p = (_wide(one.counts, other) + _wide(other.counts, one)) / (one.n + other.n)[:, None]
    chosen = p > 0
    free = chosen.sum(axis=1) - 1
    variance = 1.0 / one.n + 1.0 / other.n
    side = np.maximum(1.0 / np.maximum(one.n, other.n), max(2.0 * tolerance, grid))
    log_shares = np.where(chosen, np.log(np.where(chosen, p, 1.0)), 0.0).sum(axis=1)
    log_density = -0.5 * (free * np.log(2.0 * np.pi * variance) + log_shares)
    return np.minimum(np.where(free > 0, log_density + free * np.log(side), 0.0), 0.0)


def _log_chance_of_sizes(one: _Rows, other: _Rows) -> np.ndarray:
    """The same for equal numbers of respondents (m,): once for each group, and 0 where all groups are of one size."""
    found = np.zeros(len(one.n))
    equal = np.abs(one.n - other.n) <= 1e-4 * one.n
    if equal.all() and len(np.unique(np.round(one.n, 3))) > 1:
        groups = one.keys.droplevel(0) if one.keys.nlevels > 1 else one.keys
        first = ~groups.duplicated()
        found[first] = np.minimum(-0.5 * np.log(4.0 * np.pi * one.n[first]), 0.0)
    return found


def _nested(one: _Rows, other: _Rows) -> bool:
    """Whether all respondents of one table may be among those of the other, as they would not by chance."""
    for small, large in ((one, other), (other, one)):
        few, many = _wide(small.counts, large), _wide(large.counts, small)
        if (few > many + 0.5).any() or not (small.is_whole and large.is_whole):
            continue
        few, many = np.round(few), np.round(many)
        told: list[float] = []
        questions = np.asarray(small.keys.get_level_values(0))
        for question in dict.fromkeys(questions):
            rows = questions == question
            told.append(_log_chance_of_nesting(few[rows], many[rows]))
            if _together(told) < np.log(CHANCE):
                return True
    return False


def _log_chance_of_nesting(few: np.ndarray, many: np.ndarray) -> float:
    """Log of the probability that different people's counts of one question (m, K) are nowhere above the others'."""
    n_few, n_many = few.sum(axis=1, keepdims=True), many.sum(axis=1, keepdims=True)
    p = (few + many + 0.5) / (n_few + n_many + 0.5 * few.shape[1])
    held = np.zeros_like(p)
    for count in range(int(n_few.max()) + 1):
        held += binom.pmf(count, n_few, p) * binom.sf(count - 1, n_many, p)
    log_held = np.log(np.clip(held, 1e-300, 1.0))
    log_held[np.arange(len(p)), p.argmax(axis=1)] = 0.0  # it has what the others leave of the respondents
    log_held[(few + many) == 0] = 0.0
    return float(log_held.sum())


def _together(log_chances: Sequence[float]) -> float:
    """Of all questions: the most telling one, and what the others add."""
    return min(log_chances) + OTHER_QUESTIONS * (sum(log_chances) - min(log_chances))
