"""The frozen blocks: run once over prompts that share a beginning, up to the first trained block; no output layer."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from surveysim.models.anatomy import Anatomy, UnfitModelError
from surveysim.trunk.last_blocks import Stop, hooked
from surveysim.trunk.packed_attention import Packing, packed_pass

__all__ = ["Prefix", "PrefixCache", "run_prefix", "run_suffixes"]


class PrefixCache(DynamicCache):
    """Keys and values of a shared beginning; once `shared`, each call attends to them and leaves nothing behind.

    A call's own keys and values are only needed within its own layer, so that no more than one layer's are held, and
    the beginning's are never copied for all prompts and all layers at once. While `packed`, a call's prompts lie in one
    row and read the beginning in place.
    """

    shared = False
    packed = False

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        if not self.shared:
            return super().update(key_states, value_states, layer_idx, *args, **kwargs)
        layer: Any = copy.copy(self.layers[layer_idx])
        if self.packed:
            return torch.cat([layer.keys, key_states], dim=-2), torch.cat([layer.values, value_states], dim=-2)
        layer.batch_repeat_interleave(len(key_states))
        return layer.update(key_states, value_states, *args, **kwargs)


@dataclass(frozen=True)
class Prefix:
    """The beginning that prompts share, run once.

    Attributes
    ----------
    ids : tuple of int
        Its tokens; may be empty.
    states : Tensor of shape (P, D)
        Inputs of the first trained block, in the model's own type.
    cache : PrefixCache or None
        Keys and values of the frozen blocks; None where a prompt has to be run as a whole: nothing is shared, or a
        block does more than attend to positions (linear attention, convolutions).
    """

    ids: tuple[int, ...]
    states: Tensor
    cache: PrefixCache | None


def run_prefix(anatomy: Anatomy, n_blocks: int, ids: Sequence[int]) -> Prefix:
    """Run the frozen blocks over a shared beginning.

    Parameters
    ----------
    anatomy : Anatomy
        The model's parts.
    n_blocks : int
        How many of the last blocks are trained, and so not run.
    ids : sequence of int
        Token ids; may be none.
    """
    if not ids:
        parameter = next(anatomy.decoder.parameters())
        output: Any = anatomy.output
        width = int(output.weight.shape[1])
        return Prefix((), torch.empty(0, width, dtype=parameter.dtype, device=parameter.device), None)
    cache = PrefixCache(config=getattr(anatomy.decoder, "config", None)) if anatomy.attends else None
    states = _first_states(anatomy, n_blocks, torch.tensor([list(ids)]), None, cache)
    if cache is not None:
        cache.shared = True
    return Prefix(tuple(ids), states[0].clone(), cache)


def run_suffixes(
    anatomy: Anatomy,
    n_blocks: int,
    prefix: Prefix,
    suffixes: Sequence[Sequence[int]],
    *,
    packed: bool = False,
    pad_id: int = 0,
) -> list[Tensor]:
    """Run the frozen blocks over what follows a shared beginning.

    Parameters
    ----------
    anatomy, n_blocks
        As for `run_prefix`.
    prefix : Prefix
        The beginning; stays as it is.
    suffixes : sequence of sequences of int
        Token ids of what follows it, at least one token each.
    packed : bool, default=False
        Put them into one row without padding and attend to the beginning in place; see `packed_attention`. Only
        where a beginning is shared.
    pad_id : int, default=0
        Any token id; what stands there is never attended to.

    Returns
    -------
    list of Tensor of shape (S_i, D)
        Inputs of the first trained block, in the model's own type.
    """
    n_prefix = len(prefix.ids)
    lengths = [len(suffix) for suffix in suffixes]
    if packed and prefix.cache is not None:
        packing = Packing(n_prefix, lengths, next(anatomy.decoder.parameters()).device)
        ids = torch.tensor([[token for suffix in suffixes for token in suffix]])
        prefix.cache.packed = True
        try:
            with packed_pass(anatomy.decoder, packing):
                states = _first_states(anatomy, n_blocks, ids, None, prefix.cache, positions=packing.positions)
        finally:
            prefix.cache.packed = False
        return [part.clone() for part in states[0].split(lengths)]
    ids = torch.full((len(suffixes), max(lengths)), pad_id, dtype=torch.long)
    for row, suffix in enumerate(suffixes):
        ids[row, : len(suffix)] = torch.tensor(suffix, dtype=torch.long)
    exists = torch.arange(ids.shape[1]) < torch.tensor(lengths)[:, None]
    mask = torch.cat([torch.ones(len(suffixes), n_prefix, dtype=torch.bool), exists], dim=1)
    if prefix.cache is not None:
        positions = torch.arange(n_prefix, n_prefix + ids.shape[1])[None]
        states = _first_states(anatomy, n_blocks, ids, mask, prefix.cache, positions=positions)
    else:
        whole = torch.cat([torch.tensor([prefix.ids], dtype=torch.long).expand(len(suffixes), -1), ids], dim=1)
        states = _first_states(anatomy, n_blocks, whole, mask, None)[:, n_prefix:]
    return [states[row, :length].clone() for row, length in enumerate(lengths)]


def _first_states(
    anatomy: Anatomy,
    n_blocks: int,
    ids: Tensor,
    mask: Tensor | None,
    cache: PrefixCache | None,
    *,
    positions: Tensor | None = None,
) -> Tensor:
    """Input of the first trained block for padded token ids, which stand at `positions`: by default 0, 1, ..."""
    captured: list[Tensor] = []

    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        captured.append(args[0] if args else kwargs["hidden_states"])
        raise Stop

    device = next(anatomy.decoder.parameters()).device
    if positions is None:
        positions = torch.arange(ids.shape[1])[None]
    with torch.no_grad(), hooked([anatomy.blocks[-n_blocks]], hook):
        try:
            anatomy.decoder(
                input_ids=ids.to(device),
                attention_mask=None if mask is None else mask.to(device=device, dtype=torch.long),
                position_ids=positions.to(device).expand(len(ids), -1),
                past_key_values=cache,
                use_cache=cache is not None,
            )
        except Stop:
            return captured[0]
    raise UnfitModelError("the first trained block was never reached")
