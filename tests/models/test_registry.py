"""One loaded copy for everybody: keys, threads, the limit, and loads that fail."""

from __future__ import annotations

import gc
import json
import shutil
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers.utils import logging as transformers_logging

from surveysim.models import (
    LoadedModel,
    ModelNotFoundError,
    clear_models,
    load_model,
    registry,
    set_model_limit,
    sources,
)


@pytest.fixture
def loads():
    """How many models were loaded since the test began."""
    before = LoadedModel.n_loads
    return lambda: LoadedModel.n_loads - before


@pytest.fixture
def folder(tiny, tmp_path) -> Path:
    return Path(shutil.copytree(tiny(), tmp_path / "model"))


def test_the_same_model_is_loaded_once(tiny, loads, monkeypatch):
    model = load_model(tiny())
    monkeypatch.chdir(tiny().parent)
    for name in (str(tiny()), tiny(), tiny().name, f"../{tiny().parent.name}/{tiny().name}"):
        assert load_model(name) is model
    assert load_model(tiny(), device="cpu", dtype="float32") is model
    assert load_model(tiny(), device="cpu", dtype=torch.float32, local_files_only=True) is model
    assert loads() == 1


def test_another_type_is_another_copy(tiny, loads):
    full, half = load_model(tiny()), load_model(tiny(), dtype="bfloat16")
    assert full is not half
    assert (full.dtype, half.dtype) == (torch.float32, torch.bfloat16)
    assert next(half.network.parameters()).dtype is torch.bfloat16
    assert loads() == 2


def test_nano_is_computed_in_float32_everywhere(folder, monkeypatch):
    monkeypatch.setattr(sources, "_NANO_FOLDER", folder)
    asked = []

    def resolve(dtype, device):
        asked.append(dtype)
        return torch.float32

    monkeypatch.setattr(registry, "resolve_dtype", resolve)
    assert load_model("nano").name == "nano"
    load_model("nano", dtype="bfloat16")
    assert asked == ["float32", "bfloat16"]


def test_threads_that_ask_at_once_share_one_load(tiny, loads):
    start = threading.Barrier(8)

    def ask(_):
        start.wait()
        return load_model(tiny())

    with ThreadPoolExecutor(8) as pool:
        models = list(pool.map(ask, range(8)))
    assert len({id(model) for model in models}) == 1
    assert loads() == 1


def test_threads_that_read_at_once_agree(tiny):
    model = load_model(tiny("mistral"))
    texts = [f"Happy? {'yes ' * n}" for n in range(40)]
    expected = [model.encode([text])[0] for text in texts]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda text: model.encode([text])[0], texts)) == expected
        assert len({id(labels) for labels in pool.map(lambda _: model.labels(5), range(16))}) == 1


def test_different_models_asked_for_at_once_are_both_right(tiny):
    # transformers cannot load two models at once: output layers come out untied
    families = ("qwen3", "llama", "olmo2", "gemma3")
    expected = {}
    for family in families:
        model = load_model(tiny(family))
        expected[family] = model.network(torch.tensor(model.encode(["Happy?"]))).logits
    for _ in range(2):
        clear_models()
        start = threading.Barrier(len(families))

        def ask(family, start=start):
            start.wait()
            return load_model(tiny(family))

        with ThreadPoolExecutor(len(families)) as pool:
            for family, model in zip(families, pool.map(ask, families), strict=True):
                logits = model.network(torch.tensor(model.encode(["Happy?"]))).logits
                assert torch.equal(logits, expected[family])


def test_the_model_used_longest_ago_goes_first(tiny, loads):
    a, b, c = tiny("qwen3"), tiny("llama"), tiny("olmo2")
    model = load_model(a)
    load_model(b)
    load_model(a)
    load_model(c)  # two are kept: b goes
    assert load_model(a) is model
    assert loads() == 3
    load_model(b)
    assert loads() == 4


def test_the_limit_can_be_changed(tiny, loads):
    assert set_model_limit(3) == 2
    models = [load_model(tiny(family)) for family in ("qwen3", "llama", "olmo2")]
    assert set_model_limit(1) == 3
    assert load_model(tiny("olmo2")) is models[2]
    assert loads() == 3
    assert load_model(tiny("qwen3")) is not models[0]
    assert loads() == 4
    with pytest.raises(ValueError, match="limit must be at least 1, got 0"):
        set_model_limit(0)
    with pytest.raises(TypeError, match="limit must be an integer"):
        set_model_limit(1.5)  # type: ignore[arg-type]


