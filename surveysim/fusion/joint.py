"""Penalised logits of several questions that share slopes: the joint optimum and the curvature there."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.special import log_softmax, softmax
from sklearn.exceptions import ConvergenceWarning

__all__ = ["JointLogit", "Optimum", "QuestionData"]

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
class _Local:
    """One question's part of the Newton system at a point."""

    factor: np.ndarray
    """Lower Cholesky factor of the Hessian of its own coefficients (C * F, C * F)."""
    cross: np.ndarray
    """Second derivatives by coefficients and slopes (C * F, J)."""
    elimination: np.ndarray
    """Hessian^-1 cross: how its coefficients yield when the slopes move (C * F, J)."""
    gradient: np.ndarray
    """By its own coefficients (C * F,)."""
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
        inverse = solve_triangular(factor, np.eye(len(factor)), lower=True)
        moved = solve_triangular(self.slope_factor, self.eliminations[question][:, self.free].T, lower=True)
        variances = (inverse**2).sum(axis=0) + (moved**2).sum(axis=0)
        return variances.reshape(self.coefficients[question].shape)

    def draw_slopes(self, n_draws: int, generator: np.random.Generator) -> np.ndarray:
        """Draws of the slopes, (n_draws, J); those at their bound stay there."""
        noise = generator.standard_normal((int(self.free.sum()), n_draws))
        slopes = np.tile(self.slopes, (n_draws, 1))
        slopes[:, self.free] += solve_triangular(self.slope_factor, noise, lower=True, trans="T").T
        return slopes

    def draw_coefficients(self, question: int, slopes: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Draws of a question's coefficients given draws of the slopes, (n_draws, C, F)."""
        center = self.coefficients[question]
        noise = generator.standard_normal((center.size, len(slopes)))
        shifts = solve_triangular(self.factors[question], noise, lower=True, trans="T").T
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

    def objective(
        self,
        coefficients: Sequence[np.ndarray],
        slopes: np.ndarray,
        precisions: Sequence[np.ndarray],
        slope_precision: np.ndarray,
    ) -> float:
        """The penalised deviance."""
        value = 0.5 * float(np.sum(slope_precision * slopes**2))
        for data, B, precision in zip(self.questions, coefficients, precisions, strict=True):
            value -= float(np.sum(data.counts * log_softmax(data.logits(B, slopes), axis=1)))
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
        parts = [
            _local(data, B, slopes, precision)
            for data, B, precision in zip(self.questions, coefficients, precisions, strict=True)
        ]
        own = [part.gradient.reshape(B.shape) for part, B in zip(parts, coefficients, strict=True)]
        shared = slope_precision * slopes + sum(part.slope_gradient for part in parts)
        return own, shared

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
            parts = [
                _local(data, b, slopes, precision)
                for data, b, precision in zip(self.questions, B, precisions, strict=True)
            ]
            reduced, free, factor = self._reduce(parts, slopes, slope_precision)
            slope_step = np.zeros(len(slopes))
            slope_step[free] = _solve(factor, reduced[free])
            steps = [_solve(part.factor, part.gradient) - part.elimination @ slope_step for part in parts]
            decrement = float(reduced[free] @ slope_step[free])
            decrement += sum(float(part.gradient @ _solve(part.factor, part.gradient)) for part in parts)
            if decrement <= TOLERANCE * (1.0 + abs(value)):
                B = [b - step.reshape(b.shape) for b, step in zip(B, steps, strict=True)]
                slopes = np.where(self.bounded, np.maximum(slopes - slope_step, 0.0), slopes - slope_step)
                return self._optimum(B, slopes, free, factor, parts, precisions, slope_precision, value)
            size = 1.0
            for _ in range(MAX_HALVINGS):
                new_slopes = slopes - size * slope_step
                new_slopes[self.bounded] = np.maximum(new_slopes[self.bounded], 0.0)
                new_B = [b - size * step.reshape(b.shape) for b, step in zip(B, steps, strict=True)]
                new_value = self.objective(new_B, new_slopes, precisions, slope_precision)
                if new_value <= value - 1e-4 * size * decrement:
                    break
                size /= 2
            B, slopes, value = new_B, new_slopes, new_value
        warnings.warn(
            f"Newton's method did not reach the optimum in {MAX_STEPS} steps (decrement {decrement:.3g})",
            ConvergenceWarning,
            stacklevel=2,
        )
        return self._optimum(B, slopes, free, factor, parts, precisions, slope_precision, value)

    def _reduce(
        self, parts: Sequence[_Local], slopes: np.ndarray, slope_precision: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The slopes' gradient and curvature with the coefficients eliminated, and which slopes may move."""
        gradient = slope_precision * slopes
        hessian = np.diag(slope_precision)
        for part in parts:
            gradient = gradient + part.slope_gradient - part.elimination.T @ part.gradient
            hessian = hessian + part.slope_hessian - part.cross.T @ part.elimination
        free = ~(self.bounded & (slopes <= 0.0) & (gradient > 0.0))
        return gradient, free, cholesky(hessian[np.ix_(free, free)], lower=True)

    @staticmethod
    def _optimum(
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
        for part, precision in zip(parts, precisions, strict=True):
            evidence += 0.5 * float(np.log(precision).sum()) - float(np.log(np.diag(part.factor)).sum())
        return Optimum(
            coefficients=B,
            slopes=slopes,
            free=free,
            factors=[part.factor for part in parts],
            eliminations=[part.elimination for part in parts],
            slope_factor=factor,
            log_evidence=evidence,
        )


def _local(data: QuestionData, B: np.ndarray, slopes: np.ndarray, precision: np.ndarray) -> _Local:
    # plain products of reshaped arrays: a fit calls this thousands of times, and einsum is slow on small arrays
    P = softmax(data.logits(B, slopes), axis=1)
    T, Z, M = data.contrasts, data.design, data.covariates
    n = data.respondents
    (n_rows, n_slopes, n_contrasts), n_terms = M.shape, Z.shape[1]
    residual = (n[:, None] * P - data.counts) @ T.T
    means = P @ T.T
    V = n[:, None, None] * ((P[:, None, :] * T) @ T.T - means[:, :, None] * means[:, None, :])
    ZV = V[:, :, None, :] * Z[:, None, :, None]  # (n, C, F, C)
    H = (ZV.reshape(n_rows, -1).T @ Z).reshape(n_contrasts, n_terms, n_contrasts, n_terms)
    H = H.reshape(precision.size, precision.size)
    H[np.diag_indices_from(H)] += precision.ravel()
    flat_M = M.transpose(0, 2, 1).reshape(n_rows * n_contrasts, n_slopes)
    flat_ZV = ZV.reshape(n_rows, precision.size, n_contrasts).transpose(1, 0, 2).reshape(precision.size, -1)
    flat_VM = (M @ V).transpose(0, 2, 1).reshape(n_rows * n_contrasts, n_slopes)
    cross = flat_ZV @ flat_M
    factor = np.linalg.cholesky(H)
    return _Local(
        factor=factor,
        cross=cross,
        elimination=_solve(factor, cross),
        gradient=(residual.T @ Z + precision * B).ravel(),
        slope_gradient=flat_M.T @ residual.ravel(),
        slope_hessian=flat_VM.T @ flat_M,
    )


def _solve(factor: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve L L' x = right."""
    return cho_solve((factor, True), right, check_finite=False)
