"""`make_survey`: simulated surveys of any size whose truth is known for every cell."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import softmax

from surveysim.datasets.survey import Report, Survey
from surveysim.questions import Question
from surveysim.tables import QUESTION_COLUMN

__all__ = ["SurveyTruth", "make_survey"]

MOST_CELLS = 200_000
"""Backgrounds beyond which the truth is not written out as a table."""


def make_survey(
    n_respondents: int = 1000,
    n_backgrounds: int = 3,
    n_questions: int = 4,
    *,
    n_levels: int | Sequence[int] = 4,
    n_options: int | Sequence[int] = 5,
    ordinal: bool | Sequence[bool] = True,
    ordered: bool | Sequence[bool] = True,
    effect: float = 0.4,
    interaction: float = 0.0,
    noise: float = 0.0,
    missing: float = 0.0,
    weighted: bool = False,
    unseen: int = 0,
    random_state: int | np.random.Generator | None = None,
) -> Survey:
    """Simulate a survey: respondents drawn from a population whose distributions are known.

    Parameters
    ----------
    n_respondents : int, default=1000
    n_backgrounds, n_questions : int, default=3 and 4
    n_levels : int or sequence of int, default=4
        Levels of the backgrounds, at least 2; the same for all, or one for each.
    n_options : int or sequence of int, default=5
        Options of the questions, at least 2.
    ordinal : bool or sequence of bool, default=True
        Whether the options of the questions are a scale, on which backgrounds move answers up or down.
    ordered : bool or sequence of bool, default=True
        Whether the levels of the backgrounds have an order: then their effects are mostly linear in it.
    effect : float, default=0.4
        Standard deviation of the effect of a level, in logits per standard deviation of the options' positions.
    interaction : float, default=0.0
        The same for every pair of levels of two backgrounds: what a model of main effects cannot know.
    noise : float, default=0.0
        Share of answers given at random, all options alike.
    missing : float, default=0.0
        Share of answers that are "Don't know", at random.
    weighted : bool, default=False
        Whether groups were sampled at different rates; ``survey.weight`` mends it (weights have mean 1).
    unseen : int, default=0
        Levels, the last ones of the last background, that no respondent has. The truth knows them.
    random_state : int, numpy Generator or None, default=None

    Returns
    -------
    Survey
        With `data`, `questions`, `backgrounds`, `weight` as from a file, and

        - ``truth``: a `SurveyTruth`; ``truth.predict(X)`` gives the distributions (n_cells, K) of any cells;
        - ``truth_X``, ``truth_P``, ``truth_share``: all cells, their distributions and the population's shares of their
          backgrounds (None where there are more than 200,000 cells);
        - ``margins``: the population's share of each level, for `surveysim.rake`;
        - ``unseen``: the levels that no respondent has, by background.

    Raises
    ------
    ValueError
        If a number is out of range, or a sequence has another length.

    See Also
    --------
    load_fair, load_anes96 : Real answers, without a known truth.

    Notes
    -----
    Backgrounds are independent in the population, with shares from a Dirichlet distribution. For question q with K
    options at standardised positions t and a background with levels l_1, l_2, ...,

        P = (1 - noise) softmax(a_q + sum_j e_qj(l_j) + sum_(i<j) u_qij(l_i, l_j)) + noise / K,

    where a_q ~ N(0, 0.6^2) for each option. For an ordinal question e_qj(l) = s_qjl t, one number for each level; for a
    nominal one it is a number for each option. An ordered background has s_qjl = 0.9 b z_l + 0.44 d_l, with z the
    standardised level and b, d ~ N(0, effect^2), an unordered one s_qjl ~ N(0, effect^2); u likewise, by `interaction`.

    Examples
    --------
    >>> from surveysim.datasets import make_survey
    >>> survey = make_survey(2000, n_backgrounds=2, n_questions=1, random_state=0)
    >>> cells = survey.tabulate()
    >>> survey.truth.predict(cells.X).shape
    (16, 5)
    >>> float(survey.truth_P.sum(axis=1).round(6).max())
    1.0
    """
    least = {"n_respondents": 1, "n_backgrounds": 1, "n_questions": 1, "unseen": 0}
    for name, value in zip(least, (n_respondents, n_backgrounds, n_questions, unseen), strict=True):
        _check_count(name, value, least[name])
    levels = _each("n_levels", n_levels, n_backgrounds, 2)
    options = _each("n_options", n_options, n_questions, 2)
    scales = [bool(value) for value in _repeat("ordinal", ordinal, n_questions)]
    orders = [bool(value) for value in _repeat("ordered", ordered, n_backgrounds)]
    _check_strengths(effect, interaction, noise, missing)
    if unseen > levels[-1] - 1:
        raise ValueError(f"unseen={unseen}, but the last background has {levels[-1]} levels: at least one must be seen")
    rng = np.random.default_rng(random_state)
    dtypes = _background_types(levels, orders)
    questions = _simulated_questions(options, scales)
    logits = {
        name: _question_logits(rng, levels, orders, question, effect, interaction)
        for name, question in questions.items()
    }
    truth = SurveyTruth(questions, dtypes, logits, noise)
    shares = [rng.dirichlet(np.full(n, 4.0)) for n in levels]
    drawn, weight = _draw_backgrounds(rng, shares, n_respondents, weighted, unseen)
    data = _draw_answers(rng, truth, drawn, missing)
    if weighted:
        data["weight"] = pd.Series(weight)
    X, P, share = _all_cells(truth, list(dtypes), levels, shares)
    not_drawn = _levels_not_drawn(dtypes, unseen)
    report = Report()
    for name, without in not_drawn.items():
        report.note(name, "levels that no respondent has, as asked for", 0, ", ".join(without))
    return Survey(
        data=pd.DataFrame(data),
        questions=questions,
        backgrounds=list(dtypes),
        weight="weight" if weighted else None,
        strata=None,
        cluster=None,
        truth=truth,
        truth_X=X,
        truth_P=P,
        truth_share=share,
        margins=_margins(dtypes, shares),
        unseen=not_drawn,
        variables=pd.DataFrame({"name": list(data)}),
        report=report.frame(),
        value_labels={},
        DESCR=f"A simulated survey of {n_respondents:,} respondents; its truth is known.",
        terms="None: simulated.",
        source="make_survey",
    )


def _margins(dtypes: Mapping[str, pd.CategoricalDtype], shares: Sequence[np.ndarray]) -> dict[str, pd.Series]:
    """The population's shares of each background's levels."""
    return {
        name: pd.Series(p, index=pd.CategoricalIndex(dtype.categories, dtype=dtype), name="share")
        for (name, dtype), p in zip(dtypes.items(), shares, strict=True)
    }


def _levels_not_drawn(dtypes: Mapping[str, pd.CategoricalDtype], unseen: int) -> dict[str, list[str]]:
    """The last background and its last levels, which no respondent has; nothing where there are none."""
    last, dtype = list(dtypes.items())[-1]
    return {last: dtype.categories[len(dtype.categories) - unseen :].tolist()} if unseen else {}


def _check_strengths(effect: float, interaction: float, noise: float, missing: float) -> None:
    for name, value, most in (("effect", effect, np.inf), ("interaction", interaction, np.inf), ("noise", noise, 1.0),
                              ("missing", missing, 1.0)):  # fmt: skip
        if not 0 <= value <= most or (name == "missing" and value == 1):
            raise ValueError(f"{name} must be at least 0{'' if most == np.inf else ' and at most 1'}, got {value!r}")


def _background_types(levels: Sequence[int], orders: Sequence[bool]) -> dict[str, pd.CategoricalDtype]:
    return {
        f"background {j + 1}": pd.CategoricalDtype([f"level {i + 1}" for i in range(n)], ordered=is_ordered)
        for j, (n, is_ordered) in enumerate(zip(levels, orders, strict=True))
    }


def _simulated_questions(options: Sequence[int], scales: Sequence[bool]) -> dict[str, Question]:
    return {
        f"q{q + 1}": Question(
            f"Question {q + 1}?", [f"option {k + 1}" for k in range(K)], codes=list(range(1, K + 1)), ordinal=scale,
            context="a simulated survey",
        )
        for q, (K, scale) in enumerate(zip(options, scales, strict=True))
    }  # fmt: skip


def _draw_answers(
    rng: np.random.Generator, truth: SurveyTruth, drawn: Sequence[np.ndarray], missing: float
) -> dict[Any, pd.Series]:
    """Columns of backgrounds and answers, a respondent a row."""
    data: dict[Any, pd.Series] = {
        name: pd.Series(pd.Categorical.from_codes(codes, dtype=dtype))
        for (name, dtype), codes in zip(truth.dtypes.items(), drawn, strict=True)
    }
    n_respondents = len(drawn[0])
    for name, question in truth.questions.items():
        cumulative = truth.distributions(name, drawn).cumsum(axis=1)
        answer = (rng.random(n_respondents)[:, None] > cumulative[:, :-1]).sum(axis=1)
        categories = [*question.options, "Don't know"] if missing else list(question.options)
        if missing:
            answer = np.where(rng.random(n_respondents) < missing, question.n_options, answer)
        data[name] = pd.Series(pd.Categorical.from_codes(answer, dtype=pd.CategoricalDtype(categories)))
    return data


@dataclass(frozen=True)
class SurveyTruth:
    """The distributions that a simulated survey was drawn from.

    Attributes
    ----------
    questions : dict of str to Question
    dtypes : dict of str to CategoricalDtype
        The backgrounds and their levels.
    logits : dict
        For each question: option intercepts (K,), main effects [(L_j, K)], interactions {(i, j): (L_i, L_j, K)}.
    noise : float

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim.datasets import make_survey
    >>> truth = make_survey(100, n_backgrounds=1, n_questions=1, n_options=3, random_state=0).truth
    >>> truth.predict(pd.DataFrame({"background 1": ["level 1", "level 4"]})).shape
    (2, 3)
    """

    questions: Mapping[str, Question]
    dtypes: Mapping[str, pd.CategoricalDtype]
    logits: Mapping[str, tuple[np.ndarray, list[np.ndarray], dict[tuple[int, int], np.ndarray]]]
    noise: float

    def distributions(self, question: str, codes: Sequence[np.ndarray]) -> np.ndarray:
        """The distributions (n, K) of one question for levels given by number, an array for each background."""
        intercept, main, pairs = self.logits[question]
        z = np.repeat(intercept[None], len(codes[0]), axis=0)
        for effects, level in zip(main, codes, strict=True):
            z = z + effects[level]
        for (i, j), effects in pairs.items():
            z = z + effects[codes[i], codes[j]]
        return (1.0 - self.noise) * softmax(z, axis=1) + self.noise / z.shape[1]

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """The true distributions of cells, as an estimator's predict would give them.

        Parameters
        ----------
        X : DataFrame
            The backgrounds, and with several questions the column ``"question"``.

        Returns
        -------
        float64 array of shape (n_cells, K)
            NaN past the last option of a shorter question.

        Raises
        ------
        ValueError
            If a column is missing, or a level or question is unknown.
        """
        absent = [name for name in self.dtypes if name not in X]
        if absent:
            raise ValueError(f"X lacks the backgrounds {absent}")
        codes = []
        for name, dtype in self.dtypes.items():
            code = dtype.categories.get_indexer(pd.Index(X[name].astype(object)))
            if (code < 0).any():
                row = int(np.flatnonzero(code < 0)[0])
                raise ValueError(f"X[{name!r}] is {X[name].iloc[row]!r} in row {row}, which is not a level")
            codes.append(code)
        if QUESTION_COLUMN in X:
            asked = X[QUESTION_COLUMN].to_numpy(dtype=object)
        elif len(self.questions) == 1:
            asked = np.full(len(X), next(iter(self.questions)), dtype=object)
        else:
            raise ValueError(f"X lacks the column {QUESTION_COLUMN!r}: the survey has {len(self.questions)} questions")
        unknown = sorted(set(asked) - set(self.questions))
        if unknown:
            raise ValueError(f"unknown questions {unknown}")
        P = np.full((len(X), max(q.n_options for q in self.questions.values())), np.nan)
        for name, question in self.questions.items():
            rows = np.flatnonzero(asked == name)
            if len(rows):
                P[rows, : question.n_options] = self.distributions(name, [code[rows] for code in codes])
        return P


def _question_logits(
    rng: np.random.Generator,
    levels: list[int],
    orders: list[bool],
    question: Question,
    effect: float,
    interaction: float,
) -> tuple[np.ndarray, list[np.ndarray], dict[tuple[int, int], np.ndarray]]:
    K = question.n_options
    position = _standardised(K)

    def effects(shape: tuple[int, ...], size: float) -> np.ndarray:
        if question.ordinal:
            return rng.normal(scale=size, size=shape)[..., None] * position
        return rng.normal(scale=size, size=(*shape, K))

    main = []
    for n, is_ordered in zip(levels, orders, strict=True):
        if is_ordered:  # 0.9^2 + 0.44^2 = 1: the variance of an effect is effect^2, four fifths of it linear
            main.append(0.9 * _standardised(n)[:, None] * effects((), effect) + 0.44 * effects((n,), effect))
        else:
            main.append(effects((n,), effect))
    pairs = {}
    if interaction:
        for i, j in itertools.combinations(range(len(levels)), 2):
            pairs[i, j] = effects((levels[i], levels[j]), interaction)
    return rng.normal(scale=0.6, size=K), main, pairs


def _standardised(n: int) -> np.ndarray:
    position = np.arange(n, dtype=float) - (n - 1) / 2
    return position / position.std()


def _draw_backgrounds(
    rng: np.random.Generator, shares: list[np.ndarray], n: int, weighted: bool, unseen: int
) -> tuple[list[np.ndarray], np.ndarray]:
    """Levels of the respondents, and weights with mean 1: population share over the sample's share, and a rest."""
    drawn, weight = [], np.ones(n)
    for j, share in enumerate(shares):
        reach = share.copy()
        if unseen and j == len(shares) - 1:
            reach[-unseen:] = 0.0
            reach = reach / reach.sum()
        sampled = reach
        if weighted:
            tilt = reach * np.exp(rng.normal(scale=0.5, size=len(reach)))
            sampled = tilt / tilt.sum()
        codes = rng.choice(len(share), size=n, p=sampled)
        drawn.append(codes)
        weight = weight * reach[codes] / sampled[codes]
    if weighted:
        weight = weight * rng.lognormal(sigma=0.3, size=n)
        weight = weight / weight.mean()
    return drawn, weight


