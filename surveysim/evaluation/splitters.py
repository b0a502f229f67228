"""Splitters of cells, with scikit-learn's interface, for what a model has not seen: levels, combinations, questions."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from sklearn.model_selection import BaseCrossValidator

from surveysim.evaluation.report_levels import level_names
from surveysim.interfaces import RandomState, Splitter
from surveysim.parameters import as_generator, check_number, check_random_state

__all__ = ["LeaveBothOut", "LeaveCombinationsOut", "LeaveLevelsOut", "LeaveQuestionsOut"]

PLACES = ("all", "end", "inner", "unordered")

DEALS = 200
"""How often combinations are dealt anew before it is given up."""


class _CellSplitter(BaseCrossValidator):
    """What the splitters share: folds depend only on X, the table of backgrounds and questions."""

    def get_n_splits(self, X: pd.DataFrame | None = None, Y: object = None, groups: object = None) -> int:
        """The number of folds, which depends on X.

        Parameters
        ----------
        X : DataFrame of shape (n_cells, n_columns)
        Y, groups : ignored
            Here for scikit-learn.

        Returns
        -------
        int
        """
        return len(self._test_masks(self._check_X(X)))

    def split(
        self, X: pd.DataFrame, Y: object = None, groups: object = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Positions of the training and the test cells of each fold.

        Parameters
        ----------
        X : DataFrame of shape (n_cells, n_columns)
        Y, groups : ignored
            Here for scikit-learn.

        Yields
        ------
        train, test : int arrays
        """
        for train, test in self._masks(self._check_X(X)):
            yield np.flatnonzero(train), np.flatnonzero(test)

    def _masks(self, X: pd.DataFrame) -> list[tuple[np.ndarray, np.ndarray]]:
        return [(~test, test) for test in self._test_masks(X)]

    def _test_masks(self, X: pd.DataFrame) -> list[np.ndarray]:
        raise NotImplementedError(f"{type(self).__name__} must implement _test_masks(X)")

    def _check_X(self, X: object) -> pd.DataFrame:
        if X is None:
            raise ValueError(f"{type(self).__name__} makes its folds from the backgrounds: X must be passed")
        if not isinstance(X, pd.DataFrame):
            raise TypeError(f"X must be a pandas DataFrame of backgrounds, got {type(X).__name__}")
        return X


@dataclass(frozen=True)
class _Level:
    column: str
    level: str
    place: str
    rows: np.ndarray


class LeaveLevelsOut(_CellSplitter):
    """Leave out one level of one background at a time: everybody over 65, then everybody of 18 to 29, ...

    It measures how a model predicts a group of which it saw nobody. Levels at the *end* of an ordered background ask
    for extrapolation, *inner* ones for interpolation, and those of an unordered background for knowledge that no
    statistical model has: report them separately.

    Parameters
    ----------
    columns : str or list of str, optional
        Backgrounds; default: all.
    place : {"all", "end", "inner", "unordered"}, default="all"
        Which levels: the first and last of ordered backgrounds (ordered categoricals and numbers), those between,
        those of unordered backgrounds.
    question_column : str, default="question"
        Not a background.

    See Also
    --------
    LeaveCombinationsOut : backgrounds whose levels are known, but not together.
    LeaveQuestionsOut : questions that nobody was asked.
    LeaveBothOut : two of these at once.

    Notes
    -----
    Cells whose background is missing are never left out, and stay in training. Backgrounds with a single level are
    skipped; ordered ones with two levels have only ends.

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim.evaluation import LeaveLevelsOut
    >>> age = pd.Categorical(
    ...     ["18-29", "30-64", "65+"] * 2, ["18-29", "30-64", "65+"], ordered=True
    ... )
    >>> X = pd.DataFrame({"age": age, "sex": ["f"] * 3 + ["m"] * 3})
    >>> LeaveLevelsOut().get_n_splits(X)
    5
    >>> [test.tolist() for _, test in LeaveLevelsOut(place="inner").split(X)]
    [[1, 4]]
    >>> LeaveLevelsOut("sex").describe(X)
      column level      place  n_cells
    0    sex     f  unordered        3
    1    sex     m  unordered        3
    """

    def __init__(
        self,
        columns: str | Sequence[str] | None = None,
        *,
        place: Literal["all", "end", "inner", "unordered"] = "all",
        question_column: str = "question",
    ) -> None:
        self.columns = columns
        self.place = place
        self.question_column = question_column

    def describe(self, X: pd.DataFrame) -> pd.DataFrame:
        """Describe what each fold leaves out: column, level, place ("end", "inner", "unordered") and cells.

        Parameters
        ----------
        X : DataFrame of shape (n_cells, n_columns)

        Returns
        -------
        DataFrame of shape (n_splits, 4)
        """
        levels = self._levels(self._check_X(X))
        rows = [(level.column, level.level, level.place, int(level.rows.sum())) for level in levels]
        return pd.DataFrame(rows, columns=["column", "level", "place", "n_cells"])

    def _test_masks(self, X: pd.DataFrame) -> list[np.ndarray]:
        return [level.rows for level in self._levels(X)]

    def _levels(self, X: pd.DataFrame) -> list[_Level]:
        if self.place not in PLACES:
            raise ValueError(f"place must be one of {list(PLACES)}, got {self.place!r}")
        found = []
        for column in _background_columns(X, self.columns, self.question_column):
            found += _levels_of(X[column], column)
        chosen = [level for level in found if self.place in ("all", level.place)]
        if not chosen:
            raise ValueError(
                f"there is no level to leave out with place={self.place!r} in {self.columns or 'the backgrounds'}: "
                "ordered backgrounds are ordered categoricals and numbers, and need three levels to have inner ones"
            )
        return chosen


