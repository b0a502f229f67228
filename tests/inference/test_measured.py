"""What was measured on a real survey holds: rectified shares beside the sample's, whatever the model."""

from __future__ import annotations

import pytest

from benchmarks.rectified import measure, summarise
from benchmarks.surveys import Survey, load_nonvoters

pytestmark = pytest.mark.realdata


def test_no_model_does_harm_and_intervals_hold(survey_data):
    survey = load_nonvoters(survey_data)
    ten = dict(list(survey.questions.items())[:10])
    survey = Survey(survey.name, survey.data, survey.backgrounds, ten, survey.skipped)
    table = summarise(measure(survey, [300], 25, [], ["good", "useless", "wrong"]))
    assert (table["mse_ratio"] <= 1.01).all()
    assert table["coverage"].between(0.87, 0.93).all()
    assert table.loc["good", "power"].item() > 0.8
    assert table.loc["useless", "power"].item() < 0.05
