"""One question's cells, and the Newton system of several questions of one shape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax, softmax

__all__ = ["Local", "Quadratic", "QuestionData", "Stack", "gather", "stacks"]

MAX_ENTRIES = 4_000_000
"""Largest array of second derivatives that is made for several questions at once."""


@dataclass(frozen=True)
class QuestionData:
    """One question's cells.

    Attributes
    ----------
    design : float64 array of shape (n, F)
        Terms with coefficients of this question's own, the constant in column 0.
    counts : float64 array of shape (n, K)
        Respondents per option.
    contrasts : float64 array of shape (C, K)
        Orthonormal contrasts of the options.
    covariates : float64 array of shape (n, J, C)
        What the J slopes that all questions share multiply, as scores on the contrasts.
    """

    design: np.ndarray
    counts: np.ndarray
    contrasts: np.ndarray
    covariates: np.ndarray

    @classmethod
    def without_covariates(cls, design: np.ndarray, counts: np.ndarray, contrasts: np.ndarray) -> QuestionData:
        """A question that shares no slopes."""
        return cls(design, counts, contrasts, np.zeros((len(design), 0, len(contrasts))))

    @property
    def respondents(self) -> np.ndarray:
        """Respondents per row, (n,)."""
        return self.counts.sum(axis=1)

    def probabilities(self, coefficients: np.ndarray, slopes: np.ndarray) -> np.ndarray:
        """Shares of the options (n, K)."""
        scores = self.design @ coefficients.T + slopes @ self.covariates
        return softmax(scores @ self.contrasts, axis=1)


@dataclass(frozen=True)
class Quadratic:
    """What is known of a question beside its own respondents' answers: minus a Gaussian log likelihood.

    For x, the question's coefficients (raveled) and the slopes, it is ``x' matrix x / 2 - linear' x``.

    Attributes
    ----------
    matrix : float64 array of shape (C * F + J, C * F + J)
        Symmetric and not negative.
    linear : float64 array of shape (C * F + J,)
    """

    matrix: np.ndarray
    linear: np.ndarray

    def value(self, coefficients: np.ndarray, slopes: np.ndarray) -> float:
        """At a point."""
        x = np.concatenate([coefficients.ravel(), slopes])
        return float(x @ (0.5 * (self.matrix @ x) - self.linear))

    def gradient(self, coefficients: np.ndarray, slopes: np.ndarray) -> np.ndarray:
        """At a point, (C * F + J,)."""
        return self.matrix @ np.concatenate([coefficients.ravel(), slopes]) - self.linear


@dataclass(frozen=True)
class Stack:
    """Questions of one shape, so that numpy works on all of them at once: question by question takes ten times as long.

    `which` are their positions, `coupled` (C * F,) tells which of their coefficients are; the arrays are those of
    `QuestionData` with the questions as first axis.
    """

    which: list[int]
    coupled: np.ndarray
    design: np.ndarray
    counts: np.ndarray
    contrasts: np.ndarray
    covariates: np.ndarray

    def deviance(self, B: np.ndarray, slopes: np.ndarray) -> float:
        """Minus the log likelihood for coefficients B (Q, C, F)."""
        return -float(np.sum(self.counts * log_softmax(self._logits(B, slopes), axis=-1)))

    def _logits(self, B: np.ndarray, slopes: np.ndarray) -> np.ndarray:
        return (self.design @ B.swapaxes(1, 2) + slopes @ self.covariates) @ self.contrasts

    def derivatives(self, B: np.ndarray, slopes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gradient (Q, S) and Hessian (Q, S, S) of the deviance by coefficients (raveled) and slopes, S = C * F + J."""
        T, Z, M = self.contrasts, self.design, self.covariates
        n_questions, n_rows, n_slopes, n_contrasts = M.shape
        size = B[0].size
        P = softmax(self._logits(B, slopes), axis=-1)
        n = self.counts.sum(axis=2)
        residual = (n[:, :, None] * P - self.counts) @ T.swapaxes(1, 2)
        means = P @ T.swapaxes(1, 2)
        V = (P[:, :, None, :] * T[:, None]) @ T.swapaxes(1, 2)[:, None] - means[..., :, None] * means[..., None, :]
        V *= n[:, :, None, None]
        ZV = V[:, :, :, None, :] * Z[:, :, None, :, None]  # (Q, n, C, F, C)
        gradient = np.empty((n_questions, size + n_slopes))
        hessian = np.empty((n_questions, size + n_slopes, size + n_slopes))
        gradient[:, :size] = (residual.swapaxes(1, 2) @ Z).reshape(n_questions, size)
        H = ZV.reshape(n_questions, n_rows, -1).swapaxes(1, 2) @ Z
        hessian[:, :size, :size] = H.reshape(n_questions, size, size)
        if n_slopes:
            flat_M = M.swapaxes(2, 3).reshape(n_questions, n_rows * n_contrasts, n_slopes)
            flat_ZV = ZV.reshape(n_questions, n_rows, size, n_contrasts).swapaxes(1, 2).reshape(n_questions, size, -1)
            flat_VM = (M @ V).swapaxes(2, 3).reshape(n_questions, n_rows * n_contrasts, n_slopes)
            gradient[:, size:] = np.einsum("qij,qi->qj", flat_M, residual.reshape(n_questions, -1))
            hessian[:, :size, size:] = flat_ZV @ flat_M
            hessian[:, size:, :size] = hessian[:, :size, size:].swapaxes(1, 2)
            hessian[:, size:, size:] = flat_VM.swapaxes(1, 2) @ flat_M
        return gradient, hessian

    def local(
        self,
        B: np.ndarray,
        slopes: np.ndarray,
        precision: np.ndarray,
        evidence: Sequence[Quadratic] | None = None,
    ) -> Local:
        """The Newton system at a point, with the questions' own coefficients eliminated.

        Parameters
        ----------
        B : float64 array of shape (Q, C, F)
        slopes : float64 array of shape (J,)
        precision : float64 array of shape (Q, C, F)
            The prior's, of the coefficients that are not coupled.
        evidence : sequence of Quadratic, optional
            Of all questions, by their positions.
        """
        gradient, hessian = self.derivatives(B, slopes)
        if evidence is not None:
            for i, q in enumerate(self.which):
                gradient[i] += evidence[q].gradient(B[i], slopes)
                hessian[i] += evidence[q].matrix
        own = np.flatnonzero(~self.coupled)
        # slopes first, as in the shared vector
        shared = np.r_[len(self.coupled) : gradient.shape[1], np.flatnonzero(self.coupled)]
        own_precision = precision.reshape(len(B), -1)[:, own]
        own_gradient = gradient[:, own] + own_precision * B.reshape(len(B), -1)[:, own]
        H = hessian[:, own[:, None], own]
        H[:, np.arange(len(own)), np.arange(len(own))] += own_precision
        cross = hessian[:, own[:, None], shared]
        solved = np.linalg.solve(H, np.concatenate([cross, own_gradient[:, :, None]], axis=2))
        elimination, step = solved[:, :, :-1], solved[:, :, -1]
        return Local(
            factor=np.linalg.cholesky(H),
            elimination=elimination,
            gradient=own_gradient,
            step=step,
            shared_gradient=gradient[:, shared] - np.einsum("qsj,qs->qj", elimination, own_gradient),
            shared_hessian=hessian[:, shared[:, None], shared] - cross.swapaxes(1, 2) @ elimination,
        )


