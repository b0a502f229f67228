"""Attention of last positions: each prompt's last token looks at its question's shared beginning and at its own tokens.

The beginning's keys and values are read in place, by one matrix product for all prompts of a question; they are never
copied for every prompt. transformers calls `attention` by its name, as it would any attention of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface

from surveysim.trunk.state_batches import StateBatch

__all__ = ["NAME", "LastPositions", "attention"]

NAME = "surveysim_last_positions"


@dataclass(frozen=True)
class LastPositions:
    """What stands in the place of a mask: where each prompt's keys are, and which of them its last token sees.

    Attributes
    ----------
    batch : StateBatch
        The prompts.
    mask : Tensor of shape (B, P + S)
        Additive; see `StateBatch.last_mask`.
    """

    batch: StateBatch
    mask: Tensor


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: LastPositions,
    scaling: float | None = None,
    dropout: float = 0.0,
    softcap: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attend from the last position of each prompt; the signature is transformers'.

    Parameters
    ----------
    module : Module
        Not read.
    query : Tensor of shape (1, H, B, d)
        Of the last positions.
    key, value : Tensors of shape (1, G, N, d)
        Of all tokens of the batch; each of the G heads serves H / G heads of the queries.
    attention_mask : LastPositions
        Which of them are whose.
    scaling : float, optional
        Of the scores; None: one over the square root of d.
    dropout : float
        Not used: the copies are never in training mode.
    softcap : float, optional
        The scores are ``softcap * tanh(scores / softcap)`` (Gemma 2).
    **kwargs
        What says nothing more (the window is in the mask). Whatever else a family's attention does is noticed where
        results are compared, see `LastBlocks`.

    Returns
    -------
    output : Tensor of shape (1, B, H, d)
    None
        Where transformers looks for weights.
    """
    batch, mask = attention_mask.batch, attention_mask.mask
    n_prefixes, n_shared = batch.shared.shape
    n_rows, n_own = batch.own.shape
    n_groups = key.shape[1]
    rows = query[0].unflatten(0, (n_groups, -1)).transpose(1, 2)  # (G, B, H / G, d)
    n_heads = rows.shape[2]

    def beginnings(part: Tensor) -> Tensor:
        """Keys or values of the shared beginnings, (G, Q, P, d)."""
        if n_prefixes == 1:  # they lie together: nothing is copied
            return part[0, :, None, :n_shared]
        return part[0].index_select(1, batch.shared.flatten()).unflatten(1, (n_prefixes, n_shared))

    def to_slots(part: Tensor) -> Tensor:
        """(G, B, H / G, x) as (G, Q, M * H / G, x): the prompts of each beginning together."""
        if n_prefixes > 1:
            part = part.index_select(1, batch.slots.flatten())
        return part.reshape(n_groups, n_prefixes, batch.slots.shape[1] * n_heads, part.shape[-1])

    def from_slots(part: Tensor) -> Tensor:
        """The inverse."""
        part = part.reshape(n_groups, batch.slots.numel(), n_heads, part.shape[-1])
        return part if n_prefixes == 1 else part.index_select(1, batch.place)

    def own(part: Tensor) -> Tensor:
        """Keys or values of the prompts' own tokens, (G, B, S, d)."""
        return part[0].index_select(1, batch.own.flatten()).unflatten(1, (n_rows, n_own))

    scores = torch.cat(
        [
            from_slots(to_slots(rows) @ beginnings(key).transpose(-1, -2)),
            rows @ own(key).transpose(-1, -2),
        ],
        dim=-1,
    )  # (G, B, H / G, P + S)
    scores = scores * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    weights = torch.softmax(scores + mask[:, None], dim=-1)
    of_shared, of_own = weights.split([n_shared, n_own], dim=-1)
    seen = from_slots(to_slots(of_shared) @ beginnings(value)) + of_own @ own(value)
    return seen.transpose(0, 1).flatten(1, 2)[None], None


AttentionInterface.register(NAME, attention)
