"""Which labels say that there is no answer, in many languages: a table of phrases, and the forms in which they come."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources

__all__ = ["LabelReading", "is_abbreviation", "missing_kind", "plain_text", "read_label"]

KINDS = ("don't know", "refused", "skipped", "not asked")

# Letters that Unicode does not decompose, and those that Arabic and Persian files write in several ways.
_LETTERS = str.maketrans(
    {"ı": "i", "ø": "o", "æ": "ae", "ł": "l", "đ": "d", "’": "'", "´": "'", "`": "'", "ʼ": "'", "‘": "'",
     "\u200c": " ", "ـ": "", "ي": "ی", "ى": "ی", "ك": "ک", "أ": "ا", "إ": "ا", "آ": "ا", "ة": "ه",
     "‐": "-", "–": "-", "—": "-", "−": "-"}
)  # fmt: skip
_ACCENTS = re.compile("[\u0300-\u036f\u064b-\u0652]")
_UNSPACED = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
"""Scripts that put no spaces between words, or put them as they like: Thai, Japanese, Chinese, Korean."""

_CODE = re.compile(r"^(\.[a-z]:?\s+|[\[({<]?-?\d+[\])}>]?\s*[.):=\-]*\s*(?=[^\W\d]|[\[(]))")
"""A code in front: "[-1] ", "98. ", ".d:  "."""

_REMARK = re.compile(r"[(\[{（［【<][^)\]}）］】>]*[)\]}）］】>]")
_EDGES = " \t.:;,!?*-_\"'()[]{}（）［］【】<>。、"
_SEPARATORS = re.compile(r"[/;,|・、，；／]|\s-\s|\s(?:or|ou|oder|and|und)\s")
_CONTINUED = re.compile(r"(.*?)\s*(?:[;:,=]|\s-\s)")
_DOTTED = re.compile(r"(?:[^\W\d_]\.\s?)+[^\W\d_]\.?|[^\W\d_]{2,3}\.")


def plain_text(text: str) -> str:
    """Text without case, accents and the spellings that carry no meaning; without spaces in scripts that have none."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text.translate(_LETTERS)).casefold())
    folded = unicodedata.normalize("NFC", _ACCENTS.sub("", folded)).translate(_LETTERS)
    folded = " ".join(folded.split())
    return folded.replace(" ", "") if _UNSPACED.search(folded) else re.sub(r"\s*/\s*", "/", folded)


def is_abbreviation(text: str) -> bool:
    """Whether a label is at most three letters of a script that has words: "NC" may be a reason, a state or a party."""
    letters = [c for c in text if c.isalpha()]
    return 0 < len(letters) <= 3 and not _UNSPACED.search(text) and re.fullmatch(r"[^\W\d_./]+", text) is not None


@dataclass(frozen=True)
class LabelReading:
    """What a label says on its own.

    Attributes
    ----------
    kind : str or None
        The kind of missing answer, one of `surveysim.tables.MISSING_KINDS`; None for an answer.
    is_certain : bool
        Whether it means that wherever it stands; if not, its place among the codes decides.
    is_suspect : bool
        Whether words in it make no answer likely, though the table does not have it.
    """

    kind: str | None = None
    is_certain: bool = False
    is_suspect: bool = False


@dataclass(frozen=True)
class _Phrases:
    kinds: dict[str, str]
    ambiguous: dict[str, str]
    begins: tuple[tuple[str, str], ...]
    hints: re.Pattern[str]


