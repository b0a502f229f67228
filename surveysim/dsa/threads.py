"""Independent trainings, in several threads where memory and cores allow it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

import torch
from joblib.parallel import get_active_backend

from surveysim.trunk.head import OptionHead

__all__ = ["BYTES_A_PARAMETER", "SMALL", "Stopped", "n_at_once", "run_together"]

Result = TypeVar("Result")

BYTES_A_PARAMETER = 20
"""Value, gradient, Adam's two moments and the moving average of a trained parameter."""

SMALL = 2**28
"""Bytes that trainings at once may take together without being asked for. The matrices of models that fit are too small
for several threads to share one product: on `nano`, torch's two threads took 1.5 times the processor time of one, where
two trainings in a thread each waited 0.1 of 1.5 s for one another."""


class Stopped(BaseException):
    """Ends a training whose result is no longer wanted."""


def n_at_once(head: OptionHead, n_runs: int) -> int:
    """How many trainings of a head like this one run at once.

    One after another on a card, which one training fills, and where whole passes hold the model's lock. Else what
    joblib's active configuration says, if its workers are threads (``parallel_config(backend="threading", n_jobs=4)``:
    the user knows that memory allows it); without one as many as torch has threads and as fit into `SMALL`.
    """
    if head.rows.device.type != "cpu" or not head.apart:
        return 1
    backend, n_jobs = get_active_backend()
    if getattr(backend, "nesting_level", None):
        return 1
    if getattr(backend, "supports_sharedmem", False):
        return max(1, min(n_runs, backend.effective_n_jobs(1 if n_jobs is None else n_jobs)))
    size = BYTES_A_PARAMETER * sum(p.numel() for p in head.parameters() if p.requires_grad)
    return max(1, min(n_runs, torch.get_num_threads(), SMALL // size))


def run_together(jobs: Sequence[Callable[[Callable[[], None]], Result]], n: int) -> list[Result]:
    """Results of the jobs in their order, at most `n` of them running at once.

    Parameters
    ----------
    jobs : sequence of callables
        Each is given a function to call now and then, which ends the job when another one has failed or the user has
        interrupted.
    n : int
        1: one after another, in this thread. Else each thread computes alone: torch's own threads are switched off
        within it, and stay as they are elsewhere.

    Returns
    -------
    list
    """
    stop, failures = threading.Event(), []

    def check() -> None:
        if stop.is_set():
            raise Stopped

    if n == 1:
        return [job(check) for job in jobs]

    def alone(job: Callable[[Callable[[], None]], Result]) -> Result:
        try:
            check()
            return job(check)
        except BaseException as error:
            failures.append(error)  # the first is the reason, and others end because of it
            stop.set()
            raise

    n_threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(n, "surveysim-training", initializer=torch.set_num_threads, initargs=(1,)) as pool:
            try:
                futures = [pool.submit(alone, job) for job in jobs]
                wait(futures)
            finally:  # also when the user interrupts the waiting
                stop.set()
    finally:
        # A thread's number is its own, but it is also what threads start with that come later.
        torch.set_num_threads(n_threads)
    if failures:
        raise failures[0]
    return [future.result() for future in futures]
