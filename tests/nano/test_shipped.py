"""The shipped weights: small, offline, and as good as the card says on generated questions nobody trained on."""

import json
import re

import pytest
import torch
from safetensors import safe_open

from tools.nano.evaluate import load, measure_labels, measure_verbalized, unseen_tasks
from tools.nano.export import NANO


@pytest.fixture(scope="module")
def nano():
    return load()


def test_it_is_small(nano):
    model, tokenizer = nano
    assert sum(parameter.numel() for parameter in model.parameters()) <= 3_600_000
    assert len(tokenizer) == model.config.vocab_size <= 4096
    assert (NANO / "model.safetensors").stat().st_size < 8_000_000
    last = [*model.model.layers[-1].parameters(), *model.model.norm.parameters()]
    assert 2 * sum(parameter.numel() for parameter in last) < 2_000_000


def test_its_weights_are_finite_bfloat16_and_tied(nano):
    model, _ = nano
    with safe_open(NANO / "model.safetensors", "pt") as file:
        names = list(file.keys())
        assert "lm_head.weight" not in names
        assert all(file.get_tensor(name).dtype == torch.bfloat16 for name in names)
        assert all(torch.isfinite(file.get_tensor(name)).all() for name in names)
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_its_configuration_names_an_architecture_that_transformers_has():
    config = json.loads((NANO / "config.json").read_text())
    assert config["model_type"] == "qwen3"
    assert config["architectures"] == ["Qwen3ForCausalLM"]
    assert "auto_map" not in config


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bank", "stated", "examples", "plain"])
def test_it_answers_unseen_questions_with_a_label(nano, kind):
    assert measure_labels(*nano, unseen_tasks(kind, 30))["label_mass"] >= 0.95


@pytest.mark.slow
def test_its_verbalised_answers_parse(nano):
    tasks = [
        task for kind in ("bank", "stated", "examples", "plain") for task in unseen_tasks(kind, 10, verbalized=True)
    ]
    assert measure_verbalized(*nano, tasks)["parsed"] >= 0.9


def test_its_card_says_what_it_is_not():
    card = (NANO / "README.md").read_text()
    for phrase in (
        "no fact about real people",
        "smoke test",
        "python -m tools.nano.train",
        "python -m tools.nano.evaluate",
    ):
        assert phrase in card
    assert re.search(r"label mass.*0\.9\d", card, re.IGNORECASE | re.DOTALL)
