"""Readers of named surveys: a TOML mapping of variables to roles, applied to the file that the user has."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd

from surveysim.datasets.backgrounds import check_bands
from surveysim.datasets.files import RawSurvey, open_survey
from surveysim.datasets.proposal import AGE_BANDS, MAX_LEVELS, MAX_OPTIONS, Choices, build_survey
from surveysim.datasets.survey import Report, Survey
from surveysim.tables.missing import as_missing

__all__ = ["MAPPINGS", "list_readers", "read_named"]

MAPPINGS = ("ess", "wvs", "gss", "cgss", "cfps", "wellcome", "pew_atp")
"""Surveys with a mapping, files of ``surveysim/datasets/surveys``."""

ANY_ROUND = "*"


@dataclass(frozen=True)
class Entry:
    """One variable of a mapping, for one round.

    `names` are alternatives, the first of which that the file has is taken; `checked` is the source against which the
    name was checked, or None.
    """

    names: tuple[str, ...]
    role: str
    alias: str | None = None
    kind: str | None = None
    ordinal: bool | None = None
    optional: bool = False
    default: bool = True
    checked: str | None = None
    is_pattern: bool = False

    @property
    def name(self) -> str:
        return self.names[0]


@cache
def load_mapping(survey: str) -> dict[str, Any]:
    """The TOML file of a survey."""
    text = resources.files("surveysim.datasets").joinpath("surveys", f"{survey}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def entries_of(mapping: Mapping[str, Any], round: str) -> list[Entry]:
    """The variables of one round."""
    only = mapping["rounds"].get(round, {}).get("only", False)
    found = []
    for group in mapping["variables"]:
        if round not in group.get("rounds", [] if only else [round]):
            continue
        checked = group.get("checked", {}).get(round)
        settings: dict[str, Any] = {
            "role": group["role"],
            "alias": group.get("as"),
            "kind": group.get("kind"),
            "ordinal": group.get("ordinal"),
            "optional": group.get("optional", False),
            "default": group.get("default", True),
            "checked": None if checked is None else mapping["sources"][checked],
        }
        if "pattern" in group:
            found.append(Entry((group["pattern"].replace("{round}", re.escape(round)),), is_pattern=True, **settings))
        for names in group.get("names", []):
            found.append(Entry(tuple(names.replace("{round}", round).split("|")), **settings))
    return found


def list_readers() -> pd.DataFrame:
    """Every variable that the readers of named surveys know, and whether its name was checked.

    Returns
    -------
    DataFrame
        ``reader``, ``survey``, ``round``, ``variable``, ``role``, ``name`` (the name that the background gets),
        ``required`` (an error where the file lacks it), ``checked`` (against which file, or "unchecked").

    Notes
    -----
    *Checked* means: the name, and the codes that the reader relies on, were found in that file. *Unchecked* names come
    from published documentation and public code, and no file was at hand; the reader says so in ``.report``.

    Examples
    --------
    >>> from surveysim.datasets import list_readers
    >>> known = list_readers()
    >>> known.loc[known["variable"] == "lrscale", ["reader", "round"]].to_numpy().tolist()
    [['read_ess', '9'], ['read_ess', '10'], ['read_ess', '11']]
    """
    rows = []
    for survey in MAPPINGS:
        mapping = load_mapping(survey)
        for round in mapping["rounds"]:
            for entry in entries_of(mapping, "<wave>" if round == ANY_ROUND else round):
                rows.append(
                    {
                        "reader": mapping["reader"],
                        "survey": mapping["title"],
                        "round": "any" if round == ANY_ROUND else round,
                        "variable": " or ".join(entry.names),
                        "role": entry.role,
                        "name": entry.alias or "",
                        "required": entry.default and not entry.optional and not entry.is_pattern,
                        "checked": entry.checked or "unchecked",
                    }
                )
    return pd.DataFrame(rows)


def read_named(
    survey: str,
    path: str | Path,
    round: object,
    *,
    questions: Sequence[str] | None = None,
    backgrounds: Sequence[str] | None = None,
    weight: str | None = "auto",
    countries: Sequence[str] | None = None,
    missing: Mapping[Any, Any] | None = None,
    age_bands: Sequence[float] = AGE_BANDS,
    variable_labels: Mapping[str, str] | None = None,
    value_labels: Mapping[str, Mapping[Hashable, str]] | None = None,
    verify: bool = True,
    encoding: str | None = None,
) -> Survey:
    """Read a file of a named survey; see `surveysim.datasets.readers` for the parameters."""
    mapping = load_mapping(survey)
    wave = str(round)
    rounds = mapping["rounds"]
    if wave not in rounds and ANY_ROUND not in rounds:
        raise ValueError(
            f"{mapping['reader']} knows the rounds {list(rounds)}, got {round!r}; read_survey reads any file"
        )
    about = rounds.get(wave, rounds.get(ANY_ROUND))
    label = f"{mapping['title']}, {about['label'].format(round=wave)}"
    known = entries_of(mapping, wave)
    try:
        raw = open_survey(path, encoding=encoding, metadata_only=True)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}. How to get it: {mapping['obtain']}") from None
    finder = _Finder(raw, label)
    raw.variable_labels |= finder.resolve_keys(variable_labels or {}, "variable_labels")
    raw.value_labels |= finder.resolve_keys(value_labels or {}, "value_labels")
    report = Report()
    round_variable = _round_variable(about, finder, label, report, verify)
    country_variable = _country_variable(mapping, known, countries, finder)
    try:
        chosen_backgrounds = _choose(known, "background", backgrounds, finder, report)
        chosen_questions = _choose(known, "question", questions, finder, report)
        chosen_weight = _design(known, "weight", weight, finder, report)
    except ValueError:
        if round_variable is not None:  # another round says more than the variables that it lacks
            raw.data = open_survey(path, encoding=encoding, columns=[round_variable]).data
            _select_round(raw, round_variable, about["select"]["value"], label, report)
        raise
    design = {
        role: None if weight is None else _design(known, role, "auto", finder, report) for role in ("strata", "cluster")
    }
    used = {name for name, _ in [*chosen_backgrounds, *chosen_questions]} | {chosen_weight, *design.values()}
    needed = [name for name in raw.data.columns if name in used | {round_variable, country_variable}]
    loaded = open_survey(path, encoding=encoding, columns=needed)
    raw.data, raw.missing_codes = loaded.data, loaded.missing_codes
    if round_variable is not None:
        _select_round(raw, round_variable, about["select"]["value"], label, report)
    if country_variable is not None and countries is not None:
        _select_countries(raw, country_variable, countries, report)
    raw.data = raw.data[[column for column in raw.data.columns if column in used]]
    for role, name in design.items():
        if name is not None and (absent := int(raw.data[name].isna().sum())):
            report.warn(name, f"{role} missing for some respondents: not used", absent)
            design[role] = None

    choices = Choices(
        questions={name: None for name, _ in chosen_questions},
        backgrounds={name: (entry.alias if entry else None) or name for name, entry in chosen_backgrounds},
        kinds={name: entry.kind for name, entry in chosen_backgrounds if entry and entry.kind},
        ordinal={name: entry.ordinal for name, entry in chosen_questions if entry and entry.ordinal is not None},
        lenient={
            name
            for name, _ in [
                *(chosen_questions if questions is None else []),
                *(chosen_backgrounds if backgrounds is None else []),
            ]
        },
        missing=as_missing({**{_code(k): v for k, v in about.get("missing", {}).items()}, **(missing or {})}),
        age_bands=check_bands(age_bands),
        year=about.get("year"),
        variable_labels=raw.variable_labels,
        value_labels=raw.value_labels,
        context=label,
        max_options=MAX_OPTIONS,
        max_levels=MAX_LEVELS,
    )
    if choices.backgrounds is not None and any(e and e.kind == "country" for _, e in chosen_backgrounds):
        choices.max_levels = 250  # there are fewer countries
    choices.weight, choices.strata, choices.cluster = chosen_weight, design["strata"], design["cluster"]
    built = build_survey(raw, choices, report)
    by_name: dict[str | None, Entry | None] = dict([*chosen_backgrounds, *chosen_questions])
    by_name |= {finder.find(entry): entry for entry in known if entry.role in ("weight", "strata", "cluster")}
    status = [_status(by_name.get(name)) for name in built.variables["name"]]
    built.variables["checked"] = status
    unchecked = [name for name, checked in zip(built.variables["name"], status, strict=True) if checked == "unchecked"]
    if unchecked:
        report.note("", f"{len(unchecked)} variables of the mapping are unchecked", 0, ", ".join(unchecked))
    built.report = report.frame()
    n_checked = sum(checked not in ("unchecked", "not in the mapping") for checked in status)
    built.DESCR = (
        f"{label}: {len(built.data):,} respondents of {raw.path.name}. {mapping['citation']} "
        f"{n_checked} of {len(status)} variable names are checked (see .variables)."
    )
    built.terms = mapping["terms"]
    built.source = raw.path.name
    report.issue(raw.path.name)
    return built


def _status(entry: Entry | None) -> str:
    return "not in the mapping" if entry is None else entry.checked or "unchecked"


def _code(text: str) -> Hashable:
    return int(text) if re.fullmatch(r"-?\d+", text) else text


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

    def resolve_keys(self, mapping: Mapping[str, Any], parameter: str) -> dict[str, Any]:
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
            f"{finder.raw.path.name} lacks {wanted!r}, which tells its round: {label} cannot be verified. If you know "
            "that it is, say verify=False"
        )
    if name is None:
        report.note(wanted, "the round could not be verified: the file lacks this variable")
    return name


def _select_round(raw: RawSurvey, name: str, value: Any, label: str, report: Report) -> None:
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
