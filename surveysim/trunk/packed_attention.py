"""Attention of many short texts behind one shared beginning, whose keys and values are read in place and never copied.

The texts lie one after another in a single row, without padding. Each of them attends to the beginning and to itself:
the first part is one large product of all queries with the beginning's keys, the second many small ones; a softmax over
both joins them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from surveysim.trunk.attention import SCORES, Attention, Rule, Scores, weights_of

__all__ = ["Behind", "Packing"]


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

    def select(self, states: Tensor) -> Tensor:
        """Queries, keys or values (heads, B * S, d) of these texts, padded."""
        return states[:, self.start : self.stop] if self.index is None else states[:, self.index]


@dataclass
class Packing:
    """Where texts lie that are packed into one row.

    Attributes
    ----------
    n_before : int
        Tokens of the beginning that all texts share; may be none.
    lengths : list of int
        Tokens of each text.
    device : torch.device
        Where the model is.
    """

    n_before: int
    lengths: list[int]
    device: torch.device
    _rows: dict[int, list[_Rows]] = field(default_factory=dict)
    _masks: dict[tuple[Rule, int], Tensor] = field(default_factory=dict)

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

    def mask(self, rule: Rule, length: int) -> Tensor:
        """What each token of a text sees of the beginning and of its own text: 0 or -inf, (S, P + S).

        The texts' tokens after the last real one see what they like: nobody sees them.
        """
        key = (rule, length)
        if key not in self._masks:
            at = torch.arange(self.n_before + length, device=self.device)
            seen = rule(at[self.n_before :], at)
            self._masks[key] = torch.zeros(seen.shape, device=self.device).masked_fill_(~seen, float("-inf"))
        return self._masks[key]


class Behind:
    """The way of packed texts: each layer in turn reads the beginning's keys and values that were recorded.

    Parameters
    ----------
    layers : sequence of Attention
        What `Record` kept of the beginning: its keys and values (1, G, P, d) and rules, layer after layer.
    packing : Packing
        Where the texts lie.
    """

    def __init__(self, layers: Sequence[Attention], packing: Packing) -> None:
        self._layers = iter(layers)
        self._packing = packing

    def __call__(self, asked: Attention, /) -> Tensor:
        before = next(self._layers)
        return packed_attention(asked, before, self._packing)


def packed_attention(asked: Attention, before: Attention, packing: Packing) -> Tensor:
    """Attention over packed texts.

    Parameters
    ----------
    asked : Attention
        Queries (1, H, N, d), keys and values (1, G, N, d) of the texts' tokens; H is a multiple of G.
    before : Attention
        Keys and values (1, G, P, d) of the beginning, and the layer's rule.
    packing : Packing
        Where the texts lie.

    Returns
    -------
    Tensor of shape (1, N, H, d)
    """
    _, heads, n, size = asked.query.shape
    repeats, kept = heads // asked.key.shape[1], packing.n_before
    query, key, value = asked.query[0], asked.key[0], asked.value[0]
    rule = before.rule
    assert rule is not None
    keys_before = before.key[0].repeat_interleave(repeats, dim=0).transpose(1, 2)
    values_before = before.value[0].repeat_interleave(repeats, dim=0)
    output = query.new_empty(n, heads, value.shape[-1])
    for rows in packing.rows(heads):
        count, length = rows.shape
        places = count * length
        queries = rows.select(query)
        own_keys = rows.select(key).unflatten(1, rows.shape).repeat_interleave(repeats, dim=0).flatten(0, 1)
        own_values = rows.select(value).unflatten(1, rows.shape).repeat_interleave(repeats, dim=0).flatten(0, 1)
        products = torch.empty(heads, places, kept + length, dtype=torch.float32, device=query.device)
        products[..., :kept] = _product(queries, keys_before)
        own = _product(queries.reshape(heads * count, length, size), own_keys.transpose(1, 2))
        products[..., kept:] = own.view(heads, places, length)
        weights = _weights(products, asked.scores, size, rows, packing.mask(rule, length)).to(value.dtype)
        found = torch.bmm(weights[..., :kept], values_before)
        own = weights[..., kept:].reshape(heads * count, length, length)
        found += torch.bmm(own, own_values).view_as(found)
        if rows.places is not None:
            found = found[:, rows.places]
        output[rows.start : rows.stop] = found.transpose(0, 1)
    return output[None]


def _weights(products: Tensor, scores: Scores, size: int, rows: _Rows, mask: Tensor) -> Tensor:
    """Attention weights from products (H, B * S, P + S), which are overwritten where nothing else has to be done."""
    if scores.soft_cap is None:
        products *= size**-0.5 if scores.scale is None else scores.scale
    else:
        products = scores(products, size)
    products.unflatten(1, rows.shape).add_(mask)
    return weights_of(products[None], scores.sinks)[0]


def _product(a: Tensor, b: Tensor) -> Tensor:
    """Products of matrices in float32: scores of reduced precision would be off by more than attention can bear."""
    if a.dtype == torch.float32:
        return torch.bmm(a, b)
    if a.is_cuda and _HAS_OUT_DTYPE:
        return torch.bmm(a, b, out_dtype=torch.float32)
    return torch.bmm(a.float(), b.float())


_HAS_OUT_DTYPE = tuple(int(part) for part in torch.__version__.split(".")[:2]) >= (2, 8)
