"""A loaded model: frozen, shared, never pickled; prompts to token ids."""

from __future__ import annotations

import copy
import io
import pickle
import socket

import joblib
import pytest
import torch

from surveysim.models import load_model
from surveysim.prompts import Prompt
from tests.tiny_models import FAMILIES

PROMPT = Prompt("Answer as this person.", "Happy?", "Answer:")


def test_the_network_is_frozen_and_in_evaluation_mode(tiny):
    model = load_model(tiny("gpt2"))  # with dropout, which must be off
    assert not model.network.training
    assert not any(parameter.requires_grad for parameter in model.network.parameters())
    assert (model.device, model.dtype) == (torch.device("cpu"), torch.float32)
    assert model.states is None
    ids = torch.tensor(model.encode(["Happy?"]))
    assert torch.equal(model.network(ids).logits, model.network(ids).logits)


def test_loading_and_reading_never_ask_the_network(tiny, monkeypatch):
    def asked(*args, **kwargs):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", asked)
    monkeypatch.setattr(socket.socket, "connect", asked)
    for family in ("qwen3", "mistral", "gpt2"):
        model = load_model(tiny(family))
        model.encode([model.to_text(PROMPT)])
        model.labels(3)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_beginning_of_the_sequence_stands_once(tiny, family):
    model = load_model(tiny(family))
    ids = model.encode([model.to_text(PROMPT)])[0]
    begin = model.tokenizer.bos_token_id
    if begin is not None:
        template = model.tokenizer.chat_template
        written = template is None or "bos_token" in template
        assert ids.count(begin) == int(written)
        assert (ids[0] == begin) is written


def test_prompts_are_encoded_apart(tiny):
    model = load_model(tiny("llama"))
    texts = [model.to_text(Prompt("Answer.", "Happy?" * n)) for n in (1, 3, 2)]
    together = model.encode(texts)
    assert together == [model.encode([text])[0] for text in texts]
    assert len({len(ids) for ids in together}) == 3
    assert model.encode(tuple(texts)) == together
    assert model.encode([]) == []
    with pytest.raises(TypeError, match="texts must be a sequence of strings"):
        model.encode(texts[0])


def test_a_tokenizer_that_closes_texts(tiny):
    model = load_model(tiny("gpt2"))
    open_ended = model.encode(["Happy? Answer:"])
    backend = model.tokenizer.backend_tokenizer
    end = model.tokenizer.eos_token
    from tokenizers.processors import TemplateProcessing

    backend.post_processor = TemplateProcessing(
        single=f"<|endoftext|> $A {end}",
        special_tokens=[("<|endoftext|>", model.tokenizer.bos_token_id), (end, model.tokenizer.eos_token_id)],
    )
    assert model.tokenizer("Happy? Answer:")["input_ids"][-1] == model.tokenizer.eos_token_id
    assert model.encode(["Happy? Answer:"]) == open_ended


def test_a_prompt_that_is_too_long(tiny):
    model = load_model(tiny("gpt2"))
    assert model.max_tokens == 1024
    with pytest.raises(ValueError, match=r"a prompt has 1[0-9]{3} tokens, .* reads fewer than 1024: shorten"):
        model.encode(["short", "1" * 1100])


def test_never_pickled_nor_copied(tiny):
    model = load_model(tiny())
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy, lambda m: joblib.dump(m, io.BytesIO())):
        with pytest.raises(TypeError, match=r"never pickled or copied: .*surveysim\.models\.load_model"):
            attempt(model)


def test_its_representation_is_short(tiny):
    model = load_model(tiny())
    assert repr(model) == f"<LoadedModel {str(tiny())!r}: 47,120 parameters, float32 on cpu>"
