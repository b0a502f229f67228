"""`GroupEstimates`: the table of `group_estimates`, which draws itself and is written for readers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from surveysim.reporting.columns import attributes_of, is_difference, statistic_of
from surveysim.reporting.intervals import Interval, difference_interval
from surveysim.reporting.written import WideTable, html_table, markdown_table, wide_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["GroupEstimates"]

NEEDED = {"question", "group", "option", "lower", "upper", "respondents", "source"}


class GroupEstimates(pd.DataFrame):
    """Estimates by group, one row per group and option: what `group_estimates` returns.

    A `pandas.DataFrame`: select rows, put tables of several models below each other (`pandas.concat`) and save them as
    with pandas. What is derived from it stays a GroupEstimates as long as it has the columns. It writes and draws
    itself: in notebooks as a formatted table with the options side by side, by `to_markdown`, `to_html_table` and
    `plot`. ``pandas.DataFrame(estimates)`` is the plain frame, with pandas' plots.

    Attributes
    ----------
    attrs : dict
        ``level`` of the intervals, ``by``, ``weighted_by`` ("respondents" or "population"), ``difference`` ("",
        "groups" or "tables"), and the wording of the ``questions``.

    See Also
    --------
    group_estimates : Makes it, and describes the columns.

    Examples
    --------
    >>> from surveysim import group_estimates
    >>> from surveysim.datasets import load_fair
    >>> cells = load_fair().tabulate(["religiousness"], ["rate_marriage"])
    >>> sample = group_estimates(None, cells, by="religiousness")
    >>> print(sample[sample["group"].isin(["not", "strongly"])].to_markdown())
    | religiousness | very poor | poor | fair | good | very good | respondents |
    |:--|--:|--:|--:|--:|--:|--:|
    | not | 2 (1–3) | 5 (4–7) | 17 (16–19) | 34 (31–36) | 41 (39–44) | 1,021 |
    | strongly | 1 (1–2) | 4 (3–5) | 11 (9–13) | 28 (25–31) | 56 (53–60) | 656 |
    """

    @property
    def _constructor(self) -> Callable[..., pd.DataFrame]:  # type: ignore[override]
        return _as_estimates

    @property
    def statistic(self) -> str:
        """The column of the estimates: ``"share"`` or ``"mean"``."""
        return statistic_of(self)

    @property
    def attributes(self) -> list[str]:
        """The attributes that define the groups."""
        return attributes_of(self)

    @property
    def is_difference(self) -> bool:
        """Whether these are differences."""
        return is_difference(self)

    def less(self, other: pd.DataFrame) -> GroupEstimates:
        """Subtract estimates of the same groups that rest on other respondents, with intervals.

        Parameters
        ----------
        other : GroupEstimates
            Of another wave, for example. Groups and options of one question must be spelled the same; groups that only
            one of the two tables has are left out.

        Returns
        -------
        GroupEstimates
            Differences in percentage points; each interval is made from the two tables' own (MOVER; Newcombe's for
            shares of samples).

        Raises
        ------
        ValueError
            If the tables differ in statistic, level or attributes, or have several sources or no group in common.
        """
        if not isinstance(other, GroupEstimates):
            raise TypeError(f"other must be a table of group_estimates, got {type(other).__name__}")
        for what, one, two in (
            ("statistics", self.statistic, other.statistic),
            ("attributes", self.attributes, other.attributes),
            ("levels", self.attrs.get("level"), other.attrs.get("level")),
        ):
            if one != two:
                raise ValueError(f"the tables have different {what}: {one} and {two}")
        for table in (self, other):
            if table["source"].nunique() > 1:
                raise ValueError(f"a table has several sources, {list(table['source'].unique())}: choose one")
        keys = ["question", *self.attributes, "group", "option"]
        both = pd.DataFrame(self).merge(pd.DataFrame(other), on=keys, suffixes=("", "_other"), validate="one_to_one")
        if both.empty:
            raise ValueError("the tables have no group and option in common: are their labels spelled the same?")
        parts = [
            Interval(*(both[column + suffix].to_numpy() for column in (self.statistic, "lower", "upper")))
            for suffix in ("", "_other")
        ]
        found = difference_interval(*parts)
        result = both[list(self.columns)].assign(
            **{self.statistic: found.value, "lower": found.lower, "upper": found.upper},
            respondents=both["respondents"] + both["respondents_other"],
            effective_respondents=_harmonic(both["effective_respondents"], both["effective_respondents_other"]),
            interval=both["interval"].where(both["interval"] == both["interval_other"], "both"),
            source=both["source"] + " - " + both["source_other"],
        )
        estimates = GroupEstimates(result)
        estimates.attrs = {**self.attrs, "difference": "tables"}
        return estimates

    def plot(self, ax: Axes | None = None, *, question: str | None = None) -> Any:  # type: ignore[override]
        """Draw the estimates of a question: a panel for each option, a row for each group, a mark for each source.

        Parameters
        ----------
        ax : Axes, or array of Axes, optional
            Room for all panels, or axes for each of them. Default: a new figure.
        question : str, optional
            Which one, if there are several.

        Returns
        -------
        EstimatesDisplay
            With ``figure_`` and ``axes_``; ``figure_.savefig(path)`` writes the picture.

        Raises
        ------
        ValueError
            If there are several questions and none is named.
        """
        from surveysim.reporting.display import EstimatesDisplay

        return EstimatesDisplay(self.of_question(question)).plot(ax=ax)

    def of_question(self, question: str | None = None) -> GroupEstimates:
        """Select the estimates of one question.

        Parameters
        ----------
        question : str, optional
            Its name; not needed if there is only one question.

        Returns
        -------
        GroupEstimates

        Raises
        ------
        ValueError
            If there is no such question, or none is named and there are several.
        """
        names = list(dict.fromkeys(self["question"]))
        if question is None and len(names) != 1:
            raise ValueError(f"name one question, such as question={names[0]!r}, of {names}" if names else "no rows")
        chosen = self[self["question"] == (names[0] if question is None else question)]
        if len(chosen) == 0:
            raise ValueError(f"there is no question {question!r}, only {names}")
        assert isinstance(chosen, GroupEstimates)
        return chosen

    def to_markdown(self, *, decimals: int = 0, intervals: bool = True) -> str:  # type: ignore[override]
        """The table in Markdown: a row for each group, a column for each option; one table for each question.

        Parameters
        ----------
        decimals : int, default=0
            Decimals of percentages; means have two more.
        intervals : bool, default=True
            Whether to write the intervals after the estimates.

        Returns
        -------
        str
        """
        return markdown_table(self._wide(decimals), intervals=intervals)

    def to_html_table(self, *, decimals: int = 0, intervals: bool = True, wording: bool = True) -> str:
        """The table in HTML, options side by side, with a caption; all text is escaped.

        Parameters
        ----------
        decimals, intervals
            As in `to_markdown`.
        wording : bool, default=True
            Whether the caption includes the question.

        Returns
        -------
        str
            One ``<table class="surveysim">`` per question, without its own styles.
        """
        return html_table(self._wide(decimals, wording=wording), intervals=intervals)

    def _wide(self, decimals: int, *, wording: bool = True) -> list[WideTable]:
        names = dict.fromkeys(self["question"])
        return [wide_table(self.of_question(name), decimals, wording=wording) for name in names]

    def _repr_html_(self) -> str | None:  # type: ignore[override]
        if len(self) == 0 or self.duplicated(["question", "group", "option", "source"]).any():
            return pd.DataFrame(self)._repr_html_()  # type: ignore[operator]
        return html_table(self._wide(0), intervals=True, styled=True)


def _as_estimates(*args: Any, **parameters: Any) -> pd.DataFrame:
    """The class that pandas gives to derived tables: estimates, as long as they have the columns."""
    frame = pd.DataFrame(*args, **parameters)
    columns = list(frame.columns)
    whole = set(columns) >= NEEDED and ("share" in columns or "mean" in columns)
    return GroupEstimates(frame) if whole and columns.index("group") < columns.index("option") else frame


def _harmonic(one: pd.Series, other: pd.Series) -> np.ndarray:
    a, b = one.to_numpy(dtype=np.float64), other.to_numpy(dtype=np.float64)
    return np.divide(a * b, a + b, out=np.zeros(len(a)), where=a + b > 0)
