"""Models that cannot be trained by their last blocks are refused in words that a user understands."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch
import transformers

from surveysim.models import load_model
from surveysim.models.anatomy import UnfitModelError
from surveysim.trunk.adapters import LoraRecipe
from surveysim.trunk.recipe import Recipe
from tests.trunk.recipes import PROMPTS, batch_of, largest, logits_of, own_logits, quiet, recipe_of

SHAPE = {"vocab_size": 600, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4}
SHAPE |= {"num_attention_heads": 4, "num_key_value_heads": 2, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}


BUILT_ANOTHER_WAY_IN_5_0 = pytest.mark.skipif(
    transformers.__version__.startswith("5.0."), reason="in transformers 5.0 this model is written in another way"
)


def made(config: Any) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    return network.eval().requires_grad_(False)


def recipe_for(network: Any, n_blocks: int = 1) -> Recipe:
    return Recipe(network, n_blocks, (PROMPTS[0], PROMPTS[1]), threading.RLock())


class TestSharedWeights:
    def test_with_a_frozen_block(self, tiny):
        model = load_model(tiny("qwen3", seed=5))
        layers = model.network.model.layers
        layers[2].mlp.up_proj = layers[0].mlp.up_proj
        message = (
            r"uses one weight in several places, as model\.layers\.0\.mlp\.up_proj\.weight and as "
            r"model\.layers\.2\.mlp\.up_proj\.weight, which is among what n_blocks=1 trains"
        )
        with pytest.raises(UnfitModelError, match=message):
            recipe_of(model)

    def test_of_two_trained_blocks(self, tiny):
        """Each would be copied by itself."""
        model = load_model(tiny("qwen3", seed=6))
        layers = model.network.model.layers
        layers[2].self_attn.k_proj.weight = layers[1].self_attn.k_proj.weight
        with pytest.raises(UnfitModelError, match=r"layers\.2\.self_attn\.k_proj\.weight .* n_blocks=2 trains"):
            recipe_of(model, 2)

    def test_with_something_that_is_no_block(self, tiny):
        model = load_model(tiny("qwen3", seed=7))
        model.network.model.layers[2].input_layernorm.weight = model.network.model.norm.weight
        with pytest.raises(UnfitModelError, match=r"as model\.norm\.weight and as model\.layers\.2\.input_layernorm"):
            recipe_of(model)

    def test_among_frozen_blocks_or_within_one_block_it_does_not_matter(self, tiny):
        model = load_model(tiny("qwen3", seed=8))
        layers = model.network.model.layers
        layers[1].mlp.up_proj = layers[0].mlp.up_proj
        layers[2].mlp.gate_proj.weight = layers[2].mlp.up_proj.weight
        recipe = quiet(model)
        expected = own_logits(model.network)
        blocks = recipe.copy()
        assert blocks.blocks[-1].mlp.gate_proj.weight is blocks.blocks[-1].mlp.up_proj.weight
        assert largest((logits_of(recipe, blocks, batch_of(recipe)) - expected).detach(), expected) < 1e-4

    @BUILT_ANOTHER_WAY_IN_5_0
    def test_zamba(self):
        network = made(
            transformers.Zamba2Config(
                **SHAPE, layers_block_type=["mamba", "hybrid"] * 2, hybrid_layer_ids=[1, 3], num_mem_blocks=1,
                n_mamba_heads=4, mamba_headdim=16, mamba_d_state=8, mamba_ngroups=1, chunk_size=8,
            )
        )  # fmt: skip
        with pytest.raises(UnfitModelError, match=r"Zamba2ForCausalLM uses one weight .*layers\.1\.shared_transformer"):
            recipe_for(network)


BUILT_OTHERWISE = {
    "Gemma3nForCausalLM": lambda: transformers.Gemma3nTextConfig(
        **SHAPE, head_dim=8, sliding_window=8, hidden_size_per_layer_input=8, vocab_size_per_layer_input=600,
        layer_types=["sliding_attention", "full_attention"] * 2, num_kv_shared_layers=2, laurel_rank=4,
        activation_sparsity_pattern=[0.0] * 4, altup_num_inputs=2,
    ),
    "BambaForCausalLM": lambda: transformers.BambaConfig(
        **SHAPE, attn_layer_indices=[1, 3], mamba_n_heads=8, mamba_d_head=8, mamba_d_state=8, mamba_n_groups=1,
        mamba_chunk_size=8,
    ),
    "RwkvForCausalLM": lambda: transformers.RwkvConfig(
        vocab_size=600, hidden_size=32, num_hidden_layers=4, attention_hidden_size=32, context_length=64
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=BUILT_ANOTHER_WAY_IN_5_0 if name == "BambaForCausalLM" else ())
        for name in BUILT_OTHERWISE
    ],
)
def test_what_cannot_be_run_in_parts_is_said_and_not_shown(name):
    network = made(BUILT_OTHERWISE[name]())
    message = rf"{name} cannot be trained here: its blocks cannot be run apart .*\. Choose a model of another family"
    with pytest.raises(UnfitModelError, match=message):
        recipe_for(network)
    with pytest.raises(UnfitModelError, match=rf"{name} cannot be .*another"):
        LoraRecipe(network, (PROMPTS[0], PROMPTS[1]), threading.RLock())


@BUILT_ANOTHER_WAY_IN_5_0
@pytest.mark.parametrize("n_blocks", [1, 2])
def test_a_mask_of_the_layers_own_making_falls_back(n_blocks):
    """Doge keeps the keys with the largest values: 6 of them here, fewer than the prompts have tokens."""
    network = made(transformers.DogeConfig(**SHAPE, keep_window_size=6))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(noise * parameter.shape[-1] ** -0.5) if parameter.ndim == 2 else parameter.add_(noise)
    with pytest.warns(UserWarning, match=r"\(DogeAttention attends with a mask\)\. It is trained whole"):
        recipe = recipe_for(network, n_blocks)
    assert not recipe.shares
    # Of a token that a prompt repeats the model keeps any one: what it answers then changes with padding of its own.
    rows = [row for row, prompt in enumerate(PROMPTS) if len(set(prompt)) == len(prompt)]
    assert len(rows) == 4
    expected = own_logits(network)[rows]
    found = logits_of(recipe, recipe.copy(), batch_of(recipe, rows)).detach()  # padded
    assert largest(found - expected, expected) < 1e-4
    network.config.keep_window_size = 2048
    for layer in network.model.layers:
        layer.self_attn.keep_window_size = 2048
    assert largest(own_logits(network)[rows] - expected, expected) > 0.01  # the window was felt
