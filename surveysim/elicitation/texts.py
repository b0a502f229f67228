"""What all readers of a model's texts share: plain quotes, thoughts left out, and the names of options."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["Names", "is_opening", "plain", "without_thoughts"]

# How models begin and end what they think before they answer; the last one is gpt-oss's, without its special tokens.
_BEGIN = re.compile(r"<(?:think|thinking|thought|reasoning)>|\[THINK\]|\u25c1think\u25b7|\Aanalysis(?=[A-Z])")
_END = re.compile(r"</(?:think|thinking|thought|reasoning)>|\[/THINK\]|\u25c1/think\u25b7|assistantfinal")

_SENTENCE_END = re.compile(r"[.!?]\s")

# A text that comes before what a cut answer states may be as long as that, and one sentence.
_LONGEST_LEAD = 200


def without_thoughts(text: str) -> str | None:
    """What a reasoning model says after its thoughts; None if it was still thinking when the text ended.

    Examples
    --------
    >>> without_thoughts("<think>A or B? B.</think> B")
    ' B'
    >>> without_thoughts("<think>A or B?") is None
    True
    """
    ends = [end for end in _END.finditer(text) if end[0] != "assistantfinal" or text.startswith("analysis")]
    rest = text[ends[-1].end() :] if ends else text
    return None if _BEGIN.search(rest) else rest


def is_opening(text: str, start: int) -> bool:
    """Whether what begins at `start` is what the text opens with, after at most one sentence that announces it.

    A model that was cut while it reasoned aloud has stated nothing, whatever it has considered.
    """
    lead = text[:start].lstrip()
    return len(lead) <= _LONGEST_LEAD and _SENTENCE_END.search(lead) is None


class Names:
    """Finds the place that a text names: by its label, its option's text, or both ("B. disagree")."""

    def __init__(self, labels: Sequence[str], options: Sequence[str]) -> None:
        self._exact: dict[str, int | None] = {}
        self._folded: dict[str, int | None] = {}
        for place, label in enumerate(labels):
            self._exact[label] = place
            # "a" means "A", unless both are labels.
            self._add(label.casefold(), place)
        shown = self._labels = dict(self._folded)
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

    def knows(self, text: object) -> bool:
        """Whether a text speaks of a label or an option, in whichever way."""
        return self.find(text) is not None or self.contradicts(text)

    def contradicts(self, text: object) -> bool:
        """Whether a text names one option by its label and another by its words ("E. good" where E is "very good")."""
        if not isinstance(text, str) or self.find(text) is not None:
            return False
        label, _, words = _fold(text).partition(" ")
        place, other = self._labels.get(label), self._folded.get(words)
        return place is not None and other is not None and place != other


_PUNCTUATION = " \t\r\n\"'`*_()[]{}<>.,:;!-="


def _fold(text: str) -> str:
    """A text as it is compared: without punctuation around its words, in one case."""
    return " ".join(word.strip(_PUNCTUATION) for word in text.casefold().split()).strip()


def plain(text: str) -> str:
    """Straight quotes for typographic ones."""
    return text.replace("\u2019", "'").replace("\u2018", "'").replace("\u201c", '"').replace("\u201d", '"')
