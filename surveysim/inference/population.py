"""The population of rectified estimates: backgrounds with shares that are known, or a sample of people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from surveysim.inference.groups import Groups, read_groups
from surveysim.tables.backgrounds import combine
from surveysim.tables.poststratification import matching_codes, population_shares

__all__ = ["Population", "group_population", "groups_of_rows", "read_population"]


@dataclass(frozen=True)
class Population:
    """Distinct backgrounds and how many people have them.

    Attributes
    ----------
    people : DataFrame of shape (n_people, n_columns)
        The backgrounds.
    shares : float array of shape (n_people,)
        They sum to 1.
    size : float
        How many people were sampled, infinite where shares are known.
    """

    people: pd.DataFrame
    shares: np.ndarray
    size: float


def read_population(population: pd.DataFrame, like: pd.DataFrame) -> Population:
    """Known shares ("share" or "n" is a column), or else people, one per row, who are a sample themselves.

    Parameters
    ----------
    population : DataFrame
    like : DataFrame
        The backgrounds of the cells, whose levels and order of levels the population's take over.

    Raises
    ------
    TypeError
        If it is not a DataFrame.
    ValueError
        If it is empty, lacks backgrounds, or shares are wrong.
    """
    if not isinstance(population, pd.DataFrame):
        raise TypeError(f"population must be a pandas DataFrame, got {type(population).__name__}")
    if len(population) == 0:
        raise ValueError("population is empty")
    backgrounds = list(like.columns)
    lacking = [column for column in backgrounds if column not in population.columns]
    if lacking:
        raise ValueError(f"population lacks the backgrounds {lacking} of the cells; it has {list(population.columns)}")
    known = any(column in population.columns and column not in backgrounds for column in ("share", "n"))
    shares = population_shares(population) if known else np.full(len(population), 1.0 / len(population))
    codes = [matching_codes(population[column], population[column])[0] for column in backgrounds]
    background, first = combine([(code, int(code.max()) + 1) for code in codes])
    people = population[backgrounds].iloc[first].reset_index(drop=True)
    for column, dtype in like.dtypes.items():
        if isinstance(dtype, pd.CategoricalDtype) and set(people[column].dropna()) <= set(dtype.categories):
            people[str(column)] = people[column].astype(dtype)
    summed = np.bincount(background, weights=shares)
    return Population(people, summed, np.inf if known else float(len(population)))


def group_population(population: Population, columns: Sequence[str]) -> Groups:
    """The groups of the population with a positive share."""
    groups = read_groups(population.people, columns)
    size = np.bincount(
        groups.of_row[groups.of_row >= 0],
        weights=population.shares[groups.of_row >= 0],
        minlength=len(groups),
    )
    kept = size > 0
    if kept.all():
        return groups
    number = np.where(kept, np.cumsum(kept) - 1, -1)
    of_row = np.where(groups.of_row >= 0, number[groups.of_row], -1)
    return Groups(groups.frame[kept].reset_index(drop=True), of_row)


def groups_of_rows(groups: Groups, rows: pd.DataFrame) -> np.ndarray:
    """The group that each row of a table belongs to, -1 for none."""
    columns = list(groups.frame.columns)
    if not columns:
        return np.zeros(len(rows), dtype=np.int64)
    pairs = [matching_codes(rows[column], groups.frame[column]) for column in columns]
    key, _ = combine([(np.concatenate(pair), int(max(part.max() for part in pair)) + 1) for pair in pairs])
    place = np.full(int(key.max()) + 1, -1)
    place[key[len(rows) :]] = np.arange(len(groups))
    return np.asarray(place[key[: len(rows)]])
