"""The pooled margin of each question: what is known without looking at backgrounds."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from surveysim.baselines.common import BaselineRegressor, uniform
from surveysim.cells import PredictCells
from surveysim.interfaces import Table
from surveysim.questions import Question

__all__ = ["MarginalRegressor"]


class MarginalRegressor(BaselineRegressor):
    """Predict each question's pooled training distribution, whatever the background.

    The zero of every skill: a model that does not beat it has learned nothing about groups. It is not weak: on a
    small sample it is far closer to the truth than the sample's own cells.

    Parameters
    ----------
    question : Question, mapping of str to Question, or None
        What is asked. A mapping names several questions; None stands for options "1".."K" with K taken from Y.
    question_column : str, default="question"
        Column of X that names each row's question when `question` is a mapping.
    unseen : {"error", "uniform"}, default="error"
        What to predict for a question of the mapping without training cells.

    Attributes
    ----------
    distributions_ : float64 array of shape (n_questions, K)
        Pooled distributions in the order of `questions_`; all NaN for a question without training cells.
    respondents_ : float64 array of shape (n_questions,)
        Respondents behind them.
    questions_, n_options_, backgrounds_, n_dropped_, n_features_in_, feature_names_in_
        As in every estimator of the library.

    See Also
    --------
    CellRegressor : each background's own distribution.
    LogitRegressor : what lies between the two.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from surveysim.baselines import MarginalRegressor
    >>> X = pd.DataFrame({"age": ["18-29", "30-44"]})
    >>> Y = np.array([[0.5, 0.5], [0.8, 0.2]])
    >>> MarginalRegressor().fit(X, Y, sample_weight=[10, 30]).predict(X)
    array([[0.725, 0.275],
           [0.725, 0.275]])
    """

    def __init__(
        self,
        *,
        question: Question | Mapping[str, Question] | None = None,
        question_column: str = "question",
        unseen: str = "error",
    ) -> None:
        self.question = question
        self.question_column = question_column
        self.unseen = unseen

    def fit(self, X: Table, Y: ArrayLike, sample_weight: ArrayLike | None = None) -> MarginalRegressor:
        """Pool the training cells of each question.

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
            cells = self._validate_fit(X, Y, sample_weight)
            self.distributions_, self.respondents_ = self._margins(cells)
        return self

    def _predict(self, cells: PredictCells) -> np.ndarray:
        seen = self.respondents_ > 0
        self._refuse_unseen_questions(cells, seen)
        P = self.distributions_[cells.question_index]
        return np.where(seen[cells.question_index, None], P, uniform(cells, self.n_options_))
