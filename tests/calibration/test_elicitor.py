"""CalibratedElicitor: asks once, corrects, predicts questions it has no labels of, and lives in scikit-learn."""

from __future__ import annotations

import copy
import pickle
import re
import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy.special import softmax
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline

from surveysim import CalibratedElicitor, Question, ZeroShotElicitor
from surveysim.base import DistributionRegressor
from surveysim.baselines import MarginalRegressor
from surveysim.calibration import DistributionCalibrator, TemperedCalibrator
from surveysim.elicitation.recorded import RecordedElicitor
from surveysim.metrics import neg_js_divergence_scorer, opinion_alignment_scorer

NAN = np.nan
QUESTIONS = {
    **{f"scale{i}": Question(f"Scale {i}?", ["no", "rather no", "rather yes", "yes"]) for i in range(8)},
    **{f"party{i}": Question(f"Party {i}?", ["left", "right", "none"], ordinal=False) for i in range(4)},
}


def _survey(seed=0, power=0.3):
    """Four cells a question; the model is too sure of itself by the same power everywhere."""
    generator = np.random.default_rng(seed)
    ages = np.tile(["young", "young", "old", "old"], len(QUESTIONS))
    X = pd.DataFrame(
        {
            "question": np.repeat(list(QUESTIONS), 4),
            "sex": np.tile(["m", "f", "m", "f"], len(QUESTIONS)),
            "age": pd.Categorical(ages, ["young", "old"], ordered=True),
        }
    )
    K = np.repeat([QUESTIONS[name].n_options for name in QUESTIONS], 4)
    logits = np.repeat(generator.normal(size=(len(QUESTIONS), 4)), 4, axis=0) + 0.2 * generator.normal(size=(len(X), 4))
    logits[np.arange(4) >= K[:, None]] = -np.inf
    P, Y = softmax(2 * logits, axis=1), softmax(2 * power * logits, axis=1)
    absent = np.arange(4) >= K[:, None]
    P[absent], Y[absent] = NAN, NAN
    return X, P, Y, generator.integers(50, 500, size=len(X))


def _recorded(X, P, **params):
    return RecordedElicitor(X, P, **{"question": QUESTIONS, "elicited_by": "verbalized", **params})


class Counting(DistributionRegressor):
    """An elicitor that counts what is asked of it. The counter is shared by clones."""

    def __init__(self, recorded=None, calls=None, question=None, question_column="question"):
        self.recorded = recorded
        self.calls = calls
        self.question = question
        self.question_column = question_column

    def __sklearn_clone__(self):
        return Counting(self.recorded, self.calls, self.question, self.question_column)

    def fit(self, X, Y, sample_weight=None):
        self.calls.append(("fit", len(X), sample_weight))
        self._validate_fit(X, Y)
        return self

    def predict(self, X):
        self.calls.append(("predict", len(X)))
        return self.recorded.predict(X)


# --- what it does -----------------------------------------------------------------------------------------------------


def test_corrects_questions_without_a_single_labelled_cell():
    X, P, Y, n = _survey()
    train = X["question"].isin([*list(QUESTIONS)[:6], "party0", "party1", "party2"]).to_numpy()
    model = CalibratedElicitor(_recorded(X, P), random_state=0).fit(X[train], Y[train], n[train])
    Q = model.predict(X[~train])
    assert np.nansum(np.abs(Q - Y[~train])) < 0.7 * np.nansum(np.abs(P[~train] - Y[~train]))
    np.testing.assert_array_equal(np.isnan(Q), np.isnan(Y[~train]))
    np.testing.assert_allclose(np.nansum(Q, axis=1), 1)
    assert {kind: gate.open for kind, gate in model.calibrator_.gates_.items()} == {"ordinal": True, "nominal": True}


def test_is_the_calibrator_of_the_arrays():
    X, P, Y, n = _survey()
    values = np.array([np.pad(QUESTIONS[q].positions, (0, 4 - QUESTIONS[q].n_options), constant_values=NAN)
                       for q in X["question"]])  # fmt: skip
    model = CalibratedElicitor(_recorded(X, P), gate=False).fit(X, Y, n)
    expected = DistributionCalibrator(elicited_by="verbalized", gate=False)
    expected.fit(P, Y, groups=X["question"], sample_weight=n, values=values)
    np.testing.assert_allclose(model.predict(X), expected.predict(P, values=values), atol=1e-12)
    assert model.elicited_by_ == "verbalized"
    np.testing.assert_array_equal(model.elicited_, P)


