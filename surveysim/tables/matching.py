"""Matching what a data file holds to codes and option texts: 3, 3.0 and "3" are the same answer."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Hashable, Iterable, Sequence
from numbers import Real

from surveysim.questions import Question

__all__ = ["CodeBook", "OptionMatcher", "as_number", "fold_text", "list_values"]

_NUMERAL = re.compile(r"[+-]?\d+(\.\d*)?")


def fold_text(text: str) -> str:
    """Text without the differences that carry no meaning: case, runs of spaces, typographic apostrophes."""
    return " ".join(unicodedata.normalize("NFKC", text).replace("’", "'").casefold().split())


def as_number(value: object) -> float | None:
    """The number that a value is, or that its text writes; None for other text and for booleans."""
    if isinstance(value, str):
        return float(value) if _NUMERAL.fullmatch(value.strip()) else None
    # True == 1 in Python, but a file's True is not the first option of a question
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    return float(value)


class CodeBook:
    """Finds the position of a code: equal values first, then equal numbers, unless two codes share that number."""

    def __init__(self, codes: Iterable[Hashable]) -> None:
        self._exact: dict[Hashable, int] = {}
        by_number: dict[float, list[int]] = {}
        for i, code in enumerate(codes):
            self._exact[code.strip() if isinstance(code, str) else code] = i
            number = as_number(code)
            if number is not None:
                by_number.setdefault(number, []).append(i)
        self._by_number = {number: found[0] for number, found in by_number.items() if len(found) == 1}

    def find(self, value: object) -> int | None:
        found = self._exact.get(value.strip() if isinstance(value, str) else value)
        if found is None:
            number = as_number(value)
            found = None if number is None else self._by_number.get(number)
        return found


class OptionMatcher:
    """Finds which option of a question an answer is.

    Text matches an option's text, else a code, else the number that it writes; a number matches a code where the
    question has codes, else an option that is that number ("10"), else the integers 1..K. With codes the integers
    1..K are not tried, since for codes 0..3 a stray 4 would become the last option; nor are they where options are
    numbers other than their own position ("0", "1", "2 or more").
    """

    def __init__(self, question: Question) -> None:
        self.question = question
        options = question.options
        self._texts = {option: i for i, option in enumerate(options)}
        folded = [fold_text(option) for option in options]
        self._folded = {text: i for i, text in enumerate(folded) if folded.count(text) == 1}
        self._numerals = {n: i for i, option in enumerate(options) if (n := as_number(option)) is not None}
        self._codes = None if question.codes is None else CodeBook(question.codes)
        self.uses_positions = self._codes is None and all(n == i + 1 for n, i in self._numerals.items())

    def find(self, value: object) -> int | None:
        """The option's index, or None.

        Raises
        ------
        ValueError
            If the text of one option is the code of another.
        """
        if not isinstance(value, str):
            return self._find_code(value)
        text = value.strip()
        by_text = self._texts.get(text, self._folded.get(fold_text(text)))
        if by_text is None:
            return self._find_code(value)
        if self._codes is not None:
            by_code = self._codes.find(value)
            if by_code is not None and by_code != by_text:
                options = self.question.options
                raise ValueError(
                    f"the answer {value!r} is the option {options[by_text]!r} by its text and {options[by_code]!r} by "
                    "its code: convert the column to numbers, so that the codes decide, or give other codes"
                )
        return by_text

    def _find_code(self, value: object) -> int | None:
        if self._codes is not None:
            return self._codes.find(value)
        number = as_number(value)
        if number is None:
            return None
        if number in self._numerals:
            return self._numerals[number]
        if self.uses_positions and number.is_integer() and 1 <= number <= self.question.n_options:
            return int(number) - 1
        return None

    def file_codes(self) -> list[Hashable]:
        """One code per option that finds it again: the question's codes, or what is matched in their place."""
        if self.question.codes is not None:
            return list(self.question.codes)
        if self.uses_positions:
            return list(range(1, self.question.n_options + 1))
        return [
            option if (n := as_number(option)) is None else (int(n) if n.is_integer() else n)
            for option in self.question.options
        ]


def list_values(values: Sequence[object], counts: Sequence[int], limit: int = 10) -> str:
    """Values with their counts, the most frequent first, for an error message."""
    ranked = sorted(zip(values, counts, strict=True), key=lambda pair: -pair[1])
    listed = ", ".join(f"{_show(value)} ({count:,} times)" for value, count in ranked[:limit])
    return listed + (f" and {len(ranked) - limit:,} more values" if len(ranked) > limit else "")


def _show(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else repr(value)
