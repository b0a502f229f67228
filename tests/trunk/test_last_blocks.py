"""Running a model's last blocks apart: the same logits and gradients as the whole model, which stays as it was."""

from __future__ import annotations

import copy
import hashlib
import threading
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

from surveysim.models import LoadedModel, load_model
from surveysim.models.anatomy import UnfitModelError, dissect
from surveysim.trunk.recipe import Recipe, pad_tokens
from surveysim.trunk.state_batches import pack_states
from surveysim.trunk.whole_passes import WholePass
from tests.tiny_models import FAMILIES

# GPT-2 keeps its positions outside the blocks, and its block calls its cache in another way.
APART = [family for family in FAMILIES if family != "gpt2"]

PREFIXES = [[5, 17, 300, 301, 44, 12, 90, 91, 92, 93, 94], [5, 17, 77]]
SUFFIXES = [
    ([21], 0),
    ([400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413], 0),
    ([33, 34, 35], 1),
    ([36, 250, 36, 36, 36], 0),
    ([210, 211, 212, 213, 214, 215, 216, 217, 218, 219, 220], 1),
]
PROMPTS = [PREFIXES[group] + suffix for suffix, group in SUFFIXES]


def recipe_of(model: LoadedModel, n_blocks: int = 1) -> Recipe:
    probes = model.encode(["Happy?", "Happy or not, and how much? Answer:"])
    return Recipe(model.network, n_blocks, (probes[0], probes[1]), model.lock)


def batch_of(recipe: Recipe, rows: Sequence[int] = range(len(SUFFIXES)), *, shared: bool = True) -> Any:
    """Inputs of the trained blocks for some of the prompts, their common beginnings run once or not."""
    if not recipe.apart:
        return pad_tokens([PROMPTS[row] for row in rows], recipe.device)
    prefixes: list[Tensor] = []
    suffixes: dict[int, Tensor] = {}
    groups: dict[int, int] = {}
    if not shared:
        nothing = recipe.prefix([])
        states = recipe.states(nothing, [PROMPTS[row] for row in rows])
        return pack_states([nothing.states], states, [0] * len(states), recipe.calls(64), recipe.device)
    for group, prefix_ids in enumerate(PREFIXES):
        members = [row for row in rows if SUFFIXES[row][1] == group]
        if members:
            prefix = recipe.prefix(prefix_ids)
            states = recipe.states(prefix, [SUFFIXES[row][0] for row in members])
            groups |= dict.fromkeys(members, len(prefixes))
            prefixes.append(prefix.states)
            suffixes |= dict(zip(members, states, strict=True))
    calls = recipe.calls(max(map(len, PROMPTS)))
    return pack_states(prefixes, [suffixes[r] for r in rows], [groups[r] for r in rows], calls, recipe.device)


def logits_of(recipe: Recipe, blocks: nn.Module, batch: Any) -> Tensor:
    output: Any = recipe.anatomy.output
    rows, bias = recipe.output_rows(torch.arange(len(output.weight)))
    return recipe.scaled(blocks(batch) @ rows.T + (0.0 if bias is None else bias))


def own_logits(network: Any) -> Tensor:
    """The model's logits after each prompt, one prompt at a time: nothing is padded, nothing is shared."""
    return torch.stack([network(torch.tensor([ids])).logits[0, -1] for ids in PROMPTS])


def largest(difference: Tensor, scale: Tensor) -> float:
    return float(difference.abs().max() / scale.abs().max())


def content(network: Any) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode() + tensor.numpy().tobytes())
    return digest.hexdigest()


