"""What an elicitor's parameters stand for: the wordings of a method, the cells shown as examples, the smoothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from surveysim.elicitation.ask_plans import ShownCells
from surveysim.elicitation.methods import Method
from surveysim.prompts import Template, get_template, template_names
from surveysim.questions import Question
from surveysim.tables.cells import Cells
from surveysim.validation import arrange_options, as_matrix, check_backgrounds, check_targets, pair_questions

__all__ = ["SMOOTHING", "find_templates", "shown_cells"]

SMOOTHING = 1.0
"""Pseudo-draws per option where `smoothing` is "auto".

Expected: a uniform prior over distributions guards against options that were not drawn, and does no harm with 30 draws.
Tried on the sequences that five models gave for 100 Pew questions (``python -m benchmarks.elicitation_smoothing``; 30
draws, and 10 and 5 of them): of 0, 1/K, 1/2 and 1, one had the highest opinion alignment and the lowest Jensen-Shannon
divergence for every model and number (GPT-4, 30 draws: 87.1, 87.3, 87.5, 87.8; 5 draws: 81.2, 83.7, 84.6, 85.1). Two is
better still where a model is too sure of itself: that is for calibration to correct, not for this.
"""


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
            raise TypeError(f"template must be one wording; several are for method='paraphrased', not {method.name!r}")
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
