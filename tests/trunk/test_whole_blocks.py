"""Blocks that do more than attend are trained whole, at every position, over the same kept states."""

from __future__ import annotations

import copy
import threading
from typing import Any

import pytest
import torch
from torch import nn

from surveysim.models import load_model
from surveysim.models.anatomy import dissect
from surveysim.trunk.block_parts import Parts
from surveysim.trunk.recipe import Recipe
from surveysim.trunk.whole_blocks import LastOfRows, attends_for_last
from tests.trunk.recipes import (
    PREFIXES,
    PROMPTS,
    batch_of,
    content,
    largest,
    logits_of,
    odd_model,
    own_logits,
    quiet,
    recipe_of,
)


def test_a_block_that_mixes_positions_outside_attention_falls_back(tiny):
    model = load_model(tiny("qwen3", seed=1))
    model.network.model.layers[-1].mlp.register_forward_hook(lambda module, args, output: output.cumsum(dim=1))
    with pytest.warns(UserWarning, match=r"cannot be run at last positions alone \(its logits differ by .* relative\)"):
        recipe = recipe_of(model)
    assert recipe.way == "whole blocks"
    assert "logits differ" in recipe.reason
    expected = own_logits(model.network)
    with torch.no_grad():
        found = logits_of(recipe, recipe.copy(), batch_of(recipe))
    assert largest(found - expected, expected) < 1e-4


@pytest.mark.parametrize("kind", ["lfm2, attention last", "qwen3-next"])
def test_hybrid_models_share_nothing_and_are_right(kind):
    network = odd_model(kind)
    recipe = Recipe(network, 1, (PROMPTS[0], PROMPTS[1]), threading.RLock())  # warnings are errors
    assert recipe.way == "last positions"
    assert not recipe.frozen.shares
    assert recipe.prefix(PREFIXES[0]).layers is None
    expected = own_logits(network)
    with torch.no_grad():
        for shared in (True, False):
            found = logits_of(recipe, recipe.copy(), batch_of(recipe, shared=shared))
            assert largest(found - expected, expected) < 1e-4
    assert largest(expected[0] - expected[1], expected) > 0.1


@pytest.mark.parametrize("n_blocks", [1, 2])
@pytest.mark.parametrize("kind", ["lfm2", "falcon", "bloom", "mamba"])
def test_other_blocks_are_trained_whole_over_kept_states_with_one_warning(kind, n_blocks):
    network = odd_model(kind)
    before = content(network)
    with pytest.warns(UserWarning, match="It is trained whole, over the same trunk states") as caught:
        recipe = Recipe(network, n_blocks, (PROMPTS[0], PROMPTS[1]), threading.RLock())
    assert len(caught) == 1
    assert recipe.way == "whole blocks"
    blocks, batch = recipe.copy(), batch_of(recipe)
    expected = own_logits(network)
    assert largest((logits_of(recipe, blocks, batch) - expected).detach(), expected) < 1e-4
    targets = torch.tensor([3, 50, 7, 8, 120])
    whole = copy.deepcopy(network)
    trained = list(dissect(whole).trained_names(n_blocks).values())
    for parameter in trained:
        parameter.requires_grad_(True)
    nn.functional.cross_entropy(own_logits(whole), targets).backward()
    nn.functional.cross_entropy(logits_of(recipe, blocks, batch), targets).backward()
    size = max(float(parameter.grad.abs().max()) for parameter in trained if parameter.grad is not None)
    own = [parameter.grad for parameter in blocks.parameters()]
    for theirs, mine in zip((parameter.grad for parameter in trained), own, strict=True):
        if theirs is not None:
            assert float((theirs - mine).abs().max()) < 1e-4 * size
    assert content(network) == before


def test_what_is_read_at_last_positions_alone_is_run_there_alone():
    network = odd_model("falcon")
    with pytest.warns(UserWarning, match="It is trained whole"):
        recipe = Recipe(network, 1, (PROMPTS[0], PROMPTS[1]), threading.RLock())
    assert "0.mlp" in recipe.parts.at_last
    # keys are read everywhere
    assert not {"0.self_attention", "0.self_attention.query_key_value"} & set(recipe.parts.at_last)
    blocks, batch = recipe.copy(), batch_of(recipe)
    seen = []
    layer = blocks.blocks[-1].mlp.dense_4h_to_h
    layer.register_forward_hook(lambda module, args, output: seen.append(args[0].shape[1]))
    found = blocks(batch).detach()
    assert seen == [1]
    recipe.parts = Parts()
    torch.testing.assert_close(found, recipe.copy()(batch).detach(), atol=1e-6, rtol=1e-5)


