"""A model with a bank's weights as one who is asked for label probabilities."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from surveysim.asking.asks import Answer, Ask
from surveysim.bank.bank import QuestionBank
from surveysim.bank.means import mean_logits
from surveysim.bank.started import bank_recipe, started
from surveysim.models.loaded import LoadedModel
from surveysim.models.own_torch import own_torch
from surveysim.models.prefixes import group_by_prefix
from surveysim.models.processes import ModelAddress
from surveysim.progress import progress
from surveysim.trunk.head import OptionHead
from surveysim.trunk.store import EncodedPrompts, TrunkInputs, store_of

__all__ = ["BankAnswerer", "bank_head", "bank_inputs", "run_head"]

PROMPTS_PER_BATCH = 64

OVERHEAD = 64
"""What one more pass through the trunk costs, in tokens."""


class BankAnswerer:
    """Answers for label probabilities with the tuned blocks and the mean of the training questions.

    Parameters
    ----------
    model : LoadedModel
        The bank's.
    bank : QuestionBank
    address : ModelAddress, optional
        Where worker processes find the model for its frozen blocks. None: this process computes alone.

    Raises
    ------
    ValueError
        If the model is not the bank's.
    """

    def __init__(self, model: LoadedModel, bank: QuestionBank, *, address: ModelAddress | None = None) -> None:
        bank.check_model(model)
        self.model = model
        self.bank = bank
        self.address = address

    @property
    def identity(self) -> Mapping[str, str]:
        """What determines the answers: the model, its number type, and the bank."""
        dtype = str(self.model.dtype).removeprefix("torch.")
        return {"kind": "bank", "fingerprint": self.model.fingerprint, "dtype": dtype, "bank": self.bank.digest}

    def labels(self, n_options: int) -> tuple[str, ...]:
        """The labels to show for so many options."""
        return self.model.labels(n_options).letters

    @own_torch()
    def answer(
        self,
        asks: Sequence[Ask],
        *,
        on_answer: Callable[[int, Answer], None] | None = None,
        verbose: int = 0,
    ) -> list[Answer]:
        """Label probabilities of all asks, in their order; the labels' together are 1.

        Parameters
        ----------
        asks : sequence of Ask
        on_answer : callable, optional
            Called with each ask's position and answer.
        verbose : int, default=0

        Raises
        ------
        ValueError
            If a text is asked for.
        """
        if any(ask.kind != "label" for ask in asks):
            raise ValueError("a question bank was trained to choose among labels, and writes no texts")
        if not asks:
            return []
        texts = [self.model.to_text(ask.prompt) for ask in asks]
        lengths = [len(ask.labels) for ask in asks]
        distinct = list(dict.fromkeys(zip(texts, lengths, strict=True)))
        logits = self._option_logits([text for text, _ in distinct], [K for _, K in distinct], verbose)
        place = {key: row for row, key in enumerate(distinct)}
        answers = []
        for position, key in enumerate(zip(texts, lengths, strict=True)):
            own = torch.log_softmax(torch.from_numpy(logits[place[key], : key[1]]), dim=0)
            answers.append(Answer(label_logprobs=tuple(own.tolist())))
            if on_answer is not None:
                on_answer(position, answers[-1])
        return answers

    def _option_logits(self, texts: list[str], n_options: list[int], verbose: int) -> np.ndarray:
        lengths = sorted(set(n_options))
        head = bank_head(self.model, self.bank, lengths)
        prompts = _shared(self.model.encode(texts))
        inputs = bank_inputs(self.model, self.bank, prompts, address=self.address, verbose=verbose)
        return run_head(head, inputs, np.array([lengths.index(K) for K in n_options], dtype=int), verbose)


def run_head(head: OptionHead, inputs: TrunkInputs, question: np.ndarray, verbose: int = 0) -> np.ndarray:
    """Option logits (n, K) of all prompts; `NO_OPTION` where there is no option.

    Parameters
    ----------
    head : OptionHead
    inputs : TrunkInputs
        Of n prompts.
    question : int array of shape (n,)
        Each prompt's question among the head's.
    verbose : int, default=0
    """
    logits = np.empty((len(question), head.bias.shape[1]))
    with torch.no_grad(), progress(verbose, total=len(question), desc="answers") as bar:
        for start in range(0, len(question), PROMPTS_PER_BATCH):
            rows = np.arange(start, min(start + PROMPTS_PER_BATCH, len(question)))
            own = torch.as_tensor(question[rows], device=head.rows.device)
            logits[rows] = head(inputs.batch(rows), own).double().cpu().numpy()
            bar.update(len(rows))
    return logits


def bank_head(model: LoadedModel, bank: QuestionBank, n_options: Sequence[int]) -> OptionHead:
    """The bank's head for questions of these numbers of options; its biases are the logs of the mean questions.

    Parameters
    ----------
    model : LoadedModel
    bank : QuestionBank
    n_options : sequence of int
        Of each of the head's questions.
    """
    recipe = started(bank_recipe(model, bank), bank)
    head = OptionHead(recipe, [model.labels(K).variants for K in n_options])
    if bank.weight == 0:  # the mean of the training questions alone
        head._weight = 0.0
    with torch.no_grad():
        width = head.bias.shape[1]
        head.bias.copy_(torch.from_numpy(mean_logits(bank.means, n_options, width)))
    return head


def bank_inputs(
    model: LoadedModel,
    bank: QuestionBank,
    prompts: EncodedPrompts,
    *,
    folder: Any = None,
    address: ModelAddress | None = None,
    verbose: int = 0,
) -> TrunkInputs:
    """What the bank's trained part reads for these prompts.

    Parameters
    ----------
    model : LoadedModel
    bank : QuestionBank
    prompts : EncodedPrompts
    folder : path, optional
        Where trunk states are kept between processes.
    address, verbose
        As for `TrunkStore.inputs`.
    """
    store = store_of(model)
    if bank.tuning == "lora":
        return TrunkInputs(store.lora(), prompts, [], [])
    return store.inputs(bank.n_blocks, prompts, folder=folder, address=address, verbose=verbose)


def _shared(ids: Sequence[Sequence[int]]) -> EncodedPrompts:
    """Prompts by the beginnings that they share."""
    distinct = list(dict.fromkeys(map(tuple, ids)))
    place = {prompt: row for row, prompt in enumerate(distinct)}
    prefixes: list[tuple[int, ...]] = []
    group = np.zeros(len(distinct), dtype=int)
    for found in group_by_prefix(distinct, overhead=OVERHEAD):
        group[found.rows] = len(prefixes)
        prefixes.append(distinct[found.rows[0]][: found.n_prefix])
    suffixes = tuple(prompt[len(prefixes[g]) :] for prompt, g in zip(distinct, group.tolist(), strict=True))
    return EncodedPrompts(
        tuple(prefixes), group, suffixes, np.array([place[tuple(prompt)] for prompt in ids], dtype=int)
    )
