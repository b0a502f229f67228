"""Running a model's last blocks apart: the same logits and gradients as the whole model, which stays as it was."""

from __future__ import annotations

import copy
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import transformers
from torch import Tensor, nn

from surveysim.models import load_model
from surveysim.models.anatomy import UnfitModelError, dissect
from surveysim.trunk.attention import causal
from surveysim.trunk.last_blocks import LastBlocks
from surveysim.trunk.recipe import Recipe
from surveysim.trunk.whole_blocks import WholeBlocks
from tests.tiny_models import FAMILIES
from tests.trunk.recipes import (
    PREFIXES,
    PROMPTS,
    SUFFIXES,
    batch_of,
    content,
    largest,
    logits_of,
    own_logits,
    quiet,
    recipe_of,
)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("n_blocks", [1, 2, 3])
@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_the_models_own(tiny, family, n_blocks, tied):
    model = load_model(tiny(family, tied=tied))
    recipe = quiet(model, n_blocks)
    expected = own_logits(model.network)
    with torch.no_grad():
        blocks = recipe.copy()
        for shared in (True, False):
            found = logits_of(recipe, blocks, batch_of(recipe, shared=shared))
            assert largest(found - expected, expected) < 1e-4
    # the test could not fail if all prompts had the same logits
    assert largest(expected[0] - expected[1], expected) > 0.1


@pytest.mark.parametrize("n_blocks", [1, 2])
@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_are_the_models_own(tiny, family, n_blocks):
    model = load_model(tiny(family, tied=False))
    recipe = quiet(model, n_blocks)
    targets = torch.tensor([3, 50, 7, 8, 120])

    whole = copy.deepcopy(model.network)
    anatomy = dissect(whole)
    names = list(anatomy.trained_names(n_blocks))
    expected = dict(anatomy.trained_names(n_blocks))
    for parameter in expected.values():
        parameter.requires_grad_(True)
    nn.functional.cross_entropy(own_logits(whole), targets).backward()

    blocks = recipe.copy()
    nn.functional.cross_entropy(logits_of(recipe, blocks, batch_of(recipe)), targets).backward()
    found = dict(blocks.named_parameters())
    first = len(recipe.anatomy.blocks) - n_blocks
    layers = names[0].split(".")[0]
    own_names = {f"{layers}.{first + i}": f"blocks.{i}" for i in range(n_blocks)}
    pairs = []
    for name, parameter in expected.items():
        stem = next((s for s in own_names if name.startswith(s + ".")), None)
        if stem is None:
            pairs.append((parameter, found["norm." + name.rpartition(".")[2]]))
        else:
            pairs.append((parameter, found[own_names[stem] + name.removeprefix(stem)]))
    assert len(pairs) == len(list(blocks.parameters()))
    size = max(float(parameter.grad.abs().max()) for parameter, _ in pairs if parameter.grad is not None)
    assert size > 1e-3
    for parameter, mine in pairs:
        assert parameter.grad is not None
        assert mine.grad is not None
        assert float((parameter.grad - mine.grad).abs().max()) < 1e-4 * size


@pytest.mark.parametrize("n_blocks", [1, 2])
@pytest.mark.parametrize("family", FAMILIES)
def test_beginnings_read_in_place_are_the_blocks_own_attention(tiny, family, n_blocks):
    """Values and gradients of the quick way through the last blocks, and of the way that any block can go."""
    recipe, slow = (recipe_of(load_model(tiny(family)), n_blocks) for _ in range(2))
    slow.way = "whole blocks"
    quick, own = recipe.copy(), slow.copy()
    assert isinstance(quick, LastBlocks)
    assert isinstance(own, WholeBlocks)
    found, expected = quick(batch_of(recipe, [4, 2, 0, 1, 3])), own(batch_of(slow, [4, 2, 0, 1, 3]))
    assert largest((found - expected).detach(), expected.detach()) < 1e-5
    weight = torch.linspace(-1, 1, found.numel()).reshape(found.shape)
    (found * weight).sum().backward()
    (expected * weight).sum().backward()
    size = max(float(parameter.grad.abs().max()) for parameter in own.parameters())
    for mine, theirs in zip(quick.parameters(), own.parameters(), strict=True):
        assert float((mine.grad - theirs.grad).abs().max()) < 1e-5 * size


def test_projections_of_queries_see_one_token_while_keys_are_made(tiny):
    recipe = recipe_of(load_model(tiny("qwen3")))
    assert "self_attn.q_proj" in recipe.unread
    assert not {"self_attn.k_proj", "self_attn.v_proj"} & set(recipe.unread)
    blocks, batch = recipe.copy(), batch_of(recipe)
    seen = []
    blocks.blocks[-1].self_attn.q_proj.register_forward_hook(lambda module, args, output: seen.append(args[0].shape[1]))
    blocks(batch)
    assert seen == [1, len(PROMPTS)]
    assert recipe_of(load_model(tiny("gpt2"))).unread == ()  # queries, keys and values in one matrix


