"""Peak memory of a fit in a process of its own, beside what the project's target allows."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.speed.setting import Survey, estimator
from surveysim.models import clear_models, load_model
from surveysim.models.devices import resolve_device
from surveysim.trunk.store import store_of

PROJECT = Path(__file__).resolve().parents[2]

ALLOWANCE = 2**29
"""The target's 0.5 GB."""


def memory(model: Path, options: Any) -> dict[str, float]:
    """`memory_here` in a process of its own, so that nothing else counts."""
    arguments = [sys.executable, "-m", "benchmarks.speed", "--memory-of", str(model)]
    for name in ("shape", "layers", "questions", "backgrounds", "device", "dtype", "budget"):
        arguments += [f"--{name}", str(getattr(options, name))]
    done = subprocess.run(arguments, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def memory_here(options: Any) -> dict[str, float]:
    """Bytes that loading a model and one fit take at their peak, and what they may take.

    ``allowed`` is the target: model + 1.2 x trunk budget + 16 bytes x trained parameters + 0.5 GB; one member is
    trained at a time. On a card its memory is measured, and main memory beside it. What libraries take once they have
    been used is measured before with a small model and left out.
    """
    survey, warm = Survey(options.questions, options.backgrounds), Survey(1, 2)
    estimator("nano", warm, options, 1).fit(warm.X, warm.Y, warm.n)
    clear_models()
    device = resolve_device(options.device)
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    before, main_before = torch.cuda.memory_allocated(device) if cuda else 0, _resident()
    loaded = load_model(options.memory_of, device=options.device, dtype=options.dtype)
    store = store_of(loaded)
    store.memory_budget = options.budget
    fitted = estimator(options.memory_of, survey, options, 1).fit(survey.X, survey.Y, survey.n)
    main = _peak_resident() - main_before
    peak = torch.cuda.max_memory_allocated(device) - before if cuda else main
    model_bytes = sum(parameter.nbytes for parameter in loaded.network.parameters())
    trained = sum(tensor.numel() for tensor in fitted._fitted.members[0].tensors.values())
    allowed = model_bytes + 1.2 * options.budget + 16 * trained + ALLOWANCE
    return {
        "peak": peak,
        "allowed": allowed,
        "peak_over_allowed": peak / allowed,
        "peak_of_main_memory": main,
        "model": model_bytes,
        "budget": options.budget,
        "states_in_memory": store.n_bytes,
        "trained_16_bytes_each": 16 * trained,
    }


def _resident() -> float:
    """Bytes of main memory that this process has now; the most it has had where that cannot be asked."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return _peak_resident()
    return float(pages * resource.getpagesize())


def _peak_resident() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
