"""Metrics on a scale of options, and the positions of each row's options on its question's scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from surveysim.interfaces import Table
from surveysim.metrics.checks import Pairs, check_pairs, refuse_debiasing
from surveysim.questions import Question, as_questions

__all__ = ["opinion_alignment", "option_values", "row_names", "wasserstein"]

_NOT_SMOOTH = "an absolute difference of shares is not smooth where predictions are good"


def wasserstein(
    Y_true: ArrayLike,
    Y_pred: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    average: bool = True,
    values: ArrayLike | None = None,
    truth_respondents: None = None,
) -> Any:
    """Wasserstein-1 distance between ordinal distributions as a share of the scale's length, 0 to 1.

    The mean distance that answers have to move along the scale, sum over the gaps between neighbouring positions of
    ``gap * |F_true - F_pred|``, divided by the range of the positions. (``scipy.stats.wasserstein_distance(p, q)``
    takes two distributions for samples; it needs positions and weights.)

    Parameters
    ----------
    Y_true, Y_pred, sample_weight, average
        As in `js_divergence`.
    values : array-like of shape (K,) or (n, K), optional
        Position of each option on the scale; default: equally spaced. One row per cell where questions differ. NaN
        marks options outside the order, such as a pinned "Don't know": their mass is left out of both distributions
        and the rest renormalised. A row of NaN only is a nominal question, which has no such distance.
    truth_respondents : None
        Refused: an absolute value has no second derivative at 0, so that there is no expansion to subtract.

    Returns
    -------
    float, or float64 array of shape (n,)
        Per row NaN where truth or prediction put their whole mass outside the order. The average leaves out rows
        whose *truth* does, since they are left out for every model.

    Raises
    ------
    ValueError
        As in `js_divergence`; if a row is nominal or has fewer than two different positions; if, in an average, a
        *prediction* puts its whole mass outside the order where the truth does not (leaving it out would reward it),
        or no row is left; if `truth_respondents` is given.

    Examples
    --------
    >>> from surveysim.metrics import wasserstein
    >>> wasserstein([[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]])
    0.5
    >>> wasserstein([[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]], values=[0, 1, 10])
    0.1
    """
    return _scaled_distance("wasserstein", Y_true, Y_pred, sample_weight, average, values, truth_respondents)


def opinion_alignment(
    Y_true: ArrayLike,
    Y_pred: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    average: bool = True,
    values: ArrayLike | None = None,
    truth_respondents: None = None,
) -> Any:
    """Opinion alignment, 100 * (1 - `wasserstein`): 100 for equal, 0 for opposite ends of the scale.

    Parameters
    ----------
    Y_true, Y_pred, sample_weight, average, values, truth_respondents
        As in `wasserstein`.

    Returns
    -------
    float, or float64 array of shape (n,)
        NaN and left-out rows as in `wasserstein`.

    Raises
    ------
    ValueError
        As in `wasserstein`.

    References
    ----------
    S. Santurkar et al. (2023), Whose opinions do language models reflect?, ICML; arXiv 2303.17548.

    Examples
    --------
    >>> from surveysim.metrics import opinion_alignment
    >>> opinion_alignment(
    ...     [[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]], [[0.5, 0.0, 0.5], [0.0, 0.0, 1.0]]
    ... )
    87.5
    """
    args = (sample_weight, average, values, truth_respondents)
    return 100 * (1 - _scaled_distance("opinion_alignment", Y_true, Y_pred, *args))


def option_values(
    question: Question | Mapping[str, Question] | None, X: Table, *, question_column: str = "question"
) -> np.ndarray | None:
    """The `values` of ordinal metrics for the rows of X.

    Parameters
    ----------
    question : Question, mapping of str to Question, or None
        As in the estimators.
    X : DataFrame or array-like of n rows
        With a mapping of several questions, its column `question_column` names each row's question.
    question_column : str, default="question"
        That column's name.

    Returns
    -------
    float64 array of shape (n, K), or None where `question` is None
        Positions on each row's scale; NaN for pinned options, past the last option, and in all of a nominal row.

    Raises
    ------
    ValueError
        If the column is missing or names a question that the mapping does not have.

    Examples
    --------
    >>> from surveysim import Question
    >>> option_values(
    ...     Question("Right?", ["no", "unsure", "yes"], values=[-1, 0, 1]),
    ...     [["18-29"], ["30-44"]],
    ... )
    array([[-1.,  0.,  1.],
           [-1.,  0.,  1.]])
    """
    questions = as_questions(question)
    if questions is None:
        return None
    names = row_names(questions, X, question_column)
    unknown = sorted({str(name) for name in names if name not in questions})
    if unknown:
        raise ValueError(f"column {question_column!r} of X names {unknown}, expected one of {list(questions)}")
    width = max(q.n_options for q in questions.values())
    values = {name: np.pad(q.positions, (0, width - q.n_options), constant_values=np.nan)
              for name, q in questions.items()}  # fmt: skip
    return np.array([values[name] for name in names]).reshape(len(names), width)


def row_names(questions: dict[str, Question], X: Table, question_column: str) -> list[Any]:
    """The name of each row's question."""
    if question_column in getattr(X, "columns", ()) and list(questions) != [""]:
        assert isinstance(X, pd.DataFrame)
        return list(X[question_column])
    if len(questions) > 1:
        raise ValueError(
            f"with {len(questions)} questions, X must be a DataFrame whose column {question_column!r} names each "
            f"row's question, got {type(X).__name__} without it"
        )
    return list(questions) * len(np.asarray(X))


