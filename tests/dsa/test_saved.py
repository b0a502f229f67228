"""Saved estimators: folders of safetensors and JSON that come back as they were, or not at all."""

from __future__ import annotations

import copy
import io
import json
import pickle
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import surveysim
from surveysim import DSARegressor
from surveysim.prompts import get_template
from surveysim.saving import FORMAT, STATE_FILE, TENSOR_FILE
from tests.simulated import HAPPY, QUESTIONS, quick, simulate
from tests.tiny_models import make_tiny_model

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def survey():
    return simulate(QUESTIONS)


@pytest.fixture(scope="module")
def fitted(tiny_folder):
    survey = simulate(QUESTIONS)
    model = quick(tiny_folder, QUESTIONS, max_epochs=1)
    return model.fit(survey.X, survey.Y, survey.n, folds=survey.folds)


@pytest.fixture(autouse=True)
def few_steps():
    """Refits here have as many steps as the fit that was saved, whose fixture lives longer than a test."""


@pytest.fixture
def saved(fitted, tmp_path):
    fitted.save(tmp_path / "saved")
    return tmp_path / "saved"


def through_folder(model, tmp_path):
    model.save(tmp_path / "there")
    return surveysim.load(tmp_path / "there")


def through_pickle(model, tmp_path):
    return pickle.loads(pickle.dumps(model))


def through_joblib(model, tmp_path):
    joblib.dump(model, tmp_path / "model.joblib")
    return joblib.load(tmp_path / "model.joblib")


def through_deepcopy(model, tmp_path):
    return copy.deepcopy(model)


WAYS = [through_folder, through_pickle, through_joblib, through_deepcopy]


VARIETIES = {
    "baseline": {"init": "baseline", "n_members": 2},
    "auto": {"init": None, "shift_reference": "auto"},
    "template": {"template": replace(get_template("default"), name="deutsch", missing="keine Angabe")},
    "objects": {"random_state": np.random.default_rng(0), "dtype": torch.float32},
}


@pytest.fixture(scope="module", params=VARIETIES)
def variety(request, tiny_folder):
    """A fitted estimator of one question or three; its intervals have been asked for, so that refits travel too."""
    survey = simulate(QUESTIONS if request.param == "baseline" else {"happy": HAPPY})
    question = QUESTIONS if request.param == "baseline" else {"happy": HAPPY}
    model = quick(tiny_folder, question, max_epochs=1, **VARIETIES[request.param])
    model.fit(survey.X, survey.Y, survey.n).predict_interval(survey.X)
    return model, survey


@pytest.mark.parametrize("way", WAYS)
def test_predictions_and_intervals_come_back_bit_for_bit(way, variety, tmp_path):
    model, survey = variety
    other = way(model, tmp_path)
    np.testing.assert_array_equal(other.predict(survey.X), model.predict(survey.X))
    np.testing.assert_array_equal(other.predict_interval(survey.X), model.predict_interval(survey.X))
    pd.testing.assert_frame_equal(other.history_, model.history_)
    for name in ("questions_", "backgrounds_", "n_options_", "n_features_in_", "n_iter_", "shift_weight_", "n_pairs_"):
        assert getattr(other, name) == getattr(model, name)
    for name in ("shift_reference_", "stack_weight_", "gap_inflation_", "label_mass_", "n_dropped_"):
        assert getattr(other, name) == getattr(model, name)
    assert list(other.feature_names_in_) == list(model.feature_names_in_)
    assert other.get_params()["template"] == model.template


def test_what_was_loaded_can_be_cloned_and_fitted_again(fitted, saved, survey):
    again = clone(surveysim.load(saved)).fit(survey.X, survey.Y, survey.n, folds=survey.folds)
    np.testing.assert_array_equal(again.predict(survey.X), fitted.predict(survey.X))


def test_intervals_are_the_same_before_and_after(fitted, saved, survey):
    there = surveysim.load(saved).predict_interval(survey.X)
    np.testing.assert_array_equal(there, copy.deepcopy(fitted).predict_interval(survey.X))


def test_columns_of_all_kinds_come_back(tiny_folder, tmp_path):
    survey = simulate()
    X = survey.X.assign(
        children=[0, 1, 2, 3] * 3,
        income=[1.5, np.nan, 2.25] * 4,
        member=[True, False] * 6,
        town=["a", None, "b"] * 4,
        year=pd.array([2019, None, 2021] * 4, dtype="Int64"),
        band=pd.cut(np.arange(12), [-1, 3, 7, 12]),
    )
    model = quick(tiny_folder, max_epochs=1, shift_weight=0, init="baseline").fit(X, survey.Y, survey.n)
    other = through_folder(model, tmp_path)
    np.testing.assert_array_equal(other.predict(X), model.predict(X))
    before, after = (one._fitted.training.cells.backgrounds for one in (model, other))
    assert after["age"].dtype == before["age"].dtype
    assert after["age"].cat.ordered
    for column in ("children", "income", "member", "year"):
        pd.testing.assert_series_equal(after[column], before[column])
    np.testing.assert_array_equal(other.predict_interval(X), model.predict_interval(X))


