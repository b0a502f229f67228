"""A plan of respondents as the user gets it: tables and an answer in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from surveysim.inference.pilot import Pilot

__all__ = ["RespondentPlan", "precision_table"]


@dataclass(frozen=True, eq=False, repr=False)
class RespondentPlan:
    """How many respondents to ask, and what precision follows; ``print`` it for the answer in words.

    Attributes
    ----------
    groups : DataFrame
        A row per group: its share of the "population" in percent, "respondents", "cost", and the "margin" of error
        (percentage points, mean over questions and options) with the model and without ("margin_sample"). If questions
        are asked apart, also the answers to each.
    questions : DataFrame
        A row per question: "answers", the "power" of the model, and the population's "margin" with and without it.
    precision : DataFrame
        A row per level (population, groups, cells): "margin" and "largest" with the plan, "margin_sample" without the
        model, "margin_compare" of the interviews that it should replace. Mean (of cells by their share of the
        population) and largest over questions and groups.
    equal_to : int
        Respondents alone, in proportion to the population, who would be as precise for the population.
    needed : int or None
        Respondents, divided as here, who would be as precise for the population as those of `compare` alone.
    unit : str
        What is counted: "respondents", or "answers" where questions are asked apart.
    budget, spent : float
    compare : int or None
    level : float
        Of the margins of error.

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim import Question, plan_respondents, tabulate
    >>> pilot = pd.DataFrame(
    ...     {"age": ["young", "old"] * 50, "rain": [1, 1, 2, 1, 1, 2, 2, 2, 1, 2] * 10}
    ... )
    >>> cells = tabulate(pilot, ["age"], {"rain": Question("Do you like rain?", ["yes", "no"])})
    >>> plan = plan_respondents(cells, 300, by="age")
    >>> plan.groups[["age", "population", "respondents", "margin"]].round(1)
         age  population  respondents  margin
    0    old        50.0          ...     ...
    1  young        50.0          ...     ...
    """

    budget: float
    spent: float
    compare: int | None
    level: float
    groups: pd.DataFrame
    questions: pd.DataFrame
    precision: pd.DataFrame
    equal_to: int
    needed: int | None
    unit: str = "respondents"

    def __repr__(self) -> str:
        n = int(self.groups["respondents"].sum())
        levels = self.precision.set_index("level")
        told = "; ".join(f"{level} ±{row['margin']:.1f} points" for level, row in levels.iterrows())
        lines = [
            f"{n:,} {self.unit}: {told} ({self.level:.0%} margins of error, mean over questions and options).",
            f"For the population that is as precise as {self.equal_to:,} respondents without a model.",
        ]
        if self.compare is not None and self.needed is not None:
            margins = "; ".join(f"{level} ±{row['margin_compare']:.1f}" for level, row in levels.iterrows())
            verdict = "can" if self.needed <= n else "cannot"
            lines.append(f"{self.compare:,} interviews without a model: {margins}.")
            lines.append(
                f"The plan {verdict} replace them for the population, which takes {self.needed:,} {self.unit}."
            )
        return "\n".join(lines)


def precision_table(pilot: Pilot, n: np.ndarray, compare: np.ndarray | None, level: float) -> pd.DataFrame:
    """The margins of error at three levels, in percentage points.

    Parameters
    ----------
    pilot : Pilot
    n : int array of shape (G, Q)
        The plan.
    compare : float array of shape (G, Q), or None
        Respondents without a model.
    level : float
    """
    none = np.full(1, np.nan)

    def alone(margins: str, respondents: np.ndarray | None) -> np.ndarray:
        if respondents is None:
            return none
        if margins == "cells":
            return pilot.cell_margins(respondents, level)
        of = pilot.population_margins if margins == "population" else pilot.group_margins
        return of(respondents, level, rectified=False)

    def mean(margins: str, values: np.ndarray) -> float:
        if margins == "cells" and len(values) == len(pilot.cell_shares):
            return 100 * float(np.average(values.mean(axis=1), weights=pilot.cell_shares))
        return 100 * float(values.mean())

    planned = {
        "population": pilot.population_margins(n, level, rectified=True),
        "groups": pilot.group_margins(n, level, rectified=True),
        "cells": pilot.cell_margins(n, level),
    }
    return pd.DataFrame(
        {
            "level": name,
            "margin": mean(name, margin),
            "largest": 100 * margin.max(),
            "margin_sample": mean(name, alone(name, n)),
            "margin_compare": mean(name, alone(name, compare)),
        }
        for name, margin in planned.items()
    )
