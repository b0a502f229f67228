"""Decides which labels of a variable are missing answers: by what they say, and by where their codes stand."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from surveysim.datasets.codebook import MissingBook, key_of, plain_code
from surveysim.datasets.no_answer import LabelReading, is_abbreviation, plain_text, read_label
from surveysim.datasets.scales import is_graded, is_neutral, scale_scores
from surveysim.datasets.sentinels import codes_apart
from surveysim.datasets.survey import Report
from surveysim.datasets.wording import outside_scale
from surveysim.tables.matching import as_number

__all__ = ["MOST_LABELS", "Decisions", "LabelledCode", "decide"]

MOST_LABELS = 200
"""Labels beyond which a variable is a list of names or open text, and words in them prove nothing."""

LONG_LIST = 10
"""Names from which "NC" among them is another one, as in a list of states."""

TAKEN = "labels that may mean no answer, taken as no answer"
KEPT = "labels that may mean no answer, kept as answers"
GENERAL_KEPT = "codes of missing= that the labels call answers, kept as answers"


@dataclass(frozen=True)
class LabelledCode:
    """A code that has a label, and how many respondents have it."""

    code: Hashable
    label: str
    count: int = 0

    @property
    def key(self) -> Hashable:
        return key_of(self.code)

    @property
    def number(self) -> float | None:
        return as_number(self.code)


@dataclass
class Decisions:
    """What the labels of one variable mean.

    Attributes
    ----------
    missing : dict of code's key to kind
        The codes that are not answers.
    certain : set of code's key
        Those of them that the file or the user declares, so that nothing can bring them back.
    beside : set of label
        Answers that are outside the scale that the others make.
    """

    missing: dict[Hashable, str] = field(default_factory=dict)
    certain: set[Hashable] = field(default_factory=set)
    beside: set[str] = field(default_factory=set)


def decide(
    name: str,
    codes: Sequence[LabelledCode],
    kinds: MissingBook,
    report: Report,
    *,
    is_text: bool,
    total: int,
    unlabelled: Sequence[float] = (),
) -> Decisions:
    """Sort the labelled codes of a variable into answers and missing answers; what is unsure is reported.

    Parameters
    ----------
    name : str
        The variable.
    codes : sequence of LabelledCode
    kinds : MissingBook
        What the file and the user declare.
    report : Report
        Gets what is unsure, with the share of respondents and the line of code that decides it.
    is_text : bool
        Whether the file holds the labels themselves, so that codes and their order say nothing.
    total : int
        Respondents with any value.
    unlabelled : sequence of float
        Codes that occur and have no label.

    Returns
    -------
    Decisions
    """
    found = Decisions()
    readings = {item.key: read_label(item.label) for item in codes}
    open_codes = _settle(codes, kinds, readings, found)
    place = _Places(open_codes, found, readings, is_text, unlabelled)
    doubts = _Doubts(name, total)
    for item in sorted(open_codes, key=lambda item: -(item.number or 0.0)):  # from the outside inwards
        reading = readings[item.key]
        if (kind := kinds.general_kind(item.code, item.label)) is not None:
            if item.number is not None and item.number < 0 and place.has_gap(item):
                found.missing[item.key] = kind
            else:
                doubts.tell(GENERAL_KEPT, item, kind)
        elif kinds.is_answer(item.code):
            continue
        elif reading.kind is not None:
            _decide_ambiguous(item, reading.kind, reading.is_certain, place, found, doubts)
        elif reading.is_suspect and not place.has_company(item):
            _decide_suspect(item, place, found, doubts)
        elif not reading.is_suspect:
            _decide_unknown(item, place, found, doubts)
        if item.key in found.missing:
            place.leave(item)
    if sum(item.key not in found.missing for item in open_codes) + len(unlabelled) > 1:  # else there is no question
        doubts.report(report)
    return found


def _settle(
    codes: Sequence[LabelledCode], kinds: MissingBook, readings: dict[Hashable, LabelReading], found: Decisions
) -> list[LabelledCode]:
    """What the file, the user or the label itself leaves no doubt of; returns the others."""
    rest = []
    for item in codes:
        reading = readings[item.key]
        if kinds.is_declared(item.code, item.label):
            found.missing[item.key] = kinds.find(item.code, item.label) or "skipped"
            found.certain.add(item.key)
        elif reading.kind and reading.is_certain and not kinds.is_answer(item.code) and not is_abbreviation(item.label):
            found.missing[item.key] = reading.kind
        else:
            rest.append(item)
    return rest


class _Places:
    """Where a code stands among the others of its variable."""

    def __init__(
        self,
        rest: list[LabelledCode],
        found: Decisions,
        readings: dict[Hashable, LabelReading],
        is_text: bool,
        unlabelled: Sequence[float],
    ) -> None:
        self.is_text = is_text
        self._rest = rest
        self._plain = [item for item in rest if readings[item.key].kind is None]
        self._missing = [number for key in found.missing if isinstance(number := key, float)]
        numbers = [item.number for item in rest if item.number is not None]
        self._are_numbers = not is_text and len(numbers) == len(rest)
        self._numbers = [*numbers, *unlabelled] if self._are_numbers else []
        self._apart = set(codes_apart(self._numbers, any_number=True))
        self._special = set(codes_apart(self._numbers))
        self._ends: set[Hashable] | None = None

    def __len__(self) -> int:
        return len(self._rest)

    def is_apart(self, item: LabelledCode) -> bool:
        """Whether it has the place of a missing answer: after a gap, negative, or beside missing answers."""
        number = item.number
        if not self._are_numbers or number is None:
            return False
        if self.has_gap(item):
            return True
        others = [n for other in self._plain if other is not item and (n := other.number) is not None]
        if len(others) < 2 or not self._missing:
            return False
        return (number > max(others) and max(self._missing) > max(others)) or (
            number < min(others) and min(self._missing) < min(others)
        )

    def has_gap(self, item: LabelledCode) -> bool:
        """Whether the code itself is apart from the others, whatever they mean."""
        return item.number in self._apart

    def all_are_codes(self) -> bool:
        """Whether all labels are letters of one length, as codes of countries are."""
        return all(_is_short_name(item.label) for item in self._rest) and len({len(i.label) for i in self._rest}) == 1

    def leave(self, item: LabelledCode) -> None:
        """Count a code among the missing answers."""
        if item.number is not None:
            self._missing.append(item.number)

    def is_special(self, item: LabelledCode) -> bool:
        """Whether the code itself is one of 8, 9, 88, 99, -1 and their like, apart from the others."""
        return item.number in self._special

    def is_end(self, item: LabelledCode) -> bool:
        """Whether it is the first or last code, or no code has a place."""
        return not self._are_numbers or item.number in (min(self._numbers), max(self._numbers))

    def has_company(self, item: LabelledCode) -> bool:
        """Whether other answers look like it: states called "NC" and "ND", "trifft eher zu" and "trifft nicht zu"."""
        if len(self._plain) > MOST_LABELS:
            return False
        others = [other.label for other in self._plain if other is not item]
        if is_abbreviation(item.label):
            short = [other for other in self._rest if other is not item and _is_short_name(other.label)]
            return any(map(_is_short_name, others)) and len(short) >= max(2, (len(self._rest) - 1) / 2)
        words = _words(item.label)
        return any(len(words & _words(other)) >= min(2, len(words)) for other in others)

    def breaks_scale(self, item: LabelledCode) -> bool:
        """Whether it is the last code, or a 0 before them, and the others are a scale which it is not on."""
        if self._ends is None:
            self._ends = self._scale_breakers()
        return item.key in self._ends

    def _scale_breakers(self) -> set[Hashable]:
        line = sorted((item for item in self._rest if item.number is not None), key=lambda item: item.number or 0.0)
        line = [item for item in line if not outside_scale(item.label)]
        if not self._are_numbers or len(line) < 4 or scale_scores([item.label for item in line]) is not None:
            return set()
        ends = [(line[-1], line[:-1])] + [(line[0], line[1:])] * (line[0].number == 0)
        return {
            end.key
            for end, rest in ends
            if not is_neutral(end.label) and scale_scores([item.label for item in rest]) is not None
        }


def _is_short_name(label: str) -> bool:
    """ "NC" and "SPD"; "No" and "Sí" are words."""
    return is_abbreviation(label) and label == label.upper()


def _words(label: str) -> set[str]:
    text = plain_text(label)
    words = {word for word in re.findall(r"[^\W\d_]+", text) if len(word) > 2}
    if " " not in text and re.search("[\u3040-\u9fff\uac00-\ud7af]", text):
        words = {text[i : i + 2] for i in range(len(text) - 1)}
    return words


class _Doubts:
    """Reports what is unsure of one variable."""

    def __init__(self, name: str, total: int) -> None:
        self._name, self._total = name, total
        self._rows: list[tuple[str, int, str, str]] = []

    def report(self, report: Report) -> None:
        """Put all of them into a report."""
        for what, count, detail, line in reversed(self._rows):  # the codes were taken from the last
            report.doubt(self._name, what, count, detail, line)

    def tell(self, what: str, item: LabelledCode, instead: str | None) -> None:
        """What was done, and the line that would do the opposite: `instead` is the kind, or None for an answer."""
        if item.count == 0:  # nothing is lost, and labels without values are reported elsewhere
            return
        code, share = plain_code(item.code), item.count / max(1, self._total)
        shown = f"{item.label!r}, {share:.1%}" if code == item.label else f"{code}: {item.label!r}, {share:.1%}"
        self._rows.append((what, item.count, shown, f"missing={{{self._name!r}: {{{code!r}: {instead!r}}}}}"))


def _decide_ambiguous(
    item: LabelledCode, kind: str, is_certain: bool, place: _Places, found: Decisions, doubts: _Doubts
) -> None:
    """ "NC", "refuse", "trifft nicht zu": a missing answer, unless others of their sort are answers."""
    is_short = is_abbreviation(item.label)
    if not is_short and not place.has_gap(item) and place.has_company(item):
        return
    if place.is_apart(item):
        found.missing[item.key] = kind
    elif is_short and place.has_company(item):
        if len(place) < LONG_LIST and not place.all_are_codes():
            doubts.tell(KEPT, item, kind)
    elif is_certain:
        found.missing[item.key] = kind
    elif place.is_end(item):
        found.missing[item.key] = kind
        doubts.tell(TAKEN, item, None)
    else:
        doubts.tell(KEPT, item, kind)


def _decide_suspect(item: LabelledCode, place: _Places, found: Decisions, doubts: _Doubts) -> None:
    """ "I haven't followed this closely enough to answer": not in the table, but its words and its place fit."""
    if len(place) > MOST_LABELS:
        return
    if place.is_apart(item) or place.breaks_scale(item):
        found.missing[item.key] = "don't know"
        doubts.tell(TAKEN, item, None)
    elif place.is_end(item):
        doubts.tell(KEPT, item, "don't know")


def _decide_unknown(item: LabelledCode, place: _Places, found: Decisions, doubts: _Doubts) -> None:
    """A label that the table does not have, at a code that looks like that of a missing answer."""
    number = item.number
    if number is not None and (number < 0 or item.label.startswith(f"{number:g}")):
        return  # negative codes apart from the others are dealt with by themselves; "7 Extremely" is of a scale
    if outside_scale(item.label) or is_graded(item.label):
        return
    is_special, breaks = place.is_special(item), place.is_end(item) and place.breaks_scale(item)
    if is_special or breaks:
        doubts.tell(KEPT, item, "don't know")
    if is_special and breaks:
        found.beside.add(item.label)
