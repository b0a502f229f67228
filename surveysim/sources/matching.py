"""From a source's answers to evidence: questions, options, attributes and levels in the target's words."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from surveysim.levels import is_number_column
from surveysim.questions import Question
from surveysim.sources.answers import NOT_STATED, Answers
from surveysim.sources.cuts import TargetLevels, match_levels
from surveysim.sources.evidence import UNMATCHED_COLUMNS, Evidence
from surveysim.sources.names import listed, match_names, plain_name
from surveysim.sources.options import OptionMapping, OptionMatch, match_options
from surveysim.sources.overlap import distinct_tables
from surveysim.sources.pooling import pool

__all__ = ["Mappings", "Matching", "match_answers"]

TOTAL = -1
"""The code of a row that is the total over an attribute."""

OUTSIDE = -2
"""The code of a level that is none of the target's."""


QUIET = ("no training cell", "taken for")
"""How remarks begin that are listed, and need no warning."""


@dataclass(frozen=True)
class Mappings:
    """What the user said of names; see `surveysim.sources.Wave`."""

    questions: Mapping[str, str | None] | None = None
    attributes: Mapping[str, str | None] | None = None
    levels: Mapping[str, Mapping[Any, Any]] | None = None
    options: Mapping[str, OptionMapping] | None = None


@dataclass
class Matching:
    """Evidence, and what a warning should say of it.

    Attributes
    ----------
    rows : list of (kind, name, why)
        What was not matched.
    doubts : list of str
        What the user should look at, in sentences.
    evidence : Evidence or None
    """

    rows: list[tuple[str, str, str]] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    evidence: Evidence | None = None

    def lacking(self, kind: str, name: object, why: str, *, quiet: bool = False) -> None:
        """List something that does not match; `quiet` where nobody need act on it."""
        self.rows.append((kind, str(name), why))
        if not quiet:
            self.doubts.append(f"{kind} {str(name)!r}: {why}")


def match_answers(
    answers: Answers,
    weight: np.ndarray,
    questions: Mapping[str, Question],
    backgrounds: pd.DataFrame,
    mappings: Mappings,
) -> Matching:
    """Answers of a source in the words of a target.

    Parameters
    ----------
    answers : Answers
    weight : float64 array of shape (m,)
        How much each row counts where rows are put together.
    questions : mapping of str to Question
        The target's; ``""`` for a single one.
    backgrounds : DataFrame
        The target's training backgrounds: its attributes and levels.
    mappings : Mappings

    Raises
    ------
    TypeError, ValueError
        If a mapping names what does not exist, a question's options do not match at all, or nothing is in common.
    """
    matching = Matching()
    if answers.n_is_assumed:
        matching.doubts.append(
            "its numbers of respondents are assumed, and it is believed by them: give n where it is known"
        )
    asked = _match_questions(answers, questions, mappings.questions, matching)
    converted = _match_options(answers, questions, asked, mappings.options, matching)
    if not converted:
        raise ValueError(_nothing_in_common(list(answers.options), list(questions), matching))
    codes, values = _match_attributes(answers, backgrounds, mappings, matching)
    own, Y, n = _in_our_options(answers, questions, converted)
    kept = (own >= 0) & (n > 0) & (weight > 0) & (codes != OUTSIDE).all(axis=1)
    if not kept.any():
        raise ValueError(
            "the source has no cell in common with the target: its levels are others. "
            + "; ".join(f"{kind} {name!r}: {why}" for kind, name, why in matching.rows)
        )
    keys = np.column_stack([own, answers.table, codes])[kept]
    group = np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)
    share_kept = n[kept] / answers.n[kept]
    first, shares, sizes = pool(group, Y[kept], n[kept], weight[kept] * share_kept)
    keys = keys[first]
    chosen = distinct_tables(keys[:, 0], keys[:, 1], keys[:, 2:] == TOTAL, sizes)
    keys, shares, sizes = keys[chosen], shares[chosen], sizes[chosen]
    names = np.array(list(questions), dtype=object)[keys[:, 0]]
    frame = _frame(backgrounds, keys[:, 2:], values)
    unmatched = pd.DataFrame(matching.rows, columns=list(UNMATCHED_COLUMNS))
    matching.evidence = Evidence(frame, names, shares, sizes, unmatched)
    return matching


