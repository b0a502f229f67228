"""`DSARegressor` with shifts compared on other scales than the library's, for `benchmarks.ablation`.

The library compares differences of option logits along weighted contrasts. Here they are differences of the logits as
they are, every contrast counting alike, or differences of the probabilities themselves. The loss is exchanged for the
time of a fit; everything else is the library's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from surveysim import DSARegressor
from surveysim.dsa import loop
from surveysim.dsa.losses import Lines, shift_loss
from surveysim.trunk.head import NO_OPTION

__all__ = ["OnPlainLogits", "OnProbabilities", "plain_shift_loss", "probability_shift_loss"]


def plain_shift_loss(
    logits: Tensor, contrasts: Tensor, lines: Sequence[Lines], n_pairs: Tensor, reference: Tensor | None
) -> Tensor:
    """`shift_loss` with all contrasts of a question weighing the same: squared differences of the centred logits."""
    length = contrasts.norm(dim=2, keepdim=True)
    return shift_loss(logits, contrasts / length.clamp_min(1e-12), lines, n_pairs, reference)


def probability_shift_loss(
    logits: Tensor, contrasts: Tensor, lines: Sequence[Lines], n_pairs: Tensor, reference: Tensor | None
) -> Tensor:
    """`shift_loss` of the probabilities: squared differences of the options' shares.

    The reference's logits have levels of their own here, as those of `LogitRegressor` do.
    """
    probabilities = torch.softmax(logits, dim=-1)
    if reference is not None:
        reference = torch.softmax(torch.where(logits > NO_OPTION / 2, reference, NO_OPTION), dim=-1)
    identity = torch.eye(logits.shape[1], dtype=logits.dtype, device=logits.device).expand(len(logits), -1, -1)
    return shift_loss(probabilities, identity, lines, n_pairs, reference)


class OnPlainLogits(DSARegressor):
    """Shifts as differences of option logits."""

    _loss = staticmethod(plain_shift_loss)

    def fit(
        self, X: Any, Y: ArrayLike, sample_weight: ArrayLike | None = None, folds: ArrayLike | None = None
    ) -> DSARegressor:
        """Fit with this scale's loss in the place of the library's."""
        with patch.object(loop, "shift_loss", self._loss):
            return super().fit(X, Y, sample_weight, folds)


class OnProbabilities(OnPlainLogits):
    """Shifts as differences of probabilities."""

    _loss = staticmethod(probability_shift_loss)
