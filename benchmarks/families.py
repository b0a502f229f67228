"""Which model families run in which way: ``python -m benchmarks.families --versions 5.0.0 5.24.0``.

A tiny random model of each family is made, and its way is found out as in a fit: "packed" (last positions, and what
prompts share is run once), "fast" (last positions, every prompt run whole), or "fall-back" (whole blocks over kept
states). Each is compared with the model's own logits, and the largest relative difference is printed. Without
``--versions`` the installed transformers is looked at; with them each version is put into a temporary folder by pip,
beside the other packages that are installed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

FEW = {"vocab_size": 200, "hidden_size": 32}
SHAPE = FEW | {"intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2}
SHAPE |= {"max_position_embeddings": 512, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
LINEAR = {"linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 8, "linear_value_head_dim": 8}

# The name of each family's configuration in transformers, and its parameters.
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "Qwen2": ("Qwen2Config", SHAPE),
    "Qwen3": ("Qwen3Config", SHAPE | {"head_dim": 8}),
    "Qwen3-MoE": ("Qwen3MoeConfig", SHAPE | EXPERTS | {"head_dim": 8}),
    "Llama": ("LlamaConfig", SHAPE),
    "Llama 4": (
        "Llama4TextConfig",
        SHAPE
        | {"head_dim": 8, "intermediate_size_mlp": 64, "num_local_experts": 2, "num_experts_per_tok": 1}
        | {"attention_chunk_size": 8},
    ),
    "Mistral (window)": ("MistralConfig", SHAPE | {"sliding_window": 8}),
    "Gemma 2": ("Gemma2Config", SHAPE | {"head_dim": 8, "sliding_window": 8, "query_pre_attn_scalar": 8}),
    "Gemma 3": ("Gemma3TextConfig", SHAPE | {"head_dim": 8, "sliding_window": 8, "query_pre_attn_scalar": 8}),
    "OLMo 2": ("Olmo2Config", SHAPE),
    "OLMo 3": ("Olmo3Config", SHAPE | {"sliding_window": 8}),
    "Granite": ("GraniteConfig", SHAPE | {"logits_scaling": 4.0}),
    "Cohere 2": ("Cohere2Config", SHAPE | {"sliding_window": 8}),
    "Phi-3": ("Phi3Config", SHAPE),
    "SmolLM3": ("SmolLM3Config", SHAPE),
    "gpt-oss": (
        "GptOssConfig",
        SHAPE | {"head_dim": 8, "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 8},
    ),
    "GPT-2": ("GPT2Config", {"vocab_size": 200, "n_embd": 32, "n_layer": 4, "n_head": 4}),
    "Qwen3-Next": (
        "Qwen3NextConfig",
        SHAPE | LINEAR | EXPERTS | {"head_dim": 8, "shared_expert_intermediate_size": 16},
    ),
    "LFM2, attention last": (
        "Lfm2Config",
        SHAPE | {"layer_types": ["conv", "full_attention", "conv", "full_attention"]},
    ),
    "LFM2, convolution last": ("Lfm2Config", SHAPE | {"layer_types": ["conv", "full_attention", "conv", "conv"]}),
    "Falcon": (
        "FalconConfig",
        FEW | {"num_hidden_layers": 4, "num_attention_heads": 4, "alibi": False, "new_decoder_architecture": False},
    ),
    "Bloom": ("BloomConfig", FEW | {"n_layer": 4, "n_head": 4}),
    "Mamba": ("MambaConfig", FEW | {"num_hidden_layers": 4, "state_size": 4}),
}

PREFIX = list(range(20, 33))
ENDS = [[40], [50, 51, 52, 53, 54, 55, 56, 57, 58, 59], [60, 61, 62]]


def look(family: str) -> str:
    """The way of one family with the installed transformers, and how far its logits are from the model's own."""
    import torch
    import transformers

    from surveysim.trunk.recipe import Recipe

    transformers.logging.set_verbosity_error()
    name, parameters = FAMILIES[family]
    make: Callable[..., Any] | None = getattr(transformers, name, None)
    if make is None:
        return "not in this version"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = transformers.AutoModelForCausalLM.from_config(
            make(**parameters), dtype=torch.float32, attn_implementation="eager"
        )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(noise * parameter.shape[-1] ** -0.5) if parameter.ndim == 2 else parameter.add_(0.1 * noise)
    network.tie_weights()
    network.eval().requires_grad_(False)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", category=FutureWarning)
        warnings.filterwarnings("error", category=DeprecationWarning, module="transformers")
        warnings.filterwarnings("ignore", message=".*It is trained whole")
        recipe = Recipe(network, 1, ([*PREFIX, *ENDS[0]], [*PREFIX, *ENDS[1]]), threading.RLock())
        prefix = recipe.prefix(PREFIX)
        states = recipe.states(prefix, ENDS)
        batch = recipe.batch([PREFIX], [prefix.states], ENDS, states, [0] * len(ENDS))
        with torch.no_grad():
            rows, bias = recipe.output_rows(torch.arange(200))
            found = recipe.scaled(recipe.copy()(batch) @ rows.T + (0.0 if bias is None else bias))
            own = torch.stack(
                [network(input_ids=torch.tensor([[*PREFIX, *end]]), use_cache=False).logits[0, -1] for end in ENDS]
            )
    difference = float((found - own).abs().max() / own.abs().max())
    way = "fall-back" if recipe.way == "whole blocks" else "packed" if recipe.shares else "fast"
    return f"{way} {difference:.0e}"


def look_at_all() -> dict[str, str]:
    """All families with the installed transformers; what cannot be made there says why."""
    found = {}
    for family in FAMILIES:
        try:
            found[family] = look(family)
        except Exception as error:
            found[family] = f"cannot be made ({type(error).__name__})"
            print(f"{family}: {type(error).__name__}: {str(error)[:200]}", file=sys.stderr, flush=True)
    return found


def look_at_versions(versions: Sequence[str]) -> dict[str, dict[str, str]]:
    """All families with each version, in a process of its own."""
    found = {}
    for version in versions:
        with tempfile.TemporaryDirectory() as folder:
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", folder]
            subprocess.run([*pip, f"transformers=={version}"], check=True)
            path = os.pathsep.join([folder, str(Path(__file__).resolve().parents[1])])
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.families", "--json"],
                env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True,
            )  # fmt: skip
        print(done.stderr, file=sys.stderr, end="")
        found[version] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Print the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--versions", nargs="+", metavar="VERSION", help="of transformers")
    parser.add_argument("--json", action="store_true", help="the installed version's column alone")
    options = parser.parse_args()
    if options.json:
        print(json.dumps(look_at_all()))
        return
    if options.versions:
        table = look_at_versions(options.versions)
    else:
        import transformers

        table = {transformers.__version__: look_at_all()}
    print("| family | " + " | ".join(table) + " |")
    print("|---|" + "---|" * len(table))
    for family in FAMILIES:
        print(f"| {family} | " + " | ".join(column[family] for column in table.values()) + " |")


if __name__ == "__main__":
    main()
