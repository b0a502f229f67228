"""`FusedRegressor`: a small sample joined with what language models say, and what people answered elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from numpy.typing import ArrayLike

from surveysim.base import DistributionRegressor
from surveysim.baselines.logit import LogitRegressor
from surveysim.cells import FitCells
from surveysim.fusion.elicited import ElicitedKnowledge
from surveysim.fusion.forecasts import Forecasts
from surveysim.fusion.model import FusionModel
from surveysim.fusion.named import Source, Time, has_people, named_sources, people_series
from surveysim.fusion.people import with_told_questions
from surveysim.fusion.predictions import FusedPredictions
from surveysim.fusion.sources import ready_base, ready_elicitor
from surveysim.fusion.worth import drift_frame, worth_of_sources
from surveysim.interfaces import Estimator, RandomState, Table
from surveysim.levels import MOST_COEFFICIENTS
from surveysim.parameters import check_random_state
from surveysim.questions import Question

__all__ = ["FusedRegressor"]


class FusedRegressor(FusedPredictions, Forecasts, DistributionRegressor):
    """Join a small sample with other evidence: language models, earlier waves, other surveys.

    A language model says for each question where its answers lie (the *level*) and how groups differ (the *shifts*).
    Both are informative and both are off: levels are too sure of themselves, shifts exaggerated. Here they enter the
    logit as covariates, and the respondents decide how much of them to believe: a slope of the level for each number
    of options, a slope of the shifts for each attribute, shared by all questions, none negative, shrunk to 0. What the
    covariates leave over is learned from the respondents as in `LogitRegressor`. With many respondents the result is
    the logit's; with none of a group's it is the language model's, corrected by what other groups and questions taught.

    People who were asked elsewhere (`surveysim.sources.Wave`) are data, not covariates: their answers are believed as
    far as their number allows and opinions have not moved, which is learned from where they and the respondents
    differ.

    Parameters
    ----------
    elicitor : source, mapping of str to source, or None
        What is joined with the sample; several sources by name. People: a `surveysim.sources.Wave`. A language model:
        anything with ``fit`` and ``predict``, such as
        `ZeroShotElicitor` or, for outputs recorded anywhere, `RecordedElicitor`. A fitted one is used as it is
        (`clone` would lose its fit: under cross-validation wrap it in ``sklearn.frozen.FrozenEstimator``); one that is
        not is cloned and fitted. It must not have learned from the respondents of `fit`. Rows of NaN that it predicts
        are cells it has nothing to say of. None: no source; the same hierarchical logit by itself, which is what
        `model_worth_` compares with.
    question : Question or mapping of str to Question, optional
        What was asked. A mapping for several questions; X then names each row's question in `question_column`.
        None: options are called "1".."K".
    question_column : str, default="question"
        The column of X that names the question.
    base : LogitRegressor, optional
        Which logit is extended: its `ordered`, `prior`, `interactions` and `unseen` are used, never its fit. None:
        ``LogitRegressor(prior="eb")``, whose variances are learned, since a model's shifts change how large the
        remaining effects of an attribute are; with people among the sources ``LogitRegressor()``, which pools
        questions, too. How questions resemble each other can be learned from the many cells of surveys; from tables of
        a few groups it cannot: on recorded answers of Claude Opus by education and region the divergence with pooling
        is higher by 4 to 35% (n = 10, 20, 50), of GPT-3.5 by between -1 and 22%.
    time : number, date or str, optional
        When the respondents of `fit` answered, where waves have a `time`. None: after the newest wave, by as long as
        between two waves. Questions that only waves have asked are estimated for this time; `forecast` has all
        questions at a later one.
    random_state : int, RandomState, Generator or None, default=None
        For draws, where `predict_draws` and `predict_interval` get none of their own. Fitting is deterministic.

    Attributes
    ----------
    gap_inflation_ : dict of str to float
        For each attribute how much of the elicited differences between its groups the respondents bear out: 1 all of
        it, 0.2 a fifth (the model exaggerates fivefold), 0 nothing. Over all degrees of contrasts, each weighted by
        how much the model shifts there; `slopes_` has them apart.
    model_worth_ : float
        How many respondents per cell (a group's respondents to one question) the sources were worth together: the
        effective respondents behind a cell's estimate, less those of the same logit without a source. A cell's
        effective respondents are the size of a simple sample with the posterior's variance. As trustworthy as
        `predict_interval`; below 0 where the language model added more doubt than knowledge, as with very few cells.
    effective_respondents_ : float
        The effective respondents per cell of the fusion.
    sources_ : DataFrame
        What each source was worth, in respondents per cell: ``alone`` and ``given others``, on the scale of
        `model_worth_`, which is that of all together: of a single source the same number. Sources that say the same
        add up to more alone, and to less given others.
    group_sources_ : DataFrame
        The same in the cells of each level of each attribute (columns ``attribute`` and ``group``).
    drift_ : DataFrame
        For each wave without a time, and for all with one together: the ``slope`` of its levels and of each attribute's
        effects on those of the survey, and by degree of contrast how far they drift in a step of typical length
        (standard deviations, on the scale of logits).
    unmatched_ : DataFrame
        What waves have that the survey does not, and the other way round.
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
    elicitor_ : estimator, dict of str to estimator, or None
        The fitted elicitor; of several sources those that are models.
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
    ``prior="fixed"``; with "auto", the default beside people, those of degree 1 are pooled over questions, as in
    `LogitRegressor`. All are fitted jointly by Newton's method on the block-arrow Hessian, the one that
    `LogitRegressor` has. 0.01 is added to elicited shares before the logarithm.

    **Several models** have slopes of their own, and their average has slopes, too.

    **People.** With b the coefficients of a question (covariates included) and V their variances over questions, those
    of a wave are ``sqrt(1 - s) b + d`` with a drift d ~ N(0, s V): the share s, one for levels and one for groups, lies
    between 0 (the same opinions) and 1 (something else). It has a posterior from how well the wave's answers agree with
    all else, every size of s as likely as another before; single questions may have shares of their own. Predictions
    take the expected log odds of s, intervals draw it. The wave's own likelihood enters as a Gaussian, so that its
    sampling error is known. Waves with a time are a random walk: drifts grow with the time between them.

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
    >>> said = RecordedElicitor(
    ...     X, [[0.1, 0.2, 0.7], [0.7, 0.2, 0.1], [0.3, 0.4, 0.3]], question=question
    ... )
    >>> sample = [
    ...     [0.2, 0.4, 0.4],
    ...     [0.5, 0.4, 0.1],
    ... ]  # ten respondents each; nobody without a party
    >>> model = FusedRegressor(said, question=question, random_state=0).fit(
    ...     X[:2], sample, sample_weight=[10, 10]
    ... )
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
            base = ready_base(self.base, people=has_people(self.elicitor))
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
        return ready_base(None, people=has_people(self.elicitor)) if name == "base" and value is None else None

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
        self._drift: pd.DataFrame | None = None
        worth = worth_of_sources(self._model, cells, base, parts, self._people)
        self.effective_respondents_, self.model_worth_ = worth.effective, worth.total
        self.sources_, self.group_sources_ = worth.sources, worth.by_group

    @property
    def drift_(self) -> pd.DataFrame:
        """How far people's sources are from the survey; see the attributes of the class."""
        if not hasattr(self, "_model"):
            raise AttributeError("drift_ is there after fit")
        if self._drift is None:  # when asked for: many sizes of steps are weighed
            self._drift = drift_frame(self._model)
        return self._drift

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_model")
