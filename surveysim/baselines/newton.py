"""The penalised multinomial logit: its optimum by Newton's method, and the curvature there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.linalg.lapack import dpotri
from scipy.special import log_softmax, softmax

from surveysim.errors import ConvergenceWarning, warn

__all__ = ["LogitProblem", "curvature"]

MAX_STEPS = 100
MAX_HALVINGS = 40
TOLERANCE = 1e-10
"""Newton's decrement, relative to the penalised deviance, at which the optimum is reached."""


def curvature(
    design: np.ndarray,
    respondents: np.ndarray,
    contrasts: np.ndarray,
    coefficients: np.ndarray,
    precision: np.ndarray,
) -> np.ndarray:
    """Hessian (C * F, C * F) of the penalised deviance, in the order of ``coefficients.ravel()``.

    It depends on the respondents per row, not on what they answered (see `LogitProblem` for the shapes).
    """
    P = softmax(design @ coefficients.T @ contrasts, axis=1)
    means = P @ contrasts.T
    n_contrasts, n_columns = precision.shape
    blocks = np.empty((n_contrasts, n_columns, n_contrasts, n_columns))
    for c in range(n_contrasts):
        for d in range(c, n_contrasts):
            covariance = P @ (contrasts[c] * contrasts[d]) - means[:, c] * means[:, d]
            block = design.T @ ((respondents * covariance)[:, None] * design)
            blocks[c, :, d, :] = block
            blocks[d, :, c, :] = block
    H = blocks.reshape(precision.size, precision.size)
    H[np.diag_indices_from(H)] += precision.ravel()
    return H


@dataclass(frozen=True)
class LogitProblem:
    """One question's data.

    Logits are ``Z @ B.T @ T``: the design with a leading constant Z (n, F), coefficients B (C, F) on the option
    contrasts T (C, K). With Gaussian priors of precision 1 / variance on every coefficient, the penalised deviance is
    ``- sum(counts * log_softmax(logits)) + sum(precision * B**2) / 2``: strictly convex, so the optimum is unique.

    Parameters
    ----------
    design : float64 array of shape (n, F)
        Z, the constant in column 0.
    counts : float64 array of shape (n, K)
        Respondents per option.
    contrasts : float64 array of shape (C, K)
        T, orthonormal rows.
    """

    design: np.ndarray
    counts: np.ndarray
    contrasts: np.ndarray

    @property
    def respondents(self) -> np.ndarray:
        """Respondents per row, (n,)."""
        return self.counts.sum(axis=1)

    def logits(self, coefficients: np.ndarray) -> np.ndarray:
        """Centred option logits (n, K)."""
        return self.design @ coefficients.T @ self.contrasts

    def objective(self, coefficients: np.ndarray, precision: np.ndarray) -> float:
        """The penalised deviance."""
        deviance = -np.sum(self.counts * log_softmax(self.logits(coefficients), axis=1))
        return float(deviance + 0.5 * np.sum(precision * coefficients**2))

    def gradient(self, coefficients: np.ndarray, precision: np.ndarray) -> np.ndarray:
        """Gradient of the objective, shaped (C, F)."""
        P = softmax(self.logits(coefficients), axis=1)
        residuals = self.respondents[:, None] * P - self.counts
        return (residuals @ self.contrasts.T).T @ self.design + precision * coefficients

    def hessian(self, coefficients: np.ndarray, precision: np.ndarray) -> np.ndarray:
        """Hessian of the objective (C * F, C * F), in the order of ``coefficients.ravel()``."""
        return curvature(self.design, self.respondents, self.contrasts, coefficients, precision)

    def solve(self, precision: np.ndarray, start: np.ndarray | None = None) -> tuple[np.ndarray, int]:
        """Minimise the penalised deviance.

        Parameters
        ----------
        precision : float64 array of shape (C, F)
            One over the prior variance of each coefficient.
        start : float64 array of shape (C, F), optional
            Where to begin; default 0.

        Returns
        -------
        coefficients : float64 array of shape (C, F)
        n_steps : int
            Newton steps taken.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            If the optimum is not reached within 100 steps.
        """
        B = np.zeros(precision.shape) if start is None else start.copy()
        value = self.objective(B, precision)
        for step in range(MAX_STEPS):
            gradient = self.gradient(B, precision)
            direction = cho_solve(cho_factor(self.hessian(B, precision), lower=True), gradient.ravel())
            direction = direction.reshape(B.shape)
            decrement = float(np.sum(gradient * direction))
            if decrement <= TOLERANCE * (1.0 + abs(value)):
                return B - direction, step + 1
            size = 1.0
            for _ in range(MAX_HALVINGS):
                candidate = B - size * direction
                candidate_value = self.objective(candidate, precision)
                if candidate_value <= value - 1e-4 * size * decrement:
                    break
                size /= 2
            B, value = candidate, candidate_value
        warn(
            f"Newton's method did not reach the optimum in {MAX_STEPS} steps (decrement {decrement:.3g})",
            ConvergenceWarning,
        )
        return B, MAX_STEPS

    def posterior_variances(self, coefficients: np.ndarray, precision: np.ndarray) -> np.ndarray:
        """Diagonal of the inverse Hessian, shaped (C, F): the Laplace approximation's variances."""
        factor, _ = cho_factor(self.hessian(coefficients, precision), lower=True)
        inverse, _ = dpotri(factor, lower=1)
        return np.diag(inverse).reshape(precision.shape)
