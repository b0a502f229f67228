"""The fall-back where last positions cannot be run alone: whole blocks over trunk states, as the model calls them.

A copy of the block is called at every position with exactly what the model itself hands it. Nothing is asked of a block
beyond that, so that convolutions, linear attention and a family's own attention are trained, too; a question's shared
beginning is run with every prompt.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from surveysim.models.anatomy import Anatomy
from surveysim.trunk.block_calls import BlockCall, capture

__all__ = ["WholeBatch", "WholeBlocks", "pad_states", "read_at_last_positions"]


@dataclass(frozen=True)
class WholeBatch:
    """Inputs of the first trained block for B prompts, padded on the right.

    Attributes
    ----------
    states : Tensor of shape (B, T, D)
    last : int Tensor of shape (B,)
        Each prompt's last position.
    calls : list of BlockCall
        What the model hands to each trained block for these prompts.
    """

    states: Tensor
    last: Tensor
    calls: list[BlockCall]

    @property
    def nbytes(self) -> int:
        """Bytes of the padded part."""
        return self.states.nbytes + sum(call.nbytes for call in self.calls)


class WholeBlocks(nn.Module):
    """A trainable copy of a model's last blocks and final norm, run at every position.

    Parameters
    ----------
    anatomy : Anatomy
        Of a twin that attends as the model does.
    n_blocks : int
        How many of the last blocks are copied.
    read_last : sequence of str
        Parts of the last block of which only the last position is read; see `read_at_last_positions`.
    """

    def __init__(self, anatomy: Anatomy, n_blocks: int, read_last: Sequence[str] = ()) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([copy.deepcopy(block) for block in anatomy.blocks[-n_blocks:]]).float()
        self.norm = copy.deepcopy(anatomy.norm).float()
        self.requires_grad_(True)
        self.eval()
        self._last_only = _LastOnly([self.blocks[-1].get_submodule(name) for name in read_last])

    def forward(self, batch: WholeBatch) -> Tensor:
        """Normed hidden states (B, D) at the last position of each prompt."""
        states = batch.states.float()
        for block, call in zip(self.blocks[:-1], batch.calls[:-1], strict=True):  # type: ignore[arg-type]
            states = call.run(block, states)
        with self._last_only.at(batch.last):
            states = batch.calls[-1].run(self.blocks[-1], states)
        rows = torch.arange(len(states), device=states.device)
        return self.norm(states[rows, batch.last])


def read_at_last_positions(block: nn.Module, call: BlockCall, states: Tensor) -> tuple[str, ...]:
    """Parts of a block whose output at earlier positions does not reach the block's output at the last one.

    Queries, what follows attention, the feed-forward part: most of a block's work. Only parts that treat every position
    by itself count, the largest such parts alone.

    Parameters
    ----------
    block : Module
        A trainable copy of the block.
    call : BlockCall
        How it is called with one row of T positions.
    states : Tensor of shape (1, T, D)
        Any states.
    """
    seen: dict[str, tuple[Tensor, Tensor, Tensor]] = {}

    def note(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            if len(args) == 1 and not kwargs and all(map(shaped, (args[0], output))):
                # Copies: a block may go on to add to what a part gave.
                seen[name] = output, args[0].detach().clone(), output.detach().clone()

        return hook

    def shaped(value: Any) -> bool:
        return isinstance(value, Tensor) and value.ndim >= 3 and value.shape[:2] == states.shape[:2]

    parts = {name: module for name, module in block.named_modules() if name}
    handles = [module.register_forward_hook(note(name), with_kwargs=True) for name, module in parts.items()]
    with torch.enable_grad():
        last = call.run(block, states)[0, -1]
        # Not a plain sum, of which a norm may leave nothing.
        wanted = (last * torch.linspace(0.5, 1.5, len(last), device=last.device)).sum()
    for handle in handles:
        handle.remove()
    outputs = {name: output for name, (output, *_) in seen.items() if output.requires_grad}
    if not outputs:
        return ()
    gradients = torch.autograd.grad(wanted, list(outputs.values()), allow_unused=True)
    unread = [
        name
        for name, gradient in zip(outputs, gradients, strict=True)
        if gradient is not None and not gradient[0, :-1].any() and _is_by_position(parts[name], *seen[name][1:])
    ]
    return tuple(name for name in unread if not any(name.startswith(f"{other}.") for other in unread))


@torch.no_grad()
def _is_by_position(module: nn.Module, given: Tensor, output: Tensor) -> bool:
    alone = module(given[:, -1:])
    return _has_the_form(alone, output) and torch.allclose(alone, output[:, -1:], rtol=1e-4, atol=1e-5)


def _has_the_form(alone: Any, output: Tensor) -> bool:
    """Whether a part's answer for one position has the form of its answer for all."""
    return isinstance(alone, Tensor) and alone.shape == output[:, -1:].shape


class _LastOnly:
    """Lets parts of a block see each prompt's last position alone; elsewhere they give zeros.

    Parameters
    ----------
    modules : sequence of Module
        Hooks are put on them for good; they do nothing outside of `at`.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self._last: Tensor | None = None
        self._length = 0
        for module in modules:
            module.register_forward_pre_hook(self._gather)
            module.register_forward_hook(self._scatter)

    @contextmanager
    def at(self, last: Tensor) -> Iterator[None]:
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


def pad_states(
    hollow: Anatomy, n_blocks: int, prompts: Sequence[Sequence[int]], states: Sequence[Tensor], device: torch.device
) -> WholeBatch:
    """Trunk states of whole prompts as one padded batch.

    Parameters
    ----------
    hollow : Anatomy
        Of a hollow twin that attends as the model does: says what the blocks are handed.
    n_blocks : int
        How many of the last blocks are trained.
    prompts : sequence of sequences of int
        Token ids.
    states : sequence of Tensor of shape (T_i, D)
        The first trained block's input.
    device : torch.device
        Where the trained blocks are.
    """
    rows = [torch.tensor(list(prompt), dtype=torch.long) for prompt in prompts]
    lengths = torch.tensor([len(row) for row in rows])
    ids = nn.utils.rnn.pad_sequence(rows, batch_first=True)
    trained = list(hollow.blocks[-n_blocks:])
    # Without a mask of what is padding: nothing looks ahead, and attention that is causal alone is quicker.
    calls = capture(hollow, trained, input_ids=ids.to(device))
    return WholeBatch(
        states=nn.utils.rnn.pad_sequence(list(states), batch_first=True).to(device),
        last=(lengths - 1).to(device),
        calls=[call.float() for call in calls],
    )
