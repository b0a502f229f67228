"""Fitted estimators go through skops, with the types that the documentation names, and predict the same."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline

from surveysim import CalibratedElicitor, DSARegressor, FusedRegressor, Question, RecordedElicitor, ZeroShotElicitor
from surveysim.baselines import CellRegressor, LogitRegressor, MarginalRegressor
from surveysim.calibration import DistributionCalibrator
from surveysim.trusted import skops_types
from tests.ecosystem.data import QUESTION, N, Y

# a column of every kind; as keys of a dictionary, numbers and truth values are easily confused with texts
X = pd.DataFrame(
    {
        "age": pd.Categorical(["18-29", "30-64", "65+"] * 2, ordered=True),
        "gender": ["woman"] * 3 + ["man"] * 3,
        "children": [0, 1, 2, 3, 4, 5],
        "votes": [True, False] * 3,
        "weight": [1.5, 2.5] * 3,
        "region": pd.array(["east", "west", None] * 2, dtype="string"),
    },
    index=list("abcdef"),
)

P = np.array([[0.1, 0.2, 0.7], [0.2, 0.3, 0.5], [0.3, 0.4, 0.3], [0.2, 0.2, 0.6], [0.3, 0.2, 0.5], [0.6, 0.3, 0.1]])

SAID = RecordedElicitor(X, P, question=QUESTION, elicited_by="logprob")

ESTIMATORS = [
    MarginalRegressor(question=QUESTION),
    CellRegressor(question=QUESTION),
    LogitRegressor(question=QUESTION, interactions=True),
    LogitRegressor(prior="eb"),
    SAID,
    FusedRegressor(SAID, question=QUESTION),
    FusedRegressor(None, base=LogitRegressor()),
    CalibratedElicitor(SAID),
    CalibratedElicitor(SAID, calibrator="linear", use_backgrounds=True, gate=False),
    CalibratedElicitor(SAID, calibrator="isotonic", gate=False),
    CalibratedElicitor(SAID, calibrator="dirichlet", gate=False),
    make_pipeline("passthrough", LogitRegressor(question=QUESTION)),
]


def through_skops(estimator):
    io = pytest.importorskip("skops.io")
    written = io.dumps(estimator)
    assert set(io.get_untrusted_types(data=written)) <= set(skops_types())
    return io.loads(written, trusted=skops_types())


def through_plain_state(estimator):
    """What skops does with an estimator, without skops: its state is read into a new object of its class."""
    again = type(estimator).__new__(type(estimator))
    again.__setstate__(estimator.__getstate__())
    return again


@pytest.mark.parametrize("way", [through_skops, through_plain_state, lambda e: pickle.loads(pickle.dumps(e))])
@pytest.mark.parametrize("model", ESTIMATORS, ids=lambda model: type(model).__name__)
def test_predictions_are_the_same_to_the_last_bit(model, way):
    model.fit(X, Y)
    again = way(model)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    if hasattr(model, "predict_interval"):
        np.testing.assert_array_equal(
            again.predict_interval(X, random_state=0)[0], model.predict_interval(X, random_state=0)[0]
        )
    assert vars(again).keys() == vars(model).keys()
    for name, value in vars(model).items():
        if isinstance(value, pd.DataFrame):
            pd.testing.assert_frame_equal(vars(again)[name], value)


@pytest.mark.parametrize("way", [through_skops, through_plain_state])
def test_a_calibrator_of_arrays(way):
    model = DistributionCalibrator(elicited_by="logprob").fit(P, Y)
    np.testing.assert_array_equal(way(model).predict(P), model.predict(P))


@pytest.mark.parametrize("way", [through_skops, through_plain_state])
def test_several_questions(way):
    questions = {"a": QUESTION, "b": Question("Safe?", ["no", "yes"], codes=[2, 1], ordinal=False)}
    cells = pd.DataFrame({"question": ["a", "b"] * 3, "age": ["young", "young", "old", "old", None, None]})
    truth = np.array([[0.2, 0.3, 0.5], [0.4, 0.6, np.nan]] * 3)
    model = LogitRegressor(question=questions).fit(cells, truth)
    again = way(model)
    np.testing.assert_array_equal(again.predict(cells), model.predict(cells))
    assert again.questions_ == model.questions_


@pytest.mark.parametrize("way", [through_skops, through_plain_state])
def test_a_language_models_head_and_settings(way, tiny_folder):
    frame = X[["age", "gender"]]
    model = DSARegressor(str(tiny_folder), question=QUESTION, max_epochs=1, validation_fraction=0, random_state=0)
    again = way(model.fit(frame, Y, N))
    np.testing.assert_array_equal(again.predict(frame), model.predict(frame))
    asked = ZeroShotElicitor("nano", method="logprob", question=QUESTION).fit(frame)
    np.testing.assert_array_equal(way(asked).predict(frame), asked.predict(frame))


def test_parts_come_from_this_package_alone():
    for name in ("os:system", "surveysim.base:np", "surveysim.base:BaseEstimator", "surveysim.metrics:js_divergence"):
        with pytest.raises(ValueError, match="is not a class of surveysim"):
            MarginalRegressor().__setstate__({"question": {"__part__": name, "attributes": {}}})
