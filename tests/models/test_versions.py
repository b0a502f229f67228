"""One warning where transformers is another than those that were tested."""

from __future__ import annotations

import warnings

import pytest

from surveysim.models import clear_models, load_model, versions


@pytest.fixture(autouse=True)
def untold(monkeypatch):
    monkeypatch.setattr(versions, "_told", False)


@pytest.mark.parametrize("version", ["4.57.1", "5.25.0.dev0", "6.0.0", "5.30"])
def test_another_version_is_named_once_when_a_model_is_loaded(version, monkeypatch, tiny_folder):
    monkeypatch.setattr(versions.transformers, "__version__", version)
    clear_models()
    with pytest.warns(UserWarning, match=rf"transformers {version} .*tested with 5\.0 to 5\.24"):
        load_model(tiny_folder)
    clear_models()
    load_model(tiny_folder)  # a second warning would be an error here


@pytest.mark.parametrize("version", ["5.0.0", "5.12.3", "5.24.0", "5.24.7"])
def test_a_tested_version_says_nothing(version, monkeypatch):
    monkeypatch.setattr(versions.transformers, "__version__", version)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        versions.check_transformers()
