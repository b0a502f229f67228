"""Weights for those who answered, from what is known about everybody who was asked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from surveysim.tables.backgrounds import combine, level_codes
from surveysim.tables.columns import require_columns
from surveysim.tables.respondent_weights import RespondentWeights, kish_respondents
from surveysim.tables.respondents import PerRespondent, read_weights, respondent_values, rows_named

__all__ = ["adjust_nonresponse"]


def adjust_nonresponse(
    sample: pd.DataFrame,
    responded: PerRespondent,
    *,
    cells: Sequence[str] | None = None,
    predictors: Sequence[str] | None = None,
    n_classes: int | None = 5,
    weights: PerRespondent | None = None,
) -> RespondentWeights:
    """Weigh those who answered up to those who were asked.

    Within groups in which whether people answer is unrelated to what they answer, respondents stand for the others.
    Groups are `cells`, or classes of a predicted probability to answer.

    Parameters
    ----------
    sample : DataFrame of shape (n_asked, n_columns)
        Everybody who was asked, with what is known about them.
    responded : str or array of bool of shape (n_asked,)
        Who answered.
    cells : list of str, optional
        Columns whose crossing makes the groups; missing values are a level.
    predictors : list of str, optional
        Columns from which a logistic regression (scikit-learn's, categories one-hot, numbers standardised) predicts who
        answers.
    n_classes : int or None, default=5
        Groups of equal size of the predicted probability. None: each weight is divided by the probability itself,
        which removes more bias and costs more precision.
    weights : str or array of shape (n_asked,), optional
        Design weights.

    Returns
    -------
    RespondentWeights
        0 for those who did not answer; otherwise with mean 1.

    Raises
    ------
    ValueError
        If neither or both of `cells` and `predictors` are given, nobody or everybody answered, or nobody answered in a
        group (it is named: merge it with another).

    References
    ----------
    R. J. A. Little (1986), Survey nonresponse adjustments for estimates of means, International Statistical Review 54,
    139-157.

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim.tables import adjust_nonresponse
    >>> asked = pd.DataFrame(
    ...     {"age": ["young"] * 4 + ["old"] * 4, "answered": [1, 0, 0, 0, 1, 1, 0, 0]}
    ... )
    >>> adjust_nonresponse(asked, "answered", cells=["age"]).weights.tolist()
    [1.5, 0.0, 0.0, 0.0, 0.75, 0.75, 0.0, 0.0]
    """
    if not isinstance(sample, pd.DataFrame):
        raise TypeError(f"sample must be a pandas DataFrame, one row per person asked, got {type(sample).__name__}")
    if (cells is None) == (predictors is None):
        raise ValueError("give either cells, columns that make groups, or predictors of who answers")
    columns = list(cells or predictors or [])
    require_columns(sample, columns, "cells" if cells is not None else "predictors")
    if not columns:
        raise ValueError("name at least one column that is known about everybody who was asked")
    answered = _read_responded(sample, responded)
    base = read_weights(sample, weights)
    if cells is not None:
        group, first = combine([level_codes(sample[column]) for column in columns])
        names = [str(row) for row in sample[columns].iloc[first].to_dict("records")]
        factor = _by_group(group, names, base, answered)
    else:
        propensity = _propensities(sample[columns], answered, base)
        if n_classes is None:
            factor = 1.0 / propensity
        else:
            group = _classes(propensity, n_classes)
            factor = _by_group(group, [f"class {g + 1} of {n_classes}" for g in range(n_classes)], base, answered)
    final = np.where(answered, base * factor, 0.0)
    final /= final[final > 0].mean()
    worth = kish_respondents(final)
    return RespondentWeights(
        weights=pd.Series(final, index=sample.index, name="weight"),
        n_before=kish_respondents(base[answered]),
        n_effective=worth,
        n_untrimmed=worth,
        n_trimmed=0,
        margins=pd.DataFrame(columns=["variable", "level", "target", "before", "after"]),
    )


def _read_responded(sample: pd.DataFrame, responded: PerRespondent) -> np.ndarray:
    column = respondent_values(sample, responded, "responded")
    if column.isna().any():
        raise ValueError(f"responded is missing in {rows_named(sample, column.isna().to_numpy())}")
    if not set(column.unique()) <= {0, 1}:
        raise ValueError(f"responded must be true or false (1 or 0), got {list(column.unique())[:5]}")
    answered = column.to_numpy(dtype=bool)
    if answered.all() or not answered.any():
        raise ValueError(f"{'everybody' if answered.all() else 'nobody'} responded: there is nothing to adjust")
    return answered


def _by_group(group: np.ndarray, names: list[str], base: np.ndarray, answered: np.ndarray) -> np.ndarray:
    """Weights of all over those of the respondents, for each person's group."""
    asked = np.bincount(group, weights=base, minlength=len(names))
    there = np.bincount(group, weights=base * answered, minlength=len(names))
    empty = np.flatnonzero((there == 0) & (asked > 0))
    if len(empty):
        raise ValueError(f"nobody answered in {[names[g] for g in empty[:5]]}: merge with other groups")
    return np.asarray(np.divide(asked, there, out=np.ones(len(names)), where=there > 0)[group])


def _classes(propensity: np.ndarray, n_classes: int) -> np.ndarray:
    if isinstance(n_classes, bool) or n_classes < 2:
        raise ValueError(f"n_classes must be at least 2, or None, got {n_classes!r}")
    cuts = np.quantile(propensity, np.arange(1, n_classes) / n_classes)
    return np.searchsorted(cuts, propensity, side="right")


def _propensities(known: pd.DataFrame, answered: np.ndarray, base: np.ndarray) -> np.ndarray:
    from sklearn.linear_model import LogisticRegression  # here: importing it takes longer than all of the tables

    parts = []
    for column in known.columns:
        values = known[column]
        if pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype):
            numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
            absent = np.isnan(numbers)
            spread = np.nanstd(numbers)
            numbers = (numbers - np.nanmean(numbers)) / (spread if spread > 0 else 1.0)
            parts.append(np.where(absent, 0.0, numbers)[:, None])
            parts.append(absent[:, None].astype(np.float64))
        else:
            codes, n_levels = level_codes(values)
            parts.append(np.eye(n_levels)[codes])
    X = np.concatenate(parts, axis=1)
    model = LogisticRegression(max_iter=1000).fit(X, answered, sample_weight=base / base.mean())
    return np.asarray(model.predict_proba(X)[:, 1])
