"""How long a run takes to get going again over a full journal. ``python -m benchmarks.journal``.

A journal with 10,000 answers is opened and asked for them and 100 new ones. Timed, apart from imports: from opening
the file to the moment at which the first new ask reaches the model (the old answers have been found by then), in
processes of their own, so that nothing is left in memory from before. Beside it: what storing an answer costs, each one
flushed to the disk before it is used, from one thread and from eight.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import numpy as np

from surveysim import Question
from surveysim.asking.asks import Answer, Ask
from surveysim.elicitation import Journal, journaled
from surveysim.prompts import get_template, render

LABELS = ("A", "B", "C", "D", "E")
NEW = 100


class Model:
    """Answers at once and notes when it was first asked."""

    identity: ClassVar = {"kind": "benchmark"}

    def __init__(self) -> None:
        self.first_asked: tuple[float, float] = (0.0, 0.0)

    def labels(self, n_options: int) -> tuple[str, ...]:
        return LABELS[:n_options]

    def answer(
        self, asks: Sequence[Ask], *, on_answer: Callable[[int, Answer], None] | None = None, verbose: int = 0
    ) -> list[Answer]:
        self.first_asked = time.perf_counter(), time.process_time()
        assert len(asks) == NEW, "the journal should have had the others"
        return [Answer(failure="not wanted here") for _ in asks]


def make_asks(n: int) -> list[Ask]:
    """Prompts as the elicitor writes them, for n backgrounds."""
    question = Question("How do you rate your marriage?", ["very poor", "poor", "fair", "good", "very good"])
    template = get_template("default")
    return [
        Ask(render(template, question, {"age": 18 + i % 60, "region": i // 60}, labels=LABELS), "label", LABELS)
        for i in range(n)
    ]


def answer_of(i: int) -> Answer:
    return Answer(label_logprobs=tuple(np.log(np.random.default_rng(i).dirichlet(np.ones(5))).tolist()))


def resume(path: str, n: int) -> tuple[float, float]:
    """Seconds from opening the journal to the first new ask: by the clock, and of processor time."""
    asks, model = make_asks(n + NEW), Model()
    start = time.perf_counter(), time.process_time()
    answers = journaled(model, path).answer(asks)
    assert sum(answer.failure is None for answer in answers) == n
    return model.first_asked[0] - start[0], model.first_asked[1] - start[1]


def fill(path: Path, n: int, n_threads: int) -> float:
    """Milliseconds per answer stored."""
    asks = make_asks(n)
    answers = [answer_of(i) for i in range(n)]
    with Journal(path) as journal, ThreadPoolExecutor(n_threads) as pool:
        start = time.perf_counter()
        list(pool.map(lambda i: journal.put(Model.identity, asks[i], answers[i]), range(n)))
        return (time.perf_counter() - start) / n * 1e3


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--resume", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.resume:
        print(*resume(options.resume, options.entries))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answers.sqlite"
        stored = {"1": fill(Path(folder) / "one.sqlite", 500, 1), "8": fill(path, options.entries, 8)}
        command = [sys.executable, "-m", "benchmarks.journal", "--entries", str(options.entries), "--resume", str(path)]
        runs = [
            [float(text) for text in subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()]
            for _ in range(options.repeats)
        ]
        size = path.stat().st_size
    print(f"journal of {options.entries:,} answers, {size / 1e6:.1f} MB, {platform.machine()}")
    for name, seconds in zip(("by the clock", "of processor time"), zip(*runs, strict=True), strict=True):
        print(f"  resume: {np.median(seconds):.2f} s {name} (median of {len(runs)}; longest {max(seconds):.2f} s)")
    for n_threads, milliseconds in stored.items():
        print(f"  store from {n_threads} threads: {milliseconds:.2f} ms an answer")
    if options.output:
        found = {"entries": options.entries, "resume_seconds": runs, "store_milliseconds": stored, "bytes": size}
        options.output.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
