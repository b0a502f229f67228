"""What fits and predictions share: prompts, trunk states, label tokens and batch sizes of a set of cells."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from surveysim.bank.bank import QuestionBank
from surveysim.bank.started import started
from surveysim.cells import PredictCells
from surveysim.models.loaded import LoadedModel
from surveysim.models.processes import ModelAddress
from surveysim.prompts import Template
from surveysim.questions import Question
from surveysim.trunk.adapters import LoraRecipe
from surveysim.trunk.encode import encode_cells
from surveysim.trunk.head import OptionHead
from surveysim.trunk.recipe import Recipe
from surveysim.trunk.store import EncodedPrompts, TrunkInputs, store_of

__all__ = [
    "RunOptions",
    "TrainedPart",
    "Tuning",
    "choose_batch_size",
    "inputs_of",
    "make_head",
    "recipe_of",
    "trunk_inputs",
]

Tuning: TypeAlias = Literal["last-block", "lora"]


@dataclass(frozen=True)
class TrainedPart:
    """What of a model is trained; see `DSARegressor`.

    Attributes
    ----------
    tuning : {"last-block", "lora"}
    n_blocks : int
    question_rows : bool
        Whether questions get label rows of their own, where there are several.
    """

    tuning: Tuning
    n_blocks: int
    question_rows: bool = False


@dataclass(frozen=True)
class RunOptions:
    """How cells are run, whatever is trained: a prediction may choose otherwise than the fit; see `DSARegressor`.

    Attributes
    ----------
    batch_size : int or "auto"
    trunk_cache : path or None
    device : str
    local_files_only : bool
    verbose : int
    """

    batch_size: int | Literal["auto"]
    trunk_cache: str | os.PathLike[str] | None
    device: str
    local_files_only: bool
    verbose: int


def recipe_of(model: LoadedModel, part: TrainedPart, bank: QuestionBank | None = None) -> Recipe | LoraRecipe:
    """How this part of the model is trained, from its own weights on or from a bank's."""
    store = store_of(model)
    return started(store.lora() if part.tuning == "lora" else store.recipe(part.n_blocks), bank)


def trunk_inputs(
    model: LoadedModel, part: TrainedPart, options: RunOptions, template: Template, cells: PredictCells
) -> TrunkInputs:
    """Render, tokenise and run the trunk for cells; what has been run before is not run again.

    Adapters change every block, so that they have no trunk: their inputs are the prompts themselves.

    Parameters
    ----------
    model : LoadedModel
        The base model.
    part : TrainedPart
        What is trained, and so not part of the trunk.
    options : RunOptions
        Where states are kept, and by whom they are computed.
    template : Template
        The wording.
    cells : PredictCells
        The cells.
    """
    prompts = encode_cells(model, template, cells.backgrounds, cells.question_index, list(cells.questions.values()))
    return inputs_of(model, part, options, prompts)


def inputs_of(model: LoadedModel, part: TrainedPart, options: RunOptions, prompts: EncodedPrompts) -> TrunkInputs:
    """The same for prompts that are token ids already."""
    store = store_of(model)
    if part.tuning == "lora":
        return TrunkInputs(store.lora(), prompts, [], [])
    return store.inputs(
        part.n_blocks,
        prompts,
        folder=options.trunk_cache,
        address=ModelAddress.of(model, device=options.device, local_files_only=options.local_files_only),
        verbose=options.verbose,
    )


def make_head(
    model: LoadedModel, part: TrainedPart, recipe: Recipe | LoraRecipe, questions: Iterable[Question], seed: int = 0
) -> OptionHead:
    """An untrained head for these questions.

    Parameters
    ----------
    model : LoadedModel
        Says which tokens are labels.
    part : TrainedPart
        What is trained.
    recipe : Recipe or LoraRecipe
        Hands out what is trained.
    questions : iterable of Question
        In the order of the head's biases.
    seed : int, default=0
        Where adapters start.
    """
    variants = [model.labels(question.n_options).variants for question in questions]
    return OptionHead(recipe, variants, seed, question_rows=part.question_rows and len(variants) > 1)


def choose_batch_size(batch_size: int | Literal["auto"], recipe: Recipe | LoraRecipe) -> int:
    """Cells per step; "auto": many where only last positions are run, few where whole passes are."""
    if batch_size != "auto":
        return batch_size
    if not recipe.apart:
        return 32
    return 128 if recipe.width <= 1024 else 64
