"""Waves in a row: what they say of the target's coefficients when every step between them may have moved opinions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from surveysim.baselines.question_stacks import Quadratic
from surveysim.fusion.drift import Drift, Moments

__all__ = ["Filtered", "Series"]


@dataclass(frozen=True)
class _Passed:
    """Information that passed a link, for Q questions of S coefficients each.

    With precision W and linear term g of the state before the link, ``state = next + drift`` and drift of variance D:
    `kept` is ``(W + D^-1)^-1 W`` and `pull` ``(W + D^-1)^-1 g``; `spread` is ``(W + D^-1)^-1``.
    """

    precision: np.ndarray
    linear: np.ndarray
    kept: np.ndarray
    pull: np.ndarray
    spread: np.ndarray


@dataclass(frozen=True)
class Filtered:
    """What passed every link of a series, for some questions of equal size.

    Attributes
    ----------
    which : list of int
        The questions.
    passed : list of _Passed
        For each link.
    slopes : float64 array of shape (Q, S)
        Of the wave next to the target on it.
    """

    which: list[int]
    passed: list[_Passed]
    slopes: np.ndarray


@dataclass(frozen=True)
class Series:
    """Waves of people's answers, from the farthest to the one next to the target.

    Attributes
    ----------
    names : tuple of str
        Of the waves.
    gaps : float64 array of shape (n_links,)
        Time from each wave to the next, and of the last to the target.
    information : list of lists of Quadratic
        For each wave and question minus the log likelihood of its coefficients, by a Gaussian.
    """

    names: tuple[str, ...]
    gaps: np.ndarray
    information: list[list[Quadratic]]

    def only(self, names: Collection[str]) -> Series | None:
        """The waves with these names; what lies between two of them is one gap. None if there are none."""
        kept = [link for link, name in enumerate(self.names) if name in names]
        if not kept:
            return None
        ends = [*kept[1:], len(self.names)]
        gaps = np.array([self.gaps[start:stop].sum() for start, stop in zip(kept, ends, strict=True)])
        return Series(tuple(self.names[i] for i in kept), gaps, [self.information[i] for i in kept])

    def evidence(
        self,
        drift: Drift,
        degrees: Sequence[np.ndarray],
        centers: Sequence[np.ndarray],
        filtered: Sequence[Filtered] | None = None,
    ) -> list[Quadratic]:
        """For each question what the series says of the target's coefficients.

        Parameters
        ----------
        drift : Drift
        degrees : sequence of int arrays of shape (C,)
            Of each question's contrasts.
        centers : sequence of float64 arrays of shape (C * F,)
            Expected coefficients: slopes act on what differs from them.
        filtered : sequence of Filtered, optional
            From `filtered` with the same arguments, so that it is not computed twice.
        """
        found: list[Quadratic | None] = [None] * len(degrees)
        for own in filtered or self.filtered(drift, degrees, centers):
            which, passed, slopes = own.which, own.passed, own.slopes
            matrices = slopes[:, :, None] * passed[-1].precision * slopes[:, None, :]
            center = np.stack([centers[q] for q in which])
            linear = slopes * passed[-1].linear + np.einsum("qij,qj->qi", matrices, center)
            for i, q in enumerate(which):
                found[q] = Quadratic(matrices[i], linear[i])
        return [one for one in found if one is not None]

    def moments(
        self,
        drift: Drift,
        degrees: Sequence[np.ndarray],
        centers: Sequence[np.ndarray],
        means: Sequence[np.ndarray],
        covariances: Sequence[np.ndarray],
        filtered: Sequence[Filtered] | None = None,
    ) -> list[Moments]:
        """What is known of the drift on each link when the target's coefficients have this posterior."""
        n_questions = len(degrees)
        found = [Moments(*([np.empty(0)] * n_questions for _ in range(4))) for _ in self.names]
        for group in filtered or self.filtered(drift, degrees, centers):
            which, passed, slopes = group.which, group.passed, group.slopes
            target = np.stack([means[q] - centers[q] for q in which])
            covariance = np.stack([covariances[q] for q in which])
            second = target**2 + np.diagonal(covariance, axis1=1, axis2=2)
            by_target = slopes[:, :, None] * covariance  # of the slopes times the target with the target
            mean, covariance = slopes * target, by_target * slopes[:, None, :]
            for link in reversed(range(len(self.names))):
                own = passed[link]
                moved = np.einsum("qij,qj->qi", own.kept, mean) - own.pull
                kept = own.kept @ covariance
                variance = np.diagonal(own.spread, axis1=1, axis2=2) + np.einsum("qij,qij->qi", kept, own.kept)
                product = np.zeros_like(mean)
                if link == len(self.names) - 1:
                    shared = np.diagonal(by_target, axis1=1, axis2=2) - np.einsum("qij,qji->qi", own.kept, by_target)
                    product = (mean - moved) * target + shared
                for i, q in enumerate(which):
                    shape = (len(degrees[q]), -1)
                    found[link].square[q] = (moved[i] ** 2).reshape(shape)
                    found[link].variance[q] = variance[i].reshape(shape)
                    found[link].product[q] = product[i].reshape(shape)
                    found[link].target[q] = second[i].reshape(shape)
                if link:
                    mean = mean - moved
                    rest = kept - covariance  # minus (I - kept) covariance
                    covariance = own.spread + rest @ own.kept.swapaxes(1, 2) - rest
        return found

    def filtered(self, drift: Drift, degrees: Sequence[np.ndarray], centers: Sequence[np.ndarray]) -> list[Filtered]:
        """What passed each link, around the centers, for questions of equal size together."""
        distinct = {degree.tobytes(): degree for degree in degrees}
        variances = {key: drift.variances(degree).ravel() for key, degree in distinct.items()}
        terms = drift.slope_of_terms()
        found = []
        for which in _of_equal_size(centers):
            units = np.stack([variances[degrees[q].tobytes()] for q in which])
            center = np.stack([centers[q] for q in which])
            passed: list[_Passed] = []
            for link, waves in enumerate(self.information):
                own = np.stack([waves[q].matrix for q in which])
                told = np.stack([waves[q].linear for q in which]) - np.einsum("qij,qj->qi", own, center)
                precision, linear = (own + passed[-1].precision, told + passed[-1].linear) if passed else (own, told)
                root = np.sqrt(units * self.gaps[link] * drift.scales[link, which][:, None])
                passed.append(_pass(precision, linear, root))
            found.append(Filtered(which, passed, np.stack([np.tile(terms, len(degrees[q])) for q in which])))
        return found


def _pass(precision: np.ndarray, linear: np.ndarray, root: np.ndarray) -> _Passed:
    """Precision and linear term after a drift with these standard deviations (Q, S)."""
    size = precision.shape[1]
    scaled = root[:, :, None] * precision * root[:, None, :]
    scaled[:, np.arange(size), np.arange(size)] += 1.0
    inverse = np.linalg.inv(scaled)
    # (W + D^-1)^-1 = S (I + S W S)^-1 S with S the root of D
    spread = root[:, :, None] * inverse * root[:, None, :]
    kept = spread @ precision
    pull = np.einsum("qij,qj->qi", spread, linear)
    after = kept / root[:, :, None] ** 2
    return _Passed(
        precision=0.5 * (after + after.swapaxes(1, 2)),
        linear=pull / root**2,
        kept=kept,
        pull=pull,
        spread=spread,
    )


def _of_equal_size(arrays: Sequence[np.ndarray]) -> list[list[int]]:
    """Positions of arrays of equal length, together."""
    found: dict[int, list[int]] = {}
    for q, array in enumerate(arrays):
        found.setdefault(len(array), []).append(q)
    return list(found.values())
