"""What a run of the training loop needs, besides the head, to continue where it stopped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["LoopMemory"]

_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


class LoopMemory:
    """Weights, their moving average, Adam's moments and the number of steps, between two epochs.

    Parameters
    ----------
    tensors : dict of str to Tensor, optional
        What another run left, to go on from. None: the run starts anew.

    Attributes
    ----------
    tensors : dict of str to Tensor
        After each epoch what there is to keep; not copies, so that they are to be written before the next epoch.
    """

    def __init__(self, tensors: dict[str, Tensor] | None = None) -> None:
        self.tensors = {} if tensors is None else dict(tensors)

    @torch.no_grad()
    def put_back(self, parameters: Sequence[Tensor], average: Sequence[Tensor], optimizer: Any) -> int:
        """Bring a new run to where the other one stood; the number of its last step."""
        if not self.tensors:
            return 0
        state = {}
        for i, (parameter, mean) in enumerate(zip(parameters, average, strict=True)):
            parameter.copy_(self.tensors[f"weight/{i}"])
            mean.copy_(self.tensors[f"average/{i}"])
            state[i] = {name: self.tensors[f"{name}/{i}"].clone() for name in _MOMENTS}
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
        return int(self.tensors["steps"])

    def remember(self, weights: Sequence[Tensor], average: Sequence[Tensor], states: Any, step: int) -> None:
        """Note where a run stands.

        Parameters
        ----------
        weights, average : sequences of Tensor
            The weights as the last step left them, and their moving average.
        states : sequence of mapping
            Adam's state of each parameter.
        step : int
        """
        self.tensors = {"steps": torch.tensor(step)}
        for i, (weight, mean, state) in enumerate(zip(weights, average, states, strict=True)):
            self.tensors |= {f"weight/{i}": weight.detach(), f"average/{i}": mean.detach()}
            self.tensors |= {f"{name}/{i}": state[name] for name in _MOMENTS}
