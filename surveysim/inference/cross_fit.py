"""Predictions for respondents by models that did not see them, and for the population by the same models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.utils.validation import has_fit_parameter

from surveysim.distributions import check_distributions
from surveysim.interfaces import Predictor
from surveysim.tables.cells import QUESTION_COLUMN, Cells

__all__ = ["CrossFit", "Predictor", "cross_fit", "no_predictions"]


@dataclass(frozen=True)
class CrossFit:
    """Predictions by fold.

    Attributes
    ----------
    counts : float array of shape (F, n_cells, K)
        Effective respondents of each fold, 0 past the last option.
    cells : float array of shape (F, n_cells, K)
        Predictions for the cells by the model that was fitted without the fold.
    population : float array of shape (F, n_questions * n_population, K)
        The same models' predictions for the population, question by question.
    """

    counts: np.ndarray
    cells: np.ndarray
    population: np.ndarray


def cross_fit(model: Predictor, cells: Cells, people: pd.DataFrame, *, refit: bool) -> CrossFit:
    """Fit a model without each fold of respondents in turn, and predict the cells and the population.

    Parameters
    ----------
    model : estimator, or anything with ``predict`` if it is not refitted
    cells : Cells
        With folds, if it is.
    people : DataFrame
        The background columns of the population.
    refit : bool
        False uses the model as it is: it must not have seen these respondents.

    Raises
    ------
    ValueError
        If there are no folds, or predictions are not distributions.
    """
    rows = population_rows(cells, people)
    shape = (len(cells), cells.Y.shape[1])
    if not refit:
        counts = cells.n[:, None] * np.nan_to_num(cells.Y)
        predicted = _predict(model, pd.concat([cells.X, rows], ignore_index=True), shape[1])
        return CrossFit(counts[None], predicted[None, : shape[0]], predicted[None, shape[0] :])
    if not hasattr(model, "fit"):
        raise TypeError(f"model must be an estimator, got {type(model).__name__}; refit=False takes any predictor")
    if cells.folds is None:
        raise ValueError(
            "the model is fitted without each fold of respondents in turn, and the cells have no folds: "
            "tabulate(..., folds=5). With refit=False a model that did not see these respondents is used as it is."
        )
    counts = cells.folds.transpose(1, 0, 2)
    in_cells, in_population = [], []
    for fold in range(len(counts)):
        fitted = _fit_without(model, cells, fold)
        in_cells.append(_predict(fitted, cells.X, shape[1]))
        in_population.append(_predict(fitted, rows, shape[1]))
    return CrossFit(counts, np.stack(in_cells), np.stack(in_population))


def no_predictions(cells: Cells, people: pd.DataFrame) -> CrossFit:
    """Respondents without a model: it predicts nothing for anybody."""
    counts = cells.n[:, None] * np.nan_to_num(cells.Y)
    nothing = np.zeros((1, len(cells.questions) * len(people), cells.Y.shape[1]))
    return CrossFit(counts[None], np.zeros((1, *counts.shape)), nothing)


def population_rows(cells: Cells, people: pd.DataFrame) -> pd.DataFrame:
    """X of the population, once for each question."""
    people = people[cells.backgrounds].reset_index(drop=True)
    if QUESTION_COLUMN not in cells.X:
        return people
    copies = [people.assign(**{QUESTION_COLUMN: name}) for name in cells.questions]
    return pd.concat(copies, ignore_index=True)[cells.X.columns.tolist()]


def _fit_without(model: Predictor, cells: Cells, fold: int) -> Predictor:
    assert cells.folds is not None
    others = np.delete(cells.folds, fold, axis=1)
    counts = others.sum(axis=1)
    n = counts.sum(axis=1)
    kept = np.flatnonzero(n > 1e-9)
    Y = np.where(np.isnan(cells.Y[kept]), np.nan, counts[kept] / n[kept, None])
    fitted = clone(model)
    extra = {"folds": others[kept]} if has_fit_parameter(fitted, "folds") else {}
    fitted.fit(cells.X.iloc[kept].reset_index(drop=True), Y, sample_weight=n[kept], **extra)
    return fitted  # type: ignore[no-any-return]


def _predict(model: Predictor, X: pd.DataFrame, width: int) -> np.ndarray:
    predicted = check_distributions(model.predict(X), name="the model's predictions")
    if predicted.shape != (len(X), width):
        raise ValueError(f"the model predicts {predicted.shape}, expected {(len(X), width)}: rows of X by options")
    return np.nan_to_num(predicted)
