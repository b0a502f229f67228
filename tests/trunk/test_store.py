"""Trunk states: run once per distinct prompt, kept in memory, spilled to disk, shared through a folder."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import sklearn
import torch
from safetensors import safe_open
from sklearn.model_selection import KFold, cross_val_score

from surveysim.dsa import fit as fit_room
from surveysim.dsa import inputs
from surveysim.metrics import neg_js_divergence_scorer
from surveysim.models import load_model
from surveysim.prompts import get_template
from surveysim.trunk import state_folder, trunk_runs
from surveysim.trunk import store as store_room
from surveysim.trunk.encode import encode_cells
from surveysim.trunk.recipe import Recipe
from surveysim.trunk.store import store_of
from tests.simulated import HAPPY, QUESTIONS, quick, simulate

PROJECT = Path(__file__).resolve().parents[2]


def prompts_of(model, X, question_index=None):
    index = np.zeros(len(X), dtype=int) if question_index is None else question_index
    return encode_cells(model, get_template("default"), X, index, [HAPPY])


def states_of(inputs):
    return inputs.batch(range(len(inputs))).states


def test_each_prompt_runs_once_and_the_model_loads_once_in_a_cross_validation(tiny_folder, loads):
    survey = simulate(QUESTIONS)
    with sklearn.config_context(enable_metadata_routing=True):
        estimator = quick(tiny_folder, QUESTIONS).set_fit_request(sample_weight=True)
        scores = cross_val_score(
            estimator,
            survey.X,
            survey.Y,
            cv=KFold(5, shuffle=True, random_state=0),
            params={"sample_weight": survey.n},
            scoring=neg_js_divergence_scorer.set_score_request(sample_weight=True),
        )
    assert len(set(scores)) == 5
    assert loads() == 1
    assert store_of(load_model(tiny_folder)).n_prompts_run == len(survey.X)
    # nor do grid points, predictions and other estimators run anything
    quick(tiny_folder, QUESTIONS, shift_reference="baseline").fit(survey.X, survey.Y).predict(survey.X)
    assert store_of(load_model(tiny_folder)).n_prompts_run == len(survey.X)


def test_other_blocks_have_states_of_their_own(tiny_folder):
    survey = simulate()
    quick(tiny_folder).fit(survey.X, survey.Y, survey.n)
    quick(tiny_folder, n_blocks=2).fit(survey.X, survey.Y, survey.n)
    assert store_of(load_model(tiny_folder)).n_prompts_run == 2 * len(survey.X)


@pytest.mark.parametrize("budget", [0, 20_000])
def test_states_beyond_the_budget_are_memory_mapped_and_equal(model, tiny_folder, budget, monkeypatch):
    survey = simulate()
    expected = quick(tiny_folder).fit(survey.X, survey.Y, survey.n).predict(survey.X)
    model.states = None
    monkeypatch.setitem(trunk_runs.TOKENS_PER_PASS, "cpu", 64)  # several passes: some states fit, others do not
    store = store_of(load_model(tiny_folder))
    store.memory_budget = budget
    found = quick(tiny_folder).fit(survey.X, survey.Y, survey.n).predict(survey.X)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert store.n_prompts_run == len(survey.X)
    assert (len(store._memory) > 0) == (budget > 0)
    assert any(len(folder) for folder in store._folders.values())


def test_a_spill_folder_goes_with_the_store(model):
    store = store_of(model)
    store.memory_budget = 0
    store.inputs(1, prompts_of(model, simulate().X))
    (folder,) = [folder.path for folder in store._folders.values()]
    assert list(folder.glob("*.safetensors"))
    model.states = None
    del store
    gc.collect()
    assert not folder.exists()


# --- trunk_cache ------------------------------------------------------------------------------------------------------


def test_a_cache_folder_serves_later_processes(model, tiny_folder, tmp_path):
    survey = simulate()
    expected = quick(tiny_folder, trunk_cache=tmp_path / "cache").fit(survey.X, survey.Y, survey.n).predict(survey.X)
    model.states = None
    again = quick(tiny_folder, trunk_cache=str(tmp_path / "cache")).fit(survey.X, survey.Y, survey.n)
    np.testing.assert_array_equal(again.predict(survey.X), expected)
    assert store_of(load_model(tiny_folder)).n_prompts_run == 0


@pytest.mark.slow
def test_a_cache_folder_serves_another_process(tiny_folder, tmp_path):
    survey = simulate()
    expected = quick(tiny_folder, trunk_cache=tmp_path / "cache").fit(survey.X, survey.Y, survey.n).predict(survey.X)
    script = f"""
