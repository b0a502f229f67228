"""Cells put together: attributes summed out, levels merged, and how many respondents the result is worth."""

from __future__ import annotations

import numpy as np
import pandas as pd

from surveysim.sources.answers import NOT_STATED, Answers
from surveysim.sources.names import listed
from surveysim.tables.poststratification import matching_codes, population_shares

__all__ = ["pool", "population_weights"]


def pool(
    group: np.ndarray, Y: np.ndarray, n: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of the same group as one: weighted shares and Kish's effective number of respondents.

    Parameters
    ----------
    group : int array of shape (m,)
    Y : float64 array of shape (m, K)
    n, weight : float64 array of shape (m,)
        Effective respondents, and how much each row counts.

    Returns
    -------
    first : int array of shape (g,)
        The first row of each group, in order of appearance.
    Y : float64 array of shape (g, K)
    n : float64 array of shape (g,)

    Notes
    -----
    With weights w_c and effective numbers n_c, a cell's sum of squared weights is w_c^2 / n_c, so that the pooled
    number is (sum w_c)^2 / sum(w_c^2 / n_c): what `surveysim.tabulate` gives on the merged groups. With w_c = n_c
    respondents add up.
    """
    _, first, code = np.unique(group, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(first), dtype=int)
    rank[order] = np.arange(len(first))
    code = rank[code.reshape(-1)]
    total = np.bincount(code, weights=weight)
    squares = np.bincount(code, weights=weight**2 / n)
    shares = np.zeros((len(first), Y.shape[1]))
    np.add.at(shares, code, weight[:, None] * np.nan_to_num(Y))
    shares /= total[:, None]
    shares[np.isnan(Y[first[order]])] = np.nan
    return first[order], shares, total**2 / squares


def population_weights(answers: Answers, population: pd.DataFrame) -> np.ndarray:
    """Weights under which the groups of a population have their shares in each table, as in post-stratification.

    Parameters
    ----------
    answers : Answers
    population : DataFrame
        Attributes of the source, with its levels, and "share" or "n".

    Returns
    -------
    float64 array of shape (m,)
        0 for respondents who did not state one of the attributes: no group of the population is theirs.

    Raises
    ------
    TypeError, ValueError
        If it is no such table, or lacks groups that the source has.
    """
    if not isinstance(population, pd.DataFrame):
        raise TypeError(f"population must be a DataFrame of shares, got {type(population).__name__}")
    columns = [name for name in population.columns if name not in ("share", "n")]
    strange = [name for name in columns if name not in answers.attributes]
    if strange or not columns:
        raise ValueError(
            f"population must hold attributes of the source, {listed(answers.attributes)}, beside 'share' or 'n'; it "
            f"has {listed(list(population.columns))}"
        )
    shares = population_shares(population)
    result = answers.weight.copy()
    stated = answers.backgrounds[columns].notna().all(axis=1).to_numpy()
    unknown = (answers.backgrounds[columns] == NOT_STATED).any(axis=1).to_numpy()
    result[unknown] = 0.0
    stated = stated & ~unknown
    if not stated.any():
        raise ValueError(f"no cell states all of {listed(columns)}, the attributes of population")
    own, known = _joint_codes(answers.backgrounds.loc[stated, columns], population[columns])
    lacking = np.flatnonzero(~np.isin(own, known))
    if len(lacking):
        group = answers.backgrounds.loc[stated, columns].iloc[int(lacking[0])].to_dict()
        raise ValueError(f"population lacks the group {group}, which the source has")
    share_of = np.bincount(known, weights=shares, minlength=int(max(own.max(initial=0), known.max())) + 1)
    asked, tables = pd.factorize(answers.question_names)[0][stated], answers.table[stated]
    sampled = pd.Series(answers.weight[stated]).groupby([asked, tables, own]).transform("sum").to_numpy()
    whole = pd.Series(answers.weight[stated]).groupby([asked, tables]).transform("sum").to_numpy()
    result[stated] = answers.weight[stated] * share_of[own] / (sampled / whole)
    return result


def _joint_codes(one: pd.DataFrame, other: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the rows of two tables; equal rows have equal numbers."""
    first, second = np.zeros(len(one), dtype=np.int64), np.zeros(len(other), dtype=np.int64)
    for column in one.columns:
        a, b = matching_codes(one[column], other[column])
        span = int(max(a.max(initial=0), b.max(initial=0))) + 1
        joint = np.concatenate([first * span + a, second * span + b])
        joint = np.unique(joint, return_inverse=True)[1].reshape(-1)
        first, second = joint[: len(one)], joint[len(one) :]
    return first, second
