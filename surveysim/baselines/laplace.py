"""The Laplace approximation to the logit's posterior, under several draws of its prior variances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.special import softmax

from surveysim.baselines.newton import curvature

__all__ = ["LaplacePosterior", "PosteriorDraws", "PriorDraw"]


@dataclass(frozen=True)
class PriorDraw:
    """What a draw of the prior variances means for one question.

    Attributes
    ----------
    precision : float64 array of shape (C, F)
        One over the prior variance of each coefficient.
    unseen_variance : float64 array of shape (n_blocks, C)
        Prior variance of the terms of each block, for levels that have no term because training did not show them.
    """

    precision: np.ndarray
    unseen_variance: np.ndarray


@dataclass(frozen=True)
class LaplacePosterior:
    """One question's posterior: a mixture, over draws of the prior variances, of Gaussians.

    The likelihood is approximated by a Gaussian at the optimum. Under other prior variances the centre then moves by
    one Newton step, for which the answers are not needed: at the optimum likelihood and prior pull equally hard.

    Attributes
    ----------
    design : float64 array of shape (n, F)
        Training terms, the constant in column 0.
    respondents : float64 array of shape (n,)
        Respondents behind each row.
    contrasts : float64 array of shape (C, K)
        Option contrasts.
    coefficients, precision : float64 arrays of shape (C, F)
        The optimum and the prior precisions that it was found under.
    priors : sequence of PriorDraw
        Draws of the prior variances, equally likely.
    lack_of_fit : float64 array of shape (C,)
        Variance of what every cell's scores have beyond the terms.
    """

    design: np.ndarray
    respondents: np.ndarray
    contrasts: np.ndarray
    coefficients: np.ndarray
    precision: np.ndarray
    priors: Sequence[PriorDraw]
    lack_of_fit: np.ndarray

    def _components(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """For each draw of the variances the centre (C * F,) and the lower Cholesky factor of the precision."""
        information = curvature(
            self.design, self.respondents, self.contrasts, self.coefficients, np.zeros_like(self.precision)
        )
        B = self.coefficients.ravel()
        components = []
        for prior in self.priors:
            factor = cholesky(information + np.diag(prior.precision.ravel()), lower=True)
            pull = (prior.precision - self.precision).ravel() * B
            components.append((B - cho_solve((factor, True), pull), factor))
        return components

    def draws(self, n_draws: int, generator: np.random.Generator) -> PosteriorDraws:
        """Draw coefficients from the posterior, as many under each draw of the variances."""
        shape = self.coefficients.shape
        coefficients, variances = [], []
        parts = np.array_split(np.arange(n_draws), len(self.priors))
        for part, prior, (center, factor) in zip(parts, self.priors, self._components(), strict=True):
            noise = generator.standard_normal((center.size, len(part)))
            # H = L L', so L'^-1 z has covariance H^-1
            shifts = solve_triangular(factor, noise, lower=True, trans="T").T
            coefficients.append((center + shifts).reshape(len(part), *shape))
            variances.append(np.broadcast_to(prior.unseen_variance, (len(part), *prior.unseen_variance.shape)))
        return PosteriorDraws(np.concatenate(coefficients), self.contrasts, np.concatenate(variances), self.lack_of_fit)

    def score_covariance(self, matrix: np.ndarray, unseen: np.ndarray) -> np.ndarray:
        """Expected outer product (n, C, C) of the errors of n rows' scores, were the optimum taken for the truth.

        Parameters
        ----------
        matrix : float64 array of shape (n, F - 1)
            Terms.
        unseen : bool array of shape (n, n_blocks)
            Where a row has a level without a term.
        """
        rows = np.column_stack([np.ones(len(matrix)), matrix])
        n_contrasts, n_terms = self.coefficients.shape
        total = np.zeros((len(rows), n_contrasts, n_contrasts))
        diagonal = np.arange(n_contrasts)
        for prior, (center, factor) in zip(self.priors, self._components(), strict=True):
            inverse = cho_solve((factor, True), np.eye(center.size))
            inverse = inverse.reshape(n_contrasts, n_terms, n_contrasts, n_terms)
            total += np.einsum("nf,cfdg,ng->ncd", rows, inverse, rows, optimize=True)
            moved = rows @ (center.reshape(n_contrasts, n_terms) - self.coefficients).T
            total += moved[:, :, None] * moved[:, None, :]
            total[:, diagonal, diagonal] += unseen.astype(np.float64) @ prior.unseen_variance
        total /= len(self.priors)
        total[:, diagonal, diagonal] += self.lack_of_fit
        return total


@dataclass(frozen=True)
class PosteriorDraws:
    """Draws of one question's coefficients (n_draws, C, F) and of variances of unseen levels (n_draws, n_blocks, C)."""

    coefficients: np.ndarray
    contrasts: np.ndarray
    unseen_variance: np.ndarray
    lack_of_fit: np.ndarray

    def predict(self, matrix: np.ndarray, unseen: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Distributions (n_draws, n, K) for n rows of terms; a level without a term adds its prior's variance,
        and every cell what the terms leave out."""
        scores = self.coefficients[:, None, :, 0] + np.einsum("nf,scf->snc", matrix, self.coefficients[:, :, 1:])
        surplus = np.broadcast_to(self.lack_of_fit, scores.shape)
        if unseen.any():
            surplus = surplus + np.einsum("nb,sbc->snc", unseen.astype(np.float64), self.unseen_variance)
        if surplus.any():
            scores = scores + np.sqrt(surplus) * generator.standard_normal(scores.shape)
        return softmax(scores @ self.contrasts, axis=-1)
