"""The versions of transformers that the library is tested with, and a warning for others."""

from __future__ import annotations

import threading

import transformers

from surveysim.errors import warn

__all__ = ["FIRST_TESTED", "LAST_TESTED", "check_transformers"]

FIRST_TESTED = (5, 0)
"""The first version that all tests pass with."""

LAST_TESTED = (5, 24)
"""The newest one; models that run with a later 5 are still compared with transformers' own logits on first use."""

_lock = threading.Lock()
_told = False


def check_transformers() -> None:
    """Warn, once in a process, if the installed transformers is outside the tested range."""
    global _told
    found = _number(transformers.__version__)
    if FIRST_TESTED <= found <= LAST_TESTED:
        return
    with _lock:
        told, _told = _told, True
    if not told:
        first, last, above = (
            f"{major}.{minor}" for major, minor in (FIRST_TESTED, LAST_TESTED, (LAST_TESTED[0], LAST_TESTED[1] + 1))
        )
        warn(
            f"transformers {transformers.__version__} is installed, but this surveysim is tested with {first} to "
            f"{last}. Models are checked when first used, and what does not fit is computed in slower ways. "
            f'If something fails: pip install "transformers>={first},<{above}"'
        )


def _number(version: str) -> tuple[int, int]:
    parts = [int("".join(filter(str.isdigit, part)) or 0) for part in version.split(".")[:2]]
    return parts[0], parts[1] if len(parts) > 1 else 0
