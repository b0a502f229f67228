"""A trained bank: kept, found again, and refused where it does not fit."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator

import surveysim
from surveysim import DSARegressor, FusedRegressor, Question, QuestionBank, ZeroShotElicitor
from surveysim.asking.asks import Ask
from surveysim.bank import find_bank
from surveysim.bank.answerer import BankAnswerer
from surveysim.dsa import loop
from surveysim.models import Labels, LoadedModel, load_model
from surveysim.prompts import get_template, render
from surveysim.saving import STATE_FILE, TENSOR_FILE
from tests.banks import OPTIONS, small_bank
from tests.simulated import HAPPY, QUESTIONS, quick, simulate
from tests.tiny_models import make_tiny_model

NEW = Question("Do you like plums?", OPTIONS)
X = pd.DataFrame({"age": ["18-29", "65+"]})


@pytest.fixture(scope="module")
def bank(tiny_folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "MIN_STEPS", 1)
        trained = small_bank(tiny_folder, max_epochs=2)
    return replace(trained, weight=0.5)  # whatever held-out questions said


def elicitor(folder, bank, question=NEW, **parameters):
    settings = {"method": "logprob", "question": question, "device": "cpu", **parameters}
    return ZeroShotElicitor(folder, base=bank, **settings)


@pytest.fixture
def saved(bank, tmp_path):
    bank.save(tmp_path / "bank")
    return tmp_path / "bank"


class TestKeeping:
    def test_a_bank_comes_back_as_it_was(self, bank, saved, tiny_folder):
        again = surveysim.load(saved)
        assert isinstance(again, QuestionBank)
        assert again.digest == bank.digest
        for name in (
            "model_name",
            "fingerprint",
            "tuning",
            "n_blocks",
            "letters",
            "row_ids",
            "means",
            "weight",
            "about",
        ):
            assert getattr(again, name) == getattr(bank, name)
        pd.testing.assert_frame_equal(again.report, bank.report)
        P = elicitor(tiny_folder, bank).fit(X).predict(X)
        np.testing.assert_array_equal(elicitor(tiny_folder, saved).fit(X).predict(X), P)
        np.testing.assert_array_equal(elicitor(tiny_folder, str(saved)).fit(X).predict(X), P)

    def test_no_answers_of_people_are_in_it(self, saved):
        """What may not be passed on stays behind: only the mean margin by number of options is kept."""
        assert "Do you like" not in (saved / STATE_FILE).read_text()

    def test_an_existing_folder_is_not_written_over(self, bank, saved):
        with pytest.raises(FileExistsError):
            bank.save(saved)

    def test_a_damaged_folder_is_not_opened(self, saved, tiny_folder):
        content = (saved / TENSOR_FILE).read_bytes()
        (saved / TENSOR_FILE).write_bytes(content[:-8])
        with pytest.raises(ValueError, match="damaged"):
            elicitor(tiny_folder, saved).fit(X)

    def test_a_folder_of_something_else_is_not_a_bank(self, tmp_path, tiny_folder):
        survey = simulate()
        quick(tiny_folder, max_epochs=1, shift_weight=0).fit(survey.X, survey.Y, survey.n).save(tmp_path / "dsa")
        with pytest.raises(ValueError, match=r"names the class 'DSARegressor'; only \['QuestionBank'\]"):
            find_bank(tmp_path / "dsa")

    def test_it_travels_in_pickles_and_clones(self, bank, tiny_folder):
        P = elicitor(tiny_folder, bank).fit(X).predict(X)
        cloned = clone(elicitor(tiny_folder, bank))
        assert cloned.base is bank  # megabytes that nobody changes
        assert copy.deepcopy(bank) is bank
        again = pickle.loads(pickle.dumps(cloned.fit(X)))
        np.testing.assert_array_equal(again.predict(X), P)

    def test_repr_says_what_it_is_worth(self, bank):
        assert "16 questions of 2 surveys" in repr(bank)
        assert "wave, divergence: bank 0." in repr(bank)


class TestAsking:
    def test_predictions_are_the_mean_times_what_the_model_says(self, bank, tiny_folder):
        """log p = log mean + weight * logits, up to a constant: 0 leaves the mean, and 1 twice what .5 adds."""
        P = {w: elicitor(tiny_folder, replace(bank, weight=w)).fit(X).predict(X) for w in (0.0, 0.25, 0.5)}
        np.testing.assert_allclose(P[0.0], np.tile(bank.means[3], (2, 1)), rtol=1e-6)
        added = {w: np.log(P[w]) - np.log(P[0.0]) for w in (0.25, 0.5)}
        contrasts = {w: a - a[:, :1] for w, a in added.items()}
        np.testing.assert_allclose(contrasts[0.5], 2 * contrasts[0.25], rtol=1e-4, atol=1e-6)

    def test_labels_have_all_the_probability(self, bank, tiny_folder):
        elicitation = elicitor(tiny_folder, bank).fit(X).elicit(X)
        np.testing.assert_allclose(elicitation.label_mass, 1.0)

    def test_prompts_are_asked_together_as_one_by_one(self, bank, tiny_folder):
        model = load_model(tiny_folder, device="cpu")
        answerer = BankAnswerer(model, bank)
        questions = [NEW, Question("Do you vote?", ["no", "yes"]), Question("Are you content with your town?", OPTIONS)]
        asks = [
            Ask(render(get_template("default"), question, {"age": age}, labels=labels), "label", labels)
            for question in questions
            for age in (30, 40, 50)
            for labels in [answerer.labels(question.n_options)]
        ]
        together = answerer.answer(asks)
        for ask, answer in zip(asks, together, strict=True):
            np.testing.assert_allclose(answerer.answer([ask])[0].label_logprobs, answer.label_logprobs, atol=1e-5)
        assert answerer.answer([]) == []

    def test_a_journal_tells_banks_apart(self, bank, tiny_folder, tmp_path):
        first = elicitor(tiny_folder, bank, journal=tmp_path / "journal.sqlite").fit(X).predict(X)
        other = elicitor(tiny_folder, replace(bank, weight=1.0), journal=tmp_path / "journal.sqlite").fit(X).predict(X)
        again = elicitor(tiny_folder, bank, journal=tmp_path / "journal.sqlite").fit(X).predict(X)
        np.testing.assert_array_equal(first, again)
        assert not np.allclose(first, other)

    def test_it_is_a_source_of_a_fusion(self, bank, tiny_folder):
        survey = simulate()
        fused = FusedRegressor(elicitor(tiny_folder, bank, question=None), question=HAPPY)
        P = fused.fit(survey.X, survey.Y, survey.n).predict(survey.X)
        np.testing.assert_allclose(P.sum(axis=1), 1.0)
        assert np.isfinite(fused.model_worth_)  # of an untrained model: about nothing, on either side of 0
        ready = FrozenEstimator(elicitor(tiny_folder, bank, question=HAPPY).fit(survey.X))
        np.testing.assert_allclose(
            FusedRegressor(ready, question=HAPPY).fit(survey.X, survey.Y, survey.n).predict(survey.X), P, atol=1e-6
        )

    @pytest.mark.parametrize(
        ("parameters", "error", "message"),
        [
            ({"method": "verbalized"}, ValueError, "base needs method='logprob', got 'verbalized'"),
            ({"option_orders": "reverse"}, ValueError, "option_orders='reverse' with base"),
            ({"base": 3}, TypeError, "base must be a QuestionBank, the folder of a saved one, or None, got int"),
            ({"base": "no/such/folder"}, FileNotFoundError, "does not hold a saved estimator"),
            ({"model": "openai:gpt-4o"}, ValueError, "a model behind a server"),
            ({"model": "nano"}, ValueError, r"base was trained on the model .*, but model='nano' is another one"),
        ],
    )
    def test_what_does_not_fit_is_refused_before_anything_is_loaded(
        self, bank, tiny_folder, parameters, error, message
    ):
        before = LoadedModel.n_loads
        with pytest.raises(error, match=message):
            elicitor(tiny_folder, bank).set_params(**parameters).fit(X)
        assert LoadedModel.n_loads == before


class TestWhatItFits:
    def test_other_weights_are_refused(self, bank, tmp_path):
        other = make_tiny_model(tmp_path / "other", seed=1)
        with pytest.raises(ValueError, match="has other weights"):
            elicitor(other, bank).fit(X).predict(X)
        with pytest.raises(ValueError, match="has other weights"):
            DSARegressor(other, base=bank, device="cpu").fit(X, [[0.5, 0.5], [0.2, 0.8]], [50, 50])

    def test_other_labels_are_refused(self, bank, tiny_folder, monkeypatch):
        model = load_model(tiny_folder, device="cpu")
        own = model.labels(3)
        bank.check_model(model)
        monkeypatch.setitem(model._labels, 3, Labels(("1", "2", "3"), own.variants))
        with pytest.raises(ValueError, match=r"labels \('A', 'B', 'C'\) for 3 options, but .* has \('1', '2', '3'\)"):
            bank.check_model(model)
        monkeypatch.setitem(model._labels, 3, Labels(own.letters, ((1,), (2,), (3,))))
        with pytest.raises(ValueError, match="or writes them with other tokens"):
            bank.check_model(model)

    def test_a_copy_of_the_model_elsewhere_is_the_same_model(self, bank, tiny_folder, tmp_path):
        import shutil

        shutil.copytree(tiny_folder, tmp_path / "copy")
        P = elicitor(tiny_folder, bank).fit(X).predict(X)
        np.testing.assert_array_equal(elicitor(tmp_path / "copy", bank).fit(X).predict(X), P)

    @pytest.mark.parametrize("parameters", [{"n_blocks": 2}, {"tuning": "lora"}])
    def test_training_starts_from_it_with_the_same_part_alone(self, bank, tiny_folder, parameters):
        with pytest.raises(ValueError, match=r"base was trained with tuning='last-block' and n_blocks=1"):
            quick(tiny_folder, base=bank, **parameters).fit(X, np.full((2, 4), 0.25), [50, 50])


class TestTrainingOn:
    """`DSARegressor(base=...)` starts at the bank's weights, over the same frozen blocks."""

    def test_without_an_epoch_it_predicts_what_the_bank_does(self, bank, tiny_folder):
        """A learning rate of almost 0 leaves the head where it starts: at the mean and the bank's weights."""
        survey = simulate({"new": replace(HAPPY, options=OPTIONS)})
        parameters = {"init": None, "learning_rate": 1e-12, "max_epochs": 1, "shift_weight": 0, "device": "cpu"}
        model = quick(tiny_folder, {"new": replace(HAPPY, options=OPTIONS)}, base=bank, **parameters)
        P = model.fit(survey.X, survey.Y, survey.n).predict(survey.X)
        asked = elicitor(tiny_folder, bank, {"new": replace(HAPPY, options=OPTIONS)}).fit(survey.X).predict(survey.X)
        np.testing.assert_allclose(P, asked, atol=2e-3)  # blocks are kept in two bytes a number
        plain = model.set_params(base=None).fit(survey.X, survey.Y, survey.n).predict(survey.X)
        assert np.abs(P - plain).max() > 0.01

    def test_frozen_blocks_are_run_once_for_both(self, bank, tiny_folder, loads):
        from surveysim.trunk.store import store_of

        survey = simulate()
        quick(tiny_folder).fit(survey.X, survey.Y, survey.n)
        n_run = store_of(load_model(tiny_folder)).n_prompts_run
        quick(tiny_folder, base=bank).fit(survey.X, survey.Y, survey.n)
        assert store_of(load_model(tiny_folder)).n_prompts_run == n_run
        assert loads() <= 2

    @pytest.mark.parametrize("init", ["marginal", "baseline", None])
    def test_saved_and_loaded_it_predicts_and_refits_without_the_bank(self, bank, tiny_folder, saved, tmp_path, init):
        survey = simulate(QUESTIONS)
        model = quick(tiny_folder, QUESTIONS, base=saved, init=init, max_epochs=1)
        model.fit(survey.X, survey.Y, survey.n, folds=survey.folds)
        model.save(tmp_path / "model")
        import shutil

        shutil.rmtree(saved)
        again = surveysim.load(tmp_path / "model")
        np.testing.assert_array_equal(again.predict(survey.X), model.predict(survey.X))
        np.testing.assert_allclose(again.predict_interval(survey.X), model.predict_interval(survey.X), atol=1e-6)
        assert again.base.digest == bank.digest

    def test_a_bank_without_weight_is_no_start(self, bank, tiny_folder):
        survey = simulate()
        own = quick(tiny_folder).fit(survey.X, survey.Y, survey.n).predict(survey.X)
        found = quick(tiny_folder, base=replace(bank, weight=0.0)).fit(survey.X, survey.Y, survey.n).predict(survey.X)
        np.testing.assert_allclose(found, own, atol=1e-6)

    def test_the_bank_itself_is_never_changed(self, bank, tiny_folder):
        before = {name: tensor.clone() for name, tensor in bank.tensors.items()}
        survey = simulate()
        quick(tiny_folder, base=bank).fit(survey.X, survey.Y, survey.n)
        assert all(torch.equal(bank.tensors[name], tensor) for name, tensor in before.items())
