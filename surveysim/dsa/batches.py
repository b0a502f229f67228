"""The cells of a fit as batches that the head can be trained on: whole questions, so that pairs meet."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from surveysim.dsa.losses import Lines, shift_contrasts
from surveysim.dsa.pairs import background_codes, lines_of, pair_counts
from surveysim.questions import Question
from surveysim.trunk.store import TrunkInputs

__all__ = ["Batches", "TrainingBatch"]

LARGEST_QUESTION = 1024
"""Cells of one question that always stay in one batch."""


@dataclass(frozen=True)
class TrainingBatch:
    """Some cells, ready on the model's device.

    Attributes
    ----------
    rows : int64 Tensor of shape (B,)
        The cells' positions among the n.
    question : int64 Tensor of shape (B,)
        Each cell's question.
    place, n_questions : int64 Tensor of shape (B,), int
        Each cell's question as its place among the batch's questions, and how many these are.
    contrasts : Tensor of shape (B, K - 1, K)
        Each cell's weighted contrasts for the shift loss.
    lines : list of Lines
        Which of the cells are compared.
    read : callable
        Gives what the trained blocks read.
    """

    rows: Tensor
    question: Tensor
    place: Tensor
    n_questions: int
    contrasts: Tensor
    lines: list[Lines]
    read: Callable[[], Any]

    @property
    def inputs(self) -> Any:
        """What the trained blocks read: a StateBatch or TokenBatch."""
        return self.read()


class Batches:
    """Cells, batched once for all stages, folds and candidates of a fit.

    Padded copies of trunk states are kept as far as the trunk's memory budget goes; beyond it a batch is put together
    again for every step, which is a copy of a few megabytes beside a step of the head.

    Parameters
    ----------
    inputs : TrunkInputs
        Trunk states of the n cells.
    backgrounds : DataFrame of n rows
        Their attributes.
    question_index : int array of shape (n,)
        Their questions.
    questions : sequence of Question
        The questions.
    n_options : int
        Columns of all distributions, K.
    batch_size : int
        Cells per batch. Questions stay whole, so that levels are learned on all of a question's cells and pairs meet.
    generator : numpy Generator
        Which questions share a batch.
    device : torch.device
        Where the head is.
    room : int, optional
        Bytes of padded copies that are kept; None: what the budget leaves.

    Attributes
    ----------
    parts : list of TrainingBatch
        Together they hold every cell once.
    n_pairs : Tensor of shape (n_attributes,)
        Pairs per attribute.
    n_bytes : int
        Of the copies that are kept.
    """

    def __init__(
        self,
        inputs: TrunkInputs,
        backgrounds: pd.DataFrame,
        question_index: np.ndarray,
        questions: Sequence[Question],
        n_options: int,
        batch_size: int,
        generator: np.random.Generator,
        device: torch.device,
        room: int | None = None,
    ) -> None:
        self.question_index = question_index
        self.codes = background_codes(backgrounds)
        self.attributes = [str(column) for column in backgrounds.columns]
        self.n_options = n_options
        self.device = device
        contrasts = torch.tensor(shift_contrasts(questions, n_options), dtype=torch.float32)
        self._inputs = inputs
        self._room = inputs.room if room is None else room
        self.n_bytes = 0
        self._padded: dict[int, Any] = {}
        self._lock = threading.Lock()
        self.parts = []
        for position, rows in enumerate(_question_batches(question_index, batch_size, generator)):
            question = torch.as_tensor(question_index[rows])
            present, place = np.unique(question_index[rows], return_inverse=True)
            self.parts.append(
                TrainingBatch(
                    rows=torch.as_tensor(rows, device=device),
                    question=question.to(device),
                    place=torch.as_tensor(place, device=device),
                    n_questions=len(present),
                    contrasts=contrasts[question].to(device),
                    lines=lines_of(self.codes[rows], question_index[rows], device),
                    read=partial(self._read, position, rows),
                )
            )
        self.n_pairs = pair_counts([batch.lines for batch in self.parts], self.codes.shape[1]).to(device)

    def __len__(self) -> int:
        return len(self.question_index)

    def _read(self, position: int, rows: np.ndarray) -> Any:
        if position in self._padded:
            return self._padded[position]
        inputs = self._inputs.batch(rows)
        with self._lock:  # heads that are trained at once read the same cells
            if position not in self._padded and self.n_bytes + inputs.nbytes <= self._room:
                self.n_bytes += inputs.nbytes
                self._padded[position] = inputs
        return inputs

    def tensor(self, values: np.ndarray) -> Tensor:
        """An array of numbers as float32 on the head's device."""
        return torch.as_tensor(np.array(values, dtype=np.float32), device=self.device)  # a copy: views may be read-only


def _question_batches(question_index: np.ndarray, batch_size: int, generator: np.random.Generator) -> list[np.ndarray]:
    """Rows of each batch: whole questions in random order, packed while they fit.

    A question larger than `batch_size` has a batch of its own. Only one of more than `LARGEST_QUESTION` cells is split
    at random: its parts are large enough to stand for its level, and to hold pairs.
    """
    batches: list[list[np.ndarray]] = []
    size = 0
    for question in generator.permutation(np.unique(question_index)):
        rows = np.flatnonzero(question_index == question)
        if len(rows) > max(batch_size, LARGEST_QUESTION):
            n_parts = -(-len(rows) // max(batch_size, LARGEST_QUESTION))
            parts = np.array_split(generator.permutation(rows), n_parts)
            batches.extend([[np.sort(part)] for part in parts])
            size = batch_size
        elif not batches or size + len(rows) > batch_size:
            batches.append([rows])
            size = len(rows)
        else:
            batches[-1].append(rows)
            size += len(rows)
    return [np.concatenate(parts) for parts in batches]
