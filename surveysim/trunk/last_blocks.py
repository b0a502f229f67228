"""The last-block recipe: run a model's trained blocks apart, over trunk states computed once.

A copy of the block is called twice: once until the keys and values of all tokens are known, and once on the last
positions only, which are the ones that predict the answer; only they pay for attention and MLP. All prompts of one
question start with the same tokens: their keys and values are computed once for the question, and read in place.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from surveysim.models.anatomy import Anatomy, UnfitModelError
from surveysim.trunk.block_calls import BlockCall, Stop, hooked, record_calls
from surveysim.trunk.last_position_attention import NAME, LastPositions
from surveysim.trunk.state_batches import StateBatch, additive_mask, pack_states

__all__ = ["BlockCall", "LastBlocks", "StateBatch", "Stop", "hooked", "record_calls"]

_TOLERANCE = 1e-4
"""Largest difference, relative to the largest value, at which two ways through a block count as the same."""


class _Stopper:
    """A cache that keeps the keys and values of all positions and ends the call."""

    keys: Tensor
    values: Tensor

    def update(self, keys: Tensor, values: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        self.keys, self.values = keys, values
        raise Stop

    def get_seq_length(self, *args: Any) -> int:
        return 0


class _Recorder(_Stopper):
    """A cache that keeps the keys and values of all positions and lets the call go on."""

    def update(self, keys: Tensor, values: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        self.keys, self.values = keys, values
        return keys, values


class _Fixed:
    """A cache that answers with given keys and values, whatever the call computed for its own tokens."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        self.keys, self.values = keys, values

    def update(self, keys: Tensor, values: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        return self.keys, self.values

    def get_seq_length(self, *args: Any) -> int:
        return self.keys.shape[-2]


class _Extended(_Fixed):
    """A cache that puts given keys and values before those of the call's own tokens."""

    def update(self, keys: Tensor, values: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        return torch.cat([self.keys, keys], dim=-2), torch.cat([self.values, values], dim=-2)


class LastBlocks(nn.Module):
    """A trainable copy of a model's last blocks and final norm; the model itself is never touched.

    The last block is called in two ways that avoid work: with an attention that reads shared beginnings in place
    (`last_position_attention`), and without the projections that keys and values do not depend on. Whether both
    are the same as the block's own way is found out by comparison on first use; where they are not (attention sinks,
    say), the block's own attention is given keys and values of every prompt, padded.

    Parameters
    ----------
    anatomy : Anatomy
        The model's parts.
    n_blocks : int
        How many of the last blocks are copied.
    dtype : torch.dtype
        The copy's type; float32 for training.
    """

    def __init__(self, anatomy: Anatomy, n_blocks: int, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([copy.deepcopy(block) for block in anatomy.blocks[-n_blocks:]]).to(dtype)
        self.norm = copy.deepcopy(anatomy.norm).to(dtype)
        self.requires_grad_(True)
        self.eval()  # no dropout: the objective is deterministic given the batch order
        self._in_place: bool | None = None
        self._unused: tuple[nn.Linear, ...] = ()

    def forward(self, batch: StateBatch) -> Tensor:
        """Normed hidden states (B, D) at the last position of each prompt."""
        if self._in_place is None:
            self._choose(batch.calls[-1], batch.states.shape[-1])
        states = batch.states.to(next(self.parameters()).dtype)
        for block, call in zip(self.blocks[:-1], batch.calls[:-1], strict=True):  # type: ignore[arg-type]
            states = _every_position(block, call, batch, states)
        return self.norm(self._last_positions(batch, states))

    def _last_positions(self, batch: StateBatch, states: Tensor) -> Tensor:
        """Hidden states (B, D) that the last block gives at last positions, from its input at all tokens (N, D)."""
        block, call = self.blocks[-1], batch.calls[-1]
        with _skipped(self._unused):
            keys, values = _keys_values(block, call, states, batch.positions)
        hidden, positions = states.index_select(0, batch.last), batch.positions[batch.last]
        mask = batch.last_mask(call.window, states.dtype)
        if self._in_place:
            cache = _Fixed(keys, values)
            return _call(block, call, hidden[None], positions[None], LastPositions(batch, mask), cache)[0]
        of_prompts = batch.keys
        cache = _Fixed(keys[0][:, of_prompts].transpose(0, 1), values[0][:, of_prompts].transpose(0, 1))
        return _call(block, call, hidden[:, None], positions[:, None], mask[:, None, None], cache)[:, 0]

    @torch.no_grad()
    def _choose(self, call: BlockCall, width: int) -> None:
        """Compare the ways through the last block on two short prompts of random states."""
        parameter = next(self.parameters())
        generator = torch.Generator().manual_seed(0)
        states = torch.randn(5, width, generator=generator).to(parameter.dtype)
        batch = pack_states([states[:2]], [states[2:3], states[3:]], [0, 0], [call], parameter.device)
        self._in_place = False
        expected = self._last_positions(batch, batch.states)
        held: list[Any] = [module.config for module in self.blocks[-1].modules() if hasattr(module, "config")]
        configs = list({id(config): config for config in held}.values())
        own = [config._attn_implementation for config in configs]
        try:
            for config in configs:  # the copy's own: no other block sees it
                config._attn_implementation = NAME
            self._unused = _unused_projections(self.blocks[-1], call, batch)
            self._in_place = True
            difference = (self._last_positions(batch, batch.states) - expected).abs().max()
            same = bool(difference <= _TOLERANCE * expected.abs().max())
        except (TypeError, RuntimeError, AttributeError, IndexError, KeyError, ValueError):
            same = False
        if not same:
            self._in_place, self._unused = False, ()
            for config, name in zip(configs, own, strict=True):
                config._attn_implementation = name


def _call(block: nn.Module, call: BlockCall, hidden: Tensor, positions: Tensor, mask: Any, cache: Any) -> Tensor:
    output = block(hidden, **call.at(positions, mask, cache))
    return output[0] if isinstance(output, tuple) else output


def _every_position(block: nn.Module, call: BlockCall, batch: StateBatch, states: Tensor) -> Tensor:
    """A block's output at all tokens (N, D), from its input: prefixes once, then the prompts' own tokens, padded."""
    dtype = states.dtype
    prefix, suffix = states[batch.shared], states[batch.own]
    prefix_positions, suffix_positions = batch.positions[batch.shared], batch.positions[batch.own]
    recorder = _Recorder()
    before: Any = recorder
    if prefix.shape[1]:
        mask = additive_mask(prefix_positions, prefix_positions, batch.shared_exists, call.window, dtype)
        prefix = _call(block, call, prefix, prefix_positions, mask, recorder)
        before = _Extended(_repeated(recorder.keys, batch.group), _repeated(recorder.values, batch.group))
    mask = additive_mask(suffix_positions, batch.positions[batch.keys], batch.keys_exist, call.window, dtype)
    suffix = _call(block, call, suffix, suffix_positions, mask, before)
    return torch.cat([prefix.flatten(0, 1), suffix.flatten(0, 1)]).index_select(0, batch.filled)


def _repeated(part: Tensor, group: Tensor) -> Tensor:
    """Keys or values (Q, ...) of each prompt's prefix; of a single one without a copy."""
    return part.expand(len(group), *part.shape[1:]) if len(part) == 1 else part[group]


def _keys_values(block: nn.Module, call: BlockCall, states: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
    """Keys and values (1, G, N, d) of N tokens; the rest of the block is not run, so the mask does not matter."""
    stopper = _Stopper()
    mask = torch.zeros(1, 1, 1, 1, dtype=states.dtype, device=states.device)
    try:
        _call(block, call, states[None], positions[None], mask, stopper)
    except Stop:
        return stopper.keys, stopper.values
    raise UnfitModelError(f"{type(block).__name__} does not hand its keys and values to a cache")


def _unused_projections(block: nn.Module, call: BlockCall, batch: StateBatch) -> tuple[nn.Linear, ...]:
    """Linear layers on which keys and values do not depend: those of the queries, wherever a family keeps them.

    They hold half to three quarters of what a block does before its attention.
    """
    linear = [module for module in block.modules() if type(module) is nn.Linear]
    with torch.enable_grad():
        keys, values = _keys_values(block, call, batch.states, batch.positions)
        weights = [module.weight for module in linear]
        gradients = torch.autograd.grad(keys.sum() + values.sum(), weights, allow_unused=True)
    return tuple(module for module, gradient in zip(linear, gradients, strict=True) if gradient is None)


@contextmanager
def _skipped(modules: Sequence[nn.Linear]) -> Iterator[None]:
    """Let these layers give zeros that take no memory."""
    for module in modules:
        module.forward = partial(_zeros, module.out_features)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for module in modules:
            del module.forward


def _zeros(width: int, states: Tensor) -> Tensor:
    return states.new_zeros(()).expand(*states.shape[:-1], width)
