"""Learn the priors of a joint logit from all questions: variances of terms and levels, and how questions resemble."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import pandas as pd

from surveysim.baselines.joint import JointLogit, JointPrior, QuestionData
from surveysim.baselines.optimum import Optimum
from surveysim.baselines.priors import (
    FIXED_DEGREES,
    HIGHEST_CLASS,
    INTERCEPT_VARIANCE,
    LEVEL_DEGREES,
    PSEUDO_COEFFICIENTS,
    START_DEGREES,
    PriorTable,
)
from surveysim.baselines.resemblance import free_effects, learned_resemblance

__all__ = ["PRIORS", "Hyperparameters", "JointFit", "LogitFamily", "Prior", "pooled_coefficients", "scaled_table"]

Prior = Literal["auto", "fixed", "eb"]
"""Where prior variances come from: learned and pooled, the measured table, or learned."""

PRIORS: tuple[Prior, ...] = get_args(Prior)

MAX_ROUNDS = 100
LOG_TOLERANCE = 0.01
"""Learning stops when no variance changes by more than 1% in a round."""

RESEMBLANCE_TOLERANCE = 0.01
"""The same for the entries of the resemblance matrix, whose diagonal is about 1."""

AUTO_COEFFICIENTS = 60.0
"""How many coefficients the fixed variances, times the factors, count for with ``prior="auto"``."""

FACTOR_COEFFICIENTS = 24.0
"""How many coefficients 1 counts for when the factors of attributes and degrees are learned.

