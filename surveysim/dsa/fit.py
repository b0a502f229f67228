"""From validated cells to trained members: where the parts of a fit are wired together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch

from surveysim.bank.bank import QuestionBank
from surveysim.bank.means import mean_logits
from surveysim.baselines.logit import LogitRegressor
from surveysim.cells import FitCells, PredictCells
from surveysim.dsa.batches import Batches
from surveysim.dsa.fitted import FittedDSA, Member, TrainingCells
from surveysim.dsa.inputs import RunOptions, TrainedPart, choose_batch_size, make_head, recipe_of, trunk_inputs
from surveysim.dsa.progress import EpochBar
from surveysim.dsa.search import Search, default_plan
from surveysim.dsa.selection import Split, split_respondents
from surveysim.dsa.threads import n_at_once, run_together
from surveysim.dsa.trainer import Plan, Settings, Start, Trainer
from surveysim.errors import warn
from surveysim.models.loaded import LoadedModel
from surveysim.models.own_torch import own_torch
from surveysim.prompts import Template
from surveysim.trunk.adapters import LoraRecipe
from surveysim.trunk.recipe import Recipe
from surveysim.trunk.store import TrunkInputs

__all__ = ["FitResult", "Respondents", "Training", "fit_members", "make_trainer"]

ASSUMED_RESPONDENTS = 100.0
"""Respondents per cell where `sample_weight` is not given: what a cell of a mid-sized survey has."""

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
class Respondents:
    """Who answered in the cells of a fit.

    Attributes
    ----------
    counts : array of shape (n, K)
        Respondents per option.
    folds : array of shape (n, n_folds, K) or None
        Respondent-disjoint counts.
    by_cell : bool
        Whether whole cells are held out, since respondents per cell are unknown.
    """

    counts: np.ndarray
    folds: np.ndarray | None
    by_cell: bool

    @classmethod
    def of(cls, cells: FitCells, folds: np.ndarray | None, *, weighted: bool) -> Respondents:
        """Those of training cells; `weighted`: whether the user said how many they are."""
        n = cells.n if weighted else np.full(len(cells.n), ASSUMED_RESPONDENTS)
        counts = n[:, None] * np.nan_to_num(cells.Y, nan=0.0)
        return cls(counts, folds, by_cell=not weighted and folds is None)


@dataclass(frozen=True)
class Training:
    """What is trained, and how.

    Attributes
    ----------
    part : TrainedPart
        Of the model.
    settings : Settings
        Of training.
    options : RunOptions
        How cells are run.
    template : Template
        The wording.
    bank : QuestionBank or None
        Where training starts; None: at the model's own weights.
    """

    part: TrainedPart
    settings: Settings
    options: RunOptions
    template: Template
    bank: QuestionBank | None = None


@dataclass(frozen=True)
class FitResult:
    """What a fit gives to the estimator; see the attributes of `DSARegressor`.

    Attributes
    ----------
    fitted : FittedDSA
        Predicts.
    history : DataFrame
    gap_inflation : dict of str to float, or None
    n_pairs : dict of str to int
    label_mass : float
    baseline : LogitRegressor or None
        If predictions need it.
    trunk : dict of str to object
        Which way was taken, whether beginnings were shared, and why not.
    """

    fitted: FittedDSA
    history: pd.DataFrame
    gap_inflation: dict[str, float] | None
    n_pairs: dict[str, int]
    label_mass: float
    baseline: LogitRegressor | None
    trunk: dict[str, str | bool | None]


@own_torch()
def fit_members(
    model: LoadedModel, training: Training, cells: FitCells, respondents: Respondents, rng: np.random.Generator
) -> FitResult:
    """Choose a plan on held-out respondents, then train every member on everybody.

    Parameters
    ----------
    model : LoadedModel
        The base model; never changed.
    training : Training
        What is trained, and how.
    cells : FitCells
        Training cells.
    respondents : Respondents
        Who answered in them.
    rng : numpy Generator
        Held-out respondents and batches.
    """
    counts = respondents.counts
    seed = int(rng.integers(2**31))
    with EpochBar(training.options.verbose) as bar:
        recipe = recipe_of(model, training.part, training.bank)
        inputs = trunk_inputs(model, training.part, training.options, training.template, cells)
        make = partial(make_trainer, model, training, recipe, inputs, cells, bar=bar)
        trainer = make(seed)
        plan = _choose_plan(trainer, respondents, rng)
        history, n_pairs = trainer.history, trainer.batches.n_pairs.tolist()
        first = [trainer]
        del trainer  # in the list alone: its head and batches go before the next one's come
        members, start, label_mass = _train_members(model, first, make, counts, plan, seed, history, inputs)
    attributes = list(cells.backgrounds.columns)
    slopes = start.gap_inflation
    kept = PredictCells(cells.backgrounds, cells.question_index, cells.questions)
    return FitResult(
        fitted=FittedDSA(
            members=tuple(members),
            part=training.part,
            template=training.template,
            settings=training.settings,
            training=TrainingCells(kept, counts, respondents.folds, plan, seed),
            n_options=counts.shape[1],
            bank=training.bank,
        ),
        history=pd.DataFrame(history),
        gap_inflation=None if slopes is None else dict(zip(attributes, slopes.tolist(), strict=True)),
        n_pairs=dict(zip(attributes, map(int, n_pairs), strict=True)),
        label_mass=label_mass,
        baseline=start.baseline if training.settings.init == "baseline" else None,
        trunk={"way": recipe.way, "shares_beginnings": recipe.shares, "reason": recipe.reason},
    )


def _choose_plan(trainer: Trainer, respondents: Respondents, rng: np.random.Generator) -> Plan:
    """Epochs, reference and weights, on held-out respondents where there are any."""
    settings = trainer.settings
    if settings.shift_weight != 0 and not trainer.has_pairs:
        warn(
            "stage 2 is skipped: no two cells of a question differ in exactly one attribute, so there are no shifts "
            "to align. shift_weight=0 skips it without this warning."
        )
    splits: list[Split] = []
    if settings.validation_fraction > 0:
        counts = respondents.counts
        fewest, most = STACK_SPLITS if settings.init == "baseline" else (1, MAX_SPLITS)
        n_splits = int(np.clip(CELLS_OF_SPLITS // len(counts), fewest, most))
        splits = split_respondents(
            counts, respondents.folds, settings.validation_fraction, n_splits, rng, by_cell=respondents.by_cell
        )
    if splits:
        return Search(trainer, splits).plan()
    return default_plan(settings, has_pairs=trainer.has_pairs)


def _train_members(
    model: LoadedModel,
    first: list[Trainer],
    make: Callable[..., Trainer],
    counts: np.ndarray,
    plan: Plan,
    seed: int,
    history: list[dict[str, object]],
    inputs: TrunkInputs,
) -> tuple[list[Member], Start, float]:
    """All members, at once where memory allows it; where the first one started, and its label mass.

    `first` holds the trainer that chose the plan, and is emptied; `make` makes further ones from a seed; `history` is
    told what the first one does.
    """
    n_members = first[0].settings.n_members
    at_once = n_at_once(first[0].head, n_members)
    # What members keep beside the first one's batches: all of them together stay within the budget.
    room = None if at_once == 1 else max(0, inputs.room - first[0].batches.n_bytes) // (at_once - 1)
    output = model.network.get_output_embeddings()

    def train(number: int, check: Callable[[], None]) -> tuple[Member, Start | None, float]:
        own = make(seed + number, room=room) if number else first.pop()
        fork = own.fork(check)
        trained = fork.train(counts, plan)
        if number:
            return Member.of(trained), None, 0.0
        history.extend(fork.history)
        return Member.of(trained), trained.start, fork.label_mass(output)

    found = run_together([partial(train, number) for number in range(n_members)], at_once)
    _, start, label_mass = found[0]
    assert start is not None
    return [member for member, _, _ in found], start, label_mass


def make_trainer(
    model: LoadedModel,
    training: Training,
    recipe: Recipe | LoraRecipe,
    inputs: TrunkInputs,
    cells: PredictCells,
    seed: int,
    *,
    bar: EpochBar,
    room: int | None = None,
) -> Trainer:
    """Everything that training on these cells needs, ready on the model's device.

    Parameters
    ----------
    model, training, cells
        As for `fit_members`.
    recipe, inputs
        As `recipe_of` and `trunk_inputs` give them; all members share them.
    seed : int
        Of the batches and their order.
    bar : EpochBar
        Told about every epoch.
    room : int, optional
        See `Batches`.
    """
    questions = list(cells.questions.values())
    settings = training.settings
    batches = Batches(
        inputs,
        cells.backgrounds,
        cells.question_index,
        questions,
        max(question.n_options for question in questions),
        choose_batch_size(settings.batch_size, recipe),
        np.random.default_rng(seed),
        recipe.device,
        room,
    )
    rate = settings.learning_rate
    if rate == "auto":
        rate = (LORA_RATE_TIMES_WIDTH if training.part.tuning == "lora" else RATE_TIMES_WIDTH) / recipe.width
    return Trainer(
        batches,
        cells.backgrounds,
        cells.questions,
        make_head(model, training.part, recipe, questions, seed),
        settings,
        float(rate),
        torch.Generator().manual_seed(seed),
        bar.epoch,
        None
        if training.bank is None
        else mean_logits(training.bank.means, [q.n_options for q in questions], batches.n_options),
    )
