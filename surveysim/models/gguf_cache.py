"""GGUF files as model folders: each is dequantised once, into a cache that the file's content names."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path

from huggingface_hub import constants

from surveysim.errors import DiskFullError, is_disk_full
from surveysim.models.download import gigabytes, say
from surveysim.models.gguf_convert import bytes_needed, check_convertible, convert
from surveysim.models.gguf_header import read_gguf_header

__all__ = ["DequantisedModel", "cache_folder", "dequantised"]

RECIPE = 1
"""Number of the way in which files are converted; a new number makes all of them anew."""

_ABANDONED = 24 * 3600.0
"""Seconds after which an unfinished conversion counts as broken off."""

_making = threading.Lock()

_known: dict[tuple[str, int, int], str] = {}
"""Hashes of files that this process has read, by path, size and time."""


class DequantisedModel:
    """A folder that a GGUF file was made into.

    Attributes
    ----------
    folder : Path
        Configuration, tokenizer and safetensors.
    fingerprint : str
        Follows from the file's content alone, so that it is the same with every version of transformers.
    """

    def __init__(self, folder: Path, digest: str) -> None:
        self.folder = folder
        self.fingerprint = hashlib.sha256(f"gguf/{RECIPE}/{digest}".encode()).hexdigest()


def cache_folder() -> Path:
    """Where dequantised models are kept: in ``SURVEYSIM_CACHE`` if that is set, else beside the hub's cache."""
    place = os.environ.get("SURVEYSIM_CACHE")
    return (Path(place).expanduser() if place else Path(constants.HF_HOME) / "surveysim") / "gguf"


def dequantised(path: Path) -> DequantisedModel:
    """The model folder of a GGUF file; created when first asked for, with a note of its size.

    Parameters
    ----------
    path : Path
        The file, whatever it is called.

    Returns
    -------
    DequantisedModel

    Raises
    ------
    ImportError
        If the package gguf is missing.
    ValueError
        If the file is damaged, or holds something that transformers cannot read.
    DiskFullError
        If the folder does not fit where it should go.
    """
    digest = _digest(path)
    folder = cache_folder() / f"{digest[:32]}-{RECIPE}"
    # Folders get this name when they are complete: one that is there is whole.
    with _making:
        if not folder.is_dir():
            _make(path, folder)
    return DequantisedModel(folder, digest)


def _make(path: Path, folder: Path) -> None:
    header = read_gguf_header(path)
    check_convertible(path, header)
    needed = bytes_needed(header)
    advice = "free some space, or set SURVEYSIM_CACHE or HF_HOME to a folder on a larger disk"
    room = f"{path.name} needs {gigabytes(needed)} when it is dequantised: {advice}"
    place = folder.parent
    try:
        place.mkdir(parents=True, exist_ok=True)
        _clear_abandoned(place)
        if needed > shutil.disk_usage(place).free:
            raise DiskFullError(room, place)
        say(f"dequantising {path.name} ({header.n_weights / 1e6:,.0f} million weights), once: {gigabytes(needed)} to "
            f"{folder}")  # fmt: skip
        unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=place))
    except DiskFullError:
        raise
    except OSError as error:
        raise (DiskFullError(room, place) if is_disk_full(error) else _unwritable(place, error)) from error
    try:
        convert(path, header, unfinished)
        _adopt(unfinished, folder)
    except Exception as error:
        if is_disk_full(error):
            raise DiskFullError(room, place) from error
        raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _adopt(unfinished: Path, folder: Path) -> None:
    """Give a complete folder its name; another process may have been faster."""
    try:
        unfinished.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise


def _unwritable(place: Path, error: OSError) -> ValueError:
    return ValueError(
        f"a GGUF file is dequantised once into a folder, but {str(place)!r} cannot be written ({error}): set "
        "SURVEYSIM_CACHE to a folder that can"
    )


def _clear_abandoned(place: Path) -> None:
    """Remove what killed conversions left behind."""
    for left in place.glob("unfinished-*"):
        try:
            if time.time() - left.stat().st_mtime > _ABANDONED:
                shutil.rmtree(left, ignore_errors=True)
        except OSError:  # another process was faster
            continue


def _digest(path: Path) -> str:
    """The sha256 of a file; remembered by path, size and time, since large ones take a minute to read."""
    entry = path.stat()
    key = (str(path), entry.st_size, entry.st_mtime_ns)
    if key not in _known:
        note = cache_folder() / "files" / f"{hashlib.sha256(str(path).encode()).hexdigest()[:32]}.json"
        _known[key] = _noted(note, key) or _hash_and_note(path, note, key)
    return _known[key]


def _noted(note: Path, key: tuple[str, int, int]) -> str | None:
    try:
        found = json.loads(note.read_text(encoding="utf-8"))
        digest = found["sha256"] if [found["path"], found["size"], found["time"]] == list(key) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return digest if isinstance(digest, str) and len(digest) == 64 else None


def _hash_and_note(path: Path, note: Path, key: tuple[str, int, int]) -> str:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        unfinished = note.with_suffix(f".{os.getpid()}")
        unfinished.write_text(json.dumps(dict(zip(("path", "size", "time"), key, strict=True)) | {"sha256": digest}))
        unfinished.replace(note)
    except OSError:  # then it is hashed again next time
        pass
    return digest
