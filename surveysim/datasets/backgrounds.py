"""Backgrounds of respondents from the variables of a file: age bands, ordered and unordered levels, plain numbers."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from surveysim.datasets.codebook import LabelBook, MissingBook, Overrides
from surveysim.datasets.roles import ORDERED_KINDS
from surveysim.datasets.survey import Report
from surveysim.datasets.values import Values, read_values

__all__ = ["age_in_bands", "check_bands", "read_background"]

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


def read_background(
    name: str,
    column: pd.Series,
    labels: Mapping[Hashable, str],
    declared: Sequence[Any],
    overrides: Overrides,
    kind: str,
    report: Report,
    *,
    bands: Sequence[int],
    year: int | None = None,
    max_levels: int,
    demanded: bool,
) -> tuple[pd.Series, str] | str:
    """A background as `tabulate` wants it, and the reason for its form; or why there is none.

    `kind` is one of `surveysim.datasets.roles.BACKGROUND_KINDS`, "birth year", "ordered", "nominal" or "number".
    """
    quiet = Report()
    try:
        pd.factorize(column)
    except TypeError:  # lists, as Parquet can hold
        return "its values are no single values"
    if pd.api.types.is_bool_dtype(column.dtype):
        return _few_enough(name, column, "a boolean", max_levels, demanded, report)
    if kind in ("age", "birth year", "number"):
        numbers = _numbers(name, column, labels, declared, overrides, report)
        if numbers is not None:
            if kind == "number":
                _mention_sentinels(name, numbers, report)
                return _few_enough(name, numbers, "a number", max_levels, demanded, report)
            if kind == "birth year":
                if year is None:
                    return "a year of birth, and the year of the survey is not known"
                numbers = year - numbers
            return _banded(name, numbers, bands, report)
    if isinstance(column.dtype, pd.CategoricalDtype) and not labels:
        clean = column.cat.remove_unused_categories() if column.cat.categories.size > max_levels else column
        return _few_enough(name, clean, "a categorical of the file", max_levels, demanded, report)
    values = read_values(name, column, labels, declared, overrides, quiet, max_options=MAX_CATEGORIES, demanded=False)
    if isinstance(values, str):
        if values == "all answers are missing" or values.startswith(("a single", "no answers")):
            return values
        numbers = _numbers(name, column, labels, declared, overrides, report)
        if numbers is None:
            return values
        _mention_sentinels(name, numbers, report)
        # Codes of regions or parties are names, not amounts. Of two values a number says the same as a name.
        if kind == "nominal" or (kind in _NOMINAL and numbers.nunique() > 2):
            codes = sorted(numbers.dropna().unique())
            named = pd.Categorical(numbers.map("{:g}".format, na_action="ignore"), [f"{code:g}" for code in codes])
            return _few_enough(
                name, pd.Series(named, index=numbers.index), "unordered codes", max_levels, demanded, report
            )
        return _few_enough(name, numbers, "a number: it has an order", max_levels, demanded, report)
    report.rows += [row for row in quiet.rows if "nobody chose" not in row[2]]
    is_ordered = kind == "ordered" or (kind not in _NOMINAL and values.ordered is True)
    if kind in ORDERED_KINDS and values.coded:  # codes give an order; the alphabet does not
        is_ordered = True
    if is_ordered:
        beside = np.isin(values.option, [i for i, text in enumerate(values.texts) if text in values.pinned])
        if beside.any():
            report.note(
                name, "levels outside the order, taken as not stated", int(beside.sum()), ", ".join(values.pinned)
            )
    missing = int((values.option < -1).sum())
    if missing:
        report.note(name, "background not stated (don't know, refused, no answer)", missing)
    levels = values.as_levels(column.index, is_ordered)
    return _few_enough(name, levels, f"{'ordered' if is_ordered else 'unordered'} levels", max_levels, demanded, report)


# Labels such as "1 Northeast" or "Region 2" must not make these into scales.
_NOMINAL = frozenset(
    {"nominal", "gender", "country", "region", "race", "religion", "marital status", "employment", "urban"}
)


def _numbers(
    name: str, column: pd.Series, labels: Mapping[Hashable, str], declared: Sequence[Any],
    overrides: Overrides, report: Report,
) -> pd.Series | None:  # fmt: skip
    """The variable as numbers, codes for missing answers as NaN; None if it is no number."""
    if isinstance(column.dtype, pd.CategoricalDtype) or pd.api.types.is_bool_dtype(column.dtype):
        return None
    book, kinds = LabelBook(labels, Report(), name), MissingBook(declared, overrides)
    _, uniques = pd.factorize(column.astype(object))
    absent = [value for value in uniques if kinds.find(value, book.find(value)) is not None]
    # Age 97 may be labelled "97 or older", but a variable whose ordinary values are all labelled is no number.
    ordinary = [
        value for value in uniques if value not in absent and not (isinstance(value, str) and not value.strip())
    ]
    labelled = [value for value in ordinary if (label := book.find(value)) is not None and not label[:1].isdigit()]
    if not ordinary or len(labelled) > max(2, len(ordinary) // 4):
        return None
    cleaned = column.where(~column.isin(absent))
    numbers = pd.to_numeric(cleaned, errors="coerce")
    blank = cleaned.map(lambda value: isinstance(value, str) and not value.strip()).to_numpy(dtype=bool)
    if (numbers.isna() & cleaned.notna() & ~blank).any():
        return None
    if len(absent):
        report.note(name, "background not stated (don't know, refused, no answer)", int(column.isin(absent).sum()))
    return numbers.astype(np.float64)


# What surveys write for refused, don't know and no answer: https://ess.sikt.no, WVS and Pew codebooks.
_SENTINELS = (66, 77, 88, 99, 96, 97, 98, 666, 777, 888, 996, 997, 998, 999, 6666, 7777, 8888, 9996, 9997, 9998, 9999)


def _mention_sentinels(name: str, numbers: pd.Series, report: Report) -> None:
    """Warn of 77, 88, 99, -9 and their like apart from the other values: as amounts they would mislead a model."""
    counts = numbers.value_counts()
    ordinary = [value for value in counts.index if value >= 0 and value not in _SENTINELS]
    digits = [value for value in ordinary if value in (7, 8, 9)]
    below = [value for value in ordinary if value not in digits]
    if len(below) >= 2 and digits and min(digits) - max(below) >= 4:  # 1, 2 and 9
        ordinary = below
    else:
        digits = []
    if len(ordinary) < 2:
        return
    # 99 is a plain value where 90 and 95 occur; -2 and -1 are where 0 occurs, -9 is not
    high = [value for value in counts.index if value in _SENTINELS and value > max(ordinary) + 10]
    line = sorted([value for value in counts.index if value < 0] + [min(ordinary)])
    gaps = [i for i, (below, above) in enumerate(itertools.pairwise(line)) if above - below > 1]
    apart = digits + high + line[: max(gaps, default=-1) + 1]
    if apart:
        report.warn(
            name, "values that look like codes for a missing answer, kept as numbers: missing= declares them",
            int(counts[apart].sum()), ", ".join(f"{value:g}" for value in sorted(apart)),
        )  # fmt: skip


def _banded(name: str, age: pd.Series, bands: Sequence[int], report: Report) -> tuple[pd.Series, str] | str:
    wrong = age.notna() & ((age < 0) | (age > OLDEST))
    if wrong.any():
        report.warn(name, f"ages below 0 or above {OLDEST}, taken as not stated", int(wrong.sum()))
        age = age.where(~wrong)
    if age.notna().sum() == 0:
        return "all answers are missing"
    return age_in_bands(age, bands), "age in bands"


def _few_enough(
    name: str, levels: pd.Series, reason: str, max_levels: int, demanded: bool, report: Report
) -> tuple[pd.Series, str] | str:
    n_levels = levels.nunique()
    if n_levels == 0:
        return "all answers are missing"
    if n_levels > max_levels:
        if not demanded:
            return f"{n_levels:,} levels, more than max_levels={max_levels}"
        report.warn(name, "a background with very many levels: cells will be nearly empty", 0, f"{n_levels:,} levels")
    return levels, reason


def describe_values(values: Values) -> str:
    """The reason for a question's form, for the codebook."""
    scale = {True: "ordinal", False: "nominal", None: "nominal"}[values.ordered]
    return f"{len(values.texts)} options, {scale}: {values.why}"