These two and the least that the identity counts for (`surveysim.baselines.resemblance`) were chosen among 12 / 30 / 60,
12 / 24, and 20 / 35 terms by ``python -m benchmarks.priors`` on eight surveys of 1 to 20 questions. Divergence relative
to fixed variances at n = 200 / 500 / 1000: `nonvoters_2020` (20 questions) -3 / -7 / -7%, `cces_2016` (8)
-6 / -9 / -10%, one question between +1 and -35%. Smaller numbers gain more where there are many questions and lose
where there is one: with 12 and 12 `fair` was 6% worse at n = 200. What still loses is `ess_gb` (+4 / +3%): three of its
four questions are nearly one, so that the same respondents' answers count three times; with respondents of their own
for each question nothing is lost (``python -m benchmarks.same_respondents``)."""

FACTOR_LIMIT = 2.0
"""By how many standard errors a factor may be away from 1 until 1 counts for less. Parties are ten times as far apart
as the table says: with 24 coefficients whatever the data say, 20 questions by party had 8% more divergence at 10
respondents a group than with ``prior="eb"``. Tried: 2 and 3, which differ by less than their standard errors."""

MAX_COUPLED = 4000
"""Questions times terms that are coupled at most: each Newton step solves a dense system of this size."""


def pooled_coefficients(degrees: Sequence[np.ndarray], table: PriorTable) -> list[np.ndarray]:
    """Which coefficients (C, F) of each question are pooled with those of other questions.

    Those of degree 1 on single attributes: where groups stand on the scale. Two-way terms are too many for what they
    are worth. None where fewer than two questions have a degree 1, and where there would be more than 4,000.
    """
    columns = np.concatenate(
        [[False], *(np.full(b.columns.stop - b.columns.start, b.kind != "pair") for b in table.blocks)]
    ).astype(bool)
    masks = [(degree == 1)[:, None] & columns for degree in degrees]
    sizes = [int(mask.sum()) for mask in masks]
    if sum(size > 0 for size in sizes) < 2 or sum(sizes) > MAX_COUPLED:
        return [np.zeros_like(mask) for mask in masks]
    return masks


@dataclass(frozen=True)
class Hyperparameters:
    """Variances of the priors.

    Attributes
    ----------
    table : PriorTable
        Of the terms.
    levels : float64 array of shape (4,)
        Of questions around the level that is expected of them, by class of degree.
    resemblance : float64 array of shape (Q, Q)
        Of the pooled questions: a term's pooled coefficients have the covariance ``variance * resemblance``; the
        geometric mean of its diagonal is 1.
    """

    table: PriorTable
    levels: np.ndarray
    resemblance: np.ndarray


@dataclass(frozen=True)
class JointFit:
    """A fitted family of logits.

    Attributes
    ----------
    optimum : Optimum
        Coefficients and slopes.
    found : Hyperparameters
        As given or learned.
    doubtful : Hyperparameters
        The same with the start counting for `START_DEGREES` (levels: `LEVEL_DEGREES`) coefficients only. Predictions
        are better with a start that counts for more; intervals that believed it would be too narrow where effects are
        large.
    determined, level_determined : float64 arrays of shapes (n_blocks, 4) and (4,)
        How many coefficients behind each doubtful variance the data determine, those of the start included; NaN where
        the variance was given.
    n_rounds : int
        Rounds of learning; 0 if nothing was learned.
    """

    optimum: Optimum
    found: Hyperparameters
    doubtful: Hyperparameters
    determined: np.ndarray
    level_determined: np.ndarray
    n_rounds: int


class LogitFamily:
    """Logits of several questions with priors whose variances may be learned together.

    Parameters
    ----------
    questions : sequence of QuestionData
        At least one.
    degrees : sequence of int arrays of shape (C,)
        Degrees of each question's contrasts.
    table : PriorTable
        Where the variances of the terms start.
    prior : {"auto", "fixed", "eb"}
        Whether the terms' variances are learned, and ("auto") coefficients of degree 1 pooled over questions.
    bounded, slope_precision : arrays of shape (J,), optional
        Which shared slopes may not be negative, and one over their prior variances.
    has_level : sequence of bool, optional
        Which questions have an expected level, around which they vary; the others have free intercepts.
    levels : array of shape (4,), optional
        Where the variances around it start.
    """

    def __init__(
        self,
        questions: Sequence[QuestionData],
        degrees: Sequence[np.ndarray],
        table: PriorTable,
        *,
        prior: Prior,
        bounded: np.ndarray | None = None,
        slope_precision: np.ndarray | None = None,
        has_level: Sequence[bool] | None = None,
        levels: Sequence[float] = (INTERCEPT_VARIANCE,) * (HIGHEST_CLASS + 1),
    ) -> None:
        self.degrees = list(degrees)
        self.has_level = [False] * len(self.degrees) if has_level is None else list(has_level)
        self.slope_precision = np.zeros(0) if slope_precision is None else slope_precision
        self.prior_kind = prior
        coupled = pooled_coefficients(self.degrees, table) if prior == "auto" else None
        self.problem = JointLogit(questions, bounded, coupled)
        self._pooled = [q for q, mask in enumerate(self.problem.coupled) if mask.any()]
        self.start = Hyperparameters(table, np.array(levels, dtype=np.float64), np.eye(len(self._pooled)))

    def precision(self, found: Hyperparameters, degree: np.ndarray, *, has_level: bool) -> np.ndarray:
        """One over the prior variances (C, F) of a question's coefficients, as if it were by itself."""
        precision = found.table.precision(degree)
        own = found.levels[np.minimum(degree, HIGHEST_CLASS)]
        precision[:, 0] = 1.0 / own if has_level else 1.0 / INTERCEPT_VARIANCE
        return precision

    def precisions(self, found: Hyperparameters) -> list[np.ndarray]:
        """`precision` of each question."""
        return [
            self.precision(found, degree, has_level=known)
            for degree, known in zip(self.degrees, self.has_level, strict=True)
        ]

    def prior(self, found: Hyperparameters) -> JointPrior:
        """The Gaussian prior with these variances."""
        precisions = self.precisions(found)
        if not self._pooled:
            return JointPrior(precisions, self.slope_precision)
        by_term, R = self._of_pooled(precisions)[0], found.resemblance
        return JointPrior(
            precisions,
            self.slope_precision,
            np.kron(np.linalg.inv(R), np.diag(by_term)),
            coupling_log_determinant=float(len(R) * np.log(by_term).sum() - len(by_term) * np.linalg.slogdet(R)[1]),
        )

    def _of_pooled(self, arrays: Sequence[np.ndarray]) -> np.ndarray:
        """The pooled entries of arrays (C, F) for each question, (Q, n_terms)."""
        return np.array([arrays[q][self.problem.coupled[q]] for q in self._pooled])

    def solve(self, found: Hyperparameters, start: Optimum | None = None) -> Optimum:
        """The optimum under priors with these variances."""
        return self.problem.solve(self.prior(found), start)

    def fit(self) -> JointFit:
        """The optimum under variances that maximise the Laplace approximation to the marginal likelihood.

        MacKay's fixed point: with b the coefficients that share a variance v, at their optimum, and S their posterior
        variances, ``gamma = sum(1 - S / v)`` of them are determined by the data, and the new v is
        ``sum(b**2) / gamma``. Numerator and denominator each get the start's variance with the weight of some
        coefficients, so that a variance that the data say nothing about stays where it was.

        Pooled coefficients b_f of a term f, one for each question, have the prior ``N(0, v_f R)``. R is learned by the
        EM step ``sum_f (b_f b_f' + S_f) / v_f`` over the number of terms, with an inverse Wishart prior: see
        `learned_resemblance`. Then b' R^-1 b takes the place of b**2.

        References
        ----------
        D. J. C. MacKay (1992), Bayesian interpolation, Neural Computation 4(3), 415-447, section 4.
        A. P. Dempster, N. M. Laird & D. B. Rubin (1977), Maximum likelihood from incomplete data via the EM algorithm,
        Journal of the Royal Statistical Society B 39(1), 1-38.
        """
        found, optimum = self.start, self.solve(self.start)
        shape = found.table.variances.shape
        fit = JointFit(optimum, found, found, np.full(shape, np.nan), np.full(shape[1:], np.nan), 0)
        if not self._learns:
            return fit
        while fit.n_rounds < MAX_ROUNDS:
            updated = self._round(fit)
            done = self._close(fit.found, updated.found)
            fit = replace(updated, optimum=self.solve(updated.found, fit.optimum))
            if done:
                break
        return fit

    @property
    def _learns(self) -> bool:
        return self.prior_kind != "fixed" or any(self.has_level)

    def _round(self, fit: JointFit) -> JointFit:
        """One round of learning, before the optimum follows."""
        squares, informed = self._moments(fit.found, fit.optimum)
        level_squares, level_informed = self._level_sums(squares), self._level_sums(informed)
        resemblance, table = fit.found.resemblance, self.start.table
        total, determined = np.zeros_like(table.variances), np.full(table.variances.shape, np.nan)
        learn_terms = self.prior_kind != "fixed"
        if learn_terms:
            total, determined = (
                sum((table.add_up(one, d) for one, d in zip(values, self.degrees, strict=True)), start=total)
                for values in (squares, informed)
            )
            resemblance = self._resemblance(fit.found, fit.optimum)

        def learned(weight: float, factor_weight: float, level_weight: float) -> Hyperparameters:
            levels = (level_squares + level_weight * self.start.levels) / (level_informed + level_weight)
            start = table
            if self.prior_kind == "auto":
                # where levels are expected, as beside sources, small variances would creep towards 0 for many rounds
                limit = np.inf if any(self.has_level) else FACTOR_LIMIT
                start = scaled_table(table, total, determined, factor_weight, limit)
            variances = (total + weight * start.variances) / (determined + weight) if learn_terms else start.variances
            return Hyperparameters(PriorTable(table.blocks, variances), levels, resemblance)

        return JointFit(
            fit.optimum,
            learned(self._weight(), FACTOR_COEFFICIENTS, PSEUDO_COEFFICIENTS),
            learned(START_DEGREES, PSEUDO_COEFFICIENTS, LEVEL_DEGREES),
            determined + START_DEGREES,
            level_informed + LEVEL_DEGREES,
            fit.n_rounds + 1,
        )

    def _close(self, found: Hyperparameters, updated: Hyperparameters) -> bool:
        """Whether learning stands still."""
        logs = [
            np.abs(np.log(new / old)).max(initial=0.0)
            for old, new in ((found.levels, updated.levels), (found.table.variances, updated.table.variances))
        ]
        moved = np.abs(updated.resemblance - found.resemblance).max(initial=0.0)
        return bool(max(logs) <= LOG_TOLERANCE and moved <= RESEMBLANCE_TOLERANCE)

    def _weight(self) -> float:
        """How many coefficients the start counts for."""
        return AUTO_COEFFICIENTS if self.prior_kind == "auto" else PSEUDO_COEFFICIENTS

    def resemblance_frame(self, fit: JointFit, names: Sequence[str]) -> pd.DataFrame:
        """Correlations of the pooled questions' effects, named; a question that is not pooled resembles none."""
        R = np.eye(len(self.degrees))
        scale = np.sqrt(np.diag(fit.found.resemblance))
        R[np.ix_(self._pooled, self._pooled)] = fit.found.resemblance / np.outer(scale, scale)
        return pd.DataFrame(R, index=list(names), columns=list(names))

    def _moments(self, found: Hyperparameters, optimum: Optimum) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Per question each coefficient's square, and how far the data determine it, (C, F)."""
        precisions = self.precisions(found)
        squares = [B**2 for B in optimum.coefficients]
        informed = [1.0 - optimum.coefficient_variances(q) * precisions[q] for q in range(len(squares))]
        if self._pooled:
            inverse = np.linalg.inv(found.resemblance)
            b, S = self._of_pooled(optimum.coefficients), self._pooled_covariances(optimum)
            whitened = b * (inverse @ b)
            shares = np.einsum("qr,frq->qf", inverse, S) * self._of_pooled(precisions)
            for place, q in enumerate(self._pooled):
                squares[q][self.problem.coupled[q]] = whitened[place]
                informed[q][self.problem.coupled[q]] = 1.0 - shares[place]
        return squares, informed

    def _pooled_covariances(self, optimum: Optimum) -> np.ndarray:
        """Posterior covariance between questions of each term's pooled coefficients, (n_terms, Q, Q)."""
        n_questions, start = len(self._pooled), optimum.n_slopes
        covariance = optimum.shared_covariance[start:, start:]
        n_terms = len(covariance) // n_questions
        blocks = covariance.reshape(n_questions, n_terms, n_questions, n_terms)
        return np.einsum("qfrf->fqr", blocks)

    def _resemblance(self, found: Hyperparameters, optimum: Optimum) -> np.ndarray:
        if not self._pooled:
            return found.resemblance
        b = self._of_pooled(optimum.coefficients)
        precision = self._of_pooled(self.precisions(found))[0]
        products = (b * precision) @ b.T + np.einsum("fqr,f->qr", self._pooled_covariances(optimum), precision)
        return learned_resemblance(products, len(precision), free_effects(found.table.blocks))

    def _level_sums(self, values: Sequence[np.ndarray]) -> np.ndarray:
        """Sums (4,) by class of degree over the intercepts of questions with an expected level."""
        total = np.zeros(HIGHEST_CLASS + 1)
        for one, degree, known in zip(values, self.degrees, self.has_level, strict=True):
            if known:
                np.add.at(total, np.minimum(degree, HIGHEST_CLASS), one[:, 0])
        return total

    def draw(self, fit: JointFit, generator: np.random.Generator) -> Hyperparameters:
        """Variances from their approximate posterior, a scaled inverse chi-squared around the doubtful ones.

        See `PriorTable.drawn`. What was learned has the degrees of freedom that the data determine, `START_DEGREES`
        included; what was given has `FIXED_DEGREES`.
        """
        degrees = np.where(np.isnan(fit.determined), FIXED_DEGREES, fit.determined)
        levels = fit.doubtful.levels
        if any(self.has_level):
            levels = levels * fit.level_determined / generator.chisquare(fit.level_determined)
        return replace(fit.doubtful, table=fit.doubtful.table.drawn(degrees, generator), levels=levels)


