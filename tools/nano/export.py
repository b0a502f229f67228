"""Write nano as a folder that transformers loads: bfloat16 weights, tokenizer, configuration."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import PreTrainedTokenizerBase, Qwen3ForCausalLM

__all__ = ["NANO", "export"]

#: Where the package keeps it.
NANO = Path(__file__).resolve().parents[2] / "surveysim" / "models" / "nano"

# Where an answer begins and ends: `transformers serve` else takes Qwen's marks, and sends the whole chat as the answer.
RESPONSE_TEMPLATE = {
    "defaults": {"role": "assistant"},
    "start_anchor": "<|assistant|>",
    "fields": {"content": {"close": ["<|end|>"], "content": "text"}},
}


def export(network: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerBase, folder: Path = NANO) -> None:
    """Write config, generation config, weights (bfloat16, tied output layer left out) and tokenizer to a folder.

    Each file replaces its predecessor in one go, the weights last.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        place = Path(temporary)
        tokenizer.save_pretrained(place)
        network.config.save_pretrained(place)
        config = json.loads((place / "config.json").read_text())
        config["dtype"] = "bfloat16"
        config.pop("_attn_implementation", None)
        config["architectures"] = ["Qwen3ForCausalLM"]
        (place / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        generation = {
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "do_sample": True,  # else `transformers serve` ignores the temperature that a client asks for
            "max_new_tokens": 256,
        }
        (place / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")
        weights = {
            name: value.detach().to(torch.bfloat16).contiguous()
            for name, value in network.state_dict().items()
            if name != "lm_head.weight"
        }
        save_file(weights, place / "model.safetensors", metadata={"format": "pt"})
        tokens = json.loads((place / "tokenizer_config.json").read_text())
        for key in ("is_local", "local_files_only"):  # how it was loaded here is nobody's business elsewhere
            tokens.pop(key, None)
        tokens["response_template"] = RESPONSE_TEMPLATE
        (place / "tokenizer_config.json").write_text(json.dumps(tokens, indent=2) + "\n")
        for name in sorted(os.listdir(place), key=lambda name: name == "model.safetensors"):
            (place / name).chmod(0o644)
            os.replace(place / name, folder / name)
