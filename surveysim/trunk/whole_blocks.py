"""The fall-back if last positions cannot be run alone: whole blocks over trunk states, as the model calls them.

A copy of the block is called at every position with exactly what the model itself hands it. Nothing is asked of a block
beyond that, so that convolutions, linear attention and a family's own attention are trained, too. What it does with
each position by itself is done once for all prompts that begin alike (`block_parts`), and attention that can be told so
looks from last positions alone; the rest is run for every prompt.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from surveysim.models.anatomy import Anatomy
from surveysim.trunk.attention import Attention, Rule, attend, attending, weights_of
from surveysim.trunk.block_calls import BlockCall, capture, with_its_rule
from surveysim.trunk.block_parts import (
    AtLast,
    Beginnings,
    OncePerBeginning,
    Parts,
    distinct_beginnings,
    find_parts,
    read_from,
)

__all__ = ["LastOfRows", "WholeBatch", "WholeBlocks", "attends_for_last", "pad_states"]


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
    beginnings : Beginnings
        Which positions of which prompts have the same tokens up to there.
    """

    states: Tensor
    last: Tensor
    calls: list[BlockCall]
    beginnings: Beginnings

    @property
    def nbytes(self) -> int:
        """Bytes of the padded part."""
        return self.states.nbytes + self.beginnings.which.nbytes + sum(call.nbytes for call in self.calls)


class WholeBlocks(nn.Module):
    """A trainable copy of a model's last blocks and final norm, run at every position.

    Parameters
    ----------
    anatomy : Anatomy
        Of a twin that attends as the model does.
    n_blocks : int
        How many of the last blocks are copied.
    parts : Parts, optional
        What need not be run at every position of every prompt; None: everything is run everywhere.
    last : Anatomy, optional
        Of a twin that attends by the library's own function, which then looks from last positions alone; the last block
        is copied from there.
    """

    def __init__(
        self, anatomy: Anatomy, n_blocks: int, parts: Parts | None = None, last: Anatomy | None = None
    ) -> None:
        super().__init__()
        parts = parts or Parts()
        blocks = [*anatomy.blocks[-n_blocks:-1], (last or anatomy).blocks[-1]]
        self.blocks = nn.ModuleList([copy.deepcopy(block) for block in blocks]).float()
        self.norm = copy.deepcopy(anatomy.norm).float()
        self.requires_grad_(True)
        self.eval()
        self._at_last = AtLast([self.blocks.get_submodule(name) for name in parts.at_last])
        self._once = OncePerBeginning([self.blocks.get_submodule(name) for name in parts.once])

    def forward(self, batch: WholeBatch) -> Tensor:
        """Normed hidden states (B, D) at the last position of each prompt."""
        states = batch.states.float()
        with self._once.of(batch.beginnings):
            for block, call in zip(self.blocks[:-1], batch.calls[:-1], strict=True):  # type: ignore[arg-type]
                states = call.run(block, states)
            with self._at_last.of(batch.last), attending(LastOfRows(batch.last, batch.calls[-1].rule)):
                states = batch.calls[-1].run(self.blocks[-1], states)
        rows = torch.arange(len(states), device=states.device)
        return self.norm(states[rows, batch.last])

    def find_parts(self, hollow: Anatomy, states: Tensor) -> Parts:
        """The parts that need not be run everywhere.

        Parameters
        ----------
        hollow : Anatomy
            Of a hollow twin that attends as the model does.
        states : Tensor of shape (T, D)
            Any states.
        """
        ids = torch.zeros(1, len(states), dtype=torch.long, device=states.device)
        calls = capture(hollow, list(hollow.blocks[-len(self.blocks) :]), input_ids=ids)
        return find_parts(self.blocks, [call.float() for call in calls], states[None])


@dataclass(frozen=True)
class LastOfRows:
    """The way of padded rows of which only one position each is read: it alone looks at its row.

    Attributes
    ----------
    last : int Tensor of shape (R,)
        That position.
    rule : Rule
        Who sees whom.
    """

    last: Tensor
    rule: Rule

    def __call__(self, asked: Attention, /) -> Tensor:
        """From queries, keys and values (R, ., T, d) to (R, T, H, d), zero elsewhere."""
        n_rows, heads, length, size = asked.query.shape
        rows = torch.arange(n_rows, device=asked.query.device)
        query = asked.query[rows, :, self.last].unflatten(1, (asked.key.shape[1], -1))  # (R, G, H / G, d)
        seen = self.rule(self.last[:, None], torch.arange(length, device=rows.device))  # (R, 1, T)
        scores = asked.scores(query @ asked.key.transpose(-1, -2), size).masked_fill(~seen[:, None], float("-inf"))
        weights = weights_of(scores.flatten(1, 2)[:, :, None], asked.scores.sinks).view_as(scores)
        found = (weights @ asked.value).flatten(1, 2)
        every = found.new_zeros(n_rows, length, heads, found.shape[-1])
        return every.index_put((rows, self.last), found)


def attends_for_last(block: nn.Module, call: BlockCall, states: Tensor) -> bool:
    """Whether a block attends by the library's own function, and the last position reads its own part of it alone.

    Parameters
    ----------
    block : Module
        A trainable copy of the block.
    call : BlockCall
        How it is called with one row of T positions.
    states : Tensor of shape (1, T, D)
        Any states.
    """
    outputs: list[Tensor] = []

    def way(asked: Attention) -> Tensor:
        outputs.append(attend(asked, call.rule))
        return outputs[-1]

    with torch.enable_grad(), attending(way):
        found = read_from(call.run(block, states))
        if len(outputs) != 1:
            return False
        (gradient,) = torch.autograd.grad(found, outputs, allow_unused=True)
    return gradient is not None and not gradient[0, :-1].any()


def pad_states(
    hollow: Anatomy,
    n_blocks: int,
    prompts: Sequence[Sequence[int]],
    states: Sequence[Tensor],
    device: torch.device,
    last: Anatomy | None = None,
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
    last : Anatomy, optional
        Of a hollow twin that attends by the library's own function, where the last block does.
    """
    rows = [torch.tensor(list(prompt), dtype=torch.long) for prompt in prompts]
    lengths = torch.tensor([len(row) for row in rows])
    ids = nn.utils.rnn.pad_sequence(rows, batch_first=True)
    trained = list(hollow.blocks[-n_blocks:])
    # Without a mask of what is padding: nothing looks ahead, and attention that is causal alone is quicker.
    calls = capture(hollow, trained, input_ids=ids.to(device))
    if last is not None:
        calls[-1:] = [with_its_rule(call) for call in capture(last, [last.blocks[-1]], input_ids=ids.to(device))]
    beginnings = distinct_beginnings(ids, lengths)
    return WholeBatch(
        states=nn.utils.rnn.pad_sequence(list(states), batch_first=True).to(device),
        last=(lengths - 1).to(device),
        calls=[call.float() for call in calls],
        beginnings=Beginnings(beginnings.first.to(device), beginnings.which.to(device)),
    )
