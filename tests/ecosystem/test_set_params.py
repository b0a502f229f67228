"""Parameters after a fit, and parameters of parts: as in scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import surveysim
from surveysim import (
    CalibratedElicitor,
    DSARegressor,
    FusedRegressor,
    Question,
    RecordedElicitor,
    SimilarityElicitor,
    ZeroShotElicitor,
)
from surveysim.baselines import CellRegressor, LogitRegressor, MarginalRegressor
from surveysim.calibration import DistributionCalibrator, TemperedCalibrator
from surveysim.metrics import get_scorer
from tests.ecosystem.data import QUESTION, N, X, Y

OTHER = Question("Which party?", ["red", "green", "blue"], ordinal=False)

P = np.array([[0.1, 0.2, 0.7], [0.2, 0.3, 0.5], [0.3, 0.4, 0.3], [0.2, 0.2, 0.6], [0.3, 0.2, 0.5], [0.6, 0.3, 0.1]])

SAID = RecordedElicitor(X, P, question=QUESTION, elicited_by="logprob")


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        (MarginalRegressor(question=QUESTION), {"question": {"a": OTHER, "b": OTHER}, "unseen": "uniform"}),
        (CellRegressor(shrinkage=5, question=QUESTION), {"shrinkage": 0.0, "question_column": "age"}),
        (LogitRegressor(question=QUESTION), {"ordered": False, "prior": "eb", "question": OTHER}),
        (SAID, {"P_recorded": P[::-1], "on_missing": "nan", "question": None}),
        (FusedRegressor(SAID, question=QUESTION, random_state=0), {"elicitor": None, "random_state": 1}),
        (
            CalibratedElicitor(SAID, calibrator="linear", gate=False),
            {"estimator": MarginalRegressor(), "objective": "kl", "use_backgrounds": True},
        ),
        (CalibratedElicitor(SAID), {"estimator__question": {"a": OTHER}, "estimator__P_recorded": P[::-1]}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_predictions_are_those_of_the_fit_until_the_next_one(model, changes):
    model = clone(model).fit(X, Y, N)
    expected, score = model.predict(X), model.score(X, Y)
    interval = model.predict_interval(X, random_state=0) if hasattr(model, "predict_interval") else None
    model.set_params(**changes)
    np.testing.assert_array_equal(model.predict(X), expected)
    assert model.score(X, Y) == score
    if interval is not None:
        np.testing.assert_array_equal(model.predict_interval(X, random_state=0), interval)
    assert model.get_params()[next(iter(changes))] is next(iter(changes.values()))


def test_a_calibrator_keeps_what_it_was_fitted_for():
    calibrator = DistributionCalibrator(elicited_by="logprob").fit()
    expected = calibrator.predict(P)
    np.testing.assert_array_equal(calibrator.set_params(elicited_by="verbalized", objective="kl").predict(P), expected)


class TestLanguageModels:
    @pytest.fixture
    def fitted(self, tiny_folder):
        return DSARegressor(
            str(tiny_folder), question=QUESTION, max_epochs=1, validation_fraction=0, random_state=0
        ).fit(X, Y, N)

    def test_a_fitted_head_is_that_of_the_fit(self, fitted, tmp_path):
        expected = fitted.predict(X)
        fitted.set_params(n_blocks=2, tuning="lora", template="pollster", init=None, question=OTHER, max_epochs=5)
        np.testing.assert_array_equal(fitted.predict(X), expected)
        fitted.save(tmp_path / "saved")
        again = surveysim.load(tmp_path / "saved")
        np.testing.assert_array_equal(again.predict(X), expected)
        assert again.n_blocks == 1
        assert again.question == QUESTION

    def test_refits_behind_intervals_are_those_of_the_fit_and_are_kept(self, fitted):
        other = clone(fitted).fit(X, Y, N)
        expected = other.predict_interval(X)
        fitted.set_params(max_epochs=7, learning_rate=1.0, batch_size=2, n_blocks=2)
        np.testing.assert_allclose(fitted.predict_interval(X), expected, atol=1e-6)
        assert fitted._fitted.refits

    def test_where_and_how_to_compute_is_live(self, fitted):
        expected = fitted.predict(X)
        np.testing.assert_allclose(fitted.set_params(batch_size=2, device="cpu").predict(X), expected, atol=1e-6)
        with pytest.raises(ValueError, match="the base model 'nano' is not the one this estimator was fitted with"):
            fitted.set_params(model="nano").predict(X)

    def test_an_elicitor_asks_as_it_was_fitted(self):
        asked = ZeroShotElicitor("nano", method="logprob", question=QUESTION).fit(X)
        expected = asked.predict(X)
        asked.set_params(method="sampled", temperature=2.0, question=OTHER, option_orders="given", template="pollster")
        np.testing.assert_array_equal(asked.predict(X), expected)
        assert asked.elicit(X).method == "logprob"
        assert not np.allclose(asked.set_params(method="logprob").fit(X).predict(X), expected)


def test_scorers_score_the_question_of_the_fit():
    model = LogitRegressor(question=QUESTION).fit(X, Y, N)
    scorer = get_scorer("neg_wasserstein")
    expected = scorer(model, X, Y)
    assert scorer(model.set_params(question=OTHER), X, Y) == expected


class TestParts:
    def test_a_search_over_the_base_of_a_fusion(self):
        search = GridSearchCV(FusedRegressor(SAID, question=QUESTION), {"base__prior": ["fixed", "eb"]}, cv=2)
        search.fit(X, Y)
        assert search.best_estimator_.base.prior == search.best_params_["base__prior"]
        scores = [
            GridSearchCV(FusedRegressor(SAID, question=QUESTION), {"base": [LogitRegressor(prior=prior)]}, cv=2)
            .fit(X, Y)
            .best_score_
            for prior in ("fixed", "eb")
        ]
        np.testing.assert_array_equal(search.cv_results_["mean_test_score"], scores)

    def test_a_search_over_the_parts_of_a_calibrated_elicitor(self):
        grid = {"calibrator__bias_questions": [5, 8], "estimator__on_missing": ["raise", "nan"]}
        search = GridSearchCV(CalibratedElicitor(SAID), grid, cv=2).fit(X, Y)
        assert isinstance(search.best_estimator_.calibrator, TemperedCalibrator)
        assert len(search.cv_results_["params"]) == 4

    def test_defaults_become_what_they_stand_for(self):
        assert FusedRegressor(None).set_params(base__interactions=True).base == EQUALS_DEFAULT
        assert CalibratedElicitor().set_params(estimator__method="logprob").estimator.method == "logprob"
        assert SimilarityElicitor().set_params(rater__temperature=0.5).rater.temperature == 0.5
        assert DistributionCalibrator().set_params(calibrator__bias_questions=8).calibrator.bias_questions == 8
        assert (
            FusedRegressor(None, base=LogitRegressor()).set_params(base=None, base__prior="fixed").base.prior == "fixed"
        )

    def test_what_has_no_parameters_says_so(self):
        with pytest.raises(ValueError, match="'elicitor__method' cannot be set: elicitor=None of FusedRegressor"):
            FusedRegressor(None).set_params(elicitor__method="logprob")
        with pytest.raises(ValueError, match=r"'question__text' cannot be set: question=Question\("):
            LogitRegressor(question=QUESTION).set_params(question__text="?")
        with pytest.raises(ValueError, match="Invalid parameter 'basis' for estimator"):
            FusedRegressor(None).set_params(basis__prior="eb")


class _DefaultBase:
    def __eq__(self, other: object) -> bool:
        return isinstance(other, LogitRegressor) and other.prior == "eb" and other.interactions is True


EQUALS_DEFAULT = _DefaultBase()


def test_a_first_fit_that_fails_remembers_nothing():
    model = LogitRegressor(question=QUESTION)
    with pytest.raises(ValueError, match="rows"):
        model.fit(X, Y[:3])
    assert vars(model).keys() == vars(LogitRegressor()).keys()


def test_a_refit_takes_the_new_parameters():
    model = MarginalRegressor(question=QUESTION).fit(X, Y, N)
    model.set_params(question={"": QUESTION}, unseen="uniform").fit(X, Y, N)
    np.testing.assert_array_equal(model.predict(X), MarginalRegressor(question=QUESTION).fit(X, Y, N).predict(X))
    assert model._with_fitted_parameters() is model
