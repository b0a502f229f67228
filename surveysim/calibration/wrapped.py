"""The estimator that a calibrated elicitor wraps, perhaps in further wrappers: who asks, how, whether by weights."""

from __future__ import annotations

from typing import Any

from sklearn.utils.metadata_routing import get_routing_for_object

from surveysim.calibration.priors import ELICITED_BY
from surveysim.interfaces import Estimator

__all__ = ["asks_for_weights", "innermost", "method_of"]


def innermost(estimator: object) -> Any:
    """The estimator that asks, found through pipelines and frozen and other wrappers."""
    seen: set[int] = set()
    while estimator is not None and id(estimator) not in seen:
        seen.add(id(estimator))
        if "question" in getattr(estimator, "__dict__", {}):
            return estimator
        if hasattr(estimator, "steps"):
            estimator = estimator.steps[-1][1]
            continue
        inner = getattr(estimator, "estimator", None)
        if not hasattr(inner, "fit"):
            return estimator
        estimator = inner
    return estimator


def method_of(estimator: Estimator) -> str | None:
    """How an estimator elicits, None if it does not say."""
    inner = innermost(estimator)
    method = getattr(inner, "elicited_by", None) or getattr(inner, "method", None)
    return method if method in ELICITED_BY else None


def asks_for_weights(estimator: Estimator) -> bool:
    """Whether its ``fit`` wants weights, by scikit-learn's metadata routing."""
    requests = getattr(get_routing_for_object(estimator), "fit", None)
    return getattr(requests, "requests", {}).get("sample_weight") is True
