"""The metrics as scikit-learn scorers, higher is better; ordinal ones read the estimator's question."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import make_scorer

from surveysim.fitted_parameters import fitted_parameter
from surveysim.interfaces import Estimator, NamedTable, Table
from surveysim.metrics.divergences import (
    cross_entropy,
    js_distance,
    js_divergence,
    kl_divergence,
    rmse,
    total_variation,
)
from surveysim.metrics.ordinal import opinion_alignment, option_values, row_names, wasserstein
from surveysim.option_columns import is_table
from surveysim.questions import Question, as_questions
from surveysim.validation import arrange_options

__all__ = [
    "get_scorer",
    "neg_cross_entropy_scorer",
    "neg_js_distance_scorer",
    "neg_js_divergence_scorer",
    "neg_kl_divergence_scorer",
    "neg_rmse_scorer",
    "neg_total_variation_scorer",
    "neg_wasserstein_scorer",
    "opinion_alignment_scorer",
    "scorer_names",
]

# Where estimators that wrap another keep it: fitted before unfitted.
_WRAPPED = (
    "best_estimator_",
    "estimator_",
    "regressor_",
    "final_estimator_",
    "estimator",
    "regressor",
    "final_estimator",
    "elicitor",
)


# `values` has no default here: if scikit-learn ever stopped calling the scorers' `_score` below, a missing argument
# would say so, where the metrics' default (equally spaced) would silently put nominal questions on a scale.
def _wasserstein_on_scale(
    y_true: ArrayLike, y_pred: ArrayLike, *, values: ArrayLike | None, sample_weight: ArrayLike | None = None
) -> float:
    return wasserstein(y_true, y_pred, values=values, sample_weight=sample_weight)


def _opinion_alignment_on_scale(
    y_true: ArrayLike, y_pred: ArrayLike, *, values: ArrayLike | None, sample_weight: ArrayLike | None = None
) -> float:
    return opinion_alignment(y_true, y_pred, values=values, sample_weight=sample_weight)


# The class of make_scorer's result is private, but what `_score` is given is the same in scikit-learn 1.6 to 1.9, and
# only a subclass shares one call of `predict` among the metrics of cross_validate(scoring={...}).
_Scorer: Any = type(make_scorer(js_divergence, greater_is_better=False, response_method="predict"))


class _OptionScorer(_Scorer):
    """A scorer that puts columns of Y with names in the order of the options."""

    def _score(
        self, method_caller: Callable[..., ArrayLike], estimator: Estimator, X: Table, y_true: ArrayLike, **kwargs: Any
    ) -> float:
        if is_table(y_true):
            y_true = self._by_option(estimator, X, y_true)
        return super()._score(method_caller, estimator, X, y_true, **kwargs)

    def _by_option(self, estimator: Estimator, X: Table, Y: NamedTable) -> ArrayLike:
        questions, question_column = _asked_questions(estimator)
        if questions is None:
            return Y.to_numpy()  # an estimator without questions learned Y in the order in which it came
        names = row_names(questions, X, question_column)
        places = {name: place for place, name in enumerate(questions)}
        return arrange_options(Y, questions, np.array([places.get(name, -1) for name in names]))


class _OrdinalScorer(_OptionScorer):
    """A scorer that tells its metric where each row's options lie on the scale."""

    def _score(
        self, method_caller: Callable[..., ArrayLike], estimator: Estimator, X: Table, y_true: ArrayLike, **kwargs: Any
    ) -> float:
        if kwargs.get("values") is None:
            kwargs["values"] = self._values(estimator, X)
        return super()._score(method_caller, estimator, X, y_true, **kwargs)

    def _values(self, estimator: Estimator, X: Table) -> np.ndarray | None:
        questions, question_column = _asked_questions(estimator)
        if questions is None:
            return None
        values = option_values(questions, X, question_column=question_column)
        if values is not None and np.isnan(values).all(axis=1).any():
            nominal = [name or question.text for name, question in questions.items() if not question.ordinal]
            metric = self._score_func.__name__.strip("_").removesuffix("_on_scale")
            raise ValueError(
                f"the scorer of {metric} needs options on a scale, but X has rows of nominal questions, such as "
                f"{nominal}: score these separately, with neg_js_divergence_scorer or neg_total_variation_scorer"
            )
        return values


