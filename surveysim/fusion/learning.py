"""Fit a fusion: the joint optimum, and the variances of levels and terms by empirical Bayes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from surveysim.baselines.priors import (
    HIGHEST_CLASS,
    INTERCEPT_VARIANCE,
    PSEUDO_COEFFICIENTS,
    START_DEGREES,
    PriorTable,
)
from surveysim.fusion.joint import JointLogit, Optimum

__all__ = ["FusionFit", "coefficient_precision", "draw_variances", "fit_fusion", "score_covariances"]

LEVEL_VARIANCES = (0.7, 0.7, 0.3, 0.2)
"""Where the variances of the levels start: how far a question's level is from what is expected of it, for contrasts of
degree 0 (no order), 1, 2, 3 and more. Without a model, recorded questions of Pew (by region, education and income)
have about .9 / .3 / .1. Starts of .5, 1 and 2 for all degrees had divergences of .0137 / .0152 / .0169 there with one
question at a time, and of .0111 / .0112 / .0114 with all: this one is on the cautious side."""

MAX_ROUNDS = 50
LOG_TOLERANCE = 0.02
"""Learning stops when no variance changes by more than 2% in a round."""


@dataclass(frozen=True)
class FusionFit:
    """A fitted fusion.

    Attributes
    ----------
    optimum : Optimum
        Coefficients and slopes.
    table : PriorTable
        Prior variances of the terms, as given or learned.
    level_variances : float64 array of shape (4,)
        Learned variances of the levels by class of degree.
    precisions : list of float64 arrays of shape (C, F)
        One over the prior variance of each question's coefficients.
    determined, level_determined : float64 arrays of shapes (n_blocks, 4) and (4,)
        How many coefficients behind each variance the data determine, the start's four included; infinite where the
        variance was given.
    n_rounds : int
        Rounds of learning.
    """

    optimum: Optimum
    table: PriorTable
    level_variances: np.ndarray
    precisions: list[np.ndarray]
    determined: np.ndarray
    level_determined: np.ndarray
    n_rounds: int


def coefficient_precision(
    table: PriorTable, level_variances: np.ndarray, degree: np.ndarray, *, has_level: bool
) -> np.ndarray:
    """One over the prior variances (C, F) of a question's coefficients; a free intercept if nothing is known of it."""
    precision = table.precision(degree)
    own = level_variances[np.minimum(degree, HIGHEST_CLASS)]
    precision[:, 0] = 1.0 / own if has_level else 1.0 / INTERCEPT_VARIANCE
    return precision


def fit_fusion(
    problem: JointLogit,
    slope_precision: np.ndarray,
    degrees: Sequence[np.ndarray],
    has_level: Sequence[bool],
    start: PriorTable,
    *,
    learn_terms: bool,
) -> FusionFit:
    """The joint optimum under variances that maximise the Laplace approximation to the marginal likelihood.

    The levels' variances are always learned, those of the terms if `learn_terms`; both by MacKay's fixed point, as in
    `surveysim.baselines.priors.learn_variances`, with four coefficients' worth of the start.
    """
    table, levels = start, np.array(LEVEL_VARIANCES)
    first = levels.copy()
    optimum: Optimum | None = None
    known_terms = np.full(table.variances.shape, np.inf)
    known_levels = np.full(len(levels), PSEUDO_COEFFICIENTS)
    n_rounds, change = 0, np.inf
    while True:
        precisions = [
            coefficient_precision(table, levels, degree, has_level=known)
            for degree, known in zip(degrees, has_level, strict=True)
        ]
        optimum = problem.solve(precisions, slope_precision, optimum)
        if change <= LOG_TOLERANCE or n_rounds == MAX_ROUNDS:
            return FusionFit(optimum, table, levels, precisions, known_terms, known_levels, n_rounds)
        n_rounds += 1
        squares, determined = np.zeros_like(table.variances), np.zeros_like(table.variances)
        level_squares, level_determined = np.zeros(len(levels)), np.zeros(len(levels))
        for q, degree in enumerate(degrees):
            B = optimum.coefficients[q]
            informed = 1.0 - optimum.coefficient_variances(q) * precisions[q]
            squares += table.add_up(B**2, degree)
            determined += table.add_up(informed, degree)
            if has_level[q]:
                np.add.at(level_squares, np.minimum(degree, HIGHEST_CLASS), B[:, 0] ** 2)
                np.add.at(level_determined, np.minimum(degree, HIGHEST_CLASS), informed[:, 0])
        known_levels = level_determined + PSEUDO_COEFFICIENTS
        new_levels = (level_squares + PSEUDO_COEFFICIENTS * first) / known_levels
        change = float(np.abs(np.log(new_levels / levels)).max())
        levels = new_levels
        if learn_terms:
            known_terms = determined + PSEUDO_COEFFICIENTS
            updated = (squares + PSEUDO_COEFFICIENTS * start.variances) / known_terms
            change = max(change, float(np.abs(np.log(updated / table.variances)).max(initial=0.0)))
            table = PriorTable(table.blocks, updated)


def draw_variances(fit: FusionFit, generator: np.random.Generator) -> tuple[PriorTable, np.ndarray]:
    """Variances of terms and of levels from their approximate posterior, a scaled inverse chi-squared.

    See `PriorTable.drawn`; the start counts for `START_DEGREES` coefficients.
    """
    surplus = PSEUDO_COEFFICIENTS - START_DEGREES
    table = fit.table.drawn(fit.determined - surplus, generator)
    degrees = fit.level_determined - surplus
    return table, fit.level_variances * degrees / generator.chisquare(degrees)


def score_covariances(problem: JointLogit, optimum: Optimum, question: int) -> np.ndarray:
    """Posterior covariance of the scores on the contrasts in each training row, (n, C, C)."""
    data = problem.questions[question]
    factor = optimum.factors[question]
    n_contrasts, n_terms = optimum.coefficients[question].shape
    inverse = np.linalg.inv(factor)
    H_inverse = (inverse.T @ inverse).reshape(n_contrasts, n_terms, n_contrasts, n_terms)
    covariance = np.einsum("nf,cfdg,ng->ncd", data.design, H_inverse, data.design, optimize=True)
    elimination = optimum.eliminations[question].reshape(n_contrasts, n_terms, -1)
    moved = data.covariates.transpose(0, 2, 1) - np.einsum("nf,cfj->ncj", data.design, elimination)
    if optimum.free.any():
        root = np.linalg.solve(optimum.slope_factor, moved[:, :, optimum.free].transpose(0, 2, 1))
        covariance = covariance + np.einsum("njc,njd->ncd", root, root)
    return covariance
