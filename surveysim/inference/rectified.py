"""Rectified estimates: a model's predictions for everybody, corrected by what respondents said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from surveysim.errors import warn
from surveysim.inference.cross_fit import CrossFit, Predictor, cross_fit
from surveysim.inference.groups import Groups, as_columns
from surveysim.inference.intervals import check_level
from surveysim.inference.population import Population, group_population, groups_of_rows, read_population
from surveysim.inference.rectified_shares import GroupMoments, RectifiedShares, learn_power
from surveysim.tables.cells import QUESTION_COLUMN, Cells

__all__ = ["check_cells", "question_moments", "rectify"]


def rectify(
    model: Predictor,
    cells: Cells,
    population: pd.DataFrame,
    *,
    by: str | Sequence[str] | None = None,
    refit: bool = True,
    level: float = 0.9,
) -> pd.DataFrame:
    """Estimate shares from a model's predictions for everybody, minus the model's error on the respondents.

    Intervals are valid *whatever the model*: a model decides how narrow they are, not whether they hold. How far the
    model is trusted is learned from the respondents; a useless one is ignored, and the sample alone remains.

    Parameters
    ----------
    model : estimator
        It is cloned and fitted without each fold of respondents in turn, so that every respondent is predicted by a
        model that did not see them. For recorded answers of a model, pass a `surveysim.RecordedElicitor`.
    cells : Cells
        From ``tabulate(..., folds=5)``. Weights have to make the respondents represent the population: this corrects
        the model's error, not the sample's selection (see `surveysim.rake` for weights).
    population : DataFrame
        The background columns of `cells` and ``"share"`` or ``"n"``, as in `poststratify`: taken as known. Without
        either column: people, one per row, a large sample without answers, whose own noise the intervals then include.
    by : str or list of str, optional
        Backgrounds whose crossing makes the groups; without it the whole population.
    refit : bool, default=True
        False takes a model as it is, with ``predict``. It must not have seen these respondents, or the intervals are
        too narrow.
    level : float, default=0.9
        Confidence level.

    Returns
    -------
    DataFrame
        "question", the columns of `by`, "option"; "share", "se", "lower", "upper" in percent; "sample", the share
        among the respondents alone; "respondents", how many answered, "effective_respondents", Kish's number over the
        design effect, and "worth", how many of them would be needed for the same precision without the model; "power",
        how far the model was trusted (0: not at all).

    Raises
    ------
    TypeError, ValueError
        If cells have no folds, the population lacks columns, or `by` names columns that are not backgrounds.

    Warns
    -----
    SurveysimWarning
        If nobody answered in some groups, which are left out.

    See Also
    --------
    survey_estimates : The respondents alone.
    surveysim.poststratify : The model alone.
    plan_respondents : How many respondents to ask.

    Notes
    -----
    This is the difference estimator of survey sampling (Cochran 1977, section 7.3; Särndal, Swensson and Wretman 1992,
    chapter 6), recently called prediction-powered inference (Angelopoulos et al. 2023, Science 382, 669-674), with
    cross-fitting (Zrnic and Candès 2024, PNAS 121, e2322083121) and a learned power (PPI++, arXiv:2311.01453): with
    respondents i of fold k(i) and the model f without that fold,

        share = sample mean of y_i - power (f_k(i)(x_i) - mean of f_k(i) over the population).

    The power is one number per question, pooled over options and groups, shrunk to 0 by its own noise. Shares are
    projected on the simplex, which cannot take them further from the truth. Intervals are Wilson's at the worth of the
    respondents, with Student's t. Design effects: see `tabulate`; groups of a clustered sample have that of the whole.

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim import Question, tabulate
    >>> from surveysim.baselines import LogitRegressor
    >>> from surveysim.inference import rectify
    >>> survey = pd.DataFrame(
    ...     {"age": ["young", "old"] * 60, "rain": [1, 2, 1, 2, 1, 2, 2, 1] * 15}
    ... )
    >>> question = Question("Do you like rain?", ["yes", "no"])
    >>> cells = tabulate(survey, ["age"], {"rain": question}, folds=5)
    >>> population = pd.DataFrame({"age": ["young", "old"], "share": [0.5, 0.5]})
    >>> table = rectify(LogitRegressor(question=question), cells, population)
    >>> table[["option", "share", "respondents"]].round(1)
      option  share  respondents
    0    yes   50.1          120
    1     no   49.9          120
    """
    level = check_level(level)
    columns = check_cells(cells, by)
    people = read_population(population, cells.X[cells.backgrounds])
    groups = group_population(people, columns)
    fitted = cross_fit(model, cells, people.people, refit=refit)
    tables, silent = [], []
    for name in cells.questions:
        moments = question_moments(name, cells, people, groups, fitted)
        power = learn_power(list(moments.values())) if moments else 0.0
        silent += [(name, groups.frame.iloc[g].to_dict()) for g in range(len(groups)) if g not in moments]
        for g, moment in moments.items():
            tables.append(_table(groups.frame.iloc[[g]], name, cells, RectifiedShares(moment, power), level))
    if silent:
        warn(f"nobody answered in {len(silent)} groups, which are left out: {silent[:5]}")
    if not tables:
        raise ValueError("nobody in the population's groups answered: values must be spelled the same in both")
    return pd.concat(tables, ignore_index=True)


def question_moments(
    question: str, cells: Cells, people: Population, groups: Groups, fitted: CrossFit
) -> dict[int, GroupMoments]:
    """The moments of each group in which somebody answered a question.

    Parameters
    ----------
    question : str
    cells : Cells
    people : Population
    groups : Groups
        Of `people`.
    fitted : CrossFit

    Returns
    -------
    dict of int to GroupMoments
        By the group's number.
    """
    K = cells.questions[question].n_options
    rows = np.flatnonzero(cells.question_names == question)
    own = groups_of_rows(groups, cells.X.iloc[rows])
    place = list(cells.questions).index(question) * len(people.people)
    predicted = fitted.population[:, place : place + len(people.people), :K]
    effect = cells.design_effect.get(question, 1.0)
    moments = {}
    for g in range(len(groups)):
        mine = rows[own == g]
        if len(mine) == 0:
            continue
        members = groups.of_row == g
        share = np.where(members, people.shares, 0.0)
        share = share / share.sum()
        mean = np.einsum("p,fpk->fk", share, predicted)
        if np.isinf(people.size):
            spread = np.zeros(K)
        else:
            size = people.size * people.shares[members].sum()
            spread = np.einsum("p,fpk->k", share, (predicted - mean[:, None]) ** 2) / len(predicted) / size
        counts = fitted.counts[:, mine, :K] * (cells.weight_sum[mine] / cells.n[mine])[:, None]
        errors = fitted.cells[:, mine, :K] - mean[:, None]
        n = _effective(cells, mine, effect)
        answered = int(cells.n_raw[mine].sum())
        moments[g] = GroupMoments(counts.reshape(-1, K), errors.reshape(-1, K), n, spread, answered)
    return moments


def _effective(cells: Cells, rows: np.ndarray, effect: float) -> float:
    """Effective respondents of some cells together: Kish's over the question's design effect.

    A gain from stratification (an effect below 1) fades in groups that cut across strata: there the cells' own count.
    """
    weight = cells.weight_sum[rows]
    if effect < 1 or cells.n_kish is None:
        return float(weight.sum() ** 2 / (weight**2 / cells.n[rows]).sum())
    return float(weight.sum() ** 2 / (weight**2 / cells.n_kish[rows]).sum() / effect)


def check_cells(cells: Cells, by: str | Sequence[str] | None) -> list[str]:
    """The columns of `by`, after a check that they are backgrounds of the cells."""
    if not isinstance(cells, Cells):
        raise TypeError(f"cells must be the Cells that tabulate returns, got {type(cells).__name__}")
    if len(cells) == 0:
        raise ValueError("cells is empty")
    columns = as_columns(by)
    unknown = [column for column in columns if column not in cells.backgrounds]
    if unknown:
        raise ValueError(f"by names {unknown}, which are not backgrounds of the cells: {cells.backgrounds}")
    return columns


def _table(group: pd.DataFrame, question: str, cells: Cells, rectified: RectifiedShares, level: float) -> pd.DataFrame:
    """A row per option of one group."""
    options = cells.questions[question].options
    lower, upper = rectified.interval(level)
    table = group.iloc[np.zeros(len(options), dtype=int)].reset_index(drop=True)
    table.insert(0, QUESTION_COLUMN, question)
    values: dict[str, Any] = {
        "option": list(options),
        "share": 100 * rectified.shares,
        "se": 100 * rectified.errors,
        "lower": 100 * lower,
        "upper": 100 * upper,
        "sample": 100 * rectified.moments.shares,
        "respondents": rectified.moments.respondents,
        "effective_respondents": rectified.moments.n,
        "worth": rectified.worth,
        "power": rectified.power,
    }
    return table.assign(**values)
