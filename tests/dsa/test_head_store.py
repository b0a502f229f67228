"""Heads put aside: in memory while small, on disk otherwise, gone with the shelf."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch

from surveysim.dsa import head_store
from surveysim.dsa.head_store import HeadStore
from tests.simulated import QUESTIONS, quick, simulate


def state(seed):
    generator = torch.Generator().manual_seed(seed)
    return {
        "blocks.weight": torch.randn(5, 3, generator=generator),
        "bias": torch.randn(2, generator=generator).bfloat16().float(),
        "nothing": torch.empty(0, 4),
    }


@pytest.mark.parametrize("limit", [None, 0, 100])
def test_what_is_put_aside_comes_back_as_it_was(limit):
    shelf = HeadStore(limit)
    states = [state(seed) for seed in range(3)]
    numbers = [shelf.put(each) for each in states]
    originals = [{name: tensor.clone() for name, tensor in each.items()} for each in states]
    for each in states:
        for tensor in each.values():
            tensor.zero_()  # training goes on
    shelf.drop(numbers[1])
    for i in (0, 2):
        found = shelf.get(numbers[i])
        assert list(found) == list(originals[i])
        assert all(torch.equal(found[name], originals[i][name]) for name in found)
    with pytest.raises(KeyError):
        shelf.get(numbers[1])
    on_disk = sum(1 for file in shelf._folder.iterdir() if file.stat().st_size) if shelf._folder else 0
    assert on_disk == {None: 0, 0: 4, 100: 2}[limit]  # 68 bytes each


def test_its_folder_goes_with_it():
    shelf = HeadStore(0)
    shelf.put(state(0))
    folder = shelf._folder
    assert folder.is_dir()
    del shelf
    gc.collect()
    assert not folder.exists()


def test_a_fit_is_the_same_with_heads_on_disk(tiny_folder, monkeypatch):
    survey = simulate(QUESTIONS)
    settings = {"init": "baseline", "shift_weight": "auto", "max_epochs": 1}
    expected = quick(tiny_folder, QUESTIONS, **settings).fit(survey.X, survey.Y, survey.n)
    monkeypatch.setattr(head_store, "MEMORY_LIMIT", 0)
    found = quick(tiny_folder, QUESTIONS, **settings).fit(survey.X, survey.Y, survey.n)
    np.testing.assert_array_equal(found.predict(survey.X), expected.predict(survey.X))
