"""Models that answer: asks, local and remote answerers, and the journal that keeps their answers."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from surveysim.asking.remote import RemoteAnswerer as RemoteAnswerer
    from surveysim.asking.remote import RemoteError as RemoteError

# Looked up on first use: the room's other modules bring torch, these the client of a server.
_LAZY = {
    "RemoteAnswerer": "remote",
    "RemoteError": "remote",
}

__all__ = ["RemoteAnswerer", "RemoteError"]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        value = getattr(importlib.import_module(f"surveysim.asking.{_LAZY[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'surveysim.asking' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
