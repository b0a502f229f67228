"""Which questions a bank is trained on, and which are held out: a share of each survey's, and whole surveys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from surveysim.questions import Question
from surveysim.tables.joining import survey_of

__all__ = ["HeldOut", "hold_out"]

FEWEST = 2
"""Questions without which nothing can be learned of questions, or judged."""


@dataclass(frozen=True)
class HeldOut:
    """Names of questions.

    Attributes
    ----------
    training : list of str
    questions : list of str
        Those by which epochs and the weight are chosen.
    surveys : dict of str to list of str
        Questions of whole surveys that are held out.
    repeated : list of str
        Questions of other surveys that are also asked in a held-out one: neither trained on nor judged by.
    """

    training: list[str]
    questions: list[str]
    surveys: dict[str, list[str]]
    repeated: list[str]


def hold_out(
    questions: Mapping[str, Question],
    surveys: Sequence[str],
    share: float,
    generator: np.random.Generator,
    choosing: Sequence[str] = (),
) -> HeldOut:
    """Divide questions, so that one wording is never on both sides.

    Parameters
    ----------
    questions : mapping of str to Question
        Those that have cells, called ``"survey/question"``.
    surveys : sequence of str
        Surveys that are held out.
    share : float
        Of the wordings of each other survey, rounded to whole ones.
    generator : numpy Generator
    choosing : sequence of str, default=()
        Surveys that choose, in place of a share of each.

    Raises
    ------
    ValueError
        If a survey is unknown or named twice, or fewer than two questions are left to train on or to choose by.
    """
    by_survey: dict[str, list[str]] = {}
    for name in questions:
        by_survey.setdefault(survey_of(name), []).append(name)
    for what, named in (("held_out_surveys", surveys), ("choose_by_surveys", choosing)):
        unknown = [survey for survey in named if survey not in by_survey]
        if unknown:
            raise ValueError(f"{what} names {unknown}; the table has the surveys {list(by_survey)}")
    both = sorted(set(surveys) & set(choosing))
    if both:
        raise ValueError(f"held_out_surveys and choose_by_surveys both name {both}: what chooses is not held out")
    outside = {survey: by_survey.pop(survey) for survey in dict.fromkeys(surveys)}
    asked_outside = {_wording(questions[name]) for names in outside.values() for name in names}
    repeated, chosen = [], set()
    kept: list[str] = []
    for survey, names in by_survey.items():
        repeated += [name for name in names if _wording(questions[name]) in asked_outside]
        own = [name for name in names if _wording(questions[name]) not in asked_outside]
        kept += own
        wordings = list(dict.fromkeys(_wording(questions[name]) for name in own))
        free = [wording for wording in wordings if wording not in chosen]
        own_share = float(survey in choosing) if choosing else share
        wanted = int(np.floor(own_share * len(wordings) + 0.5)) - (len(wordings) - len(free))
        chosen |= {free[i] for i in generator.permutation(len(free))[: max(0, wanted)]}
    training = [name for name in kept if _wording(questions[name]) not in chosen]
    held_out = [name for name in kept if _wording(questions[name]) in chosen]
    for what, names in (("to train on", training), ("held out, to choose by", held_out)):
        if len(names) < FEWEST:
            raise ValueError(
                f"{len(names)} questions are left {what}, at least {FEWEST} are needed: the table has "
                f"{len(questions)}, held_out_share={share:g} and held_out_surveys={list(surveys)}"
            )
    return HeldOut(training, held_out, outside, repeated)


def _wording(question: Question) -> str:
    """A question's text as repeats of it are found: with other options, spaces or capitals now and then."""
    return " ".join(question.text.casefold().split())
