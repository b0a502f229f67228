"""What a GGUF file says about itself, read quickly, without the package gguf, and checked against its length."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from surveysim.errors import SurveysimError

__all__ = ["GGUFHeader", "Tensor", "is_gguf", "read_gguf_header"]

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)

# https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9

# A file whose counts are larger than these is no model but noise.
_MOST_ENTRIES = 10**6
_LONGEST_TEXT = 2**30
_MOST_DIMENSIONS = 8
_MOST_ELEMENTS = 10**8


@dataclass(frozen=True)
class Tensor:
    """One tensor of a file.

    Attributes
    ----------
    name : str
    shape : tuple of int
    number_type : int
        As ``gguf.GGMLQuantizationType`` numbers it.
    offset : int
        Where its bytes begin, counted from the end of the header.
    """

    name: str
    shape: tuple[int, ...]
    number_type: int
    offset: int

    @property
    def n_weights(self) -> int:
        """Number of its elements."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class GGUFHeader:
    """The head of a GGUF file.

    Attributes
    ----------
    metadata : dict
        Single values by key, such as ``general.architecture``; lists (vocabularies) are passed over.
    tensors : tuple of Tensor
    data_start : int
        Where the tensors' bytes begin.
    size : int
        Bytes of the whole file.
    """

    metadata: dict[str, Any]
    tensors: tuple[Tensor, ...]
    data_start: int
    size: int

    @property
    def architecture(self) -> str:
        """What llama.cpp calls the model's structure; empty if the file does not say."""
        return str(self.metadata.get("general.architecture", ""))

    @property
    def n_weights(self) -> int:
        """Number of weights."""
        return sum(tensor.n_weights for tensor in self.tensors)


def is_gguf(path: Path) -> bool:
    """Whether a file is GGUF by its first bytes, whatever it is called: Ollama's files have no suffix."""
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def read_gguf_header(path: Path) -> GGUFHeader:
    """Read the head of a GGUF file.

    Parameters
    ----------
    path : Path

    Returns
    -------
    GGUFHeader

    Raises
    ------
    ValueError
        If the file is no GGUF, ends within its head or holds what cannot be.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        reader = _Reader(file)
        try:
            return _read(reader, size)
        except (EOFError, UnicodeDecodeError, _NonsenseError) as error:
            raise ValueError(
                f"{str(path)!r} is not a whole GGUF file ({error}; {size:,} bytes): it is cut off or damaged. "
                "Download or copy it again"
            ) from error


class _NonsenseError(SurveysimError, ValueError):
    """Raise: what was read is impossible."""


class _Reader:
    """Numbers and texts, one after another."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def bytes(self, n: int) -> bytes:
        found = self._file.read(n)
        if len(found) < n:
            raise EOFError("its head ends too early")
        return found

    def number(self, code: str) -> Any:
        return struct.unpack("<" + code, self.bytes(struct.calcsize("<" + code)))[0]

    def position(self) -> int:
        return self._file.tell()

    def count(self, most: int, what: str) -> int:
        n = int(self.number("Q"))
        if n > most:
            raise _NonsenseError(f"it claims {n:,} {what}")
        return n

    def text(self) -> str:
        return self.bytes(self.count(_LONGEST_TEXT, "bytes of text")).decode("utf-8")

    def value(self, kind: int) -> Any:
        """A single value; None for a list, which is passed over."""
        if kind in _NUMBERS:
            return self.number(_NUMBERS[kind])
        if kind == _STRING:
            return self.text()
        if kind == _ARRAY:
            self._pass_over()
            return None
        raise _NonsenseError(f"it has a value of the unknown type {kind}")

    def _pass_over(self) -> None:
        kind, n = int(self.number("I")), self.count(_MOST_ELEMENTS, "elements of a list")
        if kind in _NUMBERS:
            self.bytes(n * struct.calcsize("<" + _NUMBERS[kind]))
        else:
            for _ in range(n):
                if kind == _STRING:  # not decoded: single tokens need not be text
                    self.bytes(self.count(_LONGEST_TEXT, "bytes of text"))
                else:
                    self.value(kind)


def _read(reader: _Reader, size: int) -> GGUFHeader:
    if reader.bytes(4) != _MAGIC:
        raise _NonsenseError("it does not begin with GGUF")
    version = reader.number("I")
    if version not in _VERSIONS:
        raise _NonsenseError(f"version {version} of the format, where {_VERSIONS} are known")
    n_tensors = reader.count(_MOST_ENTRIES, "tensors")
    n_entries = reader.count(_MOST_ENTRIES, "entries")
    metadata = {}
    for _ in range(n_entries):
        key = reader.text()
        value = reader.value(int(reader.number("I")))
        if value is not None:
            metadata[key] = value
    tensors = []
    for _ in range(n_tensors):
        name, n_dimensions = reader.text(), int(reader.number("I"))
        if n_dimensions > _MOST_DIMENSIONS:
            raise _NonsenseError(f"it claims {n_dimensions} dimensions of a tensor")
        shape = tuple(int(reader.number("Q")) for _ in range(n_dimensions))
        tensors.append(Tensor(name, shape, int(reader.number("I")), int(reader.number("Q"))))
    alignment = int(metadata.get("general.alignment", 32)) or 32
    data_start = -(-reader.position() // alignment) * alignment
    if not tensors:
        raise _NonsenseError("it has no tensors")
    last = max(tensor.offset for tensor in tensors)
    if data_start + last >= size:
        raise EOFError("its tensors end too early")
    return GGUFHeader(metadata, tuple(tensors), data_start, size)
