"""How far cells are from the sum of their attributes' effects: learned from residuals, for the width of intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logsumexp

from surveysim.baselines.features import Block
from surveysim.baselines.joint import QuestionData
from surveysim.baselines.optimum import Optimum
from surveysim.baselines.priors import HIGHEST_CLASS

__all__ = ["LackOfFit", "score_covariances"]

DEGREE_RATIOS = np.array([1.0, 1.0, 0.2, 0.05])
"""Variances of a cell's own scores by class of degree, relative to degree 1: those of the terms (.1, .02, .005)."""

NO_DEVIATION = 0.5
"""Prior probability that cells are sums of their attributes' effects. Where they are, a deviation that cannot be 0
keeps intervals too wide however many the respondents."""

SCALE = 0.25
"""Scale of the prior of the deviation that all degrees share, if there is one; it is that of cells' scores on contrasts
of degree 1, on the others times the root of their ratio. It does not grow with the number of attributes: the more there
are, the less each pair of them matters."""

SPREAD = 0.5
"""Standard deviation of the logarithm of a degree's own deviation around the shared one. Respondents tell of degree 1
first; without what the degrees share, those of 2 and more would stay at their prior, too wide where cells are sums of
effects and too narrow where they are not. These numbers were chosen on two dozen surveys of each kind of
``benchmarks.coverage`` from seed 1000 on; its figures are of seeds 0 to 199."""

TAIL = 4.0
"""Degrees of freedom of that prior, half of Student's t: strong interactions are rare, not impossible."""

DETERMINED = 1e-3
"""Share of a residual's variance below which the fit has taken it away."""

LEAST_SLOPE = 0.25
"""How flat shares are taken to be in scores at least: a few answers tell little of it."""

ROUNDS = 3
"""How often classes' deviations are learned, each given the others' expected ones of the round before."""

GRID = np.concatenate([[0.0], np.geomspace(1e-3, 1.5, 60)])
"""Deviations whose posterior probabilities are computed."""


@dataclass(frozen=True)
class LackOfFit:
    """The posterior of the variance of what a cell's scores have beyond the model's terms.

    A sum of effects leaves out how attributes interact. Predictions do without it (its mean is 0), intervals may not.
    With residuals g of a cell's scores at the optimum (contrast times observed less expected respondents), I their
    information, ``L = I - I S I`` their covariance were the model right (S is the posterior covariance of the scores)
    and N respondents, deviations of variances w_d add ``sum_d L_cd I_cd w_d (N - 1) / N`` to the variance of g_c:
    contrasts are correlated, so that a deviation of one degree is in the residuals of all, and single respondents tell
    nothing of what is special about their cell. The likelihood of w is that of normal residuals, over all cells and
    questions, for each class of degree given the others. The prior of the deviation that classes share has a point mass
    at 0, and is half of Student's t beyond (Gelman 2006); a class has its own around it, log-normal.

    Attributes
    ----------
    probabilities : float64 array of shape (4, len(GRID))
        For each class of degree of the deviations in `GRID`, times the root of its ratio: its marginal posterior. The
        first is the probability that there are none, the same for all classes: 1 where nothing is left out.

    References
    ----------
    A. Gelman (2006), Prior distributions for variance parameters in hierarchical models, Bayesian Analysis 1(3),
    515-534.
    """

    probabilities: np.ndarray

    @classmethod
    def none(cls) -> LackOfFit:
        """For models whose terms leave nothing out."""
        return cls(np.tile(np.eye(len(GRID))[0], (len(DEGREE_RATIOS), 1)))

    @classmethod
    def learn(
        cls, blocks: Sequence[Block], questions: Sequence[QuestionData], degrees: Sequence[np.ndarray], optimum: Optimum
    ) -> LackOfFit:
        """From the residuals at the optimum; nothing where a model has two-way terms, or fewer than two attributes.

        Parameters
        ----------
        blocks : sequence of Block
            The model's terms.
        questions : sequence of QuestionData
            Training cells.
        degrees : sequence of int arrays of shape (C,)
            Degrees of each question's contrasts.
        optimum : Optimum
            Of the same questions.
        """
        kinds = [block.kind for block in blocks]
        if "pair" in kinds or kinds.count("levels") < 2:
            return cls.none()
        residuals = [
            _Residuals.of(data, degree, optimum, q)
            for q, (data, degree) in enumerate(zip(questions, degrees, strict=True))
            if data.counts.any()
        ]
        found = cls.none()
        for _ in range(ROUNDS):
            log_likelihood = np.zeros((len(DEGREE_RATIOS), len(GRID)))
            for one in residuals:
                one.add_likelihood(log_likelihood, found.mean())
            found = cls(_pooled(log_likelihood))
        return found

    def mean(self) -> np.ndarray:
        """Expected variances (4,) by class of degree."""
        return self.probabilities @ GRID**2 * DEGREE_RATIOS

    def draws(self, n_draws: int, generator: np.random.Generator) -> np.ndarray:
        """Draws of the variances (n_draws, 4): each class's from its own posterior, all 0 or none.

        They are stratified, so that a few stand for the posterior.
        """
        none, positive = self.probabilities[0, 0], self.probabilities[:, 1:]
        deviations = np.zeros((n_draws, len(positive)))
        if none < 1.0:
            for own, column in zip(positive.cumsum(axis=1), deviations.T, strict=True):
                column[:] = GRID[1 + np.searchsorted(own[:-1] / own[-1], _stratified(n_draws, generator))]
            deviations[_stratified(n_draws, generator) < none] = 0.0
        return deviations**2 * DEGREE_RATIOS


