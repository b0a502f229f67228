"""The sources of a fusion by name, and people's waves in the order of time."""

from __future__ import annotations

import datetime
import numbers
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TypeAlias, cast

import numpy as np
import pandas as pd

from surveysim.cells import FitCells
from surveysim.fusion.people import PeopleSeries
from surveysim.interfaces import Estimator
from surveysim.sources import Evidence, Wave, same_respondents
from surveysim.sources.times import DAYS_A_YEAR

__all__ = ["Source", "Time", "has_people", "named_sources", "people_series"]

Source: TypeAlias = Estimator | Wave
"""What a fusion joins with a sample: an estimator that says what a model says, or people who were asked elsewhere."""

Time: TypeAlias = float | datetime.date | None
"""When people were asked: a number such as a year, or a date."""


def has_people(elicitor: object) -> bool:
    """Whether there are people among the sources; what is no source is not judged here."""
    sources = elicitor.values() if isinstance(elicitor, Mapping) else [elicitor]
    return any(getattr(source, "kind", None) == "people" for source in sources)


def named_sources(elicitor: Source | Mapping[str, Source] | None) -> tuple[dict[str, Estimator], dict[str, Wave]]:
    """Models and people by name; a single source has its own name, or "".

    Raises
    ------
    TypeError
        If a name is no text.
    ValueError
        If the mapping is empty, or a source says that it is of another kind.
    """
    if elicitor is None:
        return {}, {}
    if not isinstance(elicitor, Mapping):
        elicitor = {str(getattr(elicitor, "name", None) or ""): elicitor}
    elif not elicitor:
        raise ValueError("elicitor is a mapping without sources; None is a fusion without any")
    models: dict[str, Estimator] = {}
    people: dict[str, Wave] = {}
    for name, source in elicitor.items():
        if not isinstance(name, str):
            raise TypeError(f"elicitor: names of sources must be texts, got {name!r}")
        kind = getattr(source, "kind", "model")
        if kind not in ("model", "people"):
            raise ValueError(f'source {name!r}: its kind must be "model" or "people", got {kind!r}')
        if kind == "people":
            people[name] = cast(Wave, source)
        else:
            models[name] = cast(Estimator, source)
    return models, people


def people_series(people: Mapping[str, Wave], cells: FitCells, time: Time) -> tuple[list[PeopleSeries], pd.DataFrame]:
    """Waves with a time in their order, and each of the others by itself.

    Parameters
    ----------
    people : mapping of str to Wave
    cells : FitCells
        Training cells.
    time : number, date or None
        Of the training cells; None: a typical gap after the newest wave.

    Returns
    -------
    series : list of PeopleSeries
    unmatched : DataFrame
        What of the sources did not match, with the source's name.

    Raises
    ------
    ValueError
        If two sources, or a source and the training cells, are of the same respondents, or times do not order.
    """
    evidence = {name: wave.evidence(cells.questions, cells.backgrounds) for name, wave in people.items()}
    for name, own in evidence.items():
        _check(name, own, cells)
    _check_apart(evidence)
    unmatched = [own.unmatched.assign(source=name) for name, own in evidence.items() if len(own.unmatched)]
    listed = (
        pd.concat(unmatched, ignore_index=True)
        if unmatched
        else pd.DataFrame(columns=["kind", "name", "why", "source"])
    )
    timed = {name: _as_number(name, wave.time) for name, wave in people.items() if wave.time is not None}
    series = [
        PeopleSeries((name,), np.ones(1), (evidence[name],)) for name, wave in people.items() if wave.time is None
    ]
    _check_scale({name: people[name].time for name in timed}, time)
    if timed:
        series += _chains(timed, evidence, None if time is None else _as_number("time", time))
    return series, listed


