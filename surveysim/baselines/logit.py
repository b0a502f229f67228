"""The order-aware logit: the statistical model that a language model has to beat."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import ArrayLike

from surveysim.baselines.coefficients import Coefficients
from surveysim.baselines.common import BaselineRegressor, option_basis, softmax_padded, uniform
from surveysim.baselines.features import BackgroundEncoder
from surveysim.baselines.joint import QuestionData
from surveysim.baselines.lack_of_fit import LackOfFit
from surveysim.baselines.learning import PRIORS, LogitFamily, Prior
from surveysim.baselines.posterior import ROWS_AT_ONCE, draw_distributions, draw_states, log_odds_variances
from surveysim.baselines.priors import PriorTable
from surveysim.cells import FitCells, PredictCells
from surveysim.interfaces import Table
from surveysim.levels import MOST_COEFFICIENTS
from surveysim.questions import Question

__all__ = ["LogitRegressor", "check_interval_arguments"]


class LogitRegressor(BaselineRegressor):
    """Penalised multinomial logit of the answers on the background, aware of order on both sides.

    Groups learn from groups that share attributes with them, and no further than their respondents allow: every
    coefficient has a Gaussian prior around 0. Two kinds of order are used. The options': coefficients belong to
    polynomial contrasts of the options, so that a group may easily stand higher on the scale (degree 1), less easily be
    more polarised (degree 2), and hardly jump about from option to option (degree 3 and more). The attributes': next to
    a term per level, age or education has a linear score.

    This is the opponent that a language model has to beat, and a strong one. On 20 questions and 96 backgrounds of a
    real survey, 500 respondents are enough for a third of the marginal's divergence (debiased).

    Parameters
    ----------
    ordered : bool, default=True
        False is the plain multinomial logit: one variance for all contrasts, no linear scores.
    prior : {"auto", "fixed", "eb"}, default="auto"
        Where the prior variances come from.

        - "auto" learns them, as far as questions and respondents tell of them, and starts from the fixed ones, which
          with one question and a few hundred respondents it hardly leaves. With several questions it also learns how
          far they resemble each other, and pools their effects of degree 1: what a group thinks of one thing says
          something of what it thinks of the next.
        - "fixed" takes variances that were found on one survey and confirmed on two others. Every question is fitted
          by itself.
        - "eb" (empirical Bayes) learns one for every attribute, kind of term and degree, pooled over all questions,
          and follows the data at once, with few of them, too. Effects are not pooled.
    interactions : bool, default=False
        Add a term for every pair of levels of two attributes that was seen, with a tenth of the variance. Seldom worth
        more than 2%; where variances are learned it can do little harm.
    question : Question, mapping of str to Question, or None
        What is asked. A mapping names several questions; None stands for options "1".."K" with K taken from Y.
    question_column : str, default="question"
        Column of X that names each row's question when `question` is a mapping.
    unseen : {"error", "uniform"}, default="error"
        What to predict for a question of the mapping without training cells. It does not concern backgrounds: a
        combination of levels that was not seen is what the model is for, and a level that was not seen has the
        expectation that the prior gives it, a zero effect - apart from the linear score if the attribute is ordered and
        its categorical type, or being a number, says where the level stands.

    Attributes
    ----------
    terms_ : list of str
        Names of the columns of the design matrix.
    coef_ : dict of str to float64 array of shape (K_q - 1, n_terms)
        Per question the coefficients: a row per contrast of its options, a column per term.
    intercept_ : dict of str to float64 array of shape (K_q - 1,)
        Per question the intercepts on its contrasts.
    contrasts_ : dict of str to float64 array of shape (K_q - 1, K_q)
        Per question the orthonormal contrasts: logits are ``(intercept + coef @ terms) @ contrasts``.
    prior_variances_ : DataFrame
        The prior variance of each attribute's terms by degree of contrast, as given or learned.
    n_iter_ : int
        With ``prior="fixed"`` the Newton steps taken, else the rounds of learning.
    resemblance_ : DataFrame
        With ``prior="auto"`` the learned correlations of the questions' effects of degree 1, named; else the identity.
    cell_deviation_ : float
        How far a cell's score of degree 1 is expected to be from the sum of its attributes' effects (a standard
        deviation), learned from residuals; intervals know it. Well above the .2 that its prior expects: see whether
        ``interactions=True`` predicts better.
    questions_, n_options_, backgrounds_, n_dropped_, n_features_in_, feature_names_in_
        As in every estimator of the library.

    See Also
    --------
    MarginalRegressor : without backgrounds.
    surveysim.DSARegressor : a language model fine-tuned for the same task.

    Notes
    -----
    Terms. Every attribute of at least two levels has a 0/1 term per level; missing is a level. A number with more than
    12 distinct values is a quantity: its terms stand for 6 groups with about equally many distinct values. An ordered
    attribute of at least 3 levels - an ordered categorical or a number - also has a score, the category's rank or the
    number, standardised over the distinct training backgrounds. Texts whose levels read like an order ("18-29",
    "30-44", "65 or older"; "low", "medium", "high"; degrees of education, see ``surveysim.level_order``) count
    as ordered; anything else that has an order should be an ordered categorical.

    Prior variances for contrasts of degree 1 / 2 / 3 and more are .1 / .02 / .005 (levels) and .15 / .02 / .005 (linear
    scores); nominal and pinned options, whose contrasts know no order, and all contrasts with ``ordered=False``
    have .1. Intercepts have 25: in effect they are free.

    Learned variances maximise the Laplace approximation to the marginal likelihood (MacKay 1992). With "auto" the table
    that they start from is first multiplied by a learned factor for each attribute and one for each degree. A term's
    effects of degree 1 on the questions, b, have the prior ``N(0, v R)``: variances v of the terms, and one matrix R of
    questions, learned by EM (Dempster, Laird & Rubin 1977) and shrunk to the identity, so that questions resemble each
    other only as far as the data say. Above 4,000 questions times terms nothing is pooled.

    References
    ----------
    D. J. C. MacKay (1992), Bayesian interpolation, Neural Computation 4(3), 415-447.

    A. P. Dempster, N. M. Laird & D. B. Rubin (1977), Maximum likelihood from incomplete data via the EM algorithm,
    Journal of the Royal Statistical Society B 39(1), 1-38.

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim import Question
    >>> from surveysim.baselines import LogitRegressor
    >>> age = pd.Categorical(["18-29", "30-44", "45-64", "65+"], ordered=True)
    >>> X = pd.DataFrame({"age": age})
    >>> Y = [[0.6, 0.2, 0.2], [0.4, 0.4, 0.2], [0.3, 0.4, 0.3], [0.1, 0.3, 0.6]]
    >>> question = Question("Should shops close on Sundays?", ["no", "it depends", "yes"])
    >>> model = LogitRegressor(question=question).fit(X, Y, sample_weight=[50, 50, 50, 50])
    >>> model.predict(X).round(2)
    array([[0.56, 0.27, 0.17],
           [0.41, 0.35, 0.24],
           [0.3 , 0.37, 0.34],
           [0.13, 0.32, 0.56]])
    """

    _most_levels = MOST_COEFFICIENTS

    def __init__(
        self,
        ordered: bool = True,
        prior: Prior = "auto",
        interactions: bool = False,
        *,
        question: Question | Mapping[str, Question] | None = None,
        question_column: str = "question",
        unseen: str = "error",
    ) -> None:
        self.ordered = ordered
        self.prior = prior
        self.interactions = interactions
        self.question = question
        self.question_column = question_column
        self.unseen = unseen

    def fit(self, X: Table, Y: ArrayLike, sample_weight: ArrayLike | None = None) -> LogitRegressor:
        """Find the optimum for each question, by Newton's method.

        Parameters
        ----------
        X : DataFrame or array of shape (n, n_columns)
            Backgrounds, with the question column if `question` is a mapping.
        Y : array of shape (n, K)
            Observed distributions, NaN past the last option of a shorter question.
        sample_weight : array of shape (n,), optional
            Respondents per row; default one each. They decide how far the prior is overruled.

        Returns
        -------
        self
        """
        with self._atomic_fit():
            self._check_unseen()
            self._check_options()
            cells = self._validate_fit(X, Y, sample_weight)
            self._encoder = BackgroundEncoder(linear=bool(self.ordered), pairs=bool(self.interactions))
            self._encoder.fit(cells.backgrounds)
            bases = {name: option_basis(question, self.ordered) for _, name, question, _ in cells.by_question()}
            self.contrasts_ = {name: contrasts for name, (contrasts, _) in bases.items()}
            self._degrees = {name: degree for name, (_, degree) in bases.items()}
            table = PriorTable.fixed(self._encoder.blocks, ordered=bool(self.ordered))
            data, degrees = self._question_data(cells), list(self._degrees.values())
            self._family = LogitFamily(data, degrees, table, prior=self.prior)
            self._fit = self._family.fit()
            optimum = self._fit.optimum
            self._lack_of_fit = LackOfFit.learn(self._encoder.blocks, data, degrees, optimum)
            self.n_iter_ = self._fit.n_rounds or optimum.n_steps
            self.terms_ = self._encoder.names
            solutions = dict(zip(bases, optimum.coefficients, strict=True))
            self.intercept_ = {name: B[:, 0] for name, B in solutions.items()}
            self.coef_ = Coefficients({name: B[:, 1:] for name, B in solutions.items()})
            self.prior_variances_ = self._fit.found.table.as_frame()
            self.resemblance_ = self._family.resemblance_frame(self._fit, list(bases))
            self.cell_deviation_ = float(np.sqrt(self._lack_of_fit.mean()[1]))
        return self

    def predict_logits(self, X: Table) -> np.ndarray:
        """Predict the logits of the options.

        Parameters
        ----------
        X : DataFrame or array of shape (n, n_features_in_)
            As in `predict`.

        Returns
        -------
        float64 array of shape (n, K)
            Their softmax over a row's options is `predict`; each row is centred (sums to 0 over its options), NaN past
            the last option of a shorter question, and 0 for questions without training cells (``unseen="uniform"``).
        """
        return self._logits(self._validate_predict(X))

    def predict_interval(
        self,
        X: Table,
        level: float = 0.9,
        *,
        n_draws: int = 1000,
        random_state: int | np.random.Generator | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Credible intervals of each option's share, by draws from the Laplace approximation to the posterior.

        They are intervals of the *group's* share, not of the share in a sample of it, each option by itself. The prior
        variances are taken as uncertain: as known from four coefficients each if they are fixed, from the training
        cells if they were learned. Levels that training did not show have their prior's uncertainty. Without
        `interactions` every cell also deviates from the sum of its attributes' effects, by as much as the residuals of
        the training cells show (`cell_deviation_`).

        Parameters
        ----------
        X : DataFrame or array of shape (n, n_features_in_)
            As in `predict`.
        level : float, default=0.9
            Probability that an interval holds, between 0 and 1.
        n_draws : int, default=1000
            Draws from the posterior. With 1,000 the ends of a 90% interval have an error of 3 to 5% of its width, those
            of a few rare options of up to 20%; with 10,000 of about a third of that.
        random_state : int, Generator or None
            For the draws.

        Returns
        -------
        lower, upper : float64 arrays of shape (n, K)
            NaN past the last option of a shorter question. Where ``unseen="uniform"`` predicts a question without
            training cells nothing is known: 0 and 1.

        Raises
        ------
        ValueError
            If `level` is not between 0 and 1 or `n_draws` is not positive, and as in `predict`.
        """
        check_interval_arguments(level, n_draws)
        cells = self._validate_predict(X)
        exists = np.arange(self.n_options_) < cells.n_options[:, None]
        lower, upper = np.where(exists, 0.0, np.nan), np.where(exists, 1.0, np.nan)
        ends = [(1.0 - level) / 2.0, (1.0 + level) / 2.0]
        for rows, P in self._draws(cells, n_draws, random_state):
            lower[rows, : P.shape[2]], upper[rows, : P.shape[2]] = np.quantile(P, ends, axis=0)
        return lower, upper

    def predict_draws(
        self, X: Table, n_draws: int = 1000, *, random_state: int | np.random.Generator | None = None
    ) -> np.ndarray:
        """Draw distributions from the Laplace approximation to the posterior.

        The rows of one question belong together in a draw, so that any weighted mean of them, such as `poststratify`
        makes of draws, has its own interval. Only what a level that training did not show may add is drawn for each
        row by itself: intervals of means over such rows are too narrow. Questions share the draws of the prior
        variances.

        Parameters
        ----------
        X : DataFrame or array of shape (n, n_features_in_)
            As in `predict`.
        n_draws : int, default=1000
            How many.
        random_state : int, Generator or None
            For the draws.

        Returns
        -------
        float64 array of shape (n_draws, n, K)
            NaN past the last option of a shorter question; equal shares in every draw for questions without training
            cells (``unseen="uniform"``).

        Raises
        ------
        ValueError
            If `n_draws` is not positive, and as in `predict`.
        """
        check_interval_arguments(0.9, n_draws)
        cells = self._validate_predict(X)
        draws = np.repeat(uniform(cells, self.n_options_)[None], n_draws, axis=0)
        for rows, P in self._draws(cells, n_draws, random_state):
            draws[:, rows, : P.shape[2]] = P
        return draws

    def _draws(
        self, cells: PredictCells, n_draws: int, random_state: int | np.random.Generator | None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield rows and draws of their distributions (n_draws, n_rows, K_q), block by block."""
        self._refuse_unseen_questions(cells, self._seen_questions)
        generator = np.random.default_rng(random_state)
        design = self._encoder.transform(cells.backgrounds)
        states = draw_states(self._family, self._fit, self._lack_of_fit, n_draws, generator)
        for place, name, rows in self._fitted_questions(cells):
            coefficients = [state.optimum.draw_coefficients(place, state.shared, generator) for state in states]
            for start in range(0, len(rows), ROWS_AT_ONCE):
                some = rows[start : start + ROWS_AT_ONCE]
                yield (
                    some,
                    draw_distributions(
                        states, coefficients, design[some], self.contrasts_[name], self._degrees[name], generator
                    ),
                )

    def _log_odds_variance(self, X: Table) -> np.ndarray:
        """Posterior mean square (n, K) of the error of each share's log-odds; NaN without option or training cells.

        Linear in the scores, and without draws of coefficients: a row's figure does not depend on the other rows.
        """
        cells = self._validate_predict(X)
        P = self._predict(cells)
        design = self._encoder.transform(cells.backgrounds)
        states = draw_states(self._family, self._fit, self._lack_of_fit, 1, np.random.default_rng(0), centers=True)
        variance = np.full(P.shape, np.nan)
        for place, name, rows in self._fitted_questions(cells):
            contrasts, degree = self.contrasts_[name], self._degrees[name]
            center = self._fit.optimum.coefficients[place]
            for start in range(0, len(rows), ROWS_AT_ONCE):
                some = rows[start : start + ROWS_AT_ONCE]
                own = P[some, : contrasts.shape[1]]
                variance[some, : contrasts.shape[1]] = log_odds_variances(
                    states, place, center, design[some], own, contrasts, degree
                )
        return variance

    def _fitted_questions(self, cells: PredictCells) -> Iterator[tuple[int, str, np.ndarray]]:
        """Yield the place in the fit, the name and the rows of each question that has training cells."""
        places = {name: place for place, name in enumerate(self.coef_)}
        for _, name, _, rows in cells.by_question():
            if name in places:
                yield places[name], name, rows

    def _uses_order(self) -> bool:
        return bool(self.ordered)

    def _check_options(self) -> None:
        if self.prior not in PRIORS:
            raise ValueError(f"prior must be 'auto', 'fixed' or 'eb' (empirical Bayes), got {self.prior!r}")
        for name in ("ordered", "interactions"):
            if not isinstance(getattr(self, name), bool | np.bool_):
                raise ValueError(f"{name} must be True or False, got {getattr(self, name)!r}")

    @property
    def _seen_questions(self) -> np.ndarray:
        return np.array([name in self.coef_ for name in self.questions_])

    def _question_data(self, cells: FitCells) -> list[QuestionData]:
        """Each question's data, rows with equal terms pooled."""
        design = self._encoder.transform(cells.backgrounds).with_constant
        data = []
        for _, name, question, rows in cells.by_question():
            distinct, place = np.unique(design[rows], axis=0, return_inverse=True)
            counts = np.zeros((len(distinct), question.n_options))
            np.add.at(counts, place.ravel(), cells.counts[rows, : question.n_options])
            data.append(QuestionData.without_covariates(distinct, counts, self.contrasts_[name]))
        return data

    def _predict(self, cells: PredictCells) -> np.ndarray:
        return softmax_padded(self._logits(cells))

    def _logits(self, cells: PredictCells) -> np.ndarray:
        self._refuse_unseen_questions(cells, self._seen_questions)
        matrix = self._encoder.transform(cells.backgrounds).matrix
        logits = np.where(np.arange(self.n_options_) < cells.n_options[:, None], 0.0, np.nan)
        for _, name, question, rows in cells.by_question():
            if name in self.coef_:
                scores = self.intercept_[name] + matrix[rows] @ self.coef_[name].T
                logits[rows, : question.n_options] = scores @ self.contrasts_[name]
        return logits


def check_interval_arguments(level: float, n_draws: int) -> None:
    """Refuse a level that is no probability, or a number of draws that is not positive."""
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must be between 0 and 1, got {level!r}")
    if n_draws < 1:
        raise ValueError(f"n_draws must be at least 1, got {n_draws!r}")
