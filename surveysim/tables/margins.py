"""Margins of a population, as they are published: by variable, or as a long table."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from surveysim.tables.poststratification import SHARE_TOLERANCE

__all__ = ["Margins", "as_mapping", "read_margins"]

Margins = Mapping[Any, Any] | pd.DataFrame | pd.Series
"""What `rake` takes as margins."""


def as_mapping(margins: Margins) -> Mapping[Any, Any]:
    """Margins by variable; a long table is taken apart.

    Parameters
    ----------
    margins : mapping, DataFrame or Series
        A DataFrame has the columns "variable", "level" and "share" (or "n"), or the first two as its index; a Series an
        index of two levels, variable and level. Variables and levels keep the order of their rows.

    Raises
    ------
    TypeError
        If it is none of these.
    ValueError
        If it is empty, columns are lacking, or a level occurs twice.
    """
    if isinstance(margins, pd.DataFrame):
        values = [column for column in ("share", "n") if column in margins.columns]
        if margins.index.nlevels == 2 and "variable" not in margins.columns:
            margins = margins.rename_axis(["variable", "level"]).reset_index()
        lacking = [column for column in ("variable", "level") if column not in margins.columns]
        if lacking or len(values) != 1:
            raise ValueError(
                "a long table of margins has the columns 'variable', 'level' and one of 'share' and 'n'; it has "
                f"{list(margins.columns)}"
            )
        margins = margins.set_index(["variable", "level"])[values[0]]
    if isinstance(margins, pd.Series):
        if margins.index.nlevels != 2:
            raise ValueError(
                f"margins as a Series need an index of two levels, variable and level; it has {margins.index.nlevels}"
            )
        long = margins
        taken: dict[Any, pd.Series] = {}
        variables = long.index.get_level_values(0)
        if variables.isna().any():
            raise ValueError("margins: a variable is missing in the long table")
        for variable in variables.unique():
            rows = long[variables == variable]
            taken[variable] = pd.Series(rows.to_numpy(), index=rows.index.get_level_values(1))
        margins = taken
    if not isinstance(margins, Mapping):
        raise TypeError(
            "margins must be a mapping from columns to shares by level, or a long table (variable, level, share); got "
            f"{margins!r}"
        )
    if not margins:
        raise ValueError("margins is empty")
    return margins


def read_margins(margins: Margins) -> dict[tuple[str, ...], dict[Hashable, float]]:
    """Each margin by its tuple of columns, scaled to sum to 1.

    Parameters
    ----------
    margins : mapping, DataFrame or Series
        By column (or tuple of columns) shares by level; or a long table, see `as_mapping`.

    Raises
    ------
    TypeError, ValueError
        If it is something else, levels are missing or repeated, shares are negative or do not sum to 1 (or 100), or
        the totals of two margins differ.
    """
    margins = as_mapping(margins)
    read: dict[tuple[str, ...], dict[Hashable, float]] = {}
    totals: dict[str | tuple[str, ...], float] = {}
    for key, margin in margins.items():
        columns = (key,) if isinstance(key, str) else tuple(key)
        if not isinstance(margin, Mapping | pd.Series):
            raise TypeError(f"margins[{key!r}] must be a mapping or Series from levels to shares, got {margin!r}")
        if isinstance(margin, pd.Series) and margin.index.has_duplicates:
            raise ValueError(f"margins[{key!r}] repeats {margin.index[margin.index.duplicated()][0]!r}")
        if "share" in columns or len(set(columns)) < len(columns):
            raise ValueError(f"margins[{key!r}]: columns must differ, and none may be called 'share'")
        shares = _read_shares(key, columns, margin)
        totals[key] = sum(shares.values())
        whole = any(abs(totals[key] / unit - 1.0) <= SHARE_TOLERANCE for unit in (1.0, 100.0))
        counts = totals[key] > 100 or (totals[key] > 0 and all(share.is_integer() for share in shares.values()))
        if not (whole or counts):
            raise ValueError(
                f"margins[{key!r}] sums to {totals[key]:.6g}: shares must sum to 1 (or 100). Are levels missing?"
            )
        read[columns] = {level: share / totals[key] for level, share in shares.items()}
    smallest, largest = min(totals, key=totals.__getitem__), max(totals, key=totals.__getitem__)
    if totals[largest] > totals[smallest] * (1.0 + 2 * SHARE_TOLERANCE):
        raise ValueError(
            f"margins contradict each other: {smallest!r} sums to {totals[smallest]:.6g}, {largest!r} to "
            f"{totals[largest]:.6g}; they must describe one population in one unit"
        )
    return read


def _read_shares(
    key: str | tuple[str, ...], columns: tuple[str, ...], margin: Mapping[Any, float] | pd.Series
) -> dict[Hashable, float]:
    """One margin's shares by tuple of levels."""
    shares: dict[Hashable, float] = {}
    for level, share in margin.items():
        parts = level if isinstance(key, tuple) and isinstance(level, tuple) else (level,)
        if len(parts) != len(columns) or (isinstance(key, str) and isinstance(level, tuple)):
            raise ValueError(f"margins[{key!r}] needs levels of {list(columns)}, got {level!r}")
        if any(pd.isna(part) for part in parts):
            raise ValueError(f"margins[{key!r}] has a missing level: margins of a population cover every level")
        if not np.isfinite(share) or share < 0:
            raise ValueError(f"margins[{key!r}][{level!r}] must be a share of at least 0, got {share!r}")
        shares[parts] = float(share)
    return shares
