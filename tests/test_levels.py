"""Levels that training did not have, and slips of the pen."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from surveysim import Question
from surveysim.baselines import CellRegressor, LogitRegressor
from surveysim.errors import SurveysimWarning

QUESTION = Question("Is it good?", ["yes", "no"])
X = pd.DataFrame({"sex": ["Female", "Male"] * 2, "age": ["18-29", "18-29", "30-44", "30-44"]})
Y = np.array([[0.2, 0.8], [0.4, 0.6], [0.3, 0.7], [0.5, 0.5]])
N = np.full(4, 100.0)


@pytest.mark.parametrize("model", [LogitRegressor(question=QUESTION), CellRegressor(shrinkage=5.0, question=QUESTION)])
def test_a_level_spelt_almost_like_one_of_training_warns_with_it(model):
    model.fit(X, Y, sample_weight=N)
    with pytest.warns(SurveysimWarning, match=r"column 'sex'.*'Femlae' \(2 rows; 'Female'\?\)"):
        model.predict(pd.DataFrame({"sex": ["Femlae", "Male", "Femlae"], "age": ["18-29"] * 3}))


def test_new_levels_are_what_models_are_for():
    model = LogitRegressor(question=QUESTION).fit(X, Y, sample_weight=N)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(pd.DataFrame({"sex": ["Diverse", "Male"], "age": ["19-29", "65 or older"]}))


class TestPercentages:
    def test_rows_that_sum_to_about_100_are_scaled_and_said(self):
        percent = np.array([[20.0, 80.0], [40.0, 59.0], [30.0, 70.0], [51.0, 50.0]])
        with pytest.warns(SurveysimWarning, match=r"sum to about 100 \(99 to 101\): taken as percentages"):
            ours = LogitRegressor(question=QUESTION).fit(X, percent, sample_weight=N)
        shares = percent / percent.sum(axis=1, keepdims=True)
        theirs = LogitRegressor(question=QUESTION).fit(X, shares, sample_weight=N)
        np.testing.assert_allclose(ours.predict(X), theirs.predict(X), atol=1e-12)

    @pytest.mark.parametrize("Y", [Y * [[100], [100], [100], [90]], Y * 100 + [[0, 3]], Y * 37])
    def test_other_sums_are_refused(self, Y):
        with pytest.raises(ValueError, match="sums to"):
            LogitRegressor(question=QUESTION).fit(X, Y, sample_weight=N)
