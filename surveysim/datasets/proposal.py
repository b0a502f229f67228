"""Gives every variable of a file its role: question, background, weight, design, or none, and says why."""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from surveysim.datasets.backgrounds import describe_values, read_background
from surveysim.datasets.codebook import Overrides
from surveysim.datasets.files import RawSurvey
from surveysim.datasets.roles import background_kind, called_weight, looks_like_id, looks_like_weight
from surveysim.datasets.survey import Report, Survey
from surveysim.datasets.values import fit_question, read_values
from surveysim.questions import Question
from surveysim.tables import Missing
from surveysim.tables.matching import OptionMatcher

__all__ = ["AGE_BANDS", "MAX_LEVELS", "MAX_OPTIONS", "Plan", "build_survey", "require_variables"]

MAX_OPTIONS = 20
AGE_BANDS = (30, 45, 65)
MAX_LEVELS = 80
"""The countries of the largest surveys, just."""


@dataclass
class Plan:
    """What the user, or a named reader, wants of a file; None means: propose."""

    questions: dict[str, Question | None] | None = None
    backgrounds: dict[str, str] | None = None
    kinds: dict[str, str] = field(default_factory=dict)
    weight: str | None = "auto"
    strata: str | None = None
    cluster: str | None = None
    missing: Missing = field(default_factory=Missing)
    ordinal: dict[str, bool] = field(default_factory=dict)
    lenient: set[str] = field(default_factory=set)  # variables of a mapping: reported, not refused, where unfit
    age_bands: Sequence[int] = AGE_BANDS
    year: int | None = None
    variable_labels: dict[str, str] = field(default_factory=dict)
    value_labels: dict[str, dict[Hashable, str]] = field(default_factory=dict)
    context: str | None = None
    max_options: int = MAX_OPTIONS
    max_levels: int = MAX_LEVELS


def build_survey(raw: RawSurvey, plan: Plan, report: Report) -> Survey:
    """Give every variable of a file its role."""
    data, n = raw.data, len(raw.data)
    wanted = {**(plan.questions or {}), **(plan.backgrounds or {})}
    require_variables(list(plan.questions or {}), data, "questions")
    require_variables(list(plan.backgrounds or {}), data, "backgrounds")
    both = sorted(set(plan.questions or {}) & set(plan.backgrounds or {}))
    if both:
        raise ValueError(f"{both} are both questions and backgrounds")
    for parameter in ("strata", "cluster"):
        if (column := getattr(plan, parameter)) is not None:
            require_variables([column], data, parameter)
    weight, candidates = _choose_weight(data, plan, report)
    design = {plan.strata: "strata", plan.cluster: "cluster"}

    columns: dict[str, pd.Series] = {}
    questions: dict[str, Question] = {}
    backgrounds: list[str] = []
    rows: list[dict[str, Any]] = []
    for name in data.columns:
        column = data[name]
        row: dict[str, Any] = {"name": name, "label": plan.variable_labels.get(name, ""), "role": "other", "reason": ""}
        rows.append(row)
        columns[name] = column
        if name == weight:
            columns[name] = _weights(name, column, report)
            row.update(role="weight", reason="named" if plan.weight == weight else "the only weight")
        elif name in design and name not in wanted:
            row.update(role=design[name], reason="named")
        elif name in candidates:
            row["reason"] = "looks like a weight"
        elif plan.backgrounds is not None and name in plan.backgrounds:
            _add_background(name, plan.backgrounds[name], raw, plan, report, columns, backgrounds, row, True)
        elif plan.questions is not None and name in plan.questions:
            _add_question(name, raw, plan, report, columns, questions, row, True)
        elif looks_like_id(name, column):
            row["reason"] = "an identifier"
        elif (guess := background_kind(name, plan.variable_labels.get(name))) is not None:
            row["reason"] = guess.reason + ", but backgrounds were named"
            if plan.backgrounds is None:
                row["reason"] = guess.reason
                _add_background(name, None, raw, plan, report, columns, backgrounds, row, False, guess.kind)
        elif plan.questions is None:
            _add_question(name, raw, plan, report, columns, questions, row, False)
        else:
            row["reason"] = "not named"
    frame = pd.DataFrame(columns, index=data.index)
    bare = [row["name"] for row in rows if row["reason"] == "values without labels"]
    if bare:
        report.note("", "few values without labels, not proposed: name them in questions=[...]", 0, ", ".join(bare))
    if n and not questions:
        report.warn("", "no questions found: name them in questions=[...]")
    order = list(plan.backgrounds.values()) if plan.backgrounds is not None else []
    backgrounds.sort(key=lambda b: order.index(b) if b in order else len(order))
    if plan.questions:
        questions = {name: questions[name] for name in plan.questions if name in questions}
    return Survey(
        data=frame,
        questions=questions,
        backgrounds=backgrounds,
        weight=weight,
        strata=plan.strata,
        cluster=plan.cluster,
        variables=pd.DataFrame(rows),
        report=report.frame(),
        value_labels=plan.value_labels,
        DESCR="",
        terms="",
        source="",
    )


