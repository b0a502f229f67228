"""Logits of several questions with what people said elsewhere beside them: drifts are learned with the variances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from surveysim.baselines.joint import JointPrior, QuestionData
from surveysim.baselines.learning import Hyperparameters, JointFit, LogitFamily, Prior
from surveysim.baselines.optimum import Optimum
from surveysim.baselines.priors import PriorTable
from surveysim.baselines.question_stacks import Quadratic
from surveysim.fusion.drift import LEVEL_COEFFICIENTS, SLOPE_DEVIATION, Drift
from surveysim.fusion.first_look import Levels, agreement, levels_of
from surveysim.fusion.people import quadratics
from surveysim.fusion.series import Filtered, Series
from surveysim.fusion.slopes import SlopeList

__all__ = ["FusedFamily", "FusedHyperparameters", "Kept", "by_slopes", "make_family"]

DRIFT_TOLERANCE = 0.05
"""Learning stops when no drift's variance changes by more than 5% in a round (and no slope by .05)."""


Kept: TypeAlias = dict[tuple[str, ...], tuple[Drift, Sequence[np.ndarray], list[Filtered]]]
"""By the names of a series what passed its links, and the drift and centers that this was computed with."""


@dataclass(frozen=True)
class FusedHyperparameters(Hyperparameters):
    """Variances of the priors, and how far each series of waves is from the target.

    Attributes
    ----------
    drifts : tuple of Drift
        One for each series.
    means : float64 array of shape (J,)
        The slopes that are means of questions of one size, 0 for the others: drifts' slopes act around them.
    """

    drifts: tuple[Drift, ...]
    means: np.ndarray


class FusedFamily(LogitFamily):
    """Logits whose coefficients are also known from people who were asked elsewhere.

    Parameters
    ----------
    questions, degrees, table, prior, has_level, levels
        As in `LogitFamily`.
    slopes : SlopeList
        The slopes that questions share.
    series : sequence of Series
        What people said elsewhere.
    ordered : bool
        Whether the order of options counts.

    Attributes
    ----------
    kept : Kept or None
        What need not be computed again; None: nothing is kept.
    """

    def __init__(
        self,
        questions: Sequence[QuestionData],
        degrees: Sequence[np.ndarray],
        table: PriorTable,
        *,
        prior: Prior,
        slopes: SlopeList,
        has_level: Sequence[bool],
        levels: Sequence[float],
        series: Sequence[Series],
        ordered: bool,
    ) -> None:
        super().__init__(
            questions,
            degrees,
            table,
            prior=prior,
            bounded=slopes.bounded,
            slope_precision=slopes.precision,
            has_level=has_level,
            levels=levels,
        )
        self.series = list(series)
        self._is_mean = np.array([slope.kind == "mean" for slope in slopes.slopes], dtype=bool)
        solvers: dict[bytes, np.ndarray] = {}
        self._by_slopes = [by_slopes(data, solvers) for data in questions]
        self.kept: Kept | None = None
        drifts = tuple(
            Drift.start(table.blocks, ordered=ordered, n_links=len(one.names), n_questions=len(degrees))
            for one in self.series
        )
        self._expected = drifts
        start = self.start
        self.start: FusedHyperparameters = FusedHyperparameters(
            start.table, start.levels, start.resemblance, drifts, np.zeros(len(slopes))
        )

    def fit(self) -> JointFit:
        """As in `LogitFamily`, from where a first look at each series' levels says."""
        respondents = sum(data.respondents.sum() for data in self.problem.questions)
        middle = sum(data.respondents @ data.design for data in self.problem.questions) / respondents
        own = quadratics(self.problem.questions, self.degrees, self.start.table, levels=self.start.levels.tolist())
        levels = levels_of(own, self.degrees, self.start.table, middle)
        seen = [self._first_look(*both, levels, middle) for both in zip(self.series, self._expected, strict=True)]
        self.start = replace(self.start, drifts=tuple(seen))
        self.kept = {}  # a round begins with what the optimum before it was found with
        try:
            return super().fit()
        finally:
            self.kept = None

    def _filtered(self, series: Series, drift: Drift, centers: Sequence[np.ndarray]) -> list[Filtered]:
        """What passed the links of a series, and the same again for the same drift."""
        known = None if self.kept is None else self.kept.get(series.names)
        if known is not None and known[0] is drift and all(map(np.array_equal, known[1], centers)):
            return known[2]
        found = series.filtered(drift, self.degrees, centers)
        if self.kept is not None:
            self.kept[series.names] = (drift, centers, found)
        return found

    def _first_look(self, series: Series, drift: Drift, levels: Levels, middle: np.ndarray) -> Drift:
        """Where learning of a series' drift begins."""
        newest = [next((one for one in reversed(of_question) if one.matrix.any()), of_question[-1])
                  for of_question in zip(*series.information, strict=True)]  # fmt: skip
        source = levels_of(newest, self.degrees, self.start.table, middle)
        slope, factors, scales = agreement(
            levels,
            source,
            self.degrees,
            series.gaps[-1] * drift.levels,
            slope_deviation=SLOPE_DEVIATION,
            coefficients=LEVEL_COEFFICIENTS,
        )
        return drift.seen(slope, factors, scales)

    def prior(self, found: Hyperparameters) -> JointPrior:
        """The Gaussian prior with these variances, and what people said elsewhere."""
        assert isinstance(found, FusedHyperparameters)
        plain = super().prior(found)
        centers = self._centers(found)
        total: list[Quadratic] | None = None
        for series, drift in zip(self.series, found.drifts, strict=True):
            own = series.evidence(drift, self.degrees, centers, self._filtered(series, drift, centers))
            total = own if total is None else [_added(*both) for both in zip(total, own, strict=True)]
        if total is None:
            return plain
        return replace(plain, evidence=[self._with_slopes(q, one) for q, one in enumerate(total)])

    def _centers(self, found: FusedHyperparameters) -> list[np.ndarray]:
        return [moves @ found.means for moves in self._by_slopes]

    def _with_slopes(self, q: int, known: Quadratic) -> Quadratic:
        """From what is known of a question's coefficients, covariates included, to these and the slopes apart."""
        moves = self._by_slopes[q]
        if not moves.shape[1]:
            return known
        cross, size = known.matrix @ moves, len(moves)
        matrix = np.empty((size + moves.shape[1],) * 2)
        matrix[:size, :size], matrix[:size, size:] = known.matrix, cross
        matrix[size:, :size], matrix[size:, size:] = cross.T, moves.T @ cross
        return Quadratic(matrix, np.concatenate([known.linear, moves.T @ known.linear]))

    @property
    def _learns(self) -> bool:
        return True

    def _round(self, fit: JointFit) -> JointFit:
        updated = super()._round(fit)
        found = fit.found
        assert isinstance(found, FusedHyperparameters)
        means, covariances = self.posterior(fit.optimum)
        centers = self._centers(found)
        drifts = []
        for series, drift, start in zip(self.series, found.drifts, self._expected, strict=True):
            filtered = self._filtered(series, drift, centers)
            moments = series.moments(drift, self.degrees, centers, means, covariances, filtered)
            drifts.append(drift.learned(start, moments, series.gaps, self.degrees))
        expected = np.where(self._is_mean, fit.optimum.slopes, 0.0)

        def with_drifts(plain: Hyperparameters) -> FusedHyperparameters:
            return FusedHyperparameters(plain.table, plain.levels, plain.resemblance, tuple(drifts), expected)

        return replace(updated, found=with_drifts(updated.found), doubtful=with_drifts(updated.doubtful))

    def posterior(self, optimum: Optimum) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Means and covariances of each question's coefficients, covariates included."""
        means, covariances = [], []
        for q, moves in enumerate(self._by_slopes):
            means.append(optimum.coefficients[q].ravel() + moves @ optimum.slopes)
            whole = np.hstack([np.eye(len(moves)), moves])
            covariances.append(whole @ optimum.covariance(q) @ whole.T)
        return means, covariances

    def _close(self, found: Hyperparameters, updated: Hyperparameters) -> bool:
        assert isinstance(found, FusedHyperparameters)
        assert isinstance(updated, FusedHyperparameters)
        moved = max((old.change(new) for old, new in zip(found.drifts, updated.drifts, strict=True)), default=0.0)
        return super()._close(found, updated) and moved <= DRIFT_TOLERANCE

    def draw(self, fit: JointFit, generator: np.random.Generator) -> Hyperparameters:
        """Variances from their approximate posterior, those of drifts among them."""
        drawn = super().draw(fit, generator)
        assert isinstance(drawn, FusedHyperparameters)
        return replace(drawn, drifts=tuple(drift.drawn(generator) for drift in drawn.drifts))