def _asked_questions(estimator: object) -> tuple[dict[str, Question] | None, str]:
    """The questions of an estimator and the column that names them, through pipelines, searches and other wrappers.

    Those that it was fitted on, if it is fitted: a ``question=`` that was set since is not what it predicts.
    """
    seen: set[int] = set()
    while estimator is not None and id(estimator) not in seen:
        seen.add(id(estimator))
        questions = getattr(estimator, "questions_", None) or as_questions(getattr(estimator, "question", None))
        if questions is not None:
            return questions, fitted_parameter(estimator, "question_column", "question")
        if hasattr(estimator, "steps"):
            estimator = estimator.steps[-1][1]
            continue
        wrapped = (getattr(estimator, name, None) for name in _WRAPPED)
        estimator = next((inner for inner in wrapped if hasattr(inner, "fit")), None)
    return None, "question"


def _ordinal_scorer(score_func: Callable[..., float], sign: int) -> Any:
    return _OrdinalScorer(score_func, sign, {}, "predict")


def _loss_scorer(metric: Callable[..., float]) -> Any:
    return _OptionScorer(metric, -1, {}, "predict")


neg_js_divergence_scorer = _loss_scorer(js_divergence)
neg_js_distance_scorer = _loss_scorer(js_distance)
neg_kl_divergence_scorer = _loss_scorer(kl_divergence)
neg_total_variation_scorer = _loss_scorer(total_variation)
neg_rmse_scorer = _loss_scorer(rmse)
neg_cross_entropy_scorer = _loss_scorer(cross_entropy)
neg_wasserstein_scorer = _ordinal_scorer(_wasserstein_on_scale, -1)
opinion_alignment_scorer = _ordinal_scorer(_opinion_alignment_on_scale, 1)

_SCORERS = {
    "neg_js_divergence": neg_js_divergence_scorer,
    "neg_js_distance": neg_js_distance_scorer,
    "neg_kl_divergence": neg_kl_divergence_scorer,
    "neg_total_variation": neg_total_variation_scorer,
    "neg_wasserstein": neg_wasserstein_scorer,
    "neg_rmse": neg_rmse_scorer,
    "neg_cross_entropy": neg_cross_entropy_scorer,
    "opinion_alignment": opinion_alignment_scorer,
}
# get_scorer hands out copies of the scorers as they are at import: `set_score_request` changes a scorer in place.
_PRISTINE = copy.deepcopy(_SCORERS)


def get_scorer(name: str) -> Any:
    """Get a fresh copy of the scorer with that name.

    Scorers are called as ``scorer(estimator, X, Y)`` and go wherever scikit-learn takes ``scoring=``. With metadata
    routing enabled, ``set_score_request(sample_weight=True)`` makes the weights in ``params={"sample_weight": n}``
    reach the metric, and ``truth_respondents=True`` those that debias it. As in scikit-learn, `set_score_request`
    changes the scorer in place; a copy protects other users of the module's scorers.

    scikit-learn has no public way to register names: ``scoring="neg_js_divergence"`` is not known to it, so pass
    ``scoring=get_scorer("neg_js_divergence")`` instead.

    Ordinal scorers ("neg_wasserstein", "opinion_alignment") take the positions of the options from the `question` of
    the estimator, or of the estimator within a pipeline, search or other wrapper; a question without one is taken as
    equally spaced. Nominal questions raise an error.

    Parameters
    ----------
    name : str
        One of `scorer_names`.

    Returns
    -------
    scorer : callable

    Raises
    ------
    ValueError
        If there is no such scorer.

    Examples
    --------
    >>> from surveysim.metrics import get_scorer
    >>> scorer = get_scorer("neg_js_divergence")
    """
    if name not in _PRISTINE:
        raise ValueError(f"there is no scorer {name!r}, expected one of {scorer_names()}")
    return copy.deepcopy(_PRISTINE[name])


def scorer_names() -> list[str]:
    """List the names that `get_scorer` knows, sorted.

    Returns
    -------
    list of str

    Examples
    --------
    >>> from surveysim.metrics import scorer_names
    >>> scorer_names()[0]
    'neg_cross_entropy'
    """
    return sorted(_PRISTINE)
