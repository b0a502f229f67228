"""A fitted fusion without scikit-learn's interface: from cells and elicited distributions to scores and draws."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from surveysim.baselines.common import option_basis
from surveysim.baselines.features import BackgroundEncoder
from surveysim.baselines.joint import QuestionData
from surveysim.baselines.lack_of_fit import LackOfFit
from surveysim.baselines.learning import JointFit, LogitFamily, Prior
from surveysim.baselines.logit import LogitRegressor
from surveysim.baselines.posterior import ROWS_AT_ONCE, PosteriorState, draw_distributions, draw_states
from surveysim.baselines.priors import PriorTable
from surveysim.cells import FitCells, PredictCells
from surveysim.fusion.covariates import ElicitedParts, with_average
from surveysim.fusion.family import make_family
from surveysim.fusion.people import PeopleSeries, all_backgrounds
from surveysim.fusion.series import Series
from surveysim.fusion.slopes import SlopeList

__all__ = ["FusionModel", "assemble"]

LEVEL_VARIANCES = (0.7, 0.7, 0.3, 0.2)
"""Where the variances of the levels start: how far a question's level is from what is expected of it, for contrasts of
degree 0 (no order), 1, 2, 3 and more. Without a model, recorded questions of Pew (by region, education and income)
have about .9 / .3 / .1. Starts of .5, 1 and 2 for all degrees had divergences of .0137 / .0152 / .0169 there with one
question at a time, and of .0111 / .0112 / .0114 with all: this one is on the cautious side."""

TAIL_DEGREES = 4.0
"""Degrees of freedom of the prior of a question's deviations in draws: some questions are farther from what is expected
of them than a Gaussian allows. 90% intervals held, with infinite / 6 / 4 / 3 degrees, 81 / 86 / 88 / 89% (few-shot
prompts, verbalised Llama-3-70B by party, n = 10) and 84 / 88 / 90 / 91% (Claude Opus by race), and 93% with 3 on
`cces_2016` without a model: 4 is nearest to 90% over all. With tails of the whole posterior, not of the prior alone,
questions that their own respondents determine had intervals that were too wide. Without an elicitor nothing is
expected of a question but what others of its size have; with tails there 90% intervals held 96 to 98% of simulated
cells."""


@dataclass(frozen=True)
class FusionModel:
    """What `FusionModel.train` learned.

    Attributes
    ----------
    encoder : BackgroundEncoder
        From backgrounds to terms.
    slopes : SlopeList
        The slopes that questions share.
    family : LogitFamily
        The logits of the training cells, without a question that had none.
    fit : JointFit
        Optimum and variances.
    lack_of_fit : LackOfFit
        How far cells are from the sum of their terms.
    place : dict of int to int
        From a question's number to its position in the family.
    ordered : bool
        Whether the order of options counts.
    tail_degrees : float
        Degrees of freedom of the prior of a question's deviations from what was elicited; infinite without an elicitor.
    """

    encoder: BackgroundEncoder
    slopes: SlopeList
    family: LogitFamily
    fit: JointFit
    lack_of_fit: LackOfFit
    place: dict[int, int]
    ordered: bool
    tail_degrees: float

    @classmethod
    def train(
        cls,
        cells: FitCells,
        base: LogitRegressor,
        parts: Mapping[str, ElicitedParts],
        people: Sequence[PeopleSeries] = (),
    ) -> FusionModel:
        """Fit to training cells.

        Parameters
        ----------
        cells : FitCells
            Rows without respondents may be among them: of questions that only sources know.
        base : LogitRegressor
            The logit that is extended.
        parts : mapping of str to ElicitedParts
            What each model said of the cells.
        people : sequence of PeopleSeries
            What people said elsewhere.
        """
        parts = with_average(parts)
        backgrounds = all_backgrounds(cells.backgrounds, [one for series in people for one in series.evidence])
        encoder = BackgroundEncoder(linear=bool(base.ordered), pairs=bool(base.interactions)).fit(backgrounds)
        asked = [(index, question, rows) for index, _, question, rows in cells.by_question()]
        names = [list(cells.questions)[index] for index, _, _ in asked]
        told = [series.of_questions(names, cells, encoder, ordered=bool(base.ordered)) for series in people]
        slopes, family = assemble(cells, base, parts, encoder, told, prior=base.prior)
        fit = family.fit()
        lack_of_fit = LackOfFit.learn(encoder.blocks, family.problem.questions, family.degrees, fit.optimum)
        place = {index: position for position, (index, _, _) in enumerate(asked)}
        tail_degrees = TAIL_DEGREES if parts else np.inf
        return cls(encoder, slopes, family, fit, lack_of_fit, place, bool(base.ordered), tail_degrees)

    def predict(self, cells: PredictCells, parts: Mapping[str, ElicitedParts], n_columns: int) -> np.ndarray:
        """Distributions (n, n_columns) at the optimum, NaN-padded."""
        P = np.full((len(cells), n_columns), np.nan)
        parts = with_average(parts)
        matrix = self.encoder.transform(cells.backgrounds).with_constant
        optimum = self.fit.optimum
        for index, _, question, rows in cells.by_question():
            contrasts, degree = option_basis(question, self.ordered)
            M = self.slopes.covariates(parts, rows, contrasts, degree)
            scores = np.einsum("njc,j->nc", M, optimum.slopes)
            if index in self.place:
                scores = scores + matrix[rows] @ optimum.coefficients[self.place[index]].T
            P[rows, : question.n_options] = softmax(scores @ contrasts, axis=1)
        return P

    def draws(
        self, cells: PredictCells, parts: Mapping[str, ElicitedParts], n_draws: int, generator: np.random.Generator
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield rows and posterior draws of their distributions, (n_draws, n_rows, K_q), block by block.

        One draw is one state of the world: its variances and slopes are those of all questions, its coefficients those
        of all rows of a question. A question without training cells has its coefficients from their prior; a level of
        an attribute that training did not show has them, too, but drawn for each row by itself. Every cell has its own
        deviation from the sum of its terms (`LackOfFit`).
        """
        parts = with_average(parts)
        states = draw_states(self.family, self.fit, self.lack_of_fit, n_draws, generator)
        design = self.encoder.transform(cells.backgrounds)
        for index, _, question, rows in cells.by_question():
            contrasts, degree = option_basis(question, self.ordered)
            M = self.slopes.covariates(parts, rows, contrasts, degree)
            coefficients = [self._coefficients(state, self.place.get(index), degree, generator) for state in states]
            for start in range(0, len(rows), ROWS_AT_ONCE):
                some = slice(start, start + ROWS_AT_ONCE)
                P = draw_distributions(
                    states, coefficients, design[rows[some]], contrasts, degree, generator, covariates=M[some]
                )
                yield rows[some], P

    def _coefficients(
        self, state: PosteriorState, position: int | None, degree: np.ndarray, generator: np.random.Generator
    ) -> np.ndarray:
        """Draws of a question's coefficients (n_draws, C, F); from the prior for one without training cells."""
        if position is not None:
            precision = self.family.precision(
                state.found, self.family.degrees[position], has_level=self.family.has_level[position]
            )
            return state.optimum.draw_coefficients(position, state.shared, generator, precision, self.tail_degrees)
        n_draws = len(state.shared)
        precision = self.family.precision(state.found, degree, has_level=True)
        scale = np.sqrt(TAIL_DEGREES / generator.chisquare(TAIL_DEGREES, n_draws))
        return scale[:, None, None] * generator.standard_normal((n_draws, *precision.shape)) / np.sqrt(precision)


