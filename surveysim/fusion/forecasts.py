"""The next wave: a fusion's predictions for a later time, with the steps that opinions may take until then."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date, timedelta
from typing import TypeVar

import numpy as np
from sklearn.utils.validation import check_is_fitted

from surveysim.baselines.posterior import PosteriorState
from surveysim.baselines.priors import HIGHEST_CLASS
from surveysim.fusion.drift import parts_of_terms
from surveysim.fusion.family import FusedFamily, FusedHyperparameters
from surveysim.fusion.model import FusionModel
from surveysim.fusion.named import Time, TimedSeries
from surveysim.fusion.people import PeopleSeries
from surveysim.fusion.steps import draw_factors
from surveysim.sources.times import DAYS_A_YEAR, read_time, years_apart

__all__ = ["ForecastModel", "Forecasts"]

Fusion = TypeVar("Fusion", bound="Forecasts")
"""A fusion, whose forecast is one, too."""


@dataclass(frozen=True)
class ForecastModel(FusionModel):
    """What was learned, seen from a later time: one more step of the random walk on every coefficient.

    Attributes
    ----------
    encoder, slopes, family, fit, lack_of_fit, place, ordered, tail_degrees
        As in `FusionModel`.
    series : int
        Which of the family's series has the steps.
    factors : float64 array of shape (2, 4, len(FACTORS))
        Posterior probabilities of the factors of their variances, see `weigh_steps`.
    gap : float
        Time from the survey on, in units of a typical gap.
    time : float or str
        That of the forecast.
    """

    series: int
    factors: np.ndarray
    gap: float
    time: float | str

    def _coefficients(
        self, state: PosteriorState, position: int | None, degree: np.ndarray, generator: np.random.Generator
    ) -> np.ndarray:
        found = super()._coefficients(state, position, degree, generator)
        assert isinstance(state.found, FusedHyperparameters)
        factors = draw_factors(self.factors, len(found), generator)
        factors = factors[:, parts_of_terms(found.shape[2])][:, :, np.minimum(degree, HIGHEST_CLASS)].swapaxes(1, 2)
        steps = np.sqrt(self.gap * factors * state.found.drifts[self.series].steps(degree))
        return found + steps * generator.standard_normal(found.shape)


class Forecasts:
    """Mixin of `FusedRegressor`: forecasts."""

    _model: FusionModel
    _people: Sequence[PeopleSeries]

    @property
    def forecast_time_(self) -> float | str:
        """When a forecast's predictions are for: a number, or the text of a date."""
        if not isinstance(getattr(self, "_model", None), ForecastModel):
            raise AttributeError("predictions are for the time of the survey: forecast(time) has those for a later one")
        assert isinstance(self._model, ForecastModel)
        return self._model.time

    def forecast(self: Fusion, time: Time = None) -> Fusion:
        """The same fit, seen from a later time: what the next wave would find.

        Opinions walk on from where the respondents of `fit` stand, in steps as large as those between the waves. A walk
        without a direction is expected to stay where it is, so `predict` says what it says of the survey; intervals and
        draws grow with the time.

        Parameters
        ----------
        time : number, date or str, optional
            When the next wave is asked, on the scale of the waves' times; later than the survey and all waves. None: a
            typical gap after the survey (the median of the gaps between waves).

        Returns
        -------
        FusedRegressor
            Fitted, with its own `predict`, `predict_draws` and `predict_interval`; `poststratify`, `group_estimates`
            and `report` take it as any other. Its ``forecast_time_`` is the time: a number, or the text of a date.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        TypeError, ValueError
            If no wave has a time, so that no step was seen; if `time` is none, or not later than all that is known.

        See Also
        --------
        surveysim.sources.order_waves : The order of the waves and the gaps between them.

        Notes
        -----
        One step is known as well as the questions tell that took it: with one earlier wave and few questions, or where
        ``sources_`` says that the waves were worth nothing, intervals of a forecast rest on what is usual elsewhere.
        What moves all questions at once (a crisis, another way of asking) was no step between these waves and is in no
        interval.

        Examples
        --------
        >>> from surveysim import FusedRegressor
        >>> from surveysim.datasets import make_next_wave, make_survey
        >>> from surveysim.sources import Wave
        >>> survey, waves = make_survey(500, n_backgrounds=2, random_state=0), {}
        >>> for year in (2016, 2018, 2021):
        ...     waves[str(year)] = Wave(survey.tabulate(), time=year)
        ...     survey = make_next_wave(survey, 500, drift=0.2, random_state=year)
        >>> cells = survey.tabulate()
        >>> model = FusedRegressor(waves, question=survey.questions, time=2023).fit(
        ...     cells.X, cells.Y, cells.n
        ... )
        >>> coming = model.forecast()  # in 2025: the median gap is two years
        >>> lower, upper = coming.predict_interval(cells.X, random_state=0)
        >>> now_lower, now_upper = model.predict_interval(cells.X, random_state=0)
        >>> (
        ...     coming.forecast_time_,
        ...     bool((upper - lower).mean() > 1.5 * (now_upper - now_lower).mean()),
        ... )
        (2025.0, True)
        """
        check_is_fitted(self)
        place = next((i for i, one in enumerate(self._people) if isinstance(one, TimedSeries)), None)
        if place is None:
            raise ValueError(
                "a forecast needs waves with a time, from which the size of steps is learned: "
                "FusedRegressor({'2022': Wave(cells, time=2022), ...}, time=2024)"
            )
        series = self._people[place]
        assert isinstance(series, TimedSeries)
        gap, when = _gap(series, time)
        known = {field.name: getattr(self._model, field.name) for field in fields(FusionModel)}
        factors = _factors(self._model, place)
        found = copy.copy(self)
        found._model = ForecastModel(**known, series=place, factors=factors, gap=gap, time=when)
        return found


def _factors(model: FusionModel, series: int) -> np.ndarray:
    """How much larger or smaller steps are than waves are weighed by; a forecast of a forecast has the same."""
    if isinstance(model, ForecastModel):
        return model.factors
    assert isinstance(model.family, FusedFamily)
    return model.family.step_weights(model.fit, series)


def _gap(series: TimedSeries, time: Time) -> tuple[float, float | str]:
    """From the survey to the forecast in units of a typical gap, and the time of the forecast."""
    order, begin = series.order, read_time(series.begin)
    now = order.next if order.now is None else order.now
    if order.years[-1] > now:
        raise ValueError(
            f"the wave {order.names[-1]!r} is later than the survey, and a forecast begins where the newest answers "
            "are: fit on the respondents of that wave, with the survey as one of the sources"
        )
    if time is None:
        then = now + order.typical_gap
    else:
        first, then = years_apart({f"the wave {order.names[0]!r}": begin}, read_time(time))
        then -= first
    if then <= now:
        assumed = ", a typical gap after the newest wave, since the fusion has no time=" if order.now is None else ""
        raise ValueError(
            f"a forecast must be later than the survey, which was asked at {_told(begin, now)}{assumed}; got "
            f"time={time!r}"
        )
    return (then - now) / order.typical_gap, _told(begin, then)


def _told(begin: float | date, years: float) -> float | str:
    """Years after a beginning: a number, or the text of a date."""
    if not isinstance(begin, date):
        return begin + years
    return (date(begin.year, begin.month, begin.day) + timedelta(days=round(years * DAYS_A_YEAR))).isoformat()
