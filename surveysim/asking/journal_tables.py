"""The tables of a journal's file, and answers as rows of them."""

from __future__ import annotations

import json
import math
import os
import sqlite3
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from surveysim.asking.asks import Answer, Ask

__all__ = ["COLUMNS", "connect", "flush", "from_row", "to_row"]

#: Columns of the table `answers`, in their order; `Journal` says what they mean.
COLUMNS = (
    "key",
    "model",
    "kind",
    "system",
    "user",
    "cue",
    "labels",
    "temperature",
    "max_tokens",
    "sample",
    "seed",
    "schema",
    "text",
    "label_logprobs",
    "censored_mass",
    "created",
)

# Marks the file as ours, in SQLite's header: "svsj".
_APPLICATION = 0x7376736A
_VERSION = 1

# Seconds to wait for other processes that write.
_PATIENCE = 60.0

_TABLES = """
CREATE TABLE answers (
    key TEXT NOT NULL PRIMARY KEY,
    model TEXT NOT NULL,
    kind TEXT NOT NULL,
    system TEXT NOT NULL,
    user TEXT NOT NULL,
    cue TEXT NOT NULL,
    labels TEXT NOT NULL,
    temperature REAL NOT NULL,
    max_tokens INTEGER NOT NULL,
    sample INTEGER NOT NULL,
    seed INTEGER NOT NULL,
    schema TEXT,
    text TEXT,
    label_logprobs TEXT,
    censored_mass REAL NOT NULL,
    created TEXT NOT NULL
);
CREATE TABLE owners (
    owner TEXT NOT NULL PRIMARY KEY, machine TEXT NOT NULL, process TEXT NOT NULL, expires REAL NOT NULL
);
CREATE TABLE claims (key TEXT NOT NULL PRIMARY KEY, owner TEXT NOT NULL);
CREATE INDEX claims_by_owner ON claims (owner);
"""


def connect(path: str) -> sqlite3.Connection:
    """Open a journal's file, or make it.

    Raises
    ------
    ValueError
        If it cannot be opened, is something else, or was written by a newer version of this package.
    """
    if not os.path.isdir(os.path.dirname(path)):
        raise ValueError(f"there is no folder {os.path.dirname(path)!r} for the journal: make it first")
    try:
        # Transactions are begun and ended by name, and one lock per journal keeps threads apart.
        connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
    except sqlite3.OperationalError as error:
        raise ValueError(f"the journal {path!r} cannot be opened: {error}") from error
    try:
        _set_up(connection, path)
    except BaseException as error:
        connection.close()
        if isinstance(error, sqlite3.DatabaseError):
            raise ValueError(f"{path!r} cannot be used as a journal: {error}") from error
        raise
    return connection


def _set_up(connection: sqlite3.Connection, path: str) -> None:
    mode = _patiently(connection, "PRAGMA journal_mode = WAL")
    # In a write-ahead log a commit is safe from the end of this process at once; `flush` makes it safe from a power
    # cut, for all threads that wait for that together. Where there can be no such log, SQLite does both.
    connection.execute(f"PRAGMA synchronous = {'NORMAL' if mode == 'wal' else 'FULL'}")
    if _header(connection) != (_APPLICATION, _VERSION):
        connection.execute("BEGIN IMMEDIATE")
        try:
            _make_tables(connection, path)
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


def _make_tables(connection: sqlite3.Connection, path: str) -> None:
    application, version = _header(connection)
    if application == _APPLICATION and version == _VERSION:
        return  # another process was faster
    if application == _APPLICATION:
        raise ValueError(
            f"the journal {path!r} has tables of version {version}, this surveysim knows version {_VERSION}: "
            "use a newer surveysim, or another file"
        )
    if application or connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]:
        raise ValueError(f"{path!r} is an SQLite file of something else, no journal: choose another name")
    for statement in _TABLES.split(";"):
        if statement.strip():
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {_APPLICATION}")
    connection.execute(f"PRAGMA user_version = {_VERSION}")


def _header(connection: sqlite3.Connection) -> tuple[int, int]:
    application, version = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in _HEADER)
    return application, version


_HEADER = ("application_id", "user_version")


def _patiently(connection: sqlite3.Connection, statement: str) -> str:
    """The change to a write-ahead log does not wait for others by itself."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            return str(connection.execute(statement).fetchone()[0])
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(0.01)


def flush(path: str) -> None:
    """Have the operating system write a journal's log to the disk itself."""
    try:
        log = os.open(f"{path}-wal", os.O_RDWR | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:  # no such log: each commit has been flushed
        return
    try:
        os.fsync(log)
    finally:
        os.close(log)


def to_row(key: str, identity: Mapping[str, str], ask: Ask, answer: Answer) -> tuple[Any, ...]:
    """One answer as a row, in the order of `COLUMNS`."""
    return (
        key,
        json.dumps(dict(identity), sort_keys=True),
        ask.kind,
        _storable(ask.prompt.system),
        _storable(ask.prompt.user),
        _storable(ask.prompt.cue),
        json.dumps(list(ask.labels), ensure_ascii=False),
        float(ask.temperature),
        int(ask.max_tokens),
        int(ask.sample),
        int(ask.seed),
        ask.schema,
        _storable(answer.text),
        _to_json(answer.label_logprobs),
        float(answer.censored_mass),
        datetime.now(UTC).isoformat(timespec="milliseconds"),
    )


def _storable(text: str | None) -> str | None:
    """Half a character, as broken files and servers send it, becomes a question mark: SQLite takes none."""
    return None if text is None else text.encode("utf-8", "replace").decode("utf-8")


def from_row(row: Sequence[Any]) -> Answer:
    """The answer in a row's `text`, `label_logprobs` and `censored_mass`."""
    text, logprobs, censored = row
    if logprobs is None:
        return Answer(text=text, censored_mass=censored)
    values = tuple(-math.inf if value is None else float(value) for value in json.loads(logprobs))
    return Answer(text=text, label_logprobs=values, censored_mass=censored)


def _to_json(logprobs: Sequence[float] | None) -> str | None:
    """A JSON list; minus infinity, which JSON does not have, as null."""
    if logprobs is None:
        return None
    return json.dumps([None if value == -math.inf else float(value) for value in logprobs], allow_nan=False)
