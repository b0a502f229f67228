"""Respondents drawn from a known population, and all of its cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from surveysim.datasets.simulated_truth import SurveyTruth
from surveysim.datasets.survey import Report, Survey
from surveysim.tables import QUESTION_COLUMN

__all__ = ["draw_survey"]

MOST_CELLS = 200_000
"""Backgrounds beyond which the truth is not written out as a table."""


def draw_survey(
    rng: np.random.Generator,
    truth: SurveyTruth,
    shares: Sequence[np.ndarray],
    n_respondents: int,
    *,
    missing: float,
    weighted: bool,
    unseen: int,
    source: str,
) -> Survey:
    """Respondents of a known population and their answers, as a survey that states its truth.

    Parameters
    ----------
    rng : numpy Generator
    truth : SurveyTruth
    shares : list of float arrays
        The population's shares of the levels of each background, which are independent.
    n_respondents : int
    missing : float
        Share of answers that are "Don't know".
    weighted : bool
        Whether groups are sampled at different rates.
    unseen : int
        Levels, the last ones of the last background, that no respondent has.
    source : str
        Which function made it.

    Returns
    -------
    Survey
    """
    drawn, weight = _draw_backgrounds(rng, list(shares), n_respondents, weighted, unseen)
    data = _draw_answers(rng, truth, drawn, missing)
    if weighted:
        data["weight"] = pd.Series(weight)
    X, P, share = _all_cells(truth, list(truth.dtypes), [len(p) for p in shares], list(shares))
    not_drawn = _levels_not_drawn(truth.dtypes, unseen)
    report = Report()
    for name, without in not_drawn.items():
        report.note(name, "levels that no respondent has, as asked for", 0, ", ".join(without))
    return Survey(
        data=pd.DataFrame(data),
        questions=dict(truth.questions),
        backgrounds=list(truth.dtypes),
        weight="weight" if weighted else None,
        strata=None,
        cluster=None,
        truth=truth,
        truth_X=X,
        truth_P=P,
        truth_share=share,
        margins=_margins(truth.dtypes, shares),
        unseen=not_drawn,
        variables=pd.DataFrame({"name": list(data)}),
        report=report.frame(),
        value_labels={},
        DESCR=f"A simulated survey of {n_respondents:,} respondents; its truth is known.",
        terms="None: simulated.",
        source=source,
    )


def _levels_not_drawn(dtypes: Mapping[str, pd.CategoricalDtype], unseen: int) -> dict[str, list[str]]:
    """The last background and its last levels, which no respondent has; nothing where there are none."""
    last, dtype = list(dtypes.items())[-1]
    return {last: dtype.categories[len(dtype.categories) - unseen :].tolist()} if unseen else {}


def _margins(dtypes: Mapping[str, pd.CategoricalDtype], shares: Sequence[np.ndarray]) -> dict[str, pd.Series]:
    """The population's shares of each background's levels."""
    return {
        name: pd.Series(p, index=pd.CategoricalIndex(dtype.categories, dtype=dtype), name="share")
        for (name, dtype), p in zip(dtypes.items(), shares, strict=True)
    }


def _draw_answers(
    rng: np.random.Generator, truth: SurveyTruth, drawn: Sequence[np.ndarray], missing: float
) -> dict[Any, pd.Series]:
    """Columns of backgrounds and answers, a respondent per row."""
    data: dict[Any, pd.Series] = {
        name: pd.Series(pd.Categorical.from_codes(codes, dtype=dtype))
        for (name, dtype), codes in zip(truth.dtypes.items(), drawn, strict=True)
    }
    n_respondents = len(drawn[0])
    for name, question in truth.questions.items():
        cumulative = truth.distributions(name, drawn).cumsum(axis=1)
        answer = (rng.random(n_respondents)[:, None] > cumulative[:, :-1]).sum(axis=1)
        categories = [*question.options, "Don't know"] if missing else list(question.options)
        if missing:
            answer = np.where(rng.random(n_respondents) < missing, question.n_options, answer)
        data[name] = pd.Series(pd.Categorical.from_codes(answer, dtype=pd.CategoricalDtype(categories)))
    return data


def _draw_backgrounds(
    rng: np.random.Generator, shares: list[np.ndarray], n: int, weighted: bool, unseen: int
) -> tuple[list[np.ndarray], np.ndarray]:
    """Levels of the respondents, and weights with mean 1: population share over the sample's share, and a rest."""
    drawn, weight = [], np.ones(n)
    for j, share in enumerate(shares):
        reach = share.copy()
        if unseen and j == len(shares) - 1:
            reach[-unseen:] = 0.0
            reach = reach / reach.sum()
        sampled = reach
        if weighted:
            tilt = reach * np.exp(rng.normal(scale=0.5, size=len(reach)))
            sampled = tilt / tilt.sum()
        codes = rng.choice(len(share), size=n, p=sampled)
        drawn.append(codes)
        weight = weight * reach[codes] / sampled[codes]
    if weighted:
        weight = weight * rng.lognormal(sigma=0.3, size=n)
        weight = weight / weight.mean()
    return drawn, weight


def _all_cells(
    truth: SurveyTruth, names: list[str], levels: list[int], shares: list[np.ndarray]
) -> tuple[pd.DataFrame | None, np.ndarray | None, np.ndarray | None]:
    n_cells = float(np.prod(np.array(levels, dtype=float))) * len(truth.questions)
    if n_cells > MOST_CELLS:
        return None, None, None
    grid = [codes.ravel() for codes in np.meshgrid(*[np.arange(n) for n in levels], indexing="ij")]
    background = pd.DataFrame(
        {
            name: pd.Categorical.from_codes(codes, dtype=truth.dtypes[name])
            for name, codes in zip(names, grid, strict=True)
        }
    )
    share = np.prod([p[codes] for p, codes in zip(shares, grid, strict=True)], axis=0)
    X = pd.concat([background] * len(truth.questions), ignore_index=True)
    if len(truth.questions) > 1:
        X.insert(0, QUESTION_COLUMN, np.repeat(np.array(list(truth.questions), dtype=object), len(background)))
    return X, truth.predict(X), np.tile(share, len(truth.questions))
