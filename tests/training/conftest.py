"""Fixtures of the tests on training: a tiny model without trunk states, and a counter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from surveysim.models import LoadedModel, clear_models, load_model
from surveysim.training import loop


@pytest.fixture(autouse=True)
def model(tiny_folder: Path) -> LoadedModel:
    """The tiny model without any trunk states, as in a fresh process (loading it for each test would take longer)."""
    model = load_model(tiny_folder)
    model.states = None
    return model


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """One pass over the batches is an epoch, however few there are: what is tested is not how well it fits."""
    monkeypatch.setattr(loop, "MIN_STEPS", 1, raising=False)


@pytest.fixture
def loads() -> Callable[[], int]:
    """How many models were loaded since the test began, with an empty registry."""
    clear_models()
    before = LoadedModel.n_loads
    return lambda: LoadedModel.n_loads - before
