"""What readers return: a survey or a question-level set as a Bunch, with a list of everything left out or odd."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils import Bunch

from surveysim.errors import SurveysimWarning, warn
from surveysim.questions import Question
from surveysim.tables import Cells, tabulate

__all__ = ["QuestionSet", "Report", "Survey", "SurveyWarning"]

SHOWN_QUESTIONS = 5
"""How many a notebook shows."""

REPORT_COLUMNS = ("variable", "severity", "what", "respondents", "detail")

VARIABLES_SHOWN = 5
DOUBTS_SHOWN = 20
"""Variables that a warning names of each kind; .report has all of them."""


class SurveyWarning(SurveysimWarning):
    """Something in a survey file needs attention; ``survey.report`` lists everything."""


@dataclass
class Report:
    """Collects what a reader found: notes, and warnings that are issued together at the end."""

    rows: list[tuple[str, str, str, int, str]] = field(default_factory=list)
    doubts: set[str] = field(default_factory=set)

    def note(self, variable: str, what: str, respondents: int = 0, detail: str = "") -> None:
        """Something counted, that needs no attention."""
        self.rows.append((variable, "note", what, int(respondents), detail))

    def warn(self, variable: str, what: str, respondents: int = 0, detail: str = "") -> None:
        """Something that needs attention."""
        self.rows.append((variable, "warning", what, int(respondents), detail))

    def doubt(self, variable: str, what: str, respondents: int, detail: str, line: str) -> None:
        """Something that could be otherwise, and the line of code that makes it so; the warning shows both."""
        self.doubts.add(what)
        self.warn(variable, what, respondents, f"{detail}; {line}")

    def add(self, other: Report) -> None:
        """Take over what another report has collected."""
        self.rows += other.rows
        self.doubts |= other.doubts

    def frame(self) -> pd.DataFrame:
        """All of it: variable, severity ("note" or "warning"), what, respondents concerned, detail."""
        return pd.DataFrame(self.rows, columns=list(REPORT_COLUMNS))

    def issue(self, source: str) -> None:
        """One `SurveyWarning` for all warnings, a line for each kind with its variables."""
        kinds: dict[str, list[str]] = {}
        for variable, severity, what, respondents, detail in self.rows:
            if severity == "warning":
                counted = f" ({respondents:,} respondents)" if respondents else ""
                shown = f": {detail}" if what in self.doubts else ""
                kinds.setdefault(what, []).append(variable + counted + shown if variable else "")
        if not kinds:
            return
        lines = []
        for what, variables in kinds.items():
            limit = DOUBTS_SHOWN if what in self.doubts else VARIABLES_SHOWN
            more = [f"and {len(variables) - limit:,} more"] if len(variables) > limit else []
            if what in self.doubts:
                lines.append("\n    ".join([f"  {what}:", *variables[:limit], *more]))
            else:
                listed = " ".join([", ".join(variables[:limit]), *more])
                lines.append(f"  {what}: {listed}" if any(variables) else f"  {what}")
        warn(
            f"{source}: {len(kinds)} kind{'s' if len(kinds) > 1 else ''} of anomalies, listed in .report\n"
            + "\n".join(lines),
            SurveyWarning,
        )


class Survey(Bunch):
    """A survey file, one row per respondent, with questions, backgrounds and weights: what `read_survey` returns.

    A scikit-learn ``Bunch``: a dictionary whose keys are attributes.

    Attributes
    ----------
    data : DataFrame
        One row per respondent. Questions are categoricals of option texts (and of "Don't know", "Refused", "No answer",
        "Not applicable", which `tabulate` understands); backgrounds are categoricals, ordered where they have an order.
    questions : dict of str to Question
        By column.
    backgrounds : list of str
        Columns of `data`.
    weight, strata, cluster : str or None
        Columns of `data`.
    variables : DataFrame
        The codebook: a row for each variable of the file with its label, its role and the reason for it.
    report : DataFrame
        Everything left out, changed or odd: variable, severity, what, respondents, detail.
    value_labels : dict of str to dict
        Code to label, as in the file.
    DESCR, terms : str
        What the survey is; its terms of use.

    Examples
    --------
    >>> from surveysim.datasets import load_fair
    >>> survey = load_fair()
    >>> survey.backgrounds[:2]
    ['age', 'religiousness']
    >>> len(survey.tabulate(["religiousness"]))
    4
    """

    def tabulate(
        self,
        backgrounds: Sequence[str] | None = None,
        questions: Sequence[str] | Mapping[str, Question] | None = None,
        **parameters: Any,
    ) -> Cells:
        """Tabulate this survey, with its weight and, if it has them, strata and clusters.

        Parameters
        ----------
        backgrounds : list of str, optional
            Default: all of `backgrounds`.
        questions : list of str or mapping of str to Question, optional
            Default: all of `questions`.
        **parameters
            Passed to `surveysim.tabulate`; ``weights=None`` leaves the weights out.

        Returns
        -------
        Cells

        Raises
        ------
        ValueError
            If there are no questions or backgrounds, or one that you name was not proposed; otherwise as in `tabulate`.
        """
        chosen: Mapping[str, Question]
        if questions is None:
            chosen = self.questions
        elif isinstance(questions, Mapping):
            chosen = questions
        else:
            names = [questions] if isinstance(questions, str) else list(questions)
            unknown = [name for name in names if name not in self.questions]
            if unknown:
                raise ValueError(f"questions names {unknown}, for which this survey has no Question; see .variables")
            chosen = {name: self.questions[name] for name in names}
        columns = self.backgrounds if backgrounds is None else backgrounds
        if not chosen or len(columns) == 0:
            missing = "questions" if not chosen else "backgrounds"
            raise ValueError(f"this survey has no {missing}: name them when reading, {missing}=[...]; see .variables")
        design = {"weights": self.weight, "strata": self.strata, "cluster": self.cluster}
        return tabulate(self.data, columns, chosen, **{**design, **parameters})

    def subset(self, rows: ArrayLike) -> Survey:
        """Select some of the respondents, renumbered from 0; everything else stays as in the whole survey.

        Parameters
        ----------
        rows : array of bool of shape (n_respondents,), or array of int
            Which respondents, or their positions.

        Returns
        -------
        Survey

        Raises
        ------
        ValueError
            If the length of a boolean array is not the number of respondents.
        """
        chosen = np.asarray(rows)
        if chosen.dtype == bool and chosen.shape != (len(self.data),):
            raise ValueError(f"rows must have one entry per respondent, {len(self.data):,}, got shape {chosen.shape}")
        positions = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
        return Survey(**{**self, "data": self.data.iloc[positions].reset_index(drop=True)})

    def __repr__(self) -> str:
        lines = [
            f"Survey({len(self.data):,} respondents, {len(self.questions):,} questions",
            f"  backgrounds: {', '.join(self.backgrounds) or 'none'}",
            f"  weight: {self.weight or 'none'}",
        ]
        found = self.report["severity"].value_counts()
        listed = ", ".join(f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in found.items())
        lines.append(f"  report: {listed or 'empty'}")
        return "\n".join(lines) + ")"

    def _repr_html_(self) -> str:
        """The summary, then the first questions with how often each option was chosen."""
        parts = [f"<pre>{html.escape(repr(self))}</pre>"]
        for name in list(self.questions)[:SHOWN_QUESTIONS]:
            question = self.questions[name]
            counts = self.data[name].value_counts() if name in self.data else pd.Series(dtype=int)
            chosen = counts.reindex(list(question.options)).fillna(0).astype(int)
            frame = pd.DataFrame([chosen.to_numpy()], columns=list(question.options))
            text = html.escape(f"{name}: {question.text}")
            parts.append(f"<p><strong>{text}</strong></p>{frame.to_html(index=False, border=0, notebook=True)}")
        left = len(self.questions) - SHOWN_QUESTIONS
        if left > 0:
            parts.append(f"<p>and {left:,} more question{'s' if left > 1 else ''}</p>")
        return "".join(parts)


class QuestionSet(Bunch):
    """Published distributions of answers by group, question by question: X, Y and n for `fit`.

    A scikit-learn ``Bunch``: a dictionary whose keys are attributes.

    Attributes
    ----------
    X : DataFrame of shape (n_cells, n_attributes + 1)
        ``"question"`` and a column for each attribute; a row states the attributes of its group and is NaN elsewhere
        ("not stated": the total over that attribute).
    Y : float64 array of shape (n_cells, K)
        NaN past the last option of a shorter question.
    n : float64 array of shape (n_cells,)
        Respondents, at most those of the survey.
    questions : dict of str to Question
    backgrounds : list of str
        The attributes.
    n_is_assumed : bool
        Whether n is an assumption of the caller, because the file has no counts.
    report : DataFrame
        Everything left out, changed or odd.
    DESCR, terms : str

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from surveysim.datasets import QuestionSet
    >>> X = pd.DataFrame({"question": ["q1", "q1"], "sex": ["f", "m"]})
    >>> questions = QuestionSet(
    ...     X=X,
    ...     Y=np.array([[0.2, 0.8], [0.4, 0.6]]),
    ...     n=np.array([200.0, 180.0]),
    ...     questions={},
    ...     backgrounds=["sex"],
    ...     n_is_assumed=False,
    ...     report=pd.DataFrame(),
    ... )
    >>> float(questions.n.sum())
    380.0
    """

    def __repr__(self) -> str:
        assumed = " (assumed)" if self.n_is_assumed else ""
        return (
            f"QuestionSet({len(self.X):,} cells, {len(self.questions):,} questions\n"
            f"  backgrounds: {', '.join(self.backgrounds)}\n"
            f"  n{assumed}: median {np.median(self.n) if len(self.n) else 0:,.0f}\n"
            f"  report: {len(self.report)} rows)"
        )
