"""Which cells make up which group, and with which weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from surveysim.evaluation.report_levels import level_names
from surveysim.tables.backgrounds import combine, level_codes
from surveysim.tables.cells import QUESTION_COLUMN, Cells
from surveysim.tables.poststratification import matching_codes, population_shares

__all__ = ["QuestionGroups", "groups_of_question"]


@dataclass(frozen=True)
class QuestionGroups:
    """The groups of one question.

    Attributes
    ----------
    question : str
        Its name.
    X : DataFrame of shape (n_cells, n_columns)
        The cells that the groups are made of, as an estimator takes them: with the question column, if the cells of
        the survey have one.
    labels : DataFrame of shape (n_groups, n_by)
        Each group's level of each attribute, as text.
    weights : sparse matrix of shape (n_groups, n_cells)
        Rows sum to 1.
    Y : float64 array of shape (n_cells, K)
        The sample's own distributions; 0 where it has nobody.
    n : float64 array of shape (n_cells,)
        Respondents that these are worth; 0 where it has nobody.
    respondents : float64 array of shape (n_groups,)
        People of the sample in each group; NaN where groups divide cells, so that nobody can tell.
    """

    question: str
    X: pd.DataFrame
    labels: pd.DataFrame
    weights: sparse.csr_matrix
    Y: np.ndarray
    n: np.ndarray
    respondents: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def effective_respondents(self) -> np.ndarray:
        """The respondents that each group's own sample is worth: ``1 / sum_c w_c^2 / n_c``, over cells that have any.

        Without a population this is Kish's effective number in the group, over the design effect.
        """
        seen = self.weights[:, self.n > 0]
        total = np.asarray(seen.sum(axis=1)).ravel()
        noise = np.asarray(seen.multiply(seen).multiply(1.0 / self.n[self.n > 0]).sum(axis=1)).ravel()
        return np.divide(total**2, noise, out=np.zeros(len(self)), where=noise > 0)

    @property
    def without_sample(self) -> np.ndarray:
        """Share of each group's weight that lies in cells without respondents."""
        return np.asarray(self.weights[:, self.n == 0].sum(axis=1)).ravel()


def groups_of_question(
    cells: Cells, question: str, by: Sequence[str], population: pd.DataFrame | None
) -> QuestionGroups:
    """The groups of one question, of the cells of the sample or of a population.

    Parameters
    ----------
    cells : Cells
    question : str
        One of ``cells.questions``.
    by : list of str
        Attributes; none: everybody.
    population : DataFrame or None
        Joint shares, as for `poststratify`. None: the cells of the sample, by their respondents (by the sum of their
        weights, if the survey has weights).

    Raises
    ------
    ValueError
        If the question has no cells, or the population lacks columns or is not valid otherwise.
    """
    rows = np.flatnonzero(cells.question_names == question)
    if len(rows) == 0:
        raise ValueError(f"question {question!r} has no cells")
    X, Y, n = cells.X.iloc[rows].reset_index(drop=True), np.nan_to_num(cells.Y[rows]), cells.n[rows]
    n_raw = cells.n_raw[rows].astype(np.float64)
    if population is None:
        place, share, frame = np.arange(len(X)), cells.weight_sum[rows], X[list(by)]
    else:
        X, place = _cells_of_population(X, population, cells.backgrounds)
        share = population_shares(population, within=by, exclude=cells.backgrounds)
        # a background has the order of its levels from the survey, any other attribute from the population
        levels = {name: X[name].iloc[place] if name in cells.backgrounds else population[name] for name in by}
        frame = pd.DataFrame({name: column.reset_index(drop=True) for name, column in levels.items()})
        surplus = len(X) - len(rows)
        Y = np.concatenate([Y, np.zeros((surplus, Y.shape[1]))])
        n, n_raw = np.concatenate([n, np.zeros(surplus)]), np.concatenate([n_raw, np.zeros(surplus)])
    group, labels = _number_groups(frame, len(place))
    weights = sparse.csr_matrix((share, (group, place)), shape=(len(labels), len(X)))
    total = np.asarray(weights.sum(axis=1)).ravel()
    if (total == 0).any():
        raise ValueError(f"the group {labels[total == 0].iloc[0].to_dict()} has no share of the population")
    weights = sparse.csr_matrix(weights.multiply(1.0 / total[:, None]))
    weights.eliminate_zeros()
    whole = set(by) <= set(cells.backgrounds)
    respondents = (weights != 0).astype(np.float64) @ n_raw if whole else np.full(len(labels), np.nan)
    return QuestionGroups(question, X, labels, weights, Y, n, respondents)


def _cells_of_population(
    X: pd.DataFrame, population: pd.DataFrame, backgrounds: list[str]
) -> tuple[pd.DataFrame, np.ndarray]:
    """The sample's cells with those of the population that it lacks behind them, and each row's place among them."""
    if not isinstance(population, pd.DataFrame):
        raise TypeError(f"population must be a pandas DataFrame of joint shares, got {type(population).__name__}")
    lacking = [column for column in backgrounds if column not in population.columns]
    if lacking:
        raise ValueError(f"population lacks the columns {lacking}; cells are told apart by {backgrounds}")
    coded = []
    for column in backgrounds:
        one, other = matching_codes(X[column], population[column])
        coded.append((np.concatenate([one, other]), int(max(one.max(), other.max())) + 1))
    key, _ = combine(coded)
    known, wanted = key[: len(X)], key[len(X) :]
    place = np.full(int(key.max()) + 1, -1)
    place[known] = np.arange(len(X))
    new, first = np.unique(wanted[place[wanted] < 0], return_index=True)
    place[new] = len(X) + np.arange(len(new))
    added = population.loc[place[wanted] >= len(X), backgrounds].iloc[first].reset_index(drop=True)
    if len(added) == 0:
        return X, place[wanted]
    joined = {column: _appended(X[column], added[column]) for column in backgrounds}
    frame = pd.DataFrame(joined)
    if QUESTION_COLUMN in X:
        frame.insert(0, QUESTION_COLUMN, X[QUESTION_COLUMN].iloc[0])
    return frame, place[wanted]


def _appended(column: pd.Series, more: pd.Series) -> pd.Series:
    """Two columns one below the other; a categorical stays one, and gets categories only if it lacks some."""
    if not isinstance(column.dtype, pd.CategoricalDtype):
        return pd.concat([column, more], ignore_index=True)
    categories = column.cat.categories
    new = [value for value in pd.unique(more.astype(object)) if not pd.isna(value) and value not in categories]
    dtype = pd.CategoricalDtype([*categories, *new], ordered=bool(column.dtype.ordered) and not new)
    values = [*column.astype(object), *more.astype(object)]
    return pd.Series(pd.Categorical(values, dtype=dtype), name=column.name)


def _number_groups(frame: pd.DataFrame, n_rows: int) -> tuple[np.ndarray, pd.DataFrame]:
    """A number for each row's group, in the order of the attributes' levels, and the groups' labels."""
    if frame.shape[1] == 0:
        return np.zeros(n_rows, dtype=np.int64), pd.DataFrame(index=[0])
    group, first = combine([level_codes(column) for _, column in frame.items()])
    labels = {name: level_names(column)[first] for name, column in frame.items()}
    return group, pd.DataFrame(labels)
