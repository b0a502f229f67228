"""Give every variable of a file its role (question, background, weight, design, or none), and say why."""

from __future__ import annotations

import difflib
import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from surveysim.datasets.backgrounds import Source, describe_values, read_background
from surveysim.datasets.codebook import Overrides
from surveysim.datasets.raw import RawSurvey
from surveysim.datasets.roles import background_kind, is_date, looks_like_id
from surveysim.datasets.scales import graded_labels
from surveysim.datasets.survey import Report, Survey
from surveysim.datasets.values import Values, fit_question, read_values
from surveysim.datasets.weights import choose_weight, fill_weight
from surveysim.questions import Question
from surveysim.tables import Missing
from surveysim.tables.matching import OptionMatcher

__all__ = ["AGE_BANDS", "MAX_LEVELS", "MAX_OPTIONS", "Choices", "build_survey", "require_variables"]

MAX_OPTIONS = 20
AGE_BANDS = (30, 45, 65)
MAX_LEVELS = 80
"""The countries of the largest surveys, just."""


@dataclass
class Choices:
    """What the user, or a named reader, chooses of a file; None means: propose.

    Attributes
    ----------
    questions : dict of str to Question or None
        None in place of a Question: propose its options.
    backgrounds : dict of str to str
        The names that they get.
    kinds : dict of str to str
        Of backgrounds, where it is known.
    weight, strata, cluster : str or None
    missing : Missing
    ordinal : dict of str to bool
    lenient : set of str
        Variables of a mapping: reported, not refused, where unfit.
    age_bands : sequence of int
    year : int or None
        Of the survey, for years of birth.
    variable_labels, value_labels : dict
    context : str or None
    max_options, max_levels : int
    believe_order : bool
        Whether the order of ordered categoricals was meant by somebody.
    """

    questions: dict[str, Question | None] | None = None
    backgrounds: dict[str, str] | None = None
    kinds: dict[str, str] = field(default_factory=dict)
    weight: str | None = "auto"
    strata: str | None = None
    cluster: str | None = None
    missing: Missing = field(default_factory=Missing)
    ordinal: dict[str, bool] = field(default_factory=dict)
    lenient: set[str] = field(default_factory=set)
    age_bands: Sequence[int] = AGE_BANDS
    year: int | None = None
    variable_labels: dict[str, str] = field(default_factory=dict)
    value_labels: dict[str, dict[Hashable, str]] = field(default_factory=dict)
    context: str | None = None
    max_options: int = MAX_OPTIONS
    max_levels: int = MAX_LEVELS
    believe_order: bool = True


def build_survey(raw: RawSurvey, choices: Choices, report: Report) -> Survey:
    """Give every variable of a file its role.

    Parameters
    ----------
    raw : RawSurvey
    choices : Choices
    report : Report
        Gets what is odd.
    """
    _check_names(raw.data, choices)
    builder = _Builder(raw, choices, report)
    for name in raw.data.columns:
        builder.add(name)
    return builder.survey()


def _check_names(data: pd.DataFrame, choices: Choices) -> None:
    questions, backgrounds = choices.questions or {}, choices.backgrounds or {}
    require_variables(list(questions), data, "questions")
    require_variables(list(backgrounds), data, "backgrounds")
    both = sorted(set(questions) & set(backgrounds))
    if both:
        raise ValueError(f"{both} are both questions and backgrounds")
    for parameter, column in (("strata", choices.strata), ("cluster", choices.cluster)):
        if column is not None:
            require_variables([column], data, parameter)
    if choices.weight not in (None, "auto"):
        require_variables([str(choices.weight)], data, "weight")


