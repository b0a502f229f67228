"""From trained members to distributions."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.special import softmax

from surveysim.base import PredictCells
from surveysim.training.head import NO_OPTION, OptionHead
from surveysim.training.setup import choose_batch_size, make_head, trunk_inputs
from surveysim.training.trunk import TrunkInputs

__all__ = ["predict_members"]


def predict_members(model: Any, estimator: Any, cells: PredictCells, members: list[dict[str, Any]]) -> np.ndarray:
    """Mean of the members' distributions, (n, K), NaN past the last option of a shorter question.

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
    total = np.zeros((len(cells), estimator.n_options_))
    for member in members:
        offset = np.zeros_like(total)
        if member["baseline"] is not None:
            offset[seen] = np.nan_to_num(_baseline_logits(member["baseline"], cells)[seen])
        head.restore({name: value.to(recipe.device) for name, value in member["state"].items()})
        logits = _logits(head, inputs, cells.question_index, batch_size, estimator.n_options_)
        weight = np.where(seen, member["stack_weight"], 1.0)[:, None]
        total += softmax(np.where(logits < NO_OPTION / 2, -np.inf, offset + weight * logits), axis=1)
    exists = np.arange(estimator.n_options_) < cells.n_options[:, None]
    return np.where(exists, total / len(members), np.nan)


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


def _baseline_logits(baseline: Any, cells: PredictCells) -> np.ndarray:
    X = cells.backgrounds.copy()
    X.insert(0, baseline.question_column, cells.question_names)
    return baseline.predict_logits(X)