@cache
def _phrases() -> _Phrases:
    """The table of the package, all languages together."""
    path = resources.files("surveysim.datasets").joinpath("surveys", "no_answer.toml")
    languages = tomllib.loads(path.read_text(encoding="utf-8")).values()
    kinds: dict[str, str] = {}
    ambiguous: dict[str, str] = {}
    begins: list[tuple[str, str]] = []
    hints: list[str] = []
    for language in languages:
        for kind in KINDS:
            for phrase in language.get(kind, []):
                kinds.setdefault(_key(phrase), kind)
        ambiguous |= {_key(phrase): kind for phrase, kind in language.get("ambiguous", {}).items()}
        begins += [(plain_text(phrase), kind) for phrase, kind in language.get("begins", {}).items()]
        # of words in letters the beginning counts: "opinion" is not in "companion"
        hints += [hint if _UNSPACED.search(hint) else rf"(?<!\w){re.escape(plain_text(hint))}"
                  for hint in language.get("hints", [])]  # fmt: skip
    kinds = {phrase: kind for phrase, kind in kinds.items() if phrase not in ambiguous}
    return _Phrases(kinds, ambiguous, tuple(begins), re.compile("|".join(hints)))


def _key(phrase: str) -> str:
    """The phrase as it is looked up: folded, without the dots of an abbreviation and what stands at its edges."""
    text = plain_text(phrase)
    if _DOTTED.fullmatch(text):
        text = text.replace(".", "").replace(" ", "")
    return text.strip(_EDGES) or text


@lru_cache(maxsize=65_536)
def read_label(label: str) -> LabelReading:
    """What a label says about an answer that is missing.

    Examples
    --------
    >>> read_label("[-1] keine Angabe")
    LabelReading(kind='skipped', is_certain=True, is_suspect=False)
    >>> read_label("NC")  # no contesta, or North Carolina
    LabelReading(kind='skipped', is_certain=False, is_suspect=False)
    >>> read_label("None")
    LabelReading(kind=None, is_certain=False, is_suspect=False)
    """
    for text in _forms(label):
        found = _look_up(text)
        if found is not None:
            return found
    text = plain_text(label)
    return LabelReading(is_suspect=len(text) < 60 and _phrases().hints.search(text) is not None)


def _forms(label: str) -> Iterable[str]:
    """The label as it is, without its code, and without remarks in parentheses."""
    text = plain_text(re.sub(r"(?<=\w)\([a-z]\)$", "", label.strip()))  # GSS: "NA(n)"
    bare = _CODE.sub("", text).strip()
    without = _REMARK.sub(" ", bare).strip()
    yield from dict.fromkeys(form for form in (text, bare, " ".join(without.split())) if form.strip(_EDGES))


def _look_up(text: str) -> LabelReading | None:
    phrases, key = _phrases(), _key(text)
    is_dotted = _DOTTED.fullmatch(text.strip(_EDGES.replace(".", ""))) is not None
    if key in phrases.kinds:
        # two letters are too few, but for "DK", which stands for nothing else
        return LabelReading(phrases.kinds[key], is_dotted or key == "dk" or len(key) > 2 or not is_abbreviation(key))
    if key in phrases.ambiguous:
        return LabelReading(phrases.ambiguous[key], is_certain=is_dotted)
    parts = [_key(part) for part in _SEPARATORS.split(text) if part.strip(_EDGES)]
    found = [phrases.kinds.get(part) or phrases.ambiguous.get(part) for part in parts]
    if len(parts) > 1 and all(found):
        return LabelReading(found[0], is_certain=True)
    # "NAP, no partner", "TNZ: FILTER", "Missing; other": the reason, then its reason
    continued = _CONTINUED.match(text)
    start = _key(continued[1]) if continued else ""
    if len(start) >= 3 and start in phrases.kinds:
        return LabelReading(phrases.kinds[start], is_certain=True)
    for beginning, kind in phrases.begins:
        if text.startswith(beginning):
            return LabelReading(kind, is_certain=True)
    return None


def missing_kind(label: str) -> str | None:
    """The kind of missing answer that a value label names (see `surveysim.tables.MISSING_KINDS`), or None.

    Examples
    --------
    >>> missing_kind("98. (Don't know)"), missing_kind("Refusal"), missing_kind("Agree")
    ("don't know", 'refused', None)
    """
    return read_label(label).kind
