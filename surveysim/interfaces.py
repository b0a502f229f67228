"""What the library asks of things that are not its own, in types: estimators, tables, sources of randomness."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

__all__ = ["Estimator", "RandomState", "Splitter", "Table"]

RandomState: TypeAlias = int | np.random.RandomState | np.random.Generator | None
"""What scikit-learn takes as `random_state`, and numpy's Generator."""

Table: TypeAlias = pd.DataFrame | ArrayLike
"""Backgrounds: a DataFrame, or an array whose columns have no names."""


class Estimator(Protocol):
    """An estimator by scikit-learn's interface, of whatever library.

    Its ``fit`` may take more than X and Y, and ``predict`` returns a distribution for each row.
    """

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        """Learn from backgrounds and distributions."""

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        """Distributions for backgrounds."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters by name."""

    def set_params(self, **params: Any) -> Any:
        """Set parameters by name."""


class Splitter(Protocol):
    """A cross-validation splitter by scikit-learn's interface."""

    def split(self, *args: Any, **kwargs: Any) -> Any:
        """Positions of training and test rows, fold by fold."""
