"""What can go wrong with a server, and what to do about it: try again, give up one answer, or stop."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from surveysim.asking.remote.keys import Key, scrub
from surveysim.asking.remote.server_words import ServerWords, read_words
from surveysim.asking.remote.waits import retry_after, until_reset
from surveysim.errors import SurveysimError

__all__ = ["Outcome", "Patience", "RemoteError", "Trouble", "judge_error", "judge_reported"]

# Codes of requests that are refused for their own text; the next one may be answered.
_ABOUT_THIS_PROMPT = re.compile(
    r"content_filter|content_policy|content management policy|invalid_prompt|context_length|context length"
    r"|maximum context|prompt is too long|input is too long|moderation|flagged|safety",
    re.IGNORECASE,
)

# Words of servers that cannot take one of a request's parameters; with 500, too, where nobody expected it.
_UNSUPPORTED = re.compile(
    r"unsupported|not\s+support|(?:unknown|unexpected|unrecogni[sz]ed|invalid|extra|forbidden)\s+(?:\w+\s+)?"
    r"(?:parameter|argument|field|keyword|input|key)|not\s+(?:allowed|permitted|available|implemented)"
    r"|(?:does|do)\s+not\s+(?:accept|allow|take)|only\s+the\s+default",
    re.IGNORECASE,
)
_OUT_OF_MONEY = re.compile(r"insufficient_quota|exceeded your current quota|billing", re.IGNORECASE)
_TRY_AGAIN = frozenset({408, 409, 425, 429})


class RemoteError(SurveysimError, RuntimeError):
    """A server cannot be used: it is unreachable, refuses the key, or does not know the model.

    Attributes
    ----------
    elicitation : Elicitation or None
        Raised by an elicitor: what was answered before, as ``elicit`` returns it; None where nothing was.
    """

    elicitation: Any = None


class Outcome(Enum):
    """What a trouble means for the request that met it."""

    RETRY = "try again"
    REFUSED = "refused in this form: it may be accepted without one of its parameters"
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
    unsupported : bool
        Whether a fault of the server's own speaks of something that it does not support.
    paid : bool
        Whether the reply counts as answered on the server's side: the same request would be paid for again.
    """

    outcome: Outcome
    message: str
    wait: float | None = None
    busy: bool = False
    unreachable: bool = False
    parameter: str | None = None
    unsupported: bool = False
    paid: bool = False


@dataclass(frozen=True)
class Patience:
    """How often and how long to retry: exponential back-off with jitter, or as the server says.

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


def judge_error(error: Exception, key: Key | None, patience: Patience) -> Trouble:
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
    status, said = error.status_code, read_words(error.body)
    message = scrub(f"the server answered {status}" + (f": {said.words}" if said.words else ""), key)
    return _judged(status, said, message, error.response.headers, patience)


def judge_reported(body: object, headers: Mapping[str, str], key: Key | None, patience: Patience) -> Trouble:
    """What an error means that came with status 200.

    Parameters
    ----------
    body : object
        As decoded from JSON.
    headers : mapping of str to str
        Of the reply.
    key : Key or None
        Taken out of the message.
    patience : Patience
    """
    said = read_words(body)
    named = f" {said.status}" if said.status else ""
    message = scrub(f"the server reports an error{named}: {said.words or 'no words'}", key)
    if said.status is None:
        # Nobody knows whether it passes: it does not where the words blame the request.
        outcome = Outcome.REFUSED if _UNSUPPORTED.search(said.words) else Outcome.RETRY
        return Trouble(outcome, message, said.wait, parameter=said.parameter)
    return _judged(said.status, said, message, headers, patience)


def _judged(status: int, said: ServerWords, message: str, headers: Mapping[str, str], patience: Patience) -> Trouble:
    about = f"{said.code} {said.words}"
    wait = retry_after(headers)
    wait = said.wait if wait is None else wait
    if status == 429 and ("insufficient_quota" in said.code or (wait is None and _OUT_OF_MONEY.search(about))):
        return Trouble(Outcome.STOP, message)
    if status in _TRY_AGAIN or status >= 500:
        if wait is not None and wait > patience.longest_asked:
            return Trouble(Outcome.STOP, f"{message}; it asks for a wait of {wait:.0f} seconds")
        if wait is None and status == 429 and (reset := until_reset(headers)) is not None:
            wait = min(reset, patience.longest_asked)  # when the limit is whole again; part of it may do
        unsupported = status >= 500 and _UNSUPPORTED.search(said.words) is not None
        busy = status in (429, 503, 529)
        return Trouble(Outcome.RETRY, message, wait, busy=busy, parameter=said.parameter, unsupported=unsupported)
    if status in (400, 403, 413, 422) and _ABOUT_THIS_PROMPT.search(about):
        return Trouble(Outcome.FAIL, message)
    if status == 401:
        return Trouble(Outcome.STOP, f"{message}. Is the key in the variable named by api_key_env the right one?")
    if status == 404:
        return Trouble(Outcome.STOP, f"{message}. Are the model's name and base_url right (most end in /v1)?")
    # 403 too: a model that may be asked for texts, but not for probabilities, is refused like that.
    return Trouble(Outcome.REFUSED, message, parameter=said.parameter)
