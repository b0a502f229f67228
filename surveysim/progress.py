"""Progress of long computations, shown where somebody can see it."""

from __future__ import annotations

import sys
from typing import Any

from tqdm.auto import tqdm

__all__ = ["DELAY", "is_watched", "progress", "tell"]

DELAY = 2.0
"""Seconds after which a bar appears: what is done by then shows nothing."""


def is_watched() -> bool:
    """Whether somebody sees a bar: standard error is a terminal, or this is a notebook."""
    if getattr(sys.stderr, "isatty", lambda: False)():
        return True
    shell = sys.modules.get("IPython")
    current = None if shell is None else shell.get_ipython()
    return current is not None and hasattr(current, "kernel")


def progress(
    verbose: int | None = 0, *, total: int | None = None, desc: str | None = None, unit: str = "it", **parameters: Any
) -> tqdm:
    """A progress bar: the only way in which the library shows that it is working.

    Parameters
    ----------
    verbose : int or None, default=0
        0 (or None, False): shown in a terminal or notebook if the work takes more than `DELAY` seconds, else not at
        all, so that logs and tests stay clean. 1 or more: always and at once. Below 0: never.
    total : int, optional
        How many steps there are.
    desc : str, optional
        What is going on.
    unit : str
        What a step is.
    **parameters
        Of ``tqdm``.

    Returns
    -------
    tqdm
        A context manager with ``update()``.
    """
    at_once = verbose is not None and verbose > 0
    never = verbose is not None and verbose < 0
    return tqdm(
        total=total,
        desc=desc,
        unit=unit,
        disable=never or not (at_once or is_watched()),
        delay=0.0 if at_once else DELAY,
        leave=at_once,
        **parameters,
    )


def tell(message: str, verbose: int | None = 0) -> None:
    """Say in one line what is about to take long, if a bar would be shown for it.

    Parameters
    ----------
    message : str
        What is begun, and what it takes.
    verbose : int or None, default=0
        As for `progress`: 0 tells those who watch, 1 tells always, -1 never.
    """
    if (verbose or 0) > 0 or (not verbose and is_watched()):
        tqdm.write(f"surveysim: {message}", file=sys.stderr)
