"""Logits of several questions with what people said elsewhere beside them: drifts are learned with the variances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from surveysim.baselines.joint import JointPrior, QuestionData
from surveysim.baselines.learning import Hyperparameters, JointFit, LogitFamily, Prior
from surveysim.baselines.priors import HIGHEST_CLASS, PriorTable
from surveysim.baselines.question_stacks import Quadratic
from surveysim.fusion.drift import Drift
from surveysim.fusion.people import quadratics
from surveysim.fusion.series import Filtered, Series
from surveysim.fusion.shares import AgreementOfSeries, learned_shares
from surveysim.fusion.slopes import SlopeList
from surveysim.fusion.steps import weigh_steps

__all__ = ["FusedFamily", "FusedHyperparameters", "Kept", "by_slopes", "make_family"]

TOLERANCE = 0.05
"""Learning stops when no variance changes by more than 5% in a round, and no entry of the resemblance matrix by more
than .05: waves say more than priors."""

SHARE_TOLERANCE = 0.1
"""The same for posterior probabilities of drifts' shares."""

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
            Drift.start(table, self.start.levels, n_links=len(one.names), n_questions=len(degrees))
            for one in self.series
        )
        start = self.start
        self.start: FusedHyperparameters = FusedHyperparameters(
            start.table, start.levels, start.resemblance, drifts, np.zeros(len(slopes))
        )

    def fit(self) -> JointFit:
        """As in `LogitFamily`, with the shares of drifts learned where the variances stand still."""
        levels = self.start.levels.tolist()
        self._own = quadratics(self.problem.questions, self.degrees, self.start.table, levels=levels)
        self.start = replace(self.start, drifts=self._learned_drifts(self.start, np.zeros(len(self._is_mean))))
        self.kept = {}  # a round begins with what the optimum before it was found with
        try:
            return super().fit()
        finally:
            self.kept = None

    def _learned_drifts(self, found: FusedHyperparameters, slopes: np.ndarray) -> tuple[Drift, ...]:
        """Each series' drift, given what respondents, priors and the other series say."""
        centers = self._centers(found)
        drifts = list(found.drifts)
        own = self._told_by_respondents(found, slopes)
        told = [one.evidence(drift, self.degrees, centers) for one, drift in zip(self.series, drifts, strict=True)]
        for s, series in enumerate(self.series):
            known = own
            for other in (*told[:s], *told[s + 1 :]):
                known = [_added(*both) for both in zip(known, other, strict=True)]
            drifts[s] = learned_shares(series, drifts[s], known, self.degrees, centers)
            if len(self.series) > 1:
                told[s] = series.evidence(drifts[s], self.degrees, centers)
        return tuple(drifts)

    def _told_by_respondents(self, found: FusedHyperparameters, slopes: np.ndarray) -> list[Quadratic]:
        """What respondents and priors say of each question's coefficients."""
        each = zip(self._own, self.precisions(found), self._by_slopes, strict=True)
        return [_with_prior(*one, slopes) for one in each]

    def step_weights(self, fit: JointFit, s: int) -> np.ndarray:
        """Posterior probabilities of factors for the steps of a series; see `weigh_steps`."""
        found = fit.found
        assert isinstance(found, FusedHyperparameters)
        known = self._told_by_respondents(found, fit.optimum.slopes)
        agreement = AgreementOfSeries(self.series[s], known, self.degrees, self._centers(found))
        return weigh_steps(found.drifts[s], agreement)

    def _filtered(self, series: Series, drift: Drift, centers: Sequence[np.ndarray]) -> list[Filtered]:
        """What passed the links of a series, and the same again for the same drift."""
        known = None if self.kept is None else self.kept.get(series.names)
        if known is not None and known[0] is drift and all(map(np.array_equal, known[1], centers)):
            return known[2]
        found = series.filtered(drift, self.degrees, centers)
        if self.kept is not None:
            self.kept[series.names] = (drift, centers, found)
        return found

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
        means = np.where(self._is_mean, fit.optimum.slopes, 0.0)

        def with_drifts(plain: Hyperparameters, drifts: Sequence[Drift]) -> FusedHyperparameters:
            spread = self._spread(plain, fit.optimum.slopes)
            drifts = tuple(drift.around(*spread) for drift in drifts)
            return FusedHyperparameters(plain.table, plain.levels, plain.resemblance, drifts, means)

        new = with_drifts(updated.found, found.drifts)
        if self._still(found, new):
            new = replace(new, drifts=self._learned_drifts(new, fit.optimum.slopes))
        return replace(updated, found=new, doubtful=with_drifts(updated.doubtful, new.drifts))

    def _spread(self, found: Hyperparameters, slopes: np.ndarray) -> tuple[PriorTable, np.ndarray]:
        """Variances of whole coefficients over questions: what models say of them added to what is left over."""
        said = np.where(self._is_mean, 0.0, slopes)
        if not said.any():
            return found.table, found.levels
        table, terms, n_terms = found.table, np.zeros_like(found.table.variances), np.zeros_like(found.table.variances)
        levels, n_levels = np.zeros_like(found.levels), np.zeros_like(found.levels)
        for degree, moves in zip(self.degrees, self._by_slopes, strict=True):
            square = (moves @ said).reshape(len(degree), -1) ** 2
            terms += table.add_up(square, degree)
            n_terms += table.add_up(np.ones_like(square), degree)
            classes = np.minimum(degree, HIGHEST_CLASS)
            np.add.at(levels, classes, square[:, 0])
            np.add.at(n_levels, classes, 1.0)
        whole = PriorTable(table.blocks, table.variances + terms / np.maximum(n_terms, 1.0))
        return whole, found.levels + levels / np.maximum(n_levels, 1.0)

    @staticmethod
    def _still(found: Hyperparameters, updated: Hyperparameters) -> bool:
        """Whether the variances stand still."""
        logs = [np.log(updated.levels / found.levels), np.log(updated.table.variances / found.table.variances)]
        moved = [*logs, updated.resemblance - found.resemblance]
        return all(np.abs(one).max(initial=0.0) <= TOLERANCE for one in moved)

    def _close(self, found: Hyperparameters, updated: Hyperparameters) -> bool:
        assert isinstance(found, FusedHyperparameters)
        assert isinstance(updated, FusedHyperparameters)
        both = zip(found.drifts, updated.drifts, strict=True)
        return self._still(found, updated) and all(old.change(new) <= SHARE_TOLERANCE for old, new in both)

    def draw(self, fit: JointFit, generator: np.random.Generator) -> Hyperparameters:
        """Variances from their approximate posterior, and shares of drifts from theirs."""
        drawn = super().draw(fit, generator)
        assert isinstance(drawn, FusedHyperparameters)
        assert isinstance(fit.found, FusedHyperparameters)
        return replace(drawn, drifts=tuple(drift.drawn(generator) for drift in fit.found.drifts))


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
) -> LogitFamily:
    """The family of a fusion: `LogitFamily` where nobody was asked elsewhere. Parameters as in `FusedFamily`."""
    if series:
        return FusedFamily(
            questions, degrees, table, prior=prior, slopes=slopes, has_level=has_level, levels=levels, series=series,
        )  # fmt: skip
    return LogitFamily(
        questions, degrees, table, prior=prior, bounded=slopes.bounded, slope_precision=slopes.precision,
        has_level=has_level, levels=levels,
    )  # fmt: skip


def _added(first: Quadratic, second: Quadratic) -> Quadratic:
    return Quadratic(first.matrix + second.matrix, first.linear + second.linear)


def _with_prior(known: Quadratic, precision: np.ndarray, moves: np.ndarray, slopes: np.ndarray) -> Quadratic:
    """What is known of a question's coefficients with their prior around what the slopes say."""
    weight = precision.ravel()
    return Quadratic(known.matrix + np.diag(weight), known.linear + weight * (moves @ slopes))


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
