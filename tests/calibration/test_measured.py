"""What calibration reaches on recorded answers of real models: the figures of the documentation, with fewer draws."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.calibration import anchored, by_questions
from benchmarks.elicited import load_elicited
from surveysim.metrics import opinion_alignment

DRAWS = 6


@pytest.fixture(scope="module")
def settings(survey_data):
    return {setting.name: setting for setting in load_elicited(survey_data)}


def _raw(setting):
    return opinion_alignment(setting.Y, setting.P, values=setting.positions, average=False)


@pytest.mark.realdata
def test_log_probabilities_become_usable_with_ten_questions_and_with_none(settings):
    for name, target in (("log-prob gpt-4", (86, 85)), ("log-prob llama3-70b", (85, 85))):
        scores = by_questions(settings[name], DRAWS, (10, 0))
        reached = np.nanmean(scores, axis=(0, 2))
        assert (reached > target).all(), name
        assert np.nanmean(scores[:, 0] - _raw(settings[name])) > 9


@pytest.mark.realdata
def test_a_good_elicitation_stays_good(settings):
    setting = settings["verbalised gpt-4"]
    gain = by_questions(setting, DRAWS, (5, 10)) - _raw(setting)
    assert (np.nanmean(gain, axis=(0, 2)) > -0.2).all()


@pytest.mark.realdata
def test_anchored_groups(settings):
    scores = anchored(settings["verbalised gpt-4"], DRAWS, (10,))
    assert np.nanmean(scores["SEX"]) > 94.5
    assert np.nanmean(scores["RACE"]) > 92
