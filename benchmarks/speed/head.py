"""The head step: seconds per epoch of the trained block over all positions, over last positions, and as shipped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from transformers import Qwen3Config, Qwen3ForCausalLM

from benchmarks.speed.setting import Clock
from surveysim.trunk.recipe import Recipe
from surveysim.trunk.state_batches import StateBatch
from surveysim.trunk.whole_blocks import WholeBatch, WholeBlocks

WIDTH, HEADS, TOKENS = 192, 6, 120
OWN_TOKENS = (20, 30)
"""How many of a prompt's tokens are its own and not its question's."""


def head_seconds(options: Any, clock: Clock) -> dict[str, float]:
    """Seconds of forward and backward passes over all prompts of a survey, one question a batch.

    Prompts of 120 tokens and a block of width 192, whatever `--shape` says; its trunk states are given. "Whole block"
    computes every position, "last positions" what only the last position needs, and "shared" the question's common
    beginning once for all of its prompts: what `DSARegressor` does.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = Qwen3Config(
            vocab_size=500,
            hidden_size=WIDTH,
            num_hidden_layers=2,
            num_attention_heads=HEADS,
            num_key_value_heads=HEADS,
            head_dim=WIDTH // HEADS,
            intermediate_size=3 * WIDTH,
        )
        network: Any = Qwen3ForCausalLM(config)
    recipe = Recipe(network.to(clock.device), 1, ([1, 2, 3], [1, 2, 4, 5]), threading.RLock())
    blocks, whole = recipe.copy(), WholeBlocks(recipe.frozen.own, 1)

    def epoch(way: nn.Module, batches: Sequence[StateBatch | WholeBatch]) -> Callable[[], None]:
        def run() -> None:
            for batch in batches:
                torch.autograd.grad(way(batch).square().mean(), list(way.parameters()))

        return run

    def batches(n_own: int) -> list[StateBatch | WholeBatch]:
        generator = torch.Generator().manual_seed(0)
        made: list[StateBatch | WholeBatch] = []
        for _ in range(options.questions):
            shared = torch.randn(TOKENS - n_own, WIDTH, generator=generator)
            own = [torch.randn(n_own, WIDTH, generator=generator) for _ in range(options.backgrounds)]
            ids = [[1] * n_own] * len(own)
            made.append(recipe.batch([[1] * len(shared)], [shared], ids, own, [0] * len(own)))
        return made

    apart = batches(TOKENS)
    recipe.way = "whole blocks"
    every = batches(TOKENS)
    recipe.way = "last positions"
    found = {
        "whole_block": clock.median(epoch(whole, every), 1, warm_up=0),
        "last_positions": clock.median(epoch(blocks, apart), options.repeats),
    }
    for n_own in OWN_TOKENS:
        found[f"shared_{n_own}_own_tokens"] = clock.median(epoch(blocks, batches(n_own)), options.repeats)
    return found
