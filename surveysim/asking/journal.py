"""The journal: every answer of a model is on disk before it is used, so that a killed run asks nothing twice."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pandas as pd

from surveysim.asking.asks import Answer, Ask
from surveysim.asking.journal_claims import Claims
from surveysim.asking.journal_rows import ANSWER_COLUMNS, COLUMNS, from_row, to_row
from surveysim.asking.journal_tables import connect, flush
from surveysim.errors import DiskFullError, SurveysimError, is_disk_full, warn

__all__ = ["Journal", "JournalError", "ask_keys"]

# Names everything that goes into a key; another number makes other keys, so that no answer is taken for another's.
_KEY_VERSION = 1

# What the key of a damaged row is changed to begin with: its answer is asked for again, and it stays to be looked at.
_DAMAGED = "damaged "

_WHOLE = f"answers WHERE key NOT LIKE '{_DAMAGED}%'"

# SQLite takes so many question marks in one statement everywhere.
_AT_ONCE = 500

# Connections of a parent process, kept so that they are never closed here.
_INHERITED: list[sqlite3.Connection] = []


def ask_keys(identity: Mapping[str, str], asks: Iterable[Ask]) -> list[str]:
    """The keys of answers: hashes over all that determines them, the model's identity and every field of an ask.

    Parameters
    ----------
    identity : mapping
        ``Answerer.identity``.
    asks : iterable of Ask

    Returns
    -------
    list of str
        64 hexadecimal digits each; equal asks have equal keys.
    """
    model = {str(name): str(value) for name, value in identity.items()}
    start = hashlib.sha256(_ENCODER.encode([_KEY_VERSION, model]).encode("ascii"))
    return [_key(start, ask) for ask in asks]


def _key(start: hashlib._Hash, ask: Ask) -> str:
    # Whatever fields Ask and Prompt have, or will have: all of them. 1 and 1.0 are the same temperature.
    fields = {**vars(ask), "prompt": vars(ask.prompt), "temperature": float(ask.temperature)}
    digest = start.copy()
    digest.update(_ENCODER.encode(fields).encode("ascii"))
    return str(digest.hexdigest())


def _plain(value: object) -> Any:
    """numpy's numbers as Python's."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"an ask holds a {type(value).__name__}, which cannot be part of a journal's key")


