"""The values of one variable: which are options, which are reasons for a missing answer, in which order."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from surveysim.datasets.codebook import LabelBook, MissingBook, Overrides, key_of, plain_code
from surveysim.datasets.ordering import (
    Entry,
    Ordered,
    by_code,
    distinct_texts,
    fill_numbers,
    order_options,
)
from surveysim.datasets.sorting import (
    Held,
    SortedValues,
    bring_back,
    drop_negative,
    hold,
    sort_labels,
    sort_numbers,
)
from surveysim.datasets.survey import Report
from surveysim.datasets.wording import MISSING_TEXTS
from surveysim.questions import Question
from surveysim.tables.matching import OptionMatcher, as_number, fold_text, list_values

__all__ = ["Values", "fit_question", "read_values"]


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
    declared: Sequence[Hashable],
    overrides: Overrides,
    report: Report,
    *,
    max_options: int,
    demanded: bool = False,
    believe_order: bool = True,
) -> Values | str:
    """Sort the values of a variable into options and missing answers.

    Parameters
    ----------
    name : str
        The variable.
    column : Series
        Its values.
    labels : mapping of code to label
    declared : list
        Codes, and (low, high) ranges, that the file declares missing.
    overrides : Overrides
        What the user declares missing.
    report : Report
        Gets what is odd.
    max_options : int
        A variable with more options is none to choose from.
    demanded : bool, default=False
        Whether the user named the variable: then numbers without labels become options, too.
    believe_order : bool, default=True
        Whether the order of an ordered categorical was meant.

    Returns
    -------
    Values or str
        In place of values, why the variable has no options.

    Raises
    ------
    ValueError
        If a demanded variable has numbers that look like undeclared codes for missing answers.
    """
    held = hold(name, column, labels, report)
    if isinstance(held, str):
        return held
    kinds = MissingBook(declared, overrides)
    found = sort_labels(held, kinds, report)
    if not held.is_text:
        bring_back(held, kinds, found)
        drop_negative(held, kinds, found, report)
    reason = sort_numbers(held, found, report, max_options, demanded)
    if reason is not None:
        return reason
    if held.is_text:
        found.options = _one_spelling(found.options, held.counts, name, report)
    entries = _entries(held, found, report, max_options)
    if len(entries) > max_options:
        return f"more than max_options={max_options} options ({len(entries):,})"
    if len(entries) < 2:
        return "a single answer" if entries else "no answers except missing ones"
    ordered = order_options(
        distinct_texts(entries, name, report), found.beside, name, report, has_order=held.has_order,
        is_numbered=found.numbered,
    )  # fmt: skip
    if held.is_categorical and column.cat.ordered:
        _believe(ordered, believe_order, name, report)
    return _as_values(held, found, ordered)


def _entries(held: Held, found: SortedValues, report: Report, max_options: int) -> list[Entry]:
    """All options, whether anybody chose them or not, in the order of the file."""
    by_key: dict[Hashable, Entry] = {key_of(code): (code, text) for code, text in found.unused.items()}
    for i, text in found.options.items():
        by_key.setdefault(text if held.is_text else held.key(i), (text if held.is_text else held.values[i], text))
    entries = list(by_key.values())
    if found.numbered:  # a numbered scale has all its numbers, whoever is in the sample
        entries += fill_numbers(entries, held.name, report, max_options)
    chosen = {key_of(held.values[i]) for i in found.options}
    idle = [text for code, text in found.unused.items() if key_of(code) not in chosen]
    if idle and not held.is_categorical and 2 <= len(entries) <= max_options:
        report.warn(held.name, "labels without values: options that nobody chose", 0, ", ".join(map(repr, idle)))
    in_order = held.is_categorical or (not held.is_text and all(as_number(code) is None for code, _ in entries))
    return entries if in_order else sorted(entries, key=by_code)


def _believe(ordered: Ordered, believe_order: bool, name: str, report: Report) -> None:
    """An ordered categorical is a scale, unless its order is one that `pd.read_stata` gives to every variable."""
    if believe_order:
        ordered.is_scale, ordered.why = True, "an ordered categorical"
    elif not ordered.is_scale:
        listed = ", ".join(text for _, text in ordered.entries[:3])
        what = "ordered categoricals without a scale in their labels, taken as unordered"
        report.doubt(name, what, 0, f"{listed} ...", f"ordinal={{{name!r}: True}}")


def _as_values(held: Held, found: SortedValues, ordered: Ordered) -> Values:
    place = {key_of(code): i for i, (code, _) in enumerate(ordered.entries)}
    kind_place = {kind: -2 - i for i, kind in enumerate(MISSING_TEXTS)} | {"blank": -1}
    target = [
        place[key_of(found.options[i] if held.is_text else value)]
        if i in found.options
        else kind_place[found.missing[i]]
        for i, value in enumerate(held.values)
    ]
    return Values(
        [text for _, text in ordered.entries],
        [plain_code(code) for code, _ in ordered.entries],
        np.array([*target, -1])[held.seen],
        len(found.options) if held.is_text else len(found.unused),
        ordered.is_scale,
        ordered.why,
        ordered.pinned,
        coded=held.has_order,
    )


def fit_question(
    name: str, column: pd.Series, labels: Mapping[Hashable, str], declared: Sequence[Hashable],
    overrides: Overrides, question: Question, report: Report,
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
        raise ValueError(f"{name!r} cannot be a question: its values are not single values") from None
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
