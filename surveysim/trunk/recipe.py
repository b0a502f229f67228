"""How a model's last blocks are trained: at last positions if that reproduces the model's logits, else whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from surveysim.errors import warn
from surveysim.models.anatomy import Anatomy, UnfitModelError, dissect
from surveysim.trunk.block_calls import BlockCall, capture, record_calls
from surveysim.trunk.block_parts import Parts
from surveysim.trunk.frozen_blocks import FrozenBlocks, Prefix, attending_twin
from surveysim.trunk.last_blocks import LastBlocks, unread_projections
from surveysim.trunk.position_tables import PositionTables
from surveysim.trunk.state_batches import StateBatch, pack_states
from surveysim.trunk.tied_weights import refuse_tied_blocks
from surveysim.trunk.twin import hollow, twin_of
from surveysim.trunk.whole_blocks import WholeBatch, WholeBlocks, attends_for_last, pad_states

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["BUILT_OTHERWISE", "OutputLayer", "Recipe", "TrunkWay", "difference_from_own_logits", "own_hollow", "parted"]

Probes: TypeAlias = tuple[Sequence[int], Sequence[int]]

TrunkWay: TypeAlias = Literal["last positions", "whole blocks", "whole model"]
"""What is run for each step of training: the last blocks at last positions, or at every one, or all blocks."""

BUILT_OTHERWISE = (TypeError, RuntimeError, AttributeError, IndexError, KeyError, ValueError, NotImplementedError)
"""What a model that is built otherwise than expected may raise when it is run in another way."""

# Largest difference between the recipe's logits and the model's own, relative to the largest logit. Reduced precision
# rounds at 2^-8 (bfloat16) or 2^-11 (float16) in every operation.
_TOLERANCE = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 6e-2}

# Calls are recorded for a multiple of so many positions, so that they are rarely recorded again.
_STEP = 64


class OutputLayer:
    """What every way of tuning reads from a frozen model: its output layer, its width, where it is.

    Parameters
    ----------
    anatomy : Anatomy
        The model's parts.
    lock : context manager
        Held whenever the model is called.
    """

    way: TrunkWay
    reason: str | None = None
    weight: float = 1.0
    """What option logits are multiplied by; another one where a head starts at weights that were trained before."""

    def __init__(self, anatomy: Anatomy, lock: AbstractContextManager[Any]) -> None:
        self.anatomy = anatomy
        self.lock = lock

    @property
    def apart(self) -> bool:
        """Whether trained blocks are run apart from the model, over trunk states."""
        return self.way != "whole model"

    @property
    def shares(self) -> bool:
        """Whether prompts' shared beginnings are run once."""
        return False

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.anatomy.decoder.parameters()).device

    @property
    def width(self) -> int:
        """Size of a hidden state."""
        return self.anatomy.width

    def output_rows(self, ids: Tensor) -> tuple[Tensor, Tensor | None]:
        """Copies of the output layer's rows (R, D), and of its bias (R,) where it has one, in float32."""
        output: Any = self.anatomy.output
        bias = getattr(output, "bias", None)
        ids = ids.to(output.weight.device)
        return output.weight[ids].detach().float().clone(), None if bias is None else bias[ids].detach().float().clone()

    def scaled(self, logits: Tensor) -> Tensor:
        """Output-layer products as the model's own logits: its scale and soft cap applied."""
        return self.anatomy.scaled(logits)


