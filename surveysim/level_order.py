"""Levels that read like an order: "18-29", "65 or older"; "low", "medium", "high"; degrees of education."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise

__all__ = ["order_of", "range_of"]

MIN_LEVELS = 3
"""With fewer, an order says nothing."""

OUTSIDE = {
    "dont know", "dk", "refused", "not stated", "no answer", "not asked", "skipped", "unknown", "other", "missing",
    "prefer not to say", "prefer not to answer", "rather not say", "not applicable", "na", "n/a",
}  # fmt: skip
"""Levels without a place in any order; the others still have one."""

_INFINITY = float("inf")
_NUMBER = r"(\d+(?:\.\d+)?)\s*(k|m|thousand|million)?"
_SCALE = {"k": 1e3, "thousand": 1e3, "m": 1e6, "million": 1e6}
_BELOW = r"(to|under|below|less than|fewer than|younger than|up to|at most|<=?)"
_ABOVE = r"(over|above|more than|older than|at least|from|>=?)"
_UP_TO = {"to", "up to", "at most", "<="}
_FROM = {"at least", "from", ">="}
_OR_LESS = r"(?:or|and)\s+(?:under|below|less|fewer|younger|lower)"
_OR_MORE = r"(?:\+|plus|(?:or|and)\s+(?:over|above|more|older|higher|up))"
_UNITS = r"\b(?:aged?|ages|years?(?: olds?| of age)?|yrs?|usd|eur|gbp|dollars?|children|child|kids?|persons?|people)\b"

_WORD_SCALES: list[list[set[str]]] = [
    [{"very low", "lowest"}, {"low", "lower"}, {"lower middle"}, {"medium", "middle", "mid", "moderate", "average"},
     {"upper middle"}, {"high", "higher", "upper"}, {"very high", "highest"}],
    [{"tiny", "very small"}, {"small"}, {"medium", "mid-sized", "medium-sized"}, {"large", "big"}, {"very large"}],
    [{"never"}, {"rarely", "seldom", "hardly ever"}, {"sometimes", "occasionally"}, {"often", "frequently"},
     {"very often", "always"}],
    [
        {"none", "no formal", "no schooling"},
        {"primary", "primary school", "elementary", "elementary school"},
        {"less than high school", "no high school", "some high school", "did not finish high school", "no hs",
         "below high school", "lower secondary", "less than secondary"},
        {"high school", "high school graduate", "hs", "hs graduate", "secondary", "secondary school", "ged",
         "upper secondary", "high school or less", "high school/ged"},
        {"some college", "some university", "some college, no", "some college or associate"},
        {"associate", "associates", "2-year", "two-year", "2-year college"},
        {"college", "college graduate", "bachelor", "bachelors", "university", "4-year", "4-year college",
         "college or more", "bachelor or higher", "bachelors or higher", "university graduate"},
        {"some postgraduate", "some graduate school"},
        {"postgraduate", "post-graduate", "postgrad", "post-grad", "graduate", "graduate school", "master", "masters",
         "advanced"},
        {"doctorate", "doctoral", "phd"},
    ],
]  # fmt: skip
"""Scales of words, each from low to high; every place holds words that mean the same."""


def order_of(levels: Iterable[object]) -> dict[object, float] | None:
    """Ranks of levels that read like an order, from low to high; None where they do not.

    Two kinds are read. *Ranges of numbers* that do not overlap, with at least one range or open end among them:
    "18-29", "30 to 44", "65 or older", "under 18", "$20-30k", "1-2", "3+" (bare numbers alone may be codes and tell
    nothing). *Words of one known scale*: low / medium / high, small / large, never / often, degrees of education.
    All levels must fit, apart from "don't know", "refused" and the like, which have no rank.

    Parameters
    ----------
    levels : iterable
        Texts; anything else has no order here.

    Returns
    -------
    dict of level to float, or None
        Ranks 0, 1, 2 ... of at least three levels.

    Examples
    --------
    >>> from surveysim.level_order import order_of
    >>> order_of(["65 or older", "18-29", "30-64", "refused"])
    {'18-29': 0.0, '30-64': 1.0, '65 or older': 2.0}
    >>> order_of(["east", "north", "south"]) is None
    True
    """
    texts: dict[object, str] = {}
    for level in levels:
        if not isinstance(level, str):
            return None
        text = _plain(level)
        if text not in OUTSIDE:
            texts[level] = text
    if len(texts) < MIN_LEVELS:
        return None
    ordered = _by_ranges(texts) or _by_words(texts)
    return None if ordered is None else {level: float(rank) for rank, level in enumerate(ordered)}


def range_of(level: str) -> tuple[float, float] | None:
    """Smallest and largest number that a level stands for, both included; None where it is not a range of numbers.

    Open ends are infinite. "Under 30" ends at 29 and "over 64" begins at 65: ages, people and amounts of money count in
    whole numbers.

    Parameters
    ----------
    level : str

    Returns
    -------
    (float, float) or None

    Examples
    --------
    >>> from surveysim.level_order import range_of
    >>> range_of("30 to 44"), range_of("65 or older"), range_of("under 30")
    ((30.0, 44.0), (65.0, inf), (-inf, 29.0))
    >>> range_of("north") is None
    True
    """
    return _range(_plain(level))


def _plain(text: str) -> str:
    """Lower case, without apostrophes, currencies and thousands' commas; one kind of dash."""
    text = re.sub(r"[\u2010-\u2015\u2212]", "-", text.lower())
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", re.sub("['\u2019\u2018`$\u20ac\u00a3]", "", text))
    return re.sub(r"\s+", " ", text).strip()


def _by_ranges(texts: dict[object, str]) -> list[object] | None:
    ranges = {level: _range(text) for level, text in texts.items()}
    found = {level: limits for level, limits in ranges.items() if limits is not None}
    if len(found) < len(texts) or all(low == high for low, high in found.values()):
        return None
    ordered = sorted(found, key=lambda level: found[level])
    for lower, upper in pairwise(ordered):
        # neighbours may share an end ("20-30", "30-40"), not more
        if found[lower][1] > found[upper][0] or found[lower] == found[upper]:
            return None
    return ordered


def _range(text: str) -> tuple[float, float] | None:
    """Smallest and largest number that a level stands for."""
    text = re.sub(r"\s+", " ", re.sub(_UNITS, " ", text)).strip(" .:")
    if text in ("none", "no", "zero"):
        return 0.0, 0.0
    if match := re.fullmatch(rf"{_NUMBER}\s*(?:-|to|up to|through|and|until)\s*{_NUMBER}", text):
        low, low_scale, high, high_scale = match.groups()
        limits = _value(low, low_scale or high_scale), _value(high, high_scale)
        return limits if limits[0] <= limits[1] else None
    if match := re.fullmatch(rf"{_NUMBER}\s*{_OR_LESS}", text):
        return -_INFINITY, _value(*match.groups())
    if match := re.fullmatch(rf"{_NUMBER}\s*{_OR_MORE}", text):
        return _value(*match.groups()), _INFINITY
    if match := re.fullmatch(rf"{_BELOW}\s*{_NUMBER}", text):
        word, *number = match.groups()
        return -_INFINITY, _beyond(_value(*number), 0.0 if word in _UP_TO else -1.0)
    if match := re.fullmatch(rf"{_ABOVE}\s*{_NUMBER}", text):
        word, *number = match.groups()
        return _beyond(_value(*number), 0.0 if word in _FROM else 1.0), _INFINITY
    if match := re.fullmatch(_NUMBER, text):
        value = _value(*match.groups())
        return value, value
    return None


def _value(number: str, scale: str | None) -> float:
    return float(number) * _SCALE.get(scale or "", 1.0)


def _beyond(limit: float, step: float) -> float:
    """The next whole number beyond a limit that is not included; fractions stay as they are."""
    return limit + step if limit.is_integer() else limit


def _by_words(texts: dict[object, str]) -> list[object] | None:
    for scale in _WORD_SCALES:
        places = {word: place for place, words in enumerate(scale) for word in words}
        found = {level: places.get(text, places.get(_bare(text))) for level, text in texts.items()}
        known = {level: place for level, place in found.items() if place is not None}
        if len(known) == len(texts) and len(set(known.values())) == len(known):
            return sorted(known, key=lambda level: known[level])
    return None


def _bare(text: str) -> str:
    """Text without the words that do not change a place on a scale."""
    text = re.sub(r"\([^)]*\)", " ", text)
    text = re.sub(r"\b(?:degree|diploma|education|income|class|level|risk)\b", " ", text)
    return re.sub(r"\s+", " ", text).strip(" ,.")
