"""What every estimator does as a member of scikit-learn: clones, pickles, HTML, cross-validation with routed weights.

To add an estimator, append it to `MODELS`.
"""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone, is_regressor
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline

from surveysim import Question, SimilarQuestionsRegressor
from surveysim.baselines import CellRegressor, LogitRegressor, MarginalRegressor
from surveysim.metrics import neg_js_divergence_scorer

QUESTIONS = {
    "vote": Question("Will you vote?", ["no", "yes"]),
    "trust": Question("Do you trust the press?", ["no", "a little", "yes"]),
}


@dataclass(frozen=True)
class Letters:
    """A text's vector counts its letters."""

    letters: str = "aeiost"

    def encode(self, texts: list[str]) -> np.ndarray:
        return np.array([[1.0 + text.count(letter) for letter in self.letters] for text in texts])


MODELS = [
    MarginalRegressor(question=QUESTIONS),
    CellRegressor(shrinkage=3.0, question=QUESTIONS),
    LogitRegressor(question=QUESTIONS, prior="eb", interactions=True),
    SimilarQuestionsRegressor(question=QUESTIONS, encoder=Letters()),
]


def _survey(n_cells=12, seed=0):
    generator = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "question": np.repeat(["vote", "trust"], n_cells),
            "age": np.tile(pd.Categorical(["18-29", "30-44", "45+"] * (n_cells // 3), ordered=True), 2),
            "region": np.tile(np.repeat(["north", "south"], n_cells // 2), 2),
        }
    )
    Y = generator.dirichlet([2.0, 3.0, 4.0], size=2 * n_cells)
    Y[:n_cells, 2] = np.nan
    Y /= np.nansum(Y, axis=1, keepdims=True)
    return X, Y, generator.integers(5, 50, size=2 * n_cells)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
class TestEveryEstimator:
    def test_predictions_are_distributions_padded_like_Y(self, model):
        X, Y, n = _survey()
        P = clone(model).fit(X, Y, n).predict(X)
        assert P.dtype == np.float64
        np.testing.assert_array_equal(np.isnan(P), np.isnan(Y))
        np.testing.assert_allclose(np.nansum(P, axis=1), 1.0)
        assert (P[~np.isnan(P)] >= 0).all()

    def test_predict_proba_is_predict_and_there_are_no_classes(self, model):
        X, Y, n = _survey()
        model = clone(model).fit(X, Y, n)
        np.testing.assert_array_equal(model.predict_proba(X), model.predict(X))
        assert not hasattr(model, "classes_")
        assert is_regressor(model)

    def test_score_is_minus_the_weighted_mean_divergence(self, model):
        X, Y, n = _survey()
        model = clone(model).fit(X, Y, n)
        P = model.predict(X)
        M = (P + Y) / 2
        rows = np.nansum(P * np.log2(P / M) + Y * np.log2(Y / M), axis=1) / 2
        assert model.score(X, Y, sample_weight=n) == pytest.approx(-np.average(rows, weights=n))
        assert model.score(X, Y) == pytest.approx(-rows.mean())

    def test_score_looks_at_the_columns_first(self, model):
        X, Y, n = _survey()
        model = clone(model).fit(X, Y, n)
        with pytest.raises(ValueError, match="region"):
            model.score(X.drop(columns="region"), Y)

    def test_clone_repr_and_html(self, model):
        model = clone(model)
        html = model._repr_html_()
        assert type(model).__name__ in html
        assert repr(model).startswith(type(model).__name__)
        assert clone(model).get_params() == model.get_params()
        assert model.get_params()["question"] == QUESTIONS

    def test_pickle_joblib_and_deepcopy_predict_the_same(self, model, tmp_path):
        X, Y, n = _survey()
        model = clone(model).fit(X, Y, n)
        joblib.dump(model, tmp_path / "model.joblib")
        for other in (
            pickle.loads(pickle.dumps(model)),
            copy.deepcopy(model),
            joblib.load(tmp_path / "model.joblib"),
        ):
            np.testing.assert_array_equal(other.predict(X), model.predict(X))

    def test_a_second_fit_does_not_depend_on_the_first(self, model):
        X, Y, n = _survey()
        X2, Y2, n2 = _survey(n_cells=6, seed=1)
        once = clone(model).fit(X2, Y2, n2).predict(X2)
        twice = clone(model).fit(X, Y, n).fit(X2, Y2, n2).predict(X2)
        np.testing.assert_array_equal(once, twice)

    def test_cross_validation_with_weights_routed_to_fit_and_score(self, model):
        X, Y, n = _survey()
        with sklearn.config_context(enable_metadata_routing=True):
            routed = clone(model).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
            scores = cross_val_score(
                routed, X, Y, cv=KFold(4, shuffle=True, random_state=0), params={"sample_weight": n}
            )
            scorer = neg_js_divergence_scorer.set_score_request(sample_weight=True)
            by_scorer = cross_val_score(
                clone(model).set_fit_request(sample_weight=True),
                X,
                Y,
                cv=KFold(4, shuffle=True, random_state=0),
                params={"sample_weight": n},
                scoring=scorer,
            )
        expected = []
        for train, test in KFold(4, shuffle=True, random_state=0).split(X):
            fitted = clone(model).fit(X.iloc[train], Y[train], n[train])
            expected.append(fitted.score(X.iloc[test], Y[test], sample_weight=n[test]))
        np.testing.assert_allclose(scores, expected)
        np.testing.assert_allclose(by_scorer, expected)

    def test_pipeline_group_folds_and_cross_val_predict(self, model):
        X, Y, _ = _survey()
        pipeline = make_pipeline("passthrough", clone(model))
        groups = X["region"] + X["age"].astype(str)
        P = cross_val_predict(pipeline, X, Y, cv=GroupKFold(3), groups=groups)
        np.testing.assert_array_equal(np.isnan(P), np.isnan(Y))
        np.testing.assert_allclose(np.nansum(P, axis=1), 1.0)


def test_grid_search_finds_the_shrinkage_with_weights_routed():
    X, Y, n = _survey()
    with sklearn.config_context(enable_metadata_routing=True):
        model = CellRegressor(question=QUESTIONS, unseen="uniform")
        model = model.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        search = GridSearchCV(model, {"shrinkage": [0.0, 30.0]}, cv=KFold(4, shuffle=True, random_state=0))
        search.fit(X, Y, sample_weight=n)
    # equal shares for cells left out are worse than their margin
    assert search.best_params_ == {"shrinkage": 30.0}
