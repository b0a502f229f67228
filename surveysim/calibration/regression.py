"""Regressions of observed shares on elicited shares, renormalised: linear and isotonic."""

from __future__ import annotations

import numpy as np
from sklearn.isotonic import IsotonicRegression

from surveysim.calibration.examples import Examples
from surveysim.calibration.maps import Calibrator, PriorCorrection
from surveysim.parameters import check_number

__all__ = ["IsotonicCalibrator", "LinearCalibrator"]


CONSTANT = 1e-9
"""Standard deviation of shares below which they count as constant."""


class LinearCalibrator(Calibrator):
    """One straight line per option and question size, clipped to 0..1 and renormalised.

    Our reading of the supervised calibration of Kambhatla et al. [1]_: "regression from the raw distribution to the
    human one, options treated independently". Their exact regressor is not public. Position k among the options means
    the same thing in every question of a size only as far as questionnaires are alike, and a line has two parameters
    per option, so that it needs about 50 questions to be worth more than `TemperedCalibrator`.

    Parameters
    ----------
    ridge : float, default=0.0
        Penalty on slopes, in units of the sum of weights. 0 is least squares.

    Attributes
    ----------
    coefficients_ : dict of tuple to float64 array of shape (K, 2 + n_features)
        By shape of question: intercept, slope, and what backgrounds add, a row per option.

    Notes
    -----
    Fitted by weighted least squares (the smallest coefficients where there are fewer examples than coefficients),
    whatever the `objective`, which the gate then judges by. Sizes without examples get the elicitation method's prior
    correction; a row of which nothing is left after clipping stays as it was.

    References
    ----------
    .. [1] G. Kambhatla et al. (2026), arXiv:2507.00439; ACL 2026.

    Examples
    --------
    >>> from surveysim.calibration import DistributionCalibrator
    >>> calibrator = DistributionCalibrator("linear", objective="kl", gate=False)
    >>> calibrator.fit([[0.9, 0.1], [0.1, 0.9]], [[0.7, 0.3], [0.3, 0.7]]).predict(
    ...     [[0.5, 0.5]]
    ... ).round(2)
    array([[0.5, 0.5]])
    """

    uses_backgrounds = True
    coefficients_: dict[tuple[int, ...], np.ndarray]

    def __init__(self, ridge: float = 0.0) -> None:
        self.ridge = ridge

    def fit(self, examples: Examples) -> LinearCalibrator:
        """Learn the lines.

        Parameters
        ----------
        examples : Examples
            Elicited and observed distributions.

        Returns
        -------
        self
        """
        check_number("ridge", self.ridge, low=0.0)
        assert examples.Y is not None
        self.coefficients_ = {}
        for shape, rows in examples.by_shape():
            P, Y, features = examples.P[rows], examples.Y[rows], examples.features[rows]
            weight = examples.evidence[rows] / examples.evidence[rows].sum()
            lines = [self._line(np.column_stack([P[:, k], features]), Y[:, k], weight) for k in range(shape[0])]
            self.coefficients_[shape] = np.array(lines)
        return self

    def _line(self, design: np.ndarray, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Intercept and coefficients of a weighted least squares fit; the intercept is never penalised."""
        centre, level = weight @ design, weight @ y
        root = np.sqrt(weight)[:, None]
        # a column that hardly varies says nothing, and its slope would be a ratio of rounding errors
        design = np.where(np.sqrt(weight @ (design - centre) ** 2) > CONSTANT, design, centre)
        A = np.vstack([root * (design - centre), np.sqrt(self.ridge) * np.eye(design.shape[1])])
        b = np.concatenate([root[:, 0] * (y - level), np.zeros(design.shape[1])])
        slopes = np.linalg.lstsq(A, b, rcond=1e-10)[0]
        return np.concatenate([[level - centre @ slopes], slopes])

    def predict(self, examples: Examples) -> np.ndarray:
        """Apply the lines, clip and renormalise.

        Parameters
        ----------
        examples : Examples
            Elicited distributions; Y is not read.

        Returns
        -------
        float64 array of shape (n, K)
        """
        Q = PriorCorrection().predict(examples)
        for shape, rows in examples.by_shape():
            if shape in self.coefficients_:
                P = examples.P[rows, : shape[0]]
                intercept, slope, *others = self.coefficients_[shape].T
                raw = intercept + slope * P + examples.features[rows] @ np.reshape(others, (-1, shape[0]))
                Q[rows, : shape[0]] = _renormalised(np.clip(raw, 0, 1), P)
        return Q


class IsotonicCalibrator(Calibrator):
    """One rising step function per question size, from elicited to observed share, the same for all options.

    It assumes only that a larger elicited share means a larger observed one; renormalised afterwards. It needs tens of
    questions of a size.

    Attributes
    ----------
    regressions_ : dict of tuple to sklearn.isotonic.IsotonicRegression
        By shape of question.

    Notes
    -----
    Fitted by weighted least squares, whatever the `objective`, which the gate then judges by. Sizes without examples
    get the elicitation method's prior correction; a row of which nothing is left stays as it was.

    Examples
    --------
    >>> from surveysim.calibration import DistributionCalibrator
    >>> calibrator = DistributionCalibrator("isotonic", objective="kl", gate=False)
    >>> calibrator.fit([[0.9, 0.1], [0.1, 0.9]], [[0.7, 0.3], [0.3, 0.7]]).predict(
    ...     [[0.9, 0.1]]
    ... ).round(2)
    array([[0.7, 0.3]])
    """

    regressions_: dict[tuple[int, ...], IsotonicRegression]

    def fit(self, examples: Examples) -> IsotonicCalibrator:
        """Learn the steps.

        Parameters
        ----------
        examples : Examples
            Elicited and observed distributions.

        Returns
        -------
        self
        """
        assert examples.Y is not None
        self.regressions_ = {}
        for shape, rows in examples.by_shape():
            weight = np.repeat(examples.evidence[rows], shape[0])
            regression = IsotonicRegression(y_min=0.0, y_max=1.0, increasing=True, out_of_bounds="clip")
            regression.fit(examples.P[rows, : shape[0]].ravel(), examples.Y[rows, : shape[0]].ravel(), weight)
            self.regressions_[shape] = regression
        return self

    def predict(self, examples: Examples) -> np.ndarray:
        """Apply the steps and renormalise.

        Parameters
        ----------
        examples : Examples
            Elicited distributions; Y is not read.

        Returns
        -------
        float64 array of shape (n, K)
        """
        Q = PriorCorrection().predict(examples)
        for shape, rows in examples.by_shape():
            if shape in self.regressions_:
                P = examples.P[rows, : shape[0]]
                Q[rows, : shape[0]] = _renormalised(self.regressions_[shape].predict(P.ravel()).reshape(P.shape), P)
        return Q


def _renormalised(shares: np.ndarray, fallback: np.ndarray) -> np.ndarray:
    """Rows that sum to 1; those without any mass from `fallback`."""
    total = shares.sum(axis=1, keepdims=True)
    return np.where(total > 0, shares / np.where(total > 0, total, 1.0), fallback)
