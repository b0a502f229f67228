"""Weighted shares of a question's options within domains, and their linearised (Taylor) variances."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from surveysim.tables.design import SampleDesign

__all__ = ["DomainAnswers", "linearised_deviations", "linearised_variances"]


@dataclass(frozen=True)
class DomainAnswers:
    """One question's answers by domain: a group of respondents whose size is itself random.

    Attributes
    ----------
    option : int array of shape (n_respondents,)
        0..K-1, larger for missing answers.
    domain : int array of shape (n_respondents,)
        0..G-1, -1 for respondents of no domain: they stay in the design.
    weight : float array of shape (n_respondents,)
    n_domains, n_options : int
        G and K.
    """

    option: np.ndarray
    domain: np.ndarray
    weight: np.ndarray
    n_domains: int
    n_options: int

    @cached_property
    def counted(self) -> np.ndarray:
        """Boolean (n_respondents,): answered, and in a domain."""
        return (self.option < self.n_options) & (self.domain >= 0)

    @cached_property
    def respondents(self) -> np.ndarray:
        """Int array (G,): how many answered."""
        return np.bincount(self.domain[self.counted], minlength=self.n_domains)

    @cached_property
    def weight_sums(self) -> np.ndarray:
        """Float array (G,)."""
        return np.bincount(self.domain[self.counted], weights=self.weight[self.counted], minlength=self.n_domains)

    @cached_property
    def shares(self) -> np.ndarray:
        """Float array (G, K); 0 for domains in which nobody answered."""
        return self.shares_under(self.weight)

    def shares_under(self, weight: np.ndarray) -> np.ndarray:
        """The shares with other weights, (G, K)."""
        flat = self.domain[self.counted] * self.n_options + self.option[self.counted]
        totals = np.bincount(flat, weights=weight[self.counted], minlength=self.n_domains * self.n_options)
        totals = totals.reshape(self.n_domains, self.n_options).astype(
            np.float64
        )  # without rows bincount gives integers
        sums = totals.sum(axis=1, keepdims=True)
        return np.divide(totals, sums, out=np.zeros_like(totals), where=sums > 0)

    @cached_property
    def kish(self) -> np.ndarray:
        """Float array (G,): Kish's effective respondents, (sum w)^2 / sum w^2; 0 where nobody answered."""
        weight, domain = self.weight[self.counted], self.domain[self.counted]
        squares = np.bincount(domain, weights=weight**2, minlength=self.n_domains)
        return np.divide(self.weight_sums**2, squares, out=np.zeros(self.n_domains), where=squares > 0)

    @cached_property
    def kish_variances(self) -> np.ndarray:
        """Float array (G,): sum_k p_k (1 - p_k) over Kish's n, times m / (m - 1) for the m who answered at all.

        The variance that simple random sampling of Kish's number of respondents would have, in the form in which
        linearisation estimates it (`linearised_variances`), so that their ratio is a design effect.
        """
        spread = 1.0 - (self.shares**2).sum(axis=1)
        answered = int(self.respondents.sum())
        correction = answered / max(answered - 1, 1)
        return np.divide(spread * correction, self.kish, out=np.zeros(self.n_domains), where=self.kish > 0)

    def alone_variances(self) -> np.ndarray:
        """Float array (G,): linearised variances summed over the options, as if respondents were drawn one by one."""
        weight, domain, option = self.weight[self.counted], self.domain[self.counted], self.option[self.counted]
        p = self.shares[domain]
        squares = weight**2 * (1.0 - 2.0 * p[np.arange(len(p)), option] + (p**2).sum(axis=1))
        sums = np.bincount(domain, weights=squares, minlength=self.n_domains)
        correction = len(weight) / max(len(weight) - 1, 1)
        whole = self.weight_sums**2
        return np.divide(sums * correction, whole, out=np.zeros(self.n_domains), where=whole > 0)


def linearised_deviations(answers: DomainAnswers, design: SampleDesign) -> np.ndarray:
    """Deviations (n_units, G, K) whose cross products are the covariances of all domains' shares.

    The whole design counts for every domain: respondents outside it have a score of 0 and stay in their stratum, since
    how many of its members a unit holds is random, too (Cochran 1977, Sampling Techniques, section 5A.14; R's
    ``subset`` of a survey design).
    """
    scores = np.zeros((len(answers.option), answers.n_domains, answers.n_options))
    rows = np.flatnonzero(answers.counted)
    domain, option = answers.domain[rows], answers.option[rows]
    scale = answers.weight[rows] / answers.weight_sums[domain]
    scores[rows, domain] = -answers.shares[domain] * scale[:, None]
    scores[rows, domain, option] += scale
    flat = design.deviations(scores.reshape(len(scores), -1))
    return flat.reshape(design.n_units, answers.n_domains, answers.n_options)


def linearised_variances(answers: DomainAnswers, design: SampleDesign, *, finite: bool = True) -> np.ndarray:
    """The variances (G, K) alone, for many domains: `linearised_deviations` without the zeros.

    Scores sum to 0, so that a stratum with a single unit is centred at 0, the mean of all units.

    Parameters
    ----------
    answers : DomainAnswers
    design : SampleDesign
    finite : bool, default=True
        Whether the finite population correction counts.
    """
    rows = np.flatnonzero(answers.counted)
    domain, unit = answers.domain[rows], design.unit[rows]
    scale = answers.weight[rows] / answers.weight_sums[domain]
    pairs, pair = np.unique(domain * design.n_units + unit, return_inverse=True)
    of_domain, of_unit = pairs // design.n_units, pairs % design.n_units
    stratum = design.stratum_of_unit[of_unit]
    size = np.bincount(design.stratum_of_unit)
    factor = design.factors(finite=finite)[of_unit]
    blocks, block = np.unique(of_domain * len(size) + stratum, return_inverse=True)
    block_factor = np.zeros(len(blocks))
    block_factor[block] = factor
    block_size = size[blocks % len(size)]
    variances = np.zeros((answers.n_domains, answers.n_options))
    for k in range(answers.n_options):
        score = scale * ((answers.option[rows] == k) - answers.shares[domain, k])
        totals = np.bincount(pair, weights=score, minlength=len(pairs))
        squares = np.bincount(block, weights=totals**2, minlength=len(blocks))
        centred = np.where(
            block_size > 1, np.bincount(block, weights=totals, minlength=len(blocks)) ** 2 / block_size, 0
        )
        variances[:, k] = np.bincount(
            blocks // len(size), weights=block_factor * (squares - centred), minlength=answers.n_domains
        )
    return np.maximum(variances, 0.0)
