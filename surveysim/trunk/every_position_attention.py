"""Attention at every position of a batch of prompts that share beginnings, for trained blocks before the last."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from surveysim.trunk.attention import Attention, Rule, weights_of
from surveysim.trunk.state_batches import StateBatch

__all__ = ["EveryPosition"]


@dataclass(frozen=True)
class EveryPosition:
    """The way of all tokens: beginnings attend to themselves once, own tokens to their beginning and to themselves.

    Attributes
    ----------
    batch : StateBatch
        The prompts.
    rule : Rule
        Who sees whom.
    """

    batch: StateBatch
    rule: Rule

    def __call__(self, asked: Attention, /) -> Tensor:
        """From queries, keys and values (1, ., N, d) of all tokens to (1, N, H, d)."""
        batch = self.batch
        shared, own = batch.every_masks(self.rule, asked.query.dtype)
        parts = [self._attend(asked, batch.own, batch.keys, own)]
        if batch.shared.shape[1]:
            parts.insert(0, self._attend(asked, batch.shared, batch.shared, shared))
        return torch.cat(parts).index_select(0, batch.filled)[None]

    @staticmethod
    def _attend(asked: Attention, queries: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
        """Attention of the tokens at `queries` (R, S) to those at `keys` (R, K), (R * S, H, d)."""
        query = asked.query[0][:, queries].transpose(0, 1)  # (R, H, S, d)
        key, value = (part[0][:, keys].transpose(0, 1) for part in (asked.key, asked.value))
        repeats = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(repeats, 1), value.repeat_interleave(repeats, 1)
        scores = asked.scores(query @ key.transpose(-1, -2), query.shape[-1]) + mask
        return (weights_of(scores, asked.scores.sinks) @ value).transpose(1, 2).flatten(0, 1)
