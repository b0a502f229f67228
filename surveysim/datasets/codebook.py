"""The codebook of one variable: what its codes are called, and which of them mean that there is no answer."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from surveysim.datasets.no_answer import missing_kind, read_label
from surveysim.datasets.survey import Report
from surveysim.tables.matching import as_number
from surveysim.tables.missing import Missing

__all__ = ["LabelBook", "MissingBook", "Overrides", "key_of", "plain_code"]


def key_of(code: Hashable) -> Hashable:
    """What makes two codes the same: their number, else their text."""
    number = as_number(code)
    if number is not None:
        return number
    return code.strip() if isinstance(code, str) else code


def plain_code(code: Hashable) -> Hashable:
    """A code as Python writes it: 1, not 1.0 or numpy's."""
    if isinstance(code, np.generic):
        code = code.item()
    return int(code) if isinstance(code, float) and code.is_integer() else code


@dataclass(frozen=True)
class Overrides:
    """What the user's `missing=` says about one variable.

    Attributes
    ----------
    codes : dict of code to kind
    answers : set of codes
        Declared None: answers, whatever their labels say.
    is_general : bool
        Whether the codes are those of all variables; then labelled answers are left alone.
    """

    codes: Mapping[Hashable, str] = field(default_factory=dict)
    answers: frozenset[Hashable] = frozenset()
    is_general: bool = False

    @classmethod
    def of(cls, missing: Missing, name: str) -> Overrides:
        """Those of one variable."""
        is_general = name not in missing.question_columns()
        return cls(missing.codes_of(name), missing.answers_of(name), is_general)


class LabelBook:
    """Labels by code; 1, 1.0 and "1" are the same code."""

    def __init__(self, labels: Mapping[Hashable, str], report: Report, name: str) -> None:
        self.labels: dict[Hashable, str] = {}
        empty = 0
        for code, label in labels.items():
            text = " ".join(str(label).split())
            if text:
                self.labels[plain_code(code)] = text
            else:
                empty += 1
        if empty:
            report.note(name, "empty labels", 0, f"{empty} code{'s' if empty > 1 else ''}")
        self._by_key = {key_of(code): text for code, text in self.labels.items()}

    def find(self, value: Hashable) -> str | None:
        """The label of a value, or None."""
        return self._by_key.get(key_of(value))


class MissingBook:
    """The kind of missing answer that a code stands for: as the user says, else its label, else the file.

    Parameters
    ----------
    declared : list
        Codes, and (low, high) ranges, that the file declares missing.
    overrides : Overrides
        What the user declares.
    """

    def __init__(self, declared: Sequence[Hashable], overrides: Overrides) -> None:
        self._given = {key_of(code): kind for code, kind in overrides.codes.items()}
        self._answers = {key_of(code) for code in overrides.answers}
        self._is_general = overrides.is_general
        self._codes = {key_of(code) for code in declared if not isinstance(code, tuple)}
        self._ranges = [span for span in declared if isinstance(span, tuple)]

    def is_answer(self, value: Hashable) -> bool:
        """Whether the user says that a value is an answer."""
        return key_of(value) in self._answers

    def general_kind(self, value: Hashable, label: str | None) -> str | None:
        """What a general `missing=` says about a code whose label is an answer: it may be another variable's code."""
        if not self._is_general or not label:
            return None
        reading = read_label(label)
        return None if reading.kind or reading.is_suspect else self._given.get(key_of(value))

    def is_declared(self, value: Hashable, label: str | None = None) -> bool:
        """Whether the file or the user says that a value is not an answer."""
        key = key_of(value)
        if key in self._answers:
            return False
        if key in self._codes or (key in self._given and self.general_kind(value, label) is None):
            return True
        return isinstance(key, float) and any(low <= key <= high for low, high in self._ranges)

    def find(self, value: Hashable, label: str | None) -> str | None:
        """The kind of missing answer, or None for an answer; labels that may be either count as missing."""
        if self.is_answer(value):
            return None
        kind = None if self.general_kind(value, label) else self._given.get(key_of(value))
        if kind is None and label:
            kind = missing_kind(label)
        if kind is None and self.is_declared(value, label):
            kind = "skipped"
        return kind
