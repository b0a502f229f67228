"""The arithmetic of rectified shares: what a model predicts for everybody, less its error on the respondents."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from surveysim.inference.intervals import share_interval
from surveysim.inference.simplex import nearest_distribution

__all__ = ["GroupMoments", "RectifiedShares", "learn_power"]

POOLED_RESPONDENTS = 10.0
"""How many (n p (1 - p)) an option needs so that its own residual variance has half of the say, the question's pooled
ratio the other half."""


@dataclass(frozen=True)
class GroupMoments:
    """Answers y (indicators of the options) and predictions d of one group's respondents, by rows of equal prediction.

    Attributes
    ----------
    counts : float array of shape (R, K)
        Weighted respondents by row (a cell and a fold) and option.
    predicted : float array of shape (R, K)
        The prediction for the row, by a model that did not see its fold, less the same model's mean prediction for the
        group in the population.
    n : float
        Effective respondents.
    spread : float array of shape (K,)
        Variance of the mean prediction for the population, where that is a sample of people itself; else 0.
    respondents : int
        How many people answered.
    """

    counts: np.ndarray
    predicted: np.ndarray
    n: float
    spread: np.ndarray
    respondents: int = 0

    @cached_property
    def shares(self) -> np.ndarray:
        """The sample's own shares (K,)."""
        return np.asarray(self.counts.sum(axis=0) / self.counts.sum())

    @cached_property
    def weights(self) -> np.ndarray:
        """The rows' shares of the sample (R,)."""
        return np.asarray(self.counts.sum(axis=1) / self.counts.sum())

    @cached_property
    def gap(self) -> np.ndarray:
        """Mean prediction for the respondents less that for the population (K,)."""
        return np.asarray(self.weights @ self.predicted)

    @cached_property
    def centred(self) -> np.ndarray:
        """Predictions around their mean over the respondents (R, K)."""
        return np.asarray(self.predicted - self.gap)

    @cached_property
    def covariances(self) -> np.ndarray:
        """Cov(y_k, d_k), (K,)."""
        joint = self.counts / self.counts.sum()
        return np.asarray((joint * self.centred).sum(axis=0))

    @cached_property
    def variances(self) -> np.ndarray:
        """Var(d_k) + n Var(mean prediction), (K,): what a power of 1 costs."""
        return np.asarray(self.weights @ self.centred**2 + self.n * self.spread)

    def residual_variances(self, power: float) -> np.ndarray:
        """Var(y_k - power d_k), (K,), with the population's own noise in it."""
        own = self.shares * (1.0 - self.shares)
        return np.maximum(own - 2.0 * power * self.covariances + power**2 * self.variances, 0.0)

    def slope_noise(self, power: float) -> float:
        """Mean of (sum_k d_k (y_k - mean y_k - power d_k))^2: the noise of the normal equation of the power."""
        # a respondent of row r who chose k contributes d_rk - d_r . (shares + power d_r)
        along = self.centred - (self.centred @ self.shares + power * (self.centred**2).sum(axis=1))[:, None]
        mean = self.covariances.sum() - power * (self.weights @ self.centred**2).sum()
        return float(((self.counts / self.counts.sum()) * (along - mean) ** 2).sum())


def learn_power(groups: list[GroupMoments]) -> float:
    """How far to trust the model, 0 or more: the power that makes the rectified shares' variance smallest.

    lambda = sum Cov(y, d) / sum Var(d), pooled over options and groups (the optimum of Angelopoulos, Duchi and Zrnic
    2023, PPI++, arXiv:2311.01453, section 6), times 1 - se^2 / lambda^2, at least 0: a slope that could be noise is not
    used, so that a useless model costs next to nothing (a positive-part James-Stein rule).

    Parameters
    ----------
    groups : list of GroupMoments
        Weighted by their respondents.
    """
    size = np.array([group.n for group in groups])
    shares = size / size.sum()
    below = sum(share * group.variances.sum() for share, group in zip(shares, groups, strict=True))
    above = sum(share * group.covariances.sum() for share, group in zip(shares, groups, strict=True))
    if below <= 1e-12 or above <= 0:
        return 0.0
    power = float(above / below)
    noise = sum(share * group.slope_noise(power) for share, group in zip(shares, groups, strict=True))
    return power * max(0.0, 1.0 - float(noise / size.sum()) / float(above) ** 2)


@dataclass(frozen=True)
class RectifiedShares:
    """One group's rectified shares.

    Attributes
    ----------
    moments : GroupMoments
    power : float
    """

    moments: GroupMoments
    power: float

    @cached_property
    def difference_estimates(self) -> np.ndarray:
        """Sample shares less power times the gap, (K,); they sum to 1, some may be below 0."""
        return np.asarray(self.moments.shares - self.power * self.moments.gap)

    @cached_property
    def shares(self) -> np.ndarray:
        """The nearest distribution, (K,)."""
        return nearest_distribution(self.difference_estimates[None])[0]

    @cached_property
    def ratios(self) -> np.ndarray:
        """Variance over that of the sample's share alone, (K,); small options lean on the question's pooled ratio."""
        moments = self.moments
        own = moments.shares * (1.0 - moments.shares)
        if own.sum() <= 0:
            return np.ones(len(own))
        left = moments.residual_variances(self.power)
        pooled = left.sum() / own.sum()
        ratio = np.divide(left, own, out=np.full(len(own), pooled), where=own > 0)
        say = moments.n * own / (moments.n * own + POOLED_RESPONDENTS)
        learned = 1.0 if self.power == 0 else moments.n / max(moments.n - 1.0, 1.0)  # the power was learned from them
        return np.asarray((say * ratio + (1.0 - say) * pooled) * learned)

    @cached_property
    def errors(self) -> np.ndarray:
        """Standard errors, (K,)."""
        own = self.moments.shares * (1.0 - self.moments.shares)
        return np.sqrt(own * self.ratios / max(self.moments.n - 1.0, 1.0))

    @property
    def worth(self) -> float:
        """Respondents whose own shares would be as precise."""
        own = self.moments.shares * (1.0 - self.moments.shares)
        return self.moments.n if own.sum() <= 0 else float(self.moments.n * own.sum() / (own @ self.ratios))

    def interval(self, level: float) -> tuple[np.ndarray, np.ndarray]:
        """Wilson's interval at the worth of the respondents, around the unprojected shares, holding the projected."""
        respondents = np.maximum(self.moments.n - 1.0, 1.0) / self.ratios
        lower, upper = share_interval(self.difference_estimates, respondents, max(self.moments.n - 2.0, 1.0), level)
        return np.minimum(lower, self.shares), np.maximum(upper, self.shares)
