"""The training loop: epochs over the batches of a fit, for one objective."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from surveysim.dsa.batches import Batches, TrainingBatch
from surveysim.dsa.loop_memory import LoopMemory
from surveysim.dsa.losses import cross_entropy, shift_loss
from surveysim.trunk.head import NO_OPTION, OptionHead

__all__ = ["Objective", "epochs", "option_logits", "settle", "skip_epochs"]

BIAS_RATE = 10.0
"""The biases' learning rate relative to the blocks': they are logits, the blocks' weights are not."""

CLIP = 1.0
"""Largest norm of a step's gradient; the first steps of a pretrained block can be wild."""

AVERAGED_EPOCHS = 2.0
"""Time constant of the moving average of the weights (Polyak), in epochs. It takes out the noise of single batches,
which would otherwise be as large as the differences between groups."""


MIN_STEPS = 8
"""Steps per epoch: a survey of one or two batches is gone through several times before its epoch ends."""


@dataclass(frozen=True)
class Objective:
    """What is minimised: ``sum_b n_b KL(q_b || p_b) / sum_b n_b  +  (shift_weight / n) * shift loss``.

    n is the mean number of respondents per cell, so that the weight counts in respondents per cell and means the same
    for samples and for sets of backgrounds of every size.

    Attributes
    ----------
    counts : Tensor of shape (n, K)
        Respondents per option of each cell.
    offset : Tensor of shape (n, K) or None
        Fixed logits to which the head's are added (`init="baseline"`).
    shift_weight : float
        lambda, in respondents per cell.
    reference : Tensor of shape (n_attributes, n, K) or None
        Logits whose differences are the reference shifts; None: zero shifts.
    levels : bool
        Whether each question's level is learned by its bias alone: the head's logits are then centred over the
        question's respondents, so that a step for one question does not move the level of the others. False: no
        biases are trained (`init=None`).
    """

    counts: Tensor
    offset: Tensor | None = None
    shift_weight: float = 0.0
    reference: Tensor | None = None
    levels: bool = True

    def logits(self, head: OptionHead, batch: TrainingBatch, *, with_offset: bool = True) -> Tensor:
        """Option logits of a batch: the head's, centred where levels are learned, and the offset's."""
        logits = head(batch.inputs, batch.question)
        if self.levels:
            respondents = self.counts[batch.rows].sum(dim=1)
            centred = logits - _question_means(logits - head.bias[batch.question], batch, respondents)
            logits = torch.where(logits > NO_OPTION / 2, centred, logits)
        if self.offset is None or not with_offset:
            return logits
        return logits + self.offset[batch.rows]

    def loss(self, head: OptionHead, batch: TrainingBatch, batches: Batches) -> tuple[Tensor, Tensor]:
        """Cross-entropy and shift loss of one batch; over all batches they add up to the objective."""
        logits = self.logits(head, batch)
        counts = self.counts[batch.rows]
        n_total = self.counts.sum()
        fit = cross_entropy(logits, counts) / n_total
        if not self.shift_weight or not batch.lines:
            return fit, fit.new_zeros(())
        reference = None if self.reference is None else self.reference[:, batch.rows]
        shift = shift_loss(logits, batch.contrasts, batch.lines, batches.n_pairs, reference)
        n_cells = (self.counts.sum(dim=1) > 0).sum()
        return fit, shift * (self.shift_weight * n_cells / n_total)


