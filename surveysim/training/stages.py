"""The two stages of a fit, from the choice of epochs, reference and weight on held-out respondents to the refit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from surveysim.questions import Question
from surveysim.training.head import OptionHead
from surveysim.training.loop import Objective, epochs, option_logits, settle
from surveysim.training.selection import Split, better_by_one_standard_error, held_out_losses
from surveysim.training.shifts import baseline_logits, fit_gap_inflation, observed_logits, start_logits
from surveysim.training.task import Task

__all__ = ["DEFAULT_SHIFT_WEIGHT", "Fitted", "Settings", "Trainer"]

DEFAULT_SHIFT_WEIGHT = 20.0
"""lambda, in respondents (FIELD: 10 to 30 do well at every sample size)."""

WEIGHT_GRID = (0.5, 2.0, 4.0)
"""Multiples of the default weight that `"auto"` tries beside it and beside 0 (stage 1 alone)."""

STACK_GRID = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Weights of the head's logits beside the baseline's, for `init="baseline"`."""

PATIENCE = 4
"""Epochs without a lower held-out loss after which a run is given up."""

FEW_QUESTIONS = 5
"""Below this number of questions standard errors are taken over cells instead."""


@dataclass(frozen=True)
class Settings:
    """What the user chose; see `DSARegressor`."""

    init: str | None
    shift_reference: str
    shift_weight: float | str
    max_epochs: int
    learning_rate: float


@dataclass(frozen=True)
class Start:
    """What depends on the training counts: where the head starts, and the references.

    Attributes
    ----------
    bias : array of shape (n_questions, K)
        First biases.
    offset : array of shape (n, K) or None
        Fixed logits of the baseline.
    references : dict of str to array of shape (n_attributes, n, K) or None
        Logits whose differences are the reference shifts.
    gap_inflation : array of shape (n_attributes,) or None
        Slopes of the untuned model's shifts.
    baseline : LogitRegressor or None
    """

    bias: np.ndarray
    offset: np.ndarray | None
    references: dict[str, np.ndarray | None]
    gap_inflation: np.ndarray | None
    baseline: Any


@dataclass(frozen=True)
class Candidate:
    """One thing to try in stage 2."""

    reference: str
    weight: float


@dataclass
class Fitted:
    """What a fit found.

    Attributes
    ----------
    state : dict of Tensor
        The head's tensors.
    n_epochs : tuple of two ints
        Epochs of the two stages.
    candidate : Candidate
        Reference and weight of stage 2.
    stack_weight : float
        Weight of the head's logits beside the baseline's; 1 without a baseline.
    start : Start
        References and baseline fitted to all respondents.
    history : list of dict
        One row per epoch of every run.
    """

    state: dict[str, Tensor]
    n_epochs: tuple[int, int]
    candidate: Candidate
    stack_weight: float
    start: Start
    history: list[dict[str, Any]] = field(default_factory=list)


