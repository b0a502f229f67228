"""How a model calls its blocks: recorded once, so that copies of the blocks can be called in the same way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from surveysim.models.anatomy import Anatomy, UnfitModelError

__all__ = ["BlockCall", "Stop", "hooked", "record_calls"]


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


class Stop(Exception):
    """Ends a forward pass at a block whose input has been captured."""


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