def _stratified(n_draws: int, generator: np.random.Generator) -> np.ndarray:
    """Uniform numbers, one in each n-th of the unit interval, in random order."""
    return (generator.permutation(n_draws) + generator.random(n_draws)) / n_draws


def _pooled(log_likelihood: np.ndarray) -> np.ndarray:
    """Posterior (4, len(GRID)) of each class's deviation, where classes have their own around a shared one."""
    positive = GRID[1:]
    around = _normalised(-0.5 * (np.subtract.outer(np.log(positive), np.log(positive)) / SPREAD) ** 2)
    log_likelihood = log_likelihood - log_likelihood.max(axis=1, keepdims=True)
    likelihood = np.exp(log_likelihood[:, 1:])
    given_shared = np.maximum(likelihood @ around.T, 1e-300)  # of each class, for every shared deviation
    log_shared = np.log(given_shared).sum(axis=0) + _prior_of_shared()
    log_odds = np.log(NO_DEVIATION / (1 - NO_DEVIATION)) + log_likelihood[:, 0].sum() - logsumexp(log_shared)
    none = expit(log_odds)
    own = likelihood * ((_normalised(log_shared) / given_shared) @ around)
    own *= (1.0 - none) / own.sum(axis=1, keepdims=True)
    return np.column_stack([np.full(len(own), none), own])


def _prior_of_shared() -> np.ndarray:
    """Log probabilities (len(GRID) - 1,) of the positive shared deviations, given that there is one."""
    positive = GRID[1:]
    log_weights = -(TAIL + 1) / 2 * np.log1p((positive / SCALE) ** 2 / TAIL) + np.log(np.gradient(positive))
    return log_weights - logsumexp(log_weights)