def test_elicits_once_and_never_fits_again():
    X, P, Y, n = _survey()
    calls: list = []
    elicitor = Counting(_recorded(X, P).fit(X, Y), calls, QUESTIONS)
    n[:4] = 0
    model = CalibratedElicitor(elicitor).fit(X, Y, n)
    assert calls == [("fit", 48, None), ("predict", 44)]
    model.predict(X[:5])
    assert calls[2:] == [("predict", 5)]
    assert not hasattr(elicitor, "questions_")
    assert model.n_dropped_ == 4


def test_without_labels_the_prior_of_the_method_corrects():
    X, P, _, _ = _survey()
    calls: list = []
    elicitor = Counting(_recorded(X, P).fit(X, P), calls, QUESTIONS)
    np.testing.assert_array_equal(CalibratedElicitor(elicitor).fit(X).predict(X), P)
    assert [call[0] for call in calls] == ["fit", "predict"]  # nothing is elicited by fit
    Q = CalibratedElicitor(_recorded(X, P, elicited_by="logprob")).fit(X[:1]).predict(X)
    np.testing.assert_allclose(Q[0], P[0] ** 0.2 / (P[0] ** 0.2).sum())
    with pytest.raises(ValueError, match="the target y is None"):
        CalibratedElicitor(_recorded(X, P, question=None)).fit(X)
    with pytest.raises(ValueError, match="use_backgrounds=True needs labelled cells"):
        CalibratedElicitor(_recorded(X, P), use_backgrounds=True).fit(X)


def test_a_frozen_elicitor_is_not_fitted():
    X, P, Y, _ = _survey()
    elicitor = _recorded(X, P).fit(X, Y)
    frozen = FrozenEstimator(elicitor)
    model = CalibratedElicitor(frozen).fit(X, Y)
    assert model.estimator_ is frozen
    assert model.elicited_by_ == "verbalized"
    np.testing.assert_array_equal(model.predict(X), CalibratedElicitor(elicitor).fit(X, Y).predict(X))
    with pytest.raises(NotFittedError):
        CalibratedElicitor(FrozenEstimator(_recorded(X, P))).fit(X, Y)


def test_an_elicitor_in_a_pipeline_is_found():
    X, P, Y, _ = _survey()
    model = CalibratedElicitor(make_pipeline("passthrough", _recorded(X, P, elicited_by="logprob"))).fit(X, Y)
    assert model.elicited_by_ == "logprob"
    assert model.question == QUESTIONS
    expected = CalibratedElicitor(_recorded(X, P, elicited_by="logprob")).fit(X, Y).predict(X)
    np.testing.assert_array_equal(model.predict(X), expected)


def test_any_estimator_of_distributions_can_be_calibrated():
    X, _, Y, n = _survey()
    model = CalibratedElicitor(MarginalRegressor(question=QUESTIONS)).fit(X, Y, n)
    assert model.elicited_by_ is None
    np.testing.assert_allclose(np.nansum(model.predict(X), axis=1), 1)


def test_the_method_of_a_zero_shot_elicitor_sets_the_prior():
    question = Question("Content?", ["no", "partly", "yes"])
    X = pd.DataFrame({"age": ["18-29", "65+"]})
    elicitor = ZeroShotElicitor("nano", method="logprob", question=question)
    model = CalibratedElicitor(elicitor).fit(X[:1], [[0.3, 0.3, 0.4]])
    assert model.elicited_by_ == "logprob"
    assert model.predict(X).shape == (2, 3)


