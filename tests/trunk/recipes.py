"""Prompts that share beginnings, recipes for them, and models built otherwise, for tests of how parts are run."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from surveysim.models import LoadedModel
from surveysim.trunk.recipe import Recipe

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
    beginnings = PREFIXES if shared else [[]]
    group = [SUFFIXES[row][1] if shared else 0 for row in rows]
    ends = [SUFFIXES[row][0] if shared else PROMPTS[row] for row in rows]
    used = sorted(set(group))
    prefixes = {g: recipe.prefix(beginnings[g]) for g in used}
    states: dict[int, Tensor] = {}
    for g in used:
        members = [i for i, own in enumerate(group) if own == g]
        states |= dict(zip(members, recipe.states(prefixes[g], [ends[i] for i in members]), strict=True))
    return recipe.batch(
        [beginnings[g] for g in used],
        [prefixes[g].states for g in used],
        ends,
        [states[i] for i in range(len(ends))],
        [used.index(g) for g in group],
    )


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
        warnings.filterwarnings("ignore", message=".*It is trained whole")
        return recipe_of(model, n_blocks)


def odd_model(kind: str) -> Any:
    """A tiny model with blocks of convolutions, linear attention, a state space, or attention of the family's own."""
    shape = {"vocab_size": 600, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4}
    shape |= {"num_attention_heads": 4, "num_key_value_heads": 2}
    linear = {"linear_key_head_dim": 8, "linear_value_head_dim": 8, "linear_num_key_heads": 2, "head_dim": 8}
    linear |= {"linear_num_value_heads": 4, "num_experts": 4, "num_experts_per_tok": 2}
    linear |= {"moe_intermediate_size": 16, "shared_expert_intermediate_size": 16}
    few = {"vocab_size": 600, "hidden_size": 32}
    make = {
        "lfm2, attention last": lambda: transformers.Lfm2Config(
            **shape, layer_types=["conv", "full_attention", "conv", "full_attention"], block_multiple_of=8
        ),
        "lfm2": lambda: transformers.Lfm2Config(
            **shape, layer_types=["conv", "full_attention", "conv", "conv"], block_multiple_of=8
        ),
        "qwen3-next": lambda: transformers.Qwen3NextConfig(
            **shape, **linear, layer_types=["linear_attention"] * 3 + ["full_attention"]
        ),
        "falcon": lambda: transformers.FalconConfig(
            **few, num_hidden_layers=3, num_attention_heads=4, alibi=False, new_decoder_architecture=False
        ),
        "bloom": lambda: transformers.BloomConfig(**few, n_layer=3, n_head=4),
        "mamba": lambda: transformers.MambaConfig(**few, num_hidden_layers=3, state_size=4),
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = transformers.AutoModelForCausalLM.from_config(make[kind](), dtype=torch.float32)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 2:  # large enough for a wrong mask to show
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * parameter.shape[-1] ** -0.5)
    return network.eval().requires_grad_(False)
