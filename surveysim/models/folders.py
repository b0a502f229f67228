"""Whether a folder holds a causal language model that can be loaded safely, checked before anything slow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from surveysim.models.errors import ADVICE, ModelNotFoundError

__all__ = ["INDEX_FILE", "WEIGHTS_FILE", "check_config", "check_folder", "has_tokenizer", "read_config", "weight_files"]

WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
_VOCABULARIES = ("tokenizer.json", "*.model", "vocab.*", "tekken.json", "*.tiktoken")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


def check_folder(folder: Path, name: str) -> None:
    """Raise unless a folder has a configuration, a tokenizer and safetensors weights of a causal language model.

    Parameters
    ----------
    folder : Path
    name : str
        What the user called the model; for messages.

    Raises
    ------
    ModelNotFoundError
        If the folder or something in it is missing.
    ValueError
        If the model would run code or unpickle, or is no causal language model.
    """
    if folder.is_file():
        raise ModelNotFoundError(
            f"model {name!r} is a file, but not GGUF: pass a GGUF file, or the folder with config.json and "
            f"*.safetensors in it. {ADVICE}"
        )
    if not folder.is_dir():
        raise ModelNotFoundError(f"there is no model folder {str(folder)!r}. {ADVICE}")
    if not (folder / "config.json").is_file():
        if (folder / "adapter_config.json").is_file():
            raise ModelNotFoundError(
                f"model folder {str(folder)!r} holds only an adapter: merge it into its base model, and save the result"
            )
        if any(folder.glob("*.gguf")):
            found = sorted(path.name for path in folder.glob("*.gguf"))
            raise ModelNotFoundError(f"model folder {str(folder)!r} has GGUF files: pass one of them, {found}")
        raise ModelNotFoundError(
            f"model folder {str(folder)!r} has no config.json: it should be a folder as transformers' "
            f"save_pretrained writes it. {ADVICE}"
        )
    check_config(read_config(folder), name)
    if not weight_files(folder):
        if any(any(folder.glob(pattern)) for pattern in _PICKLES):
            raise ValueError(
                f"model {name!r} has its weights as pickle files only, which can run code when they are opened: "
                "convert them to safetensors (load and save_pretrained once, in an environment that you trust)"
            )
        raise ModelNotFoundError(f"model folder {str(folder)!r} has no weights: {WEIGHTS_FILE} is missing. {ADVICE}")
    if not has_tokenizer(folder):
        raise ModelNotFoundError(
            f"model folder {str(folder)!r} has no tokenizer (tokenizer.json is missing): save it there as well, with "
            f"tokenizer.save_pretrained. {ADVICE}"
        )
    if not (folder / "tokenizer.json").is_file() and _read_json(folder / "tokenizer_config.json").get("auto_map"):
        raise ValueError(
            f"the tokenizer of model {name!r} needs Python code from its own repository (trust_remote_code); surveysim "
            "never runs such code. Choose a model with a tokenizer.json"
        )
    missing = [path.name for path in weight_files(folder) if not path.is_file()]
    if missing:
        raise ModelNotFoundError(
            f"model folder {str(folder)!r} is incomplete: {INDEX_FILE} names {missing[0]!r}"
            f"{f' and {len(missing) - 1} more' if len(missing) > 1 else ''}, which is not there. {ADVICE}"
        )


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration in a model folder."""
    return _read_json(folder / "config.json")


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold a JSON object, got {type(content).__name__}")
    return content


def check_config(config: Mapping[str, Any], name: str) -> None:
    """Raise ValueError unless a configuration is of a causal language model whose code transformers has."""
    model_type = config.get("model_type")
    if not isinstance(model_type, str):
        raise ValueError(f"model {name!r}: config.json names no model_type, so it is not a transformers model")
    if model_type not in CONFIG_MAPPING_NAMES:
        if config.get("auto_map"):
            raise ValueError(
                f"model {name!r} (model_type {model_type!r}) needs Python code from its own repository "
                "(trust_remote_code); surveysim never runs such code. Choose a model that transformers has itself"
            )
        raise ValueError(
            f"model {name!r} has model_type {model_type!r}, which the installed transformers does not know; a newer "
            "version may"
        )
    expected = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(model_type)
    causal = set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values())
    architectures = config.get("architectures") or []
    if expected is None or config.get("is_encoder_decoder") or (architectures and not causal & set(architectures)):
        what = ", ".join(architectures) or f"model_type {model_type!r}"
        raise ValueError(
            f"model {name!r} is not a causal language model ({what}): surveysim reads the next token's probabilities, "
            f"so it needs one, such as {expected or 'Qwen3ForCausalLM'}"
        )


def has_tokenizer(folder: Path) -> bool:
    """Whether a tokenizer's vocabulary lies in a folder: without one transformers makes an empty tokenizer up."""
    return any(any(folder.glob(pattern)) for pattern in _VOCABULARIES)


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that make up a model, in the order of their names; those in an index may be missing."""
    if (folder / WEIGHTS_FILE).is_file():
        return [folder / WEIGHTS_FILE]
    index = folder / INDEX_FILE
    if not index.is_file():
        return []
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{INDEX_FILE} in {str(folder)!r} cannot be read: {error}") from error
    return [folder / name for name in sorted(names)]
