"""`DirichletCalibrator`: every option's log share may speak for every other option."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

from surveysim.calibration.examples import Examples
from surveysim.calibration.maps import SMALLEST_SHARE, Calibrator, PriorCorrection, as_distributions
from surveysim.calibration.objectives import SCALE, loss
from surveysim.calibration.priors import prior_of
from surveysim.parameters import check_number

__all__ = ["DirichletCalibrator"]

DIAGONAL_SD = 0.3
"""Prior width of the diagonal around the elicitation method's t."""


class DirichletCalibrator(Calibrator):
    """log q = W log p + b for each question size, with W a full matrix.

    The analogue of Dirichlet calibration for classifiers [1]_: off-diagonal entries and intercepts are penalised
    towards 0, the diagonal towards the t of the elicitation method. It can learn that a model confuses neighbouring
    options, but needs tens of questions of a size to do so.

    Parameters
    ----------
    off_diagonal_sd : float, default=0.1
        Prior width of the effect of one option's log share on another.
    bias_sd : float, default=0.1
        Prior width of the intercepts.
    floor : float, default=0.001
        Shares below it count as this much.

    Attributes
    ----------
    weights_ : dict of tuple to float64 array of shape (K, K)
        W by shape of question: the number of options, then the places of those outside the order.
    intercepts_ : dict of tuple to float64 array of shape (K,)

    Notes
    -----
    Sizes that no example had get the elicitation method's prior correction.

    References
    ----------
    .. [1] M. Kull et al. (2019), Beyond temperature scaling: obtaining well-calibrated multi-class probabilities with
       Dirichlet calibration, NeurIPS; arXiv 1910.12656.

    Examples
    --------
    >>> from surveysim.calibration import DirichletCalibrator, DistributionCalibrator
    >>> calibrator = DistributionCalibrator(DirichletCalibrator(bias_sd=0.05), objective="kl")
    >>> fitted = calibrator.fit([[0.9, 0.1], [0.2, 0.8]], [[0.7, 0.3], [0.3, 0.7]])
    >>> float(fitted.predict([[0.5, 0.5]]).sum())
    1.0
    """

    has_prior = True
    weights_: dict[tuple[int, ...], np.ndarray]
    intercepts_: dict[tuple[int, ...], np.ndarray]

    def __init__(self, off_diagonal_sd: float = 0.1, bias_sd: float = 0.1, floor: float = SMALLEST_SHARE) -> None:
        self.off_diagonal_sd = off_diagonal_sd
        self.bias_sd = bias_sd
        self.floor = floor

    def fit(self, examples: Examples) -> DirichletCalibrator:
        """Learn W and b for each question size.

        Parameters
        ----------
        examples : Examples
            Elicited and observed distributions.

        Returns
        -------
        self
        """
        check_number("off_diagonal_sd", self.off_diagonal_sd, low=0.0, open_low=True)
        check_number("bias_sd", self.bias_sd, low=0.0, open_low=True)
        check_number("floor", self.floor, low=0.0, high=0.1, open_low=True)
        self.weights_, self.intercepts_ = {}, {}
        for shape, rows in examples.by_shape():
            self.weights_[shape], self.intercepts_[shape] = self._fit_shape(examples.rows(rows), shape[0])
        return self

    def _fit_shape(self, examples: Examples, k: int) -> tuple[np.ndarray, np.ndarray]:
        log_p = examples.log_p(self.floor)
        weight = examples.evidence / SCALE[examples.objective]
        start = np.exp(prior_of(examples.elicited_by).log_t) * np.eye(k)
        sd = np.where(np.eye(k, dtype=bool), DIAGONAL_SD, self.off_diagonal_sd)
        precision = np.concatenate([1 / sd.ravel() ** 2, np.full(k, self.bias_sd**-2)])

        def penalised(theta: np.ndarray) -> tuple[float, np.ndarray]:
            W, b = start + theta[: k * k].reshape(k, k), theta[k * k :]
            logits = np.zeros_like(log_p)
            logits[:, :k] = log_p[:, :k] @ W.T + b
            values, slopes = loss(logits, examples)
            slopes = (slopes * weight[:, None])[:, :k]
            gradient = np.concatenate([(slopes.T @ log_p[:, :k]).ravel(), slopes.sum(axis=0)])
            return float(weight @ values + 0.5 * np.sum(precision * theta**2)), gradient + precision * theta

        options = {"maxiter": 1000, "gtol": 1e-6, "ftol": 1e-10}
        theta = minimize(penalised, np.zeros(len(precision)), jac=True, method="L-BFGS-B", options=options).x
        return start + theta[: k * k].reshape(k, k), theta[k * k :]

    def predict(self, examples: Examples) -> np.ndarray:
        """Apply W and b; sizes without examples get the prior correction.

        Parameters
        ----------
        examples : Examples
            Elicited distributions; Y is not read.

        Returns
        -------
        float64 array of shape (n, K)
        """
        Q = PriorCorrection().predict(examples)
        log_p = examples.log_p(self.floor)
        for shape, rows in examples.by_shape():
            if shape in self.weights_:
                logits = np.zeros((len(rows), log_p.shape[1]))
                logits[:, : shape[0]] = log_p[rows, : shape[0]] @ self.weights_[shape].T + self.intercepts_[shape]
                Q[rows] = as_distributions(logits, examples.rows(rows))
        return Q
