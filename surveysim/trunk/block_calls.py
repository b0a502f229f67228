"""How a model calls its blocks, captured so that copies can be called in the same way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from surveysim.models.anatomy import Anatomy, UnfitModelError
from surveysim.trunk.attention import MaskRule, Rule, Stop, causal
from surveysim.trunk.twin import states_among

__all__ = ["BlockCall", "capture", "record_calls", "with_its_rule"]


@dataclass(frozen=True)
class BlockCall:
    """What a model passes to a block besides its hidden states, for whole rows of tokens.

    Attributes
    ----------
    states : Tensor of shape (rows, length, D)
        The hidden states.
    args : tuple
        What follows them by place.
    kwargs : dict of str to object
        What comes by name.
    name : str or None
        The states' own name; None: they come first.
    rule : Rule
        Who sees whom in the block, where it attends by the library's own function.
    """

    states: Tensor
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    name: str | None
    rule: Rule = causal

    @property
    def length(self) -> int:
        """Tokens in a row."""
        return int(self.states.shape[1])

    def run(self, block: nn.Module, states: Tensor) -> Tensor:
        """Call a block with other states of the same shape."""
        if self.name is None:
            output = block(states, *self.args, **self.kwargs)
        else:
            output = block(*self.args, **{self.name: states}, **self.kwargs)
        return output[0] if isinstance(output, tuple) else output

    def at(self, positions: Tensor) -> BlockCall:
        """The same call for one row of tokens at `positions` (N,): of whatever has an entry a position, these.

        Only of calls with a single row, over positions 0, 1, ...
        """
        args = tuple(self._select(value, positions) for value in self.args)
        kwargs = {name: self._select(value, positions) for name, value in self.kwargs.items()}
        return BlockCall(self.states, args, kwargs, self.name, self.rule)

    def _select(self, value: Any, positions: Tensor) -> Any:
        if isinstance(value, tuple | list):
            return type(value)(self._select(part, positions) for part in value)
        if isinstance(value, dict):
            return {name: self._select(part, positions) for name, part in value.items()}
        if not isinstance(value, Tensor) or value.ndim == 0:
            return value
        if value.ndim >= 2 and value.shape[0] == 1 and value.shape[1] == self.length:
            return value[:, positions]
        if value.ndim == 1 and value.shape[0] == self.length:
            return value[positions]
        raise UnfitModelError(f"a block receives values of shape {tuple(value.shape)}: not one a position")

    def float(self) -> BlockCall:
        """The same call in float32, in which copies of blocks are trained, and without a graph."""
        return BlockCall(self.states, _to_float32(self.args), _to_float32(self.kwargs), self.name, self.rule)

    @property
    def nbytes(self) -> int:
        """Bytes of what is passed."""
        return _bytes_of((self.args, self.kwargs))


def capture(anatomy: Anatomy, blocks: Sequence[nn.Module], **inputs: Any) -> list[BlockCall]:
    """Run a decoder until it calls the last of `blocks`, and return how it called each of them.

    Parameters
    ----------
    anatomy : Anatomy
        The model's parts; of a twin, since hooks are put on its blocks.
    blocks : sequence of Module
        Some of the model's blocks, in their order.
    **inputs
        What the decoder is called with: ``input_ids`` and more.

    Returns
    -------
    list of BlockCall
    """
    calls: list[BlockCall] = []

    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        calls.append(BlockCall(*states_among(args, dict(kwargs), anatomy.width)))
        if len(calls) == len(blocks):
            raise Stop

    with torch.no_grad(), _hooked(blocks, hook):
        try:
            anatomy.decoder(**inputs, use_cache=False)
        except Stop:
            return calls
    raise UnfitModelError("the trained blocks are not called one after another")


def record_calls(anatomy: Anatomy, n_blocks: int, length: int) -> list[BlockCall]:
    """How a model calls its last `n_blocks` blocks over positions 0..length-1 of one row, in float32.

    Parameters
    ----------
    anatomy : Anatomy
        Of a hollow twin that attends by the library's own function, so that rules stand where masks would.
    n_blocks : int
        How many of the last blocks.
    length : int
        How many positions.
    """
    device = next(anatomy.decoder.parameters()).device
    ids = torch.zeros(1, length, dtype=torch.long, device=device)
    positions = torch.arange(length, device=device)[None]
    calls = capture(anatomy, list(anatomy.blocks[-n_blocks:]), input_ids=ids, position_ids=positions)
    return [with_its_rule(call).float() for call in calls]


def with_its_rule(call: BlockCall) -> BlockCall:
    """The rule is taken out of the arguments: a copy is called with tokens of many rows, to which it does not fit."""
    rules = [value for value in (*call.args, *call.kwargs.values()) if isinstance(value, MaskRule)]
    if len(rules) != 1:
        raise UnfitModelError("a block is not told which positions see which")
    rule = rules[0]
    args = tuple(None if value is rule else value for value in call.args)
    kwargs = {name: None if value is rule else value for name, value in call.kwargs.items()}
    return BlockCall(call.states, args, kwargs, call.name, rule)


@contextmanager
def _hooked(modules: Sequence[nn.Module], hook: Any) -> Iterator[None]:
    handles = [module.register_forward_pre_hook(hook, with_kwargs=True) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _to_float32(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _to_float32(part) for name, part in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_to_float32(part) for part in value)
    if isinstance(value, Tensor) and value.is_floating_point():
        return value.detach().float()
    return value


def _bytes_of(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, tuple | list):
        return sum(map(_bytes_of, value))
    return value.nbytes if isinstance(value, Tensor) else 0
