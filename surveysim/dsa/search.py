"""The search for the settings of the final training (epochs, reference, weights) on held-out respondents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from queue import SimpleQueue
from typing import Any

import numpy as np
import torch

from surveysim.dsa.loop import option_logits, skip_epochs
from surveysim.dsa.selection import Split, clearly_better, held_out_losses
from surveysim.dsa.threads import n_at_once, run_together
from surveysim.dsa.trainer import Candidate, Plan, Settings, Trainer
from surveysim.trunk.head import OptionHead

__all__ = ["DEFAULT_SHIFT_WEIGHT", "Search", "default_plan"]

DEFAULT_SHIFT_WEIGHT = 1.5
"""lambda, in respondents per cell. Chosen, with the learning rate and the epochs, on `cces_2016`, and not on the
surveys of the benchmark: 0.75 to 3 did about equally well at 200, 500 and 1000 respondents."""

REFERENCE_ERRORS = 2.0
"""Standard errors by which another reference must beat the baseline's, as many as a stack weight needs. It is the best
of two others, and one standard error let shifts of a model that knows nothing through: on `fair`, two samples each of
500 and 1,000, the search did 29 and 25% worse than the baseline's shifts by themselves."""

HEAVIER, LIGHTER = (4.0, 16.0), (0.25,)
"""Multiples of the default weight that `"auto"` tries beside it and beside 0 (stage 1 alone)."""

STACK_GRID = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Weights of the head's logits beside the baseline's, for `init="baseline"`."""

STACK_ERRORS = 2.0
"""Standard errors by which a stack weight must beat 0. It is the best of several weights after the best of several
candidates, so that one standard error would too often find something where there is nothing."""


def default_plan(settings: Settings, *, has_pairs: bool) -> Plan:
    """What is done if nobody is held out: all epochs; "auto" is the baseline's shifts at the default weight."""
    weight = DEFAULT_SHIFT_WEIGHT if settings.shift_weight == "auto" else float(settings.shift_weight)
    reference = "baseline" if settings.shift_reference == "auto" else settings.shift_reference
    second = settings.max_epochs if weight and has_pairs else 0
    return Plan(Candidate(reference, weight), (settings.max_epochs, second), 1.0)


