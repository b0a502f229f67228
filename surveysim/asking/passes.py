"""Batched passes of prompts through a causal language model: shared beginnings once, the rest padded on the left."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import Module

from surveysim.models.anatomy import UnfitModelError, dissect
from surveysim.models.loaded import LoadedModel
from surveysim.models.prefixes import PrefixGroup, group_by_prefix

if TYPE_CHECKING:
    from transformers import Cache, PreTrainedConfig, PreTrainedModel

__all__ = ["PassBatch", "Passes", "State", "pass_overhead", "passes_of"]

TOKENS_PER_PASS = 8192
"""Tokens that go through the model at once, padding included."""

ROWS_PER_PASS = 256
"""Prompts, or answers being written, at once: bounds the logits over the whole vocabulary."""

CACHE_BYTES = 2**31
"""Keys and values of one batch, about."""

# What one more pass costs in tokens: on a processor little, an accelerator is not busy with fewer tokens than these.
_OVERHEAD = {"cpu": 128}
_OVERHEAD_ACCELERATOR = 2048

# Largest difference between batched and plain logits, relative to the largest logit.
_TOLERANCE = {torch.float32: 1e-3, torch.float16: 2e-2, torch.bfloat16: 8e-2}


@dataclass(frozen=True)
class PassBatch:
    """Prompts that are read in one pass.

    Attributes
    ----------
    group : int
        Batches of the same group follow one another; what they share is read once.
    prefix : tuple of int
        Token ids that all of them begin with, maybe none.
    rows : list of int
        Positions of the prompts.
    """

    group: int
    prefix: tuple[int, ...]
    rows: list[int]


@dataclass
class State:
    """Where the rows of a batch stand: what the model keeps of their tokens so far.

    Attributes
    ----------
    logits : float32 Tensor of shape (B, V)
        For each row's next token.
    cache : Cache
        transformers' keys and values.
    mask : bool Tensor of shape (B, T)
        Which of the cached positions are tokens, not padding.
    position : int Tensor of shape (B,)
        The next token's position.
    """

    logits: Tensor
    cache: Any
    mask: Tensor
    position: Tensor

    def select(self, rows: Sequence[int]) -> State:
        """Some of the rows; one may be taken several times. The old state must not be used any more."""
        index = torch.tensor(list(rows), dtype=torch.long, device=self.mask.device)
        self.cache.batch_select_indices(index)
        return State(self.logits[index], self.cache, self.mask[index], self.position[index])


class Passes:
    """How prompts go through one loaded model.

    Three ways, from fast to slow, of which the first is taken that gives the model's own logits (checked on first use
    on two prompts of unequal length, with one more token each):

    - ``"shared"``: what prompts share is read once, its keys and values are copied for each batch, and the rest is
      padded on the left.
    - ``"padded"``: whole prompts, padded on the left. For models whose state is not keys and values alone.
    - ``"plain"``: prompts of the same length together.

    Parameters
    ----------
    model : LoadedModel
        The model; its lock is held during each pass.

    Attributes
    ----------
    mode : {"shared", "padded", "plain"}
    """

    def __init__(self, model: LoadedModel) -> None:
        self.model = model
        self._network = model.network
        taken = inspect.signature(model.network.forward).parameters
        self._keep = {"logits_to_keep": 1} if "logits_to_keep" in taken else {}
        self._takes_positions = "position_ids" in taken
        self._cache_name = _cache_name(taken)
        config = model.network.config.get_text_config()
        windows = [getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size")]
        self._window = min((int(window) for window in windows if window), default=None)
        self._bytes_per_token = _bytes_per_token(config, model.dtype)
        self._exact = _ExactLogits(model.network) if model.dtype != torch.float32 else None
        self._prefix: tuple[tuple[int, ...], State] | None = None
        self._overhead = pass_overhead(model.device)
        self.n_tokens_run = 0
        self.mode = self._choose_mode()

    # --- batches ------------------------------------------------------------------------------------------------------

    def batches(
        self, prompts: Sequence[Sequence[int]], copies: Sequence[int] | None = None, new_tokens: int = 0
    ) -> Iterator[PassBatch]:
        """Divide prompts into batches that fit.

        Parameters
        ----------
        prompts : sequence of sequences of int
            Token ids.
        copies : sequence of int, optional
            How many rows each prompt becomes after it was read. Default: one.
        new_tokens : int, default=0
            How many tokens are written after each.
        """
        if self.mode == "shared":
            groups = group_by_prefix(prompts, overhead=self._overhead)
        else:
            rows = sorted(range(len(prompts)), key=lambda row: (len(prompts[row]), tuple(prompts[row])))
            groups = [PrefixGroup(0, rows)]
        for number, group in enumerate(groups):
            longest = max(len(prompts[row]) for row in group.rows)
            n_prefix = group.n_prefix
            if self._window is not None and longest + new_tokens > self._window:
                n_prefix = 0  # padding after the prefix would push it out of a sliding window
            prefix = tuple(prompts[group.rows[0]][:n_prefix])
            batch: list[int] = []
            n_copies = 0
            for row in group.rows:
                length, more = len(prompts[row]), 1 if copies is None else copies[row]
                full = (
                    (len(batch) + 1) * (length - n_prefix) > TOKENS_PER_PASS
                    or n_copies + more > self.most_copies(length + new_tokens)
                    or (self.mode == "plain" and batch and length != len(prompts[batch[-1]]))
                )
                if batch and full:
                    yield PassBatch(number, prefix, batch)
                    batch, n_copies = [], 0
                batch.append(row)
                n_copies += more
            yield PassBatch(number, prefix, batch)

    def most_copies(self, n_tokens: int) -> int:
        """How many rows of so many tokens fit into a batch, at least one."""
        return max(1, min(ROWS_PER_PASS, CACHE_BYTES // (n_tokens * self._bytes_per_token)))

    # --- passes -------------------------------------------------------------------------------------------------------

    def read(
        self,
        prefix: Sequence[int],
        suffixes: Sequence[Sequence[int]],
        exact: Sequence[int] | None = None,
        new_tokens: int = 0,
    ) -> State:
        """Read prompts up to where their answers begin.

        Where it pays, what some of the suffixes share (the first attributes of backgrounds) is read once as well.

        Parameters
        ----------
        prefix : sequence of int
            Token ids of the shared beginning; read again only if it is not the one of the call before.
        suffixes : sequence of sequences of int
            What follows it, at least one token each.
        exact : sequence of int, optional
            Vocabulary entries whose logits are wanted in float32 where the model computes in less: a bfloat16 logit of
            20 is rounded to steps of 0.125, which shifts a probability by up to 6%.
        new_tokens : int, default=0
            How many tokens will be written after each.
        """
        with self.model.lock, torch.no_grad():
            if not len(prefix):
                return self._extend(None, suffixes, exact)
            state = self._state_of(tuple(prefix))
            stems = self._stems(len(prefix), suffixes, new_tokens)
            if stems is None:
                return self._extend(state.select([0] * len(suffixes)), suffixes, exact)
            stem_of = {row: i for i, group in enumerate(stems) for row in group.rows}
            read = self._extend(
                state.select([0] * len(stems)), [suffixes[group.rows[0]][: group.n_prefix] for group in stems]
            )
            rest = [suffix[stems[stem_of[row]].n_prefix :] for row, suffix in enumerate(suffixes)]
            return self._extend(read.select([stem_of[row] for row in range(len(suffixes))]), rest, exact)

    def _stems(self, n_prefix: int, suffixes: Sequence[Sequence[int]], new_tokens: int) -> list[PrefixGroup] | None:
        """Groups of suffixes that share a beginning, if reading that first is less work."""
        stems = group_by_prefix(suffixes, overhead=1)
        longest = max(map(len, suffixes))
        longest_stem = max(group.n_prefix for group in stems)
        longest_rest = max(len(suffixes[row]) - group.n_prefix for group in stems for row in group.rows)
        work = len(stems) * longest_stem + len(suffixes) * longest_rest + self._overhead
        padded = n_prefix + longest_stem + longest_rest + new_tokens
        if work >= len(suffixes) * longest or (self._window is not None and padded > self._window):
            return None
        return stems

    def _extend(
        self, state: State | None, suffixes: Sequence[Sequence[int]], exact: Sequence[int] | None = None
    ) -> State:
        """Add tokens to each row, padded on the left to the longest."""
        device = self.model.device
        longest = max(map(len, suffixes))
        ids = torch.zeros(len(suffixes), longest, dtype=torch.long)
        real = torch.zeros(len(suffixes), longest, dtype=torch.bool)
        for row, suffix in enumerate(suffixes):
            ids[row, longest - len(suffix) :] = torch.tensor(list(suffix), dtype=torch.long)
            real[row, longest - len(suffix) :] = True
        ids, real = ids.to(device), real.to(device)
        start = torch.zeros(len(suffixes), dtype=torch.long, device=device) if state is None else state.position
        mask = real if state is None else torch.cat([state.mask, real], dim=1)
        # Padding takes the position of the first token: it is masked, but must stay within the tables of positions.
        position = start[:, None] + (real.cumsum(1) - 1).clamp_min(0)
        cache = None if state is None else state.cache
        if exact is None or self._exact is None:
            logits, cache = self._forward(ids, mask, position, cache)
        else:
            with self._exact.captured():
                logits, cache = self._forward(ids, mask, position, cache)
            logits = self._exact.replace(logits, exact)
        return State(logits, cache, mask, start + real.sum(1))

    def step(self, state: State, tokens: Tensor) -> State:
        """Add one token (B,) to each row. The old state must not be used any more."""
        mask = torch.cat([state.mask, torch.ones_like(state.mask[:, :1])], dim=1)
        with self.model.lock, torch.no_grad():
            logits, cache = self._forward(tokens[:, None], mask, state.position[:, None], state.cache)
        return State(logits, cache, mask, state.position + 1)

    def _forward(self, ids: Tensor, mask: Tensor, position: Tensor, cache: Cache | None) -> tuple[Tensor, Cache]:
        arguments = {"position_ids": position} if self._takes_positions else {}
        output = self._network(
            input_ids=ids,
            attention_mask=mask.long(),
            use_cache=True,
            **{self._cache_name: cache},
            **arguments,
            **self._keep,
        )
        self.n_tokens_run += ids.numel()
        return output.logits[:, -1].float(), output[self._cache_name]

    def _state_of(self, prefix: tuple[int, ...]) -> State:
        """One row that has read a prefix: a copy, because a pass changes the cache that it is given."""
        if self._prefix is None or self._prefix[0] != prefix:
            self._prefix = (prefix, self._extend(None, [prefix]))
        state = self._prefix[1]
        return State(state.logits, copy.deepcopy(state.cache), state.mask, state.position)

    def forget(self) -> None:
        """Free the keys and values of the last shared beginning."""
        self._prefix = None

    # --- which way ----------------------------------------------------------------------------------------------------

    def _choose_mode(self) -> str:
        probes = self.model.encode(
            ["Answer with a label: yes, no. Answer:", "Answer with a label: which of the options is it? Answer:"]
        )
        own = torch.stack([logits for probe in probes for logits in self._plain(probe)])
        shared = 0
        while probes[0][shared] == probes[1][shared]:
            shared += 1
        for mode, n_prefix in (("shared", shared), ("padded", 0)):
            try:
                state = self.read(probes[0][:n_prefix], [probe[n_prefix:] for probe in probes])
                first = state.logits
                # One row twice and in another place: what sampling does with the draws of a prompt.
                state = state.select([1, 0, 0])
                second = self.step(state, first.argmax(dim=1)[[1, 0, 0]]).logits
            except (TypeError, RuntimeError, AttributeError, IndexError, KeyError, ValueError, NotImplementedError):
                continue
            batched = torch.stack([first[0], second[2], first[1], second[0]])
            difference = float((batched - own).abs().max() / own.abs().max().clamp_min(1e-6))
            if difference <= _TOLERANCE.get(self.model.dtype, 1e-2):
                self.forget()
                return mode
        self.forget()
        return "plain"

    def _plain(self, ids: Sequence[int]) -> list[Tensor]:
        """Logits after a prompt and after its likeliest next token, each in a pass of its own without a cache."""
        found: list[Tensor] = []
        with self.model.lock, torch.no_grad():
            for _ in range(2):
                row = torch.tensor([list(ids)], device=self.model.device)
                found.append(self._network(input_ids=row, use_cache=False).logits[0, -1].float())
                ids = [*ids, int(found[-1].argmax())]
        return found


class _ExactLogits:
    """Logits of single vocabulary entries in float32, from the hidden state that a model hands to its output layer."""

    def __init__(self, network: PreTrainedModel) -> None:
        self._anatomy: Any = None
        try:
            self._anatomy = dissect(network)
        except UnfitModelError:
            return
        self._hidden: Tensor | None = None

    @contextmanager
    def captured(self) -> Iterator[None]:
        """Keep what the output layer reads during one pass."""
        self._hidden = None
        if self._anatomy is None:
            yield
            return

        def keep(module: Module, inputs: tuple[Tensor, ...]) -> None:
            self._hidden = inputs[0][:, -1].float()

        handle = self._anatomy.output.register_forward_pre_hook(keep)
        try:
            yield
        finally:
            handle.remove()

    def replace(self, logits: Tensor, entries: Sequence[int]) -> Tensor:
        """The logits with those of `entries` in float32; as they were where the structure does not allow it."""
        if self._anatomy is None or self._hidden is None:
            return logits
        output = self._anatomy.output
        index = torch.tensor(list(entries), dtype=torch.long, device=logits.device)
        better = self._hidden @ output.weight[index].float().T
        if getattr(output, "bias", None) is not None:
            better = better + output.bias[index].float()
        better = better * self._anatomy.scale
        cap = self._anatomy.soft_cap
        better = better if cap is None else cap * torch.tanh(better / cap)
        self._hidden = None
        rounded = logits[:, index]
        # Where the model does something else with its logits, its own are the right ones.
        if float((better - rounded).abs().max()) > 2e-2 * float(rounded.abs().max().clamp_min(1.0)):
            return logits
        return logits.index_copy(1, index, better)


def _cache_name(taken: Collection[str]) -> str:
    """What a model calls the keys and values of earlier tokens, in its arguments and its output alike.

    transformers renamed them in 5.24, family by family, and warns of the old name; code that came with a model may
    have either.
    """
    return "cache" if "cache" in taken and "past_key_values" not in taken else "past_key_values"


def _bytes_per_token(config: PreTrainedConfig, dtype: torch.dtype) -> int:
    """Bytes of keys and values that an attention model keeps for a token, about."""
    heads = getattr(config, "num_attention_heads", None) or 1
    head_size = getattr(config, "head_dim", None) or getattr(config, "hidden_size", 1) // heads
    kept = getattr(config, "num_key_value_heads", None) or heads
    return 2 * int(config.num_hidden_layers) * int(kept) * int(head_size) * dtype.itemsize


def pass_overhead(device: torch.device) -> int:
    """What one more pass costs on a device, in tokens."""
    return _OVERHEAD.get(device.type, _OVERHEAD_ACCELERATOR)


def passes_of(model: LoadedModel) -> Passes:
    """The passes of a loaded model, which owns them; the way is chosen on first use."""
    with model.lock:
        if model.passes is None:
            model.passes = Passes(model)
        return model.passes
