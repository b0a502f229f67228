"""What X loses when it is an array: the names of its columns, and the order of categories."""

from __future__ import annotations

import re

import pandas as pd

from surveysim.errors import warn
from surveysim.level_order import order_of

__all__ = ["warn_of_lost_order", "warn_of_lost_words"]

MIN_LEVELS = 3
"""With fewer, an order says nothing."""

_BARE_NAME = re.compile(r"x?\d+")
"""Names that an array's columns get here, or from pandas."""

N_SHOWN = 3


def warn_of_lost_words(frame: pd.DataFrame) -> None:
    """Warn if a language model would be shown columns without names, such as "x0: 2".

    What is wrong shows in fits alone, so that only they warn. The text is the same for all folds of a cross-validation,
    and Python shows equal warnings of one line once.
    """
    names = [str(name) for name in frame.columns]
    if not names or not all(_BARE_NAME.fullmatch(name) for name in names):
        return
    shown = ", ".join(f"{name}: {_smallest(frame[column])}" for name, column in zip(names, frame.columns, strict=True)
                      if names.index(name) < N_SHOWN)  # fmt: skip
    warn(
        f'the columns of X have no names, so a language model is shown "{shown}", which says nothing of people. Pass a '
        "DataFrame with names and values in words, and leave encoders such as OrdinalEncoder out (for "
        "BaggingRegressor, which passes arrays on, use n_members)."
    )


def warn_of_lost_order(frame: pd.DataFrame) -> None:
    """Warn about text columns in an array: if they were ordered categoricals, their order is lost.

    Whether they had cannot be known. Where order does not matter (numbers, fewer than three levels) nothing is said.
    """
    texts = [name for name in frame.columns if _is_text(frame[name]) and _may_have_lost_order(frame[name])]
    if texts:
        shown = ", ".join(map(repr, texts[:N_SHOWN])) + (" ..." if len(texts) > N_SHOWN else "")
        warn(
            f"X is an array, which keeps no order of categories: columns {shown} are texts. If one of them is ordered, "
            "such as age groups, pass a DataFrame in which it is an ordered categorical: neighbouring levels then "
            "learn from each other."
        )


def _may_have_lost_order(column: pd.Series) -> bool:
    """Whether there are enough levels for an order, and no order can be read from their words."""
    levels = column.dropna().unique()
    return len(levels) >= MIN_LEVELS and order_of(levels) is None


def _is_text(column: pd.Series) -> bool:
    return pd.api.types.infer_dtype(column, skipna=True) == "string"


def _smallest(column: pd.Series) -> str:
    values = {f"{value:g}" if isinstance(value, float) else str(value) for value in column.dropna().unique().tolist()}
    return min(values, key=lambda text: (len(text), text), default="")
