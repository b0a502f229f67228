"""Skill: how much of a reference's error a model removes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from surveysim.errors import UndefinedMetricWarning, warn
from surveysim.metrics import divergences, ordinal

__all__ = ["skill"]

_LOSSES: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        divergences.js_divergence,
        divergences.js_distance,
        divergences.kl_divergence,
        divergences.total_variation,
        ordinal.wasserstein,
        divergences.rmse,
        divergences.cross_entropy,
    )
}


def skill(
    Y_true: ArrayLike,
    Y_pred: ArrayLike,
    Y_reference: ArrayLike,
    *,
    metric: str = "js_divergence",
    sample_weight: ArrayLike | None = None,
    values: ArrayLike | None = None,
    truth_respondents: ArrayLike | None = None,
) -> float:
    """Skill of a model over a reference: 1 - D(model) / D(reference).

    1 is perfect, 0 no better than the reference, and a negative value worse. The usual reference is the pooled
    marginal.

    Parameters
    ----------
    Y_true, Y_pred : array-like of shape (n, K)
        As in `js_divergence`.
    Y_reference : array-like of shape (n, K)
        What the reference predicts for the same rows.
    metric : str, default="js_divergence"
        The loss D: "js_divergence", "js_distance", "kl_divergence", "total_variation", "wasserstein", "rmse" or
        "cross_entropy".
    sample_weight : array-like of shape (n,), optional
        Weight of each row in both averages.
    values : array-like of shape (K,) or (n, K), optional
        Positions of the options, for `metric="wasserstein"`.
    truth_respondents : float or array-like of shape (n,), optional
        Respondents that each row's truth rests on: both averages are then debiased before they are divided. Without
        it, the truth's own noise stands in both and pulls the skill towards 0.

    Returns
    -------
    float
        NaN, with scikit-learn's ``UndefinedMetricWarning``, where the reference's loss is infinite or not above 0:
        against a (debiased) perfect reference there is no skill to speak of.

    Raises
    ------
    ValueError
        As in the metric; if `metric` is not one of the above; if it cannot be debiased and `truth_respondents` is
        given.

    Examples
    --------
    >>> from surveysim.metrics import skill
    >>> truth, model, marginal = (
    ...     [[0.2, 0.8], [0.6, 0.4]],
    ...     [[0.3, 0.7], [0.5, 0.5]],
    ...     [[0.4, 0.6], [0.4, 0.6]],
    ... )
    >>> round(skill(truth, model, marginal, metric="total_variation"), 4)
    0.5
    """
    if metric not in _LOSSES:
        raise ValueError(f"metric must be one of {sorted(_LOSSES)}, got {metric!r}")
    loss = _LOSSES[metric]
    keywords = {"sample_weight": sample_weight, "values": values, "truth_respondents": truth_respondents}
    model = loss(Y_true, Y_pred, **keywords)
    try:
        reference = loss(Y_true, Y_reference, **keywords)
    except ValueError as error:
        raise ValueError(f"in Y_reference (called Y_pred here): {error}") from None
    if not 0 < reference < np.inf:
        warn(f"the reference's {metric} is {reference:.3g}: skill is undefined (NaN)", UndefinedMetricWarning)
        return float("nan")
    return 1 - model / reference