def _readable(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with its JSON decoded."""
    answer = from_row([row[name] for name in ANSWER_COLUMNS])
    logprobs = None if answer is None else answer.label_logprobs
    decoded = {"model": json.loads(row["model"]), "labels": tuple(json.loads(row["labels"]))}
    return {**row, **decoded, "label_logprobs": logprobs}


_ENCODER = json.JSONEncoder(sort_keys=True, ensure_ascii=True, allow_nan=False, default=_plain)


class JournalError(SurveysimError, RuntimeError):
    """A journal's file can no longer be read or written."""


class Journal:
    """Answers of models in one SQLite file.

    An answer is committed to disk before anybody uses it. Several threads and processes may share a journal, but only
    on one machine, because of SQLite's write-ahead log (no network drives). Failures are not kept: they are asked
    again. Keys of servers are never in it: a model is named by what determines its answers (``Answerer.identity``).
    Answers are checked when they are read: what is damaged is asked for again, with a warning, and kept aside.

    Parameters
    ----------
    path : str or path
        The file; created if there is none, in an existing folder. SQLite keeps two more beside it (``-wal``,
        ``-shm``) while the journal is open: copy all three, or close it first.

    Notes
    -----
    The table ``answers`` is meant to be read, by `to_frame` or by any SQLite tool:

    ============== =======================================================================================
    column         meaning
    ============== =======================================================================================
    key            SHA-256 over the model's identity and all that was asked
    model          the model's identity, JSON
    kind           "label": probabilities of the labels; "text": a text
    system, user   what the model read
    cue            what ends the prompt for models without a chat template
    labels         the labels shown, JSON list
    temperature    of the sampling
    max_tokens     a text ends there at the latest
    sample, seed   number of the draw, and its seed
    schema         JSON schema the text should follow, or NULL
    text           the answer of kind "text"
    label_logprobs the answer of kind "label": natural logarithms by label, JSON list, null for probability 0
    censored_mass  probability that the model does not account for
    ended          why the text ends: "stop"; "length": cut at `max_tokens`; "refusal": the model declined
    created        when the answer was stored, UTC, ISO 8601
    checksum       of the answer, or NULL in rows of earlier versions
    ============== =======================================================================================

    Examples
    --------
    >>> import tempfile, os
    >>> from surveysim.asking.asks import Answer, Ask
    >>> from surveysim.prompts import Prompt
    >>> ask = Ask(Prompt("", "Better or worse?"), "text", ("A", "B"), sample=3)
    >>> folder = tempfile.TemporaryDirectory()
    >>> with Journal(os.path.join(folder.name, "answers.sqlite")) as journal:
    ...     journal.put({"model": "m"}, ask, Answer(text="B"))
    ...     journal.get({"model": "m"}, [ask])[ask].text
    ...     journal.to_frame()[["user", "sample", "text"]]
    'B'
                   user  sample text
    0  Better or worse?       3    B
    >>> folder.cleanup()
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        if not isinstance(path, str | os.PathLike):
            raise TypeError(f"a journal's path must be a file name, got {type(path).__name__}")
        self.path = os.path.abspath(os.path.expanduser(os.fspath(path)))
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._owner_process = -1
        self._flushing = threading.Lock()
        self._committed = self._flushed = 0
        with self._use():
            pass  # what is wrong with the file is said now, before anything is spent

    def get(self, identity: Mapping[str, str], asks: Iterable[Ask]) -> dict[Ask, Answer]:
        """Look up answers by what was asked.

        Parameters
        ----------
        identity : mapping of str to str
            Which model was asked: the `identity` of its answerer.
        asks : iterable of Ask

        Returns
        -------
        dict of Ask to Answer
            The asks that have an answer.
        """
        asks = list(asks)
        wanted = dict(zip(ask_keys(identity, asks), asks, strict=True))
        return {wanted[key]: answer for key, answer in self.find(list(wanted)).items()}

    def find(self, keys: Sequence[str]) -> dict[str, Answer]:
        """Look up answers by their keys.

        Parameters
        ----------
        keys : sequence of str

        Returns
        -------
        dict of str to Answer
            The keys that have an answer.

        Warns
        -----
        SurveysimWarning
            If rows are damaged: they count as absent, and get keys that begin with "damaged".
        """
        found: dict[str, Answer] = {}
        damaged: list[str] = []
        with self._use() as connection:
            for start in range(0, len(keys), _AT_ONCE):
                some = keys[start : start + _AT_ONCE]
                marks = ", ".join("?" * len(some))
                columns = ", ".join(ANSWER_COLUMNS)
                for row in connection.execute(f"SELECT {columns} FROM answers WHERE key IN ({marks})", some):
                    answer = from_row(row)
                    if answer is None:
                        damaged.append(row[0])
                    else:
                        found[row[0]] = answer
        if damaged:
            self._set_aside(damaged)
        return found

    def _set_aside(self, damaged: Sequence[str]) -> None:
        aside = f"{_DAMAGED}{uuid.uuid4().hex} "
        with self._write() as connection:
            for key in damaged:
                connection.execute("UPDATE answers SET key = ? || key WHERE key = ?", (aside, key))
        warn(
            f"{len(damaged)} answers in the journal {self.path!r} are damaged (the first has the key {damaged[0]}): "
            "they are asked for again. Check the disk. The damaged rows stay in the file, under keys that begin with "
            f"{_DAMAGED.strip()!r}."
        )

    def put(
        self, identity: Mapping[str, str], ask: Ask, answer: Answer, *, key: str | None = None, flush: bool = True
    ) -> None:
        """Store one answer; it is on disk when this returns. An answer that is already there stays.

        Parameters
        ----------
        identity : mapping
        ask : Ask
        answer : Answer
        key : str, optional
            Where it is known: that of `ask_keys`.
        flush : bool, default=True
            False: when this returns the answer is safe from the end of this process, but from a power cut only after
            `flush`. Many answers are stored faster like that.

        Raises
        ------
        ValueError
            If the answer is a failure.
        DiskFullError
            If there is no room for it.
        """
        if answer.failure is not None:
            raise ValueError(f"a journal keeps answers, not failures: {answer.failure}")
        key = ask_keys(identity, [ask])[0] if key is None else key
        row = to_row(key, identity, ask, answer)
        marks = ", ".join("?" * len(COLUMNS))
        with self._write() as connection:
            connection.execute(f"INSERT OR IGNORE INTO answers ({', '.join(COLUMNS)}) VALUES ({marks})", row)
            connection.execute("DELETE FROM claims WHERE key = ?", (key,))
            self._committed += 1
        if flush:
            self.flush()

    def flush(self) -> None:
        """Wait until everything stored so far is on the disk itself; threads that wait together share the effort."""
        number = self._committed
        with self._flushing:
            if self._flushed < number:  # else another thread has flushed these commits with its own
                committed = self._committed
                try:
                    flush(self.path)
                except OSError as error:
                    raise _translated(error, self.path) from error
                self._flushed = committed

    def to_frame(self) -> pd.DataFrame:
        """All answers, one row each, in order of arrival; columns as in the notes above.

        JSON columns are decoded: `model` to dicts, `labels` to tuples, `label_logprobs` to tuples or None.
        """
        with self._use() as connection:
            rows = connection.execute(f"SELECT {', '.join(COLUMNS)} FROM {_WHOLE} ORDER BY rowid").fetchall()
        frame = pd.DataFrame([_readable(dict(zip(COLUMNS, row, strict=True))) for row in rows], columns=list(COLUMNS))
        frame["created"] = pd.to_datetime(frame["created"], utc=True)
        return frame

    def __len__(self) -> int:
        with self._use() as connection:
            return int(connection.execute(f"SELECT COUNT(*) FROM {_WHOLE}").fetchone()[0])

    @contextmanager
    def claims(self, *, lasts: float = 60.0) -> Iterator[Claims]:
        """Claims of one run on asks that are not answered yet; released at the end.

        Parameters
        ----------
        lasts : float, default=60
            Seconds without a sign of life after which another process may take them; on the same machine a process
            that has died loses them at once.
        """
        claims = Claims(self._write, lasts=lasts)
        try:
            yield claims
        finally:
            claims.release()

    def close(self) -> None:
        """Close the file; using the journal again reopens it."""
        with self._lock:
            self._forget_parents()
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, str]:
        return {"path": self.path}

    def __setstate__(self, state: dict[str, str]) -> None:
        vars(self).update(state, _lock=threading.RLock(), _connection=None, _owner_process=-1)
        vars(self).update(_flushing=threading.Lock(), _committed=0, _flushed=0)

    def __del__(self) -> None:
        if getattr(self, "_connection", None) is not None:
            self.close()

    def __repr__(self) -> str:
        return f"Journal({self.path!r})"

    @contextmanager
    def _use(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._forget_parents()
            if self._connection is None:
                self._connection = connect(self.path)
                self._owner_process = os.getpid()
            try:
                yield self._connection
            except sqlite3.Error as error:
                raise _translated(error, self.path) from error

    def _forget_parents(self) -> None:
        """After a fork: a connection must be neither used nor closed by a process that did not open it."""
        if self._connection is not None and self._owner_process != os.getpid():
            _INHERITED.append(self._connection)
            self._connection = None

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        """One transaction, committed to disk at its end."""
        with self._use() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # a full disk may have ended it
                    connection.execute("ROLLBACK")
                raise


def _translated(error: Exception, path: str) -> SurveysimError:
    """An error of SQLite or the system in words that say what to do."""
    if is_disk_full(error):
        return DiskFullError(
            "the disk is full, and the journal cannot take another answer. What it holds is safe. Free some space "
            "and run the same again: only the rest is asked for. The file",
            path,
        )
    return JournalError(
        f"the journal {path!r} can no longer be used ({error}). Copy it and examine the copy with `sqlite3 FILE "
        "'.recover'`, or continue with another file"
    )
