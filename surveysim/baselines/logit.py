"""The order-aware logit: the statistical model that a language model has to beat."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from surveysim.baselines.coefficients import Coefficients
from surveysim.baselines.common import BaselineRegressor, softmax_padded, uniform
from surveysim.baselines.features import BackgroundEncoder
from surveysim.baselines.laplace import LaplacePosterior, PriorDraw
from surveysim.baselines.newton import LogitProblem
from surveysim.baselines.priors import FIXED_DEGREES, PriorTable, degrees_of_freedom, learn_variances
from surveysim.cells import FitCells, PredictCells
from surveysim.contrasts import option_contrasts
from surveysim.questions import Question

__all__ = ["LogitRegressor", "check_interval_arguments"]

ROWS_AT_ONCE = 256
"""Rows whose posterior draws are held in memory together."""

VARIANCE_DRAWS = 10
"""Draws of the prior variances that up to 1,000 posterior draws are spread over: each takes a factorisation of its own.
More posterior draws have one for each 100, so that ends of intervals settle as draws grow."""


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
    prior : {"fixed", "eb"}, default="fixed"
        Where the prior variances come from. "fixed" takes those that were found on one survey and confirmed on two
        others. "eb" (empirical Bayes) learns one for every attribute, kind of term and degree, pooled over all
        questions, by maximising the Laplace approximation to the marginal likelihood: better when there are many
        questions or respondents, or attributes of very different importance (such as party next to gender), and a few
        times slower.
    interactions : bool, default=False
        Add a term for every pair of levels of two attributes that was seen, with a tenth of the variance. Seldom worth
        more than 2%; with ``prior="eb"`` it can do little harm.
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
        With ``prior="fixed"`` the most Newton steps that a question took, with "eb" the rounds of learning.
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
    number, standardised over the distinct training backgrounds. So that age groups count as ordered, make them an
    ordered categorical (`pandas.cut` does).

    Prior variances for contrasts of degree 1 / 2 / 3 and more are .1 / .02 / .005 (levels) and .15 / .02 / .005 (linear
    scores); nominal and pinned options, whose contrasts know no order, and all contrasts with ``ordered=False``
    have .1. Intercepts have 25.

    References
    ----------
    D. J. C. MacKay (1992), Bayesian interpolation, Neural Computation 4(3), 415-447 (learned variances).

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
           [0.13, 0.32, 0.55]])
    """

    def __init__(
        self,
        ordered: bool = True,
        prior: str = "fixed",
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

    def fit(self, X: Any, Y: ArrayLike, sample_weight: ArrayLike | None = None) -> LogitRegressor:
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
            bases = {name: self._option_basis(question) for _, name, question, _ in cells.by_question()}
            self.contrasts_ = {name: contrasts for name, (contrasts, _) in bases.items()}
            self._degrees = {name: degree for name, (_, degree) in bases.items()}
            problems = self._problems(cells)
            table = PriorTable.fixed(self._encoder.blocks, ordered=bool(self.ordered))
            solutions, self._table, self.n_iter_ = self._solve(problems, table)
            self.terms_ = self._encoder.names
            self.intercept_ = {name: B[:, 0] for name, B in solutions.items()}
            self.coef_ = Coefficients({name: B[:, 1:] for name, B in solutions.items()})
            self.prior_variances_ = self._table.as_frame()
            self._training = {name: (problem.design, problem.respondents) for name, problem in problems.items()}
        return self

    def predict_logits(self, X: Any) -> np.ndarray:
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
        X: Any,
        level: float = 0.9,
        *,
        n_draws: int = 1000,
        random_state: int | np.random.Generator | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Credible intervals of each option's share, by draws from the Laplace approximation to the posterior.

        They are intervals of the *group's* share, not of the share in a sample of it, each option by itself. The prior
        variances are taken as uncertain: as known from four coefficients each if they are fixed, from the training
        cells if they were learned. Levels that training did not show have their prior's uncertainty. Without
        `interactions` every group also has the prior uncertainty of the two-way terms that were left out: groups are
        no sums of effects.

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
        self, X: Any, n_draws: int = 1000, *, random_state: int | np.random.Generator | None = None
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
        tables = self._draw_tables(generator, max(VARIANCE_DRAWS, n_draws // 100))
        for _, name, _, rows in cells.by_question():
            if name not in self.coef_:
                continue
            draws = self._posterior(name, tables).draws(n_draws, generator)
            for start in range(0, len(rows), ROWS_AT_ONCE):
                some = rows[start : start + ROWS_AT_ONCE]
                yield some, draws.predict(design.matrix[some], design.unseen[some], generator)

    def _log_odds_variance(self, X: Any) -> np.ndarray:
        """Posterior mean square (n, K) of the error of each share's log-odds; NaN without option or training cells.

        Linear in the scores, and without draws of coefficients: a row's figure does not depend on the other rows.
        """
        cells = self._validate_predict(X)
        P = self._predict(cells)
        design = self._encoder.transform(cells.backgrounds)
        tables = self._draw_tables(np.random.default_rng(0), VARIANCE_DRAWS)
        variance = np.full(P.shape, np.nan)
        for _, name, question, rows in cells.by_question():
            if name not in self.coef_:
                continue
            contrasts, own = self.contrasts_[name], P[rows, : question.n_options]
            posterior = self._posterior(name, tables)
            for start in range(0, len(rows), ROWS_AT_ONCE):
                some = slice(start, start + ROWS_AT_ONCE)
                covariance = posterior.score_covariance(design.matrix[rows[some]], design.unseen[rows[some]])
                p = own[some]
                # d log(p_k / (1 - p_k)) / d score_c = (T_ck - sum_j p_j T_cj) / (1 - p_k)
                slope = (contrasts.T[None] - (p @ contrasts.T)[:, None, :]) / np.maximum(1.0 - p, 1e-9)[:, :, None]
                variance[rows[some], : question.n_options] = np.einsum(
                    "nkc,ncd,nkd->nk", slope, covariance, slope, optimize=True
                )
        return variance

    def _draw_tables(self, generator: np.random.Generator, n_tables: int) -> list[PriorTable]:
        """Draws of the prior variances; all questions share them."""
        return [self._table.drawn(self._variance_degrees, generator) for _ in range(n_tables)]

    def _uses_order(self) -> bool:
        return bool(self.ordered)

    def _check_options(self) -> None:
        if self.prior not in ("fixed", "eb"):
            raise ValueError(f"prior must be 'fixed' or 'eb' (empirical Bayes), got {self.prior!r}")
        for name in ("ordered", "interactions"):
            if not isinstance(getattr(self, name), bool | np.bool_):
                raise ValueError(f"{name} must be True or False, got {getattr(self, name)!r}")

    @property
    def _seen_questions(self) -> np.ndarray:
        return np.array([name in self.coef_ for name in self.questions_])

    def _option_basis(self, question: Question) -> tuple[np.ndarray, np.ndarray]:
        """Contrasts of the options and their degrees; without order all have degree 0."""
        return option_contrasts(question.positions if self.ordered else np.full(question.n_options, np.nan))

    def _problems(self, cells: FitCells) -> dict[str, LogitProblem]:
        """Each question's data, rows with equal terms pooled."""
        design = self._encoder.transform(cells.backgrounds).with_constant
        problems = {}
        for _, name, question, rows in cells.by_question():
            distinct, place = np.unique(design[rows], axis=0, return_inverse=True)
            counts = np.zeros((len(distinct), question.n_options))
            np.add.at(counts, place.ravel(), cells.counts[rows, : question.n_options])
            problems[name] = LogitProblem(distinct, counts, self.contrasts_[name])
        return problems

    def _solve(
        self, problems: dict[str, LogitProblem], table: PriorTable
    ) -> tuple[dict[str, np.ndarray], PriorTable, int]:
        degrees = [self._degrees[name] for name in problems]
        if self.prior == "eb":
            data = list(problems.values())
            table, solutions, n_iter = learn_variances(data, degrees, table)
            self._variance_degrees = degrees_of_freedom(data, degrees, solutions, table)
        else:
            self._variance_degrees = np.full(table.variances.shape, FIXED_DEGREES)
            fits = [
                problem.solve(table.precision(degree))
                for problem, degree in zip(problems.values(), degrees, strict=True)
            ]
            solutions, n_iter = [B for B, _ in fits], max(n_steps for _, n_steps in fits)
        return dict(zip(problems, solutions, strict=True)), table, n_iter

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

    def _posterior(self, name: str, tables: Sequence[PriorTable]) -> LaplacePosterior:
        """The Laplace approximation for one question under draws of the prior variances; its curvature is computed
        anew, not kept: it can be large."""
        design, respondents = self._training[name]
        degree = self._degrees[name]
        return LaplacePosterior(
            design=design,
            respondents=respondents,
            contrasts=self.contrasts_[name],
            coefficients=np.column_stack([self.intercept_[name], self.coef_[name]]),
            precision=self._table.precision(degree),
            priors=[PriorDraw(table.precision(degree), table.of_degrees(degree)) for table in tables],
            lack_of_fit=self._table.lack_of_fit(degree, ordered=bool(self.ordered)),
        )


def check_interval_arguments(level: float, n_draws: int) -> None:
    """Refuse a level that is no probability, or a number of draws that is not positive."""
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must be between 0 and 1, got {level!r}")
    if n_draws < 1:
        raise ValueError(f"n_draws must be at least 1, got {n_draws!r}")
