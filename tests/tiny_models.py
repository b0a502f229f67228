"""Tiny random causal language models with tokenizers of their own, made offline, so that tests need no download."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

_CORPUS = [
    "You take part in a survey. Answer the question the way the group of people described below would answer it.",
    "Answer with one letter only, the letter of the option. The answer is A. The answer is B. The answer is C.",
    "How do you rate your marriage? A: very poor B: poor C: fair D: good E: very good",
    "How much of the time do you trust the government? A. always B. most of the time C. some of the time D. never",
    "strongly agree, agree, neither agree nor disagree, disagree, strongly disagree, don't know, refused, not stated",
    "age: 18-29, 30-44, 45-64, 65 or older; gender: female, male; education: no college, some college, college degree",
    "race: white, black, hispanic, other; religious: not at all, mildly, fairly, strongly; children: 0, 1, 2, 3, 5.5",
    "Country: United States. Year: 2020. Question: Options: Background: Respondents: Group: Answer:",
    " ".join("ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
    " ".join("abcdefghijklmnopqrstuvwxyz"),
    " ".join(str(i) for i in range(100)),
]

_CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_QWEN3 = (
    _CHATML.removesuffix("{% endif %}")
    + "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
_LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{{ m.content | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
_MISTRAL = (  # as the first Mistral-Instruct: roles must alternate, a system role is refused
    "{{ bos_token }}{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]{% else %} {{ m.content }}{{ eos_token }}{% endif %}"
    "{% endfor %}"
)
_GEMMA = (  # Gemma 2 refuses a system role
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{{ m.content | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
_GEMMA3 = (  # Gemma 3 writes the system text before the first user turn
    "{{ bos_token }}{% if messages[0].role == 'system' %}{% set first = messages[0].content + '\n\n' %}"
    "{% set turns = messages[1:] %}{% else %}{% set first = '' %}{% set turns = messages %}{% endif %}"
    "{% for m in turns %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{{ first if loop.first }}{{ m.content | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)


@dataclass(frozen=True)
class _Family:
    """How a family's configuration, tokenizer and chat template are made."""

    config: Callable[..., Any]
    tokenizer: str = "bytes"  # "bytes": byte-level BPE, spaces are Ġ; "metaspace": SentencePiece style, spaces are ▁
    template: str | None = _CHATML
    bos: str | None = None
    specials: tuple[str, ...] = ("<|im_start|>", "<|im_end|>")
    extra: tuple[tuple[str, Any], ...] = ()


