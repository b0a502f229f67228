"""From a column of answers to option numbers and kinds of missing, for one question."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from surveysim.errors import SurveysimError
from surveysim.questions import Question
from surveysim.tables.matching import CodeBook, OptionMatcher, list_values
from surveysim.tables.missing import MISSING_KINDS, MISSING_OPTIONS, Missing, kind_of_text

__all__ = ["CodedAnswers", "UnknownAnswersError", "code_answers"]


class UnknownAnswersError(SurveysimError, ValueError):
    """Answers that match no option, collected over the questions before they are reported."""


@dataclass(frozen=True)
class CodedAnswers:
    """One question's answers as integers.

    Attributes
    ----------
    question : Question
        The question, with the options that the policy "option" added.
    option : int array of shape (n_respondents,)
        0..K-1: the option; K + i: missing, of kind ``MISSING_KINDS[i]``.
    """

    question: Question
    option: np.ndarray


def code_answers(column: pd.Series, question: Question, missing: Missing) -> CodedAnswers:
    """Match every answer of a column to an option or a kind of missing.

    Parameters
    ----------
    column : Series
        One answer per respondent; its name is the question's name.
    question : Question
        What is matched (see `OptionMatcher`).
    missing : Missing
        Which values are missing answers, and what becomes of them.

    Returns
    -------
    CodedAnswers

    Raises
    ------
    UnknownAnswersError
        If answers match nothing; the message lists them with counts.
    ValueError
        If a declared missing code is also an option's code.
    """
    name = str(column.name)
    try:
        seen, uniques = pd.factorize(column)
    except TypeError as error:
        raise TypeError(f"answers in column {name!r} must be single values (text, numbers): {error}") from None
    values = list(uniques)
    declared = missing.codes_of(name)
    matcher = OptionMatcher(question)
    _refuse_conflicts(name, matcher, declared, missing.policy)

    kinds: list[str | None] = []  # per distinct value; None: an option
    options: list[int] = []  # per distinct value, where it is one
    unknown: list[int] = []
    codebook, declared_kinds = CodeBook(declared), list(declared.values())
    for i, value in enumerate(values):
        kind: str | None = None
        option: int | None = None
        found = codebook.find(value)
        if found is not None:
            kind = declared_kinds[found]
        elif isinstance(value, str) and not value.strip():
            kind = missing.blank
        else:
            option = matcher.find(value)
            if option is None and isinstance(value, str):
                kind = kind_of_text(value)
            if option is None and kind is None:
                unknown.append(i)
        kinds.append(kind)
        options.append(-1 if option is None else option)
    counts = np.bincount(seen[seen >= 0], minlength=len(values))
    if unknown:
        raise UnknownAnswersError(_unknown_message(name, matcher, [values[i] for i in unknown], counts[unknown]))

    question, option_of_kind = _with_missing_options(matcher, missing, declared, {kind for kind in kinds if kind})
    target = np.empty(len(values) + 1, dtype=np.int64)
    for i, (kind, option) in enumerate(zip([*kinds, missing.blank], [*options, -1], strict=True)):
        if kind is None:
            target[i] = option
        else:
            target[i] = option_of_kind.get(kind, question.n_options + MISSING_KINDS.index(kind))
    return CodedAnswers(question, target[seen])  # factorize marks blanks with -1: the last entry


def _refuse_conflicts(name: str, matcher: OptionMatcher, declared: dict[Hashable, str], policy: str) -> None:
    for code, kind in declared.items():
        option = matcher.find(code)
        if option is None:
            continue
        text = matcher.question.options[option]
        if policy == "option" and kind_of_text(text) == kind:
            continue  # the question already has the option that the policy would add
        raise ValueError(
            f"question {name!r}: {code!r} is declared missing ({kind}) but is the option {text!r}. Declare this "
            f"question's own codes, missing={{..., {name!r}: {{...}}}}, or give the question codes."
        )


def _with_missing_options(
    matcher: OptionMatcher, missing: Missing, declared: dict[Hashable, str], seen: set[str]
) -> tuple[Question, dict[str, int]]:
    """The question with an option for each kind that was declared or written out, and where each kind now goes.

    Declared codes count whether or not they occur, so that two samples of a survey get the same options.
    """
    question = matcher.question
    if missing.policy != "option":
        return question, {}
    place: dict[str, int] = {}
    added: list[str] = []
    codes = matcher.file_codes()
    for kind, label in MISSING_OPTIONS.items():
        existing = [i for i, option in enumerate(question.options) if kind_of_text(option) == kind]
        if existing:
            place[kind] = existing[0]
        elif kind in declared.values() or kind in seen:
            place[kind] = question.n_options + len(added)
            added.append(label)
            codes.append(next((code for code, meant in declared.items() if meant == kind), label))
    if added:
        question = replace(
            question,
            options=(*question.options, *added),
            codes=tuple(codes),
            pinned=(*question.pinned, *added),
            values=None if question.values is None else (*question.values, *[None] * len(added)),
        )
    return question, place


def _unknown_message(name: str, matcher: OptionMatcher, values: list, counts: np.ndarray) -> str:
    question = matcher.question
    expected = f"the options {list(question.options)}"
    if question.codes is not None:
        expected += f" or their codes {list(question.codes)}"
    elif matcher.uses_positions:
        expected += f" or the integers 1 to {question.n_options}"
    return f"question {name!r}: {list_values(values, counts.tolist())}; expected {expected}"
