"""The Laplace approximation to the logit's posterior, and draws from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.special import softmax

from surveysim.baselines.newton import curvature

__all__ = ["LaplacePosterior", "PosteriorDraws"]


@dataclass(frozen=True)
class LaplacePosterior:
    """One question's posterior: Gaussian around the optimum, with the inverse curvature there as covariance.

    Attributes
    ----------
    design : float64 array of shape (n, F)
        Training terms, the constant in column 0.
    respondents : float64 array of shape (n,)
        Respondents behind each row.
    contrasts : float64 array of shape (C, K)
        Option contrasts.
    coefficients, precision : float64 arrays of shape (C, F)
        The optimum and one over the prior variances.
    unseen_variance : float64 array of shape (n_blocks, C)
        Prior variance of the terms of each block, for levels that have no term because training did not show them.
    lack_of_fit : float64 array of shape (C,)
        Variance of what every cell's scores have beyond the terms.
    """

    design: np.ndarray
    respondents: np.ndarray
    contrasts: np.ndarray
    coefficients: np.ndarray
    precision: np.ndarray
    unseen_variance: np.ndarray
    lack_of_fit: np.ndarray

    def draws(self, n_draws: int, generator: np.random.Generator) -> PosteriorDraws:
        """Draw coefficients from the posterior."""
        H = curvature(self.design, self.respondents, self.contrasts, self.coefficients, self.precision)
        noise = generator.standard_normal((self.coefficients.size, n_draws))
        # H = L L', so L'^-1 z has covariance H^-1
        shifts = solve_triangular(cholesky(H, lower=True), noise, lower=True, trans="T").T
        return PosteriorDraws(
            self.coefficients + shifts.reshape(n_draws, *self.coefficients.shape),
            self.contrasts,
            self.unseen_variance,
            self.lack_of_fit,
        )


@dataclass(frozen=True)
class PosteriorDraws:
    """Draws of one question's coefficients, (n_draws, C, F)."""

    coefficients: np.ndarray
    contrasts: np.ndarray
    unseen_variance: np.ndarray
    lack_of_fit: np.ndarray

    def predict(self, matrix: np.ndarray, unseen: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Distributions (n_draws, n, K) for n rows of terms; a level without a term adds its prior's variance,
        and every cell what the terms leave out."""
        scores = self.coefficients[:, None, :, 0] + np.einsum("nf,scf->snc", matrix, self.coefficients[:, :, 1:])
        surplus = unseen.astype(np.float64) @ self.unseen_variance + self.lack_of_fit
        if surplus.any():
            scores = scores + np.sqrt(surplus) * generator.standard_normal(scores.shape)
        return softmax(scores @ self.contrasts, axis=-1)
