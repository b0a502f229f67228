"""Several breakdowns of one survey, one below the other: everybody, then each attribute's groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from surveysim.interfaces import Predictor
from surveysim.reporting.columns import EVERYBODY
from surveysim.reporting.estimates import GroupEstimates
from surveysim.reporting.groups import group_estimates
from surveysim.tables import Cells

__all__ = ["MOST_LEVELS", "Breakdown", "as_breakdowns", "stacked_estimates"]

Breakdown = str | Sequence[str]

MOST_LEVELS = 30
"""An attribute with more levels is not broken down unless it is named."""


def as_breakdowns(by: Sequence[Breakdown] | str | None, cells: Cells) -> list[list[str]]:
    """The breakdowns as lists of attributes; None: each background by itself, unless it has very many levels."""
    if by is None:
        return [[name] for name in cells.backgrounds if cells.X[name].nunique(dropna=False) <= MOST_LEVELS]
    return [[item] if isinstance(item, str) else list(item) for item in ([by] if isinstance(by, str) else by)]


def stacked_estimates(
    model: Predictor | None, cells: Cells, breakdowns: Sequence[Sequence[str]], **parameters: Any
) -> GroupEstimates:
    """Estimates of everybody and of the groups of each breakdown, with groups named "gender: woman".

    Parameters
    ----------
    model, cells
        As in `group_estimates`.
    breakdowns : list of list of str
    **parameters
        Of `group_estimates`.

    Returns
    -------
    GroupEstimates
        Without columns for the attributes, question by question.
    """
    parts = []
    for attributes in [[], *breakdowns]:
        table = group_estimates(model, cells, list(attributes), **parameters)
        if attributes:
            table["group"] = " x ".join(attributes) + ": " + _levels(table, attributes)
        parts.append(pd.DataFrame(table).drop(columns=list(attributes)))
    frame = pd.concat(parts, ignore_index=True)
    place = {name: i for i, name in enumerate(dict.fromkeys(frame["question"]))}
    frame = frame.iloc[np.argsort(frame["question"].map(place), kind="stable")].reset_index(drop=True)
    result = GroupEstimates(frame)
    result.attrs = {**table.attrs, "by": []}
    assert (result["group"] == EVERYBODY).any()
    return result


def _levels(table: GroupEstimates, attributes: Sequence[str]) -> pd.Series:
    levels = table[attributes[0]].astype(str)
    for attribute in attributes[1:]:
        levels = levels + ", " + table[attribute].astype(str)
    return levels
