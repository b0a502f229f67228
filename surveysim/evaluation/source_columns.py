"""What the sources of a fusion were worth, as columns beside the lines of a group report."""

from __future__ import annotations

import numpy as np
import pandas as pd

from surveysim.evaluation.report_levels import level_names
from surveysim.interfaces import Predictor

__all__ = ["sources_of_lines"]

DEGREES = ["degree 1", "no order"]
"""Of drifts the one that moves up and down the scale; where questions have no order, the one that there is."""


def sources_of_lines(model: Predictor, lines: pd.DataFrame) -> pd.DataFrame:
    """Worth of each source for each line, and for attributes its slope and drift.

    Parameters
    ----------
    model : fitted `surveysim.FusedRegressor`
    lines : DataFrame
        With the column ``attribute`` and, where lines are groups, ``group``.

    Raises
    ------
    TypeError
        If the model has no sources.
    """
    model = getattr(model, "best_estimator_", model)  # of a search
    sources, by_group = (getattr(model, name, None) for name in ("sources_", "group_sources_"))
    if not isinstance(sources, pd.DataFrame) or not isinstance(by_group, pd.DataFrame) or sources.empty:
        raise TypeError(f"model must be a fitted FusedRegressor with sources, got {model!r}")
    by_attribute = "group" not in lines
    found = pd.DataFrame(index=lines.index)
    for source in sources["source"]:
        called = source or "the source"
        own = by_group[by_group["source"] == source]
        for column, name in (("given others", f"worth of {called}"), ("alone", f"worth of {called} alone")):
            if by_attribute:  # the groups of an attribute are all training cells together
                whole = float(sources.loc[sources["source"] == source, column].iloc[0])
                found[name] = np.where(lines["attribute"].isin(own["attribute"]), whole, np.nan)
            else:
                known = _by_label(own, column)
                pairs = zip(lines["attribute"], lines["group"], strict=True)
                found[name] = [known.get(pair, np.nan) for pair in pairs]
        if by_attribute:
            slopes, drifts = _movement(model, source)
            found[f"slope of {called}"] = lines["attribute"].map(slopes).astype(float)
            if drifts is not None:
                found[f"drift of {called}"] = lines["attribute"].map(drifts).astype(float)
    return found


def _by_label(own: pd.DataFrame, column: str) -> dict[tuple[str, str], float]:
    """Worth by attribute and level, levels as a report calls them."""
    known: dict[tuple[str, str], float] = {}
    for attribute, part in own.groupby("attribute", sort=False):
        labels = level_names(part["group"].infer_objects())
        known |= {(str(attribute), str(label)): float(worth) for label, worth in zip(labels, part[column], strict=True)}
    return known


def _movement(model: Predictor, source: str) -> tuple[dict[str, float], dict[str, float] | None]:
    """The slope of each attribute, and of people its drift; sources in a row of waves share them."""
    drift, sources = getattr(model, "drift_", None), getattr(model, "sources_", None)
    assert isinstance(drift, pd.DataFrame)
    assert isinstance(sources, pd.DataFrame)
    own = drift[[source == str(names) or source in str(names).split(", ") for names in drift["source"]]]
    if len(own):
        questions = getattr(model, "questions_", {})
        moved = own[DEGREES[0] if any(question.ordinal for question in questions.values()) else DEGREES[1]]
        return dict(zip(own["of"], own["slope"], strict=True)), dict(zip(own["of"], moved, strict=True))
    # the share of several models' gaps that is borne out is not one model's
    only = (sources["kind"] == "model").sum() == 1
    return (dict(getattr(model, "gap_inflation_", {})) if only else {}), None
