"""How fast a fit is and what it needs. ``python -m benchmarks.speed --shape 0.6B`` on a CPU or a GPU.

Models have random weights in the shapes of Qwen3-0.6B and Qwen3-4B and the tokenizer of "nano": time and memory depend
on shapes alone. Compared are (a) `DSARegressor` as shipped, (b) the same losses with the last block trained and no
trunk states, so that every step runs the whole model, and (c) LoRA over all blocks. One member, fixed reference and
weight, the same epochs of both stages on all sides; an epoch is one pass, also where a survey is so small that it would
have more. (b) and (c) time 3 steps of a few cells after a warm-up and multiply by cells and epochs; what else a fit
does (a last look at all cells, say) is not charged to them. Predictions of (a) and (b) are compared with 4 layers, 2
epochs a stage and 8 cells, since that needs whole fits. On a CPU, seconds are those of the process and not of the
clock, so that other work on the machine disturbs little.

Only run where they are asked for: ``defaults``, a fit with every parameter at its default, and ``fallback``, such a fit
of nano in the fast way and with the fall-back forced (`--shape` and the survey's size do not matter).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.speed import fit
from benchmarks.speed.fallback import fall_back
from benchmarks.speed.head import head_seconds
from benchmarks.speed.memory import memory, memory_here
from benchmarks.speed.setting import SHAPES, Clock, Survey, default_dtype, make_random_model, setting
from benchmarks.speed.trunk import trunk_rates
from surveysim.dsa import loop
from surveysim.models.devices import resolve_device

PARTS = ("trunk", "head", "fit", "growth", "memory")


def measure(options: Any) -> dict[str, Any]:
    """What `--only` names, as a dictionary ready for JSON."""
    result: dict[str, Any] = {"setting": setting(options)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        survey = Survey(options.questions, options.backgrounds)
        clock = Clock(resolve_device(options.device))

        @cache
        def model() -> Path:
            return make_random_model(folder / "model", options.shape, options.layers, default_dtype(options))

        parts = {
            "trunk": lambda: trunk_rates(model(), survey, options, clock),
            "head": lambda: head_seconds(options, clock),
            "fit": lambda: fit.ways(model(), folder, survey, options, clock),
            "growth": lambda: fit.growth(model(), folder, survey, options, clock),
            "memory": lambda: memory(model(), options),
            "defaults": lambda: {"seconds": fit.default_seconds(model(), survey, options, clock)},
            "fallback": lambda: fall_back(clock),
        }
        for part in options.only:
            numbers = parts[part]()
            result[part] = numbers
            print(f"{part}: " + ", ".join(f"{name} {value:.4g}" for name, value in numbers.items()), flush=True)
    return result


def main() -> None:
    """Print what was measured, and write it as JSON with --output."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="0.6B")
    parser.add_argument("--layers", type=int, help="fewer than the shape has, where the machine is small")
    parser.add_argument("--questions", type=int, default=20)
    parser.add_argument("--backgrounds", type=int, default=96, help="at most 96")
    parser.add_argument("--epochs", type=int, default=20, help="of each stage")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--budget", type=int, default=2**30, help="bytes of trunk states in memory, for the peak")
    parser.add_argument("--only", nargs="+", choices=(*PARTS, "defaults", "fallback"), default=PARTS)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.layers = options.layers or SHAPES[options.shape][1]
    loop.MIN_STEPS = 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if options.memory_of:
            print(json.dumps(memory_here(options)))
            return
        result = measure(options)
    print(json.dumps(result, indent=1))
    if options.output:
        options.output.write_text(json.dumps(result, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