def test_projections_that_are_read_after_all_are_run_for_all_tokens(tiny, monkeypatch):
    monkeypatch.setattr(Recipe, "_spare", lambda self: setattr(self, "unread", ("self_attn.k_proj",)))
    recipe = recipe_of(load_model(tiny("qwen3")))
    assert recipe.way == "last positions"
    assert recipe.unread == ()


def test_sinks_take_their_share(tiny):
    """gpt-oss has sinks in its softmax, and windows in every other layer."""
    shape = {"vocab_size": 600, "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "head_dim": 8}
    shape |= {"num_attention_heads": 4, "num_key_value_heads": 2, "num_local_experts": 2, "num_experts_per_tok": 1}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = transformers.GptOssForCausalLM(transformers.GptOssConfig(**shape, sliding_window=6))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, 0.3, generator=torch.Generator().manual_seed(1))
    network.eval().requires_grad_(False)
    expected = own_logits(network)
    for n_blocks in (1, 2):
        recipe = Recipe(network, n_blocks, (PROMPTS[0], PROMPTS[1]), threading.RLock())
        assert recipe.way == "last positions"
        with torch.no_grad():
            found = logits_of(recipe, recipe.copy(), batch_of(recipe))
        assert largest(found - expected, expected) < 1e-4


def test_nothing_is_padded_and_masks_are_made_once(tiny):
    recipe = recipe_of(load_model(tiny("mistral-sliding")))
    batch = batch_of(recipe)
    rule = batch.calls[-1].rule
    n_tokens = sum(map(len, PREFIXES)) + sum(len(suffix) for suffix, _ in SUFFIXES)
    assert batch.states.shape == (n_tokens, 32)
    ids = torch.tensor([token for part in [*PREFIXES, *(suffix for suffix, _ in SUFFIXES)] for token in part])
    for row, prompt in enumerate(PROMPTS):
        assert ids[batch.keys[row][batch.keys_exist[row]]].tolist() == prompt
        assert batch.positions[batch.keys[row][batch.keys_exist[row]]].tolist() == list(range(len(prompt)))
        visible = batch.keys[row][batch.last_mask(rule, torch.float32)[row] == 0]
        assert batch.positions[visible].tolist() == list(range(len(prompt)))[-8:]
    assert batch.last_mask(rule, torch.float32) is batch.last_mask(rule, torch.float32)
    assert batch.last_mask(rule, torch.float32) is not batch.last_mask(causal, torch.float32)


@pytest.mark.parametrize("family", FAMILIES)
def test_these_families_run_at_last_positions_without_a_warning(tiny, family):
    recipe = recipe_of(load_model(tiny(family)))  # warnings are errors
    assert recipe.way == "last positions"
    assert recipe.reason is None


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("mistral", {"sliding_window": 4}),
        ("gemma3", {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}),
        ("gemma3", {"layer_types": ["sliding_attention", "sliding_attention", "full_attention"]}),
        ("gemma2", {"layer_types": ["full_attention", "full_attention", "sliding_attention"], "sliding_window": 5}),
        ("gemma2", {"final_logit_softcapping": None}),
        ("granite", {"logits_scaling": 0.25}),
        ("qwen3", {"attention_bias": True}),
        ("qwen3", {"num_key_value_heads": 4}),
        ("llama", {"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "rope_theta": 10_000.0}}),
        ("phi3", {"partial_rotary_factor": 0.5}),
        ("qwen2", {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1}),
    ],
)  # fmt: skip
def test_variations_within_a_family(tiny, family, changes):
    model = load_model(tiny(family, **changes))
    expected = own_logits(model.network)
    for n_blocks in (1, 2):
        recipe = recipe_of(model, n_blocks)
        assert recipe.way == "last positions"
        with torch.no_grad():
            found = logits_of(recipe, recipe.copy(), batch_of(recipe))
        assert largest(found - expected, expected) < 1e-4


@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_of_one_equals_a_batch_of_many(tiny, family):
    recipe = quiet(load_model(tiny(family)))
    with torch.no_grad():
        blocks = recipe.copy()
        many = logits_of(recipe, blocks, batch_of(recipe))
        ones = torch.cat([logits_of(recipe, blocks, batch_of(recipe, [row])) for row in range(len(PROMPTS))])
        turned = logits_of(recipe, blocks, batch_of(recipe, [4, 2, 0, 1, 3]))
    assert largest(many - ones, many) < 1e-5
    assert largest(many[[4, 2, 0, 1, 3]] - turned, many) < 1e-5


