"""The tables of a journal's file: made, brought up to date, and opened."""

from __future__ import annotations

import os
import sqlite3
import time

__all__ = ["connect", "flush"]

# Marks the file as ours, in SQLite's header: "svsj".
_APPLICATION = 0x7376736A
_VERSION = 2

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
    created TEXT NOT NULL,
    ended TEXT NOT NULL DEFAULT 'stop',
    checksum TEXT
);
CREATE TABLE owners (
    owner TEXT NOT NULL PRIMARY KEY, machine TEXT NOT NULL, process TEXT NOT NULL, expires REAL NOT NULL
);
CREATE TABLE claims (key TEXT NOT NULL PRIMARY KEY, owner TEXT NOT NULL);
CREATE INDEX claims_by_owner ON claims (owner);
"""


# What the second version has more than the first.
_SECOND = (
    "ALTER TABLE answers ADD COLUMN ended TEXT NOT NULL DEFAULT 'stop'",
    "ALTER TABLE answers ADD COLUMN checksum TEXT",
)


def connect(path: str) -> sqlite3.Connection:
    """Open a journal's file, or create it.

    Raises
    ------
    ValueError
        If it cannot be opened, is something else, or was written by a newer version of this package.
    """
    if not os.path.isdir(os.path.dirname(path)):
        raise ValueError(f"there is no folder {os.path.dirname(path)!r} for the journal: create it first")
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
    if application == _APPLICATION and version == 1:
        for statement in _SECOND:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {_VERSION}")
        return
    if application == _APPLICATION:
        raise ValueError(
            f"the journal {path!r} has tables of version {version}, but this surveysim knows version {_VERSION}: use "
            "a newer surveysim, or another file"
        )
    if application or connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]:
        raise ValueError(f"{path!r} is an SQLite file, but not a journal: choose another name")
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
    """Change to a write-ahead log, waiting for others, which SQLite does not do by itself."""
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
