"""Penalised logits of several questions that share slopes: the joint optimum and the curvature there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.special import log_softmax, softmax

from surveysim.errors import ConvergenceWarning, warn

__all__ = ["JointLogit", "Optimum", "QuestionData"]

MAX_ENTRIES = 4_000_000
"""Largest array of second derivatives that is made for several questions at once."""

MAX_STEPS = 100
MAX_HALVINGS = 40
TOLERANCE = 1e-9
"""Newton's decrement, relative to the penalised deviance, at which the optimum is reached."""


@dataclass(frozen=True)
class QuestionData:
    """One question's cells.

    Attributes
    ----------
    design : float64 array of shape (n, F)
        Terms with coefficients of this question's own, the constant in column 0.
    counts : float64 array of shape (n, K)
        Respondents per option.
    contrasts : float64 array of shape (C, K)
        Orthonormal contrasts of the options.
    covariates : float64 array of shape (n, J, C)
        What the J slopes that all questions share multiply, as scores on the contrasts.
    """

    design: np.ndarray
    counts: np.ndarray
    contrasts: np.ndarray
    covariates: np.ndarray

    @property
    def respondents(self) -> np.ndarray:
        """Respondents per row, (n,)."""
        return self.counts.sum(axis=1)

    def logits(self, coefficients: np.ndarray, slopes: np.ndarray) -> np.ndarray:
        """Centred option logits (n, K)."""
        scores = self.design @ coefficients.T + slopes @ self.covariates
        return scores @ self.contrasts


@dataclass(frozen=True)
class _Stack:
    """Questions of one shape, so that numpy works on all of them at once: question by question takes ten times as long.

    `which` are their positions; the arrays are those of `QuestionData` with the questions as first axis.
    """

    which: list[int]
    design: np.ndarray
    counts: np.ndarray
    contrasts: np.ndarray
    covariates: np.ndarray

    def deviance(self, B: np.ndarray, slopes: np.ndarray) -> float:
        """Minus the log likelihood for coefficients B (Q, C, F)."""
        return -float(np.sum(self.counts * log_softmax(self._logits(B, slopes), axis=-1)))

    def _logits(self, B: np.ndarray, slopes: np.ndarray) -> np.ndarray:
        return (self.design @ B.swapaxes(1, 2) + slopes @ self.covariates) @ self.contrasts

    def local(self, B: np.ndarray, slopes: np.ndarray, precision: np.ndarray) -> _Local:
        """Derivatives at a point."""
        T, Z, M = self.contrasts, self.design, self.covariates
        n_questions, n_rows, n_slopes, n_contrasts = M.shape
        size = precision[0].size
        P = softmax(self._logits(B, slopes), axis=-1)
        n = self.counts.sum(axis=2)
        residual = (n[:, :, None] * P - self.counts) @ T.swapaxes(1, 2)
        means = P @ T.swapaxes(1, 2)
        V = (P[:, :, None, :] * T[:, None]) @ T.swapaxes(1, 2)[:, None] - means[..., :, None] * means[..., None, :]
        V *= n[:, :, None, None]
        ZV = V[:, :, :, None, :] * Z[:, :, None, :, None]  # (Q, n, C, F, C)
        H = ZV.reshape(n_questions, n_rows, -1).swapaxes(1, 2) @ Z
        H = H.reshape(n_questions, size, size)
        H[:, np.arange(size), np.arange(size)] += precision.reshape(n_questions, size)
        flat_M = M.swapaxes(2, 3).reshape(n_questions, n_rows * n_contrasts, n_slopes)
        flat_ZV = ZV.reshape(n_questions, n_rows, size, n_contrasts).swapaxes(1, 2).reshape(n_questions, size, -1)
        flat_VM = (M @ V).swapaxes(2, 3).reshape(n_questions, n_rows * n_contrasts, n_slopes)
        gradient = (residual.swapaxes(1, 2) @ Z + precision * B).reshape(n_questions, size, 1)
        cross = flat_ZV @ flat_M
        solved = np.linalg.solve(H, np.concatenate([cross, gradient], axis=2))
        return _Local(
            factor=np.linalg.cholesky(H),
            cross=cross,
            elimination=solved[:, :, :-1],
            gradient=gradient[:, :, 0],
            step=solved[:, :, -1],
            slope_gradient=np.einsum("qij,qi->j", flat_M, residual.reshape(n_questions, -1)),
            slope_hessian=(flat_VM.swapaxes(1, 2) @ flat_M).sum(axis=0),
        )


