"""From trained members to distributions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.special import softmax

from surveysim.cells import PredictCells
from surveysim.dsa.inputs import choose_batch_size, make_head, trunk_inputs
from surveysim.models.own_torch import own_torch
from surveysim.trunk.head import NO_OPTION, OptionHead
from surveysim.trunk.store import TrunkInputs

__all__ = ["predict_each", "predict_members", "with_questions"]


def predict_members(model: Any, estimator: Any, cells: PredictCells, members: list[dict[str, Any]]) -> np.ndarray:
    """Mean of the members' distributions, (n, K), NaN past the last option of a shorter question."""
    return predict_each(model, estimator, cells, members).mean(axis=0)


@own_torch()
def predict_each(model: Any, estimator: Any, cells: PredictCells, members: list[dict[str, Any]]) -> np.ndarray:
    """Each member's distributions, (n_members, n, K), NaN past the last option of a shorter question.

    Parameters
    ----------
    model : LoadedModel
        The base model that the members were trained on.
    estimator : DSARegressor
        Fitted.
    cells : PredictCells
        What to predict.
    members : list of dict
        As in `FitResult.members`.
    """
    recipe, inputs = trunk_inputs(model, estimator, estimator._template, cells)
    seen = np.isin(cells.question_names, list(estimator._seen_questions))
    head = make_head(model, recipe, cells.questions.values())
    batch_size = choose_batch_size(estimator.batch_size, recipe)
    exists = np.arange(estimator.n_options_) < cells.n_options[:, None]
    found = np.empty((len(members), *exists.shape))
    for member, P in zip(members, found, strict=True):
        offset = np.zeros(exists.shape)
        if member["baseline"] is not None:
            baseline = member["baseline"]
            offset[seen] = np.nan_to_num(baseline.predict_logits(with_questions(baseline, cells))[seen])
        head.restore({name: value.to(recipe.device) for name, value in member["state"].items()})
        logits = _logits(head, inputs, cells.question_index, batch_size, estimator.n_options_)
        weight = np.where(seen, member["stack_weight"], 1.0)[:, None]
        P[:] = softmax(np.where(logits < NO_OPTION / 2, -np.inf, offset + weight * logits), axis=1)
    return np.where(exists, found, np.nan)


def with_questions(baseline: Any, cells: PredictCells) -> pd.DataFrame:
    """The cells as a baseline of several questions reads them: their backgrounds behind a column of questions."""
    X = cells.backgrounds.copy()
    X.insert(0, baseline.question_column, cells.question_names)
    return X


@torch.no_grad()
def _logits(
    head: OptionHead, inputs: TrunkInputs, question_index: np.ndarray, batch_size: int, n_options: int
) -> np.ndarray:
    logits = np.empty((len(question_index), n_options))
    for start in range(0, len(logits), batch_size):
        rows = np.arange(start, min(start + batch_size, len(logits)))
        question = torch.as_tensor(question_index[rows], device=head.rows.device)
        logits[rows] = head(inputs.batch(rows), question).double().cpu().numpy()
    return logits
