"""Backgrounds of respondents from the variables of a file: age bands, ordered and unordered levels, plain numbers."""

from __future__ import annotations

import itertools
import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from surveysim.datasets.codebook import LabelBook, MissingBook, Overrides, key_of
from surveysim.datasets.no_answer import read_label
from surveysim.datasets.ordering import monotone
from surveysim.datasets.roles import ORDERED_KINDS
from surveysim.datasets.scales import scale_scores
from surveysim.datasets.sentinels import ages_apart, amounts_apart
from surveysim.datasets.survey import Report
from surveysim.datasets.values import Values, read_values

__all__ = ["Source", "age_in_bands", "check_bands", "describe_values", "read_background"]

OLDEST = 120
"""Ages above are codes or typing errors."""

MAX_CATEGORIES = 5_000
"""Labels beyond which a background is read as text or numbers."""


def check_bands(age_bands: Sequence[float]) -> list[int]:
    """The lower ends of all bands but the first, ascending.

    Raises
    ------
    ValueError
        If they are not ascending whole numbers between 1 and 120.
    """
    bands = list(age_bands)
    ascending = all(a < b for a, b in itertools.pairwise(bands))
    if not bands or not ascending or any(b != int(b) or not 1 <= b <= OLDEST for b in bands):
        raise ValueError(
            f"age_bands must be ascending whole years from 1 to {OLDEST}, such as (30, 45, 65): {age_bands}"
        )
    return [int(band) for band in bands]


def age_in_bands(age: pd.Series, bands: Sequence[int]) -> pd.Series:
    """Age groups as an ordered categorical whose names do not depend on who is in the sample.

    Examples
    --------
    >>> import pandas as pd
    >>> age_in_bands(pd.Series([17, 30, 64, 65, None]), [30, 45, 65]).tolist()
    ['under 30', '30-44', '45-64', '65 or older', nan]
    """
    names = [f"under {bands[0]}"]
    names += [f"{low}-{high - 1}" if high - 1 > low else f"{low}" for low, high in itertools.pairwise(bands)]
    names.append(f"{bands[-1]} or older")
    return pd.cut(age, [-np.inf, *bands, np.inf], right=False, labels=names)


@dataclass(frozen=True)
class Source:
    """A variable that describes respondents, and how to read it.

    Attributes
    ----------
    name : str
    column : Series
    labels : mapping of code to label
    declared : list
        Codes, and (low, high) ranges, that the file declares missing.
    overrides : Overrides
        What the user declares.
    kind : str
        One of `surveysim.datasets.roles.BACKGROUND_KINDS`, "birth year", "ordered", "nominal", "number" or "levels".
    bands : sequence of int
        Where age groups begin.
    year : int or None
        Of the survey.
    max_levels : int
    demanded : bool
        Whether the user named the variable.
    believe_order : bool
        Whether the order of an ordered categorical was meant.
    """

    name: str
    column: pd.Series
    labels: Mapping[Hashable, str]
    declared: Sequence[Hashable]
    overrides: Overrides
    kind: str
    bands: Sequence[int]
    year: int | None
    max_levels: int
    demanded: bool
    believe_order: bool = True

    def take(self, levels: pd.Series, reason: str, report: Report) -> tuple[pd.Series, str] | str:
        """The background, unless it has too many levels, or none."""
        n_levels = levels.nunique()
        if n_levels == 0:
            return "all answers are missing"
        if n_levels > self.max_levels:
            if not self.demanded:
                return f"{n_levels:,} levels, more than max_levels={self.max_levels}"
            what = "a background with very many levels, which makes cells nearly empty"
            report.warn(self.name, what, 0, f"{n_levels:,} levels")
        return levels, reason


def read_background(source: Source, report: Report) -> tuple[pd.Series, str] | str:
    """A background as `tabulate` wants it, and the reason for its form; or why there is none."""
    column = source.column
    try:
        pd.factorize(column)
    except TypeError:  # lists, as Parquet can hold
        return "its values are not single values"
    if pd.api.types.is_bool_dtype(column.dtype):
        return source.take(column, "a boolean", report)
    if source.kind in ("age", "birth year", "number"):
        numbers = _numbers(source, report)
        if numbers is not None:
            return _from_numbers(source, numbers, report)
    if isinstance(column.dtype, pd.CategoricalDtype) and not source.labels:
        levels = _from_categorical(source)
        if levels is not None:
            return source.take(levels, "a categorical of the file", report)
    aside = Report()
    values = read_values(
        source.name, column, source.labels, source.declared, source.overrides, aside, max_options=MAX_CATEGORIES,
        believe_order=source.believe_order,
    )  # fmt: skip
    if isinstance(values, str):
        return _from_codes(source, values, report)
    report.add(Report([row for row in aside.rows if "nobody chose" not in row[2]], aside.doubts))
    return _from_values(source, values, report)