def assemble(
    cells: FitCells,
    base: LogitRegressor,
    parts: Mapping[str, ElicitedParts],
    encoder: BackgroundEncoder,
    series: Sequence[Series],
    *,
    prior: Prior,
) -> tuple[SlopeList, LogitFamily]:
    """The shared slopes and the logits of a fusion, before anything is learned.

    Parameters
    ----------
    cells, base
        As in `FusionModel.train`.
    parts : mapping of str to ElicitedParts
        What each model said of the cells, their average included.
    encoder : BackgroundEncoder
        Fitted.
    series : sequence of Series
        What people said elsewhere of the questions' coefficients.
    prior : {"auto", "fixed", "eb"}
        Of the family.
    """
    design = encoder.transform(cells.backgrounds).with_constant
    asked = [(question, rows) for _, _, question, rows in cells.by_question()]
    bases = [option_basis(question, base.ordered) for question, _ in asked]
    degrees = [degree for _, degree in bases]
    rests = {name: bool((np.abs(own.rest) > 1e-8).any()) for name, own in parts.items()}
    slopes = SlopeList(degrees, list(cells.backgrounds.columns) if parts else [], rests)
    questions, has_level = [], []
    for (question, rows), (contrasts, degree) in zip(asked, bases, strict=True):
        counts = cells.counts[rows, : question.n_options]
        covariates = slopes.covariates(parts, rows, contrasts, degree)
        questions.append(QuestionData(design[rows], counts, contrasts, covariates))
        has_level.append(not parts or any(own.has_level[rows[0]] for own in parts.values()))
    family = make_family(
        questions,
        degrees,
        PriorTable.fixed(encoder.blocks, ordered=bool(base.ordered)),
        prior=prior,
        slopes=slopes,
        has_level=has_level,
        series=series,
        levels=LEVEL_VARIANCES,
    )
    return slopes, family
