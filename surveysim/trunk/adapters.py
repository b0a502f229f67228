"""Low-rank adapters (LoRA) on all blocks: whole passes, with the adapters in the model during a pass only."""

from __future__ import annotations

import math
import uuid
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from surveysim.models.anatomy import Anatomy, UnfitModelError, dissect
from surveysim.trunk.recipe import OutputLayer, difference_from_own_logits, pad_tokens
from surveysim.trunk.whole_passes import TokenBatch

__all__ = ["ALPHA", "RANK", "AdapterPass", "LoraRecipe"]

RANK = 8
ALPHA = 32
"""Rank and scale (alpha / rank = 4) of SubPOP's recipe (Suh et al. 2025), on the query and value projections."""

PROJECTIONS = (("q_proj", "v_proj"), ("qkv_proj",), ("query_key_value",), ("c_attn",))
"""What carries adapters: queries and values, or where a model has them in one matrix with the keys, that matrix."""

TOKENS_PER_CHUNK = 2048
"""Tokens whose activations are kept for the gradient at once. A batch of more is run chunk by chunk and run again in
the backward pass: whole questions have to share a step, and a question may have hundreds of prompts."""


class LoraRecipe(OutputLayer):
    """How all blocks of one loaded model are tuned by adapters.

    Parameters
    ----------
    network : PreTrainedModel
        The frozen model.
    probes : pair of sequences of int
        Token ids of two prompts of unequal length: an untrained copy must reproduce the model's own logits.
    lock : context manager
        Held whenever the model is called, and while adapters are in it.

    Attributes
    ----------
    apart : bool
        False: whole passes, so that there are no trunk states.
    trains_rows : bool
        False: the output layer stays as it is, as in SubPOP's recipe.

    Raises
    ------
    UnfitModelError
        If no query and value projections are found, or whole passes do not reproduce the model's logits.
    """

    apart = False
    trains_rows = False

    def __init__(self, network: Any, probes: tuple[Sequence[int], Sequence[int]], lock: AbstractContextManager) -> None:
        super().__init__(dissect(network), lock)
        self._network = network
        self._targets = _targets(network, self.anatomy)
        with lock, torch.no_grad():
            batch = pad_tokens(sorted(probes, key=len), self.device)
            reason = difference_from_own_logits(self, network, probes, lambda: self.copy()(batch))
        if reason is not None:
            raise UnfitModelError(f"{type(network).__name__} cannot be tuned by adapters: {reason}")

    def copy(self, seed: int = 0) -> AdapterPass:
        """New adapters: A uniform from `seed`, B zero, so that training starts at the model itself."""
        with self.lock:
            layers, name = _inject(self._network, self._targets)
            return AdapterPass(self.anatomy, self._network, layers, name, seed, self.lock)


class AdapterPass(nn.Module):
    """Trainable adapters, and whole passes of the model with them.

    They are in the model for the duration of a pass, under its lock, and out of it afterwards, whatever happens.

    Parameters
    ----------
    anatomy : Anatomy
        The model's parts.
    network : PreTrainedModel
        The frozen model.
    layers : dict of str to peft LoraLayer
        By the names of the modules that they stand in for.
    name : str
        The adapters' name.
    seed : int
        Of the first weights.
    lock : context manager
        Held while the model is called.

    Attributes
    ----------
    down, up : ParameterList
        The matrices A (rank, width) and B (outputs, rank) of each layer, in float32.
    """

    def __init__(
        self,
        anatomy: Anatomy,
        network: nn.Module,
        layers: dict[str, Any],
        name: str,
        seed: int,
        lock: AbstractContextManager,
    ) -> None:
        super().__init__()
        self._outside = (anatomy.decoder, network, layers, lock)  # in a tuple: neither model nor layers are submodules
        device = next(anatomy.decoder.parameters()).device
        generator = torch.Generator().manual_seed(seed)
        self.down, self.up = nn.ParameterList(), nn.ParameterList()
        for layer in layers.values():
            down, up = layer.lora_A[name], layer.lora_B[name]
            bound = 1.0 / math.sqrt(down.weight.shape[1])  # peft's own: uniform Kaiming with a = sqrt(5)
            start = torch.empty(down.weight.shape).uniform_(-bound, bound, generator=generator)
            down.weight = nn.Parameter(start.to(device))
            up.weight = nn.Parameter(torch.zeros(up.weight.shape, device=device))
            self.down.append(down.weight)
            self.up.append(up.weight)

    def forward(self, batch: TokenBatch) -> Tensor:
        """Normed hidden states (B, D) at the last position of each prompt."""
        order = torch.argsort(batch.length)
        chunks = _chunks(batch.length[order].tolist())
        hidden = []
        for start, stop, longest in chunks:
            rows = order[start:stop]
            part = TokenBatch(batch.ids[rows, :longest], batch.length[rows])
            if torch.is_grad_enabled() and len(chunks) > 1:
                hidden.append(checkpoint(self._run, part, use_reentrant=False, preserve_rng_state=False))
            else:
                hidden.append(self._run(part))
        return torch.cat(hidden)[torch.argsort(order)]

    def _run(self, batch: TokenBatch) -> Tensor:
        decoder, network, layers, lock = self._outside
        mask = (torch.arange(batch.ids.shape[1], device=batch.ids.device) < batch.length[:, None]).long()
        with lock, _in_place(network, layers):
            output = decoder(input_ids=batch.ids, attention_mask=mask, use_cache=False)
        rows = torch.arange(len(batch.ids), device=batch.ids.device)
        return output[0][rows, batch.length - 1].float()


