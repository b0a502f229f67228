"""Claims: which run is asking what right now, so that runs that share a journal do not pay twice for an answer."""

from __future__ import annotations

import os
import platform
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from surveysim.errors import SurveysimError

__all__ = ["Claims"]

# Owners that are done, although a file says otherwise.
_UNRELEASED: set[str] = set()

Write = Callable[[], AbstractContextManager[sqlite3.Connection]]


class Claims:
    """The claims of one run. A claim ends when its answer is stored, when the run ends, or when its process dies.

    Whether a process on this machine lives is looked up; one on another machine (or in another container) counts as
    dead when its sign of life is older than `lasts` seconds. Clocks that differ by more can lead to an answer asked
    for twice, never to one lost.

    Parameters
    ----------
    write : callable
        Opens a transaction on the journal's file.
    lasts : float
        Seconds.
    """

    def __init__(self, write: Write, *, lasts: float) -> None:
        self._write = write
        self._lasts = lasts
        self._owner = uuid.uuid4().hex
        self._released = threading.Event()
        self._signs: threading.Thread | None = None

    def take(self, keys: Sequence[str]) -> set[str]:
        """Claim what has neither an answer nor a living owner; the keys that are now ours."""
        with self._write() as connection:
            self._sign(connection)
            self._bury(connection)
            connection.executemany(
                "INSERT OR IGNORE INTO claims SELECT ?, ? WHERE NOT EXISTS (SELECT 1 FROM answers WHERE key = ?)",
                ((key, self._owner, key) for key in keys),
            )
            ours = connection.execute("SELECT key FROM claims WHERE owner = ?", (self._owner,))
            taken = {key for (key,) in ours} & set(keys)
        if taken and self._signs is None:
            self._signs = threading.Thread(target=self._give_signs, name="surveysim-claims", daemon=True)
            self._signs.start()
        return taken

    def release(self) -> None:
        """Give all claims back."""
        self._released.set()
        try:
            with self._write() as connection:
                connection.execute("DELETE FROM claims WHERE owner = ?", (self._owner,))
                connection.execute("DELETE FROM owners WHERE owner = ?", (self._owner,))
        except SurveysimError:  # on a full disk: what ended the run is raised, not this
            _UNRELEASED.add(self._owner)

    def _give_signs(self) -> None:
        while not self._released.wait(self._lasts / 3):
            try:
                with self._write() as connection:
                    if not self._released.is_set():
                        self._sign(connection)
            except (sqlite3.Error, SurveysimError):  # the next sign of life may get through
                continue

    def _sign(self, connection: sqlite3.Connection) -> None:
        connection.execute(
            "INSERT OR REPLACE INTO owners (owner, machine, process, expires) VALUES (?, ?, ?, ?)",
            (self._owner, _machine(), _process(os.getpid()), time.time() + self._lasts),
        )

    def _bury(self, connection: sqlite3.Connection) -> None:
        """Drop the claims of the dead."""
        others = connection.execute(
            "SELECT owner, machine, process, expires FROM owners WHERE owner <> ?", (self._owner,)
        ).fetchall()
        now = time.time()
        for owner, machine, process, expires in others:
            if owner in _UNRELEASED or expires < now or (machine == _machine() and _is_gone(process)):
                connection.execute("DELETE FROM owners WHERE owner = ?", (owner,))
                connection.execute("DELETE FROM claims WHERE owner = ?", (owner,))


def _machine() -> str:
    """This machine, or this container: where the numbers of processes mean the same."""
    try:
        return f"{platform.node()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return platform.node()


def _process(pid: int) -> str:
    """A process by its number and, where the system tells, the time of its start: numbers are used again."""
    state = _state(pid)
    return f"{pid} {'' if state is None else state[1]}"


def _is_gone(process: str) -> bool:
    """Whether a process of this machine has ended; False where that cannot be told."""
    if os.name != "posix":
        return False  # on Windows a signal of 0 is no mere question
    pid, _, started = process.partition(" ")
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (OSError, ValueError):
        return False
    state = _state(int(pid))
    return state is not None and (state[0] in "ZX" or (started != "" and state[1] != started))


def _state(pid: int) -> tuple[str, str] | None:
    """A process's state letter and start time, on Linux."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return fields[0], fields[19]
    except (OSError, IndexError):
        return None
