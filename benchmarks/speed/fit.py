"""A fit as shipped against a plain loop and against LoRA, and how its time grows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.speed.setting import Clock, Survey, default_dtype, estimator, make_random_model
from benchmarks.whole_passes import whole_passes
from surveysim import DSARegressor
from surveysim.dsa import loop
from surveysim.dsa.fit import make_trainer
from surveysim.dsa.inputs import recipe_of, trunk_inputs
from surveysim.dsa.progress import EpochBar
from surveysim.dsa.settings import training_of
from surveysim.dsa.trainer import Candidate
from surveysim.models import load_model
from surveysim.prompts import get_template
from surveysim.trunk import adapters

STEPS = 3

STEP_CELLS = {"cpu": 8, "cuda": 32}
"""Cells of a timed step of (b) and (c): enough to keep the device busy, few enough to need no checkpointing."""

COMPARED_LAYERS = 4
"""Layers of the model with which the predictions of (a) and (b) are compared, and epochs of each stage."""
COMPARED_EPOCHS = 2


def ways(model: Path, folder: Path, survey: Survey, options: Any, clock: Clock) -> dict[str, float]:
    """Seconds of (a), (b) and (c), their ratios, and how far (a) and (b) differ."""
    n_cells = STEP_CELLS.get(clock.device.type, STEP_CELLS["cpu"])
    few = survey.part(1, n_cells)
    fit = fit_seconds(model, survey, options, options.epochs, clock, options.repeats)
    print(f"(a) {fit:.4g} s", flush=True)
    steps = 2 * options.epochs * len(survey.X)  # of both stages, in cells
    plain = steps * step_seconds(model, few, options, clock, tuning="last-block")
    print(f"(b) {plain:.4g} s", flush=True)
    lora = steps * step_seconds(model, few, options, clock, tuning="lora")
    print(f"(c) {lora:.4g} s", flush=True)
    seconds = {"a": fit, "b": plain, "c": lora, "b_over_a": plain / fit, "c_over_a": lora / fit}
    layers = min(options.layers, COMPARED_LAYERS)
    small = make_random_model(folder / "compared", options.shape, layers, torch.float32)
    difference = largest_difference(small, survey.part(1, STEP_CELLS["cpu"]), options)
    return {**seconds, "cells_per_step": len(few.X), "largest_difference_a_b": difference, "layers_compared": layers}


def fit_seconds(model: Path, survey: Survey, options: Any, epochs: int, clock: Clock, repeats: int = 1) -> float:
    """(a): a whole fit, the model loaded and nothing else known of it."""
    loaded = load_model(model, device=options.device, dtype=options.dtype)

    def forget() -> None:
        loaded.states = None

    def fit() -> None:
        estimator(model, survey, options, epochs).fit(survey.X, survey.Y, survey.n)

    warm_up = 1 if clock.device.type == "cuda" else 0  # a card's libraries are set up on first use
    return clock.median(fit, repeats, warm_up=warm_up, before=forget)


def default_seconds(model: Path, survey: Survey, options: Any, clock: Clock) -> float:
    """A fit with every parameter at its default: candidates tried on held-out respondents, members, then a refit."""
    loaded = load_model(model, device=options.device, dtype=options.dtype)
    loaded.states = None
    default = DSARegressor(
        str(model), question=survey.questions, device=options.device, dtype=options.dtype, random_state=0
    )
    return clock.median(lambda: default.fit(survey.X, survey.Y, survey.n), 1, warm_up=0)


def step_seconds(model: Path, survey: Survey, options: Any, clock: Clock, *, tuning: str) -> float:
    """Seconds a cell of one step of stage 2 in whole passes: forward, both losses, backward, Adam."""
    loaded = load_model(model, device=options.device, dtype=options.dtype)
    loaded.states = None
    with whole_passes(loaded) if tuning == "last-block" else nullcontext({"tuning": "lora"}) as way, one_chunk():
        params = estimator(model, survey, options, 1, batch_size=len(survey.X), **way).get_params(deep=False)
        how = training_of(params, get_template("default"))
        recipe = recipe_of(loaded, how.part)
        inputs = trunk_inputs(loaded, how.part, how.options, how.template, survey.cells)
        trainer = make_trainer(loaded, how, recipe, inputs, survey.cells, 0, bar=EpochBar(0))
        counts = survey.n[:, None] * survey.Y
        start = trainer.start(counts)
        trainer.begin(start)
        objective = trainer.objective(start, counts, Candidate("zero", 1.5))
        parameters = [p for p in trainer.head.parameters() if p.requires_grad]
        optimizer = torch.optim.Adam(parameters, lr=1e-4)
        (batch,) = trainer.batches.parts

        def step() -> None:
            fit, shift = objective.loss(trainer.head, batch, trainer.batches)
            optimizer.zero_grad(set_to_none=True)
            (fit + shift).backward()
            nn.utils.clip_grad_norm_(parameters, loop.CLIP)
            optimizer.step()

        return clock.median(step, STEPS) / len(survey.X)


@contextmanager
def one_chunk() -> Iterator[None]:
    """LoRA without checkpointing: activations of the whole step are kept, so that nothing is computed twice."""
    before, adapters.TOKENS_PER_CHUNK = adapters.TOKENS_PER_CHUNK, 2**20
    try:
        yield
    finally:
        adapters.TOKENS_PER_CHUNK = before


def largest_difference(model: Path, survey: Survey, options: Any) -> float:
    """Of predictions after a fit with trunk states and in whole passes, in float32."""
    loaded = load_model(model, device=options.device, dtype="float32")

    def predictions(**way: Any) -> np.ndarray:
        fitted = estimator(model, survey, options, COMPARED_EPOCHS, **{**way, "dtype": "float32", "batch_size": 32})
        return fitted.fit(survey.X, survey.Y, survey.n).predict(survey.X)

    apart = predictions()
    loaded.states = None
    with whole_passes(loaded) as way:
        whole = predictions(**way)
    loaded.states = None
    return float(np.abs(apart - whole).max())


def growth(model: Path, folder: Path, survey: Survey, options: Any, clock: Clock) -> dict[str, float]:
    """Seconds of (a) for other numbers of cells, epochs and layers."""
    seconds = {}
    for share in (1, 2, 4):
        part = survey.part(max(1, options.questions * share // 4))
        seconds[f"{len(part.X)} cells"] = fit_seconds(model, part, options, options.epochs, clock)
    part = survey.part(max(1, options.questions // 4))
    for epochs in (options.epochs // 2, 2 * options.epochs):
        seconds[f"{len(part.X)} cells, {epochs} epochs"] = fit_seconds(model, part, options, epochs, clock)
    if options.layers > 3:
        layers = options.layers // 2
        other = make_random_model(folder / "half", options.shape, layers, default_dtype(options))
        seconds[f"{len(part.X)} cells, {layers} layers"] = fit_seconds(other, part, options, options.epochs, clock)
    return seconds
