"""A run that is killed at random moments: nothing paid for is lost, nothing that is stored is asked twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from surveysim.asking.journal import Journal
from tests.servers import Body, Canned, Fault, LoopbackServer

PROJECT = Path(__file__).resolve().parents[2]

KILLS, WORKERS, PROMPTS, DRAWS = 20, 4, 200, 2


class Killer:
    """Kills the process that asks when a request of its life arrives, or when the reply to it has been written."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.begun = threading.Event()
        self.lock = threading.Lock()
        self.begin(0, last=True)

    def begin(self, life: int, *, last: bool = False) -> None:
        with self.lock:
            self.life, self.process, self.seen, self.phase = life, 0, 0, "never" if last else self.random.choice(PHASES)
            self.after = int(self.random.integers(1, 14))
            self.begun.clear()

    def see(self, phase: str, life: str) -> None:
        assert self.begun.wait(60)
        with self.lock:
            if phase == self.phase and life == f"Bearer {self.life}":
                self.seen += 1
                if self.seen == self.after:
                    os.kill(self.process, signal.SIGKILL)


PHASES = ("arrival", "reply")


def prompt_of(body: Body) -> str:
    return body["messages"][-1]["content"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.slow
def test_twenty_kills_lose_nothing_and_repeat_only_what_was_under_way(tmp_path: Path) -> None:
    killer = Killer(seed=0)
    asked: Counter[tuple[int, str]] = Counter()  # draws asked for, by life and prompt
    written: Counter[str] = Counter()  # draws in replies that were sent whole, in this life
    requests: Counter[int] = Counter()  # requests by life
    lock = threading.Lock()
    path = tmp_path / "answers.sqlite"

    def arrived(number: int, body: Body) -> Fault | None:
        life = server.headers[number]["authorization"]
        with lock:
            asked[int(life.removeprefix("Bearer ")), prompt_of(body)] += body.get("n", 1)
            requests[int(life.removeprefix("Bearer "))] += 1
        killer.see("arrival", life)
        return None

    def replied(body: Body) -> None:
        with lock:
            written[prompt_of(body)] += body.get("n", 1)
        killer.see("reply", f"Bearer {killer.life}")

    def stored() -> Counter[str]:
        if not path.exists():
            return Counter()
        with Journal(path) as journal:
            return Counter(journal.to_frame()["user"].tolist())

    with LoopbackServer(Canned(lambda body: "A"), faults=arrived, on_reply=replied) as server:
        received = tmp_path / "received"
        plan = {"base_url": server.base_url, "journal": str(path), "received": str(received)}
        worker = subprocess.Popen(
            [sys.executable, "-m", "tests.asking.kill_worker"],
            cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip
        with worker:
            assert worker.stdin is not None
            assert worker.stdout is not None
            print(json.dumps({**plan, "prompts": PROMPTS, "draws": DRAWS, "max_workers": WORKERS}), file=worker.stdin)
            sent_only, in_memory = 0, 0
            for life in range(KILLS + 1):
                last = life == KILLS
                before = stored()
                received.write_bytes(b"")
                written.clear()
                killer.begin(life, last=last)
                print(life, file=worker.stdin)
                killer.process = int(worker.stdout.readline())
                killer.begun.set()
                assert int(worker.stdout.readline()) == (0 if last else -signal.SIGKILL)
                # Nothing that was stored when this life began is asked for in it.
                assert all(asked[life, prompt] <= DRAWS - draws for prompt, draws in before.items())
                after = stored()
                new = after - before
                # What had been answered is stored, but for what was between the server's socket and our disk.
                assert len(written - new) <= WORKERS
                had = Counter(dict(map(json.loads, received.read_text().splitlines())))
                assert len(had - new) <= WORKERS
                sent_only, in_memory = sent_only + len(written - new), in_memory + len(had - new)
            worker.stdin.close()
        assert after == Counter(dict.fromkeys(after, DRAWS))
        assert len(after) == PROMPTS
        assert len([life for life in range(KILLS) if requests[life]]) == KILLS
        # Only requests under way at a kill are made again, and no more of them than there are workers.
        assert sum(requests.values()) <= PROMPTS + KILLS * WORKERS
        print(
            f"{KILLS} kills, {WORKERS} workers: {sum(requests.values()) - PROMPTS} of {PROMPTS} requests repeated, of "
            f"{sent_only} the reply had been sent, of {in_memory} it was in memory and not yet on disk"
        )