def test_a_dropped_model_is_freed_before_the_next_is_loaded(tiny, monkeypatch):
    set_model_limit(1)
    dropped = weakref.ref(load_model(tiny("qwen3")))
    load = registry._load
    alive = []

    def watch(*args):
        gc.collect()
        alive.append(dropped() is not None)
        return load(*args)

    monkeypatch.setattr(registry, "_load", watch)
    load_model(tiny("llama"))
    assert alive == [False]


def test_clearing_forgets_everything(tiny, loads):
    model = load_model(tiny())
    clear_models()
    assert load_model(tiny()) is not model
    assert loads() == 2


def test_a_folder_written_anew_is_loaded_anew(folder, loads):
    before = load_model(folder)
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"] += 1
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    after = load_model(folder)
    assert after is not before
    assert after.fingerprint != before.fingerprint
    assert loads() == 2
    assert sum(slot.model is not None for slot in registry._slots.values()) == 1


def test_a_load_that_failed_can_be_tried_again(folder, loads, monkeypatch):
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[:1000])
    with pytest.raises(ValueError, match="cannot be loaded from"):
        load_model(folder)
    (folder / "model.safetensors").write_bytes(weights)
    assert load_model(folder).name == str(folder)
    assert loads() == 1

    clear_models()
    load = registry._load
    monkeypatch.setattr(registry, "_load", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        load_model(folder)
    monkeypatch.setattr(registry, "_load", load)
    assert load_model(folder).name == str(folder)


def test_missing_weights_are_not_made_up(folder):
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.2.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"lacks 1 of its weights \(model\.layers\.2\.mlp\.up_proj\.weight"):
        load_model(folder)


def test_a_tokenizer_that_cannot_be_read(folder):
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ValueError, match=r"tokenizer of model .* cannot be loaded"):
        load_model(folder)


def test_a_tokenizers_own_code_is_never_run(tiny, folder):
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text())
    config |= {"tokenizer_class": "Mine", "auto_map": {"AutoTokenizer": ["evil.Mine", None]}}
    path.write_text(json.dumps(config))
    (folder / "evil.py").write_text("raise SystemExit('this code was run')")
    expected = load_model(tiny()).encode(["Happy? A"])
    assert load_model(folder).encode(["Happy? A"]) == expected  # tokenizer.json says all there is to know
    (folder / "tokenizer.json").rename(folder / "vocab.mine")
    with pytest.raises(ValueError, match=r"tokenizer of model .* needs Python code .*trust_remote_code"):
        load_model(folder)


def test_parameters_are_checked_before_anything_is_searched(monkeypatch):
    monkeypatch.setattr(registry, "find_model", lambda *args, **kwargs: pytest.fail("searched"))
    with pytest.raises(ValueError, match="device must be"):
        load_model("owner/model", device="gpu")
    with pytest.raises(ValueError, match="dtype must be"):
        load_model("owner/model", dtype="int4")


def test_no_model_at_that_name(loads):
    with pytest.raises(ModelNotFoundError, match='model="nano"'):
        load_model("./nowhere")
    assert loads() == 0


def test_tied_and_untied_models_load(tiny):
    tied, untied = load_model(tiny()).network, load_model(tiny(tied=False)).network
    assert tied.lm_head.weight is tied.model.embed_tokens.weight
    assert untied.lm_head.weight is not untied.model.embed_tokens.weight


def test_capped_scores_are_capped_with_every_version(tiny):
    """transformers up to 5.20 chose an attention for Gemma 2 that ignores the cap of its scores."""
    network = load_model(tiny("gemma2")).network
    ids = torch.arange(20, 40)[None]
    capped = network(ids).logits
    for block in network.model.layers:
        block.self_attn.attn_logit_softcapping = None
    assert float((network(ids).logits - capped).abs().max() / capped.abs().max()) > 1e-3
    assert load_model(tiny("qwen3")).network.config._attn_implementation != "eager"  # nobody else pays for it


def test_small_models_load_without_a_progress_bar(tiny, capfd):
    folder = tiny("granite")
    capfd.readouterr()
    load_model(folder)
    assert "Loading weights" not in capfd.readouterr().err
    assert transformers_logging.is_progress_bar_enabled()


def test_global_randomness_is_left_alone(tiny):
    folder = tiny("olmo2")
    state = torch.random.get_rng_state()
    load_model(folder).labels(3)
    assert torch.equal(torch.random.get_rng_state(), state)