@pytest.mark.filterwarnings("ignore:the columns of X have no names")
def test_arrays_without_names_and_no_backgrounds(tiny_folder, tmp_path):
    model = quick(tiny_folder, None, max_epochs=1).fit([[1, 2], [1, 3]], [[0.5, 0.5], [0.2, 0.8]], [30, 30])
    other = through_folder(model, tmp_path)
    assert not hasattr(other, "feature_names_in_")
    np.testing.assert_array_equal(other.predict([[2, 2]]), model.predict([[2, 2]]))
    bare = quick(tiny_folder, {"q": HAPPY}, max_epochs=1, shift_weight=0)
    bare.fit(pd.DataFrame({"question": ["q"]}), [[0.1, 0.2, 0.3, 0.4]], [50]).save(tmp_path / "bare")
    again = surveysim.load(tmp_path / "bare").predict(pd.DataFrame({"question": ["q"]}))
    np.testing.assert_array_equal(again, bare.predict(pd.DataFrame({"question": ["q"]})))


def test_the_model_folder_is_found_from_elsewhere(tiny_folder, tmp_path, monkeypatch, survey):
    monkeypatch.chdir(tiny_folder.parent)
    model = quick(tiny_folder.name, QUESTIONS, max_epochs=1).fit(survey.X, survey.Y, survey.n)
    model.save(tmp_path / "there")
    expected = model.predict(survey.X)
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(surveysim.load("there").predict(survey.X), expected)


def test_the_commit_at_fit_is_asked_for(fitted, survey, monkeypatch):
    model = copy.deepcopy(fitted)
    model.model = model._model_name = "somebody/model"
    model._model_revision = "abc123"
    asked = []

    def load_model(name, **parameters):
        asked.append((name, parameters["revision"]))
        raise ValueError("offline")

    monkeypatch.setattr("surveysim.models.load_model", load_model)
    for change in ({}, {"revision": "v2"}, {"model": "other/model"}):
        with pytest.raises(ValueError, match="offline"):
            model.set_params(**change).predict(survey.X)
    assert asked == [("somebody/model", "abc123"), ("somebody/model", "v2"), ("other/model", "v2")]


def test_another_base_model_is_refused(fitted, survey, tmp_path, saved):
    other = make_tiny_model(tmp_path / "other", seed=1)
    for model in (copy.deepcopy(fitted), surveysim.load(saved)):
        with pytest.raises(ValueError, match=r"is not the one this estimator was fitted with: its fingerprint is \w+"):
            model.set_params(model=other).predict(survey.X)


# --- the folder -------------------------------------------------------------------------------------------------------


def test_the_folder_is_small_and_holds_tensors_and_json_alone(saved, fitted, tiny_folder):
    assert sorted(file.name for file in saved.iterdir()) == sorted([STATE_FILE, TENSOR_FILE])
    tensors = load_file(saved / TENSOR_FILE)
    trained = sum(
        value.numel() * value.itemsize for member in fitted._fitted.members for value in member.tensors.values()
    )
    assert (saved / TENSOR_FILE).stat().st_size < trained + 60_000
    base = load_file(tiny_folder / "model.safetensors")
    assert not {tuple(value.shape) for value in tensors.values()} & {tuple(base["model.embed_tokens.weight"].shape)}
    state = json.loads((saved / STATE_FILE).read_text())
    assert state["class"] == "DSARegressor"
    assert state["fitted"]["model_fingerprint_"] == fitted.model_fingerprint_


def test_an_existing_path_is_never_overwritten(fitted, tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "empty").mkdir()
    for name in ("file", "empty"):
        with pytest.raises(FileExistsError, match=f"{name} exists; save to a new folder"):
            fitted.save(tmp_path / name)
    assert (tmp_path / "file").read_text() == "mine"


def test_an_unfitted_estimator_is_not_saved(tmp_path):
    with pytest.raises(NotFittedError):
        DSARegressor("nano").save(tmp_path / "there")
    assert not (tmp_path / "there").exists()


