"""The order of a question's options: by code, by the words of their labels, with all numbers of a numbered scale."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from surveysim.datasets.codebook import plain_code
from surveysim.datasets.scales import is_neutral, is_zero, scale_scores
from surveysim.datasets.survey import Report
from surveysim.datasets.wording import outside_scale
from surveysim.tables.matching import as_number

__all__ = [
    "Entry",
    "Ordered",
    "by_code",
    "distinct_texts",
    "fill_numbers",
    "monotone",
    "numbered_scale",
    "order_options",
]

Entry = tuple[Hashable, str]
"""A code and its text."""


@dataclass
class Ordered:
    """Options in their order.

    Attributes
    ----------
    entries : list of Entry
    is_scale : bool or None
        None where that cannot be told.
    why : str
    pinned : list of str
        Texts outside the scale.
    """

    entries: list[Entry]
    is_scale: bool | None
    why: str
    pinned: list[str]


def by_code(entry: Entry) -> tuple[int, float, str]:
    """A key to sort by: numbers first."""
    number = as_number(entry[0])
    return (0, number, "") if number is not None else (1, 0.0, str(entry[0]))


def order_options(
    entries: list[Entry], beside: Collection[str], name: str, report: Report, *, has_order: bool, is_numbered: bool
) -> Ordered:
    """Put options on their scale, if they have one.

    Parameters
    ----------
    entries : list of Entry
        In the order of the file.
    beside : collection of str
        Texts known to be outside the scale; "Other" and its like are recognised here.
    name : str
        The variable.
    report : Report
    has_order : bool
        Whether the file's order means something: text and alphabetical categories have none.
    is_numbered : bool
        Whether some of the texts are their own number.

    Returns
    -------
    Ordered
    """
    outside = [entry for entry in entries if entry[1] in beside or outside_scale(entry[1])]
    if len(entries) - len(outside) < 2:
        outside = []
    line = [entry for entry in entries if entry not in outside]
    found = _place_line(line, name, report, has_order)
    if not found.is_scale and is_numbered and _middle_labelled(line):
        found = Ordered(line, True, "a numbered scale with labels at its ends and middle", [])
    return Ordered([*found.entries, *outside], found.is_scale, found.why, [text for _, text in outside])


def _place_line(line: list[Entry], name: str, report: Report, has_order: bool) -> Ordered:
    scores = scale_scores([text for _, text in line])
    if scores is None:
        return Ordered(line, None, "no scale recognised in the labels", [])
    if not has_order:
        line = [entry for _, entry in sorted(zip(scores, line, strict=True), key=lambda pair: pair[0])]
        return Ordered(line, True, "a scale, ordered by its labels", [])
    if monotone(scores):
        return Ordered(line, True, "labels in the order of a scale", [])
    middle = [i for i, (_, text) in enumerate(line) if is_neutral(text)]
    if len(middle) == 1:
        rest = [i for i in range(len(line)) if i != middle[0]]
        if monotone([scores[i] for i in rest]) and len(rest) % 2 == 0:
            rest.insert(len(rest) // 2, middle[0])
            report.note(name, "the neutral option was moved to the middle of the scale", 0, repr(line[middle[0]][1]))
            return Ordered([line[i] for i in rest], True, "a scale; its neutral option moved to the middle", [])
    zero = [i for i, (_, text) in enumerate(line) if is_zero(text)]
    if len(zero) == 1 and monotone([score for i, score in enumerate(scores) if i != zero[0]]):
        line = [entry for _, entry in sorted(zip(scores, line, strict=True), key=lambda pair: pair[0])]
        report.note(name, "the option of none was moved to its place among the amounts", 0, repr(line[0][1]))
        return Ordered(line, True, "amounts; none moved to its place", [])
    return Ordered(line, None, "labels of a scale, but codes in another order", [])


def monotone(scores: Sequence[float]) -> bool:
    """Whether they only rise or only fall; equal neighbours do both."""
    steps = np.diff(np.asarray(scores, dtype=float))
    return bool((steps >= 0).all() or (steps <= 0).all())


def numbered_scale(labels: Mapping[Hashable, str]) -> bool:
    """Whether codes between the labelled ones are points of a scale, rather than codes that lack a label.

    They are where labels stand at the ends, or at the ends and the middle, are numbers themselves, or make a scale.
    """
    line = sorted((number, text) for code, text in labels.items() if (number := as_number(code)) is not None)
    if len(line) < 2 or len(line) < len(labels):
        return False
    inner = line[1:-1]
    middle = (line[0][0] + line[-1][0]) / 2
    if all(number == middle or text.startswith(f"{number:g}") for number, text in inner):
        return True
    return scale_scores([text for _, text in line]) is not None


def fill_numbers(entries: Sequence[Entry], name: str, report: Report, max_options: int) -> list[Entry]:
    """The whole numbers of a scale that nobody chose, between those that somebody did."""
    numbers = [number for code, _ in entries if (number := as_number(code)) is not None]
    if len(numbers) < len(entries) or any(number % 1 for number in numbers):
        return []
    held = set(numbers)
    between: list[Entry] = [
        (k, str(k)) for k in range(int(min(numbers)), int(max(numbers)) + 1) if float(k) not in held
    ]
    if not between or len(entries) + len(between) > max_options:
        return []
    report.note(name, "numbers of the scale that nobody chose, kept as options", 0, ", ".join(t for _, t in between))
    return between


def _middle_labelled(entries: Sequence[Entry]) -> bool:
    """Whether numbers have labels at their ends and in the middle alone, as 0, 5 and 10 of 0 to 10."""
    numbers = [number for code, _ in entries if (number := as_number(code)) is not None]
    if len(numbers) < len(entries):
        return False
    low, high = min(numbers), max(numbers)
    labelled = {n for n, (_, text) in zip(numbers, entries, strict=True) if text != f"{n:g}"}
    return labelled == {low, (low + high) / 2, high} and len(numbers) >= len(labelled) + 2


def distinct_texts(entries: list[Entry], name: str, report: Report) -> list[Entry]:
    """Two codes with the same label, told apart by their code."""
    texts = [text for _, text in entries]
    if len(set(texts)) == len(texts):
        return entries
    repeated = sorted({text for text in texts if texts.count(text) > 1})
    report.warn(name, "duplicated labels, told apart by their code", 0, ", ".join(map(repr, repeated)))
    return [(code, f"{text} [{plain_code(code)}]" if text in repeated else text) for code, text in entries]