def _from_numbers(source: Source, numbers: pd.Series, report: Report) -> tuple[pd.Series, str] | str:
    """Ages in bands; other amounts as they are."""
    if source.kind == "number":
        _mention_sentinels(source, numbers, report)
        return source.take(numbers, "a number", report)
    if source.kind == "birth year":
        if source.year is None:
            return "a year of birth, but the year of the survey is not known"
        numbers = source.year - numbers
    else:
        _mention_ages(source, numbers, report)
    return _banded(source.name, numbers, source.bands, report)


def _from_categorical(source: Source) -> pd.Series | None:
    """A categorical of the file as it is, if all its categories are levels and their order can be believed."""
    column, kind = source.column, source.kind
    if column.cat.categories.size > source.max_levels:
        column = column.cat.remove_unused_categories()
    texts = [str(category) for category in column.cat.categories]
    if len(texts) > MAX_CATEGORIES:
        return column
    if any(read_label(text).is_certain for text in texts):
        return None
    scores = scale_scores(texts) if 2 < len(texts) <= 50 and kind not in _NOMINAL else None
    if column.cat.ordered and not source.believe_order and kind not in ORDERED_KINDS:
        return column if scores is not None and monotone(scores) else column.cat.as_unordered()
    if not column.cat.ordered and scores is not None and texts == sorted(texts):  # alphabetical: nobody's order
        order = sorted(range(len(texts)), key=scores.__getitem__)
        return column.cat.reorder_categories([column.cat.categories[i] for i in order], ordered=True)
    return column


def _from_codes(source: Source, why_not: str, report: Report) -> tuple[pd.Series, str] | str:
    """A variable without labels, or with few: an amount, or codes of names."""
    if why_not == "all answers are missing" or why_not.startswith(("a single", "no answers")):
        return why_not
    numbers = _numbers(source, report)
    if numbers is None:
        return why_not
    _mention_sentinels(source, numbers, report)
    # Codes of regions or parties are names, not amounts. Of two values a number says the same as a name.
    if source.kind == "nominal" or (source.kind in _NOMINAL and numbers.nunique() > 2):
        codes = sorted(numbers.dropna().unique())
        named = pd.Categorical(numbers.map("{:g}".format, na_action="ignore"), [f"{code:g}" for code in codes])
        return source.take(pd.Series(named, index=numbers.index), "unordered codes", report)
    return source.take(numbers, "a number: it has an order", report)


def _from_values(source: Source, values: Values, report: Report) -> tuple[pd.Series, str] | str:
    """Levels from labels or text, ordered where they have an order."""
    kind, name = source.kind, source.name
    is_ordered = kind == "ordered" or (kind not in _NOMINAL and values.ordered is True)
    if kind in ORDERED_KINDS and values.coded:  # codes give an order; the alphabet does not
        is_ordered = True
    if is_ordered:
        beside = np.isin(values.option, [i for i, text in enumerate(values.texts) if text in values.pinned])
        if beside.any():
            what = "levels outside the order, taken as not stated"
            report.note(name, what, int(beside.sum()), ", ".join(values.pinned))
    missing = int((values.option < -1).sum())
    if missing:
        report.note(name, _NOT_STATED, missing)
    levels = values.as_levels(source.column.index, is_ordered)
    return source.take(levels, f"{'ordered' if is_ordered else 'unordered'} levels", report)


_NOT_STATED = "background not stated (don't know, refused, no answer)"

# Labels such as "1 Northeast" or "Region 2" must not make these into scales.
_NOMINAL = frozenset(
    {"nominal", "gender", "country", "region", "race", "religion", "marital status", "employment", "urban"}
)


