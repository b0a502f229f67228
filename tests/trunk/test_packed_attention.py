"""Texts packed behind one shared beginning have the states that each prompt has alone, whatever the attention."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

from surveysim.models import load_model
from surveysim.models.anatomy import Anatomy, UnfitModelError, dissect
from surveysim.trunk import packed_attention as packed_room
from surveysim.trunk import recipe as recipe_room
from surveysim.trunk.frozen_blocks import PrefixCache, run_prefix, run_suffixes
from surveysim.trunk.packed_attention import Packing, can_pack, packed_attention, packed_pass
from surveysim.trunk.recipe import Recipe
from tests.tiny_models import FAMILIES

APART = [family for family in FAMILIES if family != "gpt2"]  # see tests/trunk/test_last_blocks.py

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


def alone(anatomy: Anatomy, ends: list[list[int]], beginning: list[int] = BEGINNING) -> list[Tensor]:
    """States of each prompt run by itself as a whole: nothing is shared, padded or packed."""
    nothing = run_prefix(anatomy, 1, [])
    return [run_suffixes(anatomy, 1, nothing, [beginning + end])[0][len(beginning) :] for end in ends]


def packed_states(anatomy: Anatomy, ends: list[list[int]], beginning: list[int] = BEGINNING) -> list[Tensor]:
    return run_suffixes(anatomy, 1, run_prefix(anatomy, 1, beginning), ends, packed=True)


def assert_equal(found: list[Tensor], expected: list[Tensor]) -> None:
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def recipe_of(network: Any) -> Recipe:
    return Recipe(network, 1, (ENDS[1], BEGINNING), threading.RLock())


@pytest.mark.parametrize("scores", [1, 700, 2**20])  # one text at a time, a few, all at once
@pytest.mark.parametrize("family", FAMILIES)
def test_packed_texts_have_the_states_of_each_prompt_alone(tiny, family, scores, monkeypatch):
    monkeypatch.setitem(packed_room.SCORES, "cpu", scores)
    anatomy = dissect(load_model(tiny(family)).network)
    expected = alone(anatomy, ENDS)
    assert_equal(packed_states(anatomy, ENDS), expected)
    assert_equal(packed_states(anatomy, [[7, 8], [9, 7]]), alone(anatomy, [[7, 8], [9, 7]]))  # nothing to pad
    # the test could not fail if what comes before had no influence
    assert float((alone(anatomy, ENDS, BEGINNING[::-1])[0] - expected[0]).abs().max()) > 1e-2


@pytest.mark.parametrize("config", OTHERS.values(), ids=OTHERS)
def test_other_kinds_of_attention(config):
    network = random_model(config)
    anatomy = dissect(network)
    assert can_pack(anatomy)
    assert_equal(packed_states(anatomy, ENDS), alone(anatomy, ENDS))
    assert recipe_of(network).packs


@pytest.mark.parametrize("window", [2, 5, 11, 12, 16, 100])
def test_windows_shorter_and_longer_than_the_beginning(tiny, window):
    anatomy = dissect(load_model(tiny("mistral", sliding_window=window)).network)
    assert_equal(packed_states(anatomy, ENDS), alone(anatomy, ENDS))


@pytest.mark.parametrize("family", APART)
def test_every_family_is_packed_by_its_recipe(tiny, family):
    recipe = recipe_of(load_model(tiny(family)).network)
    assert recipe.packs
    assert_equal(recipe.states(recipe.prefix(BEGINNING), ENDS), alone(recipe.anatomy, ENDS))
    assert len(recipe.states(recipe.prefix([]), ENDS)) == len(ENDS)  # nothing shared: nothing to pack behind


def test_reduced_precision_stays_within_its_rounding(tiny):
    network = load_model(tiny("qwen3"), dtype="bfloat16").network
    anatomy = dissect(network)
    found, expected = packed_states(anatomy, ENDS), alone(anatomy, ENDS)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == torch.bfloat16
        assert float((one - other).norm() / other.norm()) < 0.03
    assert recipe_of(network).packs


# --- what is not understood is run as a padded batch ------------------------------------------------------------------


def test_a_packing_that_is_wrong_is_found_and_not_used(tiny, monkeypatch):
    model = load_model(tiny("qwen3"))
    expected = alone(dissect(model.network), ENDS)
    sees_all = lambda self, n_kept, length, window: torch.zeros(length, n_kept + length)  # noqa: E731
    monkeypatch.setattr(Packing, "mask", sees_all)
    recipe = recipe_of(model.network)
    assert not recipe.packs
    assert_equal(recipe.states(recipe.prefix(BEGINNING), ENDS), expected)


def call(module: nn.Module, **arguments: Any) -> Tensor:
    query = torch.randn(1, 2, 3, 4, generator=torch.Generator().manual_seed(0))
    packed_room._here.packing = Packing(0, [2, 1], torch.device("cpu"))
    try:
        return packed_attention(module, query, query, query, **{"attention_mask": None, **arguments})[0]
    finally:
        del packed_room._here.packing


def layer(**config: Any) -> nn.Module:
    module = nn.Module()
    module.config = SimpleNamespace(**config)  # type: ignore[assignment]
    return module


@pytest.mark.parametrize(
    "arguments",
    [{"position_bias": torch.zeros(1, 2, 3, 3)}, {"dropout": 0.1}, {"attention_mask": torch.ones(1, 1, 3, 3)}],
    ids=lambda arguments: next(iter(arguments)),
)
def test_parts_of_attention_that_are_not_known_are_refused(arguments):
    assert call(layer()).shape == (1, 3, 2, 4)
    assert call(layer(), position_bias=None, use_cache=True, dropout=0.0).shape == (1, 3, 2, 4)
    with pytest.raises(UnfitModelError, match="Module attends with"):
        call(layer(), **arguments)


def test_a_window_that_only_the_mask_would_hold_is_refused():
    assert call(layer(sliding_window=2), sliding_window=2).shape == (1, 3, 2, 4)
    assert call(layer(sliding_window=2), sliding_window=None).shape == (1, 3, 2, 4)  # a full layer among others
    with pytest.raises(UnfitModelError, match="does not say whether it has a sliding window"):
        call(layer(sliding_window=2))


def test_chunks_linear_layers_and_models_without_an_attention_interface_are_not_packed(tiny, monkeypatch):
    anatomy = dissect(load_model(tiny("qwen3")).network)
    assert can_pack(anatomy)
    for name, value in {"attention_chunk_size": 8, "layer_types": ["chunked_attention"] * 3}.items():
        with monkeypatch.context() as patch:
            patch.setattr(anatomy.decoder.config, name, value, raising=False)
            assert not can_pack(anatomy)
    with monkeypatch.context() as patch:
        patch.setattr(type(anatomy.decoder), "_supports_attention_backend", False)
        assert not can_pack(anatomy)
    bloom = random_model(transformers.BloomConfig(vocab_size=600, hidden_size=32, n_layer=3, n_head=4))  # ALiBi
    assert not can_pack(dissect(bloom))


def test_the_models_own_attention_is_back_after_a_pass_and_after_an_error(tiny):
    model = load_model(tiny("gemma2"))
    anatomy = dissect(model.network)
    prompt = torch.tensor([BEGINNING])
    before, own = model.network.config._attn_implementation, model.network(prompt).logits
    packed_states(anatomy, ENDS)
    assert model.network.config._attn_implementation == before
    with pytest.raises(ZeroDivisionError), packed_pass(anatomy.decoder, Packing(0, [1], torch.device("cpu"))):
        1 / 0  # noqa: B018
    assert model.network.config._attn_implementation == before
    torch.testing.assert_close(model.network(prompt).logits, own, atol=0, rtol=0)


def test_the_models_own_attention_is_back_if_the_change_itself_is_interrupted(tiny, monkeypatch):
    decoder = dissect(load_model(tiny("gemma2")).network).decoder
    before, change = decoder.config._attn_implementation, decoder.set_attn_implementation

    def interrupted(name):
        change(name)
        if name != before:
            raise KeyboardInterrupt

    monkeypatch.setattr(decoder, "set_attn_implementation", interrupted)
    with pytest.raises(KeyboardInterrupt), packed_pass(decoder, Packing(0, [1], torch.device("cpu"))):
        pass
    assert decoder.config._attn_implementation == before


# --- how the last blocks are called -----------------------------------------------------------------------------------


@pytest.mark.parametrize("family", APART)
def test_calls_are_recorded_without_running_the_trunk(tiny, family):
    model = load_model(tiny(family))
    recipe = recipe_of(model.network)
    block = recipe.anatomy.blocks[0]
    own = vars(block).get("forward")
    ran = []
    handle = next(part for part in block.modules() if isinstance(part, nn.LayerNorm) or "Norm" in type(part).__name__)
    hook = handle.register_forward_hook(lambda *args: ran.append(1))
    found = recipe.calls(200)[0]
    hook.remove()
    assert not ran
    assert vars(block).get("forward") is own
    (expected,) = recipe_room.record_calls(recipe.anatomy, 1, found.length)
    assert found.arguments.keys() == expected.arguments.keys()
    assert found.window == expected.window
    flat = torch.utils._pytree.tree_leaves
    for one, other in zip(flat(found.arguments), flat(expected.arguments), strict=True):
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


def test_where_blocks_cannot_be_skipped_the_trunk_is_run(tiny, monkeypatch):
    recipe = recipe_of(load_model(tiny("qwen3")).network)
    ran = []
    recipe.anatomy.blocks[0].get_submodule("mlp").register_forward_hook(lambda *args: ran.append(1))

    def too_few(hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        raise IndexError("the decoder takes a block's answer apart")

    monkeypatch.setattr(recipe_room, "_hand_on", too_few)
    assert recipe.calls(200)[0].length >= 200
    assert ran


# --- what cannot be shared --------------------------------------------------------------------------------------------


def test_a_beginning_that_cannot_be_shared_is_run_with_every_prompt(tiny, monkeypatch):
    """As with a block that keeps more than keys and values: what it knows of the beginning is lost."""
    model = load_model(tiny("qwen3"))
    expected = alone(dissect(model.network), ENDS)
    update = PrefixCache.update

    def forgetful(self, keys, values, *args, **kwargs):
        return (keys, values) if self.shared else update(self, keys, values, *args, **kwargs)

    monkeypatch.setattr(PrefixCache, "update", forgetful)
    recipe = recipe_of(model.network)
    assert recipe.apart
    assert not recipe.packs
    beginning = recipe.prefix(BEGINNING)
    assert beginning.cache is None
    assert_equal(recipe.states(beginning, ENDS), expected)


def test_where_packing_fails_a_beginning_is_still_shared(tiny, monkeypatch):
    monkeypatch.setattr(recipe_room, "can_pack", lambda anatomy: False)
    recipe = recipe_of(load_model(tiny("qwen3")).network)
    assert not recipe.packs
    beginning = recipe.prefix(BEGINNING)
    assert beginning.cache is not None
    assert_equal(recipe.states(beginning, ENDS), alone(recipe.anatomy, ENDS))
