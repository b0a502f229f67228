"""One request and its reply: sent, awaited until a deadline, read, and judged."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from surveysim.asking.asks import Answer, Ask, LabelProbabilitiesUnavailable
from surveysim.asking.remote.bodies import BadReply, ReportedError, parse_body
from surveysim.asking.remote.keys import Key, scrub, scrub_answer
from surveysim.asking.remote.replies import is_json, read_label_answer, read_texts
from surveysim.asking.remote.requests import ServerTraits
from surveysim.asking.remote.troubles import Outcome, Patience, Trouble, judge_error, judge_reported

if TYPE_CHECKING:
    from openai import OpenAI

__all__ = ["MOST_BYTES", "Exchange", "Reply", "within"]

MOST_BYTES = 8 * 2**20
"""A reply that is longer is not read to its end: 32 answers with their log-probabilities are a hundredth of that."""

T = TypeVar("T")


@dataclass(frozen=True)
class Reply:
    """What one reply brought.

    Attributes
    ----------
    answers : list of Answer
        At least one, at most as many as were asked for.
    n_choices : int
        How many choices it had, those included that broke off.
    """

    answers: list[Answer]
    n_choices: int


@dataclass(frozen=True)
class Exchange:
    """Sends requests to one server. Exceptions become troubles, so that nothing keeps the key in a request's headers.

    Attributes
    ----------
    client : openai.OpenAI
    key : Key or None
        Taken out of answers and messages.
    model : str
    traits : ServerTraits
        What is known about the server; what a reply shows is added.
    patience : Patience
    deadline : float
        Seconds that one request may take in all.
    """

    client: OpenAI
    key: Key | None
    model: str
    traits: ServerTraits
    patience: Patience
    deadline: float

    def __call__(self, request: Mapping[str, Any], call: Sequence[Ask]) -> Reply | Trouble:
        """The reply to one request.

        Parameters
        ----------
        request : mapping
            The parameters of a chat completion.
        call : sequence of Ask
            What it asks.

        Raises
        ------
        LabelProbabilitiesUnavailable
            If label probabilities are asked for and the server has never sent any that could be read.
        """
        try:
            received = within(self.deadline, lambda: self._send(request))
        except TimeoutError:
            # The thread that waits for it ends when the client is closed, or the server is done.
            said = f"the server had not finished after {self.deadline:g} seconds"
            return Trouble(Outcome.RETRY, said, unreachable=True)
        return received if isinstance(received, Trouble) else self.read(*received, request, call)

    def _send(self, request: Mapping[str, Any]) -> tuple[str, Mapping[str, str]] | Trouble:
        """The text of the reply and its headers."""
        import openai

        end = time.monotonic() + self.deadline
        parts, size = [], 0
        try:
            with self.client.chat.completions.with_streaming_response.create(**request) as response:
                for part in response.iter_bytes():
                    parts.append(part)
                    size += len(part)
                    if size > MOST_BYTES:
                        said = f"the reply is longer than {MOST_BYTES // 2**20} MiB: it was not read to its end"
                        return Trouble(Outcome.FAIL, said, paid=True)
                    if time.monotonic() > end:
                        said = f"the server had not finished after {self.deadline:g} seconds"
                        return Trouble(Outcome.RETRY, said, unreachable=True)
                return b"".join(parts).decode("utf-8", "replace"), dict(response.headers)
        except openai.OpenAIError as error:
            return judge_error(error, self.key, self.patience)
        except Exception as error:  # of the client's transport, which it does not wrap while a reply is read
            if "Timeout" in type(error).__name__:
                return Trouble(Outcome.RETRY, "the server did not answer in time", unreachable=True)
            reason = scrub(f"{type(error).__name__}: {error}".rstrip(": "), self.key)
            return Trouble(Outcome.RETRY, f"the connection failed ({reason})", unreachable=True)

    def read(
        self, text: str, headers: Mapping[str, str], request: Mapping[str, Any], call: Sequence[Ask]
    ) -> Reply | Trouble:
        """What a reply says.

        Parameters
        ----------
        text : str
            Its body.
        headers : mapping of str to str
        request : mapping
            What was sent.
        call : sequence of Ask
            What was asked.

        Raises
        ------
        LabelProbabilitiesUnavailable
            As when it is called.
        """
        kind = call[0].kind
        try:
            choices = parse_body(text)
            if kind == "label":
                answers = [read_label_answer(choices[0], call[0].labels)]
            else:
                answers = read_texts(choices)[: len(call)]
        except ReportedError as error:
            return judge_reported(error.body, headers, self.key, self.patience)
        except BadReply as error:
            return Trouble(Outcome.RETRY, scrub(str(error), self.key))
        except LabelProbabilitiesUnavailable as error:
            said = scrub(str(error), self.key)
            if "label" in self.traits.answered:  # it has sent them before
                return Trouble(Outcome.RETRY, said, paid=True)
            raise LabelProbabilitiesUnavailable(f"{self.model!r}: {said}") from None
        self.traits.answered.add(kind)
        texts = [answer.text for answer in answers if answer.text and answer.ended == "stop"]
        if "response_format" in request and self.traits.keeps_format and not all(map(is_json, texts)):
            self.traits.ignores_format()
        return Reply([scrub_answer(answer, self.key) for answer in answers], len(choices))


def within(seconds: float, do: Callable[[], T]) -> T:
    """What `do` returns, if it is done in time.

    It runs in a thread of its own, since nothing else ends a wait for a server that sends a byte now and then: each
    byte begins a time-out anew.

    Raises
    ------
    TimeoutError
        If it is not done in time; it goes on, and what it returns is forgotten.
    """
    found: list[T] = []
    raised: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            found.append(do())
        except BaseException as error:
            raised.append(error)
        finally:
            done.set()

    threading.Thread(target=run, name="surveysim-request", daemon=True).start()
    if not done.wait(seconds):
        raise TimeoutError
    if raised:
        raise raised.pop()
    return found.pop()
