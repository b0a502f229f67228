"""What a model wrote as an answer: percentages, one label, many labels, or a refusal. Nothing is ever evaluated."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

__all__ = ["is_refusal", "is_refusal_option", "parse_label", "parse_labels", "parse_percentages", "without_thoughts"]

SUM_TOLERANCE = 0.5
"""Percentages are renormalised if they sum to 100 give or take half; what is further off answers another question."""

# What stands between a label and what belongs to it: "A.", "(A)", "**A**:".
_WRAP = r"[\s\"'`*_(\[{<.,:;)\]}>=-]*"

_REFUSING = re.compile(
    r"\b(?:i\s?(?:'m|am)\s+(?:sorry|unable|not\s+able|not\s+allowed|an?\s+ai\b|just\s+an?\s+ai)"
    r"|i\s+(?:can\s?not|can't|won't|will\s+not|do\s+not\s+feel|don't\s+feel|must\s+decline|have\s+to\s+decline|decline|refuse)"
    r"|i\s?(?:'d|would)\s+(?:rather|prefer)\s+not|prefer\s+not\s+to\s+(?:say|answer)"
    r"|as\s+an?\s+(?:ai|artificial|large\s+language|language)\b"
    r"|i\s+(?:do\s+not|don't)\s+have\s+(?:personal\s+|any\s+)?(?:opinion|belief|feeling|preference|view)"
    r"|refused?\s+to\s+answer|no\s+comment)",
    re.IGNORECASE,
)

# What stands before a label or an option that is not meant: "I would not choose", "It isn't really".
_NOT = (
    r"(?i:(?:\b(?:not|never|neither|nor|cannot)|n't)"
    r"(?:\s+(?:an?|the|be|is|it|that|to|go|with|say|think|choose|pick|select|answer|option|label|really|quite|exactly)\b){0,3})"
)

_REFUSAL_OPTION = re.compile(
    r"(?:\(vol(?:\.|unteered)?\)\s*)?"  # questionnaires mark what interviewers do not read out
    r"(?:\(?(?:i\s+)?(?:refused?|refusal|declined?|(?:refused?|declined?|cho?ose\s+not)\s+to\s+(?:answer|say|state)"
    r"|(?:(?:i\s+)?(?:would\s+)?(?:prefer|rather)|i'd\s+(?:prefer|rather))\s+not\s+(?:to\s+)?"
    r"(?:say|answer|state|tell|disclose)"
    r"|no\s+answer)\)?)(?:\s*/\s*(?:no\s+answer|refused|web\s+blank))?(?:\s*\(vol(?:\.|unteered)?\))?",
    re.IGNORECASE,
)


def without_thoughts(text: str) -> str | None:
    """What a reasoning model says after its thoughts; None if it was still thinking when the text ended.

    Examples
    --------
    >>> without_thoughts("<think>A or B? B.</think> B")
    ' B'
    >>> without_thoughts("<think>A or B?") is None
    True
    """
    if "</think>" in text:
        return text.rpartition("</think>")[2]
    return None if "<think>" in text else text


def is_refusal(text: str) -> bool:
    """Whether a model declines to answer ("I'm sorry, but as an AI ...").

    Examples
    --------
    >>> is_refusal("I'm sorry, but I can't answer for other people.")
    True
    >>> is_refusal("I am not sure.")
    False
    """
    return _REFUSING.search(_plain(text)) is not None


def is_refusal_option(option: str) -> bool:
    """Whether an option of a question stands for refusing ("Refused", "Prefer not to say"). "Don't know" does not.

    Examples
    --------
    >>> [is_refusal_option(option) for option in ("Refused", "Prefer not to say", "Don't know")]
    [True, True, False]
    """
    return _REFUSAL_OPTION.fullmatch(_plain(option).strip()) is not None


# --- percentages ------------------------------------------------------------------------------------------------------


def parse_percentages(text: str, labels: Sequence[str], options: Sequence[str]) -> np.ndarray | None:
    """The distribution that a text states, or None where it states none.

    JSON is looked for first, anywhere in the text: an object from labels (or option texts) to numbers, an object within
    an object, a list of objects, or a list of as many numbers as there are options. Then lines such as ``A: 30%``.
    Numbers may be percentages or shares; what sums to 50 to 150 percent is renormalised. A label that is not mentioned
    counts as 0 if the others sum to 100 within 2. A text that states two different distributions states none.

    Parameters
    ----------
    text : str
        What the model wrote.
    labels : sequence of K str
        Labels by place.
    options : sequence of K str
        The options' texts by place.

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
    text = _plain(text)
    names = _Names(labels, options)
    stated = False
    first: np.ndarray | None = None
    for value in _json_values(text):
        shares = _from_json(value, names, len(labels))
        if shares is not None and first is not None and not np.allclose(shares, first, atol=1e-6):
            return None  # says two things, maybe an example before the answer
        first = shares if first is None else first
        stated = stated or (isinstance(value, _Pairs) and any(names.find(name) is not None for name, _ in value))
    if first is not None:
        return first
    # A JSON object of labels that makes no sense is not to be mended by reading it as if it were prose.
    return None if stated else _from_lines(text, labels, options)


