"""Sentence encoders: texts to vectors whose cosine says how alike the texts are, by transformers alone."""

from __future__ import annotations

import json
import os
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError
from transformers import AutoModel, AutoTokenizer

from surveysim.models.devices import resolve_device
from surveysim.models.download import TIMEOUT
from surveysim.models.errors import ModelNotFoundError
from surveysim.models.folders import weight_files

# One load at a time in the whole process, whatever is loaded; and bars only where loading takes long.
from surveysim.models.one_load import one_load
from surveysim.models.own_torch import own_torch
from surveysim.models.versions import check_transformers

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["Encoder", "load_encoder"]

# Nothing that runs code, and the settings of the layers behind the network.
_WANTED = ["*.json", "*.txt", "*.model", "model*.safetensors", "*_Pooling/config.json"]
_UNWANTED = ["onnx/*", "openvino/*"]

# Old settings have one switch a mode, new ones the modes' names; vectors of several modes are joined in this order.
_MODES = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}

# Layers that change no angle, or that are done here.
_KNOWN_LAYERS = ("Transformer", "Pooling", "Normalize")

# Tokenizers without a limit name a number like this.
_ENDLESS = 10**9

_ADVICE = (
    "What you can do: pass the folder of a sentence encoder that you have; go online; or pass an object with a method "
    "encode(texts), or a function, that returns one vector per text"
)

_encoders: weakref.WeakValueDictionary[_Key, Encoder] = weakref.WeakValueDictionary()
_lock = threading.Lock()


class _Key(NamedTuple):
    folder: str
    device: str


class _Settings(NamedTuple):
    """How a sentence encoder takes its texts, and how it pools its tokens' vectors."""

    pooling: tuple[str, ...]
    max_tokens: int | None
    lower: bool
    prompt: str


class Encoder:
    """A sentence encoder on this machine; made by `load_encoder`. Several threads may share it.

    Attributes
    ----------
    name : str
        The folder's path or the hub's name.
    pooling : tuple of str
        How the vectors of a text's tokens become one.
    """

    def __init__(
        self, name: str, tokenizer: PreTrainedTokenizerBase, network: PreTrainedModel, settings: _Settings
    ) -> None:
        self.name = name
        self.pooling = settings.pooling
        self._settings = settings
        self._tokenizer = tokenizer
        self._network = network.eval().requires_grad_(False)
        self._lock = threading.Lock()

    def encode(self, texts: Sequence[str], *, batch_size: int = 64) -> np.ndarray:
        """One vector per text.

        Parameters
        ----------
        texts : sequence of str
            What is longer than the encoder can read is cut at its end.
        batch_size : int, default=64

        Returns
        -------
        float64 array of shape (n, d); of shape (0, 0) without texts
        """
        if not len(texts):
            return np.empty((0, 0))
        texts = [self._settings.prompt + (text.lower() if self._settings.lower else text) for text in texts]
        # Texts of like length together: less padding.
        order = np.argsort([len(text) for text in texts], kind="stable")
        vectors: list[Any] = [None] * len(texts)
        for start in range(0, len(order), batch_size):
            some = order[start : start + batch_size]
            for i, vector in zip(some, self._encode([texts[i] for i in some]), strict=True):
                vectors[i] = vector
        return np.array(vectors, dtype=np.float64)

    @own_torch()
    def _encode(self, texts: list[str]) -> np.ndarray:
        with self._lock, torch.no_grad():
            length = self._settings.max_tokens
            batch = self._tokenizer(
                texts, padding=True, truncation=length is not None, max_length=length, return_tensors="pt"
            ).to(self._network.device)
            states = self._network(**batch).last_hidden_state.float()
            mask = batch["attention_mask"].unsqueeze(-1).to(states.dtype)
            pooled = torch.cat([_pool(states, mask, mode) for mode in self.pooling], dim=-1)
        return np.asarray(pooled.double().cpu().numpy())


def _pool(states: torch.Tensor, mask: torch.Tensor, mode: str) -> torch.Tensor:
    """One vector per text from those of its tokens, (n, length, d) and (n, length, 1), whichever side is padded."""
    if mode == "max":
        return states.masked_fill(mask == 0, -torch.inf).amax(1)
    if mode in ("cls", "lasttoken"):
        places = mask.squeeze(-1).cumsum(1)
        chosen = places.argmax(1) if mode == "lasttoken" else (mask.squeeze(-1) > 0).int().argmax(1)
        return states[torch.arange(len(states), device=states.device), chosen]
    weight = mask.cumsum(1) * mask if mode == "weightedmean" else mask
    total = (states * weight).sum(1)
    return total / weight.sum(1).clamp(min=1e-9) ** (0.5 if mode == "mean_sqrt_len_tokens" else 1.0)


def load_encoder(
    name: str | os.PathLike[str],
    *,
    device: str | torch.device = "auto",
    revision: str | None = None,
    local_files_only: bool = False,
) -> Encoder:
    """A sentence encoder from a folder or the Hugging Face hub; everybody who uses it at the same time shares one copy.

    Pooling, the longest text and a prompt are read from sentence-transformers' settings beside the model, where there
    are any; else the vectors of all tokens are averaged.

    Parameters
    ----------
    name : str or path
        A folder, or a name on the hub such as ``"sentence-transformers/all-MiniLM-L6-v2"``. A copy in the hub's cache
        is used without asking the network.
    device, revision, local_files_only
        As in `load_model`.

    Returns
    -------
    Encoder

    Raises
    ------
    ModelNotFoundError
        If there is no such encoder, or it cannot be had from here; a ValueError, as is the following.
    ValueError
        If it has no safetensors weights, lacks some, needs code of its own, or has layers that are not known here.
    """
    place = resolve_device(device)
    folder = _find(name, revision, local_files_only)
    key = _Key(str(folder), str(place))
    with _lock:
        found = _encoders.get(key)
        if found is None:
            found = _encoders[key] = _load(os.fspath(name), folder, place)
        return found


