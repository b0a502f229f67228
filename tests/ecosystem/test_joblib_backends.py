"""joblib's processes: forked ones compute, and those that grow by a model are kept."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]

BEFORE = """
    import time, warnings
    import joblib, numpy as np
    from sklearn.model_selection import KFold, cross_val_score
    from surveysim import DSARegressor
    from tests.ecosystem.data import QUESTION, X, Y

    model = DSARegressor("nano", question=QUESTION, max_epochs=1, validation_fraction=0, shift_weight=0, random_state=0)
"""


def run(script: str) -> None:
    """In a process of its own, with torch's threads: forks of the test process would be of pytest, too."""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    environment["PYTHONPATH"] = str(PROJECT)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(BEFORE) + textwrap.dedent(script)],
        env=environment, capture_output=True, text=True, timeout=400, cwd=PROJECT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing is forked on this system")
def test_a_forked_process_computes_though_its_parent_used_threads():
    run("""
        here = cross_val_score(model, X, Y, cv=KFold(2))
        with joblib.parallel_config(backend="multiprocessing", n_jobs=2):
            there = cross_val_score(model, X, Y, cv=KFold(2))
        np.testing.assert_allclose(there, here, atol=1e-5)
    """)


@pytest.mark.slow
def test_workers_that_did_light_work_before_are_kept():
    run("""
        warnings.simplefilter("error")
        with joblib.parallel_config(backend="loky", n_jobs=2):
            joblib.Parallel()(joblib.delayed(abs)(number) for number in range(4))
            time.sleep(1.1)  # loky looks at the memory of a worker at most once a second
            first = cross_val_score(model, X, Y, cv=KFold(2))
            time.sleep(1.1)
            again = cross_val_score(model, X, Y, cv=KFold(2))
        np.testing.assert_allclose(first, again, atol=1e-6)
    """)


def test_the_limit_of_a_worker_is_raised_by_what_a_model_takes(monkeypatch):
    """joblib 1.4 to 1.6; where loky calls it otherwise, workers restart as they did."""
    from joblib.externals.loky import process_executor

    from surveysim.models import worker_memory

    monkeypatch.setattr(process_executor, "_MAX_MEMORY_LEAK_SIZE", int(3e8))
    worker_memory.expect_a_model()
    assert int(3e8) == process_executor._MAX_MEMORY_LEAK_SIZE  # this process is not a worker
    monkeypatch.setattr(process_executor, "_CURRENT_DEPTH", 1)
    monkeypatch.setattr(worker_memory, "_resident_bytes", lambda: 10**9)
    worker_memory.expect_a_model()
    assert process_executor._MAX_MEMORY_LEAK_SIZE == 10**9 + worker_memory.ROOM
    monkeypatch.delattr(process_executor, "_MAX_MEMORY_LEAK_SIZE")
    worker_memory.expect_a_model()
