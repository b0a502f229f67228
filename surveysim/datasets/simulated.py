"""`make_survey`: simulated surveys of any size whose truth is known for every cell."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

import numpy as np
import pandas as pd

from surveysim.datasets.simulated_draws import draw_survey
from surveysim.datasets.simulated_truth import SurveyTruth, question_logits
from surveysim.datasets.survey import Survey
from surveysim.questions import Question

__all__ = ["check_count", "make_survey"]


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
        The same for every pair of levels of two backgrounds, which a model of main effects cannot capture.
    noise : float, default=0.0
        Share of answers given at random, with equal probabilities.
    missing : float, default=0.0
        Share of answers that are "Don't know", at random.
    weighted : bool, default=False
        Whether groups were sampled at different rates; ``survey.weight`` corrects for it (weights have mean 1).
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
    make_next_wave : The same population later, when opinions have moved.
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
        check_count(name, value, least[name])
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
        name: question_logits(rng, levels, orders, question, effect, interaction)
        for name, question in questions.items()
    }
    truth = SurveyTruth(questions, dtypes, logits, noise)
    shares = [rng.dirichlet(np.full(n, 4.0)) for n in levels]
    return draw_survey(
        rng, truth, shares, n_respondents, missing=missing, weighted=weighted, unseen=unseen, source="make_survey"
    )


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


def check_count(name: str, value: object, least: int) -> None:
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
        check_count(name, one, least)
    return [int(one) for one in values]
