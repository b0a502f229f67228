"""A loaded model as the rest of the library sees it: text to token ids and labels, a network that never changes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from surveysim.models.chat import ChatFormat
from surveysim.models.labels import Labels, find_labels, index_vocabulary
from surveysim.prompts import Prompt, get_template

__all__ = ["LoadedModel"]


class LoadedModel:
    """A causal language model, its tokenizer, and what belongs to this copy. Made by `load_model`.

    Several threads and estimators share it: hold `lock` while the network runs, and never change the network.

    Attributes
    ----------
    name : str
        ``"nano"``, ``"smollm2"``, a hub name, or the absolute path of a folder or GGUF file: `load_model` finds the
        same model by it.
    revision : str or None
        The hub's commit.
    fingerprint : str
        Says whether two models are the same: see ``surveysim.models.fingerprint``.
    folder : Path
        Where it was read from.
    device : torch.device
    dtype : torch.dtype
    tokenizer : PreTrainedTokenizer
    network : PreTrainedModel
        In evaluation mode; no parameter requires a gradient.
    lock : RLock
    max_tokens : int or None
        The longest prompt that the model can read; None if its configuration does not say.
    states : object or None
        The store of trunk states, which the training room puts here so that it lives as long as the model.
    passes : object or None
        How prompts go through the network in batches (``surveysim.asking.passes``), here for the same reason.
    n_loads : int
        Class attribute: how many models this process has loaded.

    Examples
    --------
    >>> from surveysim.models import load_model
    >>> model = load_model("nano", device="cpu")
    >>> model.dtype, model.device
    (torch.float32, device(type='cpu'))
    """

    n_loads: ClassVar[int] = 0
    _count_lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(
        self,
        *,
        name: str,
        revision: str | None,
        fingerprint: str,
        folder: Path,
        tokenizer: PreTrainedTokenizerBase,
        network: PreTrainedModel,
    ) -> None:
        self.name = name
        self.revision = revision
        self.fingerprint = fingerprint
        self.folder = folder
        self.tokenizer = tokenizer
        self.network: Any = network.eval().requires_grad_(False)
        self.device: torch.device = network.device
        self.dtype: torch.dtype = network.dtype
        self.lock = threading.RLock()
        self.states: Any = None
        self.passes: Any = None
        self.max_tokens: int | None = getattr(network.config.get_text_config(), "max_position_embeddings", None)
        self._chat = ChatFormat(tokenizer)
        self._index: dict[str, tuple[int, ...]] | None = None
        self._labels: dict[int, Labels] = {}
        with LoadedModel._count_lock:
            LoadedModel.n_loads += 1

    @property
    def is_chat(self) -> bool:
        """Whether the model has a chat template, and so ends its turns itself."""
        return self._chat.is_chat

    def to_text(self, prompt: Prompt) -> str:
        """A prompt as the model reads it, up to where its answer begins.

        With a chat template: the template with its generation prompt, reasoning switched off, and the system text in
        the user's turn where the template refuses a system role. Without one: plain text that ends in the cue.

        Parameters
        ----------
        prompt : Prompt

        Returns
        -------
        str
        """
        return self._chat.to_text(prompt)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of texts from `to_text`, each tokenised once, without padding and without a label.

        Parameters
        ----------
        texts : sequence of str

        Returns
        -------
        list of list of int

        Raises
        ------
        ValueError
            If a text has more tokens than the model can read.
        """
        if isinstance(texts, str):
            raise TypeError("texts must be a sequence of strings, got one string")
        if not len(texts):
            return []
        with self.lock:
            ids = self.tokenizer(
                list(texts),
                add_special_tokens=not self._chat.is_chat,
                return_attention_mask=False,
                return_token_type_ids=False,
                verbose=False,
            )["input_ids"]
        end = self.tokenizer.eos_token_id
        if not self._chat.is_chat and end is not None:
            # Some tokenizers close plain texts, but the answer is still to come.
            ids = [row[:-1] if len(row) > 1 and row[-1] == end else row for row in ids]
        for row, text in zip(ids, texts, strict=True):
            if self.max_tokens is not None and len(row) >= self.max_tokens:
                raise ValueError(
                    f"a prompt has {len(row)} tokens, but {self.name!r} reads fewer than {self.max_tokens}: shorten "
                    f"the question, its options or its context, or choose another model. It begins {text[:200]!r}"
                )
        return ids

    def labels(self, n_options: int) -> Labels:
        """The labels of K options: the first alphabet whose labels are one token each where an answer begins.

        Parameters
        ----------
        n_options : int
            K.

        Returns
        -------
        Labels

        Raises
        ------
        ValueError
            If the tokenizer has no K such labels; the message names how many it has.
        """
        with self.lock:
            if n_options not in self._labels:
                if self._index is None:
                    rows = self.network.get_output_embeddings().weight.shape[0]
                    self._index = index_vocabulary(self.tokenizer, rows)
                template = get_template("default")
                self._labels[n_options] = find_labels(
                    n_options,
                    context=self.to_text(Prompt(template.system, template.no_background, template.cue)),
                    encode=self.encode,
                    index=self._index,
                    name=self.name,
                )
            return self._labels[n_options]

    def __repr__(self) -> str:
        size = sum(parameter.numel() for parameter in self.network.parameters())
        dtype = str(self.dtype).removeprefix("torch.")
        return f"<LoadedModel {self.name!r}: {size:,} parameters, {dtype} on {self.device}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(
            "a LoadedModel is never pickled or copied: it is gigabytes, and shared. Keep its name, revision and "
            "fingerprint, and call surveysim.models.load_model again"
        )
