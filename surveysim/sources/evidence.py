"""`Evidence`: what people answered elsewhere, in the words of the survey that it is to help."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

__all__ = ["UNMATCHED_COLUMNS", "Evidence"]

UNMATCHED_COLUMNS = ("kind", "name", "why")
"""Columns of `Evidence.unmatched`."""


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
    >>> toplines = pd.DataFrame(
    ...     {"sex": ["F", "M"], "yes": [0.6, 0.4], "no": [0.4, 0.6], "n": [520, 480]}
    ... )
    >>> evidence = Wave(toplines).evidence(
    ...     Question("Q?", ["no", "yes"]), pd.DataFrame({"sex": ["m", "f"]})
    ... )
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
