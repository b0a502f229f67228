"""The head step: seconds per epoch of the trained block over all positions, over last positions, and as shipped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Qwen3Config, Qwen3ForCausalLM

from benchmarks.speed.setting import Clock
from surveysim.models.anatomy import dissect
from surveysim.trunk.last_blocks import LastBlocks, _every_position, record_calls
from surveysim.trunk.state_batches import StateBatch, pack_states

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
        network: nn.Module = Qwen3ForCausalLM(config)
    anatomy = dissect(network.to(clock.device))
    calls, blocks = record_calls(anatomy, 1, TOKENS), LastBlocks(anatomy, 1)
    parameters = list(blocks.parameters())

    def whole(batch: StateBatch) -> Tensor:
        block: nn.Module = blocks.blocks[-1]
        return blocks.norm(_every_position(block, batch.calls[-1], batch, batch.states)[batch.last])

    def epoch(way: Callable[[StateBatch], Tensor], batches: Sequence[StateBatch]) -> Callable[[], None]:
        def run() -> None:
            for batch in batches:
                torch.autograd.grad(way(batch).square().mean(), parameters)

        return run

    def batches(n_own: int) -> list[StateBatch]:
        generator = torch.Generator().manual_seed(0)
        made = []
        for _ in range(options.questions):
            shared = torch.randn(TOKENS - n_own, WIDTH, generator=generator)
            own = [torch.randn(n_own, WIDTH, generator=generator) for _ in range(options.backgrounds)]
            made.append(pack_states([shared], own, [0] * len(own), calls, clock.device))
        return made

    apart = batches(TOKENS)
    found = {
        "whole_block": clock.median(epoch(whole, apart), 1, warm_up=0),
        "last_positions": clock.median(epoch(blocks, apart), options.repeats),
    }
    for n_own in OWN_TOKENS:
        found[f"shared_{n_own}_own_tokens"] = clock.median(epoch(blocks, batches(n_own)), options.repeats)
    return found
