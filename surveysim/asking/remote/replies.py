"""Chat completions as answers: texts, and label probabilities from the likeliest tokens."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from surveysim.asking.asks import Answer, LabelProbabilitiesUnavailable
from surveysim.asking.remote.bodies import BadReply

__all__ = ["ending", "is_json", "read_label_answer", "read_labels", "read_texts"]

# Signs by which vocabularies write a leading space; a few servers pass them on.
_SPACES = " \t\n\r\u0120\u2581"

SAME = 1e-3
"""Two entries of one token text are one token if their probabilities, or the logarithms of them, differ by no more:
servers round."""

Ending = Literal["stop", "length", "refusal", "filtered", "broken", "unknown"]

# How servers say that a reply ended. What says neither of these is no answer: a new word may mean anything.
_ENDINGS: tuple[tuple[Ending, re.Pattern[str]], ...] = (
    ("refusal", re.compile(r"refus", re.IGNORECASE)),
    (
        "filtered",
        re.compile(
            r"filter|safety|block|prohibit|recitation|spii|sensitive|moderat|guard|violat|policy", re.IGNORECASE
        ),
    ),
    (
        "broken",
        re.compile(r"error|fail|abort|cancel|time.?out|overload|insufficient|interrupt|malformed", re.IGNORECASE),
    ),
    ("length", re.compile(r"length|max|limit", re.IGNORECASE)),
    ("stop", re.compile(r"stop|eos|end|complete|done|finish|matched|null|none", re.IGNORECASE)),
)


def ending(choice: Mapping[str, object]) -> Ending:
    """How a choice ended, from whichever word its server has for it.

    Examples
    --------
    >>> [
    ...     ending({"finish_reason": word})
    ...     for word in ("stop", "MAX_TOKENS", "content_filter", "error", None, "tools")
    ... ]
    ['stop', 'length', 'filtered', 'broken', 'stop', 'unknown']
    """
    if choice.get("error"):
        return "broken"
    reason = choice.get("finish_reason")
    if reason is None or reason == "":
        return "stop"
    return next((name for name, words in _ENDINGS if words.search(str(reason))), "unknown")


# --- texts ------------------------------------------------------------------------------------------------------------


def read_texts(choices: Sequence[Mapping[str, object]]) -> list[Answer]:
    """One answer a choice; those that broke off on the server's side are left out, to be asked for again.

    A choice without a text, or whose text a filter ended, is a failure.

    Raises
    ------
    BadReply
        If all choices broke off, or one is no choice of a chat completion.
    """
    found = [_read_text(choice) for choice in choices]
    answers = [answer for answer in found if answer is not None]
    if not answers:
        raise BadReply(f"the reply broke off, {_reason(choices[0])}")
    return answers


def _read_text(choice: Mapping[str, object]) -> Answer | None:
    message, ended = choice.get("message"), ending(choice)
    if ended == "broken":
        return None
    if not isinstance(message, Mapping):
        if ended == "stop":
            raise BadReply("a choice of the reply has no message")
        message = {}
    text, refusal = _texts(message)
    if refusal or ended == "refusal":
        return Answer(text=refusal or text, ended="refusal")
    if ended in ("filtered", "unknown"):
        why = "a filter of the server ended the reply" if ended == "filtered" else "the reply did not end as answers do"
        return Answer(failure=f"{why}, {_reason(choice)}")
    thought = next(
        (said for name in ("reasoning_content", "reasoning") if isinstance(said := message.get(name), str)), ""
    )
    # Some servers put the thoughts into the text as well.
    if text and not (ended == "length" and thought and text.strip() in thought):
        return Answer(text=text, ended="length" if ended == "length" else "stop")
    if ended == "stop" and message.get("content") == "" and not thought:
        return Answer(text="")
    hint = (
        " (switch off the reasoning of a model that reasons before it answers)" if thought or ended == "length" else ""
    )
    return Answer(failure=f"the reply has no text, {_reason(choice)}{hint}")


def _texts(message: Mapping[str, object]) -> tuple[str, str]:
    """What a message says, and the words of its refusal; thoughts among its parts are neither."""
    said, refused = message.get("content"), message.get("refusal")
    text, refusal = said if isinstance(said, str) else "", refused if isinstance(refused, str) else ""
    if isinstance(said, list):  # some servers send parts
        for part in said:
            kind = part.get("type", "text") if isinstance(part, Mapping) else ""
            if kind == "refusal":
                refusal += str(part.get("refusal") or part.get("text") or "")
            elif kind in ("text", "output_text") and isinstance(part.get("text"), str):
                text += part["text"]
    return _whole(text), _whole(refusal)


def _reason(choice: Mapping[str, object]) -> str:
    return f"finish_reason {choice.get('finish_reason')!r}"


def _whole(text: str) -> str:
    """Halves of characters, which JSON can spell and nothing can store, become question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")


