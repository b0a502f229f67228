"""How well a wave agrees with what is known of the survey, for many shares of drift at little cost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from surveysim.baselines.question_stacks import Quadratic
from surveysim.fusion.drift import GROUPS, LEVELS, Drift
from surveysim.fusion.series import Series, of_equal_size

__all__ = ["AgreementOfWave"]

NOTHING = 1e-10
"""Relative to the largest eigenvalue of a wave's information: directions in which it tells nothing."""


class AgreementOfWave:
    """The log marginal likelihood of each question's answers in a series of one wave, up to a constant.

    With the wave's information W = G G' of its coefficients, ``y = G^-1 W (its estimate)`` has unit variance, and given
    all that is known of the survey's, with mean m and covariance C around the centers, ``y ~ N(G' A m, I + G' (A C A +
    D) G)`` with slopes A and drifts D. Both depend on the two shares through sums of five matrices, so that one share
    more costs one Cholesky factorisation of each question.

    Parameters
    ----------
    series : Series
        Of one wave.
    drift : Drift
        For the variances of coefficients; its shares do not matter.
    known, degrees, centers
        As in `learned_shares`.
    """

    def __init__(
        self,
        series: Series,
        drift: Drift,
        known: Sequence[Quadratic],
        degrees: Sequence[np.ndarray],
        centers: Sequence[np.ndarray],
    ) -> None:
        self._n_questions = len(degrees)
        self._groups = []
        for which in of_equal_size(centers):
            variances = np.stack([drift.variances(degrees[q]) for q in which])
            is_level = np.zeros(variances.shape[1:], dtype=bool)
            is_level[:, 0] = True
            part = [is_level.ravel(), ~is_level.ravel()]
            center = np.stack([centers[q] for q in which])
            W = np.stack([series.information[0][q].matrix for q in which])
            told = np.stack([series.information[0][q].linear for q in which]) - np.einsum("qij,qj->qi", W, center)
            H = np.stack([known[q].matrix for q in which])
            C = np.linalg.inv(H)
            m = np.einsum("qij,qj->qi", C, np.stack([known[q].linear for q in which])) - center
            values, vectors = np.linalg.eigh(W)
            root = np.sqrt(np.where(values > NOTHING * values[:, -1:], values, 0.0))
            # terms of an attribute add up to a constant: of a quarter of all directions answers say nothing
            said = -max(int((root > 0).sum(axis=1).max()), 1)
            vectors, root = vectors[:, :, said:], root[:, said:]
            G = vectors * root[:, None, :]
            y = np.einsum("qij,qi->qj", vectors, told) / np.where(root > 0, root, np.inf)
            own = [G[:, one] for one in part]
            turned = [one.swapaxes(1, 2) for one in own]
            means = [np.einsum("qji,qj->qi", one, m[:, p]) for one, p in zip(own, part, strict=True)]
            scatter = {(a, b): turned[a] @ C[:, part[a]][:, :, part[b]] @ own[b] for a, b in ((0, 0), (0, 1), (1, 1))}
            mixed = scatter[0, 1] + scatter[0, 1].swapaxes(1, 2)
            unit = series.gaps[0] * variances.reshape(len(which), -1)
            drifts = [t * unit[:, None, p] @ o for t, p, o in zip(turned, part, own, strict=True)]
            self._groups.append((which, y, means, (scatter[0, 0], mixed, scatter[1, 1]), drifts))

    def __call__(self, drift: Drift) -> np.ndarray:
        """For the shares of this drift, (Q,)."""
        found = np.empty(self._n_questions)
        for which, y, means, scatter, drifts in self._groups:
            shares = drift.shares[0][which]
            a, b = np.sqrt(1.0 - shares[:, LEVELS]), np.sqrt(1.0 - shares[:, GROUPS])
            size = y.shape[1]
            whole = np.zeros((len(which), size + 1, size + 1))
            for weight, matrix in zip(
                (a**2, a * b, b**2, shares[:, LEVELS], shares[:, GROUPS]), (*scatter, *drifts), strict=True
            ):
                whole[:, :size, :size] += weight[:, None, None] * matrix
            whole[:, np.arange(size), np.arange(size)] += 1.0
            left = y - a[:, None] * means[LEVELS] - b[:, None] * means[GROUPS]
            # the factor's last entry tells how far the answers are off
            square = np.einsum("qi,qi->q", left, left) + 1.0
            whole[:, size, :size], whole[:, size, size] = left, square
            diagonal = np.diagonal(np.linalg.cholesky(whole), axis1=1, axis2=2)
            off = square - diagonal[:, size] ** 2
            found[which] = -np.log(diagonal[:, :size]).sum(axis=1) - 0.5 * off
        return found
