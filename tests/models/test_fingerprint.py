"""Fingerprints: the same for the same content, different when anything that matters differs."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from surveysim.models import fingerprint as module
from surveysim.models import load_model
from surveysim.models.fingerprint import fingerprint
from tests.tiny_models import make_tiny_tokenizer


@pytest.fixture
def folder(tiny, tmp_path) -> Path:
    return Path(shutil.copytree(tiny(), tmp_path / "model"))


def change_weights(folder: Path, change) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors = change(tensors) or tensors
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def test_a_copy_is_the_same_model_in_any_type(tiny, folder):
    model = load_model(folder)
    assert model.fingerprint == load_model(tiny()).fingerprint
    assert model.fingerprint == load_model(folder, dtype="bfloat16").fingerprint
    assert len(model.fingerprint) == 64


def test_one_weight_more_or_less(tiny, folder):
    def change(tensors):
        tensors["model.layers.1.mlp.up_proj.weight"][3, 5] += 1e-3

    change_weights(folder, change)
    assert load_model(folder).fingerprint != load_model(tiny()).fingerprint


def test_two_tensors_swapped(tiny, folder):
    def change(tensors):
        a, b = "model.layers.0.mlp.up_proj.weight", "model.layers.1.mlp.up_proj.weight"
        tensors[a], tensors[b] = tensors[b], tensors[a]

    change_weights(folder, change)
    assert load_model(folder).fingerprint != load_model(tiny()).fingerprint


def test_a_model_in_several_files_is_the_same(tiny, folder):
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    parts = {"model-1.safetensors": names[:9], "model-2.safetensors": names[9:]}
    for file, part in parts.items():
        save_file({name: tensors[name] for name in part}, folder / file, metadata={"format": "pt"})
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {name: file for file, part in parts.items() for name in part}, "metadata": {}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert load_model(folder).fingerprint == load_model(tiny()).fingerprint


@pytest.mark.parametrize(
    ("key", "value", "same"),
    [("rms_norm_eps", 1e-3, False), ("transformers_version", "5.0.0", True), ("_name_or_path", "x", True)],
)
def test_the_configuration_counts(tiny, folder, key, value, same):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {key: value}))
    assert (load_model(folder).fingerprint == load_model(tiny()).fingerprint) is same


def test_the_chat_template_counts(tiny, folder):
    (folder / "chat_template.jinja").write_text("{{ messages[0].content }}")
    assert load_model(folder).fingerprint != load_model(tiny()).fingerprint


def test_large_models_are_sampled(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SMALL", 0)
    tokenizer = make_tiny_tokenizer("qwen3")
    weights = torch.zeros(500, 1000)
    read = []

    def of(tensor: torch.Tensor) -> str:
        save_file({"w": tensor}, tmp_path / "model.safetensors")
        digest = fingerprint({}, tokenizer, [tmp_path / "model.safetensors"])
        read.append(digest)
        return digest

    before = of(weights)
    assert of(weights) == before
    for place in (0, -1):  # the ends are always read
        changed = weights.clone()
        changed.view(-1)[place] = 1
        assert of(changed) != before
    trained = weights + 1e-3 * torch.randn(weights.shape, generator=torch.Generator().manual_seed(0))
    assert of(trained) != before
    assert of(weights.view(1000, 500)) != before
    assert of(weights.to(torch.float16)) != before


def test_pieces_cover_small_tensors_and_never_leave_large_ones():
    assert module._pieces(100, 60_000, whole=False) == [(100, 60_000)]
    pieces = module._pieces(100, 10**6, whole=False)
    assert pieces[0][0] == 100
    assert pieces[-1][1] == 10**6
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(pieces))
    assert len(pieces) == 16


@pytest.mark.parametrize("content", [b"", b"\xff" * 20, (5).to_bytes(8, "little") + b"nojsn"])
def test_files_that_are_no_safetensors(tmp_path, content):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.safetensors is (not a safetensors file|cut off)"):
        fingerprint({}, make_tiny_tokenizer("qwen3"), [path])