class _Builder:
    """Takes the variables of a file one by one, and collects what becomes of them."""

    def __init__(self, raw: RawSurvey, choices: Choices, report: Report) -> None:
        self.raw, self.choices, self.report = raw, choices, report
        self.columns: dict[str, pd.Series] = {}
        self.questions: dict[str, Question] = {}
        self.backgrounds: list[str] = []
        self.rows: list[dict[str, Any]] = []
        named = {*(choices.questions or {}), *(choices.backgrounds or {})}
        self.weight, self.weights = choose_weight(
            raw.data, choices.weight, choices.variable_labels, choices.value_labels, named, report
        )
        self.design = {
            column: role
            for role, column in (("strata", choices.strata), ("cluster", choices.cluster))
            if column is not None and column not in named
        }

    def add(self, name: str) -> None:
        """Give a variable its role: as the user says, else by its name, label and values."""
        choices, column, label = self.choices, self.raw.data[name], self.choices.variable_labels.get(name, "")
        row: dict[str, Any] = {"name": name, "label": label, "role": "other", "reason": ""}
        self.rows.append(row)
        self.columns[name] = column
        if name == self.weight:
            self.columns[name] = fill_weight(name, column, self.report)
            row.update(role="weight", reason="named" if choices.weight == name else "the only weight")
        elif name in self.design:
            row.update(role=self.design[name], reason="named")
        elif name in self.weights:
            row["reason"] = "looks like a weight"
        elif name in (choices.backgrounds or {}):
            self.add_background(row, (choices.backgrounds or {})[name], demanded=True)
        elif name in (choices.questions or {}):
            self.add_question(row, demanded=True)
        elif name in self.raw.roles:
            row["reason"] = self.raw.roles[name]
        elif looks_like_id(name, column):
            row["reason"] = "an identifier"
        elif is_date(column):
            row["reason"] = "a date"
        elif (guess := background_kind(name, label)) is not None:
            if choices.backgrounds is None:
                row["reason"] = guess.reason
                self.add_background(row, None, demanded=False, kind=guess.kind)
            else:
                row["reason"] = guess.reason + ", but backgrounds were named"
        elif choices.questions is None:
            self.add_question(row, demanded=False)
        else:
            row["reason"] = "not named"

    def add_background(
        self, row: dict[str, str], new_name: str | None, *, demanded: bool, kind: str | None = None
    ) -> None:
        """Take a variable as a background, or say why not."""
        name, choices = row["name"], self.choices
        found = self._read_background(name, kind, demanded)
        is_lenient = name in choices.lenient
        if is_lenient and not isinstance(found, str) and found[0].nunique() == 1:
            found = "a single answer"  # of one country, its name says nothing
        if isinstance(found, str):
            if demanded and not is_lenient:
                raise ValueError(f"{name!r} cannot be a background: {found}")
            tell = self.report.warn if "levels" in found or "missing" in found else self.report.note
            tell(name, "left out as a background" if demanded else "not proposed as a background", 0, found)
            row["reason"] = "; ".join(filter(None, [row["reason"], f"left out: {found}"]))
            return
        levels, reason = found
        column = self._background_name(name, new_name, reason, demanded)
        self.columns[column] = levels
        self.backgrounds.append(column)
        row.update(role="background", reason="; ".join(filter(None, [row["reason"] or "named", reason])), column=column)

    def _read_background(self, name: str, kind: str | None, demanded: bool) -> tuple[pd.Series, str] | str:
        choices = self.choices
        kind = choices.kinds.get(name, kind)
        if kind is None:
            guess = background_kind(name, choices.variable_labels.get(name))
            kind = guess.kind if guess else "levels"
        if name in choices.ordinal:
            kind = "ordered" if choices.ordinal[name] else "nominal"
        source = Source(
            name,
            self.raw.data[name],
            choices.value_labels.get(name, {}),
            self.raw.missing_codes.get(name, []),
            Overrides.of(choices.missing, name),
            kind,
            bands=choices.age_bands,
            year=choices.year,
            max_levels=choices.max_levels,
            demanded=demanded,
            believe_order=choices.believe_order or name in choices.ordinal,
        )
        return read_background(source, self.report)

    def _background_name(self, name: str, new_name: str | None, reason: str, demanded: bool) -> str:
        """The column that a background gets in `Survey.data`."""
        if new_name is not None and new_name != name:
            column, is_asked = new_name, demanded
        else:
            column, is_asked = ("age group" if reason == "age in bands" else name), False
        if column == name or (column not in self.columns and column not in self.raw.data.columns):
            return column
        if is_asked:
            raise ValueError(f"backgrounds calls {name!r} {column!r}, which is another variable of the file")
        return f"{name} group"

    def add_question(self, row: dict[str, Any], *, demanded: bool) -> None:
        """Take a variable as a question, or say why not."""
        name, choices = row["name"], self.choices
        strict = demanded and name not in choices.lenient
        given = (choices.questions or {}).get(name)
        values = self._read_question(name, given, demanded)
        if isinstance(values, str):
            if strict:
                raise ValueError(f"{name!r} cannot be a question: {values}")
            row["reason"] = values
            if values == "all answers are missing":
                self.report.warn(name, values)
            elif choices.value_labels.get(name):
                self.report.note(name, "not proposed as a question", 0, values)
            return
        counts = values.counts
        if counts["answered"] == 0:
            if strict:
                raise ValueError(f"{name!r} cannot be a question: all answers are missing")
            self.report.warn(name, "all answers are missing")
            row["reason"] = "all answers are missing"
            return
        self.questions[name] = given if given is not None else self._propose(name, values)
        self.columns[name] = values.as_answers(self.raw.data.index)
        row.update(role="question", reason=describe_values(values), column=name, **counts)

    def _read_question(self, name: str, given: Question | None, demanded: bool) -> Values | str:
        choices, column = self.choices, self.raw.data[name]
        labels, declared = choices.value_labels.get(name, {}), self.raw.missing_codes.get(name, [])
        overrides = Overrides.of(choices.missing, name)
        if given is not None:
            return fit_question(name, column, labels, declared, overrides, given, self.report)
        aside = Report()
        values = read_values(
            name, column, labels, declared, overrides, aside, max_options=choices.max_options, demanded=demanded,
            believe_order=choices.believe_order or name in choices.ordinal,
        )  # fmt: skip
        if isinstance(values, str):
            return values
        self.report.add(aside)
        if name in choices.ordinal:
            values.ordered, values.why = choices.ordinal[name], "as named"
        elif not values.ordered and (doubt := graded_labels(values.texts, values.pinned, coded=values.coded)):
            self.report.doubt(name, "labels that look graded, taken as without order", 0, doubt,
                              f"ordinal={{{name!r}: True}}")  # fmt: skip
        if not choices.variable_labels.get(name):
            self.report.note(name, "no wording in the file: the question's text is the variable's name")
        return values

    def _propose(self, name: str, values: Values) -> Question:
        """The question that a variable's labels make."""
        text = _wording(name, self.choices.variable_labels.get(name))
        codes = None if values.codes == values.texts else values.codes
        for held in (codes, None):  # text "2" with code 1: the texts alone decide, as they do in `data`
            question = Question(
                text, values.texts, codes=held, ordinal=bool(values.ordered), pinned=values.pinned,
                context=self.choices.context,
            )  # fmt: skip
            if not _ambiguous(question):
                break
        return question

    def survey(self) -> Survey:
        """What has been collected, as a survey."""
        choices = self.choices
        bare = [row["name"] for row in self.rows if row["reason"] == "values without labels"]
        if bare:
            what = "few values without labels, not proposed: name them in questions=[...]"
            self.report.note("", what, 0, ", ".join(bare))
        if len(self.raw.data) and not self.questions:
            self.report.warn("", "no questions found: name them in questions=[...]")
        order = list((choices.backgrounds or {}).values())
        self.backgrounds.sort(key=lambda b: order.index(b) if b in order else len(order))
        if choices.questions:
            self.questions = {name: self.questions[name] for name in choices.questions if name in self.questions}
        return Survey(
            data=pd.DataFrame(self.columns, index=self.raw.data.index),
            questions=self.questions,
            backgrounds=self.backgrounds,
            weight=self.weight,
            strata=choices.strata,
            cluster=choices.cluster,
            variables=pd.DataFrame(self.rows),
            report=self.report.frame(),
            value_labels=choices.value_labels,
            DESCR="",
            terms="",
            source="",
        )


def _wording(name: str, label: str | None) -> str:
    """The label without the variable's name in front of it: "Q12. How happy ...", "HAPPY_W27: ..."."""
    if not label:
        return name
    text = " ".join(label.split())
    if text.casefold().startswith(name.casefold()):
        rest = text[len(name) :]
        is_code = re.search(r"[\d_]", name) is not None  # "nationality" begins a sentence, "q12" does not
        if re.match(r"\s*[.:)\-–—]" if not is_code else r"\s*[.:)\-–—]|\s", rest):
            return rest.lstrip(" .:-–—)") or text
    return text


def _ambiguous(question: Question) -> bool:
    matcher = OptionMatcher(question)
    try:
        return [matcher.find(option) for option in question.options] != list(range(question.n_options))
    except ValueError:
        return True


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
