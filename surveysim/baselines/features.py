"""Backgrounds as a design matrix: one-hot levels, linear scores of ordered attributes, two-way terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
import pandas as pd

from surveysim.level_order import order_of
from surveysim.levels import UNSEEN, LevelIndex, as_numbers, is_number_column

__all__ = ["BackgroundEncoder", "Block", "Design"]

MAX_NUMBER_LEVELS = 12
"""A number with more distinct training values than this is a quantity: its one-hot terms stand for groups of values."""

N_NUMBER_GROUPS = 6
"""How many groups of a quantity's values get one-hot terms, with about equally many distinct values each."""


@dataclass(frozen=True)
class Block:
    """Columns of the design matrix that share their prior: one kind of term of one attribute (or pair).

    `kind` is "levels" (one-hot), "linear" (one standardised score) or "pair" (two-way one-hot).
    """

    attributes: tuple[str, ...]
    kind: str
    columns: slice
    names: tuple[str, ...]

    @property
    def name(self) -> str:
        """The attribute, or both joined by " x "."""
        return " x ".join(self.attributes)


@dataclass(frozen=True)
class Design:
    """A design matrix.

    Attributes
    ----------
    matrix : float64 array of shape (n, n_columns)
        The terms, without a constant.
    unseen : bool array of shape (n, n_blocks)
        Where a row has a level (or pair of levels) that training did not show: its terms in that block are all 0.
    """

    matrix: np.ndarray
    unseen: np.ndarray

    @property
    def with_constant(self) -> np.ndarray:
        """The matrix after a column of ones, (n, 1 + n_columns)."""
        return np.column_stack([np.ones(len(self.matrix)), self.matrix])

    def __getitem__(self, rows: np.ndarray | slice) -> Design:
        """Some of the rows."""
        return Design(self.matrix[rows], self.unseen[rows])


class BackgroundEncoder:
    """Learn from training backgrounds how any background becomes a row of numbers.

    - Every attribute gets one column per level seen (all of them: a prior makes the terms identifiable). Missing is a
      level. A number with more than 12 distinct values has a level per group of values (6 groups, equally many
      distinct values in each). An attribute with one level tells nothing and has no columns.
    - With `linear`, every ordered attribute of at least three levels also gets one score: an ordered categorical the
      rank of the category among *all* categories of its type, a number itself, and texts that read like an order
      (`surveysim.level_order`) their rank in it; standardised over the distinct training backgrounds; 0 where it is
      missing or unknown.
    - With `pairs`, every pair of attributes gets one column per pair of levels seen together.

    Levels not seen in training have zeros in their columns; an ordered level that its categorical type knows, or a
    number, still has its score.

    Parameters
    ----------
    linear, pairs : bool
        Which terms to make beside the levels.
    """

    def __init__(self, *, linear: bool, pairs: bool) -> None:
        self.linear = linear
        self.pairs = pairs

    def fit(self, backgrounds: pd.DataFrame) -> BackgroundEncoder:
        """Learn levels, scores and pairs from a DataFrame of training backgrounds; rows that repeat count once."""
        distinct = backgrounds.drop_duplicates()
        self._attributes = [_Attribute(distinct[name]) for name in backgrounds.columns]
        self.blocks: list[Block] = []
        self.n_columns = 0
        for attribute in self._attributes:
            if len(attribute.names) > 1:
                self._add([attribute.name], "levels", [f"{attribute.name}={level}" for level in attribute.names])
        if self.linear:
            for attribute in self._attributes:
                if attribute.scale is not None:
                    self._add([attribute.name], "linear", [f"{attribute.name} (linear)"])
        self._pairs: dict[tuple[str, str], np.ndarray] = {}
        if self.pairs:
            codes = {attribute.name: attribute.codes(distinct[attribute.name]) for attribute in self._attributes}
            varied = [attribute for attribute in self._attributes if len(attribute.names) > 1]
            for first, second in combinations(varied, 2):
                width = len(second.names)
                seen = np.unique(codes[first.name] * width + codes[second.name])
                self._pairs[first.name, second.name] = seen
                names = [
                    f"{first.name}={first.names[pair // width]} x {second.name}={second.names[pair % width]}"
                    for pair in seen
                ]
                self._add([first.name, second.name], "pair", names)
        return self

    def _add(self, attributes: Sequence[str], kind: str, names: Sequence[str]) -> None:
        columns = slice(self.n_columns, self.n_columns + len(names))
        self.blocks.append(Block(tuple(attributes), kind, columns, tuple(names)))
        self.n_columns = columns.stop

    @property
    def names(self) -> list[str]:
        """One name per column of the design matrix."""
        return [name for block in self.blocks for name in block.names]

    def transform(self, backgrounds: pd.DataFrame) -> Design:
        """The design matrix of n backgrounds."""
        attributes = {attribute.name: attribute for attribute in self._attributes}
        codes = {name: attribute.codes(backgrounds[name]) for name, attribute in attributes.items()}
        for name, attribute in attributes.items():
            attribute.index.warn_of_misspelt(name, backgrounds[name], codes[name])
        matrix = np.zeros((len(backgrounds), self.n_columns))
        unseen = np.zeros((len(backgrounds), len(self.blocks)), dtype=bool)
        for b, block in enumerate(self.blocks):
            terms = matrix[:, block.columns]  # a view
            if block.kind == "linear":
                (name,) = block.attributes
                terms[:, 0], known = attributes[name].scores(backgrounds[name])
                unseen[:, b] = ~known & (codes[name] == UNSEEN)
                continue
            if block.kind == "levels":
                place = codes[block.attributes[0]]
            else:
                first, second = block.attributes
                pair = codes[first] * len(attributes[second].names) + codes[second]
                pair[(codes[first] == UNSEEN) | (codes[second] == UNSEEN)] = UNSEEN
                seen = self._pairs[first, second]
                place = np.searchsorted(seen, pair).clip(max=len(seen) - 1)
                place[seen[place] != pair] = UNSEEN
            shown = np.flatnonzero(place != UNSEEN)
            terms[shown, place[shown]] = 1.0
            unseen[:, b] = place == UNSEEN
        return Design(matrix, unseen)


