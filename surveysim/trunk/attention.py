"""One attention function for everything run differently: transformers calls it by name; the thread says what it does.

It receives what every attention of transformers receives: each layer's queries, keys and values after the rotation, its
scale, soft cap and sinks, and, in the place of a mask, the layer's own rule of who sees whom. What happens with them is
the thread's `Way`: attend and keep the keys and values (`Record`), read a shared beginning in place
(`packed_attention`), end the call (`KeysAndValues`), let last positions look at given keys (`last_position_attention`).
Projections, norms and rotary positions stay the family's own, and no cache is involved.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface

from surveysim.models.anatomy import UnfitModelError

__all__ = [
    "NAME",
    "Attention",
    "KeysAndValues",
    "MaskRule",
    "Record",
    "Rule",
    "Scores",
    "Stop",
    "Way",
    "attend",
    "attending",
    "causal",
    "weights_of",
]

NAME = "surveysim"
"""Under which transformers knows the attention function and its mask."""

SCORES = {"cpu": 2**20, "cuda": 2**26}
"""Attention scores held at once: on a processor what its caches hold, on a card 256 MB of float32."""

# What models hand to every attention function, and what changes nothing here; each may also be absent.
_HARMLESS = frozenset(
    (
        *("position_ids", "cache_position", "is_causal", "use_cache", "past_key_values", "cache"),
        *("position_embeddings", "sliding_window", "output_attentions", "output_hidden_states", "return_dict"),
    )
)


class Stop(Exception):
    """Ends a forward pass once it has given what was wanted."""


class Rule(Protocol):
    """Which positions see which in a layer."""

    def __call__(self, queries: Tensor, keys: Tensor, /) -> Tensor:
        """From positions (..., Q) and (..., K) to a bool Tensor (..., Q, K): True where the query sees the key."""


def causal(queries: Tensor, keys: Tensor, /) -> Tensor:
    """Each position sees itself and what comes before."""
    return keys[..., None, :] <= queries[..., :, None]


@dataclass(frozen=True)
class MaskRule:
    """The rule by which transformers would have made a layer's mask: its window, its chunks, its causality.

    Stands in the mask's place. `function` is transformers' own, of the indices of row, head, query and key.
    """

    function: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]

    def __call__(self, queries: Tensor, keys: Tensor, /) -> Tensor:
        queries, keys = queries[..., :, None], keys[..., None, :]
        first = torch.zeros_like(queries)
        return self.function(first, first, queries, keys).expand(torch.broadcast_shapes(queries.shape, keys.shape))


@dataclass(frozen=True)
class Scores:
    """How a layer turns products of queries and keys into scores.

    Attributes
    ----------
    scale : float or None
        They are multiplied with it; None: one over the square root of the heads' size.
    soft_cap : float or None
        They are ``soft_cap * tanh(scores / soft_cap)`` (Gemma 2).
    sinks : Tensor of shape (H,) or None
        A further score of each head that takes its share and gives nothing (gpt-oss).
    """

    scale: float | None = None
    soft_cap: float | None = None
    sinks: Tensor | None = None

    def __call__(self, products: Tensor, size: int) -> Tensor:
        """Scores from products of queries and keys of `size` dimensions."""
        scores = products * (size**-0.5 if self.scale is None else self.scale)
        return scores if self.soft_cap is None else self.soft_cap * torch.tanh(scores / self.soft_cap)

    @property
    def plain(self) -> bool:
        """Whether a softmax of scaled products is all there is."""
        return self.soft_cap is None and self.sinks is None


@dataclass(frozen=True)
class Attention:
    """One call of a layer's attention.

    Attributes
    ----------
    query : Tensor of shape (R, H, Q, d)
    key, value : Tensors of shape (R, G, K, d)
        Each of the G heads serves H / G heads of the queries; values may be narrower than keys.
    rule : Rule or None
        The layer's own; None where the model handed over none.
    scores : Scores
    """

    query: Tensor
    key: Tensor
    value: Tensor
    rule: Rule | None
    scores: Scores

    def first(self, n: int) -> Attention:
        """The same call with the first n keys and values alone."""
        return replace(self, key=self.key[:, :, :n], value=self.value[:, :, :n])


class Way(Protocol):
    """What the attention function does in a thread."""

    def __call__(self, asked: Attention, /) -> Tensor:
        """The attention's output, (R, Q, H, d)."""


