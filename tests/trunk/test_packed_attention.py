"""Texts packed behind one shared beginning have the states that each prompt has alone, whatever the attention."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

from surveysim.models import load_model
from surveysim.models.anatomy import UnfitModelError
from surveysim.trunk import attention, packed_attention
from surveysim.trunk import recipe as recipe_room
from surveysim.trunk.attention import Attention, Record, Scores, Stop, attending, causal
from surveysim.trunk.block_calls import BlockCall, record_calls
from surveysim.trunk.frozen_blocks import FrozenBlocks, attending_twin
from surveysim.trunk.packed_attention import Packing
from surveysim.trunk.recipe import Recipe
from tests.tiny_models import FAMILIES

BEGINNING = [5, 17, 300, 301, 44, 12, 90, 91, 92, 93, 94]
ENDS = [[21], [33, 34, 35], [36, 250, 36], list(range(400, 417)), [36, 250, 37, 38, 39]]

SHAPE: dict[str, Any] = {
    "vocab_size": 600,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
}
OTHERS: dict[str, Any] = {
    "sinks and windows (gpt-oss)": transformers.GptOssConfig(
        **SHAPE, head_dim=8, sliding_window=6, num_local_experts=4, num_experts_per_tok=2
    ),
    "latent attention, values narrower than keys (DeepSeek)": transformers.DeepseekV3Config(
        **{**SHAPE, "num_key_value_heads": 4}, kv_lora_rank=16, q_lora_rank=16, qk_rope_head_dim=8, qk_nope_head_dim=8,
        v_head_dim=12, first_k_dense_replace=3, n_group=1, topk_group=1,
    ),
    "one head of keys for all": transformers.LlamaConfig(**{**SHAPE, "num_key_value_heads": 1}),
}  # fmt: skip


def random_model(config: Any) -> Any:
    """Weights large enough for a wrong mask to show."""
    with torch.random.fork_rng(devices=[]):
        network = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(noise * parameter.shape[-1] ** -0.5) if parameter.ndim > 1 else parameter.add_(0.3 * noise)
    return network


def alone(frozen: FrozenBlocks, ends: list[list[int]], beginning: list[int] = BEGINNING) -> list[Tensor]:
    """States of each prompt run by itself as a whole: nothing is shared, padded or packed."""
    with torch.no_grad():
        return [frozen.alone([*beginning, *end])[len(beginning) :] for end in ends]


def packed(frozen: FrozenBlocks, ends: list[list[int]], beginning: list[int] = BEGINNING) -> list[Tensor]:
    with torch.no_grad():
        return frozen.states(frozen.prefix(beginning), ends)


def assert_equal(found: list[Tensor], expected: list[Tensor]) -> None:
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def recipe_of(network: Any) -> Recipe:
    return Recipe(network, 1, (ENDS[1], BEGINNING), threading.RLock())


@pytest.mark.parametrize("scores", [1, 700, 2**20])  # one text or query at a time, a few, all at once
@pytest.mark.parametrize("family", FAMILIES)
def test_packed_texts_have_the_states_of_each_prompt_alone(tiny, family, scores, monkeypatch):
    monkeypatch.setitem(packed_attention.SCORES, "cpu", scores)
    monkeypatch.setitem(attention.SCORES, "cpu", scores)
    frozen = FrozenBlocks(load_model(tiny(family)).network, 1)
    expected = alone(frozen, ENDS)
    assert_equal(packed(frozen, ENDS), expected)
    assert_equal(packed(frozen, [[7, 8], [9, 7]]), alone(frozen, [[7, 8], [9, 7]]))  # nothing to pad
    assert_equal(packed(frozen, ENDS, []), alone(frozen, ENDS, []))  # nothing shared
    # the test could not fail if what comes before had no influence
    assert float((alone(frozen, ENDS, BEGINNING[::-1])[0] - expected[0]).abs().max()) > 1e-2


@pytest.mark.parametrize("config", OTHERS.values(), ids=OTHERS)
def test_other_kinds_of_attention(config):
    network = random_model(config)
    frozen = FrozenBlocks(network, 1)
    assert_equal(packed(frozen, ENDS), alone(frozen, ENDS))
    assert recipe_of(network).frozen.shares


@pytest.mark.parametrize("window", [2, 5, 11, 12, 16, 100])
def test_windows_shorter_and_longer_than_the_beginning(tiny, window):
    frozen = FrozenBlocks(load_model(tiny("mistral", sliding_window=window)).network, 1)
    assert_equal(packed(frozen, ENDS), alone(frozen, ENDS))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_packed_by_its_recipe(tiny, family):
    recipe = recipe_of(load_model(tiny(family)).network)
    assert recipe.frozen.shares
    assert_equal(recipe.states(recipe.prefix(BEGINNING), ENDS), alone(recipe.frozen, ENDS))
    assert len(recipe.states(recipe.prefix([]), ENDS)) == len(ENDS)


def test_reduced_precision_stays_within_its_rounding(tiny):
    network = load_model(tiny("qwen3"), dtype="bfloat16").network
    frozen = FrozenBlocks(network, 1)
    found, expected = packed(frozen, ENDS), alone(frozen, ENDS)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == torch.bfloat16
        assert float((one - other).norm() / other.norm()) < 0.03
    assert recipe_of(network).frozen.shares


# --- what is not understood is run as a whole -------------------------------------------------------------------------


def test_a_packing_that_is_wrong_is_found_and_not_used(tiny, monkeypatch):
    model = load_model(tiny("qwen3"))
    sees_all = lambda self, rule, length: torch.zeros(length, self.n_before + length)  # noqa: E731
    monkeypatch.setattr(Packing, "mask", sees_all)
    recipe = recipe_of(model.network)
    assert not recipe.frozen.shares
    assert recipe.prefix(BEGINNING).layers is None
    assert_equal(recipe.states(recipe.prefix(BEGINNING), ENDS), alone(recipe.frozen, ENDS))


def call(mask: Any = "a rule", **said: Any) -> Tensor:
    """The attention function as transformers calls it."""
    query = torch.randn(1, 2, 3, 4, generator=torch.Generator().manual_seed(0))
    rule = attention.MaskRule(lambda row, head, q, k: k <= q)
    with attending(Record()):
        return attention._attention(nn.Module(), query, query, query, rule if mask == "a rule" else mask, **said)[0]


@pytest.mark.parametrize("said", [{"position_bias": torch.zeros(1, 2, 3, 3)}, {"dropout": 0.1}], ids=str)
def test_parts_of_attention_that_are_not_known_are_refused(said):
    assert call().shape == (1, 3, 2, 4)
    assert call(position_bias=None, use_cache=True, dropout=0.0, cache=None).shape == (1, 3, 2, 4)
    with pytest.raises(UnfitModelError, match="Module attends with"):
        call(**said)


def test_a_mask_that_is_not_a_rule_is_refused_and_so_is_none_at_all():
    with pytest.raises(UnfitModelError, match="attends with a mask"):
        call(torch.ones(1, 1, 3, 3))
    with pytest.raises(UnfitModelError, match="does not say which positions see which"):
        call(None)


def test_a_thread_in_which_nobody_said_how_to_attend():
    query = torch.zeros(1, 2, 3, 4)
    with pytest.raises(UnfitModelError, match="no way of attending was set"):
        attention._attention(nn.Module(), query, query, query, None)


def test_ways_are_undone_in_order_also_after_an_error():
    outer, inner = Record(), Record()
    with attending(outer):
        with pytest.raises(Stop), attending(inner):
            raise Stop
        attention._attention(
            nn.Module(), *[torch.zeros(1, 2, 3, 4)] * 3, attention.MaskRule(lambda row, head, q, k: k <= q)
        )
    assert (len(outer.calls), len(inner.calls)) == (1, 0)


@pytest.mark.parametrize("scores", [Scores(), Scores(0.3, 5.0), Scores(0.3, None, torch.tensor([0.1, -1.0, 2.0, 0.5]))])
def test_attention_of_whole_rows_against_the_formula(scores):
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(2, 4, 5, 8, generator=generator)
    key, value = torch.randn(2, 2, 5, 8, generator=generator), torch.randn(2, 2, 5, 6, generator=generator)
    found = attention.attend(Attention(query, key, value, causal, scores), causal)
    for head in range(4):
        products = query[:, head] @ key[:, head // 2].mT * (8**-0.5 if scores.scale is None else scores.scale)
        if scores.soft_cap is not None:
            products = scores.soft_cap * torch.tanh(products / scores.soft_cap)
        weights = products.masked_fill(torch.ones(5, 5).triu(1).bool(), -torch.inf).exp()
        total = weights.sum(-1, keepdim=True) + (0 if scores.sinks is None else scores.sinks[head].exp())
        torch.testing.assert_close(found[:, :, head], weights / total @ value[:, head // 2])


# --- the shared model stays as it is ----------------------------------------------------------------------------------


def state_of(network: Any) -> list[Any]:
    """Modules, hooks, flags, configuration: all that a way of running it could leave changed."""
    return [
        [(name, id(module), len(vars(module)), len(module._forward_pre_hooks), len(module._forward_hooks))
         for name, module in network.named_modules()],
        [(name, id(p), p.requires_grad, p.data_ptr()) for name, p in network.named_parameters()],
        network.config.to_dict(), network.config._attn_implementation,
    ]  # fmt: skip


@pytest.mark.parametrize("family", ["qwen3", "gemma2", "gpt2"])
def test_the_shared_model_is_never_written_to(tiny, family):
    network = load_model(tiny(family)).network
    before = state_of(network)
    recipe = recipe_of(network)
    assert state_of(network) == before
    blocks = recipe.copy()
    prefix = recipe.prefix(BEGINNING)
    batch = recipe.batch([BEGINNING], [prefix.states], ENDS, recipe.states(prefix, ENDS), [0] * len(ENDS))
    blocks(batch).sum().backward()
    assert state_of(network) == before


def test_a_twin_shares_the_memory_of_all_weights(tiny):
    network = load_model(tiny("qwen3")).network
    twin = attending_twin(network)
    assert [p.data_ptr() for p in twin.parameters()] == [p.data_ptr() for p in network.parameters()]
    assert twin.get_input_embeddings().weight is twin.get_output_embeddings().weight  # tied, as in the model
    assert not {id(module) for module in twin.modules()} & {id(module) for module in network.modules()}
    assert twin.config is not network.config


# --- how the last blocks are called -----------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_calls_are_recorded_without_running_a_block(tiny, family):
    recipe = recipe_of(load_model(tiny(family)).network)
    ran = []
    for anatomy in (recipe.anatomy, recipe.frozen.own, recipe.frozen.other):
        for block in anatomy.blocks:
            block.register_forward_hook(lambda *args: ran.append(1))
    (found,) = recipe.calls(200)
    assert not ran
    assert found.length == 256


@pytest.mark.parametrize("family", FAMILIES)
def test_calls_are_those_of_the_model_itself(tiny, family):
    recipe = recipe_of(load_model(tiny(family)).network)
    (found,) = recipe.calls(60)
    with attending(Record()):
        (expected,) = record_calls(recipe.frozen.other, 1, found.length)
    assert found.kwargs.keys() == expected.kwargs.keys()
    at = torch.arange(found.length)
    assert torch.equal(found.rule(at, at), expected.rule(at, at))
    flat = torch.utils._pytree.tree_leaves
    for one, other in zip(flat((found.args, found.kwargs)), flat((expected.args, expected.kwargs)), strict=True):
        if isinstance(one, Tensor):
            torch.testing.assert_close(one, other)


def test_calls_are_as_long_as_asked_for_whatever_another_thread_does(tiny, monkeypatch):
    recipe = recipe_of(load_model(tiny("qwen3")).network)
    shorter = recipe.calls(3)

    class Lock:
        """Another thread comes in as soon as it is released, and asks for less."""

        def __enter__(self) -> None:
            pass

        def __exit__(self, *_: object) -> None:
            recipe._calls = shorter

    monkeypatch.setattr(recipe, "lock", Lock())
    assert recipe.calls(130)[0].length >= 130


def test_what_has_an_entry_a_position_is_told_by_its_shape():
    states = torch.zeros(1, 5, 2)
    angles = torch.arange(10.0).reshape(1, 5, 2)
    given = BlockCall(
        states, (None, angles), {"a": (angles, angles), "b": torch.arange(5), "c": 3, "d": {"e": angles}}, None
    )
    some = given.at(torch.tensor([4, 4, 0]))
    assert some.args[1].tolist() == [[[8, 9], [8, 9], [0, 1]]]
    assert some.kwargs["b"].tolist() == [4, 4, 0]
    assert some.kwargs["a"][1].shape == some.kwargs["d"]["e"].shape == (1, 3, 2)
    assert some.kwargs["c"] == 3
    with pytest.raises(UnfitModelError, match=r"values of shape \(2, 5\): not one a position"):
        BlockCall(states, (torch.zeros(2, 5),), {}, None).at(torch.tensor([0]))


# --- what cannot be shared --------------------------------------------------------------------------------------------


def test_a_beginning_that_cannot_be_shared_is_run_with_every_prompt(tiny, monkeypatch):
    """As with a block that keeps more than keys and values: what it knows of the beginning is lost."""
    model = load_model(tiny("qwen3"))

    class Forgetful(recipe_room.FrozenBlocks):
        def prefix(self, ids):
            found = super().prefix(ids)
            return found if found.layers is None else type(found)(found.ids, found.states, found.layers[:-1])

    monkeypatch.setattr(recipe_room, "FrozenBlocks", Forgetful)
    recipe = recipe_of(model.network)
    assert recipe.way == "last positions"
    assert not recipe.frozen.shares
    beginning = recipe.prefix(BEGINNING)
    assert beginning.layers is None
    assert_equal(recipe.states(beginning, ENDS), alone(recipe.frozen, ENDS))
