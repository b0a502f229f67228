"""The training loop: epochs over the batches of a task, for one objective."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from surveysim.training.head import OptionHead
from surveysim.training.losses import cross_entropy, shift_loss
from surveysim.training.task import Batch, Task

__all__ = ["Objective", "epochs", "option_logits"]

BIAS_RATE = 10.0
"""The biases' learning rate relative to the blocks': they are logits, the blocks' weights are not."""

CLIP = 1.0
"""Largest norm of a gradient step's gradient; the first steps of a pretrained block can be wild."""


@dataclass(frozen=True)
class Objective:
    """What is minimised: ``sum_b n_b KL(q_b || p_b) / sum_b n_b  +  (shift_weight / N) * shift loss``.

    Attributes
    ----------
    counts : Tensor of shape (n, K)
        Respondents per option of each cell.
    offset : Tensor of shape (n, K) or None
        Fixed logits to which the head's are added (`init="baseline"`).
    shift_weight : float
        lambda, in respondents.
    reference : Tensor of shape (n_attributes, n, K) or None
        Logits whose differences are the reference shifts; None: zero shifts.
    train_bias : bool
        Whether the biases per question and option are trained.
    """

    counts: Tensor
    offset: Tensor | None = None
    shift_weight: float = 0.0
    reference: Tensor | None = None
    train_bias: bool = True

    def logits(self, head: OptionHead, batch: Batch) -> Tensor:
        """Option logits of a batch: the head's, and the offset's."""
        logits = head(batch.inputs, batch.question)
        return logits if self.offset is None else logits + self.offset[batch.rows]

    def loss(self, head: OptionHead, batch: Batch, task: Task) -> tuple[Tensor, Tensor]:
        """Cross-entropy and shift loss of one batch; over all batches they add up to the objective."""
        logits = self.logits(head, batch)
        counts = self.counts[batch.rows]
        n_total = self.counts.sum()
        fit = cross_entropy(logits, counts) / n_total
        if not self.shift_weight or not batch.lines:
            return fit, fit.new_zeros(())
        reference = None if self.reference is None else self.reference[:, batch.rows]
        shift = shift_loss(logits, batch.contrasts, batch.lines, task.n_pairs, reference)
        n_questions = len(np.unique(task.question_index))
        return fit, shift * (self.shift_weight * n_questions / n_total)


def epochs(
    head: OptionHead, task: Task, objective: Objective, learning_rate: float, generator: torch.Generator
) -> Iterator[dict[str, float]]:
    """Train without end; after each epoch yield the mean losses that were seen in it.

    Parameters
    ----------
    head : OptionHead
        Trained in place.
    task : Task
        The cells.
    objective : Objective
        What is minimised, by Adam without weight decay: a step on each batch, batches in random order. The learning
        rate is constant, so that a run of any length is the beginning of a longer one.
    learning_rate : float
        Of the blocks and label rows.
    generator : torch.Generator
        The order of the batches.

    Yields
    ------
    dict
        ``{"cross_entropy": ..., "shift": ...}``, nats per respondent.
    """
    head.bias.requires_grad_(objective.train_bias)
    trained = [p for name, p in head.named_parameters() if name != "bias" and p.requires_grad]
    groups = [{"params": trained, "lr": learning_rate}]
    if objective.train_bias:
        groups.append({"params": [head.bias], "lr": learning_rate * BIAS_RATE})
    optimizer = torch.optim.Adam(groups, betas=(0.9, 0.98))
    every = [p for group in groups for p in group["params"]]  # type: ignore[attr-defined]
    while True:
        sums = np.zeros(2)
        for position in torch.randperm(len(task.batches), generator=generator).tolist():
            fit, shift = objective.loss(head, task.batches[position], task)
            optimizer.zero_grad(set_to_none=True)
            ((fit + shift) * len(task.batches)).backward()
            torch.nn.utils.clip_grad_norm_(every, CLIP)
            optimizer.step()
            sums += (float(fit.detach()), float(shift.detach()))
        yield {"cross_entropy": float(sums[0]), "shift": float(sums[1])}


@torch.no_grad()
def option_logits(head: OptionHead, task: Task, objective: Objective | None = None) -> np.ndarray:
    """Option logits of all cells (n, K) in float64, NaN where a shorter question has no option."""
    logits = torch.empty(len(task), task.n_options, device=task.device)
    for batch in task.batches:
        if objective is None:
            logits[batch.rows] = head(batch.inputs, batch.question)
        else:
            logits[batch.rows] = objective.logits(head, batch)
    values = logits.double().cpu().numpy()
    values[values < -1e20] = np.nan
    return values
