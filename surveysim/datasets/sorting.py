"""The distinct values of a variable, sorted into answers, missing answers and the unexplained."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from surveysim.datasets.codebook import LabelBook, MissingBook, key_of, plain_code
from surveysim.datasets.decisions import MOST_LABELS, LabelledCode, decide
from surveysim.datasets.ordering import numbered_scale
from surveysim.datasets.sentinels import codes_apart
from surveysim.datasets.survey import Report
from surveysim.tables.matching import as_number, list_values

__all__ = ["Held", "SortedValues", "bring_back", "drop_negative", "hold", "sort_labels", "sort_numbers"]


@dataclass
class Held:
    """The distinct values of a variable, and what the file calls them.

    Attributes
    ----------
    values : list
        Distinct, blanks apart.
    counts : int array
        Respondents of each.
    seen : int array of shape (n_respondents,)
        Positions in `values`; -1 for no value.
    book : LabelBook
    is_text : bool
        Whether the values are the answers' own words.
    has_order : bool
        Whether the file gives the options an order.
    is_categorical : bool
    """

    name: str
    values: list[Any]
    counts: np.ndarray
    seen: np.ndarray
    book: LabelBook
    is_text: bool
    has_order: bool
    is_categorical: bool

    def label(self, i: int) -> str | None:
        """What a value is called."""
        return str(plain_code(self.values[i])).strip() if self.is_text else self.book.find(self.values[i])

    def key(self, i: int) -> Hashable:
        """What a value is looked up by."""
        label = self.label(i)
        return label if self.is_text else key_of(self.values[i])


@dataclass
class SortedValues:
    """Where every value goes, while that is being found out; values are positions in `Held.values`.

    Attributes
    ----------
    options : dict of int to str
        Answers and their text.
    missing : dict of int to str
        Missing answers and their kind; "blank" for empty text.
    unlabelled : list of int
        Values that the file does not explain.
    unused : dict of code to str
        All labels that are answers, whether anybody chose them or not.
    beside : set of str
        Texts outside the scale.
    """

    options: dict[int, str]
    missing: dict[int, str]
    unlabelled: list[int]
    unused: dict[Hashable, str]
    beside: set[str]
    numbered: bool = False


def hold(name: str, column: pd.Series, labels: Mapping[Hashable, str], report: Report) -> Held | str:
    """The distinct values of a column, or why there are none to sort."""
    if pd.api.types.is_bool_dtype(column.dtype):
        column = column.astype(object).map({True: "True", False: "False"})
    is_categorical = isinstance(column.dtype, pd.CategoricalDtype) and not labels
    has_order = True
    if is_categorical:
        labels = {category: str(category) for category in column.cat.categories}
        has_order = column.cat.ordered or not _is_alphabetical(list(labels.values()))
        column = column.astype(object)
    try:
        seen, uniques = pd.factorize(column)
    except TypeError:
        return "its values are not single values"
    values = list(uniques)
    counts = np.bincount(seen[seen >= 0], minlength=len(values))
    if counts.sum() == 0:
        return "all answers are missing"
    book = LabelBook(labels, report, name)
    is_text = not book.labels and any(isinstance(value, str) for value in values)
    return Held(name, values, counts, seen, book, is_text, has_order and not is_text, is_categorical)


def _is_alphabetical(categories: list[str]) -> bool:
    """Whether categories are in the order that readers give them which do not know another."""
    return len(categories) > 2 and categories == sorted(categories)


_MARKS = re.compile(r"[^\w+<>=]+")


def _blanks(held: Held) -> set[int]:
    """Empty texts, and "-" or "." where no other mark is an answer."""
    texts = {i: value.strip() for i, value in enumerate(held.values) if isinstance(value, str)}
    marks = {text for text in texts.values() if text and not re.search(r"\w", text)}
    drop = marks if len(marks) == 1 and all(map(_MARKS.fullmatch, marks)) else set()
    return {i for i, text in texts.items() if not text or (text in drop and held.book.find(text) is None)}


def sort_labels(held: Held, kinds: MissingBook, report: Report) -> SortedValues:
    """Labels into answers and missing answers; values without a label apart."""
    blank = _blanks(held)
    named = {i: label for i in range(len(held.values)) if i not in blank and (label := held.label(i)) is not None}
    chosen: dict[Hashable, int] = {}
    for i in named:
        key = key_of(held.values[i])
        chosen[key] = chosen.get(key, 0) + int(held.counts[i])
    if held.is_text:
        codes = [LabelledCode(held.values[i], label, int(held.counts[i])) for i, label in named.items()]
    else:
        codes = [LabelledCode(code, text, chosen.get(key_of(code), 0)) for code, text in held.book.labels.items()]
    loose = [i for i in range(len(held.values)) if i not in blank and i not in named]
    numbers = [number for i in loose if (number := as_number(held.values[i])) is not None]
    decided = decide(
        held.name,
        codes,
        kinds,
        report,
        is_text=held.is_text or held.is_categorical,
        total=int(held.counts.sum()),
        unlabelled=numbers if len(numbers) <= MOST_LABELS else (),
    )
    found = SortedValues({}, dict.fromkeys(blank, "blank"), [], {}, decided.beside)
    for i, value in enumerate(held.values):
        if i in blank:
            continue
        kind = decided.missing.get(key_of(value)) if i in named else kinds.find(value, None)
        if kind is not None:
            found.missing[i] = kind
        elif i in named:
            found.options[i] = named[i]
        else:
            found.unlabelled.append(i)
    found.unused = {code: text for code, text in held.book.labels.items() if key_of(code) not in decided.missing}
    return found


def bring_back(held: Held, kinds: MissingBook, found: SortedValues) -> None:
    """ "Knows" / "don't know": where a label is not declared missing and nothing else is left, it is an answer."""
    if len(found.unused) > 1 or not found.options or found.unlabelled:
        return
    labels = {i: held.book.find(held.values[i]) for i, kind in found.missing.items() if kind != "blank"}
    back = {i: text for i, text in labels.items() if text and not kinds.is_declared(held.values[i], text)}
    if len(found.options) + len(back) >= 2:
        found.options |= back
        found.unused |= {held.values[i]: text for i, text in back.items()}
        found.missing = {i: kind for i, kind in found.missing.items() if i not in back}


def drop_negative(held: Held, kinds: MissingBook, found: SortedValues, report: Report) -> None:
    """Labelled negative codes with a gap to the others, as -9 and -8 beside 1 to 5, are not answers."""
    numbers = {code: number for code in found.unused if (number := as_number(code)) is not None}
    apart = [number for number in codes_apart(numbers.values()) if number < 0]
    if len(numbers) < len(found.unused) or not apart:
        return
    for code in [code for code, number in numbers.items() if number in apart and not kinds.is_answer(code)]:
        text = found.unused.pop(code)
        gone = [i for i in found.options if key_of(held.values[i]) == key_of(code)]
        report.warn(held.name, "negative codes apart from the others, taken as no answer",
                    int(held.counts[gone].sum()), f"{code}: {text}")  # fmt: skip
        found.missing |= dict.fromkeys(gone, "skipped")
        found.options = {i: label for i, label in found.options.items() if i not in gone}


def sort_numbers(held: Held, found: SortedValues, report: Report, max_options: int, demanded: bool) -> str | None:
    """Numbers without a label are points of a numbered scale, or values that the file does not explain."""
    if not found.unlabelled:
        return None
    n_labelled = len(found.options) if held.is_text else len(found.unused)
    numbers = [as_number(held.values[i]) for i in found.unlabelled]
    fits = _on_scale(numbers, found.unused, n_labelled, demanded)
    if n_labelled == 0 and not demanded:
        return "values without labels" if len(numbers) <= max_options else "numbers without labels"
    if (len(numbers) > max_options and not all(fits)) or (_is_top_coded(found.unused, numbers) and not demanded):
        return "numbers, few of them with labels" if n_labelled else "numbers without labels"
    if n_labelled == 0:
        _refuse_sentinels(held.name, [number for number in numbers if number is not None])
        if not all(fits):
            return "numbers with fractions, or text among numbers, without labels"
    stray = []
    for i, number, is_point in zip(found.unlabelled, numbers, fits, strict=True):
        if is_point:
            found.options[i] = f"{number:g}"
        else:
            stray.append(i)
    found.numbered = any(fits)
    if stray:
        listed = list_values([held.values[i] for i in stray], held.counts[stray].tolist())
        report.warn(held.name, "values without labels, taken as no answer", int(held.counts[stray].sum()), listed)
        found.missing |= dict.fromkeys(stray, "skipped")
    return None


def _on_scale(
    numbers: list[float | None], labels: Mapping[Hashable, str], n_labelled: int, demanded: bool
) -> list[bool]:
    """Which numbers are points of a scale whose ends have labels, or that the user asked for."""
    ends = [number for code in labels if (number := as_number(code)) is not None]
    if n_labelled == 0:
        return [demanded and number is not None and number % 1 == 0 for number in numbers]
    if _is_top_coded(labels, numbers):
        return [number is not None for number in numbers]
    if not numbered_scale(labels):
        return [False] * len(numbers)
    return [number is not None and number % 1 == 0 and min(ends) < number < max(ends) for number in numbers]


def _is_top_coded(labels: Mapping[Hashable, str], numbers: Sequence[float | None]) -> bool:
    """Whether only the last of several whole numbers has a label: "8 or more" of 0 to 8 is an amount."""
    tops = [as_number(code) for code in labels]
    if len(tops) != 1 or tops[0] is None or len(numbers) < 2:
        return False
    return all(number is not None and number % 1 == 0 and 0 <= number < tops[0] for number in numbers)


def _refuse_sentinels(name: str, numbers: Sequence[float]) -> None:
    """Numbers such as 8, 9, 98, 99 or -1 apart from the others: guessing would be silent, so ask."""
    suspects = codes_apart(numbers)
    if suspects:
        listed = ", ".join(f"{n:g}" for n in suspects)
        raise ValueError(
            f"{name!r} has no labels, and {listed} look like codes for a missing answer: declare them, "
            f'missing={{{name!r}: {{{suspects[0]:g}: "don\'t know"}}}} (None for an answer), or give a '
            "Question with its codes"
        )