def test_a_zero_shot_elicitor_is_the_default(monkeypatch):
    X, P, Y, _ = _survey()
    X, P, Y = X[:4].drop(columns="question"), P[:4], Y[:4]  # one question: a default elicitor has no question=
    expected = CalibratedElicitor(_recorded(X, P, question=None)).fit(X, Y).predict(X)
    monkeypatch.setattr("surveysim.elicitation.zero_shot.ZeroShotElicitor", lambda: _recorded(X, P, question=None))
    np.testing.assert_array_equal(CalibratedElicitor().fit(X, Y).predict(X), expected)


def test_cells_without_an_answer_are_left_out_and_stay_nan():
    X, P, Y, _ = _survey()
    P[:4] = NAN
    model = CalibratedElicitor(_recorded(X, P, on_missing="nan")).fit(X, Y)
    assert model.n_unanswered_ == 4
    assert np.isnan(model.predict(X)[:4]).all()
    other = CalibratedElicitor(_recorded(X, P)).fit(X[4:], Y[4:])
    np.testing.assert_array_equal(model.predict(X)[4:], other.predict(X[4:]))
    with pytest.raises(ValueError, match="no recorded distribution for row 0"):
        CalibratedElicitor(_recorded(X, P)).fit(X, Y)


@pytest.mark.parametrize("calibrator", ["tempered", "linear", "dirichlet", "identity"])
def test_refusals_that_the_elicitor_keeps_apart_stay_apart(calibrator):
    """A 0 that only means "refusals are dropped" would become a tenth under the power of label probabilities."""
    X, P, Y, n = _survey()
    whole = CalibratedElicitor(_recorded(X, P, elicited_by="logprob"), calibrator=calibrator).fit(X, Y, n)

    def refusable(A, share):
        """The same with an option "Refused" in second place."""
        return np.column_stack([A[:, 0] * (1 - share), np.full(len(A), share), A[:, 1:] * (1 - share)])

    questions = {
        name: Question(q.text, [q.options[0], "Refused", *q.options[1:]], ordinal=q.ordinal, pinned=["Refused"])
        for name, q in QUESTIONS.items()
    }
    elicitor = _recorded(X, refusable(P, 0.0), question=questions, elicited_by="logprob")
    for share in (0.0, 0.1):
        model = CalibratedElicitor(elicitor, calibrator=calibrator).fit(X, refusable(Y, share), n)
        np.testing.assert_allclose(model.predict(X), refusable(whole.predict(X), 0.0), atol=1e-6)
    without = CalibratedElicitor(elicitor, calibrator=calibrator).fit(X)
    assert (without.predict(X)[:, 1] == 0).all()


def test_refusals_that_are_kept_are_calibrated():
    question = Question("Trust?", ["yes", "no", "Refused"], pinned=["Refused"])
    X = pd.DataFrame({"age": ["18-29", "65+"]})
    elicitor = ZeroShotElicitor("nano", method="logprob", question=question, refusals="keep")
    model = CalibratedElicitor(elicitor).fit(X[:1], [[0.5, 0.4, 0.1]])
    assert (model.predict(X)[:, 2] > 0.05).all()
    with pytest.warns(UserWarning, match=r"up to 10.0% chose 'Refused', but refusals are kept apart"):
        model = CalibratedElicitor(elicitor.set_params(refusals="drop")).fit(X[:1], [[0.5, 0.4, 0.1]])
    assert (model.predict(X)[:, 2] == 0).all()


