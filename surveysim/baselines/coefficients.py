"""Coefficients of several questions by name, which say so to who takes them for those of the columns of X."""

from __future__ import annotations

from typing import NoReturn

import numpy as np

__all__ = ["Coefficients"]


class Coefficients(dict[str, np.ndarray]):
    """A question's coefficients by its name: a row per contrast of its options, a column per term.

    scikit-learn's selectors of features take ``coef_`` for an array with a column for each column of X.
    """

    @property
    def ndim(self) -> NoReturn:
        """Asked for by ``SelectFromModel`` and ``RFE``; there is no such array."""
        raise TypeError(
            "coef_ of a LogitRegressor holds an array for each question, by terms (levels and scores of the "
            "backgrounds), not by columns of X: scikit-learn cannot select columns by it. "
            "sklearn.inspection.permutation_importance says what a column is worth; its importances, or a function "
            "importance_getter=, can be used for a selection"
        )
