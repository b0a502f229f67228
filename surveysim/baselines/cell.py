"""The training cells themselves, shrunk towards their question's margin."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from surveysim.baselines.common import BaselineRegressor, uniform
from surveysim.cells import PredictCells
from surveysim.interfaces import Table
from surveysim.levels import LevelIndex
from surveysim.questions import Question

__all__ = ["CellRegressor"]


MAX_SHOWN = 200
"""How many characters of a background an error message shows."""


class CellRegressor(BaselineRegressor):
    """Predict for each background what its own training respondents answered.

    With ``shrinkage=0`` this is the training sample itself, the thing that a simulation must beat to be worth anything.
    With ``shrinkage=s`` it is the posterior mean under a Dirichlet prior worth s respondents who answer like the
    question's margin: ``(n * observed + s * margin) / (n + s)``.

    Parameters
    ----------
    shrinkage : float, default=0.0
        Respondents' worth of the margin that every cell is mixed with. 10 to 50 is a sensible range.
    question : Question, mapping of str to Question, or None
        What is asked. A mapping names several questions; None stands for options "1".."K" with K taken from Y.
    question_column : str, default="question"
        Column of X that names each row's question when `question` is a mapping.
    unseen : {"error", "uniform"}, default="error"
        What to predict for a question without training cells and, with ``shrinkage=0``, for a background without
        training respondents in that question. With shrinkage such a background gets the margin: it is a cell with
        n = 0, and `unseen` does not concern it.

    Attributes
    ----------
    distributions_ : float64 array of shape (n_cells, K)
        The distinct training cells, shrunk, NaN-padded; rows of X that repeat a cell are pooled by their respondents.
    respondents_ : float64 array of shape (n_cells,)
        Respondents behind each.
    margins_ : float64 array of shape (n_questions, K)
        Pooled distributions in the order of `questions_`; all NaN for a question without training cells.
    questions_, n_options_, backgrounds_, n_dropped_, n_features_in_, feature_names_in_
        As in every estimator of the library.

    See Also
    --------
    MarginalRegressor : the limit of infinite shrinkage.
    LogitRegressor : lets cells learn from cells that share attributes with them.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from surveysim.baselines import CellRegressor
    >>> X = pd.DataFrame({"age": ["18-29", "30-44"]})
    >>> Y = np.array([[0.5, 0.5], [0.8, 0.2]])
    >>> CellRegressor(shrinkage=10).fit(X, Y, sample_weight=[10, 30]).predict(X)
    array([[0.6125 , 0.3875 ],
           [0.78125, 0.21875]])
    """

    distributions_: np.ndarray
    margins_: np.ndarray
    respondents_: np.ndarray
    _seen_questions: np.ndarray
    _levels: dict[str, LevelIndex]

    def __init__(
        self,
        shrinkage: float = 0.0,
        *,
        question: Question | Mapping[str, Question] | None = None,
        question_column: str = "question",
        unseen: str = "error",
    ) -> None:
        self.shrinkage = shrinkage
        self.question = question
        self.question_column = question_column
        self.unseen = unseen

    def fit(self, X: Table, Y: ArrayLike, sample_weight: ArrayLike | None = None) -> CellRegressor:
        """Pool the respondents of each distinct cell.

        Parameters
        ----------
        X : DataFrame or array of shape (n, n_columns)
            Backgrounds, with the question column if `question` is a mapping.
        Y : array of shape (n, K)
            Observed distributions, NaN past the last option of a shorter question.
        sample_weight : array of shape (n,), optional
            Respondents per row; default one each.

        Returns
        -------
        self
        """
        with self._atomic_fit():
            self._check_unseen()
            if not isinstance(self.shrinkage, Real) or not 0 <= self.shrinkage < np.inf:
                raise ValueError(f"shrinkage must be a finite number of respondents >= 0, got {self.shrinkage!r}")
            cells = self._validate_fit(X, Y, sample_weight)
            self.margins_, question_respondents = self._margins(cells)
            self._seen_questions = question_respondents > 0
            self._levels = {name: LevelIndex(cells.backgrounds[name]) for name in self.backgrounds_}
            keys = self._keys(cells.question_index, cells.backgrounds)
            self._cell: dict[tuple[int, ...], int] = {}
            place = np.array([self._cell.setdefault(key, len(self._cell)) for key in keys])
            counts = np.zeros((len(self._cell), self.n_options_))
            np.add.at(counts, place, cells.counts)
            self.respondents_ = np.bincount(place, weights=cells.n)
            margins = self.margins_[[key[0] for key in self._cell]]
            total = counts.sum(axis=1) + self.shrinkage
            # NaN where the question has no such option, from the margin, also without shrinkage
            self.distributions_ = (counts + self.shrinkage * margins) / total[:, None]
        return self

    def _predict(self, cells: PredictCells) -> np.ndarray:
        self._refuse_unseen_questions(cells, self._seen_questions)
        keys = self._keys(cells.question_index, cells.backgrounds)
        place = np.array([self._cell.get(key, -1) for key in keys])
        P = self.distributions_[place]
        unknown = place < 0
        if not unknown.any():
            return P
        asked = self._seen_questions[cells.question_index]
        if self.shrinkage > 0:
            P[unknown] = self.margins_[cells.question_index[unknown]]
            unknown &= ~asked
        elif self.unseen == "error":
            row = int(np.flatnonzero(unknown)[0])
            background = ", ".join(f"{name}={value}" for name, value in cells.backgrounds.iloc[row].items())
            background = background if len(background) <= MAX_SHOWN else background[:MAX_SHOWN] + " ..."
            raise ValueError(
                f"CellRegressor saw no respondents with the background of row {row} ({background}; {unknown.sum()} "
                "such rows), and a table of cells knows nothing of other cells. Cross-validation and learning curves "
                "over rows of X hold out whole cells, so that all their test rows are such: shrinkage > 0 predicts the "
                'margin for them, unseen="uniform" equal shares; surveysim.evaluation.respondent_curve splits '
                "respondents."
            )
        P[unknown] = uniform(cells, self.n_options_)[unknown]
        return P

    def _keys(self, question_index: np.ndarray, backgrounds: pd.DataFrame) -> list[tuple[int, ...]]:
        """A key per row: the question's position and the code of each attribute's value."""
        codes = [index.codes(backgrounds[name]) for name, index in self._levels.items()]
        for (name, index), found in zip(self._levels.items(), codes, strict=True):
            index.warn_of_misspelt(name, backgrounds[name], found)
        return list(map(tuple, np.column_stack([question_index, *codes]).tolist()))