def quiet(model: LoadedModel, n_blocks: int = 1) -> Recipe:
    """The recipe, with the one warning of models that fall back left out."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*Training falls back to whole forward passes")
        return recipe_of(model, n_blocks)


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
    if recipe.apart:
        found = dict(blocks.named_parameters())
        first = int(recipe.anatomy.blocks.__len__()) - n_blocks
        layers = names[0].split(".")[0]
        own_names = {f"{layers}.{first + i}": f"blocks.{i}" for i in range(n_blocks)}
        pairs = []
        for name, parameter in expected.items():
            stem = next((s for s in own_names if name.startswith(s + ".")), None)
            if stem is None:
                pairs.append((parameter, found["norm." + name.rpartition(".")[2]]))
            else:
                pairs.append((parameter, found[own_names[stem] + name.removeprefix(stem)]))
    else:
        pairs = list(zip(expected.values(), blocks.parameters(), strict=True))
    assert len(pairs) == len(list(blocks.parameters()))
    size = max(float(parameter.grad.abs().max()) for parameter, _ in pairs if parameter.grad is not None)
    assert size > 1e-3
    for parameter, mine in pairs:
        assert parameter.grad is not None
        assert mine.grad is not None
        assert float((parameter.grad - mine.grad).abs().max()) < 1e-4 * size


@pytest.mark.parametrize("window", [None, 5])
@pytest.mark.parametrize("family", APART)
def test_beginnings_read_in_place_are_the_blocks_own_attention(tiny, family, window):
    """Values and gradients of the quick way through the last block, and of the way that any attention can go."""
    recipe = recipe_of(load_model(tiny(family)))
    batch = batch_of(recipe, [4, 2, 0, 1, 3])
    if window is not None:
        batch = replace(batch, calls=[replace(call, window=window) for call in batch.calls])
    quick, own = recipe.copy(), recipe.copy()
    own._choose = lambda *args: setattr(own, "_in_place", False)
    found, expected = quick(batch), own(batch)
    assert quick._in_place
    assert not own._in_place
    assert largest((found - expected).detach(), expected.detach()) < 1e-5
    weight = torch.linspace(-1, 1, found.numel()).reshape(found.shape)
    (found * weight).sum().backward()
    (expected * weight).sum().backward()
    size = max(float(parameter.grad.abs().max()) for parameter in own.parameters())
    for mine, theirs in zip(quick.parameters(), own.parameters(), strict=True):
        assert float((mine.grad - theirs.grad).abs().max()) < 1e-5 * size
    assert own._unused == ()
    if family != "phi3":  # it has queries, keys and values in one matrix
        assert {module.out_features for module in quick._unused} >= {32}


def test_attention_that_does_more_is_left_to_the_block(tiny):
    """gpt-oss has sinks in its softmax, which the attention that reads in place knows nothing of."""
    shape = {"vocab_size": 600, "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "head_dim": 8}
    shape |= {"num_attention_heads": 4, "num_key_value_heads": 2, "num_local_experts": 2, "num_experts_per_tok": 1}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = transformers.GptOssForCausalLM(transformers.GptOssConfig(**shape))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, 0.3, generator=torch.Generator().manual_seed(1))
    network.eval().requires_grad_(False)
    recipe = Recipe(network, 1, (PROMPTS[0], PROMPTS[1]), threading.RLock())
    assert recipe.apart
    blocks = recipe.copy()
    with torch.no_grad():
        found = logits_of(recipe, blocks, batch_of(recipe))
    assert blocks._in_place is False
    expected = own_logits(network)
    assert largest(found - expected, expected) < 1e-4


def test_nothing_is_padded_and_masks_are_made_once(tiny):
    recipe = recipe_of(load_model(tiny("mistral-sliding")))
    batch = batch_of(recipe)
    n_tokens = sum(map(len, PREFIXES)) + sum(len(suffix) for suffix, _ in SUFFIXES)
    assert batch.states.shape == (n_tokens, 32)
    ids = torch.tensor([token for part in [*PREFIXES, *(suffix for suffix, _ in SUFFIXES)] for token in part])
    for row, prompt in enumerate(PROMPTS):
        assert ids[batch.keys[row][batch.keys_exist[row]]].tolist() == prompt
        assert batch.positions[batch.keys[row][batch.keys_exist[row]]].tolist() == list(range(len(prompt)))
        visible = batch.keys[row][batch.last_mask(4, torch.float32)[row] == 0]
        assert batch.positions[visible].tolist() == list(range(len(prompt)))[-4:]
    assert batch.last_mask(4, torch.float32) is batch.last_mask(4, torch.float32)
    assert batch.last_mask(4, torch.float32) is not batch.last_mask(None, torch.float32)


@pytest.mark.parametrize("family", APART)
def test_these_families_run_apart_without_a_warning(tiny, family):
    assert recipe_of(load_model(tiny(family))).apart  # warnings are errors


def test_gpt2_falls_back_with_one_warning(tiny):
    model = load_model(tiny("gpt2"))
    with pytest.warns(UserWarning, match="GPT2LMHeadModel: its last block cannot be run apart") as caught:
        recipe = recipe_of(model)
    assert len(caught) == 1
    assert not recipe.apart
    assert isinstance(recipe.copy(), WholePass)


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
        assert recipe.apart
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
    assert recipe.apart
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
        batch = pack_states([prefix.states], states, [0], recipe.calls(length), recipe.device)
        with torch.no_grad():
            found = logits_of(recipe, recipe.copy(), batch)
        expected = model.network(torch.tensor([ids])).logits[0, -1:]
        assert largest(found - expected, expected) < 1e-4


def test_a_block_that_mixes_positions_outside_attention_falls_back(tiny):
    model = load_model(tiny("qwen3", seed=1))
    model.network.model.layers[-1].mlp.register_forward_hook(lambda module, args, output: output.cumsum(dim=1))
    with pytest.warns(UserWarning, match=r"cannot be run apart \(its logits differ by .* relative\)"):
        recipe = recipe_of(model)
    assert not recipe.apart
    expected = own_logits(model.network)
    with torch.no_grad():
        found = logits_of(recipe, recipe.copy(), batch_of(recipe))
    assert largest(found - expected, expected) < 1e-4


def test_an_output_layer_that_does_more_than_its_rows_is_refused(tiny):
    model = load_model(tiny("qwen3", seed=2))
    model.network.lm_head.register_forward_hook(lambda module, args, output: 2 * output)
    with (
        pytest.warns(UserWarning, match="cannot be run apart"),
        pytest.raises(UnfitModelError, match=r"cannot be trained by its last blocks: its logits differ by"),
    ):
        recipe_of(model)


@pytest.mark.parametrize("n_blocks", [0, 4])
def test_more_blocks_than_there_are(tiny, n_blocks):
    with pytest.raises(UnfitModelError, match=f"n_blocks={n_blocks}, but the model has 3 blocks"):
        recipe_of(load_model(tiny()), n_blocks)


@pytest.mark.parametrize("family", ["qwen3", "mistral-sliding", "gemma3"])
def test_a_prefix_is_the_same_after_many_batches(tiny, family):
    """A cache that is used again must not have been changed by those before."""
    recipe = quiet(load_model(tiny(family)))
    ids = [(7 * i) % 500 + 20 for i in range(30)]
    prefix = recipe.prefix(ids[:20])
    layers = [layer for layer in prefix.cache.layers if layer.keys is not None]
    keys = [layer.keys.clone() for layer in layers]
    first = recipe.states(prefix, [ids[20:], ids[20:25]])
    recipe.states(prefix, [[5, 6, 7]] * 4)
    again = recipe.states(prefix, [ids[20:], ids[20:25]])
    for a, b in zip(first, again, strict=True):
        assert torch.equal(a, b)
    assert all(torch.equal(layer.keys, before) for layer, before in zip(layers, keys, strict=True))
    whole = recipe.states(recipe.prefix([]), [ids])[0]
    torch.testing.assert_close(torch.cat([prefix.states, first[0]]), whole, atol=1e-5, rtol=1e-4)


def test_where_blocks_do_more_than_attend_nothing_is_shared_and_states_are_right(tiny):
    model = load_model(tiny())
    recipe = recipe_of(model)
    ids = [(7 * i) % 500 + 20 for i in range(12)]
    expected = recipe.states(recipe.prefix([]), [ids])[0]
    recipe.anatomy = replace(recipe.anatomy, attends=False)
    prefix = recipe.prefix(ids[:8])
    assert prefix.cache is None
    states = recipe.states(prefix, [ids[8:], ids[8:10]])
    torch.testing.assert_close(torch.cat([prefix.states, states[0]]), expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(states[1], expected[8:10], atol=1e-5, rtol=1e-4)


def hybrid(family: str) -> Any:
    """A tiny model in which most blocks are convolutions or linear attention and the last one attends."""
    shape = {"vocab_size": 600, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4}
    shape |= {"num_attention_heads": 4, "num_key_value_heads": 2}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if family == "lfm2":
            kinds = ["conv", "full_attention", "conv", "full_attention"]
            config: Any = transformers.Lfm2Config(**shape, layer_types=kinds, block_multiple_of=8)
            network: Any = transformers.Lfm2ForCausalLM(config)
        else:
            shape |= {"linear_key_head_dim": 8, "linear_value_head_dim": 8, "linear_num_key_heads": 2, "head_dim": 8}
            shape |= {"linear_num_value_heads": 4, "num_experts": 4, "num_experts_per_tok": 2}
            shape |= {"moe_intermediate_size": 16, "shared_expert_intermediate_size": 16}
            kinds = ["linear_attention"] * 3 + ["full_attention"]
            network = transformers.Qwen3NextForCausalLM(transformers.Qwen3NextConfig(**shape, layer_types=kinds))
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize("family", ["lfm2", "qwen3-next"])
def test_hybrid_models_share_nothing_and_are_right(family):
    network = hybrid(family)
    recipe = Recipe(network, 1, (PROMPTS[0], PROMPTS[1]), threading.RLock())  # warnings are errors: it runs apart
    assert recipe.apart
    assert not recipe.anatomy.attends
    assert recipe.prefix(PREFIXES[0]).cache is None
    expected = own_logits(network)
    with torch.no_grad():
        for shared in (True, False):
            found = logits_of(recipe, recipe.copy(), batch_of(recipe, shared=shared))
            assert largest(found - expected, expected) < 1e-4
    assert largest(expected[0] - expected[1], expected) > 0.1
