"""Parts of whole blocks that need not be run at every position of every prompt.

Most of a block treats each position by itself: norms, projections, the feed-forward part. Such a part gives the same
for all prompts up to where they differ, and is run there once; what the output at the last position needs of the last
position alone is run there alone. Which parts these are is told by their answers and by gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from surveysim.trunk.block_calls import BlockCall

__all__ = ["AtLast", "Beginnings", "OncePerBeginning", "Parts", "distinct_beginnings", "find_parts", "read_from"]


@dataclass(frozen=True)
class Parts:
    """Names of parts, within the list of trained blocks.

    Attributes
    ----------
    at_last : tuple of str
        Of the last block, those whose output at earlier positions does not reach the block's output at the last one:
        queries, what follows attention, the feed-forward part.
    once : tuple of str
        Other parts that treat every position by itself: keys and values, norms, blocks' feed-forward parts.
    """

    at_last: tuple[str, ...] = ()
    once: tuple[str, ...] = ()


def find_parts(blocks: nn.ModuleList, calls: Sequence[BlockCall], states: Tensor) -> Parts:
    """Which parts of trainable copies of blocks need not be run everywhere, the largest such parts alone.

    Parameters
    ----------
    blocks : ModuleList
        The copies.
    calls : sequence of BlockCall
        How each of them is called with one row of T positions.
    states : Tensor of shape (1, T, D)
        Any states.
    """
    at_last: list[str] = []
    once: list[str] = []
    for number, (block, call) in enumerate(zip(blocks, calls, strict=True)):
        states, parts = _run(block, call, states)
        names = [name for name, part in parts.items() if part.by_position(block.get_submodule(name))]
        if number == len(blocks) - 1:
            unread = _largest(_unread(states, {name: parts[name].output for name in names}))
            at_last = [f"{number}.{name}" for name in unread]
            names = [name for name in names if not any(f"{name}.".startswith(f"{other}.") for other in unread)]
            names = [name for name in names if not any(other.startswith(f"{name}.") for other in unread)]
        with_weights = [name for name in names if any(True for _ in block.get_submodule(name).parameters())]
        once += [f"{number}.{name}" for name in _largest(with_weights)]
    return Parts(tuple(at_last), tuple(once))


@dataclass(frozen=True)
class _Part:
    """What a part was given and what it gave; copies, since a block may go on to add to it, and its output's node."""

    given: Tensor
    gave: Tensor
    output: Tensor

    @torch.no_grad()
    def by_position(self, module: nn.Module) -> bool:
        """Whether it gives the same for positions in another order, repeated, or alone."""
        length = self.given.shape[1]
        for places in ([*reversed(range(length)), 0], [length - 1]):
            expected = self.gave[:, places]
            found = module(self.given[:, places])
            if not (isinstance(found, Tensor) and found.shape == expected.shape):
                return False
            if not torch.allclose(found, expected, rtol=1e-4, atol=1e-5):
                return False
        return True


