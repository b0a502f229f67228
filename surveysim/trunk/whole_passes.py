"""The fall-back where the last blocks cannot be run apart: whole passes with trained parameters swapped in."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from surveysim.models.anatomy import Anatomy

__all__ = ["TokenBatch", "WholePass"]


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


class WholePass(nn.Module):
    """A trainable copy of the last blocks and the final norm, run inside the whole model.

    The model's own parameters are replaced for the duration of a call (`torch.func.functional_call`) and are back
    afterwards, whatever happens; calls hold the model's lock. Nothing is cached, so this is slow, but it asks nothing
    of the model's structure beyond a list of blocks.

    Parameters
    ----------
    anatomy : Anatomy
        The model's parts.
    n_blocks : int
        How many of the last blocks are trained.
    lock : context manager
        Held while the model is called.
    """

    def __init__(self, anatomy: Anatomy, n_blocks: int, lock: AbstractContextManager) -> None:
        super().__init__()
        trained = anatomy.trained_names(n_blocks)
        self._names = list(trained)
        self._outside = (anatomy.decoder, lock)  # in a tuple, so that the model does not become a submodule
        self.trained = nn.ParameterList([p.detach().clone().float() for p in trained.values()])

    def forward(self, batch: TokenBatch) -> Tensor:
        """Normed hidden states (B, D) at the last position of each prompt."""
        decoder, lock = self._outside
        dtype = next(decoder.parameters()).dtype
        swapped = {name: p.to(dtype) for name, p in zip(self._names, self.trained, strict=True)}
        mask = (torch.arange(batch.ids.shape[1], device=batch.ids.device) < batch.length[:, None]).long()
        with lock:
            output = torch.func.functional_call(
                decoder, swapped, kwargs={"input_ids": batch.ids, "attention_mask": mask, "use_cache": False}
            )
        rows = torch.arange(len(batch.ids), device=batch.ids.device)
        return output[0][rows, batch.length - 1].float()