def test_without_labels_nobody_is_said_to_have_refused():
    question = Question("Trust?", ["yes", "no", "Refused"], pinned=["Refused"])
    X = pd.DataFrame({"age": ["18-29", "65+"]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = CalibratedElicitor(ZeroShotElicitor("nano", method="logprob", question=question)).fit(X)
    assert (model.predict(X)[:, 2] == 0).all()


def test_a_cell_in_which_everybody_refused_teaches_nothing():
    question = {name: Question("Trust?", ["yes", "no", "Refused"], pinned=["Refused"]) for name in "ab"}
    X = pd.DataFrame({"question": ["a", "b"], "age": "65+"})
    elicitor = RecordedElicitor(X, [[0.9, 0.1, 0.0], [0.8, 0.2, 0.0]], question=question, elicited_by="logprob")
    model = CalibratedElicitor(elicitor).fit(X, [[0.6, 0.4, 0.0], [0.0, 0.0, 1.0]])
    expected = CalibratedElicitor(elicitor).fit(X[:1], [[0.6, 0.4, 0.0]])
    np.testing.assert_allclose(model.predict(X), expected.predict(X))


def test_use_backgrounds():
    X, P, Y, _ = _survey()
    Y[X["sex"] == "f"] = P[X["sex"] == "f"]  # the model is right on women
    with_sex = CalibratedElicitor(_recorded(X, P), use_backgrounds=True, gate=False).fit(X, Y).predict(X)
    without = CalibratedElicitor(_recorded(X, P), gate=False).fit(X, Y).predict(X)
    women = (X["sex"] == "f").to_numpy()
    assert np.nansum(np.abs(with_sex - Y)[women]) < np.nansum(np.abs(without - Y)[women])


# --- in scikit-learn --------------------------------------------------------------------------------------------------


def test_cross_validation_by_question_and_by_group():
    X, P, Y, n = _survey()
    model = CalibratedElicitor(_recorded(X, P), random_state=0)
    for groups in (X["question"], X["sex"].astype(str) + X["age"].astype(str)):
        with sklearn.config_context(enable_metadata_routing=True):
            routed = clone(model).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
            scores = cross_val_score(routed, X, Y, cv=GroupKFold(4), params={"sample_weight": n, "groups": groups})
        raw = -np.mean(
            [
                -RecordedElicitor(X, P, question=QUESTIONS).fit(X, Y).score(X.iloc[test], Y[test], n[test])
                for _, test in GroupKFold(4).split(X, groups=groups)
            ]
        )
        assert scores.mean() > 0.5 * raw  # both negative
    Q = cross_val_predict(model, X, Y, cv=GroupKFold(4), groups=X["question"])
    np.testing.assert_array_equal(np.isnan(Q), np.isnan(Y))
    by_hand = np.full(Y.shape, NAN)
    for train, test in GroupKFold(4).split(X, groups=X["question"]):
        by_hand[test] = clone(model).fit(X.iloc[train], Y[train]).predict(X.iloc[test])
    np.testing.assert_array_equal(Q, by_hand)


def test_grid_search_over_calibrators_and_parameters_of_the_estimator():
    X, P, Y, _ = _survey()
    search = GridSearchCV(
        CalibratedElicitor(_recorded(X, P), gate=False, random_state=0),
        {
            "calibrator": ["identity", "tempered", TemperedCalibrator(bias_questions=99)],
            "estimator__on_missing": ["nan"],
        },
        cv=GroupKFold(3),
        scoring=neg_js_divergence_scorer,
    )
    search.fit(X, Y, groups=X["question"])
    assert search.best_params_["calibrator"] != "identity"
    assert search.best_estimator_.estimator_.on_missing == "nan"


def test_ordinal_scorers_find_the_questions():
    X, P, Y, _ = _survey()
    ordinal = X["question"].str.startswith("scale").to_numpy()
    model = CalibratedElicitor(_recorded(X, P)).fit(X, Y)
    assert 90 < opinion_alignment_scorer(model, X[ordinal], Y[ordinal]) < 100
    with pytest.raises(ValueError, match="nominal"):
        opinion_alignment_scorer(model, X, Y)


def test_weights_reach_the_estimator_only_if_it_asks():
    X, P, Y, n = _survey()
    calls: list = []
    elicitor = Counting(_recorded(X, P).fit(X, Y), calls, QUESTIONS)
    with sklearn.config_context(enable_metadata_routing=True):
        CalibratedElicitor(elicitor).set_fit_request(sample_weight=True).fit(X, Y, sample_weight=n)
        asking = Asking(_recorded(X, P).fit(X, Y), calls, QUESTIONS).set_fit_request(sample_weight=True)
        CalibratedElicitor(asking).fit(X, Y, sample_weight=n)
    fits = [call for call in calls if call[0] == "fit"]
    assert fits[0][2] is None
    np.testing.assert_array_equal(fits[1][2], n)


class Asking(Counting):
    """The same, cloned by scikit-learn, so that its metadata requests come along."""

    def __sklearn_clone__(self):
        twin = Asking(self.recorded, self.calls, self.question, self.question_column)
        twin._metadata_request = copy.deepcopy(self._metadata_request)
        return twin


def test_clone_pickle_repr_and_html():
    X, P, Y, n = _survey()
    model = CalibratedElicitor(_recorded(X, P), objective="kl", calibrator=TemperedCalibrator(bias_questions=7))
    twin = clone(model)
    assert twin.calibrator.bias_questions == 7
    assert twin.estimator is not model.estimator
    assert twin.get_params()["estimator__elicited_by"] == "verbalized"
    assert "question" not in CalibratedElicitor().get_params()
    twin.set_params(estimator__elicited_by="logprob").fit(X, Y, n)
    assert twin.elicited_by_ == "logprob"
    assert "CalibratedElicitor" in repr(twin)
    assert "RecordedElicitor" in twin._repr_html_()
    for other in (pickle.loads(pickle.dumps(twin)), copy.deepcopy(twin)):
        np.testing.assert_array_equal(other.predict(X), twin.predict(X))


def test_a_failed_refit_keeps_the_previous_fit():
    X, P, Y, _ = _survey()
    model = CalibratedElicitor(_recorded(X, P)).fit(X, Y)
    before = model.predict(X)
    with pytest.raises(ValueError, match="objective"):
        model.set_params(objective="mse").fit(X[:8], Y[:8])
    np.testing.assert_array_equal(model.predict(X), before)


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"estimator": "gpt"}, TypeError, "estimator must have fit and predict, got 'gpt'"),
        ({"calibrator": "platt"}, ValueError, "calibrator must be one of"),
        ({"objective": "mse"}, ValueError, "objective must be 'auto' or one of"),
        ({"objective": "w1"}, ValueError, "there are nominal questions"),
        ({"gate": 3}, TypeError, "gate must be True or False"),
        ({"use_backgrounds": "yes"}, TypeError, "use_backgrounds must be True or False"),
        ({"use_backgrounds": True, "calibrator": "isotonic"}, ValueError, "does not use backgrounds"),
        ({"random_state": -1}, ValueError, "random_state must not be negative"),
    ],
)
def test_bad_parameters(params, error, message):
    X, P, Y, _ = _survey()
    model = CalibratedElicitor(_recorded(X, P)).set_params(**params)
    with pytest.raises(error, match=message):
        model.fit(X, Y)
    assert not hasattr(model, "calibrator_")


