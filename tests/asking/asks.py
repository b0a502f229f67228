"""Asks of the tests on models behind servers."""

from __future__ import annotations

from surveysim import Question
from surveysim.asking.asks import Ask
from surveysim.prompts import get_template, render

MARRIAGE = Question("How do you rate your marriage?", ["very poor", "poor", "fair", "good", "very good"])
LABELS = ("A", "B", "C", "D", "E")
SCHEMA = '{"additionalProperties":false,"properties":{"A":{"type":"integer"}},"required":["A"],"type":"object"}'


def label_asks(n: int) -> list[Ask]:
    """Asks for label probabilities, of women of n ages."""
    template = get_template("default")
    return [Ask(render(template, MARRIAGE, {"age": 20 + i}, labels=LABELS), "label", LABELS) for i in range(n)]


def text_asks(n: int, *, draws: int = 1, **fields: object) -> list[Ask]:
    """Asks for one label as a text, some draws of each."""
    asks = label_asks(n)
    return [
        Ask(ask.prompt, "text", LABELS, sample=sample, **fields)  # type: ignore[arg-type]
        for ask in asks
        for sample in range(draws)
    ]
