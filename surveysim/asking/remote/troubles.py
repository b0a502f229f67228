"""What goes wrong between here and a server, and what to do about it: try again, give one answer up, or stop."""

from __future__ import annotations

import email.utils
import json
import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from surveysim.asking.remote.keys import Key, scrub
from surveysim.errors import SurveysimError

__all__ = ["Outcome", "Patience", "RemoteError", "Trouble", "judge", "retry_after"]

# So much of what a server says is quoted.
_QUOTED = 400

# Codes of requests that are refused for their own text; the next one may be answered.
_ABOUT_THIS_PROMPT = re.compile(
    r"content_filter|content_policy|content management policy|invalid_prompt|context_length|context length"
    r"|maximum context|prompt is too long|input is too long",
    re.IGNORECASE,
)
_OUT_OF_MONEY = re.compile(r"insufficient_quota|exceeded your current quota|billing", re.IGNORECASE)
_TRY_AGAIN = frozenset({408, 409, 425, 429})


class RemoteError(SurveysimError, RuntimeError):
    """A server cannot be used: it is out of reach, refuses the key, or does not know the model."""


class Outcome(Enum):
    """What a trouble means for the request that met it."""

    RETRY = "try again"
    REFUSED = "refused as it was put: perhaps without one of its parameters"
    FAIL = "this request has no answer"
    STOP = "no request will have one"


@dataclass(frozen=True)
class Trouble:
    """One thing that went wrong.

    Attributes
    ----------
    outcome : Outcome
    message : str
        For the user; without secrets.
    wait : float or None
        Seconds that the server asks to wait.
    busy : bool
        Whether everybody should wait, not this request alone.
    unreachable : bool
        Whether nothing came back at all.
    parameter : str or None
        The request's parameter that the server blames.
    """

    outcome: Outcome
    message: str
    wait: float | None = None
    busy: bool = False
    unreachable: bool = False
    parameter: str | None = None


@dataclass(frozen=True)
class Patience:
    """How often and how long to try again: exponential back-off with jitter, or as the server says.

    Parameters
    ----------
    max_retries : int
        Tries after the first.
    backoff : float
        Seconds before the first of them, doubled for each further one.
    longest : float
        No wait of our own is longer, in seconds.
    longest_asked : float
        A server that asks for more seconds than that is not waited for.
    """

    max_retries: int = 5
    backoff: float = 0.5
    longest: float = 30.0
    longest_asked: float = 120.0

    def delay(self, attempt: int, asked: float | None, chance: random.Random) -> float:
        """Seconds to wait before try number `attempt` (from 1) is repeated."""
        # Jitter keeps the workers, who were refused together, from coming back together.
        own = min(self.longest, self.backoff * 2 ** min(attempt - 1, 30)) * chance.uniform(0.5, 1.0)
        return own if asked is None else asked + min(own, 1.0)


def judge(error: Any, key: Key | None, patience: Patience) -> Trouble:
    """What an exception of the `openai` client means.

    Parameters
    ----------
    error : openai.APIStatusError, openai.APIConnectionError or other
    key : Key or None
        Taken out of the message.
    patience : Patience
    """
    import openai

    if isinstance(error, openai.APITimeoutError):
        return Trouble(Outcome.RETRY, "the server did not answer in time", unreachable=True)
    if isinstance(error, openai.APIConnectionError):
        cause = error.__cause__ or error
        reason = scrub(f"{type(cause).__name__}: {cause}".rstrip(": "), key)
        return Trouble(Outcome.RETRY, f"the connection failed ({reason})", unreachable=True)
    if not isinstance(error, openai.APIStatusError):
        return Trouble(Outcome.STOP, scrub(f"{type(error).__name__}: {error}", key))
    status = error.status_code
    said, code, parameter = _what_it_said(error)
    message = scrub(f"the server answered {status}" + (f": {said}" if said else ""), key)
    wait = retry_after(error.response.headers)
    if status == 429 and _OUT_OF_MONEY.search(f"{code} {said}"):
        return Trouble(Outcome.STOP, message)
    if status in _TRY_AGAIN or status >= 500:
        if wait is not None and wait > patience.longest_asked:
            return Trouble(Outcome.STOP, f"{message}; it asks to wait for {wait:.0f} seconds")
        return Trouble(Outcome.RETRY, message, wait, busy=status in (429, 503), parameter=parameter)
    if status in (400, 413, 422) and _ABOUT_THIS_PROMPT.search(f"{code} {said}"):
        return Trouble(Outcome.FAIL, message)
    if status == 401:
        return Trouble(Outcome.STOP, f"{message}. Is the key in the variable named by api_key_env the right one?")
    if status == 404:
        return Trouble(Outcome.STOP, f"{message}. Are the model's name and base_url right (most end in /v1)?")
    # 403 too: a model that may be asked for texts, but not for probabilities, is refused like that.
    return Trouble(Outcome.REFUSED, message, parameter=parameter)


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds that a server asks to wait: from ``Retry-After`` (seconds or a date) or ``retry-after-ms``.

    Examples
    --------
    >>> retry_after({"retry-after": "2.5"})
    2.5
    >>> retry_after({"retry-after": "Thu, 01 Jan 1970 00:01:00 GMT"}, now=50.0)
    10.0
    """
    for name, scale in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        text = headers.get(name)
        if text is None:
            continue
        try:
            seconds = float(text) * scale
        except ValueError:
            date = email.utils.parsedate_tz(text)
            if date is None:
                continue
            seconds = email.utils.mktime_tz(date) - (time.time() if now is None else now)
        if seconds == seconds and seconds != float("inf"):
            return max(0.0, seconds)
    return None


def _what_it_said(error: Any) -> tuple[str, str, str | None]:
    """A refusal's words, its code and the parameter it blames, from whichever of the usual bodies it has."""
    body = error.body
    if isinstance(body, Mapping) and isinstance(body.get("error"), Mapping):
        body = body["error"]
    if isinstance(body, Mapping):
        words = body.get("message") or body.get("detail") or body.get("error") or json.dumps(body, default=str)
        code, parameter = body.get("code") or body.get("type") or "", body.get("param")
    else:
        words, code, parameter = body if isinstance(body, str) else "", "", None
    words = " ".join((words if isinstance(words, str) else json.dumps(words, default=str)).split())
    short = words if len(words) <= _QUOTED else words[: _QUOTED - 3] + "..."
    return short, str(code), parameter if isinstance(parameter, str) else None
