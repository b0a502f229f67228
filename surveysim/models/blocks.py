"""The last-block recipe: run a model's trained blocks apart, over trunk states computed once.

A forward pre-hook on the first trained block captures its input and stops the pass. A copy of the block is then run in
two calls: one that stops as soon as the keys and values of all positions are known, and one on the last positions only,
which are the ones that predict the answer; only they pay for attention and MLP. All prompts of one question start with
the same tokens, so that this prefix is run once for the question and not once for each background.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from surveysim.models.anatomy import Anatomy, UnfitModelError

__all__ = ["BlockCall", "LastBlocks", "StateBatch", "Stop", "hooked", "record_calls"]


@dataclass(frozen=True)
class BlockCall:
    """How the model calls one block: its keyword arguments over positions 0..length-1, and its attention window."""

    arguments: dict[str, Any]
    length: int
    window: int | None

    def at(self, positions: Tensor, mask: Tensor, cache: Any) -> dict[str, Any]:
        """The keyword arguments for tokens at `positions` (rows, tokens) under an additive `mask`."""
        replaced = {
            "attention_mask": mask,
            "position_ids": positions,
            "past_key_values": cache,
            "use_cache": True,
            "cache_position": positions[0],
        }
        arguments = {}
        for name, value in self.arguments.items():
            arguments[name] = replaced[name] if name in replaced else self._select(name, value, positions)
        arguments.setdefault("past_key_values", cache)
        return arguments

    def _select(self, name: str, value: Any, positions: Tensor) -> Any:
        if isinstance(value, tuple | list):
            return type(value)(self._select(name, part, positions) for part in value)
        if not isinstance(value, Tensor):
            return value
        if value.ndim >= 2 and value.shape[0] == 1 and value.shape[1] == self.length:
            return value[0][positions]
        raise UnfitModelError(
            f"argument {name!r} of the block has shape {tuple(value.shape)}: not one value a position"
        )


@dataclass(frozen=True)
class StateBatch:
    """Inputs of the first trained block for B prompts that share Q prefixes; both parts are padded on the right.

    Attributes
    ----------
    prefix : Tensor of shape (Q, P, D)
        States of the shared beginnings.
    prefix_length : Tensor of shape (Q,)
        Their numbers of tokens.
    suffix : Tensor of shape (B, S, D)
        States of what follows; at least one token each.
    suffix_length : Tensor of shape (B,)
        Their numbers of tokens.
    group : Tensor of shape (B,)
        Which prefix each prompt starts with.
    calls : sequence of BlockCall
        How the model calls each trained block, over at least as many positions.
    """

    prefix: Tensor
    prefix_length: Tensor
    suffix: Tensor
    suffix_length: Tensor
    group: Tensor
    calls: Sequence[BlockCall]

    @property
    def nbytes(self) -> int:
        """Bytes of the padded states."""
        return self.prefix.nbytes + self.suffix.nbytes


class Stop(Exception):
    """Ends a forward pass at a block whose input has been captured."""


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

    def forward(self, batch: StateBatch) -> Tensor:
        """Normed hidden states (B, D) at the last position of each prompt."""
        dtype = next(self.parameters()).dtype
        prefix, suffix = batch.prefix.to(dtype), batch.suffix.to(dtype)
        n_prefix, n_suffix = prefix.shape[1], suffix.shape[1]
        device = suffix.device
        prefix_positions = torch.arange(n_prefix, device=device).expand(len(prefix), -1)
        start = batch.prefix_length[batch.group, None]
        suffix_positions = start + torch.arange(n_suffix, device=device)
        key_positions = torch.cat([prefix_positions[batch.group], suffix_positions], dim=1)
        key_exists = torch.cat(
            [
                prefix_positions[batch.group] < start,
                torch.arange(n_suffix, device=device) < batch.suffix_length[:, None],
            ],
            dim=1,
        )
        rows = torch.arange(len(suffix), device=device)
        *earlier, last = zip(self.blocks, batch.calls, strict=True)
        for block, call in earlier:
            recorder = _Recorder()
            if n_prefix:
                mask = _mask(prefix_positions, prefix_positions, None, call.window, dtype)
                prefix = _call(block, call, prefix, prefix_positions, mask, recorder)
                before: Any = _Extended(recorder.keys[batch.group], recorder.values[batch.group])
            else:
                before = recorder
            mask = _mask(suffix_positions, key_positions, key_exists, call.window, dtype)
            suffix = _call(block, call, suffix, suffix_positions, mask, before)
        block, call = last
        keys, values = _keys_values(block, call, suffix, suffix_positions, dtype)
        if n_prefix:
            shared = _keys_values(block, call, prefix, prefix_positions, dtype)
            keys = torch.cat([shared[0][batch.group], keys], dim=-2)
            values = torch.cat([shared[1][batch.group], values], dim=-2)
        position = suffix_positions.gather(1, batch.suffix_length[:, None] - 1)
        mask = _mask(position, key_positions, key_exists, call.window, dtype)
        hidden = _call(
            block, call, suffix[rows, batch.suffix_length - 1][:, None], position, mask, _Fixed(keys, values)
        )
        return self.norm(hidden[:, 0])


def _call(block: nn.Module, call: BlockCall, hidden: Tensor, positions: Tensor, mask: Tensor, cache: Any) -> Tensor:
    output = block(hidden, **call.at(positions, mask, cache))
    return output[0] if isinstance(output, tuple) else output


def _keys_values(
    block: nn.Module, call: BlockCall, hidden: Tensor, positions: Tensor, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Keys and values of all positions; the rest of the block is not run, so the mask does not matter."""
    stopper = _Stopper()
    mask = torch.zeros(1, 1, 1, 1, dtype=dtype, device=hidden.device)
    try:
        _call(block, call, hidden, positions, mask, stopper)
    except Stop:
        return stopper.keys, stopper.values
    raise UnfitModelError(f"{type(block).__name__} does not hand its keys and values to a cache")


