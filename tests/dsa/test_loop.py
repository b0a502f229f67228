"""Steps of the head: what they may not do if a graphics card is to be kept busy."""

from __future__ import annotations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from surveysim.dsa import loop, trainer
from tests.simulated import QUESTIONS, quick, simulate

# Operations that wait for the device: values that the host reads, and shapes that depend on values.
WAITING = ("_local_scalar_dense", "nonzero", "unique", "masked_select", "is_nonzero", "equal")


class Recorder(TorchDispatchMode):
    """Names of all operations."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(func.name())
        return func(*args, **(kwargs or {}))


def test_no_step_waits_for_the_device(tiny_folder, monkeypatch):
    """What crosses between host and device in a step would do so thousands of times."""
    survey = simulate(QUESTIONS)
    seen = []

    def spying(head, batches, objective, *args):
        for batch in batches.parts:
            _ = batch.inputs  # copied to the device once, before the first step
            with Recorder() as recorder:
                fit, shift = objective.loss(head, batch, batches)
                (fit + shift).backward()
                torch.nn.utils.clip_grad_norm_([head.rows, head.bias], 1.0)
            seen.append((objective.shift_weight, recorder.names))
        return loop.epochs(head, batches, objective, *args)

    monkeypatch.setattr(trainer, "epochs", spying)
    quick(tiny_folder, QUESTIONS, batch_size=12).fit(survey.X, survey.Y, survey.n)
    assert {weight for weight, _ in seen} == {0.0, 20.0}
    for _, names in seen:
        assert len(names) > 100
        assert [name for name in names if any(waiting in name for waiting in WAITING)] == []


def test_history_is_the_mean_loss_of_an_epochs_steps(tiny_folder, monkeypatch):
    survey = simulate(QUESTIONS)
    monkeypatch.setattr(loop, "MIN_STEPS", 5)  # three batches, twice
    seen = []
    original = loop.Objective.loss

    def spying(self, head, batch, batches):
        losses = original(self, head, batch, batches)
        seen.append([float(part.detach()) for part in losses])
        return losses

    monkeypatch.setattr(loop.Objective, "loss", spying)
    settings = {"batch_size": 12, "max_epochs": 1, "validation_fraction": 0.0}
    model = quick(tiny_folder, QUESTIONS, **settings).fit(survey.X, survey.Y, survey.n)
    assert len(seen) == 2 * 6
    for row, part in zip(model.history_.to_dict("records"), (seen[:6], seen[6:]), strict=True):
        assert row["cross_entropy"] == pytest.approx(sum(fit for fit, _ in part) / 2, rel=1e-6)
        assert row["shift"] == pytest.approx(sum(shift for _, shift in part) / 2, rel=1e-6)


def test_parameters_and_averages_change_places_without_a_copy():
    parameters = [torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.zeros(2))]
    values = [torch.full((3,), 7.0), torch.full((2,), 8.0)]
    places = [p.data_ptr() for p in parameters], [v.data_ptr() for v in values]
    loop._exchange(parameters, values)
    assert [p.data_ptr() for p in parameters] == places[1]
    assert [v.data_ptr() for v in values] == places[0]
    assert parameters[0].tolist() == [7.0] * 3
    assert values[1].tolist() == [0.0] * 2
