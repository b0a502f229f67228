"""An elicitation from beginning to end: ask a model, read what it answered, say what went wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from surveysim.asking.asks import Answer, Answerer, LabelProbabilitiesUnavailable
from surveysim.cells import PredictCells
from surveysim.elicitation.ask_plans import Asked, Plan, plan_asks
from surveysim.elicitation.averaging import Averaging, average_answers
from surveysim.elicitation.result import Elicitation
from surveysim.errors import warn

__all__ = ["check_elicitation", "elicit_cells"]

LOW_MASS = 0.5
"""Below this probability of any label at all a model does not follow the prompt."""

MANY_FAILURES = 0.1
"""Share of dropped answers above which a warning says so."""

FEW_DRAWS = 0.5
"""Share of the draws asked for in one answer below which a warning says so."""

_LISTED = 5


def elicit_cells(
    answerer: Answerer,
    cells: PredictCells,
    plan: Plan,
    averaging: Averaging,
    *,
    n_columns: int,
    on_failure: str = "raise",
    fall_back: Plan | None = None,
    verbose: int = 0,
) -> Elicitation:
    """Elicit the distributions of cells.

    Parameters
    ----------
    answerer : Answerer
        The model.
    cells : PredictCells
    plan : Plan
        How they are asked.
    averaging : Averaging
        How answers become distributions.
    n_columns : int
        Columns of P.
    on_failure : {"raise", "nan"}, default="raise"
        What becomes of a cell without any usable answer.
    fall_back : Plan, optional
        How they are asked if the model does not tell label probabilities. Default: that is an error.
    verbose : int, default=0

    Returns
    -------
    Elicitation

    Raises
    ------
    ValueError
        If a cell has no usable answer and `on_failure` is ``"raise"``.
    LabelProbabilitiesUnavailable
        If probabilities are asked for, the model does not tell them, and there is no `fall_back`.

    Warns
    -----
    UserWarning
        If the fall-back was taken, label masses are low, many answers were dropped, or sequences came out short.
    """
    labels = {n: tuple(answerer.labels(n)) for n in sorted(set(cells.n_options.tolist()))}
    asked = plan_asks(cells, plan, labels)
    try:
        answers = answerer.answer(asked.asks, verbose=verbose)
    except LabelProbabilitiesUnavailable as error:
        if fall_back is None:
            raise
        warn(
            f"{error}. Distributions are elicited by method={fall_back.method.name!r} instead of "
            f"{plan.method.name!r}; pass that method to be rid of this warning."
        )
        plan = fall_back
        averaging = replace(averaging, method=plan.method)
        asked = plan_asks(cells, plan, labels)
        answers = answerer.answer(asked.asks, verbose=verbose)
    result = average_answers(cells, asked, answers, averaging, n_columns)
    check_elicitation(result, cells, asked, answers, plan, on_failure)
    return result


def check_elicitation(
    result: Elicitation, cells: PredictCells, asked: Asked, answers: Sequence[Answer], plan: Plan, on_failure: str
) -> None:
    """Raise or warn where cells are empty, answers were dropped, label masses are low or sequences are short."""
    distinct = result.answers.drop_duplicates("ask")
    dropped = distinct["failure"].notna()
    empty = np.flatnonzero(np.isnan(result.P).all(axis=1))
    if len(empty):
        message = (
            f"{len(empty)} of {len(cells)} cells have no usable answer: rows {empty[:_LISTED].tolist()}"
            f"{' ...' if len(empty) > _LISTED else ''}. {_example(result, int(empty[0]))}"
        )
        if on_failure == "raise":
            raise ValueError(
                f"{message} Try more samples (n_samples), another method or a larger model; on_failure='nan' returns "
                "NaN for such cells."
            )
        warn(f"{message} They are NaN.")
    if dropped.mean() > MANY_FAILURES:
        reasons = distinct.loc[dropped, "failure"].value_counts()
        listed = "; ".join(f"{reason} ({count})" for reason, count in reasons.head(3).items())
        warn(
            f"{int(dropped.sum())} of {len(distinct)} answers were dropped: {listed}. What is left may be a selection: "
            "look at elicit(X).answers before you use it."
        )
    low = np.flatnonzero(result.label_mass < LOW_MASS)
    if len(low):
        worst = int(low[np.argmin(result.label_mass[low])])
        censored = max((answer.censored_mass for answer in answers), default=0.0)
        hidden = f" (the model keeps up to {censored:.2f} of its probability to itself)" if censored > 0 else ""
        warn(
            f"the label mass is below {LOW_MASS} in {len(low)} of {len(cells)} cells{hidden}; least in row {worst}: "
            f"{result.label_mass[worst]:.3g}. The model would rather say something else than a label, so its label "
            "probabilities mean little. Use a model that is tuned to follow instructions, or method='verbalized'."
        )
    if plan.method.name == "sequence":
        draws = distinct.loc[distinct["draws"] > 0, "draws"]
        if len(draws) and draws.mean() < FEW_DRAWS * plan.n_samples:
            warn(
                f"answers list {draws.mean():.1f} draws on average, {plan.n_samples} were asked for. Small models do "
                "not count; method='sampled' draws as many as you want."
            )


def _example(result: Elicitation, row: int) -> str:
    """What came back for one cell, for a message."""
    own = result.answers[result.answers["row"] == row]
    if own["refused"].any():
        text = own.loc[own["refused"], "text"].iloc[0]
        return f"In row {row} the model refused: {str(text)[:80]!r}."
    if own["failure"].notna().any():
        first = own[own["failure"].notna()].iloc[0]
        said = "" if pd.isna(first["text"]) else f" in {first['text'][:80]!r}"
        return f"In row {row}: {first['failure']}{said}."
    return f"In row {row} all answers were refusal options."
