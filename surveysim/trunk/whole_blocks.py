"""The fall-back where last positions cannot be run alone: whole blocks over trunk states, as the model calls them.

A copy of the block is called at every position with exactly what the model itself hands it. Nothing is asked of a block
beyond that, so that convolutions, linear attention and a family's own attention are trained, too; a question's shared
beginning is run with every prompt.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from surveysim.models.anatomy import Anatomy
from surveysim.trunk.block_calls import BlockCall, capture

__all__ = ["WholeBatch", "WholeBlocks", "pad_states"]


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
    """

    def __init__(self, anatomy: Anatomy, n_blocks: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([copy.deepcopy(block) for block in anatomy.blocks[-n_blocks:]]).float()
        self.norm = copy.deepcopy(anatomy.norm).float()
        self.requires_grad_(True)
        self.eval()

    def forward(self, batch: WholeBatch) -> Tensor:
        """Normed hidden states (B, D) at the last position of each prompt."""
        states = batch.states.float()
        for block, call in zip(self.blocks, batch.calls, strict=True):
            states = call.run(block, states)
        rows = torch.arange(len(states), device=states.device)
        return self.norm(states[rows, batch.last])


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
    mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
    trained = list(hollow.blocks[-n_blocks:])
    calls = capture(hollow, trained, input_ids=ids.to(device), attention_mask=mask.to(device))
    return WholeBatch(
        states=nn.utils.rnn.pad_sequence(list(states), batch_first=True).to(device),
        last=(lengths - 1).to(device),
        calls=[call.float() for call in calls],
    )
