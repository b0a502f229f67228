"""Work spread over processes: who counts as one, what a dying worker costs, what is refused."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import pytest
import torch
from joblib.externals.loky import get_reusable_executor

from surveysim.models import LoadedModel, load_model, processes
from surveysim.models.processes import ModelAddress, n_processes

CPU = torch.device("cpu")


def square(model: LoadedModel, item: int) -> tuple[int, str, int, int]:
    return item**2, model.fingerprint, os.getpid(), LoadedModel.n_loads


def square_unless_first(model: LoadedModel, item: int, folder: str) -> int:
    """Whoever is given 3 first dies of it; every start is noted."""
    with (Path(folder) / "starts").open("a") as file:
        file.write(f"{item}\n")
    if item == 3:
        try:
            (Path(folder) / "died").touch(exist_ok=False)
        except FileExistsError:
            return 9
        os.kill(os.getpid(), signal.SIGKILL)
    return item**2


def slow_square(model: LoadedModel, item: int) -> int:
    time.sleep(0.1 * (item > 0))
    return item**2


def die(model: LoadedModel, item: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fail(model: LoadedModel, item: int) -> None:
    raise ZeroDivisionError(f"item {item}")


@pytest.fixture
def address(tiny) -> ModelAddress:
    return ModelAddress.of(load_model(tiny()))


@pytest.mark.slow
def test_who_counts_as_another_process():
    assert n_processes(CPU) == 1
    with joblib.parallel_config(backend="loky", n_jobs=2):
        assert n_processes(CPU) == 2
        assert n_processes(torch.device("cuda")) == 1  # each would load a copy onto the same card
        inner = joblib.Parallel()([joblib.delayed(n_processes)(CPU)] * 2)
        assert inner == [1, 1]  # what is spread is not spread again
    for backend in ("threading", "sequential"):
        with joblib.parallel_config(backend=backend, n_jobs=2 if backend == "threading" else 1):
            assert n_processes(CPU) == 1


@pytest.mark.slow
def test_each_process_loads_the_model_once(address):
    get_reusable_executor().shutdown()  # workers that an earlier test left may have loaded models of their own
    with joblib.parallel_config(backend="loky", n_jobs=2):
        results = dict(processes.spread(square, range(8), address))
    assert [results[i][0] for i in range(8)] == [i**2 for i in range(8)]
    assert {result[1] for result in results.values()} == {address.fingerprint}
    assert os.getpid() not in {result[2] for result in results.values()}
    assert {result[3] for result in results.values()} == {1}


@pytest.mark.slow
def test_a_worker_that_dies_costs_what_it_was_working_on(address, tmp_path):
    with (
        joblib.parallel_config(backend="loky", n_jobs=2),
        pytest.warns(UserWarning, match=r"a worker died .*pieces of work are repeated"),
    ):
        results = dict(processes.spread(square_unless_first, range(12), address, str(tmp_path)))
    assert results == {i: i**2 for i in range(12)}
    starts = [int(line) for line in (tmp_path / "starts").read_text().split()]
    assert starts.count(3) == 2
    assert len(starts) < 12 + 8  # what was finished before stays finished; loky stops what else was under way


@pytest.mark.slow
def test_work_that_kills_every_worker_comes_to_an_end(address, monkeypatch):
    monkeypatch.setattr(processes, "ATTEMPTS", 2)
    with (
        joblib.parallel_config(backend="loky", n_jobs=2),
        pytest.warns(UserWarning, match="a worker died"),
        pytest.raises(RuntimeError, match=r"workers died 2 times over the same 2 of 2 pieces of work"),
    ):
        list(processes.spread(die, range(2), address))


@pytest.mark.parametrize("backend", [pytest.param("loky", marks=pytest.mark.slow), "sequential"])
def test_what_the_work_raises_is_raised(address, backend):
    settings: dict[str, Any] = {"backend": backend, "n_jobs": 1 if backend == "sequential" else 2}
    with joblib.parallel_config(**settings), pytest.raises(ZeroDivisionError, match="item"):
        list(processes.spread(fail, range(3), address))


@pytest.mark.slow
def test_who_stops_halfway_is_not_told_that_work_was_cancelled(address):
    with joblib.parallel_config(backend="loky", n_jobs=2):
        results = processes.spread(slow_square, range(30), address)
        next(results)
        results.close()  # warnings are errors here


def test_other_weights_under_the_same_name_are_refused(address):
    with pytest.raises(ValueError, match=r"a worker found other weights under .*Give all machines the same files"):
        replace(address, fingerprint="0" * 64).load()
    assert address.load().fingerprint == address.fingerprint


# --- a cluster --------------------------------------------------------------------------------------------------------


class Unreadable:
    """What workers cannot open, as if they lacked a package."""

    def __reduce__(self):
        return _lacking, ()


def _lacking():
    raise ModuleNotFoundError("No module named 'somebody_elses'")


@pytest.mark.slow
def test_what_fails_outside_of_the_work_is_an_error_and_no_endless_wait(address, cluster, monkeypatch):
    # the missing package by name, or Dask's own words about environments that differ
    with (
        joblib.parallel_config(backend="dask"),
        pytest.raises((ModuleNotFoundError, RuntimeError), match=r"_elses|onment"),
    ):
        list(processes.spread(square, [1, Unreadable()], address))
    monkeypatch.setattr(processes, "ATTEMPTS", 1)
    monkeypatch.setattr(cluster.cluster.scheduler, "allowed_failures", 0)
    with (
        joblib.parallel_config(backend="dask"),
        pytest.raises(RuntimeError, match=r"workers died 1 times over the same 2 of 2 pieces of work.*KilledWorker"),
    ):
        list(processes.spread(die, range(2), address))
