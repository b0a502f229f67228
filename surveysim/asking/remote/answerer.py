"""`RemoteAnswerer`: a model behind any server that speaks OpenAI's chat protocol."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from surveysim.asking.asks import Answer, Ask
from surveysim.asking.remote.exchange import Exchange
from surveysim.asking.remote.keys import NO_KEY, check_key_name, read_key
from surveysim.asking.remote.requests import ServerTraits
from surveysim.asking.remote.session import Session
from surveysim.asking.remote.troubles import Patience
from surveysim.prompts import candidate_labels

if TYPE_CHECKING:
    from openai import OpenAI

__all__ = ["RemoteAnswerer"]

_OPENAI = "https://api.openai.com/v1"
_OPENAI_KEY = "OPENAI_API_KEY"

DEADLINE = 5.0
"""A request may take so many times the time that a server may be silent for."""


class RemoteAnswerer:
    """A model behind a server that speaks OpenAI's chat protocol: hosted, or vLLM, llama.cpp, ``transformers serve``.

    Asks run side by side, are retried when the server is busy or the connection breaks, and are delivered one by one as
    they are answered. The first ask goes alone: a wrong key, an unknown model or an unreachable server raises before
    anything is spent. What a server ignores or refuses (several draws in one request, JSON schemas, log-probabilities,
    seeds) is noticed once, see `notices`, and worked around.

    Parameters
    ----------
    name : str
        The model's name, as the server knows it.
    base_url : str, optional
        Where the server is, such as ``"http://localhost:8000/v1"``. Default: ``OPENAI_BASE_URL`` from the environment,
        else OpenAI. Without user name, password or query: it is written into journals.
    api_key_env : str, optional
        The *name* of the environment variable with the key. It is read when asks begin, and neither kept, printed,
        logged nor pickled. Default: ``OPENAI_API_KEY`` for OpenAI and ``OPENAI_BASE_URL``; no key for a `base_url` of
        your own, so that OpenAI's key is never sent elsewhere.
    max_workers : int, default=8
        Requests under way at once.
    timeout : float, default=60.0
        Seconds without a word from the server before a request is tried again. Reasoning models may need more.
    deadline : float, optional
        Seconds that one request may take in all, however often the server sends a few bytes. Default: five times
        `timeout`. A reply of more than 8 MiB is not read to its end, and is a failure.
    verbose : int, default=0
        1 shows a progress bar.
    max_retries : int, default=5
        Tries after the first on 429, 5xx, 408, 409, time-outs and broken connections. A request that timed out may have
        been paid for.
    backoff : float, default=0.5
        Seconds before the first of them; doubled for each further one, up to 30, with jitter. What the server asks to
        wait, in ``Retry-After``, in the headers of its limits or in its words, is honoured up to 120 seconds; a server
        that asks for more ends the run.

    Attributes
    ----------
    identity : dict
        Model name and address: part of a journal's keys.
    notices : tuple of str
        What was noticed about the server so far.

    Notes
    -----
    Several draws of one prompt are asked for in one request (`n`), without a seed: some servers would give all of them
    the same one. Single draws carry a seed made from the ask's; servers may ignore it. Use a journal
    (`surveysim.elicitation.journaled`) to get the same answers again.

    Hosted models list their 20 likeliest tokens at most. Each label's probability is the sum over the listed tokens
    that are the label apart from spaces around it; the mass of everything that is not listed is reported as censored.

    Examples
    --------
    >>> model = RemoteAnswerer("my-model", base_url="http://localhost:8000/v1/")
    >>> model.identity["base_url"]
    'http://localhost:8000/v1'
    >>> model.labels(3)
    ('A', 'B', 'C')

    The key itself is refused, and not quoted:

    >>> RemoteAnswerer("gpt-4o", api_key_env="sk-123456")
    Traceback (most recent call last):
        ...
    ValueError: api_key_env must be the *name* of an environment variable that holds the key, ...
    """

    #: Seconds that requests under way have to finish after Ctrl-C: their answers are paid for.
    grace = 1.0

    def __init__(
        self,
        name: str,
        *,
        base_url: str | None = None,
        api_key_env: str | None = None,
        max_workers: int = 8,
        timeout: float = 60.0,
        deadline: float | None = None,
        verbose: int = 0,
        max_retries: int = 5,
        backoff: float = 0.5,
    ) -> None:
        if not isinstance(name, str):
            raise TypeError(f"a remote model's name must be a string, got {type(name).__name__}")
        if not name.strip():
            raise ValueError("a remote model needs a name, the one that its server knows it by")
        check_key_name(api_key_env)
        self.name = name
        self.base_url = None if base_url is None else _clean_url(base_url, "base_url")
        self.api_key_env = api_key_env
        self.max_workers = _whole(max_workers, "max_workers", 1)
        self.max_retries = _whole(max_retries, "max_retries", 0)
        self.timeout = _seconds(timeout, "timeout")
        self.deadline = None if deadline is None else _seconds(deadline, "deadline")
        self.backoff = _seconds(backoff, "backoff")
        self.verbose = verbose
        self._traits = ServerTraits()

    @property
    def identity(self) -> Mapping[str, str]:
        """What determines the answers, as far as it is known here: protocol, model, address."""
        return {"kind": "server", "protocol": "chat.completions", "model": self.name, "base_url": self._address()}

    @property
    def notices(self) -> tuple[str, ...]:
        """What was noticed about the server so far."""
        return tuple(self._traits.notices)

    def labels(self, n_options: int) -> tuple[str, ...]:
        """Labels for a number of options, from the first alphabet that has enough: a server hides its tokens.

        Parameters
        ----------
        n_options : int
            Options to be labelled.

        Returns
        -------
        tuple of str
        """
        return candidate_labels(n_options)[0]

    def answer(
        self,
        asks: Sequence[Ask],
        *,
        on_answer: Callable[[int, Answer], None] | None = None,
        verbose: int = 0,
    ) -> list[Answer]:
        """Answer all asks, in their order.

        Parameters
        ----------
        asks : sequence of Ask
            Those that differ in `sample` alone go together in one request.
        on_answer : callable, optional
            Called with an ask's position and its answer as soon as it is there, from several threads; not for failures.
            If it raises, everything stops and the exception is passed on.
        verbose : int, default=0
            1 shows a progress bar, as the constructor's `verbose` does.

        Returns
        -------
        list of Answer
            An answer that did not arrive says why in `failure`. If the server breaks off in the middle, the rest are
            failures, with a RuntimeWarning.

        Raises
        ------
        RemoteError
            If the server refuses the key, the model or all requests, or cannot be reached, before anything was
            answered.
        LabelProbabilitiesUnavailable
            If label probabilities are asked for and the server sends none.
        ValueError
            If the environment variable with the key is not set.
        ImportError
            If the `openai` client is not installed.
        KeyboardInterrupt
            On Ctrl-C, within about a second; whatever was answered before has been handed to `on_answer`.
        """
        asks = list(asks)
        if not asks:
            return []
        client, exchange = self._connect()
        session = Session(exchange, max_workers=self.max_workers, on_answer=on_answer, grace=self.grace)
        try:
            return session.run(asks, verbose=max(verbose, self.verbose))
        finally:
            if session.idle:  # after Ctrl-C a reply may still come: its answer is handed over, and paid for
                client.close()

    @contextmanager
    def connected(self) -> Iterator[tuple[OpenAI, Exchange]]:
        """A client of the server, and the session that sends requests with it; closed at the end."""
        client, exchange = self._connect()
        try:
            yield client, exchange
        finally:
            client.close()

    def _connect(self) -> tuple[OpenAI, Exchange]:
        openai = _import_openai()
        key = read_key(self._key_name())
        client = openai.OpenAI(
            api_key=NO_KEY if key is None else key.reveal(),
            base_url=self._address(),
            timeout=self.timeout,
            max_retries=0,  # our own: they end on Ctrl-C, and all workers wait when the server is busy
        )
        if self.base_url is not None:
            # From the environment, meant for OpenAI.
            client.organization = client.project = None
        patience = Patience(self.max_retries, self.backoff)
        deadline = DEADLINE * self.timeout if self.deadline is None else self.deadline
        return client, Exchange(client, key, self.name, self.traits, patience, deadline)

    @property
    def traits(self) -> ServerTraits:
        """What the server has been seen to accept and to ignore."""
        return self._traits

    def _address(self) -> str:
        if self.base_url is not None:
            return self.base_url
        return _clean_url(os.environ.get("OPENAI_BASE_URL") or _OPENAI, "the environment variable OPENAI_BASE_URL")

    def _key_name(self) -> str | None:
        return _OPENAI_KEY if self.api_key_env is None and self.base_url is None else self.api_key_env

    def __repr__(self) -> str:
        return f"RemoteAnswerer({self.name!r}, base_url={self.base_url!r}, api_key_env={self.api_key_env!r})"


def _import_openai() -> Any:
    try:
        import openai
    except ImportError:
        raise ImportError(
            "asking a model behind a server needs the `openai` client: pip install 'surveysim[remote]'"
        ) from None
    return openai


def _clean_url(url: object, what: str) -> str:
    """An http address in one spelling, without anything that could be a secret."""
    if not isinstance(url, str):
        raise TypeError(f"{what} must be a string such as 'http://localhost:8000/v1', got {type(url).__name__}")
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = None, None, None
    if parts is not None and (parts.username or parts.password or parts.query or parts.fragment):
        raise ValueError(
            f"{what} must not hold a user name, password, query or fragment, because it is written into journals: "
            "pass the key by api_key_env"
        )
    if parts is None or parts.scheme.lower() not in ("http", "https") or not host:
        raise ValueError(f"{what} must be an http address such as 'http://localhost:8000/v1', got {url!r}")
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme.lower()}://{host}{'' if port is None else f':{port}'}{parts.path.rstrip('/')}"


def _whole(value: object, name: str, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return int(value)


def _seconds(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number of seconds, got {value!r}")
    seconds = float(value)
    if not (seconds > 0 and math.isfinite(seconds)):
        raise ValueError(f"{name} must be a positive number of seconds, got {value}")
    return seconds
