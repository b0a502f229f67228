"""A fit where the last block cannot be run at last positions alone, against the fast way: the same model, forced."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np

from benchmarks.speed.setting import Clock
from surveysim import DSARegressor, Question, tabulate
from surveysim.dsa import loop
from surveysim.models import load_model
from surveysim.trunk.recipe import Recipe

MIN_STEPS = loop.MIN_STEPS
"""As shipped; in other parts of this benchmark an epoch is one pass."""

OPTIONS = ["very poor", "poor", "fair", "good", "very good"]


def fall_back(clock: Clock, n_respondents: int = 500) -> dict[str, float]:
    """Seconds of a fit on nano with every default but the device, both ways, and how far predictions differ.

    Parameters
    ----------
    clock : Clock
        Its device is used.
    n_respondents : int
        Of the survey `fair`; with 500, 88 cells.
    """
    import statsmodels.api as sm

    people = sm.datasets.fair.load_pandas().data.sample(n_respondents, random_state=0)
    question = Question("How do you rate your marriage?", OPTIONS, codes=[1, 2, 3, 4, 5])
    cells = tabulate(people, backgrounds=["age", "religious", "children"], answers={"rate_marriage": question})

    def fit() -> tuple[float, np.ndarray, str]:
        load_model("nano", device=str(clock.device)).states = None  # nothing is known of it
        start = clock()
        model = DSARegressor("nano", question=question, device=str(clock.device), random_state=0)
        predicted = model.fit(cells.X, cells.Y, cells.n).predict(cells.X)
        return clock() - start, predicted, str(model.trunk_["way"])

    with patch.object(loop, "MIN_STEPS", MIN_STEPS):
        fast, expected, way = fit()
        with forced():
            slow, found, other = fit()
    if (way, other) != ("last positions", "whole blocks"):
        raise RuntimeError(f"the ways taken were {way!r} and {other!r}")
    return {
        "cells": float(len(cells.X)),
        "fast": fast,
        "fall_back": slow,
        "fall_back_over_fast": slow / fast,
        "largest_difference": float(np.abs(found - expected).max()),
    }


@contextmanager
def forced() -> Iterator[None]:
    """Last positions are said to give other logits, and no beginning can be shared, as in a family with its own way."""
    compare = Recipe._mismatch

    def mismatch(recipe: Recipe, *args: object) -> str | None:
        return "asked for" if recipe.way == "last positions" else compare(recipe, *args)  # type: ignore[arg-type]

    with patch.object(Recipe, "_mismatch", mismatch), patch.object(Recipe, "_shares_rightly", lambda *_: False):
        yield
