"""Trunk states of prompts that share beginnings, packed token after token, and where each prompt finds its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from surveysim.trunk.attention import Rule
from surveysim.trunk.block_calls import BlockCall

__all__ = ["StateBatch", "pack_states"]


@dataclass(frozen=True)
class StateBatch:
    """Inputs of the first trained block for B prompts that share Q prefixes, N tokens in all.

    The tokens lie one after another: all prefixes, then what follows them in each prompt. Nothing is padded and a
    prefix is there once. Where a prompt's tokens are is worked out once, since it stays the same in every epoch.

    Attributes
    ----------
    states : Tensor of shape (N, D)
        The tokens' states.
    positions : int Tensor of shape (N,)
        Their positions within their prompts.
    group : int Tensor of shape (B,)
        Which prefix each prompt starts with.
    last : int Tensor of shape (B,)
        Where each prompt's last token is.
    shared, shared_exists : int and bool Tensors of shape (Q, P)
        Where the tokens of each prefix are, padded on the right with a token of its own, or any.
    own, own_exists : int and bool Tensors of shape (B, S)
        Where the tokens that follow the prefix are, padded on the right with the last of them.
    slots : int Tensor of shape (Q, M)
        The prompts of each prefix, padded on the right with any.
    place : int Tensor of shape (B,)
        Where each prompt is among the Q x M slots.
    filled : int Tensor of shape (N,)
        Where each token is among the Q x P places of `shared`, followed by the B x S of `own`.
    calls : sequence of BlockCall
        How the model calls each trained block, over at least as many positions.
    """

    states: Tensor
    positions: Tensor
    group: Tensor
    last: Tensor
    shared: Tensor
    shared_exists: Tensor
    own: Tensor
    own_exists: Tensor
    slots: Tensor
    place: Tensor
    filled: Tensor
    calls: Sequence[BlockCall]
    _masks: dict[Any, Tensor]

    @property
    def nbytes(self) -> int:
        """Bytes of the states and of where they are."""
        return sum(part.nbytes for part in vars(self).values() if isinstance(part, Tensor))

    @property
    def keys(self) -> Tensor:
        """Where the tokens of each prompt are, its prefix first, (B, P + S)."""
        return torch.cat([self.shared[self.group], self.own], dim=1)

    @property
    def keys_exist(self) -> Tensor:
        """Which of `keys` are tokens of the prompt rather than padding, (B, P + S)."""
        return torch.cat([self.shared_exists[self.group], self.own_exists], dim=1)

    def last_mask(self, rule: Rule, dtype: torch.dtype) -> Tensor:
        """Additive mask (B, P + S) of what the last position of each prompt sees; made once, kept."""
        key = ("last", rule, dtype)
        if key not in self._masks:
            last = self.positions[self.last][:, None]
            self._masks[key] = _additive(rule(last, self.positions[self.keys]), self.keys_exist, dtype)[:, 0]
        return self._masks[key]

    def every_masks(self, rule: Rule, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Additive masks of what every token sees: of the beginnings (Q, 1, P, P), of the own (B, 1, S, P + S)."""
        shared_key, own_key = ("shared", rule, dtype), ("own", rule, dtype)
        if own_key not in self._masks:
            shared, own, keys = (self.positions[places] for places in (self.shared, self.own, self.keys))
            self._masks[shared_key] = _additive(rule(shared, shared), self.shared_exists, dtype)[:, None]
            self._masks[own_key] = _additive(rule(own, keys), self.keys_exist, dtype)[:, None]
        return self._masks[shared_key], self._masks[own_key]


def _additive(seen: Tensor, exists: Tensor, dtype: torch.dtype) -> Tensor:
    """Additive mask (rows, queries, keys) of keys that are seen and exist."""
    mask = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
    return mask.masked_fill_(~(seen & exists[:, None, :]), torch.finfo(dtype).min)


def pack_states(
    prefixes: Sequence[Tensor],
    suffixes: Sequence[Tensor],
    group: Sequence[int],
    calls: Sequence[BlockCall],
    device: torch.device,
) -> StateBatch:
    """Trunk states of prompts as one batch on `device`.

    Parameters
    ----------
    prefixes : sequence of Q Tensors of shape (P_q, D)
        States of the shared beginnings; may be empty.
    suffixes : sequence of B Tensors of shape (S_b, D)
        States of what follows in each prompt; at least one token each.
    group : sequence of B int
        Which prefix each prompt starts with.
    calls : sequence of BlockCall
        How the model calls each trained block, over at least as many positions.
    device : torch.device
        Where the trained blocks are.
    """
    prefix_length = np.array([len(states) for states in prefixes])
    suffix_length = np.array([len(states) for states in suffixes])
    groups = np.asarray(group, dtype=np.int64)
    begins = np.cumsum(np.concatenate([prefix_length, suffix_length])) - np.concatenate([prefix_length, suffix_length])
    shared, shared_exists = _places(begins[: len(prefixes)], prefix_length)
    own, own_exists = _places(begins[len(prefixes) :], suffix_length)
    first = np.concatenate([np.zeros_like(prefix_length), prefix_length[groups]])  # position of each part's first token
    lengths = np.concatenate([prefix_length, suffix_length])
    positions = np.arange(lengths.sum()) + np.repeat(first - begins, lengths)
    members = [np.flatnonzero(groups == g) for g in range(len(prefixes))]
    slots = np.zeros((len(prefixes), max(map(len, members))), dtype=np.int64)
    place = np.zeros(len(groups), dtype=np.int64)
    for g, rows in enumerate(members):
        slots[g, : len(rows)] = rows
        place[rows] = g * slots.shape[1] + np.arange(len(rows))

    def there(values: np.ndarray) -> Tensor:
        return torch.as_tensor(values, device=device)

    return StateBatch(
        states=torch.cat([*prefixes, *suffixes]).to(device),
        positions=there(positions),
        group=there(groups),
        last=there(own[np.arange(len(own)), suffix_length - 1]),
        shared=there(shared),
        shared_exists=there(shared_exists),
        own=there(own),
        own_exists=there(own_exists),
        slots=there(slots),
        place=there(place),
        filled=there(np.flatnonzero(np.concatenate([shared_exists.ravel(), own_exists.ravel()]))),
        calls=calls,
        _masks={},
    )


def _places(begins: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the tokens of each part are, padded on the right with the last of them, and which are no padding."""
    steps = np.arange(lengths.max(initial=0))
    exists = steps < lengths[:, None]
    places = begins[:, None] + np.minimum(steps, np.maximum(lengths - 1, 0)[:, None])
    return np.where(lengths[:, None] > 0, places, 0), exists
