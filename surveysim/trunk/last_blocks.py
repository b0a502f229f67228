"""The last-block recipe: run a model's trained blocks separately, over trunk states computed once.

A copy of the block is called twice: once until the keys and values of all tokens are known, and once on the last
positions only, which are the ones that predict the answer; only they pay for attention and MLP. All prompts of one
question start with the same tokens: their keys and values are computed once for the question, and read in place.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from surveysim.models.anatomy import Anatomy, UnfitModelError
from surveysim.trunk.attention import Attention, KeysAndValues, Stop, attending
from surveysim.trunk.block_calls import BlockCall
from surveysim.trunk.every_position_attention import EveryPosition
from surveysim.trunk.last_position_attention import LastPositions
from surveysim.trunk.state_batches import StateBatch

__all__ = ["LastBlocks", "unread_projections"]


class LastBlocks(nn.Module):
    """A trainable copy of a model's last blocks and final norm; the model itself is never touched.

    Parameters
    ----------
    anatomy : Anatomy
        Of a twin that attends by the library's own function.
    n_blocks : int
        How many of the last blocks are copied.
    unread : sequence of str
        Linear layers of the last block on which keys and values do not depend; see `unread_projections`.
    dtype : torch.dtype
        The copy's type; float32 for training.
    """

    def __init__(
        self, anatomy: Anatomy, n_blocks: int, unread: Sequence[str] = (), dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([copy.deepcopy(block) for block in anatomy.blocks[-n_blocks:]]).to(dtype)
        self.norm = copy.deepcopy(anatomy.norm).to(dtype)
        self.requires_grad_(True)
        self.eval()  # no dropout: the objective is deterministic given the batch order
        self._unread = _Unread([self.blocks[-1].get_submodule(name) for name in unread])

    def forward(self, batch: StateBatch) -> Tensor:
        """Normed hidden states (B, D) at the last position of each prompt."""
        states = batch.states.to(next(self.parameters()).dtype)
        for block, call in zip(self.blocks[:-1], batch.calls[:-1], strict=True):  # type: ignore[arg-type]
            with attending(EveryPosition(batch, call.rule)):
                states = call.at(batch.positions).run(block, states[None])[0]
        return self.norm(self._last_positions(batch, states))

    def _last_positions(self, batch: StateBatch, states: Tensor) -> Tensor:
        """Hidden states (B, D) that the last block gives at last positions, from its input at all tokens (N, D)."""
        block, call = self.blocks[-1], batch.calls[-1]
        with self._unread.of(len(states)):
            asked = keys_and_values(block, call.at(batch.positions), states)
        there = call.at(batch.positions[batch.last])
        with attending(LastPositions(batch, asked.key, asked.value, call.rule)):
            return there.run(block, states.index_select(0, batch.last)[None])[0]


def keys_and_values(block: nn.Module, call: BlockCall, states: Tensor) -> Attention:
    """Keys and values (1, G, N, d) of tokens with these states (N, D); the rest of the block is not run."""
    way = KeysAndValues()
    with attending(way):
        try:
            call.run(block, states[None])
        except Stop:
            assert way.asked is not None
            return way.asked
    raise UnfitModelError(f"{type(block).__name__} does not attend by the library's own function")


def unread_projections(block: nn.Module, call: BlockCall, states: Tensor) -> tuple[str, ...]:
    """Linear layers on which keys and values do not depend: those of the queries, wherever a family keeps them.

    They hold half to three quarters of what a block does before its attention.

    Parameters
    ----------
    block : Module
        A trainable copy of the block.
    call : BlockCall
        How it is called, over at least as many positions.
    states : Tensor of shape (N, D)
        Any states.
    """
    linear = {name: module for name, module in block.named_modules() if isinstance(module, nn.Linear)}
    with torch.enable_grad():
        asked = keys_and_values(block, call.at(torch.arange(len(states), device=states.device)), states)
        weights = [module.weight for module in linear.values()]
        if not weights:
            return ()
        gradients = torch.autograd.grad(asked.key.sum() + asked.value.sum(), weights, allow_unused=True)
    return tuple(name for name, gradient in zip(linear, gradients, strict=True) if gradient is None)


class _Unread:
    """Lets linear layers whose output is not read see one token instead of all.

    Parameters
    ----------
    modules : list of Module
        Hooks are put on them for good; they do nothing outside of `of`.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self._length: int | None = None
        for module in modules:
            module.register_forward_pre_hook(self._shorten)
            module.register_forward_hook(self._lengthen)

    @contextmanager
    def of(self, length: int) -> Iterator[None]:
        """Within this context their output at `length` tokens is not read."""
        self._length = length
        try:
            yield
        finally:
            self._length = None

    def _shorten(self, module: nn.Module, args: tuple[Any, ...]) -> Any:
        return args if self._length is None else (args[0][..., :1, :], *args[1:])

    def _lengthen(self, module: nn.Module, args: Any, output: Tensor) -> Tensor:
        if self._length is None:
            return output
        return output.expand(*output.shape[:-2], self._length, output.shape[-1])
