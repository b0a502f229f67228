"""What a fusion needs of its elicitor: one that is ready to predict, and distributions that were checked."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from surveysim.baselines.logit import LogitRegressor
from surveysim.cells import PredictCells
from surveysim.distributions import check_distributions
from surveysim.errors import warn
from surveysim.validation import arrange_options

__all__ = ["check_elicited", "ready_base", "ready_elicitor", "warn_missing"]

LEARNERS = {"DSARegressor", "CalibratedElicitor", "BaselineRegressor", "FusedRegressor"}
"""Estimators of the library that learn from respondents, by name: their modules are slow to import."""


def ready_base(base: Any, *, people: bool = False) -> LogitRegressor:
    """The logit that is extended, as an object of its own.

    Without one its variances are learned (``prior="eb"``); where there are `people` among the sources its questions are
    pooled, too (``prior="auto"``).

    Raises
    ------
    TypeError
        If it is another estimator.
    """
    if base is None:
        return LogitRegressor(prior="auto" if people else "eb")
    if not isinstance(base, LogitRegressor):
        raise TypeError(f"base must be a LogitRegressor or None, got {base!r}")
    return clone(base)


def ready_elicitor(
    elicitor: Any, question: Any, question_column: str, X: Any, Y: ArrayLike, sample_weight: ArrayLike | None
) -> Any:
    """A fitted elicitor: the one that was passed if it is fitted, else a clone of it, fitted.

    A clone without questions of its own gets those of the fusion.

    Raises
    ------
    TypeError
        If it has no ``predict``.
    ValueError
        If it was given other questions than the fusion.

    Warns
    -----
    UserWarning
        If it has to be fitted and learns from respondents: it would be judged on those that it was fitted to.
    """
    if isinstance(elicitor, type) or not callable(getattr(elicitor, "predict", None)):
        raise TypeError(
            "elicitor must be an estimator with predict, such as ZeroShotElicitor or RecordedElicitor, got "
            f"{elicitor!r}"
        )
    own = getattr(elicitor, "question", None)
    if own is not None and own != question:
        raise ValueError(
            "elicitor has other questions than the fusion: pass the same question= to both (or none to an elicitor "
            f"that is not fitted). FusedRegressor has {_names(question)}, the elicitor {_names(own)}."
        )
    try:
        check_is_fitted(elicitor)
    except NotFittedError:
        if not hasattr(elicitor, "get_params"):  # scikit-learn 1.6 first asks for it when it clones
            raise TypeError(
                f"elicitor must be an estimator of scikit-learn with fit and predict: {elicitor!r} has no get_params"
            ) from None
    except (TypeError, AttributeError) as error:  # no fit at all, or no tags of scikit-learn
        raise TypeError(f"elicitor must be an estimator of scikit-learn with fit and predict: {error}") from None
    else:
        return elicitor
    if LEARNERS & {parent.__name__ for parent in type(elicitor).__mro__}:
        warn(
            f"elicitor {type(elicitor).__name__} is not fitted and now learns from the same respondents that it is "
            "then joined with: what it adds will look larger than it is. Fit it on others, and pass "
            "sklearn.frozen.FrozenEstimator(fitted)."
        )
    elicitor = clone(elicitor)
    parameters = elicitor.get_params(deep=False)
    if question is not None and "question" in parameters and own is None:
        elicitor.set_params(question=question)
        if "question_column" in parameters:
            elicitor.set_params(question_column=question_column)
    if has_fit_parameter(elicitor, "sample_weight"):
        return elicitor.fit(X, Y, sample_weight=sample_weight)
    return elicitor.fit(X, Y)


def check_elicited(P: Any, cells: PredictCells, n_columns: int) -> np.ndarray:
    """Elicited distributions as float64 (n, n_columns); rows of NaN, where there is none, stay so.

    Raises
    ------
    TypeError
        If they are no numbers.
    ValueError
        If the shape is another, or a row is neither NaN nor a distribution over its question's options.
    """
    P = arrange_options(P, cells.questions, cells.question_index, "elicitor.predict")
    shape = np.shape(P)
    if shape != (len(cells), n_columns):
        raise ValueError(
            f"elicitor.predict returned an array of shape {shape}; {len(cells)} rows and {n_columns} columns (the "
            "options of the longest question) are expected"
        )
    return check_distributions(P, cells.n_options.tolist(), "elicitor.predict", missing_rows=True)


def warn_missing(P: np.ndarray, cells: PredictCells, when: str) -> None:
    """Say how many cells have no elicited distribution, and what becomes of them."""
    missing = np.flatnonzero(np.isnan(P).all(axis=1))
    if len(missing) == 0:
        return
    row = int(missing[0])
    background = ", ".join(f"{name}={value}" for name, value in cells.backgrounds.iloc[row].items())
    name = cells.question_names[row]
    where = f"question {name!r}, {background}" if name else background
    warn(
        f"the elicitor has no distribution for {len(missing)} of {len(cells)} cells {when} (the first: row {row}, "
        f"{where}): for these the fusion falls back to what respondents say, and to what the elicitor said of "
        "other cells of the same question."
    )


def _names(question: Any) -> str:
    from surveysim.questions import Question

    if question is None:
        return "none"
    return f"the question {question.text!r}" if isinstance(question, Question) else f"{list(question)[:10]}"
