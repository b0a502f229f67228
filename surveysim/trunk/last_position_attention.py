"""Attention of last positions: each prompt's last token looks at its question's shared beginning and at its own tokens.

The beginning's keys and values are read in place, by one matrix product for all prompts of a question; they are never
copied for every prompt.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from surveysim.trunk.attention import Attention, Rule
from surveysim.trunk.state_batches import StateBatch

__all__ = ["LastPositions"]


@dataclass(frozen=True)
class LastPositions:
    """The way of last positions: whatever keys and values the call brings, these are looked at.

    Attributes
    ----------
    batch : StateBatch
        The prompts.
    key, value : Tensors of shape (1, G, N, d)
        Of all tokens of the batch; each of the G heads serves H / G heads of the queries.
    rule : Rule
        Who sees whom.
    """

    batch: StateBatch
    key: Tensor
    value: Tensor
    rule: Rule

    def __call__(self, asked: Attention, /) -> Tensor:
        """From queries (1, H, B, d) of the last positions to (1, B, H, d)."""
        batch = self.batch
        n_shared = batch.shared.shape[1]
        rows = asked.query[0].unflatten(0, (self.key.shape[1], -1)).transpose(1, 2)  # (G, B, H / G, d)
        products = torch.cat(
            [
                self._from_slots(self._to_slots(rows) @ self._beginnings(self.key).transpose(-1, -2)),
                rows @ self._own(self.key).transpose(-1, -2),
            ],
            dim=-1,
        )  # (G, B, H / G, P + S)
        scores = asked.scores(products, asked.query.shape[-1])
        scores = scores + batch.last_mask(self.rule, scores.dtype)[:, None]
        of_shared, of_own = _weights(scores, asked.scores.sinks).split([n_shared, batch.own.shape[1]], dim=-1)
        seen = self._from_slots(self._to_slots(of_shared) @ self._beginnings(self.value))
        seen = seen + of_own @ self._own(self.value)
        return seen.transpose(0, 1).flatten(1, 2)[None]

    def _beginnings(self, part: Tensor) -> Tensor:
        """Keys or values of the shared beginnings, (G, Q, P, d)."""
        n_prefixes, n_shared = self.batch.shared.shape
        if n_prefixes == 1:  # they lie together: nothing is copied
            return part[0, :, None, :n_shared]
        return part[0].index_select(1, self.batch.shared.flatten()).unflatten(1, (n_prefixes, n_shared))

    def _own(self, part: Tensor) -> Tensor:
        """Keys or values of the prompts' own tokens, (G, B, S, d)."""
        own = self.batch.own
        return part[0].index_select(1, own.flatten()).unflatten(1, tuple(own.shape))

    def _to_slots(self, part: Tensor) -> Tensor:
        """(G, B, H / G, x) as (G, Q, M * H / G, x): the prompts of each beginning together."""
        n_prefixes, n_slots = self.batch.slots.shape
        groups, n_heads = part.shape[0], part.shape[2]
        if n_prefixes > 1:
            part = part.index_select(1, self.batch.slots.flatten())
        return part.reshape(groups, n_prefixes, n_slots * n_heads, part.shape[-1])

    def _from_slots(self, part: Tensor) -> Tensor:
        """The inverse."""
        n_prefixes, n_slots = self.batch.slots.shape
        part = part.reshape(part.shape[0], n_prefixes * n_slots, part.shape[2] // n_slots, part.shape[-1])
        return part if n_prefixes == 1 else part.index_select(1, self.batch.place)


def _weights(scores: Tensor, sinks: Tensor | None) -> Tensor:
    """Softmax of scores (G, B, H / G, keys); a head's sink takes its share and gives nothing."""
    if sinks is None:
        return torch.softmax(scores, dim=-1)
    groups, n_rows, n_heads, _ = scores.shape
    share = sinks.to(scores.dtype).view(groups, 1, n_heads, 1).expand(-1, n_rows, -1, -1)
    return torch.softmax(torch.cat([scores, share], dim=-1), dim=-1)[..., :-1]
