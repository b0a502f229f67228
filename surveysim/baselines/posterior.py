"""Draws from the posterior of a family of logits, under several draws of its prior variances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from surveysim.baselines.features import Design
from surveysim.baselines.lack_of_fit import LackOfFit
from surveysim.baselines.learning import Hyperparameters, JointFit, LogitFamily
from surveysim.baselines.optimum import Optimum
from surveysim.baselines.priors import HIGHEST_CLASS

__all__ = ["PosteriorState", "draw_distributions", "draw_states", "log_odds_variances"]

ROWS_AT_ONCE = 256
"""Rows whose posterior draws are held in memory together."""

VARIANCE_DRAWS = 10
"""Draws of the prior variances that up to 1,000 posterior draws are spread over: each takes a factorisation of its own.
More posterior draws have one for each 100, so that ends of intervals settle as draws grow."""


@dataclass(frozen=True)
class PosteriorState:
    """One draw of the variances with what follows from it.

    The likelihood is approximated by a Gaussian at the optimum (Laplace). Under other prior variances the centre moves
    by one Newton step.

    Attributes
    ----------
    found : Hyperparameters
        The drawn variances.
    optimum : Optimum
        The centre under them, and the curvature.
    shared : float64 array of shape (n_draws, J + n_coupled)
        Draws of the shared parameters.
    cell_variances : float64 array of shape (4,)
        Variance by class of degree of what every cell's scores have beyond the terms.
    """

    found: Hyperparameters
    optimum: Optimum
    shared: np.ndarray
    cell_variances: np.ndarray

    @property
    def slopes(self) -> np.ndarray:
        """Draws of the slopes, (n_draws, J)."""
        return self.shared[:, : self.optimum.n_slopes]

    def surplus(self, unseen: np.ndarray, degree: np.ndarray) -> np.ndarray:
        """Variance (n, C) of n rows' scores beyond the terms: of levels without a term, and of the cell itself."""
        levels = unseen.astype(np.float64) @ self.found.table.of_degrees(degree)
        return levels + self.cell_variances[np.minimum(degree, HIGHEST_CLASS)]


def draw_states(
    family: LogitFamily,
    fit: JointFit,
    lack_of_fit: LackOfFit,
    n_draws: int,
    generator: np.random.Generator,
    *,
    centers: bool = False,
) -> list[PosteriorState]:
    """Draws of the variances, the centre under each, and draws of the shared parameters around it.

    Parameters
    ----------
    family : LogitFamily
        What was fitted.
    fit : JointFit
        With this result.
    lack_of_fit : LackOfFit
        Of the same fit.
    n_draws : int
        Draws in all states together.
    generator : numpy Generator
    centers : bool, default=False
        Make `VARIANCE_DRAWS` states, without draws of shared parameters, that stand for the expectation: each has the
        expected variance of cells.
    """
    if centers:
        drawn = [family.draw(fit, generator) for _ in range(VARIANCE_DRAWS)]
        optima = [family.problem.step(family.prior(found), fit.optimum) for found in drawn]
        return [
            PosteriorState(found, optimum, optimum.shared[None], lack_of_fit.mean())
            for found, optimum in zip(drawn, optima, strict=True)
        ]
    n_states = min(max(VARIANCE_DRAWS, n_draws // 100), n_draws)
    states = []
    cell_variances = lack_of_fit.draws(n_states, generator)
    for part, own in zip(np.array_split(np.arange(n_draws), n_states), cell_variances, strict=True):
        found = family.draw(fit, generator)
        optimum = family.problem.step(family.prior(found), fit.optimum)
        shared = optimum.draw_shared(len(part), generator)
        bounded = family.problem.bounded
        shared[:, bounded] = np.maximum(shared[:, bounded], 0.0)
        states.append(PosteriorState(found, optimum, shared, own))
    return states


def draw_distributions(
    states: Sequence[PosteriorState],
    coefficients: Sequence[np.ndarray],
    design: Design,
    contrasts: np.ndarray,
    degree: np.ndarray,
    generator: np.random.Generator,
    covariates: np.ndarray | None = None,
) -> np.ndarray:
    """Distributions (n_draws, n, K) of rows of one question.

    Parameters
    ----------
    states : sequence of PosteriorState
        From `draw_states`.
    coefficients : sequence of float64 arrays of shape (n_draws, C, F)
        The question's draws in each state.
    design : Design
        Terms of n rows.
    contrasts : float64 array of shape (C, K)
        Of the question's options.
    degree : int array of shape (C,)
        Their degrees.
    generator : numpy Generator
        For what a level that training did not show adds, and what every cell has of its own.
    covariates : float64 array of shape (n, J, C), optional
        What the shared slopes multiply.
    """
    matrix = design.with_constant
    scores = []
    for state, B in zip(states, coefficients, strict=True):
        own = np.einsum("nf,scf->snc", matrix, B)
        if covariates is not None:
            own += np.einsum("njc,sj->snc", covariates, state.slopes, optimize=True)
        surplus = state.surplus(design.unseen, degree)
        if surplus.any():
            own += np.sqrt(surplus) * generator.standard_normal(own.shape)
        scores.append(own)
    return softmax(np.concatenate(scores) @ contrasts, axis=-1)


def log_odds_variances(
    states: Sequence[PosteriorState],
    question: int,
    coefficients: np.ndarray,
    design: Design,
    P: np.ndarray,
    contrasts: np.ndarray,
    degree: np.ndarray,
) -> np.ndarray:
    """Expected square (n, K) of the errors of shares' log-odds, were these coefficients taken for the truth.

    Parameters
    ----------
    states : sequence of PosteriorState
        Equally likely.
    question : int
        Its place in the fit.
    coefficients : float64 array of shape (C, F)
        The question's, as predictions take them.
    design : Design
        Terms of n rows.
    P : float64 array of shape (n, K)
        What is predicted for them.
    contrasts, degree : arrays of shapes (C, K) and (C,)
        Of the question's options.
    """
    rows = design.with_constant
    n_contrasts, n_terms = coefficients.shape
    diagonal = np.arange(n_contrasts)
    total = np.zeros((len(rows), n_contrasts, n_contrasts))
    for state in states:
        covariance = state.optimum.covariance(question)[: coefficients.size, : coefficients.size]
        covariance = covariance.reshape(n_contrasts, n_terms, n_contrasts, n_terms)
        total += np.einsum("nf,cfdg,ng->ncd", rows, covariance, rows, optimize=True)
        moved = rows @ (state.optimum.coefficients[question] - coefficients).T
        total += moved[:, :, None] * moved[:, None, :]
        total[:, diagonal, diagonal] += state.surplus(design.unseen, degree)
    # d log(p_k / (1 - p_k)) / d score_c = (T_ck - sum_j p_j T_cj) / (1 - p_k)
    slope = (contrasts.T[None] - (P @ contrasts.T)[:, None, :]) / np.maximum(1.0 - P, 1e-9)[:, :, None]
    return np.einsum("nkc,ncd,nkd->nk", slope, total / len(states), slope, optimize=True)
