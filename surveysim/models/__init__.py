"""Language models: loaded once and shared by every estimator; torch and transformers are imported on first use."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from surveysim.models.devices import resolve_device as resolve_device
    from surveysim.models.devices import resolve_dtype as resolve_dtype
    from surveysim.models.errors import ModelNotFoundError as ModelNotFoundError
    from surveysim.models.labels import Labels as Labels
    from surveysim.models.loaded import LoadedModel as LoadedModel
    from surveysim.models.registry import clear_models as clear_models
    from surveysim.models.registry import load_model as load_model
    from surveysim.models.registry import set_model_limit as set_model_limit

_LAZY = {
    "Labels": "labels",
    "LoadedModel": "loaded",
    "ModelNotFoundError": "errors",
    "clear_models": "registry",
    "load_model": "registry",
    "resolve_device": "devices",
    "resolve_dtype": "devices",
    "set_model_limit": "registry",
}

__all__ = [
    "Labels",
    "LoadedModel",
    "ModelNotFoundError",
    "clear_models",
    "load_model",
    "resolve_device",
    "resolve_dtype",
    "set_model_limit",
]


# Paths that were documented before `surveysim.asking` had a room of its own.
_MOVED = {"RemoteError": "RemoteError", "RemoteRespondent": "RemoteAnswerer"}


def __getattr__(name: str) -> Any:
    if name in _MOVED:
        return getattr(importlib.import_module("surveysim.asking"), _MOVED[name])
    if name in _LAZY:
        value = getattr(importlib.import_module(f"surveysim.models.{_LAZY[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'surveysim.models' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
