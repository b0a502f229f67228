"""When waves were asked: their order, and the years between them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from surveysim.sources.names import listed

__all__ = ["WaveOrder", "order_waves", "read_time"]

DAYS_A_YEAR = 365.25


def read_time(time: Any) -> float | date:
    """A time as a number or a date.

    Parameters
    ----------
    time : number, date, datetime, Timestamp, numpy.datetime64 or str
        A text is a date, "2024-03-01", or a number, "2024".

    Raises
    ------
    TypeError, ValueError
        If it is none.
    """
    if isinstance(time, str):
        try:
            return float(time)
        except ValueError:
            pass
    if isinstance(time, Real) and not isinstance(time, bool):
        if not math.isfinite(float(time)):
            raise ValueError(f"time must be finite, got {time!r}")
        return float(time)
    if isinstance(time, str | date | datetime | np.datetime64):
        try:
            stamp = pd.Timestamp(time)
        except ValueError:
            raise ValueError(f"time must be a number or a date such as '2024-03-01', got {time!r}") from None
        if not pd.isna(stamp):
            return stamp.date()
    raise TypeError(f"time must be a number or a date such as '2024-03-01', got {time!r}")


@dataclass(frozen=True)
class WaveOrder:
    """Waves from the oldest to the newest.

    Attributes
    ----------
    names : tuple of str
    years : tuple of float
        Years from the first wave on; where times are numbers, their differences, whatever their unit.
    now : float or None
        The target's time on the same scale.

    Examples
    --------
    >>> from surveysim.sources import WaveOrder
    >>> WaveOrder(("2016", "2020", "2021"), (0.0, 4.0, 5.0), now=8.0).gaps
    (4.0, 1.0, 3.0)
    """

    names: tuple[str, ...]
    years: tuple[float, ...]
    now: float | None

    @property
    def gaps(self) -> tuple[float, ...]:
        """Years from each wave to the next, and from the last one to now."""
        times = [*self.years, *([] if self.now is None else [self.now])]
        return tuple(np.diff(times).tolist())


def order_waves(waves: Mapping[str, Any], *, now: Any = None) -> WaveOrder:
    """Several waves in the order of their times, with the unequal steps between them.

    Parameters
    ----------
    waves : mapping of str to Wave
        In any order; each has a `time`.
    now : number, date or str, optional
        When the target's respondents are asked, or what is to be forecast: not before the newest wave.

    Returns
    -------
    WaveOrder

    Raises
    ------
    TypeError, ValueError
        If a wave has no time, some have dates and others numbers, two have the same time, or `now` is before a wave.

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
    dated = [isinstance(time, date) for time in [*known.values(), *([] if present is None else [present])]]
    if any(dated) and not all(dated):
        raise ValueError(
            f"some times are dates and others numbers, which do not order: {listed([*known.values(), present])}"
        )
    numbers = {name: _as_years(time) for name, time in known.items()}
    ordered = sorted(numbers, key=numbers.__getitem__)
    for earlier, later in pairwise(ordered):
        if numbers[earlier] == numbers[later]:
            raise ValueError(
                f"the waves {earlier!r} and {later!r} have the same time, {known[earlier]}: put their cells together "
                "in one Wave, or leave time out for those that are not part of the trend"
            )
    begin = numbers[ordered[0]]
    end = None if present is None else _as_years(present)
    if end is not None and end < numbers[ordered[-1]]:
        raise ValueError(f"now is {present}, before the wave {ordered[-1]!r} of {known[ordered[-1]]}")
    return WaveOrder(
        tuple(ordered),
        tuple(numbers[name] - begin for name in ordered),
        None if end is None else end - begin,
    )


def _as_years(time: float | date) -> float:
    return time.toordinal() / DAYS_A_YEAR if isinstance(time, date) else time