def _nothing_in_common(theirs: list[str], ours: list[str], matching: Matching) -> str:
    """What to do where no question can be used."""
    failures = [f"{name!r}: {why}" for kind, name, why in matching.rows if kind == "question" and "options" in why]
    if failures:
        return "the source has no question in common with the target whose options match: " + "; ".join(failures)
    told = f"the source has no question in common with the target: it has {listed(theirs)}, the target "
    if ours == [""]:
        return told + f'a single one of another wording. Say which it is, questions={{{theirs[0]!r}: ""}}'
    return told + f"{listed(ours)}. Say which is which, questions={{{theirs[0]!r}: {ours[0]!r}}}"


def _match_questions(
    answers: Answers, questions: Mapping[str, Question], mapping: Mapping[str, str | None] | None, matching: Matching
) -> dict[str, str]:
    """Their question to ours: by name, else by wording; a single one is the single one."""
    theirs, ours = list(answers.options), list(questions)
    if mapping is None and ours == [""] and len(theirs) == 1:
        text = answers.texts[theirs[0]]
        if text and not _same_wording(text, questions[""]):
            matching.doubts.append(
                f"its only question, {text!r}, has another wording than the target's; if that is what was meant, say "
                f'so: questions={{{theirs[0]!r}: ""}}'
            )
        return {theirs[0]: ""}
    found = match_names(theirs, ours, mapping, "questions")
    asked = dict(found.ours)
    unmatched = []
    for their in found.unmatched:
        same = [
            our for our in ours if our not in asked.values() and _same_wording(answers.texts[their], questions[our])
        ]
        if len(same) == 1:
            asked[their] = same[0]
        else:
            unmatched.append(their)
    for their in unmatched:
        matching.lacking("question", their, "the target does not ask it", quiet=True)
    for our in ours:
        if our not in asked.values():
            matching.lacking("question", our, "the source did not ask it")
    reworded = []
    for their, our in asked.items():
        by_name = their not in (mapping or {}) and our != ""
        if by_name and answers.texts[their] and not _same_wording(answers.texts[their], questions[our]):
            reworded.append(our)
    if reworded:
        matching.doubts.append(
            f"questions {listed(reworded)} have the same name in the source and another wording; leave out those that "
            f"are not the same, questions={{{reworded[0]!r}: None}}"
        )
    return asked


def _same_wording(text: str, question: Question) -> bool:
    return bool(text) and plain_name(text) == plain_name(question.text)


def _match_options(
    answers: Answers, questions: Mapping[str, Question], asked: Mapping[str, str],
    options: Mapping[str, OptionMapping] | None, matching: Matching,
) -> dict[str, tuple[str, OptionMatch]]:  # fmt: skip
    """For each of their questions that can be used, ours and how its options become ours."""
    if options is not None and not isinstance(options, Mapping):
        raise TypeError(f"options must be a mapping of questions to mappings of options, got {options!r}")
    own = dict(options or {})
    converted = {}
    for their, our in asked.items():
        mapping = own.pop(our, None)
        if mapping is None:
            mapping = own.pop(their, None)
        match = match_options(answers.options[their], questions[our], mapping, our or their)
        for option, why in match.left_out:
            matching.lacking("option", option, why, quiet=True)
        if match.failure:
            matching.lacking("question", our or their, match.failure)
        else:
            converted[their] = (our, match)
    strange = [name for name in own if name not in questions and name not in answers.options]
    if strange:
        raise ValueError(f"options names the questions {listed(strange)}, which neither the target nor the source has")
    return converted


