"""Files of named surveys: a mapping of variables to roles, applied to the file that the user has."""

from __future__ import annotations

import difflib
import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from surveysim.datasets.backgrounds import check_bands
from surveysim.datasets.files import open_survey
from surveysim.datasets.mappings import ANY_ROUND, Entry, entries_of, load_mapping
from surveysim.datasets.proposal import AGE_BANDS, MAX_LEVELS, MAX_OPTIONS, Choices, build_survey
from surveysim.datasets.raw import RawSurvey
from surveysim.datasets.survey import Report, Survey
from surveysim.tables.missing import MissingCodes, as_missing

__all__ = ["read_named"]

MOST_COUNTRIES = 250
"""There are fewer."""


def read_named(
    survey: str,
    path: str | Path,
    round: object,
    *,
    questions: Sequence[str] | None = None,
    backgrounds: Sequence[str] | None = None,
    weight: str | None = "auto",
    countries: Sequence[str] | None = None,
    missing: MissingCodes | None = None,
    age_bands: Sequence[float] = AGE_BANDS,
    variable_labels: Mapping[str, str] | None = None,
    value_labels: Mapping[str, Mapping[Hashable, str]] | None = None,
    verify: bool = True,
    encoding: str | None = None,
) -> Survey:
    """Read a file of a named survey; see `surveysim.datasets.readers` for the parameters."""
    reading = _Reading.of(survey, path, round, encoding)
    reading.relabel(variable_labels, value_labels)
    reading.choose(questions, backgrounds, weight, countries, verify)
    reading.load(countries)
    choices = reading.choices(questions, backgrounds, missing, age_bands)
    return reading.finish(build_survey(reading.raw, choices, reading.report))


Chosen = list[tuple[str, Entry | None]]
"""Variables of the file with their entry in the mapping; None for one that only the user names."""


