"""The interface of calibrators, and the two that have nothing to fit: the identity and a method's prior correction."""

from __future__ import annotations

import numpy as np
from scipy.special import softmax
from sklearn.base import BaseEstimator

from surveysim.calibration.examples import Examples
from surveysim.calibration.priors import prior_of

__all__ = ["SMALLEST_SHARE", "Calibrator", "IdentityCalibrator", "PriorCorrection", "as_distributions"]

SMALLEST_SHARE = 1e-3
"""Share that stands for shares below it in logarithms: a model's 0 means "hardly anybody"."""


class Calibrator(BaseEstimator):
    """Base class of the maps from elicited to calibrated distributions; derive from it to pass your own.

    Parameters go into ``__init__`` as in every scikit-learn estimator. ``fit(examples)`` learns from rows of one kind,
    ordinal or nominal; ``predict(examples)`` returns float64 (n, K) of distributions, NaN where ``Examples.P`` is.

    Attributes
    ----------
    uses_backgrounds : bool
        Whether ``Examples.features`` are read. If not, passing backgrounds is refused rather than ignored.
    has_prior : bool
        Whether the map stays close to the elicitation method's correction where examples say little. The gate requires
        stronger evidence, and at least three questions, of maps that do not.

    Examples
    --------
    A map that mixes in equal shares:

    >>> import numpy as np
    >>> from surveysim.calibration import Calibrator, DistributionCalibrator
    >>> class Doubt(Calibrator):
    ...     def __init__(self, share=0.2):
    ...         self.share = share
    ...
    ...     def fit(self, examples):
    ...         return self
    ...
    ...     def predict(self, examples):
    ...         K = (~np.isnan(examples.P)).sum(axis=1, keepdims=True)
    ...         return (1 - self.share) * examples.P + self.share / K
    >>> calibrator = DistributionCalibrator(Doubt(), objective="kl", gate=False).fit(
    ...     [[0.9, 0.1]], [[0.7, 0.3]]
    ... )
    >>> calibrator.predict([[1.0, 0.0]])
    array([[0.9, 0.1]])
    """

    uses_backgrounds = False
    has_prior = False

    def fit(self, examples: Examples) -> Calibrator:
        """Learn the map.

        Parameters
        ----------
        examples : Examples
            With Y.

        Returns
        -------
        self
        """
        raise NotImplementedError(f"{type(self).__name__} must implement fit(examples)")

    def predict(self, examples: Examples) -> np.ndarray:
        """Apply the map.

        Parameters
        ----------
        examples : Examples
            Y is not read.

        Returns
        -------
        float64 array of shape (n, K)
        """
        raise NotImplementedError(f"{type(self).__name__} must implement predict(examples)")


class IdentityCalibrator(Calibrator):
    """Leave elicited distributions as they are, for comparison.

    Examples
    --------
    >>> from surveysim.calibration import DistributionCalibrator
    >>> DistributionCalibrator("identity").fit([[0.9, 0.1]], [[0.5, 0.5]]).predict([[0.8, 0.2]])
    array([[0.8, 0.2]])
    """

    def fit(self, examples: Examples) -> IdentityCalibrator:
        """Do nothing: there is nothing to learn.

        Parameters
        ----------
        examples : Examples
            Not read.

        Returns
        -------
        self
        """
        return self

    def predict(self, examples: Examples) -> np.ndarray:
        """Return P itself.

        Parameters
        ----------
        examples : Examples
            Elicited distributions; Y is not read.

        Returns
        -------
        float64 array of shape (n, K)
        """
        return examples.P.copy()


class PriorCorrection(Calibrator):
    """What is done without examples: log q = t log p, with t from the prior of the elicitation method.

    The fallback of the gate, and of maps per question size for sizes that no example had.

    Examples
    --------
    >>> from surveysim.calibration import DistributionCalibrator
    >>> DistributionCalibrator(elicited_by="logprob").fit().predict(
    ...     [[0.98, 0.015, 0.005]]
    ... ).round(2)
    array([[0.56, 0.24, 0.2 ]])
    """

    def fit(self, examples: Examples) -> PriorCorrection:
        """Do nothing: there is nothing to learn.

        Parameters
        ----------
        examples : Examples
            Not read.

        Returns
        -------
        self
        """
        return self

    def predict(self, examples: Examples) -> np.ndarray:
        """Apply the prior's correction; return P itself where the method's t is 1.

        Parameters
        ----------
        examples : Examples
            Elicited distributions; Y is not read.

        Returns
        -------
        float64 array of shape (n, K)
        """
        log_t = prior_of(examples.elicited_by).log_t
        if log_t == 0.0:
            return examples.P.copy()
        return as_distributions(np.exp(log_t) * examples.log_p(SMALLEST_SHARE), examples)


def as_distributions(logits: np.ndarray, examples: Examples) -> np.ndarray:
    """Softmax over each row's options; NaN where there is none."""
    Q = softmax(np.where(examples.exists, logits, -np.inf), axis=1)
    return np.where(examples.exists, Q, np.nan)
