"""Attention of many short texts behind one shared beginning, whose keys and values are read in place and never copied.

The texts lie one after another in a single row, without padding. Each of them attends to the beginning and to itself:
the first part is one large product of all queries with the beginning's keys, the second many small ones; a softmax over
both joins them. transformers calls `packed_attention` by its name, as it would any attention of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface

from surveysim.models.anatomy import Anatomy, UnfitModelError

__all__ = ["Packing", "can_pack", "packed_attention", "packed_pass"]

NAME = "surveysim_packed"

SCORES = {"cpu": 2**20, "cuda": 2**26}
"""Attention scores held at once: on a processor what its caches hold, on a card 256 MB of float32."""

_LAYERS = {"full_attention", "sliding_attention"}

# What models hand to every attention function, and what changes nothing here.
_HARMLESS = {"position_ids", "cache_position", "is_causal", "use_cache", "past_key_values", "position_embeddings"}


@dataclass(frozen=True)
class _Rows:
    """Texts that are attended to together, padded to the longest.

    Attributes
    ----------
    start, stop : int
        Their tokens.
    shape : (int, int)
        How many texts, and the longest one's length.
    index : int Tensor of shape (B * S,) or None
        The token at each padded place, any token where there is none; None: nothing is padded.
    places : int Tensor of shape (stop - start,) or None
        The padded place of each token.
    """

    start: int
    stop: int
    shape: tuple[int, int]
    index: Tensor | None
    places: Tensor | None


@dataclass
class Packing:
    """Where texts lie that are packed into one row.

    Attributes
    ----------
    n_before : int
        Tokens of the beginning that all texts share.
    lengths : list of int
        Tokens of each text.
    device : torch.device
        Where the model is.
    """

    n_before: int
    lengths: list[int]
    device: torch.device
    _rows: dict[int, list[_Rows]] = field(default_factory=dict)
    _masks: dict[tuple[int, int, int | None], Tensor] = field(default_factory=dict)

    @property
    def positions(self) -> Tensor:
        """Each token's position within its own prompt, shape (1, N)."""
        parts = [torch.arange(self.n_before, self.n_before + length) for length in self.lengths]
        return torch.cat(parts)[None].to(self.device)

    def rows(self, heads: int) -> list[_Rows]:
        """The texts in parts, each with as many attention scores as may be held at once."""
        if heads not in self._rows:
            room = SCORES.get(self.device.type, SCORES["cpu"]) // heads
            parts: list[list[int]] = []
            for length in self.lengths:
                longest = max([length, *(parts[-1] if parts else [])])
                if not parts or (len(parts[-1]) + 1) * longest * (self.n_before + longest) > room:
                    parts.append([])
                parts[-1].append(length)
            made, start = [], 0
            for part in parts:
                made.append(self._part(start, part))
                start = made[-1].stop
            self._rows[heads] = made
        return self._rows[heads]

    def _part(self, start: int, lengths: Sequence[int]) -> _Rows:
        longest, stop = max(lengths), start + sum(lengths)
        shape = (len(lengths), longest)
        if min(lengths) == longest:
            return _Rows(start, stop, shape, None, None)
        exists = torch.arange(longest) < torch.tensor(lengths)[:, None]
        index = torch.full(shape, start)
        index[exists] = torch.arange(start, stop)
        places = exists.ravel().nonzero()[:, 0]
        return _Rows(start, stop, shape, index.ravel().to(self.device), places.to(self.device))

    def mask(self, n_kept: int, length: int, window: int | None) -> Tensor:
        """What each token of a text sees of the beginning's last `n_kept` tokens and of its own text: 0 or -inf.

        The texts' tokens after the last real one see what they like: nobody sees them.
        """
        key = (n_kept, length, window)
        if key not in self._masks:
            own = torch.arange(self.n_before, self.n_before + length)
            seen = torch.cat([torch.arange(self.n_before - n_kept, self.n_before), own])
            distance = own[:, None] - seen
            hidden = distance < 0 if window is None else (distance < 0) | (distance >= window)
            mask = torch.zeros(hidden.shape).masked_fill_(hidden, float("-inf"))
            self._masks[key] = mask.to(self.device)
        return self._masks[key]


