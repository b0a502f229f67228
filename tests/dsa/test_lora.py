"""`tuning="lora"`: an opponent in the same estimator, which leaves the shared model as it was."""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import pytest

import surveysim
from surveysim import DSARegressor
from surveysim.dsa import loop, trainer
from surveysim.dsa.fitted import Member
from surveysim.metrics import js_divergence
from surveysim.models import load_model
from surveysim.trunk import adapters
from surveysim.trunk.store import store_of
from tests.simulated import HAPPY, QUESTIONS, quick, simulate, weights_hash


@pytest.fixture
def survey():
    return simulate()


def lora(folder, question=HAPPY, **parameters):
    """One epoch of each stage, nobody held out: whole passes take their time even in a tiny model."""
    return quick(folder, question, **{"tuning": "lora", "max_epochs": 1, "validation_fraction": 0.0, **parameters})


@pytest.mark.parametrize("parameters", [{}, {"init": "baseline"}, {"init": None, "n_members": 2}])
def test_the_base_model_stays_as_it_is(model, tiny_folder, survey, parameters):
    before = weights_hash(model.network), [name for name, _ in model.network.named_modules()]
    estimator = lora(tiny_folder, **parameters).fit(survey.X, survey.Y, survey.n)
    P = estimator.predict(survey.X)
    np.testing.assert_allclose(np.nansum(P, axis=1), 1.0)
    assert (weights_hash(model.network), [name for name, _ in model.network.named_modules()]) == before
    assert not any(parameter.requires_grad for parameter in model.network.parameters())
    assert not hasattr(model.network, "peft_config")
    assert store_of(model).n_prompts_run == 0  # there is no trunk
    other = lora(tiny_folder, **parameters).fit(survey.X, survey.Y, survey.n)
    np.testing.assert_array_equal(other.predict(survey.X), P)


def test_all_blocks_learn_and_the_output_rows_do_not(model, tiny_folder, survey):
    estimator = lora(tiny_folder, max_epochs=4, learning_rate=0.01).fit(survey.X, survey.Y, survey.n)
    state = estimator._fitted.members[0].tensors
    ups = [value for name, value in state.items() if name.startswith("blocks.up")]
    assert len(ups) == 6  # queries and values of three blocks
    assert all(value.any() for value in ups)
    ids = np.unique([token for option in model.labels(4).variants for token in option])
    np.testing.assert_array_equal(state["rows"], model.network.get_output_embeddings().weight.detach()[ids])


def test_fitting_helps(tiny_folder):
    survey = simulate(n=400)
    estimator = lora(tiny_folder, max_epochs=25, learning_rate=0.02, shift_weight=0.0)
    P = estimator.fit(survey.X, survey.Y, survey.n).predict(survey.X)
    margin = np.average(survey.Y, axis=0, weights=survey.n)[None].repeat(12, axis=0)
    assert js_divergence(survey.P, P) < 0.6 * js_divergence(survey.P, margin)


def test_everything_is_chosen_as_for_the_last_block(tiny_folder):
    survey = simulate({"vote": QUESTIONS["vote"], "happy": HAPPY})
    questions = {name: QUESTIONS[name] for name in ("vote", "happy")}
    settings = {"shift_reference": "auto", "shift_weight": "auto", "validation_fraction": 0.2}
    estimator = lora(tiny_folder, questions, **settings).fit(survey.X, survey.Y, survey.n)
    tried = estimator.history_[estimator.history_["phase"] == "select"]
    assert set(tried["reference"].dropna()) == {"baseline", "zero", "zero-shot"}
    assert set(estimator.gap_inflation_) == {"age", "sex", "region"}
    last_block = quick(tiny_folder, questions, max_epochs=1).fit(survey.X, survey.Y, survey.n)
    assert estimator.label_mass_ == pytest.approx(last_block.label_mass_, rel=1e-3)
    assert estimator.n_pairs_ == last_block.n_pairs_


def test_members_start_at_different_adapters(tiny_folder, survey):
    estimator = lora(tiny_folder, n_members=2).fit(survey.X, survey.Y, survey.n)
    first, second = (member.tensors["blocks.down.0"] for member in estimator._fitted.members)
    assert float((first - second).abs().max()) > 0.01