class LeaveCombinationsOut(_CellSplitter):
    """Leave out combinations of levels, such as women over 65, whose levels are seen in other combinations.

    Parameters
    ----------
    columns : list of str, optional
        The backgrounds to combine; default: all, so that whole backgrounds are left out.
    n_splits : int, default=5
        The number of folds among which combinations are dealt out at random.
    random_state : int, RandomState, Generator or None, default=0
        Combinations are dealt again until every level of a fold is also in combinations of other folds.
    question_column : str, default="question"

    Raises
    ------
    ValueError
        In ``split``, if there are fewer combinations than folds, or a level of a background is seen only in
        combinations of one fold, so that the level itself would be unseen.

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim.evaluation import LeaveCombinationsOut
    >>> X = pd.DataFrame({"age": ["18-29", "30-64", "65+"] * 2, "sex": ["f"] * 3 + ["m"] * 3})
    >>> [test.tolist() for _, test in LeaveCombinationsOut(n_splits=6).split(X)]
    [[3], [2], [5], [4], [0], [1]]
    """

    def __init__(
        self,
        columns: Sequence[str] | None = None,
        n_splits: int = 5,
        *,
        random_state: RandomState = 0,
        question_column: str = "question",
    ) -> None:
        self.columns = columns
        self.n_splits = n_splits
        self.random_state = random_state
        self.question_column = question_column

    def _test_masks(self, X: pd.DataFrame) -> list[np.ndarray]:
        check_number("n_splits", self.n_splits, integer=True, low=2)
        columns = _background_columns(X, self.columns, self.question_column)
        if len(columns) < 2:
            raise ValueError(f"a combination needs two backgrounds, got {columns}: LeaveLevelsOut leaves out levels")
        names = {column: level_names(X[column]) for column in columns}
        combination = pd.DataFrame(names).groupby(columns, sort=False).ngroup().to_numpy()
        generator = _generator(self.random_state)
        lost = ""
        for _ in range(DEALS):
            folds = _deal(combination, self.n_splits, generator, "combinations of levels")
            masks = [np.isin(combination, fold) for fold in folds]
            lost = next((name for test in masks if (name := _lost_level(names, test))), "")
            if not lost:
                return masks
        raise ValueError(
            f"{lost} is in the combinations of only one fold, however they are dealt, so the level itself would be "
            "unseen: use more folds (n_splits) or other columns"
        )


class LeaveQuestionsOut(_CellSplitter):
    """Leave out questions, to measure how a model predicts a question that nobody in training was asked.

    The estimator must still know the question's wording: name all questions in its ``question=``.

    Parameters
    ----------
    n_splits : int, optional
        The number of folds among which questions are dealt out at random. None: one question per fold, in order.
    random_state : int, RandomState, Generator or None, default=0
    question_column : str, default="question"

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim.evaluation import LeaveQuestionsOut
    >>> X = pd.DataFrame({"question": ["Q1", "Q1", "Q2", "Q2"], "sex": ["f", "m"] * 2})
    >>> [test.tolist() for _, test in LeaveQuestionsOut().split(X)]
    [[0, 1], [2, 3]]
    """

    def __init__(
        self, n_splits: int | None = None, *, random_state: RandomState = 0, question_column: str = "question"
    ) -> None:
        self.n_splits = n_splits
        self.random_state = random_state
        self.question_column = question_column

    def _test_masks(self, X: pd.DataFrame) -> list[np.ndarray]:
        if self.question_column not in X.columns:
            raise ValueError(f"X has no column {self.question_column!r} that names the questions")
        number, names = pd.factorize(X[self.question_column])
        if (number < 0).any():
            raise ValueError(f"X names no question in row {int(np.flatnonzero(number < 0)[0])}")
        if len(names) < 2:
            raise ValueError(f"X has only the question {names[0]!r}: leaving it out leaves nothing to train on")
        if self.n_splits is None:
            return [number == question for question in range(len(names))]
        check_number("n_splits", self.n_splits, integer=True, low=2)
        folds = _deal(number, self.n_splits, _generator(self.random_state), "questions")
        return [np.isin(number, fold) for fold in folds]


