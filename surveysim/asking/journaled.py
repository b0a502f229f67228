"""An answerer with a journal: stored answers are read, and new ones are stored before anybody sees them."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from surveysim.asking.asks import Answer, Answerer, Ask, KeptAnswers
from surveysim.asking.journal import Journal, ask_keys
from surveysim.asking.journal_claims import Claims
from surveysim.errors import SurveysimError

__all__ = ["JournaledAnswerer", "journaled"]

_LOGGER = logging.getLogger("surveysim")

# Seconds between two looks at what another process is asking.
_LOOK = 0.25

# Seconds between two flushes to the disk, which a power cut would cost; the end of the process costs nothing.
_FLUSH = 1.0


def journaled(answerer: Answerer, path: str | os.PathLike[str] | Journal) -> JournaledAnswerer:
    """Give an answerer a journal, so that nothing is asked twice, whatever happens in between.

    Parameters
    ----------
    answerer : Answerer
        A model on this machine or behind a server.
    path : str, path or Journal
        The journal's file; created if there is none.

    Returns
    -------
    JournaledAnswerer

    Examples
    --------
    An answerer that counts what it is asked:

    >>> import os, tempfile
    >>> from surveysim.asking.asks import Answer, Ask
    >>> from surveysim.prompts import Prompt
    >>> class Parrot:
    ...     identity, asked = {"model": "parrot"}, 0
    ...
    ...     def labels(self, n_options):
    ...         return ("A", "B", "C")[:n_options]
    ...
    ...     def answer(self, asks, *, on_answer=None, verbose=0):
    ...         answers = []
    ...         for i, ask in enumerate(asks):
    ...             self.asked += 1
    ...             answers.append(Answer(text=ask.prompt.user))
    ...             on_answer(i, answers[-1])
    ...         return answers
    >>> folder = tempfile.TemporaryDirectory()
    >>> parrot = Parrot()
    >>> model = journaled(parrot, os.path.join(folder.name, "answers.sqlite"))
    >>> asks = [Ask(Prompt("", "hello"), "text", ("A", "B"), sample=i) for i in range(3)]
    >>> [answer.text for answer in model.answer(asks[:2])]
    ['hello', 'hello']
    >>> len(model.answer(asks)), parrot.asked
    (3, 3)
    >>> model.journal.close()
    >>> folder.cleanup()
    """
    return JournaledAnswerer(answerer, path if isinstance(path, Journal) else Journal(path))


class JournaledAnswerer:
    """What `journaled` makes; an `Answerer` itself.

    Attributes
    ----------
    answerer : Answerer
    journal : Journal
    """

    def __init__(self, answerer: Answerer, journal: Journal) -> None:
        self.answerer = answerer
        self.journal = journal

    @property
    def identity(self) -> Mapping[str, str]:
        return self.answerer.identity

    def labels(self, n_options: int) -> tuple[str, ...]:
        return self.answerer.labels(n_options)

    def answer(
        self,
        asks: Sequence[Ask],
        *,
        on_answer: Callable[[int, Answer], None] | None = None,
        verbose: int = 0,
    ) -> list[Answer]:
        """Answer all asks, in their order: from the journal, else by asking.

        What another run with the same journal is asking right now is waited for, as long as that run lives. Failures
        are not stored: the next call asks again. `on_answer` is called for answers from the journal, too.
        """
        asks = list(asks)
        run = _Run(self.answerer.identity, asks, on_answer)
        run.hand_over(self.journal.find(list(run.places)))
        if run.missing:
            with self.journal.claims() as claims:
                self._ask(run, claims, verbose)
        return [run.answers[key] for key in run.keys]

    def _ask(self, run: _Run, claims: Claims, verbose: int) -> None:
        waiting = False
        while run.missing:
            taken = claims.take(run.missing)
            # What is neither ours nor claimed may have been answered since.
            run.hand_over(self.journal.find([key for key in run.missing if key not in taken]))
            ours = [key for key in run.missing if key in taken]
            if ours:
                waiting = False
                self._ask_for(run, ours, verbose)
            elif run.missing:
                if not waiting:
                    _LOGGER.info("another run is asking for %d of these answers: waiting for it", len(run.missing))
                    waiting = True
                time.sleep(_LOOK)

    def _ask_for(self, run: _Run, keys: Sequence[str], verbose: int) -> None:
        asks = [run.ask(key) for key in keys]

        flushed = time.monotonic()

        def store(i: int, answer: Answer) -> None:
            nonlocal flushed
            # Where nobody sees an answer before the end it need not wait for the disk alone.
            due = run.watched or time.monotonic() - flushed >= _FLUSH
            try:
                self.journal.put(run.identity, asks[i], answer, key=keys[i], flush=due)
            except BaseException:
                if run.keeps:
                    run.hand_over({keys[i]: answer})
                raise
            if due:
                flushed = time.monotonic()
            run.hand_over({keys[i]: answer})

        try:
            answers = self.answerer.answer(asks, on_answer=store, verbose=verbose)
        except BaseException:
            with suppress(SurveysimError):  # a full disk may be what ended the call: that is raised, once
                self.journal.flush()
            raise
        self.journal.flush()
        for i, answer in enumerate(answers):
            if keys[i] in run.answers:
                continue
            if answer.failure is None:  # an answerer that does not report answers one by one
                self.journal.put(run.identity, asks[i], answer, key=keys[i])
                run.hand_over({keys[i]: answer})
            else:
                run.answers[keys[i]] = answer

    def __repr__(self) -> str:
        return f"journaled({self.answerer!r}, {self.journal.path!r})"


class _Run:
    """The asks of one call: equal ones are one."""

    def __init__(
        self, identity: Mapping[str, str], asks: Sequence[Ask], on_answer: Callable[[int, Answer], None] | None
    ) -> None:
        self.identity = identity
        self.keys = ask_keys(identity, asks)
        self.answers: dict[str, Answer] = {}
        self.places: dict[str, list[int]] = {}
        self._asks = asks
        self._on_answer = on_answer
        for i, key in enumerate(self.keys):
            self.places.setdefault(key, []).append(i)

    @property
    def watched(self) -> bool:
        """Whether somebody sees answers as they come."""
        return self._on_answer is not None and not self.keeps

    @property
    def keeps(self) -> bool:
        """Whether answers are only kept for the case that the call breaks off."""
        return isinstance(self._on_answer, KeptAnswers)

    @property
    def missing(self) -> list[str]:
        return [key for key in self.places if key not in self.answers]

    def ask(self, key: str) -> Ask:
        return self._asks[self.places[key][0]]

    def hand_over(self, found: Mapping[str, Answer]) -> None:
        for key, answer in found.items():
            if self._on_answer is not None:
                for place in self.places[key]:
                    self._on_answer(place, answer)
            self.answers[key] = answer
