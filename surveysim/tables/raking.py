"""Joint shares of a population from its margins, by iterative proportional fitting."""

from __future__ import annotations

from collections.abc import Hashable
from math import prod
from typing import overload

import numpy as np
import pandas as pd

from surveysim.tables.margins import Margins, read_margins
from surveysim.tables.poststratification import matching_codes, population_shares
from surveysim.tables.respondent_weights import RespondentWeights
from surveysim.tables.respondents import PerRespondent
from surveysim.tables.weighing import weigh_respondents

__all__ = ["rake"]

LARGEST_TABLE = 20_000_000
"""Cells of a joint table; beyond this a product of margins no longer fits in memory (160 MB a copy)."""


@overload
def rake(
    margins: Margins, *, seed: pd.DataFrame | None = ..., tolerance: float = ..., max_iter: int = ...
) -> pd.DataFrame: ...


@overload
def rake(
    margins: Margins,
    *,
    respondents: pd.DataFrame,
    weights: PerRespondent | None = ...,
    trim: float | None = ...,
    tolerance: float = ...,
    max_iter: int = ...,
) -> RespondentWeights: ...


def rake(
    margins: Margins,
    *,
    seed: pd.DataFrame | None = None,
    respondents: pd.DataFrame | None = None,
    weights: PerRespondent | None = None,
    trim: float | None = None,
    tolerance: float = 1e-6,
    max_iter: int = 1000,
) -> pd.DataFrame | RespondentWeights:
    """Make joint shares with given margins, for `poststratify`; or, with `respondents`, weights for a sample.

    Margins do not determine joint shares. The result is the table closest to `seed` that has them (smallest
    Kullback-Leibler divergence): its margins are the population's, its odds ratios are the seed's. Without a seed,
    backgrounds are taken to be *independent* beyond the margins given: age says nothing about education. Give a joint
    margin (a tuple of columns) for what is known together, and a seed (a census or a large survey) for the rest.

    Parameters
    ----------
    margins : mapping of str, or tuple of str, to mapping or Series; or a long table
        Shares (or percentages, or counts) by level: ``{"sex": {"f": 0.51, "m": 0.49}}``. A tuple of columns has a joint
        margin: ``{("age", "educ"): {("young", "low"): 0.1, ...}}``; combinations that are not listed have share 0.
        Margins may also be passed as published: a DataFrame with the columns "variable", "level" and "share" (or "n"),
        or a Series with variable and level as its index.
    seed : DataFrame, optional
        Joint table with all columns of the margins, and ``"share"`` or ``"n"``. Combinations that it lacks stay 0.
        Further columns are kept, with the seed's shares within each combination.
    respondents : DataFrame of shape (n_respondents, n_columns), optional
        Weigh these respondents instead, so that they have the margins: `surveysim.tables.weigh_respondents` with
        ``method="raking"``, where `weights` and `trim` are described.
    weights, trim : optional
        With `respondents` only.
    tolerance : float, default=1e-6
        Largest difference between a margin of the result and the margin given, as a share.
    max_iter : int, default=1000
        Passes over the margins.

    Returns
    -------
    DataFrame
        The columns, levels in the order of the margins, and ``"share"``, which sums to 1. Combinations that
        the seed or a joint margin exclude are left out. With `respondents`, a `surveysim.tables.RespondentWeights`.

    Raises
    ------
    ValueError
        If margins contradict each other or the seed (the message names the margin and the gap), their totals differ by
        more than rounding (1%), a share is negative or missing, levels differ between margins, or seed lacks a column.

    Notes
    -----
    Deming and Stephan (1940), Annals of Mathematical Statistics 11, 427-444; convergence and its failure when zeros
    contradict the margins: Fienberg (1970), Annals of Mathematical Statistics 41, 907-917.

    Examples
    --------
    >>> from surveysim import rake
    >>> rake({"age": {"young": 0.4, "old": 0.6}, "sex": {"f": 0.5, "m": 0.5}})
         age sex  share
    0  young   f    0.2
    1  young   m    0.2
    2    old   f    0.3
    3    old   m    0.3
    >>> import pandas as pd
    >>> survey = pd.DataFrame({"sex": ["f", "f", "f", "m"]})
    >>> rake({"sex": {"f": 0.5, "m": 0.5}}, respondents=survey).weights.round(3).tolist()
    [0.667, 0.667, 0.667, 2.0]
    """
    if tolerance <= 0 or max_iter < 1:
        raise ValueError(f"tolerance must be positive and max_iter at least 1, got {tolerance} and {max_iter}")
    if respondents is not None:
        if seed is not None:
            raise ValueError(
                "seed belongs to a joint table, but respondents are weighted as they are: give one of the two"
            )
        return weigh_respondents(
            respondents, margins, weights=weights, trim=trim, tolerance=tolerance, max_iter=max_iter
        )
    if weights is not None or trim is not None:
        raise ValueError("weights and trim need respondents=, the survey file whose respondents are weighted")
    given = read_margins(margins)
    levels = _levels(given, seed)
    columns = list(levels)
    shape = tuple(len(values) for values in levels.values())
    if prod(shape) > LARGEST_TABLE:
        raise ValueError(f"the joint table of {columns} would have {prod(shape):,} cells, at most {LARGEST_TABLE:,}")
    table = np.full(shape, 1.0 / prod(shape)) if seed is None else _seed_table(seed, levels)
    targets = [(names, _target(names, margin, levels)) for names, margin in given.items()]
    table = _fit(table, targets, columns, tolerance, max_iter)
    index = np.nonzero(table)
    result = {column: _as_column(levels[column], where) for column, where in zip(columns, index, strict=True)}
    return pd.DataFrame({**result, "share": table[index]})


