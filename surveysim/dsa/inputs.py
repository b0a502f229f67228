"""What fits and predictions share: prompts, trunk states, label tokens and batch sizes of a set of cells."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from surveysim.cells import PredictCells
from surveysim.models.processes import ModelAddress
from surveysim.prompts import Template
from surveysim.questions import Question
from surveysim.trunk.adapters import LoraRecipe
from surveysim.trunk.encode import encode_cells
from surveysim.trunk.head import OptionHead
from surveysim.trunk.recipe import Recipe
from surveysim.trunk.store import TrunkInputs, store_of

__all__ = ["choose_batch_size", "make_head", "trunk_inputs"]


def trunk_inputs(
    model: Any, params: Any, template: Template, cells: PredictCells
) -> tuple[Recipe | LoraRecipe, TrunkInputs]:
    """Render, tokenise and run the trunk for cells; what has been run before is not run again.

    Adapters change every block, so that they have no trunk: their inputs are the prompts themselves.

    Parameters
    ----------
    model : LoadedModel
        The base model.
    params : DSARegressor
        `tuning`, `n_blocks`, `trunk_cache`, `device`, `local_files_only` and `verbose` are read.
    template : Template
        The wording.
    cells : PredictCells
        The cells.
    """
    prompts = encode_cells(model, template, cells.backgrounds, cells.question_index, list(cells.questions.values()))
    store = store_of(model)
    if params.tuning == "lora":
        return store.lora(), TrunkInputs(store.lora(), prompts, [], [])
    inputs = store.inputs(
        params.n_blocks,
        prompts,
        folder=params.trunk_cache,
        address=ModelAddress.of(model, device=params.device, local_files_only=params.local_files_only),
        progress=params.verbose > 0,
    )
    return store.recipe(params.n_blocks), inputs


def make_head(model: Any, recipe: Recipe | LoraRecipe, questions: Iterable[Question], seed: int = 0) -> OptionHead:
    """An untrained head for these questions; `seed` says where adapters start."""
    return OptionHead(recipe, [model.labels(question.n_options).variants for question in questions], seed)


def choose_batch_size(batch_size: int | str, recipe: Recipe | LoraRecipe) -> int:
    """Cells per step; "auto": many where only last positions are run, few where whole passes are."""
    if batch_size != "auto":
        return int(batch_size)
    if not recipe.apart:
        return 32
    return 128 if recipe.width <= 1024 else 64
