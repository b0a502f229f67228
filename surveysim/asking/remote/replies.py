"""Chat completions as answers: texts, and label probabilities from the likeliest tokens."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from surveysim.asking.asks import Answer, LabelProbabilitiesUnavailable
from surveysim.errors import SurveysimError

__all__ = ["BadReply", "is_json", "parse_body", "read_labels", "read_texts"]

# Signs by which vocabularies write a leading space; a few servers pass them on.
_SPACES = " \t\n\r\u0120\u2581"


class BadReply(SurveysimError, ValueError):
    """What came back is no chat completion."""


def parse_body(text: str) -> list[Mapping[str, Any]]:
    """The choices in the body of a reply, in their order.

    Raises
    ------
    BadReply
        If it is not JSON, or no chat completion, or has no choices.
    """
    try:
        body = json.loads(text)
    except ValueError:
        raise BadReply(f"the reply is not JSON: it begins {text[:80]!r}") from None
    choices = body.get("choices") if isinstance(body, Mapping) else None
    if not isinstance(choices, list) or not all(isinstance(choice, Mapping) for choice in choices):
        raise BadReply(f"the reply is no chat completion: it begins {text[:80]!r}")
    if not choices:
        raise BadReply("the reply has no choices")
    return sorted(choices, key=lambda choice: i if isinstance(i := choice.get("index"), int) else 0)


def read_texts(choices: Sequence[Mapping[str, Any]]) -> list[Answer]:
    """One answer a choice; a choice without a text is a failure."""
    return [_read_text(choice) for choice in choices]


def _read_text(choice: Mapping[str, Any]) -> Answer:
    message = choice.get("message")
    if not isinstance(message, Mapping):
        raise BadReply("a choice of the reply has no message")
    # A model that refuses under a JSON schema says so in a field of its own: the words are kept as its answer.
    for text in (message.get("content"), message.get("refusal")):
        if isinstance(text, str) and text:
            return Answer(text=_whole(text))
        if isinstance(text, list):  # some servers send parts
            parts = [part.get("text", "") for part in text if isinstance(part, Mapping)]
            if "".join(parts):
                return Answer(text=_whole("".join(parts)))
    finish = choice.get("finish_reason")
    if finish == "stop" and message.get("content") == "":
        return Answer(text="")
    hint = " (switch off the reasoning of a model that reasons before it answers)" if finish == "length" else ""
    return Answer(failure=f"the reply has no text, finish_reason {finish!r}{hint}")


def _whole(text: str) -> str:
    """Halves of characters, which JSON can spell and nothing can store, become question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")


def read_labels(choice: Mapping[str, Any], labels: Sequence[str]) -> Answer:
    """The labels' probabilities where the answer begins, from the listed tokens.

    A label's probability is the sum over all listed tokens that are the label apart from spaces around it; a label
    that is not listed gets ``-inf``. What the listed tokens do not account for is the censored mass.

    Raises
    ------
    LabelProbabilitiesUnavailable
        If the reply lists no likeliest tokens.
    BadReply
        If what it lists cannot be probabilities.
    """
    listed = _listed_tokens(choice)
    total = dict.fromkeys(labels, 0.0)
    everything = 0.0
    for token, logprob in listed:
        probability = math.exp(min(logprob, 0.0))
        everything += probability
        label = token.strip(_SPACES)
        if label in total:
            total[label] += probability
    if everything > 1.01:
        raise BadReply(f"the listed probabilities sum to {everything:.3f}, which is more than 1")
    # Rounded numbers may sum to slightly more than 1.
    scale = 1.0 / max(1.0, everything)
    logprobs = tuple(math.log(total[label] * scale) if total[label] > 0 else -math.inf for label in labels)
    return Answer(label_logprobs=logprobs, censored_mass=max(0.0, 1.0 - everything))


def _listed_tokens(choice: Mapping[str, Any]) -> list[tuple[str, float]]:
    """The tokens that a reply lists for its first place, with their log-probabilities."""
    logprobs = choice.get("logprobs")
    content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    first = content[0] if isinstance(content, list) and content else None
    top = first.get("top_logprobs") if isinstance(first, Mapping) else None
    if not isinstance(top, list) or not top:
        raise LabelProbabilitiesUnavailable("the server sends no log-probabilities of the likeliest tokens")
    assert isinstance(first, Mapping)
    listed = [_token(entry) for entry in top]
    drawn = _token(first)
    # The token that was drawn may be none of the likeliest: then it stands beside the list.
    if not any(token == drawn[0] and abs(logprob - drawn[1]) < 1e-6 for token, logprob in listed):
        listed.append(drawn)
    return listed


def _token(entry: Any) -> tuple[str, float]:
    token = entry.get("token") if isinstance(entry, Mapping) else None
    logprob = entry.get("logprob") if isinstance(entry, Mapping) else None
    if not isinstance(token, str) or not isinstance(logprob, int | float) or math.isnan(logprob):
        raise BadReply(f"a listed token has no text or no log-probability: {entry!r}"[:200])
    return token, float(logprob)


def is_json(text: str) -> bool:
    """Whether a text is one JSON object."""
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
