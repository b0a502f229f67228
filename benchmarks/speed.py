"""How fast a fit is and what it needs. ``python -m benchmarks.speed --shape 0.6B --layers 28`` on a CPU or a GPU.

Models have random weights in the shapes of Qwen3-0.6B and Qwen3-4B and the tokenizer of "nano": time and memory depend
on shapes alone. Compared are (a) `DSARegressor` as shipped, (b) the same losses with the last block trained and no
trunk states, so that every step runs the whole model, and (c) LoRA over all blocks. One member, fixed reference and
weight, the same epochs of both stages on all sides; an epoch is one pass, also where a survey is so small that it would
have more. (b) and (c) time `STEPS` steps of a few cells after a warm-up and multiply by cells and epochs; what else a
fit does (a last look at all cells, say) is not charged to them. On a CPU, seconds are those of the process and not of
the clock, so that other work on the machine disturbs little.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from surveysim import DSARegressor, Question
from surveysim.base import PredictCells
from surveysim.models import clear_models, load_model
from surveysim.prompts import get_template
from surveysim.training import loop
from surveysim.training.encode import encode_cells
from surveysim.training.fit import make_trainer
from surveysim.training.progress import EpochBar
from surveysim.training.setup import trunk_inputs
from surveysim.training.stages import Candidate
from surveysim.training.trunk import EncodedPrompts, store_of

SHAPES = {  # width, layers, heads, key-value heads, size of a head, intermediate size
    "tiny": (64, 4, 4, 2, 16, 192),
    "0.6B": (1024, 28, 16, 8, 128, 3072),
    "4B": (2560, 36, 32, 8, 128, 9728),
}
PARTS = ("trunk", "fit", "growth", "memory")

STEPS = 3
PLAIN_CELLS = 8
"""Cells of a timed step of (b) and (c): a batch that needs no checkpointing."""

LEVELS = {"age": ["18-29", "30-44", "45-64", "65+"], "education": ["none", "some", "degree"],
          "region": ["north", "south", "east", "west"], "gender": ["woman", "man"]}  # fmt: skip
TEXT = "How satisfied are you, all in all, with the way in which the town council looks after schools, roads and parks "


def make_random_model(folder: Path, shape: str, layers: int, dtype: torch.dtype) -> Path:
    """A random Qwen3 of the given shape and number of layers with the tokenizer of "nano", as a folder."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    nano = load_model("nano", device="cpu")
    width, _, heads, kv_heads, head_dim, intermediate = SHAPES[shape]
    config = Qwen3Config(
        vocab_size=nano.network.config.vocab_size,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=head_dim,
        intermediate_size=intermediate,
        tie_word_embeddings=True,
        initializer_range=0.02,
        eos_token_id=nano.tokenizer.eos_token_id,
        pad_token_id=nano.tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network: Any = Qwen3ForCausalLM(config)
        network.to(dtype).save_pretrained(folder)
    nano.tokenizer.save_pretrained(folder)
    return folder


class Survey:
    """Cells of so many questions by so many backgrounds, with random answers of 50 respondents each."""

    def __init__(self, n_questions: int, n_backgrounds: int, words: int = 100) -> None:
        rows = list(itertools.product(*LEVELS.values()))[:n_backgrounds]
        frame = pd.DataFrame(rows, columns=list(LEVELS))
        filler = " ".join((TEXT * (1 + words // 20)).split()[:words])
        options = ["very", "fairly", "not very", "not at all"]
        self.questions = {f"q{i}": Question(f"{i}: {filler}?", options) for i in range(n_questions)}
        self.X = pd.concat([frame.assign(question=name) for name in self.questions], ignore_index=True)
        generator = np.random.default_rng(0)
        self.n = np.full(len(self.X), 50.0)
        self.Y = generator.multinomial(50, generator.dirichlet(np.ones(4), len(self.X))) / 50.0

    def part(self, n_questions: int, n_backgrounds: int | None = None) -> Survey:
        """The first questions and backgrounds."""
        other = object.__new__(Survey)
        other.questions = dict(list(self.questions.items())[:n_questions])
        keep = self.X["question"].isin(list(other.questions)).to_numpy()
        if n_backgrounds is not None:
            keep = keep & (self.X.groupby("question").cumcount().to_numpy() < n_backgrounds)
        other.X, other.Y, other.n = self.X[keep].reset_index(drop=True), self.Y[keep], self.n[keep]
        return other

    @property
    def question_index(self) -> np.ndarray:
        return pd.Index(list(self.questions)).get_indexer(pd.Index(self.X["question"]))

    @property
    def cells(self) -> PredictCells:
        return PredictCells(self.X.drop(columns="question"), self.question_index, self.questions)

    def prompts(self, model: Any) -> EncodedPrompts:
        cells = self.cells
        template = get_template("default")
        return encode_cells(model, template, cells.backgrounds, cells.question_index, list(self.questions.values()))


def estimator(model: Path, survey: Survey, epochs: int, **parameters: Any) -> DSARegressor:
    """One member, both stages, nothing chosen on held-out respondents."""
    settings = {"shift_reference": "zero", "shift_weight": 1.5, "validation_fraction": 0.0, "random_state": 0}
    return DSARegressor(
        str(model), question=survey.questions, max_epochs=epochs, **{**settings, **parameters}
    )  # fmt: skip


class Clock:
    """Seconds of the process on a CPU, of the clock on a GPU (which it waits for)."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def __call__(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            return time.perf_counter()
        return time.process_time()

    def median(self, work: Callable[[], Any], repeats: int, warm_up: int = 1) -> float:
        """Median seconds of `work`."""
        seconds = []
        for number in range(warm_up + repeats):
            start = self()
            work()
            if number >= warm_up:
                seconds.append(self() - start)
        return float(np.median(seconds))


def fit_seconds(model: Path, survey: Survey, epochs: int, options: Any, clock: Clock, repeats: int = 1) -> float:
    """(a): a whole fit, the model loaded and nothing else known of it."""
    loaded = load_model(model, device=options.device, dtype=options.dtype)

    def fit() -> None:
        loaded.states = None
        estimator(model, survey, epochs, device=options.device, dtype=options.dtype).fit(survey.X, survey.Y, survey.n)

    return clock.median(fit, repeats, warm_up=0)


def step_seconds(model: Path, survey: Survey, options: Any, clock: Clock, *, tuning: str, apart: bool) -> float:
    """Seconds a cell of one step of stage 2: forward, both losses, backward, Adam."""
    loaded = load_model(model, device=options.device, dtype=options.dtype)
    loaded.states = None
    with whole_passes(loaded, apart):
        params = estimator(model, survey, 1, device=options.device, dtype=options.dtype, tuning=tuning)
        recipe, inputs = trunk_inputs(loaded, params, get_template("default"), survey.cells)
        trainer = make_trainer(loaded, params, recipe, inputs, survey.cells, 0, EpochBar(0))
        counts = survey.n[:, None] * survey.Y
        start = trainer.start(counts)
        trainer.begin(start)
        objective = trainer.objective(start, counts, Candidate("zero", 1.5))
        parameters = [p for p in trainer.head.parameters() if p.requires_grad]
        optimizer = torch.optim.Adam(parameters, lr=1e-4)
        batches = trainer.task.batches

        def step() -> None:
            fit, shift = objective.loss(trainer.head, batches[0], trainer.task)
            optimizer.zero_grad(set_to_none=True)
            (fit + shift).backward()
            nn.utils.clip_grad_norm_(parameters, loop.CLIP)
            optimizer.step()

        return clock.median(step, STEPS) / len(batches[0].rows)


@contextmanager
def whole_passes(loaded: Any, apart: bool):  # type: ignore[no-untyped-def]
    """The last-block recipe with or without trunk states."""
    recipe = store_of(loaded).recipe(1)
    before, recipe.apart = recipe.apart, apart
    try:
        yield
    finally:
        recipe.apart = before


def trunk_rates(model: Path, survey: Survey, options: Any, clock: Clock) -> dict[str, float]:
    """Seconds of the trunk pass with prefixes shared and not, tokens a second, and the share of bare products."""
    loaded = load_model(model, device=options.device, dtype=options.dtype)
    prompts = survey.prompts(loaded)
    whole = EncodedPrompts(
        tuple(() for _ in prompts.prefixes),
        prompts.group,
        tuple(prompts.whole(row) for row in range(len(prompts))),
        prompts.index,
    )

    def run(asked: EncodedPrompts) -> Callable[[], Any]:
        def work() -> None:
            loaded.states = None
            store = store_of(loaded)
            store.recipe(1)
            store.inputs(1, asked)

        return work

    def check() -> None:
        loaded.states = None
        store_of(loaded).recipe(1)

    overhead = clock.median(check, 1)  # the recipe's self-check belongs to the model and not to the pass
    shared = clock.median(run(prompts), options.repeats) - overhead
    apart = clock.median(run(whole), 1, warm_up=0) - overhead
    n_shared = sum(map(len, prompts.prefixes)) + sum(map(len, prompts.suffixes))
    n_whole = sum(map(len, whole.suffixes))
    bare = bare_seconds(options, loaded.dtype, loaded.device, clock) * (options.layers - 1)
    return {
        "tokens_per_prompt": n_whole / len(prompts),
        "tokens_in_prompts": n_whole,
        "tokens_run": n_shared,
        "seconds": shared,
        "tokens_per_second": n_shared / shared,
        "prompt_tokens_per_second": n_whole / shared,
        "ratio_prefix_sharing": apart / shared,
        "share_of_bare_products": bare * n_shared / shared,
        "share_of_bare_products_unshared": bare * n_whole / apart,
    }


def bare_seconds(options: Any, dtype: torch.dtype, device: torch.device, clock: Clock) -> float:
    """Seconds a token and block of the seven matrix products alone."""
    width, _, heads, kv_heads, head_dim, intermediate = SHAPES[options.shape]
    q, kv = heads * head_dim, kv_heads * head_dim
    shapes = [(width, q), (width, kv), (width, kv), (q, width), (width, intermediate), (width, intermediate),
              (intermediate, width)]  # fmt: skip
    n = 8192 if device.type == "cuda" else 2048
    weights = [torch.randn(b, a, dtype=dtype, device=device) for a, b in shapes]
    inputs = {a: torch.randn(n, a, dtype=dtype, device=device) for a in {a for a, _ in shapes}}

    def products() -> None:
        for weight in weights:
            nn.functional.linear(inputs[weight.shape[1]], weight)

    with torch.no_grad():
        return clock.median(products, 5) / n


def largest_difference(model: Path, survey: Survey, options: Any) -> float:
    """Of predictions after a fit of two epochs a stage with trunk states and in whole passes."""
    predictions = []
    for apart in (True, False):
        loaded = load_model(model, device=options.device, dtype=options.dtype)
        loaded.states = None
        with whole_passes(loaded, apart):
            fitted = estimator(model, survey, 2, device=options.device, dtype=options.dtype)
            predictions.append(fitted.fit(survey.X, survey.Y, survey.n).predict(survey.X))
    return float(np.abs(predictions[0] - predictions[1]).max())


# --- memory -----------------------------------------------------------------------------------------------------------


def memory(model: Path, options: Any) -> dict[str, float]:
    """Peak memory of a fit in a process of its own, in bytes beyond what imports take, and the target's formula."""
    arguments = [sys.executable, "-m", "benchmarks.speed", "--memory-of", str(model)]
    for name in ("shape", "layers", "questions", "backgrounds", "device", "dtype", "budget"):
        arguments += [f"--{name}", str(getattr(options, name))]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    result: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def memory_here(options: Any) -> dict[str, float]:
    """As `memory`, in this process: what was there before the model is loaded is subtracted."""
    survey = Survey(options.questions, options.backgrounds)
    warm = Survey(1, 2)
    estimator(Path("nano"), warm, 1).fit(warm.X, warm.Y, warm.n)  # libraries' own buffers
    clear_models()
    loaded_before = _peak(options)
    loaded = load_model(options.memory_of, device=options.device, dtype=options.dtype)
    store_of(loaded).memory_budget = options.budget
    fitted = estimator(Path(options.memory_of), survey, 1, device=options.device, dtype=options.dtype)
    fitted.fit(survey.X, survey.Y, survey.n)
    model_bytes = sum(parameter.nbytes for parameter in loaded.network.parameters())
    trained = sum(tensor.numel() for tensor in fitted._members[0]["state"].values())
    allowed = model_bytes + 1.2 * options.budget + 16 * trained + 0.5 * 2**30
    states = store_of(loaded).n_bytes
    peak = _peak(options) - loaded_before
    return {"peak": peak, "allowed": allowed, "model": model_bytes, "trained": 16 * trained, "states": states}


def _peak(options: Any) -> float:
    if torch.cuda.is_available() and options.device != "cpu":
        return float(torch.cuda.max_memory_allocated())
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


# --- the command ------------------------------------------------------------------------------------------------------


def ways(model: Path, survey: Survey, options: Any, clock: Clock) -> dict[str, float]:
    """Seconds of (a), (b) and (c), their ratios, and how far (a) and (b) differ."""
    few = survey.part(1, PLAIN_CELLS)
    fit = fit_seconds(model, survey, options.epochs, options, clock, options.repeats)
    n_cells = 2 * options.epochs * len(survey.X)  # both stages
    plain = n_cells * step_seconds(model, few, options, clock, tuning="last-block", apart=False)
    lora = n_cells * step_seconds(model, few, options, clock, tuning="lora", apart=False)
    difference = largest_difference(model, few, options)
    seconds = {"a": fit, "b": plain, "c": lora}
    return {**seconds, "b_over_a": plain / fit, "c_over_a": lora / fit, "largest_difference_a_b": difference}


def growth(model: Path, folder: Path, survey: Survey, options: Any, clock: Clock) -> dict[str, float]:
    """Seconds of (a) for other numbers of cells, epochs and layers."""
    seconds = {}
    for share in (1, 2, 4):
        part = survey.part(max(1, options.questions * share // 4))
        seconds[f"{len(part.X)} cells"] = fit_seconds(model, part, options.epochs, options, clock)
    part = survey.part(max(1, options.questions // 4))
    for epochs in (options.epochs // 2, 2 * options.epochs):
        seconds[f"{len(part.X)} cells, {epochs} epochs"] = fit_seconds(model, part, epochs, options, clock)
    if options.layers > 3:
        layers = options.layers // 2
        other = make_random_model(folder, options.shape, layers, load_model(model, device="cpu").dtype)
        seconds[f"{len(part.X)} cells, {layers} layers"] = fit_seconds(other, part, options.epochs, options, clock)
    return seconds


def measure(options: Any) -> dict[str, Any]:
    """What `--only` names, as a dictionary ready for JSON."""
    with tempfile.TemporaryDirectory() as folder:
        survey = Survey(options.questions, options.backgrounds)
        dtype = {"bfloat16": torch.bfloat16}.get(options.dtype, torch.float32)
        model = make_random_model(Path(folder) / "model", options.shape, options.layers, dtype)
        loaded = load_model(model, device=options.device, dtype=options.dtype)
        clock = Clock(loaded.device)
        result: dict[str, Any] = {}
        if "trunk" in options.only:
            result["trunk"] = trunk_rates(model, survey, options, clock)
            _say("trunk", result["trunk"])
        if "fit" in options.only:
            result["fit"] = ways(model, survey, options, clock)
            _say("fit", result["fit"])
        if "growth" in options.only:
            result["growth_seconds"] = growth(model, Path(folder) / "half", survey, options, clock)
            _say("growth", result["growth_seconds"])
        if "memory" in options.only:
            result["memory_bytes"] = memory(model, options)
            _say("memory", result["memory_bytes"])
    full = SHAPES[options.shape][1]
    result["setting"] = {
        "shape": options.shape,
        "layers": options.layers,
        "fewer layers than the shape has": options.layers < full,
        "cells": options.questions * options.backgrounds,
        "epochs of each stage": options.epochs,
        "device": torch.cuda.get_device_name() if loaded.device.type == "cuda" else platform.processor() or "cpu",
        "threads": torch.get_num_threads(),
        "dtype": str(loaded.dtype).removeprefix("torch."),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    return result


def _say(title: str, numbers: dict[str, float]) -> None:
    print(f"{title}: " + ", ".join(f"{name} {value:.4g}" for name, value in numbers.items()), flush=True)


def main() -> None:
    """Print what was measured, and write it as JSON with --output."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="0.6B")
    parser.add_argument("--layers", type=int, help="fewer than the shape has, where the machine is small")
    parser.add_argument("--questions", type=int, default=20)
    parser.add_argument("--backgrounds", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=20, help="of each stage")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--budget", type=int, default=2**30, help="bytes of trunk states in memory, for the peak")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
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
