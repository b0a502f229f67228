"""How long a server asks to wait: in the headers of its reply, in its words, or in the body of its error."""

from __future__ import annotations

import email.utils
import math
import re
import time
from collections.abc import Mapping
from datetime import datetime

__all__ = ["as_seconds", "retry_after", "until_reset", "wait_in_words"]

# So much of a text is searched: who wants others to wait says so early.
_SEARCHED = 4000

_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = (
    r"\d{1,9}(?:\.\d{1,9})?\s?(?:milliseconds?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d)(?![a-z])"
)
_PART = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s?(ms|milli|s|m|h|d)", re.IGNORECASE)
_SENTENCE = re.compile(
    rf"(?:retry|try\s+again|wait|resets?|available)[^\d\n]{{0,40}}({_DURATION}(?:(?:,|\s|and){{0,6}}{_DURATION}){{0,3}})",
    re.IGNORECASE,
)
_BARE = re.compile(r"retry.?after\W{1,4}(\d{1,9}(?:\.\d{1,9})?)(?![\d.]*[a-z%])", re.IGNORECASE)


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds that a server asks to wait: from ``Retry-After`` (seconds or a date) or ``retry-after-ms``.

    Examples
    --------
    >>> retry_after({"retry-after": "2.5"})
    2.5
    >>> retry_after({"retry-after": "Thu, 01 Jan 1970 00:01:00 GMT"}, now=50.0)
    10.0
    """
    for name, scale in (("retry-after-ms", 1e-3), ("x-ms-retry-after-ms", 1e-3), ("retry-after", 1.0)):
        text = headers.get(name)
        if text is None:
            continue
        try:
            seconds: float | None = float(text) * scale
        except ValueError:
            seconds = _until(text, time.time() if now is None else now)
        if seconds is not None and math.isfinite(seconds):
            return max(0.0, seconds)
    return None


def until_reset(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds until a limit begins anew, from ``x-ratelimit-reset-tokens`` (Azure, OpenAI, Groq) and its kin.

    A server has several limits: those count of which nothing remains, or all where it does not say what remains.

    Examples
    --------
    >>> until_reset({"x-ratelimit-reset-tokens": "1m30s", "x-ratelimit-remaining-tokens": "0"})
    90.0
    """
    now = time.time() if now is None else now
    spent: list[float] = []
    others: list[float] = []
    for name in headers:
        if "ratelimit" not in name.lower() or "reset" not in name.lower():
            continue
        seconds = _until(str(headers[name]), now)
        if seconds is not None:
            left = headers.get(name.lower().replace("reset", "remaining"))
            (spent if left is not None and left.strip() in ("0", "0.0") else others).append(max(0.0, seconds))
    return max(spent or others, default=None)


def wait_in_words(text: str) -> float | None:
    """Seconds that a sentence asks to wait.

    Examples
    --------
    >>> wait_in_words("Requests have exceeded the rate limit. Please retry after 55 seconds.")
    55.0
    >>> wait_in_words("Limit 30000, used 29500. Please try again in 1m12.5s.")
    72.5
    >>> wait_in_words("The server is busy.") is None
    True
    """
    found = _SENTENCE.search(text[:_SEARCHED])
    if found:
        return as_seconds(found[1])
    bare = _BARE.search(text[:_SEARCHED])
    return float(bare[1]) if bare else None


def as_seconds(duration: object) -> float | None:
    """A duration such as ``"55s"``, ``"1m30s"``, ``"120ms"`` or a number of seconds; None if it is none of them.

    Examples
    --------
    >>> [as_seconds(text) for text in ("55s", "1m30s", "120ms", "2 minutes", "7", "soon")]
    [55.0, 90.0, 0.12, 120.0, 7.0, None]
    """
    if isinstance(duration, bool) or not isinstance(duration, str | int | float):
        return None
    try:
        seconds = float(duration)
    except ValueError:
        parts = _PART.findall(str(duration)[:100])
        if not parts:
            return None
        seconds = sum(
            float(number) * _UNITS["ms" if unit.lower() == "milli" else unit.lower()] for number, unit in parts
        )
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _until(text: str, now: float) -> float | None:
    """Seconds until a moment, which is told as a date, a time stamp, or as what is left."""
    date = email.utils.parsedate_tz(text) if "," in text else None
    if date is not None:
        return email.utils.mktime_tz(date) - now
    try:
        return datetime.fromisoformat(text).timestamp() - now if "T" in text else _from_stamp(as_seconds(text), now)
    except (ValueError, OverflowError):
        return None


def _from_stamp(seconds: float | None, now: float) -> float | None:
    """Time stamps, in seconds or milliseconds, are told from seconds by their size."""
    if seconds is None or seconds < 1e9:
        return seconds
    return (seconds / 1e3 if seconds > 1e12 else seconds) - now
