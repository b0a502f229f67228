"""The order of waves, and the unequal years between them."""

from __future__ import annotations

from datetime import date, datetime
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from surveysim.sources import order_waves
from surveysim.sources.times import read_time


def waves(**times):
    return {name: SimpleNamespace(time=time) for name, time in times.items()}


def test_waves_come_from_the_oldest_to_the_newest_with_the_years_between():
    order = order_waves(waves(c=2023, a=2012, b=2020.5), now=2025)
    assert order.names == ("a", "b", "c")
    assert order.years == (0.0, 8.5, 11.0)
    assert order.gaps == (8.5, 2.5, 2.0)
    assert order.now == 13.0


def test_dates_are_years_apart():
    order = order_waves(waves(a="2020-01-01", b=date(2021, 1, 1), c=datetime(2024, 1, 1, 12)))
    np.testing.assert_allclose(order.years, [0, 366 / 365.25, 1461.5 / 365.25])  # noon of the last day
    assert order.now is None


@pytest.mark.parametrize(
    ("time", "written"), [(20240301, "2024-03-01"), ("202403", "2024-03"), (19991231.0, "1999-12-31")]
)
def test_a_date_in_digits_is_no_number_of_years(time, written):
    with pytest.raises(ValueError, match=f"looks like a date in digits: write '{written}'"):
        read_time(time)


def test_hours_order_waves_of_one_day():
    order = order_waves(waves(evening="2024-03-01 20:00", morning="2024-03-01 08:00"), now="2024-03-02")
    assert order.names == ("morning", "evening")
    np.testing.assert_allclose(np.array(order.gaps) * 365.25 * 24, [12, 4])


def test_the_survey_may_lie_between_waves():
    order = order_waves(waves(a=2012, b=2016, c=2017, d=2023), now=2018)
    assert order.chains() == [(("a", "b", "c"), (4.0, 1.0, 1.0)), (("d",), (5.0,))]
    assert order.gaps == (4.0, 1.0, 1.0, 5.0)
    assert order.typical_gap == 2.5
    assert order_waves(waves(a=2012, b=2016), now=2010).chains() == [(("b", "a"), (4.0, 2.0))]


def test_without_a_time_of_its_own_a_survey_is_the_next_wave():
    order = order_waves(waves(a=2012, b=2016, c=2018))
    assert (order.typical_gap, order.next) == (3.0, 9.0)
    assert order.chains() == [(("a", "b", "c"), (4.0, 2.0, 3.0))]
    assert order_waves(waves(a=2012)).chains() == [(("a",), (1.0,))]


def test_a_single_wave_is_in_order():
    assert order_waves(waves(a=3)).gaps == ()


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (2024, 2024.0),
        (np.int64(2024), 2024.0),
        ("2024", 2024.0),
        ("2024-03-01", date(2024, 3, 1)),
        (pd.Timestamp("2024-03-01"), date(2024, 3, 1)),
        (np.datetime64("2024-03-01"), date(2024, 3, 1)),
        ("2024-03", date(2024, 3, 1)),
        ("2024-03-01 18:30", datetime(2024, 3, 1, 18, 30)),
        (pd.Timestamp("2024-03-01 18:30", tz="US/Eastern"), datetime(2024, 3, 1, 23, 30)),
        (20240, 20240.0),
    ],
)
def test_times_are_numbers_or_dates(time, expected):
    assert read_time(time) == expected


@pytest.mark.parametrize(
    "time", ["last spring", float("nan"), True, None, pd.NaT, [2024], "3/4/2024", "1.5.2024", "today", "now", ""]
)
def test_anything_else_is_no_time(time):
    with pytest.raises((TypeError, ValueError), match="time must be"):
        read_time(time)


@pytest.mark.parametrize(
    ("times", "now", "message"),
    [
        ({"a": 2020, "b": None}, None, r"the waves \['b'\] have no time"),
        ({"a": 2020, "b": "2024-03-01"}, None, "some times are dates and others numbers"),
        ({"a": 2020, "b": 2024}, "2025-01-01", "some times are dates and others numbers"),
        ({"a": 2020, "b": 2020.0}, None, "'a' and 'b' have the same time"),
        ({"a": 2020, "b": 2024}, 2024, "the wave 'b' has the time of the survey itself, 2024"),
        ({"a": "2020-01-01"}, 2022, r"That of wave 'a' is 2020-01-01, that of the survey 2022"),
        ({}, None, "no waves"),
    ],
)
def test_times_that_do_not_order_are_refused(times, now, message):
    with pytest.raises(ValueError, match=message):
        order_waves(waves(**times), now=now)