def test_bad_data():
    X, P, Y, n = _survey()
    model = CalibratedElicitor(_recorded(X, P))
    with pytest.raises(NotFittedError):
        model.predict(X)
    with pytest.raises(ValueError, match="unknown question 'scale99'"):
        model.fit(X.replace("scale0", "scale99"), Y)
    with pytest.raises(ValueError, match="Y: row 5 sums to"):
        model.fit(X, np.where(np.arange(len(Y))[:, None] == 5, 2 * Y, Y))
    with pytest.raises(ValueError, match="sample_weight"):
        model.fit(X, Y, -n)
    model.fit(X, Y)
    with pytest.raises(ValueError, match="age"):
        model.predict(X.drop(columns="age"))


class Wrong(Counting):
    """Predicts what it is told."""

    def __init__(self, output=None, question=None, question_column="question"):
        self.output = output
        self.question = question
        self.question_column = question_column
        self.calls = []

    def __sklearn_clone__(self):
        return Wrong(self.output, self.question)

    def predict(self, X):
        return self.output


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (np.full((1, 2), 0.5), "the estimator's predictions have shape (1, 2), expected (1, 3)"),
        (np.full((2, 3), 1 / 3), "have shape (2, 3), expected (1, 3)"),
        (np.full((1, 3), 0.5), "the estimator's predictions: row 0 sums to 1.5"),
        (np.full((1, 3), NAN), "P has no usable row"),
    ],
)
def test_estimators_that_do_not_predict_distributions(output, message):
    question = Question("Content?", ["no", "partly", "yes"])
    with pytest.raises(ValueError, match=re.escape(message)):
        CalibratedElicitor(Wrong(output, question)).fit(pd.DataFrame({"age": ["old"]}), [[0.2, 0.3, 0.5]])
