"""Powers of the elicited shares, log q = t log p + b: `TemperatureCalibrator` and the default, `TemperedCalibrator`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import minimize

from surveysim.calibration.examples import Examples
from surveysim.calibration.maps import SMALLEST_SHARE, Calibrator, as_distributions
from surveysim.calibration.objectives import SCALE, loss
from surveysim.calibration.priors import prior_of
from surveysim.contrasts import option_contrasts
from surveysim.parameters import check_number

__all__ = ["Power", "PowerSearch", "TemperatureCalibrator", "TemperedCalibrator"]

# Prior standard deviations, chosen on the two tuning models of `surveysim.calibration.priors`.
SIZE_SD = 0.05
"""Of a question size's log t around the common one: with 0.3 the gain from 10 questions was 0.1 points smaller."""
FEATURE_SD = 0.1
"""Of what a background adds to log t."""
BEND_SD = np.array([0.08, 0.25])
"""Of the common bias along the scale and towards its ends. The linear one depends on which end the questionnaire names
first: at the width of the quadratic one it did harm in every fourth draw of 5 questions."""
BIAS_SD = 0.1
"""Of each size's own bias, per orthonormal contrast of the options."""

LOG_T_BOUNDS = (-5.0, 3.0)


class TemperatureCalibrator(Calibrator):
    """log q = t log p, renormalised: sharper or flatter, the order of the options kept.

    One t for ordinal and one for nominal questions, which question sizes may leave a little, without any prior on the
    common value: the textbook method. A few examples can lead it anywhere, which `TemperedCalibrator` prevents.

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
    >>> calibrator = DistributionCalibrator("temperature", objective="kl", gate=False).fit(
    ...     [[0.9, 0.1]], [[0.75, 0.25]]
    ... )
    >>> calibrator.predict([[0.9, 0.1]]).round(3)
    array([[0.75, 0.25]])
    """

    uses_backgrounds = True
    power_: Power

    def __init__(self, floor: float = SMALLEST_SHARE) -> None:
        self.floor = floor

    def fit(self, examples: Examples) -> TemperatureCalibrator:
        """Learn t.

        Parameters
        ----------
        examples : Examples
            Elicited and observed distributions.

        Returns
        -------
        self
        """
        check_number("floor", self.floor, low=0.0, high=0.1, open_low=True)
        self.power_ = PowerSearch(examples, self.floor, centre=0.0, log_t_sd=np.inf).minimise()
        return self

    def predict(self, examples: Examples) -> np.ndarray:
        """Raise to the power t.

        Parameters
        ----------
        examples : Examples
            Elicited distributions; Y is not read.

        Returns
        -------
        float64 array of shape (n, K)
        """
        return self.power_.apply(examples, self.floor)


class TemperedCalibrator(Calibrator):
    """log q = t log p + b, held by a prior that knows how the distribution was elicited: the default.

    - log t has a normal prior by `elicited_by`: log-probabilities are far too confident and start at t = 0.2,
      verbalised and sampled distributions at t = 1, the identity. It is common to all question sizes, which may leave
      it a little.
    - b is fitted with `bias_questions` questions or more. For ordinal questions a bias along the scale and one towards
      its ends are common to all sizes; each size that has that many questions adds its own bias per option.
    - Examples count by `objective`, respondents and questions: cells of one question repeat each other.

    Parameters
    ----------
    floor : float, default=0.001
        Shares below it count as this much.
    bias_questions : int, default=5
        The number of questions from which b is fitted.

    Attributes
    ----------
    power_ : Power
        The fitted parameters.

    Notes
    -----
    The form and its penalties are this library's; the idea of correcting elicited distributions on a few examples is
    that of Kambhatla et al. (2026), arXiv:2507.00439.

    Examples
    --------
    Label probabilities are far too sure; one example says how far:

    >>> from surveysim.calibration import DistributionCalibrator, TemperedCalibrator
    >>> calibrator = DistributionCalibrator(
    ...     TemperedCalibrator(), objective="kl", elicited_by="logprob"
    ... )
    >>> calibrator.fit([[0.99, 0.01]], [[0.8, 0.2]]).predict([[0.01, 0.99]]).round(2)
    array([[0.26, 0.74]])
    """

    uses_backgrounds = True
    has_prior = True
    power_: Power

    def __init__(self, floor: float = SMALLEST_SHARE, bias_questions: int = 5) -> None:
        self.floor = floor
        self.bias_questions = bias_questions

    def fit(self, examples: Examples) -> TemperedCalibrator:
        """Learn t and b.

        Parameters
        ----------
        examples : Examples
            Elicited and observed distributions.

        Returns
        -------
        self
        """
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
        """Apply t and b.

        Parameters
        ----------
        examples : Examples
            Elicited distributions; Y is not read.

        Returns
        -------
        float64 array of shape (n, K)
        """
        return self.power_.apply(examples, self.floor)


