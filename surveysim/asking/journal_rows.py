"""Answers as rows of a journal, each with a checksum, and rows as answers, each checked before it is used."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from surveysim.asking.asks import Answer, Ask
from surveysim.interfaces import JSON

__all__ = ["ANSWER_COLUMNS", "COLUMNS", "from_row", "to_row"]

#: Columns of the table `answers`, in their order; `Journal` says what they mean.
COLUMNS = (
    "key",
    "model",
    "kind",
    "system",
    "user",
    "cue",
    "labels",
    "temperature",
    "max_tokens",
    "sample",
    "seed",
    "schema",
    "text",
    "label_logprobs",
    "censored_mass",
    "ended",
    "created",
    "checksum",
)

#: Those of them that make an answer, in the order of `from_row`.
ANSWER_COLUMNS = ("key", "kind", "labels", "text", "label_logprobs", "censored_mass", "ended", "checksum")


def to_row(key: str, identity: Mapping[str, str], ask: Ask, answer: Answer) -> tuple[Any, ...]:
    """One answer as a row, in the order of `COLUMNS`."""
    labels = json.dumps(list(ask.labels), ensure_ascii=False)
    text, logprobs, censored = _storable(answer.text), _to_json(answer.label_logprobs), float(answer.censored_mass)
    return (
        key,
        json.dumps(dict(identity), sort_keys=True),
        ask.kind,
        _storable(ask.prompt.system),
        _storable(ask.prompt.user),
        _storable(ask.prompt.cue),
        labels,
        float(ask.temperature),
        int(ask.max_tokens),
        int(ask.sample),
        int(ask.seed),
        ask.schema,
        text,
        logprobs,
        censored,
        answer.ended,
        datetime.now(UTC).isoformat(timespec="milliseconds"),
        _checksum(key, ask.kind, labels, text, logprobs, censored, answer.ended),
    )


def from_row(row: Sequence[Any]) -> Answer | None:
    """The answer in a row of `ANSWER_COLUMNS`; None if the row is damaged.

    Rows of the first version have no checksum: they are checked for what an answer can be.
    """
    *values, checksum = row
    if checksum is not None and checksum != _checksum(*values):
        return None
    _, kind, labels, text, logprobs, censored, ended = values
    try:
        found = None if logprobs is None else json.loads(logprobs)
        probabilities = (
            None if found is None else tuple(-math.inf if value is None else float(value) for value in found)
        )
        n_labels = len(json.loads(labels))
    except (TypeError, ValueError, RecursionError):
        return None
    answer = Answer(text=text, label_logprobs=probabilities, censored_mass=censored, ended=ended)
    return answer if checksum is not None or _is_possible(answer, kind, n_labels) else None


def _is_possible(answer: Answer, kind: str, n_labels: int) -> bool:
    """Whether something can be the answer to an ask of a kind."""
    if kind not in ("label", "text") or answer.ended not in ("stop", "length", "refusal"):
        return False
    if not isinstance(answer.censored_mass, float) or not 0 <= answer.censored_mass <= 1:
        return False
    if kind == "text" or answer.ended == "refusal":
        return isinstance(answer.text, str) and answer.label_logprobs is None
    # Rounding may leave the sum of probabilities a little above 1.
    values = answer.label_logprobs
    return (
        values is not None
        and len(values) == n_labels
        and all(value <= 1e-6 for value in values)
        and sum(map(math.exp, values)) <= 1.01
    )


def _checksum(*values: JSON) -> str:
    return hashlib.sha256(json.dumps(values, ensure_ascii=True).encode("ascii")).hexdigest()[:16]


def _storable(text: str | None) -> str | None:
    """Half a character, as broken files and servers send it, becomes a question mark: SQLite takes none."""
    return None if text is None else text.encode("utf-8", "replace").decode("utf-8")


def _to_json(logprobs: Sequence[float] | None) -> str | None:
    """A JSON list; minus infinity, which JSON does not have, as null."""
    if logprobs is None:
        return None
    return json.dumps([None if value == -math.inf else float(value) for value in logprobs], allow_nan=False)