@dataclass(frozen=True)
class _Local:
    """A stack's part of the Newton system at a point."""

    factor: np.ndarray
    """Lower Cholesky factors of the Hessians of the questions' own coefficients (Q, C * F, C * F)."""
    cross: np.ndarray
    """Second derivatives by coefficients and slopes (Q, C * F, J)."""
    elimination: np.ndarray
    """Hessian^-1 cross: how coefficients yield when the slopes move (Q, C * F, J)."""
    gradient: np.ndarray
    """By the coefficients (Q, C * F)."""
    step: np.ndarray
    """Hessian^-1 gradient (Q, C * F)."""
    slope_gradient: np.ndarray
    slope_hessian: np.ndarray


@dataclass(frozen=True)
class Optimum:
    """The optimum of a `JointLogit`, and the Gaussian approximation to the posterior there (Laplace).

    Attributes
    ----------
    coefficients : list of float64 arrays of shape (C, F)
        Per question.
    slopes : float64 array of shape (J,)
        Shared.
    free : bool array of shape (J,)
        Which slopes are not held at their bound of 0.
    factors : list of float64 arrays of shape (C * F, C * F)
        Lower Cholesky factors of each question's own Hessian.
    eliminations : list of float64 arrays of shape (C * F, J)
        How a question's coefficients yield when the slopes move.
    slope_factor : float64 array of shape (J_free, J_free)
        Lower Cholesky factor of the free slopes' marginal precision.
    log_evidence : float
        The Laplace approximation to the log marginal likelihood, up to a constant of the data.
    """

    coefficients: list[np.ndarray]
    slopes: np.ndarray
    free: np.ndarray
    factors: list[np.ndarray]
    eliminations: list[np.ndarray]
    slope_factor: np.ndarray
    log_evidence: float

    def slope_variances(self) -> np.ndarray:
        """Marginal posterior variance of every slope (J,); 0 for slopes at their bound."""
        variances = np.zeros(len(self.slopes))
        inverse = solve_triangular(self.slope_factor, np.eye(len(self.slope_factor)), lower=True)
        variances[self.free] = (inverse**2).sum(axis=0)
        return variances

    def coefficient_variances(self, question: int) -> np.ndarray:
        """Marginal posterior variances of a question's coefficients, (C, F)."""
        factor = self.factors[question]
        inverse = np.linalg.inv(factor)
        moved = np.linalg.solve(self.slope_factor, self.eliminations[question][:, self.free].T)
        variances = (inverse**2).sum(axis=0) + (moved**2).sum(axis=0)
        return variances.reshape(self.coefficients[question].shape)

    def draw_slopes(self, n_draws: int, generator: np.random.Generator) -> np.ndarray:
        """Draws of the slopes, (n_draws, J); those at their bound stay there."""
        noise = generator.standard_normal((int(self.free.sum()), n_draws))
        slopes = np.tile(self.slopes, (n_draws, 1))
        slopes[:, self.free] += solve_triangular(self.slope_factor, noise, lower=True, trans="T").T
        return slopes

    def draw_coefficients(
        self,
        question: int,
        slopes: np.ndarray,
        generator: np.random.Generator,
        precision: np.ndarray | None = None,
        degrees: float = np.inf,
    ) -> np.ndarray:
        """Draws of a question's coefficients given draws of the slopes, (n_draws, C, F).

        With finite `degrees` the prior, of this precision (C, F), has the heavier tails of Student's t with so many
        degrees of freedom, one scale for a question: of the posterior covariance ``H^-1 (I + L) H^-1``, with I what
        respondents say and L the prior's precision, only the second part grows. A question whose respondents overrule
        the prior is as certain as before.
        """
        center = self.coefficients[question]
        factor = self.factors[question]
        noise = factor @ generator.standard_normal((center.size, len(slopes)))
        if np.isfinite(degrees):
            assert precision is not None
            surplus = np.maximum(degrees / generator.chisquare(degrees, len(slopes)) - 1.0, 0.0)
            root = np.sqrt(precision.reshape(-1, 1) * surplus)
            noise += root * generator.standard_normal((center.size, len(slopes)))
        shifts = cho_solve((factor, True), noise).T
        shifts -= (slopes - self.slopes) @ self.eliminations[question].T
        return center + shifts.reshape(len(slopes), *center.shape)


