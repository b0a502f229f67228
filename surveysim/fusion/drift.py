"""How far opinions moved between people who were asked elsewhere and the survey at hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit, logit

from surveysim.baselines.features import Block
from surveysim.baselines.priors import HIGHEST_CLASS, PriorTable

__all__ = ["GRID", "LEVEL", "Drift", "parts", "parts_of_terms"]

LEVEL = "level"
"""The part of a drift that concerns questions' levels; the other parts are attributes."""

GRID = np.array([0.001, 0.005, 0.02, 0.07, 0.2, 0.45, 0.75, 0.92, 0.999])
"""Shares that are tried, all equally likely before anything is seen: from people whose opinions are the survey's to
people who were asked something else."""

LEVELS, GROUPS = 0, 1
"""Which share is meant: that of levels, or that of attributes' effects."""


@dataclass(frozen=True)
class Drift:
    """How far a series of waves is from the target.

    With v the variance that a coefficient has over questions (a level's around what is expected of it, an effect's
    around 0), the wave next to the target has ``sqrt(1 - share) * target + drift`` with a drift of variance
    ``share * v``: coefficients of the wave vary as those of the survey, and correlate with them by ``sqrt(1 - share)``.
    An earlier wave has the next one's + drift. Drifts grow with the time between.

    Attributes
    ----------
    spread : PriorTable
        Variances of the terms, v.
    spread_levels : float64 array of shape (4,)
        Of the levels, by class of degree.
    common : float64 array of shape (2,)
        The shares of levels and of groups that most questions have.
    shares : float64 array of shape (n_links, Q, 2)
        Those of each question on each link: a few have one of their own.
    weights : float64 array of shape (2, len(GRID))
        Posterior probabilities of the common shares.
    own : float64 array of shape (n_links, Q, len(GRID))
        Those of a question's own share; what is missing to 1 is the probability that it has the common ones.
    """

    spread: PriorTable
    spread_levels: np.ndarray
    common: np.ndarray
    shares: np.ndarray
    weights: np.ndarray
    own: np.ndarray

    @classmethod
    def start(cls, table: PriorTable, levels: np.ndarray, *, n_links: int, n_questions: int) -> Drift:
        """Before anything is seen."""
        weights = np.full((2, len(GRID)), 1.0 / len(GRID))
        own = np.zeros((n_links, n_questions, len(GRID)))
        return cls(table, levels, np.zeros(2), np.zeros((n_links, n_questions, 2)), weights, own).expected()

    def with_shares(self, levels: float, groups: float) -> Drift:
        """The same with these shares for all questions."""
        common = np.array([levels, groups])
        return replace(self, common=common, shares=np.broadcast_to(common, self.shares.shape))

    def with_own(self, link: int, share: float) -> Drift:
        """The same with this share of levels and groups for all questions on one link."""
        shares = self.shares.copy()
        shares[link] = share
        return replace(self, shares=shares)

    def around(self, table: PriorTable, levels: np.ndarray) -> Drift:
        """The same where coefficients vary otherwise."""
        return replace(self, spread=table, spread_levels=levels)

    def expected(self) -> Drift:
        """The same with the shares that are expected, on the scale of log odds."""
        common = self.weights @ logit(GRID)
        without = 1.0 - self.own.sum(axis=2, keepdims=True)
        shares = without * common + (self.own @ logit(GRID))[..., None]
        return replace(self, common=expit(common), shares=expit(shares))

    def drawn(self, generator: np.random.Generator) -> Drift:
        """The same with shares from their posterior."""
        common = np.array([generator.choice(GRID, p=weights / weights.sum()) for weights in self.weights])
        below = np.cumsum(self.own, axis=2)
        which = (generator.random(below.shape[:2])[..., None] >= below).sum(axis=2)
        own = np.append(GRID, np.nan)[which][..., None]
        return replace(self, common=common, shares=np.where(np.isnan(own), common, own))

    def change(self, other: Drift) -> float:
        """The largest change of a posterior probability."""
        return max(
            float(np.abs(other.weights - self.weights).max()), float(np.abs(other.own - self.own).max(initial=0.0))
        )

    def of_links(self, links: Sequence[int]) -> Drift:
        """The same for a series of some of the waves; where links are joined, the largest share counts for both."""
        ends = [*links[1:], len(self.shares)]
        joined = [self.shares[start:stop].max(axis=0) for start, stop in zip(links, ends, strict=True)]
        return replace(self, shares=np.array(joined), own=self.own[list(links)])

    @property
    def table(self) -> PriorTable:
        """Variances of the terms' drift per unit of time, for questions with the common shares."""
        return PriorTable(self.spread.blocks, self.common[GROUPS] * self.spread.variances)

    @property
    def levels(self) -> np.ndarray:
        """The same of the levels', by class of degree (4,)."""
        return self.common[LEVELS] * self.spread_levels

    @property
    def slopes(self) -> np.ndarray:
        """Slopes (1 + n_attributes,) of the level and of each attribute's effects, for the same questions."""
        n_parts = len(parts(self.spread.blocks))
        return np.sqrt(1.0 - np.r_[self.common[LEVELS], np.full(n_parts - 1, self.common[GROUPS])])

    def variances(self, degree: np.ndarray) -> np.ndarray:
        """Variances v of a question's coefficients (C, F)."""
        found = 1.0 / self.spread.precision(degree)
        found[:, 0] = self.spread_levels[np.minimum(degree, HIGHEST_CLASS)]
        return found

    def steps(self, degree: np.ndarray) -> np.ndarray:
        """Variances of the drift of a question's coefficients per unit of time (C, F), with the common shares."""
        found = self.variances(degree)
        return found * self.common[parts_of_terms(found.shape[1])]

    def shares_of(self, link: int, questions: Sequence[int], n_contrasts: int, n_terms: int) -> np.ndarray:
        """The shares of these questions' coefficients on a link (len(questions), C * F)."""
        return np.tile(self.shares[link][list(questions)][:, parts_of_terms(n_terms)], n_contrasts)


def parts_of_terms(n_terms: int) -> np.ndarray:
    """Which share each term has: the first is the level's."""
    return np.r_[LEVELS, np.full(n_terms - 1, GROUPS)]


def parts(blocks: Sequence[Block]) -> list[str]:
    """What has a slope: the level, then each attribute (or pair) with terms."""
    return [LEVEL, *dict.fromkeys(block.name for block in blocks)]
