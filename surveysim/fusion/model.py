"""A fitted fusion without scikit-learn's interface: from cells and elicited distributions to scores and draws."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from surveysim.baselines.features import BackgroundEncoder
from surveysim.baselines.logit import LogitRegressor
from surveysim.baselines.priors import PriorTable
from surveysim.cells import FitCells, PredictCells
from surveysim.contrasts import option_contrasts
from surveysim.fusion.covariates import ElicitedParts
from surveysim.fusion.joint import JointLogit, Optimum, QuestionData
from surveysim.fusion.learning import FusionFit, coefficient_precision, draw_variances, fit_fusion, score_covariances
from surveysim.fusion.slopes import SlopeList
from surveysim.questions import Question

__all__ = ["FusionModel", "effective_respondents"]

ROWS_AT_ONCE = 256
"""Rows whose posterior draws are made together."""

TAIL_DEGREES = 4.0
"""Degrees of freedom of the prior of a question's deviations in draws: some questions are farther from what is expected
of them than a Gaussian allows. 90% intervals held, with infinite / 6 / 4 / 3 degrees, 81 / 86 / 88 / 89% (few-shot
prompts, verbalised Llama-3-70B by party, n = 10) and 84 / 88 / 90 / 91% (Claude Opus by race), and 93% with 3 on
`cces_2016` without a model: 4 is nearest to 90% over all. With tails of the whole posterior, not of the prior alone,
questions that their own respondents determine had intervals that were too wide."""

VARIANCE_DRAWS = 10
"""Draws of the variances that posterior draws are spread over: each needs an optimum of its own."""


@dataclass(frozen=True)
class FusionModel:
    """What `FusionModel.train` learned.

    Attributes
    ----------
    encoder : BackgroundEncoder
        From backgrounds to terms.
    slopes : SlopeList
        The slopes that questions share.
    problem : JointLogit
        The training cells, without a question that had none.
    fit : FusionFit
        Optimum and variances.
    place : dict of int to int
        From a question's number to its position in the problem.
    degrees : list of int arrays
        Degrees of the contrasts of the problem's questions.
    has_level : list of bool
        Which of them have an expected level.
    ordered : bool
        Whether the order of options counts.
    """

    encoder: BackgroundEncoder
    slopes: SlopeList
    problem: JointLogit
    fit: FusionFit
    place: dict[int, int]
    degrees: list[np.ndarray]
    has_level: list[bool]
    ordered: bool

    @classmethod
    def train(cls, cells: FitCells, parts: ElicitedParts | None, base: LogitRegressor) -> FusionModel:
        """Fit to training cells with elicited parts; None: without an elicitor."""
        encoder = BackgroundEncoder(linear=bool(base.ordered), pairs=bool(base.interactions)).fit(cells.backgrounds)
        design = encoder.transform(cells.backgrounds).with_constant
        asked = [(index, question, rows) for index, _, question, rows in cells.by_question()]
        bases = [_option_basis(question, base.ordered) for _, question, _ in asked]
        degrees = [degree for _, degree in bases]
        rest = parts is not None and bool((np.abs(parts.rest) > 1e-8).any())
        attributes = list(cells.backgrounds.columns) if parts is not None else []
        slopes = SlopeList(degrees, attributes, elicited=parts is not None, combinations=rest)
        questions, has_level = [], []
        for (_, question, rows), (contrasts, degree) in zip(asked, bases, strict=True):
            counts = cells.counts[rows, : question.n_options]
            covariates = slopes.covariates(_parts(parts, cells), rows, contrasts, degree)
            questions.append(QuestionData(design[rows], counts, contrasts, covariates))
            has_level.append(parts is None or bool(parts.has_level[rows[0]]))
        problem = JointLogit(questions, slopes.bounded)
        table = PriorTable.fixed(encoder.blocks, ordered=bool(base.ordered))
        fit = fit_fusion(problem, slopes.precision, degrees, has_level, table, learn_terms=base.prior == "eb")
        place = {index: position for position, (index, _, _) in enumerate(asked)}
        return cls(encoder, slopes, problem, fit, place, degrees, has_level, bool(base.ordered))

    def predict(self, cells: PredictCells, parts: ElicitedParts | None, n_columns: int) -> np.ndarray:
        """Distributions (n, n_columns) at the optimum, NaN-padded."""
        P = np.full((len(cells), n_columns), np.nan)
        matrix = self.encoder.transform(cells.backgrounds).with_constant
        optimum = self.fit.optimum
        for index, _, question, rows in cells.by_question():
            contrasts, degree = _option_basis(question, self.ordered)
            M = self.slopes.covariates(_parts(parts, cells), rows, contrasts, degree)
            scores = np.einsum("njc,j->nc", M, optimum.slopes)
            if index in self.place:
                scores = scores + matrix[rows] @ optimum.coefficients[self.place[index]].T
            P[rows, : question.n_options] = softmax(scores @ contrasts, axis=1)
        return P

    def draws(
        self, cells: PredictCells, parts: ElicitedParts | None, n_draws: int, generator: np.random.Generator
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield rows and posterior draws of their distributions, (n_draws, n_rows, K_q), block by block.

        One draw is one state of the world: its variances and slopes are those of all questions, its coefficients those
        of all rows of a question. A question without training cells has its coefficients from their prior; a level of
        an attribute that training did not show has them, too, but drawn for each row by itself. Every cell has its own
        deviation from the sum of its terms (`PriorTable.lack_of_fit`).
        """
        states = self._states(n_draws, generator)
        design = self.encoder.transform(cells.backgrounds)
        matrix = design.with_constant
        for index, _, question, rows in cells.by_question():
            contrasts, degree = _option_basis(question, self.ordered)
            M = self.slopes.covariates(_parts(parts, cells), rows, contrasts, degree)
            coefficients = [state.coefficients(self.place.get(index), degree, generator) for state in states]
            for start in range(0, len(rows), ROWS_AT_ONCE):
                some = slice(start, start + ROWS_AT_ONCE)
                scores = []
                for state, B in zip(states, coefficients, strict=True):
                    own = np.einsum("nf,scf->snc", matrix[rows[some]], B)
                    own += np.einsum("njc,sj->snc", M[some], state.slopes, optimize=True)
                    surplus = design.unseen[rows[some]].astype(np.float64) @ state.table.of_degrees(degree)
                    surplus = surplus + state.table.lack_of_fit(degree, ordered=self.ordered)
                    own += np.sqrt(surplus) * generator.standard_normal(own.shape)
                    scores.append(own)
                yield rows[some], softmax(np.concatenate(scores) @ contrasts, axis=-1)

    def _states(self, n_draws: int, generator: np.random.Generator) -> list[_State]:
        """Draws of the variances, the optimum under each, and draws of the slopes around it."""
        states = []
        for part in np.array_split(np.arange(n_draws), min(VARIANCE_DRAWS, n_draws)):
            table, levels = draw_variances(self.fit, generator)
            precisions = [
                coefficient_precision(table, levels, degree, has_level=known)
                for degree, known in zip(self.degrees, self.has_level, strict=True)
            ]
            optimum = self.problem.solve(precisions, self.slopes.precision, self.fit.optimum)
            slopes = optimum.draw_slopes(len(part), generator)
            slopes[:, self.slopes.bounded] = np.maximum(slopes[:, self.slopes.bounded], 0.0)
            states.append(_State(optimum, table, levels, precisions, slopes))
        return states


