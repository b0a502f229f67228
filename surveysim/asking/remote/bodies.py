"""The body of a reply as choices: JSON or a stream of events, and errors that a server reports with status 200."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from surveysim.errors import SurveysimError

__all__ = ["BadReply", "ReportedError", "parse_body"]

_ERROR_KEYS = ("error", "errors", "detail", "message", "msg", "code", "status", "base_resp")


class BadReply(SurveysimError, ValueError):
    """What came back is no chat completion."""


class ReportedError(SurveysimError, RuntimeError):
    """A server answers with status 200 and speaks of an error.

    Attributes
    ----------
    body : object
        What it says, as decoded from JSON.
    """

    def __init__(self, body: object) -> None:
        super().__init__("the server reports an error within its reply")
        self.body = body


def parse_body(text: str) -> list[Mapping[str, object]]:
    """The choices in the body of a reply, in their order.

    Raises
    ------
    ReportedError
        If the server speaks of an error instead.
    BadReply
        If it is not JSON, or no chat completion, or has no choices.
    """
    # Some servers stream whether asked to or not; lines that begin with a colon are comments that keep it alive.
    start = text.lstrip("\ufeff \t\r\n")
    if start.startswith(("data:", "event:", "id:", "retry:", ":")):
        return _in_order(list(_from_events(text)), text)
    try:
        body = json.loads(start)
    except (ValueError, RecursionError):
        raise BadReply(f"the reply is not JSON: it begins {text[:80]!r}") from None
    return _in_order(_choices(body, text), text)


def _choices(body: object, text: str) -> list[Mapping[str, object]]:
    if isinstance(body, list) and len(body) == 1:  # Gemini wraps its errors like that
        body = body[0]
    choices = body.get("choices") if isinstance(body, Mapping) else None
    if isinstance(body, Mapping) and (body.get("error") or (choices is None and any(map(body.get, _ERROR_KEYS)))):
        raise ReportedError(body)
    if not isinstance(choices, list) or not all(isinstance(choice, Mapping) for choice in choices):
        raise BadReply(f"the reply is not a chat completion: it begins {text[:80]!r}")
    if len(choices) == 1 and choices[0].get("error"):
        raise ReportedError(choices[0])
    return choices


def _in_order(choices: Sequence[Mapping[str, object]], text: str) -> list[Mapping[str, object]]:
    if not choices:
        raise BadReply(f"the reply has no choices: it begins {text[:80]!r}")
    return sorted(choices, key=lambda choice: i if isinstance(i := choice.get("index"), int) else 0)


# --- streams of events ------------------------------------------------------------------------------------------------


def _from_events(text: str) -> Iterator[Mapping[str, object]]:
    """The choices that a stream of chunks adds up to."""
    parts: dict[object, list[Mapping[str, object]]] = {}
    done = False
    for line in text.splitlines():
        name, _, data = line.partition(":")
        if name.strip() != "data":
            continue
        if data.strip() == "[DONE]":
            done = True
            continue
        try:
            chunk = json.loads(data)
        except (ValueError, RecursionError):
            raise BadReply(f"the reply is a stream without JSON: {data[:80]!r}") from None
        choices = chunk.get("choices") if isinstance(chunk, Mapping) else None
        for choice in [] if choices == [] else _choices(chunk, data):
            parts.setdefault(choice.get("index"), []).append(choice)
    for index, chunks in parts.items():
        whole = _added_up(index, chunks)
        if whole["finish_reason"] is None and not done:
            raise BadReply("the reply is a stream that breaks off")
        yield whole


def _added_up(index: object, chunks: Sequence[Mapping[str, object]]) -> dict[str, Any]:
    texts: dict[str, list[str]] = {}
    logprobs: list[Any] = []
    finish = None
    for chunk in chunks:
        said = chunk.get("delta") or chunk.get("message") or {}
        for name, value in said.items() if isinstance(said, Mapping) else ():
            if isinstance(value, str) and name != "role":
                texts.setdefault(name, []).append(value)
        listed = chunk.get("logprobs")
        content = listed.get("content") if isinstance(listed, Mapping) else None
        logprobs += content if isinstance(content, list) else []
        finish = chunk.get("finish_reason") or finish
    message: dict[str, Any] = {"content": None, **{name: "".join(values) for name, values in texts.items()}}
    return {"index": index, "message": message, "finish_reason": finish, "logprobs": {"content": logprobs}}