def epochs(
    head: OptionHead,
    batches: Batches,
    objective: Objective,
    learning_rate: float,
    generator: torch.Generator,
    memory: LoopMemory | None = None,
) -> Iterator[dict[str, float]]:
    """Train without end; after each epoch yield the mean losses that were seen in it.

    An epoch is one pass over the batches, or as many as make at least `MIN_STEPS` steps. While the generator waits,
    the head holds the moving average of its weights.

    Parameters
    ----------
    head : OptionHead
        Trained in place.
    batches : Batches
        The cells.
    objective : Objective
        What is minimised, by Adam without weight decay: a step on each batch, batches in random order. After a first
        epoch of warming up the learning rate is constant, so that a run of any length is the beginning of a longer one.
    learning_rate : float
        Of the blocks and label rows.
    generator : torch.Generator
        The order of the batches.
    memory : LoopMemory, optional
        Says where another run stopped, if this one goes on from there, and is told where it stands.

    Yields
    ------
    dict
        ``{"cross_entropy": ..., "shift": ...}``, nats per respondent.
    """
    trained = {name: p for name, p in head.named_parameters() if p.requires_grad}
    parameters = {name: p for name, p in trained.items() if name != "bias" or objective.levels}
    biases = [p for name, p in parameters.items() if name == "bias"]
    others = [p for name, p in parameters.items() if name != "bias"]
    groups = [{"params": others}, {"params": biases}]
    # fused: the other ways need temporary copies, on a card of all parameters
    optimizer = torch.optim.Adam(groups, betas=(0.9, 0.98), fused=True)
    every = [*others, *biases]
    average = [p.detach().clone() for p in every]
    n_passes = _passes(batches)
    n_steps = n_passes * len(batches.parts)
    horizon = AVERAGED_EPOCHS * n_steps
    step = 0 if memory is None else memory.put_back(every, average, optimizer)
    while True:
        losses = []  # stay on the device until the epoch ends: reading one would wait for the step
        for position in _order(len(batches.parts), n_passes, generator):
            optimizer.zero_grad(set_to_none=True)  # before the loss, whose activations need the memory
            fit, shift = objective.loss(head, batches.parts[position], batches)
            ((fit + shift) * len(batches.parts)).backward()
            torch.nn.utils.clip_grad_norm_(every, CLIP)
            step += 1
            for group, rate in zip(optimizer.param_groups, (learning_rate, learning_rate * BIAS_RATE), strict=True):
                group["lr"] = rate * min(1.0, step / n_steps)
            optimizer.step()
            # the average of few steps reaches back to the first ones: it grows into its horizon
            keep = min(1.0 - 1.0 / horizon, step / (step + 3.0))
            torch._foreach_lerp_(average, [p.detach() for p in every], 1.0 - keep)
            losses.append(torch.stack([fit.detach(), shift.detach()]))
        _exchange(every, average)
        sums = torch.stack(losses).cpu().numpy().astype(np.float64).sum(axis=0) / n_passes
        if memory is not None:  # the two have changed places
            memory.remember(average, every, [optimizer.state[p] for p in every], step)
        yield {"cross_entropy": float(sums[0]), "shift": float(sums[1])}
        _exchange(every, average)


def skip_epochs(batches: Batches, n_epochs: int, generator: torch.Generator) -> torch.Generator:
    """A generator for the next `n_epochs` epochs, which `generator` passes over: they can be run at another time."""
    own = torch.Generator()
    own.set_state(generator.get_state())
    for _ in range(n_epochs):
        _order(len(batches.parts), _passes(batches), generator)
    return own


def _passes(batches: Batches) -> int:
    return -(-MIN_STEPS // len(batches.parts))


def _order(n_batches: int, n_passes: int, generator: torch.Generator) -> list[int]:
    return [position for _ in range(n_passes) for position in torch.randperm(n_batches, generator=generator).tolist()]


@torch.no_grad()
def settle(head: OptionHead, batches: Batches, objective: Objective) -> None:
    """Fold the centring of each question's logits into its bias, so that the head alone gives the same predictions."""
    if not objective.levels:
        return
    n_questions = len(head.bias)
    sums = torch.zeros_like(head.bias)
    weight = torch.zeros(n_questions, device=head.bias.device)
    for batch in batches.parts:
        raw = head(batch.inputs, batch.question) - head.bias[batch.question]
        raw = torch.where(raw > NO_OPTION / 2, raw, 0.0)
        respondents = objective.counts[batch.rows].sum(dim=1)
        sums.index_add_(0, batch.question, raw * respondents[:, None])
        weight.index_add_(0, batch.question, respondents)
    head.bias.sub_(sums / weight.clamp_min(1e-9)[:, None])


def _question_means(values: Tensor, batch: TrainingBatch, weight: Tensor) -> Tensor:
    """Weighted mean over the rows of each question, given back to each row."""
    n, place = batch.n_questions, batch.place
    total = weight.new_zeros(n).index_add(0, place, weight).clamp_min(1e-9)
    sums = values.new_zeros(n, values.shape[1]).index_add(0, place, values * weight[:, None])
    return (sums / total[:, None])[place]


def _exchange(parameters: Sequence[Tensor], values: list[Tensor]) -> None:
    """Let parameters and values change places; nothing is copied."""
    for i, parameter in enumerate(parameters):
        parameter.data, values[i] = values[i], parameter.data


@torch.no_grad()
def option_logits(
    head: OptionHead, batches: Batches, objective: Objective | None = None, *, with_offset: bool = True
) -> np.ndarray:
    """Option logits of all cells (n, K) in float64, NaN where a shorter question has no option.

    Without an objective they are the head's own.
    """
    logits = torch.empty(len(batches), batches.n_options, device=batches.device)
    for batch in batches.parts:
        if objective is None:
            logits[batch.rows] = head(batch.inputs, batch.question)
        else:
            logits[batch.rows] = objective.logits(head, batch, with_offset=with_offset)
    values = logits.double().cpu().numpy()
    values[values < NO_OPTION / 2] = np.nan
    return values
