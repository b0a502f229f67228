"""Trunk states: the frozen blocks' output for every distinct prompt, computed once and shared by whoever needs it.

A loaded model owns one store. Estimators, folds, stages, epochs and later predictions ask it for the same prompts and
get the same tensors; what does not fit its budget lies memory-mapped in a folder.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import threading
import uuid
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm.auto import tqdm

from surveysim.models.adapters import LoraRecipe
from surveysim.models.recipe import Recipe, pad_states, pad_tokens

__all__ = ["MEMORY_BUDGET", "EncodedPrompts", "TrunkInputs", "TrunkStore", "store_of"]

MEMORY_BUDGET = 2**30
"""Bytes of trunk states that a store keeps in memory; more is written to its folder and memory-mapped."""

TOKENS_PER_PASS = 8192
"""Tokens that go through the trunk at once."""


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
    """What the trained blocks read for the cells of a fit or a prediction, batch by batch."""

    def __init__(
        self, recipe: Recipe | LoraRecipe, prompts: EncodedPrompts, prefixes: list[Tensor], suffixes: list[Tensor]
    ) -> None:
        self._recipe = recipe
        self._prompts = prompts
        self._prefixes = prefixes
        self._suffixes = suffixes
        longest = max(len(prompts.whole(row)) for row in range(len(prompts)))
        self._calls = recipe.calls(longest) if isinstance(recipe, Recipe) and recipe.apart else []

    def __len__(self) -> int:
        return len(self._prompts.index)

    def batch(self, cells: Sequence[int] | np.ndarray) -> Any:
        """Inputs of these cells, padded, on the model's device."""
        rows = self._prompts.index[np.asarray(cells)]
        if not self._recipe.apart:
            return pad_tokens([self._prompts.whole(row) for row in rows], self._recipe.device)
        groups, group = np.unique(self._prompts.group[rows], return_inverse=True)
        return pad_states(
            [self._prefixes[g] for g in groups],
            [self._suffixes[row] for row in rows],
            group.tolist(),
            self._calls,
            self._recipe.device,
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
    n_prompts_run : int
        How many prompts went through the trunk since the model was loaded (a prompt asked for again does not count).
    """

    def __init__(
        self,
        network: Any,
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
        self._folders: dict[Path, _Folder] = {}
        self._spill: Path | None = None
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

    def inputs(
        self, n_blocks: int, prompts: EncodedPrompts, *, folder: str | os.PathLike | None = None, progress: bool = False
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
        progress : bool, default=False
            Show a progress bar.

        Returns
        -------
        TrunkInputs
        """
        recipe = self.recipe(n_blocks)
        if not recipe.apart:
            return TrunkInputs(recipe, prompts, [], [])
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
            self._run_missing(recipe, prompts, prefix_keys, keys, held, disk, progress)
            return TrunkInputs(recipe, prompts, [held[key] for key in prefix_keys], [held[key] for key in keys])

    def _run_missing(
        self,
        recipe: Recipe,
        prompts: EncodedPrompts,
        prefix_keys: list[str],
        keys: list[str],
        held: dict[str, Tensor],
        disk: _Folder | None,
        progress: bool,
    ) -> None:
        missing: dict[int, dict[str, int]] = {}
        for row, key in enumerate(keys):
            if key not in held or prefix_keys[prompts.group[row]] not in held:
                missing.setdefault(int(prompts.group[row]), {}).setdefault(key, row)
        total = sum(map(len, missing.values()))
        with tqdm(total=total, desc="trunk", unit="prompt", disable=not progress or not total, leave=False) as bar:
            for group, rows in missing.items():
                prefix = prompts.prefixes[group]
                for chunk in _chunks(sorted(rows.items(), key=lambda item: len(prompts.suffixes[item[1]])), prompts):
                    new: dict[str, Tensor] = {}
                    before, states = recipe.states(prefix, [prompts.suffixes[row] for _, row in chunk])
                    if prefix_keys[group] not in held:
                        new[prefix_keys[group]] = before.cpu()
                    new.update({key: part.cpu() for (key, _), part in zip(chunk, states, strict=True)})
                    held.update(self._keep(new, disk))
                    self.n_prompts_run += len(chunk)
                    bar.update(len(chunk))

    def _key(self, n_blocks: int, ids: Sequence[int], n_prefix: int) -> str:
        digest = hashlib.sha256(f"{self._fingerprint}/{n_blocks}/{n_prefix}/".encode())
        digest.update(np.asarray(ids, dtype=np.int64).tobytes())
        return digest.hexdigest()[:32]

    def _get(self, key: str, disk: _Folder | None) -> Tensor | None:
        states = self._memory.get(key)
        if states is not None:
            return states
        for folder in [disk] if disk is not None else self._folders.values():
            states = folder.get(key)
            if states is not None:
                return states
        return None

    def _keep(self, new: dict[str, Tensor], disk: _Folder | None) -> dict[str, Tensor]:
        """Put states where they belong and return them as they are to be used: in memory, or memory-mapped."""
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
            return new
        assert disk is not None
        mapped = {key: disk.get(key) for key in new}
        return {key: states for key, states in mapped.items() if states is not None}

    def _folder(self, path: Path) -> _Folder:
        path = path.resolve()
        if path not in self._folders:
            self._folders[path] = _Folder(path)
        self._folders[path].refresh()
        return self._folders[path]


class _Folder:
    """States on disk: safetensors files that are written whole or not at all, read by memory mapping."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._index: dict[str, Any] = {}
        self._seen: set[Path] = set()

    def refresh(self) -> None:
        """Open the files that were added since, by this process or another."""
        self.path.mkdir(parents=True, exist_ok=True)
        for file in sorted(set(self.path.glob("*.safetensors")) - self._seen):
            self._open(file)

    def _open(self, file: Path) -> None:
        self._seen.add(file)
        try:
            handle = safe_open(file, framework="pt")
        except (SafetensorError, OSError):
            return  # another process's file that was cut off or removed: its states are computed again
        self._index.update(dict.fromkeys(handle.keys(), handle))

    def get(self, key: str) -> Tensor | None:
        handle = self._index.get(key)
        return None if handle is None else handle.get_tensor(key)

    def add(self, states: dict[str, Tensor]) -> None:
        if not states:
            return
        file = self.path / f"{uuid.uuid4().hex}.safetensors"
        partial = file.with_suffix(".partial")
        save_file({key: value.contiguous() for key, value in states.items()}, partial)
        partial.replace(file)
        self._open(file)


def _chunks(rows: list[tuple[str, int]], prompts: EncodedPrompts) -> list[list[tuple[str, int]]]:
    """Rows of one group, short ones first, in chunks of at most TOKENS_PER_PASS padded suffix tokens."""
    chunks: list[list[tuple[str, int]]] = []
    for item in rows:
        length = len(prompts.suffixes[item[1]])
        if not chunks or (len(chunks[-1]) + 1) * length > TOKENS_PER_PASS:
            chunks.append([])
        chunks[-1].append(item)
    return chunks


_stores_lock = threading.Lock()


def store_of(model: Any) -> TrunkStore:
    """The store that a loaded model owns; made on first use."""
    with _stores_lock:
        if model.states is None:
            probes = model.encode(["Answer:", "Which of the options would this group of people choose? Answer:"])
            # The same weights in another number type give other states, and processes share them on disk.
            identity = f"{model.fingerprint}/{model.dtype}"
            model.states = TrunkStore(model.network, identity, (probes[0], probes[1]), model.lock)
        return model.states
