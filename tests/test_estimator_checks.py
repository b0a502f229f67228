"""scikit-learn's own checks of estimators, for every estimator of the library.

The checks fit targets that are not distributions, so each estimator gets a test-only mixin that maps a target y to
the distribution (p, 1 - p) and predictions back to one column. To add an estimator, define its class with the mixin
(a module-level class, so that it can be pickled) and append an instance to `ESTIMATORS`, with the checks that it cannot
pass and why.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn.base import BaseEstimator
from sklearn.utils.estimator_checks import estimator_checks_generator

from surveysim import CalibratedElicitor, DSARegressor, FusedRegressor, SimilarityElicitor, ZeroShotElicitor
from surveysim.base import DistributionRegressor
from surveysim.baselines import CellRegressor, LogitRegressor, MarginalRegressor
from surveysim.elicitation import SimilarityRater
from surveysim.metrics import js_divergence
from tests.scripted import Scripted, by_chance


class ScalarTarget(DistributionRegressor):
    """Fit on scalar targets: y -> (p, 1 - p) with p = expit(y); several columns are the logits of as many options."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        super().fit(X, _as_distributions(y), sample_weight)  # type: ignore[misc]
        self._target_ndim = np.asarray(y).ndim
        return self

    def predict(self, X: Any) -> np.ndarray:
        P = super().predict(X)
        if P.shape[1] > 2:
            return P
        return P[:, 0] if self._target_ndim == 1 else P[:, :1]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        return -js_divergence(_as_distributions(y), super().predict(X), sample_weight=sample_weight)


def _as_distributions(y: Any) -> Any:
    if y is None:
        return None
    y = np.asarray(y)
    if np.iscomplexobj(y):
        return y
    y = y.astype(np.float64)
    y = np.where(np.isinf(y), np.nan, y)  # expit would make a valid distribution of what has to be refused
    if y.ndim == 2 and y.shape[1] > 1:
        return softmax(y, axis=1)
    p = expit(y.reshape(-1))
    return np.column_stack([p, 1 - p])


class MarginalOnScalars(ScalarTarget, MarginalRegressor):
    pass


class CellOnScalars(ScalarTarget, CellRegressor):
    pass


class LogitOnScalars(ScalarTarget, LogitRegressor):
    pass


class CalibratedOnScalars(ScalarTarget, CalibratedElicitor):
    pass


class EqualShares(BaseEstimator):
    """An elicitor that says the same of everybody, of as many options as it was fitted with."""

    def fit(self, X: Any, y: Any) -> EqualShares:
        self.n_options_ = np.asarray(y).shape[1]
        return self

    def predict(self, X: Any) -> np.ndarray:
        return np.full((len(np.asarray(X)), self.n_options_), 1 / self.n_options_)


class FusedOnScalars(ScalarTarget, FusedRegressor):
    pass


class DSAOnScalars(ScalarTarget, DSARegressor):
    """Its model is made when a check first needs it, not when the checks are collected."""

    def _load(self, *, check: bool = False) -> Any:
        from surveysim.models import load_model

        return load_model(_tiny_folder())


class ZeroShotOnScalars(ScalarTarget, ZeroShotElicitor):
    """Asks no model: nano leaves some of the checks' meaningless cells without an answer, and float32 logits change by
    some 1e-6 with the number of prompts that are read at once, where a check wants 1e-7."""

    def _answerer(self) -> Any:
        return Scripted(by_chance)


class SimilarityOnScalars(ScalarTarget, SimilarityElicitor):
    """Words by chance, and an encoder that needs no download."""

    def _answerer(self) -> Any:
        return Scripted(
            lambda ask: by_chance(replace(ask, labels=("Rather 1.", "I like 2 of them.", "I say 1, that is 1.")))
        )


def _letters(texts: list[str]) -> np.ndarray:
    return np.array([[1 + text.lower().count(letter) for letter in "eionylsr12"] for text in texts])


@lru_cache(maxsize=1)
def _tiny_folder() -> Path:
    from tests.tiny_models import make_tiny_model

    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return make_tiny_model(folder)


