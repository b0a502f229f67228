"""The README: its code runs as it stands, and what it names exists."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn

from surveysim.models.sources import _NANO_FOLDER
from tests.tiny_models import make_tiny_model

PROJECT = Path(__file__).resolve().parents[1]
README = (PROJECT / "README.md").read_text(encoding="utf-8")


def blocks(language: str, text: str = README) -> list[str]:
    """The code blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def run(text: str, folder: Path) -> dict[str, Any]:
    """Run a page's Python blocks one after the other; the names that they define."""
    pytest.importorskip("statsmodels")
    pytest.importorskip("matplotlib").use("agg")
    code = "\n".join(blocks("python", text))
    assert 'DSARegressor("nano", ' in code
    code = code.replace('DSARegressor("nano", ', 'DSARegressor("nano", max_epochs=2, ')  # it runs, that is all
    if not (_NANO_FOLDER / "model.safetensors").is_file():  # a clone in which the weights have yet to be trained
        code = code.replace('"nano"', repr(str(make_tiny_model(folder / "tiny"))))
    names: dict[str, Any] = {}
    with sklearn.config_context():
        exec(compile(code, "page.md", "exec"), names)
    return names


@pytest.mark.slow
def test_the_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = run(README, tmp_path)
    predicted = names["model"].predict_proba(names["cells"].X)
    assert predicted.shape == (len(names["cells"]), 2)
    np.testing.assert_allclose(predicted.sum(axis=1), 1)
    assert (names["lower"] <= names["upper"]).all()
    assert (tmp_path / "vote.png").stat().st_size > 5_000
    shown = re.findall(r"^\| (under 30|[\d]+-[\d]+|65 or older) \| (.+) \|$", README, flags=re.MULTILINE)
    assert len(shown) == 4
    made = dict(re.findall(r"^\| (.+?) \| (.+) \|$", names["table"].to_markdown(), flags=re.MULTILINE))
    for group, figures in shown:  # percent; the last digit may be rounded otherwise on another machine
        numbers = [np.array(re.findall(r"\d+", text), dtype=int) for text in (figures, made[group])]
        np.testing.assert_allclose(*numbers, atol=1)


def test_the_code_is_short() -> None:
    lines = [line for line in blocks("python")[0].splitlines() if line.strip()]
    assert len(lines) <= 20
    assert max(map(len, "\n".join(blocks("python")).splitlines())) <= 100


def test_make_targets_that_it_names_exist() -> None:
    named = set(re.findall(r"make ([a-z-]+)", "\n".join(blocks("console"))))
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    assert {"demo", "test", "check", "docs"} <= named
    assert named <= set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))


def test_files_that_it_shows_or_links_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (PROJECT / target).exists(), target


def test_names_of_the_package_that_it_mentions_exist() -> None:
    for name in set(re.findall(r"`(surveysim(?:\.\w+)+)`", README)):
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute), name
