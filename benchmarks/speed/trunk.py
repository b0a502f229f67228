"""The trunk pass: tokens a second, what shared beginnings save, and the share of the rate of bare matrix products."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.speed.setting import SHAPES, Clock, Survey
from surveysim.models import load_model
from surveysim.trunk.store import EncodedPrompts, store_of


def trunk_rates(model: Path, survey: Survey, options: Any, clock: Clock) -> dict[str, float]:
    """Seconds of the trunk pass with beginnings shared and not, tokens a second, and shares of the bare rate.

    Counted as useful are the operations of the tokens that have to be run: a question's beginning once, and what each
    prompt adds; nothing for padding. The share is given for the blocks' seven matrix products alone, and for these and
    the two of attention, over the positions that a token sees.
    """
    loaded = load_model(model, device=options.device, dtype=options.dtype)
    prompts = survey.prompts(loaded)
    whole = EncodedPrompts(
        tuple(() for _ in prompts.prefixes),
        prompts.group,
        tuple(prompts.whole(row) for row in range(len(prompts))),
        prompts.index,
    )

    def prepare() -> None:  # the recipe's self-check belongs to the model and not to the pass
        loaded.states = None
        store_of(loaded).recipe(1)

    def run(asked: EncodedPrompts) -> Callable[[], Any]:
        return lambda: store_of(loaded).inputs(1, asked)

    shared = clock.median(run(prompts), options.repeats, before=prepare)
    apart = clock.median(run(whole), 1, warm_up=0, before=prepare)
    loaded.states = None
    rate = bare_rate(options, loaded.dtype, loaded.device, clock)
    n_whole = sum(map(len, whole.suffixes))
    n_shared = sum(map(len, prompts.prefixes)) + sum(map(len, prompts.suffixes))
    products, attention = operations(prompts, options)
    products_apart, attention_apart = operations(whole, options)
    return {
        "tokens_per_prompt": n_whole / len(prompts),
        "tokens_in_prompts": n_whole,
        "tokens_run": n_shared,
        "seconds": shared,
        "tokens_per_second": n_shared / shared,
        "prompt_tokens_per_second": n_whole / shared,
        "ratio_prefix_sharing": apart / shared,
        "bare_gflop_per_second": rate / 1e9,
        "share_of_bare_products": products / shared / rate,
        "share_of_bare_products_with_attention": (products + attention) / shared / rate,
        "share_of_bare_products_unshared": products_apart / apart / rate,
        "share_of_bare_products_unshared_with_attention": (products_apart + attention_apart) / apart / rate,
    }


def operations(prompts: EncodedPrompts, options: Any) -> tuple[float, float]:
    """Floating point operations of the trunk's matrix products, and of attention over the positions that are seen."""
    _, _, heads, _, head_dim, _ = SHAPES[options.shape]
    tokens, seen = 0, 0

    def add(before: int, ids: Sequence[int]) -> None:
        nonlocal tokens, seen
        tokens += len(ids)
        seen += len(ids) * before + len(ids) * (len(ids) + 1) // 2

    for prefix in prompts.prefixes:
        add(0, prefix)
    for group, suffix in zip(prompts.group, prompts.suffixes, strict=True):
        add(len(prompts.prefixes[group]), suffix)
    weights = sum(a * b for a, b in _products(options))
    return 2.0 * (options.layers - 1) * weights * tokens, 4.0 * (options.layers - 1) * heads * head_dim * seen


def _products(options: Any) -> list[tuple[int, int]]:
    """Inputs and outputs of a block's seven matrix products."""
    width, _, heads, kv_heads, head_dim, intermediate = SHAPES[options.shape]
    q, kv = heads * head_dim, kv_heads * head_dim
    return [(width, q), (width, kv), (width, kv), (q, width), (width, intermediate), (width, intermediate),
            (intermediate, width)]  # fmt: skip


def bare_rate(options: Any, dtype: torch.dtype, device: torch.device, clock: Clock) -> float:
    """Operations a second of a block's seven matrix products alone, as many tokens at once as in a pass."""
    shapes = _products(options)
    n = 8192 if device.type == "cuda" else 2048
    weights = [torch.randn(b, a, dtype=dtype, device=device) for a, b in shapes]
    inputs = {a: torch.randn(n, a, dtype=dtype, device=device) for a in {a for a, _ in shapes}}

    def products() -> None:
        for weight in weights:
            nn.functional.linear(inputs[weight.shape[1]], weight)

    with torch.no_grad():
        return 2.0 * n * sum(a * b for a, b in shapes) / clock.median(products, 5)