@dataclass(frozen=True)
class Local:
    """A stack's part of the Newton system at a point; o own and m shared parameters concern each of its Q questions."""

    factor: np.ndarray
    """Lower Cholesky factors of the Hessians of the own coefficients (Q, o, o)."""
    elimination: np.ndarray
    """Hessian^-1 cross: how own coefficients yield when shared parameters move (Q, o, m)."""
    gradient: np.ndarray
    """By the own coefficients (Q, o)."""
    step: np.ndarray
    """Hessian^-1 gradient (Q, o)."""
    shared_gradient: np.ndarray
    """By the shared parameters, the own coefficients eliminated (Q, m); likewise their Hessian (Q, m, m)."""
    shared_hessian: np.ndarray


def stacks(questions: Sequence[QuestionData], coupled: Sequence[np.ndarray]) -> Iterator[Stack]:
    """Questions of equal shape together, as many as memory allows."""
    shapes: dict[tuple[int | bytes, ...], list[int]] = {}
    for q, data in enumerate(questions):
        shapes.setdefault((*data.design.shape, *data.contrasts.shape, coupled[q].tobytes()), []).append(q)
    for members in shapes.values():
        n_rows, n_terms = questions[members[0]].design.shape
        at_once = max(1, MAX_ENTRIES // (n_rows * n_terms * len(questions[members[0]].contrasts) ** 2))
        for start in range(0, len(members), at_once):
            which = members[start : start + at_once]
            yield Stack(
                which,
                coupled[which[0]].ravel(),
                *(
                    np.stack([getattr(questions[q], name) for q in which])
                    for name in ("design", "counts", "contrasts", "covariates")
                ),
            )


def gather(arrays: Sequence[np.ndarray], stack: Stack) -> np.ndarray:
    return np.stack([arrays[q] for q in stack.which])
