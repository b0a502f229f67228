"""Validated cells: backgrounds and questions, paired, and what was observed in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from surveysim.questions import Question

__all__ = ["FitCells", "PredictCells"]


@dataclass(frozen=True)
class PredictCells:
    """Validated rows of X, each paired with its question.

    Attributes
    ----------
    backgrounds : DataFrame of n rows
        The demographic columns alone, index 0..n-1. The question column is never among them.
    question_index : int array of shape (n,)
        Each row's question, as a position in `questions`.
    questions : dict of str to Question
        All questions the estimator knows, in the order of ``question=``.
    """

    backgrounds: pd.DataFrame
    question_index: np.ndarray
    questions: dict[str, Question]

    def __len__(self) -> int:
        return len(self.question_index)

    @property
    def question_names(self) -> np.ndarray:
        """Object array (n,): the name of each row's question."""
        names = np.empty(len(self.questions), dtype=object)
        names[:] = list(self.questions)
        return names[self.question_index]

    @property
    def n_options(self) -> np.ndarray:
        """Int array (n,): how many options each row's question has."""
        return np.array([question.n_options for question in self.questions.values()])[self.question_index]

    def by_question(self) -> Iterator[tuple[int, str, Question, np.ndarray]]:
        """Yield ``(index, name, question, rows)`` for each question that has rows, in the order of `questions`."""
        for index, (name, question) in enumerate(self.questions.items()):
            rows = np.flatnonzero(self.question_index == index)
            if len(rows):
                yield index, name, question, rows


@dataclass(frozen=True)
class FitCells(PredictCells):
    """Validated training cells; rows with no respondents are left out.

    Attributes
    ----------
    Y : float64 array of shape (n, K)
        Observed distributions, NaN past the last option of a shorter question.
    n : float64 array of shape (n,)
        Respondents behind each distribution, all positive.
    rows : int array of shape (n,)
        Positions of these cells in the X that was passed.
    """

    Y: np.ndarray
    n: np.ndarray
    rows: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        """Respondents per option, (n, K): ``n * Y`` with 0 past the last option of a shorter question."""
        return self.n[:, None] * np.nan_to_num(self.Y, nan=0.0)
