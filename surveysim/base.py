"""What every estimator of the library shares: the estimator contract on top of scikit-learn's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from surveysim.bare_arrays import warn_of_lost_order, warn_of_lost_words
from surveysim.cells import FitCells, PredictCells
from surveysim.fitted_parameters import FittedParameters
from surveysim.interfaces import Table
from surveysim.levels import check_level_counts
from surveysim.nested_parameters import NestedParameters
from surveysim.option_columns import is_table
from surveysim.plain_state import PlainState
from surveysim.questions import Question, as_questions
from surveysim.respondents import check_respondents
from surveysim.validation import arrange_options, as_matrix, check_backgrounds, check_targets, pair_questions

__all__ = ["DistributionRegressor"]


class DistributionRegressor(FittedParameters, NestedParameters, PlainState, RegressorMixin, BaseEstimator):
    """Base of the estimators that predict a distribution of answers for each row of X.

    Subclasses take the constructor parameters `question` and `question_column`, call `_validate_fit` at the start of
    ``fit`` (inside ``with self._atomic_fit():``) and implement ``_predict(cells)``, which returns a float64 array
    (n, K), NaN past the last option of a shorter question.

    The target is a distribution, so to scikit-learn this is a multi-output regressor: ``predict`` and
    ``predict_proba`` return the same array and there is no ``classes_``.

    As in scikit-learn, ``set_params`` has no effect on predictions before the next ``fit``, except for the parameters
    in `_live_parameters` (`verbose`; of models: device, number type, addresses and the like).

    Attributes
    ----------
    questions_ : dict of str to Question
        The questions by name, in the order of ``question=``; a single question has the name ``""``.
    n_options_ : int
        Columns of Y and of predictions, K: the longest question's options.
    backgrounds_ : list of str
        Columns of X that describe respondents: all but the question column.
    n_dropped_ : int
        Training rows left out because their ``sample_weight`` is 0.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of str
        Their names, if X is a DataFrame with string column names.

    Examples
    --------
    An estimator that says the same of everybody:

    >>> import numpy as np
    >>> from surveysim.base import DistributionRegressor
    >>> class Same(DistributionRegressor):
    ...     def __init__(self, question=None, question_column="question"):
    ...         self.question = question
    ...         self.question_column = question_column
    ...
    ...     def fit(self, X, Y, sample_weight=None):
    ...         with self._atomic_fit():
    ...             cells = self._validate_fit(X, Y, sample_weight)
    ...             self.mean_ = np.average(cells.Y, axis=0, weights=cells.n)
    ...         return self
    ...
    ...     def _predict(self, cells):
    ...         return np.tile(self.mean_, (len(cells.backgrounds), 1))
    >>> Same().fit([["f"], ["m"]], [[0.2, 0.8], [0.6, 0.4]], sample_weight=[10, 30]).predict(
    ...     [["f"]]
    ... )
    array([[0.5, 0.5]])
    """

    question: Question | Mapping[str, Question] | None
    question_column: str

    #: Different values that a column of X may have in `fit`; None: any number of them.
    _most_levels: int | None = None
    _reads_words: ClassVar[bool] = False
    """Whether names and values of X stand in the prompt of a language model."""

    # --- for the public -----------------------------------------------------------------------------------------------

    def predict(self, X: Table) -> np.ndarray:
        """Predict the distribution of answers for each row.

        Parameters
        ----------
        X : DataFrame or array of shape (n, n_features_in_)
            Backgrounds, with the question column if the estimator was fitted with one.

        Returns
        -------
        float64 array of shape (n, K)
            Rows sum to 1 over their question's options; NaN past the last option of a shorter question.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        ValueError
            If columns are missing or a row names a question that is not in ``question=``.
        """
        return self._predict(self._validate_predict(X))

    def predict_proba(self, X: Table) -> np.ndarray:
        """Do the same as `predict`, under the name that tools for probabilities look for.

        ``cross_val_predict(method="predict_proba")`` label-encodes Y before it fits and therefore raises; leave out
        ``method`` there.

        Parameters
        ----------
        X : DataFrame or array of shape (n, n_features_in_)
            As in `predict`.

        Returns
        -------
        float64 array of shape (n, K)
        """
        return self.predict(X)

    def score(self, X: Table, Y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Minus the mean Jensen-Shannon divergence (base 2) between Y and the prediction.

        Parameters
        ----------
        X : DataFrame or array of shape (n, n_features_in_)
            As in `predict`.
        Y : array or DataFrame of shape (n, K)
            Observed distributions. Columns of a DataFrame are matched to the options by name, as in `fit`.
        sample_weight : array of shape (n,), optional
            Respondents per row. Without them the figure is mostly the noise of cells with few respondents.

        Returns
        -------
        float
            Between -1 and 0; 0 is a perfect prediction.
        """
        from surveysim.metrics import js_divergence

        P = self.predict(X)
        return -float(js_divergence(self._by_option(X, Y), P, sample_weight=sample_weight))

    # --- for subclasses -----------------------------------------------------------------------------------------------

    def _predict(self, cells: PredictCells) -> np.ndarray:
        raise NotImplementedError(f"{type(self).__name__} must implement _predict(cells)")

    @contextmanager
    def _atomic_fit(self) -> Iterator[None]:
        """Put the estimator back as it was if its body raises, Ctrl-C included.

        A first fit that fails leaves the estimator unfitted; a refit that fails keeps the previous fit. Holds for
        attributes that are assigned anew, not for arrays changed in place.
        """
        before = dict(self.__dict__)
        try:
            yield
        except BaseException:
            self.__dict__ = before
            raise

    def _validate_fit(self, X: Table, Y: ArrayLike | None, sample_weight: ArrayLike | None = None) -> FitCells:
        """Check everything that can be wrong with the training data, and remember what the estimator was fitted on.

        Parameters
        ----------
        X, Y, sample_weight
            As passed to ``fit``.

        Returns
        -------
        FitCells
            The rows that have respondents.

        Raises
        ------
        TypeError, ValueError
            With the row, column or parameter at fault.
        """
        if Y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None: "
                "Y must hold a distribution for each row of X"
            )
        named = isinstance(self.question, Mapping)
        self._check_question_column()
        table, Y = Y, as_matrix(Y)
        questions = as_questions(self.question)
        frame = check_backgrounds(X)
        validate_data(self, X, reset=True, skip_check_array=True)
        if questions is None:
            questions = _numbered_question(Y)
        question_index = pair_questions(
            frame, questions, self.question_column, named=named, from_array=not isinstance(X, pd.DataFrame)
        )
        if is_table(table):
            Y = as_matrix(arrange_options(table, questions, question_index))
        n = check_respondents(sample_weight, len(frame))
        kept = n > 0
        longest = max(questions, key=lambda name: questions[name].n_options)
        if Y.ndim == 2 and Y.shape[1] != questions[longest].n_options:
            raise ValueError(
                f"Y has {Y.shape[1]} columns, but {f'question {longest!r}' if longest else 'the question'} has "
                f"{questions[longest].n_options} options. Y needs one column per option of the longest question in "
                "question=, NaN past the last option of shorter ones."
            )
        options_per_row = np.array([question.n_options for question in questions.values()])[question_index]
        distributions = check_targets(Y, options_per_row, kept)
        rows = np.flatnonzero(kept)

        self.questions_ = questions
        self.n_options_ = questions[longest].n_options
        self.backgrounds_ = [column for column in frame.columns if not (named and column == self.question_column)]
        self.n_dropped_ = int((~kept).sum())
        self._columns = list(frame.columns)
        check_level_counts(frame[self.backgrounds_], self._most_levels)
        self._remember_parameters()
        if self._reads_words:
            warn_of_lost_words(frame[self.backgrounds_])
        elif self._uses_order() and not is_table(X):
            warn_of_lost_order(frame)
        return FitCells(
            backgrounds=frame.loc[rows, self.backgrounds_].reset_index(drop=True),
            question_index=question_index[rows],
            questions=questions,
            Y=distributions,
            n=n[rows],
            rows=rows,
        )

    def _validate_predict(self, X: Table) -> PredictCells:
        """Check X against what the estimator was fitted on.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        TypeError, ValueError
            With the row or column at fault.
        """
        check_is_fitted(self)
        named = isinstance(self.question, Mapping)
        if named and len(self.questions_) == 1 and isinstance(X, pd.DataFrame):
            X = self._align_only_question(X)
        frame = check_backgrounds(X)
        validate_data(self, X, reset=False, skip_check_array=True)
        if isinstance(X, pd.DataFrame) and not hasattr(self, "feature_names_in_") and not _all_strings(X.columns):
            # scikit-learn compares string names only; numbers as names are compared here
            self._check_columns(frame)
        else:
            frame.columns = pd.Index(self._columns, dtype=object)
        question_index = pair_questions(
            frame,
            self.questions_,
            self.question_column,
            named=named,
            from_array=not isinstance(X, pd.DataFrame),
        )
        return PredictCells(
            backgrounds=frame[self.backgrounds_],
            question_index=question_index,
            questions=self.questions_,
        )

    def _uses_order(self) -> bool:
        """Whether it matters that a column of X is an ordered categorical."""
        return False

    def _by_option(self, X: Table, Y: ArrayLike, name: str = "Y") -> ArrayLike:
        """Y with its columns in the order of the options, if they have names; else Y as passed."""
        if not is_table(Y):
            return Y
        questions = as_questions(self.question) or _numbered_question(as_matrix(Y))
        named = isinstance(self.question, Mapping)
        index = pair_questions(check_backgrounds(X), questions, self.question_column, named=named)
        return arrange_options(Y, questions, index, name)

    def _equal_shares(self, X: Table) -> np.ndarray:
        """Targets for X that teach nothing, so that a fit without Y is validated like one with Y."""
        self._check_question_column()
        questions = as_questions(self.question)
        assert questions is not None
        index = pair_questions(
            check_backgrounds(X), questions, self.question_column, named=isinstance(self.question, Mapping)
        )
        n_options = np.array([question.n_options for question in questions.values()])
        own = n_options[index, None]
        return np.where(np.arange(n_options.max()) < own, 1 / own, np.nan)

    def _check_question_column(self) -> None:
        if not isinstance(self.question_column, str) or not self.question_column:
            raise TypeError(f"question_column must be the name of a column, got {self.question_column!r}")

    def _align_only_question(self, X: pd.DataFrame) -> pd.DataFrame:
        """With one question the column may be present or absent, in fit and predict independently."""
        seen, comes = self.question_column in self._columns, self.question_column in X.columns
        if seen and not comes:
            X = X.copy(deep=False)
            place = min(self._columns.index(self.question_column), X.shape[1])
            X.insert(place, self.question_column, next(iter(self.questions_)))
        elif comes and not seen:
            pair_questions(check_backgrounds(X), self.questions_, self.question_column, named=True)
            X = X.drop(columns=self.question_column)
        return X

    def _check_columns(self, frame: pd.DataFrame) -> None:
        if list(frame.columns) == self._columns or self._columns[0] == "x0":
            frame.columns = pd.Index(self._columns, dtype=object)
            return
        missing = [column for column in self._columns if column not in frame.columns]
        surplus = [column for column in frame.columns if column not in self._columns]
        raise ValueError(
            "The feature names should match those that were passed during fit, in the same order. "
            f"Missing: {missing}; not seen at fit: {surplus}; order at fit: {self._columns}"
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = False
        # a divergence is at most 0; the tag speaks of R2 > 0.5
        tags.regressor_tags.poor_score = True
        return tags


def _numbered_question(Y: np.ndarray) -> dict[str, Question]:
    """The question that ``question=None`` stands for: options "1".."K"."""
    n_options = Y.shape[1] if Y.ndim == 2 and Y.shape[1] >= 2 else 2  # a wrong shape is refused with Y
    return {"": Question("Question", [str(k + 1) for k in range(n_options)])}


def _all_strings(names: Iterable[object]) -> bool:
    return all(isinstance(name, str) for name in names)