@dataclass
class Power:
    """log q = t log p + b, with t and b by question size; what the fitted parameters are.

    Attributes
    ----------
    log_t : float
        Common to all sizes.
    by_shape : dict
        What each shape of question adds to log t.
    by_feature : float64 array of shape (n_features,)
        What each feature of a background adds to log t.
    bend : float64 array of shape (2,)
        Common bias along the scale and towards its ends; 0 for nominal questions.
    bias : dict
        Each shape's own bias, on the contrasts of its options.
    """

    log_t: float
    by_shape: dict[tuple[int, ...], float] = field(default_factory=dict)
    by_feature: np.ndarray = field(default_factory=lambda: np.zeros(0))
    bend: np.ndarray = field(default_factory=lambda: np.zeros(2))
    bias: dict[tuple[int, ...], np.ndarray] = field(default_factory=dict)

    def log_ts(self, examples: Examples) -> np.ndarray:
        """log t of each row (n,)."""
        offset = np.array([self.by_shape.get(shape, 0.0) for shape in examples.shapes])
        return self.log_t + offset + examples.features @ self.by_feature

    def biases(self, examples: Examples) -> np.ndarray:
        """b of each row (n, K)."""
        b = np.zeros(examples.P.shape)
        for shape, rows in examples.by_shape():
            contrasts, bends = _contrasts(shape)
            own = self.bias.get(shape, np.zeros(len(contrasts))) @ contrasts
            b[rows, : shape[0]] = self.bend[: len(bends)] @ bends + own
        return b

    def apply(self, examples: Examples, floor: float) -> np.ndarray:
        """Calibrated distributions; rows whose t is 1 and whose b is 0 exactly as they came."""
        log_t, b = self.log_ts(examples), self.biases(examples)
        Q = as_distributions(np.exp(log_t)[:, None] * examples.log_p(floor) + b, examples)
        same = (log_t == 0) & (b == 0).all(axis=1)
        Q[same] = examples.P[same]
        return Q


