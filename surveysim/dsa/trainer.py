"""The two stages of one member's training: from counts of respondents to the head's tensors."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from surveysim.baselines.logit import LogitRegressor
from surveysim.dsa.batches import Batches
from surveysim.dsa.head_store import HeadStore
from surveysim.dsa.loop import Objective, epochs, option_logits, settle
from surveysim.dsa.selection import held_out_losses
from surveysim.dsa.shifts import ShiftReference, baseline_logits, fit_gap_inflation, observed_logits, start_logits
from surveysim.questions import Question
from surveysim.trunk.head import OptionHead

__all__ = ["Candidate", "Plan", "Settings", "Start", "TrainedHead", "Trainer"]

Init: TypeAlias = Literal["marginal", "baseline"] | None

PATIENCE = 3
"""Epochs without a lower held-out loss after which a run is given up."""

FEW_QUESTIONS = 5
"""Below this number of questions standard errors are taken over cells instead."""


@dataclass(frozen=True)
class Settings:
    """What the user chose for training; see `DSARegressor`.

    Attributes
    ----------
    init : {"marginal", "baseline"} or None
    shift_reference : str
        One of `REFERENCES`, or "auto".
    shift_weight : float or "auto"
    max_epochs : int
    learning_rate : float or "auto"
    batch_size : int or "auto"
        Cells per step.
    n_members : int
    validation_fraction : float
    """

    init: Init
    shift_reference: ShiftReference
    shift_weight: float | Literal["auto"]
    max_epochs: int
    learning_rate: float | Literal["auto"]
    batch_size: int | Literal["auto"]
    n_members: int
    validation_fraction: float


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
    baseline: LogitRegressor | None


@dataclass(frozen=True)
class Candidate:
    """Reference and weight (in respondents) of stage 2; weight 0 is stage 1 alone."""

    reference: str
    weight: float


@dataclass(frozen=True)
class Plan:
    """What a final training does.

    Attributes
    ----------
    candidate : Candidate
        Reference and weight of stage 2.
    n_epochs : tuple of two ints
        Epochs of the two stages.
    stack_weight : float
        Weight of the head's logits beside the baseline's; 1 without a baseline, 0 for the baseline alone.
    """

    candidate: Candidate
    n_epochs: tuple[int, int]
    stack_weight: float


@dataclass(frozen=True)
class TrainedHead:
    """What one training gives.

    Attributes
    ----------
    state : dict of Tensor
        The head's tensors.
    plan : Plan
        How it was trained.
    start : Start
        References and baseline fitted to the same counts.
    """

    state: dict[str, Tensor]
    plan: Plan
    start: Start


class Trainer:
    """Trains the head of one member.

    Parameters
    ----------
    batches : Batches
        The cells.
    backgrounds : DataFrame of n rows
        Their attributes.
    questions : mapping of str to Question
        The questions.
    head : OptionHead
        Untrained; it is trained in place, and put back to the model's own weights before each run.
    settings : Settings
        What the user chose.
    learning_rate : float
        Of Adam.
    generator : torch.Generator
        Order of the batches.
    on_epoch : callable
        Called with a line about each epoch, for a progress bar.
    first_bias : array of shape (n_questions, K), optional
        Biases of questions whose level is not learned: what is known about questions of their length. None: zeros.
    """

    def __init__(
        self,
        batches: Batches,
        backgrounds: pd.DataFrame,
        questions: Mapping[str, Question],
        head: OptionHead,
        settings: Settings,
        learning_rate: float,
        generator: torch.Generator,
        on_epoch: Callable[[str], None],
        first_bias: np.ndarray | None = None,
    ) -> None:
        self.batches = batches
        self.backgrounds = backgrounds
        self.questions = questions
        self.settings = settings
        self.learning_rate = learning_rate
        self.generator = generator
        self.on_epoch = on_epoch
        self.head = head
        self.heads = HeadStore()
        self.first_bias = np.zeros((len(questions), batches.n_options)) if first_bias is None else first_bias
        self.n_options = np.array([question.n_options for question in questions.values()])
        self.zero_shot = option_logits(self.head, batches)
        n_seen = len(np.unique(batches.question_index))
        self.unit = batches.question_index if n_seen >= FEW_QUESTIONS else np.arange(len(batches))
        self.history: list[dict[str, Any]] = []

    def fork(
        self, check: Callable[[], None], generator: torch.Generator | None = None, head: OptionHead | None = None
    ) -> Trainer:
        """Itself for a run beside others: with a head, an order of batches and a history of its own.

        Parameters
        ----------
        check : callable
            Called after each epoch; ends the run by raising.
        generator : torch.Generator, optional
            Order of the batches; None: this trainer's.
        head : OptionHead, optional
            None: this trainer's.
        """
        fork = copy.copy(self)
        fork.generator = self.generator if generator is None else generator
        fork.head = self.head if head is None else head
        fork.history = []

        def on_epoch(text: str) -> None:
            check()
            self.on_epoch(text)

        fork.on_epoch = on_epoch
        return fork

    # --- what depends on the training counts --------------------------------------------------------------------------

    def start(self, counts: np.ndarray) -> Start:
        """Biases, offset and references for these training counts."""
        batches, settings = self.batches, self.settings
        cell_options = self.n_options[batches.question_index]
        wanted = _references(settings)
        references: dict[str, np.ndarray | None] = {"zero": None}
        baseline = offset = slopes = None
        if settings.init == "baseline" or "baseline" in wanted:
            logits, baseline = baseline_logits(counts, self.backgrounds, batches.question_index, self.questions)
            references["baseline"] = np.broadcast_to(logits, (len(batches.attributes), *logits.shape))
            offset = logits if settings.init == "baseline" else None
        if "observed" in wanted:
            logits = observed_logits(counts, cell_options)
            references["observed"] = np.broadcast_to(logits, (len(batches.attributes), *logits.shape))
        if "zero-shot" in wanted:
            slopes = fit_gap_inflation(self.zero_shot, counts, batches.codes, batches.question_index, self.n_options)
            references["zero-shot"] = slopes[:, None, None] * np.nan_to_num(self.zero_shot)
        bias = self.first_bias.copy()
        if settings.init == "marginal":
            pooled = start_logits(counts, batches.question_index, self.n_options)
            seen = np.bincount(batches.question_index, weights=counts.sum(axis=1), minlength=len(bias)) > 0
            bias[seen] = pooled[seen]
        return Start(bias, offset, references, slopes, baseline)

    def objective(self, start: Start, counts: np.ndarray, candidate: Candidate | None) -> Objective:
        """Stage 1's objective, or stage 2's for a candidate."""
        batches = self.batches
        reference = start.references[candidate.reference] if candidate is not None and candidate.weight else None
        return Objective(
            counts=batches.tensor(counts),
            offset=None if start.offset is None else batches.tensor(start.offset),
            shift_weight=0.0 if candidate is None else candidate.weight,
            reference=None if reference is None else batches.tensor(reference),
            levels=self.settings.init is not None,
        )

    @torch.no_grad()
    def label_mass(self, output: torch.nn.Module) -> float:
        """Mean share of the untrained model's next-token probability on option labels, one cell per question.

        `output` is the model's whole output layer.
        """
        self.head.reset()
        first = np.unique(self.batches.question_index, return_index=True)[1]
        shares = []
        for batch in self.batches.parts:
            chosen = torch.as_tensor(np.isin(batch.rows.cpu().numpy(), first), device=self.batches.device)
            if chosen.any():
                shares.append(self.head.label_mass(batch.inputs, batch.question, output)[chosen])
        return float(torch.cat(shares).mean())

    # --- runs ---------------------------------------------------------------------------------------------------------

    def begin(self, start: Start) -> None:
        """Reset the head to the model's own weights, with the biases of `start`."""
        self.head.reset()
        with torch.no_grad():
            self.head.bias.copy_(self.batches.tensor(start.bias))

    def run(self, objective: Objective, n_epochs: int, label: Mapping[str, object]) -> None:
        """Train the head as it stands for this many epochs; `label` opens their rows in the history."""
        steps = epochs(self.head, self.batches, objective, self.learning_rate, self.generator)
        for epoch in range(1, n_epochs + 1):
            self._note({**label, "epoch": epoch, **next(steps)})

    def run_until_worse(
        self, objective: Objective, n_epochs: int, label: Mapping[str, object], held_out: np.ndarray
    ) -> tuple[list[np.ndarray], int]:
        """Train until held-out respondents (n, K) have not been predicted better for `PATIENCE` epochs.

        Returns
        -------
        losses : list of arrays (n_units,)
            Held-out loss before training and after each epoch.
        number : int
            Where the head of the best epoch lies in the store of heads.
        """
        losses = [self.held_out_loss(objective, held_out)]
        best, number = 0, self.heads.put(self.head.state_dict())
        steps = epochs(self.head, self.batches, objective, self.learning_rate, self.generator)
        for epoch in range(1, n_epochs + 1):
            row = {**label, "epoch": epoch, **next(steps)}
            losses.append(self.held_out_loss(objective, held_out))
            self._note({**row, "held_out": float(losses[-1].sum())})
            if losses[-1].sum() < losses[best].sum():
                self.heads.drop(number)
                best, number = epoch, self.heads.put(self.head.state_dict())
            elif epoch - best >= PATIENCE:
                break
        return losses, number

    def held_out_loss(self, objective: Objective, held_out: np.ndarray) -> np.ndarray:
        """Loss of the head as it stands by unit (question, or cell where questions are few)."""
        return held_out_losses(option_logits(self.head, self.batches, objective), held_out, self.unit)

    def _note(self, row: dict[str, Any]) -> None:
        self.history.append(row)
        self.on_epoch(_describe(row))

    def train(self, counts: np.ndarray, plan: Plan) -> TrainedHead:
        """Train both stages on these counts (n, K), for a fixed number of epochs each."""
        start = self.start(counts)
        self.begin(start)
        if plan.stack_weight:  # else the baseline alone: nothing of the head is used
            objective = self.objective(start, counts, None)
            self.run(objective, plan.n_epochs[0], {"phase": "refit", "stage": 1})
            if plan.n_epochs[1]:
                chosen = plan.candidate
                label = {"phase": "refit", "stage": 2, **asdict(chosen)}
                self.run(self.objective(start, counts, chosen), plan.n_epochs[1], label)
            settle(self.head, self.batches, objective)
        return TrainedHead(self.head.snapshot(), plan, start)

    @property
    def has_pairs(self) -> bool:
        """Whether any two cells differ in one attribute alone, so that stage 2 has something to compare."""
        return bool((self.batches.n_pairs > 0).any())


def _references(settings: Settings) -> set[str]:
    if settings.shift_weight == 0:
        return {"zero"}
    return {"baseline", "zero", "zero-shot"} if settings.shift_reference == "auto" else {settings.shift_reference}


def _describe(row: Mapping[str, Any]) -> str:
    stage = f"stage {row['stage']}"
    if "reference" in row:
        stage += f" ({row['reference']} x {row['weight']:g})"
    text = f"{row['phase']}: {stage}, loss {row['cross_entropy'] + row['shift']:.4f}"
    return text + (f", held out {row['held_out']:.4f}" if "held_out" in row else "")
