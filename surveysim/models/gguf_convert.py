"""From a GGUF file to a folder of safetensors, by transformers' own reading of the format."""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from surveysim.models.gguf_header import GGUFHeader
from surveysim.models.one_load import one_load
from surveysim.models.own_torch import own_torch

__all__ = ["bytes_needed", "check_convertible", "convert"]

# https://github.com/ggml-org/ggml/blob/master/docs/gguf.md: the types of tensors that are not quantised
_F32, _F64, _BF16 = 0, 28, 30
_WHERE = "https://huggingface.co/docs/transformers/gguf"
_LONGEST_NAME = 60


def check_convertible(path: Path, header: GGUFHeader) -> None:
    """Check what can be checked before anything slow.

    Raises
    ------
    ImportError
        If the package gguf is missing.
    ValueError
        If the file is one part of several, holds no language model or one that transformers cannot read, or is cut off.
    """
    if importlib.util.find_spec("gguf") is None:
        raise ImportError(f"{str(path)!r} is a GGUF file, which the package gguf reads: pip install 'surveysim[gguf]'")
    parts = header.metadata.get("split.count", 1)
    if isinstance(parts, int) and parts > 1:
        raise ValueError(
            f"{str(path)!r} is one of {parts} parts of a model: join them with `llama-gguf-split --merge FIRST_PART "
            "WHOLE.gguf`, and pass the whole"
        )
    kind = header.metadata.get("general.type", "model")
    if kind != "model":
        raise ValueError(f"{str(path)!r} holds only part of a language model ({kind}): pass the model itself")
    known = _readable()
    if known and header.architecture.replace("-", "_") not in {name.replace("-", "_") for name in known}:
        raise _unreadable(path, header, known)
    _check_length(path, header)


def bytes_needed(header: GGUFHeader) -> int:
    """About how large the folder will be: the weights, and a few MB of tokenizer."""
    return header.n_weights * _storage(header).itemsize + 2 * 10**7


@own_torch()
def convert(path: Path, header: GGUFHeader, folder: Path) -> None:
    """Write configuration, tokenizer with chat template, and dequantised weights into a folder.

    Parameters
    ----------
    path : Path
        The GGUF file.
    header : GGUFHeader
        Its head.
    folder : Path
        An empty folder.

    Raises
    ------
    ValueError
        If transformers cannot read the file.
    """
    with tempfile.TemporaryDirectory() as alone, one_load(header.size):
        where, file = _by_itself(path, Path(alone))
        try:
            tokenizer, network = _read(where, file)
        except OSError:
            raise
        except Exception as error:  # whatever a damaged file leads to, in two packages
            if "not supported" in str(error):
                raise _unreadable(path, header, _readable()) from error
            raise ValueError(f"the GGUF file {str(path)!r} cannot be read by transformers: {error}") from error
    _name_special_tokens(tokenizer, header)
    tokenizer.save_pretrained(folder)
    _save(network, _storage(header), folder)


def _by_itself(path: Path, folder: Path) -> tuple[Path, str]:
    """The file in a folder of its own: transformers would read other models' tokenizers that lie beside it."""
    name = path.name[-_LONGEST_NAME:]
    try:
        (folder / name).symlink_to(path.resolve())
    except OSError:  # Windows allows it to few
        return path.parent, path.name
    return folder, name


def _read(folder: Path, file: str) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    options: dict[str, Any] = {"gguf_file": file, "local_files_only": True, "trust_remote_code": False}
    tokenizer = AutoTokenizer.from_pretrained(folder, **options)
    loaded: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True, **options)
    network, report = loaded
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise ValueError(f"it lacks {len(missing)} of the model's weights ({', '.join(missing[:3])}...)")
    return tokenizer, network


def _name_special_tokens(tokenizer: Any, header: GGUFHeader) -> None:
    """The tokens that begin, end and fill a text are those of the file: transformers 5.0 takes one for another."""
    for role, key in (("bos_token", "bos"), ("eos_token", "eos"), ("pad_token", "padding")):
        number = header.metadata.get(f"tokenizer.ggml.{key}_token_id")
        if isinstance(number, int) and 0 <= number < len(tokenizer):
            setattr(tokenizer, role, tokenizer.convert_ids_to_tokens(number))


def _save(network: Any, storage: torch.dtype, folder: Path) -> None:
    """Save a dequantised model as if it had never been quantised: transformers does not save models from GGUF."""
    from transformers import AutoModelForCausalLM

    config = network.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    config.architectures = [type(network).__name__]
    config.dtype = storage
    weights = {name: _stored(weight, storage) for name, weight in network.state_dict().items()}
    with torch.device("meta"):
        plain = AutoModelForCausalLM.from_config(config)
    plain.load_state_dict(weights, assign=True)
    plain.tie_weights()
    plain.generation_config = network.generation_config
    plain.save_pretrained(folder)


def _stored(weight: Tensor, storage: torch.dtype) -> Tensor:
    """Matrices in the type of storage; vectors (norms, biases) are few and stay as they are."""
    return weight if weight.ndim < 2 or not weight.is_floating_point() else weight.to(storage)


def _storage(header: GGUFHeader) -> torch.dtype:
    """The type that loses practically nothing: that of the file's matrices, and float16 for quantised ones.

    A float16 has 11 bits, a quantised weight 4 or 8 and those of its block's scale: the rounding is a fiftieth of that
    of 4 bits.
    """
    types = {tensor.number_type for tensor in header.tensors if len(tensor.shape) > 1}
    if types & {_F32, _F64}:
        return torch.float32
    if types == {_BF16}:
        return torch.bfloat16
    return torch.float32 if _BF16 in types else torch.float16


def _check_length(path: Path, header: GGUFHeader) -> None:
    """Whether all tensors lie within the file."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    sizes = {int(kind): size for kind, size in GGML_QUANT_SIZES.items()}
    names = {int(kind): kind.name for kind in GGMLQuantizationType}
    for tensor in header.tensors:
        if tensor.number_type not in sizes:
            raise ValueError(
                f"{str(path)!r} stores {tensor.name!r} in a way that the installed package gguf does not know "
                f"(number {tensor.number_type}; it knows {', '.join(names.values())}): a newer gguf may"
            )
        block, n_bytes = sizes[tensor.number_type]
        end = header.data_start + tensor.offset + tensor.n_weights // block * n_bytes
        if end > header.size:
            raise ValueError(
                f"{str(path)!r} is not a whole GGUF file: {tensor.name!r} ends at byte {end:,}, but the file has "
                f"{header.size:,}. Download or copy it again"
            )


def _readable() -> list[str]:
    """Architectures that the installed transformers reads; empty where it keeps them elsewhere than so far."""
    try:
        from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES
    except ImportError:
        return []
    return sorted(set(GGUF_SUPPORTED_ARCHITECTURES) - {"general", "tokenizer"})


def _unreadable(path: Path, header: GGUFHeader, known: list[str]) -> ValueError:
    reads = f" It reads {', '.join(known)}." if known else ""
    return ValueError(
        f"{str(path)!r} has the architecture {header.architecture!r}, which the installed transformers cannot read "
        f"from GGUF ({_WHERE}).{reads} Take the same model's safetensors from the hub, or a newer transformers"
    )
