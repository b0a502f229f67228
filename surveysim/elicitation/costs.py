"""What an elicitation costs, announced before it begins: a nominal question is asked once for each of its options."""

from __future__ import annotations

from surveysim.cells import PredictCells
from surveysim.elicitation.ask_plans import Asked, AskPlan, n_repeats
from surveysim.errors import warn
from surveysim.progress import tell
from surveysim.prompts import option_orders

__all__ = ["tell_costs"]

WORTH_TELLING = 100
"""Answers to one question below which nothing is said: they are there at once."""

WORTH_WARNING, TIMES = 1000, 4
"""So many answers to one question, and more than so many times as many as two orders need, are warned of, unless the
user named the orders."""


def tell_costs(cells: PredictCells, plan: AskPlan, asked: Asked, *, verbose: int = 0) -> None:
    """Warn how many answers are asked for if a question's options are shown in more than two orders.

    Parameters
    ----------
    cells : PredictCells
    plan : AskPlan
    asked : Asked
        What is about to be asked.
    verbose : int, default=0

    Warns
    -----
    UserWarning
        If nobody chose the orders (``option_orders="auto"``) and two of them would do with far fewer answers.
    """
    for _, name, question, rows in cells.by_question():
        n_orders = len(option_orders(question, plan.option_orders))
        n_answers = len({ask for row in rows for ask in asked.cells[row]})
        if n_orders <= 2 or n_answers < WORTH_TELLING:
            continue
        n_templates = len(plan.templates)
        per_cell, both_ways, one_way = (n_templates * n * n_repeats(plan, n_templates * n) for n in (n_orders, 2, 1))
        both_ways, one_way = (n_answers * n // per_cell for n in (both_ways, one_way))
        message = (
            f"{f'question {name!r}' if name else 'the question'} is nominal, so that its options are shown in "
            f"{n_orders} orders: {n_answers:,} answers for {len(rows):,} cells. option_orders='forward-reverse' asks "
            f"for {both_ways:,}, 'given' for {one_way:,}"
        )
        if plan.option_orders == "auto" and n_answers >= WORTH_WARNING and n_answers > TIMES * both_ways:
            warn(f"{message}; 'cyclic' does what is done now, without this warning.")
        else:
            tell(f"{message}.", verbose)