@dataclass
class _Reading:
    """A named survey's file, while it is read: first its variables, then the respondents of those that are needed.

    Attributes
    ----------
    mapping : mapping
        The survey's TOML file.
    about : mapping
        The round's part of it.
    label : str
        Survey and round.
    known : list of Entry
        The round's variables.
    raw : RawSurvey
    finder : _Finder
    encoding : str or None
    report : Report
    questions, backgrounds : list of (variable, Entry or None)
    design : dict of str to str or None
        Weight, strata and cluster.
    round_variable, country_variable : str or None
    """

    mapping: Mapping[str, Any]
    about: Mapping[str, Any]
    label: str
    known: list[Entry]
    raw: RawSurvey
    finder: _Finder
    encoding: str | None
    report: Report = field(default_factory=Report)
    questions: Chosen = field(default_factory=list)
    backgrounds: Chosen = field(default_factory=list)
    design: dict[str, str | None] = field(default_factory=dict)
    round_variable: str | None = None
    country_variable: str | None = None

    @classmethod
    def of(cls, survey: str, path: str | Path, round: object, encoding: str | None) -> _Reading:
        """Open the file without its respondents."""
        mapping = load_mapping(survey)
        wave, rounds = str(round), mapping["rounds"]
        if wave not in rounds and ANY_ROUND not in rounds:
            raise ValueError(
                f"{mapping['reader']} knows the rounds {list(rounds)}, got {round!r}; read_survey reads any file"
            )
        about = rounds.get(wave, rounds.get(ANY_ROUND))
        label = f"{mapping['title']}, {about['label'].format(round=wave)}"
        try:
            raw = open_survey(path, encoding=encoding, metadata_only=True)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{error}. How to get it: {mapping['obtain']}") from None
        return cls(mapping, about, label, entries_of(mapping, wave), raw, _Finder(raw, label), encoding)

    def relabel(
        self,
        variable_labels: Mapping[str, str] | None,
        value_labels: Mapping[str, Mapping[Hashable, str]] | None,
    ) -> None:
        """Put the user's wording and labels on top of the file's."""
        self.raw.variable_labels |= self.finder.resolve_keys(variable_labels or {}, "variable_labels")
        self.raw.value_labels |= self.finder.resolve_keys(
            {name: dict(labels) for name, labels in (value_labels or {}).items()}, "value_labels"
        )

    def choose(
        self,
        questions: Sequence[str] | None,
        backgrounds: Sequence[str] | None,
        weight: str | None,
        countries: Sequence[str] | None,
        verify: bool,
    ) -> None:
        """Find the variables of the mapping, or those that the user names, in the file."""
        known, finder, report = self.known, self.finder, self.report
        self.round_variable = _round_variable(self.about, finder, self.label, report, verify)
        self.country_variable = _country_variable(self.mapping, known, countries, finder)
        try:
            self.backgrounds = _choose(known, "background", backgrounds, finder, report)
            self.questions = _choose(known, "question", questions, finder, report)
            self.design["weight"] = _design(known, "weight", weight, finder, report)
        except ValueError:
            if self.round_variable is not None:  # another round says more than the variables that it lacks
                only = open_survey(self.raw.path, encoding=self.encoding, columns=[self.round_variable])
                self.raw.data = only.data
                self._select_round()
            raise
        for role in ("strata", "cluster"):
            self.design[role] = None if weight is None else _design(known, role, "auto", finder, report)

    def _select_round(self) -> None:
        if self.round_variable is not None:
            value = self.about["select"]["value"]
            _select_round(self.raw, self.round_variable, value, self.label, self.report)

    def load(self, countries: Sequence[str] | None) -> None:
        """Read the respondents of the round and the countries, with the variables that are needed."""
        raw = self.raw
        used = {name for name, _ in [*self.backgrounds, *self.questions]} | set(self.design.values())
        selecting = {self.round_variable, self.country_variable}
        needed = [name for name in raw.data.columns if name in used | selecting]
        loaded = open_survey(raw.path, encoding=self.encoding, columns=needed)
        raw.data, raw.missing_codes = loaded.data, loaded.missing_codes
        for variable, what, respondents, detail in loaded.findings:
            self.report.warn(variable, what, respondents, detail)
        self._select_round()
        if self.country_variable is not None and countries is not None:
            _select_countries(raw, self.country_variable, countries, self.report)
        raw.data = raw.data[[column for column in raw.data.columns if column in used]]
        for role in ("strata", "cluster"):
            name = self.design[role]
            if name is not None and (absent := int(raw.data[name].isna().sum())):
                self.report.warn(name, f"{role} missing for some respondents: not used", absent)
                self.design[role] = None

    def choices(
        self,
        questions: Sequence[str] | None,
        backgrounds: Sequence[str] | None,
        missing: MissingCodes | None,
        age_bands: Sequence[float],
    ) -> Choices:
        """What `build_survey` is to make of the file."""
        own = [*(self.questions if questions is None else []), *(self.backgrounds if backgrounds is None else [])]
        codes = {_code(code): kind for code, kind in self.about.get("missing", {}).items()}
        is_of_countries = any(entry and entry.kind == "country" for _, entry in self.backgrounds)
        return Choices(
            questions={name: None for name, _ in self.questions},
            backgrounds={name: (entry.alias if entry else None) or name for name, entry in self.backgrounds},
            kinds={name: entry.kind for name, entry in self.backgrounds if entry and entry.kind},
            weight=self.design["weight"],
            strata=self.design["strata"],
            cluster=self.design["cluster"],
            ordinal={name: entry.ordinal for name, entry in self.questions if entry and entry.ordinal is not None},
            lenient={name for name, _ in own},
            missing=as_missing({**codes, **(missing or {})}),
            age_bands=check_bands(age_bands),
            year=self.about.get("year"),
            variable_labels=self.raw.variable_labels,
            value_labels=self.raw.value_labels,
            context=self.label,
            max_options=MAX_OPTIONS,
            max_levels=MOST_COUNTRIES if is_of_countries else MAX_LEVELS,
        )

    def finish(self, built: Survey) -> Survey:
        """Say of every variable whether its name is checked, and where the survey comes from."""
        entries: dict[str | None, Entry | None] = dict([*self.backgrounds, *self.questions])
        design = [entry for entry in self.known if entry.role in ("weight", "strata", "cluster")]
        entries |= {self.finder.find(entry): entry for entry in design}
        names = built.variables["name"]
        status = [_status(entries.get(name)) for name in names]
        built.variables["checked"] = status
        unchecked = [name for name, checked in zip(names, status, strict=True) if checked == "unchecked"]
        if unchecked:
            self.report.note("", f"{len(unchecked)} variables of the mapping are unchecked", 0, ", ".join(unchecked))
        built.report = self.report.frame()
        n_checked = sum(checked not in ("unchecked", "not in the mapping") for checked in status)
        built.DESCR = (
            f"{self.label}: {len(built.data):,} respondents of {self.raw.path.name}. {self.mapping['citation']} "
            f"{n_checked} of {len(status)} variable names are checked (see .variables)."
        )
        built.terms = self.mapping["terms"]
        built.source = self.raw.path.name
        self.report.issue(built.source)
        return built


