"""What a fusion predicts: distributions, draws and intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from surveysim.baselines.common import uniform
from surveysim.baselines.logit import check_interval_arguments
from surveysim.cells import PredictCells
from surveysim.fusion.covariates import ElicitedParts
from surveysim.interfaces import RandomState, Table
from surveysim.parameters import as_generator

if TYPE_CHECKING:
    from surveysim.fusion.elicited import ElicitedKnowledge
    from surveysim.fusion.model import FusionModel

__all__ = ["FusedPredictions"]


class FusedPredictions:
    """The part of `FusedRegressor` that predicts."""

    n_options_: int
    random_state: RandomState
    _elicited: dict[str, ElicitedKnowledge]
    _model: FusionModel
    _unseen: str
    _validate_predict: Any
    _by_option: Any

    def predict(self, X: Table) -> np.ndarray:
        """Predict the distribution of answers for each row; the elicitor is asked about them.

        Parameters
        ----------
        X : DataFrame or array of shape (n, n_features_in_)
            Backgrounds, with the question column if the estimator was fitted with one.

        Returns
        -------
        float64 array of shape (n, K)
            Rows sum to 1 over their question's options; NaN past the last option of a shorter question.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        ValueError
            If columns are missing, a row names a question that is not in ``question=``, or one that has neither
            training cells nor elicited distributions (unless the base has ``unseen="uniform"``).

        Warns
        -----
        UserWarning
            If cells have no elicited distribution.
        """
        cells = self._validate_predict(X)
        parts, known = self._parts(cells, X)
        P = self._model.predict(cells, parts, self.n_options_)
        P[~known] = uniform(cells, self.n_options_)[~known]
        return P

    def predict_draws(self, X: Table, n_draws: int = 1000, *, random_state: RandomState = None) -> np.ndarray:
        """Draw distributions from the Laplace approximation to the posterior.

        One draw is one state of the world: rows belong together, so that any weighted mean of rows - a group's total,
        `poststratify`'s population - has its own interval from the same draws. Only what a level that training did not
        show may add is drawn for each row by itself: intervals of means over such rows are too narrow.

        Parameters
        ----------
        X : DataFrame or array of shape (n, n_features_in_)
            As in `predict`.
        n_draws : int, default=1000
            How many.
        random_state : int, RandomState, Generator or None, default=None
            None: the estimator's own.

        Returns
        -------
        float64 array of shape (n_draws, n, K)
            NaN past the last option of a shorter question; equal shares in every draw where nothing is known and the
            base has ``unseen="uniform"``.

        Examples
        --------
        >>> import pandas as pd
        >>> from surveysim import FusedRegressor, poststratify
        >>> from surveysim.elicitation.recorded import RecordedElicitor
        >>> X = pd.DataFrame({"age": ["young", "old"]})
        >>> said = RecordedElicitor(X, [[0.3, 0.7], [0.6, 0.4]])
        >>> model = FusedRegressor(said).fit(X, [[0.2, 0.8], [0.6, 0.4]], sample_weight=[40, 60])
        >>> draws = model.predict_draws(X, random_state=0)
        >>> population = pd.DataFrame({"age": ["old", "young"], "share": [0.25, 0.75]})
        >>> poststratify(draws, X, population).quantile([0.05, 0.95]).round(2)
                 1     2
        0.05  0.24  0.59
        0.95  0.41  0.76
        """
        check_interval_arguments(0.9, n_draws)
        cells = self._validate_predict(X)
        parts, known = self._parts(cells, X)
        draws = np.full((n_draws, len(cells), self.n_options_), np.nan)
        for rows, P in self._model.draws(cells, parts, n_draws, self._generator(random_state)):
            draws[:, rows, : P.shape[2]] = P
        draws[:, ~known] = uniform(cells, self.n_options_)[~known]
        return draws

    def predict_interval(
        self, X: Table, level: float = 0.9, *, n_draws: int = 1000, random_state: RandomState = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Credible intervals of each option's share, by draws from the Laplace approximation to the posterior.

        They are intervals of the *group's* share, not of the share in a sample of it, each option by itself, given the
        learned variances.

        Parameters
        ----------
        X : DataFrame or array of shape (n, n_features_in_)
            As in `predict`.
        level : float, default=0.9
            Probability that an interval holds, between 0 and 1.
        n_draws : int, default=1000
            Draws from the posterior; the ends of a 90% interval then have an error of a few percent of its width.
        random_state : int, RandomState, Generator or None, default=None
            None: the estimator's own.

        Returns
        -------
        lower, upper : float64 arrays of shape (n, K)
            NaN past the last option of a shorter question. Where nothing is known and the base has
            ``unseen="uniform"``: 0 and 1.

        Raises
        ------
        ValueError
            If `level` is not between 0 and 1 or `n_draws` is not positive, and as in `predict`.
        """
        check_interval_arguments(level, n_draws)
        cells = self._validate_predict(X)
        parts, known = self._parts(cells, X)
        exists = np.arange(self.n_options_) < cells.n_options[:, None]
        lower, upper = np.where(exists, 0.0, np.nan), np.where(exists, 1.0, np.nan)
        ends = [(1.0 - level) / 2.0, (1.0 + level) / 2.0]
        for rows, P in self._model.draws(cells, parts, n_draws, self._generator(random_state)):
            kept = known[rows]
            quantiles = np.quantile(P[:, kept], ends, axis=0)
            lower[rows[kept], : P.shape[2]], upper[rows[kept], : P.shape[2]] = quantiles
        return lower, upper

    def _generator(self, random_state: RandomState) -> np.random.Generator:
        return as_generator(self.random_state if random_state is None else random_state)

    def _parts(self, cells: PredictCells, X: Table) -> tuple[dict[str, ElicitedParts], np.ndarray]:
        """Elicited parts of the rows, and for which rows anything is known."""
        fitted = np.array([q in self._model.place for q in cells.question_index])
        parts = {name: own.of_rows(cells, X, fitted, self._by_option) for name, own in self._elicited.items()}
        known = fitted.copy()
        for own in parts.values():
            known |= own.has_level
        self._refuse_unknown(cells, known)
        return parts, known

    def _refuse_unknown(self, cells: PredictCells, known: np.ndarray) -> None:
        if self._unseen == "uniform" or known.all():
            return
        strange = np.flatnonzero(~known)
        raise ValueError(
            f"FusedRegressor saw neither training cells nor elicited distributions of question "
            f"{cells.question_names[strange[0]]!r} (row {strange[0]} of X, {len(strange)} such rows) and cannot "
            'predict it; base=LogitRegressor(unseen="uniform") predicts equal shares instead.'
        )
