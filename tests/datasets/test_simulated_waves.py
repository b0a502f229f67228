"""`make_next_wave`: the same population, other respondents, opinions that moved as far as stated."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from surveysim.datasets import load_fair, make_next_wave, make_survey


@pytest.fixture(scope="module")
def many_questions():
    return make_survey(50, n_backgrounds=2, n_questions=300, n_options=5, ordered=[True, False], random_state=0)


def slope(logits):
    """How far intercepts lie along the scale: the least-squares slope on its standardised positions."""
    position = np.arange(5) - 2.0
    position /= position.std()
    return (logits * position).mean(axis=-1)


def moves(survey, later):
    before, after = survey.truth.logits, later.truth.logits
    level = [slope(after[q][0] - before[q][0]) for q in before]
    shifts = [np.concatenate([slope(b - a) for a, b in zip(before[q][1], after[q][1], strict=True)]) for q in before]
    return np.array(level), np.array(shifts)


def test_opinions_move_as_far_as_stated(many_questions):
    later = make_next_wave(many_questions, 50, drift=0.3, shift_drift=0.1, random_state=1)
    level, shifts = moves(many_questions, later)
    # the standard error of a standard deviation of 300 draws is 4%
    assert level.std() == pytest.approx(0.3, rel=0.12)
    assert np.sqrt((shifts**2).mean()) == pytest.approx(0.1, rel=0.12)  # over the levels of a background
    assert abs(level.mean()) < 0.06


def test_variances_grow_with_the_years(many_questions):
    later = make_next_wave(many_questions, 50, drift=0.1, shift_drift=0.0, years=4, random_state=2)
    assert moves(many_questions, later)[0].std() == pytest.approx(0.2, rel=0.12)


def test_nothing_moves_where_no_drift_is_asked_for():
    survey = make_survey(100, n_backgrounds=2, n_questions=2, ordinal=[True, False], random_state=0)
    still = make_next_wave(survey, 100, drift=0, shift_drift=0, random_state=0)
    np.testing.assert_array_equal(still.truth_P, survey.truth_P)
    assert not still.data.equals(survey.data)  # other respondents


def test_the_questionnaire_and_the_population_stay():
    survey = make_survey(400, weighted=True, interaction=0.2, noise=0.1, random_state=0)
    later = make_next_wave(make_next_wave(survey, 30, random_state=1), 300, weighted=True, missing=0.2, random_state=2)
    assert later.questions == survey.questions
    assert later.backgrounds == survey.backgrounds
    assert later.truth.noise == 0.1
    for name, shares in survey.margins.items():
        pd.testing.assert_series_equal(later.margins[name], shares)
    assert (later.data["q1"] == "Don't know").mean() == pytest.approx(0.2, abs=0.08)
    assert later.weight == "weight"
    np.testing.assert_allclose(later.truth_P.sum(axis=1), 1)


def test_the_same_seed_gives_the_same_wave():
    survey = make_survey(50, random_state=0)
    one, other = (make_next_wave(survey, 60, random_state=5) for _ in range(2))
    pd.testing.assert_frame_equal(one.data, other.data)


@pytest.mark.parametrize(
    "parameters",
    [{"drift": -0.1}, {"shift_drift": -1}, {"years": -1}, {"missing": 1.0}, {"n_respondents": 0}, {"drift": np.nan}],
)
def test_numbers_out_of_range_are_refused(parameters):
    with pytest.raises(ValueError, match=f"{next(iter(parameters))} must be"):
        make_next_wave(make_survey(50, random_state=0), **parameters)


def test_a_survey_without_a_truth_is_refused():
    with pytest.raises(TypeError, match="must come from make_survey"):
        make_next_wave(load_fair())
