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
    np.testing.assert_allclose(order.years, [0, 366 / 365.25, 4], atol=1e-3)
    assert order.now is None


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
    ],
)
def test_times_are_numbers_or_dates(time, expected):
    assert read_time(time) == expected


@pytest.mark.parametrize("time", ["last spring", float("nan"), True, None, pd.NaT, [2024]])
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
        ({"a": 2020, "b": 2024}, 2022, r"now is 2022.0, before the wave 'b' of 2024.0"),
        ({}, None, "no waves"),
    ],
)
def test_times_that_do_not_order_are_refused(times, now, message):
    with pytest.raises(ValueError, match=message):
        order_waves(waves(**times), now=now)