def _in_our_options(
    answers: Answers, questions: Mapping[str, Question], converted: Mapping[str, tuple[str, OptionMatch]]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each row the number of our question (-1: none), the distribution over our options, and its respondents."""
    place = {name: q for q, name in enumerate(questions)}
    own = np.full(len(answers), -1)
    Y = np.full((len(answers), max(question.n_options for question in questions.values())), np.nan)
    n = np.zeros(len(answers))
    for their, (our, match) in converted.items():
        rows = np.flatnonzero(answers.question_names == their)
        shares, kept = match.apply(answers.Y[rows])
        own[rows] = place[our]
        Y[rows, : questions[our].n_options] = shares
        n[rows] = answers.n[rows] * kept
    return own, Y, n


def _match_attributes(
    answers: Answers, backgrounds: pd.DataFrame, mappings: Mappings, matching: Matching
) -> tuple[np.ndarray, list[list[Hashable]]]:
    """Codes (m, A) of our levels, and for each of our attributes the values that they number."""
    columns = list(backgrounds.columns)
    found = match_names(answers.attributes, columns, mappings.attributes, "attributes")
    by_ours = {our: their for their, our in found.ours.items()}
    levels = _check_levels(mappings.levels, columns)
    codes = np.full((len(answers), len(columns)), TOTAL)
    values: list[list[Hashable]] = []
    for j, column in enumerate(columns):
        their = by_ours.get(column)
        if their is None:
            if column in levels:
                raise ValueError(f"levels names the attribute {column!r}, which the source does not have")
            matching.lacking("attribute", column, "the source does not have it: its rows are totals over it")
            values.append([])
            continue
        own = answers.backgrounds[their]
        codes[:, j], used = _match_column(own, backgrounds[column], levels.get(column), str(column), matching)
        values.append(used)
    for their in found.unmatched:
        matching.lacking("attribute", their, "the target does not have it: summed out", quiet=True)
    return codes, values


def _check_levels(levels: object, columns: Sequence[Hashable]) -> Mapping[Any, Mapping[Any, Any]]:
    if levels is None:
        return {}
    if not isinstance(levels, Mapping):
        raise TypeError(f"levels must be a mapping of the target's attributes to mappings of levels, got {levels!r}")
    strange = [name for name in levels if name not in columns]
    if strange:
        raise ValueError(f"levels names the attributes {listed(strange)}; the target has {listed(columns)}")
    return levels


def _match_column(
    own: pd.Series, target: pd.Series, mapping: Mapping[Hashable, Hashable] | None, attribute: str, matching: Matching
) -> tuple[np.ndarray, list[Hashable]]:
    """Codes of one attribute's levels in our words, and the levels."""
    stated = own[own.notna()]
    theirs = [level for level in dict.fromkeys(stated) if level != NOT_STATED]
    match = match_levels(theirs, _target_levels(target), mapping, attribute)
    for level, why in match.unmatched.items():
        matching.lacking("level", f"{attribute}: {level}", why)
    for level, why in match.notes.items():
        matching.lacking("level", f"{attribute}: {level}", why, quiet=why.startswith(QUIET))
    if not match.ours:
        matching.lacking("attribute", attribute, "no level matches: summed out")
        return np.where(own.isin(match.left_out), OUTSIDE, TOTAL), []
    if (stated == NOT_STATED).any():
        why = "respondents who did not state it have no level of the target"
        matching.lacking("level", f"{attribute}: not stated", why, quiet=True)
    used = list(dict.fromkeys(match.ours.values()))
    number = {level: used.index(our) for level, our in match.ours.items()}
    codes = [TOTAL if is_total else number.get(level, OUTSIDE) for level, is_total in zip(own, own.isna(), strict=True)]
    return np.array(codes), used


def _target_levels(column: pd.Series) -> TargetLevels:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return TargetLevels(column.cat.categories.astype(object).tolist(), is_closed=True, is_number=False)
    values = list(dict.fromkeys(column.dropna().astype(object)))
    return TargetLevels(values, is_closed=False, is_number=bool(values) and is_number_column(column))


def _frame(backgrounds: pd.DataFrame, codes: np.ndarray, values: list[list[Hashable]]) -> pd.DataFrame:
    """Our attribute columns; missing where a row is the total."""
    columns = {}
    for j, name in enumerate(backgrounds.columns):
        dtype = backgrounds[name].dtype
        found = [values[j][code] if code >= 0 else np.nan for code in codes[:, j]]
        if isinstance(dtype, pd.CategoricalDtype):
            columns[name] = pd.Series(pd.Categorical(found, dtype=dtype))
        elif found and is_number_column(backgrounds[name]):
            columns[name] = pd.Series(found, dtype=float)
        else:
            columns[name] = pd.Series(found, dtype=object)
    return pd.DataFrame(columns)
