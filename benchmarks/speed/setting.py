"""What is measured: random models in the shapes of Qwen3, surveys with random answers, and a clock."""

from __future__ import annotations

import itertools
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks.random_model import save_random_qwen3
from surveysim import DSARegressor, Question
from surveysim.cells import PredictCells
from surveysim.models.devices import resolve_device, resolve_dtype
from surveysim.prompts import get_template
from surveysim.trunk.encode import encode_cells
from surveysim.trunk.store import EncodedPrompts

SHAPES = {  # width, layers, heads, key-value heads, size of a head, intermediate size
    "tiny": (64, 4, 4, 2, 16, 192),
    "0.6B": (1024, 28, 16, 8, 128, 3072),
    "4B": (2560, 36, 32, 8, 128, 9728),
}

LEVELS = {"age": ["18-29", "30-44", "45-64", "65+"], "education": ["none", "some", "degree"],
          "region": ["north", "south", "east", "west"], "gender": ["woman", "man"]}  # fmt: skip
TEXT = "How satisfied are you, all in all, with the way in which the town council looks after schools, roads and parks "


def make_random_model(folder: Path, shape: str, layers: int, dtype: torch.dtype) -> Path:
    """A random Qwen3 of the given shape and number of layers with the tokenizer of "nano", as a folder."""
    width, _, heads, kv_heads, head_dim, intermediate = SHAPES[shape]
    return save_random_qwen3(
        folder,
        dtype,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=head_dim,
        intermediate_size=intermediate,
        initializer_range=0.02,
    )


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


def estimator(model: Path | str, survey: Survey, options: Any, epochs: int, **parameters: Any) -> DSARegressor:
    """One member, both stages, nothing chosen on held-out respondents."""
    settings = {"shift_reference": "zero", "shift_weight": 1.5, "validation_fraction": 0.0, "max_epochs": epochs,
                "device": options.device, "dtype": options.dtype, "random_state": 0}  # fmt: skip
    return DSARegressor(str(model), question=survey.questions, **{**settings, **parameters})


class Clock:
    """Seconds of the process on a CPU, of the clock on a GPU (which it waits for)."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def __call__(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            return time.perf_counter()
        return time.process_time()

    def median(
        self, work: Callable[[], Any], repeats: int, *, warm_up: int = 1, before: Callable[[], Any] = lambda: None
    ) -> float:
        """Median seconds of `work`, after so many rounds that do not count; `before` each round is not timed."""
        seconds = []
        for number in range(warm_up + repeats):
            before()
            start = self()
            work()
            stop = self()
            if number >= warm_up:
                seconds.append(stop - start)
        return float(np.median(seconds))


def default_dtype(options: Any) -> torch.dtype:
    """What `dtype=` comes to on `device=`."""
    return resolve_dtype(options.dtype, resolve_device(options.device))


def setting(options: Any) -> dict[str, Any]:
    """What the numbers depend on, as a dictionary ready for JSON."""
    device = resolve_device(options.device)
    cuda = device.type == "cuda"
    return {
        "shape": options.shape,
        "layers": options.layers,
        "fewer layers than the shape has": options.layers < SHAPES[options.shape][1],
        "questions": options.questions,
        "backgrounds": options.backgrounds,
        "epochs of each stage": options.epochs,
        "device": torch.cuda.get_device_name(device) if cuda else platform.processor() or "cpu",
        "cuda": torch.version.cuda if cuda else None,
        "threads": torch.get_num_threads(),
        "dtype": str(default_dtype(options)).removeprefix("torch."),
        "torch": torch.__version__,
        "transformers": version("transformers"),
        "python": platform.python_version(),
    }
