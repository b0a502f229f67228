"""Fine-tuning the plain way, to compare with: every step runs the whole model, and nothing is kept between steps."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from surveysim.models.anatomy import dissect
from surveysim.models.loaded import LoadedModel
from surveysim.trunk.adapters import TokenBatch
from surveysim.trunk.recipe import OutputLayer, TrunkWay
from surveysim.trunk.store import store_of
from surveysim.trunk.twin import twin_of

__all__ = ["WholePasses", "whole_passes"]


class WholePasses(OutputLayer):
    """The last blocks trained within whole passes; stands where `DSARegressor` with ``tuning="lora"`` has adapters.

    Parameters
    ----------
    model : LoadedModel
        The base model.
    n_blocks : int
        How many of its last blocks are trained, and the final norm.
    """

    way: TrunkWay = "whole model"
    trains_rows = True

    def __init__(self, model: LoadedModel, n_blocks: int = 1) -> None:
        super().__init__(dissect(model.network), model.lock)
        self._network, self._n_blocks = model.network, n_blocks

    def copy(self, seed: int = 0) -> nn.Module:
        """A trainable float32 copy within a twin of the model."""
        return _WholePass(self._network, self._n_blocks)


class _WholePass(nn.Module):
    def __init__(self, network: PreTrainedModel, n_blocks: int) -> None:
        super().__init__()
        anatomy = dissect(twin_of(network))
        self.blocks = nn.ModuleList([copy.deepcopy(block).float() for block in anatomy.blocks[-n_blocks:]])
        self.norm = copy.deepcopy(anatomy.norm).float()
        self.requires_grad_(True)
        first = len(anatomy.blocks) - n_blocks
        for i, block in enumerate(self.blocks):
            anatomy.blocks[first + i] = block
        (name,) = [name for name, child in anatomy.decoder.named_children() if child is anatomy.norm]
        setattr(anatomy.decoder, name, self.norm)
        self._outside = (anatomy.decoder,)

    def forward(self, batch: TokenBatch) -> Tensor:
        mask = (torch.arange(batch.ids.shape[1], device=batch.ids.device) < batch.length[:, None]).long()
        states = self._outside[0](input_ids=batch.ids, attention_mask=mask, use_cache=False)[0]
        rows = torch.arange(len(batch.ids), device=batch.ids.device)
        return states[rows, batch.length - 1].float()


@contextmanager
def whole_passes(model: LoadedModel) -> Iterator[dict[str, Any]]:
    """Within this context `DSARegressor` with the parameters that it gives trains the last block in whole passes."""
    store = store_of(model)
    before = store._lora
    store._lora = WholePasses(model)  # type: ignore[assignment]
    try:
        yield {"tuning": "lora", "learning_rate": 0.4 / model.network.get_output_embeddings().weight.shape[1]}
    finally:
        store._lora = before
