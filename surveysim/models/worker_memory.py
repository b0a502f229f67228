"""Let worker processes of joblib grow by a model without being restarted as leaking."""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["expect_a_model"]

ROOM = 2 * 2**30
"""Bytes that a model's trunk states, heads and activations may take beside it."""

_EXECUTORS = ("joblib.externals.loky.process_executor", "loky.process_executor")


def expect_a_model() -> None:
    """Let loky's workers keep what they loaded.

    loky measures a worker after its first task, and ends one that has grown by 300 MB since: torch and a model are
    more. Where a light task came first, each worker was restarted with a warning of "a memory leak", and loaded the
    model again. loky has no public setting for the limit; where its name for it changes, workers restart as before.
    """
    for name in _EXECUTORS:
        executor = sys.modules.get(name)
        limit = getattr(executor, "_MAX_MEMORY_LEAK_SIZE", None)
        if limit is not None and getattr(executor, "_CURRENT_DEPTH", False):
            executor._MAX_MEMORY_LEAK_SIZE = max(limit, _resident_bytes() + ROOM)  # type: ignore[union-attr]


def _resident_bytes() -> int:
    """Memory of this process; about what torch takes where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 2**30
    import resource

    return pages * resource.getpagesize()
