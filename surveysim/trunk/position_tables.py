"""Whether what a model knows about positions depends on how long a prompt, or a row of packed ones, is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from surveysim.models.anatomy import Anatomy, UnfitModelError
from surveysim.trunk.block_calls import BlockCall, capture

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["PositionTables", "longest_row"]

_SHORT = 16


class PositionTables:
    """What a model hands to its last block for each position, compared between short and long prompts.

    Scalings such as "dynamic" and "longrope" choose their angles by the length of what is read. Beyond the length at
    which they change, a shared beginning and what follows it, or a prompt and its neighbours in a batch, would be read
    with different angles.

    Parameters
    ----------
    hollow : Anatomy
        Of a hollow twin that attends as the model does.
    """

    def __init__(self, hollow: Anatomy) -> None:
        self._hollow = hollow
        self._short = self._of(_SHORT)
        self._holds = _SHORT

    def check(self, length: int) -> None:
        """Refuse prompts so long that the first positions are other ones than in short prompts.

        Raises
        ------
        UnfitModelError
            With the longest length for which it is known that they are the same.
        """
        if length <= self._holds:
            return
        if not self.same(length):
            raise UnfitModelError(
                f"a prompt has {length} tokens, and from some length between {self._holds} and {length} on this model "
                "scales its positions by how long a prompt is, so that prompts cannot share what they begin with. "
                "Shorten the question, its options or its context, or choose another model"
            )
        self._holds = length

    def same(self, length: int) -> bool:
        """Whether the first positions are the same among so many; not where the model has no tables for so many."""
        try:
            found = self._of(length)
        except (IndexError, RuntimeError):
            return False
        return len(found) == len(self._short) and all(
            torch.equal(one[:, :_SHORT], other) for one, other in zip(found, self._short, strict=True)
        )

    @torch.no_grad()
    def _of(self, length: int) -> list[Tensor]:
        block = self._hollow.blocks[-1]
        device = next(self._hollow.decoder.parameters()).device
        (call,) = capture(self._hollow, [block], input_ids=torch.zeros(1, length, dtype=torch.long, device=device))
        return [part for part in _tensors((call.args, call.kwargs)) if _by_position(part, call)]


def longest_row(network: PreTrainedModel) -> int | None:
    """How many tokens may lie in one row for packing to change nothing; None: any number.

    Llama 4 scales the queries of some layers by their place in the row and not by the positions that it is given. It
    begins at `floor_scale`, 8,192 in released models. In their configuration, `attn_temperature_tuning` says whether
    it does so, and `no_rope_layers` has a 0 for each such layer.

    Parameters
    ----------
    network : PreTrainedModel
        The model.
    """
    config = network.config.get_text_config()
    begins = getattr(config, "floor_scale", None)
    if not getattr(config, "attn_temperature_tuning", False) or begins is None:
        return None
    return None if all(getattr(config, "no_rope_layers", None) or [0]) else int(begins) - 1


def _by_position(part: Tensor, call: BlockCall) -> bool:
    return part.is_floating_point() and part.ndim == 3 and part.shape[:2] == (1, call.length)


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, tuple | list):
        for part in value:
            yield from _tensors(part)
    elif isinstance(value, Tensor):
        yield value
