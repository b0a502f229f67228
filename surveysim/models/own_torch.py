"""torch as the library's computations need it, whatever surrounds the call."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

__all__ = ["own_torch"]

_DTYPE = torch.float32

_lock = threading.Lock()
_inside = 0
"""Computations that run in this process, in all threads together."""
_before: torch.dtype = _DTYPE
"""The default number type when the first of them began."""

_forked = False


@contextmanager
def own_torch() -> Iterator[None]:
    """Compute as in a fresh process: the same numbers within autocast, no_grad, inference_mode and other contexts.

    What is switched off inside: automatic mixed precision, inference mode (whose tensors could never be trained with,
    and would lie in the shared model and its store of trunk states), no-grad mode, and a default device and default
    number type other than the CPU and float32. Each has its own state in every thread but the default number type,
    which is the process's: other threads see float32, too, until the last computation here has ended.

    What stays as the user set it: deterministic algorithms, numbers of threads, and how exact matrix products are.

    In a process that was forked, where torch's threads of the parent do not exist, torch computes in one thread: its
    others would be waited for without end.
    """
    with ExitStack() as contexts:
        if _forked:
            _settle_after_fork()
        contexts.enter_context(_default_dtype())
        contexts.enter_context(torch.inference_mode(False))
        contexts.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda", "mps", "xpu"):
            if torch.is_autocast_enabled(kind):
                contexts.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type != "cpu":
            contexts.enter_context(torch.device("cpu"))
        yield


@contextmanager
def _default_dtype() -> Iterator[None]:
    """float32 as the process's default number type until the last thread that needs it has left."""
    global _inside, _before
    with _lock:
        if _inside == 0:
            _before = torch.get_default_dtype()
            if _before != _DTYPE:
                torch.set_default_dtype(_DTYPE)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0 and _before != _DTYPE and torch.get_default_dtype() == _DTYPE:
                torch.set_default_dtype(_before)


def _settle_after_fork() -> None:
    global _forked
    torch.set_num_threads(1)
    _forked = False


def _after_fork() -> None:
    global _forked, _lock, _inside
    _lock, _inside, _forked = threading.Lock(), 0, True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
