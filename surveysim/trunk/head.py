"""The trained part: a copy of the last blocks, the labels' rows of the output layer, and what each question has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from surveysim.trunk.adapters import LoraRecipe
from surveysim.trunk.recipe import Recipe

__all__ = ["OptionHead", "label_index"]

NO_OPTION = -1e30
"""Logit of an option that a shorter question does not have; finite, so that 0 times its log-probability is 0."""


class OptionHead(nn.Module):
    """From trunk states to the logits of each question's options.

    An option's logit is the log-sum-exp over its label's variants ("A", " A") of the model's own logits (output rows,
    logit scale and soft cap included), times the recipe's weight, plus a bias per question and option. Questions may
    have rows of their own, which are added to those of all variants of an option's label: without them, questions
    whose prompts look alike to the model must differ between groups in the same way.

    Parameters
    ----------
    recipe : Recipe or LoraRecipe
        Hands out the copy of the trained blocks, or the adapters.
    variants : sequence (questions) of sequences (options) of sequences (token ids)
        Which vocabulary entries stand for each option.
    seed : int, default=0
        Where adapters start.
    question_rows : bool, default=False
        Whether questions have rows of their own.

    Attributes
    ----------
    blocks : Module
        The copy of the last blocks and the final norm, or the adapters of all blocks.
    rows : Parameter of shape (R, D)
        The output layer's rows of all label variants; copies, so that tied input embeddings stay as they are. Adapters
        leave them untrained.
    bias : Parameter of shape (n_questions, K)
        Starts at 0.
    own_rows : Parameter of shape (n_questions, K, D), or None
        The questions' own rows. They start at 0, and a question without training cells keeps that.
    """

    _index: Tensor
    _output_bias: Tensor

    def __init__(
        self,
        recipe: Recipe | LoraRecipe,
        variants: Sequence[Sequence[Sequence[int]]],
        seed: int = 0,
        *,
        question_rows: bool = False,
    ) -> None:
        super().__init__()
        ids, index = label_index(variants)
        rows, output_bias = recipe.output_rows(torch.from_numpy(ids))
        self.blocks = recipe.copy(seed)
        self.rows = nn.Parameter(rows, requires_grad=recipe.trains_rows)
        self.bias = nn.Parameter(torch.zeros(index.shape[:2]))
        self.own_rows = nn.Parameter(torch.zeros(*index.shape[:2], rows.shape[1])) if question_rows else None
        self.register_buffer("_index", torch.from_numpy(index), persistent=False)
        no_bias = torch.zeros(len(ids))  # like the index it is not trained: not part of the state
        self.register_buffer("_output_bias", no_bias if output_bias is None else output_bias, persistent=False)
        self._scaled = recipe.scaled
        self._weight = recipe.weight
        self._start = (recipe, seed, ids)  # in a tuple: no part of the module
        self._variants = variants
        self.to(recipe.device)

    def forward(self, batch: Any, question: Tensor) -> Tensor:
        """Option logits (B, K); `NO_OPTION` past the last option of a shorter question.

        Parameters
        ----------
        batch : StateBatch or TokenBatch
            What the trained blocks read.
        question : int Tensor of shape (B,)
            Each row's question.
        """
        hidden = self.blocks(batch)
        logits = hidden @ self.rows.T + self._output_bias
        index = self._index[question]
        variants = logits[:, None, :].expand(-1, index.shape[1], -1).gather(2, index.clamp_min(0))
        if self.own_rows is not None:
            variants = variants + torch.einsum("bd,bkd->bk", hidden, self.own_rows[question])[:, :, None]
        variants = self._scaled(variants)
        option = variants.masked_fill(index < 0, -torch.inf)
        exists = (index >= 0).any(dim=-1)
        option = option.masked_fill(~exists[:, :, None], 0.0)  # keeps log-sum-exp, and its gradient, finite
        weighed = self._weight * option.logsumexp(dim=-1)
        return (weighed + self.bias[question]).masked_fill(~exists, NO_OPTION)

    def label_mass(self, batch: Any, question: Tensor, output: nn.Module) -> Tensor:
        """Share of the next token's probability that falls on the labels of each row's options, (B,).

        `output` is the model's whole output layer; biases per question play no part.
        """
        hidden = self.blocks(batch)
        weight = output.weight
        every = self._scaled(output(hidden.to(weight.dtype)).float())  # type: ignore[union-attr, operator]
        labels = (self(batch, question) - self.bias[question]) / self._weight
        return (labels.logsumexp(dim=-1) - every.logsumexp(dim=-1)).exp()

    @property
    def apart(self) -> bool:
        """Whether the trained blocks run apart from the model, so that several heads can be trained at once."""
        return self._start[0].apart

    def another(self) -> OptionHead:
        """A head of its own over the same model, untrained."""
        recipe, seed, _ = self._start
        return OptionHead(recipe, self._variants, seed, question_rows=self.own_rows is not None)

    def snapshot(self) -> dict[str, Tensor]:
        """A copy of all trained tensors."""
        return {name: value.detach().clone() for name, value in self.state_dict().items()}

    @torch.no_grad()
    def reset(self) -> None:
        """Back to the model's own weights and nothing of questions' own; read from the model again: no copy is kept."""
        recipe, seed, ids = self._start
        self.blocks.load_state_dict(recipe.copy(seed).state_dict())
        self.rows.copy_(recipe.output_rows(torch.from_numpy(ids))[0])
        self.bias.zero_()
        if self.own_rows is not None:
            self.own_rows.zero_()

    def restore(self, state: dict[str, Tensor]) -> None:
        """The inverse of `snapshot`; accepts reduced precision."""
        self.load_state_dict(state)


def label_index(variants: Sequence[Sequence[Sequence[int]]]) -> tuple[np.ndarray, np.ndarray]:
    """Which output rows belong to which option.

    Parameters
    ----------
    variants : sequence (questions) of sequences (options) of sequences (token ids)
        As `Labels.variants` for each question.

    Returns
    -------
    ids : int64 array of shape (R,)
        The distinct token ids, ascending.
    index : int64 array of shape (n_questions, K, M)
        Positions in `ids`; -1 where an option has fewer variants or a question fewer options.
    """
    ids = np.unique([token for question in variants for option in question for token in option]).astype(np.int64)
    shape = (len(variants), max(map(len, variants)), max(len(option) for question in variants for option in question))
    index = np.full(shape, -1, dtype=np.int64)
    for q, question in enumerate(variants):
        for k, option in enumerate(question):
            index[q, k, : len(option)] = np.searchsorted(ids, option)
    return ids, index
