"""The distributions that a simulated survey is drawn from."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import softmax

from surveysim.questions import Question
from surveysim.tables import QUESTION_COLUMN

__all__ = ["QuestionLogits", "SurveyTruth", "moved_logits", "question_logits", "standardised"]

QuestionLogits = tuple[np.ndarray, list[np.ndarray], dict[tuple[int, int], np.ndarray]]
"""Option intercepts (K,), main effects [(L_j, K)] and interactions {(i, j): (L_i, L_j, K)} of one question."""


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
    >>> truth = make_survey(
    ...     100, n_backgrounds=1, n_questions=1, n_options=3, random_state=0
    ... ).truth
    >>> truth.predict(pd.DataFrame({"background 1": ["level 1", "level 4"]})).shape
    (2, 3)
    """

    questions: Mapping[str, Question]
    dtypes: Mapping[str, pd.CategoricalDtype]
    logits: Mapping[str, QuestionLogits]
    noise: float

    def distributions(self, question: str, codes: Sequence[np.ndarray]) -> np.ndarray:
        """Compute one question's distributions for levels given by their position.

        Parameters
        ----------
        question : str
            Its name.
        codes : sequence of int arrays of shape (n,)
            For each background the position of each row's level.

        Returns
        -------
        float64 array of shape (n, K)
        """
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


def question_logits(
    rng: np.random.Generator,
    levels: list[int],
    orders: list[bool],
    question: Question,
    effect: float,
    interaction: float,
) -> QuestionLogits:
    """Draw a question's option intercepts (K,), main effects [(L_j, K)] and interactions {(i, j): (L_i, L_j, K)}.

    Parameters
    ----------
    rng : numpy Generator
    levels : list of int
        Levels of each background.
    orders : list of bool
        Whether they have an order.
    question : Question
    effect, interaction : float
        Standard deviations; see `make_survey`.
    """
    main = [_main_effects(rng, n, is_ordered, question, effect) for n, is_ordered in zip(levels, orders, strict=True)]
    pairs = {}
    if interaction:
        for i, j in itertools.combinations(range(len(levels)), 2):
            pairs[i, j] = _effects(rng, (levels[i], levels[j]), question, interaction)
    return rng.normal(scale=0.6, size=question.n_options), main, pairs


def moved_logits(
    rng: np.random.Generator,
    logits: QuestionLogits,
    orders: Sequence[bool],
    question: Question,
    level: float,
    shift: float,
) -> QuestionLogits:
    """A question's logits after opinions moved: all groups together by `level`, each group by `shift`.

    Parameters
    ----------
    rng : numpy Generator
    logits : tuple
        As `question_logits` draws them.
    orders : sequence of bool
        Whether the backgrounds' levels have an order.
    question : Question
    level, shift : float
        Standard deviations of the moves.
    """
    intercept, main, pairs = logits
    moved = intercept + _effects(rng, (), question, level)
    gaps = [
        effects + _main_effects(rng, len(effects), is_ordered, question, shift)
        for effects, is_ordered in zip(main, orders, strict=True)
    ]
    return moved, gaps, dict(pairs)


def _effects(rng: np.random.Generator, shape: tuple[int, ...], question: Question, size: float) -> np.ndarray:
    """Effects (*shape, K): along the scale for an ordinal question, on each option for a nominal one."""
    if question.ordinal:
        return np.asarray(rng.normal(scale=size, size=shape))[..., None] * standardised(question.n_options)
    return rng.normal(scale=size, size=(*shape, question.n_options))


def _main_effects(rng: np.random.Generator, n: int, is_ordered: bool, question: Question, size: float) -> np.ndarray:
    """Effects (n, K) of the levels of one background."""
    if not is_ordered:
        return _effects(rng, (n,), question, size)
    # 0.9^2 + 0.44^2 = 1: the variance of an effect is size^2, four fifths of it linear
    trend = 0.9 * standardised(n)[:, None] * _effects(rng, (), question, size)
    return trend + 0.44 * _effects(rng, (n,), question, size)


def standardised(n: int) -> np.ndarray:
    """Positions 1..n with mean 0 and standard deviation 1."""
    position = np.arange(n, dtype=float) - (n - 1) / 2
    return position / position.std()
