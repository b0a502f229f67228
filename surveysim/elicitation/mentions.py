"""Where a text mentions labels and options: which ones, which are denied, and labels beside another option's words."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["ARTICLE", "any_label", "beside_another", "denies", "options_in"]

ARTICLE = "AIai"
"""Labels that are English words, too: they need more than a space to be told from them."""

# What stands before a label or an option that is not meant: "I would not choose", "It isn't really".
_NOT = (
    r"(?i:(?:\b(?:not|never|neither|nor|cannot)|n't)"
    r"(?:\s+(?:an?|the|be|is|it|that|to|go|with|say|think|choose|pick|select|answer|option|label|really|quite|exactly)\b){0,3})"
)

# Between a label and the words that belong to it: "E) good", "**E**: good", "E, good"; and the other way: "good (E)".
_AFTER = re.compile(r"[ \t\"'`*_()\[\]:.,;=-]*+")
_BEFORE = re.compile(r"([ \t\"'`*_]*+(?:[(\[]|[:=])[ \t\"'`*_(\[]*+)\Z")
_WIDEST_GAP = 12


def any_label(labels: Sequence[str]) -> str:
    """A pattern for each of the labels, the longest first."""
    return "|".join(re.escape(label) for label in sorted(labels, key=len, reverse=True))


def options_in(text: str, options: Sequence[str]) -> set[int]:
    """Places of the options whose texts stand in a text; an option within another's text does not count."""
    found: set[int] = set()
    for place in sorted(range(len(options)), key=lambda place: -len(options[place])):
        pattern = re.compile(rf"(?<!\w){re.escape(options[place])}(?!\w)", re.IGNORECASE)
        text, n = pattern.subn(" ", text)
        if n:
            found.add(place)
    return found


def denies(text: str, labels: Sequence[str], options: Sequence[str]) -> bool:
    """Whether a text says "not" of a label or an option; options that say it themselves ("not at all") do not count."""
    for option in sorted(options, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(option)}(?!\w)", "\0", text, flags=re.IGNORECASE)
    return re.search(rf"{_NOT}[\s\"'`*_(\[]++(?:\0|(?:{any_label(labels)})(?![\w']))", text) is not None


def beside_another(text: str, labels: Sequence[str], options: Sequence[str]) -> bool:
    """Whether a label stands beside the words of another option than its own: nobody knows which one is meant.

    Examples
    --------
    >>> (
    ...     beside_another("E) good", "DE", ["good", "very good"]),
    ...     beside_another("D) good", "DE", ["good", "very good"]),
    ... )
    (True, False)
    """
    place_of = {label: place for place, label in enumerate(labels)}
    folded = [option.casefold() for option in options]
    widest = max(map(len, folded), default=0)
    for found in re.finditer(rf"(?<![\w'])({any_label(labels)})(?![\w'])", text):
        place = place_of[found[1]]
        gap = _AFTER.match(text, found.end())
        assert gap is not None
        is_word = found[1] in ARTICLE and gap[0].strip(" \t") == ""
        after = text[gap.end() : gap.end() + widest + 1].casefold()
        fitting = [i for i, option in enumerate(folded) if after.startswith(option) and _ends(after, len(option))]
        if not is_word and _is_another(fitting, place, folded):
            return True
        before = text[max(0, found.start() - widest - _WIDEST_GAP - 1) : found.start()].casefold()
        opening = _BEFORE.search(before[-_WIDEST_GAP:])
        if opening is None:
            continue
        before = before[: len(before) - len(opening[1])]
        fitting = [i for i, option in enumerate(folded) if before.endswith(option) and _begins(before, len(option))]
        if _is_another(fitting, place, folded):
            return True
    return False


def _is_another(fitting: list[int], place: int, options: Sequence[str]) -> bool:
    """Whether the longest option that fits is another than a label's own."""
    return bool(fitting) and max(fitting, key=lambda i: len(options[i])) != place


def _ends(text: str, length: int) -> bool:
    return not (text[length : length + 1].isalnum() and text[length - 1 : length].isalnum())


def _begins(text: str, length: int) -> bool:
    place = len(text) - length
    return place == 0 or not (text[place - 1].isalnum() and text[place].isalnum())
