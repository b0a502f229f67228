"""Questions with several answers: a column for each choice, filled or blank, or all choices joined in one text."""

from __future__ import annotations

import re
from collections.abc import Collection, Hashable, Mapping

import pandas as pd

from surveysim.datasets.no_answer import plain_text
from surveysim.datasets.raw import RawSurvey

__all__ = ["split_answers"]

SELECTED: dict[Hashable, str] = {0: "Not selected", 1: "Selected"}
MOST_CHOICES = 20
_TICKS = {
    "1",
    "1.0",
    "x",
    "yes",
    "true",
    "checked",
    "selected",
    "✓",
    "✔",
    "ja",
    "si",
    "oui",
    "sim",
    "quoted",
    "mentioned",
}


def split_answers(raw: RawSurvey, named: Collection[str]) -> None:
    """Make a variable of every choice, with the answers "Selected" and "Not selected".

    A blank is "not selected" where the respondent has chosen another of the question's choices, and "not asked" where
    the whole question is blank.

    Parameters
    ----------
    raw : RawSurvey
        Changed in place.
    named : collection of str
        Variables that the user has a Question or a role for: they are left alone.
    """
    _mark_blanks(raw, named)
    _split_texts(raw, named)


def _mark_blanks(raw: RawSurvey, named: Collection[str]) -> None:
    ticks = {
        name: tick
        for name in raw.data.columns
        if name not in named and (tick := _tick(raw.data[name], raw.value_labels.get(name, {}))) is not None
    }
    groups: dict[str, list[str]] = {}
    for name, tick in ticks.items():
        stem = _stem(name, raw.variable_labels.get(name), tick)
        if stem:
            groups.setdefault(stem, []).append(name)
    for stem, names in groups.items():
        if len(names) < 2:
            continue
        chosen = raw.data[names].notna() & (raw.data[names] != "")
        asked = chosen.any(axis=1)
        for name in names:
            label = raw.variable_labels.get(name)
            if ticks[name] and ticks[name] not in (label or name):
                raw.variable_labels[name] = f"{label or name}: {ticks[name]}"
            raw.data[name] = chosen[name].astype(float).where(asked)
            raw.value_labels[name] = dict(SELECTED)
        what = (
            "choices of one question: a blank is taken as not selected where another was chosen; who chose none counts "
            "as not asked (code 0 and 1 if they were)"
        )
        raw.findings.append((names[0], what, int((~asked).sum()), f"{stem}: {len(names)} choices"))


def _distinct(column: pd.Series, limit: int) -> list[object]:
    """The distinct values of a column; none where it has more than some, or holds lists, as Parquet can."""
    if isinstance(column.dtype, pd.CategoricalDtype) and column.cat.categories.size > limit:
        return []
    try:
        values = column.dropna().unique()
    except TypeError:
        return []
    return list(values) if len(values) < limit else []


def _tick(column: pd.Series, labels: Mapping[Hashable, str]) -> str | None:
    """What a column of one value and blanks says where it is filled: "" for a mere tick; None for other columns."""
    values = _distinct(column, 3)
    if len(values) > 2 or not (column.isna().any() or len(values) == 2):
        return None
    held = [value for value in values if not (isinstance(value, str) and not value.strip())]
    if len(held) != 1 or len(labels) > 1 or not isinstance(held[0], str | int | float):
        return None
    text = str(next(iter(labels.values()), held[0])).strip()
    if plain_text(text) in _TICKS:
        return ""
    is_word = not re.fullmatch(r"[\d.,\s]+", text)
    return text if is_word or re.fullmatch(r"\d{1,2}(\.0)?", text) else None


def _stem(name: str, label: str | None, tick: str) -> str:
    """What the columns of one question share: "q5" of q5_1 and q5_2, or the label before " - " or ":"."""
    for text in filter(None, (label, name)):
        for mark in (" - ", ": ", " [", " ("):
            if mark in text:
                return text.rpartition(mark)[0].strip()
    found = re.fullmatch(r"(.*?)(?:[_.\- ]*(?:\d{1,3}|[a-z])|_\w+)", name, re.IGNORECASE)
    if found and found[1]:
        return found[1].rstrip("_.- ")
    return name.replace(tick, "").strip() if tick else ""


def _split_texts(raw: RawSurvey, named: Collection[str]) -> None:
    for name in list(raw.data.columns):
        column = raw.data[name]
        if name in named or not (column.dtype == object or pd.api.types.is_string_dtype(column.dtype)):
            continue
        labels = raw.value_labels.get(name, {})
        values = [value for value in _distinct(column, 5_001) if isinstance(value, str)] if len(labels) != 1 else []
        for mark in (";", "|", ","):
            parts = _choices(values, mark)
            if parts:
                _add_choices(raw, name, mark, parts)
                break


def _choices(values: list[str], mark: str) -> list[str]:
    """The choices that texts join with a mark; empty if that is not what they do.

    "Yes, definitely" and "no, never" join nothing: choices also come alone, and in more ways than there are choices.
    """
    if not 4 <= len(values) <= 5_000 or not any(mark in value for value in values):
        return []
    joined = [tuple(dict.fromkeys(part.strip() for part in value.split(mark) if part.strip())) for value in values]
    seen: dict[str, int] = {}
    for parts in joined:
        for part in parts:
            seen[part] = seen.get(part, 0) + 1
            if len(seen) > 10 * MOST_CHOICES:
                return []
    alone = {parts[0] for parts in joined if len(parts) == 1}
    together = sum(len(parts) > 1 for parts in joined)
    common = [part for part, n in seen.items() if n > 1]
    if len(common) < 3 or len(common) > MOST_CHOICES or len(joined) <= len(common) or together < 2:
        return []
    # of those that come again, at least half must be able to stand alone
    return sorted(common) if 2 * len(alone & set(common)) >= len(common) and len(seen) <= 2 * len(common) else []


def _add_choices(raw: RawSurvey, name: str, mark: str, parts: list[str]) -> None:
    column = raw.data[name]
    split = column.map(lambda value: {part.strip() for part in value.split(mark)} if isinstance(value, str) else None)
    asked = split.map(bool).to_numpy(dtype=bool)
    labels = {str(code): text for code, text in raw.value_labels.get(name, {}).items()}
    wording = raw.variable_labels.get(name, name)
    new = {}
    for part in parts:
        text = labels.get(part, part)
        variable = f"{name}: {text}"
        if variable in raw.data.columns:
            continue
        chosen = split.map(lambda held, part=part: isinstance(held, set) and part in held)
        new[variable] = chosen.astype(float).where(asked)
        raw.variable_labels[variable] = f"{wording}: {text}"
        raw.value_labels[variable] = dict(SELECTED)
    raw.data = pd.concat([raw.data, pd.DataFrame(new, index=raw.data.index)], axis=1)
    raw.roles[name] = "several answers in one text: a variable was made of every choice"
    what = "several answers in one text, split into a variable for every choice"
    raw.findings.append((name, what, 0, ", ".join(parts)))
