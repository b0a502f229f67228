"""Penalised logits of several questions, by themselves or tied together: the joint optimum by Newton's method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
from scipy.linalg import cho_solve, cholesky

from surveysim.baselines.optimum import Optimum
from surveysim.baselines.question_stacks import Local, Quadratic, QuestionData, gather, stacks
from surveysim.errors import ConvergenceWarning, warn

__all__ = ["JointLogit", "JointPrior", "QuestionData"]

MAX_STEPS = 100
MAX_HALVINGS = 40
TOLERANCE = 1e-10
"""Newton's decrement, relative to the penalised deviance, at which the optimum is reached."""


@dataclass(frozen=True)
class JointPrior:
    """Gaussian priors around 0.

    Attributes
    ----------
    precisions : sequence of float64 arrays of shape (C, F)
        One over the prior variance of each question's coefficients; not used for coupled ones.
    slopes : float64 array of shape (J,)
        The same for the slopes.
    coupling : float64 array of shape (n_coupled, n_coupled)
        The inverse of the prior covariance of the coupled coefficients of all questions.
    evidence : sequence of Quadratic, optional
        For each question what else is known of its coefficients and the slopes.
    coupling_log_determinant : float, optional
        The log determinant of the coupling, where its structure tells it at once; else it is computed.
    """

    precisions: Sequence[np.ndarray]
    slopes: np.ndarray = field(default_factory=lambda: np.zeros(0))
    coupling: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    evidence: Sequence[Quadratic] | None = None
    coupling_log_determinant: float | None = None

    @property
    def log_determinant(self) -> float:
        """Of the coupling; 0 without any."""
        if self.coupling_log_determinant is not None:
            return self.coupling_log_determinant
        return float(np.linalg.slogdet(self.coupling)[1])

    @cached_property
    def shared(self) -> np.ndarray:
        """Precision matrix of the shared parameters: slopes, then coupled coefficients."""
        n_slopes = len(self.slopes)
        size = n_slopes + len(self.coupling)
        precision = np.zeros((size, size))
        precision[np.arange(n_slopes), np.arange(n_slopes)] = self.slopes
        precision[n_slopes:, n_slopes:] = self.coupling
        return precision


@dataclass(frozen=True)
class _System:
    """The whole Newton system at a point, solved: its parts, the steps that follow, and what they promise."""

    parts: list[Local]
    free: np.ndarray
    factor: np.ndarray
    step: np.ndarray
    own_steps: list[np.ndarray]
    decrement: float


