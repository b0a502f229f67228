"""`Evidence`: what people answered elsewhere, in the words of the survey that it is to help."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from surveysim.cells import FitCells

__all__ = ["UNMATCHED_COLUMNS", "Evidence", "same_respondents"]

UNMATCHED_COLUMNS = ("kind", "name", "why")
"""Columns of `Evidence.unmatched`."""

SAME_SHARE = 0.9
"""From this share of identical cells on, two tables are of the same respondents."""

FEWEST = 20
"""With fewer respondents than that, tables may be identical by chance."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """Distributions of people's answers, matched to a target's questions, options, attributes and levels.

    Attributes
    ----------
    backgrounds : DataFrame of m rows
        The target's attribute columns with its level values. Missing: the row is the total over that attribute.
    question_names : object array of shape (m,)
        Names of the target's questions, ``""`` for a single one.
    Y : float64 array of shape (m, K)
        In the target's order of options, NaN past the last option of a shorter question. K is that of the target.
    n : float64 array of shape (m,)
        Effective respondents behind each row.
    unmatched : DataFrame
        What was not matched: ``kind`` ("question", "attribute", "level" or "option"), ``name`` and ``why``.

    Notes
    -----
    Rows that state the same attributes are different people. Those that state others, such as a question's shares by
    age and its shares by sex, may be the same people again.

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim import Question
    >>> from surveysim.sources import Wave
    >>> toplines = pd.DataFrame({"sex": ["F", "M"], "yes": [0.6, 0.4], "no": [0.4, 0.6], "n": [520, 480]})
    >>> evidence = Wave(toplines).evidence(Question("Q?", ["no", "yes"]), pd.DataFrame({"sex": ["m", "f"]}))
    >>> len(evidence), evidence.backgrounds["sex"].tolist(), evidence.Y[0].tolist()
    (2, ['f', 'm'], [0.4, 0.6])
    """

    backgrounds: pd.DataFrame
    question_names: np.ndarray
    Y: np.ndarray
    n: np.ndarray
    unmatched: pd.DataFrame

    def __len__(self) -> int:
        return len(self.n)


def same_respondents(evidence: Evidence, cells: FitCells | Evidence) -> bool:
    """Whether evidence was tabulated from the very respondents of `cells`: the same cells, answers and numbers.

    Parameters
    ----------
    evidence : Evidence
    cells : FitCells or Evidence
        Training cells, or the evidence of another source.

    Returns
    -------
    bool
        True where nine tenths of the cells, of 20 respondents or more in all, are found with the same n and the same
        distribution in the evidence.

    Examples
    --------
    >>> from surveysim.datasets import make_survey
    >>> from surveysim.sources import Wave, same_respondents
    >>> survey = make_survey(400, random_state=0)
    >>> halves = [survey.subset(range(200)), survey.subset(range(200, 400))]
    >>> backgrounds = survey.data[survey.backgrounds]
    >>> one, other = (Wave(half.tabulate()).evidence(survey.questions, backgrounds) for half in halves)
    >>> same_respondents(one, one), same_respondents(one, other)
    (True, False)
    """
    known = {_cell(*row) for row in _rows(evidence)}
    found = [_cell(*row) in known for row in _rows(cells)]
    return bool(cells.n.sum() >= FEWEST and np.mean(found) >= SAME_SHARE)


def _rows(cells: FitCells | Evidence) -> list[tuple]:
    columns = sorted(cells.backgrounds.columns)
    frame = cells.backgrounds[columns].astype(object)
    values = frame.where(frame.notna(), None).to_numpy(dtype=object)
    return list(zip(cells.question_names, map(tuple, values), cells.Y, cells.n, strict=True))


def _cell(question: str, background: tuple, shares: np.ndarray, n: float) -> tuple:
    """A key under which equal cells are equal, whatever the last digits of their arithmetic."""
    told = shares[~np.isnan(shares)]
    return question, background, tuple(np.round(told, 6).tolist()), round(float(n), 4)
