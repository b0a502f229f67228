"""What a source was given, in one form: cells of a survey, question-level sets, or published toplines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from surveysim.distributions import check_distributions
from surveysim.interfaces import Predictor
from surveysim.questions import Question
from surveysim.sources.names import listed, plain_name
from surveysim.sources.toplines import OptionList, read_toplines
from surveysim.tables import QUESTION_COLUMN, Cells

__all__ = ["NOT_STATED", "Answers", "Given", "Tabulated", "predicted", "read_answers"]

NOT_STATED = "<not stated>"
"""The level of respondents who did not state an attribute; a missing value is the total over it."""


class Tabulated(Protocol):
    """Cells of questions: `Cells`, a question-level set, toplines that were read."""

    @property
    def X(self) -> pd.DataFrame:
        """The question and the group of each row."""

    @property
    def Y(self) -> np.ndarray:
        """Shares."""

    @property
    def n(self) -> np.ndarray:
        """Respondents of each row."""

    @property
    def questions(self) -> Mapping[str, Question | OptionList]:
        """Questions by name."""


Given: TypeAlias = Tabulated | pd.DataFrame | Sequence[Tabulated | pd.DataFrame]
"""What a source is made of; a DataFrame holds published toplines."""


@dataclass(frozen=True, eq=False)
class Answers:
    """Distributions of answers in the source's own words.

    Attributes
    ----------
    backgrounds : DataFrame of m rows
        Object columns; missing: the row is the total over that attribute.
    question_names : object array of shape (m,)
    options : dict of str to tuple of str
        Each question's options.
    texts : dict of str to str
        Each question's wording; "" where it is not known.
    Y : float64 array of shape (m, K)
        NaN past the last option of a shorter question.
    n : float64 array of shape (m,)
        Effective respondents.
    weight : float64 array of shape (m,)
        How much of the sampled population a row stands for: the sum of the survey's weights, else n.
    table : int array of shape (m,)
        Rows of one table are different people; those of two tables may be the same.
    n_is_assumed : bool
        Whether the numbers of respondents are somebody's guess.
    """

    backgrounds: pd.DataFrame
    question_names: np.ndarray
    options: dict[str, tuple[str, ...]]
    texts: dict[str, str]
    Y: np.ndarray
    n: np.ndarray
    weight: np.ndarray
    table: np.ndarray
    n_is_assumed: bool = False

    def __len__(self) -> int:
        return len(self.n)

    @property
    def attributes(self) -> list[Any]:
        """The columns of `backgrounds`."""
        return list(self.backgrounds.columns)


def read_answers(cells: Given) -> Answers:
    """Answers of what `Wave` accepts.

    Parameters
    ----------
    cells : Cells, DataFrame, an object with X, Y, n and questions, or a list of these
        See `Wave`.

    Raises
    ------
    TypeError, ValueError
        If it is none of these, holds no cells, n is negative or missing, or Y is no distribution.
    """
    if isinstance(cells, list | tuple):
        if not cells:
            raise ValueError("cells is an empty list: a source needs at least one table")
        return _joined([_read(part, number) for number, part in enumerate(cells)])
    return _joined([_read(cells, 0)])


def _read(given: object, number: int) -> Answers:
    if not isinstance(given, pd.DataFrame) and hasattr(given, "to_pandas"):
        given = given.to_pandas()
    if isinstance(given, pd.DataFrame):
        given = read_toplines(given)
    if not all(hasattr(given, name) for name in ("X", "Y", "n", "questions")):
        raise TypeError(
            "cells must be what surveysim.tabulate returns, a question-level set (X, Y, n, questions) or a DataFrame "
            f"of toplines, or a list of these; got {type(given).__name__}"
        )
    cells = cast(Tabulated, given)
    X, questions = cells.X, cells.questions
    if QUESTION_COLUMN in X:
        names = X[QUESTION_COLUMN].to_numpy(dtype=object)
    else:
        names = np.full(len(X), next(iter(questions)), dtype=object)
    used = list(dict.fromkeys(names))
    unknown = [name for name in used if name not in questions]
    if unknown:
        raise ValueError(f"cells.questions does not have {listed(unknown)}, which X names")
    frame = X.drop(columns=QUESTION_COLUMN, errors="ignore").astype(object).reset_index(drop=True)
    missing = frame.isna()
    is_survey = isinstance(cells, Cells)
    # in a tabulated survey a missing value is that of respondents, in published tables the total over the attribute
    frame = frame.mask(missing, NOT_STATED) if is_survey else frame.mask(missing, np.nan)
    n = _respondents(cells.n, len(frame))
    kept = n > 0
    if not kept.any():
        raise ValueError("cells holds no respondents: every n is 0")
    Y = check_distributions(
        np.asarray(cells.Y, dtype=float)[kept], [len(questions[name].options) for name in names[kept]], name="cells.Y"
    )
    weight = np.asarray(cells.weight_sum if isinstance(cells, Cells) else n, dtype=float)
    return Answers(
        frame[kept].reset_index(drop=True),
        names[kept],
        {name: tuple(questions[name].options) for name in used},
        {name: getattr(questions[name], "text", "") for name in used},
        Y,
        n[kept],
        weight[kept],
        _tables(frame[kept], number),
        bool(getattr(cells, "n_is_assumed", False)),
    )


def _respondents(n: ArrayLike, rows: int) -> np.ndarray:
    """The numbers of respondents, checked."""
    sizes = np.asarray(n, dtype=float)
    if sizes.shape != (rows,):
        raise ValueError(f"cells.n must have one number for each of {rows:,} rows, got shape {sizes.shape}")
    wrong = np.flatnonzero(~np.isfinite(sizes) | (sizes < 0))
    if len(wrong):
        raise ValueError(
            f"cells.n is {sizes[wrong[0]]} in row {wrong[0]}: the respondents behind a distribution must be a number "
            "of at least 0, since a people source is believed by its size"
        )
    return sizes


def _tables(frame: pd.DataFrame, number: int) -> np.ndarray:
    """A number for each set of attributes that rows state; `number` keeps those of several inputs apart."""
    if not len(frame.columns):
        return np.full(len(frame), 1000 * number)
    patterns = frame.notna().to_numpy()
    _, code = np.unique(patterns, axis=0, return_inverse=True)
    return 1000 * number + code.reshape(-1)


def _joined(parts: Sequence[Answers]) -> Answers:
    """Several tables of one survey as one."""
    if len(parts) == 1:
        return parts[0]
    options: dict[str, tuple[str, ...]] = {}
    texts: dict[str, str] = {}
    for part in parts:
        for name, own in part.options.items():
            if options.setdefault(name, own) != own:
                raise ValueError(
                    f"question {name!r} has other options in another table of cells: {listed(own)} and "
                    f"{listed(options[name])}"
                )
        for name, text in part.texts.items():
            texts[name] = texts.get(name) or text
    width = max(part.Y.shape[1] for part in parts)
    padded = [np.pad(part.Y, ((0, 0), (0, width - part.Y.shape[1])), constant_values=np.nan) for part in parts]
    _refuse_spellings([name for part in parts for name in part.attributes], "attribute")
    _refuse_spellings(list(options), "question")
    columns = list(dict.fromkeys(name for part in parts for name in part.attributes))
    frames = [part.backgrounds.reindex(columns=columns).astype(object) for part in parts]
    return Answers(
        pd.concat(frames, ignore_index=True),
        np.concatenate([part.question_names for part in parts]),
        options,
        texts,
        np.concatenate(padded),
        np.concatenate([part.n for part in parts]),
        np.concatenate([part.weight for part in parts]),
        np.concatenate([part.table for part in parts]),
        any(part.n_is_assumed for part in parts),
    )


def _refuse_spellings(names: Sequence[object], what: str) -> None:
    """One name must not stand for two things in tables of one survey, nor two names for one."""
    known: dict[object, object] = {}
    for name in names:
        first = known.setdefault(plain_name(name), name)
        if first != name:
            raise ValueError(
                f"cells: one table calls the {what} {first!r}, another {name!r}; give it the same name in all of them"
            )


def predicted(answers: Answers, cells: Given, estimator: Predictor) -> np.ndarray:
    """What a fitted estimator predicts of the cells, in the order of the rows of `answers`.

    Raises
    ------
    TypeError, ValueError
        If it has no ``predict``, is not fitted, or predicts other rows or options.
    """
    if not hasattr(estimator, "predict"):
        raise TypeError(f"estimator must be a fitted estimator with predict, got {type(estimator).__name__}")
    if isinstance(cells, Sequence | pd.DataFrame):
        raise TypeError("with estimator=, cells must be one table with X, as surveysim.tabulate returns it")
    known = getattr(estimator, "questions_", None)
    if isinstance(known, Mapping):
        for name, own in answers.options.items():
            other = known.get(name, known.get("") if len(known) == 1 else None)
            if other is not None and tuple(other.options) != own:
                raise ValueError(
                    f"question {name!r}: the estimator's options {listed(other.options)} are not those of cells, "
                    f"{listed(own)}"
                )
    P = np.asarray(estimator.predict(cells.X), dtype=float)
    P = P[np.asarray(cells.n, dtype=float) > 0]
    if len(P) != len(answers):
        raise ValueError(f"estimator.predict gives {len(P)} rows for {len(answers)} cells")
    counts = [len(answers.options[name]) for name in answers.question_names]
    return check_distributions(P, counts, name="estimator.predict")
