"""Trunk states: the frozen blocks' output for every distinct prompt, computed once and shared by all who need it.

A loaded model owns one store. Estimators, folds, stages, epochs and later predictions ask it for the same prompts and
get the same tensors; what does not fit its budget lies memory-mapped in a folder.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import threading
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from surveysim.models.loaded import LoadedModel
from surveysim.models.processes import ModelAddress, n_processes, spread
from surveysim.progress import progress as show_progress
from surveysim.trunk.adapters import LoraRecipe, pad_tokens
from surveysim.trunk.recipe import Recipe
from surveysim.trunk.state_folder import StateFolder
from surveysim.trunk.trunk_runs import Job, PassSize, make_jobs, read_results, run_group, run_job

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["MEMORY_BUDGET", "EncodedPrompts", "TrunkInputs", "TrunkStore", "store_of"]

MEMORY_BUDGET = 2**30
"""Bytes of trunk states that a store keeps in memory; more is written to its folder and memory-mapped."""

COPIES = 1.2
"""States and their padded copies together, in budgets."""

ROOM_FOR_TOKENS = 2**28
"""Bytes of padded token ids that may be kept; in practice all."""


@dataclass(frozen=True)
class EncodedPrompts:
    """Token ids of prompts that share beginnings.

    Attributes
    ----------
    prefixes : tuple of tuple of int
        The shared beginnings, one for each group (question); may be empty.
    group : int array of shape (n,)
        Each prompt's group.
    suffixes : tuple of tuple of int
        What follows, at least one token each; every distinct prompt once.
    index : int array of shape (n_cells,)
        Each cell's prompt.
    """

    prefixes: tuple[tuple[int, ...], ...]
    group: np.ndarray
    suffixes: tuple[tuple[int, ...], ...]
    index: np.ndarray

    def __len__(self) -> int:
        return len(self.suffixes)

    def whole(self, row: int) -> tuple[int, ...]:
        """All token ids of one prompt."""
        return self.prefixes[self.group[row]] + self.suffixes[row]


class TrunkInputs:
    """What the trained blocks read for the cells of a fit or a prediction, batch by batch.

    Parameters
    ----------
    recipe : Recipe or LoraRecipe
        Says what they read: trunk states, or whole prompts.
    prompts : EncodedPrompts
        The prompts.
    prefixes, suffixes : list of Tensor
        Trunk states; empty where whole prompts are read.
    store : TrunkStore, optional
        Whose budget holds for padded copies too.
    """

    def __init__(
        self,
        recipe: Recipe | LoraRecipe,
        prompts: EncodedPrompts,
        prefixes: list[Tensor],
        suffixes: list[Tensor],
        store: TrunkStore | None = None,
    ) -> None:
        self._recipe = recipe
        self._prompts = prompts
        self._prefixes = prefixes
        self._suffixes = suffixes
        self._store = store

    def __len__(self) -> int:
        return len(self._prompts.index)

    @property
    def room(self) -> int:
        """Bytes that padded copies of states may take: together with the states themselves 1.2 budgets of memory.

        On a device with memory of its own the states lie elsewhere, and the copies have it all.
        """
        if self._store is None:
            return ROOM_FOR_TOKENS
        total = int(COPIES * self._store.memory_budget)
        return total - self._store.n_bytes if self._recipe.device.type == "cpu" else total

    def batch(self, cells: Sequence[int] | np.ndarray) -> Any:
        """Inputs of these cells, padded, on the model's device."""
        rows = self._prompts.index[np.asarray(cells)]
        prompts, recipe = self._prompts, self._recipe
        if not isinstance(recipe, Recipe):
            return pad_tokens([prompts.whole(row) for row in rows], recipe.device)
        groups, group = np.unique(prompts.group[rows], return_inverse=True)
        return recipe.batch(
            [prompts.prefixes[g] for g in groups],
            [self._prefixes[g] for g in groups],
            [prompts.suffixes[row] for row in rows],
            [self._suffixes[row] for row in rows],
            group.tolist(),
        )