def test_the_trunk_of_a_block_that_is_trained_whole_is_run_once(tiny):
    """And no block of the shared model or of a twin runs when a batch is put together."""
    model = load_model(tiny("qwen3", seed=1))
    model.network.model.layers[-1].mlp.register_forward_hook(lambda module, args, output: output.cumsum(dim=1))
    recipe = quiet(model)
    batch_of(recipe)
    ran = []
    for anatomy in (recipe.anatomy, recipe.frozen.own, recipe.frozen.other):
        anatomy.blocks[0].register_forward_hook(lambda *args: ran.append(1))
    ids = [[5, 6, 7], [8, 9]]
    states = recipe.states(recipe.prefix([3, 4]), ids)
    assert ran
    ran.clear()
    prefix = recipe.prefix([3, 4])
    ran.clear()
    with torch.no_grad():
        recipe.copy()(recipe.batch([[3, 4]], [prefix.states], ids, states, [0, 0]))
    assert not ran


# --- attention that looks from last positions alone -------------------------------------------------------------------


def forced(network: Any, monkeypatch: pytest.MonkeyPatch, n_blocks: int = 1) -> Recipe:
    """The recipe of a model of which last positions are said to give other logits."""
    compare = Recipe._mismatch

    def mismatch(recipe: Recipe, *args: Any) -> str | None:
        return "asked for" if recipe.way == "last positions" else compare(recipe, *args)

    monkeypatch.setattr(Recipe, "_mismatch", mismatch)
    with pytest.warns(UserWarning, match=r"at last positions alone \(asked for\). It is trained whole"):
        return Recipe(network, n_blocks, (PROMPTS[0], PROMPTS[1]), threading.RLock())


@pytest.mark.parametrize("n_blocks", [1, 2])
@pytest.mark.parametrize("family", ["qwen3", "gemma2", "mistral-sliding", "gpt2"])
def test_attention_that_is_read_at_last_positions_looks_from_there_alone(tiny, family, n_blocks, monkeypatch):
    network = load_model(tiny(family)).network
    recipe = forced(network, monkeypatch, n_blocks)
    assert recipe.looks_from_last
    batch, looked = batch_of(recipe), []
    look = LastOfRows.__call__
    monkeypatch.setattr(LastOfRows, "__call__", lambda way, asked: looked.append(way.last.tolist()) or look(way, asked))
    found = recipe.copy()(batch)
    assert looked == [[len(prompt) - 1 for prompt in PROMPTS]]  # once, in the last block
    recipe.looks_from_last = False
    expected = recipe.copy()(batch_of(recipe))
    assert len(looked) == 1
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def accumulate(module: nn.Module, args: Any, output: Any) -> Any:
    """Each position's output with those before it added: later positions read earlier ones' attention."""
    first, *rest = output if isinstance(output, tuple) else (output,)
    return (first.cumsum(dim=1), *rest) if isinstance(output, tuple) else first.cumsum(dim=1)


@pytest.mark.parametrize("part", ["self_attn", "mlp"])
def test_attention_that_other_positions_read_is_run_everywhere(tiny, part):
    network = load_model(tiny("qwen3", seed=3 if part == "mlp" else 4)).network
    network.model.layers[-1].get_submodule(part).register_forward_hook(accumulate)
    with pytest.warns(UserWarning, match="It is trained whole"):
        recipe = Recipe(network, 1, (PROMPTS[0], PROMPTS[1]), threading.RLock())
    assert not recipe.looks_from_last
    expected = own_logits(network)
    assert largest((logits_of(recipe, recipe.copy(), batch_of(recipe)) - expected).detach(), expected) < 1e-4


@pytest.mark.parametrize("times", [0, 2])
def test_a_block_that_attends_otherwise_or_twice_is_run_everywhere(tiny, times):
    recipe = recipe_of(load_model(tiny("qwen3")))
    block, call = recipe.copy().blocks[-1], recipe.calls(5)[-1]
    attention = block.self_attn.forward
    block.self_attn.forward = lambda hidden_states, **said: (
        sum((attention(hidden_states=hidden_states, **said)[0] for _ in range(times)), hidden_states),
        None,
    )
    states = torch.randn(1, 5, 32, generator=torch.Generator().manual_seed(0))
    short = call.at(torch.arange(5))
    assert not attends_for_last(block, short, states)
    block.self_attn.forward = attention
    assert attends_for_last(block, short, states)


@pytest.mark.parametrize("kind", ["falcon", "bloom", "lfm2", "mamba"])
def test_attention_of_a_familys_own_is_run_everywhere(kind):
    with pytest.warns(UserWarning, match="It is trained whole"):
        recipe = Recipe(odd_model(kind), 1, (PROMPTS[0], PROMPTS[1]), threading.RLock())
    assert not recipe.looks_from_last
