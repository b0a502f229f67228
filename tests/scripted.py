"""An answerer without a model: a function says what it answers, and it remembers what it was asked."""

from __future__ import annotations

import hashlib
import json
import math
import string
from collections.abc import Callable, Sequence
from typing import Any

from surveysim.asking.asks import Answer, Ask
from surveysim.prompts import whole_percentages


class Scripted:
    """Answers each ask with what `script(ask)` returns: an `Answer`, or a text."""

    identity = {"kind": "scripted"}

    def __init__(self, script: Callable[[Ask], Answer | str]) -> None:
        self.script = script
        self.asked: list[Ask] = []

    def labels(self, n_options: int) -> tuple[str, ...]:
        return tuple(string.ascii_uppercase[:n_options])

    def answer(self, asks: Sequence[Ask], *, on_answer: Any = None, verbose: int = 0) -> list[Answer]:
        self.asked.extend(asks)
        answers = []
        for position, ask in enumerate(asks):
            said = self.script(ask)
            answer = Answer(text=said) if isinstance(said, str) else said
            answers.append(answer)
            if on_answer is not None and answer.failure is None:
                on_answer(position, answer)
        return answers


def by_chance(ask: Ask) -> Answer | str:
    """An answer that depends on the prompt, the seed and the sample alone, in whatever form the prompt wants."""
    digest = hashlib.sha256(f"{ask.prompt}/{ask.seed}/{ask.sample}".encode()).digest()
    weights = [1 + digest[i] for i in range(len(ask.labels))]
    if ask.kind == "label":
        return Answer(label_logprobs=tuple(math.log(weight / sum(weights)) for weight in weights))
    if ask.schema is not None:
        percent = whole_percentages([weight / sum(weights) for weight in weights])
        return json.dumps(dict(zip(ask.labels, percent, strict=True)))
    if ask.max_tokens > 24:
        return " ".join(ask.labels[byte % len(ask.labels)] for byte in digest[:30])
    return ask.labels[digest[0] % len(ask.labels)]
