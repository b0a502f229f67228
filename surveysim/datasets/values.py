"""The values of one variable: which are options, which are reasons for a missing answer, in which order."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from surveysim.datasets.codebook import LabelBook, MissingBook, key_of, plain_code
from surveysim.datasets.survey import Report
from surveysim.datasets.wording import MISSING_TEXTS, is_neutral, outside_scale, scale_scores
from surveysim.questions import Question
from surveysim.tables.matching import OptionMatcher, as_number, fold_text, list_values

__all__ = ["Values", "fit_question", "monotone", "read_values"]


@dataclass
class Values:
    """One variable in the terms of its labels.

    Attributes
    ----------
    texts, codes : list
        Options in order, and what the file holds for each.
    option : int array of shape (n_respondents,)
        0..K-1: an option; -1: no value; -2 - i: missing for the reason ``list(MISSING_TEXTS)[i]``.
    n_labelled : int
        Options whose text is a label of the file (the others are their own number).
    ordered : bool or None
        Whether the options lie on a scale, None if that cannot be told.
    why : str
        The reason for `ordered`.
    pinned : list of str
        Options outside the scale.
    coded : bool
        Whether the file orders the options, by codes or as a categorical; text alone does not.
    """

    texts: list[str]
    codes: list[Hashable]
    option: np.ndarray
    n_labelled: int
    ordered: bool | None
    why: str
    pinned: list[str]
    coded: bool = True

    @property
    def counts(self) -> dict[str, int]:
        """Respondents by kind of missing answer, and ``"answered"``."""
        counted = {"answered": int((self.option >= 0).sum())}
        for i, kind in enumerate(MISSING_TEXTS):
            counted[kind] = int((self.option == -2 - i).sum())
        counted["not asked"] += int((self.option == -1).sum())
        return counted

    def as_answers(self, index: pd.Index) -> pd.Series:
        """A categorical of option texts and of the reasons for missing answers that occur."""
        categories = [*self.texts]
        target = np.full(len(self.texts) + len(MISSING_TEXTS) + 1, -1, dtype=np.int64)
        target[: len(self.texts)] = np.arange(len(self.texts))
        for i, text in enumerate(MISSING_TEXTS.values()):
            if (self.option == -2 - i).any() and text not in categories:
                target[-2 - i] = len(categories)
                categories.append(text)
            elif text in categories:
                target[-2 - i] = categories.index(text)
        return pd.Series(
            pd.Categorical.from_codes(target[self.option], dtype=pd.CategoricalDtype(categories)), index=index
        )

    def as_levels(self, index: pd.Index, ordered: bool) -> pd.Series:
        """A categorical of the options alone; in an ordered one, options outside the scale are missing."""
        keep = [text for text in self.texts if not (ordered and text in self.pinned)]
        target = np.array([keep.index(text) if text in keep else -1 for text in self.texts] + [-1], dtype=np.int64)
        chosen = target[np.where(self.option < 0, -1, self.option)]
        return pd.Series(
            pd.Categorical.from_codes(chosen, dtype=pd.CategoricalDtype(keep, ordered=ordered)), index=index
        )


def read_values(
    name: str,
    column: pd.Series,
    labels: Mapping[Hashable, str],
    declared: Sequence[Any],
    overrides: Mapping[Hashable, str],
    report: Report,
    *,
    max_options: int,
    demanded: bool = False,
) -> Values | str:
    """Sort the values of a variable into options and missing answers.

    Parameters
    ----------
    labels : mapping of code to label
    declared : list
        Codes, and (low, high) ranges, that the file declares missing.
    overrides : mapping of code to kind
        What the user declares missing.
    max_options : int
        A variable with more options is none to choose from.
    demanded : bool, default=False
        Whether the user named the variable: then numbers without labels become options, too.

    Returns
    -------
    Values or str
        In place of values, why the variable has no options.

    Raises
    ------
    ValueError
        If a demanded variable has numbers that look like undeclared codes for missing answers.
    """
    if pd.api.types.is_bool_dtype(column.dtype):
        column = column.astype(object).map({True: "True", False: "False"})
    if isinstance(column.dtype, pd.CategoricalDtype) and not labels:
        labels = {category: str(category) for category in column.cat.categories}
        is_categorical = True
    else:
        is_categorical = False
    try:
        seen, uniques = pd.factorize(column.astype(object) if is_categorical else column)
    except TypeError:
        return "its values are no single values"
    values = list(uniques)
    counts = np.bincount(seen[seen >= 0], minlength=len(values))
    if counts.sum() == 0:
        return "all answers are missing"
    book = LabelBook(labels, report, name)
    kinds = MissingBook(declared, overrides)
    text_like = not book.labels and any(isinstance(value, str) for value in values)

    missing: dict[int, str] = {}  # position among the values -> kind
    options: dict[int, str] = {}
    unlabelled: list[int] = []
    for i, value in enumerate(values):
        if isinstance(value, str) and not value.strip():
            missing[i] = "blank"
            continue
        label = str(plain_code(value)).strip() if text_like else book.find(value)
        kind = kinds.find(value, label)
        if kind is not None:
            missing[i] = kind
        elif label is not None:
            options[i] = label
        else:
            unlabelled.append(i)
    unused = {code: text for code, text in book.labels.items() if kinds.find(code, text) is None}
    if len(unused) + (len(options) if text_like else 0) < 2:
        # "Knows" / "don't know": where a label is not declared missing and nothing else is left, it is an answer
        back = {i: book.find(values[i]) for i, kind in missing.items() if kind != "blank"}
        back = {i: text for i, text in back.items() if text and not kinds.is_declared(values[i])}
        if len(options) + len(back) >= 2 and options and not unlabelled:
            options |= back  # type: ignore[arg-type]
            unused |= {values[i]: text for i, text in back.items()}  # type: ignore[misc]
            missing = {i: kind for i, kind in missing.items() if i not in back}

    for code in _negative_apart(unused):
        text = unused.pop(code)
        gone = [i for i in options if key_of(values[i]) == key_of(code)]
        report.warn(name, "negative codes apart from the others, taken as no answer", int(counts[gone].sum()),
                    f"{code}: {text}")  # fmt: skip
        missing |= dict.fromkeys(gone, "skipped")
        options = {i: label for i, label in options.items() if i not in gone}
    n_labelled = len(options) if text_like else len(unused)
    numbers = [as_number(values[i]) for i in unlabelled]
    ends = [number for code in unused if (number := as_number(code)) is not None]
    within = [
        number is not None and number % 1 == 0 and ((demanded and n_labelled == 0) or
        (len(ends) >= 2 and min(ends) < number < max(ends)))
        for number in numbers
    ]  # fmt: skip
    if unlabelled and n_labelled == 0 and not demanded:
        return "values without labels" if len(unlabelled) <= max_options else "numbers without labels"
    if len(unlabelled) > max_options and not all(within):
        return "numbers, few of them with labels" if n_labelled else "numbers without labels"
    if n_labelled == 0 and demanded:
        _refuse_sentinels(name, [n for n in numbers if n is not None])
        if not all(within):
            return "numbers with fractions, or text among numbers, without labels"
    for i, fits in zip(unlabelled, within, strict=True):
        if fits:
            number = as_number(values[i])
            options[i] = f"{number:g}"
    stray = [i for i, fits in zip(unlabelled, within, strict=True) if not fits]
    if stray:
        listed = list_values([values[i] for i in stray], counts[stray].tolist())
        report.warn(name, "values without labels, taken as no answer", int(counts[stray].sum()), listed)
        missing |= dict.fromkeys(stray, "skipped")

    if text_like:
        options = _one_spelling(options, counts, name, report)
    by_key: dict[Hashable, tuple[Hashable, str]] = {key_of(code): (code, text) for code, text in unused.items()}
    for i, text in options.items():
        by_key.setdefault(text if text_like else key_of(values[i]), (text if text_like else values[i], text))
    entries = list(by_key.values())
    if any(within):  # a numbered scale has all its numbers, whoever is in the sample
        entries += _numbers_between(entries, name, report, max_options)
    if len(entries) > max_options:
        return f"more than max_options={max_options} options ({len(entries):,})"
    if len(entries) < 2:
        return "a single answer" if entries else "no answers besides missing ones"
    idle = [text for code, text in unused.items() if key_of(code) not in {key_of(values[i]) for i in options}]
    if idle and not is_categorical:
        report.warn(name, "labels without values: options that nobody chose", 0, ", ".join(map(repr, idle)))
    keep_order = is_categorical or (all(as_number(code) is None for code, _ in entries) and not text_like)
    if not keep_order:
        entries.sort(key=_sorting)
    entries = _distinct(entries, name, report)
    entries, ordered, why, pinned = _order(entries, text_like, name, report)
    if not ordered and any(within) and _middle_labelled([entry for entry in entries if entry[1] not in pinned]):
        ordered, why = True, "a numbered scale with labels at its ends and middle"
    if is_categorical and column.cat.ordered:
        ordered, why = True, "an ordered categorical"
    place = {key_of(code): i for i, (code, _) in enumerate(entries)}
    kind_place = {kind: -2 - i for i, kind in enumerate(MISSING_TEXTS)} | {"blank": -1}
    target = np.array(
        [place[key_of(options[i] if text_like else value)] if i in options else kind_place[missing[i]]
         for i, value in enumerate(values)] + [-1]
    )  # fmt: skip
    return Values(
        [text for _, text in entries],
        [plain_code(code) for code, _ in entries],
        target[seen],
        n_labelled,
        ordered,
        why,
        pinned,
        coded=not text_like,
    )


def fit_question(
    name: str, column: pd.Series, labels: Mapping[Hashable, str], declared: Sequence[Any],
    overrides: Mapping[Hashable, str], question: Question, report: Report,
) -> Values:  # fmt: skip
    """The values of a variable as the options of a Question that the user gives.

    Raises
    ------
    ValueError
        If values are neither options nor missing answers; the message lists them.
    """
    try:
        seen, uniques = pd.factorize(column.astype(object))
    except TypeError:  # lists, as Parquet can hold
        raise ValueError(f"{name!r} cannot be a question: its values are no single values") from None
    values = list(uniques)
    book, kinds, matcher = LabelBook(labels, report, name), MissingBook(declared, overrides), OptionMatcher(question)
    target, unknown = [], []
    for i, value in enumerate(values):
        label = book.find(value)
        if label is None and isinstance(value, str):
            label = value.strip()
        found = matcher.find(value)
        if found is None and label:
            found = matcher.find(label)
        kind = None if found is not None else kinds.find(value, label)
        if found is None and kind is None and label != "":
            unknown.append(i)
        target.append(-1 if found is None and kind is None else found if found is not None else _place(kind))
    if unknown:
        counts = np.bincount(seen[seen >= 0], minlength=len(values))[unknown].tolist()
        raise ValueError(
            f"question {name!r}: {list_values([values[i] for i in unknown], counts)} match none of "
            f"{list(question.options)}; give the Question codes, or declare them missing={{{name!r}: {{...}}}}"
        )
    codes: list[Hashable] = list(question.codes) if question.codes is not None else list(question.options)
    option = np.array([*target, -1], dtype=np.int64)[seen]
    return Values(list(question.options), codes, option, len(codes), question.ordinal, "given", list(question.pinned))


def _place(kind: str | None) -> int:
    return -2 - list(MISSING_TEXTS).index(str(kind))


def _sorting(entry: tuple[Hashable, str]) -> tuple[int, float, str]:
    number = as_number(entry[0])
    return (0, number, "") if number is not None else (1, 0.0, str(entry[0]))


def _one_spelling(options: dict[int, str], counts: np.ndarray, name: str, report: Report) -> dict[int, str]:
    """ "Yes", "yes" and " Yes" are one answer, in its most frequent spelling."""
    spellings: dict[str, list[int]] = {}
    for i, text in options.items():
        spellings.setdefault(fold_text(text), []).append(i)
    merged: dict[int, str] = {}
    for found in spellings.values():
        best = max(found, key=lambda i: (int(counts[i]), options[i]))
        merged |= dict.fromkeys(found, options[best])
    differ = sorted({f"{options[i]!r} as {text!r}" for i, text in merged.items() if options[i] != text})
    if differ:
        report.note(name, "spellings of one answer, merged", 0, ", ".join(differ))
    return merged


def _negative_apart(labels: Mapping[Hashable, str]) -> list[Hashable]:
    """Negative codes with a gap to the others, as -9 and -8 beside 1 to 5; -2 to 2 is a scale and has none."""
    numbers = {code: number for code in labels if (number := as_number(code)) is not None}
    negative = [code for code, number in numbers.items() if number < 0]
    others = [number for number in numbers.values() if number >= 0]
    if len(numbers) < len(labels) or len(others) < 2 or not negative:
        return []
    return negative if min(others) - max(numbers[code] for code in negative) > 1 else []


def _numbers_between(
    entries: Sequence[tuple[Hashable, str]], name: str, report: Report, max_options: int
) -> list[tuple[Hashable, str]]:
    """The whole numbers of a scale that nobody chose, between those that somebody did."""
    numbers = {as_number(code) for code, _ in entries}
    if any(number is None or number % 1 for number in numbers):
        return []
    low, high = int(min(n for n in numbers if n is not None)), int(max(n for n in numbers if n is not None))
    between: list[tuple[Hashable, str]] = [(k, str(k)) for k in range(low, high + 1) if float(k) not in numbers]
    if not between or len(entries) + len(between) > max_options:
        return []
    report.note(name, "numbers of the scale that nobody chose, kept as options", 0, ", ".join(t for _, t in between))
    return between


def _middle_labelled(entries: Sequence[tuple[Hashable, str]]) -> bool:
    """Whether numbers have labels at their ends and in the middle alone, as 0, 5 and 10 of 0 to 10."""
    numbers = [as_number(code) for code, _ in entries]
    if any(number is None for number in numbers):
        return False
    low, high = min(n for n in numbers if n is not None), max(n for n in numbers if n is not None)
    labelled = {n for n, (_, text) in zip(numbers, entries, strict=True) if n is not None and text != f"{n:g}"}
    return labelled == {low, (low + high) / 2, high} and len(numbers) >= len(labelled) + 2


def _refuse_sentinels(name: str, numbers: Sequence[float]) -> None:
    """Numbers such as 8, 9, 98, 99 or -1 apart from the others: guessing would be silent, so ask."""
    ordinary = sorted(n for n in numbers if 0 <= n <= 11)
    suspects = [n for n in numbers if n < 0 or n in (66, 77, 88, 99, 96, 97, 98, 997, 998, 999, 9998, 9999)]
    if len(ordinary) >= 3 and ordinary[-1] in (8, 9) and ordinary[-1] - 1 > ordinary[-2] + 1:
        suspects.append(ordinary[-1])
    suspects = [n for n in suspects if not ordinary or n < 0 or n > ordinary[-1] + 1 or n == ordinary[-1]]
    if suspects and ordinary:
        listed = ", ".join(f"{n:g}" for n in sorted(set(suspects)))
        raise ValueError(
            f"{name!r} has no labels, and {listed} look like codes for a missing answer: declare them, "
            f'missing={{{name!r}: {{{suspects[0]:g}: "don\'t know"}}}}, or give a Question with its codes'
        )


def _distinct(entries: list[tuple[Hashable, str]], name: str, report: Report) -> list[tuple[Hashable, str]]:
    texts = [text for _, text in entries]
    if len(set(texts)) == len(texts):
        return entries
    repeated = sorted({text for text in texts if texts.count(text) > 1})
    report.warn(name, "duplicated labels, told apart by their code", 0, ", ".join(map(repr, repeated)))
    return [(code, f"{text} [{plain_code(code)}]" if text in repeated else text) for code, text in entries]


def _order(
    entries: list[tuple[Hashable, str]], text_like: bool, name: str, report: Report
) -> tuple[list[tuple[Hashable, str]], bool | None, str, list[str]]:
    """The order of the options, whether it is a scale, why, and which options are outside it."""
    outside = [entry for entry in entries if outside_scale(entry[1])]
    if len(entries) - len(outside) < 2:
        outside = []
    line = [entry for entry in entries if entry not in outside]
    scores = scale_scores([text for _, text in line])
    pinned = [text for _, text in outside]
    if scores is None:
        return [*line, *outside], None, "no scale recognised in the labels", pinned
    if text_like:  # text has no codes to give an order
        line = [entry for _, entry in sorted(zip(scores, line, strict=True), key=lambda pair: pair[0])]
        return [*line, *outside], True, "a scale, ordered by its labels", pinned
    if monotone(scores):
        return [*line, *outside], True, "labels in the order of a scale", pinned
    middle = [i for i, (_, text) in enumerate(line) if is_neutral(text)]
    if len(middle) == 1:
        rest = [i for i in range(len(line)) if i != middle[0]]
        if monotone([scores[i] for i in rest]) and len(rest) % 2 == 0:
            rest.insert(len(rest) // 2, middle[0])
            report.note(name, "the neutral option was moved to the middle of the scale", 0, repr(line[middle[0]][1]))
            return [*(line[i] for i in rest), *outside], True, "a scale; its neutral option moved to the middle", pinned
    return [*line, *outside], None, "labels of a scale, but codes in another order", pinned


def monotone(scores: Sequence[float]) -> bool:
    """Whether they only rise or only fall; equal neighbours do both."""
    steps = np.diff(np.asarray(scores, dtype=float))
    return bool((steps >= 0).all() or (steps <= 0).all())
