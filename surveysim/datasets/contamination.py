"""The contamination rule: what may be evidence for a group's answers, and what already contains them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd

from surveysim.datasets.no_answer import plain_text
from surveysim.datasets.survey import QuestionSet
from surveysim.level_order import range_of
from surveysim.questions import Question
from surveysim.tables import QUESTION_COLUMN

__all__ = ["leave_out_overlapping", "overlapping"]


EVERYBODY = {"total", "all", "overall", "everybody", "everyone", "any", "all adults"}
"""Values of an attribute that are the total over it."""

SYNONYMS = [
    {"f", "female", "females", "woman", "women", "girl", "girls"},
    {"m", "male", "males", "man", "men", "boy", "boys"},
    {"us", "usa", "u.s.", "u.s.a.", "united states", "the united states", "united states of america", "america"},
    {"uk", "gb", "gbr", "great britain", "britain", "united kingdom", "the united kingdom"},
    {"democrat", "democrats", "democratic", "dem", "d"},
    {"republican", "republicans", "rep", "gop", "r"},
]
"""Words that data sets use for the same people."""


class Asked(Protocol):
    """Rows of questions put to groups: a question-level set, cells of a survey."""

    @property
    def X(self) -> pd.DataFrame:
        """The question and the group of each row."""

    @property
    def questions(self) -> Mapping[str, Question]:
        """Questions by name."""


def overlapping(evidence: Asked, target: Asked) -> np.ndarray:
    """Which rows of one set are answers of the same people, in part, to a question that another set asks.

    A row overlaps another if the question has the same text, whatever its case, spacing and punctuation, and no
    attribute tells the two groups apart: women and people under 30 overlap, women and men do not, and the total
    overlaps everybody. Groups that are described by different attributes count as overlapping, and so do ages "18-29"
    and "25-34", "female" and "women", and "Black" and "Black or African American" unless one set has both. Other values
    are taken as different groups where they are written differently ("Finland" and "Suomi").

    Parameters
    ----------
    evidence, target : QuestionSet
        Or anything with X and questions; a missing attribute is the total over it.

    Returns
    -------
    bool array
        For each row of `evidence`, whether it overlaps a row of `target`.
    """
    frames = [_described(part) for part in (evidence, target)]
    columns = sorted(set(frames[0].columns) | set(frames[1].columns) - {_TEXT})
    columns.remove(_TEXT)
    ours, theirs = (frame.reindex(columns=[_TEXT, *columns]) for frame in frames)
    result = np.zeros(len(ours), dtype=bool)
    levels = [_levels_together(frame, columns) for frame in (ours, theirs)]
    targets = {text: group[columns].to_numpy(dtype=object) for text, group in theirs.groupby(_TEXT, sort=False)}
    for text, group in ours.groupby(_TEXT, sort=False):
        others = targets.get(text)
        if others is None:
            continue
        own = group[columns].to_numpy(dtype=object)
        known = [[together.get((str(text), column), set()) for together in levels] for column in columns]
        for row, values in zip(group.index, own, strict=True):
            result[row] = any(not _apart(values, other, known) for other in others)
    return result


def _levels_together(frame: pd.DataFrame, columns: list[str]) -> dict[tuple[str, str], set[str]]:
    """The values of each attribute among the groups that were asked a question."""
    return {
        (str(text), column): set(group[column].dropna())
        for text, group in frame.groupby(_TEXT, sort=False)
        for column in columns
    }


def leave_out_overlapping(evidence: QuestionSet, target: QuestionSet) -> QuestionSet:
    """Keep the rows of a question-level set that may be evidence for another: not those that already hold its answers.

    Parameters
    ----------
    evidence : QuestionSet
        What a source is to be made of.
    target : QuestionSet
        What is to be predicted.

    Returns
    -------
    QuestionSet
        Without the rows that overlap a row of `target`: the same question, and people who may be the same.

    Raises
    ------
    ValueError
        If nothing is left.

    See Also
    --------
    surveysim.sources.Wave : Makes a source of it.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from surveysim import Question
    >>> from surveysim.datasets import QuestionSet, leave_out_overlapping
    >>> def groups(*sexes):
    ...     X = pd.DataFrame({"question": "q", "sex": list(sexes)})
    ...     Y = np.full((len(X), 2), 0.5)
    ...     return QuestionSet(
    ...         X=X,
    ...         Y=Y,
    ...         n=np.full(len(X), 100.0),
    ...         questions={"q": Question("Q?", ["no", "yes"])},
    ...         backgrounds=["sex"],
    ...         n_is_assumed=False,
    ...         report=pd.DataFrame(),
    ...     )
    >>> leave_out_overlapping(groups("f", "m", None), groups("f")).X["sex"].tolist()
    ['m']
    """
    kept = np.flatnonzero(~overlapping(evidence, target))
    if not len(kept):
        raise ValueError("nothing is left: every row overlaps the target, with the same question of the same people")
    changed = {
        name: _rows(value, kept)
        for name, value in evidence.items()
        if name in ("X", "Y", "n", "datasets", "groups", "attributes", "labels", "recorded")
    }
    used = set(changed["X"][QUESTION_COLUMN]) if QUESTION_COLUMN in changed["X"] else set(evidence.questions)
    questions = {name: question for name, question in evidence.questions.items() if name in used}
    return QuestionSet(**{**evidence, **changed, "questions": questions})


_TEXT = "\0text"
"""The column with a question's text; no attribute has this name."""