def _status(entry: Entry | None) -> str:
    return "not in the mapping" if entry is None else entry.checked or "unchecked"


def _code(text: str) -> Hashable:
    return int(text) if re.fullmatch(r"-?\d+", text) else text


T = TypeVar("T")


class _Finder:
    """Variables of a file by the names of a mapping: files differ in the case of names."""

    def __init__(self, raw: RawSurvey, survey: str) -> None:
        self.raw, self.survey = raw, survey
        self._exact = set(raw.data.columns)
        self._folded: dict[str, list[str]] = {}
        for name in raw.data.columns:
            self._folded.setdefault(name.casefold(), []).append(name)

    def find(self, wanted: Entry | str) -> str | None:
        names = (wanted,) if isinstance(wanted, str) else wanted.names
        for name in names:
            if name in self._exact:
                return name
        for name in names:
            found = self._folded.get(name.casefold(), [])
            if len(found) == 1:
                return found[0]
        return None

    def require(self, wanted: str, parameter: str) -> str:
        found = self.find(wanted)
        if found is None:
            close = difflib.get_close_matches(wanted, list(self.raw.data.columns), n=2)
            hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
            raise ValueError(f"{parameter} names {wanted!r}, which {self.raw.path.name} does not have{hint}")
        return found

    def resolve_keys(self, mapping: Mapping[str, T], parameter: str) -> dict[str, T]:
        return {self.require(name, parameter): value for name, value in mapping.items()}


def _choose(
    known: list[Entry], role: str, asked: Sequence[str] | None, finder: _Finder, report: Report
) -> list[tuple[str, Entry | None]]:
    """Variables of the file for a role: those asked for, by the survey's or the reader's name, or the mapping's."""
    mapped = [entry for entry in known if entry.role == role]
    if asked is not None:
        if isinstance(asked, str):
            raise TypeError(f"{role}s must be a list of variables, got {asked!r}")
        chosen: list[tuple[str, Entry | None]] = []
        for name in asked:
            folded = name.casefold()
            entry = next(
                (e for e in mapped if not e.is_pattern
                 and folded in {*(n.casefold() for n in e.names), (e.alias or "").casefold()}), None,
            )  # fmt: skip
            found = finder.find(entry) if entry is not None else None
            chosen.append((found or finder.require(entry.name if entry else name, f"{role}s"), entry))
        return chosen
    chosen, absent = [], []
    for entry in mapped:
        if not entry.default:
            continue
        if entry.is_pattern:
            pattern = re.compile(entry.name, re.IGNORECASE)
            # by the pattern and with labels: the rest of a wave's variables are dates, forms and timings
            fits = [n for n in finder.raw.data.columns if pattern.fullmatch(n) and n in finder.raw.value_labels]
            chosen += [(name, entry) for name in fits]
            if not fits:
                absent.append(entry.name)
            continue
        found = finder.find(entry)
        if found is not None:
            chosen.append((found, entry))
        elif entry.optional:
            report.note(entry.name, f"an optional {role} that the file does not have")
        else:
            absent.append(" or ".join(entry.names))
    if absent:
        raise ValueError(
            f"{finder.raw.path.name} lacks variables of {finder.survey}: {absent}. If it is an extract, name those to "
            f"read: {role}s=[...]; if it is another round or survey, use its reader, or read_survey"
        )
    return chosen