import sys
sys.path.insert(0, {str(PROJECT)!r})
import numpy as np
from surveysim.models import load_model
from surveysim.trunk.recipe import Recipe
from surveysim.dsa import loop
from surveysim.trunk.store import store_of
from tests.simulated import quick, simulate
loop.MIN_STEPS = 1
survey = simulate()
model = quick({str(tiny_folder)!r}, trunk_cache={str(tmp_path / "cache")!r}).fit(survey.X, survey.Y, survey.n)
np.save({str(tmp_path / "P.npy")!r}, model.predict(survey.X))
print(store_of(load_model({str(tiny_folder)!r})).n_prompts_run)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "0"
    np.testing.assert_allclose(np.load(tmp_path / "P.npy"), expected, atol=1e-6)


def test_states_that_are_in_memory_already_are_put_into_the_folder_too(model, tmp_path):
    survey = simulate()
    store, prompts = store_of(model), prompts_of(model, survey.X)
    store.inputs(1, prompts)
    store.inputs(1, prompts, folder=tmp_path)
    assert store.n_prompts_run == len(survey.X)
    model.states = None
    store = store_of(model)
    store.inputs(1, prompts, folder=tmp_path)
    assert store.n_prompts_run == 0
    files = len(list(tmp_path.iterdir()))
    store.inputs(1, prompts, folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == files


def test_files_that_another_process_added_are_seen(model, tmp_path):
    survey = simulate()
    prompts = prompts_of(model, survey.X)
    here = store_of(model)
    here.inputs(1, prompts_of(model, survey.X.iloc[:4]), folder=tmp_path)
    model.states = None  # another process, as far as the folder can tell
    there = store_of(model)
    there.inputs(1, prompts, folder=tmp_path)
    here.inputs(1, prompts, folder=tmp_path)
    assert (here.n_prompts_run, there.n_prompts_run) == (4, len(survey.X) - 4)


@pytest.mark.parametrize("keep", [0, 7, 200, -1])
def test_a_file_that_was_cut_off_is_not_believed(model, tmp_path, keep):
    prompts = prompts_of(model, simulate().X)
    expected = states_of(store_of(model).inputs(1, prompts, folder=tmp_path))
    for file in tmp_path.glob("*.safetensors"):
        file.write_bytes(file.read_bytes()[:keep])
    model.states = None
    store = store_of(model)
    torch.testing.assert_close(states_of(store.inputs(1, prompts, folder=tmp_path)), expected)
    assert store.n_prompts_run == len(prompts)


def test_nothing_half_written_carries_a_final_name(tiny_folder, tmp_path, monkeypatch):
    save = state_folder.save_file

    def interrupted(tensors, file, **options):
        save(tensors, file, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(state_folder, "save_file", interrupted)
    survey = simulate()
    with pytest.raises(KeyboardInterrupt):
        quick(tiny_folder, trunk_cache=tmp_path).fit(survey.X, survey.Y, survey.n)
    assert not list(tmp_path.glob("*.safetensors"))


def test_a_cache_folder_that_was_removed_is_made_again(tiny_folder, tmp_path):
    survey = simulate()
    folder = tmp_path / "cache"
    model = quick(tiny_folder, trunk_cache=folder).fit(survey.X.iloc[:6], survey.Y[:6], survey.n[:6])
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    P = model.predict(survey.X)
    assert P.shape == (12, 4)
    assert list(folder.glob("*.safetensors"))


def test_number_types_do_not_share_states(model, tmp_path):
    prompts = prompts_of(model, simulate().X)
    store_of(model).inputs(1, prompts, folder=tmp_path)
    half = store_of(load_model(model.folder, dtype="bfloat16"))
    half.inputs(1, prompts, folder=tmp_path)
    assert half.n_prompts_run == len(prompts)
    kinds = set()
    for file in tmp_path.glob("*.safetensors"):
        with safe_open(file, framework="pt") as handle:
            kinds |= {handle.get_tensor(key).dtype for key in handle.keys()}  # noqa: SIM118
    assert kinds == {torch.float32, torch.bfloat16}


def test_states_do_not_depend_on_what_runs_beside_them(model):
    X = simulate().X
    together = store_of(model).inputs(1, prompts_of(model, X))
    model.states = None
    store = store_of(model)
    for row in range(len(X)):
        store.inputs(1, prompts_of(model, X.iloc[[row]]))
    assert store.n_prompts_run == len(X)
    alone = store.inputs(1, prompts_of(model, X))
    assert store.n_prompts_run == len(X)
    torch.testing.assert_close(states_of(alone), states_of(together), atol=1e-5, rtol=1e-5)


# --- passes -----------------------------------------------------------------------------------------------------------


def test_a_questions_prefix_runs_once_however_many_passes_follow(model, monkeypatch):
    monkeypatch.setitem(trunk_runs.TOKENS_PER_PASS, "cpu", 40)
    X = simulate(QUESTIONS).X
    index = np.array(X["question"].map(list(QUESTIONS).index))
    prompts = encode_cells(model, get_template("default"), X.drop(columns="question"), index, list(QUESTIONS.values()))
    store = store_of(model)
    recipe, runs = store.recipe(1), []
    run_prefix, run_states = Recipe.prefix, Recipe.states
    monkeypatch.setattr(Recipe, "prefix", lambda self, ids: runs.append("prefix") or run_prefix(self, ids))
    monkeypatch.setattr(
        Recipe, "states", lambda self, shared, part: runs.append(len(part)) or run_states(self, shared, part)
    )
    found = states_of(store.inputs(1, prompts))
    assert runs.count("prefix") == 3
    assert len(runs) > 3 + 2 * 3
    assert sum(run for run in runs if run != "prefix") == len(X)
    model.states = None
    monkeypatch.setitem(trunk_runs.TOKENS_PER_PASS, "cpu", 10_000)
    runs.clear()
    torch.testing.assert_close(states_of(store_of(model).inputs(1, prompts)), found, atol=1e-5, rtol=1e-5)
    assert len(runs) == 3 + 3
    assert recipe.frozen.shares


def test_no_pass_is_larger_than_its_budget_of_tokens(model, monkeypatch):
    monkeypatch.setitem(trunk_runs.TOKENS_PER_PASS, "cpu", 100)
    for shares in (True, False):  # where nothing is shared, the prefix counts for every prompt
        model.states = None
        store, prompts, sizes = store_of(model), prompts_of(model, simulate().X), []
        recipe = store.recipe(1)
        monkeypatch.setattr(recipe.frozen, "shares", shares)

        def spying(shared, part, sizes=sizes, recipe=recipe):
            repeated = 0 if shared.layers is not None else len(shared.ids)
            sizes.append((len(part), len(part) * (repeated + max(map(len, part)))))
            return Recipe.states(recipe, shared, part)

        monkeypatch.setattr(recipe, "states", spying)
        store.inputs(1, prompts)
        assert sum(n for n, _ in sizes) == len(prompts)
        assert all(tokens <= 100 or n == 1 for n, tokens in sizes)
        assert max(n for n, _ in sizes) > 1 if shares else True


OUT_OF_MEMORY = {
    "a card": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
    "the machine": RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"),
    "python": MemoryError(),
}


@pytest.mark.parametrize("error", OUT_OF_MEMORY.values(), ids=OUT_OF_MEMORY)
def test_where_memory_runs_out_passes_are_halved_with_one_warning(model, monkeypatch, error):
    prompts = prompts_of(model, simulate().X)
    expected = states_of(store_of(model).inputs(1, prompts))
    model.states = None
    store, fitting = store_of(model), []

    def short_of_memory(self, shared, part, run=Recipe.states):
        if len(part) > 3:
            raise error
        fitting.append(len(part))
        return run(self, shared, part)

    store.recipe(1)
    monkeypatch.setattr(Recipe, "states", short_of_memory)
    with pytest.warns(UserWarning, match="memory ran out with .* tokens in one pass") as caught:
        found = states_of(store.inputs(1, prompts))
    assert len(caught) == 1
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert sum(fitting) == len(prompts) == store.n_prompts_run
    assert max(fitting) > 1  # halved, not given up
    size = store.pass_size.tokens
    store.inputs(2, prompts)  # what was learned is remembered: nothing fails, nothing is said
    assert store.pass_size.tokens == size


def test_a_single_prompt_that_does_not_fit_is_an_error_that_says_so(model, monkeypatch):
    store = store_of(model)
    store.recipe(1)

    def short_of_memory(self, shared, part):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Recipe, "states", short_of_memory)
    with (
        pytest.warns(UserWarning, match="memory ran out"),
        pytest.raises(torch.OutOfMemoryError, match="CUDA out of memory") as caught,
    ):
        store.inputs(1, prompts_of(model, simulate().X))
    assert "single prompt of" in caught.value.__notes__[0]


def test_other_errors_are_not_taken_for_a_lack_of_memory(model, monkeypatch):
    store = store_of(model)
    store.recipe(1)
    calls = []

    def broken(self, shared, part):
        calls.append(len(part))
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(Recipe, "states", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        store.inputs(1, prompts_of(model, simulate().X))
    assert len(calls) == 1


def test_the_output_layer_is_not_run(model):
    store = store_of(model)
    recipe = store.recipe(1)
    calls = []
    handle = recipe.anatomy.output.register_forward_hook(lambda *args: calls.append(1))
    last = recipe.anatomy.blocks[-1].register_forward_hook(lambda *args: calls.append(2))
    store.inputs(1, prompts_of(model, simulate().X))
    handle.remove()
    last.remove()
    assert calls == []


@pytest.mark.slow
def test_a_killed_process_is_gone_on_from_where_it_was(tiny_folder, tmp_path):
    """SIGKILL in the middle of the trunk pass: what was written is not run again, and the result is the same."""
    script = f"""
import os, signal, sys
sys.path.insert(0, {str(PROJECT)!r})
from surveysim.trunk.recipe import Recipe
from surveysim.trunk import trunk_runs
from tests.simulated import quick, simulate
trunk_runs.TOKENS_PER_PASS["cpu"] = 60
run, calls = Recipe.states, []
def states(self, shared, part):
    calls.append(1)
    if len(calls) == 5:  # two belong to the self-check of the recipe
        os.kill(os.getpid(), signal.SIGKILL)
    return run(self, shared, part)
Recipe.states = states
survey = simulate()
quick({str(tiny_folder)!r}, trunk_cache={str(tmp_path)!r}).fit(survey.X, survey.Y, survey.n)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    written = {key for file in tmp_path.glob("*.safetensors") for key in safe_open(file, framework="pt").keys()}  # noqa: SIM118
    assert 0 < len(written) - 1 < 12
    survey = simulate()
    resumed = quick(tiny_folder, trunk_cache=tmp_path).fit(survey.X, survey.Y, survey.n)
    store = store_of(load_model(tiny_folder))
    assert store.n_prompts_run == 12 - (len(written) - 1)  # one of the keys is the question's prefix
    load_model(tiny_folder).states = None
    at_once = quick(tiny_folder).fit(survey.X, survey.Y, survey.n)
    np.testing.assert_allclose(resumed.predict(survey.X), at_once.predict(survey.X), atol=1e-5)


def test_what_a_killed_process_never_finished_is_removed_after_a_day(model, tmp_path):
    old, new = tmp_path / "old.partial", tmp_path / "new.partial"
    for file, age in ((old, 2 * state_folder.ABANDONED), (new, 0.0)):
        file.write_bytes(b"half")
        os.utime(file, (time.time() - age, time.time() - age))
    store_of(model).inputs(1, prompts_of(model, simulate().X), folder=tmp_path)
    assert not old.exists()
    assert new.exists()


# --- padded copies ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("copies", [1.0, 1.2, 1e6])
def test_padded_copies_stay_within_the_budget_and_change_nothing(model, tiny_folder, monkeypatch, copies):
    survey = simulate(QUESTIONS)
    settings = {"batch_size": 12, "max_epochs": 1}
    expected = quick(tiny_folder, QUESTIONS, **settings).fit(survey.X, survey.Y, survey.n).predict(survey.X)
    model.states = None
    store = store_of(model)
    store.memory_budget = 150_000
    monkeypatch.setattr(store_room, "COPIES", copies)
    made = []
    monkeypatch.setattr(fit_room, "Batches", lambda *args, make=fit_room.Batches: made.append(make(*args)) or made[-1])
    found = quick(tiny_folder, QUESTIONS, **settings).fit(survey.X, survey.Y, survey.n).predict(survey.X)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    (batches,) = made
    kept = sum(inputs.nbytes for inputs in batches._padded.values())
    assert store.n_bytes + kept <= copies * store.memory_budget
    assert len(batches.parts) == 3
    assert (len(batches._padded) == 3) == (copies == 1e6)


def test_members_and_refits_render_and_tokenise_once(tiny_folder, monkeypatch):
    survey = simulate(QUESTIONS)
    calls = []
    monkeypatch.setattr(inputs, "encode_cells", lambda *args: calls.append(1) or encode_cells(*args))
    model = quick(tiny_folder, QUESTIONS, n_members=3, max_epochs=1).fit(survey.X, survey.Y, survey.n)
    assert len(calls) == 1
    model.predict_interval(survey.X)
    # the refits together; then the members and the refits, on the training cells and on those that are predicted
    assert len(calls) == 1 + 1 + 2 + 2
    model.predict_interval(survey.X)
    assert len(calls) == 1 + 1 + 2 + 2 + 2  # neither refits nor what the training cells say a second time
