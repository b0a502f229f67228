"""When waves were asked: their order, the years between them, and which lie before and after a survey."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise
from numbers import Real

import numpy as np
import pandas as pd

from surveysim.sources.names import listed

__all__ = ["WaveOrder", "order_waves", "read_time"]

DAYS_A_YEAR = 365.25

_ISO_DATE = re.compile(r"\d{4}-\d{1,2}(?:-\d{1,2}(?:[T ].+)?)?")
"""Years first. "3/4/2024" is another day in Europe than in America, and "today" another one tomorrow."""

_DATE_IN_DIGITS = re.compile(r"(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])?")
"""20240301 and 202403: as numbers, December and January would be 89 apart."""

EXPECTED = "time must be a number or a date such as '2024-03-01'"


def read_time(time: object) -> float | date:
    """A time as a number, a date, or, where it is not midnight, a datetime.

    Parameters
    ----------
    time : number, date, datetime, Timestamp, numpy.datetime64 or str
        A text is a date that begins with the year, "2024-03-01" or "2024-03", or a number, "2024". Times of a time
        zone become UTC.

    Raises
    ------
    TypeError, ValueError
        If it is none, or a number that looks like a date written in digits (20240301).
    """
    if isinstance(time, str):
        try:
            time = float(time)
        except ValueError:
            if not _ISO_DATE.fullmatch(time.strip()):  # type: ignore[union-attr]
                raise ValueError(f"{EXPECTED}, got {time!r}") from None
    if isinstance(time, Real) and not isinstance(time, bool):
        number = float(time)
        if not math.isfinite(number):
            raise ValueError(f"time must be finite, got {time!r}")
        if number.is_integer() and (match := _DATE_IN_DIGITS.fullmatch(f"{number:.0f}")):
            digits = match.group()
            parts = [digits[:4], digits[4:6], *([digits[6:]] if digits[6:] else [])]
            raise ValueError(f"{EXPECTED}; {digits} looks like a date in digits: write {'-'.join(parts)!r}")
        return number
    if isinstance(time, str | date | datetime | np.datetime64):
        try:
            stamp = pd.Timestamp(time)
        except ValueError:
            raise ValueError(f"{EXPECTED}, got {time!r}") from None
        if not pd.isna(stamp):
            stamp = stamp.tz_convert(None) if stamp.tzinfo is not None else stamp
            return stamp.date() if stamp == stamp.normalize() else stamp.to_pydatetime(warn=False)
    raise TypeError(f"{EXPECTED}, got {time!r}")


@dataclass(frozen=True)
class WaveOrder:
    """Waves from the oldest to the newest.

    Attributes
    ----------
    names : tuple of str
    years : tuple of float
        Years from the first wave on; where times are numbers, their differences, whatever their unit.
    now : float or None
        The target's time on the same scale, before, between or after the waves.

    Examples
    --------
    >>> from surveysim.sources import WaveOrder
    >>> order = WaveOrder(("2016", "2020", "2021"), (0.0, 4.0, 5.0), now=8.0)
    >>> order.gaps, order.typical_gap, order.next
    ((4.0, 1.0, 3.0), 3.0, 11.0)
    """

    names: tuple[str, ...]
    years: tuple[float, ...]
    now: float | None

    @property
    def gaps(self) -> tuple[float, ...]:
        """Years from each time to the next, that of the target among them where it is known."""
        times = sorted([*self.years, *([] if self.now is None else [self.now])])
        return tuple(np.diff(times).tolist())

    @property
    def typical_gap(self) -> float:
        """The median of the gaps; 1 where there is a single time."""
        return float(np.median(self.gaps)) if self.gaps else 1.0

    @property
    def next(self) -> float:
        """When the next wave is due: a typical gap after the last of waves and target."""
        return max([*self.years, *([] if self.now is None else [self.now])]) + self.typical_gap

    def chains(self) -> list[tuple[tuple[str, ...], tuple[float, ...]]]:
        """Waves before the target and those after it, each from the farthest to the one next to the target.

        With each chain come the years from each of its waves to the next and of the last to the target. A chain
        without waves is left out; without a target's time all waves are before it, and it is due `next`.
        """
        now = self.next if self.now is None else self.now
        times = dict(zip(self.names, self.years, strict=True))
        before = [name for name in self.names if times[name] <= now]
        after = [name for name in reversed(self.names) if times[name] > now]
        return [
            (tuple(chain), tuple(np.abs(np.diff([*(times[name] for name in chain), now])).tolist()))
            for chain in (before, after)
            if chain
        ]


def order_waves(waves: Mapping[str, object], *, now: object = None) -> WaveOrder:
    """Several waves in the order of their times, with the unequal steps between them.

    Parameters
    ----------
    waves : mapping of str to Wave
        In any order; each has a `time`.
    now : number, date or str, optional
        When the target's respondents are asked, or what is to be forecast.

    Returns
    -------
    WaveOrder

    Raises
    ------
    TypeError, ValueError
        If a wave has no time, some have dates and others numbers, or two have the same time, `now` among them.

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim.sources import Wave, order_waves
    >>> toplines = pd.DataFrame({"yes": [0.4], "no": [0.6], "n": [1000]})
    >>> waves = {"spring": Wave(toplines, time=2024.25), "first": Wave(toplines, time=2020)}
    >>> order = order_waves(waves, now=2025)
    >>> order.names, order.gaps
    (('first', 'spring'), (4.25, 0.75))
    """
    if not waves:
        raise ValueError("there are no waves to put in order")
    times = {name: getattr(wave, "time", None) for name, wave in waves.items()}
    timeless = [name for name, time in times.items() if time is None]
    if timeless:
        raise ValueError(f"the waves {listed(timeless)} have no time: Wave(..., time=2024), or a date")
    known = {name: read_time(time) for name, time in times.items()}
    present = None if now is None else read_time(now)
    years = years_apart({f"wave {name!r}": time for name, time in known.items()}, present)
    numbers = dict(zip(known, years[: len(known)], strict=True))
    ordered = sorted(numbers, key=numbers.__getitem__)
    for earlier, later in pairwise(ordered):
        if numbers[earlier] == numbers[later]:
            raise ValueError(
                f"times do not order: the waves {earlier!r} and {later!r} have the same time, {known[earlier]}. Put "
                "their cells together in one Wave, or leave the time of one of them away: it then has a drift of its "
                "own"
            )
    begin = numbers[ordered[0]]
    end = None if present is None else years[-1] - begin
    spans = tuple(numbers[name] - begin for name in ordered)
    if end in spans:
        raise ValueError(
            f"times do not order: the wave {ordered[spans.index(end)]!r} has the time of the survey itself, {present}; "
            "leave it away: the wave then has a drift of its own"
        )
    return WaveOrder(tuple(ordered), spans, end)


def years_apart(times: Mapping[str, float | date], now: float | date | None) -> list[float]:
    """Times as numbers, `now` last where there is one; dates as years.

    Raises
    ------
    ValueError
        If some are dates and others numbers.
    """
    whole = dict(times) | ({} if now is None else {"the survey": now})
    dated = {name: isinstance(time, date) for name, time in whole.items()}
    if any(dated.values()) and not all(dated.values()):
        one, other = (next(name for name, is_date in dated.items() if is_date == kind) for kind in (True, False))
        raise ValueError(
            f"times do not order: some times are dates and others numbers. That of {one} is {whole[one]}, that of "
            f"{other} {whole[other]}; give all as dates or all as numbers"
        )
    return [_as_years(time) for time in whole.values()]


def _as_years(time: float | date) -> float:
    if isinstance(time, datetime):
        return (time.toordinal() + (time - datetime(time.year, time.month, time.day)).total_seconds() / 86_400) / (
            DAYS_A_YEAR
        )
    return time.toordinal() / DAYS_A_YEAR if isinstance(time, date) else time