class JointLogit:
    """Penalised multinomial logits whose questions share some slopes.

    Question q's option logits are ``(Z_q B_q' + sum_j s_j M_qj) T_q``: its own coefficients B_q on its terms Z_q, and
    slopes s that all questions share on covariates M. All have Gaussian priors around 0. The penalised deviance is
    convex; its Hessian is a block arrow, so Newton's method eliminates each question's coefficients and solves for the
    slopes, at a cost that grows linearly with the questions. Slopes may be bounded below by 0 (projected Newton,
    Bertsekas 1982).

    Parameters
    ----------
    questions : sequence of QuestionData
        At least one; all with the same number of slopes.
    bounded : bool array of shape (J,)
        Which slopes may not be negative.

    References
    ----------
    D. P. Bertsekas (1982), Projected Newton methods for optimization problems with simple constraints, SIAM Journal on
    Control and Optimization 20(2), 221-246.
    """

    def __init__(self, questions: Sequence[QuestionData], bounded: np.ndarray) -> None:
        self.questions = list(questions)
        self.bounded = np.asarray(bounded, dtype=bool)
        self._stacks = list(_stacks(self.questions))

    def objective(
        self,
        coefficients: Sequence[np.ndarray],
        slopes: np.ndarray,
        precisions: Sequence[np.ndarray],
        slope_precision: np.ndarray,
    ) -> float:
        """The penalised deviance."""
        value = 0.5 * float(np.sum(slope_precision * slopes**2))
        for stack in self._stacks:
            value += stack.deviance(_gather(coefficients, stack), slopes)
        for B, precision in zip(coefficients, precisions, strict=True):
            value += 0.5 * float(np.sum(precision * B**2))
        return value

    def gradient(
        self,
        coefficients: Sequence[np.ndarray],
        slopes: np.ndarray,
        precisions: Sequence[np.ndarray],
        slope_precision: np.ndarray,
    ) -> tuple[list[np.ndarray], np.ndarray]:
        """Gradient of the objective: by each question's coefficients (C, F), and by the slopes (J,)."""
        parts = self._locals(coefficients, slopes, precisions)
        own = [np.empty(0)] * len(self.questions)
        for stack, part in zip(self._stacks, parts, strict=True):
            for place, q in enumerate(stack.which):
                own[q] = part.gradient[place].reshape(coefficients[q].shape)
        return own, slope_precision * slopes + sum(part.slope_gradient for part in parts)

    def _locals(
        self, coefficients: Sequence[np.ndarray], slopes: np.ndarray, precisions: Sequence[np.ndarray]
    ) -> list[_Local]:
        return [stack.local(_gather(coefficients, stack), slopes, _gather(precisions, stack)) for stack in self._stacks]

    def solve(
        self,
        precisions: Sequence[np.ndarray],
        slope_precision: np.ndarray,
        start: Optimum | None = None,
    ) -> Optimum:
        """Minimise the penalised deviance.

        Parameters
        ----------
        precisions : sequence of float64 arrays of shape (C, F)
            One over the prior variance of each question's coefficients.
        slope_precision : float64 array of shape (J,)
            The same for the slopes.
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
        if start is None:
            B = [np.zeros(precision.shape) for precision in precisions]
            slopes = np.zeros(len(slope_precision))
        else:
            B, slopes = list(start.coefficients), start.slopes
        value = self.objective(B, slopes, precisions, slope_precision)
        for _ in range(MAX_STEPS):
            parts = self._locals(B, slopes, precisions)
            reduced, free, factor = self._reduce(parts, slopes, slope_precision)
            slope_step = np.zeros(len(slopes))
            slope_step[free] = cho_solve((factor, True), reduced[free])
            steps = self._scatter([part.step - part.elimination @ slope_step for part in parts], B)
            decrement = float(reduced[free] @ slope_step[free])
            decrement += sum(float(np.sum(part.gradient * part.step)) for part in parts)
            if decrement <= TOLERANCE * (1.0 + abs(value)):
                B = [b - step for b, step in zip(B, steps, strict=True)]
                slopes = np.where(self.bounded, np.maximum(slopes - slope_step, 0.0), slopes - slope_step)
                return self._optimum(B, slopes, free, factor, parts, precisions, slope_precision, value)
            size = 1.0
            for _ in range(MAX_HALVINGS):
                new_slopes = slopes - size * slope_step
                new_slopes[self.bounded] = np.maximum(new_slopes[self.bounded], 0.0)
                new_B = [b - size * step for b, step in zip(B, steps, strict=True)]
                new_value = self.objective(new_B, new_slopes, precisions, slope_precision)
                if new_value <= value - 1e-4 * size * decrement:
                    break
                size /= 2
            B, slopes, value = new_B, new_slopes, new_value
        warn(
            f"Newton's method did not reach the optimum in {MAX_STEPS} steps (decrement {decrement:.3g})",
            ConvergenceWarning,
        )
        return self._optimum(B, slopes, free, factor, parts, precisions, slope_precision, value)

    def _scatter(self, stacked: Sequence[np.ndarray], like: Sequence[np.ndarray]) -> list[np.ndarray]:
        """From one array for each stack (Q, C * F) to one for each question, shaped like its coefficients."""
        found = list(like)
        for stack, values in zip(self._stacks, stacked, strict=True):
            for place, q in enumerate(stack.which):
                found[q] = values[place].reshape(like[q].shape)
        return found

    def _reduce(
        self, parts: Sequence[_Local], slopes: np.ndarray, slope_precision: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The slopes' gradient and curvature with the coefficients eliminated, and which slopes may move."""
        gradient = slope_precision * slopes
        hessian = np.diag(slope_precision)
        for part in parts:
            gradient = gradient + part.slope_gradient - np.einsum("qsj,qs->j", part.elimination, part.gradient)
            hessian = hessian + part.slope_hessian - (part.cross.swapaxes(1, 2) @ part.elimination).sum(axis=0)
        free = ~(self.bounded & (slopes <= 0.0) & (gradient > 0.0))
        return gradient, free, cholesky(hessian[np.ix_(free, free)], lower=True)

    def _optimum(
        self,
        B: list[np.ndarray],
        slopes: np.ndarray,
        free: np.ndarray,
        factor: np.ndarray,
        parts: Sequence[_Local],
        precisions: Sequence[np.ndarray],
        slope_precision: np.ndarray,
        value: float,
    ) -> Optimum:
        evidence = -value + 0.5 * float(np.log(slope_precision[free]).sum()) - float(np.log(np.diag(factor)).sum())
        evidence += sum(0.5 * float(np.log(precision).sum()) for precision in precisions)
        factors, eliminations = [np.empty(0)] * len(B), [np.empty(0)] * len(B)
        for stack, part in zip(self._stacks, parts, strict=True):
            evidence -= float(np.log(np.diagonal(part.factor, axis1=1, axis2=2)).sum())
            for place, q in enumerate(stack.which):
                factors[q], eliminations[q] = part.factor[place], part.elimination[place]
        return Optimum(
            coefficients=B,
            slopes=slopes,
            free=free,
            factors=factors,
            eliminations=eliminations,
            slope_factor=factor,
            log_evidence=evidence,
        )


def _stacks(questions: Sequence[QuestionData]) -> Iterator[_Stack]:
    """Questions of equal shape together, as many as memory allows."""
    shapes: dict[tuple[int, ...], list[int]] = {}
    for q, data in enumerate(questions):
        shapes.setdefault((*data.design.shape, *data.contrasts.shape), []).append(q)
    for (n_rows, n_terms, n_contrasts, _), members in shapes.items():
        at_once = max(1, MAX_ENTRIES // (n_rows * n_terms * n_contrasts**2))
        for start in range(0, len(members), at_once):
            which = members[start : start + at_once]
            yield _Stack(
                which,
                *(
                    np.stack([getattr(questions[q], name) for q in which])
                    for name in ("design", "counts", "contrasts", "covariates")
                ),
            )


def _gather(arrays: Sequence[np.ndarray], stack: _Stack) -> np.ndarray:
    return np.stack([arrays[q] for q in stack.which])
