"""The words of scales, by language: ladders, poles, shades and negations, from the tables of the package."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from typing import Any

from surveysim.datasets.no_answer import plain_text

__all__ = ["ENGLISH", "Language", "languages_of"]

_UNSPACED = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_NOTHING = re.compile(r"(?!)")


@dataclass(frozen=True, eq=False)
class Language:
    """How one language grades.

    Attributes
    ----------
    ladders : list of dict of str to float
        Words on a line, with their place on it.
    poles : list of (pattern, pattern)
        Opposites, the low one first.
    shades : list of (float, pattern)
        How strong a pole is: 2 without any.
    negative, hardly, never : pattern
        "not", "not very", "not at all".
    neutral : pattern
        The middle.
    common : frozenset of str
        Words that labels may share without being shades of one thing.
    around_numbers : frozenset of str
        Words that may stand beside the numbers of a scale.
    zero : frozenset of str
        What is written for 0 among numbers, in any language.
    has_spaces : bool
        Whether words are apart.
    """

    ladders: list[dict[str, float]]
    poles: list[tuple[re.Pattern[str], re.Pattern[str]]]
    shades: list[tuple[float, re.Pattern[str]]]
    negative: re.Pattern[str]
    hardly: re.Pattern[str]
    never: re.Pattern[str]
    neutral: re.Pattern[str]
    common: frozenset[str] = frozenset()
    around_numbers: frozenset[str] = frozenset()
    zero: frozenset[str] = frozenset()
    has_spaces: bool = True

    def strength(self, text: str) -> float:
        """How strong the longest shade in a text is."""
        fits = [(len(found[0]), value) for value, pattern in self.shades for found in pattern.finditer(text)]
        return max(fits)[1] if fits else 2.0

    @cached_property
    def marks(self) -> re.Pattern[str]:
        """Something that a graded label of this language has."""
        phrases = {phrase for ladder in self.ladders for phrase in ladder}
        starts = rf"^(?:{'|'.join(sorted(map(re.escape, phrases)))})" if phrases else "(?!)"
        parts = [pattern.pattern for pair in self.poles for pattern in pair]
        others = [self.neutral, self.negative, self.hardly, self.never, *(pattern for _, pattern in self.shades)]
        return re.compile("|".join([starts, *parts, *(pattern.pattern for pattern in others)]))


def _phrase(phrase: str, *, is_whole: bool = False) -> str:
    """A pattern for a phrase at the beginning of a word; a whole word if it ends in a space, or must be one."""
    text = plain_text(phrase)
    if _UNSPACED.search(text):
        return re.escape(text)
    return rf"(?<!\w){re.escape(text)}" + (r"(?!\w)" if is_whole or phrase.endswith(" ") else "")


def _any_of(phrases: Sequence[str], *, is_whole: bool = False) -> re.Pattern[str]:
    ordered = sorted(phrases, key=len, reverse=True)
    return re.compile("|".join(_phrase(p, is_whole=is_whole) for p in ordered)) if phrases else _NOTHING


def _load(name: str) -> dict[str, Any]:
    path = resources.files("surveysim.datasets").joinpath("surveys", name)
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _rungs(rungs: Sequence[Sequence[str]]) -> dict[str, float]:
    places: dict[str, float] = {}
    for i, phrases in enumerate(rungs):
        for phrase in phrases:
            places.setdefault(phrase, float(i))
    return places


def _english() -> Language:
    table = _load("wording.toml")
    return Language(
        ladders=[_rungs(ladder["rungs"]) for ladder in table["ladders"]],
        poles=[
            (re.compile(rf"(?<!\w){re.escape(low)}"), re.compile(rf"(?<!\w){re.escape(high)}"))
            for low, high in table["poles"]["pairs"]
        ],
        shades=[
            (float(shade["strength"]), re.compile(r"\b(" + "|".join(map(re.escape, shade["phrases"])) + r")\b"))
            for shade in table["shades"]
        ],
        negative=re.compile(r"\b(not|no|none|hardly)\b"),
        hardly=re.compile(r"\b(not (very|too|that|so|particularly)|hardly)\b"),
        never=re.compile(r"at all\b"),
        neutral=re.compile(
            r"(neither\b.*|neutral.*|in between|undecided|no (difference|change)|both( equally)?|mixed.*|equally\b.*|"
            r"(stayed |remained |stays |about |much )*the same|unchanged|(has|have|did|does) not changed?|as before)$"
        ),
        common=frozenset(table["words"]["common"]),
        around_numbers=frozenset(table["words"]["around_numbers"]),
        zero=frozenset(table["words"]["zero"]),
    )


def _other(table: Mapping[str, Any]) -> Language:
    ladders = [
        _rungs([[plain_text(phrase) for phrase in rung.split("|")] for rung in rungs]) for rungs in table["ladders"]
    ]
    shared = [*table["strong"], *table["weak"], *table["not"], *table["never"]]
    return Language(
        ladders=ladders,
        poles=[(_any_of([low]), _any_of([high])) for low, high in table["poles"]],
        shades=[(1.0, _any_of(table["weak"])), (3.0, _any_of(table["strong"]))],
        negative=_any_of(table["not"], is_whole=True),
        hardly=_any_of(table["hardly"]),
        never=_any_of(table["never"]),
        neutral=_any_of(table["neutral"]),
        common=frozenset(word for phrase in shared for word in plain_text(phrase).split()),
        has_spaces=not _UNSPACED.search(next(iter(ladders[0]))),
    )


ENGLISH = _english()


@cache
def _others() -> tuple[tuple[re.Pattern[str], Language], ...]:
    """The other languages, with a letter of their script."""
    found = []
    for table in _load("scales.toml").values():
        language = _other(table)
        sample = next(iter(language.ladders[0]))
        scripts = ["a-z", "α-ω", "а-яґєії", "\u0590-\u05ff", "\u0600-\u06ff", "\u0900-\u097f", "\u0980-\u09ff",
                   "\u0e00-\u0e7f", "\u3040-\u30ff\u3400-\u9fff", "\uac00-\ud7af"]  # fmt: skip
        script = next(letters for letters in scripts if re.search(f"[{letters}]", sample))
        found.append((re.compile(f"[{script}]"), language))
    return tuple(found)


def languages_of(texts: Sequence[str]) -> list[Language]:
    """The languages, English apart, that the first and the last of some folded labels may be graded in."""
    first, last = texts[0], texts[-1]
    return [
        language
        for script, language in _others()
        if script.search(first) and script.search(last) and language.marks.search(first) and language.marks.search(last)
    ]
