"""The next wave: how far opinions may walk on, what stays as it is, and what is refused."""

from __future__ import annotations

import pickle
import warnings
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from surveysim import FusedRegressor, group_estimates, poststratify
from surveysim.datasets import make_next_wave, make_survey
from surveysim.sources import Wave


def trend(years, *, n_fresh=400, n=1000, drift=0.25, shift_drift=0.1, seed=0, n_questions=8, spelled=lambda year: year):
    """Waves of all years but the last, and the survey of that one."""
    survey, waves = make_survey(n, n_backgrounds=2, n_questions=n_questions, random_state=seed), {}
    for i, (year, after) in enumerate(pairwise(years)):
        waves[str(year)] = Wave(survey.tabulate(), time=spelled(year))
        size = n_fresh if after == years[-1] else n
        survey = next_wave(survey, size, after - year, 100 * seed + i, drift, shift_drift)
    return waves, survey


def next_wave(survey, n, years, seed, drift=0.25, shift_drift=0.1):
    return make_next_wave(survey, n, drift=drift, shift_drift=shift_drift, years=years, random_state=seed)


def fitted(waves, survey, time, **parameters):
    cells = survey.tabulate()
    return FusedRegressor(waves, question=survey.questions, time=time, **parameters).fit(cells.X, cells.Y, cells.n)


@pytest.fixture(scope="module")
def model_of_2021():
    waves, survey = trend([2010, 2014, 2016, 2017, 2021])
    return fitted(waves, survey, 2021), survey


def held(model, wave):
    lower, upper = model.predict_interval(wave.truth_X, n_draws=400, random_state=0)
    told = ~np.isnan(wave.truth_P)
    return ((lower <= wave.truth_P) & (wave.truth_P <= upper))[told].mean(), (upper - lower)[told].mean()


def test_intervals_of_a_forecast_hold_the_next_wave_as_often_as_they_say():
    """Unequal gaps; both sizes of steps are known to the simulation alone."""
    coverage, misread = [], []
    # a survey's four steps are few: 90% of 16 others held .92 (standard error .01), of single ones .80 to 1
    for seed, (drift, shift_drift) in enumerate([(0.2, 0.1), (0.4, 0.1), (0.2, 0.05), (0.3, 0.15)] * 2):
        waves, survey = trend([2010, 2014, 2016, 2017, 2021], drift=drift, shift_drift=shift_drift, seed=seed)
        model = fitted(waves, survey, 2021)
        for years in (2, 6):
            after = next_wave(survey, 10, years, 50 + seed, drift, shift_drift)
            coverage.append(held(model.forecast(2021 + years), after)[0])
            misread.append(held(model, after)[0])
    assert 0.84 < np.mean(coverage) < 0.97
    assert np.mean(misread) < 0.75  # those of the survey itself are too narrow for another year


def test_where_opinions_have_not_moved_the_next_wave_is_known_as_well_as_this_one():
    waves, survey = trend([2016, 2017, 2018, 2019], n_fresh=1000, drift=0.0, shift_drift=0.0)
    model = fitted(waves, survey, 2019)
    _, now = held(model, survey)
    coverage, coming = held(model.forecast(), survey)
    assert now <= coming < 1.25 * now
    assert coverage > 0.85


def test_a_walk_without_direction_stays_where_it_is_and_the_interval_grows_with_the_time(model_of_2021):
    model, survey = model_of_2021
    X = survey.truth_X
    widths = [held(one, survey)[1] for one in (model, *map(model.forecast, (2022, 2025, 2037)))]
    assert np.all(np.diff(widths) > 0)
    np.testing.assert_array_equal(model.forecast(2037).predict(X), model.predict(X))


def test_variances_grow_with_the_time_as_those_of_a_walk_do(model_of_2021):
    """On logits the surplus over the survey's own variance is four times as large after four times as long."""
    model, survey = model_of_2021
    X = survey.truth_X
    moved = []
    for one in (model, model.forecast(2023), model.forecast(2029)):
        draws = one.predict_draws(X, 4000, random_state=0)
        moved.append(np.log(draws[:, :, 0] / draws[:, :, 1]).var(axis=0).mean())
    assert (moved[2] - moved[0]) / (moved[1] - moved[0]) == pytest.approx(4.0, rel=0.15)


def test_the_next_wave_is_a_typical_gap_away(model_of_2021):
    model, _ = model_of_2021
    assert model.forecast().forecast_time_ == 2024.0  # gaps of 4, 2, 1 and 4 years
    assert model.forecast().forecast(2030).forecast_time_ == 2030.0
    assert not hasattr(model, "forecast_time_")


