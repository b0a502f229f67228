"""The run of a bank's training: stages and epochs, what held-out questions say of each, and where to go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from surveysim.bank_training.checkpoints import Checkpoints
from surveysim.dsa.batches import Batches
from surveysim.dsa.loop import Objective, epochs, option_logits
from surveysim.dsa.loop_memory import LoopMemory
from surveysim.dsa.selection import clearly_better
from surveysim.dsa.trainer import Trainer

__all__ = ["WEIGHTS", "BankRun", "HeldOutCells", "weighed"]

WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Weights of the model's logits beside the mean of the training questions, among which held-out questions choose."""


@dataclass(frozen=True)
class HeldOutCells:
    """Cells that the run is judged by.

    Attributes
    ----------
    batches : Batches
    counts : array of shape (n, K)
        What each counts, by option.
    means : array of shape (n, K)
        Log shares of the mean training question.
    """

    batches: Batches
    counts: np.ndarray
    means: np.ndarray

    def losses(self, logits: np.ndarray) -> np.ndarray:
        """Cross-entropy (n_questions, n_weights) in nats of each question for each of `WEIGHTS`."""
        index = np.unique(self.batches.question_index, return_inverse=True)[1]
        total = np.bincount(index, weights=self.counts.sum(axis=1))
        found = []
        for weight in WEIGHTS:
            P = weighed(self.means, logits, weight)
            cell = -(self.counts * np.log(np.where(self.counts > 0, np.maximum(P, 1e-30), 1.0))).sum(axis=1)
            found.append(np.bincount(index, weights=cell) / total)
        return np.stack(found, axis=1)


def weighed(means: np.ndarray, logits: np.ndarray, weight: float) -> np.ndarray:
    """Distributions (n, K) from log shares of the mean question and the model's logits, 0 where these are NaN."""
    exists = ~np.isnan(logits)
    both = np.where(exists, means + weight * np.nan_to_num(logits), -np.inf)
    powers = np.exp(both - both.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


@dataclass
class _Standing:
    """Where a run stands between two epochs."""

    stage: int = 0
    epoch: int = 0
    number: int = 0
    since_best: int = 0
    best: np.ndarray = field(default_factory=lambda: np.empty((0, len(WEIGHTS))))
    history: list[dict[str, Any]] = field(default_factory=list)


class BankRun:
    """Trains a head stage by stage, each until held-out questions are not predicted better any more.

    Parameters
    ----------
    trainer : Trainer
        Holds the head and the training cells.
    objectives : sequence of Objective
        One for each stage.
    held_out : HeldOutCells
    max_epochs, patience : int
        Of each stage: how many epochs at most, and after how many without improvement it ends.
    checkpoints : Checkpoints or None
    on_epoch : callable
        Called with a line about each epoch.
    """

    def __init__(
        self,
        trainer: Trainer,
        objectives: Sequence[Objective],
        held_out: HeldOutCells,
        max_epochs: int,
        patience: int,
        checkpoints: Checkpoints | None,
        on_epoch: Callable[[str], None],
    ) -> None:
        self.trainer = trainer
        self.objectives = list(objectives)
        self.held_out = held_out
        self.max_epochs = max_epochs
        self.patience = patience
        self.checkpoints = checkpoints
        self.on_epoch = on_epoch
        self._best_head: dict[str, Tensor] = {}

    def train(self) -> tuple[dict[str, Tensor], float, list[dict[str, Any]]]:
        """Train to the end, from the last checkpoint on if there is one.

        Returns
        -------
        head : dict of str to Tensor
            Of the best epoch.
        weight : float
            Of its logits beside the mean; 0 unless held-out questions are predicted better by more than one standard
            error.
        history : list of dict
        """
        at, memory = self._begin()
        while at.stage < len(self.objectives):
            self._run_stage(at, memory)
            at.stage, at.epoch, at.since_best, memory = at.stage + 1, 0, 0, LoopMemory()
            self.trainer.head.restore(self._best_head)  # the next stage goes on from the best epoch
        best = int(at.best.mean(axis=0).argmin())
        better = best > 0 and clearly_better(at.best[:, best], at.best[:, 0])
        return self._best_head, WEIGHTS[best] if better else 0.0, at.history

    def _begin(self) -> tuple[_Standing, LoopMemory]:
        kept = None if self.checkpoints is None else self.checkpoints.read()
        if kept is not None:
            return self._go_on(*kept)
        self.trainer.head.reset()
        at = _Standing(best=self._judge())
        self._best_head = self.trainer.head.snapshot()
        return at, LoopMemory()

    def _go_on(self, state: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> tuple[_Standing, LoopMemory]:
        def named(prefix: str) -> dict[str, Tensor]:
            return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

        device = self.trainer.head.rows.device
        self._best_head = {name: value.to(device) for name, value in named("best/").items()}
        self.trainer.generator.set_state(tensors["generator"].cpu())
        numbers = {name: int(state[name]) for name in ("stage", "epoch", "number", "since_best")}
        at = _Standing(**numbers, best=np.array(state["best"]), history=list(state["history"]))
        return at, LoopMemory({name: value.to(device) for name, value in named("loop/").items()})

    def _run_stage(self, at: _Standing, memory: LoopMemory) -> None:
        trainer = self.trainer
        steps: Iterator[dict[str, float]] = epochs(
            trainer.head, trainer.batches, self.objectives[at.stage], trainer.learning_rate, trainer.generator, memory
        )
        while at.epoch < self.max_epochs and at.since_best < self.patience:
            row = next(steps)
            at.epoch, at.number, at.since_best = at.epoch + 1, at.number + 1, at.since_best + 1
            losses = self._judge()
            weight = int(losses.mean(axis=0).argmin())
            loss = float(losses[:, weight].mean())
            if loss < float(at.best.mean(axis=0).min()):
                at.best, at.since_best = losses, 0
                self._best_head = trainer.head.snapshot()
            told = {"stage": at.stage + 1, "epoch": at.epoch, **row, "held_out": loss, "weight": WEIGHTS[weight]}
            at.history.append(told)
            self._keep(at, memory)
            self.on_epoch(f"bank: stage {told['stage']}, loss {row['cross_entropy']:.4f}, held out {loss:.4f}")

    def _judge(self) -> np.ndarray:
        return self.held_out.losses(option_logits(self.trainer.head, self.held_out.batches))

    def _keep(self, at: _Standing, memory: LoopMemory) -> None:
        if self.checkpoints is None:
            return
        tensors = {f"loop/{name}": value.cpu() for name, value in memory.tensors.items()}
        tensors |= {f"best/{name}": value.cpu() for name, value in self._best_head.items()}
        tensors["generator"] = self.trainer.generator.get_state()
        numbers = {name: getattr(at, name) for name in ("stage", "epoch", "number", "since_best")}
        state = {**numbers, "best": at.best.tolist(), "history": at.history}
        self.checkpoints.write(at.number, state, tensors)
