"""From validated cells to trained members: where the rooms of a fit are wired together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch

from surveysim.cells import FitCells, PredictCells
from surveysim.dsa.batches import Task
from surveysim.dsa.inputs import choose_batch_size, make_head, trunk_inputs
from surveysim.dsa.progress import EpochBar
from surveysim.dsa.search import Search, default_plan
from surveysim.dsa.selection import Split, split_respondents
from surveysim.dsa.threads import n_at_once, run_together
from surveysim.dsa.trainer import Fitted, Plan, Settings, Start, Trainer
from surveysim.errors import warn
from surveysim.models.own_torch import own_torch
from surveysim.prompts import Template
from surveysim.trunk.adapters import LoraRecipe
from surveysim.trunk.recipe import Recipe
from surveysim.trunk.store import TrunkInputs

__all__ = ["FitResult", "TrainingCells", "as_member", "fit_members", "make_trainer"]

RATE_TIMES_WIDTH = 0.4
"""Learning rate times the model's width: rates that suit one width suit another in inverse proportion
(Yang et al. 2022, "Tensor Programs V"); the constant was chosen on `nano`."""

LORA_RATE_TIMES_WIDTH = 0.8
"""The same for adapters: SubPOP's 2e-4 at the width of 4096 that it was published for. On `nano`, where it is 25 times
as much, it makes a fair opponent: 500 respondents and 3 questions of `cces_2016`, 4 epochs a stage, divergence .0194,
the last block's .0218 (one split; nothing was chosen by it)."""

MAX_SPLITS = 3
"""Splits of the respondents by which epochs, reference and weight are chosen, in a small survey."""

STACK_SPLITS = (3, 5)
"""The fewest and the most splits where a stack weight is chosen too. Whether a language model is worth adding to a
strong baseline is a small difference, and a split's held-out respondents answer all questions: their luck shows only
between splits, and that spread is itself hardly known from a few."""

CELLS_OF_SPLITS = 2500
"""A large survey gets fewer splits, so that they have about so many cells together: held-out losses are then precise
enough with one or two, and each costs a training."""


@dataclass(frozen=True)
class TrainingCells:
    """What refits need: the cells of a fit as counts, and what was chosen."""

    backgrounds: pd.DataFrame
    question_index: np.ndarray
    counts: np.ndarray
    folds: np.ndarray | None
    plan: Plan
    seed: int


@dataclass(frozen=True)
class FitResult:
    """What a fit hands to the estimator.

    Attributes
    ----------
    members : list of dict
        Each with "state", the head's tensors, "stack_weight", and "baseline" if predictions need it.
    seen_questions : set of str
        Questions with training cells.
    training : TrainingCells
        For refits.
    history : DataFrame
        See `DSARegressor`.
    gap_inflation : dict of str to float, or None
        See `DSARegressor`.
    n_pairs : dict of str to int
        See `DSARegressor`.
    label_mass : float
        See `DSARegressor`.
    baseline : LogitRegressor or None
        If predictions need it.
    """

    members: list[dict[str, Any]]
    seen_questions: set[str]
    training: TrainingCells
    history: pd.DataFrame
    gap_inflation: dict[str, float] | None
    n_pairs: dict[str, int]
    label_mass: float
    baseline: Any


