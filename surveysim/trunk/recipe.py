"""Which way a model's last blocks are trained: apart from the trunk where that works, else in whole passes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from surveysim.errors import warn
from surveysim.models.anatomy import Anatomy, UnfitModelError, dissect
from surveysim.trunk.block_calls import BlockCall, record_calls
from surveysim.trunk.frozen_blocks import Prefix, run_prefix, run_suffixes
from surveysim.trunk.last_blocks import LastBlocks
from surveysim.trunk.packed_attention import can_pack
from surveysim.trunk.state_batches import pack_states
from surveysim.trunk.whole_passes import TokenBatch, WholePass

__all__ = ["OutputLayer", "Recipe", "difference_from_own_logits", "pad_tokens"]

# Largest difference between the recipe's logits and the model's own, relative to the largest logit. Reduced precision
# rounds at 2^-8 (bfloat16) or 2^-11 (float16) in every operation.
_TOLERANCE = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 6e-2}


class OutputLayer:
    """What every way of tuning reads from a frozen model: its output layer, its width, where it is.

    Parameters
    ----------
    anatomy : Anatomy
        The model's parts.
    lock : context manager
        Held whenever the model is called.
    """

    def __init__(self, anatomy: Anatomy, lock: AbstractContextManager) -> None:
        self.anatomy = anatomy
        self.lock = lock

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.anatomy.decoder.parameters()).device

    @property
    def width(self) -> int:
        """Size of a hidden state."""
        output: Any = self.anatomy.output
        return int(output.weight.shape[1])

    def output_rows(self, ids: Tensor) -> tuple[Tensor, Tensor | None]:
        """Copies of the output layer's rows (R, D), and of its bias (R,) where it has one, in float32."""
        output: Any = self.anatomy.output
        bias = getattr(output, "bias", None)
        ids = ids.to(output.weight.device)
        return output.weight[ids].detach().float().clone(), None if bias is None else bias[ids].detach().float().clone()

    def scaled(self, logits: Tensor) -> Tensor:
        """Output-layer products as the model's own logits: its scale and soft cap applied."""
        logits = logits * self.anatomy.scale
        cap = self.anatomy.soft_cap
        return logits if cap is None else cap * torch.tanh(logits / cap)