class LeaveBothOut(_CellSplitter):
    """Unseen in two ways at once, such as an unseen level on an unseen question.

    Each fold of the first splitter is combined with each of the second: the test cells are those that both leave out,
    the training cells those that neither leaves out.

    Parameters
    ----------
    first, second : splitter
        Such as `LeaveLevelsOut` and `LeaveQuestionsOut`. Pairs of folds without test cells are skipped.

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim.evaluation import LeaveBothOut, LeaveLevelsOut, LeaveQuestionsOut
    >>> X = pd.DataFrame({"question": ["Q1", "Q1", "Q2", "Q2"], "sex": ["f", "m"] * 2})
    >>> for train, test in LeaveBothOut(LeaveLevelsOut(), LeaveQuestionsOut()).split(X):
    ...     print(train, test)
    [3] [0]
    [1] [2]
    [2] [1]
    [0] [3]
    """

    def __init__(self, first: Splitter, second: Splitter) -> None:
        self.first = first
        self.second = second

    def _masks(self, X: pd.DataFrame) -> list[tuple[np.ndarray, np.ndarray]]:
        masks = []
        for train, test in self.first.split(X):
            for other_train, other_test in self.second.split(X):
                rows = np.zeros((4, len(X)), dtype=bool)
                for row, chosen in zip(rows, (train, other_train, test, other_test), strict=True):
                    row[chosen] = True
                if (rows[2] & rows[3]).any():
                    masks.append((rows[0] & rows[1], rows[2] & rows[3]))
        empty = [fold for fold, (train, _) in enumerate(masks) if not train.any()]
        if empty or not masks:
            raise ValueError("leaving out both leaves nothing to train on, or nothing to test, in some fold")
        return masks

    def get_n_splits(self, X: pd.DataFrame | None = None, Y: object = None, groups: object = None) -> int:
        """The number of folds, which depends on X.

        Parameters
        ----------
        X : DataFrame of shape (n_cells, n_columns)
        Y, groups : ignored
            Here for scikit-learn.

        Returns
        -------
        int
        """
        return len(self._masks(self._check_X(X)))


def _background_columns(X: pd.DataFrame, columns: str | Sequence[str] | None, question_column: str) -> list[str]:
    if columns is None:
        return [column for column in X.columns if column != question_column]
    chosen = [columns] if isinstance(columns, str) else list(columns)
    absent = [column for column in chosen if column not in X.columns]
    if absent:
        raise ValueError(f"columns names {absent}, which X does not have: it has {list(X.columns)}")
    if question_column in chosen:
        raise ValueError(f"{question_column!r} names the questions and is not a background: use LeaveQuestionsOut")
    return chosen


def _levels_of(values: pd.Series, column: str) -> list[_Level]:
    """The levels that occur, in their order, with their place in it."""
    missing = values.isna().to_numpy()
    dtype = values.dtype
    ordered = pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype)
    present: list[Hashable]
    if isinstance(dtype, pd.CategoricalDtype):
        ordered = bool(dtype.ordered)
        present = [level for level in dtype.categories if (values == level).any()]
    else:
        found = list(values[~missing].unique())
        present = sorted(found) if ordered else found
    if len(present) < 2:
        return []
    levels = []
    for i, level in enumerate(present):
        rows = (values == level).fillna(False).to_numpy(dtype=bool)
        place = "unordered" if not ordered else "end" if i in (0, len(present) - 1) else "inner"
        levels.append(_Level(column, str(level_names(pd.Series([level]))[0]), place, rows))
    return levels


def _lost_level(names: dict[str, np.ndarray], test: np.ndarray) -> str:
    """A level of the test cells that training does not have, or nothing."""
    for column, levels in names.items():
        lost = sorted(set(levels[test]) - set(levels[~test]))
        if lost:
            return f"{column}={lost[0]!r}"
    return ""


def _generator(random_state: RandomState) -> np.random.Generator:
    check_random_state(random_state)
    return as_generator(random_state)


def _deal(number: np.ndarray, n_splits: int, generator: np.random.Generator, what: str) -> list[np.ndarray]:
    distinct = np.unique(number)
    if len(distinct) < n_splits:
        raise ValueError(f"there are {len(distinct)} {what}, too few for n_splits={n_splits}")
    return np.array_split(generator.permutation(distinct), n_splits)
