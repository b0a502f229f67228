"""Low-rank adapters (LoRA) on all blocks: whole passes of a twin with adapters in it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from surveysim.models.anatomy import Anatomy, UnfitModelError, dissect
from surveysim.trunk.position_tables import PositionTables
from surveysim.trunk.recipe import OutputLayer, Probes, TrunkWay, difference_from_own_logits, own_hollow, parted
from surveysim.trunk.twin import twin_of

__all__ = ["ALPHA", "RANK", "AdapterPass", "LoraRecipe", "TokenBatch", "pad_tokens"]

RANK = 8
ALPHA = 32
"""Rank and scale (alpha / rank = 4) of SubPOP's recipe (Suh et al. 2025), on the query and value projections."""

PROJECTIONS = (("q_proj", "v_proj"), ("qkv_proj",), ("query_key_value",), ("c_attn",))
"""What carries adapters: queries and values, or where a model has them in one matrix with the keys, that matrix."""

_ADAPTER = "surveysim"

TOKENS_PER_CHUNK = 2048
"""Tokens whose activations are kept for the gradient at once. A batch of more is run chunk by chunk and run again in
the backward pass: whole questions have to share a step, and a question may have hundreds of prompts."""


@dataclass(frozen=True)
class TokenBatch:
    """B prompts as token ids, padded on the right.

    Attributes
    ----------
    ids : int Tensor of shape (B, T)
    length : int Tensor of shape (B,)
    """

    ids: Tensor
    length: Tensor

    @property
    def nbytes(self) -> int:
        """Bytes of the padded part."""
        return self.ids.nbytes


def pad_tokens(prompts: Sequence[Sequence[int]], device: torch.device) -> TokenBatch:
    """Token ids of prompts as one padded batch on `device`."""
    tensors = [torch.tensor(list(prompt), dtype=torch.long) for prompt in prompts]
    return TokenBatch(
        ids=nn.utils.rnn.pad_sequence(tensors, batch_first=True).to(device),
        length=torch.tensor([len(tensor) for tensor in tensors]).to(device),
    )


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

    way: TrunkWay = "whole model"
    trains_rows = False

    def __init__(self, network: Any, probes: Probes, lock: AbstractContextManager[Any]) -> None:
        super().__init__(dissect(network), lock)
        self._network = network
        self._targets = _targets(network, self.anatomy)
        with lock, torch.no_grad():
            with parted(network):
                self._positions = PositionTables(own_hollow(network))
            batch = pad_tokens(sorted(probes, key=len), self.device)
            reason = difference_from_own_logits(self, network, probes, lambda: self.copy()(batch))
        if reason is not None:
            raise UnfitModelError(f"{type(network).__name__} cannot be tuned by adapters: {reason}")

    def copy(self, seed: int = 0) -> AdapterPass:
        """New adapters: A uniform from `seed`, B zero, so that training starts at the model itself."""
        with self.lock:  # peft is told what it works on in the network's own attributes
            return AdapterPass(self._network, self._targets, seed, self.lock, self._positions)


class AdapterPass(nn.Module):
    """Trainable adapters, and whole passes of a twin of the model with them in it.

    Parameters
    ----------
    network : PreTrainedModel
        The frozen model; stays as it is.
    targets : list of str
        Names, within the network, of the modules that carry adapters.
    seed : int
        Of the first weights.
    lock : context manager
        Held during a pass: one fills a machine.
    positions : PositionTables
        Refuses prompts so long that positions would depend on their neighbours' length.

    Attributes
    ----------
    down, up : ParameterList
        The matrices A (rank, width) and B (outputs, rank) of each layer, in float32.
    """

    def __init__(
        self,
        network: PreTrainedModel,
        targets: list[str],
        seed: int,
        lock: AbstractContextManager[Any],
        positions: PositionTables,
    ) -> None:
        super().__init__()
        self._positions = positions
        twin, layers = _with_adapters(network, targets)
        decoder = dissect(twin).decoder
        self._outside = (decoder, lock)  # in a tuple, so that the twin does not become a submodule
        device = next(decoder.parameters()).device
        generator = torch.Generator().manual_seed(seed)
        self.down, self.up = nn.ParameterList(), nn.ParameterList()
        for layer in layers:
            down, up = layer.lora_A[_ADAPTER], layer.lora_B[_ADAPTER]
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
        decoder, lock = self._outside
        self._positions.check(batch.ids.shape[1])
        mask = (torch.arange(batch.ids.shape[1], device=batch.ids.device) < batch.length[:, None]).long()
        with lock:
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
        f"{', '.join('/'.join(names) for names in PROJECTIONS)}. Use tuning='last-block', or another model"
    )


def _with_adapters(network: PreTrainedModel, targets: list[str]) -> tuple[PreTrainedModel, list[Any]]:
    """A twin of the network into which peft has put adapters without weights, and the layers that carry them."""
    from peft import LoraConfig, inject_adapter_in_model

    twin = twin_of(network)
    config = LoraConfig(
        r=RANK,
        lora_alpha=ALPHA,
        lora_dropout=0.0,  # dropout would draw from torch's global generator
        target_modules=targets,
        init_lora_weights=False,
        fan_in_fan_out=not isinstance(twin.get_submodule(targets[0]), nn.Linear),  # GPT-2's Conv1D holds it transposed
    )
    # On the meta device nothing is drawn from torch's global generator; the weights are made afterwards.
    with warnings.catch_warnings(), torch.device("meta"):
        warnings.simplefilter("ignore")
        inject_adapter_in_model(config, twin, adapter_name=_ADAPTER)
    return twin, [twin.get_submodule(target).eval() for target in targets]