def _json_values(text: str) -> Iterator[Any]:
    """Everything in a text that is a JSON object or array, from the left; what lies in another is not repeated."""
    decoder = json.JSONDecoder(object_pairs_hook=_Pairs, parse_int=float, parse_constant=lambda _: math.nan)
    start = 0
    while start < len(text):
        found = re.compile(r"[{\[]").search(text, start)
        if found is None:
            return
        try:
            value, start = decoder.raw_decode(text, found.start())
        except (ValueError, RecursionError):
            start = found.start() + 1
            continue
        yield value


class _Pairs(list):
    """The members of a JSON object in their order, repeated names included."""


def _from_json(value: Any, names: _Names, n_options: int, depth: int = 0) -> np.ndarray | None:
    if depth > 3:
        return None
    if isinstance(value, _Pairs):
        found: dict[int, float] = {}
        for name, number in value:
            place = names.find(name)
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


def _from_records(records: list[_Pairs], names: _Names, n_options: int) -> np.ndarray | None:
    """``[{"label": "A", "percentage": 30}, ...]`` or ``[{"A": 30}, {"B": 70}]``."""
    found: dict[int, float] = {}
    for record in records:
        places = {place for pair in record for text in pair if (place := names.find(text)) is not None}
        shares = [share for _, value in record if (share := _number(value)) is not None]
        if len(places) != 1 or len(shares) != 1 or next(iter(places)) in found:
            return None
        found[places.pop()] = shares[0]
    return _normalised(found, n_options) if found else None


def _from_lines(text: str, labels: Sequence[str], options: Sequence[str]) -> np.ndarray | None:
    found: dict[int, float] = {}
    for place, (label, option) in enumerate(zip(labels, options, strict=True)):
        # The label, perhaps its option's text, then the number; a label that is a number needs a separator.
        pattern = (
            rf"(?<![\w.%]){re.escape(label)}(?!\w){_WRAP}(?:{re.escape(option)})?[\s\"'`*_)\]:=|-]*"
            r"(?<![\d.])(\d{1,3}(?:\.\d+)?)(?![\d.]*\d|[eE]\d)\s*(%?)"
        )
        if label.isdigit():
            pattern = rf"(?<![\w.%]){re.escape(label)}[\"']?\s*[:=]\s*\"?(\d{{1,3}}(?:\.\d+)?)(?![\d.]*\d)\s*(%?)"
        numbers = {float(number) for number, _ in re.findall(pattern, text)}
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


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(?:%|percent)?\s*", value)
        value = float(found[1]) if found else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)


# --- labels -----------------------------------------------------------------------------------------------------------


def parse_label(text: str, labels: Sequence[str], options: Sequence[str]) -> int | None:
    """The place of the one option that a text chooses, or None where it chooses none or several.

    Tried in this order: the label alone or at the beginning; an option's text, alone or at the beginning; phrases such
    as "the answer is B"; a single label in the text; a single option's text in the text.

    Parameters
    ----------
    text : str
        What the model wrote.
    labels : sequence of K str
        Labels by place.
    options : sequence of K str
        The options' texts by place.

    Examples
    --------
    >>> options = ["agree", "disagree"]
    >>> [parse_label(text, "AB", options) for text in ("B", "(b) disagree", "I would choose A.", "Disagree.", "A or B")]
    [1, 1, 0, 1, None]
    """
    text = _plain(text).strip()
    if not text:
        return None
    names = _Names(labels, options)
    whole = names.find(text)
    if whole is not None:
        return whole
    alternatives = "|".join(re.escape(label) for label in sorted(labels, key=len, reverse=True))
    place_of = {label: place for place, label in enumerate(labels)}
    leading = re.match(rf"[\s\"'`*_(\[]*({alternatives})(?:[\"'`*_.):\],;]+|\s*\n|\s+-+\s|$)", text)
    if leading:
        place = place_of[leading[1]]
        rest = _options_in(text[leading.end() :], options)
        mentions_other = re.search(rf"(?:\bor\b|/|,|;)\s*(?:{alternatives})\b", text)
        if (rest and place not in rest) or mentions_other:
            return None  # "A. disagree" where A is "agree"; "A, maybe B"
        return place
    starts = [
        place for place, option in enumerate(options) if re.match(re.escape(option) + r"\b(?!\s+or\b)", text, re.I)
    ]
    if starts:
        longest = max(starts, key=lambda place: len(options[place]))
        if _options_in(text, options) == {longest}:
            return longest
    if _denies(text, alternatives, options):
        return None  # "Not yes" is not "yes", and not "no" either where there is a third option
    said = re.findall(
        rf"\b(?:answers?|choose|chooses|choice|select|selects|pick|picks|option|label|go with|say|says)\b"
        rf"(?:\s+(?:is|be|would be|was|with|option|answer|label))*[\s:\"'`*_(\[]*({alternatives})(?![\w'])",
        text,
    )
    if said:
        places = {place_of[label] for label in said}
        return places.pop() if len(places) == 1 else None
    if is_refusal(text):
        return None
    # "A" and "I" are words, too: within a sentence they count only where something closes them.
    alone = {
        place_of[label]
        for label in re.findall(
            rf"(?<![\w'])({alternatives})(?![\w'])(?=[\s]*[.):\]\"'`*,;/]|\s+(?:or|and)\b|\s*$)", text
        )
    } | {place_of[label] for label in re.findall(rf"(?<![\w'])({alternatives})(?![\w'])", text) if label not in "AIai"}
    if alone:
        return alone.pop() if len(alone) == 1 else None
    mentioned = _options_in(text, options)
    return mentioned.pop() if len(mentioned) == 1 else None


