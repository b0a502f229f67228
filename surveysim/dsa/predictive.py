"""Intervals and draws of `DSARegressor`: its methods that refit, apart from those that fit and predict."""

from __future__ import annotations

import numbers
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from surveysim.base import DistributionRegressor
from surveysim.cells import PredictCells
from surveysim.interfaces import RandomState, Table
from surveysim.parameters import as_generator, check_number

if TYPE_CHECKING:
    from surveysim.dsa.fitted import FittedDSA
    from surveysim.dsa.inputs import RunOptions
    from surveysim.dsa.intervals import Uncertainty
    from surveysim.models import LoadedModel

__all__ = ["IntervalsByRefits"]


class IntervalsByRefits(DistributionRegressor):
    """The part of `DSARegressor` that says how far off a prediction may be."""

    _fitted: FittedDSA
    _uncertainty: Uncertainty | None

    def _load(self, *, check: bool = False) -> LoadedModel:
        raise NotImplementedError

    def _run_options(self) -> RunOptions:
        raise NotImplementedError

    def predict_interval(self, X: Table, level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Intervals for the predicted shares of groups, symmetric in their log-odds.

        The wider of two:

        - How much the prediction depends on who was sampled. The first call refits the head without each respondent
          fold in turn (the folds passed to `fit`, else five random groups), with the epochs, reference and weight of
          the fit; the refits' spread gives a delete-a-group jackknife standard error [1]_.
        - How far it may be off at all. Refits share what shrinkage gets wrong, and that cells are no sums of effects.
          `LogitRegressor` has a posterior for both: expected is its variance, plus the squared distance of the
          prediction from it. Where the respondents left out by the refits deviate by clearly more than that, these
          variances are multiplied, by as much as is clear.

        So an interval is hardly ever narrower than the logit's: what a language model knows shows in the prediction,
        not in its interval. For a question without training cells, how far its level may be off is not covered.

        Parameters
        ----------
        X : DataFrame or array of shape (n, n_features_in_)
            Backgrounds, as in `predict`.
        level : float, default=0.9
            Nominal coverage, between 0 and 1.

        Returns
        -------
        lower, upper : float64 arrays of shape (n, K)
            NaN past the last option of a shorter question.

        References
        ----------
        .. [1] Kott, P. S. (2001). "The delete-a-group jackknife." Journal of Official Statistics 17(4), 521-526.
        """

        cells = self._validate_predict(X)
        if not isinstance(level, numbers.Real) or not 0 < level < 1:
            raise ValueError(f"level must be a number between 0 and 1, got {level!r}")
        uncertainty, model, options = self._uncertain(cells)
        return uncertainty.interval(self._fitted, model, options, cells, float(level))

    def predict_draws(self, X: Table, n_draws: int = 1000, *, random_state: RandomState = None) -> np.ndarray:
        """Draw distributions around the prediction: for intervals of whatever is made of several cells.

        In each cell they are as wide as `predict_interval`. The cells of one question belong together in a draw: what
        the statistical model leaves open is drawn from its joint posterior, and how far the prediction's distance from
        that model is an error is one number for all cells of a question, so that it does not average out in a group or
        in the population. Questions are drawn independently. The first call refits, as `predict_interval` does.

        Parameters
        ----------
        X : DataFrame or array of shape (n, n_features_in_)
            Backgrounds, as in `predict`.
        n_draws : int, default=1000
            How many.
        random_state : int, RandomState, Generator or None, default=None
            Of the draws.

        Returns
        -------
        float64 array of shape (n_draws, n, K)
            NaN past the last option of a shorter question.
        """
        from surveysim.dsa.draws import draw_predictions

        cells = self._validate_predict(X)
        check_number("n_draws", n_draws, integer=True, low=1)
        generator = as_generator(random_state)
        uncertainty, model, options = self._uncertain(cells)
        center = self._fitted.predict(model, options, cells)
        refits = self._fitted.predict_each(model, options, cells, uncertainty.refits)
        return draw_predictions(uncertainty, cells, center, refits, int(n_draws), generator)

    def _uncertain(self, cells: PredictCells) -> tuple[Uncertainty, LoadedModel, RunOptions]:
        """What intervals and draws need; the first call refits."""
        from surveysim.dsa.intervals import Uncertainty

        self._fitted.warn_of_unseen(cells)
        model, options = self._load(check=True), self._run_options()
        if self._uncertainty is None:
            self._uncertainty = Uncertainty.of(self._fitted, model, options)
            self._fitted = replace(self._fitted, refits=self._uncertainty.refits)
        return self._uncertainty, model, options
