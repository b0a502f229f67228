"""From the distributions of cells to those of a population: each cell by its share of the population."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from surveysim.distributions import check_distributions
from surveysim.tables.backgrounds import combine
from surveysim.tables.cells import QUESTION_COLUMN

__all__ = ["matching_codes", "population_shares", "poststratify"]

SHARE_TOLERANCE = 0.01
"""How far published shares may be from 1 in sum: they are rounded, and are then scaled to 1."""


def poststratify(
    P: ArrayLike | pd.DataFrame,
    X: pd.DataFrame,
    population: pd.DataFrame,
    *,
    by: str | Sequence[str] | None = None,
) -> pd.DataFrame:
    """Combine the cells' distributions for a population, weighted by each cell's share of it.

    Parameters
    ----------
    P : array-like of shape (n_cells, K) or (n_draws, n_cells, K)
        Distributions, NaN past the last option of a shorter question; with a third axis, draws of them (from
        ``predict_draws`` or a bootstrap), which give draws of the result.
    X : DataFrame of shape (n_cells, n_backgrounds [+ 1])
        The cells of P: a row for every background in the population, for each question (the column
        ``"question"``, if there are several).
    population : DataFrame
        Joint shares: the background columns of X and ``"share"`` (sums to 1, or to 100) or ``"n"`` (counts). Rows
        with the same background add up, so that other columns (a region, for `by`) may split them further. From
        margins alone, `rake` makes joint shares, under an assumption.
    by : str or list of str, optional
        Columns of `population`: one distribution for each of their groups, shares taken within the group.

    Returns
    -------
    DataFrame of shape (n_groups, K)
        Columns "1".."K" (or those of P, if it is a DataFrame); the index has a level "draw" where P has draws,
        "question" where X names it, and the columns of `by`; without any of them the single row "population".

    Raises
    ------
    ValueError
        If P and X differ in length or P is not a distribution, X repeats a cell, columns are missing, shares are
        negative, missing or do not sum to 1, or the population has backgrounds that X lacks (they are listed).

    Notes
    -----
    p_g = sum_b N_gb p_b / sum_b N_gb over the backgrounds b of a group g (Little 1993, Post-stratification: a
    modeler's perspective, JASA 88, 1001-1012; with modelled p_b, the second half of MRP: Gelman and Little 1997).
    Cells of X that the population does not have get no weight.

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim import poststratify
    >>> X = pd.DataFrame({"age": ["young", "old"]})
    >>> population = pd.DataFrame({"age": ["old", "young"], "share": [0.25, 0.75]})
    >>> poststratify([[0.2, 0.8], [0.6, 0.4]], X, population)
                  1    2
    population  0.3  0.7
    """
    backgrounds, groups = _check_columns(X, population, by)
    distributions, columns, has_draws = _check_draws(P, len(X))
    shares = population_shares(population, within=groups, exclude=backgrounds)

    levels = [matching_codes(X[column], population[column]) for column in backgrounds]
    key, _ = combine([(np.concatenate(pair), int(max(pair[0].max(), pair[1].max())) + 1) for pair in levels])
    cell_key, population_key = key[: len(X)], key[len(X) :]
    group, group_frame = _number_groups(population, groups)
    n_groups, n_keys = len(group_frame), int(key.max()) + 1
    weight = np.bincount(group * n_keys + population_key, weights=shares, minlength=n_groups * n_keys)
    weight = weight.reshape(n_groups, n_keys)
    empty = weight.sum(axis=1) == 0
    if empty.any():
        raise ValueError(f"the group {group_frame[empty].iloc[0].to_dict()} has no share of the population")
    weight = weight / weight.sum(axis=1, keepdims=True)

    several = QUESTION_COLUMN in X.columns
    question, found = pd.factorize(X[QUESTION_COLUMN]) if several else (np.zeros(len(X), dtype=int), [""])
    names = [str(name) for name in found]
    if (question < 0).any():
        raise ValueError(f"X names no question in row {int(np.flatnonzero(question < 0)[0])}")
    results = []
    for q, name in enumerate(names):
        rows = np.flatnonzero(question == q)
        _refuse_uneven(distributions[0, rows], rows, name)
        place = _place_cells(cell_key[rows], n_keys, X[backgrounds], rows, name)
        _refuse_uncovered(place, weight, population[backgrounds], population_key, name)
        covered = np.flatnonzero(place >= 0)
        results.append(weight[:, covered] @ distributions[:, rows[place[covered]]])
    stacked = np.stack(results, axis=1)  # (draws, questions, groups, K)
    index = _index(len(distributions) if has_draws else None, names if several else None, group_frame)
    return pd.DataFrame(stacked.reshape(len(index), -1), index=index, columns=columns)


def population_shares(
    population: pd.DataFrame, *, within: Sequence[str] = (), exclude: Sequence[str] = ()
) -> np.ndarray:
    """The column "share" or "n" of a joint table, scaled to sum to 1 (shares conditional on a group stay so).

    Raises
    ------
    ValueError
        If there is neither or both, a value is negative or missing, or shares do not sum to 1 or 100.
    """
    present = [column for column in ("share", "n") if column in population.columns and column not in exclude]
    if len(present) != 1:
        found = "both" if present else f"neither; its columns are {list(population.columns)}"
        raise ValueError(f"population needs one column 'share' or 'n' (counts), it has {found}")
    name = present[0]
    try:
        values = population[name].to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise TypeError(f"population[{name!r}] must be numbers: {error}") from None
    wrong = ~np.isfinite(values) | (values < 0)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ValueError(f"population[{name!r}] is {values[row]} in row {population.index[row]!r}: it must be >= 0")
    total = values.sum()
    if total == 0:
        raise ValueError(f"population[{name!r}] is 0 in every row")
    if name == "share" and not _is_whole(total):
        conditional = (
            list(within) and population[name].groupby(_group_keys(population, within)).sum().map(_is_whole).all()
        )
        if not conditional:
            raise ValueError(
                f"population['share'] sums to {total:.6g}, not to 1 (or 100): are cells missing? Call the column 'n' "
                "if these are counts."
            )
    return values / total


def matching_codes(one: pd.Series, other: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Number the values of two columns together; equal values get equal numbers whatever the dtypes, missing too."""
    numeric = [pd.api.types.is_numeric_dtype(column.dtype) for column in (one, other)]
    parts = [
        column.to_numpy(dtype=np.float64, na_value=np.nan)
        if all(numeric)
        else column.astype(object).to_numpy(dtype=object)
        for column in (one, other)
    ]
    codes, uniques = pd.factorize(np.concatenate(parts))
    codes = np.where(codes < 0, len(uniques), codes).astype(np.int64)
    return codes[: len(one)], codes[len(one) :]


def _is_whole(total: float) -> bool:
    return any(abs(total / whole - 1.0) <= SHARE_TOLERANCE for whole in (1.0, 100.0))


def _group_keys(population: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    return _number_groups(population, list(columns))[0]


def _check_columns(
    X: pd.DataFrame, population: pd.DataFrame, by: str | Sequence[str] | None
) -> tuple[list[str], list[str]]:
    for name, frame in (("X", X), ("population", population)):
        if not isinstance(frame, pd.DataFrame):
            raise TypeError(f"{name} must be a pandas DataFrame, got {type(frame).__name__}")
        if len(frame) == 0:
            raise ValueError(f"{name} is empty")
        if frame.columns.has_duplicates:
            raise ValueError(f"{name} has repeated columns: {list(frame.columns[frame.columns.duplicated()])}")
    backgrounds = [column for column in X.columns if column != QUESTION_COLUMN]
    if not backgrounds:
        raise ValueError("X has no background columns to match with the population")
    lacking = [column for column in backgrounds if column not in population.columns]
    if lacking:
        raise ValueError(
            f"population lacks the backgrounds {lacking} of X: joint shares over all of {backgrounds} are needed "
            "(rake makes them from margins), or cells without these backgrounds"
        )
    if QUESTION_COLUMN in population.columns:
        raise ValueError(f"population has a column {QUESTION_COLUMN!r}: its shares are the same for every question")
    groups = [] if by is None else [by] if isinstance(by, str) else list(by)
    unknown = [column for column in groups if column not in population.columns]
    if unknown:
        raise ValueError(f"by names {unknown}, which are not columns of population: {list(population.columns)}")
    if len(set(groups)) < len(groups):
        raise ValueError(f"by names a column twice: {groups}")
    if "draw" in groups:
        raise ValueError("by may not be called 'draw', the index level of draws")
    return backgrounds, groups


def _check_draws(P: ArrayLike | pd.DataFrame, n_cells: int) -> tuple[np.ndarray, list[str], bool]:
    """P as (draws, cells, options) with the names of the options."""
    array = np.asarray(P, dtype=np.float64)
    has_draws = array.ndim == 3
    if array.ndim not in (2, 3):
        raise ValueError(f"P must have shape (n_cells, K) or (n_draws, n_cells, K), got {array.shape}")
    draws = array if has_draws else array[None]
    if draws.shape[0] == 0:
        raise ValueError("P has no draws")
    if draws.shape[1] != n_cells:
        raise ValueError(f"P has {draws.shape[1]:,} cells, X has {n_cells:,}: they must be the same rows")
    for i, draw in enumerate(draws):
        check_distributions(draw, name=f"P[{i}]" if has_draws else "P")
    columns = (
        [str(c) for c in P.columns] if isinstance(P, pd.DataFrame) else [str(k + 1) for k in range(draws.shape[2])]
    )
    return draws, columns, has_draws


def _number_groups(population: pd.DataFrame, groups: list[str]) -> tuple[np.ndarray, pd.DataFrame]:
    """A number for each row's group, and a row for each group: categories in their order, else as first listed."""
    if not groups:
        return np.zeros(len(population), dtype=np.int64), pd.DataFrame(index=[0])
    coded = []
    for column in groups:
        values = population[column]
        if isinstance(values.dtype, pd.CategoricalDtype):
            codes, n_levels = values.cat.codes.to_numpy(dtype=np.int64), len(values.cat.categories)
        else:
            codes, uniques = pd.factorize(values)
            n_levels = len(uniques)
        coded.append((np.where(codes < 0, n_levels, codes), n_levels + 1))
    group, first = combine(coded)
    return group, population[groups].iloc[first].reset_index(drop=True)


def _place_cells(
    keys: np.ndarray, n_keys: int, backgrounds: pd.DataFrame, rows: np.ndarray, question: str
) -> np.ndarray:
    """For each background, the position among `rows` of its cell; -1 where there is none."""
    place = np.full(n_keys, -1)
    place[keys] = np.arange(len(keys))
    repeated = np.flatnonzero(place[keys] != np.arange(len(keys)))
    if len(repeated):
        row = rows[repeated[0]]
        of = f" of question {question!r}" if question else ""
        raise ValueError(f"X has the cell {backgrounds.iloc[row].to_dict()}{of} more than once (row {row})")
    return place


def _refuse_uneven(distributions: np.ndarray, rows: np.ndarray, question: str) -> None:
    exists = ~np.isnan(distributions)
    uneven = np.flatnonzero((exists != exists[0]).any(axis=1))
    if len(uneven):
        of = f"question {question!r}" if question else "the question"
        raise ValueError(f"P: rows {rows[0]} and {rows[uneven[0]]} of {of} have different numbers of options")


def _refuse_uncovered(
    place: np.ndarray, weight: np.ndarray, backgrounds: pd.DataFrame, population_key: np.ndarray, question: str
) -> None:
    uncovered = np.flatnonzero((place < 0) & (weight.sum(axis=0) > 0))
    if len(uncovered) == 0:
        return
    rows = [int(np.flatnonzero(population_key == key)[0]) for key in uncovered[:5]]
    listed = "; ".join(str(backgrounds.iloc[row].to_dict()) for row in rows)
    more = f" and {len(uncovered) - 5:,} more" if len(uncovered) > 5 else ""
    of = f" for question {question!r}" if question else ""
    raise ValueError(
        f"X lacks {len(uncovered):,} cells of the population{of}: {listed}{more}. Predict them (an estimator also "
        "predicts backgrounds that nobody in the sample has), or give their share to others on purpose; values must "
        "be spelled the same in X and population."
    )


def _index(n_draws: int | None, questions: Sequence[str] | None, group_frame: pd.DataFrame) -> pd.Index:
    """The index of the result: draw, then question, then groups."""
    n_groups = len(group_frame)
    n_questions = 1 if questions is None else len(questions)
    repeat = (n_draws or 1) * n_questions
    levels: dict[str, object] = {}
    if n_draws is not None:
        levels["draw"] = np.repeat(np.arange(n_draws), n_questions * n_groups)
    if questions is not None:
        levels[QUESTION_COLUMN] = np.tile(np.repeat(np.asarray(questions, dtype=object), n_groups), n_draws or 1)
    groups = group_frame.iloc[np.tile(np.arange(n_groups), repeat)].reset_index(drop=True)
    frame = pd.concat([pd.DataFrame(levels, index=groups.index), groups], axis=1)
    if frame.shape[1] == 0:
        return pd.Index(["population"])
    if frame.shape[1] == 1:
        return pd.Index(frame.iloc[:, 0], name=frame.columns[0])
    return pd.MultiIndex.from_frame(frame)