def test_times_may_be_dates():
    waves, survey = trend([2018, 2021, 2023], n_questions=4, spelled=lambda year: f"{year}-07-01")
    model = fitted(waves, survey, "2023-07-01")
    assert model.forecast("2025-07-01").forecast_time_ == "2025-07-01"
    assert model.forecast().forecast_time_ == "2025-12-30"  # 913 days, between 1,096 and 730
    years = fitted(*trend([2018, 2021, 2023], n_questions=4), 2023)
    lower, upper = model.forecast("2025-07-01").predict_interval(survey.truth_X, random_state=0)
    same_lower, same_upper = years.forecast(2025).predict_interval(survey.truth_X, random_state=0)
    np.testing.assert_allclose([lower, upper], [same_lower, same_upper], atol=8e-3)


def test_a_question_that_only_waves_asked_has_farther_to_go():
    waves, survey = trend([2015, 2017, 2019])
    cells = survey.tabulate()
    asked = cells.question_names != "q1"
    model = FusedRegressor(waves, question=survey.questions, time=2019)
    model.fit(cells.X[asked], cells.Y[asked], cells.n[asked])
    coming = model.forecast(2021)
    new = (survey.truth_X["question"] == "q1").to_numpy()
    widths = []
    for one in (model, coming):
        lower, upper = one.predict_interval(survey.truth_X, random_state=0)
        widths.append([np.nanmean((upper - lower)[rows]) for rows in (~new, new)])
    assert widths[0][0] < widths[0][1]
    assert widths[0][1] < widths[1][1]


def test_groups_and_populations_are_forecast_with_what_there_is(model_of_2021):
    model, survey = model_of_2021
    cells, coming = survey.tabulate(), model.forecast(2030)
    by = survey.backgrounds[0]
    tables = [group_estimates(one, cells, by=by, n_draws=300) for one in (model, coming)]
    assert ((tables[1]["upper"] - tables[1]["lower"]) > (tables[0]["upper"] - tables[0]["lower"])).mean() > 0.95
    X = survey.truth_X[survey.truth_X["question"] == "q1"]
    population = X[survey.backgrounds].drop_duplicates().assign(share=lambda frame: 1 / len(frame))
    whole = poststratify(coming.predict_draws(X, 300, random_state=0), X, population)
    now = poststratify(model.predict_draws(X, 300, random_state=0), X, population)
    assert (whole.std() > 2 * now.std()).all()  # what moves everybody does not average out


def test_a_forecast_is_a_view_that_leaves_the_fit_alone(model_of_2021):
    model, survey = model_of_2021
    X = survey.truth_X
    before = model.predict_draws(X, 20, random_state=0)
    coming = model.forecast(2030)
    again = pickle.loads(pickle.dumps(coming))
    np.testing.assert_array_equal(
        again.predict_draws(X, 20, random_state=0), coming.predict_draws(X, 20, random_state=0)
    )
    np.testing.assert_array_equal(model.predict_draws(X, 20, random_state=0), before)
    assert again.forecast_time_ == 2030.0
    with pytest.raises(NotFittedError):
        clone(coming).predict(X)


def test_a_refit_forgets_the_forecast():
    waves, survey = trend([2019, 2021], n_questions=3)
    coming = fitted(waves, survey, 2021).forecast()
    cells = survey.tabulate()
    coming.fit(cells.X, cells.Y, cells.n)
    assert not hasattr(coming, "forecast_time_")


def test_what_cannot_be_forecast_is_refused(model_of_2021):
    model, survey = model_of_2021
    for time in (2021, 2015.5):
        with pytest.raises(ValueError, match=r"must be later than the survey, which was asked at 2021\.0; got time=20"):
            model.forecast(time)
    with pytest.raises(ValueError, match="some times are dates and others numbers"):
        model.forecast("2025-01-01")
    with pytest.raises(ValueError, match="time must be a number or a date"):
        model.forecast("next year")
    with pytest.raises(NotFittedError):
        FusedRegressor(None).forecast(2025)
    cells = survey.tabulate()
    other = make_next_wave(survey, 300, random_state=9).tabulate()
    for sources in (None, Wave(other)):
        with pytest.raises(ValueError, match="a forecast needs waves with a time"):
            FusedRegressor(sources, question=survey.questions).fit(cells.X, cells.Y, cells.n).forecast(2025)
    later = fitted({"2024": Wave(other, time=2024)}, survey, 2021)
    with pytest.raises(ValueError, match="the wave '2024' is later than the survey"):
        later.forecast(2026)
    assumed = fitted({"2019": Wave(other, time=2019)}, survey, None)
    with pytest.raises(
        ValueError, match=r"asked at 2020\.0, a typical gap after the newest wave, since the fusion has"
    ):
        assumed.forecast(2020)


def test_a_forecast_goes_through_skops():
    io = pytest.importorskip("skops.io")
    from surveysim.trusted import skops_types

    waves, survey = trend([2019, 2021], n_questions=3, spelled=lambda year: f"{year}-07-01")
    coming = fitted(waves, survey, "2021-07-01").forecast()
    again = io.loads(io.dumps(coming), trusted=skops_types())
    X = survey.truth_X
    np.testing.assert_array_equal(again.predict_draws(X, 9, random_state=0), coming.predict_draws(X, 9, random_state=0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pd.Timestamp(again.forecast_time_) > pd.Timestamp("2023-06-01")