_here = threading.local()


@contextmanager
def attending(way: Way) -> Iterator[None]:
    """Within this context the attention function does `way` in this thread."""
    before = getattr(_here, "way", None)
    _here.way = way
    try:
        yield
    finally:
        _here.way = before


def _attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, **said: Any
) -> tuple[Tensor, None]:
    """What transformers calls: (module, query, key, value, mask, whatever the family says) to (output, no weights)."""
    scores = Scores(said.pop("scaling", None), said.pop("softcap", None), said.pop("s_aux", None))
    strange = [name for name, value in said.items() if name not in _HARMLESS and _means_something(value)]
    if attention_mask is not None and not isinstance(attention_mask, MaskRule):
        strange.append("a mask")
    if strange:
        raise UnfitModelError(f"{type(module).__name__} attends with {', '.join(strange)}")
    way: Way | None = getattr(_here, "way", None)
    if way is None:
        raise UnfitModelError(f"{type(module).__name__} attends in a thread for which no way of attending was set")
    return way(Attention(query, key, value, attention_mask, scores)), None


def _means_something(value: Any) -> bool:
    return isinstance(value, Tensor) or bool(value)


def _mask(*_: Any, mask_function: Callable[..., Tensor], **__: Any) -> MaskRule:
    """What transformers calls in place of making a mask."""
    return MaskRule(mask_function)


AttentionInterface.register(NAME, _attention)
AttentionMaskInterface.register(NAME, _mask)


@dataclass
class Record:
    """Attend as the model would, to whole rows that begin at position 0, and keep each layer's keys and values.

    Attributes
    ----------
    calls : list of Attention
        In the order of the layers; without queries.
    """

    calls: list[Attention] = field(default_factory=list)

    def __call__(self, asked: Attention, /) -> Tensor:
        rule = asked.rule
        if rule is None:  # a window would be in the mask alone
            raise UnfitModelError("a layer does not say which positions see which")
        self.calls.append(Attention(asked.query[:, :, :0], asked.key, asked.value, rule, asked.scores))
        return attend(asked, rule)


@dataclass
class KeysAndValues:
    """Keep the first layer's keys and values, and end the call.

    Attributes
    ----------
    asked : Attention or None
        What the layer handed over.
    """

    asked: Attention | None = None

    def __call__(self, asked: Attention, /) -> Tensor:
        self.asked = asked
        raise Stop


def attend(asked: Attention, rule: Rule) -> Tensor:
    """Attention of whole rows that begin at position 0, some queries at a time: (R, Q, H, d)."""
    rows, heads, length, size = asked.query.shape
    at = torch.arange(length, device=asked.query.device)
    at_once = max(1, SCORES.get(asked.query.device.type, SCORES["cpu"]) // (rows * heads * length))
    parts = []
    for start in range(0, length, at_once):
        query, some = asked.query[:, :, start : start + at_once], at[start : start + at_once]
        seen = rule(some, at)
        if asked.scores.plain:
            found = nn.functional.scaled_dot_product_attention(
                query, asked.key, asked.value, attn_mask=seen, scale=asked.scores.scale, enable_gqa=True
            )
        else:
            repeats = heads // asked.key.shape[1]
            key, value = asked.key.repeat_interleave(repeats, 1), asked.value.repeat_interleave(repeats, 1)
            scores = asked.scores((query @ key.transpose(-1, -2)).float(), size).masked_fill(~seen, float("-inf"))
            found = weights_of(scores, asked.scores.sinks).to(value.dtype) @ value
        parts.append(found.transpose(1, 2))
    return torch.cat(parts, dim=1)


def weights_of(scores: Tensor, sinks: Tensor | None) -> Tensor:
    """Softmax of scores (R, H, Q, K) over the keys; sinks (H,) take a share and contribute nothing."""
    if sinks is None:
        return torch.softmax(scores, dim=-1)
    share = sinks.to(scores.dtype).view(1, -1, 1, 1).expand(*scores.shape[:3], 1)
    return torch.softmax(torch.cat([scores, share], dim=-1), dim=-1)[..., :-1]
