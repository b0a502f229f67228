"""The codebook of one variable: what its codes are called, and which of them mean that there is no answer."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from surveysim.datasets.survey import Report
from surveysim.datasets.wording import missing_kind
from surveysim.tables.matching import as_number

__all__ = ["LabelBook", "MissingBook", "key_of", "plain_code"]


def key_of(code: Hashable) -> Hashable:
    """What makes two codes the same: their number, else their text."""
    number = as_number(code)
    if number is not None:
        return number
    return code.strip() if isinstance(code, str) else code


def plain_code(code: Any) -> Hashable:
    """A code as Python writes it: 1, not 1.0 or numpy's."""
    if isinstance(code, np.generic):
        code = code.item()
    return int(code) if isinstance(code, float) and code.is_integer() else code


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
    """The kind of missing answer that a code stands for: as the user says, else its label, else the file."""

    def __init__(self, declared: Sequence[Any], overrides: Mapping[Hashable, str]) -> None:
        self._overrides = {key_of(code): kind for code, kind in overrides.items()}
        self._codes = {key_of(code) for code in declared if not isinstance(code, tuple)}
        self._ranges = [span for span in declared if isinstance(span, tuple)]

    def is_declared(self, value: Hashable) -> bool:
        """Whether the file or the user says that a value is no answer."""
        key = key_of(value)
        if key in self._overrides or key in self._codes:
            return True
        return isinstance(key, float) and any(low <= key <= high for low, high in self._ranges)

    def find(self, value: Hashable, label: str | None) -> str | None:
        """The kind of missing answer, or None for an answer."""
        kind = self._overrides.get(key_of(value))
        if kind is None and label:
            kind = missing_kind(label)
        if kind is None and self.is_declared(value):
            kind = "skipped"
        return kind
