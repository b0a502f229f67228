"""Finding a model: cheap checks with clear messages, before anything slow."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest
import torch

from surveysim.models import ModelNotFoundError, sources
from surveysim.models.sources import find_model


@pytest.fixture
def folder(tiny, tmp_path) -> Path:
    """A tiny model that a test may spoil."""
    return Path(shutil.copytree(tiny(), tmp_path / "model"))


def change_config(folder: Path, **changes: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


def test_a_folder_is_found_by_its_absolute_path(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    for name in (str(folder), folder, "model", "./model", Path("model")):
        found = find_model(name)
        assert (found.name, found.folder, found.revision) == (str(folder.resolve()), folder.resolve(), None)


def test_nano_is_the_folder_in_the_package(folder, monkeypatch):
    monkeypatch.setattr(sources, "_NANO_FOLDER", folder)
    monkeypatch.chdir(folder.parent)
    (folder.parent / "nano").mkdir()  # a folder of that name in the working directory changes nothing
    assert find_model("nano") == sources.ModelSource("nano", folder)


def test_nano_without_weights_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_NANO_FOLDER", tmp_path)
    with pytest.raises(ModelNotFoundError, match='"nano" is missing from this installation'):
        find_model("nano")


@pytest.mark.parametrize("name", ["./nowhere", "/no/such/folder", "~/no/such/folder", "a/b/c", "models/", Path("x")])
def test_a_path_that_is_no_folder(name):
    with pytest.raises(ModelNotFoundError, match=r'there is no model folder .*model="nano".*HF_HOME'):
        find_model(name)


def test_a_file(folder):
    with pytest.raises(ModelNotFoundError, match="is a file, but not GGUF: pass a GGUF file, or the folder"):
        find_model(folder / "model.safetensors")


def test_a_folder_without_config(tmp_path):
    with pytest.raises(ModelNotFoundError, match=r"has no config\.json"):
        find_model(tmp_path)


def test_an_adapter_folder(tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelNotFoundError, match="holds only an adapter: merge it"):
        find_model(tmp_path)


@pytest.mark.parametrize("content", ["{not json", "[]", "{}"])
def test_a_config_that_is_none(folder, content):
    (folder / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"config\.json"):
        find_model(folder)


def test_code_from_the_repository_is_never_run(folder):
    change_config(folder, model_type="my_own", auto_map={"AutoModelForCausalLM": "evil.Model"})
    (folder / "evil.py").write_text("raise SystemExit('this code was run')")
    with pytest.raises(ValueError, match=r"needs Python code from its own repository .*never runs such code"):
        find_model(folder)


def test_a_model_type_from_the_future(folder):
    change_config(folder, model_type="qwen99")
    with pytest.raises(ValueError, match="'qwen99', which the installed transformers does not know"):
        find_model(folder)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"model_type": "bert", "architectures": ["BertForMaskedLM"]}, "BertForMaskedLM"),
        ({"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]}, "T5ForConditionalGeneration"),
        ({"model_type": "clip", "architectures": None}, "model_type 'clip'"),
        ({"architectures": ["Qwen3ForSequenceClassification"]}, "Qwen3ForSequenceClassification"),
        ({"architectures": ["Qwen3Model"]}, "Qwen3Model"),
    ],
)
def test_models_that_do_not_continue_text(folder, changes, what):
    change_config(folder, **changes)
    with pytest.raises(ValueError, match=rf"not a causal language model \({what}\)"):
        find_model(folder)


def test_pickled_weights_are_refused(folder):
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match="pickle files only, which can run code"):
        find_model(folder)


def test_no_weights(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelNotFoundError, match=r"has no weights: model\.safetensors is missing"):
        find_model(folder)


def test_no_tokenizer(folder):
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelNotFoundError, match=r"has no tokenizer \(tokenizer\.json is missing\)"):
        find_model(folder)


def test_a_missing_shard(folder):
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    with pytest.raises(ModelNotFoundError, match=r"incomplete: .* names 'model-00002-of-00002\.safetensors'"):
        find_model(folder)
    (folder / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(ValueError, match=r"index\.json .* cannot be read"):
        find_model(folder)


@pytest.mark.parametrize("name", ["owner/has spaces", "--", "a//b"])
def test_a_name_that_is_no_name(name):
    with pytest.raises(ModelNotFoundError, match=r"'nano'|no model folder"):
        find_model(name)


def test_an_empty_name():
    with pytest.raises(ModelNotFoundError, match="must be a name or a folder, got ' '"):
        find_model(" ")


def test_a_network_is_no_name(tiny):
    with pytest.raises(TypeError, match=r"got Linear: estimators hold a model's name"):
        find_model(torch.nn.Linear(1, 1))  # type: ignore[arg-type]


def test_revisions_are_for_the_hub(folder):
    with pytest.raises(ValueError, match="revision='main' applies to models on the hub"):
        find_model(folder, revision="main")
    with pytest.raises(ValueError, match="revision='main' applies to models on the hub"):
        find_model("nano", revision="main")
    with pytest.raises(TypeError, match="revision must be a string"):
        find_model("owner/model", revision=1)  # type: ignore[arg-type]


def test_a_hub_name_without_network_fails_quickly():
    started = time.perf_counter()
    with pytest.raises(ModelNotFoundError, match=r"hub cannot be reached .*model=\"nano\""):
        find_model("owner/model")
    assert time.perf_counter() - started < 2


def test_local_files_only_never_asks(monkeypatch):
    def asked(*args, **kwargs):
        raise AssertionError("the network was asked")

    monkeypatch.setattr("surveysim.models.download.HfApi", asked)
    with pytest.raises(ModelNotFoundError, match=r"revision 'v1' is not in .*local_files_only=True forbids"):
        find_model("owner/model", revision="v1", local_files_only=True)