class Recipe(OutputLayer):
    """How the last blocks of one loaded model are trained.

    On construction the logits of an untrained copy are compared with the model's own on two prompts of unequal length.
    Where they differ, whole blocks are trained instead, with one warning. States of prompts behind a shared beginning
    are compared with those of each prompt alone; where they differ, nothing is shared.

    Parameters
    ----------
    network : PreTrainedModel
        The frozen model; all that is run otherwise is run in twins of it.
    n_blocks : int
        How many of its last blocks are trained.
    probes : pair of sequences of int
        Token ids of two prompts of unequal length.
    lock : context manager
        Held whenever the model or a twin is called.

    Attributes
    ----------
    way : {"last positions", "whole blocks"}
        What is run for each step of training.
    reason : str or None
        Why it is not the first of these.
    frozen : FrozenBlocks
        The trunk; says whether beginnings are shared.
    positions : PositionTables
        Refuses prompts so long that positions would depend on their length.
    unread : tuple of str
        Parts of the last block that need not see every token while its keys and values are made.
    parts : Parts
        Of whole blocks, what need not be run at every position of every prompt.
    looks_from_last : bool
        Whether in the last of them attention looks from last positions alone, by the library's own function.
    trains_rows : bool
        True: the labels' rows of the output layer are trained too.

    Raises
    ------
    UnfitModelError
        If the model has fewer blocks than `n_blocks`, cannot be run in parts, or uses weights of its last blocks
        elsewhere, too; or if even whole blocks do not reproduce its logits.
    """

    trains_rows = True

    def __init__(
        self, network: PreTrainedModel, n_blocks: int, probes: Probes, lock: AbstractContextManager[Any]
    ) -> None:
        super().__init__(dissect(network), lock)
        self.n_blocks = n_blocks
        if not 1 <= n_blocks <= len(self.anatomy.blocks):
            raise UnfitModelError(f"n_blocks={n_blocks}, but the model has {len(self.anatomy.blocks)} blocks")
        refuse_tied_blocks(network, self.anatomy, n_blocks)
        self.way: TrunkWay = "last positions"
        self.unread: tuple[str, ...] = ()
        self.parts = Parts()
        self.looks_from_last = False
        self._calls: list[BlockCall] = []
        with lock, torch.no_grad():
            with parted(network):
                self.frozen = FrozenBlocks(network, n_blocks)
                self._hollows = _hollows(network)
                self.positions = PositionTables(self._hollows[0])
            self.frozen.shares = self._shares_rightly(max(probes, key=len))
            self.reason = self._mismatch(network, probes)
            if self.reason is None and self.frozen.longest_row is not None and n_blocks > 1:
                self.reason = "its attention depends on where a token lies in a row"
            if self.reason is not None:
                self._fall_back(network, probes)

    def _fall_back(self, network: PreTrainedModel, probes: Probes) -> None:
        name = type(network).__name__
        self.way = "whole blocks"
        warn(
            f"{name}: its last block cannot be run at last positions alone ({self.reason}). It is trained whole, over "
            "the same trunk states, which is slower and otherwise the same."
        )
        reason = self._mismatch(network, probes)
        if reason is not None:
            raise UnfitModelError(
                f"{name} cannot be trained by its last blocks: {reason}. Use tuning='lora', or another model"
            )

    @property
    def shares(self) -> bool:
        """Whether prompts' shared beginnings are run once."""
        return self.frozen.shares

    def calls(self, length: int) -> list[BlockCall]:
        """How the model calls its trained blocks, over at least `length` positions."""
        with self.lock:  # else another thread could put calls of fewer positions in their place
            if not self._calls or self._calls[0].length < length:
                rounded = -(-length // _STEP) * _STEP
                recorded = rounded if self.positions.same(rounded) else length
                self._calls = record_calls(self._hollows[1], self.n_blocks, recorded)
            return self._calls

    def copy(self, seed: int = 0) -> nn.Module:
        """A trainable float32 copy of the trained blocks; called with a batch it returns hidden states (B, D).

        `seed` is for recipes that start at random; this one starts at the model's own weights.
        """
        if self.way == "whole blocks":
            last = self.frozen.other if self.looks_from_last else None
            return WholeBlocks(self.frozen.own, self.n_blocks, self.parts, last)
        return LastBlocks(self.frozen.other, self.n_blocks, self.unread)

    def prefix(self, ids: Sequence[int]) -> Prefix:
        """The beginning that prompts share, run once; see `FrozenBlocks.prefix`."""
        with self.lock, torch.no_grad():
            return self.frozen.prefix(ids)

    def states(self, prefix: Prefix, suffixes: Sequence[Sequence[int]]) -> list[Tensor]:
        """Trunk states of what follows a prefix; see `FrozenBlocks.states`."""
        with self.lock, torch.no_grad():
            longest = len(prefix.ids) + max(map(len, suffixes))
            self.positions.check(longest)
            _check_row(longest, "a prompt has", "tokens", self.frozen.longest_row)
            return self.frozen.states(prefix, suffixes)

    def batch(
        self,
        prefix_ids: Sequence[Sequence[int]],
        prefixes: Sequence[Tensor],
        suffix_ids: Sequence[Sequence[int]],
        suffixes: Sequence[Tensor],
        group: Sequence[int],
    ) -> StateBatch | WholeBatch:
        """What the trained blocks read for B prompts, on the model's device.

        Parameters
        ----------
        prefix_ids, suffix_ids : sequences of Q and of B sequences of int
            Token ids of the shared beginnings and of what follows them.
        prefixes, suffixes : sequences of Tensor of shape (tokens, D)
            Their trunk states.
        group : sequence of B int
            Which prefix each prompt starts with.
        """
        if self.way == "last positions":
            _check_row(len(suffix_ids), "a batch has", "prompts", self.frozen.longest_row)
            longest = max(len(prefix_ids[g]) + len(ids) for g, ids in zip(group, suffix_ids, strict=True))
            return pack_states(prefixes, suffixes, group, self.calls(longest), self.device)
        prompts = [[*prefix_ids[g], *ids] for g, ids in zip(group, suffix_ids, strict=True)]
        states = [torch.cat([prefixes[g], part]) for g, part in zip(group, suffixes, strict=True)]
        with self.lock:
            last = self._hollows[1] if self.looks_from_last else None
            return pad_states(self._hollows[0], self.n_blocks, prompts, states, self.device, last)

    def _shares_rightly(self, probe: Sequence[int]) -> bool:
        """Whether prompts after a shared beginning have the same states as each of them alone."""
        tokens = (list(probe) * 6)[: max(6, len(probe))]
        half = len(tokens) // 2
        ends = [tokens[half:], tokens[half : half + 1], tokens[1 : half + 1]]
        try:
            beginning = self.frozen.prefix(tokens[:half])
            if len(beginning.layers or []) != len(self.anatomy.blocks) - self.n_blocks:
                return False  # some block does more than attend, or does not let its attention be replaced
            shared = self.frozen.states(beginning, ends)
        except BUILT_OTHERWISE:
            return False
        for end, states in zip(ends, shared, strict=True):
            expected = self.frozen.alone([*tokens[:half], *end])[half:].float()
            off = (states.float() - expected).norm(dim=-1) / expected.norm(dim=-1).clamp_min(1e-6)
            if not float(off.max()) <= _TOLERANCE.get(states.dtype, 1e-2):  # nor where it is not a number
                return False
        return True

    def _mismatch(self, network: PreTrainedModel, probes: Probes) -> str | None:
        """Why the recipe does not reproduce the model's logits, or None."""
        short, long = sorted(probes, key=len)
        shared = 0
        while shared < len(short) - 1 and short[shared] == long[shared]:
            shared += 1
        ends = [short[shared:], long[shared:]]

        def hidden() -> Tensor:
            prefix = self.frozen.prefix(short[:shared])
            states = self.frozen.states(prefix, ends)
            return self.copy()(self.batch([prefix.ids], [prefix.states], ends, states, [0, 0]))

        with suppress(*BUILT_OTHERWISE):
            self._spare()
        if difference_from_own_logits(self, network, probes, hidden) is None:
            return None
        self.unread, self.parts, self.looks_from_last = (), Parts(), False
        return difference_from_own_logits(self, network, probes, hidden)

    def _spare(self) -> None:
        """Find which parts of the trained blocks need not be run everywhere."""
        generator = torch.Generator().manual_seed(0)
        states = torch.randn(5, self.width, generator=generator).to(self.device)
        if self.way == "last positions":
            block = LastBlocks(self.frozen.other, 1).blocks[-1]
            self.unread = unread_projections(block, self.calls(5)[-1], states)
            return
        self.parts = WholeBlocks(self.frozen.own, self.n_blocks).find_parts(self._hollows[0], states)
        block = WholeBlocks(self.frozen.other, 1).blocks[-1]
        self.looks_from_last = attends_for_last(block, record_calls(self._hollows[1], 1, 5)[-1], states[None])


@contextmanager
def parted(network: PreTrainedModel) -> Iterator[None]:
    """Say in plain words that a model cannot be run in parts; inner errors are not meant for users."""
    try:
        yield
    except BUILT_OTHERWISE as error:
        what = str(error) if isinstance(error, UnfitModelError) else f"{type(error).__name__}: {error}"
        raise UnfitModelError(
            f"{type(network).__name__} cannot be trained here: its blocks cannot be run apart from each other "
            f"({what}). Choose a model of another family"
        ) from error


def _check_row(n: int, what: str, unit: str, longest: int | None) -> None:
    """Refuse rows in which a model would scale attention by a token's place."""
    if longest is not None and n > longest:
        raise UnfitModelError(
            f"{what} {n} {unit}: from {longest + 1} on, this model scales its attention by a token's place in what is "
            "run at once, so that prompts could not be run together. Shorten the question, its options or its context, "
            "pass a smaller batch_size, or choose another model"
        )


def _hollows(network: PreTrainedModel) -> tuple[Anatomy, Anatomy]:
    """Twins without blocks, one that attends as the model does and one by the library's own function."""
    other = dissect(attending_twin(network))
    hollow(other, _answers_with_a_tuple(dissect(twin_of(network))))
    return own_hollow(network), other


def own_hollow(network: PreTrainedModel) -> Anatomy:
    """A twin without blocks that attends as the model does."""
    own = dissect(twin_of(network))
    hollow(own, _answers_with_a_tuple(own))
    return own


def _answers_with_a_tuple(anatomy: Anatomy) -> bool:
    """Whether blocks pass on their states in a tuple."""
    block = anatomy.blocks[0]
    device = next(anatomy.decoder.parameters()).device
    (call,) = capture(anatomy, [block], input_ids=torch.zeros(1, 2, dtype=torch.long, device=device))
    arguments = call.kwargs if call.name is None else {**call.kwargs, call.name: call.states}
    return isinstance(block(*([call.states] if call.name is None else []), *call.args, **arguments), tuple)


def difference_from_own_logits(
    recipe: OutputLayer,
    network: PreTrainedModel,
    probes: Probes,
    hidden: Callable[[], Tensor],
) -> str | None:
    """Why hidden states (2, D) of the probes, the shorter first, do not give the model's own logits, or None.

    Parameters
    ----------
    recipe : OutputLayer
        Turns hidden states into logits.
    network : PreTrainedModel
        The model.
    probes : pair of sequences of int
        Token ids of two prompts.
    hidden : callable
        Makes the hidden states; may find the model built otherwise.
    """
    output: Any = recipe.anatomy.output
    ids = torch.arange(min(64, output.weight.shape[0]))
    device = recipe.device
    own = torch.stack([_last_logits(network, probe, device)[ids.to(device)] for probe in sorted(probes, key=len)])
    try:
        states = hidden()
    except UnfitModelError as error:
        return str(error)
    except BUILT_OTHERWISE as error:
        return f"{type(error).__name__}: {error}"
    rows, bias = recipe.output_rows(ids)
    logits = recipe.scaled(states @ rows.T + (0.0 if bias is None else bias))
    difference = float((logits - own).abs().max() / own.abs().max().clamp_min(1e-6))
    tolerance = _TOLERANCE.get(next(network.parameters()).dtype, 1e-2)
    return None if difference <= tolerance else f"its logits differ by {difference:.1e} relative"


def _last_logits(network: PreTrainedModel, ids: Sequence[int], device: torch.device) -> Tensor:
    return network(input_ids=torch.tensor([list(ids)], device=device), use_cache=False).logits[0, -1].float()
