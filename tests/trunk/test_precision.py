"""Blocks that are trained apart in float32 end where whole passes in float64 end."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from surveysim.models import load_model
from surveysim.models.anatomy import dissect
from tests.trunk.recipes import batch_of, logits_of, own_logits, recipe_of

TARGETS = torch.tensor([3, 50, 7, 8, 120])


def train(parameters: list[nn.Parameter], logits: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
    """Probabilities after each prompt before and after ten steps."""
    before = logits().detach()
    optimizer = torch.optim.Adam(parameters, lr=3e-4)
    for _ in range(10):
        optimizer.zero_grad()
        nn.functional.cross_entropy(logits(), TARGETS).backward()
        optimizer.step()
    return before.softmax(dim=-1), logits().detach().softmax(dim=-1)


@pytest.mark.parametrize("n_blocks", [1, 2])
def test_training_in_float32_is_off_by_its_rounding_alone(n_blocks):
    model = load_model("nano")
    whole = copy.deepcopy(model.network).double()
    trained = list(dissect(whole).trained_names(n_blocks).values())
    for parameter in trained:
        parameter.requires_grad_(True)
    before, expected = train(trained, lambda: own_logits(whole))

    recipe = recipe_of(model, n_blocks)
    blocks, batch = recipe.copy(), batch_of(recipe)
    assert {parameter.dtype for parameter in blocks.parameters()} == {torch.float32}
    _, found = train(list(blocks.parameters()), lambda: logits_of(recipe, blocks, batch))
    assert float((found - expected).abs().max()) < 1e-5
    assert float((expected - before).abs().max()) > 0.1  # weights that were trained