_GEMMA_TURNS = ("<start_of_turn>", "<end_of_turn>")
_FAMILIES: dict[str, _Family] = {
    "qwen3": _Family(transformers.Qwen3Config, template=_QWEN3, specials=("<|im_start|>", "<|im_end|>", "<think>")),
    "qwen2": _Family(transformers.Qwen2Config),
    "llama": _Family(
        transformers.LlamaConfig,
        template=_LLAMA3,
        bos="<|begin_of_text|>",
        specials=("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    ),
    "mistral": _Family(
        transformers.MistralConfig, "metaspace", _MISTRAL, "<s>", ("[INST]", "[/INST]"), (("sliding_window", None),)
    ),
    "mistral-sliding": _Family(
        transformers.MistralConfig, "metaspace", _MISTRAL, "<s>", ("[INST]", "[/INST]"), (("sliding_window", 8),)
    ),
    "gemma2": _Family(
        transformers.Gemma2Config,
        "metaspace",
        _GEMMA,
        "<bos>",
        _GEMMA_TURNS,
        (("final_logit_softcapping", 2.0), ("attn_logit_softcapping", 5.0), ("query_pre_attn_scalar", 8)),
    ),
    "gemma3": _Family(
        transformers.Gemma3TextConfig,
        "metaspace",
        _GEMMA3,
        "<bos>",
        _GEMMA_TURNS,
        (("sliding_window", 8), ("query_pre_attn_scalar", 8)),
    ),
    "olmo2": _Family(transformers.Olmo2Config),
    "olmo3": _Family(transformers.Olmo3Config, extra=(("sliding_window", 8),)),
    "granite": _Family(
        transformers.GraniteConfig,
        extra=(
            ("logits_scaling", 4.0),
            ("embedding_multiplier", 3.0),
            ("residual_multiplier", 0.5),
            ("attention_multiplier", 0.4),
        ),
    ),
    "phi3": _Family(transformers.Phi3Config, "metaspace", bos="<s>"),
    "gpt2": _Family(transformers.GPT2Config, template=None, bos="<|endoftext|>", specials=()),
}

FAMILIES = tuple(_FAMILIES)


@lru_cache(maxsize=16)
def _trained_tokenizer(style: str, vocab_size: int, bos: str | None, specials: tuple[str, ...]) -> str:
    """A BPE tokenizer trained on a few lines of survey language, as JSON."""
    names = ["<unk>", "<pad>", "<eos>", *([bos] if bos else []), *specials]
    if style == "bytes":
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(r"\p{N}| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    else:
        tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
        tokenizer.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        )
        alphabet = [chr(i) for i in range(33, 127)]
        names += [f"<0x{i:02X}>" for i in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=names, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(_CORPUS, trainer)
    plan = json.loads(tokenizer.to_str())  # the trainer takes byte pieces as special tokens; they are plain vocabulary
    plan["added_tokens"] = [token for token in plan["added_tokens"] if not token["content"].startswith("<0x")]
    tokenizer = Tokenizer.from_str(json.dumps(plan))
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A",
            pair=f"{bos} $A {bos} $B",
            special_tokens=[(bos, tokenizer.token_to_id(bos))],
        )
    return tokenizer.to_str()


def make_tiny_tokenizer(family: str = "qwen3", *, vocab_size: int = 600) -> transformers.PreTrainedTokenizerBase:
    """A small tokenizer in the style of `family`, chat template included (GPT-2 has none)."""
    recipe = _FAMILIES[family]
    text = _trained_tokenizer(recipe.tokenizer, vocab_size, recipe.bos, recipe.specials)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(text),
        unk_token="<unk>",
        pad_token="<pad>",
        eos_token="<eos>",
        bos_token=recipe.bos,
        extra_special_tokens=list(recipe.specials),
        chat_template=recipe.template,
        clean_up_tokenization_spaces=False,
    )


def make_tiny_model(
    folder: str | Path,
    family: str = "qwen3",
    *,
    vocab_size: int = 600,
    hidden_size: int = 32,
    n_layers: int = 3,
    tied: bool = True,
    seed: int = 0,
    **config: Any,
) -> Path:
    """Save a tiny random model of `family` with its tokenizer as a folder that `load_model` opens.

    Weights are drawn large enough (standard deviation one over the square root of a row's length) for the logits to
    differ clearly between prompts: with the usual 0.02 a wrong attention mask would go unnoticed.

    Parameters
    ----------
    folder : path
        Made when it does not exist.
    family : one of FAMILIES
    vocab_size : int
        Of the model; the tokenizer has 8 entries fewer, as with real models whose embedding is padded.
    hidden_size, n_layers : int
    tied : bool
        Whether the output layer shares its weights with the input embedding.
    seed : int
        Of the weights; the tokenizer does not depend on it.
    **config
        Further parameters of the family's configuration, for example ``sliding_window=4``.
    """
    folder = Path(folder)
    recipe = _FAMILIES[family]
    tokenizer = make_tiny_tokenizer(family, vocab_size=vocab_size - 8)
    common: dict[str, Any] = {
        "vocab_size": vocab_size,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "tie_word_embeddings": tied,
    }
    if family == "gpt2":
        shape = {"n_embd": hidden_size, "n_layer": n_layers, "n_head": 4, "n_positions": 1024}
    else:
        shape = {
            "hidden_size": hidden_size,
            "intermediate_size": 2 * hidden_size,
            "num_hidden_layers": n_layers,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 2048,
        }
        if family not in ("olmo2", "olmo3", "granite", "phi3"):
            shape["head_dim"] = hidden_size // 4
    configuration = recipe.config(**(common | shape | dict(recipe.extra) | config))
    with torch.random.fork_rng(devices=[]):
        network = transformers.AutoModelForCausalLM.from_config(configuration, dtype=torch.float32)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim >= 2:
                parameter.copy_(noise * parameter.shape[-1] ** -0.5)
            else:  # norms and biases: near what they start at, which a family may count from 0 or from 1
                parameter.add_(0.1 * noise)
    network.tie_weights()
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