class Search:
    """Tries candidates for stage 2; stage 1 is trained once for each split and shared by all of them.

    Parameters
    ----------
    trainer : Trainer
        Trains the head.
    splits : sequence of Split
        Respondents to train on and held-out ones.
    """

    def __init__(self, trainer: Trainer, splits: Sequence[Split]) -> None:
        self.trainer = trainer
        self.splits = splits
        self.starts = [trainer.start(split.train) for split in splits]
        self._losses: dict[Candidate, np.ndarray] = {}
        self._ends: dict[Candidate, list[int]] = {}

    def plan(self) -> Plan:
        """The best plan; defaults are kept unless another is clearly better on held-out respondents."""
        settings = self.trainer.settings
        self._train_first_stage()
        fixed = settings.shift_weight != "auto"
        weight = float(settings.shift_weight) if fixed else DEFAULT_SHIFT_WEIGHT
        if settings.shift_reference == "auto":
            others = [Candidate("zero", weight), Candidate("zero-shot", weight)]
            chosen = self._prefer(Candidate("baseline", weight), others, REFERENCE_ERRORS)
        else:
            chosen = Candidate(settings.shift_reference, weight)
        if not fixed:
            chosen = self._prefer(chosen, [Candidate(chosen.reference, 0.0), *self._climb(chosen)])
        second = settings.max_epochs if chosen.weight and self.trainer.has_pairs else 0
        n_epochs = (_best_epoch(self._first), second)
        stack_weight = self._stack_weight(chosen) if settings.init == "baseline" else 1.0
        return Plan(chosen, n_epochs if stack_weight else (0, 0), stack_weight)

    def _train_first_stage(self) -> None:
        self._first: list[list[np.ndarray]] = []
        self._after_first: list[int] = []
        for number, (split, start) in enumerate(zip(self.splits, self.starts, strict=True)):
            self.trainer.begin(start)
            objective = self.trainer.objective(start, split.train, None)
            label = {"phase": "select", "split": number, "stage": 1}
            n_epochs = self.trainer.settings.max_epochs
            losses, end = self.trainer.run_until_worse(objective, n_epochs, label, split.held_out)
            self._first.append(losses)
            self._after_first.append(end)

    def _loss(self, candidate: Candidate) -> np.ndarray:
        """Held-out losses (n_splits, n_units) after stage 2; each candidate is trained once."""
        self._train([candidate])
        return self._losses[candidate]

    def _train(self, candidates: Sequence[Candidate]) -> None:
        """Train candidates that have not been, for every split, at once where that is possible.

        Stage 1 stops early, since nothing holds it back from the noise of single cells. Stage 2's objective does, and
        runs to its end, so that it is known beforehand which orders of the batches belong to which run: results are
        the same whether runs come at once or one after another.
        """
        new = [candidate for candidate in dict.fromkeys(candidates) if candidate not in self._losses]
        trainer, n_epochs = self.trainer, self.trainer.settings.max_epochs
        runs = [(candidate, number) for candidate in new for number in range(len(self.splits))]
        n = n_at_once(trainer.head, len(runs)) if runs else 1
        heads: SimpleQueue[OptionHead] = SimpleQueue()  # no more of them than are trained at once
        for head in [trainer.head, *(trainer.head.another() for _ in range(n - 1))]:
            heads.put(head)
        jobs = []
        for candidate, number in runs:
            trains = bool(candidate.weight) and trainer.has_pairs
            generator = skip_epochs(trainer.batches, n_epochs, trainer.generator) if trains else trainer.generator
            jobs.append(partial(self._run, candidate, number, trains, generator, heads))
        losses: dict[Candidate, list[np.ndarray]] = {candidate: [] for candidate in new}
        for (candidate, _), (loss, rows, end) in zip(runs, run_together(jobs, n), strict=True):
            losses[candidate].append(loss)
            self._ends.setdefault(candidate, []).extend(end)
            trainer.history.extend(rows)
        self._losses |= {candidate: np.stack(parts) for candidate, parts in losses.items()}

    def _run(
        self,
        candidate: Candidate,
        number: int,
        trains: bool,
        generator: torch.Generator,
        heads: SimpleQueue[OptionHead],
        check: Callable[[], None],
    ) -> tuple[np.ndarray, list[dict[str, Any]], list[int]]:
        """Held-out loss (n_units,) of a candidate in one split, its rows of the history, where its head is put."""
        head = heads.get()
        try:
            trainer = self.trainer.fork(check, generator, head)
            split, start = self.splits[number], self.starts[number]
            head.restore(trainer.heads.get(self._after_first[number]))
            objective = trainer.objective(start, split.train, candidate)
            if trains:
                label = {"phase": "select", "split": number, "stage": 2, **asdict(candidate)}
                trainer.run(objective, trainer.settings.max_epochs, label)
            loss = trainer.held_out_loss(objective, split.held_out)
            if trains:
                trainer.history[-1]["held_out"] = float(loss.sum())
            stacked = trainer.settings.init == "baseline"  # only the stack weight asks for the head again
            return loss, trainer.history, [trainer.heads.put(head.state_dict())] if stacked else []
        finally:
            heads.put(head)

    def _prefer(self, default: Candidate, others: Sequence[Candidate], n_errors: float = 1.0) -> Candidate:
        self._train([default, *others])
        best = min((default, *others), key=lambda candidate: self._loss(candidate).sum())
        return best if clearly_better(self._loss(best), self._loss(default), n_errors) else default

    def _climb(self, start: Candidate) -> list[Candidate]:
        """Candidates of other weights: upwards while it helps, downwards only where upwards did not."""
        tried = []
        for multiples in (HEAVIER, LIGHTER):
            before = start
            for multiple in multiples:
                tried.append(Candidate(start.reference, multiple * start.weight))
                self._train([tried[-1], before])
                if self._loss(tried[-1]).sum() >= self._loss(before).sum():
                    break
                before = tried[-1]
            if before is not start:
                break
        return tried

    def _stack_weight(self, chosen: Candidate) -> float:
        """0 (the baseline alone) unless held-out respondents are predicted clearly better."""
        self._loss(chosen)  # trains it, where nothing had to be chosen so far
        losses: dict[float, list[np.ndarray]] = {weight: [] for weight in STACK_GRID}
        for split, start, end in zip(self.splits, self.starts, self._ends[chosen], strict=True):
            self.trainer.head.restore(self.trainer.heads.get(end))
            objective = self.trainer.objective(start, split.train, None)
            logits = option_logits(self.trainer.head, self.trainer.batches, objective, with_offset=False)
            assert start.offset is not None
            for weight in STACK_GRID:
                combined = start.offset + weight * logits
                losses[weight].append(held_out_losses(combined, split.held_out, self.trainer.unit))
        tried = {weight: np.stack(runs) for weight, runs in losses.items()}
        best = min(STACK_GRID, key=lambda weight: tried[weight].sum())
        return best if clearly_better(tried[best], tried[0.0], STACK_ERRORS) else 0.0


def _best_epoch(runs: Sequence[Sequence[np.ndarray]]) -> int:
    """The epoch with the lowest held-out loss, averaged over splits (a run that ended early keeps its last loss)."""
    length = max(map(len, runs))
    curves = [[losses[min(epoch, len(losses) - 1)].sum() for epoch in range(length)] for losses in runs]
    return int(np.argmin(np.mean(curves, axis=0)))
