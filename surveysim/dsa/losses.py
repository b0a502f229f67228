"""The two losses: distributions (stage 1) and shifts between backgrounds (stage 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from surveysim.contrasts import option_contrasts
from surveysim.questions import Question

__all__ = ["CONTRAST_WEIGHTS", "Lines", "cross_entropy", "shift_contrasts", "shift_loss"]

CONTRAST_WEIGHTS = (1.0, 2.2, 3.5)
"""Weights of the linear, quadratic and higher contrasts in the shift loss: groups differ along the scale first."""


def cross_entropy(logits: Tensor, counts: Tensor) -> Tensor:
    """Sum over cells and options of ``-counts * log softmax(logits)``, in nats.

    Divided by the number of respondents it is stage 1's loss ``sum_b n_b KL(q_b || p_b) / sum_b n_b`` up to the
    entropy of the data, which no parameter moves.

    Parameters
    ----------
    logits : Tensor of shape (B, K)
        Option logits, very low where a shorter question has no option.
    counts : Tensor of shape (B, K)
        Respondents per option, 0 where there is no option.
    """
    return -(counts * torch.log_softmax(logits, dim=-1)).sum()


def shift_contrasts(questions: Sequence[Question], n_options: int) -> np.ndarray:
    """Weighted contrasts ``D_q T_q`` of each question's option logits, padded with zeros.

    T_q are the orthonormal contrasts of `surveysim.contrasts.option_contrasts`. D_q weighs them by
    `CONTRAST_WEIGHTS` for ordinal questions (contrasts of pinned options and of nominal questions by 1).

    Parameters
    ----------
    questions : sequence of Question
    n_options : int
        The padded number of options, K.

    Returns
    -------
    float64 array of shape (len(questions), K - 1, K)
    """
    weighted = np.zeros((len(questions), n_options - 1, n_options))
    for q, question in enumerate(questions):
        contrasts, degree = option_contrasts(question.positions)
        weight = np.take((1.0, *CONTRAST_WEIGHTS), np.minimum(degree, len(CONTRAST_WEIGHTS)))
        weighted[q, : len(contrasts), : question.n_options] = weight[:, None] * contrasts
    return weighted


@dataclass(frozen=True)
class Lines:
    """Cells of one question that differ in one attribute only, for each such set of cells.

    All pairs within a line are compared. Their sum needs no list of pairs, since
    ``sum_{i<j} |d_i - d_j|^2 = m * sum_i |d_i - mean(d)|^2`` over the m cells of a line.

    Attributes
    ----------
    rows : int Tensor of shape (R,)
        Cells that lie on a line with others, as positions in the batch.
    line : int Tensor of shape (R,)
        Which line.
    size : Tensor of shape (L,)
        Cells per line.
    attribute : int
        The attribute in which they differ.
    """

    rows: Tensor
    line: Tensor
    size: Tensor
    attribute: int

    @property
    def n_pairs(self) -> float:
        """Number of pairs compared."""
        return float((self.size * (self.size - 1)).sum() / 2)

    def squared_differences(self, values: Tensor) -> Tensor:
        """Sum over all pairs of the squared distance between the rows of `values` (B, C)."""
        points = values[self.rows]
        mean = torch.zeros(len(self.size), points.shape[1], dtype=points.dtype, device=points.device)
        mean = mean.index_add(0, self.line, points) / self.size[:, None]
        spread = ((points - mean[self.line]) ** 2).sum(dim=1)
        return (self.size[self.line] * spread).sum()


def shift_loss(
    logits: Tensor, contrasts: Tensor, lines: Sequence[Lines], n_pairs: Tensor, reference: Tensor | None
) -> Tensor:
    """Mean over attributes and pairs of ``|| D_q T_q (z_b - z_b' - s_bb') ||^2``, of the pairs in this batch.

    Parameters
    ----------
    logits : Tensor of shape (B, K)
        Option logits.
    contrasts : Tensor of shape (B, K - 1, K)
        Each row's `shift_contrasts`.
    lines : sequence of Lines
        One entry per attribute that has pairs in the batch.
    n_pairs : Tensor of shape (n_attributes,)
        Pairs per attribute in all batches together, so that the batches' losses add up to the whole.
    reference : Tensor of shape (n_attributes, B, K) or None
        Logits whose differences are the reference shifts of each attribute; None: no shift.

    Returns
    -------
    Tensor
        A scalar.
    """
    total = logits.new_zeros(())
    for line in lines:
        difference = logits if reference is None else logits - reference[line.attribute]
        projected = torch.einsum("bck,bk->bc", contrasts, difference)
        total = total + line.squared_differences(projected) / n_pairs[line.attribute]
    return total / (n_pairs > 0).sum().clamp_min(1)
