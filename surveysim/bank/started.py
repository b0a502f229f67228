"""A recipe whose trained part starts where a bank's ended, over the same frozen blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from surveysim.trunk.adapters import LoraRecipe
from surveysim.trunk.recipe import Recipe
from surveysim.trunk.store import store_of

if TYPE_CHECKING:
    from surveysim.bank.bank import QuestionBank
    from surveysim.models.loaded import LoadedModel

__all__ = ["bank_recipe", "started"]


class _Started:
    """A recipe in all but what it hands out: the bank's blocks, its label rows and its weight."""

    def __init__(self, recipe: Recipe | LoraRecipe, bank: QuestionBank) -> None:
        self._recipe = recipe
        self._bank = bank
        self.weight = bank.weight

    def __getattr__(self, name: str) -> Any:
        return getattr(self._recipe, name)

    def copy(self, seed: int = 0) -> nn.Module:
        """A trainable copy of the bank's blocks, or of its adapters."""
        blocks = self._recipe.copy(seed)
        prefix = "blocks."
        kept = {name.removeprefix(prefix): t for name, t in self._bank.tensors.items() if name.startswith(prefix)}
        blocks.load_state_dict({name: tensor.float() for name, tensor in kept.items()})
        return blocks

    def output_rows(self, ids: Tensor) -> tuple[Tensor, Tensor | None]:
        """The bank's rows where it has trained them, else the model's."""
        rows, bias = self._recipe.output_rows(ids)
        place = {token: row for row, token in enumerate(self._bank.row_ids)}
        for i, token in enumerate(ids.tolist()):
            if token in place:
                rows[i] = self._bank.tensors["rows"][place[token]].to(rows.device)
        return rows, bias


def started(recipe: Recipe | LoraRecipe, bank: QuestionBank | None) -> Recipe | LoraRecipe:
    """The recipe as it is, or as one that starts at a bank; a bank of weight 0 has learned nothing to start from."""
    if bank is None or bank.weight == 0:
        return recipe
    return cast("Recipe | LoraRecipe", _Started(recipe, bank))


def bank_recipe(model: LoadedModel, bank: QuestionBank) -> Recipe | LoraRecipe:
    """The recipe of a bank's trained part, untrained."""
    store = store_of(model)
    with torch.no_grad():
        return store.lora() if bank.tuning == "lora" else store.recipe(bank.n_blocks)
