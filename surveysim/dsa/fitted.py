"""A fitted DSA without scikit-learn's interface: trained members, what they were trained on, and what they predict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from scipy.special import softmax
from torch import Tensor

from surveysim.bank.bank import QuestionBank
from surveysim.baselines.logit import LogitRegressor
from surveysim.cells import PredictCells
from surveysim.dsa.inputs import RunOptions, TrainedPart, choose_batch_size, make_head, recipe_of, trunk_inputs
from surveysim.dsa.shifts import baseline_logits
from surveysim.dsa.trainer import Plan, Settings, TrainedHead
from surveysim.errors import warn
from surveysim.models.loaded import LoadedModel
from surveysim.models.own_torch import own_torch
from surveysim.prompts import Template
from surveysim.questions import Question
from surveysim.trunk.head import NO_OPTION, OptionHead
from surveysim.trunk.store import TrunkInputs

__all__ = ["FittedDSA", "Member", "TrainingCells", "with_questions"]


@dataclass(frozen=True)
class Member:
    """A trained head as it is kept: the blocks' weights in two bytes each, the few others in four.

    Attributes
    ----------
    tensors : dict of str to Tensor
        The head's.
    stack_weight : float
        Weight of its logits beside the baseline's.
    baseline : LogitRegressor or None
        Where its logits are part of the prediction; refits have baselines of their own.
    """

    tensors: dict[str, Tensor]
    stack_weight: float
    baseline: LogitRegressor | None

    @classmethod
    def of(cls, trained: TrainedHead) -> Member:
        """What is kept of a training."""
        tensors = {
            name: (value.bfloat16() if name.startswith("blocks.") else value).cpu()
            for name, value in trained.state.items()
        }
        baseline = None if trained.start.offset is None else trained.start.baseline
        return cls(tensors, trained.plan.stack_weight, baseline)


@dataclass(frozen=True)
class TrainingCells:
    """What refits need: the cells of a fit as counts, and what was chosen.

    Attributes
    ----------
    cells : PredictCells
        Backgrounds and questions.
    counts : array of shape (n, K)
        Respondents per option.
    folds : array of shape (n, n_folds, K) or None
        Respondent-disjoint counts.
    plan : Plan
        Epochs, reference and weights.
    seed : int
        Of the batches.
    """

    cells: PredictCells
    counts: np.ndarray
    folds: np.ndarray | None
    plan: Plan
    seed: int

    def baseline(self, counts: np.ndarray) -> LogitRegressor:
        """The baseline fitted to counts of these cells: a convex problem, so that it need not be stored."""
        cells = self.cells
        return baseline_logits(counts, cells.backgrounds, cells.question_index, cells.questions)[1]


@dataclass(frozen=True)
class FittedDSA:
    """What a fit learned.

    Attributes
    ----------
    members : tuple of Member
        Their predictions are averaged.
    part : TrainedPart
        What of the model was trained.
    template : Template
        The wording.
    settings : Settings
        What the user chose for training; refits use it again.
    training : TrainingCells
        What it was trained on.
    n_options : int
        Columns of predictions, K.
    refits : tuple of Member
        Trained without one group of respondents each, for intervals; empty until one was asked for.
    bank : QuestionBank or None
        Where training started, and refits start.
    """

    members: tuple[Member, ...]
    part: TrainedPart
    template: Template
    settings: Settings
    training: TrainingCells
    n_options: int
    refits: tuple[Member, ...] = ()
    bank: QuestionBank | None = None

    @property
    def questions(self) -> dict[str, Question]:
        """All questions by name, in the order of the heads' biases."""
        return self.training.cells.questions

    @property
    def seen_questions(self) -> set[str]:
        """Questions with training cells."""
        return set(self.training.cells.question_names)

    def warn_of_unseen(self, cells: PredictCells) -> None:
        """Warn which questions are predicted although their level was never learned."""
        init, seen = self.settings.init, self.seen_questions
        names = [name for _, name, _, _ in cells.by_question() if name not in seen]
        if names and init is not None:
            warn(
                f"no training cells for {names}: with init={init!r} levels are learned for each question, so these "
                "questions are predicted from the language model's logits alone. For unseen questions fit with "
                "init=None."
            )

    def predict(self, model: LoadedModel, options: RunOptions, cells: PredictCells) -> np.ndarray:
        """Mean of the members' distributions, (n, K), NaN past the last option of a shorter question.

        Parameters
        ----------
        model : LoadedModel
            The base model that the members were trained on.
        options : RunOptions
            How cells are run.
        cells : PredictCells
            What to predict.
        """
        return self.predict_each(model, options, cells, self.members).mean(axis=0)

    @own_torch()
    def predict_each(
        self, model: LoadedModel, options: RunOptions, cells: PredictCells, members: Sequence[Member]
    ) -> np.ndarray:
        """Each of some members' distributions, (n_members, n, K), NaN past the last option of a shorter question.

        Parameters
        ----------
        model, options, cells
            As for `predict`.
        members : sequence of Member
            The fit's own, or those of refits.
        """
        recipe = recipe_of(model, self.part, self.bank)
        inputs = trunk_inputs(model, self.part, options, self.template, cells)
        seen = np.isin(cells.question_names, list(self.seen_questions))
        head = make_head(model, self.part, recipe, cells.questions.values())
        batch_size = choose_batch_size(options.batch_size, recipe)
        exists = np.arange(self.n_options) < cells.n_options[:, None]
        found = np.empty((len(members), *exists.shape))
        for member, P in zip(members, found, strict=True):
            offset = np.zeros(exists.shape)
            if member.baseline is not None:
                logits = member.baseline.predict_logits(with_questions(member.baseline, cells))
                offset[seen] = np.nan_to_num(logits[seen])
            head.restore({name: value.to(recipe.device) for name, value in member.tensors.items()})
            own = _logits(head, inputs, cells.question_index, batch_size, self.n_options)
            weight = np.where(seen, member.stack_weight, 1.0)[:, None]
            P[:] = softmax(np.where(own < NO_OPTION / 2, -np.inf, offset + weight * own), axis=1)
        return np.where(exists, found, np.nan)


def with_questions(baseline: LogitRegressor, cells: PredictCells) -> pd.DataFrame:
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