def _described(part: Asked) -> pd.DataFrame:
    """Texts and attributes of a set's rows, comparable with another's."""
    X = part.X.reset_index(drop=True)
    names = X[QUESTION_COLUMN] if QUESTION_COLUMN in X else pd.Series([next(iter(part.questions))] * len(X))
    # a sentence that describes a group does not say which others overlap it; the attributes in it do
    stated = getattr(part, "attributes", X.drop(columns=QUESTION_COLUMN, errors="ignore"))
    frame = stated.reset_index(drop=True).astype(object)
    frame = frame.map(lambda value: value if pd.isna(value) else plain_text(str(value)))
    frame.columns = pd.Index([plain_text(str(column)) for column in frame.columns], dtype=object)
    repeated = frame.columns[frame.columns.duplicated()]
    if len(repeated):
        raise ValueError(f"the groups have two attributes called {repeated[0]!r}, whatever their case: rename one")
    frame[_TEXT] = [_bare(part.questions[name].text) for name in names]
    return frame


def _bare(text: str) -> str:
    """Letters and digits alone: the same question has other dashes, quotes and spaces elsewhere."""
    return re.sub(r"[\W_]+", "", plain_text(text)) or text


def _apart(one: np.ndarray, other: np.ndarray, known: Sequence[Sequence[set[str]]]) -> bool:
    """Whether an attribute shows two groups to be of different people; `known` has each attribute's levels by set."""
    return any(_differ(a, b, levels) for a, b, levels in zip(one, other, known, strict=True))


def _differ(a: str | float, b: str | float, known: Sequence[set[str]]) -> bool:
    """Whether two values of an attribute are certainly of different people."""
    if isinstance(a, float) or isinstance(b, float) or a == b or not {a, b}.isdisjoint(EVERYBODY):
        return False
    first, second = range_of(a), range_of(b)
    if first is not None and second is not None:
        return first[1] < second[0] or second[1] < first[0]
    if any({a, b} <= levels for levels in known):  # one set tells them apart
        return not any({a, b} <= same for same in SYNONYMS)
    if (first is None) != (second is None):  # a code and a text may mean the same
        return False
    words = [set(re.findall(r"\w+", text)) for text in (a, b)]
    if words[0] <= words[1] or words[1] <= words[0]:
        return False
    return not any({a, b} <= same for same in SYNONYMS)


def _rows(value: pd.DataFrame | np.ndarray | list[Any] | None, kept: np.ndarray) -> Any:
    if value is None:
        return None
    if isinstance(value, pd.DataFrame):
        return value.iloc[kept].reset_index(drop=True)
    return [value[i] for i in kept] if isinstance(value, list) else value[kept]
