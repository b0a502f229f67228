"""An elicitation from beginning to end: ask a model, read its answers, report what went wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from surveysim.asking.asks import Answer, Answerer, Ask, KeptAnswers, LabelProbabilitiesUnavailable
from surveysim.cells import PredictCells
from surveysim.elicitation.ask_plans import Asked, AskPlan, plan_asks
from surveysim.elicitation.averaging import Averaging, average_answers
from surveysim.elicitation.costs import tell_costs
from surveysim.elicitation.methods import OnFailure
from surveysim.elicitation.result import Elicitation, ElicitationError, attach
from surveysim.errors import warn

__all__ = ["answer_or_keep", "check_elicitation", "elicit_cells"]

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
    plan: AskPlan,
    averaging: Averaging,
    *,
    n_columns: int,
    on_failure: OnFailure = "raise",
    fall_back: AskPlan | None = None,
    verbose: int = 0,
) -> Elicitation:
    """Elicit the distributions of cells.

    Parameters
    ----------
    answerer : Answerer
        The model.
    cells : PredictCells
    plan : AskPlan
        How they are asked.
    averaging : Averaging
        How answers become distributions.
    n_columns : int
        Columns of P.
    on_failure : {"raise", "nan"}, default="raise"
        What becomes of a cell without any usable answer.
    fall_back : AskPlan, optional
        How they are asked if the model does not tell label probabilities. Default: that is an error.
    verbose : int, default=0

    Returns
    -------
    Elicitation

    Raises
    ------
    ElicitationError
        If a cell has no usable answer and `on_failure` is ``"raise"``; its attribute `elicitation` has all answers.
    LabelProbabilitiesUnavailable
        If probabilities are asked for, the model does not tell them, and there is no `fall_back`.

    Warns
    -----
    UserWarning
        If the fall-back was taken, label masses are low, many answers were dropped, sequences came out short, or a
        nominal question is asked in many more orders than two without anybody having said so.
    """
    labels = {n: tuple(answerer.labels(n)) for n in sorted(set(cells.n_options.tolist()))}

    def ask() -> tuple[Asked, list[Answer]]:
        asked = plan_asks(cells, plan, labels)
        tell_costs(cells, plan, asked, verbose=verbose)

        def read(answers: Sequence[Answer]) -> Elicitation:
            return average_answers(cells, asked, answers, averaging, n_columns)

        return asked, answer_or_keep(answerer, asked.asks, read, verbose=verbose)

    try:
        asked, answers = ask()
    except LabelProbabilitiesUnavailable as error:
        if fall_back is None:
            raise
        warn(
            f"{error}. Distributions are elicited by method={fall_back.method.name!r} instead of "
            f"{plan.method.name!r}; pass that method to avoid this warning."
        )
        plan = fall_back
        averaging = replace(averaging, method=plan.method)
        asked, answers = ask()
    result = average_answers(cells, asked, answers, averaging, n_columns)
    check_elicitation(result, cells, answers, plan, on_failure)
    return result


def answer_or_keep(
    answerer: Answerer, asks: Sequence[Ask], read: Callable[[Sequence[Answer]], Elicitation], *, verbose: int = 0
) -> list[Answer]:
    """The answers to all asks; what there is of them is on any exception that ends the call.

    Parameters
    ----------
    answerer : Answerer
    asks : sequence of Ask
    read : callable
        From answers to an elicitation.
    verbose : int, default=0
    """
    kept = KeptAnswers()
    try:
        return answerer.answer(asks, on_answer=kept, verbose=verbose)
    except BaseException as error:
        came = dict(kept.answers)  # requests under way may still add to it
        if came:
            missing = Answer(failure=f"not answered: {type(error).__name__} ended the call")
            try:
                attach(error, read([came.get(i, missing) for i in range(len(asks))]))
            except Exception as second:  # the first error is the one to be seen, with what the second one has
                if isinstance(found := getattr(second, "elicitation", None), Elicitation):
                    attach(error, found)
        raise


def check_elicitation(
    result: Elicitation, cells: PredictCells, answers: Sequence[Answer], plan: AskPlan, on_failure: OnFailure
) -> None:
    """Raise or warn where cells are empty, answers were dropped, label masses are low or sequences are short.

    Parameters
    ----------
    result : Elicitation
        On the error, and on a warning that the user has made one.
    cells : PredictCells
    answers : sequence of Answer
        From which it was read.
    plan : AskPlan
    on_failure : {"raise", "nan"}

    Raises
    ------
    ElicitationError
        If a cell has no usable answer and `on_failure` is ``"raise"``.
    """
    try:
        _check_cells(result, cells, on_failure)
        _warn_of_answers(result, cells, answers, plan)
    except Exception as error:
        attach(error, result)
        raise


def _check_cells(result: Elicitation, cells: PredictCells, on_failure: OnFailure) -> None:
    empty = np.flatnonzero(np.isnan(result.P).all(axis=1))
    if len(empty):
        message = (
            f"{len(empty)} of {len(cells)} cells have no usable answer: rows {empty[:_LISTED].tolist()}"
            f"{' ...' if len(empty) > _LISTED else ''}. {_example(result, int(empty[0]))}"
        )
        if on_failure == "raise":
            raise ElicitationError(
                f"{message} Try more samples (n_samples), another method or a larger model; on_failure='nan' returns "
                "NaN for such cells."
            )
        warn(f"{message} They are NaN.")


def _warn_of_answers(result: Elicitation, cells: PredictCells, answers: Sequence[Answer], plan: AskPlan) -> None:
    distinct = result.answers.drop_duplicates("ask")
    dropped = distinct["failure"].notna()
    if dropped.mean() > MANY_FAILURES:
        reasons = distinct.loc[dropped, "failure"].value_counts()
        listed = "; ".join(f"{reason} ({count})" for reason, count in reasons.head(3).items())
        warn(
            f"{int(dropped.sum())} of {len(distinct)} answers were dropped: {listed}. What is left may be a biased "
            "selection: look at elicit(X).answers before you use it."
        )
    low = np.flatnonzero(result.label_mass < LOW_MASS)
    if len(low):
        worst = int(low[np.argmin(result.label_mass[low])])
        censored = max((answer.censored_mass for answer in answers), default=0.0)
        hidden = f" (the model keeps up to {censored:.2f} of its probability to itself)" if censored > 0 else ""
        warn(
            f"the label mass is below {LOW_MASS} in {len(low)} of {len(cells)} cells{hidden}; least in row {worst}: "
            f"{result.label_mass[worst]:.3g}. The model would rather say something other than a label, so its label "
            "probabilities mean little. Use a model that is tuned to follow instructions, or method='verbalized'."
        )
    if plan.method.name == "sequence":
        draws = distinct.loc[distinct["draws"] > 0, "draws"]
        if len(draws) and draws.mean() < FEW_DRAWS * plan.n_samples:
            warn(
                f"answers list {draws.mean():.1f} draws on average, but {plan.n_samples} were asked for. Small models "
                "do not count; method='sampled' gives as many draws as you want."
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
