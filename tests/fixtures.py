"""Fixtures that several rooms' tests share; a folder's conftest imports those that it wants."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from surveysim.dsa import loop
from surveysim.models import LoadedModel, clear_models, load_model, set_model_limit
from tests.tiny_models import make_tiny_model


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`tiny(family, **parameters)`: the folder of a tiny model, made once a session. Do not write into it."""
    made: dict[str, Path] = {}

    def make(family: str = "qwen3", **parameters: Any) -> Path:
        key = repr((family, sorted(parameters.items())))
        if key not in made:
            made[key] = make_tiny_model(tmp_path_factory.mktemp(family), family, **parameters)
        return made[key]

    return make


@pytest.fixture(autouse=True)
def empty_registry() -> Iterator[None]:
    clear_models()
    limit = set_model_limit(2)
    yield
    set_model_limit(limit)
    clear_models()


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Only this machine can be reached, and the hub's cache is empty."""
    look_up = socket.getaddrinfo

    def local_only(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host not in ("127.0.0.1", "localhost", None):
            raise socket.gaierror(-2, "Name or service not known")
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", local_only)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


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
