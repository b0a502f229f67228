"""Prompts through the trunk: batches of a number of tokens, halved if memory runs out; here, or in worker processes."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from surveysim.errors import warn
from surveysim.trunk.recipe import Recipe

__all__ = ["Job", "PassSize", "make_jobs", "read_results", "run_group", "run_job"]

TOKENS_PER_PASS = {"cpu": 2048, "cuda": 8192}
"""Tokens that go through the trunk at once: enough to keep the device busy, few enough that what a pass needs beside
the model is a few hundred megabytes (a token's share of one block's activations, at 4 billion parameters 0.1 MB)."""

TOKENS_PER_JOB = 4096
"""Tokens that one worker is given at a time: what is lost if it dies."""

Tokens = Sequence[int]


class PassSize:
    """How many tokens go through the trunk at once; halved, with one warning, whenever memory runs out.

    Parameters
    ----------
    device : torch.device
        Where the model is.
    """

    def __init__(self, device: torch.device) -> None:
        self.tokens = TOKENS_PER_PASS.get(device.type, TOKENS_PER_PASS["cpu"])
        self._device = device
        self._lock = threading.Lock()
        self._warned = False

    def halve(self, tokens: int) -> None:
        """Note that a pass of this many tokens did not fit."""
        with self._lock:
            self.tokens = max(1, min(self.tokens, tokens) // 2)
            warned, self._warned = self._warned, True
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        if not warned:
            warn(
                f"memory ran out with {tokens} tokens in one pass through the frozen blocks: continuing with half as "
                "many, or fewer if need be. Results stay the same"
            )


def run_group(
    recipe: Recipe, prefix: Tokens, suffixes: Sequence[Tokens], size: PassSize
) -> Iterator[tuple[Tensor, list[int], list[Tensor]]]:
    """Trunk states of prompts that share a prefix, which is run once.

    Parameters
    ----------
    recipe : Recipe
        Runs the trunk.
    prefix : sequence of int
        The shared tokens.
    suffixes : sequence of sequences of int
        What follows; short ones go first, so that little is padded.
    size : PassSize
        Tokens per pass.

    Yields
    ------
    prefix_states : Tensor of shape (P, D)
        The same each time.
    rows : list of int
        Which of the suffixes.
    states : list of Tensor of shape (S_i, D)
    """
    order = sorted(range(len(suffixes)), key=lambda row: len(suffixes[row]))
    shared = recipe.prefix(prefix)
    repeated = 0 if shared.layers is not None else len(prefix)
    done = 0
    while done < len(order):
        rows = _first_batch(order[done:], suffixes, repeated, size.tokens)
        tokens = len(rows) * (repeated + len(suffixes[rows[-1]]))
        try:
            states = recipe.states(shared, [suffixes[row] for row in rows])
        except (RuntimeError, MemoryError) as error:
            if not _out_of_memory(error):
                raise
            if len(rows) == 1:
                error.add_note(
                    f"Memory runs out with a single prompt of {len(prefix) + tokens - repeated} tokens: use a smaller "
                    "model, dtype='bfloat16' or a device with more memory."
                )
                raise
            states = None
        if states is None:  # outside of the handler, so that the failed pass's tensors are gone
            size.halve(tokens)
            continue
        yield shared.states, rows, states
        done += len(rows)


def _first_batch(order: list[int], suffixes: Sequence[Tokens], repeated: int, tokens: int) -> list[int]:
    """The first rows, in ascending order of length, whose padded tokens fit; at least one."""
    n = 1
    while n < len(order) and (n + 1) * (repeated + len(suffixes[order[n]])) <= tokens:
        n += 1
    return order[:n]


def _out_of_memory(error: BaseException) -> bool:
    """Whether a device, or the machine, ran out of memory (torch says so in several ways)."""
    text = str(error).lower()
    known = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return known or "out of memory" in text or "can't allocate memory" in text


# --- worker processes -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    """Prompts of a few groups that one worker runs.

    Attributes
    ----------
    prefixes : tuple of tuple of int
        The groups' shared tokens.
    suffixes : tuple (groups) of tuples of tuple of int
        What follows.
    labels : tuple (groups) of (group, rows)
        What they are where the work comes from; workers do not look at it.
    """

    prefixes: tuple[tuple[int, ...], ...]
    suffixes: tuple[tuple[tuple[int, ...], ...], ...]
    labels: tuple[tuple[int, tuple[int, ...]], ...]


def make_jobs(
    groups: dict[int, list[int]], prefixes: Sequence[tuple[int, ...]], suffixes: Sequence[tuple[int, ...]]
) -> list[Job]:
    """Cut groups of prompts into jobs of about `TOKENS_PER_JOB` tokens each.

    Parameters
    ----------
    groups : dict of int to list of int
        The rows to be run, by group.
    prefixes : sequence of tuples of int
        Each group's shared tokens.
    suffixes : sequence of tuples of int
        Each row's own tokens.
    """
    jobs: list[list[tuple[int, list[int]]]] = []
    room = 0
    for group, rows in groups.items():
        for row in sorted(rows, key=lambda row: len(suffixes[row])):
            new_job = room < len(suffixes[row])
            if new_job:
                jobs.append([])
                room = TOKENS_PER_JOB
            if not jobs[-1] or jobs[-1][-1][0] != group:
                jobs[-1].append((group, []))
                room -= len(prefixes[group])
            jobs[-1][-1][1].append(row)
            room -= len(suffixes[row])
    return [
        Job(
            tuple(prefixes[group] for group, _ in parts),
            tuple(tuple(suffixes[row] for row in rows) for _, rows in parts),
            tuple((group, tuple(rows)) for group, rows in parts),
        )
        for parts in jobs
    ]


def run_job(recipe: Recipe, job: Job, size: PassSize) -> list[tuple[np.ndarray, list[np.ndarray]]]:
    """What a worker does: a job's prefix and suffix states as arrays, in the model's own type.

    bfloat16, which numpy does not have, travels as 16-bit integers.
    """
    results = []
    for prefix, suffixes in zip(job.prefixes, job.suffixes, strict=True):
        own: list[np.ndarray] = [np.empty(0)] * len(suffixes)
        for before, rows, states in run_group(recipe, prefix, suffixes, size):
            prefix_array = _as_array(before)
            for row, part in zip(rows, states, strict=True):
                own[row] = _as_array(part)
        results.append((prefix_array, own))
    return results


def read_results(
    jobs: Sequence[Job], finished: Iterable[tuple[int, list[tuple[np.ndarray, list[np.ndarray]]]]], dtype: torch.dtype
) -> Iterator[tuple[int, Tensor, tuple[int, ...], list[Tensor]]]:
    """Groups, prefix states, rows and their states of jobs that workers have finished.

    Parameters
    ----------
    jobs : sequence of Job
    finished : iterable of (int, list)
        A job's number and what `run_job` returned for it.
    dtype : torch.dtype
        The model's own type.
    """
    for number, results in finished:
        for (group, rows), (before, own) in zip(jobs[number].labels, results, strict=True):
            yield group, _as_tensor(before, dtype), rows, [_as_tensor(part, dtype) for part in own]


def _as_array(states: Tensor) -> np.ndarray:
    states = states.cpu()
    return (states.view(torch.int16) if states.dtype == torch.bfloat16 else states).numpy()


def _as_tensor(array: np.ndarray, dtype: torch.dtype) -> Tensor:
    tensor = torch.from_numpy(np.require(array, requirements="W"))  # what arrives may be read-only
    return tensor.view(torch.bfloat16) if dtype == torch.bfloat16 else tensor
