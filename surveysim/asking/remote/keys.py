"""The key of a server: read from the environment when a call begins, and kept out of everything that is written."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import NoReturn

from surveysim.asking.asks import Answer

__all__ = ["NO_KEY", "Key", "check_key_name", "read_key", "scrub", "scrub_answer"]

#: Sent where no key is wanted: the client insists on a text.
NO_KEY = "none"

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CONVENTIONAL = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")

# A server that quotes a key cuts it short; so many characters of it in a row still give it away.
_WINDOW = 6

# Shorter ones are stand-ins such as "none" or "x", which may well be words of an answer.
_SHORTEST = 8


class Key:
    """A key while a call lasts: debuggers, logs and pickles do not get it by accident."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "<a key, not shown>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a key is never pickled or copied: keep the name of its environment variable")


def check_key_name(name: object) -> None:
    """Raise unless `name` can be the name of an environment variable. The message never quotes what came.

    Raises
    ------
    TypeError, ValueError
    """
    if name is None:
        return
    if not isinstance(name, str):
        raise TypeError(f"api_key_env must be the name of an environment variable or None, got {type(name).__name__}")
    if not _NAME.fullmatch(name):
        raise ValueError(
            "api_key_env must be the *name* of an environment variable that holds the key, such as 'OPENAI_API_KEY'; "
            "the value that was passed cannot be such a name (is it the key itself? It belongs in the environment, "
            "not in code)"
        )


def read_key(name: str | None) -> Key | None:
    """The key in the environment variable of that name; None for None.

    Raises
    ------
    ValueError
        If there is no such variable, or it is empty or could not be sent.
    """
    if name is None:
        return None
    # A key that was passed by mistake may look like a name: only what clearly is one is quoted.
    shown = repr(name) if _CONVENTIONAL.fullmatch(name) else "named by api_key_env"
    key = os.environ.get(name, "").strip()
    if not key:
        raise ValueError(
            f"the environment variable {shown} is not set. api_key_env is the *name* of the variable that holds the "
            "server's key: set it before you start Python, for instance with `export NAME=...`"
        )
    if not key.isascii() or not key.isprintable():
        raise ValueError(f"the key in the environment variable {shown} has characters that no key has: copy it again")
    return Key(key)


def scrub(text: str, key: Key | None) -> str:
    """A text without the key and without any six characters in a row of it.

    Examples
    --------
    >>> scrub("incorrect key: abcdefgh****", Key("abcdefghijklmnop"))
    'incorrect key: ***'
    """
    if key is None:
        return text
    secret = key.reveal()
    width = min(_WINDOW, len(secret))
    windows = {secret[i : i + width] for i in range(len(secret) - width + 1)}
    if not any(window in text for window in windows):
        return text
    hidden = [False] * len(text)
    for i in range(len(text) - width + 1):
        if text[i : i + width] in windows:
            hidden[i : i + width] = [True] * width
    shown = "".join("\0" if hide else character for character, hide in zip(text, hidden, strict=True))
    return re.sub("\0[\0*]*", "***", shown)


def scrub_answer(answer: Answer, key: Key | None) -> Answer:
    """An answer whose text does not quote the key: models and their servers repeat what they are sent."""
    if key is None or len(key.reveal()) < _SHORTEST:
        return answer
    text, failure = (said if said is None else scrub(said, key) for said in (answer.text, answer.failure))
    return replace(answer, text=text, failure=failure)
