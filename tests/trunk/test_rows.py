"""Llama 4 scales queries by their place in a row: nothing is packed beyond where that begins."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch
import transformers

from surveysim.models.anatomy import UnfitModelError
from surveysim.trunk.frozen_blocks import _rows
from surveysim.trunk.position_tables import longest_row
from surveysim.trunk.recipe import Recipe
from tests.trunk.recipes import largest, logits_of

PREFIX = [5, 17, 300, 301, 44]
ENDS = [[20 + 31 * i, *(40 + 7 * i + j for j in range(i % 4))] for i in range(12)]  # 30 tokens


def llama4(**changes: Any) -> Any:
    """Scales from the 12th token of a row on, by a half and more."""
    shape = {"vocab_size": 600, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4, "head_dim": 8}
    shape |= {"num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size_mlp": 64, "num_local_experts": 2}
    shape |= {"num_experts_per_tok": 1, "attention_chunk_size": 64, "no_rope_layers": [0, 1, 1, 0]}
    config = transformers.Llama4TextConfig(**{**shape, "floor_scale": 13, "attn_scale": 8.0, **changes})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim >= 2:
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.copy_(noise * parameter.shape[-1] ** -0.5)
    return network.eval().requires_grad_(False)


def recipe_for(network: Any, n_blocks: int = 1) -> Recipe:
    return Recipe(network, n_blocks, ([*PREFIX, *ENDS[0]], [*PREFIX, *ENDS[3]]), threading.RLock())


def differences(recipe: Recipe, network: Any, ends: list[list[int]]) -> float:
    """From the model's own logits, one prompt at a time."""
    prefix = recipe.prefix(PREFIX)
    batch = recipe.batch([PREFIX], [prefix.states], ends, recipe.states(prefix, ends), [0] * len(ends))
    expected = torch.stack([network(torch.tensor([[*PREFIX, *end]])).logits[0, -1] for end in ends])
    return largest((logits_of(recipe, recipe.copy(), batch) - expected).detach(), expected)


def test_more_tokens_than_a_row_may_have_are_run_in_several():
    network = llama4()
    recipe = recipe_for(network)
    assert (recipe.way, recipe.shares) == ("last positions", True)
    assert differences(recipe, network, ENDS) < 1e-4
    recipe.frozen.longest_row = None
    assert differences(recipe, network, ENDS) > 1e-2  # in one row


def test_several_trained_blocks_are_run_whole():
    network = llama4()
    with pytest.warns(UserWarning, match=r"attention depends on where a token lies in a row\). It is trained whole"):
        recipe = recipe_for(network, 2)
    assert recipe.way == "whole blocks"
    assert differences(recipe, network, ENDS) < 1e-4


def test_longer_prompts_and_larger_batches_are_refused():
    recipe = recipe_for(llama4())
    prefix = recipe.prefix(PREFIX)
    with pytest.raises(UnfitModelError, match=r"a prompt has 13 tokens: from 13 on, this model scales its attention"):
        recipe.states(prefix, [list(range(20, 28))])
    ends = [*ENDS, ENDS[0]]
    with pytest.raises(UnfitModelError, match=r"a batch has 13 prompts: from 13 on, .* pass a smaller batch_size"):
        recipe.batch([PREFIX], [prefix.states], ends, recipe.states(prefix, ends), [0] * 13)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 12),
        ({"floor_scale": 8192}, 8191),
        ({"attn_temperature_tuning": False}, None),
        ({"no_rope_layers": [1, 1, 1, 1]}, None),
    ],
)
def test_where_a_model_begins_to_scale(changes, expected):
    assert longest_row(llama4(**changes)) == expected


def test_rows_hold_as_many_texts_as_fit():
    assert _rows([3, 4, 5, 1, 1, 9], 9) == [slice(0, 2), slice(2, 5), slice(5, 6)]
    assert _rows([3, 4, 5], None) == [slice(0, 3)]
