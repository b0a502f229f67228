"""Trainings at once: the results of one after another, whoever says how many."""

from __future__ import annotations

import threading
from functools import partial
from types import SimpleNamespace

import joblib
import numpy as np
import pandas as pd
import pytest
import torch

from surveysim.dsa import fit, threads
from surveysim.dsa.loop import _order, skip_epochs
from surveysim.dsa.threads import Stopped, n_at_once, run_together
from surveysim.trunk.store import TrunkInputs
from tests.simulated import QUESTIONS, quick, simulate


def head(n_parameters=10, *, device="cpu", apart=True):
    parameter = torch.nn.Parameter(torch.zeros(n_parameters))
    frozen = torch.nn.Parameter(torch.zeros(10**6), requires_grad=False)
    rows = SimpleNamespace(device=torch.device(device))
    return SimpleNamespace(rows=rows, apart=apart, parameters=lambda: [parameter, frozen])


# --- how many ---------------------------------------------------------------------------------------------------------


def test_as_many_as_torch_has_threads(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    assert n_at_once(head(), 9) == 4
    assert n_at_once(head(), 3) == 3
    assert n_at_once(head(), 0) == 1


def test_unasked_for_only_while_they_are_small(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr(threads, "SMALL", 1000)
    assert n_at_once(head(16), 9) == 3  # 20 bytes each
    assert n_at_once(head(51), 9) == 1
    with joblib.parallel_config(backend="threading", n_jobs=2):
        assert n_at_once(head(51), 9) == 2  # the user knows better


def test_what_joblib_is_told_counts(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    with joblib.parallel_config(backend="threading", n_jobs=1):
        assert n_at_once(head(), 9) == 1
    with joblib.parallel_config(backend="threading", n_jobs=7):
        assert n_at_once(head(), 9) == 7
    # within threads that already share the work, one each
    within = joblib.Parallel(n_jobs=2, backend="threading")(joblib.delayed(n_at_once)(head(), 9) for _ in range(2))
    assert within == [1, 1]


def test_one_after_another_where_they_would_wait_for_each_other(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    assert n_at_once(head(apart=False), 9) == 1
    assert n_at_once(head(device="cuda"), 9) == 1


# --- running them -----------------------------------------------------------------------------------------------------


def test_they_run_at_once_each_on_a_thread_of_torch():
    barrier = threading.Barrier(3)

    def job(number, check):
        barrier.wait(60)  # broken unless all three are here
        return number, torch.get_num_threads(), threading.get_ident()

    before = torch.get_num_threads()
    results = run_together([partial(job, number) for number in range(3)], 3)
    assert [number for number, _, _ in results] == [0, 1, 2]
    assert {n_threads for _, n_threads, _ in results} == {1}
    assert len({ident for _, _, ident in results} - {threading.get_ident()}) == 3
    assert torch.get_num_threads() == before


def test_one_after_another_is_in_this_thread():
    def job(number, check):
        check()
        return number, threading.get_ident()

    assert run_together([partial(job, number) for number in range(3)], 1) == [
        (number, threading.get_ident()) for number in range(3)
    ]


def test_one_that_fails_ends_the_others():
    running, ended = threading.Event(), []

    def failing(check):
        assert running.wait(60)
        raise KeyboardInterrupt

    def endless(check):
        running.set()
        for _ in range(60_000):
            try:
                check()
            except Stopped:
                ended.append(True)
                raise
            threading.Event().wait(0.001)

    with pytest.raises(KeyboardInterrupt):
        run_together([failing, endless, endless], 2)
    assert ended == [True]  # the third never began


def test_epochs_passed_over_are_those_that_would_have_come():
    batches = SimpleNamespace(parts=[None] * 5)
    steps, skipping = torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)
    own = skip_epochs(batches, 2, skipping)
    expected = [_order(5, 1, steps) for _ in range(4)]
    assert [_order(5, 1, own) for _ in range(2)] == expected[:2]
    assert [_order(5, 1, skipping) for _ in range(2)] == expected[2:]


@pytest.mark.parametrize("init", ["marginal", "baseline"])
def test_results_do_not_depend_on_how_many_run_at_once(tiny_folder, init):
    survey = simulate(QUESTIONS)
    settings = {"shift_reference": "auto", "n_members": 3, "max_epochs": 2, "init": init, "batch_size": 12}

    def fitted(n_jobs):
        with joblib.parallel_config(backend="threading", n_jobs=n_jobs):
            return quick(tiny_folder, QUESTIONS, **settings).fit(survey.X, survey.Y, survey.n)

    alone, at_once = fitted(1), fitted(3)
    np.testing.assert_allclose(at_once.predict(survey.X), alone.predict(survey.X), atol=1e-5)
    pd.testing.assert_frame_equal(at_once.history_, alone.history_, rtol=1e-4)
    assert len(at_once._fitted.members) == 3
    if init == "marginal":  # members differ, and none stands where another should (the baseline is taken alone here)
        one, other = (member.tensors["rows"] for member in alone._fitted.members[:2])
        assert not torch.allclose(one, other, atol=1e-6)
    for mine, theirs in zip(alone._fitted.members, at_once._fitted.members, strict=True):
        torch.testing.assert_close(mine.tensors["rows"], theirs.tensors["rows"], atol=1e-4, rtol=1e-3)


def test_batches_of_members_at_once_share_the_budget(tiny_folder, monkeypatch):
    budgets, make = [], fit.make_trainer
    room = 700_000  # enough for two members' batches, and not for three

    def made(*args, **kwargs):
        trainer = make(*args, **kwargs)
        budgets.append(trainer.batches)
        return trainer

    monkeypatch.setattr(fit, "make_trainer", made)
    monkeypatch.setattr(TrunkInputs, "room", room)
    survey = simulate(QUESTIONS)
    with joblib.parallel_config(backend="threading", n_jobs=3):
        quick(tiny_folder, QUESTIONS, max_epochs=1, n_members=3, batch_size=12).fit(survey.X, survey.Y, survey.n)
    first, *others = (batches.n_bytes for batches in budgets)
    assert room / 3 < first <= room
    assert 0 < sum(others) <= room - first


def test_whole_models_are_trained_one_after_another(tiny_folder, monkeypatch):
    asked = []
    monkeypatch.setattr(threads, "get_active_backend", lambda: asked.append(True))
    survey = simulate(QUESTIONS)
    quick(tiny_folder, QUESTIONS, max_epochs=1, n_members=2, tuning="lora").fit(survey.X, survey.Y, survey.n)
    assert asked == []
