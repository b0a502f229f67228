"""Predictions belong to a fit: what ``set_params`` changes afterwards has no effect until the next one."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any, ClassVar

__all__ = ["FittedParameters", "fitted_parameter"]

READS_FIT = ("elicit", "sample", "save", "score")
"""Methods that read a fit, beside all whose names begin with "predict"."""


class FittedParameters:
    """Mixin: methods that read a fit see the constructor parameters that it was made with, as in scikit-learn.

    A fit calls `_remember_parameters`. Where a parameter was changed since, ``predict`` and its like run on a shallow
    twin of the estimator that has the old one, so that no line of them has to know about it. Parameters named in
    `_live_parameters` stay as they are now: they say where and how something is computed, not what.
    """

    _live_parameters: ClassVar[frozenset[str]] = frozenset({"verbose"})
    _parameters_at_fit: dict[str, Any]

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        for name, method in list(vars(cls).items()):
            reads = name.startswith("predict") or name in READS_FIT
            if reads and callable(method) and not hasattr(method, "_as_fitted"):
                setattr(cls, name, _on_fitted_parameters(method))

    def _remember_parameters(self) -> None:
        self._parameters_at_fit = self.get_params(deep=False)  # type: ignore[attr-defined]

    def _with_fitted_parameters(self) -> Any:
        """This estimator; if parameters were changed since its fit, a twin that has those of the fit."""
        before: dict[str, Any] = self.__dict__.get("_parameters_at_fit", {})
        changed = {
            name: value
            for name, value in before.items()
            if name not in self._live_parameters and getattr(self, name, value) is not value
        }
        if not changed:
            return self
        twin = copy.copy(self)
        twin.__dict__.update(changed)
        return twin


def fitted_parameter(estimator: object, name: str, default: object = None) -> Any:
    """A parameter as it was when the estimator was fitted; as it is, if the estimator does not remember."""
    before = getattr(estimator, "__dict__", {}).get("_parameters_at_fit", {})
    return before[name] if name in before else getattr(estimator, name, default)


def _on_fitted_parameters(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        twin = self._with_fitted_parameters()
        if twin is self:
            return method(self, *args, **kwargs)
        try:
            return method(twin, *args, **kwargs)
        finally:  # what a prediction keeps for the next one, such as the refits behind intervals
            kept = {name: value for name, value in twin.__dict__.items() if name not in twin._parameters_at_fit}
            self.__dict__.update(kept)

    run._as_fitted = True  # type: ignore[attr-defined]
    return run
