"""Random models for benchmarks of time and memory, which depend on shapes alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from surveysim.models import load_model


def save_random_qwen3(folder: Path, dtype: Any = None, **shape: Any) -> Path:
    """A Qwen3 of random weights with the tokenizer of "nano", as a folder.

    Parameters
    ----------
    folder : Path
        Where it is saved; returned.
    dtype : torch.dtype, optional
        Of its weights; None: float32.
    **shape
        What `transformers.Qwen3Config` calls its sizes, and ``initializer_range``.
    """
    import torch
    from transformers import AutoModelForCausalLM, Qwen3Config

    nano = load_model("nano", device="cpu")
    config = Qwen3Config(
        vocab_size=nano.network.config.vocab_size,
        tie_word_embeddings=True,
        eos_token_id=nano.tokenizer.eos_token_id,
        pad_token_id=nano.tokenizer.pad_token_id,
        **shape,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        AutoModelForCausalLM.from_config(config, dtype=dtype or torch.float32).save_pretrained(folder)
    nano.tokenizer.save_pretrained(folder)
    return folder
