"""The order-aware logit: the statistical model that a language model has to beat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.linalg import solve_triangular
from scipy.special import softmax
from sklearn.utils.validation import check_is_fitted

from surveysim.base import FitCells, PredictCells
from surveysim.baselines.common import BaselineRegressor
from surveysim.baselines.features import BackgroundEncoder, Design
from surveysim.baselines.newton import LogitProblem
from surveysim.baselines.priors import PriorTable, learn_variances
from surveysim.contrasts import option_contrasts
from surveysim.questions import Question

__all__ = ["LogitRegressor"]

ROWS_AT_ONCE = 256
"""Rows whose posterior draws are held in memory together."""


class LogitRegressor(BaselineRegressor):
    def __init__(
        self,
        ordered: bool = True,
        prior: str = "fixed",
        interactions: bool = False,
        *,
        question: Question | Mapping[str, Question] | None = None,
        question_column: str = "question",
        unseen: str = "error",
    ) -> None:
        self.ordered = ordered
        self.prior = prior
        self.interactions = interactions
        self.question = question
        self.question_column = question_column
        self.unseen = unseen

    def fit(self, X: Any, Y: ArrayLike, sample_weight: ArrayLike | None = None) -> LogitRegressor:
        with self._atomic_fit():
            self._check_unseen()
            if self.prior not in ("fixed", "eb"):
                raise ValueError(f"prior must be 'fixed' or 'eb' (empirical Bayes), got {self.prior!r}")
            cells = self._validate_fit(X, Y, sample_weight)
            self._encoder = BackgroundEncoder(linear=bool(self.ordered), pairs=bool(self.interactions))
            self._encoder.fit(cells.backgrounds)
            contrasts = {name: self._contrasts(question) for name, question in cells.questions.items()}
            problems = self._problems(cells, contrasts)
            table = PriorTable.fixed(self._encoder.blocks, ordered=bool(self.ordered))
            degrees = [contrasts[name][1] for name in problems]
            if self.prior == "eb":
                table, solutions, self.n_iter_ = learn_variances(list(problems.values()), degrees, table)
            else:
                fits = [
                    problem.solve(table.precision(degree))
                    for problem, degree in zip(problems.values(), degrees, strict=True)
                ]
                solutions = [B for B, _ in fits]
                self.n_iter_ = max(steps for _, steps in fits)
            self._table = table
            self._coefficients = dict(zip(problems, solutions, strict=True))
            self._respondents = {name: problem.counts.sum(axis=1) for name, problem in problems.items()}
            self._training = {name: problem.design for name, problem in problems.items()}
        return self

    def _contrasts(self, question: Question) -> tuple[np.ndarray, np.ndarray]:
        positions = question.positions if self.ordered else np.full(question.n_options, np.nan)
        return option_contrasts(positions)

    def _problems(self, cells: FitCells, contrasts):
        design = _with_constant(self._encoder.transform(cells.backgrounds))
        problems = {}
        for _, name, question, rows in cells.by_question():
            distinct, place = np.unique(design[rows], axis=0, return_inverse=True)
            counts = np.zeros((len(distinct), question.n_options))
            np.add.at(counts, place.ravel(), cells.counts[rows, : question.n_options])
            problems[name] = LogitProblem(distinct, counts, contrasts[name][0])
        return problems

    def _predict(self, cells: PredictCells) -> np.ndarray:
        return softmax_padded(self._logits(cells))

    def predict_logits(self, X):
        return self._logits(self._validate_predict(X))

    def _logits(self, cells: PredictCells) -> np.ndarray:
        seen = np.array([name in self._coefficients for name in cells.questions])
        self._refuse_unseen_questions(cells, seen)
        design = _with_constant(self._encoder.transform(cells.backgrounds))
        logits = np.where(np.arange(self.n_options_) < cells.n_options[:, None], 0.0, np.nan)
        for _, name, question, rows in cells.by_question():
            if name in self._coefficients:
                contrasts, _ = self._contrasts(question)
                logits[rows, : question.n_options] = design[rows] @ self._coefficients[name].T @ contrasts
        return logits


def softmax_padded(logits):
    return softmax(np.where(np.isnan(logits), -np.inf, logits), axis=1) + np.where(np.isnan(logits), np.nan, 0.0)


def _with_constant(design: Design) -> np.ndarray:
    return np.column_stack([np.ones(len(design.matrix)), design.matrix])
