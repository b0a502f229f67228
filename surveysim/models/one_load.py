"""One load of a model at a time, with transformers' progress bars where the wait is worth them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from transformers.utils import logging as transformers_logging

__all__ = ["one_load"]

# Reading fewer bytes than this takes a moment only: a progress bar would be noise.
_WORTH_A_BAR = 10**9

# transformers patches its own classes while it loads: two loads at once leave weights untied, for good.
_loading = threading.Lock()


@contextmanager
def one_load(n_bytes: int) -> Iterator[None]:
    """Let transformers load a model while no other thread does.

    Parameters
    ----------
    n_bytes : int
        How much is read.
    """
    with _loading, _progress_bars(n_bytes >= _WORTH_A_BAR):
        yield


@contextmanager
def _progress_bars(shown: bool) -> Iterator[None]:
    """Show or hide transformers' loading bars, and leave its setting as it was."""
    if shown or not transformers_logging.is_progress_bar_enabled():
        yield
        return
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.enable_progress_bar()
