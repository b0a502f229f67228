"""`FusedRegressor`: a small sample of respondents joined with what a language model says of the same groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from surveysim.base import DistributionRegressor
from surveysim.baselines.common import uniform
from surveysim.baselines.logit import LogitRegressor, check_interval_arguments
from surveysim.cells import FitCells, PredictCells
from surveysim.fusion.covariates import ElicitedParts
from surveysim.fusion.elicited import ElicitedKnowledge
from surveysim.fusion.model import FusionModel
from surveysim.fusion.named import Source, Time, named_sources, people_series
from surveysim.fusion.people import with_told_questions
from surveysim.fusion.sources import ready_base, ready_elicitor
from surveysim.fusion.worth import drift_frame, effective_respondents, sources_frame, total_worth
from surveysim.interfaces import Estimator, RandomState, Table
from surveysim.levels import MOST_COEFFICIENTS
from surveysim.parameters import as_generator, check_random_state
from surveysim.questions import Question

__all__ = ["FusedRegressor"]


class FusedRegressor(DistributionRegressor):
    """Join a small sample with a language model: elicited levels and shifts as covariates of the order-aware logit.

    A language model says for each question where its answers lie (the *level*) and how groups differ (the *shifts*).
    Both are informative and both are off: levels are too sure of themselves, shifts exaggerated. Here they enter the
    logit as covariates, and the respondents decide how much of them to believe: a slope of the level for each number
    of options, a slope of the shifts for each attribute, shared by all questions, none negative, shrunk to 0. What the
    covariates leave over is learned from the respondents as in `LogitRegressor`. With many respondents the result is
    the logit's; with none of a group's it is the language model's, corrected by what other groups and questions taught.

    Parameters
    ----------
    elicitor : estimator or None
        Where the language model's distributions come from: anything with ``fit`` and ``predict``, such as
        `ZeroShotElicitor` or, for outputs recorded anywhere, `RecordedElicitor`. A fitted one is used as it is
        (`clone` would lose its fit: under cross-validation wrap it in ``sklearn.frozen.FrozenEstimator``); one that is
        not is cloned and fitted. It must not have learned from the respondents of `fit`. Rows of NaN that it predicts
        are cells it has nothing to say of. None: no language model; the same hierarchical logit without covariates,
        which is what `model_worth_` compares with.
    question : Question or mapping of str to Question, optional
        What was asked. A mapping for several questions; X then names each row's question in `question_column`.
        None: options are called "1".."K".
    question_column : str, default="question"
        The column of X that names the question.
    base : LogitRegressor, optional
        Which logit is extended: its `ordered`, `prior`, `interactions` and `unseen` are used, never its fit. None: a
        ``LogitRegressor()``, whose variances are learned, since a model's shifts change how large the remaining effects
        of an attribute are.
    random_state : int, RandomState, Generator or None, default=None
        For draws, where `predict_draws` and `predict_interval` get none of their own. Fitting is deterministic.

    Attributes
    ----------
    gap_inflation_ : dict of str to float
        For each attribute how much of the elicited differences between its groups the respondents bear out: 1 all of
        it, 0.2 a fifth (the model exaggerates fivefold), 0 nothing. Over all degrees of contrasts, each weighted by
        how much the model shifts there; `slopes_` has them apart.
    model_worth_ : float
        How many respondents per cell (a group's respondents to one question) the language model was worth: the
        effective respondents behind a cell's estimate, less those of the same logit without a language model. A cell's
        effective respondents are the size of a simple sample with the posterior's variance. As trustworthy as
        `predict_interval`; below 0 where the language model added more doubt than knowledge, as with very few cells.
    effective_respondents_ : float
        The effective respondents per cell of the fusion.
    slopes_ : DataFrame
        All shared slopes: kind ("mean": the common mean of questions with as many options, "level", "shift", "rest":
        what the elicited combination of values adds to the sum of its shifts), what they are of (the number of options,
        the attribute), the degree of contrast, the slope and its posterior standard deviation (0 for one held at 0).
    level_variances_ : ndarray of shape (4,)
        Learned variances of questions around their expected level, for contrasts without order and of degrees 1, 2, 3+.
    prior_variances_ : DataFrame
        Prior variances of the attributes' terms, as in `LogitRegressor`.
    n_missing_ : int
        Training cells without an elicited distribution.
    n_iter_ : int
        Rounds in which the variances were learned.
    elicitor_ : estimator or None
        The fitted elicitor.
    questions_, n_options_, backgrounds_, n_dropped_, n_features_in_, feature_names_in_
        As in every estimator of the library.

    See Also
    --------
    surveysim.baselines.LogitRegressor : Without a language model, each question by itself.
    surveysim.elicitation.recorded.RecordedElicitor : For what a model said elsewhere.
    CalibratedElicitor : Corrects elicited distributions on a few examples, without modelling groups.

    Notes
    -----
    With T_q the orthonormal contrasts of question q's options, x_b the terms of background b as in `LogitRegressor`,
    and log p the elicited log shares, taken apart by additive least squares into a level l_q, a shift m_qa for each
    attribute's value, and a rest r_qb::

        scores(q, b) = mu_K + gamma_K T l_q + sum_a beta_a T m_qa(b) + rho T r_qb + delta_q + B_q x_b
        logits(q, b) = T' scores(q, b)

    gamma, beta (one for each degree of contrast), rho >= 0 with priors N(0, 0.5^2), mu ~ N(0, 0.25^2); delta_q has a
    variance for each degree that is learned (empirical Bayes), and so have the terms' B_q unless the base has
    ``prior="fixed"``; with "auto" those of degree 1 are pooled over questions, as in `LogitRegressor`. All are fitted
    jointly by Newton's method on the block-arrow Hessian, the one that `LogitRegressor` has. 0.01 is added to elicited
    shares before the logarithm.

    **Missing elicitations.** A cell without one has the level of its question and the shifts of its values, if other
    cells of the question have them, and none otherwise. A question without any has a free level, as in
    `LogitRegressor`. A warning counts the cells.

    **Unseen questions** (in the mapping, no training cells) are predicted from the elicited distributions of the
    training backgrounds, corrected by the slopes. Where the elicitor has none, ``base.unseen`` decides, as in
    `LogitRegressor`.

    References
    ----------
    D. J. C. MacKay (1992), Bayesian interpolation, Neural Computation 4(3), 415-447 (learned variances).

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim import FusedRegressor, Question
    >>> from surveysim.elicitation.recorded import RecordedElicitor
    >>> question = Question("Should shops open on Sundays?", ["no", "it depends", "yes"])
    >>> X = pd.DataFrame({"party": ["left", "right", "none"]})
    >>> said = RecordedElicitor(X, [[0.1, 0.2, 0.7], [0.7, 0.2, 0.1], [0.3, 0.4, 0.3]], question=question)
    >>> sample = [[0.2, 0.4, 0.4], [0.5, 0.4, 0.1]]  # ten respondents each; nobody without a party
    >>> model = FusedRegressor(said, question=question, random_state=0).fit(X[:2], sample, sample_weight=[10, 10])
    >>> model.predict(X).round(2)
    array([[0.24, 0.38, 0.38],
           [0.47, 0.36, 0.17],
           [0.35, 0.39, 0.27]])
    """

    _most_levels = MOST_COEFFICIENTS

    def __init__(
        self,
        elicitor: Source | Mapping[str, Source] | None,
        *,
        question: Question | Mapping[str, Question] | None = None,
        question_column: str = "question",
        base: LogitRegressor | None = None,
        time: Time = None,
        random_state: RandomState = None,
    ) -> None:
        self.elicitor = elicitor
        self.question = question
        self.question_column = question_column
        self.base = base
        self.time = time
        self.random_state = random_state

    def fit(self, X: Any, Y: ArrayLike, sample_weight: ArrayLike | None = None) -> FusedRegressor:
        """Ask the elicitor about the training cells, and fit slopes and coefficients jointly.

        Parameters
        ----------
        X : DataFrame or array of shape (n, n_columns)
            Backgrounds, with the question column if `question` is a mapping.
        Y : array of shape (n, K)
            Observed distributions, NaN past the last option of a shorter question.
        sample_weight : array of shape (n,), optional
            Respondents per row; default one each. They decide how far elicited distributions and priors are overruled.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If the data break the data contract, the elicitor has other questions, or it predicts what is neither NaN
            nor a distribution.

        Warns
        -----
        UserWarning
            If cells have no elicited distribution, or an elicitor that learns from respondents is fitted to these.
        """
        with self._atomic_fit():
            check_random_state(self.random_state)
            base = ready_base(self.base)
            cells = self._validate_fit(X, Y, sample_weight)
            base._check_options()
            base._check_unseen()
            models, people = named_sources(self.elicitor)
            self._ask(models, cells, X, Y, sample_weight)
            self._people, self.unmatched_ = people_series(people, cells, self.time)
            self._unseen = base.unseen
            self._train(cells, base)
        return self

    def _default_part(self, name: str, value: Any) -> Any:
        return ready_base(None) if name == "base" and value is None else None

    def _uses_order(self) -> bool:
        return bool(ready_base(self.base).ordered)

    def _ask(
        self,
        models: Mapping[str, Estimator],
        cells: FitCells,
        X: Table,
        Y: ArrayLike,
        sample_weight: ArrayLike | None,
    ) -> None:
        """Ready every model, and ask it about the training cells."""
        self._elicited: dict[str, ElicitedKnowledge] = {}
        ready: dict[str, Estimator] = {}
        for name, model in models.items():
            Y = self._by_option(X, Y)
            ready[name] = ready_elicitor(model, self.question, self.question_column, X, Y, sample_weight)
            self._elicited[name] = ElicitedKnowledge(
                ready[name],
                cells,
                X,
                question=self.question,
                question_column=self.question_column,
                n_options=self.n_options_,
                n_rows=len(cells.rows) + self.n_dropped_,
                by_option=self._by_option,
            )
        several = isinstance(self.elicitor, Mapping)
        self.elicitor_: Source | Mapping[str, Source] | None = ready if several else next(iter(ready.values()), None)
        self.n_missing_ = sum(own.n_missing for own in self._elicited.values())

    def _train(self, cells: FitCells, base: LogitRegressor) -> None:
        parts = {name: own.parts for name, own in self._elicited.items()}
        told = [one for series in self._people for one in series.evidence]
        cells, more = with_told_questions(cells, told)
        if more:
            parts = {name: own.of_more(cells, self._by_option) for name, own in self._elicited.items()}
        self._model = FusionModel.train(cells, base, parts, self._people)
        fit, slopes = self._model.fit, self._model.slopes
        covariates = [data.covariates for data in self._model.family.problem.questions]
        self.slopes_ = slopes.as_frame(fit.optimum.slopes, fit.optimum.slope_variances())
        self.gap_inflation_ = slopes.gap_inflation(fit.optimum.slopes, covariates)
        self.level_variances_ = fit.found.levels
        self.prior_variances_ = fit.found.table.as_frame()
        self.n_iter_ = max(fit.n_rounds, 1)
        questions = self._model.family.problem.questions
        self.effective_respondents_ = effective_respondents(questions, fit.optimum)
        kinds = dict.fromkeys(parts, "model") | {name: "people" for one in self._people for name in one.names}
        self.drift_ = drift_frame(self._model)
        if isinstance(self.elicitor, Mapping) or self._people:
            self.model_worth_ = total_worth(self._model, cells, base)
            self.sources_ = sources_frame(self._model, cells, base, parts, kinds)
            return
        alone = self.effective_respondents_
        if parts:
            nothing = FusionModel.train(cells, base, {})
            alone = effective_respondents(nothing.family.problem.questions, nothing.fit.optimum)
        self.model_worth_ = self.effective_respondents_ - alone
        worth = {"alone": self.model_worth_, "given others": self.model_worth_}
        self.sources_ = pd.DataFrame(
            [{"source": name, "kind": "model"} | worth for name in parts], columns=["source", "kind", *worth]
        )

    # --- predict ------------------------------------------------------------------------------------------------------

    def predict(self, X: Any) -> np.ndarray:
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

    def predict_draws(self, X: Any, n_draws: int = 1000, *, random_state: Any = None) -> np.ndarray:
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
        self, X: Any, level: float = 0.9, *, n_draws: int = 1000, random_state: Any = None
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

    def _generator(self, random_state: Any) -> np.random.Generator:
        return as_generator(self.random_state if random_state is None else random_state)

    def _parts(self, cells: PredictCells, X: Any) -> tuple[dict[str, ElicitedParts], np.ndarray]:
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

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_model")