def _add_background(
    name: str, new_name: str | None, raw: RawSurvey, plan: Plan, report: Report, columns: dict[str, pd.Series],
    backgrounds: list[str], row: dict[str, Any], demanded: bool, kind: str | None = None,
) -> None:  # fmt: skip
    kind = plan.kinds.get(name, kind)
    if kind is None:
        guess = background_kind(name, plan.variable_labels.get(name))
        kind = guess.kind if guess else "levels"
    if name in plan.ordinal:
        kind = "ordered" if plan.ordinal[name] else "nominal"
    found = read_background(
        name,
        raw.data[name],
        plan.value_labels.get(name, {}),
        raw.missing_codes.get(name, []),
        Overrides.of(plan.missing, name),
        kind,
        report,
        bands=plan.age_bands,
        year=plan.year,
        max_levels=plan.max_levels,
        demanded=demanded,
    )
    if name in plan.lenient and not isinstance(found, str) and found[0].nunique() == 1:
        found = "a single answer"  # of one country, its name says nothing
    if isinstance(found, str):
        if demanded and name not in plan.lenient:
            raise ValueError(f"{name!r} cannot be a background: {found}")
        enough = report.warn if "levels" in found or "missing" in found else report.note
        enough(name, "left out as a background" if demanded else "not proposed as a background", 0, found)
        row["reason"] = "; ".join(filter(None, [row["reason"], f"left out: {found}"]))
        return
    levels, reason = found
    renamed = new_name if new_name not in (None, name) else "age group" if reason == "age in bands" else name
    assert renamed is not None
    if renamed != name and (renamed in columns or renamed in raw.data.columns):
        if demanded and new_name not in (None, name):
            raise ValueError(f"backgrounds calls {name!r} {renamed!r}, which is another variable of the file")
        renamed = f"{name} group"
    columns[renamed] = levels
    backgrounds.append(renamed)
    row.update(role="background", reason="; ".join(filter(None, [row["reason"] or "named", reason])))
    row["column"] = renamed


def _add_question(
    name: str, raw: RawSurvey, plan: Plan, report: Report, columns: dict[str, pd.Series],
    questions: dict[str, Question], row: dict[str, Any], demanded: bool,
) -> None:  # fmt: skip
    column = raw.data[name]
    labels, declared = plan.value_labels.get(name, {}), raw.missing_codes.get(name, [])
    overrides = Overrides.of(plan.missing, name)
    given = None if plan.questions is None else plan.questions.get(name)
    if given is not None:
        values = fit_question(name, column, labels, declared, overrides, given, report)
        questions[name] = given
    else:
        aside = Report()
        found = read_values(
            name, column, labels, declared, overrides, aside, max_options=plan.max_options, demanded=demanded
        )
        if isinstance(found, str):
            if demanded and name not in plan.lenient:
                raise ValueError(f"{name!r} cannot be a question: {found}")
            row["reason"] = found
            if found == "all answers are missing":
                report.warn(name, found)
            elif labels:
                report.note(name, "not proposed as a question", 0, found)
            return
        report.add(aside)
        values = found
        if name in plan.ordinal:
            values.ordered, values.why = plan.ordinal[name], "as named"
        if not plan.variable_labels.get(name):
            report.note(name, "no wording in the file: the question's text is the variable's name")
        questions[name] = Question(
            _wording(name, plan.variable_labels.get(name)),
            values.texts,
            codes=None if values.codes == values.texts else values.codes,
            ordinal=bool(values.ordered),
            pinned=values.pinned,
            context=plan.context,
        )
        if _ambiguous(questions[name]):  # text "2" with code 1: the texts alone decide, as they do in `data`
            questions[name] = Question(
                questions[name].text,
                values.texts,
                ordinal=bool(values.ordered),
                pinned=values.pinned,
                context=plan.context,
            )
    columns[name] = values.as_answers(column.index)
    counts = values.counts
    if counts["answered"] == 0:
        if demanded and name not in plan.lenient:
            raise ValueError(f"{name!r} cannot be a question: all answers are missing")
        report.warn(name, "all answers are missing")
        questions.pop(name)
        columns[name] = column
        row["reason"] = "all answers are missing"
        return
    row.update(role="question", reason=describe_values(values), column=name, **counts)