def make_family(
    questions: Sequence[QuestionData],
    degrees: Sequence[np.ndarray],
    table: PriorTable,
    *,
    prior: Prior,
    slopes: SlopeList,
    has_level: Sequence[bool],
    levels: Sequence[float],
    series: Sequence[Series],
    ordered: bool,
) -> LogitFamily:
    """The family of a fusion: `LogitFamily` where nobody was asked elsewhere. Parameters as in `FusedFamily`."""
    if series:
        return FusedFamily(
            questions, degrees, table, prior=prior, slopes=slopes, has_level=has_level, levels=levels, series=series,
            ordered=ordered,
        )  # fmt: skip
    return LogitFamily(
        questions, degrees, table, prior=prior, bounded=slopes.bounded, slope_precision=slopes.precision,
        has_level=has_level, levels=levels,
    )  # fmt: skip


def _added(first: Quadratic, second: Quadratic) -> Quadratic:
    return Quadratic(first.matrix + second.matrix, first.linear + second.linear)


def by_slopes(data: QuestionData, solvers: dict[bytes, np.ndarray] | None = None) -> np.ndarray:
    """How a question's coefficients move with the slopes, (C * F, J): its covariates as sums of its terms.

    By least squares over the rows; what the elicited combination of values adds is no sum of terms and left out.
    `solvers` keeps the pseudo-inverses of designs: questions asked of the same cells have the same.
    """
    n_rows, n_slopes, n_contrasts = data.covariates.shape
    n_terms = data.design.shape[1]
    solvers = {} if solvers is None else solvers
    key = data.design.tobytes()
    if key not in solvers:
        # of all solutions the one with the least in the terms: what all rows share belongs to the constant
        scale = np.r_[1e3, np.ones(n_terms - 1)]
        solvers[key] = scale[:, None] * np.linalg.pinv(data.design * scale, rcond=1e-10)
    solution = solvers[key] @ data.covariates.reshape(n_rows, n_slopes * n_contrasts)
    return solution.reshape(n_terms, n_slopes, n_contrasts).transpose(2, 0, 1).reshape(n_contrasts * n_terms, n_slopes)