@own_torch()
def fit_members(
    model: Any,
    params: Any,
    cells: FitCells,
    n: np.ndarray,
    folds: np.ndarray | None,
    template: Template,
    rng: np.random.Generator,
    *,
    by_cell: bool,
) -> FitResult:
    """Choose a plan on held-out respondents, then train every member on everybody.

    Parameters
    ----------
    model : LoadedModel
        The base model; never changed.
    params : DSARegressor
        Its constructor parameters are read.
    cells : FitCells
        Training cells.
    n : array of shape (n_cells,)
        Respondents per cell.
    folds : array of shape (n_cells, n_folds, K) or None
        Respondent-disjoint counts of these cells.
    template : Template
        The wording.
    rng : numpy Generator
        Held-out respondents and batches.
    by_cell : bool
        Hold out whole cells, since respondents per cell are unknown.
    """
    counts = n[:, None] * np.nan_to_num(cells.Y, nan=0.0)
    seed = int(rng.integers(2**31))
    with EpochBar(params.verbose) as bar:
        recipe, inputs = trunk_inputs(model, params, template, cells)
        trainer = make_trainer(model, params, recipe, inputs, cells, seed, bar)
        if params.shift_weight != 0 and not trainer.has_pairs:
            warn(
                "stage 2 is skipped: no two cells of a question differ in exactly one attribute, so there are no "
                "shifts to align. shift_weight=0 says so without this warning."
            )
        splits: list[Split] = []
        if params.validation_fraction > 0:
            fewest, most = STACK_SPLITS if params.init == "baseline" else (1, MAX_SPLITS)
            n_splits = int(np.clip(CELLS_OF_SPLITS // len(counts), fewest, most))
            splits = split_respondents(counts, folds, params.validation_fraction, n_splits, rng, by_cell=by_cell)
        if splits:
            plan = Search(trainer, splits).plan()
        else:
            plan = default_plan(trainer.settings, has_pairs=trainer.has_pairs)
        history, n_pairs = trainer.history, trainer.task.n_pairs.tolist()
        n_members = params.n_members or 1
        at_once = n_at_once(trainer.head, n_members)
        # What members keep beside the first one's batches: all of them together stay within the budget.
        room = None if at_once == 1 else max(0, inputs.room - trainer.task.n_bytes) // (at_once - 1)
        first = [trainer]
        del trainer  # in the list alone: its head and batches go before the next one's come

        def train(number: int, check: Callable[[], None]) -> tuple[dict[str, Any], Start | None, float]:
            if number:
                own = make_trainer(model, params, recipe, inputs, cells, seed + number, bar, room)
            else:
                own = first.pop()
            twin = own.twin(check)
            fitted = twin.train(counts, plan)
            if number:
                return as_member(fitted), None, 0.0
            history.extend(twin.history)
            return as_member(fitted), fitted.start, twin.label_mass(model.network.get_output_embeddings())

        trained = run_together([partial(train, number) for number in range(n_members)], at_once)
    _, start, label_mass = trained[0]
    assert start is not None
    attributes = list(cells.backgrounds.columns)
    slopes = start.gap_inflation
    return FitResult(
        members=[member for member, _, _ in trained],
        seen_questions=set(cells.question_names),
        training=TrainingCells(cells.backgrounds, cells.question_index, counts, folds, plan, seed),
        history=pd.DataFrame(history),
        gap_inflation=None if slopes is None else dict(zip(attributes, slopes.tolist(), strict=True)),
        n_pairs=dict(zip(attributes, map(int, n_pairs), strict=True)),
        label_mass=label_mass,
        baseline=start.baseline if params.init == "baseline" else None,
    )


def make_trainer(
    model: Any,
    params: Any,
    recipe: Recipe | LoraRecipe,
    inputs: TrunkInputs,
    cells: PredictCells,
    seed: int,
    bar: EpochBar,
    room: int | None = None,
) -> Trainer:
    """Everything that training on these cells needs, ready on the model's device.

    Parameters
    ----------
    model, params, cells
        As for `fit_members`.
    recipe, inputs
        As `trunk_inputs` gives them; all members share them.
    seed : int
        Of the batches and their order.
    bar : EpochBar
        Told about every epoch.
    room : int, optional
        See `Task`.
    """
    questions = list(cells.questions.values())
    task = Task(
        inputs,
        cells.backgrounds,
        cells.question_index,
        questions,
        max(question.n_options for question in questions),
        choose_batch_size(params.batch_size, recipe),
        np.random.default_rng(seed),
        recipe.device,
        room,
    )
    rate = params.learning_rate
    if rate == "auto":
        rate = (LORA_RATE_TIMES_WIDTH if params.tuning == "lora" else RATE_TIMES_WIDTH) / recipe.width
    settings = Settings(
        init=params.init,
        shift_reference=params.shift_reference,
        shift_weight=params.shift_weight,
        max_epochs=params.max_epochs,
        learning_rate=float(rate),
    )
    return Trainer(
        task,
        cells.backgrounds,
        cells.questions,
        make_head(model, recipe, questions, seed),
        settings,
        torch.Generator().manual_seed(seed),
        bar.epoch,
    )


def as_member(fitted: Fitted) -> dict[str, Any]:
    """A trained head as the estimator keeps it: the blocks' weights in two bytes each, the few others in four.

    The baseline stands beside it where its logits are part of the prediction: refits have baselines of their own.
    """
    state = {
        name: (value.bfloat16() if name.startswith("blocks.") else value).cpu() for name, value in fitted.state.items()
    }
    baseline = None if fitted.start.offset is None else fitted.start.baseline
    return {"state": state, "stack_weight": fitted.plan.stack_weight, "baseline": baseline}
