"""From validated cells to trained members, and from members to predictions: where the rooms are wired together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.special import softmax
from tqdm.auto import tqdm

from surveysim.base import FitCells, PredictCells
from surveysim.prompts import Template
from surveysim.training.encode import encode_cells
from surveysim.training.head import OptionHead
from surveysim.training.selection import Split, split_respondents
from surveysim.training.stages import Candidate, Fitted, Settings, Trainer
from surveysim.training.task import Task
from surveysim.training.trunk import store_of

__all__ = ["FitResult", "TrainingCells", "fit_members", "predict_members", "refit"]

RATE_TIMES_WIDTH = 0.2
"""Learning rate times the model's width: rates that suit one width suit another in inverse proportion
(Yang et al. 2022, "Tensor Programs V"); the constant was chosen on `nano`."""

N_SPLITS = 1
"""Splits of the respondents by which epochs, reference and weight are chosen."""


@dataclass(frozen=True)
class TrainingCells:
    """What refits need: the cells of a fit, without any respondent."""

    backgrounds: pd.DataFrame
    question_index: np.ndarray
    counts: np.ndarray
    folds: np.ndarray | None
    plan: dict[str, Any]
    seed: int


@dataclass(frozen=True)
class FitResult:
    """What `fit_members` hands to the estimator; see the attributes of `DSARegressor`."""

    members: list[dict[str, Any]]
    seen_questions: set[str]
    training: TrainingCells
    history: pd.DataFrame
    n_epochs: tuple[int, int]
    shift_weight: float
    shift_reference: str
    stack_weight: float
    gap_inflation: dict[str, float] | None
    n_pairs: dict[str, int]
    label_mass: float
    baseline: Any


def fit_members(
    model: Any,
    params: Any,
    cells: FitCells,
    n: np.ndarray,
    folds: np.ndarray | None,
    template: Template,
    *,
    by_cell: bool,
) -> FitResult:
    """Fit all members of a `DSARegressor`.

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
    by_cell : bool
        Hold out whole cells, since respondents per cell are unknown.
    """
    from surveysim.dsa import as_generator

    rng = as_generator(params.random_state)
    counts = n[:, None] * np.nan_to_num(cells.Y, nan=0.0)
    seed = int(rng.integers(2**31))
    splits: list[Split] = []
    if params.validation_fraction > 0:
        splits = split_respondents(counts, folds, params.validation_fraction, N_SPLITS, rng, by_cell=by_cell)
    with _Bar(params.verbose, "fit") as bar:
        bar.say("trunk")
        trainer = _trainer(model, params, template, cells, seed, bar)
        fitted = trainer.fit(counts, splits)
        plan = {
            "reference": fitted.candidate.reference,
            "weight": fitted.candidate.weight,
            "n_epochs": fitted.n_epochs,
            "stack_weight": fitted.stack_weight,
        }
        training = TrainingCells(cells.backgrounds, cells.question_index, counts, folds, plan, seed)
        members = [_member(fitted)]
        for number in range(1, params.n_members or 1):
            trainer = _trainer(model, params, template, cells, seed + number, bar)
            members.append(_member(refit(trainer, counts, plan)))
        label_mass = _label_mass(trainer, model)
    slopes = fitted.start.gap_inflation
    attributes = list(cells.backgrounds.columns)
    return FitResult(
        members=members,
        seen_questions=set(cells.question_names),
        training=training,
        history=pd.DataFrame(fitted.history),
        n_epochs=fitted.n_epochs,
        shift_weight=fitted.candidate.weight,
        shift_reference=fitted.candidate.reference,
        stack_weight=fitted.stack_weight,
        gap_inflation=None if slopes is None else dict(zip(attributes, slopes.tolist(), strict=True)),
        n_pairs=dict(zip(attributes, map(int, trainer.task.n_pairs.tolist()), strict=True)),
        label_mass=label_mass,
        baseline=fitted.start.baseline if params.init == "baseline" else None,
    )


def refit(trainer: Trainer, counts: np.ndarray, plan: dict[str, Any]) -> Fitted:
    """Train on `counts` with the epochs, reference and weights of an earlier choice."""
    candidate = Candidate(plan["reference"], plan["weight"])
    return trainer.train(counts, candidate, plan["n_epochs"], plan["stack_weight"])


def _trainer(
    model: Any,
    params: Any,
    template: Template,
    cells: PredictCells,
    seed: int,
    bar: _Bar,
) -> Trainer:
    questions = list(cells.questions.values())
    recipe, inputs = _inputs(model, params, template, cells)
    task = Task(
        inputs,
        cells.backgrounds,
        cells.question_index,
        questions,
        max(question.n_options for question in questions),
        _batch_size(params.batch_size, recipe),
        np.random.default_rng(seed),
        recipe.device,
    )
    rate = params.learning_rate
    settings = Settings(
        init=params.init,
        shift_reference=params.shift_reference,
        shift_weight=params.shift_weight,
        max_epochs=params.max_epochs,
        learning_rate=RATE_TIMES_WIDTH / _width(model) if rate == "auto" else float(rate),
    )
    variants = _variants(model, questions)
    return Trainer(
        task,
        cells.backgrounds,
        cells.questions,
        lambda: OptionHead(recipe, variants),
        settings,
        torch.Generator().manual_seed(seed),
        bar.say,
    )


def predict_members(model: Any, params: Any, cells: PredictCells, members: list[dict[str, Any]]) -> np.ndarray:
    """Mean of the members' distributions, (n, K), NaN past the last option of a shorter question.

    Parameters
    ----------
    model : LoadedModel
        The base model the members were trained on.
    params : DSARegressor
        The fitted estimator.
    cells : PredictCells
        What to predict.
    members : list of dict
        As in `FitResult.members`.
    """
    recipe, inputs = _inputs(model, params, params._template, cells)
    questions = list(cells.questions.values())
    seen = np.isin(cells.question_names, list(params._seen_questions))
    offset = np.zeros((len(cells), params.n_options_))
    if params.baseline_ is not None:
        offset[seen] = np.nan_to_num(_baseline_logits(params.baseline_, cells)[seen])
    head = OptionHead(recipe, _variants(model, questions))
    total = np.zeros_like(offset)
    for member in members:
        head.restore({name: value.to(recipe.device) for name, value in member["state"].items()})
        logits = _all_logits(head, inputs, cells.question_index, _batch_size(params.batch_size, recipe), offset.shape)
        weight = np.where(seen, member["stack_weight"], 1.0)[:, None]
        total += softmax(np.where(logits < -1e20, -np.inf, offset + weight * logits), axis=1)
    exists = np.arange(params.n_options_) < cells.n_options[:, None]
    return np.where(exists, total / len(members), np.nan)


def _inputs(model: Any, params: Any, template: Template, cells: PredictCells) -> tuple[Any, Any]:
    questions = list(cells.questions.values())
    prompts = encode_cells(model, template, cells.backgrounds, cells.question_index, questions)
    store = store_of(model)
    inputs = store.inputs(params.n_blocks, prompts, folder=params.trunk_cache, progress=params.verbose > 0)
    return store.recipe(params.n_blocks), inputs


def _baseline_logits(baseline: Any, cells: PredictCells) -> np.ndarray:
    X = cells.backgrounds.copy()
    X.insert(0, baseline.question_column, cells.question_names)
    return baseline.predict_logits(X)


@torch.no_grad()
def _all_logits(
    head: OptionHead, inputs: Any, question_index: np.ndarray, batch_size: int, shape: tuple[int, int]
) -> np.ndarray:
    logits = np.empty(shape)
    for start in range(0, shape[0], batch_size):
        rows = np.arange(start, min(start + batch_size, shape[0]))
        question = torch.as_tensor(question_index[rows], device=head.rows.device)
        logits[rows] = head(inputs.batch(rows), question).double().cpu().numpy()
    return logits


def _member(fitted: Fitted) -> dict[str, Any]:
    """A trained head as the estimator keeps it: block weights in two bytes each, the few others in four."""
    state = {
        name: (value.bfloat16() if name.startswith("blocks.") else value).cpu() for name, value in fitted.state.items()
    }
    return {"state": state, "stack_weight": fitted.stack_weight}


def _label_mass(trainer: Trainer, model: Any) -> float:
    """Mean share of next-token probability on option labels, over one prompt of each question."""
    return trainer.label_mass(model.network.get_output_embeddings())


def _variants(model: Any, questions: list[Any]) -> list[tuple[tuple[int, ...], ...]]:
    return [model.labels(question.n_options).variants for question in questions]


def _width(model: Any) -> int:
    return int(model.network.config.get_text_config().hidden_size)


def _batch_size(batch_size: int | str, recipe: Any) -> int:
    """Cells per step: many where only last positions are run, few where whole passes are."""
    if batch_size != "auto":
        return int(batch_size)
    if not recipe.apart:
        return 32
    return 256 if recipe.anatomy.output.weight.shape[1] <= 1024 else 96


class _Bar:
    """A progress bar over epochs, or nothing."""

    def __init__(self, verbose: int, title: str) -> None:
        self._bar = tqdm(desc=title, unit="epoch", disable=not verbose)

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def say(self, text: str) -> None:
        self._bar.set_description(text)
        self._bar.update()
