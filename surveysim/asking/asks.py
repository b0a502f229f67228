"""What a language model is asked, what it answers, and what all answerers have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from surveysim.errors import SurveysimError
from surveysim.prompts import Prompt

__all__ = ["Answer", "Answerer", "Ask", "Ended", "KeptAnswers", "LabelProbabilitiesUnavailable"]

Ended = Literal["stop", "length", "refusal"]


@dataclass(frozen=True)
class Ask:
    """A request for one answer. Equal asks have the same answer, which a journal may keep.

    Attributes
    ----------
    prompt : Prompt
        What the model reads.
    kind : {"label", "text"}
        "label": the probabilities of the labels where the answer begins, from one forward pass. "text": a text.
    labels : tuple of str
        The labels that the prompt shows, by place.
    temperature : float
        Of the sampling; 0 takes the likeliest token each time. Label probabilities are always those at 1.
    max_tokens : int
        A text ends there at the latest.
    sample : int
        Number of the draw: asks that differ in nothing else are independent draws.
    seed : int
        Of the draw, together with `sample`; a remote model may not keep to it.
    schema : str or None
        A JSON schema, as canonical JSON text, that the text should follow.
    """

    prompt: Prompt
    kind: Literal["label", "text"]
    labels: tuple[str, ...]
    temperature: float = 1.0
    max_tokens: int = 16
    sample: int = 0
    seed: int = 0
    schema: str | None = None


@dataclass(frozen=True)
class Answer:
    """What came back for one `Ask`.

    Attributes
    ----------
    text : str or None
        The model's text; None for label probabilities and failures.
    label_logprobs : tuple of float or None
        Natural logarithm of each label's probability in the whole vocabulary, all ways to write the label added up;
        ``-inf`` where the model does not say.
    censored_mass : float
        Probability that the model does not account for (hosted models list their likeliest 20 tokens only); 0 for
        local models.
    failure : str or None
        Why there is no answer.
    ended : {"stop", "length", "refusal"}
        Why the text ends where it does: the model was done, it was cut at `max_tokens`, or the model refused, in words
        of its own that are the text.
    """

    text: str | None = None
    label_logprobs: tuple[float, ...] | None = None
    censored_mass: float = 0.0
    failure: str | None = None
    ended: Ended = "stop"


class KeptAnswers:
    """An `on_answer` that only keeps what has arrived, in case the call breaks off.

    Nobody acts on an answer before the call ends, so a journal need not flush each one to the disk for its sake; and it
    takes answers, too, that a journal could not store: they are paid for.

    Attributes
    ----------
    answers : dict of int to Answer
        By the ask's position.
    """

    def __init__(self) -> None:
        self.answers: dict[int, Answer] = {}

    def __call__(self, position: int, answer: Answer) -> None:
        self.answers[position] = answer


class LabelProbabilitiesUnavailable(SurveysimError, RuntimeError):
    """A model does not give the probabilities of its tokens; ask it for texts instead."""


class Answerer(Protocol):
    """A language model that answers, on this machine or behind a server."""

    @property
    def identity(self) -> Mapping[str, str]:
        """Everything about the model that determines its answers, and nothing secret: part of a journal's keys."""
        ...

    def labels(self, n_options: int) -> tuple[str, ...]:
        """The labels to show for this many options."""
        ...

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
        on_answer : callable, optional
            Called with the ask's position and its answer as soon as it is there and before anybody else sees it, maybe
            from several threads; failures are not reported to it, so that they are asked again.
        verbose : int
            1 shows a progress bar.

        Raises
        ------
        LabelProbabilitiesUnavailable
            If labels are asked for and the model has no probabilities to give.
        """
        ...
