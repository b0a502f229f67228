"""Planning: how many respondents, in which groups, for which questions, and what precision follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from surveysim.inference.allocation import allocate
from surveysim.inference.cross_fit import Predictor, cross_fit, no_predictions
from surveysim.inference.intervals import check_level
from surveysim.inference.pilot import Pilot, read_pilot
from surveysim.inference.plan import RespondentPlan, precision_table
from surveysim.inference.population import group_population, read_population
from surveysim.inference.rectified import check_cells, question_moments
from surveysim.tables.cells import Cells

__all__ = ["plan_respondents"]

Target = Literal["population", "groups"]
Asked = Literal["together", "apart"]


def plan_respondents(
    cells: Cells,
    budget: float,
    *,
    model: Predictor | None = None,
    population: pd.DataFrame | None = None,
    by: str | Sequence[str] | None = None,
    compare: int | None = None,
    target: Target = "population",
    questions: Asked = "together",
    cost: float | Mapping[Any, float] = 1.0,
    minimum: int = 2,
    refit: bool = True,
    level: float = 0.9,
) -> RespondentPlan:
    """Plan how many respondents to ask, from a pilot or an earlier survey, and say what precision follows.

    Answers "can I field 300 interviews instead of 1,000?" in one call: ``plan_respondents(cells, 300, model=model,
    compare=1000)``.

    Parameters
    ----------
    cells : Cells
        The pilot or earlier survey; with a model from ``tabulate(..., folds=5)``.
    budget : float
        The budget: the number of respondents, unless `cost` is given.
    model : estimator, optional
        Estimates will be rectified with it (`rectify`), so that groups and questions on which it errs get more
        respondents. Without it, the respondents are used alone.
    population : DataFrame, optional
        Backgrounds with "share" or "n"; by default the pilot's, weighted.
    by : str or list of str, optional
        Backgrounds whose crossing makes the groups among which respondents are divided: the strata of the sample.
    compare : int, optional
        The number of interviews to be replaced: respondents alone, divided in proportion to the population.
    target : {"population", "groups"}, default="population"
        Whose variance to minimise: the population's, or that of the groups on average.
    questions : {"together", "apart"}, default="together"
        Whether each respondent answers all questions, or each answer is bought separately, so that hard questions get
        more (the budget then counts answers).
    cost : float or mapping, default=1.0
        The cost of a respondent, or by group: ``{"old": 2.0}``, with tuples of levels if `by` has several columns.
        Groups that are not named cost 1.
    minimum : int, default=2
        Minimum number of respondents in every group.
    refit, level
        As in `rectify`; the level is that of the margins of error.

    Returns
    -------
    RespondentPlan
        ``print(plan)`` answers in words; ``plan.groups``, ``plan.precision`` and ``plan.questions`` are tables.

    Raises
    ------
    ValueError
        If the budget does not pay for the minimum, or a cost is not positive or does not name a group.

    See Also
    --------
    rectify : The estimates that are planned here.

    Notes
    -----
    A group's variance for one respondent is sum_k Var(y_k - power d_k) of the rectified estimate, times its design
    effect in the pilot, averaged over the questions: the "rectification difficulty" of Ye and Yoganarasimhan (2026,
    arXiv:2604.17267). Groups with few pilot respondents borrow from all. Respondents are divided by Neyman's rule in
    whole numbers (`allocate`). Cells do not gain from a model: its prediction is the same for everybody in a cell.
    Margins are Student's t times the standard error, those of the pilot's shares taken as true.

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim import Question, tabulate
    >>> from surveysim.inference import plan_respondents
    >>> pilot = pd.DataFrame({"age": ["young", "old"] * 50, "rain": [1, 1, 2, 1] * 25})
    >>> cells = tabulate(pilot, ["age"], {"rain": Question("Do you like rain?", ["yes", "no"])})
    >>> plan = plan_respondents(cells, 300, by="age", compare=1000)
    >>> plan.groups[["age", "respondents"]]
         age  respondents
    0    old           86
    1  young          214
    >>> print(plan)  # doctest: +ELLIPSIS
    300 respondents: population ±... points; groups ±... points; cells ±... points...
    """
    level = check_level(level)
    columns = check_cells(cells, by)
    for name, value, allowed in (("target", target, Target), ("questions", questions, Asked)):
        if value not in get_args(allowed):
            raise ValueError(f"{name} must be one of {list(get_args(allowed))}, got {value!r}")
    if minimum < 1:
        raise ValueError(f"minimum must be at least 1, got {minimum!r}")
    people = read_population(_own_population(cells) if population is None else population, cells.X[cells.backgrounds])
    groups = group_population(people, columns)
    predicted = (
        no_predictions(cells, people.people) if model is None else cross_fit(model, cells, people.people, refit=refit)
    )
    moments = {name: question_moments(name, cells, people, groups, predicted) for name in cells.questions}
    pilot = read_pilot(cells, people, groups, moments)
    price = _prices(cost, groups.frame)
    apart = questions == "apart"
    spread = pilot.spread(target == "population", apart)
    cost_of = np.repeat(price[:, None], spread.shape[1], axis=1)
    least = np.full(spread.size, minimum)
    n = allocate(spread.reshape(-1), cost_of.reshape(-1), least, budget).reshape(spread.shape)
    n = np.broadcast_to(n, (len(groups), len(cells.questions)))
    alone = None if compare is None else _in_proportion(pilot, compare)
    return RespondentPlan(
        budget=float(budget),
        spent=float((price * (n.sum(axis=1) if apart else n[:, 0])).sum()),
        compare=compare,
        level=level,
        groups=_group_table(groups.frame, pilot, n, price, apart, level),
        questions=_question_table(list(cells.questions), pilot, n, level),
        precision=precision_table(pilot, n, alone, level),
        equal_to=pilot.equivalent(n),
        needed=None if alone is None else pilot.needed(n, alone) * (len(cells.questions) if apart else 1),
        unit="answers" if apart else "respondents",
    )


def _own_population(cells: Cells) -> pd.DataFrame:
    """The backgrounds of the cells by weight, of the question that most answered."""
    names = pd.Series(cells.question_names)
    weights = pd.Series(cells.weight_sum).groupby(names.to_numpy()).sum()
    rows = (names == weights.idxmax()).to_numpy()
    return cells.X.loc[rows, cells.backgrounds].assign(n=cells.weight_sum[rows])


def _prices(cost: float | Mapping[Any, float], frame: pd.DataFrame) -> np.ndarray:
    rows = map(tuple, frame.to_numpy(dtype=object))  # itertuples of pandas 2 has no rows where there are no columns
    keys = [row[0] if len(row) == 1 else row for row in rows]
    if isinstance(cost, Mapping):
        unknown = [key for key in cost if key not in keys]
        if unknown:
            raise ValueError(f"cost names {unknown}, which are not groups: {keys[:20]}")
        price = np.array([float(cost.get(key, 1.0)) for key in keys])
    else:
        price = np.full(len(keys), float(cost))
    if not (np.isfinite(price).all() and (price > 0).all()):
        raise ValueError(f"cost must be positive, got {price.tolist()}")
    return price


def _in_proportion(pilot: Pilot, respondents: int) -> np.ndarray:
    """A sample in proportion to the population, (G, Q); fractions of respondents are fine for a comparison."""
    return np.repeat((pilot.shares * respondents)[:, None], pilot.variances.shape[1], axis=1)


def _group_table(
    frame: pd.DataFrame, pilot: Pilot, n: np.ndarray, price: np.ndarray, apart: bool, level: float
) -> pd.DataFrame:
    respondents = n.sum(axis=1) if apart else n[:, 0]
    table = frame.assign(
        population=100 * pilot.shares,
        respondents=respondents,
        cost=price * respondents,
        margin=100 * pilot.group_margins(n, level, rectified=True).mean(axis=1),
        margin_sample=100 * pilot.group_margins(n, level, rectified=False).mean(axis=1),
    )
    if apart:
        for q, name in enumerate(pilot.questions):
            table[f"answers to {name}"] = n[:, q]
    return table


def _question_table(names: list[str], pilot: Pilot, n: np.ndarray, level: float) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "question": names,
            "answers": n.sum(axis=0),
            "power": pilot.power,
            "margin": 100 * pilot.population_margins(n, level, rectified=True),
            "margin_sample": 100 * pilot.population_margins(n, level, rectified=False),
        }
    )