def scaled_table(
    table: PriorTable, squares: np.ndarray, determined: np.ndarray, weight: float, limit: float = np.inf
) -> PriorTable:
    """A table times a factor for each degree and one for each attribute, as far as the data tell.

    Each factor is learned as a variance is. Degrees go first: of degree 1 the data tell most, and an attribute's factor
    would be that of its degree 1 alone.

    Parameters
    ----------
    table : PriorTable
        To start from.
    squares, determined : float64 arrays of shape (n_blocks, 4)
        Sums of squared coefficients, and how many of them the data determine.
    weight : float
        How many coefficients a factor of 1 counts for.
    limit : float, default=inf
        By how many of its standard errors a factor may be away from 1 until 1 counts for less.
    """
    attributes = [block.attributes for block in table.blocks]
    ratios = squares / table.variances
    by_degree = [_factor(*sums, weight, limit) for sums in zip(ratios.sum(axis=0), determined.sum(axis=0), strict=True)]
    variances = table.variances * by_degree
    for own in dict.fromkeys(attributes):
        rows = [i for i, a in enumerate(attributes) if a == own]
        variances[rows] *= _factor((squares[rows] / variances[rows]).sum(), determined[rows].sum(), weight, limit)
    return PriorTable(table.blocks, variances)


def _factor(square: float, determined: float, weight: float, limit: float) -> float:
    """Of a variance, from the sum of squares relative to it of coefficients of which so many are determined."""
    if square > 0 and determined > 0:
        errors = abs(np.log(square / determined)) * np.sqrt(determined / 2.0)
        weight *= min(1.0, limit / max(errors, 1e-9)) ** 2
    return float((square + weight) / (determined + weight))
