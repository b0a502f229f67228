"""What the library expects of things that are not its own, as types: estimators, tables, sources of randomness."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

__all__ = ["JSON", "Estimator", "NamedTable", "Predictor", "RandomState", "Splitter", "Table"]

RandomState: TypeAlias = int | np.random.RandomState | np.random.Generator | None
"""What scikit-learn takes as `random_state`, and numpy's Generator."""

Table: TypeAlias = pd.DataFrame | ArrayLike
"""Backgrounds: a DataFrame, or an array whose columns have no names."""


JSON: TypeAlias = "Mapping[str, JSON] | Sequence[JSON] | str | int | float | bool | None"
"""What JSON can hold, to be read."""


class NamedTable(Protocol):
    """A table whose columns have names, from any library."""

    @property
    def columns(self) -> Iterable[Hashable]:
        """The names, in order."""

    def to_numpy(self) -> np.ndarray:
        """The values, (n, n_columns)."""

    def __array__(self) -> np.ndarray:
        """The same, for numpy."""


class Predictor(Protocol):
    """Something that predicts a distribution for each row of X: a fitted estimator, a pipeline, a search."""

    def predict(self, X: pd.DataFrame, /) -> ArrayLike:
        """Distributions (n, K) for backgrounds."""


class Estimator(Protocol):
    """An estimator with scikit-learn's interface, from any library.

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
    """A cross-validation splitter with scikit-learn's interface."""

    def split(self, *args: Any, **kwargs: Any) -> Any:
        """Positions of training and test rows, fold by fold."""