def _find(name: str | os.PathLike[str], revision: str | None, local_files_only: bool) -> Path:
    if not isinstance(name, str | os.PathLike):
        raise TypeError(f"an encoder must be named by a folder or a name on the hub, got {type(name).__name__}")
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if isinstance(name, os.PathLike) or str(name).startswith((".", "~", os.sep)) or str(name).count("/") > 1:
        raise ModelNotFoundError(f"there is no folder {str(folder)!r} with a sentence encoder. {_ADVICE}")
    wanted: dict[str, Any] = {"revision": revision, "allow_patterns": _WANTED, "ignore_patterns": _UNWANTED}
    try:
        cached = Path(snapshot_download(str(name), local_files_only=True, **wanted))
        if weight_files(cached):
            return cached
    except HFValidationError as error:
        raise ModelNotFoundError(f"encoder {name!r} is neither a folder nor a hub name ({error}). {_ADVICE}") from None
    except (LocalEntryNotFoundError, OSError):
        pass
    if local_files_only:
        raise ModelNotFoundError(
            f"encoder {name!r} is not in the hub's cache, and local_files_only=True forbids a download. {_ADVICE}"
        )
    try:
        return Path(snapshot_download(str(name), etag_timeout=TIMEOUT, **wanted))
    except Exception as error:  # the hub's client raises errors of whichever HTTP library it uses
        reason = (str(error).strip().splitlines() or [""])[0]
        raise ModelNotFoundError(
            f"encoder {name!r} cannot be fetched from the hub ({type(error).__name__}: {reason}). {_ADVICE}"
        ) from error


@own_torch()
def _load(name: str, folder: Path, device: torch.device) -> Encoder:
    if not (folder / "config.json").is_file():
        raise ModelNotFoundError(
            f"folder {str(folder)!r} has no config.json, so it does not hold an encoder. {_ADVICE}"
        )
    if not weight_files(folder):
        raise ValueError(
            f"encoder {name!r} has no safetensors weights (pickle files, which can run code, are not opened). {_ADVICE}"
        )
    check_transformers()
    settings = _read_settings(folder, name)
    safe: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        with one_load(0):
            tokenizer = AutoTokenizer.from_pretrained(folder, **safe)
            options = {"dtype": torch.float32, "use_safetensors": True, "output_loading_info": True, **safe}
            loaded: Any = AutoModel.from_pretrained(folder, **options)
    except (OSError, ValueError, RuntimeError, KeyError, ImportError, TypeError, SafetensorError) as error:
        raise ValueError(f"encoder {name!r} cannot be loaded from {str(folder)!r}: {error}") from error
    network, report = loaded
    # The pooler is a layer of BERT that sentence encoders do not use.
    missing = sorted(key for key in report["missing_keys"] if not key.startswith("pooler."))
    if missing:
        raise ValueError(f"encoder {name!r} lacks {len(missing)} of its weights ({', '.join(missing[:3])}...)")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    longest = (
        settings.max_tokens,
        tokenizer.model_max_length,
        getattr(network.config, "max_position_embeddings", None),
    )
    known = [int(length) for length in longest if length and length < _ENDLESS]
    return Encoder(name, tokenizer, network.to(device), settings._replace(max_tokens=min(known) if known else None))


def _read_settings(folder: Path, name: str) -> _Settings:
    """What sentence-transformers keeps beside a model."""
    layers = _read(folder / "modules.json", [])
    for layer in layers:
        kind = str(layer.get("type", "")).rpartition(".")[2]
        if kind not in _KNOWN_LAYERS:
            raise ValueError(
                f"encoder {name!r} has a layer of type {kind!r}; known are {', '.join(_KNOWN_LAYERS)}. Load it with "
                "sentence_transformers.SentenceTransformer and pass that object instead"
            )
    pooling = [layer["path"] for layer in layers if str(layer.get("type", "")).endswith("Pooling")]
    plan = _read(folder / pooling[0] / "config.json", {}) if pooling else {}
    modes = plan.get("pooling_mode") or [mode for mode, switch in _MODES.items() if plan.get(switch)] or ["mean"]
    modes = (modes,) if isinstance(modes, str) else tuple(modes)
    if not set(modes) <= set(_MODES):
        raise ValueError(f"encoder {name!r} pools by {', '.join(modes)}; known are {', '.join(_MODES)}")
    reading = _read(folder / "sentence_bert_config.json", {})
    prompts = _read(folder / "config_sentence_transformers.json", {})
    prompt = (prompts.get("prompts") or {}).get(prompts.get("default_prompt_name") or "", "")
    return _Settings(modes, reading.get("max_seq_length"), bool(reading.get("do_lower_case")), prompt)


def _read(path: Path, otherwise: Any) -> Any:
    if not path.is_file():
        return otherwise
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
