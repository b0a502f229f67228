"""Whatever torch context surrounds a call, the numbers are those without it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import pytest
import torch

import surveysim
from surveysim import DSARegressor, ZeroShotElicitor
from surveysim.models import clear_models, load_model
from surveysim.models.own_torch import own_torch
from tests.ecosystem.data import QUESTION, N, X, Y


@contextmanager
def default(name: str, value: Any, back: Any = None) -> Iterator[None]:
    """A setting of the process, and that a call within left it as it was."""
    ask = getattr(torch, f"get_{name}", None)
    before = ask() if back is None else back
    getattr(torch, f"set_{name}")(value)
    try:
        yield
        assert ask is None or ask() == (torch.device(value) if name == "default_device" else value)
    finally:
        getattr(torch, f"set_{name}")(None if name == "default_device" else before)


@contextmanager
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


CONTEXTS = {
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "float64": lambda: default("default_dtype", torch.float64),
    "bfloat16": lambda: default("default_dtype", torch.bfloat16),
    "default device": lambda: default("default_device", "meta"),
    "device": lambda: torch.device("meta"),
    "deterministic": deterministic,
}


@pytest.fixture
def everything(tiny_folder):
    """Everything that torch computes: a fit, intervals' refits, and elicitation, from an empty registry."""

    def compute() -> np.ndarray:
        clear_models()
        model = DSARegressor(
            str(tiny_folder), question=QUESTION, max_epochs=1, validation_fraction=0, n_members=2, random_state=0
        ).fit(X, Y, N)
        asked = ZeroShotElicitor("nano", method="logprob", question=QUESTION).fit(X)
        return np.concatenate([model.predict(X), *model.predict_interval(X), asked.predict(X)])

    return compute


@pytest.mark.parametrize("name", CONTEXTS)
def test_numbers_are_those_without_the_context(name, everything, tiny_folder):
    context: AbstractContextManager[None] = CONTEXTS[name]()
    plain = everything()
    with context:
        np.testing.assert_array_equal(everything(), plain)
    # what the context left in the shared model and its store can be trained with
    after = DSARegressor(str(tiny_folder), question=QUESTION, max_epochs=1, validation_fraction=0, random_state=0)
    assert not np.isnan(after.fit(X, Y, N).predict(X)).any()
    assert not load_model("nano").network.get_input_embeddings().weight.is_inference()


def test_another_number_of_threads_rounds_otherwise_at_most(everything):
    plain, before = everything(), torch.get_num_threads()
    torch.set_num_threads(3 - min(2, before))
    try:
        np.testing.assert_allclose(everything(), plain, atol=1e-5)
    finally:
        torch.set_num_threads(before)


def test_a_saved_estimator_opens_in_inference_mode(tiny_folder, tmp_path):
    model = DSARegressor(str(tiny_folder), question=QUESTION, max_epochs=1, validation_fraction=0, random_state=0)
    model.fit(X, Y, N).save(tmp_path / "saved")
    with torch.inference_mode():
        again = surveysim.load(tmp_path / "saved")
        np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert not any(value.is_inference() for value in again._fitted.members[0].tensors.values())


def test_the_default_number_type_comes_back_when_the_last_thread_has_left():
    """Two threads overlap: the first one to leave must not change the second one's, nor the last the user's."""
    with default("default_dtype", torch.float64):
        seen = []
        first = own_torch()
        first.__enter__()
        with ThreadPoolExecutor(1) as pool:
            second = own_torch()
            pool.submit(second.__enter__).result()
            first.__exit__(None, None, None)
            seen.append(torch.get_default_dtype())
            pool.submit(second.__exit__, None, None, None).result()
        assert [*seen, torch.get_default_dtype()] == [torch.float32, torch.float64]


def test_the_users_context_goes_on_after_the_call():
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.inference_mode():
        with own_torch():
            assert not torch.is_autocast_enabled("cpu")
            assert torch.is_grad_enabled()
            assert not torch.is_inference_mode_enabled()
        assert torch.is_autocast_enabled("cpu")
        assert torch.is_inference_mode_enabled()
