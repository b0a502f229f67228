"""Nano's tokenizer: byte-level BPE learned from generated surveys and prompt templates, and a small chat template."""

from __future__ import annotations

import string
from collections.abc import Iterator

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from surveysim.prompts import Prompt, get_template, template_names
from tools.nano import attributes, wording
from tools.nano.surveys import answer_text, sample_task

__all__ = ["CHAT_TEMPLATE", "END", "USER", "chat_text", "make_tokenizer"]

PAD, SYSTEM, USER, ASSISTANT, END = SPECIAL = ("<|pad|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>")

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] not in ['system', 'user', 'assistant'] %}"
    "{{ raise_exception('nano knows the roles system, user and assistant, not ' + message['role']) }}"
    "{% endif %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def chat_text(prompt: Prompt) -> str:
    """What `CHAT_TEMPLATE` makes of a prompt, ten times faster than the template engine (a test compares them)."""
    return "".join(f"<|{m['role']}|>{m['content']}{END}" for m in prompt.messages()) + ASSISTANT


# Words with the space before them, numbers in pairs of digits (ages and percentages are then one token), runs of
# punctuation, and every other space or line break by itself.
_PIECES = r" ?\p{L}+| ?\p{N}{1,2}| ?[^\s\p{L}\p{N}]+|\s"


def _corpus(rng: np.random.Generator, n_tasks: int) -> Iterator[str]:
    # Often enough to be merged: labels and numbers below 100, with and without a space before them.
    singles = [*string.ascii_letters, *(str(i) for i in range(100)), *(f"0{i}" for i in range(10))]
    for single in singles:
        for _ in range(400):
            yield single
            yield " " + single
    for name in template_names():
        template = get_template(name)
        for _ in range(300):
            yield template.system
            yield template.verbalized_system
    words = [*wording.FIRST, *wording.SECOND, *wording.NOUNS, *wording.TOPICS, *wording.ACTIVITIES]
    words += [word for stems, answers in wording.CATEGORIES for word in (*stems, *answers)]
    for _, stems, scales, _ in wording.FAMILIES:
        words += [*stems, *(option for scale in scales for option in scale)]
    for names in attributes.ORDERED_NAMES.values():
        words += names
    for _, wordings in attributes.NOMINAL.values():
        words += [level for levels in wordings for level in levels]
    for word in words:
        for _ in range(25):
            yield " " + word
    for _ in range(n_tasks):
        task = sample_task(rng, n_backgrounds=4)
        for row in range(len(task.backgrounds)):
            yield task.prompt(row).user
            yield answer_text(task, row)


def make_tokenizer(*, vocabulary: int = 3072, n_tasks: int = 4000, seed: int = 0) -> PreTrainedTokenizerFast:
    """Learn the tokenizer from generated text.

    Every byte is a token, so any text in any language can be written; letters and the numbers 0 to 99 are single
    tokens with and without a space before them.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=list(SPECIAL),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(np.random.default_rng(seed), n_tasks), trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        model_max_length=2048,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )
    wrapped.chat_template = CHAT_TEMPLATE
    return wrapped
