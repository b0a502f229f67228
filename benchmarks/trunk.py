"""What trunk states save: the same fit with them and in whole forward passes. ``python -m benchmarks.trunk``.

Same model (12 layers, random weights), losses, batches, seeds and epochs on both sides; only where the frozen blocks'
output comes from differs.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.protocol import make_splits
from benchmarks.random_model import save_random_qwen3
from benchmarks.surveys import SURVEYS
from benchmarks.whole_passes import whole_passes
from surveysim import DSARegressor
from surveysim.models import clear_models, load_model


def make_model(folder: Path, n_layers: int, hidden_size: int) -> Path:
    """A random Qwen3 of which every head has 32 dimensions."""
    return save_random_qwen3(
        folder,
        hidden_size=hidden_size,
        num_hidden_layers=n_layers,
        num_attention_heads=hidden_size // 32,
        num_key_value_heads=max(1, hidden_size // 96),
        head_dim=32,
        intermediate_size=hidden_size * 3,
        initializer_range=0.05,
    )


def main() -> None:
    """Print both times, their ratio and the largest difference of predictions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--questions", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=10, help="of each stage")
    options = parser.parse_args()
    survey = SURVEYS["nonvoters_2020"]()
    split = next(iter(make_splits(survey, 500, 1)))
    cells = split.train.subset(np.isin(split.train.question_names, list(survey.questions)[: options.questions]))
    seconds: dict[str, float] = {}
    predictions = {}
    with tempfile.TemporaryDirectory() as folder:
        model = make_model(Path(folder), options.layers, options.width)
        for name in ("trunk states", "whole passes"):
            clear_models()
            loaded = load_model(str(model))
            plain: AbstractContextManager[dict[str, Any]] = whole_passes(loaded)
            with plain if name == "whole passes" else nullcontext({}) as way:
                estimator = DSARegressor(
                    str(model),
                    question=dict(cells.questions),
                    shift_reference="baseline",
                    shift_weight=3.0,
                    validation_fraction=0.0,
                    max_epochs=options.epochs,
                    batch_size=96,
                    random_state=0,
                    **way,
                )
                start = time.perf_counter()
                predictions[name] = estimator.fit(cells.X, cells.Y, sample_weight=cells.n).predict(cells.X)
                seconds[name] = time.perf_counter() - start
            print(f"{name}: {seconds[name]:.1f} s for fit and prediction", flush=True)
    difference = float(np.nanmax(np.abs(predictions["trunk states"] - predictions["whole passes"])))
    result = {
        "layers": options.layers,
        "cells": len(cells),
        "epochs": 2 * options.epochs,
        "ratio": round(seconds["whole passes"] / seconds["trunk states"], 1),
        "largest_difference": difference,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