class JointLogit:
    """Penalised multinomial logits of several questions.

    Question q's option logits are ``(Z_q B_q' + sum_j s_j M_qj) T_q``: coefficients B_q on its terms Z_q, and slopes s
    that all questions share on covariates M. All have Gaussian priors around 0. What ties questions together is the
    slopes, and coefficients that are *coupled*: their prior is one Gaussian over all questions. Without either every
    question is fitted by itself. The penalised deviance is strictly convex; its Hessian is a block arrow, so Newton's
    method eliminates each question's own coefficients and solves for slopes and coupled coefficients. Slopes may be
    bounded below by 0 (projected Newton, Bertsekas 1982).

    Parameters
    ----------
    questions : sequence of QuestionData
        At least one; all with the same number of slopes.
    bounded : bool array of shape (J,), optional
        Which slopes may not be negative; default none.
    coupled : sequence of bool arrays of shape (C, F), optional
        Which coefficients of each question are coupled; default none.

    References
    ----------
    D. P. Bertsekas (1982), Projected Newton methods for optimization problems with simple constraints, SIAM Journal on
    Control and Optimization 20(2), 221-246.
    """

    def __init__(
        self,
        questions: Sequence[QuestionData],
        bounded: np.ndarray | None = None,
        coupled: Sequence[np.ndarray] | None = None,
    ) -> None:
        self.questions = list(questions)
        self.n_slopes = self.questions[0].covariates.shape[1]
        if coupled is None:
            coupled = [np.zeros((len(q.contrasts), q.design.shape[1]), dtype=bool) for q in self.questions]
        self.coupled = list(coupled)
        ends = self.n_slopes + np.cumsum([0, *(int(mask.sum()) for mask in self.coupled)])
        self.places = [np.r_[: self.n_slopes, start:stop] for start, stop in pairwise(ends)]
        """Per question the positions of the slopes and of its coupled coefficients in the shared vector."""
        self.bounded = np.zeros(ends[-1], dtype=bool)
        if bounded is not None:
            self.bounded[: self.n_slopes] = bounded
        self._stacks = list(stacks(self.questions, self.coupled))

    def objective(self, coefficients: Sequence[np.ndarray], slopes: np.ndarray, prior: JointPrior) -> float:
        """The penalised deviance."""
        value = sum(stack.deviance(gather(coefficients, stack), slopes) for stack in self._stacks)
        for B, precision, mask in zip(coefficients, prior.precisions, self.coupled, strict=True):
            value += 0.5 * float(np.sum(precision[~mask] * B[~mask] ** 2))
        for q, known in enumerate(prior.evidence or ()):
            value += known.value(coefficients[q], slopes)
        shared = self._shared(coefficients, slopes)
        return value + 0.5 * float(shared @ prior.shared @ shared)

    def gradient(
        self, coefficients: Sequence[np.ndarray], slopes: np.ndarray, prior: JointPrior
    ) -> tuple[list[np.ndarray], np.ndarray]:
        """Gradient of the objective: by each question's coefficients (C, F), and by the slopes (J,)."""
        shared = prior.shared @ self._shared(coefficients, slopes)
        own = [np.empty(0)] * len(self.questions)
        by_slopes = shared[: self.n_slopes].copy()
        for stack in self._stacks:
            gradient, _ = stack.derivatives(gather(coefficients, stack), slopes)
            for q, row in zip(stack.which, gradient, strict=True):
                mask = self.coupled[q]
                if prior.evidence is not None:
                    row = row + prior.evidence[q].gradient(coefficients[q], slopes)
                own[q] = row[: mask.size].reshape(mask.shape) + prior.precisions[q] * coefficients[q] * ~mask
                own[q][mask] += shared[self.places[q][self.n_slopes :]]
                by_slopes += row[mask.size :]
        return own, by_slopes

    def _shared(self, coefficients: Sequence[np.ndarray], slopes: np.ndarray) -> np.ndarray:
        return np.concatenate([slopes, *(B[mask] for B, mask in zip(coefficients, self.coupled, strict=True))])

    def _split(self, shared: np.ndarray, own: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The coefficients (C, F) of each question from the shared vector and its own ones."""
        found = []
        for mask, places, values in zip(self.coupled, self.places, own, strict=True):
            B = np.empty(mask.shape)
            B[~mask], B[mask] = values, shared[places[self.n_slopes :]]
            found.append(B)
        return found

    def solve(self, prior: JointPrior, start: Optimum | None = None) -> Optimum:
        """Minimise the penalised deviance.

        Parameters
        ----------
        prior : JointPrior
            Of everything.
        start : Optimum, optional
            Where to begin; default 0.

        Returns
        -------
        Optimum

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            If the optimum is not reached within 100 steps.
        """
        point = start or self._origin()
        B, shared = point.coefficients, point.shared
        value = self.objective(B, shared[: self.n_slopes], prior)
        for n_steps in range(1, MAX_STEPS + 1):
            system = self._system(B, shared, prior)
            if system.decrement <= TOLERANCE * (1.0 + abs(value)):
                return self._optimum(*self._moved(B, shared, system, 1.0), system, prior, value, n_steps)
            size = 1.0
            for _ in range(MAX_HALVINGS):
                new_B, new_shared = self._moved(B, shared, system, size)
                new_value = self.objective(new_B, new_shared[: self.n_slopes], prior)
                if new_value <= value - 1e-4 * size * system.decrement:
                    break
                size /= 2
            B, shared, value = new_B, new_shared, new_value
        warn(
            f"Newton's method did not reach the optimum in {MAX_STEPS} steps (decrement {system.decrement:.3g})",
            ConvergenceWarning,
        )
        return self._optimum(B, shared, system, prior, value, MAX_STEPS)

    def step(self, prior: JointPrior, start: Optimum) -> Optimum:
        """One Newton step from the optimum under another prior, and the curvature under this one: its optimum, were
        the deviance quadratic."""
        B, shared = start.coefficients, start.shared
        system = self._system(B, shared, prior)
        value = self.objective(B, shared[: self.n_slopes], prior)
        return self._optimum(*self._moved(B, shared, system, 1.0), system, prior, value, 1)

    def at(self, coefficients: Sequence[np.ndarray], slopes: np.ndarray) -> Optimum:
        """A point to start from, without curvature."""
        return replace(self._origin(), coefficients=list(coefficients), shared=self._shared(coefficients, slopes))

    def _origin(self) -> Optimum:
        nothing: list[np.ndarray] = []
        return Optimum(
            [np.zeros(mask.shape) for mask in self.coupled],
            np.zeros(len(self.bounded)),
            self.n_slopes,
            ~self.bounded,
            self.coupled,
            self.places,
            nothing,
            nothing,
            np.zeros((0, 0)),
            0.0,
            0,
        )

    def _system(self, B: Sequence[np.ndarray], shared: np.ndarray, prior: JointPrior) -> _System:
        parts = [
            stack.local(gather(B, stack), shared[: self.n_slopes], gather(prior.precisions, stack), prior.evidence)
            for stack in self._stacks
        ]
        reduced, free, factor = self._reduce(parts, shared, prior.shared)
        step = np.zeros(len(shared))
        step[free] = cho_solve((factor, True), reduced[free])
        decrement = float(reduced[free] @ step[free])
        decrement += sum(float(np.sum(part.gradient * part.step)) for part in parts)
        return _System(parts, free, factor, step, self._own_steps(parts, step), decrement)

    def _moved(
        self, B: Sequence[np.ndarray], shared: np.ndarray, system: _System, size: float
    ) -> tuple[list[np.ndarray], np.ndarray]:
        """Coefficients and shared parameters after a step of some size, no bounded one below 0."""
        new_shared = shared - size * system.step
        new_shared[self.bounded] = np.maximum(new_shared[self.bounded], 0.0)
        own = [b[~mask] - size * step for b, mask, step in zip(B, self.coupled, system.own_steps, strict=True)]
        return self._split(new_shared, own), new_shared

    def _own_steps(self, parts: Sequence[Local], shared_step: np.ndarray) -> list[np.ndarray]:
        """Each question's step of its own coefficients, which yield to that of the shared parameters."""
        steps = [np.empty(0)] * len(self.questions)
        for stack, part in zip(self._stacks, parts, strict=True):
            for i, q in enumerate(stack.which):
                steps[q] = part.step[i] - part.elimination[i] @ shared_step[self.places[q]]
        return steps

    def _reduce(
        self, parts: Sequence[Local], shared: np.ndarray, shared_precision: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Gradient and curvature of the shared parameters with the own ones eliminated, and which of them may move."""
        gradient, hessian = shared_precision @ shared, shared_precision.copy()
        for stack, part in zip(self._stacks, parts, strict=True):
            for i, q in enumerate(stack.which):
                places = self.places[q]
                gradient[places] += part.shared_gradient[i]
                hessian[np.ix_(places, places)] += part.shared_hessian[i]
        free = ~(self.bounded & (shared <= 0.0) & (gradient > 0.0))
        if not free.all():
            hessian = hessian[np.ix_(free, free)]
        return gradient, free, cholesky(hessian, lower=True)

    def _optimum(
        self,
        B: list[np.ndarray],
        shared: np.ndarray,
        system: _System,
        prior: JointPrior,
        value: float,
        n_steps: int,
    ) -> Optimum:
        evidence = -value - float(np.log(np.diag(system.factor)).sum())
        evidence += 0.5 * float(np.log(prior.slopes[system.free[: self.n_slopes]]).sum())
        evidence += 0.5 * prior.log_determinant
        for precision, mask in zip(prior.precisions, self.coupled, strict=True):
            evidence += 0.5 * float(np.log(precision[~mask]).sum())
        factors, eliminations = [np.empty(0)] * len(B), [np.empty(0)] * len(B)
        for stack, part in zip(self._stacks, system.parts, strict=True):
            evidence -= float(np.log(np.diagonal(part.factor, axis1=1, axis2=2)).sum())
            for i, q in enumerate(stack.which):
                factors[q], eliminations[q] = part.factor[i], part.elimination[i]
        return Optimum(
            coefficients=B,
            shared=shared,
            n_slopes=self.n_slopes,
            free=system.free,
            coupled=self.coupled,
            places=self.places,
            factors=factors,
            eliminations=eliminations,
            shared_factor=system.factor,
            log_evidence=evidence,
            n_steps=n_steps,
        )
