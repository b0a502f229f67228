"""States on disk: as they were written or not there, whoever is killed and whatever happens to the disk."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from surveysim.errors import DiskFullError, SurveysimWarning
from surveysim.trunk import state_folder
from surveysim.trunk.state_folder import StateFolder

POSIX = pytest.mark.skipif(os.name != "posix", reason="locks and signals of POSIX systems")


def some_states(n: int = 6, seed: int = 0, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {f"key{i}": torch.randn(4, 8, generator=generator).to(dtype) for i in range(n)}


def folder_with(path: Path, states: dict[str, Tensor]) -> Path:
    folder = StateFolder(path)
    folder.refresh()
    folder.add(states)
    (file,) = path.glob("*.safetensors")
    return file


def opened(path: Path) -> StateFolder:
    folder = StateFolder(path)
    folder.refresh()
    return folder


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_states_come_back_as_they_were(tmp_path: Path, dtype: torch.dtype) -> None:
    states = some_states(dtype=dtype) | {
        "none": torch.zeros(0, 8),
        "one": torch.tensor(3.0),
        "nan": torch.tensor([torch.nan]),
    }
    folder_with(tmp_path, states)
    folder = opened(tmp_path)
    assert len(folder) == len(states)
    for key, value in states.items():
        torch.testing.assert_close(folder.get(key), value, rtol=0, atol=0, equal_nan=True)
    assert folder.get("other") is None


def test_flipped_bits_are_never_returned_wherever_they_fall(tmp_path: Path) -> None:
    states = some_states()
    file = folder_with(tmp_path, states)
    whole = file.read_bytes()
    rng = np.random.default_rng(0)
    n_damaged = 0
    for place in range(0, len(whole), 3):  # header and numbers alike
        data = bytearray(whole)
        data[place] ^= 1 << int(rng.integers(8))
        file.write_bytes(data)
        folder = opened(tmp_path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SurveysimWarning)
            for key, value in states.items():
                found = folder.get(key)
                n_damaged += found is None
                assert found is None or torch.equal(found, value)
    assert n_damaged > 200


def test_damaged_states_are_told_of_once_and_stored_again(tmp_path: Path) -> None:
    states = some_states()
    file = folder_with(tmp_path, states)
    data = bytearray(file.read_bytes())
    data[-1] ^= 0x40  # in the numbers of the last state
    data[-200] ^= 0x40
    file.write_bytes(data)
    folder = opened(tmp_path)
    with pytest.warns(SurveysimWarning, match="damaged.*computed again") as told:
        lost = [key for key in states if folder.get(key) is None]
    assert len(told) == 1
    assert len(lost) == 2
    assert all(folder.get(key) is None for key in lost)
    folder.add({key: states[key] for key in lost})
    # In later processes the good copy is found, whichever file comes first.
    for one in (folder, opened(tmp_path)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SurveysimWarning)
            assert all(torch.equal(one.get(key), value) for key, value in states.items())


def test_files_without_checksums_are_not_believed(tmp_path: Path) -> None:
    save_file(some_states(), tmp_path / "old.safetensors")
    with pytest.warns(SurveysimWarning, match="earlier version"):
        assert opened(tmp_path).get("key0") is None


# --- full disks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_a_clear_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def full(tensors: Any, file: Path, **options: Any) -> None:
        file.write_bytes(b"half")
        raise error

    monkeypatch.setattr(state_folder, "save_file", full)
    folder = opened(tmp_path)
    with pytest.raises(DiskFullError, match=r"trunk cache cannot take more states.*trunk_cache=") as caught:
        folder.add(some_states())
    assert caught.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    folder.add(some_states())
    assert len(folder) == 6


def test_another_error_is_passed_on_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(tensors: Any, file: Path, **options: Any) -> None:
        file.write_bytes(b"half")
        raise SafetensorError("something else")

    monkeypatch.setattr(state_folder, "save_file", broken)
    with pytest.raises(SafetensorError, match="something else"):
        opened(tmp_path).add(some_states())
    assert list(tmp_path.iterdir()) == []


# --- processes that are killed ----------------------------------------------------------------------------------------


@POSIX
def test_what_a_dead_process_left_is_removed_and_what_a_living_one_writes_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dead.partial").mkdir()
    (tmp_path / "dead.partial" / ".tmp1").write_bytes(b"half of a file")
    (tmp_path / "begun.partial").mkdir()
    folder = opened(tmp_path)
    assert list(tmp_path.iterdir()) == []

    def looked_at(tensors: Any, file: Path, **options: Any) -> None:
        file.write_bytes(b"half of a file")
        opened(tmp_path)  # another process begins
        assert file.exists()
        save_file(tensors, file, **options)

    monkeypatch.setattr(state_folder, "save_file", looked_at)
    folder.add(some_states())
    assert [file.suffix for file in tmp_path.iterdir()] == [".safetensors"]


def _write_for_ever(path: Path) -> None:
    folder = StateFolder(path)
    folder.refresh()
    for i in range(10_000):
        generator = torch.Generator().manual_seed(i)
        folder.add({f"{i}-{j}": torch.randn(200, 500, generator=generator) for j in range(3)})


@POSIX
@pytest.mark.slow
def test_twenty_kills_while_writing_lose_nothing_and_leave_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    context = multiprocessing.get_context("spawn")
    partials = 0
    for life in range(20):
        path = tmp_path / str(life)
        process = context.Process(target=_write_for_ever, args=(path,))
        process.start()
        while not (path.is_dir() and any(path.glob("*.safetensors"))):
            time.sleep(0.01)
        time.sleep(float(rng.uniform(0, 0.2)))
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        partials += len(list(path.glob("*.partial")))
        folder = opened(path)
        assert {file.suffix for file in path.iterdir()} == {".safetensors"}
        for key in list(folder._index):
            i, j = map(int, key.split("-"))
            generator = torch.Generator().manual_seed(i)
            expected = [torch.randn(200, 500, generator=generator) for _ in range(3)][j]
            found = folder.get(key)
            assert found is not None
            assert torch.equal(found, expected)
    assert partials > 0  # some were killed while a file was being written
