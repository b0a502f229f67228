"""What scikit-learn wraps around an estimator gives its own numbers, or says why not."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import BaggingRegressor
from sklearn.experimental import enable_halving_search_cv  # noqa: F401  (switches the search on)
from sklearn.feature_selection import RFE, SelectFromModel, SequentialFeatureSelector
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.model_selection import (
    HalvingGridSearchCV,
    KFold,
    cross_val_predict,
    cross_validate,
    learning_curve,
    permutation_test_score,
    train_test_split,
)
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from surveysim import DSARegressor
from surveysim.baselines import CellRegressor, LogitRegressor
from tests.ecosystem.data import QUESTION, REVERSED, N, X, Y

MODEL = LogitRegressor(question=QUESTION)

NUMBERS = pd.DataFrame({"a": [1.0, 2, 3, 4, 5, 6], "b": [1.0, 3, 2, 2, 5, 4]})


@pytest.fixture
def expected():
    return MODEL.fit(X, Y, N).predict(X)


@pytest.mark.parametrize("output", ["pandas", "polars"])
def test_columns_of_a_transformer_keep_their_names(output, expected):
    pytest.importorskip(output)
    columns = ColumnTransformer([("all", "passthrough", ["age", "gender"])], verbose_feature_names_out=False)
    model = make_pipeline(columns, MODEL).set_output(transform=output)
    np.testing.assert_array_equal(model.fit(X, REVERSED, logitregressor__sample_weight=N).predict(X), expected)


def test_a_function_may_choose_columns():
    model = make_pipeline(FunctionTransformer(lambda frame: frame[["age"]]), MODEL).fit(X, Y)
    np.testing.assert_array_equal(model.predict(X), MODEL.fit(X[["age"]], Y).predict(X[["age"]]))


@pytest.mark.parametrize(
    "settings",
    [
        {"assume_finite": True},
        {"transform_output": "pandas"},
        {"enable_metadata_routing": True},
        {"enable_metadata_routing": False},
        {"skip_parameter_validation": True},
    ],
    ids=str,
)
def test_settings_of_scikit_learn(settings, expected):
    with sklearn.config_context(**settings):
        np.testing.assert_array_equal(MODEL.fit(X, REVERSED, N).predict(X), expected)


COPIES = {
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "cloudpickle": lambda model: pickle.loads(pytest.importorskip("cloudpickle").dumps(model)),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
    "frozen": FrozenEstimator,
}


@pytest.mark.parametrize("way", COPIES)
def test_copies_predict_the_same(way, expected):
    np.testing.assert_array_equal(COPIES[way](MODEL.fit(X, Y, N)).predict(X), expected)


def test_a_file_of_joblib(expected, tmp_path):
    joblib.dump(MODEL.fit(X, Y, N), tmp_path / "model")
    np.testing.assert_array_equal(joblib.load(tmp_path / "model").predict(X), expected)


def test_fits_in_threads_at_once(expected, tiny_folder):
    def fit(model):
        return model.fit(X, Y, N).predict(X)

    with ThreadPoolExecutor(4) as pool:
        for P in pool.map(fit, [sklearn.clone(MODEL) for _ in range(8)]):
            np.testing.assert_array_equal(P, expected)
        trained = DSARegressor(str(tiny_folder), question=QUESTION, max_epochs=1, validation_fraction=0, random_state=0)
        alone = fit(trained)
        for P in pool.map(fit, [sklearn.clone(trained) for _ in range(3)]):
            np.testing.assert_allclose(P, alone, atol=1e-6)


class TestSelection:
    def test_searches_and_folds_keep_the_names_of_options(self):
        folds = KFold(2)
        np.testing.assert_array_equal(
            cross_val_predict(MODEL, X, REVERSED, cv=folds), cross_val_predict(MODEL, X, Y, cv=folds)
        )
        first = cross_validate(MODEL, X, REVERSED, cv=folds, return_estimator=True)["estimator"][0]
        np.testing.assert_array_equal(first.predict(X), MODEL.fit(X[3:], Y[3:]).predict(X))
        curves = [learning_curve(MODEL, X, some, cv=folds, train_sizes=[1.0])[2] for some in (Y, REVERSED)]
        np.testing.assert_array_equal(*curves)
        scores = [permutation_test_score(MODEL, X, some, cv=folds, n_permutations=2, random_state=0)[0]
                  for some in (Y, REVERSED)]  # fmt: skip
        assert scores[0] == scores[1]
        parts = train_test_split(X, REVERSED, random_state=0)
        others = train_test_split(X, Y, random_state=0)
        assert MODEL.fit(parts[0], parts[2]).score(parts[1], parts[3]) == MODEL.fit(others[0], others[2]).score(
            others[1], others[3]
        )

    def test_halving_finds_what_a_grid_finds(self):
        search = HalvingGridSearchCV(MODEL, {"ordered": [True, False]}, cv=2, min_resources=6, random_state=0)
        assert search.fit(X, REVERSED).best_score_ == search.fit(X, Y).best_score_

    def test_columns_are_worth_the_same(self):
        model = MODEL.fit(X, Y, N)
        worth = [
            permutation_importance(model, X, some, n_repeats=3, random_state=0).importances for some in (Y, REVERSED)
        ]
        np.testing.assert_array_equal(*worth)

    def test_partial_dependence_is_the_mean_prediction_at_a_value(self):
        model = MODEL.fit(X, Y, N)
        found = partial_dependence(model, X, ["age"], categorical_features=["age", "gender"])
        young = model.predict(X.assign(age="18-29")).mean(axis=0)
        np.testing.assert_allclose(found["average"][:, 0], young)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda model: TransformedTargetRegressor(model, check_inverse=False),
        lambda model: BaggingRegressor(model, n_estimators=1, bootstrap=False, random_state=0),
    ],
    ids=["TransformedTargetRegressor", "BaggingRegressor"],
)
def test_who_turns_a_table_into_an_array_takes_its_columns_as_they_come(wrap):
    """Nothing tells the estimator: "yes" is taken for "no", the first option. The documentation says so."""
    model = wrap(LogitRegressor(question=QUESTION))
    expected = model.fit(NUMBERS, Y).predict(NUMBERS)
    np.testing.assert_allclose(model.fit(NUMBERS, REVERSED[list(QUESTION.options)]).predict(NUMBERS), expected)
    by_place = model.fit(NUMBERS, REVERSED).predict(NUMBERS)
    np.testing.assert_allclose(by_place, model.fit(NUMBERS, REVERSED.to_numpy()).predict(NUMBERS))
    np.testing.assert_allclose(by_place, expected[:, ::-1], atol=1e-6)
    assert np.abs(by_place - expected).max() > 0.1


class TestErrors:
    def test_columns_are_not_selected_by_coefficients(self):
        message = "coef_ of a LogitRegressor holds an array for each question, by terms"
        with pytest.raises(TypeError, match=message):
            SelectFromModel(MODEL).fit(X, Y).transform(X)
        with pytest.raises(TypeError, match=message):
            RFE(MODEL).fit(NUMBERS, Y)
        assert isinstance(MODEL.fit(X, Y).coef_, dict)

    def test_columns_are_selected_by_a_function_or_by_scores(self):
        chosen = SelectFromModel(MODEL, importance_getter=lambda model: np.array([2.0, 1.0])).fit(NUMBERS, Y)
        assert chosen.get_support().tolist() == [True, False]
        by_score = SequentialFeatureSelector(MODEL, n_features_to_select=1, cv=2).fit(NUMBERS, Y)
        assert by_score.get_support().sum() == 1

    def test_a_learning_curve_of_cells_says_why_there_is_none(self):
        with pytest.warns(
            UserWarning, match="(?s)Scoring failed.*hold out whole cells.*respondent_curve splits respond"
        ):
            scores = learning_curve(CellRegressor(), X, Y, cv=KFold(2), train_sizes=[1.0])[2]
        assert np.isnan(scores).all()
        shrunk = learning_curve(CellRegressor(shrinkage=1.0), X, Y, cv=KFold(2), train_sizes=[1.0])[2]
        assert not np.isnan(shrunk).any()

    def test_one_column_at_a_time_is_not_a_distribution(self):
        with pytest.raises(ValueError, match="one column of Y at a time, such as MultiOutputRegressor"):
            MultiOutputRegressor(MODEL).fit(X, Y)