def parse_labels(text: str, labels: Sequence[str]) -> list[int]:
    """The places of the labels that a text lists, in their order; empty where it lists none.

    The longest run of labels with nothing but separators and numbering between them, or a text of labels without any
    separator ("ABBAC").

    Parameters
    ----------
    text : str
        What the model wrote.
    labels : sequence of K str
        Labels by place.

    Examples
    --------
    >>> parse_labels("Here they are: A, B, B\\nA C", "ABC")
    [0, 1, 1, 0, 2]
    >>> parse_labels("1. A 2. C 3. C", "ABC")
    [0, 2, 2]
    >>> parse_labels("ABBA", "ABC")
    [0, 1, 1, 0]
    """
    text = _plain(text).strip()
    place_of = {label: place for place, label in enumerate(labels)}
    if text and all(len(label) == 1 for label in labels) and all(letter in place_of for letter in text):
        return [place_of[letter] for letter in text]
    alternatives = "|".join(re.escape(label) for label in sorted(labels, key=len, reverse=True))
    numbered = "" if any(label.isdigit() for label in labels) else r"\d"
    between = rf"(?:[\s,;:|/\"'`*_.()\[\]{numbered}-]|(?i:\b(?:and|person|respondent|answer|response)\b))*"
    label = rf"(?<!\w)(?:{alternatives})(?!\w)"
    runs = re.finditer(rf"{label}(?:{between}{label})*", text)
    found = [re.findall(label, run[0]) for run in runs]
    return [place_of[label] for label in max(found, key=len, default=[])]


def _denies(text: str, alternatives: str, options: Sequence[str]) -> bool:
    """Whether a text says "not" of a label or an option; options that say it themselves ("not at all") do not count."""
    for option in sorted(options, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(option)}(?!\w)", "\0", text, flags=re.IGNORECASE)
    return re.search(rf"{_NOT}[\s\"'`*_(\[]+(?:\0|(?:{alternatives})(?![\w']))", text) is not None


def _options_in(text: str, options: Sequence[str]) -> set[int]:
    """Places of the options whose texts stand in a text; an option within another's text does not count."""
    found: set[int] = set()
    for place in sorted(range(len(options)), key=lambda place: -len(options[place])):
        pattern = re.compile(rf"(?<!\w){re.escape(options[place])}(?!\w)", re.IGNORECASE)
        text, n = pattern.subn(" ", text)
        if n:
            found.add(place)
    return found


class _Names:
    """Finds the place that a text names: by its label, its option's text, or both ("B. disagree")."""

    def __init__(self, labels: Sequence[str], options: Sequence[str]) -> None:
        self._exact: dict[str, int | None] = {}
        self._folded: dict[str, int | None] = {}
        for place, label in enumerate(labels):
            self._exact[label] = place
            # "a" means "A", unless both are labels.
            self._add(label.casefold(), place)
        shown = dict(self._folded)
        for place, (label, option) in enumerate(zip(labels, options, strict=True)):
            # Where a label is also another option's text (numbers), the label counts.
            for text in (_fold(option), _fold(f"{label} {option}")):
                if text not in shown:
                    self._add(text, place)

    def _add(self, text: str, place: int) -> None:
        self._folded[text] = None if self._folded.get(text, place) != place else place

    def find(self, text: object) -> int | None:
        if not isinstance(text, str):
            return None
        bare = text.strip(_PUNCTUATION)
        place = self._exact.get(bare)
        return self._folded.get(_fold(text)) if place is None else place


_PUNCTUATION = " \t\r\n\"'`*_()[]{}<>.,:;!-="


def _fold(text: str) -> str:
    """A text as it is compared: without punctuation around its words, in one case."""
    return " ".join(word.strip(_PUNCTUATION) for word in text.casefold().split()).strip()


def _plain(text: str) -> str:
    """Straight quotes for typographic ones."""
    return text.replace("\u2019", "'").replace("\u2018", "'").replace("\u201c", '"').replace("\u201d", '"')