class Recipe(OutputLayer):
    """How the last blocks of one loaded model are trained.

    On construction the logits of an untrained copy are compared with the model's own on two prompts of unequal
    length; where they differ, whole passes are used instead, with one warning. States of prompts behind a shared
    beginning are compared with those of each prompt alone; where they differ, nothing is shared.

    Parameters
    ----------
    network : PreTrainedModel
        The frozen model.
    n_blocks : int
        How many of its last blocks are trained.
    probes : pair of sequences of int
        Token ids of two prompts of unequal length.
    lock : context manager
        Held whenever the model is called.

    Attributes
    ----------
    apart : bool
        True where the trained blocks run apart, over trunk states.
    packs : bool
        True where what follows a shared beginning is run in one row, without padding; False: as a padded batch, which
        is slower and otherwise the same.
    trains_rows : bool
        True: the labels' rows of the output layer are trained too.

    Raises
    ------
    UnfitModelError
        If the model has fewer blocks than `n_blocks`, or even whole passes do not reproduce its logits.
    """

    trains_rows = True

    def __init__(
        self,
        network: Any,
        n_blocks: int,
        probes: tuple[Sequence[int], Sequence[int]],
        lock: AbstractContextManager,
    ) -> None:
        super().__init__(dissect(network), lock)
        self.n_blocks = n_blocks
        if not 1 <= n_blocks <= len(self.anatomy.blocks):
            raise UnfitModelError(f"n_blocks={n_blocks}, but the model has {len(self.anatomy.blocks)} blocks")
        self._calls: list[BlockCall] = []
        with lock, torch.no_grad():
            self.apart = True
            reason = self._mismatch(network, probes)
            if reason is not None:
                self.apart = False
                warn(
                    f"{type(network).__name__}: its last block cannot be run apart ({reason}). Training falls back to "
                    "whole forward passes, which is slower and otherwise the same."
                )
                reason = self._mismatch(network, probes)
                if reason is not None:
                    raise UnfitModelError(f"{type(network).__name__} cannot be trained by its last blocks: {reason}")
            probe = max(probes, key=len)
            self.packs = self.apart and can_pack(self.anatomy) and self._shares_rightly(probe, packed=True)
            if self.apart and self.anatomy.attends and not self.packs and not self._shares_rightly(probe, packed=False):
                # Blocks that keep more than keys and values, though the configuration does not say so.
                self.anatomy = replace(self.anatomy, attends=False)

    def calls(self, length: int) -> list[BlockCall]:
        """How the model calls its trained blocks, over at least `length` positions."""
        with self.lock:  # else another thread could put calls of fewer positions in their place
            if not self._calls or self._calls[0].length < length:
                rounded = -(-length // 64) * 64
                try:  # what the model hands to its last blocks does not depend on what its first ones say
                    with _skipped(self.anatomy.blocks[: -self.n_blocks]):
                        self._calls = record_calls(self.anatomy, self.n_blocks, rounded)
                except (TypeError, RuntimeError, AttributeError, IndexError):  # their output has another form
                    self._calls = record_calls(self.anatomy, self.n_blocks, rounded)
            return self._calls

    def copy(self, seed: int = 0) -> nn.Module:
        """A trainable float32 copy of the trained blocks; called with a batch it returns hidden states (B, D).

        `seed` is for recipes that start at random; this one starts at the model's own weights.
        """
        with self.lock:  # a whole pass of another thread has its own parameters in the model while it runs
            if self.apart:
                return LastBlocks(self.anatomy, self.n_blocks)
            return WholePass(self.anatomy, self.n_blocks, self.lock)

    def prefix(self, ids: Sequence[int]) -> Prefix:
        """The beginning that prompts share, run once; see `surveysim.trunk.frozen_blocks.run_prefix`."""
        with self.lock:
            return run_prefix(self.anatomy, self.n_blocks, ids)

    def states(self, prefix: Prefix, suffixes: Sequence[Sequence[int]]) -> list[Tensor]:
        """Trunk states of what follows a prefix; see `surveysim.trunk.frozen_blocks.run_suffixes`."""
        with self.lock:
            return run_suffixes(self.anatomy, self.n_blocks, prefix, suffixes, packed=self.packs)

    def _shares_rightly(self, probe: Sequence[int], *, packed: bool) -> bool:
        """Whether prompts behind a shared beginning have the states that each of them has alone."""
        tokens = (list(probe) * 6)[: max(6, len(probe))]
        half = len(tokens) // 2
        ends = [tokens[half:], tokens[half : half + 1], tokens[1 : half + 1]]
        nothing = run_prefix(self.anatomy, self.n_blocks, [])
        try:
            beginning = run_prefix(self.anatomy, self.n_blocks, tokens[:half])
            shared = run_suffixes(self.anatomy, self.n_blocks, beginning, ends, packed=packed)
        except (TypeError, RuntimeError, AttributeError, IndexError, KeyError, ValueError):
            return False
        for end, states in zip(ends, shared, strict=True):
            (whole,) = run_suffixes(self.anatomy, self.n_blocks, nothing, [[*tokens[:half], *end]])
            expected = whole[half:].float()
            off = (states.float() - expected).norm(dim=-1) / expected.norm(dim=-1).clamp_min(1e-6)
            if not float(off.max()) <= _TOLERANCE.get(states.dtype, 1e-2):  # nor where it is not a number
                return False
        return True

    def _mismatch(self, network: Any, probes: tuple[Sequence[int], Sequence[int]]) -> str | None:
        """Why the recipe does not reproduce the model's logits, or None."""
        short, long = sorted(probes, key=len)

        def hidden() -> Tensor:
            if not self.apart:
                return self.copy()(pad_tokens([short, long], self.device))
            shared = 0
            while shared < len(short) - 1 and short[shared] == long[shared]:
                shared += 1
            prefix = run_prefix(self.anatomy, self.n_blocks, short[:shared])
            suffixes = run_suffixes(self.anatomy, self.n_blocks, prefix, [short[shared:], long[shared:]])
            return self.copy()(pack_states([prefix.states], suffixes, [0, 0], self.calls(len(long)), self.device))

        return difference_from_own_logits(self, network, probes, hidden)


@contextmanager
def _skipped(blocks: Iterable[nn.Module]) -> Iterator[None]:
    """Within this context the blocks hand on what they are given; to be used under the model's lock."""
    with ExitStack() as stack:
        for block in blocks:
            own = vars(block).get("forward")  # where another library has put its own
            stack.callback(_set_forward, block, own)
            _set_forward(block, _hand_on)
        yield


def _set_forward(block: nn.Module, forward: Callable[..., Any] | None) -> None:
    if forward is None:
        vars(block).pop("forward", None)
    else:
        vars(block)["forward"] = forward


def _hand_on(hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    return hidden_states


def difference_from_own_logits(
    recipe: OutputLayer,
    network: Any,
    probes: tuple[Sequence[int], Sequence[int]],
    hidden: Callable[[], Tensor],
) -> str | None:
    """Why hidden states (2, D) of the probes, the shorter first, do not give the model's own logits, or None."""
    dtype = next(network.parameters()).dtype
    output: Any = recipe.anatomy.output
    ids = torch.arange(min(64, output.weight.shape[0]))
    device = recipe.device
    own = torch.stack([_last_logits(network, probe, device)[ids.to(device)] for probe in sorted(probes, key=len)])
    try:
        states = hidden()
    except UnfitModelError as error:
        return str(error)
    except (TypeError, RuntimeError, AttributeError, IndexError, KeyError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    rows, bias = recipe.output_rows(ids)
    logits = recipe.scaled(states @ rows.T + (0.0 if bias is None else bias))
    difference = float((logits - own).abs().max() / own.abs().max().clamp_min(1e-6))
    tolerance = _TOLERANCE.get(dtype, 1e-2)
    return None if difference <= tolerance else f"its logits differ by {difference:.1e} relative"


def pad_tokens(prompts: Sequence[Sequence[int]], device: torch.device) -> TokenBatch:
    """Token ids of prompts as one padded batch on `device`."""
    tensors = [torch.tensor(list(prompt), dtype=torch.long) for prompt in prompts]
    return TokenBatch(
        ids=nn.utils.rnn.pad_sequence(tensors, batch_first=True).to(device),
        length=torch.tensor([len(tensor) for tensor in tensors]).to(device),
    )


def _last_logits(network: Any, ids: Sequence[int], device: torch.device) -> Tensor:
    return network(input_ids=torch.tensor([list(ids)], device=device), use_cache=False).logits[0, -1].float()