@dataclass(frozen=True)
class _State:
    """One draw of the variances with what follows from it."""

    optimum: Optimum
    table: PriorTable
    levels: np.ndarray
    precisions: list[np.ndarray]
    slopes: np.ndarray

    def coefficients(self, position: int | None, degree: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Draws of a question's coefficients (n_draws, C, F); from the prior for one without training cells."""
        if position is not None:
            return self.optimum.draw_coefficients(
                position, self.slopes, generator, self.precisions[position], TAIL_DEGREES
            )
        precision = coefficient_precision(self.table, self.levels, degree, has_level=True)
        scale = np.sqrt(TAIL_DEGREES / generator.chisquare(TAIL_DEGREES, len(self.slopes)))
        return (
            scale[:, None, None] * generator.standard_normal((len(self.slopes), *precision.shape)) / np.sqrt(precision)
        )


def effective_respondents(model: FusionModel) -> float:
    """How many respondents of a simple random sample say as much of a cell as the posterior does, over all cells.

    ``sum_b (1 - sum_k p_bk^2) / sum_b trace(Cov(p_b))``: a sample of n has the trace ``(1 - sum_k p_k^2) / n``.
    """
    spread = error = 0.0
    for q, data in enumerate(model.problem.questions):
        optimum = model.fit.optimum
        P = softmax(data.logits(optimum.coefficients[q], optimum.slopes), axis=1)
        slope = P[:, :, None] * (data.contrasts.T[None] - (P @ data.contrasts.T)[:, None, :])  # dp / dscore, (n, K, C)
        covariance = score_covariances(model.problem, optimum, q)
        spread += float(np.sum(1.0 - (P**2).sum(axis=1)))
        error += float(np.einsum("nkc,ncd,nkd->", slope, covariance, slope, optimize=True))
    return spread / error


def _option_basis(question: Question, ordered: bool) -> tuple[np.ndarray, np.ndarray]:
    return option_contrasts(question.positions if ordered else np.full(question.n_options, np.nan))


def _parts(parts: ElicitedParts | None, cells: PredictCells) -> ElicitedParts:
    if parts is not None:
        return parts
    n, width = len(cells), max(question.n_options for question in cells.questions.values())
    nothing = np.zeros((n, width))
    return ElicitedParts(nothing, np.zeros((n, 0, width)), nothing, np.zeros(n, dtype=bool))