def _levels(given: dict[tuple[str, ...], dict[Hashable, float]], seed: pd.DataFrame | None) -> dict[str, list]:
    """The levels of each column: those of the margins, then of columns that only the seed has."""
    levels: dict[str, list] = {}
    for columns, margin in given.items():
        for i, column in enumerate(columns):
            here = list(dict.fromkeys(level[i] for level in margin))  # type: ignore[index]
            if column not in levels:
                levels[column] = here
            elif set(here) != set(levels[column]):
                differing = sorted(map(repr, set(here) ^ set(levels[column])))
                raise ValueError(f"margins contradict each other: column {column!r} has levels {differing} in one only")
    if seed is not None:
        if not isinstance(seed, pd.DataFrame):
            raise TypeError(f"seed must be a pandas DataFrame, got {type(seed).__name__}")
        lacking = [column for column in levels if column not in seed.columns]
        if lacking:
            raise ValueError(f"seed lacks the columns {lacking} of the margins; it has {list(seed.columns)}")
        for column in seed.columns:
            if column not in levels and column not in ("share", "n"):
                if seed[column].isna().any():
                    raise ValueError(f"seed has missing values in column {column!r}")
                categories = seed[column].astype("category").cat.categories
                levels[column] = list(categories)
    return levels


def _seed_table(seed: pd.DataFrame, levels: dict[str, list]) -> np.ndarray:
    shares = population_shares(seed)
    places = []
    for column, values in levels.items():
        codes, known = matching_codes(seed[column], pd.Series(values))
        place = np.full(max(int(codes.max(initial=0)), int(known.max())) + 1, -1)
        place[known] = np.arange(len(values))
        unknown = place[codes] < 0
        if unknown.any():
            value = seed[column].iloc[int(np.flatnonzero(unknown)[0])]
            raise ValueError(f"seed holds {value!r} in column {column!r}, which is not a level of the margin: {values}")
        places.append(place[codes])
    shape = tuple(len(values) for values in levels.values())
    flat = np.ravel_multi_index(places, shape)
    return np.bincount(flat, weights=shares, minlength=prod(shape)).reshape(shape)


def _target(names: tuple[str, ...], margin: dict[Hashable, float], levels: dict[str, list]) -> np.ndarray:
    """A margin as an array with the axes of the joint table, of length 1 where a column is not in the margin."""
    positions = [{value: i for i, value in enumerate(levels[column])} for column in names]
    target = np.zeros([len(levels[column]) for column in names])
    for level, share in margin.items():
        target[tuple(place[part] for place, part in zip(positions, level, strict=True))] = share  # type: ignore[call-overload]
    columns = list(levels)
    order = sorted(range(len(names)), key=lambda i: columns.index(names[i]))
    shape = [len(levels[column]) if column in names else 1 for column in columns]
    return target.transpose(order).reshape(shape)


def _fit(
    table: np.ndarray,
    targets: list[tuple[tuple[str, ...], np.ndarray]],
    columns: list[str],
    tolerance: float,
    max_iter: int,
) -> np.ndarray:
    axes = [tuple(i for i, column in enumerate(columns) if column not in names) for names, _ in targets]
    for (names, target), others in zip(targets, axes, strict=True):
        reached = table.sum(axis=others, keepdims=True)
        if (target[reached == 0] > 0).any():
            where = np.argwhere((reached == 0) & (target > 0))[0]
            raise ValueError(
                f"the margin of {list(names)} contradicts the seed, which has nobody in level {where[where > 0]} "
                "(by position): collapse levels or add a small count to the seed"
            )
    for _ in range(max_iter):
        for (_, target), others in zip(targets, axes, strict=True):
            reached = table.sum(axis=others, keepdims=True)
            table = table * np.divide(target, reached, out=np.zeros_like(reached), where=reached > 0)
        gaps = [
            float(np.abs(table.sum(axis=others, keepdims=True) - target).max())
            for (_, target), others in zip(targets, axes, strict=True)
        ]
        if max(gaps) <= tolerance:
            return table / table.sum()
    worst = int(np.argmax(gaps))
    raise ValueError(
        f"margins contradict each other (or the seed's zeros): after {max_iter} passes the margin of "
        f"{list(targets[worst][0])} is still off by {gaps[worst]:.2g}, more than tolerance={tolerance:g}. Check that "
        "joint and single margins agree; if they differ only by rounding, raise tolerance."
    )


def _as_column(values: list, where: np.ndarray) -> pd.Series:
    """Level values by position, with the dtype that pandas infers for them."""
    return pd.Series(values).iloc[where].reset_index(drop=True)
