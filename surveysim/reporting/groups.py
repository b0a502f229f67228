"""`group_estimates`: from fitted cells to the table of groups that is published."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from surveysim.baselines.logit import check_interval_arguments
from surveysim.evaluation.report_levels import NOT_STATED
from surveysim.interfaces import Predictor
from surveysim.questions import Question
from surveysim.reporting.columns import EVERYBODY, FIXED_COLUMNS
from surveysim.reporting.estimates import GroupEstimates
from surveysim.reporting.sources import Figures, predicted_figures, sample_figures
from surveysim.reporting.weights import QuestionGroups, groups_of_question
from surveysim.tables import Cells

__all__ = ["group_estimates"]

Difference = str | Mapping[str, tuple[Any, Any]] | GroupEstimates | None


NUMBER = re.compile(r"[-+]?[0-9.]+(e[-+]?[0-9]+)?")

SAY_NOTHING = ("yes", "no", "True", "False", NOT_STATED)
"""Levels that need the name of their attribute, as numbers do."""


def group_estimates(
    model: Predictor | None,
    cells: Cells,
    by: str | Sequence[str] | None = None,
    *,
    level: float = 0.9,
    population: pd.DataFrame | None = None,
    difference: Difference = None,
    statistic: Literal["share", "mean"] = "share",
    name: str | None = None,
    n_draws: int = 1000,
    random_state: int | np.random.Generator | None = 0,
) -> GroupEstimates:
    """Estimate how each group answers, in percent, with intervals: one row per group and option.

    Parameters
    ----------
    model : fitted estimator or None
        Any estimator of the library, or one with its interface. None: the sample's own shares (direct estimates).
    cells : Cells
        The sample, from `tabulate`: which groups there are, and how many respondents each has.
    by : str or list of str, optional
        Attributes that define the groups: ``"gender"``, or ``["gender", "age"]`` for their combinations; with
        ``cells.backgrounds`` each cell is a group. None or an empty list: everybody.
    level : float, default=0.9
        Probability that an interval holds, between 0 and 1.
    population : DataFrame, optional
        Joint shares of the backgrounds, as for `poststratify` (`rake` makes them from margins): cells count by their
        share of the population. None: by their share of the sample, weighted if the survey has weights.
    difference : str, mapping of str to (level, level), or GroupEstimates, optional
        Estimate differences instead, in percentage points. ``"gender"``: each level minus the first one, within groups
        of the other attributes of `by`; ``{"gender": ("woman", "man")}``: woman minus man; another table with the same
        groups, such as that of last year's wave: this one minus that one. See Notes.
    statistic : {"share", "mean"}, default="share"
        ``"mean"``: the mean of the options' values instead of their shares, for ordinal questions: 1 for the first
        option, 2 for the second and so on, unless the question has `values`; pinned options are left out.
    name : str, optional
        What the column ``source`` calls these estimates. Default: "sample" without a model, else its class.
    n_draws : int, default=1000
        Draws for the intervals of a model.
    random_state : int, Generator or None, default=0
        Seed of these draws.

    Returns
    -------
    GroupEstimates
        A `pandas.DataFrame` that draws itself (``.plot()``) and is written by ``.to_markdown()`` and
        ``.to_html_table()``. Its columns:

        - ``question``: the name; ``group``: who they are, in words; a column for each attribute of `by`;
        - ``option``: the option's text;
        - ``share``, ``lower``, ``upper``: percent, 0 to 100 (``mean`` on the question's own scale), and the ends of
          each option's own interval;
        - ``respondents``: how many people of the sample are in the group, ``effective_respondents``: how many a simple
          random sample would need to say as much (Kish's number, over the design effect); for a difference, both groups
          together, and the harmonic sum;
        - ``interval``: ``"posterior"``, ``"sampling"`` or ``"none"``; ``source``.

    Raises
    ------
    TypeError, ValueError
        If an attribute, level or group does not exist, the model was fitted on other questions, the population is not
        valid, or the sample has nobody in one of its cells and no model is given.

    See Also
    --------
    survey_estimates : From the respondents themselves, with strata and clusters, if you have them.
    poststratify : The distributions alone.
    report : A page with these tables and what they rest on.

    Notes
    -----
    *Intervals of a model* are quantiles of ``predict_draws``: of the group's share, not of the share in a sample of it.
    The draws of a question's cells belong together, so that what moves all cells does not average out in a group. An
    estimator without draws gets none (``interval`` is ``"none"``): nobody knows how far off an elicited share is.

    *Intervals of the sample* are Wilson's, with the effective respondents of the group. They cover only chance in
    sampling, and are not narrowed by anything that is known about other groups.

    *Differences between groups* of a model come from the same draws, those of the sample from the two intervals [1]_.
    Differences from another table are treated like the latter, which is right only if its respondents are different
    people (another wave, another country): two models of one sample share its errors, and the interval is then too
    wide.

    References
    ----------
    .. [1] Newcombe, R. G. (1998). "Interval estimation for the difference between independent proportions." Statistics
       in Medicine 17, 873-890.

    Examples
    --------
    >>> from surveysim import group_estimates
    >>> from surveysim.baselines import LogitRegressor
    >>> from surveysim.datasets import load_fair
    >>> survey = load_fair()
    >>> cells = survey.tabulate(["age", "religiousness"], ["rate_marriage"])
    >>> model = LogitRegressor(question=cells.questions).fit(
    ...     cells.X, cells.Y, sample_weight=cells.n
    ... )
    >>> table = group_estimates(model, cells, by="religiousness")
    >>> table[table["option"] == "very good"][["group", "share", "respondents"]].round(0)
           group  share  respondents
    4        not   41.0         1021
    9     mildly   38.0         2267
    14    fairly   43.0         2422
    19  strongly   55.0          656
    """
    check_interval_arguments(level, n_draws)
    _check_cells(cells, statistic)
    attributes, pair = _attributes(by, difference, cells, population)
    asked = []
    for question in dict.fromkeys(cells.question_names):
        groups = groups_of_question(cells, question, attributes, population)
        asked.append((groups, cells.questions[question], _values(question, cells.questions[question], statistic)))
    if model is None:
        figures = [sample_figures(groups, question, values, level) for groups, question, values in asked]
    else:
        figures = predicted_figures(model, asked, level=level, n_draws=n_draws, random_state=random_state)
    called = name or ("sample" if model is None else type(model).__name__)
    frames = []
    for (groups, question, _), found in zip(asked, figures, strict=True):
        labels, numbers = groups.labels, _numbers(groups)
        if pair is not None:
            if model is None and pair[0] not in cells.backgrounds:
                raise ValueError(
                    f"differences of {pair[0]!r} without a model: it is not a background of the cells "
                    f"({cells.backgrounds}), so its groups rest on the same respondents"
                )
            first, second, labels = _pairs(labels, *pair)
            found = found.differences(first, second, level)
            numbers = _both(numbers.iloc[first], numbers.iloc[second])
        frames.append(_frame(groups.question, question, labels, found, numbers, statistic, called))
    estimates = GroupEstimates(pd.concat(frames, ignore_index=True))
    estimates.attrs = {
        "level": float(level),
        "by": attributes,
        "weighted_by": "respondents" if population is None else "population",
        "difference": "groups" if pair else "tables" if difference is not None else "",
        "questions": {q: cells.questions[q].text for q in dict.fromkeys(cells.question_names)},
    }
    return estimates.less(difference) if isinstance(difference, GroupEstimates) else estimates


def _check_cells(cells: object, statistic: str) -> None:
    if not isinstance(cells, Cells):
        raise TypeError(f"cells must be Cells, as tabulate returns them, got {type(cells).__name__}")
    if len(cells) == 0:
        raise ValueError("cells has no cells: nobody answered")
    if statistic not in ("share", "mean"):
        raise ValueError(f"statistic must be 'share' or 'mean', got {statistic!r}")


def _attributes(
    by: str | Sequence[str] | None, difference: Difference, cells: Cells, population: pd.DataFrame | None
) -> tuple[list[str], tuple[str, Any] | None]:
    """The attributes of the groups, and which of them is compared with which levels (None: all with the first)."""
    attributes = [by] if isinstance(by, str) else list(by or [])
    pair: tuple[str, Any] | None = None
    if isinstance(difference, str):
        pair = (difference, None)
    elif isinstance(difference, Mapping):
        if len(difference) != 1 or len(tuple(next(iter(difference.values())))) != 2:
            raise ValueError(f"difference must name one attribute with two levels, got {difference!r}")
        pair = (next(iter(difference)), tuple(next(iter(difference.values()))))
    elif difference is not None and not isinstance(difference, GroupEstimates):
        raise TypeError(
            "difference must be an attribute, a mapping from an attribute to two of its levels, or another table of "
            f"group_estimates; got {type(difference).__name__}"
        )
    if pair is not None and pair[0] not in attributes:
        attributes.append(pair[0])
    there = list(cells.backgrounds)
    if population is not None:
        there += [str(column) for column in getattr(population, "columns", []) if column not in ("share", "n", *there)]
    unknown = [name for name in attributes if name not in there]
    if unknown:
        raise ValueError(f"by names {unknown}; the backgrounds are {there}")
    if len(set(attributes)) < len(attributes):
        raise ValueError(f"by names an attribute twice: {attributes}")
    taken = sorted({*FIXED_COLUMNS, "mean"}.intersection(attributes))
    if taken:
        raise ValueError(f"the table needs the column names {taken}, which are attributes: rename them")
    return attributes, pair


def _values(name: str, question: Question, statistic: str) -> np.ndarray | None:
    """What an answer counts in a mean; NaN for pinned options."""
    if statistic == "share":
        return None
    if not question.ordinal:
        raise ValueError(
            f"statistic='mean' needs ordinal questions, and {name!r} is nominal: its options have no order"
        )
    return np.asarray(question.positions, dtype=np.float64)


def _numbers(groups: QuestionGroups) -> pd.DataFrame:
    return pd.DataFrame({"respondents": groups.respondents, "effective_respondents": groups.effective_respondents})


def _both(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Respondents of two groups together; the effective number of their difference is 1 / (1/n + 1/m)."""
    a, b = (part["effective_respondents"].to_numpy() for part in (first, second))
    harmonic = np.divide(a * b, a + b, out=np.zeros(len(a)), where=a + b > 0)
    both = first["respondents"].to_numpy() + second["respondents"].to_numpy()
    return pd.DataFrame({"respondents": both, "effective_respondents": harmonic})


def _pairs(
    labels: pd.DataFrame, attribute: str, levels: tuple[object, object] | None
) -> tuple[list[int], list[int], pd.DataFrame]:
    """Positions of the groups to be compared, and what to call each difference."""
    there = list(dict.fromkeys(labels[attribute]))
    if levels is None:
        wanted = [(level, there[0]) for level in there[1:]]
    else:
        wanted = [(str(levels[0]), str(levels[1]))]
        unknown = [level for level in wanted[0] if level not in there]
        if unknown:
            raise ValueError(f"difference names the levels {unknown} of {attribute!r}; it has {there}")
    if not wanted or wanted[0][0] == wanted[0][1]:
        raise ValueError(f"difference needs two levels of {attribute!r}; got {wanted or there}")
    others = [column for column in labels.columns if column != attribute]
    place = {tuple(row): i for i, row in enumerate(labels[[*others, attribute]].itertuples(index=False, name=None))}
    first, second, named = [], [], []
    for rest in dict.fromkeys(
        map(tuple, labels[others].to_numpy(dtype=object))
    ):  # pandas 2 has no rows without columns
        for one, other in wanted:
            a, b = place.get((*rest, one)), place.get((*rest, other))
            if a is not None and b is not None:
                first.append(a)
                second.append(b)
                named.append({**dict(zip(others, rest, strict=True)), attribute: f"{one} - {other}"})
    if not named:
        raise ValueError(f"no group of {others} has both levels {wanted[0]} of {attribute!r}")
    return first, second, pd.DataFrame(named)[list(labels.columns)]


def _frame(
    name: str,
    question: Question,
    labels: pd.DataFrame,
    figures: Figures,
    numbers: pd.DataFrame,
    statistic: str,
    source: str,
) -> pd.DataFrame:
    """The rows of one question."""
    options = list(question.options) if statistic == "share" else ["mean"]
    n_groups, n_options = len(labels), len(options)
    row = np.repeat(np.arange(n_groups), n_options)
    columns: dict[str, Any] = {"question": name, "group": _group_names(labels)[row]}
    columns |= {column: labels[column].to_numpy(dtype=object)[row] for column in labels.columns}
    columns["option"] = np.tile(np.array(options, dtype=object), n_groups)
    scale = 100.0 if statistic == "share" else 1.0
    found = figures.values
    columns |= {
        statistic: scale * found.value.ravel(),
        "lower": scale * found.lower.ravel(),
        "upper": scale * found.upper.ravel(),
    }
    people = numbers["respondents"].to_numpy()
    columns["respondents"] = people.astype(np.int64)[row] if np.isfinite(people).all() else people[row]
    columns["effective_respondents"] = numbers["effective_respondents"].to_numpy()[row]
    columns |= {"interval": figures.kind, "source": source}
    return pd.DataFrame(columns)


def _group_names(labels: pd.DataFrame) -> np.ndarray:
    """Groups in words; a level that says nothing by itself, as a number does, is named by its attribute."""
    if labels.shape[1] == 0:
        return np.full(len(labels), EVERYBODY, dtype=object)
    names = []
    for row in labels.itertuples(index=False, name=None):
        parts = [
            f"{column} {value}" if value in SAY_NOTHING or NUMBER.fullmatch(value) else value
            for column, value in zip(labels.columns, row, strict=True)
        ]
        names.append(", ".join(parts))
    return np.array(names, dtype=object)