class _Attribute:
    """One background column: its levels and, if it is ordered, its scale."""

    def __init__(self, column: pd.Series) -> None:
        self.name = str(column.name)
        self._edges: np.ndarray | None = None
        self._ranks: dict[object, float] | None = None
        index = LevelIndex(column)
        self.index = index
        self.names = index.names
        number = is_number_column(column)
        n_levels = len(index.values)
        if number and n_levels > MAX_NUMBER_LEVELS:
            values = np.unique(as_numbers(column.dropna()))
            cuts = np.arange(1, N_NUMBER_GROUPS) * len(values) // N_NUMBER_GROUPS
            # halfway between neighbours, so that a group's border does not hang on one respondent's exact value
            self._edges = (values[cuts - 1] + values[cuts]) / 2
            limits = ["", *(f"{edge:g}" for edge in self._edges), ""]
            self.names = [f"{low}..{high}" for low, high in pairwise(limits)]
            self.names += index.names[n_levels:]
        ordered = number
        if isinstance(column.dtype, pd.CategoricalDtype) and column.dtype.ordered:
            ordered = True
            self._ranks = {value: float(rank) for rank, value in enumerate(column.dtype.categories)}
        elif not number:
            self._ranks = order_of(index.values)
            ordered = self._ranks is not None
        self.scale: tuple[float, float] | None = None
        if ordered and n_levels > 2:
            positions = self._positions(column)
            centre, spread = float(np.nanmean(positions)), float(np.nanstd(positions))
            if spread > 0:
                self.scale = centre, spread

    def codes(self, column: pd.Series) -> np.ndarray:
        if self._edges is None:
            return self.index.codes(column)
        numbers = as_numbers(column)
        codes = np.searchsorted(self._edges, numbers, side="right")
        absent = np.isnan(numbers)
        missing = column.isna().to_numpy()
        codes[absent] = UNSEEN
        if self.index.has_missing:
            codes[missing] = len(self._edges) + 1
        return codes

    def scores(self, column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        """Standardised scores, 0 where a value has no place on the scale, and where it has one."""
        assert self.scale is not None
        centre, spread = self.scale
        scores = (self._positions(column) - centre) / spread
        known = ~np.isnan(scores)
        return np.where(known, scores, 0.0), known

    def _positions(self, column: pd.Series) -> np.ndarray:
        if self._ranks is None:
            return as_numbers(column)
        places, values = pd.factorize(column.astype(object))
        return np.array([*(self._ranks.get(value, np.nan) for value in values), np.nan], dtype=np.float64)[places]
