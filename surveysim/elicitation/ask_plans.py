"""From cells to asks: every prompt of every cell, each distinct one once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from surveysim.asking.asks import Ask
from surveysim.cells import PredictCells
from surveysim.elicitation.methods import Method, percentage_schema
from surveysim.prompts import Example, Template, describe_background, option_orders, render
from surveysim.prompts.orders import OrderKind
from surveysim.questions import Question

__all__ = ["AskPlan", "Asked", "ShownCells", "background_records", "n_repeats", "plan_asks"]


@dataclass(frozen=True)
class AskPlan:
    """How cells are asked.

    Attributes
    ----------
    method : Method
    templates : tuple of Template
        One wording, or several (``"paraphrased"``).
    backgrounds : bool
        Whether the prompt names the background.
    n_samples : int
        Answers per cell; draws per answer for ``"sequence"``.
    temperature : float
    option_orders : str
        A kind that `surveysim.prompts.option_orders` knows.
    seed : int
    examples : ShownCells or None
    """

    method: Method
    templates: tuple[Template, ...]
    backgrounds: bool
    n_samples: int
    temperature: float
    option_orders: OrderKind
    seed: int
    examples: ShownCells | None = None


@dataclass(frozen=True)
class ShownCells:
    """Cells whose distributions are shown in the prompt.

    Attributes
    ----------
    backgrounds : DataFrame
        With the columns of the cells that are asked.
    question_index : int array
        Each known cell's question.
    Y : float64 array
        Its distribution, NaN past the last option.
    """

    backgrounds: pd.DataFrame
    question_index: np.ndarray
    Y: np.ndarray

    def of(self, question_index: int, n_options: int, template: Template) -> list[tuple[str, Example]]:
        """The examples of one question with their backgrounds as the template words them."""
        rows = np.flatnonzero(self.question_index == question_index)
        described = []
        for row, background in zip(rows, background_records(self.backgrounds.iloc[rows]), strict=True):
            example = Example(background, tuple(self.Y[row, :n_options] / self.Y[row, :n_options].sum()))
            described.append((describe_background(template, background), example))
        return described


@dataclass
class Asked:
    """The asks of some cells.

    Attributes
    ----------
    asks : list of Ask
        All different.
    questions : list of Question
        Of each ask.
    orders : list of tuple of int
        Of each ask: the option shown at each place.
    templates : list of str
        Of each ask: the wording's name.
    cells : list of lists of int
        For each cell its asks, by number.
    """

    asks: list[Ask] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    orders: list[tuple[int, ...]] = field(default_factory=list)
    templates: list[str] = field(default_factory=list)
    cells: list[list[int]] = field(default_factory=list)


def plan_asks(cells: PredictCells, plan: AskPlan, labels: Mapping[int, tuple[str, ...]]) -> Asked:
    """All asks of all cells.

    Parameters
    ----------
    cells : PredictCells
    plan : AskPlan
    labels : mapping of int to tuple of str
        The labels for each number of options.

    Returns
    -------
    Asked
    """
    asked = Asked(cells=[[] for _ in range(len(cells))])
    number: dict[Ask, int] = {}
    for index, _, question, rows in cells.by_question():
        shown = labels[question.n_options]
        variants = [
            (template, order) for template in plan.templates for order in option_orders(question, plan.option_orders)
        ]
        known = {
            template.name: plan.examples.of(index, question.n_options, template) if plan.examples is not None else []
            for template in plan.templates
        }
        repeats = n_repeats(plan, len(variants))
        backgrounds = background_records(cells.backgrounds.iloc[rows])
        for row, background in zip(rows.tolist(), backgrounds, strict=True):
            for template, order in variants:
                # A cell's own distribution is never shown when it is asked for.
                own = describe_background(template, background)
                examples = [example for described, example in known[template.name] if described != own]
                prompt = render(
                    template,
                    question,
                    background if plan.backgrounds else None,
                    labels=shown,
                    order=order,
                    examples=examples,
                    verbalized=plan.method.name == "verbalized",
                    sequence=plan.n_samples if plan.method.name == "sequence" else None,
                )
                for sample in range(repeats):
                    ask = Ask(
                        prompt,
                        plan.method.kind,
                        shown,
                        temperature=1.0 if plan.method.kind == "label" else plan.temperature,
                        max_tokens=plan.method.max_tokens(question.n_options, plan.n_samples),
                        sample=sample,
                        seed=0 if plan.method.kind == "label" else plan.seed,
                        schema=percentage_schema(shown) if plan.method.name == "verbalized" else None,
                    )
                    if ask not in number:
                        number[ask] = len(asked.asks)
                        asked.asks.append(ask)
                        asked.questions.append(question)
                        asked.orders.append(order)
                        asked.templates.append(template.name)
                    asked.cells[row].append(number[ask])
    return asked


def n_repeats(plan: AskPlan, n_variants: int) -> int:
    """How many answers each of a cell's prompts gets, so that all get equally many."""
    return 1 if plan.method.name in ("logprob", "sequence") else -(-plan.n_samples // n_variants)


def background_records(backgrounds: pd.DataFrame) -> Sequence[dict[str, Any]]:
    """One mapping per row, with the values as Python sees them (no upcasting of mixed rows)."""
    columns = [str(column) for column in backgrounds.columns]
    values = [backgrounds[column].astype(object).tolist() for column in backgrounds.columns]
    return [dict(zip(columns, row, strict=True)) for row in zip(*values, strict=True)] or [{}] * len(backgrounds)
