"""Nonresponse adjustment: by cells by hand, by propensity on a population in which the truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from surveysim.tables import adjust_nonresponse


def asked(n=4000, seed=0):
    """Old people answer more often, and think otherwise."""
    rng = np.random.default_rng(seed)
    age = rng.uniform(18, 80, n)
    region = rng.choice(["north", "south"], n)
    answered = rng.random(n) < 1 / (1 + np.exp(-(age - 50) / 15 + (region == "north")))
    return pd.DataFrame({"age": age, "region": region, "answered": answered, "opinion": age + rng.normal(0, 5, n)})


class TestCells:
    def test_by_hand(self):
        data = pd.DataFrame({"g": ["a"] * 4 + ["b"] * 2, "r": [1, 0, 0, 1, 1, 0], "w": [1.0, 1, 2, 2, 3, 3]})
        # a: 6 asked, 3 answered (by weight), b: 6 and 3: factors 2 and 2, weights 2, 4, 6, mean 4
        result = adjust_nonresponse(data, "r", cells=["g"], weights="w")
        assert result.weights.tolist() == [0.5, 0, 0, 1.0, 1.5, 0]
        assert result.n_before == pytest.approx(36 / 14)

    def test_totals_by_cell_are_those_of_the_sample(self):
        data = asked().assign(old=lambda table: table["age"] > 50)
        weights = adjust_nonresponse(data, "answered", cells=["old", "region"]).weights
        by_cell = data.assign(w=weights).groupby(["old", "region"])["w"].sum() / weights.sum()
        np.testing.assert_allclose(by_cell, data.groupby(["old", "region"]).size() / len(data))

    def test_a_cell_in_which_nobody_answered(self):
        data = pd.DataFrame({"g": ["a", "a", "b"], "r": [1, 0, 0]})
        with pytest.raises(ValueError, match=r"nobody answered in .*'b'.*merge"):
            adjust_nonresponse(data, "r", cells=["g"])


class TestPropensity:
    @pytest.mark.parametrize("n_classes", [5, 10, None])
    def test_removes_the_bias(self, n_classes):
        data = asked()
        truth = data["opinion"].mean()
        weights = adjust_nonresponse(data, "answered", predictors=["age", "region"], n_classes=n_classes).weights
        naive = data.loc[data["answered"], "opinion"].mean() - truth
        left = np.average(data["opinion"], weights=weights) - truth
        assert naive > 8
        assert abs(left) < naive / 5

    def test_its_cost_is_stated(self):
        data = asked()
        result = adjust_nonresponse(data, "answered", predictors=["age", "region"])
        assert result.n_before == data["answered"].sum()
        assert result.n_effective < 0.9 * result.n_before
        assert "loss" in repr(result)

    def test_missing_predictors_are_a_level(self):
        data = asked()
        data.loc[:50, "age"] = np.nan
        data.loc[100:150, "region"] = None
        weights = adjust_nonresponse(data, "answered", predictors=["age", "region"]).weights
        assert (weights[data["answered"]] > 0).all()
        assert (weights[~data["answered"]] == 0).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either cells"),
        ({"cells": ["region"], "predictors": ["age"]}, "either cells"),
        ({"cells": ["nowhere"]}, "cells: data has no column 'nowhere'"),
        ({"cells": ["region"], "responded": "region"}, "true or false"),
        ({"cells": ["region"], "responded": np.ones(4000)}, "everybody responded"),
        ({"predictors": ["age"], "n_classes": 1}, "n_classes must be at least 2"),
    ],
)
def test_says_what_is_wrong(arguments, message):
    with pytest.raises(ValueError, match=message):
        adjust_nonresponse(asked(), **{"responded": "answered"} | arguments)
