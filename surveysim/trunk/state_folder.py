"""Trunk states on disk: safetensors files that are written whole or not at all, and read by memory mapping."""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

__all__ = ["StateFolder"]

ABANDONED = 24 * 3600.0
"""Seconds after which a file that nobody finished writing is taken for the remains of a process that was killed."""


class StateFolder:
    """A folder of states by key.

    Each batch is a file of its own that appears under its final name when it is complete, so that a process that is
    killed loses the batch it was working on and nothing else.

    Parameters
    ----------
    path : Path
        Made when needed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._index: dict[str, Any] = {}
        self._seen: set[Path] = set()

    def __len__(self) -> int:
        return len(self._index)

    def refresh(self) -> None:
        """Open the files that were added since, by this process or another; remove what was never finished."""
        self.path.mkdir(parents=True, exist_ok=True)
        for file in sorted(set(self.path.glob("*.safetensors")) - self._seen):
            self._open(file)
        for file in self.path.glob("*.partial"):
            try:
                if time.time() - file.stat().st_mtime > ABANDONED:
                    file.unlink()
            except OSError:
                continue  # finished, or removed, by another process in this moment

    def _open(self, file: Path) -> None:
        self._seen.add(file)
        try:
            handle = safe_open(file, framework="pt")
        except (SafetensorError, OSError):
            return  # another process's file that was cut off or removed: its states are computed again
        self._index.update(dict.fromkeys(handle.keys(), handle))

    def get(self, key: str) -> Tensor | None:
        """A state, memory-mapped; None if it is not here."""
        handle = self._index.get(key)
        return None if handle is None else handle.get_tensor(key)

    def add(self, states: dict[str, Tensor]) -> None:
        """Write states as one more file."""
        if not states:
            return
        file = self.path / f"{uuid.uuid4().hex}.safetensors"
        partial = file.with_suffix(".partial")
        save_file({key: value.contiguous() for key, value in states.items()}, partial)
        partial.replace(file)
        self._open(file)
