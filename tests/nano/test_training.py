"""Training: packed rows equal single prompts, losses are what they say, a killed run resumes to the same weights."""

import copy
import json
import math

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from tools.nano.export import NANO, export
from tools.nano.network import _gaussian_divergence, losses, make_config, make_network
from tools.nano.packing import batches, collate, encode_prompts
from tools.nano.surveys import sample_task
from tools.nano.train import Settings, rate, read_checkpoint, train

MICRO = Settings(
    steps=6, batch_size=2, batches_per_pool=2, hidden_size=32, num_hidden_layers=2, intermediate_size=32
)  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(NANO, local_files_only=True)


@pytest.fixture(scope="module")
def network(tokenizer):
    return make_network(make_config(tokenizer, hidden_size=32, num_hidden_layers=2, intermediate_size=32), 0).eval()


def test_packed_rows_give_the_states_of_single_prompts(tokenizer, network):
    rng = np.random.default_rng(0)
    tasks = [sample_task(rng, verbalized=False, kind=kind) for kind in ("bank", "stated", "examples", "plain")]
    batch = collate(tokenizer, tasks, rng)
    single = make_network(copy.deepcopy(network.config), 0).eval()
    single.set_attn_implementation("sdpa")
    with torch.no_grad():
        packed = network.model(
            input_ids=batch.ids,
            attention_mask={"full_attention": batch.layout},
            position_ids=batch.positions,
            use_cache=False,
        ).last_hidden_state[0, batch.answers]
        alone = torch.stack(
            [
                single.model(input_ids=torch.tensor([ids])).last_hidden_state[0, -1]
                for task in tasks
                for ids in encode_prompts(tokenizer, task)
            ]
        )
    torch.testing.assert_close(packed, alone, atol=2e-5, rtol=0)


def test_batches_point_at_labels_and_sum_to_one(tokenizer):
    for batch in batches(tokenizer, seed=3, pool=0, batch_size=3, batches_per_pool=2):
        torch.testing.assert_close(batch.targets.sum(1), torch.ones(len(batch.targets)))
        assert batch.ids.shape == batch.positions.shape
        assert batch.n_tokens % 256 == 0
        last = tokenizer.convert_tokens_to_ids("<|assistant|>")
        assert (batch.ids[0, batch.answers] == last).all()


def test_pools_depend_on_seed_and_number_alone(tokenizer):
    one, again = (batches(tokenizer, seed=3, pool=7, batch_size=2, batches_per_pool=2) for _ in range(2))
    other = batches(tokenizer, seed=3, pool=8, batch_size=2, batches_per_pool=2)
    assert all(torch.equal(a.ids, b.ids) for a, b in zip(one, again, strict=True))
    assert not all(a.ids.shape == b.ids.shape and torch.equal(a.ids, b.ids) for a, b in zip(one, other, strict=True))


def test_divergence_of_priors_is_that_of_gaussians():
    from torch.distributions import MultivariateNormal, kl_divergence

    from tools.nano.network import NOISE

    generator = torch.Generator().manual_seed(0)
    A, B = (torch.randn(6, 3, generator=generator) for _ in range(2))
    noise = NOISE * torch.eye(6)
    zero = torch.zeros(6)
    oracle = kl_divergence(MultivariateNormal(zero, A @ A.T + noise), MultivariateNormal(zero, B @ B.T + noise)) / 6
    torch.testing.assert_close(_gaussian_divergence(A @ A.T, B @ B.T), oracle)
    assert abs(float(_gaussian_divergence(A @ A.T, A @ A.T))) < 1e-5


def test_losses_are_finite_and_reach_every_weight(tokenizer, network):
    copy = make_network(network.config, 0).train()
    total = torch.zeros(())
    for batch in batches(tokenizer, seed=3, pool=0, batch_size=6, batches_per_pool=2):
        parts = losses(copy, batch)
        assert set(parts) == {"answer", "text", "language", "background", "question"}
        assert all(torch.isfinite(part) and part >= -1e-5 for part in parts.values())
        total = total + torch.stack(list(parts.values())).sum()
    total.backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in copy.parameters())


def test_learning_rate_warms_up_and_comes_down():
    settings = Settings()
    rates = [rate(settings, progress) for progress in np.linspace(0, 1, 101)]
    assert max(rates) == pytest.approx(settings.learning_rate, rel=1e-3)
    assert rates[0] < 0.02 * settings.learning_rate
    assert rates[-1] == pytest.approx(0.01 * settings.learning_rate)
    assert np.diff(rates[4:]).max() < 0
    assert rate(settings, 0.515) == pytest.approx(
        settings.learning_rate * (0.01 + 0.99 * (1 + math.cos(math.pi / 2)) / 2)
    )


@pytest.mark.slow
def test_a_killed_training_resumes_to_the_same_weights(tmp_path, tokenizer):
    whole = train(tmp_path / "whole", MICRO, tokenizer=tokenizer, progress_bar=False)
    train(tmp_path / "killed", MICRO, tokenizer=tokenizer, progress_bar=False, stop_after=3)
    # A kill while a checkpoint is written leaves a broken part file beside the last good checkpoint.
    (tmp_path / "killed" / "checkpoint.safetensors.part").write_bytes(b"broken")
    assert read_checkpoint(tmp_path / "killed" / "checkpoint.safetensors")[1]["step"] == "3"
    resumed = train(tmp_path / "killed", MICRO, tokenizer=tokenizer, progress_bar=False)
    for (name, one), (_, other) in zip(whole.named_parameters(), resumed.named_parameters(), strict=True):
        assert torch.equal(one, other), name
    log = [json.loads(line) for line in (tmp_path / "killed" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == [3, 6]


@pytest.mark.slow
def test_a_spent_budget_ends_the_training(tmp_path, tokenizer):
    train(tmp_path, MICRO, tokenizer=tokenizer, progress_bar=False, budget=1e-9)
    assert read_checkpoint(tmp_path / "checkpoint.safetensors")[1]["step"] == "0"


@pytest.mark.slow
def test_other_settings_are_refused(tmp_path, tokenizer):
    from dataclasses import replace

    train(tmp_path, MICRO, tokenizer=tokenizer, progress_bar=False, stop_after=1)
    with pytest.raises(ValueError, match=r"made with other settings.*'seed': \(0, 1\)"):
        train(tmp_path, replace(MICRO, seed=1), tokenizer=tokenizer, progress_bar=False)


def test_an_export_loads_and_keeps_its_weights(tmp_path, tokenizer, network):
    from transformers import AutoModelForCausalLM

    export(network, tokenizer, tmp_path)
    assert not list(tmp_path.glob("tmp*"))
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32, local_files_only=True)
    assert loaded.lm_head.weight is loaded.model.embed_tokens.weight
    for name, value in loaded.state_dict().items():
        torch.testing.assert_close(value, network.state_dict()[name].to(torch.bfloat16).float(), atol=0, rtol=0)
    again = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    assert again.get_vocab() == tokenizer.get_vocab()
    assert again.chat_template == tokenizer.chat_template