_here = threading.local()


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Attention over packed texts, in the form in which transformers calls an attention function.

    Parameters
    ----------
    module : Module
        The model's attention layer.
    query : Tensor of shape (1, H, N, D)
        Of the texts' tokens.
    key, value : Tensor of shape (1, G, P + N, D)
        Of the beginning's last P tokens and the texts'; H is a multiple of G.
    attention_mask : None
        What is seen follows from the packing.
    scaling, softcap, s_aux
        The layer's own scale, soft cap of its scores, and sinks (H,).
    dropout, **others
        Whatever else a model hands over: `sliding_window`, the layer's own; what is not known here is refused.

    Returns
    -------
    output : Tensor of shape (1, N, H, D)
    weights : None

    Raises
    ------
    UnfitModelError
        If the model's attention has a part that is not known here.
    """
    packing: Packing = _here.packing
    window = others.pop("sliding_window", None if getattr(module.config, "sliding_window", None) is None else "unsaid")
    if window == "unsaid":  # it is then in the mask only, which is not made here
        raise UnfitModelError(f"{type(module).__name__} does not say whether it has a sliding window")
    strange = [name for name, given in others.items() if name not in _HARMLESS and _means_something(given)]
    if strange or dropout or attention_mask is not None:
        raise UnfitModelError(f"{type(module).__name__} attends with {', '.join(strange) or 'dropout or a mask'}")
    _, heads, n, size = query.shape
    repeats = heads // key.shape[1]
    kept = key.shape[2] - n
    query, key, value = query[0], key[0], value[0]
    scale = size**-0.5 if scaling is None else scaling
    keys_before = key[:, :kept].repeat_interleave(repeats, dim=0).transpose(1, 2)
    values_before = value[:, :kept].repeat_interleave(repeats, dim=0)
    key, value = key[:, kept:], value[:, kept:]
    output = query.new_empty(n, heads, value.shape[-1])
    for rows in packing.rows(heads):
        count, length = rows.shape
        places = count * length
        asked = _select(query, rows)
        own_keys = _select(key, rows).unflatten(1, rows.shape).repeat_interleave(repeats, dim=0)
        own_values = _select(value, rows).unflatten(1, rows.shape).repeat_interleave(repeats, dim=0)
        scores = torch.empty(heads, places, kept + length, dtype=torch.float32, device=query.device)
        scores[..., :kept] = _product(asked, keys_before)
        own = _product(asked.reshape(heads * count, length, size), own_keys.flatten(0, 1).transpose(1, 2))
        scores[..., kept:] = own.view(heads, places, length)
        scores *= scale
        if softcap is not None:
            scores = softcap * torch.tanh(scores / softcap)
        scores.unflatten(1, rows.shape).add_(packing.mask(kept, length, window))
        weights = _softmax(scores, s_aux).to(value.dtype)
        found = torch.bmm(weights[..., :kept], values_before)
        own = weights[..., kept:].reshape(heads * count, length, length)
        found += torch.bmm(own, own_values.flatten(0, 1)).view_as(found)
        if rows.places is not None:
            found = found[:, rows.places]
        output[rows.start : rows.stop] = found.transpose(0, 1)
    return output[None], None


def _select(states: Tensor, rows: _Rows) -> Tensor:
    """Queries, keys or values (heads, B * S, D) of some texts, padded."""
    return states[:, rows.start : rows.stop] if rows.index is None else states[:, rows.index]


def _product(a: Tensor, b: Tensor) -> Tensor:
    """Products of matrices in float32: scores of reduced precision would be off by more than attention can bear."""
    if a.dtype == torch.float32:
        return torch.bmm(a, b)
    if a.is_cuda and _HAS_OUT_DTYPE:
        return torch.bmm(a, b, out_dtype=torch.float32)
    return torch.bmm(a.float(), b.float())


_HAS_OUT_DTYPE = tuple(int(part) for part in torch.__version__.split(".")[:2]) >= (2, 8)


def _softmax(scores: Tensor, sinks: Tensor | None) -> Tensor:
    """Weights; sinks take their share and give nothing."""
    if sinks is None:
        return torch.softmax(scores, dim=-1)
    share = sinks.float().view(-1, 1, 1).expand(-1, scores.shape[1], 1)
    return torch.softmax(torch.cat([scores, share], dim=-1), dim=-1)[..., :-1]


def _means_something(value: Any) -> bool:
    return isinstance(value, Tensor) or bool(value)


AttentionInterface.register(NAME, packed_attention)


def can_pack(anatomy: Anatomy) -> bool:
    """Whether a model's attention can be replaced by `packed_attention`, as far as its configuration tells.

    Parameters
    ----------
    anatomy : Anatomy
        The model's parts.
    """
    config = getattr(anatomy.decoder, "config", None)
    return (
        anatomy.attends
        and config is not None
        and bool(getattr(anatomy.decoder, "_supports_attention_backend", False))
        and set(getattr(config, "layer_types", None) or []) <= _LAYERS
        and not getattr(config, "attention_chunk_size", None)
    )


@contextmanager
def packed_pass(decoder: Any, packing: Packing) -> Iterator[None]:
    """Passes through the decoder within this context attend with `packed_attention`; to be used under its lock."""
    before = decoder.config._attn_implementation
    _here.packing = packing
    try:
        decoder.set_attn_implementation(NAME)
        if decoder.config._attn_implementation != NAME:
            raise UnfitModelError(f"{type(decoder).__name__} does not take another attention function")
        yield
    finally:
        decoder.set_attn_implementation(before)
        del _here.packing