@pytest.mark.parametrize("family", ["qwen3", "gemma3", "granite", "gpt2"])
def test_training_leaves_the_shared_model_as_it_was(tiny, family):
    model = load_model(tiny(family))
    before = content(model.network)
    recipe = quiet(model)
    batch = batch_of(recipe)
    blocks = recipe.copy()
    untrained = logits_of(recipe, blocks, batch).detach()
    optimizer = torch.optim.AdamW(blocks.parameters(), lr=0.01)
    losses = []
    for _ in range(5):
        loss = nn.functional.cross_entropy(logits_of(recipe, blocks, batch), torch.tensor([3, 50, 7, 8, 120]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]
    assert content(model.network) == before
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in model.network.parameters())
    assert all(not module._forward_pre_hooks for module in model.network.modules())
    # nor do other heads see it: a new one starts where the first one did
    again = logits_of(recipe, recipe.copy(), batch).detach()
    assert torch.equal(again, untrained)


@pytest.mark.parametrize("family", ["qwen3", "gpt2"])
def test_threads_train_at_once_as_they_would_alone(tiny, family):
    model = load_model(tiny(family))
    recipe = quiet(model)
    batch = batch_of(recipe)
    start = threading.Barrier(4)

    def train(target: int) -> Tensor:
        blocks = recipe.copy()
        optimizer = torch.optim.SGD(blocks.parameters(), lr=0.5)
        for _ in range(4):
            loss = nn.functional.cross_entropy(logits_of(recipe, blocks, batch), torch.full((5,), target))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return logits_of(recipe, blocks, batch).detach()

    def train_together(target: int) -> Tensor:
        start.wait()
        return train(target)

    alone = [train(target) for target in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(train_together, range(4)))
    for a, b in zip(alone, together, strict=True):
        assert largest(a - b, a) < 1e-5
    assert largest(alone[0] - alone[1], alone[0]) > 0.1


def test_reduced_precision_stays_close(tiny):
    exact = own_logits(load_model(tiny()).network)
    model = load_model(tiny(), dtype="bfloat16")
    recipe = recipe_of(model)
    assert recipe.way == "last positions"
    blocks = recipe.copy()
    assert {parameter.dtype for parameter in blocks.parameters()} == {torch.float32}
    with torch.no_grad():
        found = logits_of(recipe, blocks, batch_of(recipe))
    assert largest(found - exact, exact) < 0.06


def test_prompts_longer_than_those_seen_before(tiny):
    model = load_model(tiny("mistral-sliding"))
    recipe = recipe_of(model)
    for length in (3, 130, 40):
        ids = [(7 * i) % 500 + 20 for i in range(length)]
        prefix = recipe.prefix(ids[:2])
        states = recipe.states(prefix, [ids[2:]])
        batch = recipe.batch([prefix.ids], [prefix.states], [ids[2:]], states, [0])
        with torch.no_grad():
            found = logits_of(recipe, recipe.copy(), batch)
        expected = model.network(torch.tensor([ids])).logits[0, -1:]
        assert largest(found - expected, expected) < 1e-4


def test_an_output_layer_that_does_more_than_its_rows_is_refused(tiny):
    model = load_model(tiny("qwen3", seed=2))
    model.network.lm_head.register_forward_hook(lambda module, args, output: 2 * output)
    with (
        pytest.warns(UserWarning, match="cannot be run at last positions alone"),
        pytest.raises(UnfitModelError, match=r"cannot be trained by its last blocks: its logits differ by"),
    ):
        recipe_of(model)


@pytest.mark.parametrize("n_blocks", [0, 4])
def test_more_blocks_than_there_are(tiny, n_blocks):
    with pytest.raises(UnfitModelError, match=f"n_blocks={n_blocks}, but the model has 3 blocks"):
        recipe_of(load_model(tiny()), n_blocks)


@pytest.mark.parametrize("family", ["qwen3", "mistral-sliding", "gemma3"])
def test_a_prefix_is_the_same_after_many_batches(tiny, family):
    recipe = quiet(load_model(tiny(family)))
    ids = [(7 * i) % 500 + 20 for i in range(30)]
    prefix = recipe.prefix(ids[:20])
    keys = [layer.key.clone() for layer in prefix.layers]
    first = recipe.states(prefix, [ids[20:], ids[20:25]])
    recipe.states(prefix, [[5, 6, 7]] * 4)
    again = recipe.states(prefix, [ids[20:], ids[20:25]])
    for a, b in zip(first, again, strict=True):
        assert torch.equal(a, b)
    assert all(torch.equal(layer.key, before) for layer, before in zip(prefix.layers, keys, strict=True))
    whole = recipe.frozen.alone(ids)
    torch.testing.assert_close(torch.cat([prefix.states, first[0]]), whole, atol=1e-5, rtol=1e-4)
