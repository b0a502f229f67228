"""A Dask cluster of two workers on the loopback that note what they begin, and of which one can be killed at work."""

from __future__ import annotations

import os
import signal
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

NOTES = "SURVEYSIM_TEST_NOTES"


def begin(piece: object) -> None:
    """What workers call before a piece of work; whoever is first while "deadly" lies there takes it and is killed."""
    from surveysim.models import LoadedModel

    folder = Path(os.environ[NOTES])
    with (folder / "starts").open("a") as file:
        file.write(f"{os.getpid()} {LoadedModel.n_loads} {zlib.crc32(repr(piece).encode())}\n")
    try:
        (folder / "deadly").rename(folder / "taken")
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def starts(notes: Path) -> list[tuple[int, int, str]]:
    """What has been begun since the last call: the process, how many models it had loaded, and the piece of work."""
    file = notes / "starts"
    rows = [line.split() for line in file.read_text().splitlines()]
    file.unlink()
    return [(int(pid), int(loads), piece) for pid, loads, piece in rows]


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which workers note what they begin."""
    return tmp_path_factory.mktemp("notes")


@pytest.fixture(scope="module")
def cluster(notes: Path) -> Iterator[Any]:
    """The client of two workers, of one thread each."""
    distributed = pytest.importorskip("distributed")
    settings = {"distributed.worker.memory.terminate": False, "distributed.comm.retry.count": 2}
    import dask

    with (
        dask.config.set(settings),
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            silence_logs=50,
            env={NOTES: str(notes), "OMP_NUM_THREADS": "1"},
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        client.wait_for_workers(2)
        yield client
