"""What a fusion's elicitor says: of the training cells, of new rows, and of questions without training cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from surveysim.cells import FitCells, PredictCells
from surveysim.fusion.covariates import ElicitedParts, ElicitedShifts
from surveysim.fusion.sources import check_elicited, warn_missing
from surveysim.questions import Question

__all__ = ["ElicitedKnowledge"]

ByOption: TypeAlias = Callable[[Any, Any, str], Any]
"""From X, distributions and what they are called to the same distributions with columns in the order of the options."""


class ElicitedKnowledge:
    """Ask an elicitor about cells, and take apart what it says.

    Parameters
    ----------
    elicitor : estimator
        Fitted.
    cells : FitCells
        Training cells.
    X : DataFrame or array
        As it was passed to ``fit``.
    question : Question, mapping of str to Question, or None
        As in the fusion.
    question_column : str
        Of X.
    n_options : int
        Columns of distributions.
    n_rows : int
        Of X, those without respondents included.
    by_option : callable
        Arranges what the elicitor says, where its columns have names; not kept.

    Attributes
    ----------
    parts : ElicitedParts
        Of the training cells.
    n_missing : int
        Training cells without an elicited distribution.
    """

    def __init__(
        self,
        elicitor: Any,
        cells: FitCells,
        X: Any,
        *,
        question: Question | Mapping[str, Question] | None,
        question_column: str,
        n_options: int,
        n_rows: int,
        by_option: ByOption,
    ) -> None:
        self._elicitor, self._question_column, self._n_options = elicitor, question_column, n_options
        asked = PredictCells(cells.backgrounds, cells.question_index, cells.questions)
        everything = np.asarray(self._ask(X, by_option))
        # rows without respondents were asked with the others, and are left out here
        whole = everything.ndim == 2 and len(everything) == n_rows
        P = check_elicited(everything[cells.rows] if whole else everything, asked, n_options)
        warn_missing(P, asked, "in fit")
        self.n_missing = int(np.isnan(P).all(axis=1).sum())
        self._shifts = ElicitedShifts(cells.questions).fit(cells.backgrounds, cells.question_index, P, cells.n)
        self._P = P
        self.parts = self._shifts.transform(cells.backgrounds, cells.question_index, P)
        self._population: tuple[pd.DataFrame, pd.DataFrame, np.ndarray] | None = None
        if isinstance(X, pd.DataFrame) and isinstance(question, Mapping) and question_column in X.columns:
            # the training backgrounds stand for the population when a question without training cells is asked
            names = list(cells.backgrounds.columns)
            by = cells.backgrounds.groupby(names, dropna=False, observed=True, sort=False)
            weights = np.bincount(by.ngroup(), weights=cells.n)
            first = ~cells.backgrounds.duplicated().to_numpy()
            distinct = cells.backgrounds[first].reset_index(drop=True)
            self._population = X.iloc[cells.rows[first]], distinct, weights

    def _ask(self, X: Any, by_option: ByOption) -> Any:
        return by_option(X, self._elicitor.predict(X), "elicitor.predict")

    def of_more(self, cells: FitCells, by_option: ByOption) -> ElicitedParts:
        """The parts of the training cells followed by others, of questions that only other sources know."""
        n_more = len(cells) - len(self._P)
        fitted = np.arange(len(cells)) < len(self._P)
        self._ask_new_questions(cells, fitted, by_option)
        P = np.vstack([self._P, np.full((n_more, self._n_options), np.nan)])
        return self._shifts.transform(cells.backgrounds, cells.question_index, P)

    def of_rows(self, cells: PredictCells, X: Any, fitted: np.ndarray, by_option: ByOption) -> ElicitedParts:
        """The parts of new rows; `fitted` says which of them are about questions with training cells."""
        P = check_elicited(self._ask(X, by_option), cells, self._n_options)
        warn_missing(P, cells, "in predict")
        self._ask_new_questions(cells, fitted, by_option)
        return self._shifts.transform(cells.backgrounds, cells.question_index, P)

    def _ask_new_questions(self, cells: PredictCells, fitted: np.ndarray, by_option: ByOption) -> None:
        """Levels and shifts of questions without training cells: the elicitor is asked of the training backgrounds."""
        if self._population is None:
            return
        frame, backgrounds, weights = self._population
        names = list(cells.questions)
        for q in np.unique(cells.question_index[~fitted]):
            if self._shifts.knows(int(q)):
                continue
            asked = frame.copy()
            asked[self._question_column] = names[q]
            index = np.full(len(asked), q)
            P = check_elicited(
                self._ask(asked, by_option), PredictCells(backgrounds, index, cells.questions), self._n_options
            )
            self._shifts.add(backgrounds, index, P, weights)