def _scaled_distance(
    metric: str,
    Y_true: ArrayLike,
    Y_pred: ArrayLike,
    sample_weight: ArrayLike | None,
    average: bool,
    values: ArrayLike | None,
    truth_respondents: ArrayLike | None,
) -> Any:
    refuse_debiasing(metric, truth_respondents, _NOT_SMOOTH)
    pairs = check_pairs(Y_true, Y_pred, sample_weight=sample_weight, average=average)
    positions = _check_values(values, pairs, metric)
    ordered = ~np.isnan(positions)
    truth, prediction = (_renormalised(P, ordered) for P in (pairs.truth, pairs.prediction))
    order = np.argsort(positions, axis=1)  # NaN goes last, where it adds neither mass nor gap
    difference = np.take_along_axis(truth - prediction, order, axis=1)
    gaps = np.nan_to_num(np.diff(np.take_along_axis(positions, order, axis=1), axis=1))
    rows = (np.abs(np.cumsum(difference, axis=1))[:, :-1] * gaps).sum(axis=1)
    rows = np.minimum(rows / gaps.sum(axis=1), 1.0)
    if not average:
        return rows
    no_truth, no_prediction = (np.isnan(P).any(axis=1) for P in (truth, prediction))
    lost = np.flatnonzero(no_prediction & ~no_truth & pairs.counted)
    if len(lost):
        raise ValueError(
            f"{metric}: Y_pred of row {lost[0]} puts its whole mass on options outside the order ({len(lost)} such "
            "rows). It has no place on the scale, and leaving it out would reward it. Use a model that smooths, or "
            "js_divergence, which counts all options."
        )
    kept = ~no_truth & pairs.counted
    if not kept.any():
        raise ValueError(f"{metric}: Y_true has no mass on an option within the order in any row")
    return float(np.average(rows[kept], weights=pairs.weight[kept]))


def _renormalised(P: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    """P over the options within the order only; a row without mass there is NaN."""
    if ordered.all():
        return P
    P = np.where(ordered, P, 0.0)
    mass = P.sum(axis=1, keepdims=True)
    return np.divide(P, mass, out=np.full_like(P, np.nan), where=mass > 0)


def _check_values(values: ArrayLike | None, pairs: Pairs, metric: str) -> np.ndarray:
    """Positions of shape (n, K), NaN for options that do not exist or are outside the order."""
    n_rows, width = pairs.exists.shape
    if values is None:
        return np.where(pairs.exists, np.arange(1.0, width + 1), np.nan)
    positions = np.asarray(values, dtype=np.float64)
    if (
        positions.ndim not in (1, 2)
        or positions.shape[-1] < width
        or (positions.ndim == 2 and len(positions) != n_rows)
    ):
        raise ValueError(
            f"values must have a position for each of the {width} options, shape ({width},) or ({n_rows}, {width}), "
            f"got shape {positions.shape}"
        )
    if np.isinf(positions).any():
        raise ValueError("values must be finite positions, or NaN for options outside the order, got infinity")
    surplus = ~np.isnan(positions[..., width:])
    if positions.ndim == 1:
        # One scale for all rows: those of shorter questions use its beginning.
        if surplus.any():
            raise ValueError(f"values has {len(positions)} positions, but the longest row has {width} options")
        positions = np.where(pairs.exists, positions[:width], np.nan)
    else:
        surplus_rows = surplus.any(axis=1) | (~np.isnan(positions[:, :width]) & ~pairs.exists).any(axis=1)
        wrong = np.flatnonzero(surplus_rows & pairs.counted)
        if len(wrong):
            raise ValueError(
                f"values of row {wrong[0]} gives positions to more options than the {pairs.exists[wrong[0]].sum()} of "
                "Y_true: they belong to another question"
            )
        positions = np.where(pairs.exists, positions[:, :width], np.nan)
    # Rows that do not count stand in with any scale, so that they break nothing.
    positions = np.where(pairs.counted[:, None], positions, np.arange(1.0, width + 1))
    _refuse_unordered(positions, metric)
    return positions


def _refuse_unordered(positions: np.ndarray, metric: str) -> None:
    nominal = np.flatnonzero(np.isnan(positions).all(axis=1))
    if len(nominal):
        raise ValueError(
            f"{metric} needs options on a scale, but row {nominal[0]} is nominal ({len(nominal)} such rows): its "
            "values are all NaN. Use js_divergence or total_variation for nominal questions."
        )
    low, high = np.nanmin(positions, axis=1), np.nanmax(positions, axis=1)
    flat = np.flatnonzero(low == high)
    if len(flat):
        raise ValueError(f"{metric} needs at least two different positions, row {flat[0]} has only {low[flat[0]]:g}")
