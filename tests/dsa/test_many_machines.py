"""A fit whose prompts are encoded on a Dask cluster of two workers, one of which is killed on the way."""

from __future__ import annotations

import os

import joblib
import numpy as np
import pytest

from surveysim.models import load_model
from surveysim.trunk import store, trunk_runs
from surveysim.trunk.store import run_job_on, store_of
from surveysim.trunk.trunk_runs import make_jobs
from tests.clusters import begin, starts
from tests.simulated import QUESTIONS, quick, simulate


def noted_job(model, job, n_blocks):
    """`run_job_on` by a worker that notes its start, and may be killed then."""
    begin((job.prefixes, job.suffixes))
    return run_job_on(model, job, n_blocks)


@pytest.fixture
def many_jobs(monkeypatch):
    monkeypatch.setattr(trunk_runs, "TOKENS_PER_JOB", 250)
    monkeypatch.setattr(store, "run_job_on", noted_job)


def test_jobs_hold_every_prompt_once():
    prefixes, suffixes = [(1, 2, 3), ()], [(5,) * n for n in (4, 1, 2, 30, 3, 3)]
    groups = {0: [0, 1, 3], 1: [2, 4, 5]}
    for tokens in (1, 8, 1000):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(trunk_runs, "TOKENS_PER_JOB", tokens)
            jobs = make_jobs(groups, prefixes, suffixes)
        found = [(group, row) for job in jobs for group, rows in job.labels for row in rows]
        assert sorted(found) == [(0, 0), (0, 1), (0, 3), (1, 2), (1, 4), (1, 5)]
        for job in jobs:
            for (group, rows), prefix, parts in zip(job.labels, job.prefixes, job.suffixes, strict=True):
                assert prefix == prefixes[group]
                assert parts == tuple(suffixes[row] for row in rows)
        assert len(jobs) == {1: 6, 8: 3, 1000: 1}[tokens]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_cluster_gives_what_a_single_process_gives(tiny_folder, cluster, notes, many_jobs, dtype):
    survey = simulate(QUESTIONS)
    settings = {"max_epochs": 1, "dtype": dtype}
    expected = quick(tiny_folder, QUESTIONS, **settings).fit(survey.X, survey.Y, survey.n).predict(survey.X)
    model = load_model(tiny_folder, dtype=dtype)
    model.states = None
    with joblib.parallel_config(backend="dask"):
        estimator = quick(tiny_folder, QUESTIONS, **settings).fit(survey.X, survey.Y, survey.n)
    np.testing.assert_allclose(estimator.predict(survey.X), expected, atol=1e-5 if dtype == "float32" else 0.02)
    assert store_of(model).n_prompts_run == len(survey.X)
    rows = starts(notes)
    assert len({pid for pid, _, _ in rows}) == 2
    assert os.getpid() not in {pid for pid, _, _ in rows}
    by_worker = {pid: {loads for other, loads, _ in rows if other == pid} for pid, _, _ in rows}
    assert all(len(loads) == 1 for loads in by_worker.values())  # no job loaded a model again


@pytest.mark.slow
def test_a_killed_worker_costs_only_its_chunk(model, tiny_folder, cluster, notes, many_jobs, tmp_path):
    survey = simulate(QUESTIONS)
    expected = quick(tiny_folder, QUESTIONS, max_epochs=1).fit(survey.X, survey.Y, survey.n).predict(survey.X)
    model.states = None
    (notes / "deadly").touch()
    with joblib.parallel_config(backend="dask"):
        estimator = quick(tiny_folder, QUESTIONS, max_epochs=1, trunk_cache=tmp_path)
        estimator.fit(survey.X, survey.Y, survey.n)
    assert (notes / "taken").exists()
    np.testing.assert_allclose(estimator.predict(survey.X), expected, atol=1e-5)
    assert store_of(model).n_prompts_run == len(survey.X)
    rows = [job for _, _, job in starts(notes)]
    assert len(set(rows)) > 6
    assert len(rows) == len(set(rows)) + 1  # one job was started twice


@pytest.mark.slow
def test_processes_of_this_machine_do_it_too(model, tiny_folder, monkeypatch):
    monkeypatch.setattr(trunk_runs, "TOKENS_PER_JOB", 150)
    survey = simulate(QUESTIONS)
    expected = quick(tiny_folder, QUESTIONS, max_epochs=1).fit(survey.X, survey.Y, survey.n).predict(survey.X)
    model.states = None
    with joblib.parallel_config(backend="loky", n_jobs=2):
        estimator = quick(tiny_folder, QUESTIONS, max_epochs=1).fit(survey.X, survey.Y, survey.n)
    np.testing.assert_allclose(estimator.predict(survey.X), expected, atol=1e-5)
    assert store_of(model).n_prompts_run == len(survey.X)
