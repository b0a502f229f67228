"""Matching names of two surveys: equal but for case, spacing and punctuation, or as the user says."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, TypeVar

from surveysim.tables.matching import as_number

__all__ = ["NameMatch", "find_name", "listed", "match_names", "plain_name"]

Level = TypeVar("Level", bound=Hashable)
"""A name or a level, as its survey has it."""

MAX_LISTED = 12
"""How many names a message lists."""

_APOSTROPHES = re.compile("['\u2019\u2018`\u00b4]")
_PUNCTUATION = re.compile(r"[\s_.,;:!?()\[\]{}\"/\\|]+|(?<!\w)[\u2010-\u2015\u2212-]+|[\u2010-\u2015\u2212-]+(?!$)")
"""A dash at the end of a word is a sign, as in "B-"."""


def plain_name(name: object) -> object:
    """What remains of a name when case, spacing and punctuation are taken away; numbers as numbers.

    Signs that tell levels apart, such as ``<``, ``+`` and ``%``, stay.

    Examples
    --------
    >>> (
    ...     plain_name("Don\u2019t  know.") == plain_name("dont know"),
    ...     plain_name("18\u201329"),
    ...     plain_name("3.0"),
    ... )
    (True, '18 29', 3.0)
    """
    return _plain_text(name) if isinstance(name, str) else _plain(name)


def _plain(name: object) -> object:
    number = as_number(name)
    if number is not None:
        return number
    text = _APOSTROPHES.sub("", unicodedata.normalize("NFKC", str(name)).casefold())
    return " ".join(_PUNCTUATION.sub(" ", text).split())


_plain_text = lru_cache(maxsize=10_000)(_plain)
"""The same for texts, of which tables repeat a few in all their rows."""


def find_name(name: Hashable, names: Sequence[Level]) -> Level | None:
    """The one of `names` that is equal to a name, or, failing that, the only one that is equal when both are plain."""
    for other in names:
        if other is name or other == name:
            return other
    plain = plain_name(name)
    if plain == "":  # "?" and "-" are not the same
        return None
    found = [other for other in names if plain_name(other) == plain]
    return found[0] if len(found) == 1 else None


@dataclass(frozen=True)
class NameMatch(Generic[Level]):
    """Which of their names are which of ours.

    Attributes
    ----------
    ours : dict
        Their name to our name.
    left_out : list
        Their names that the user left out.
    unmatched : list
        Their other names.
    """

    ours: dict[Level, Level]
    left_out: list[Level]
    unmatched: list[Level]


def match_names(
    theirs: Sequence[Level], ours: Sequence[Level], mapping: Mapping[Level, Level | None] | None, what: str
) -> NameMatch[Level]:
    """Match names of two surveys, each of ours at most once.

    Parameters
    ----------
    theirs, ours : sequence
        Names in the source and in the target.
    mapping : mapping, optional
        Their name to ours; None leaves theirs out. It goes before equal names.
    what : str
        The parameter, for messages: "questions" or "attributes".

    Raises
    ------
    TypeError, ValueError
        If the mapping is none, has names that do not exist, or two of theirs are the same of ours.
    """
    if mapping is not None and not isinstance(mapping, Mapping):
        raise TypeError(f"{what} must be a mapping of the source's names to the target's, got {mapping!r}")
    found: dict[Level, Level] = {}
    left_out = []
    for their, our in (mapping or {}).items():
        if their not in theirs:
            raise ValueError(f"{what} names {their!r}, which the source does not have: it has {listed(theirs)}")
        if our is None:
            left_out.append(their)
        elif our not in ours:
            raise ValueError(f"{what} maps {their!r} to {our!r}, which the target does not have: it has {listed(ours)}")
        else:
            found[their] = our
    rest = [their for their in theirs if their not in found and their not in left_out]
    free = [our for our in ours if our not in found.values()]
    unmatched = []
    for their in rest:
        same = find_name(their, free)
        twin = find_name(their, [other for other in rest if other != their]) if same is not None else None
        if same is None or (twin is not None and their != same):
            unmatched.append(their)
        else:
            found[their] = same
    _refuse_twice(found, what)
    return NameMatch({their: found[their] for their in theirs if their in found}, left_out, unmatched)


def _refuse_twice(found: Mapping[Level, Level], what: str) -> None:
    for our in set(found.values()):
        sources = [their for their, other in found.items() if other == our]
        if len(sources) > 1:
            raise ValueError(
                f"{what}: {listed(sources)} of the source are all {our!r} of the target. Choose one of them and leave "
                f"the others out: {what}={{{sources[1]!r}: None}}."
            )


def listed(names: Sequence[object]) -> str:
    """Names for a message, the first dozen of them."""
    shown = ", ".join(repr(name) for name in list(names)[:MAX_LISTED])
    return f"[{shown}{f', ... ({len(names)} in all)' if len(names) > MAX_LISTED else ''}]"
