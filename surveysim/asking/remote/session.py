"""One run over many asks: grouped, asked side by side, tried again, and handed over as they are answered."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from surveysim.asking.asks import Answer, Ask, LabelProbabilitiesUnavailable
from surveysim.asking.remote.exchange import Exchange, Reply
from surveysim.asking.remote.requests import build_request
from surveysim.asking.remote.troubles import Outcome, RemoteError, Trouble
from surveysim.asking.remote.workers import Workers
from surveysim.errors import warn
from surveysim.progress import progress

__all__ = ["Session"]

Call = tuple[Ask, ...]

# Draws in one request at most: a reply that is lost loses all of them.
_MOST_DRAWS = 32


class Session:
    """The state of one `RemoteAnswerer.answer`; holds the client, and so the key, no longer than that.

    Parameters
    ----------
    exchange : Exchange
        Sends a request and reads its reply.
    max_workers : int
    on_answer : callable or None
    grace : float
        Seconds for requests under way after Ctrl-C.
    """

    def __init__(
        self,
        exchange: Exchange,
        *,
        max_workers: int,
        on_answer: Callable[[int, Answer], None] | None,
        grace: float,
    ) -> None:
        self._exchange = exchange
        self._model = exchange.model
        self._traits = exchange.traits
        self._patience = exchange.patience
        self._max_workers = max_workers
        self._on_answer = on_answer
        self._grace = grace
        self._chance = random.Random()  # of the jitter alone; no answer depends on it
        self._lock = threading.Lock()
        self._not_before = 0.0
        self._answered = 0
        self._failed_in_a_row = 0
        self._halted: str | None = None
        self._places: dict[Ask, list[int]] = {}
        self._answers: list[Answer | None] = []
        self._bar: Any = None
        self._workers: Workers[Call] = Workers(self._work, max_workers, grace=grace)

    def run(self, asks: Sequence[Ask], *, verbose: int) -> list[Answer]:
        """The answers to all asks, in their order."""
        self._answers = [None] * len(asks)
        for i, ask in enumerate(asks):
            self._places.setdefault(ask, []).append(i)
        calls = self._group(list(self._places))

        def ask_later(call: Call) -> tuple[Call, ...]:
            calls.extend(self._work(call))
            return ()

        with progress(verbose, total=len(asks), desc=self._model, unit="answer") as bar:
            self._bar = bar
            # The first of each kind goes alone: what it finds out about key, model and server holds for all others.
            for kind in ("label", "text"):
                while kind not in self._traits.answered and not self._halted:
                    first = next((call for call in calls if call[0].kind == kind), None)
                    if first is None:
                        break
                    calls.remove(first)
                    self._workers = Workers(ask_later, 1, grace=self._grace)
                    self._workers.run([first])
            if not self._halted:
                self._workers = Workers(self._work, self._max_workers, grace=self._grace)
                # What was found out above may forbid groups.
                self._workers.run(self._group([ask for call in calls for ask in call]))
        if self._halted:
            self._give_up(self._halted)
        return [answer if answer is not None else Answer(failure="not asked") for answer in self._answers]

    @property
    def idle(self) -> bool:
        return self._workers.idle

    def _group(self, asks: Sequence[Ask]) -> list[Call]:
        """Asks that differ in their draw alone, together where the server takes that."""
        groups: dict[Ask, list[Ask]] = {}
        for ask in asks:
            # At temperature 0 some servers refuse several draws, and all of them would be the same.
            alone = ask.kind == "label" or ask.temperature == 0 or not self._traits.honours_n
            groups.setdefault(ask if alone else replace(ask, sample=0), []).append(ask)
        return [
            tuple(group[start : start + _MOST_DRAWS])
            for group in groups.values()
            for start in range(0, len(group), _MOST_DRAWS)
        ]

    def _work(self, call: Call) -> list[Call]:
        """Ask one group, hand its answers over, and return what is still to be asked."""
        if len(call) > 1 and not self._traits.honours_n:
            return [(ask,) for ask in call]
        found = self._ask(call)
        if isinstance(found, Trouble):
            if found.outcome is Outcome.STOP:
                self._halt(found.message)
            else:
                self._fail(call, found)
            return []
        for ask, answer in zip(call, found.answers, strict=False):
            self._hand_over(ask, answer)
        rest = call[len(found.answers) :]
        if rest and found.n_choices == 1 and self._traits.honours_n:
            self._traits.ignores_n()
        return [rest] if found.n_choices > 1 and rest else [(ask,) for ask in rest]

    def _ask(self, call: Call) -> Reply | Trouble:
        """The reply to one request, or what is wrong."""
        attempt = 0
        while True:
            if len(call) > 1 and not self._traits.honours_n:
                call = call[:1]
            self._wait_for_turn()
            request = build_request(self._model, call, self._traits)
            found = self._exchange(request, call)
            if not isinstance(found, Trouble):
                return found
            if (found.outcome is Outcome.REFUSED or found.unsupported) and self._traits.adapt(request, found):
                continue
            if found.outcome is Outcome.REFUSED:
                if call[0].kind == "label" and self._traits.top == 0 and "label" not in self._traits.answered:
                    raise LabelProbabilitiesUnavailable(
                        f"{self._model!r} does not give the probabilities of its tokens: {found.message}"
                    )
                return replace(found, outcome=Outcome.STOP, message=found.message + self._traits.advice(request, found))
            if found.outcome is not Outcome.RETRY:
                return found
            attempt += 1
            # What was answered, if not as it was wanted, is paid for: once more, and no oftener.
            if attempt > (min(1, self._patience.max_retries) if found.paid else self._patience.max_retries):
                tried = f"{found.message} (tried {attempt} times)"
                if found.unreachable and not self._answered:
                    return replace(found, outcome=Outcome.STOP, message=f"the server cannot be reached: {tried}")
                return replace(found, message=tried)
            delay = self._patience.delay(attempt, found.wait, self._chance)
            if found.busy:
                with self._lock:
                    self._not_before = max(self._not_before, time.monotonic() + delay)
            self._workers.sleep(delay)

    def _wait_for_turn(self) -> None:
        """Wait while the server wants to be left alone."""
        while True:
            with self._lock:
                wait = self._not_before - time.monotonic()
            if wait <= 0:
                self._workers.sleep(0)
                return
            self._workers.sleep(wait)

    def _hand_over(self, ask: Ask, answer: Answer) -> None:
        for place in self._places[ask]:
            if answer.failure is None and self._on_answer is not None:
                self._on_answer(place, answer)
            self._answers[place] = answer
        with self._lock:
            if answer.failure is None:
                self._answered += 1
                self._failed_in_a_row = 0
            self._bar.update(len(self._places[ask]))

    def _fail(self, call: Call, trouble: Trouble) -> None:
        answer = Answer(failure=trouble.message)
        for ask in call:
            self._hand_over(ask, answer)
        if trouble.outcome is Outcome.RETRY or trouble.paid:
            with self._lock:
                self._failed_in_a_row += 1
                # One bad prompt is no reason to stop; that many in a row mean that the server is down.
                limit = 3 if not self._answered else 2 * self._max_workers + 2
                down = self._failed_in_a_row >= limit
            if down:
                self._halt(f"{self._failed_in_a_row} requests in a row were not answered; the last: {trouble.message}")

    def _halt(self, reason: str) -> None:
        with self._lock:
            if self._halted is None:
                self._halted = reason
        self._workers.stop()

    def _give_up(self, reason: str) -> None:
        """Raise where nothing has been answered yet; else say so, and leave the rest as failures."""
        message = f"the model {self._model!r} cannot be asked: {reason}"
        if not self._answered:
            raise RemoteError(message)
        left = sum(answer is None for answer in self._answers)
        warn(f"{message}. {left} asks were not tried")
        self._answers = [answer or Answer(failure=f"not asked: {reason}") for answer in self._answers]
