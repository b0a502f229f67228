"""Where a causal language model keeps its blocks, its final norm and its output layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from surveysim.errors import SurveysimError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["Anatomy", "UnfitModelError", "dissect"]


class UnfitModelError(SurveysimError, ValueError):
    """A model's structure does not allow what was asked."""


@dataclass(frozen=True)
class Anatomy:
    """The parts of a causal language model that the last-block recipe touches.

    Attributes
    ----------
    decoder : Module
        From token ids to normed hidden states: everything but the output layer.
    blocks : ModuleList
        The transformer blocks, first to last.
    norm : Module
        The norm after the last block.
    output : Module
        The output layer; its ``weight`` has one row a vocabulary entry.
    scale : float
        What the model multiplies its logits with (Granite, Cohere); 1 for most.
    soft_cap : float or None
        The model's logits are ``soft_cap * tanh(logits / soft_cap)`` (Gemma 2).
    """

    decoder: nn.Module
    blocks: nn.ModuleList
    norm: nn.Module
    output: nn.Module
    scale: float
    soft_cap: float | None

    @property
    def width(self) -> int:
        """Size of a hidden state."""
        output: Any = self.output
        return int(output.weight.shape[1])

    def scaled(self, logits: Tensor) -> Tensor:
        """Products of the output layer as the model's own logits: its scale and soft cap applied."""
        logits = logits * self.scale
        return logits if self.soft_cap is None else self.soft_cap * torch.tanh(logits / self.soft_cap)

    def trained_names(self, n_blocks: int) -> dict[str, nn.Parameter]:
        """Parameters of the last `n_blocks` blocks and the final norm, by their names in `decoder`."""
        wanted = {id(p) for module in [*self.blocks[-n_blocks:], self.norm] for p in module.parameters()}
        return {name: p for name, p in self.decoder.named_parameters() if id(p) in wanted}


def dissect(network: PreTrainedModel) -> Anatomy:
    """Find the parts of a transformers causal language model, without a list of families.

    Parameters
    ----------
    network : PreTrainedModel
        A causal language model.

    Returns
    -------
    Anatomy

    Raises
    ------
    UnfitModelError
        If the blocks, the final norm or the output layer cannot be found.
    """
    config = network.config.get_text_config()
    output = network.get_output_embeddings()
    if output is None or getattr(output, "weight", None) is None:
        raise UnfitModelError(f"{type(network).__name__} has no output layer: a causal language model is expected")
    decoder, blocks = _find_blocks(network, int(config.num_hidden_layers))
    norms = [
        child
        for child in decoder.children()
        if child is not blocks and getattr(getattr(child, "weight", None), "ndim", 0) == 1
    ]
    if not norms:
        raise UnfitModelError(f"{type(network).__name__}: no norm was found after the last block")
    scale = 1.0
    if getattr(config, "logits_scaling", None):
        scale = 1.0 / float(config.logits_scaling)
    elif getattr(config, "logit_scale", None):
        scale = float(config.logit_scale)
    soft_cap = getattr(config, "final_logit_softcapping", None)
    return Anatomy(
        decoder=decoder,
        blocks=blocks,
        norm=norms[-1],
        output=output,
        scale=scale,
        soft_cap=None if soft_cap is None else float(soft_cap),
    )


def _find_blocks(network: nn.Module, n_layers: int) -> tuple[nn.Module, nn.ModuleList]:
    """The shallowest list of `n_layers` modules and its owner (experts within a block lie deeper)."""
    found = [
        (name.count("."), name)
        for name, module in network.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == n_layers
    ]
    if not found:
        raise UnfitModelError(f"{type(network).__name__}: no list of {n_layers} blocks was found")
    name = min(found)[1]
    owner, _, leaf = name.rpartition(".")
    decoder = network.get_submodule(owner)
    blocks = getattr(decoder, leaf)
    assert isinstance(blocks, nn.ModuleList)
    return decoder, blocks
