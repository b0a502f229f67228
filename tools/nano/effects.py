"""Effects of attributes on answers, of random sign and size, and the geometry of backgrounds that nano is to learn."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tools.nano.attributes import Attribute

__all__ = [
    "N_FEATURES",
    "Effects",
    "drawn_effects",
    "features",
    "fixed",
    "fixed_effects",
    "no_effects",
    "ordinal",
    "softmax",
]

#: Length of the feature vectors that say which backgrounds are near each other.
N_FEATURES = 384
_LEVEL_DIM = 4


@functools.lru_cache(maxsize=100_000)
def fixed(name: str, size: int) -> np.ndarray:
    """A standard normal vector that belongs to a name, the same in every run."""
    return np.random.default_rng(zlib.crc32(name.encode())).standard_normal(size)


@functools.lru_cache(maxsize=100_000)
def direction(name: str) -> np.ndarray:
    vector = fixed("direction " + name, N_FEATURES)
    return vector / np.linalg.norm(vector)


@dataclass(frozen=True)
class Effects:
    """How each attribute moves one question: either tied to invented names, or drawn for this survey alone."""

    linear: Mapping[str, float]
    curved: Mapping[str, float]
    nominal: Mapping[str, np.ndarray]

    def of(self, attribute: Attribute, level: int) -> float:
        """What one level of an attribute adds to the attitude."""
        _, z, meaning = attribute.levels[level]
        if attribute.ordered:
            return self.linear[attribute.kind] * z + self.curved[attribute.kind] * (z * z - 1)
        return float(self.nominal[attribute.kind] @ fixed(f"{attribute.kind}={meaning}", _LEVEL_DIM))


def fixed_effects(names: Sequence[str], attributes: Sequence[Attribute], what: str = "") -> Effects:
    """Effects that the model can learn by heart: the sum of what each invented name brings along."""

    def total(kind: str, size: int) -> np.ndarray:
        return np.sum([fixed(f"{name} {what} {kind}", size) for name in names], axis=0) / np.sqrt(len(names))

    return Effects(
        {a.kind: float(total(a.kind, 2)[0]) * 0.75 for a in attributes},
        {a.kind: float(total(a.kind, 2)[1]) * 0.12 for a in attributes},
        {a.kind: total(a.kind + "*", _LEVEL_DIM) * 0.35 for a in attributes},
    )


def drawn_effects(rng: np.random.Generator, attributes: Sequence[Attribute], scale: float = 1.0) -> Effects:
    """Effects that belong to one generated survey alone."""
    return Effects(
        {a.kind: rng.normal(0, 0.8 * scale) for a in attributes},
        {a.kind: rng.normal(0, 0.1 * scale) for a in attributes},
        {a.kind: rng.normal(0, 0.4 * scale, _LEVEL_DIM) for a in attributes},
    )


def no_effects(attributes: Sequence[Attribute]) -> Effects:
    """All groups alike."""
    flat = {attribute.kind: 0.0 for attribute in attributes}
    return Effects(flat, flat, {attribute.kind: np.zeros(_LEVEL_DIM) for attribute in attributes})


def ordinal(attitude: np.ndarray, level: float, peak: float, n_options: int) -> np.ndarray:
    """Distributions (m, K) over a scale from most to least in favour, given attitudes (m,)."""
    place = np.linspace(1, -1, n_options)
    logits = 1.2 * (attitude[:, None] + level) * place - peak * place**2
    return softmax(logits)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Distributions (m, K) of logits (m, K)."""
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def features(attributes: Sequence[Attribute], row: np.ndarray) -> np.ndarray:
    """Near backgrounds get near vectors: a line and a faint curve per ordered attribute, a corner per nominal level."""
    vector = np.zeros(N_FEATURES)
    for attribute, level in zip(attributes, row, strict=True):
        kind = attribute.kind
        if level < 0:
            vector += 0.7 * direction(f"{kind} missing")
        elif attribute.ordered:
            z = attribute.levels[level][1]
            vector += z * direction(kind) + 0.4 * (z * z - 1) * direction(f"{kind} curve")
        else:
            vector += 1.2 * direction(f"{kind}={attribute.levels[level][2]}")
    return vector