def is_json(text: str) -> bool:
    """Whether a text is one JSON object."""
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


# --- label probabilities ----------------------------------------------------------------------------------------------


def read_label_answer(choice: Mapping[str, object], labels: Sequence[str]) -> Answer:
    """The answer to an ask for label probabilities.

    Raises
    ------
    LabelProbabilitiesUnavailable, BadReply
        As `read_labels`; and BadReply if the reply broke off.
    """
    ended = ending(choice)
    if ended == "broken":
        raise BadReply(f"the reply broke off, {_reason(choice)}")
    message = choice.get("message")
    text, refusal = _texts(message) if isinstance(message, Mapping) else ("", "")
    if refusal or ended == "refusal":
        return Answer(text=refusal or text, ended="refusal")
    if ended == "filtered":
        return Answer(failure=f"a filter of the server ended the reply, {_reason(choice)}")
    return read_labels(choice, labels)


def read_labels(choice: Mapping[str, object], labels: Sequence[str]) -> Answer:
    """The labels' probabilities where the answer begins, from the listed tokens.

    A label's probability is the sum over all listed tokens that are the label apart from spaces around it; a label
    that is not listed gets ``-inf``. A token that is listed twice counts once. What the listed tokens do not account
    for is the censored mass.

    Raises
    ------
    LabelProbabilitiesUnavailable
        If the reply lists no likeliest tokens, or what it lists cannot be probabilities.
    """
    total = dict.fromkeys(labels, 0.0)
    everything = 0.0
    for token, logprob in _distinct(*_listed_tokens(choice)):
        probability = math.exp(logprob)
        everything += probability
        label = token.strip(_SPACES)
        if label in total:
            total[label] += probability
    if everything > 1.01:
        raise LabelProbabilitiesUnavailable(
            f"the probabilities that the server lists sum to {everything:.3f}, which is more than 1"
        )
    # Rounded numbers may sum to slightly more than 1.
    scale = 1.0 / max(1.0, everything)
    logprobs = tuple(math.log(total[label] * scale) if total[label] > 0 else -math.inf for label in labels)
    return Answer(label_logprobs=logprobs, censored_mass=max(0.0, 1.0 - everything))


Listed = tuple[str, float]


def _distinct(drawn: Listed | None, top: Sequence[Listed]) -> list[Listed]:
    """Each token once: the drawn one stands beside the list, among it, or among it with a rounded value.

    Entries of the list with one text whose values differ are different tokens: servers may write the label with a space
    and the one without alike.
    """
    found: list[Listed] = []
    for token, logprob in top:
        if not any(token == other and _is_same(logprob, value) for other, value in found):
            found.append((token, logprob))
    if drawn is not None:
        # Rounded, it is still itself; or it may come with the space that the list leaves out.
        bare = drawn[0].strip(_SPACES)
        if not any(
            token == drawn[0] or (token.strip(_SPACES) == bare and _is_same(value, drawn[1])) for token, value in found
        ):
            found.append(drawn)
    return found


def _is_same(one: float, other: float) -> bool:
    return one == other or abs(one - other) <= SAME or abs(math.exp(one) - math.exp(other)) <= SAME


def _listed_tokens(choice: Mapping[str, object]) -> tuple[Listed | None, list[Listed]]:
    """The token that was drawn first, where that is told, and the likeliest tokens in its place."""
    logprobs = choice.get("logprobs")
    content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    first = content[0] if isinstance(content, list) and content else None
    if isinstance(first, Mapping):
        drawn, listed = _token(first), first.get("top_logprobs")
    else:
        drawn, listed = None, _of_completions(logprobs)
    top = [token for entry in listed if (token := _token(entry)) is not None] if isinstance(listed, list) else []
    if not top:
        raise LabelProbabilitiesUnavailable("the server sends no log-probabilities of the likeliest tokens")
    return drawn, top


def _of_completions(logprobs: object) -> list[Any] | None:
    """The older form, which some servers use for chats as well: a mapping from tokens to values for each place."""
    tops = logprobs.get("top_logprobs") if isinstance(logprobs, Mapping) else None
    if not isinstance(tops, list) or not tops or not isinstance(tops[0], Mapping):
        return None
    return [{"token": token, "logprob": value} for token, value in tops[0].items()]


def _token(entry: object) -> Listed | None:
    """One listed token; None where its value is null or no number, as if it had not been listed."""
    token = entry.get("token") if isinstance(entry, Mapping) else None
    logprob = entry.get("logprob") if isinstance(entry, Mapping) else None
    if not isinstance(token, str) or isinstance(logprob, bool) or not isinstance(logprob, int | float):
        return None
    # Rounding may bring the logarithm of a certain token a little above 0; more is no probability, and adds up to
    # more than 1.
    return None if math.isnan(logprob) else (token, min(float(logprob), 1.0))
