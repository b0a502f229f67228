"""What the columns of estimates say: which figure they hold, of which groups, and whether it is a difference."""

from __future__ import annotations

from typing import Literal

import pandas as pd

__all__ = ["EVERYBODY", "FIXED_COLUMNS", "attributes_of", "is_difference", "statistic_of"]

EVERYBODY = "everybody"
"""The group where groups are not told apart."""

FIXED_COLUMNS = (
    "question",
    "group",
    "option",
    "share",
    "lower",
    "upper",
    "respondents",
    "effective_respondents",
    "interval",
    "source",
)
"""Columns that are not attributes; means have ``"mean"`` in place of ``"share"``."""


def statistic_of(estimates: pd.DataFrame) -> Literal["share", "mean"]:
    """The column of the estimates."""
    return "share" if "share" in estimates.columns else "mean"


def attributes_of(estimates: pd.DataFrame) -> list[str]:
    """The attributes that define the groups."""
    columns = list(estimates.columns)
    return columns[columns.index("group") + 1 : columns.index("option")]


def is_difference(estimates: pd.DataFrame) -> bool:
    """Whether these are differences."""
    if estimates.attrs.get("difference"):
        return True
    return statistic_of(estimates) == "share" and bool((estimates["share"] < 0).any())
