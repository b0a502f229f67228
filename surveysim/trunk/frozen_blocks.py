"""The frozen blocks: run once over prompts that share a beginning, up to the first trained block; no output layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers.utils import logging as transformers_logging

from surveysim.models.anatomy import Anatomy, dissect
from surveysim.trunk.attention import NAME, Attention, Record, attending
from surveysim.trunk.block_calls import capture
from surveysim.trunk.packed_attention import Behind, Packing
from surveysim.trunk.position_tables import longest_row
from surveysim.trunk.twin import twin_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["FrozenBlocks", "Prefix"]


@dataclass(frozen=True)
class Prefix:
    """The beginning that prompts share, run once.

    Attributes
    ----------
    ids : tuple of int
        Its tokens; may be empty.
    states : Tensor of shape (P, D)
        Inputs of the first trained block, in the model's own type.
    layers : list of Attention or None
        Keys and values of the frozen blocks; None where a prompt has to be run as a whole: a block does more than
        attend to positions (linear attention, convolutions), or its attention cannot be replaced.
    """

    ids: tuple[int, ...]
    states: Tensor
    layers: list[Attention] | None


class FrozenBlocks:
    """The trunk of one model: all blocks but the last `n_blocks`, run in twins of it.

    Parameters
    ----------
    network : PreTrainedModel
        The model; stays as it is.
    n_blocks : int
        How many of the last blocks are trained, and so not run.

    Attributes
    ----------
    shares : bool
        Whether what follows a shared beginning is run in one row, without padding, and reads the beginning in place.
        False: every prompt is run as a whole, in padded batches.
    longest_row : int or None
        Tokens that may lie in one row, where a model counts them.
    """

    def __init__(self, network: PreTrainedModel, n_blocks: int) -> None:
        self.own = dissect(twin_of(network))
        self.other = dissect(attending_twin(network))
        self.n_blocks = n_blocks
        self.shares = True
        self.longest_row = longest_row(network)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.own.decoder.parameters()).device

    def prefix(self, ids: Sequence[int]) -> Prefix:
        """Run a shared beginning.

        Parameters
        ----------
        ids : sequence of int
            Token ids; may be none.
        """
        parameter = next(self.own.decoder.parameters())
        nothing = torch.empty(0, self.own.width, dtype=parameter.dtype, device=parameter.device)
        if not self.shares:
            states = self._whole([list(ids)])[0] if ids else nothing
            return Prefix(tuple(ids), states, None)
        # Without a beginning, one token tells the rules of the layers, and none of its keys are kept.
        record = Record()
        with attending(record):
            states = self._states(self.other, [list(ids) or [0]], torch.arange(max(1, len(ids)))[None])
        layers = [layer.first(len(ids)) for layer in record.calls]
        return Prefix(tuple(ids), states[0, : len(ids)].clone(), layers)

    def states(self, prefix: Prefix, suffixes: Sequence[Sequence[int]]) -> list[Tensor]:
        """Run what follows a shared beginning.

        Parameters
        ----------
        prefix : Prefix
            The beginning; stays as it is.
        suffixes : sequence of sequences of int
            Token ids of what follows it, at least one token each.

        Returns
        -------
        list of Tensor of shape (S_i, D)
            Inputs of the first trained block, in the model's own type.
        """
        if prefix.layers is None:
            whole = self._whole([[*prefix.ids, *suffix] for suffix in suffixes])
            return [states[len(prefix.ids) :] for states in whole]
        rows = _rows([len(suffix) for suffix in suffixes], self.longest_row)
        return [states for row in rows for states in self._packed(prefix.ids, prefix.layers, suffixes[row])]

    def _packed(
        self, before: Sequence[int], layers: Sequence[Attention], suffixes: Sequence[Sequence[int]]
    ) -> list[Tensor]:
        """States of what follows a shared beginning, all in one row."""
        lengths = [len(suffix) for suffix in suffixes]
        packing = Packing(len(before), lengths, self.device)
        ids = [[token for suffix in suffixes for token in suffix]]
        with attending(Behind(layers, packing)):
            states = self._states(self.other, ids, packing.positions)
        return [part.clone() for part in states[0].split(lengths)]

    def alone(self, ids: Sequence[int]) -> Tensor:
        """States (T, D) of one prompt by itself, by the model's own attention: nothing is shared or packed."""
        return self._whole([list(ids)])[0]

    def _whole(self, prompts: list[list[int]]) -> list[Tensor]:
        """States of whole prompts, padded on the right, by the model's own attention."""
        lengths = torch.tensor([len(prompt) for prompt in prompts])
        longest = int(lengths.max())
        ids = [prompt + [0] * (longest - len(prompt)) for prompt in prompts]
        mask = (torch.arange(longest) < lengths[:, None]).long()
        states = self._states(self.own, ids, None, mask)
        return [states[row, :length].clone() for row, length in enumerate(lengths.tolist())]

    def _states(
        self, anatomy: Anatomy, ids: list[list[int]], positions: Tensor | None, mask: Tensor | None = None
    ) -> Tensor:
        """What the first trained block is handed for rows of token ids."""
        inputs = {"input_ids": torch.tensor(ids), "position_ids": positions, "attention_mask": mask}
        given = {name: value.to(self.device) for name, value in inputs.items() if value is not None}
        (call,) = capture(anatomy, [anatomy.blocks[-self.n_blocks]], **given)
        return call.states


def _rows(lengths: Sequence[int], longest: int | None) -> list[slice]:
    """Texts that lie in one row each: all of them, or as many as have no more than `longest` tokens."""
    if longest is None:
        return [slice(0, len(lengths))]
    starts, tokens = [0], 0
    for number, length in enumerate(lengths):
        if tokens + length > longest and number > starts[-1]:
            starts.append(number)
            tokens = 0
        tokens += length
    return [slice(start, stop) for start, stop in zip(starts, [*starts[1:], len(lengths)], strict=True)]


def attending_twin(network: PreTrainedModel) -> Any:
    """A twin that attends by the library's own function; where a family knows no other attention than its own, not."""
    twin = twin_of(network)
    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # what cannot be replaced is found out, and said in our own words
    try:
        twin.set_attn_implementation(NAME)
    finally:
        transformers_logging.set_verbosity(before)
    return twin
