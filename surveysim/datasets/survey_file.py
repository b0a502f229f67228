"""`read_survey`: from the file that a survey gave to questions, backgrounds and weights that `tabulate` takes."""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from surveysim.datasets.backgrounds import check_bands, describe_values, read_background
from surveysim.datasets.bunch import Report, Survey
from surveysim.datasets.files import RawSurvey, open_survey
from surveysim.datasets.roles import background_kind, looks_like_id, looks_like_weight
from surveysim.datasets.values import fit_question, read_values
from surveysim.questions import Question
from surveysim.tables import Missing
from surveysim.tables.matching import OptionMatcher
from surveysim.tables.missing import as_missing

__all__ = ["build_survey", "read_survey"]

MAX_OPTIONS = 20
AGE_BANDS = (30, 45, 65)
MAX_LEVELS = 80
"""The countries of the largest surveys, just."""


def read_survey(
    path: str | Path | pd.DataFrame,
    *,
    questions: Sequence[str] | Mapping[str, Question | None] | None = None,
    backgrounds: Sequence[str] | Mapping[str, str] | None = None,
    weight: str | None = "auto",
    strata: str | None = None,
    cluster: str | None = None,
    missing: Mapping[Any, Any] | None = None,
    ordinal: Mapping[str, bool] | None = None,
    age_bands: Sequence[float] = AGE_BANDS,
    variable_labels: Mapping[str, str] | None = None,
    value_labels: Mapping[str, Mapping[Hashable, str]] | None = None,
    context: str | None = None,
    max_options: int = MAX_OPTIONS,
    max_levels: int = MAX_LEVELS,
    columns: Sequence[str] | None = None,
    encoding: str | None = None,
    catalog: str | Path | None = None,
) -> Survey:
    """Read a survey file and propose its questions, backgrounds and weight.

    It proposes, you decide: ``survey.variables`` says for every variable what it was taken for and why, and the
    parameters below overrule it. Nothing is left out in silence: ``survey.report`` lists and counts it.

    Parameters
    ----------
    path : str, Path or DataFrame
        SPSS (.sav, .zsav, .por), Stata (.dta), SAS (.sas7bdat, .xpt), CSV (.csv, .tsv) or Parquet; or a table that you
        have read yourself.
    questions : list of str or mapping of str to Question, optional
        Variables that are questions. None proposes every variable with value labels that is no background, weight or
        identifier. In a mapping, a Question is taken as given and None is proposed.
    backgrounds : list of str or mapping of str to str, optional
        Variables that describe respondents; a mapping gives them the names that `data` and the prompt shall have,
        ``{"eisced": "education"}``. None proposes those recognised by their name or label.
    weight : str or None, default="auto"
        The survey weight. "auto" takes the only one that is recognised; with several candidates it takes none and
        says so.
    strata, cluster : str, optional
        Design variables, as for `tabulate`.
    missing : mapping, optional
        Codes that mean no answer, on top of what the file says: ``{-1: "skipped", "trust": {8: "don't know"}}``, as in
        `surveysim.tables.Missing`.
    ordinal : mapping of str to bool, optional
        Whether the options of a question, or the levels of a background, have an order.
    age_bands : sequence of int, default=(30, 45, 65)
        Where age groups begin, the first apart: under 30, 30-44, 45-64, 65 or older.
    variable_labels : mapping of str to str, optional
        Wording of questions, on top of the file's.
    value_labels : mapping of str to mapping, optional
        Code to label, on top of the file's; for CSV and Parquet the only ones.
    context : str, optional
        Survey, country and year, for the prompt of every question.
    max_options : int, default=20
        A variable with more is not proposed as a question.
    max_levels : int, default=80
        A background with more is not proposed.
    columns : list of str, optional
        Variables to read; the others stay in the file.
    encoding : str, optional
        Of the file's text, where the file does not say, or says wrongly.
    catalog : str or Path, optional
        The .sas7bcat file with the value labels of a .sas7bdat file.

    Returns
    -------
    Survey

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is truncated, encrypted, empty, in another encoding or another format; if a variable that is named
        does not exist or cannot be what it is named for; if the weight that is named is negative.
    ImportError
        If pyreadstat (SPSS, Stata, SAS) or pyarrow (Parquet) is not installed.

    Warns
    -----
    SurveyWarning
        Once, listing the kinds of anomalies: values without labels, labels without values, duplicated labels, weights
        of zero, and so on.

    See Also
    --------
    read_ess, read_wvs, read_gss : Readers that know the variables of a survey.
    surveysim.tabulate : What comes next.

    Notes
    -----
    *Missing answers.* A label such as "Don't know", "Refusal", "No answer" or "Not applicable" (English, and modestly
    a dozen other languages) makes its code a missing answer of that kind, and so does your `missing`. A code that the
    file declares missing, with a label that says no reason, counts as "no answer". They stay in `data` as text, so that
    ``tabulate(..., missing="option")`` can make options of "don't know" and "refused".

    *Order.* Options are in the order of their codes. Whether they are a scale is read from the labels: numbers, ladders
    of words ("never" to "always"), two poles with shades, shades of one word. Where nothing is recognised the question
    is nominal. "Other" and "none of these" are pinned last.

    *Backgrounds.* Age in years becomes an ordered categorical ``"age group"``; education, income and class are ordered
    by their codes; others keep the order of the codes without being ordered.

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim.datasets import read_survey
    >>> table = pd.DataFrame({"sex": ["f", "m", "f", "m"], "age": [20, 35, 50, 71], "trust": [1, 2, 8, 3]})
    >>> survey = read_survey(
    ...     table,
    ...     variable_labels={"trust": "How much do you trust the parliament?"},
    ...     value_labels={"trust": {1: "a lot", 2: "some", 3: "not at all", 8: "Don't know"}},
    ... )
    >>> survey
    Survey(4 respondents, 1 questions
      backgrounds: sex, age group
      weight: none
      report: empty)
    >>> survey.questions["trust"]
    Question('How much do you trust the parliament?', ['a lot', 'some', 'not at all'], codes=[1, 2, 3])
    >>> survey.tabulate(["sex"]).n_raw
    array([1, 2])
    """
    if isinstance(path, pd.DataFrame):
        raw = RawSurvey(Path("data"), path if columns is None else path[list(columns)])
        if len(path) == 0:
            raise ValueError("the table has no respondents")
        source = "the table"
    else:
        raw = open_survey(path, columns=columns, encoding=encoding, catalog=catalog)
        source = raw.path.name
    plan = Plan(
        questions=None if questions is None else _as_plan(questions),
        backgrounds=None if backgrounds is None else _as_names(backgrounds),
        weight=weight,
        strata=strata,
        cluster=cluster,
        missing=as_missing(dict(missing or {})),
        ordinal=dict(ordinal or {}),
        age_bands=check_bands(age_bands),
        variable_labels={**raw.variable_labels, **(variable_labels or {})},
        value_labels={**raw.value_labels, **{name: dict(labels) for name, labels in (value_labels or {}).items()}},
        context=context,
        max_options=max_options,
        max_levels=max_levels,
    )
    named = {**dict.fromkeys(variable_labels or {}), **dict.fromkeys(value_labels or {}), **dict.fromkeys(plan.ordinal)}
    _require(list(named), raw.data, "variable_labels, value_labels or ordinal")
    _require(plan.missing.question_columns(), raw.data, "missing")
    report = Report()
    survey = build_survey(raw, plan, report)
    survey.DESCR = f"{source}: {len(survey.data):,} respondents, {raw.data.shape[1]:,} variables, read as it is."
    survey.terms = "The terms of whoever gave you the file."
    survey.source = source
    report.issue(source)
    return survey


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
    _require(list(plan.questions or {}), data, "questions")
    _require(list(plan.backgrounds or {}), data, "backgrounds")
    both = sorted(set(plan.questions or {}) & set(plan.backgrounds or {}))
    if both:
        raise ValueError(f"{both} are both questions and backgrounds")
    for parameter in ("strata", "cluster"):
        if (column := getattr(plan, parameter)) is not None:
            _require([column], data, parameter)
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
    if n and not questions:
        report.warn("", "no questions found: name them in questions=[...]")
    order = list(plan.backgrounds.values()) if plan.backgrounds is not None else []
    backgrounds.sort(key=lambda b: order.index(b) if b in order else len(order))
    if plan.questions:
        questions = {name: questions[name] for name in plan.questions}
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
        plan.missing.codes_of(name),
        kind,
        report,
        bands=plan.age_bands,
        year=plan.year,
        max_levels=plan.max_levels,
        demanded=demanded,
    )
    if isinstance(found, str):
        if demanded:
            raise ValueError(f"{name!r} cannot be a background: {found}")
        report.warn(name, "not proposed as a background", 0, found)
        row["reason"] += f"; left out: {found}"
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
    overrides = plan.missing.codes_of(name)
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
            if demanded:
                raise ValueError(f"{name!r} cannot be a question: {found}")
            row["reason"] = found
            if found == "all answers are missing":
                report.warn(name, found)
            elif labels:
                report.note(name, "not proposed as a question", 0, found)
            return
        report.rows += aside.rows
        values = found
        if name in plan.ordinal:
            values.ordered, values.why = plan.ordinal[name], "as named"
        if not plan.variable_labels.get(name):
            report.note(name, "no wording in the file: the question's text is the variable's name")
        questions[name] = Question(
            _wording(name, plan.variable_labels.get(name)),
            values.texts,
            codes=values.codes,
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
        if demanded:
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
    candidates = [name for name in candidates if name not in (plan.questions or {}) and name not in (plan.backgrounds or {})]
    if plan.weight is None:
        return None, candidates
    if plan.weight != "auto":
        _require([plan.weight], data, "weight")
        _refuse_negative(data[plan.weight])
        return plan.weight, candidates
    if len(candidates) == 1:
        column = data[candidates[0]]
        if (column < 0).any() or not (column > 0).any():
            report.warn(candidates[0], "looks like a weight, but is negative or all zero: no weight taken")
            return None, candidates
        return candidates[0], candidates
    if candidates:
        report.warn("", f"several variables look like weights, none was taken: weight= chooses among {candidates}")
    return None, candidates


def _refuse_negative(column: pd.Series) -> None:
    if not pd.api.types.is_numeric_dtype(column.dtype):
        raise ValueError(f"weight {column.name!r} is no number: it is of type {column.dtype}")
    wrong = np.flatnonzero((column < 0).to_numpy(dtype=bool) | np.isinf(column.to_numpy(dtype=float, na_value=np.nan)))
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


def _as_plan(questions: Sequence[str] | Mapping[str, Question | None]) -> dict[str, Question | None]:
    if isinstance(questions, str):
        raise TypeError(f"questions must be a list of variables or a mapping, got {questions!r}")
    if isinstance(questions, Mapping):
        for name, question in questions.items():
            if question is not None and not isinstance(question, Question):
                raise TypeError(f"questions[{name!r}] must be a Question or None, got {question!r}")
        return dict(questions)
    return dict.fromkeys(questions)


def _as_names(backgrounds: Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    if isinstance(backgrounds, str):
        raise TypeError(f"backgrounds must be a list of variables or a mapping, got {backgrounds!r}")
    return dict(backgrounds) if isinstance(backgrounds, Mapping) else {name: name for name in backgrounds}


def _require(names: Sequence[str], data: pd.DataFrame, parameter: str) -> None:
    absent = [name for name in names if name not in data.columns]
    if absent:
        close = [c for name in absent for c in difflib.get_close_matches(str(name), [str(c) for c in data.columns], n=2)]
        hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
        raise ValueError(f"{parameter} names {absent}, which the file does not have{hint}")
