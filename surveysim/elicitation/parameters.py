"""What an elicitor's parameters stand for: the wordings of a method, the cells shown as examples, the smoothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from surveysim.elicitation.ask_plans import ShownCells
from surveysim.elicitation.methods import Method
from surveysim.parameters import check_flag, check_number, check_random_state
from surveysim.prompts import Template, get_template, template_names
from surveysim.prompts.orders import KINDS
from surveysim.questions import Question
from surveysim.tables.cells import Cells
from surveysim.validation import arrange_options, as_matrix, check_backgrounds, check_targets, pair_questions

__all__ = ["SMOOTHING", "check_elicitor", "find_templates", "shown_cells"]

SMOOTHING = 1.0
"""Pseudo-draws per option where `smoothing` is "auto".

Expected: a uniform prior over distributions guards against options that were not drawn, and does no harm with 30 draws.
Tried on the sequences that five models gave for 100 Pew questions (``python -m benchmarks.elicitation_smoothing``; 30
draws, and 10 and 5 of them): of 0, 1/K, 1/2 and 1, one had the highest opinion alignment and the lowest Jensen-Shannon
divergence for every model and number (GPT-4, 30 draws: 87.1, 87.3, 87.5, 87.8; 5 draws: 81.2, 83.7, 84.6, 85.1). Two is
better still where a model is too sure of itself: that is for calibration to correct, not for this.
"""


def check_elicitor(elicitor: Any, method: Method) -> None:
    """Check everything about an elicitor's parameters, except its model, that does not depend on data.

    Parameters
    ----------
    elicitor : ZeroShotElicitor
        Or a subclass.
    method : Method

    Raises
    ------
    TypeError, ValueError
        With the parameter at fault.
    """
    find_templates(elicitor.template, method)
    for name, allowed in (("refusals", ("drop", "keep")), ("on_failure", ("raise", "nan")), ("option_orders", KINDS)):
        if getattr(elicitor, name) not in allowed:
            raise ValueError(f"{name} must be one of {list(allowed)}, got {getattr(elicitor, name)!r}")
    check_flag("backgrounds", elicitor.backgrounds)
    if elicitor.n_samples is not None:
        check_number("n_samples", elicitor.n_samples, integer=True, low=1)
    if elicitor.temperature is not None:
        # The probabilities of one label would be infinitely many times those of the others.
        check_number("temperature", elicitor.temperature, low=0.0, open_low=method.kind == "label")
    if elicitor.smoothing != "auto":
        check_number("smoothing", elicitor.smoothing, low=0.0, auto=True)
    check_number("max_workers", elicitor.max_workers, integer=True, low=1)
    check_random_state(elicitor.random_state)
    if getattr(elicitor, "base", None) is not None:
        _check_asked_by_a_bank(elicitor, method)


def _check_asked_by_a_bank(elicitor: Any, method: Method) -> None:
    if method.kind != "label":
        raise ValueError(
            f"base needs method='logprob', got {method.name!r}: a question bank was trained to choose among labels, "
            "and does not write texts"
        )
    if elicitor.option_orders not in ("auto", "given"):
        raise ValueError(
            f"option_orders={elicitor.option_orders!r} with base: a question bank was trained on options in the "
            "question's order. Leave 'auto', or say 'given'"
        )


def find_templates(template: str | Template | Sequence[str | Template], method: Method) -> tuple[Template, ...]:
    """The wordings of a method: one, or several for ``"paraphrased"``.

    Parameters
    ----------
    template : str or Template, or a sequence of them
        ``"default"`` stands for all that come with the package where several are wanted.
    method : Method

    Raises
    ------
    TypeError, ValueError
        If the number of wordings does not fit the method, or two have the same name.
    """
    several = isinstance(template, Sequence) and not isinstance(template, str)
    if method.name != "paraphrased":
        if several:
            raise TypeError(
                f"template must be one wording; several belong to method='paraphrased', not {method.name!r}"
            )
        return (get_template(template),)  # type: ignore[arg-type]
    if template == "default":
        return tuple(get_template(name) for name in template_names())
    templates = tuple(get_template(one) for one in template) if several else ()  # type: ignore[union-attr]
    names = [one.name for one in templates]
    if len(templates) < 2 or len(set(names)) < len(names):
        raise ValueError(
            "method='paraphrased' needs several wordings with different names: template='default' stands for all "
            f"that come with the package, or pass a list of them; got {template!r}"
        )
    return templates


def shown_cells(
    examples: object, questions: Mapping[str, Question], backgrounds: list[str], question_column: str, *, named: bool
) -> ShownCells:
    """The cells of `examples=`, checked against what an elicitor was fitted on.

    Parameters
    ----------
    examples : Cells or (X, Y)
    questions : mapping of str to Question
    backgrounds : list of str
        The columns that describe respondents.
    question_column : str
    named : bool
        Whether the questions came as a mapping, so that the column names them.

    Raises
    ------
    TypeError, ValueError
        With what is wrong; the message begins with "examples:".
    """
    if isinstance(examples, Cells):
        X: Any = examples.X
        Y: Any = examples.Y
    elif isinstance(examples, tuple | list) and len(examples) == 2:
        X, Y = examples
    else:
        raise TypeError(f"examples must be Cells or a pair (X, Y), got {type(examples).__name__}")
    try:
        frame = check_backgrounds(X)
        missing = [column for column in backgrounds if column not in frame.columns]
        if missing:
            raise ValueError(f"X lacks the columns {missing}; backgrounds at fit: {backgrounds}")
        index = pair_questions(frame, questions, question_column, named=named)
        n_options = np.array([question.n_options for question in questions.values()])[index]
        Y = arrange_options(Y, questions, index)
        distributions = check_targets(as_matrix(Y), n_options, np.ones(len(frame), dtype=bool))
    except (TypeError, ValueError) as error:
        raise type(error)(f"examples: {error}") from error
    return ShownCells(frame[backgrounds].reset_index(drop=True), index, distributions)