_NAMES_MATTER = (
    "compares X as an array with a DataFrame of columns 0, 1 ...: an array's columns are called x0, x1 ... in the "
    "prompt, and a model reads other names otherwise"
)

EVERYWHERE = {
    "check_regressors_no_decision_function": "predict_proba is the documented twin of predict, for tools that look for "
    "probabilities under that name",
}
"""Checks that no estimator of the library passes, with the reason; a check that passes though listed fails the test."""

_RESPONDENTS_SATURATE = (
    "n respondents count n / (n + 300), and two cells of a question less than twice one: a cell of twice the weight is "
    "not two cells"
)

ESTIMATORS: list[tuple[DistributionRegressor, dict[str, str]]] = [
    (MarginalOnScalars(), {}),
    (
        CellOnScalars(),
        {
            "check_sample_weight_equivalence_on_dense_data": "predicts rows that had weight 0, which to a table of "
            'cells are unseen backgrounds: an error by default (unseen="error")',
        },
    ),
    (CellOnScalars(unseen="uniform"), {}),
    (CellOnScalars(shrinkage=5.0), {}),
    (LogitOnScalars(), {}),
    (LogitOnScalars(ordered=False), {}),
    (LogitOnScalars(prior="eb"), {}),
    (LogitOnScalars(interactions=True), {}),
    (FusedOnScalars(None), {}),
    (FusedOnScalars(EqualShares()), {}),
    (
        CalibratedOnScalars(MarginalRegressor()),
        {"check_sample_weight_equivalence_on_dense_data": _RESPONDENTS_SATURATE},
    ),
    (
        CalibratedOnScalars(LogitRegressor(), calibrator="linear", use_backgrounds=True),
        {"check_sample_weight_equivalence_on_dense_data": _RESPONDENTS_SATURATE},
    ),
    (
        DSAOnScalars("tiny", max_epochs=1, shift_weight=0, validation_fraction=0.0, learning_rate=1e-4),
        {
            "check_sample_weight_equivalence_on_dense_data": "rows without weights stand for 100 respondents each, "
            "weights are respondents: the margin's half respondent per option counts otherwise; and float32 rounds",
            "check_regressor_data_not_an_array": "compares X as an array with a DataFrame of columns 0, 1 ...: an "
            "array's columns are called x0, x1 ... in the prompt, and a model reads other names otherwise",
        },
    ),
    (ZeroShotOnScalars("nano", method="logprob"), {"check_regressor_data_not_an_array": _NAMES_MATTER}),
    (ZeroShotOnScalars("nano"), {"check_regressor_data_not_an_array": _NAMES_MATTER}),
    (ZeroShotOnScalars("nano", method="sampled", n_samples=2), {"check_regressor_data_not_an_array": _NAMES_MATTER}),
    (
        SimilarityOnScalars("nano", rater=SimilarityRater(_letters), n_samples=2, max_tokens=20),
        {"check_regressor_data_not_an_array": _NAMES_MATTER},
    ),
]


def _checks() -> list[Any]:
    params = []
    for number, (estimator, expected) in enumerate(ESTIMATORS):
        failures = EVERYWHERE | expected
        row = f"{number}-{type(estimator).__name__}"  # the same in every process, unlike a parameter's address
        for position, (instance, check) in enumerate(estimator_checks_generator(estimator)):
            name = getattr(check, "func", check).__name__
            marks = [pytest.mark.xfail(reason=failures[name], strict=True)] if name in failures else []
            params.append(pytest.param(instance, check, marks=marks, id=f"{row}-{position}-{name}"))
    return params


@pytest.mark.filterwarnings("ignore:sample_weight looks normalised")
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.filterwarnings("ignore:X has feature names")
@pytest.mark.filterwarnings("ignore:the columns of X have no names")
@pytest.mark.filterwarnings("ignore:X is an array, which keeps no order")
@pytest.mark.parametrize(("estimator", "check"), _checks())
def test_scikit_learn_check(estimator, check):
    check(estimator)


def test_every_expected_failure_is_a_check_that_runs():
    for estimator, expected in ESTIMATORS:
        run = {getattr(check, "func", check).__name__ for _, check in estimator_checks_generator(estimator)}
        assert {*EVERYWHERE, *expected} <= run
