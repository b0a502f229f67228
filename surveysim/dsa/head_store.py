"""Heads put aside while others are tried: in memory while they are small, else in a temporary folder."""

from __future__ import annotations

import shutil
import tempfile
import threading
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

__all__ = ["MEMORY_LIMIT", "HeadStore"]

MEMORY_LIMIT = 2**27
"""Bytes of heads kept in memory. Those of small models all fit; a search on a model of 4 billion parameters would hold
400 MB for each split, as much again as its optimizer."""


@dataclass(frozen=True)
class _File:
    """A tensor on disk."""

    path: Path
    shape: torch.Size
    dtype: torch.dtype
    device: torch.device

    def read(self) -> Tensor:
        if not self.shape.numel():
            return torch.empty(self.shape, dtype=self.dtype, device=self.device)
        flat = torch.from_file(str(self.path), shared=False, size=self.shape.numel(), dtype=self.dtype)
        return flat.view(self.shape).to(self.device)


class HeadStore:
    """Keeps named tensors until they are asked for again.

    Parameters
    ----------
    memory_limit : int, optional
        Bytes kept in memory; None: `MEMORY_LIMIT`.
    """

    def __init__(self, memory_limit: int | None = None) -> None:
        self._limit = MEMORY_LIMIT if memory_limit is None else memory_limit
        self._folder: Path | None = None
        self._next = 0
        self._lock = threading.Lock()  # heads that are trained at once share a store
        self._kept: dict[int, dict[str, Tensor] | dict[str, _File]] = {}

    def put(self, state: Mapping[str, Tensor]) -> int:
        """Copy tensors and return the number under which they lie here."""
        size = sum(tensor.nbytes for tensor in state.values())
        with self._lock:
            number, self._next = self._next, self._next + 1
            if self._in_memory() + size <= self._limit:
                self._kept[number] = {name: tensor.detach().clone() for name, tensor in state.items()}
            else:  # one at a time and without a copy in between: memory is what there is too little of
                parts = enumerate(state.items())
                self._kept[number] = {name: self._write(f"{number}-{i}", tensor) for i, (name, tensor) in parts}
        return number

    def get(self, number: int) -> dict[str, Tensor]:
        """What was put here; not a copy."""
        kept = self._kept[number]
        return {name: part.read() if isinstance(part, _File) else part for name, part in kept.items()}

    def drop(self, number: int) -> None:
        """Forget what was put here."""
        for part in self._kept.pop(number).values():
            if isinstance(part, _File):
                part.path.unlink(missing_ok=True)

    def _in_memory(self) -> int:
        return sum(part.nbytes for kept in self._kept.values() for part in kept.values() if isinstance(part, Tensor))

    def _write(self, name: str, tensor: Tensor) -> _File:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="surveysim-heads-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        path = self._folder / name
        tensor.detach().cpu().contiguous().numpy().tofile(path)
        return _File(path, tensor.shape, tensor.dtype, tensor.device)
