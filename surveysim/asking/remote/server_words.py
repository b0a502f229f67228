"""What a server says in an error: its words, code, status and the parameter it blames, in whichever form they come."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from surveysim.asking.remote.waits import as_seconds, wait_in_words

__all__ = ["ServerWords", "read_words"]

# So much of what a server says is quoted, and read.
_QUOTED = 400
_READ = 20_000

_MESSAGES = ("message", "detail", "msg", "status_msg", "error_description", "error", "errors", "title")
_CODES = ("code", "type", "status")
_STATUSES = ("code", "status", "status_code", "statusCode", "http_status", "httpStatus")

# Status codes by the names that servers have for them.
_BY_NAME = (
    (401, re.compile(r"api.?key|unauthori[sz]ed|unauthenticated|authenticat|credential|log.?in\b", re.IGNORECASE)),
    (403, re.compile(r"permission|forbidden|access.?denied", re.IGNORECASE)),
    (429, re.compile(r"rate.?limit|too.?many.?requests|resource.?exhausted|throttl|quota", re.IGNORECASE)),
    (404, re.compile(r"(?:model|deployment)\W?.{0,60}(?:not.?found|does not exist)|not_found", re.IGNORECASE)),
    (503, re.compile(r"overload|unavailable|server.?error|internal|busy|capacity|time.?out", re.IGNORECASE)),
)


@dataclass(frozen=True)
class ServerWords:
    """What a server says in an error.

    Attributes
    ----------
    words : str
        For the user; at most 400 characters.
    code : str
        Its name of the error.
    parameter : str or None
        The request's parameter that it blames.
    status : int or None
        The HTTP status that the body names, by number or by its words.
    wait : float or None
        Seconds that it asks to wait.
    """

    words: str = ""
    code: str = ""
    parameter: str | None = None
    status: int | None = None
    wait: float | None = None


def read_words(body: object, depth: int = 0) -> ServerWords:
    """What the body of an error says, whether an object, a list of one (Gemini), text, or one error within another.

    Examples
    --------
    >>> read_words([{"error": {"code": 400, "message": "seed is not supported"}}])
    ServerWords(words='seed is not supported', code='400', parameter=None, status=400, wait=None)
    """
    if isinstance(body, str):
        decoded = _decoded(body)
        if decoded is None:
            return ServerWords(_short(body), wait=wait_in_words(body), status=_named(body[:_QUOTED]))
        body = decoded
    if isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, Mapping) or depth > 5:
        return ServerWords("" if body is None else _short(_dumped(body)))
    for name in ("error", "errors", "base_resp"):
        inner = body.get(name)
        if isinstance(inner, Mapping) or (isinstance(inner, list) and inner and isinstance(inner[0], Mapping)):
            return read_words(inner, depth + 1)
    said = next((value for name in _MESSAGES if (value := body.get(name))), None)
    if isinstance(said, str) and (nested := _decoded(said)) is not None:  # one server quotes another
        inner = read_words(nested, depth + 1)
        said = inner.words or said
    else:
        inner = ServerWords()
    words = said if isinstance(said, str) else _dumped(body if said is None else said)
    code = next((str(value) for name in _CODES if (value := body.get(name)) not in (None, "")), "")
    own = ServerWords(
        _short(words),
        code,
        _parameter(body),
        _status(body) or _named(f"{code} {words[:_QUOTED]}"),
        _wait(body) or wait_in_words(words),
    )
    return _joined(own, inner, _of_provider(body, depth))


def _joined(own: ServerWords, *others: ServerWords) -> ServerWords:
    """One error with those that it quotes: the innermost knows best what is wrong."""
    for other in others:
        words = own.words if other.words in own.words else f"{own.words}: {other.words}"
        own = ServerWords(
            _short(words),
            f"{own.code} {other.code}".strip(),
            other.parameter or own.parameter,
            own.status or other.status,
            other.wait or own.wait,
        )
    return own


def _of_provider(body: Mapping[str, object], depth: int) -> ServerWords:
    """What the server behind a router said: ``metadata.raw``, as text, JSON or an object."""
    metadata = body.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, Mapping) else None
    if raw:
        return read_words(raw, depth + 1)
    reasons = metadata.get("reasons") if isinstance(metadata, Mapping) else None
    return ServerWords(_short(f"flagged: {reasons}"), "content_filter") if reasons else ServerWords()


def _parameter(body: Mapping[str, object]) -> str | None:
    parameter = body.get("param") or body.get("parameter")
    if isinstance(parameter, str):
        return parameter
    detail = body.get("detail")
    first = detail[0] if isinstance(detail, list) and detail and isinstance(detail[0], Mapping) else body
    place = first.get("loc")  # of FastAPI: ["body", "seed"]
    return place[-1] if isinstance(place, list) and place and isinstance(place[-1], str) else None


def _status(body: Mapping[str, object]) -> int | None:
    for name in _STATUSES:
        value = body.get(name)
        if isinstance(value, str) and value.isdigit() and len(value) == 3:
            value = int(value)
        if isinstance(value, int) and 400 <= value < 600:
            return value
    return None


def _named(words: str) -> int | None:
    return next((status for status, pattern in _BY_NAME if pattern.search(words)), None)


def _wait(body: Mapping[str, object]) -> float | None:
    for name, scale in (("retry_after_ms", 1e-3), ("retry_after", 1.0), ("retryAfter", 1.0), ("retryDelay", 1.0)):
        seconds = as_seconds(body.get(name))
        if seconds is not None:
            return seconds * scale
    details = body.get("details")
    for detail in details if isinstance(details, list) else ():
        seconds = as_seconds(detail.get("retryDelay")) if isinstance(detail, Mapping) else None
        if seconds is not None:
            return seconds
    return None


def _dumped(body: object) -> str:
    try:
        return json.dumps(body, default=str)[:_READ]
    except (ValueError, RecursionError):
        return "an error nested too deeply to be read"


def _decoded(text: str) -> Any:
    """The JSON that a text is; None where it is something else."""
    start = text.lstrip()[:1]
    if start not in ("{", "[") or len(text) > _READ:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _short(words: str) -> str:
    words = " ".join(words[:_READ].split())
    return words if len(words) <= _QUOTED else words[: _QUOTED - 3] + "..."