def _all_cells(
    truth: SurveyTruth, names: list[str], levels: list[int], shares: list[np.ndarray]
) -> tuple[pd.DataFrame | None, np.ndarray | None, np.ndarray | None]:
    n_cells = float(np.prod(np.array(levels, dtype=float))) * len(truth.questions)
    if n_cells > MOST_CELLS:
        return None, None, None
    grid = [codes.ravel() for codes in np.meshgrid(*[np.arange(n) for n in levels], indexing="ij")]
    background = pd.DataFrame(
        {
            name: pd.Categorical.from_codes(codes, dtype=truth.dtypes[name])
            for name, codes in zip(names, grid, strict=True)
        }
    )
    share = np.prod([p[codes] for p, codes in zip(shares, grid, strict=True)], axis=0)
    X = pd.concat([background] * len(truth.questions), ignore_index=True)
    if len(truth.questions) > 1:
        X.insert(0, QUESTION_COLUMN, np.repeat(np.array(list(truth.questions), dtype=object), len(background)))
    return X, truth.predict(X), np.tile(share, len(truth.questions))


def _check_count(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} must be a whole number, at least {least}, got {value!r}")


def _repeat(name: str, value: object, n: int) -> list:
    if isinstance(value, Sequence | np.ndarray) and not isinstance(value, str):
        if len(value) != n:
            raise ValueError(f"{name} must be one value or one for each of {n}, got {len(value)}")
        return list(value)
    return [value] * n


def _each(name: str, value: object, n: int, least: int) -> list[int]:
    values = _repeat(name, value, n)
    for one in values:
        _check_count(name, one, least)
    return [int(one) for one in values]
