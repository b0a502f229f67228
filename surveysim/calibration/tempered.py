"""Powers of the elicited shares: `TemperatureCalibrator` and the default, `TemperedCalibrator`."""

from __future__ import annotations

import numpy as np

from surveysim.calibration.examples import Examples
from surveysim.calibration.maps import FLOOR, Calibrator
from surveysim.calibration.power import Power, PowerSearch
from surveysim.calibration.priors import prior_of
from surveysim.parameters import check_number

__all__ = ["TemperatureCalibrator", "TemperedCalibrator"]


class TemperatureCalibrator(Calibrator):
    """log q = t log p, renormalised: sharper or flatter, the order of the options kept.

    One t for ordinal and one for nominal questions, which question sizes may leave a little, without any prior on the
    common value: the textbook method. From a few examples it follows them wherever they lead; `TemperedCalibrator` does
    not.

    Parameters
    ----------
    floor : float, default=0.001
        Shares below it count as this much.

    Attributes
    ----------
    power_ : Power
        The fitted parameters: ``power_.log_t`` and ``power_.by_shape``.

    Examples
    --------
    Odds of 9 that should have been 3 are the square root of what they should be:

    >>> from surveysim.calibration import DistributionCalibrator
    >>> calibrator = DistributionCalibrator("temperature", objective="kl").fit([[0.9, 0.1]], [[0.75, 0.25]])
    >>> calibrator.predict([[0.9, 0.1]]).round(3)
    array([[0.75, 0.25]])
    """

    uses_backgrounds = True
    power_: Power

    def __init__(self, floor: float = FLOOR) -> None:
        self.floor = floor

    def fit(self, examples: Examples) -> TemperatureCalibrator:
        """Learn t."""
        check_number("floor", self.floor, low=0.0, high=0.1, open_low=True)
        self.power_ = PowerSearch(examples, self.floor, centre=0.0, log_t_sd=np.inf).minimise()
        return self

    def predict(self, examples: Examples) -> np.ndarray:
        """Raise to the power t."""
        return self.power_.apply(examples, self.floor)


class TemperedCalibrator(Calibrator):
    """log q = t log p + b, held by a prior that knows how the distribution was elicited: the default.

    - log t has a normal prior by `elicited_by`: log-probabilities are far too sure of themselves and start at t = 0.2,
      verbalised and sampled distributions at t = 1, the identity. It is common to all question sizes, which may leave
      it a little.
    - b is there from `bias_questions` questions on. For ordinal questions a bias along the scale and one towards its
      ends are common to all sizes; each size that has that many questions adds its own bias per option.
    - Examples count by `objective`, respondents and questions: cells of one question repeat each other.

    Parameters
    ----------
    floor : float, default=0.001
        Shares below it count as this much.
    bias_questions : int, default=5
        Questions from which on b is fitted.

    Attributes
    ----------
    power_ : Power
        The fitted parameters.

    Notes
    -----
    The form and its penalties are this library's; the idea of correcting elicited distributions on a few examples is
    that of Kambhatla et al. (2025), arXiv 2507.00439.

    Examples
    --------
    Label probabilities are far too sure; one example says how far:

    >>> from surveysim.calibration import DistributionCalibrator, TemperedCalibrator
    >>> calibrator = DistributionCalibrator(TemperedCalibrator(), objective="kl", elicited_by="logprob")
    >>> calibrator.fit([[0.99, 0.01]], [[0.8, 0.2]]).predict([[0.01, 0.99]]).round(2)
    array([[0.26, 0.74]])
    """

    uses_backgrounds = True
    power_: Power

    def __init__(self, floor: float = FLOOR, bias_questions: int = 5) -> None:
        self.floor = floor
        self.bias_questions = bias_questions

    def fit(self, examples: Examples) -> TemperedCalibrator:
        """Learn t and b."""
        check_number("floor", self.floor, low=0.0, high=0.1, open_low=True)
        check_number("bias_questions", self.bias_questions, low=1, integer=True)
        prior = prior_of(examples.elicited_by)
        search = PowerSearch(
            examples,
            self.floor,
            centre=prior.log_t,
            log_t_sd=prior.log_t_sd,
            bends=bool(examples.ordered.any()) and examples.n_questions >= self.bias_questions,
            own_bias=[
                shape
                for shape, rows in examples.by_shape()
                if len(np.unique(examples.question[rows])) >= self.bias_questions
            ],
        )
        self.power_ = search.minimise()
        return self

    def predict(self, examples: Examples) -> np.ndarray:
        """Apply t and b."""
        return self.power_.apply(examples, self.floor)