def _contrasts(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Orthonormal contrasts (K - 1, K) of a shape's options, and the common bends (at most 2, K) of unit mean square.

    A shape whose options are all outside the order is nominal and has no bends.
    """
    n_options, outside = shape[0], list(shape[1:])
    positions = np.arange(1.0, n_options + 1)
    positions[outside] = np.nan
    contrasts, degree = option_contrasts(positions)
    bends = contrasts[(degree == 1) | (degree == 2)]
    return contrasts, bends * np.sqrt((n_options - len(outside)) / 4)


class PowerSearch:
    """The search for the parameters that fit examples best under their priors.

    Parameters
    ----------
    examples : Examples
    floor : float
        Shares below it count as this much.
    centre, log_t_sd : float
        Prior of the common log t; infinite width: none.
    bends : bool
        Whether the common biases are fitted.
    own_bias : sequence of shapes
        Those that get a bias of their own.
    """

    def __init__(
        self,
        examples: Examples,
        floor: float,
        *,
        centre: float,
        log_t_sd: float,
        bends: bool = False,
        own_bias: Sequence[tuple[int, ...]] = (),
    ) -> None:
        self.examples = examples
        self.centre = centre
        self.bends = bends
        self.own_bias = list(own_bias)
        self.shapes = examples.by_shape()
        self.contrasts = {shape: _contrasts(shape) for shape, _ in self.shapes}
        self.membership = np.zeros((len(self.shapes), len(examples)))
        for number, (_, rows) in enumerate(self.shapes):
            self.membership[number, rows] = 1.0
        self.shape_of_row = self.membership.argmax(axis=0)
        self.log_p = examples.log_p(floor)
        self.weight = examples.evidence / SCALE[examples.objective]
        sizes = [1, len(self.shapes), examples.features.shape[1], 2 * bends, *[shape[0] - 1 for shape in own_bias]]
        widths: list[float | np.ndarray] = [log_t_sd, SIZE_SD, FEATURE_SD, BEND_SD, *[BIAS_SD] * len(self.own_bias)]
        self.cuts = np.cumsum(sizes)[:-1]
        self.precision = np.concatenate(
            [np.broadcast_to(1 / np.square(width), size) for width, size in zip(widths, sizes, strict=True) if size]
        )

    def minimise(self) -> Power:
        """The optimum."""
        low, high = LOG_T_BOUNDS
        bounds = [(low - self.centre, high - self.centre)] + [(None, None)] * (len(self.precision) - 1)
        found = minimize(
            self,
            np.zeros(len(self.precision)),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": 1000, "gtol": 1e-5, "ftol": 1e-9},
        )
        log_t, by_shape, by_feature, bend, *bias = np.split(found.x, self.cuts)
        return Power(
            log_t=self.centre + float(log_t[0]),
            by_shape={shape: float(value) for (shape, _), value in zip(self.shapes, by_shape, strict=True)},
            by_feature=by_feature,
            bend=bend if self.bends else np.zeros(2),
            bias=dict(zip(self.own_bias, bias, strict=True)),
        )

    def __call__(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Penalised loss and its gradient."""
        log_t, by_shape, by_feature, bend, *bias = np.split(theta, self.cuts)
        own = dict(zip(self.own_bias, bias, strict=True))
        b = np.zeros((len(self.shapes), self.log_p.shape[1]))
        for number, (shape, _) in enumerate(self.shapes):
            contrasts, bends = self.contrasts[shape]
            if self.bends:
                b[number, : shape[0]] = bend[: len(bends)] @ bends
            if shape in own:
                b[number, : shape[0]] += own[shape] @ contrasts
        rows_log_t = (self.centre + log_t[0] + by_shape)[self.shape_of_row]
        if len(by_feature):
            rows_log_t = rows_log_t + self.examples.features @ by_feature
        powered = np.exp(rows_log_t)[:, None] * self.log_p
        values, slopes = loss(powered + b[self.shape_of_row], self.examples)
        slopes *= self.weight[:, None]
        by_log_t = (slopes * powered).sum(axis=1)
        by_b = self.membership @ slopes
        by_bend = np.zeros(2 * self.bends)
        by_bias = {}
        for number, (shape, _) in enumerate(self.shapes):
            contrasts, bends = self.contrasts[shape]
            if self.bends:
                by_bend[: len(bends)] += bends @ by_b[number, : shape[0]]
            if shape in own:
                by_bias[shape] = contrasts @ by_b[number, : shape[0]]
        gradient = np.concatenate(
            [
                [by_log_t.sum()],
                self.membership @ by_log_t,
                self.examples.features.T @ by_log_t,
                by_bend,
                *[by_bias[shape] for shape in self.own_bias],
            ]
        )
        penalty = 0.5 * np.sum(self.precision * theta**2)
        return float(self.weight @ values + penalty), gradient + self.precision * theta
