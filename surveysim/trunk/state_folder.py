"""Trunk states on disk: files that are written completely or not at all, memory-mapped, and checked when read."""

from __future__ import annotations

import os
import shutil
import time
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from surveysim.errors import DiskFullError, is_disk_full, warn

try:
    import fcntl
except ImportError:  # pragma: no cover  (Windows)
    fcntl = None  # type: ignore[assignment]

__all__ = ["StateFolder"]

ABANDONED = 24 * 3600.0
"""Seconds after which a file that nobody finished writing is taken for the remains of a process that was killed, where
locks do not tell."""

ATTEMPTS = 3
"""A file is written anew if it is removed while it is written."""


class StateFolder:
    """A folder of states by key.

    Each batch is a file of its own that appears under its final name when it is complete, so that a process that is
    killed loses the batch it was working on and nothing else; what it left of that is removed by the next. Each state
    has a checksum: one that is damaged, or has none, counts as not there, so that it is computed again.

    Parameters
    ----------
    path : Path
        Made when needed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._index: dict[str, list[Any]] = {}
        self._seen: set[Path] = set()
        self._told = False

    def __len__(self) -> int:
        return len(self._index)

    def refresh(self) -> None:
        """Open the files that were added since, by this process or another; remove what was never finished."""
        self.path.mkdir(parents=True, exist_ok=True)
        for file in sorted(set(self.path.glob("*.safetensors")) - self._seen):
            self._open(file)
        for partial in self.path.glob("*.partial"):
            with suppress(OSError):  # finished, or removed, by another process in this moment
                if _is_left(partial):
                    _remove(partial)

    def _open(self, file: Path) -> None:
        self._seen.add(file)
        try:
            handle = safe_open(file, framework="pt")
            keys = list(handle.keys())
        except (SafetensorError, OSError, UnicodeError):
            return  # another process's file that was cut off or removed: its states are computed again
        for key in keys:
            self._index.setdefault(key, []).append(handle)

    def get(self, key: str) -> Tensor | None:
        """A state, memory-mapped; None if it is not here, or no copy of it is as it was written.

        Warns
        -----
        SurveysimWarning
            Once, if states are damaged.
        """
        handles = self._index.get(key, [])
        while handles:
            states = _read(handles[-1], key)
            if states is not None:
                return states
            handles.pop()
            self._tell()
        self._index.pop(key, None)
        return None

    def _tell(self) -> None:
        if not self._told:
            self._told = True
            warn(
                f"states in the trunk cache {str(self.path)!r} are damaged, or of an earlier version of surveysim: "
                "they are computed again. If it was the same version, check the disk."
            )

    def add(self, states: dict[str, Tensor]) -> None:
        """Write states as one more file.

        Raises
        ------
        DiskFullError
            If there is no room for them; nothing is left of the file.
        """
        if not states:
            return
        name = uuid.uuid4().hex
        file, partial = self.path / f"{name}.safetensors", self.path / f"{name}.partial"
        whole = {key: value.contiguous() for key, value in states.items()}
        checksums = {key: _checksum(key, value) for key, value in whole.items()}
        try:
            for attempt in range(ATTEMPTS):
                try:
                    with _locked(partial):
                        save_file(whole, partial / file.name, metadata=checksums)
                        (partial / file.name).replace(file)
                    break
                except (SafetensorError, FileNotFoundError):
                    # Taken for somebody's remains in the moment before the lock; else it is another trouble.
                    if partial.exists() or attempt + 1 == ATTEMPTS:
                        raise
        except BaseException as error:
            if is_disk_full(error):
                raise DiskFullError(
                    "the disk is full, and the trunk cache cannot take more states. Free some space, name another "
                    "folder in trunk_cache=, or leave it out",
                    self.path,
                ) from error
            raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        self._open(file)


def _read(handle: Any, key: str) -> Tensor | None:
    """A state as it was written, else None."""
    try:
        states: Tensor = handle.get_tensor(key)
        written = (handle.metadata() or {}).get(key)
    except (SafetensorError, OSError, RuntimeError, ValueError):
        return None
    return states if written == _checksum(key, states) else None


def _checksum(key: str, states: Tensor) -> str:
    """Of the numbers with their name, type and shape."""
    start = zlib.crc32(f"{key} {states.dtype} {tuple(states.shape)}".encode())
    flat = states.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return f"{zlib.crc32(flat.numpy(), start):08x}"  # type: ignore[arg-type]


# --- who is writing --------------------------------------------------------------------------------------------------


@contextmanager
def _locked(partial: Path) -> Iterator[None]:
    """A locked folder to write in: the system releases the lock when the process ends, however it ends.

    A folder, because what is written there may have names of its own before it is whole.
    """
    partial.mkdir(parents=True, exist_ok=True)
    if fcntl is None:  # pragma: no cover  (Windows)
        yield
        return
    descriptor = os.open(partial, os.O_RDONLY)
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Whether the lock is ours now; without locks in the file system, it is nobody's."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_left(partial: Path) -> bool:
    """Whether a folder's writers are gone; a file of that name is from an earlier version."""
    if time.time() - partial.stat().st_mtime > ABANDONED:
        return True
    if fcntl is None or not partial.is_dir():
        return False
    descriptor = os.open(partial, os.O_RDONLY)
    try:
        return _lock(descriptor)
    finally:
        os.close(descriptor)


def _remove(partial: Path) -> None:
    if partial.is_dir():
        shutil.rmtree(partial)
    else:
        partial.unlink()
