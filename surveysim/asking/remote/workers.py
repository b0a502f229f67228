"""A few threads that work through jobs, stop together, and never keep Python from exiting."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

__all__ = ["WorkStopped", "Workers"]

Job = TypeVar("Job")

# Python wakes up so often to see whether Ctrl-C was pressed, on systems where waiting for a lock cannot be broken off.
_TICK = 0.2


class WorkStopped(Exception):
    """The work was stopped; raised within a job that would otherwise wait."""


class Workers(Generic[Job]):
    """Runs `work` on jobs in several threads.

    The threads are daemons: a thread pool of the standard library would hold Python back at its end until every
    request is answered or timed out.

    Parameters
    ----------
    work : callable
        Does one job and returns further ones; an exception stops everything.
    n_workers : int
        Threads at most.
    grace : float
        Seconds that jobs under way have to finish after Ctrl-C; their replies are paid for.
    """

    def __init__(self, work: Callable[[Job], Iterable[Job]], n_workers: int, *, grace: float = 1.0) -> None:
        self._work = work
        self._n_workers = n_workers
        self._grace = grace
        self._jobs: deque[Job] = deque()
        self._busy = 0
        self._error: BaseException | None = None
        self._stop = threading.Event()
        self._changed = threading.Condition()

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()

    @property
    def idle(self) -> bool:
        """Whether no job is under way."""
        return self._busy == 0

    def stop(self) -> None:
        """No further job begins, and waits end."""
        self._stop.set()
        with self._changed:
            self._changed.notify_all()

    def sleep(self, seconds: float) -> None:
        """Wait within a job.

        Raises
        ------
        WorkStopped
            As soon as the work is stopped.
        """
        if self._stop.wait(seconds):
            raise WorkStopped

    def run(self, jobs: Sequence[Job]) -> None:
        """Work until nothing is left or the work is stopped; jobs under way are always finished.

        Raises
        ------
        BaseException
            The first exception of a job, or KeyboardInterrupt, both after the others' jobs under way.
        """
        self._jobs = deque(jobs)
        with self._changed:
            for _ in range(min(self._n_workers, len(jobs))):
                self._start()
        try:
            with self._changed:
                while self._busy or (self._jobs and not self.stopped):
                    self._changed.wait(_TICK)
        except BaseException:
            self.stop()
            end = time.monotonic() + self._grace
            with self._changed:
                while self._busy and time.monotonic() < end:
                    self._changed.wait(_TICK)
            raise
        if self._error is not None:
            raise self._error

    def _start(self) -> None:
        """Start one thread; the caller holds the lock, so that there are never more than there may be."""
        self._busy += 1
        threading.Thread(target=self._loop, name="surveysim-remote", daemon=True).start()

    def _loop(self) -> None:
        """Take jobs until there are none; a thread counts as busy before it starts, so that nobody leaves early."""
        try:
            while not self.stopped:
                with self._changed:
                    if not self._jobs:
                        return
                    job = self._jobs.popleft()
                further = list(self._work(job))
                with self._changed:
                    self._jobs.extendleft(reversed(further))
                    for _ in range(min(len(further) - 1, self._n_workers - self._busy)):
                        self._start()
        except WorkStopped:
            pass
        except BaseException as error:
            if self._error is None:
                self._error = error
            self._stop.set()
        finally:
            with self._changed:
                self._busy -= 1
                self._changed.notify_all()
