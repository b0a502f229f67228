"""Adapters: the model with them against peft's own, and the model without them as it was before."""

from __future__ import annotations

import copy
import threading
from typing import Any

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import nn

from surveysim.models import LoadedModel, load_model
from surveysim.models.anatomy import UnfitModelError
from surveysim.trunk import adapters
from surveysim.trunk.adapters import LoraRecipe, pad_tokens
from tests.tiny_models import FAMILIES
from tests.trunk.recipes import PROMPTS, content, own_logits

TARGETS = torch.tensor([3, 50, 7, 8, 120])


def recipe_of(model: LoadedModel) -> LoraRecipe:
    probes = model.encode(["Answer:", "Which of the options would this group choose? Answer:"])
    return LoraRecipe(model.network, (probes[0], probes[1]), model.lock)


def logits_of(recipe: LoraRecipe, blocks: nn.Module) -> torch.Tensor:
    output: Any = recipe.anatomy.output
    rows, bias = recipe.output_rows(torch.arange(len(output.weight)))
    hidden = blocks(pad_tokens(PROMPTS, recipe.device))
    return recipe.scaled(hidden @ rows.T + (0.0 if bias is None else bias))


def untouched(network: Any) -> tuple[Any, ...]:
    """All of a network that tuning could leave changed."""
    modules = [(name, type(module)) for name, module in network.named_modules()]
    flags = [(name, parameter.requires_grad, parameter.grad) for name, parameter in network.named_parameters()]
    return content(network), modules, flags, sorted(vars(network))


def randomised(blocks: Any) -> Any:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in blocks.parameters():
            parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
    return blocks


@pytest.mark.parametrize("family", FAMILIES)
def test_new_adapters_change_nothing_and_trained_ones_do_what_pefts_do(tiny, family):
    model = load_model(tiny(family))
    before = untouched(model.network)
    recipe = recipe_of(model)
    expected = own_logits(model.network)
    blocks = recipe.copy()
    torch.testing.assert_close(logits_of(recipe, blocks), expected, atol=1e-4, rtol=1e-4)
    randomised(blocks)

    other = copy.deepcopy(model.network)  # the same adapters, put in by peft to stay
    conv = type(other.get_submodule(recipe._targets[0])).__name__ == "Conv1D"
    config = LoraConfig(r=8, lora_alpha=32, target_modules=recipe._targets, fan_in_fan_out=conv)
    inject_adapter_in_model(config, other)
    with torch.no_grad():
        for name, down, up in zip(recipe._targets, blocks.down, blocks.up, strict=True):
            layer = other.get_submodule(name)
            layer.lora_A["default"].weight.copy_(down)
            layer.lora_B["default"].weight.copy_(up)
    other.eval()
    found, theirs = logits_of(recipe, blocks), own_logits(other)
    torch.testing.assert_close(found, theirs, atol=1e-4, rtol=1e-3)
    assert float((theirs - expected).detach().abs().max()) > 0.01

    nn.functional.cross_entropy(found, TARGETS).backward()
    nn.functional.cross_entropy(theirs, TARGETS).backward()
    for name, down, up in zip(recipe._targets, blocks.down, blocks.up, strict=True):
        layer = other.get_submodule(name)
        for mine, theirs in ((down, layer.lora_A["default"].weight), (up, layer.lora_B["default"].weight)):
            torch.testing.assert_close(mine.grad, theirs.grad, atol=1e-5, rtol=1e-3)
    assert untouched(model.network) == before


def test_all_blocks_carry_adapters_on_queries_and_values(tiny):
    names = recipe_of(load_model(tiny()))._targets
    assert names == [f"model.layers.{i}.self_attn.{part}_proj" for i in range(3) for part in ("q", "v")]
    assert recipe_of(load_model(tiny("gpt2")))._targets == [f"transformer.h.{i}.attn.c_attn" for i in range(3)]