def _wording(name: str, label: str | None) -> str:
    """The label without the variable's name in front of it: "Q12. How happy ...", "HAPPY_W27: ..."."""
    if not label:
        return name
    text = " ".join(label.split())
    if text.casefold().startswith(name.casefold()):
        rest = text[len(name) :].lstrip(" .:-–—)")
        if rest and rest != text[len(name) :]:
            return rest
    return text


def _ambiguous(question: Question) -> bool:
    matcher = OptionMatcher(question)
    try:
        return [matcher.find(option) for option in question.options] != list(range(question.n_options))
    except ValueError:
        return True


def _choose_weight(data: pd.DataFrame, plan: Plan, report: Report) -> tuple[str | None, list[str]]:
    """The weight, and other variables that look like weights."""
    candidates = [name for name in data.columns if looks_like_weight(name, plan.variable_labels.get(name), data[name])]
    candidates = [
        name for name in candidates if name not in (plan.questions or {}) and name not in (plan.backgrounds or {})
    ]
    if plan.weight is None:
        return None, candidates
    if plan.weight != "auto":
        require_variables([plan.weight], data, "weight")
        _refuse_negative(data[plan.weight])
        return plan.weight, candidates
    if len(candidates) == 1:
        column = data[candidates[0]]
        values = column.dropna().to_numpy(dtype=np.float64)
        if (values < 0).any() or np.isinf(values).any():
            report.warn(candidates[0], "looks like a weight, but is negative or infinite: no weight taken",
                        int(((values < 0) | np.isinf(values)).sum()))  # fmt: skip
            return None, candidates
        return candidates[0], candidates
    if not candidates:
        _mention_whole_weights(data, plan, report)
    if candidates:
        report.warn("", f"several variables look like weights, none was taken: weight= chooses among {candidates}")
    return None, candidates


def _mention_whole_weights(data: pd.DataFrame, plan: Plan, report: Report) -> None:
    """Whole numbers may be how many people a respondent stands for, or codes: the user knows."""
    for name in data.columns:
        if name in (plan.questions or {}) or name in (plan.backgrounds or {}) or plan.value_labels.get(name):
            continue
        column = data[name]
        if called_weight(name, plan.variable_labels.get(name), column) and (column.nunique() > 1 or column.max() <= 0):
            report.warn(name, "called a weight, but without fractions: not taken unless weight= names it")


def _refuse_negative(column: pd.Series) -> None:
    if not pd.api.types.is_numeric_dtype(column.dtype):
        raise ValueError(f"weight {column.name!r} is no number: it is of type {column.dtype}")
    values = column.to_numpy(dtype=float, na_value=np.nan)
    wrong = np.flatnonzero((values < 0) | np.isinf(values))
    if len(wrong):
        rows = ", ".join(str(column.index[i]) for i in wrong[:5])
        raise ValueError(
            f"weight {column.name!r} is negative or infinite for {len(wrong):,} respondents (rows {rows}): mend it, or "
            "say weight=None"
        )
    if not (column > 0).any():
        raise ValueError(f"weight {column.name!r} is zero or missing for everybody")


def _weights(name: str, column: pd.Series, report: Report) -> pd.Series:
    absent, zero = int(column.isna().sum()), int((column == 0).sum())
    if absent:
        report.warn(name, "weights missing, taken as 0: these respondents count nowhere", absent)
    if zero:
        report.warn(name, "weights of 0: these respondents count nowhere", zero)
    return column.fillna(0.0)


def require_variables(names: Sequence[str], data: pd.DataFrame, parameter: str) -> None:
    """Refuse names that the file does not have.

    Raises
    ------
    ValueError
        The message suggests names that are spelled alike.
    """
    absent = [name for name in names if name not in data.columns]
    if absent:
        close = [
            c for name in absent for c in difflib.get_close_matches(str(name), [str(c) for c in data.columns], n=2)
        ]
        hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
        raise ValueError(f"{parameter} names {absent}, which the file does not have{hint}")