def test_predictions_do_not_depend_on_batches_or_chunks(tiny_folder, survey, monkeypatch):
    estimator = lora(tiny_folder, max_epochs=2).fit(survey.X, survey.Y, survey.n)
    expected = estimator.predict(survey.X)
    monkeypatch.setattr(adapters, "TOKENS_PER_CHUNK", 64)
    np.testing.assert_allclose(estimator.set_params(batch_size=7).predict(survey.X), expected, atol=1e-6)
    again = lora(tiny_folder, max_epochs=2).fit(survey.X, survey.Y, survey.n)
    np.testing.assert_allclose(again.predict(survey.X), expected, atol=1e-4)


def test_saved_and_loaded(tiny_folder, survey, tmp_path):
    estimator = lora(tiny_folder, init="baseline", n_members=2).fit(survey.X, survey.Y, survey.n)
    interval = estimator.predict_interval(survey.X)
    estimator.save(tmp_path / "there")
    other = surveysim.load(tmp_path / "there")
    assert other.tuning == "lora"
    np.testing.assert_array_equal(other.predict(survey.X), estimator.predict(survey.X))
    np.testing.assert_array_equal(other.predict_interval(survey.X), interval)
    copied = copy.deepcopy(estimator)
    np.testing.assert_array_equal(copied.predict(survey.X), estimator.predict(survey.X))


MOMENTS = {"first pass": (adapters.AdapterPass, "_run"), "stage 2": (loop, "shift_loss"), "refit": (trainer, "settle")}


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("moment", [*MOMENTS, "member", "deep within"])
def test_an_interrupted_fit_leaves_the_model_and_the_estimator_as_they_were(
    model, tiny_folder, survey, moment, error, monkeypatch
):
    before = weights_hash(model.network)

    def interrupted(*args, **kwargs):
        raise error

    estimator = lora(tiny_folder)
    with monkeypatch.context() as patch:
        if moment == "deep within":  # while the adapters are in the model
            patch.setattr(model.network.model.layers[1].mlp, "forward", interrupted)
        else:
            patch.setattr(*({**MOMENTS, "member": (Member, "of")}[moment]), interrupted)
        with pytest.raises(error):
            estimator.fit(survey.X, survey.Y, survey.n)
    assert [name for name in vars(estimator) if name.endswith("_") or name.startswith("_")] == []
    assert weights_hash(model.network) == before
    assert not any(parameter.requires_grad for parameter in model.network.parameters())
    P = estimator.fit(survey.X, survey.Y, survey.n).predict(survey.X)
    np.testing.assert_array_equal(lora(tiny_folder).fit(survey.X, survey.Y, survey.n).predict(survey.X), P)


def test_a_last_block_fit_beside_it_is_not_disturbed(tiny_folder, survey):
    alone = quick(tiny_folder).fit(survey.X, survey.Y, survey.n)
    expected = alone.predict(survey.X)
    adapted = lora(tiny_folder, max_epochs=2, learning_rate=0.01).fit(survey.X, survey.Y, survey.n)
    adapted.predict(survey.X)
    np.testing.assert_array_equal(alone.predict(survey.X), expected)
    again = quick(tiny_folder).fit(survey.X, survey.Y, survey.n)
    np.testing.assert_array_equal(again.predict(survey.X), expected)
    assert np.nanmax(np.abs(adapted.predict(survey.X) - expected)) > 0


def test_nano():
    X = pd.DataFrame({"age": ["18-29", "30-64", "65+"] * 2, "gender": ["woman"] * 3 + ["man"] * 3})
    Y = np.array([[0.5, 0.3, 0.2], [0.4, 0.3, 0.3], [0.3, 0.3, 0.4], [0.4, 0.4, 0.2], [0.3, 0.4, 0.3], [0.2, 0.4, 0.4]])
    before = weights_hash(load_model("nano").network)
    question = surveysim.Question("Are you content with your town?", ["yes", "partly", "no"])
    settings = {"validation_fraction": 0.0, "max_epochs": 15, "learning_rate": 0.005, "random_state": 0}
    estimator = DSARegressor("nano", question=question, tuning="lora", shift_weight=0.0, **settings)
    P = estimator.fit(X, Y, sample_weight=[4000] * 6).predict(X)
    assert js_divergence(Y, P) < 0.3 * js_divergence(Y, Y.mean(axis=0)[None].repeat(6, axis=0))
    assert weights_hash(load_model("nano").network) == before
