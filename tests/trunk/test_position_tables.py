"""Scalings of positions by a prompt's length: right below where they change, refused beyond."""

from __future__ import annotations

import pytest
import torch

from surveysim.models import load_model
from surveysim.models.anatomy import UnfitModelError
from surveysim.trunk.adapters import pad_tokens
from tests.trunk.recipes import largest, recipe_of
from tests.trunk.test_adapters import recipe_of as lora_of

LONGROPE = {
    "rope_parameters": {
        "rope_type": "longrope", "rope_theta": 10_000.0, "short_factor": [1.0] * 4, "long_factor": [4.0] * 4,
        "original_max_position_embeddings": 100,
    },
    "original_max_position_embeddings": 100,
    "max_position_embeddings": 400,
}  # fmt: skip


def ids(length: int) -> list[int]:
    return [(7 * i) % 500 + 20 for i in range(length)]


@pytest.mark.parametrize("length", [58, 70, 98])
def test_below_the_change_logits_are_the_models_own(tiny, length):
    """Calls are recorded for more positions than a prompt has, which must not choose the other angles."""
    model = load_model(tiny("phi3", **LONGROPE))
    recipe = recipe_of(model)
    tokens = ids(length)
    prefix = recipe.prefix(tokens[:40])
    states = recipe.states(prefix, [tokens[40:]])
    rows, _ = recipe.output_rows(torch.arange(600))
    with torch.no_grad():
        batch = recipe.batch([tokens[:40]], [prefix.states], [tokens[40:]], states, [0])
        found = recipe.scaled(recipe.copy()(batch) @ rows.T)
        expected = model.network(torch.tensor([tokens])).logits[:, -1]
    assert largest(found - expected, expected) < 1e-4


def test_beyond_the_change_prompts_are_refused(tiny):
    model = load_model(tiny("phi3", **LONGROPE))
    recipe = recipe_of(model)
    prefix = recipe.prefix(ids(90))
    with pytest.raises(UnfitModelError, match=r"a prompt has 110 tokens.*scales its positions by how long a prompt is"):
        recipe.states(prefix, [ids(20)])
    adapters = lora_of(model).copy()
    with pytest.raises(UnfitModelError, match="a prompt has 120 tokens"):
        adapters(pad_tokens([ids(120), ids(30)], torch.device("cpu")))
    adapters(pad_tokens([ids(80), ids(30)], torch.device("cpu")))


@pytest.mark.parametrize("family", ["qwen3", "gpt2", "gemma3"])
def test_other_models_take_prompts_of_any_length(tiny, family):
    recipe = recipe_of(load_model(tiny(family)))
    recipe.positions.check(900)
    assert recipe.positions.same(900)