def _mask(
    query_positions: Tensor, key_positions: Tensor, key_exists: Tensor | None, window: int | None, dtype: torch.dtype
) -> Tensor:
    """Additive mask (rows, 1, queries, keys): causal, within the window, on keys that exist."""
    distance = query_positions[:, :, None] - key_positions[:, None, :]
    visible = distance >= 0
    if window is not None:
        visible &= distance < window
    if key_exists is not None:
        visible &= key_exists[:, None, :]
    mask = torch.zeros(visible.shape, dtype=dtype, device=visible.device)
    return mask.masked_fill_(~visible, torch.finfo(dtype).min)[:, None]


@contextmanager
def hooked(modules: Sequence[nn.Module], hook: Any) -> Iterator[None]:
    handles = [module.register_forward_pre_hook(hook, with_kwargs=True) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def record_calls(anatomy: Anatomy, n_blocks: int, length: int) -> list[BlockCall]:
    """How the model calls its last `n_blocks` blocks, for positions 0..length-1 (rotary tables and switches)."""
    trained = list(anatomy.blocks[-n_blocks:])
    calls: list[BlockCall] = []

    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if len(args) > 1 or (not args and "hidden_states" not in kwargs):
            raise UnfitModelError(f"{type(module).__name__} takes positional arguments beside its hidden states")
        arguments = {name: value for name, value in kwargs.items() if name != "hidden_states"}
        window = _attention_window(arguments.get("attention_mask"), length)
        calls.append(BlockCall(_to_float32({**arguments, "attention_mask": None}), length, window))
        if len(calls) == len(trained):
            raise Stop

    device = next(anatomy.decoder.parameters()).device
    ids = torch.zeros(1, length, dtype=torch.long, device=device)
    with torch.no_grad(), hooked(trained, hook):
        try:
            anatomy.decoder(input_ids=ids, use_cache=False)
        except Stop:
            return calls
    raise UnfitModelError("the trained blocks were not called one after another")


def _to_float32(value: Any) -> Any:
    """Tensors of reduced precision as float32, nested in containers or not; the trained copy runs in float32."""
    if isinstance(value, dict):
        return {name: _to_float32(part) for name, part in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_to_float32(part) for part in value)
    if isinstance(value, Tensor) and value.is_floating_point():
        return value.detach().float()
    return value


def _attention_window(mask: Any, length: int) -> int | None:
    """How many positions the last of `length` positions sees, where its block's mask hides some; None if it sees all.

    Families keep the window in different places, but all of them write it into the mask. No mask means plain causal
    attention over `length` positions, and no prompt is longer than that.
    """
    if not isinstance(mask, Tensor):
        return None
    last = mask.reshape(-1, mask.shape[-1])[-1]
    visible = last if last.dtype == torch.bool else last > torch.finfo(last.dtype).min / 2
    count = int(visible.sum())
    return count if count < length else None