class TrunkStore:
    """Trunk states of one loaded model.

    Parameters
    ----------
    network : PreTrainedModel
        The frozen model.
    fingerprint : str
        What identifies its weights; part of every key.
    probes : pair of sequences of int
        Token ids of two prompts of unequal length, for the recipes' self-check.
    lock : lock
        The model's.
    memory_budget : int, default=MEMORY_BUDGET
        Bytes kept in memory.

    Attributes
    ----------
    pass_size : PassSize
        Tokens that go through the trunk at once.
    n_prompts_run : int
        How many prompts went through the trunk since the model was loaded (a prompt asked for again does not count).
    """

    def __init__(
        self,
        network: PreTrainedModel,
        fingerprint: str,
        probes: tuple[Sequence[int], Sequence[int]],
        lock: Any,
        memory_budget: int = MEMORY_BUDGET,
    ) -> None:
        self._network = network
        self._fingerprint = fingerprint
        self._probes = probes
        self._lock = lock
        self._recipes: dict[int, Recipe] = {}
        self._lora: LoraRecipe | None = None
        self._memory: dict[str, Tensor] = {}
        self._bytes = 0
        self._folders: dict[Path, StateFolder] = {}
        self._spill: Path | None = None
        self.pass_size = PassSize(next(network.parameters()).device)
        self.memory_budget = memory_budget
        self.n_prompts_run = 0

    def recipe(self, n_blocks: int) -> Recipe:
        """How the last `n_blocks` blocks are trained; checked against the model on first use."""
        with self._lock:
            if n_blocks not in self._recipes:
                self._recipes[n_blocks] = Recipe(self._network, n_blocks, self._probes, self._lock)
            return self._recipes[n_blocks]

    def lora(self) -> LoraRecipe:
        """How all blocks are tuned by adapters; checked against the model on first use."""
        with self._lock:
            if self._lora is None:
                self._lora = LoraRecipe(self._network, self._probes, self._lock)
            return self._lora

    @property
    def n_bytes(self) -> int:
        """Bytes of states in memory."""
        return self._bytes

    def inputs(
        self,
        n_blocks: int,
        prompts: EncodedPrompts,
        *,
        folder: str | os.PathLike | None = None,
        address: ModelAddress | None = None,
        verbose: int = 0,
    ) -> TrunkInputs:
        """What the last `n_blocks` blocks read for these prompts; the trunk runs for those not seen before.

        Parameters
        ----------
        n_blocks : int
            How many of the last blocks are trained.
        prompts : EncodedPrompts
            The prompts.
        folder : path, optional
            Where states are also kept on disk, for later processes (`trunk_cache=`).
        address : ModelAddress, optional
            Where other processes find the model: the prompts then go to the workers of joblib's active backend, if it
            has more than one.
        verbose : int, default=0
            0: a progress bar in a terminal or notebook after two seconds; 1: always; -1: never.

        Returns
        -------
        TrunkInputs
        """
        recipe = self.recipe(n_blocks)
        with self._lock:
            disk = None if folder is None else self._folder(Path(folder))
            prefix_keys = [self._key(n_blocks, prefix, len(prefix)) for prefix in prompts.prefixes]
            keys = [
                self._key(n_blocks, prompts.whole(row), len(prompts.prefixes[prompts.group[row]]))
                for row in range(len(prompts))
            ]
            held: dict[str, Tensor] = {}
            for key in dict.fromkeys([*prefix_keys, *keys]):
                states = self._get(key, disk)
                if states is not None:
                    held[key] = states
            if disk is not None:  # what only memory had so far is for later processes too
                disk.add({key: states for key, states in held.items() if disk.get(key) is None})
            missing: dict[int, dict[str, int]] = {}
            for row, key in enumerate(keys):
                group = int(prompts.group[row])
                if key not in held or prefix_keys[group] not in held:
                    missing.setdefault(group, {}).setdefault(key, row)
            groups = {group: list(rows.values()) for group, rows in missing.items()}
            total = sum(map(len, groups.values()))
            bar = show_progress(verbose if total else -1, total=total, desc="trunk", unit="prompt")
            collect = partial(self._collect, prefix_keys=prefix_keys, keys=keys, held=held, disk=disk, bar=bar)
            alone = address is None or not groups or n_processes(recipe.device) == 1
            if alone:
                with bar:
                    collect(self._run_here(recipe, prompts, groups))
        if not alone and address is not None:  # not under the lock: workers may be threads of this process
            jobs = make_jobs(groups, prompts.prefixes, prompts.suffixes)
            with bar:
                collect(read_results(jobs, spread(run_job_on, jobs, address, n_blocks), self._network.dtype))
        return TrunkInputs(recipe, prompts, [held[key] for key in prefix_keys], [held[key] for key in keys], self)

    def _run_here(
        self, recipe: Recipe, prompts: EncodedPrompts, groups: dict[int, list[int]]
    ) -> Iterator[tuple[int, Tensor, Sequence[int], list[Tensor]]]:
        for group, rows in groups.items():
            suffixes = [prompts.suffixes[row] for row in rows]
            for before, chosen, states in run_group(recipe, prompts.prefixes[group], suffixes, self.pass_size):
                yield group, before, [rows[i] for i in chosen], states

    def _collect(
        self,
        passes: Iterator[tuple[int, Tensor, Sequence[int], list[Tensor]]],
        *,
        prefix_keys: list[str],
        keys: list[str],
        held: dict[str, Tensor],
        disk: StateFolder | None,
        bar: Any,
    ) -> None:
        """Keep the results of passes through the trunk one by one, so that an interrupt loses only the last."""
        for group, before, rows, states in passes:
            new = {keys[row]: part.cpu() for row, part in zip(rows, states, strict=True)}
            if prefix_keys[group] not in held:
                new[prefix_keys[group]] = before.cpu()
            with self._lock:
                held.update(self._keep(new, disk))
                self.n_prompts_run += len(rows)
            bar.update(len(rows))

    def _key(self, n_blocks: int, ids: Sequence[int], n_prefix: int) -> str:
        digest = hashlib.sha256(f"{self._fingerprint}/{n_blocks}/{n_prefix}/".encode())
        digest.update(np.asarray(ids, dtype=np.int64).tobytes())
        return digest.hexdigest()[:32]

    def _get(self, key: str, disk: StateFolder | None) -> Tensor | None:
        states = self._memory.get(key)
        if states is not None:
            return states
        for folder in [disk] if disk is not None else self._folders.values():
            states = folder.get(key)
            if states is not None:
                return states
        return None

    def _keep(self, new: dict[str, Tensor], disk: StateFolder | None) -> dict[str, Tensor]:
        """Put states in their place, and return them as they are used: in memory, or memory-mapped."""
        kept = {key: self._memory[key] for key in new if key in self._memory}  # by another thread, meanwhile
        new = {key: states for key, states in new.items() if key not in kept}
        size = sum(states.nbytes for states in new.values())
        if self._bytes + size > self.memory_budget and disk is None:
            if self._spill is None:
                self._spill = Path(tempfile.mkdtemp(prefix="surveysim-trunk-"))
                weakref.finalize(self, shutil.rmtree, self._spill, ignore_errors=True)
            disk = self._folder(self._spill)
        if disk is not None:
            disk.add(new)
        if self._bytes + size <= self.memory_budget:
            self._memory.update(new)
            self._bytes += size
            return kept | new
        assert disk is not None
        mapped = {key: disk.get(key) for key in new}
        return kept | {key: states for key, states in mapped.items() if states is not None}

    def _folder(self, path: Path) -> StateFolder:
        path = path.resolve()
        if path not in self._folders:
            self._folders[path] = StateFolder(path)
        self._folders[path].refresh()
        return self._folders[path]


_stores_lock = threading.Lock()


def store_of(model: LoadedModel) -> TrunkStore:
    """The store that a loaded model owns; created on first use."""
    with _stores_lock:
        if model.states is None:
            probes = model.encode(["Answer:", "Which of the options would this group of people choose? Answer:"])
            # The same weights in another number type give other states, and processes share them on disk.
            identity = f"{model.fingerprint}/{model.dtype}"
            model.states = TrunkStore(model.network, identity, (probes[0], probes[1]), model.lock)
        return model.states


def run_job_on(model: LoadedModel, job: Job, n_blocks: int) -> list[tuple[np.ndarray, list[np.ndarray]]]:
    """`run_job` with a worker's own copy of the model."""
    store = store_of(model)
    return run_job(store.recipe(n_blocks), job, store.pass_size)
