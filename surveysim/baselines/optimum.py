"""The optimum of a `JointLogit`, and the Gaussian approximation to the posterior around it (Laplace)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import cho_solve, solve_triangular
from scipy.linalg.lapack import dpotri

__all__ = ["Optimum"]


@dataclass(frozen=True)
class Optimum:
    """Where the penalised deviance is smallest, and its curvature there.

    Two kinds of parameters: a question's *own* coefficients, and the *shared* vector of the slopes followed by the
    coupled coefficients of all questions. Given the shared ones, questions are independent of each other.

    Attributes
    ----------
    coefficients : list of float64 arrays of shape (C, F)
        Per question, own and coupled ones.
    shared : float64 array of shape (J + n_coupled,)
        The slopes, then the coupled coefficients.
    n_slopes : int
        J.
    free : bool array of shape (J + n_coupled,)
        Which shared parameters are not held at their bound of 0.
    coupled : list of bool arrays of shape (C, F)
        Which coefficients of a question are in the shared vector.
    places : list of int arrays
        Per question the positions in the shared vector that concern it: all slopes, and its coupled coefficients.
    factors : list of float64 arrays of shape (n_own, n_own)
        Lower Cholesky factors of the Hessians of each question's own coefficients.
    eliminations : list of float64 arrays of shape (n_own, len(places))
        How a question's own coefficients yield when the shared parameters move.
    shared_factor : float64 array of shape (n_free, n_free)
        Lower Cholesky factor of the free shared parameters' marginal precision.
    log_evidence : float
        The Laplace approximation to the log marginal likelihood, up to a constant of the data.
    n_steps : int
        Newton steps taken.
    """

    coefficients: list[np.ndarray]
    shared: np.ndarray
    n_slopes: int
    free: np.ndarray
    coupled: list[np.ndarray]
    places: list[np.ndarray]
    factors: list[np.ndarray]
    eliminations: list[np.ndarray]
    shared_factor: np.ndarray
    log_evidence: float
    n_steps: int

    @property
    def slopes(self) -> np.ndarray:
        """The slopes that all questions share, (J,)."""
        return self.shared[: self.n_slopes]

    @cached_property
    def shared_covariance(self) -> np.ndarray:
        """Posterior covariance of the shared parameters; 0 for those at their bound."""
        covariance = np.zeros((len(self.shared), len(self.shared)))
        if self.free.any():
            # from the factor: a third of the work of solving for the identity
            lower, _ = dpotri(self.shared_factor, lower=True)
            own = np.tril(lower)
            covariance[np.ix_(self.free, self.free)] = own + np.tril(own, -1).T
        return covariance

    def slope_variances(self) -> np.ndarray:
        """Marginal posterior variance of every slope (J,); 0 for slopes at their bound."""
        return np.diag(self.shared_covariance)[: self.n_slopes].copy()

    def coefficient_variances(self, question: int) -> np.ndarray:
        """Marginal posterior variances of a question's coefficients, (C, F)."""
        coupled, places = self.coupled[question], self.places[question]
        inverse = solve_triangular(self.factors[question], np.eye(len(self.factors[question])), lower=True)
        covariance = self.shared_covariance[np.ix_(places, places)]
        elimination = self.eliminations[question]
        variances = np.empty(coupled.shape)
        variances[~coupled] = (inverse**2).sum(axis=0) + ((elimination @ covariance) * elimination).sum(axis=1)
        variances[coupled] = np.diag(covariance)[self.n_slopes :]
        return variances

    def covariance(self, question: int) -> np.ndarray:
        """Posterior covariance of a question's coefficients (raveled) and the slopes, (C * F + J, C * F + J)."""
        coupled, places = self.coupled[question].ravel(), self.places[question]
        size, n_slopes = coupled.size, self.n_slopes
        own, of_shared = np.flatnonzero(~coupled), np.r_[size + np.arange(n_slopes), np.flatnonzero(coupled)]
        factor = self.factors[question]
        # how everything moves with the shared parameters
        moves = np.zeros((size + n_slopes, len(places)))
        moves[of_shared, np.arange(len(places))] = 1.0
        moves[own] = -self.eliminations[question]
        covariance = moves @ self.shared_covariance[np.ix_(places, places)] @ moves.T
        covariance[np.ix_(own, own)] += cho_solve((factor, True), np.eye(len(factor)))
        return covariance

    def draw_shared(self, n_draws: int, generator: np.random.Generator) -> np.ndarray:
        """Draws of the shared parameters, (n_draws, J + n_coupled); those at their bound stay there."""
        noise = generator.standard_normal((int(self.free.sum()), n_draws))
        shared = np.tile(self.shared, (n_draws, 1))
        # H = L L', so L'^-1 z has covariance H^-1
        shared[:, self.free] += solve_triangular(self.shared_factor, noise, lower=True, trans="T").T
        return shared

    def draw_coefficients(
        self,
        question: int,
        shared: np.ndarray,
        generator: np.random.Generator,
        precision: np.ndarray | None = None,
        degrees: float = np.inf,
    ) -> np.ndarray:
        """Draws of a question's coefficients given draws of the shared parameters, (n_draws, C, F).

        With finite `degrees` the prior of the own coefficients has the heavier tails of Student's t with so many
        degrees of freedom, one scale for a question: of the posterior covariance ``H^-1 (I + L) H^-1``, with I what
        respondents say and L the prior's precision, only the second part grows. A question whose respondents overrule
        the prior is as certain as before.

        Parameters
        ----------
        question : int
            Its position.
        shared : float64 array of shape (n_draws, J + n_coupled)
            From `draw_shared`.
        generator : numpy Generator
        precision : float64 array of shape (C, F), optional
            The prior's; needed with finite `degrees`.
        degrees : float, default=inf
        """
        coupled, places, factor = self.coupled[question], self.places[question], self.factors[question]
        noise = factor @ generator.standard_normal((len(factor), len(shared)))
        if np.isfinite(degrees):
            assert precision is not None
            surplus = np.maximum(degrees / generator.chisquare(degrees, len(shared)) - 1.0, 0.0)
            root = np.sqrt(precision[~coupled][:, None] * surplus)
            noise += root * generator.standard_normal(noise.shape)
        shifts = cho_solve((factor, True), noise).T
        shifts -= (shared - self.shared)[:, places] @ self.eliminations[question].T
        draws = np.empty((len(shared), *coupled.shape))
        draws[:, ~coupled] = self.coefficients[question][~coupled] + shifts
        draws[:, coupled] = shared[:, places[self.n_slopes :]]
        return draws
