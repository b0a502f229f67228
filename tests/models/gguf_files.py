"""A tiny GGUF file with random weights, written by the package gguf."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

VOCABULARY = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WIDTH, HEADS, INNER, BLOCKS = 32, 2, 64, 2


def byte_tokens() -> list[str]:
    """The 256 bytes as GPT-2's tokenizer writes them."""
    shown = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [b for b in range(256) if b not in shown]
    return [chr(b) if b in shown else chr(256 + hidden.index(b)) for b in range(256)]


def write_gguf(
    path: Path,
    *,
    architecture: str = "llama",
    quantised: bool = True,
    template: str | None = TEMPLATE,
    leave_out: str | None = None,
    **metadata: Any,
) -> Path:
    """Write a two-block language model.

    Parameters
    ----------
    path : Path
    architecture : str
    quantised : bool
        Matrices as Q8_0; else as float32.
    template : str or None
        The chat template.
    leave_out : str, optional
        A tensor that is missing.
    **metadata
        Further unsigned integers, by key with "__" for ".".
    """
    from gguf import GGMLQuantizationType, GGUFWriter, TokenType, quantize

    rng = np.random.default_rng(0)
    tokens = [*VOCABULARY, *byte_tokens(), "ĠA", "ĠB"]
    writer = GGUFWriter(str(path), architecture)
    writer.add_name("tiny")
    writer.add_context_length(512)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(BLOCKS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([TokenType.CONTROL] * len(VOCABULARY) + [TokenType.NORMAL] * 258)
    writer.add_token_merges(["Ġ A", "Ġ B"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)
    if template is not None:
        writer.add_chat_template(template)
    for key, value in metadata.items():
        writer.add_uint32(key.replace("__", "."), value)
    shapes = {"token_embd.weight": (len(tokens), WIDTH), "output_norm.weight": (WIDTH,)}
    for i in range(BLOCKS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            shapes[f"blk.{i}.{name}.weight"] = (WIDTH, WIDTH)
        shapes[f"blk.{i}.ffn_gate.weight"] = shapes[f"blk.{i}.ffn_up.weight"] = (INNER, WIDTH)
        shapes[f"blk.{i}.ffn_down.weight"] = (WIDTH, INNER)
        shapes[f"blk.{i}.attn_norm.weight"] = shapes[f"blk.{i}.ffn_norm.weight"] = (WIDTH,)
    for name, shape in shapes.items():
        if name == leave_out:
            continue
        weight = (1 + 0.1 * rng.standard_normal(shape) if len(shape) == 1 else 0.2 * rng.standard_normal(shape)).astype(
            np.float32
        )
        if len(shape) > 1 and quantised:
            kind = GGMLQuantizationType.Q8_0
            writer.add_tensor(name, quantize(weight, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
