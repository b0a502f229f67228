"""Waves in a row: what they say of the target's coefficients when every step between them may have moved opinions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from surveysim.baselines.question_stacks import Quadratic
from surveysim.fusion.drift import Drift

__all__ = ["Filtered", "Series", "of_equal_size"]


@dataclass(frozen=True)
class _Passed:
    """Information that passed a link, for Q questions of S coefficients each.

    With precision W and linear term g of the state before the link, ``state = next + drift`` and drift of variance D,
    the logarithm of what is known of ``next`` is ``constant + linear' next - next' precision next / 2``.
    """

    precision: np.ndarray
    linear: np.ndarray
    constant: np.ndarray


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

    def told(self, centers: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Precision (Q, S, S) and linear term (Q, S) of what is known of the target."""
        matrices = self.slopes[:, :, None] * self.passed[-1].precision * self.slopes[:, None, :]
        center = np.stack([centers[q] for q in self.which])
        return matrices, self.slopes * self.passed[-1].linear + np.einsum("qij,qj->qi", matrices, center)


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
            matrices, linear = own.told(centers)
            for i, q in enumerate(own.which):
                found[q] = Quadratic(matrices[i], linear[i])
        return [one for one in found if one is not None]

    def filtered(self, drift: Drift, degrees: Sequence[np.ndarray], centers: Sequence[np.ndarray]) -> list[Filtered]:
        """What passed each link, around the centers, for questions of equal size together."""
        distinct = {key: drift.variances(degree) for key, degree in {d.tobytes(): d for d in degrees}.items()}
        found = []
        for which in of_equal_size(centers):
            units = np.stack([distinct[degrees[q].tobytes()] for q in which])
            n_contrasts, n_terms = units.shape[1:]
            units = units.reshape(len(which), -1)
            center = np.stack([centers[q] for q in which])
            passed: list[_Passed] = []
            for link, waves in enumerate(self.information):
                own = np.stack([waves[q].matrix for q in which])
                told = np.stack([waves[q].linear for q in which]) - np.einsum("qij,qj->qi", own, center)
                precision, linear = (own + passed[-1].precision, told + passed[-1].linear) if passed else (own, told)
                shares = drift.shares_of(link, which, n_contrasts, n_terms)
                passed.append(_pass(precision, linear, np.sqrt(shares * units * self.gaps[link])))
            found.append(Filtered(which, passed, np.sqrt(1.0 - shares)))
        return found


def _pass(precision: np.ndarray, linear: np.ndarray, root: np.ndarray) -> _Passed:
    """Precision and linear term after a drift with these standard deviations (Q, S)."""
    size = precision.shape[1]
    scaled = root[:, :, None] * precision * root[:, None, :]
    scaled[:, np.arange(size), np.arange(size)] += 1.0
    # (W + D^-1)^-1 = S (I + S W S)^-1 S with S the root of D
    inverse = np.linalg.inv(scaled)
    told = root * linear
    pull = np.einsum("qij,qj->qi", inverse, told)
    after = -inverse
    after[:, np.arange(size), np.arange(size)] += 1.0
    after /= root[:, :, None] * root[:, None, :]
    return _Passed(
        precision=0.5 * (after + after.swapaxes(1, 2)),
        linear=pull / root,
        constant=0.5 * (np.einsum("qi,qi->q", told, pull) - np.linalg.slogdet(scaled)[1]),
    )


def of_equal_size(arrays: Sequence[np.ndarray]) -> list[list[int]]:
    """Positions of arrays of equal length, together."""
    found: dict[int, list[int]] = {}
    for q, array in enumerate(arrays):
        found.setdefault(len(array), []).append(q)
    return list(found.values())