@pytest.mark.parametrize("where", ["safetensors.torch.save_file", "json.dumps", "surveysim.saving._sha256"])
@pytest.mark.parametrize("before", [True, False])
def test_an_interrupted_save_leaves_nothing(fitted, tmp_path, monkeypatch, where, before):
    module, _, name = where.rpartition(".")
    original = getattr(sys.modules[module], name)

    def interrupted(*args, **kwargs):
        if not before:
            original(*args, **kwargs)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(where, interrupted)
        with pytest.raises(KeyboardInterrupt):
            fitted.save(tmp_path / "deep" / "there")
    assert not list(tmp_path.glob("deep/*"))
    with pytest.raises(FileNotFoundError, match="does not hold a saved estimator"):
        surveysim.load(tmp_path / "deep" / "there")
    fitted.save(tmp_path / "deep" / "there")  # and the path is free


@pytest.mark.slow
@pytest.mark.parametrize("where", ["save_file", "rename"])
def test_a_killed_save_leaves_nothing_that_loads(fitted, tmp_path, where):
    with (tmp_path / "model.pickle").open("wb") as file:
        pickle.dump(fitted, file)
    script = f"""
        import os, pathlib, pickle, signal, sys
        sys.path.insert(0, {str(PROJECT)!r})
        import safetensors.torch
        original = safetensors.torch.save_file
        def killed(*args, **kwargs):
            if {where == "save_file"}:
                original(*args, **kwargs)
            os.kill(os.getpid(), signal.SIGKILL)
        owner = safetensors.torch if {where == "save_file"} else pathlib.Path
        setattr(owner, {where!r}, killed)
        model = pickle.load(open({str(tmp_path / "model.pickle")!r}, "rb"))
        model.save({str(tmp_path / "there")!r})
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    with pytest.raises(FileNotFoundError):
        surveysim.load(tmp_path / "there")


# --- what does not load -----------------------------------------------------------------------------------------------


def test_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere does not hold a saved estimator: surveysim\.json"):
        surveysim.load(tmp_path / "nowhere")


@pytest.mark.parametrize("place", [0, 40, -1])
def test_damaged_tensors(saved, place):
    content = bytearray((saved / TENSOR_FILE).read_bytes())
    content[place] ^= 255
    (saved / TENSOR_FILE).write_bytes(content)
    with pytest.raises(ValueError, match=r"tensors\.safetensors is damaged"):
        surveysim.load(saved)


@pytest.mark.parametrize("keep", [0, 1, 1000])
def test_cut_off_json(saved, keep):
    (saved / STATE_FILE).write_text((saved / STATE_FILE).read_text()[:keep])
    with pytest.raises(ValueError, match=r"surveysim\.json is damaged"):
        surveysim.load(saved)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.update(format=99), r"has the format 99; this version of surveysim reads format 2"),
        (lambda state: state.pop("format"), r"has the format None"),
        (
            lambda state: state.update({"class": "os.system"}),
            r"names the class 'os\.system'; only \['DSARegressor', 'QuestionBank'\]",
        ),
        (lambda state: state["fitted"].update(stack_weight_=0.5), r"surveysim\.json is damaged: its checksum"),
        (lambda state: state.pop("questions_"), r"surveysim\.json is damaged: its checksum"),
    ],
)
def test_changed_json(saved, change, message):
    state = json.loads((saved / STATE_FILE).read_text())
    change(state)
    (saved / STATE_FILE).write_text(json.dumps(state))
    with pytest.raises(ValueError, match=message):
        surveysim.load(saved)


def test_json_that_is_no_object(saved):
    (saved / STATE_FILE).write_text("[1]")
    with pytest.raises(ValueError, match="has the format None"):
        surveysim.load(saved)


def test_loading_unpickles_nothing(saved, monkeypatch):
    for module in (pickle, torch, joblib):
        monkeypatch.setattr(module, "load", lambda *args, **kwargs: pytest.fail("unpickled"))
    assert isinstance(surveysim.load(saved), DSARegressor)


def test_a_pickle_does_not_hold_the_base_model(fitted):
    buffer = io.BytesIO()
    pickle.dump(fitted, buffer)
    trained = sum(
        value.numel() * value.itemsize for member in fitted._fitted.members for value in member.tensors.values()
    )
    assert buffer.tell() < trained + 60_000


def test_the_device_is_chosen_anew(fitted, tmp_path):
    model = copy.deepcopy(fitted).set_params(device="cpu")
    assert through_folder(model, tmp_path).device == "auto"
    assert FORMAT == 2


def test_another_version_of_the_library_is_told(fitted, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("surveysim.version.__version__", "0.0.9")
        fitted.save(tmp_path / "old")
    with pytest.warns(UserWarning, match=r"saved by surveysim 0\.0\.9"):
        surveysim.load(tmp_path / "old")