def _normalised(log_weights: np.ndarray) -> np.ndarray:
    """Probabilities along the last axis."""
    weights = np.exp(log_weights - log_weights.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


@dataclass(frozen=True)
class _Residuals:
    """Residuals of one question's cells on its contrasts.

    Attributes
    ----------
    classes : int array of shape (C,)
        Of the contrasts' degrees.
    squares : float64 array of shape (n, C)
        Their squares.
    variances : float64 array of shape (n, C)
        What these are expected to be if the model is right; 0 where the fit follows the cell whatever it says.
    raised : float64 array of shape (n, C, C)
        By how much a deviation of variance 1 on the last axis' contrast raises them.
    """

    classes: np.ndarray
    squares: np.ndarray
    variances: np.ndarray
    raised: np.ndarray

    @classmethod
    def of(cls, data: QuestionData, degree: np.ndarray, optimum: Optimum, question: int) -> _Residuals:
        P = data.probabilities(optimum.coefficients[question], optimum.slopes)
        n = data.respondents[:, None]
        squares = ((data.counts - n * P) @ data.contrasts.T) ** 2
        means = P @ data.contrasts.T
        information = np.einsum("ck,nk,dk->ncd", data.contrasts, P, data.contrasts, optimize=True)
        information = n[:, :, None] * (information - np.einsum("nc,nd->ncd", means, means))
        # contrasts are correlated, so that what the fit takes away is a product of matrices
        left = information - information @ score_covariances(data, optimum, question) @ information
        whole, variances = (np.einsum("ncc->nc", one) for one in (information, left))
        # neighbours' deviations are in the fit: (1 - h) w of a deviation is in the residual, not (1 - h)^2 w
        raised = np.maximum(left * information, 0.0) * np.maximum(1.0 - 1.0 / n, 0.0)[:, :, None]
        slopes = _slopes_within(data, whole / n)
        raised *= slopes[:, None] * slopes
        told = np.where(variances > DETERMINED * whole, variances, 0.0)
        return cls(np.minimum(degree, HIGHEST_CLASS), squares, told, raised)

    def add_likelihood(self, total: np.ndarray, others: np.ndarray) -> None:
        """Add the log likelihood (4, len(GRID)) of each class's deviations, given the variances (4,) of the others."""
        own = np.equal.outer(self.classes, self.classes)
        expected = self.variances + (self.raised * np.where(own, 0.0, others[self.classes])).sum(axis=2)
        tells = self.variances > 0
        expected = np.where(tells, expected, 1.0)
        square = np.where(tells, self.squares / expected, 0.0)
        known = np.where(tells, (self.raised * own).sum(axis=2) / expected, 0.0)
        surplus = np.multiply.outer(GRID**2, known * DEGREE_RATIOS[self.classes])
        np.add.at(total, self.classes, (-0.5 * (np.log1p(surplus) + square / (1.0 + surplus)).sum(axis=1)).T)


def _slopes_within(data: QuestionData, expected: np.ndarray) -> np.ndarray:
    """How much flatter shares are in cells' scores than at the fit (C,), at most 1.

    Where cells deviate, the fit is a mean of steep and flat places. The slope of shares in scores is the variance of
    answers within cells; that is seen as it is, and `expected` (n, C) at the fit.
    """
    n = data.respondents
    rows = n > 1.0
    if not rows.any():
        return np.ones(expected.shape[1])
    Y = data.counts[rows] / n[rows, None]
    seen = Y @ data.contrasts.T**2 - (Y @ data.contrasts.T) ** 2
    # a sample's own variance is too small by (n - 1) / n
    found = n[rows] @ seen / np.maximum((n[rows] - 1.0) @ expected[rows], 1e-12)
    return np.clip(found, LEAST_SLOPE, 1.0)


def score_covariances(data: QuestionData, optimum: Optimum, question: int) -> np.ndarray:
    """Posterior covariance of a question's scores on its contrasts in each training row, (n, C, C)."""
    n_contrasts, n_terms = optimum.coefficients[question].shape
    covariance, size = optimum.covariance(question), n_contrasts * n_terms
    own = covariance[:size, :size].reshape(n_contrasts, n_terms, n_contrasts, n_terms)
    found = np.einsum("ncdf,nf->ncd", np.tensordot(data.design, own, (1, 1)), data.design)
    if len(covariance) > size:
        shared = covariance[:size, size:].reshape(n_contrasts, n_terms, -1)
        cross = np.tensordot(data.design, shared, (1, 1)) @ data.covariates
        found += cross + cross.swapaxes(1, 2)
        found += data.covariates.swapaxes(1, 2) @ covariance[size:, size:] @ data.covariates
    return found