def _design(known: list[Entry], role: str, asked: str | None, finder: _Finder, report: Report) -> str | None:
    """The variable of a design role."""
    if asked is None:
        return None
    if asked != "auto":
        return finder.require(asked, role)
    entry = next((e for e in known if e.role == role), None)
    if entry is None:
        return None
    found = finder.find(entry)
    if found is None:
        if entry.optional:
            report.note(entry.name, f"an optional {role} that the file does not have")
            return None
        raise ValueError(
            f"{finder.raw.path.name} lacks the weight of {finder.survey}, {' or '.join(map(repr, entry.names))}: name "
            "another, weight='...', or say weight=None"
        )
    return found


def _round_variable(about: Mapping[str, Any], finder: _Finder, label: str, report: Report, verify: bool) -> str | None:
    """The variable that tells the round, if the survey has one."""
    if "select" not in about:
        return None
    wanted = about["select"]["variable"]
    name = finder.find(wanted)
    if name is None and verify:
        raise ValueError(
            f"{finder.raw.path.name} lacks {wanted!r}, which tells its round, so it cannot be verified as {label}. If "
            "you know that it is, pass verify=False"
        )
    if name is None:
        report.note(wanted, "the round could not be verified: the file lacks this variable")
    return name


def _select_round(raw: RawSurvey, name: str, value: float, label: str, report: Report) -> None:
    rounds = pd.to_numeric(raw.data[name], errors="coerce")
    here = (rounds == value).to_numpy()
    others = sorted({f"{r:g}" for r in rounds[~here].dropna().unique()})
    if not here.any():
        raise ValueError(f"{raw.path.name} is not {label}: its {name} is {', '.join(others) or 'missing'}, not {value}")
    if not here.all():
        listed = f"{name} {', '.join(others)}" if others else f"{name} is missing"
        report.note(name, "respondents of other rounds, left out", int((~here).sum()), listed)
        raw.data = raw.data[here].reset_index(drop=True)


def _country_variable(
    mapping: Mapping[str, Any], known: list[Entry], countries: Sequence[str] | None, finder: _Finder
) -> str | None:
    """The variable that `countries` are values of."""
    if countries is None:
        return None
    if isinstance(countries, str):
        raise TypeError(f"countries must be a list, got {countries!r}")
    if "countries" not in mapping:
        raise ValueError(f"{mapping['reader']} has one country: leave out countries=")
    wanted = mapping["countries"]
    name = finder.find(next((e for e in known if wanted in e.names), wanted))
    if name is None:
        raise ValueError(f"{finder.raw.path.name} lacks {wanted!r}, which countries= needs")
    return name


def _select_countries(raw: RawSurvey, name: str, countries: Sequence[str], report: Report) -> None:
    labels = raw.value_labels.get(name, {})
    held = raw.data[name].map(lambda code: labels.get(code, code)).astype(str)
    codes = raw.data[name].astype(str)
    wanted = [str(country) for country in countries]
    here = (codes.isin(wanted) | held.isin(wanted)).to_numpy()
    absent = [country for country in wanted if not ((codes == country) | (held == country)).any()]
    if absent:
        raise ValueError(
            f"countries names {absent}, which are not in {raw.path.name}; {name} holds {sorted(set(codes))[:80]}"
        )
    report.note(name, "respondents of other countries, left out", int((~here).sum()))
    raw.data = raw.data[here].reset_index(drop=True)
