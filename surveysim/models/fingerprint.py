"""A fingerprint of a model's content: configuration, tokenizer and weights, whatever device it is loaded on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["fingerprint"]

#: Up to this many bytes of weights everything is hashed.
SMALL = 64 * 2**20

# Above that, of every tensor: pieces of this many bytes, this many of them, the first and the last bytes included.
_PIECE = 4096
_PIECES = 16

# What changes in a configuration when the same model is only saved again.
_VOLATILE = {"_name_or_path", "transformers_version"}


def fingerprint(config: Mapping[str, object], tokenizer: PreTrainedTokenizerBase, weights: Sequence[Path]) -> str:
    """The sha256, in hexadecimal, of what a model computes with.

    It covers the configuration, the tokenizer's vocabulary and chat template, and every tensor's name, type, shape and
    bytes. Models of up to 64 MiB of weights are hashed whole, so that any changed weight changes the fingerprint. Of
    larger ones 16 pieces of 4 KiB per tensor are hashed, the first and the last among them: this tells apart models
    that were trained differently, in milliseconds instead of minutes, but would not notice one edited number. How the
    tensors are spread over files plays no part.

    Parameters
    ----------
    config : dict
        The content of config.json.
    tokenizer : PreTrainedTokenizer
    weights : sequence of Path
        The model's safetensors files.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    tensors = sorted(
        (name, dtype, shape, path, begin, end)
        for path in weights
        for name, dtype, shape, begin, end in _read_header(path)
    )
    digest = hashlib.sha256()
    _add(digest, {key: value for key, value in config.items() if key not in _VOLATILE})
    _add(digest, sorted(tokenizer.get_vocab().items()))
    _add(digest, tokenizer.chat_template)
    whole = sum(end - begin for *_, begin, end in tensors) <= SMALL
    for name, dtype, shape, path, begin, end in tensors:
        _add(digest, [name, dtype, shape])
        with path.open("rb") as file:
            for piece_begin, piece_end in _pieces(begin, end, whole):
                file.seek(piece_begin)
                digest.update(file.read(piece_end - piece_begin))
    return digest.hexdigest()


def _add(digest: Any, content: Any) -> None:
    digest.update(json.dumps(content, sort_keys=True, ensure_ascii=True).encode() + b"\n")


def _pieces(begin: int, end: int, whole: bool) -> list[tuple[int, int]]:
    """Byte ranges of a tensor to hash, without overlap."""
    if whole or end - begin <= _PIECE * _PIECES:
        return [(begin, end)]
    last = end - _PIECE
    return [(start, start + _PIECE) for start in (begin + (last - begin) * i // (_PIECES - 1) for i in range(_PIECES))]


def _read_header(path: Path) -> list[tuple[str, str, list[int], int, int]]:
    """Name, type, shape and byte range in the file of every tensor (the safetensors format: length, JSON, data)."""
    with path.open("rb") as file:
        length = int.from_bytes(_exactly(file, 8, path), "little")
        if length > path.stat().st_size:
            raise ValueError(f"{path} is not a safetensors file: its header would be longer than the file")
        try:
            header = json.loads(_exactly(file, length, path))
        except ValueError as error:
            raise ValueError(f"{path} is not a safetensors file: its header cannot be read ({error})") from error
    header.pop("__metadata__", None)
    start = 8 + length
    return [
        (name, entry["dtype"], entry["shape"], *(start + offset for offset in entry["data_offsets"]))
        for name, entry in header.items()
    ]


def _exactly(file: BinaryIO, n_bytes: int, path: Path) -> bytes:
    content = file.read(n_bytes)
    if len(content) < n_bytes:
        raise ValueError(f"{path} is cut off: download or save the model again")
    return content
