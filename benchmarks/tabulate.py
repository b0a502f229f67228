"""How long it takes, and how much memory, to tabulate a large survey: python -m benchmarks.tabulate"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from surveysim import tabulate
from surveysim.datasets import make_survey

__all__ = ["main", "measure"]

PAGE = 4096


def resident() -> int:
    """Bytes of memory that this process holds; the peak so far where there is no /proc."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE
    except OSError:
        scale = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def measure(work: Callable[[], Any]) -> tuple[Any, float, float, float]:
    """The result, seconds by the clock and of the processor, and the most MB the process held, sampled every 2 ms."""
    gc.collect()
    peak, done = resident(), threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.002):
            peak = max(peak, resident())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    start, worked = time.perf_counter(), time.process_time()
    result = work()
    seconds, worked = time.perf_counter() - start, time.process_time() - worked
    done.set()
    watcher.join()
    return result, seconds, worked, max(peak, resident()) / 1e6


def main(arguments: list[str] | None = None) -> list[dict[str, Any]]:
    """Print a table of seconds and memory; write JSON with --output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--respondents", type=int, default=100_000)
    parser.add_argument("--questions", type=int, default=50)
    parser.add_argument("--backgrounds", type=int, default=6)
    parser.add_argument("--levels", type=int, default=4)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args(arguments)
    survey = make_survey(
        given.respondents, given.backgrounds, given.questions, n_levels=given.levels, weighted=True, missing=0.05,
        random_state=0,
    )  # fmt: skip
    data, backgrounds, questions = survey.data, survey.backgrounds, survey.questions
    codes = data.assign(
        **{name: data[name].cat.codes.astype(float) + 1 for name in questions},
        **{name: data[name].astype(str) for name in backgrounds},
        stratum=np.arange(len(data)) % 50,
        psu=np.arange(len(data)) // 20,
    )
    missing = {question.n_options + 1: "don't know" for question in questions.values()}
    runs: dict[str, Callable[[], Any]] = {
        "labels, weights": lambda: survey.tabulate(),
        "labels, weights, 5 folds": lambda: survey.tabulate(folds=5),
        "codes, text backgrounds, weights": lambda: tabulate(
            codes, backgrounds, questions, weights="weight", missing=missing
        ),
        "the same, strata, clusters, 5 folds": lambda: tabulate(
            codes,
            backgrounds,
            questions,
            weights="weight",
            missing=missing,
            strata="stratum",
            cluster="psu",
            folds=5,
        ),
    }
    rows = []
    for name, run in runs.items():
        cells, seconds, worked, megabytes = measure(run)
        row = {"run": name, "cells": len(cells), "seconds": round(seconds, 2), "CPU seconds": round(worked, 2)}
        rows.append({**row, "peak MB of the process": round(megabytes)})
    size = data.memory_usage(deep=True).sum() / 1e6
    print(f"{given.respondents:,} respondents x {given.questions} questions x {given.backgrounds} backgrounds")
    print(f"of {given.levels} levels; the survey itself takes {size:,.0f} MB as labels\n")
    print(pd.DataFrame(rows).to_string(index=False))
    if given.output:
        given.output.write_text(
            json.dumps({"arguments": {**vars(given), "output": None}, "rows": rows}, indent=1) + "\n"
        )
    return rows


if __name__ == "__main__":
    main()