def _run(block: nn.Module, call: BlockCall, states: Tensor) -> tuple[Tensor, dict[str, _Part]]:
    """A block's output, and the record of its parts that were called once, with one value at each position."""
    parts: dict[str, _Part] = {}
    more: set[str] = set()

    def shaped(value: Any) -> bool:
        return isinstance(value, Tensor) and value.ndim >= 3 and value.shape[:2] == states.shape[:2]

    def note(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            if name in parts or len(args) != 1 or kwargs or not all(map(shaped, (args[0], output))):
                more.add(name)
            else:
                parts[name] = _Part(args[0].detach().clone(), output.detach().clone(), output)

        return hook

    named = [(name, module) for name, module in block.named_modules() if name]
    handles = [module.register_forward_hook(note(name), with_kwargs=True) for name, module in named]
    try:
        with torch.enable_grad():
            found = call.run(block, states)
    finally:
        for handle in handles:
            handle.remove()
    return found, {name: part for name, part in parts.items() if name not in more}


def _unread(states: Tensor, outputs: dict[str, Tensor]) -> list[str]:
    """Parts of whose outputs a block's output (1, T, D) at the last position depends on the last one alone."""
    outputs = {name: output for name, output in outputs.items() if output.requires_grad}
    if not outputs:
        return []
    gradients = torch.autograd.grad(read_from(states), list(outputs.values()), allow_unused=True)
    found = zip(outputs, gradients, strict=True)
    return [name for name, gradient in found if gradient is not None and not gradient[0, :-1].any()]


def read_from(states: Tensor) -> Tensor:
    """A number that depends on all of a block's output (1, T, D) at the last position."""
    with torch.enable_grad():
        last = states[0, -1]
        # Not a plain sum, of which a norm may leave nothing.
        return (last * torch.linspace(0.5, 1.5, len(last), device=last.device)).sum()


def _largest(names: Sequence[str]) -> list[str]:
    """The parts that are not within other parts."""
    return [name for name in names if not any(name.startswith(f"{other}.") for other in names)]


@dataclass(frozen=True)
class Beginnings:
    """The distinct beginnings of the prompts of a batch, (B, T) tokens in all, N of them distinct.

    Attributes
    ----------
    first : int Tensor of shape (N,)
        Where each first ends, among the B x T positions.
    which : int Tensor of shape (B * T,)
        Which one ends at each position.
    """

    first: Tensor
    which: Tensor


def distinct_beginnings(ids: Tensor, lengths: Tensor) -> Beginnings:
    """Find positions with the same tokens up to and with them: what does not look ahead gives the same there.

    Parameters
    ----------
    ids : int Tensor of shape (B, T)
        Token ids, padded on the right.
    lengths : int Tensor of shape (B,)
        Tokens of each prompt; what is padding is like no token.
    """
    exists = torch.arange(ids.shape[1]) < lengths[:, None]
    tokens = torch.where(exists, ids.cpu(), -1).numpy()
    which = np.empty(tokens.shape, dtype=np.int64)
    before = np.zeros(len(tokens), dtype=np.int64)
    n = 0
    for position in range(tokens.shape[1]):
        pairs = np.stack([before, tokens[:, position]], axis=1)
        before = np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1)
        which[:, position] = n + before
        n += int(before.max()) + 1
    _, first = np.unique(which, return_index=True)
    return Beginnings(torch.from_numpy(first), torch.from_numpy(which.ravel()))


class OncePerBeginning:
    """Lets parts of blocks see each distinct beginning of the prompts once, and gives the result to all prompts.

    Parameters
    ----------
    modules : sequence of Module
        Hooks are put on them for good; they do nothing outside of `of`.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self._beginnings: Beginnings | None = None
        self._shape = torch.Size()
        for module in modules:
            module.register_forward_pre_hook(self._gather)
            module.register_forward_hook(self._spread)

    @contextmanager
    def of(self, beginnings: Beginnings) -> Iterator[None]:
        """Within this context parts are called with states (B, T, ...) of these prompts."""
        self._beginnings = beginnings
        try:
            yield
        finally:
            self._beginnings = None

    def _gather(self, module: nn.Module, args: tuple[Any, ...]) -> Any:
        if self._beginnings is None:
            return args
        self._shape = args[0].shape[:2]
        return (args[0].flatten(0, 1).index_select(0, self._beginnings.first)[None], *args[1:])

    def _spread(self, module: nn.Module, args: Any, output: Tensor) -> Tensor:
        if self._beginnings is None:
            return output
        return output[0].index_select(0, self._beginnings.which).unflatten(0, self._shape)


class AtLast:
    """Lets parts of a block see each prompt's last position alone; elsewhere they give zeros.

    Parameters
    ----------
    modules : sequence of Module
        Hooks are put on them for good; they do nothing outside of `of`.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self._last: Tensor | None = None
        self._length = 0
        for module in modules:
            module.register_forward_pre_hook(self._gather)
            module.register_forward_hook(self._scatter)

    @contextmanager
    def of(self, last: Tensor) -> Iterator[None]:
        """Within this context only positions `last` (B,) are read."""
        self._last = last
        try:
            yield
        finally:
            self._last = None

    def _gather(self, module: nn.Module, args: tuple[Any, ...]) -> Any:
        if self._last is None:
            return args
        states = args[0]
        self._length = states.shape[1]
        return (states[torch.arange(len(states), device=states.device), self._last][:, None], *args[1:])

    def _scatter(self, module: nn.Module, args: Any, output: Tensor) -> Tensor:
        if self._last is None:
            return output
        every = output.new_zeros(len(output), self._length, *output.shape[2:])
        rows = torch.arange(len(output), device=output.device)
        return every.index_put((rows, self._last), output[:, 0])
