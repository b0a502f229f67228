"""Distributions that a text states: percentages in JSON or in lines. Nothing is ever evaluated."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from surveysim.elicitation.mentions import beside_another
from surveysim.elicitation.texts import Names, is_opening, plain

__all__ = ["parse_percentages"]

SUM_TOLERANCE = 0.5
"""Percentages are renormalised if they sum to 100 give or take half; what is further off answers another question."""

# What stands between a label and what belongs to it: "A.", "(A)", "**A**:".
_OPENERS = " \t\r\n\"'`*_([{<.,:;)]}>=-"
_WRAP = r"[\s\"'`*_(\[{<.,:;)\]}>=-]*+"


def parse_percentages(
    text: str, labels: Sequence[str], options: Sequence[str], *, cut: bool = False
) -> np.ndarray | None:
    """The distribution that a text states, or None if it does not state one.

    JSON is looked for first, anywhere in the text: an object from labels (or option texts) to numbers, an object within
    an object, a list of objects, or a list of as many numbers as there are options. Then lines such as ``A: 30%``.
    Numbers may be percentages or shares; what sums to 50 to 150 percent is renormalised. A label that is not mentioned
    counts as 0 if the others sum to 100 within 2. A text that states two different distributions states none, and so
    does one that puts a label beside the words of another option.

    Parameters
    ----------
    text : str
        What the model wrote.
    labels : sequence of K str
        Labels by place.
    options : sequence of K str
        The options' texts by place.
    cut : bool, default=False
        Whether the text was cut off: then only its opening counts, since the rest may be thoughts.

    Returns
    -------
    float64 array of shape (K,), or None
        By place; sums to 1.

    Examples
    --------
    >>> parse_percentages('Sure: {"A": 20, "B": 80}', "AB", ["yes", "no"])
    array([0.2, 0.8])
    >>> parse_percentages("A. yes: 25%; B. no: 75%", "AB", ["yes", "no"])
    array([0.25, 0.75])
    >>> parse_percentages("mostly yes", "AB", ["yes", "no"]) is None
    True
    """
    text = plain(text)
    names = Names(labels, options)
    stated = False
    first: np.ndarray | None = None
    for begin, value in _json_values(text):
        if cut and not is_opening(text, begin):
            return first
        shares = _from_json(value, names, len(labels))
        if shares is not None and first is not None and not np.allclose(shares, first, atol=1e-6):
            return None  # says two things, maybe an example before the answer
        first = shares if first is None else first
        stated = stated or (isinstance(value, _Pairs) and any(map(names.knows, (name for name, _ in value))))
    if first is not None:
        return first
    # A JSON object of labels that makes no sense is not to be mended by reading it as if it were prose.
    return None if stated else _from_lines(text, labels, options, cut=cut)


# More brackets one within another than any answer has.
_DEEP = re.compile(r"(?:[\[{]\s*){12}")
_BRACKETS = re.compile(r"[\[{\s]*[\[{]")
# A bracket that may begin an object or an array at all.
_OPENING = re.compile(r"\{(?=\s*+[\"}])|\[(?=\s*+[\d\"{\[\]\-tfnNI])")

# Every bracket may begin an answer, and reading on from each would take the square of a text's length: all attempts
# that fail together may read so many times the text.
_READINGS = 16


def _json_values(text: str) -> Iterator[tuple[int, Any]]:
    """Everything in a text that is a JSON object or array, from the left, with where it begins.

    What lies in another is not repeated.
    """
    decoder = json.JSONDecoder(object_pairs_hook=_Pairs, parse_int=float, parse_constant=lambda _: math.nan)
    start, left = 0, _READINGS * len(text) + 1000
    while left > 0 and (found := _OPENING.search(text, start)) is not None:
        begin = found.start()
        if _DEEP.match(text, begin):
            start = max(begin + 1, _BRACKETS.match(text, begin).end() - 1)  # type: ignore[union-attr]
            continue
        try:
            value, start = decoder.raw_decode(text, begin)
        except json.JSONDecodeError as error:
            left -= error.pos - begin + 1 + error.pos // 16  # the error itself counts the lines before it
            start = begin + 1
            continue
        except RecursionError:
            left -= len(text) * _READINGS // 4
            start = begin + 1
            continue
        yield begin, value


class _Pairs(list):
    """The members of a JSON object in their order, repeated names included."""


def _from_json(value: object, names: Names, n_options: int, depth: int = 0) -> np.ndarray | None:
    if depth > 3:
        return None
    if isinstance(value, _Pairs):
        found: dict[int, float] = {}
        for name, number in value:
            place = names.find(name)
            if names.contradicts(name):
                return None
            if place is None:
                continue
            share = _number(number)
            if share is None or place in found:  # not a number, or the same option twice
                return None
            found[place] = share
        if found:
            return _normalised(found, n_options)
        for _, inner in value:
            shares = _from_json(inner, names, n_options, depth + 1)
            if shares is not None:
                return shares
        return None
    if isinstance(value, list):
        numbers = [_number(item) for item in value]
        if len(numbers) == n_options and all(number is not None for number in numbers):
            return _normalised(dict(enumerate(numbers)), n_options)  # type: ignore[arg-type]
        if value and all(isinstance(item, _Pairs) for item in value):
            return _from_records(value, names, n_options)
    return None


def _from_records(records: list[_Pairs], names: Names, n_options: int) -> np.ndarray | None:
    """``[{"label": "A", "percentage": 30}, ...]`` or ``[{"A": 30}, {"B": 70}]``."""
    found: dict[int, float] = {}
    for record in records:
        if any(names.contradicts(text) for pair in record for text in pair):
            return None
        places = {place for pair in record for text in pair if (place := names.find(text)) is not None}
        shares = [share for _, value in record if (share := _number(value)) is not None]
        if len(places) != 1 or len(shares) != 1 or next(iter(places)) in found:
            return None
        found[places.pop()] = shares[0]
    return _normalised(found, n_options) if found else None


def _from_lines(text: str, labels: Sequence[str], options: Sequence[str], *, cut: bool) -> np.ndarray | None:
    found: dict[int, float] = {}
    if beside_another(text, labels, options):
        return None
    for place, (label, option) in enumerate(zip(labels, options, strict=True)):
        # The label, perhaps its option's text, then the number; a label that is a number needs a separator. What was
        # read is not given back (the plus signs): a long row of spaces would be tried in all ways to divide it.
        pattern = (
            rf"(?<![\w.%]){re.escape(label)}(?!\w){_WRAP}(?:{re.escape(option.lstrip(_OPENERS))})?+[\s\"'`*_)\]:=|-]*+"
            r"(?<![\d.])(\d{1,3}+(?:\.\d++)?+)(?!\.?\d|[eE]\d)\s*+(%?)"
        )
        if label.isdigit():
            pattern = rf"(?<![\w.%]){re.escape(label)}[\"']?\s*+[:=]\s*+\"?(\d{{1,3}}+(?:\.\d++)?+)(?!\.?\d)\s*+(%?)"
        matches = list(re.finditer(pattern, text))
        if cut and matches and not is_opening(text, matches[0].start()) and not found:
            return None
        numbers = {float(match[1]) for match in matches}
        if len(numbers) > 1:
            return None  # says two things
        if numbers:
            found[place] = numbers.pop()
    return _normalised(found, len(labels)) if found else None


def _normalised(found: dict[int, float], n_options: int) -> np.ndarray | None:
    shares = np.zeros(n_options)
    for place, share in found.items():
        shares[place] = share
    total = float(shares.sum())
    if not math.isfinite(total) or (shares < 0).any() or total <= 0:
        return None
    unit = 1.0 if total <= 1 + SUM_TOLERANCE else 100.0
    tolerance = SUM_TOLERANCE if len(found) == n_options else 0.02
    if abs(total / unit - 1) > tolerance + 1e-9:
        return None
    return shares / total


def _number(value: object) -> float | None:
    if isinstance(value, str):
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*+(?:%|percent)?", value.strip())
        value = float(found[1]) if found else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)
