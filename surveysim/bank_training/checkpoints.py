"""Checkpoints of a bank's training: one after each epoch, complete or not there, checked when they are read."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from surveysim.errors import warn
from surveysim.saving import read_folder, write_folder
from surveysim.version import __version__

__all__ = ["Checkpoints", "digest_of"]

_CLASS = "QuestionBankCheckpoint"

KEPT = 2
"""The last checkpoints that are kept: if the newest was damaged on the disk, an epoch is lost and not all of them."""


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one training.

    Attributes
    ----------
    folder : Path
    training : str
        Says what is trained on what, and how: only checkpoints of the same training are gone on from.
    """

    folder: Path
    training: str

    def write(self, number: int, state: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Keep a checkpoint, then drop those that are too old.

        Parameters
        ----------
        number : int
            Of the epoch, counted through all stages.
        state : mapping
            What JSON can hold.
        tensors : mapping of str to Tensor
        """
        target = self.folder / f"epoch-{number:04d}"
        if target.exists():  # damaged, or it would have been gone on from
            shutil.rmtree(target)
        write_folder(target, {"class": _CLASS, "training": self.training, **state}, tensors, __version__)
        for old in self._all()[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)

    def read(self) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        """The newest checkpoint that is whole; None where there is none.

        Raises
        ------
        ValueError
            If the folder holds checkpoints of another training.

        Warns
        -----
        UserWarning
            If one is damaged.
        """
        for folder in reversed(self._all()):
            try:
                state, tensors = read_folder(folder, {_CLASS}, __version__)
            except (FileNotFoundError, ValueError) as error:
                warn(f"a checkpoint is left out, and training goes on from an earlier one or from the start: {error}")
                continue
            if state["training"] != self.training:
                raise ValueError(
                    f"{self.folder} holds checkpoints of another training: other cells, another model or other "
                    "parameters. Choose another folder, or remove this one"
                )
            return state, tensors
        return None

    def _all(self) -> list[Path]:
        return sorted(self.folder.glob("epoch-[0-9]*")) if self.folder.is_dir() else []


def digest_of(about: Mapping[str, Any], *arrays: np.ndarray) -> str:
    """A number that stands for what a training depends on.

    Parameters
    ----------
    about : mapping
        What JSON can hold.
    *arrays : arrays
    """
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for array in arrays:
        digest.update(str(array.shape).encode() + np.ascontiguousarray(array, dtype=np.float64).tobytes())
    return digest.hexdigest()
