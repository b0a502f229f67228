"""The sources of a fusion by name, and people's waves in the order of time."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TypeAlias, cast

import numpy as np
import pandas as pd

from surveysim.cells import FitCells
from surveysim.fusion.covariates import AVERAGE
from surveysim.fusion.people import PeopleSeries
from surveysim.interfaces import Estimator
from surveysim.sources import Evidence, Wave, WaveOrder, order_waves
from surveysim.sources.same_people import Compared
from surveysim.sources.times import read_time

__all__ = ["Source", "Time", "TimedSeries", "has_people", "named_sources", "people_series"]

Source: TypeAlias = Estimator | Wave
"""What a fusion joins with a sample: an estimator that says what a model says, or people who were asked elsewhere."""

Time: TypeAlias = float | str | datetime.date | None
"""When people were asked: a number such as a year, or a date, also as text."""


@dataclass(frozen=True)
class TimedSeries(PeopleSeries):
    """Waves in the order of their times.

    Attributes
    ----------
    names, gaps, evidence
        As in `PeopleSeries`.
    order : WaveOrder
        Of all waves with a time, and when the respondents of the fit were asked.
    begin : float or str
        When the first wave was asked; a date as its text.
    """

    order: WaveOrder
    begin: float | str


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
        If the mapping is empty, a source says that it is of another kind, or has a name that is taken.
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
        if name == AVERAGE and len(elicitor) > 1:
            raise ValueError(
                f"elicitor: {AVERAGE!r} is what the average of several models is called: name the source anew"
            )
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
    time : number, date, str or None
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
    _refuse_same_people(people, evidence, cells)
    unmatched = [own.unmatched.assign(source=name) for name, own in evidence.items() if len(own.unmatched)]
    listed = (
        pd.concat(unmatched, ignore_index=True)
        if unmatched
        else pd.DataFrame(columns=["kind", "name", "why", "source"])
    )
    if time is not None:
        read_time(time)
    series: list[PeopleSeries] = [
        PeopleSeries((name,), np.ones(1), (evidence[name],)) for name, wave in people.items() if wave.time is None
    ]
    timed = {name: wave for name, wave in people.items() if wave.time is not None}
    if timed:
        order = order_waves(timed, now=time)
        begin = timed[order.names[0]].time
        for names, gaps in order.chains():
            own = tuple(evidence[name] for name in names)
            series.append(TimedSeries(names, np.array(gaps) / order.typical_gap, own, order, _as_plain(begin)))
    return series, listed


def _refuse_same_people(people: Mapping[str, Wave], evidence: Mapping[str, Evidence], cells: FitCells) -> None:
    """Respondents must not count twice; what an estimator smooths is compared as people answered."""
    answered = {
        name: evidence[name]
        if getattr(wave, "estimator", None) is None
        else wave.as_answered(cells.questions, cells.backgrounds)
        for name, wave in people.items()
    }
    columns = list(cells.backgrounds.columns)
    compared, fresh = {name: Compared(own, columns) for name, own in answered.items()}, Compared(cells, columns)
    for name, own in answered.items():
        if not (own.n > 0).any():
            raise ValueError(
                f"source {name!r} has no question and cell in common with the survey: nothing is known from it"
            )
        if compared[name].shares_respondents_with(fresh):
            raise ValueError(
                f"source {name!r} holds the respondents of fit themselves, or some of them (its answers agree with the "
                "survey's more than those of other people would): they would count twice"
            )
    for first, second in combinations(answered, 2):
        if compared[first].shares_respondents_with(compared[second]):
            raise ValueError(
                f"sources {first!r} and {second!r} hold the same respondents, or some of them (their answers agree "
                "more than those of different people would): they would count twice. Tables of one survey go into one "
                "Wave, as a list"
            )


def _as_plain(time: Time) -> float | str:
    """A time as formats of plain values hold it."""
    assert time is not None
    return time.isoformat() if isinstance(time, datetime.date) else float(time)