class Trainer:
    """Trains the head of one member.

    Parameters
    ----------
    task : Task
        The cells.
    backgrounds : DataFrame of n rows
        Their attributes.
    questions : mapping of str to Question
        The questions.
    make_head : callable
        Makes an untrained head.
    settings : Settings
        What the user chose.
    generator : torch.Generator
        Order of the batches.
    on_epoch : callable
        Called with a line about each epoch, for a progress bar.
    """

    def __init__(
        self,
        task: Task,
        backgrounds: pd.DataFrame,
        questions: Mapping[str, Question],
        make_head: Callable[[], OptionHead],
        settings: Settings,
        generator: torch.Generator,
        on_epoch: Callable[[str], None],
    ) -> None:
        self.task = task
        self.backgrounds = backgrounds
        self.questions = questions
        self.settings = settings
        self.generator = generator
        self.on_epoch = on_epoch
        self.head = make_head()
        self.untrained = self.head.snapshot()
        self.n_options = np.array([question.n_options for question in questions.values()])
        self.zero_shot = option_logits(self.head, task)
        n_seen = len(np.unique(task.question_index))
        self.unit = task.question_index if n_seen >= FEW_QUESTIONS else np.arange(len(task))
        self.history: list[dict[str, Any]] = []

    # --- what depends on the training counts --------------------------------------------------------------------------

    def start(self, counts: np.ndarray) -> Start:
        """Biases, offset and references for these training counts."""
        task, settings = self.task, self.settings
        cell_options = self.n_options[task.question_index]
        wanted = _references(settings)
        references: dict[str, np.ndarray | None] = {"zero": None}
        baseline = offset = slopes = None
        if settings.init == "baseline" or "baseline" in wanted:
            logits, baseline = baseline_logits(counts, self.backgrounds, task.question_index, self.questions)
            references["baseline"] = np.broadcast_to(logits, (len(task.attributes), *logits.shape))
            offset = logits if settings.init == "baseline" else None
        if "observed" in wanted:
            logits = observed_logits(counts, cell_options)
            references["observed"] = np.broadcast_to(logits, (len(task.attributes), *logits.shape))
        if "zero-shot" in wanted:
            slopes = fit_gap_inflation(self.zero_shot, counts, task.codes, task.question_index, self.n_options)
            references["zero-shot"] = slopes[:, None, None] * np.nan_to_num(self.zero_shot)
        bias = np.zeros((len(self.n_options), task.n_options))
        if settings.init == "marginal":
            pooled = start_logits(counts, task.question_index, self.n_options)
            seen = np.bincount(task.question_index, weights=counts.sum(axis=1), minlength=len(bias)) > 0
            bias[seen] = pooled[seen]
        return Start(bias, offset, references, slopes, baseline)

    def objective(self, start: Start, counts: np.ndarray, candidate: Candidate | None) -> Objective:
        """Stage 1's objective, or stage 2's for a candidate."""
        task = self.task
        reference = None if candidate is None else start.references[candidate.reference]
        return Objective(
            counts=task.tensor(counts),
            offset=None if start.offset is None else task.tensor(start.offset),
            shift_weight=0.0 if candidate is None else candidate.weight,
            reference=None if reference is None else task.tensor(reference),
            levels=self.settings.init is not None,
        )

    @torch.no_grad()
    def label_mass(self, output: torch.nn.Module) -> float:
        """Mean share of the untrained model's next-token probability that falls on option labels, one cell a question.

        `output` is the model's whole output layer.
        """
        self.head.restore(self.untrained)
        first = np.unique(self.task.question_index, return_index=True)[1]
        shares = []
        for batch in self.task.batches:
            chosen = torch.as_tensor(np.isin(batch.rows.cpu().numpy(), first), device=self.task.device)
            if chosen.any():
                shares.append(self.head.label_mass(batch.inputs, batch.question, output)[chosen])
        return float(torch.cat(shares).mean())

    # --- runs ---------------------------------------------------------------------------------------------------------

    def begin(self, start: Start) -> None:
        """Put the head back to the model's own weights, with the biases of `start`."""
        self.head.restore(self.untrained)
        with torch.no_grad():
            self.head.bias.copy_(self.task.tensor(start.bias))

    def run(
        self,
        objective: Objective,
        n_epochs: int,
        label: dict[str, Any],
        held_out: np.ndarray | None = None,
    ) -> tuple[list[np.ndarray], dict[str, Tensor]]:
        """Train the head as it stands; with held-out respondents keep the best epoch and stop when none follows.

        Returns
        -------
        losses : list of arrays (n_units,)
            Held-out loss before training and after each epoch; empty without held-out respondents.
        state : dict of Tensor
            The head at its best epoch, or at the last one.
        """
        losses: list[np.ndarray] = []
        best = self.head.snapshot() if held_out is not None else {}
        if held_out is not None:
            losses.append(held_out_losses(option_logits(self.head, self.task, objective), held_out, self.unit))
        steps = epochs(self.head, self.task, objective, self.settings.learning_rate, self.generator)
        for epoch in range(1, n_epochs + 1):
            row = {**label, "epoch": epoch, **next(steps)}
            if held_out is not None:
                logits = option_logits(self.head, self.task, objective)
                losses.append(held_out_losses(logits, held_out, self.unit))
                row["held_out"] = float(losses[-1].sum())
                totals = [loss.sum() for loss in losses]
                if totals[-1] == min(totals):
                    best = self.head.snapshot()
            self.history.append(row)
            self.on_epoch(_describe(row))
            if held_out is not None and epoch - int(np.argmin(totals)) >= PATIENCE:
                break
        return losses, best if held_out is not None else self.head.snapshot()

    # --- the fit ------------------------------------------------------------------------------------------------------

    def fit(self, counts: np.ndarray, splits: Sequence[Split]) -> Fitted:
        """Choose on held-out respondents, then train on everybody.

        Parameters
        ----------
        counts : array of shape (n, K)
            All respondents per option.
        splits : sequence of Split
            Held-out respondents; without any, the user's settings and all epochs are taken as they are.
        """
        if splits:
            chosen, n_epochs, stack_weight = self._select(splits)
        else:
            chosen, n_epochs, stack_weight = self._unselected()
        return self.train(counts, chosen, n_epochs, stack_weight)

    def train(self, counts: np.ndarray, chosen: Candidate, n_epochs: tuple[int, int], stack_weight: float) -> Fitted:
        """Train both stages on all of `counts`, for a fixed number of epochs each."""
        start = self.start(counts)
        self.begin(start)
        state = self.head.snapshot()
        if stack_weight == 0.0:  # the baseline alone: nothing of the head is used
            return Fitted(state, (0, 0), chosen, 0.0, start, self.history)
        objective = self.objective(start, counts, None)
        self.run(objective, n_epochs[0], {"phase": "refit", "stage": 1})
        if n_epochs[1]:
            label = {"phase": "refit", "stage": 2, "reference": chosen.reference, "weight": chosen.weight}
            self.run(self.objective(start, counts, chosen), n_epochs[1], label)
        settle(self.head, self.task, objective)
        return Fitted(self.head.snapshot(), n_epochs, chosen, stack_weight, start, self.history)

    def _unselected(self) -> tuple[Candidate, tuple[int, int], float]:
        settings = self.settings
        weight = DEFAULT_SHIFT_WEIGHT if settings.shift_weight == "auto" else float(settings.shift_weight)
        reference = "baseline" if settings.shift_reference == "auto" else settings.shift_reference
        second = settings.max_epochs if weight and self._has_pairs else 0
        return Candidate(reference, weight), (settings.max_epochs, second), 1.0

    @property
    def _has_pairs(self) -> bool:
        return bool((self.task.n_pairs > 0).any())

    def _select(self, splits: Sequence[Split]) -> tuple[Candidate, tuple[int, int], float]:
        settings = self.settings
        starts = [self.start(split.train) for split in splits]
        first: list[list[np.ndarray]] = []
        states: list[dict[str, Tensor]] = []
        for number, (split, start) in enumerate(zip(splits, starts, strict=True)):
            self.begin(start)
            label = {"phase": "select", "split": number, "stage": 1}
            objective = self.objective(start, split.train, None)
            losses, state = self.run(objective, settings.max_epochs, label, split.held_out)
            first.append(losses)
            states.append(state)
        n_first = _best_epoch(first)
        tried: dict[Candidate, list[list[np.ndarray]]] = {}
        ends: dict[Candidate, list[dict[str, Tensor]]] = {}

        def attempt(candidate: Candidate) -> None:
            if candidate in tried:
                return
            tried[candidate], ends[candidate] = [], []
            for number, (split, start, state) in enumerate(zip(splits, starts, states, strict=True)):
                if not candidate.weight or not self._has_pairs:
                    losses, end = [min(first[number], key=np.sum)], state
                else:
                    self.head.restore(state)
                    label = {
                        "phase": "select",
                        "split": number,
                        "stage": 2,
                        "reference": candidate.reference,
                        "weight": candidate.weight,
                    }
                    objective = self.objective(start, split.train, candidate)
                    losses, end = self.run(objective, settings.max_epochs, label, split.held_out)
                tried[candidate].append(losses)
                ends[candidate].append(end)

        def best_losses(candidate: Candidate) -> np.ndarray:
            return np.mean([min(losses, key=np.sum) for losses in tried[candidate]], axis=0)

        def prefer(default: Candidate, others: Sequence[Candidate]) -> Candidate:
            for candidate in (default, *others):
                attempt(candidate)
            best = min((default, *others), key=lambda candidate: best_losses(candidate).sum())
            return best if better_by_one_standard_error(best_losses(best), best_losses(default)) else default

        fixed = settings.shift_weight != "auto"
        weight = float(settings.shift_weight) if fixed else DEFAULT_SHIFT_WEIGHT
        if settings.shift_reference == "auto":
            chosen = prefer(Candidate("baseline", weight), [Candidate("zero", weight), Candidate("zero-shot", weight)])
        else:
            chosen = prefer(Candidate(settings.shift_reference, weight), [])
        if not fixed:
            grid = [Candidate(chosen.reference, multiple * weight) for multiple in (0.0, *WEIGHT_GRID)]
            chosen = prefer(chosen, grid)
        n_second = _best_epoch(tried[chosen])
        stack_weight = 1.0
        if settings.init == "baseline":
            stack_weight = self._choose_stack_weight(splits, starts, ends[chosen])
        return chosen, (n_first, n_second), stack_weight

    def _choose_stack_weight(
        self, splits: Sequence[Split], starts: Sequence[Start], ends: Sequence[dict[str, Tensor]]
    ) -> float:
        """0 (the baseline alone) unless held-out respondents are better predicted by more than one standard error."""
        losses: dict[float, list[np.ndarray]] = {weight: [] for weight in STACK_GRID}
        for split, start, state in zip(splits, starts, ends, strict=True):
            self.head.restore(state)
            objective = self.objective(start, split.train, None)
            logits = option_logits(self.head, self.task, objective, with_offset=False)
            assert start.offset is not None
            for weight in STACK_GRID:
                loss = held_out_losses(start.offset + weight * logits, split.held_out, self.unit)
                losses[weight].append(loss)
        means = {weight: np.mean(runs, axis=0) for weight, runs in losses.items()}
        best = min(STACK_GRID, key=lambda weight: means[weight].sum())
        return best if better_by_one_standard_error(means[best], means[0.0]) else 0.0


def _references(settings: Settings) -> set[str]:
    if settings.shift_weight == 0:
        return {"zero"}
    return {"baseline", "zero", "zero-shot"} if settings.shift_reference == "auto" else {settings.shift_reference}


def _best_epoch(runs: Sequence[Sequence[np.ndarray]]) -> int:
    """The epoch with the lowest held-out loss, averaged over splits (a run that ended early keeps its last loss)."""
    length = max(map(len, runs))
    curves = [[losses[min(epoch, len(losses) - 1)].sum() for epoch in range(length)] for losses in runs]
    return int(np.argmin(np.mean(curves, axis=0)))


def _describe(row: Mapping[str, Any]) -> str:
    stage = f"stage {row['stage']}"
    if "reference" in row:
        stage += f" ({row['reference']} x {row['weight']:g})"
    text = f"{row['phase']}: {stage}, loss {row['cross_entropy'] + row['shift']:.4f}"
    return text + (f", held out {row['held_out']:.4f}" if "held_out" in row else "")