def _chunks(lengths: list[int]) -> list[tuple[int, int, int]]:
    """First row, row after the last, and longest prompt of each chunk of prompts in ascending order of length."""
    chunks: list[tuple[int, int, int]] = []
    for row, length in enumerate(lengths):
        if chunks and (row + 1 - chunks[-1][0]) * length <= TOKENS_PER_CHUNK:
            chunks[-1] = (chunks[-1][0], row + 1, length)
        else:
            chunks.append((row, row + 1, length))
    return chunks


def _targets(network: nn.Module, anatomy: Anatomy) -> list[str]:
    """Names, within the network, of the modules that carry adapters: in every block that has them."""
    within = {id(module) for module in anatomy.blocks.modules()}
    matrices = [
        name
        for name, module in network.named_modules()
        if id(module) in within and getattr(getattr(module, "weight", None), "ndim", 0) == 2
    ]
    for names in PROJECTIONS:
        found = [matrix for matrix in matrices if matrix.rpartition(".")[2] in names]
        if found:
            return found
    raise UnfitModelError(
        f"{type(network).__name__} cannot be tuned by adapters: none of its blocks has a projection called "
        f"{', '.join('/'.join(names) for names in PROJECTIONS)}. Use tuning='last-block'"
    )


def _inject(network: Any, targets: list[str]) -> tuple[dict[str, Any], str]:
    """Let peft put adapters under a new name into the network, take them out again, and leave it as it was."""
    from peft import LoraConfig, inject_adapter_in_model

    name = f"surveysim-{uuid.uuid4().hex}"
    modules = {target: network.get_submodule(target) for target in targets}
    flags = [(parameter, parameter.requires_grad) for parameter in network.parameters()]
    attributes = dict(vars(network))
    config = LoraConfig(
        r=RANK,
        lora_alpha=ALPHA,
        lora_dropout=0.0,  # dropout would draw from torch's global generator
        target_modules=targets,
        init_lora_weights=False,
        fan_in_fan_out=not isinstance(modules[targets[0]], nn.Linear),  # GPT-2's Conv1D holds its matrix transposed
    )
    try:
        # On the meta device nothing is drawn from torch's global generator; the weights are made afterwards.
        with warnings.catch_warnings(), torch.device("meta"):
            warnings.simplefilter("ignore")
            inject_adapter_in_model(config, network, adapter_name=name)
        layers = {target: network.get_submodule(target).eval() for target in targets}
    finally:
        for target, module in modules.items():
            _replace(network, target, module)
        for parameter, flag in flags:
            parameter.requires_grad_(flag)
        for attribute in vars(network).keys() - attributes.keys():
            delattr(network, attribute)
    return layers, name


@contextmanager
def _in_place(network: nn.Module, layers: dict[str, Any]) -> Iterator[None]:
    """The adapters in the network, and afterwards the modules that were there."""
    modules = {target: network.get_submodule(target) for target in layers}
    try:
        for target, layer in layers.items():
            _replace(network, target, layer)
        yield
    finally:
        for target, module in modules.items():
            _replace(network, target, module)


def _replace(network: nn.Module, target: str, module: nn.Module) -> None:
    owner, _, leaf = target.rpartition(".")
    network.get_submodule(owner)._modules[leaf] = module