def _check(name: str, own: Evidence, cells: FitCells) -> None:
    if not (own.n > 0).any():
        raise ValueError(
            f"source {name!r} has no question and cell in common with the survey: nothing is known from it"
        )
    if _alike(own, cells) and same_respondents(own, cells):
        raise ValueError(
            f"source {name!r} holds the respondents of fit themselves (the same cells with the same answers): they "
            "would count twice"
        )


def _alike(first: Evidence, second: Evidence | FitCells) -> bool:
    """Whether most cells of the second have a question, answers and a number that some cell of the first has, too."""
    n = len(first.n)
    questions = pd.factorize(np.concatenate([first.question_names, second.question_names]))[0]
    # each option has a weight of its own, so that other shares have another sum
    marks = [
        np.nan_to_num(one.Y) @ np.sqrt(np.arange(1.0, one.Y.shape[1] + 1)) + 3.0 * one.n for one in (first, second)
    ]
    cells = pd.MultiIndex.from_arrays([questions, np.round(np.concatenate(marks), 5)])
    return bool(cells[n:].isin(cells[:n]).mean() > 0.5)


def _check_apart(evidence: Mapping[str, Evidence]) -> None:
    names = list(evidence)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            if _alike(evidence[first], evidence[second]) and same_respondents(evidence[first], evidence[second]):
                raise ValueError(
                    f"sources {first!r} and {second!r} hold the same respondents (the same cells with the same "
                    "answers): they would count twice"
                )


def _as_number(name: str, time: Time) -> float:
    """A time as a number; dates in years."""
    if isinstance(time, datetime.date | np.datetime64):
        stamp = pd.Timestamp(time)
        if stamp is not pd.NaT:
            return float((stamp.tz_localize(None) - pd.Timestamp(0)) / pd.Timedelta(days=DAYS_A_YEAR))
    elif isinstance(time, numbers.Real) and not isinstance(time, bool) and np.isfinite(float(time)):
        return float(time)
    raise ValueError(f"the time of {name!r} must be a number or a date, got {time!r}")


def _check_scale(times: Mapping[str, Time], time: Time) -> None:
    """Numbers and dates do not order."""
    known = dict(times) | ({"the survey": time} if time is not None else {})
    dates = {name for name, one in known.items() if isinstance(one, datetime.date | np.datetime64)}
    if dates and len(dates) < len(known):
        numbered = next(name for name in known if name not in dates)
        raise ValueError(
            f"times do not order: that of {sorted(dates)[0]!r} is a date, that of {numbered!r} a number "
            f"({known[numbered]!r}); give all as dates or all as numbers"
        )


def _chains(times: Mapping[str, float], evidence: Mapping[str, Evidence], target: float | None) -> list[PeopleSeries]:
    """Waves before the target, and those after it in reverse: both end at the target."""
    names = sorted(times, key=lambda name: times[name])
    order = [times[name] for name in names]
    for first, second in pairwise(names):
        if times[first] == times[second]:
            raise ValueError(
                f"times do not order: sources {first!r} and {second!r} have the same time. Where two surveys were made "
                "at one time, leave the time of one of them away: it then has a drift of its own"
            )
    if target is None:
        target = order[-1] + (float(np.median(np.diff(order))) if len(order) > 1 else 1.0)
    if target in order:
        raise ValueError(
            f"times do not order: source {names[order.index(target)]!r} has the time of the survey itself; leave it "
            "away: the source then has a drift of its own"
        )
    unit = float(np.median(np.diff(sorted([*order, target]))))
    before = [name for name in names if times[name] < target]
    after = [name for name in reversed(names) if times[name] > target]
    return [_chain(chain, times, evidence, target, unit) for chain in (before, after) if chain]


def _chain(
    names: Sequence[str], times: Mapping[str, float], evidence: Mapping[str, Evidence], target: float, unit: float
) -> PeopleSeries:
    gaps = np.abs(np.diff([*(times[name] for name in names), target])) / unit
    return PeopleSeries(tuple(names), gaps, tuple(evidence[name] for name in names))