def test_chunks_change_neither_values_nor_gradients(tiny, monkeypatch):
    model = load_model(tiny())
    recipe = recipe_of(model)
    before = untouched(model.network)
    grads, values = [], []
    for tokens in (10_000, 12, 1):
        monkeypatch.setattr(adapters, "TOKENS_PER_CHUNK", tokens)
        blocks = randomised(recipe.copy())
        values.append(logits_of(recipe, blocks))
        nn.functional.cross_entropy(values[-1], TARGETS).backward()
        grads.append(torch.cat([parameter.grad.ravel() for parameter in blocks.parameters()]))
        assert untouched(model.network) == before  # the backward pass puts adapters in once more
    for value, grad in zip(values[1:], grads[1:], strict=True):
        torch.testing.assert_close(value, values[0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(grad, grads[0], atol=1e-6, rtol=1e-4)


def test_the_first_weights_follow_their_seed_and_draw_from_no_global_generator(tiny):
    model = load_model(tiny())
    recipe = recipe_of(model)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first, same, other = recipe.copy(3), recipe.copy(3), recipe.copy(4)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(first.down, same.down, strict=True))
    assert not torch.equal(first.down[0], other.down[0])
    bound = first.down[0].shape[1] ** -0.5
    assert 0.9 * bound < float(first.down[0].detach().abs().max()) <= bound
    assert all(not parameter.any() for parameter in first.up)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("moment", ["injection", "forward", "backward"])
def test_whatever_interrupts_a_pass_the_model_is_as_it_was(tiny, monkeypatch, moment, error):
    model = load_model(tiny())
    model.network.lm_head.weight.requires_grad_(True)  # flags come back as they were, not as they usually are
    try:
        recipe = recipe_of(model)
        before = untouched(model.network)
        if moment == "injection":
            import peft

            original = peft.inject_adapter_in_model

            def interrupted(*args, **kwargs):
                original(*args, **kwargs)
                raise error

            monkeypatch.setattr(peft, "inject_adapter_in_model", interrupted)
            with pytest.raises(error):
                recipe.copy()
        else:
            monkeypatch.setattr(adapters, "TOKENS_PER_CHUNK", 1)
            blocks = recipe.copy()
            loss = logits_of(recipe, blocks).sum() if moment == "backward" else None

            def hook(module, args, output):
                raise error

            handle = blocks._outside[0].layers[1].register_forward_hook(hook)
            with pytest.raises(error):
                loss.backward() if moment == "backward" else logits_of(recipe, blocks)
            handle.remove()
        assert untouched(model.network) == before
    finally:
        model.network.lm_head.weight.requires_grad_(False)


def test_threads_tune_at_once_as_they_would_alone(tiny):
    model = load_model(tiny())
    recipe = recipe_of(model)
    before = untouched(model.network)

    def train(target: int) -> torch.Tensor:
        blocks = recipe.copy()
        optimizer = torch.optim.SGD(blocks.parameters(), lr=0.5)
        for _ in range(4):
            loss = nn.functional.cross_entropy(logits_of(recipe, blocks), torch.full((5,), target))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return logits_of(recipe, blocks).detach()

    alone = [train(target) for target in range(3)]
    together: dict[int, torch.Tensor] = {}
    threads = [threading.Thread(target=lambda t=t: together.update({t: train(t)})) for t in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for target in range(3):
        torch.testing.assert_close(together[target], alone[target], atol=1e-5, rtol=1e-5)
    assert float((alone[0] - alone[1]).abs().max()) > 0.01
    assert untouched(model.network) == before


def test_reduced_precision_trains_adapters_in_float32(tiny):
    recipe = recipe_of(load_model(tiny(), dtype="bfloat16"))
    blocks = recipe.copy()
    assert {parameter.dtype for parameter in blocks.parameters()} == {torch.float32}
    exact = own_logits(load_model(tiny()).network)
    found = logits_of(recipe, blocks)
    assert float((found - exact).detach().abs().max() / exact.abs().max()) < 0.06
    found.sum().backward()
    assert all(parameter.grad is not None for parameter in blocks.parameters())


def test_a_model_without_such_projections_is_refused(tiny):
    network = copy.deepcopy(load_model(tiny()).network)
    for block in network.model.layers:
        block.self_attn.queries = block.self_attn._modules.pop("q_proj")
        block.self_attn.values = block.self_attn._modules.pop("v_proj")
    with pytest.raises(UnfitModelError, match=r"none of its blocks has a projection called q_proj/v_proj.*last-block"):
        LoraRecipe(network, ([1], [1, 2]), threading.RLock())


def test_an_output_layer_that_does_more_than_its_rows_is_refused(tiny):
    model = load_model(tiny("qwen3", seed=2))
    model.network.lm_head.register_forward_hook(lambda module, args, output: 2 * output)
    with pytest.raises(UnfitModelError, match="cannot be tuned by adapters: its logits differ by"):
        recipe_of(model)