def _numbers(source: Source, report: Report) -> pd.Series | None:
    """The variable as numbers, codes for missing answers as NaN; None if it is not a number."""
    column = source.column
    if isinstance(column.dtype, pd.CategoricalDtype) or pd.api.types.is_bool_dtype(column.dtype):
        return None
    book, kinds = LabelBook(source.labels, Report(), source.name), MissingBook(source.declared, source.overrides)
    _, uniques = pd.factorize(column.astype(object))
    texts = {value for value in uniques if isinstance(value, str)}
    marks = {value for value in texts if not re.search(r"\w", value)}
    absent = [value for value in uniques if value not in marks and kinds.find(value, _label(value, book)) is not None]
    # Age 97 may be labelled "97 or older", but a variable whose ordinary values are all labelled is not a number.
    ordinary = [value for value in uniques if value not in absent and value not in marks]
    labelled = [value for value in ordinary if (label := book.find(value)) is not None and not label[:1].isdigit()]
    if not ordinary or len(labelled) > max(2, len(ordinary) // 4):
        return None
    written = {text: number for text in texts if (number := _written_amount(text)) is not None}
    cleaned = column.where(~column.isin([*absent, *marks]))
    read = cleaned.map(lambda value: written.get(value, value)) if written else cleaned
    numbers = pd.to_numeric(read, errors="coerce")
    if (numbers.isna() & cleaned.notna()).any():
        return None
    if len(absent):
        report.note(source.name, _NOT_STATED, int(column.isin(absent).sum()))
    return numbers.astype(np.float64)


def _label(value: Hashable, book: LabelBook) -> str | None:
    label = book.find(value)
    return value.strip() if label is None and isinstance(value, str) and not book.labels else label


# "90+", "85 or older", "under 18", "80 und älter", "75 años y más", "80歳以上": the first is the age.
_AMOUNT = re.compile(
    r"(?:under|below|less than|up to|<|≤|unter|bis|menos de|moins de|meno di)?\s*(\d{1,3})\s*"
    r"(?:\+|years?(?: old)?|yrs?|jahre?|a[nñ]os|ans|anni|anos|jaar|lat|лет|歳|岁|歲|세)?\s*"
    r"(?:(?:or|and|und|oder|o|y|e|et|ou|of|i|и) (?:older|over|above|more|up|älter|mehr|m[aá]s|mais|plus|oltre|più|ouder"
    r"|meer|więcej|старше|больше)|以上|이상|older|plus|\+)?",
    re.IGNORECASE,
)


def _written_amount(text: str) -> float | None:
    found = _AMOUNT.fullmatch(text.strip())
    return float(found[1]) if found else None


def _plain_values(source: Source, numbers: pd.Series) -> dict[float, int]:
    """How many respondents have each number, without those that the file or the user explains."""
    book = LabelBook(source.labels, Report(), source.name)
    explained = {key_of(code) for code in source.overrides.answers}
    values, counts = np.unique(numbers.dropna().to_numpy(dtype=np.float64), return_counts=True)
    return {
        float(value): int(n)
        for value, n in zip(values, counts, strict=True)
        if book.find(float(value)) is None and key_of(float(value)) not in explained
    }


def _mention_sentinels(source: Source, numbers: pd.Series, report: Report) -> None:
    """Warn of 77, 88, 99, -9 and their like apart from the other values: as amounts they would mislead a model."""
    counts = _plain_values(source, numbers)
    apart = amounts_apart(counts)
    if apart:
        what = "values that look like codes for a missing answer, kept as numbers: missing= declares them"
        report.warn(source.name, what, sum(counts[value] for value in apart), ", ".join(f"{v:g}" for v in apart))


def _mention_ages(source: Source, numbers: pd.Series, report: Report) -> None:
    """Warn of 98, 99 and their like: they may be ages, or codes."""
    counts = _plain_values(source, numbers)
    apart = [age for age in ages_apart(counts) if 0 <= age <= OLDEST]
    if apart:
        listed = ", ".join(f"{age:g}" for age in apart)
        codes = ", ".join(f"{age:g}: 'refused'" for age in apart)
        what = "ages that look like codes for a missing answer, kept as ages"
        n = sum(counts[age] for age in apart)
        share = n / max(1, int(numbers.notna().sum()))
        report.doubt(source.name, what, n, f"{listed}, {share:.1%}", f"missing={{{source.name!r}: {{{codes}}}}}")


def _banded(name: str, age: pd.Series, bands: Sequence[int], report: Report) -> tuple[pd.Series, str] | str:
    wrong = age.notna() & ((age < 0) | (age > OLDEST))
    if wrong.any():
        report.warn(name, f"ages below 0 or above {OLDEST}, taken as not stated", int(wrong.sum()))
        age = age.where(~wrong)
    if age.notna().sum() == 0:
        return "all answers are missing"
    return age_in_bands(age, bands), "age in bands"


def describe_values(values: Values) -> str:
    """The reason for a question's form, for the codebook."""
    scale = {True: "ordinal", False: "nominal", None: "nominal"}[values.ordered]
    return f"{len(values.texts)} options, {scale}: {values.why}"
