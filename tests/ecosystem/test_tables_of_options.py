"""A DataFrame of options means the same whatever the order of its columns, or is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from surveysim import (
    CalibratedElicitor,
    DSARegressor,
    FusedRegressor,
    Question,
    RecordedElicitor,
    ZeroShotElicitor,
)
from surveysim.baselines import CellRegressor, LogitRegressor, MarginalRegressor
from surveysim.calibration import Anchor, DistributionCalibrator
from surveysim.metrics import get_scorer, js_divergence, scorer_names, wasserstein
from tests.ecosystem.data import QUESTION, REVERSED, N, X, Y

P = np.array([[0.1, 0.2, 0.7], [0.2, 0.3, 0.5], [0.3, 0.4, 0.3], [0.2, 0.2, 0.6], [0.3, 0.2, 0.5], [0.6, 0.3, 0.1]])

SAID = RecordedElicitor(X, P, question=QUESTION, elicited_by="logprob")

ESTIMATORS = [
    MarginalRegressor(question=QUESTION),
    CellRegressor(question=QUESTION),
    LogitRegressor(question=QUESTION),
    SAID,
    FusedRegressor(SAID, question=QUESTION),
    CalibratedElicitor(SAID, calibrator="linear", gate=False),
    make_pipeline(FunctionTransformer(), LogitRegressor(question=QUESTION)),
]


@pytest.mark.parametrize("model", ESTIMATORS, ids=lambda model: type(model).__name__)
def test_fit_and_score_find_columns_by_name(model):
    names = {"LogitRegressor": "logitregressor__sample_weight"} if hasattr(model, "steps") else {}
    weight = {next(iter(names.values()), "sample_weight"): N}
    model.fit(X, Y, **weight)
    expected, score = model.predict(X), model.score(X, Y)
    model.fit(X, REVERSED, **weight)
    np.testing.assert_array_equal(model.predict(X), expected)
    assert model.score(X, REVERSED) == score
    assert score != model.score(X, REVERSED.to_numpy())


def test_the_language_model_is_trained_on_columns_by_name(tiny_folder):
    model = DSARegressor(str(tiny_folder), question=QUESTION, max_epochs=1, validation_fraction=0, random_state=0)
    expected = model.fit(X, Y, N).predict(X)
    np.testing.assert_array_equal(model.fit(X, REVERSED, N).predict(X), expected)
    assert model.score(X, REVERSED) == model.score(X, Y)


@pytest.mark.parametrize("name", scorer_names())
def test_scorers_find_columns_by_name(name):
    model = LogitRegressor(question=QUESTION)
    scores = cross_val_score(model, X, Y, cv=KFold(3), scoring=get_scorer(name))
    np.testing.assert_array_equal(cross_val_score(model, X, REVERSED, cv=KFold(3), scoring=get_scorer(name)), scores)


def test_a_foreign_estimator_is_scored_in_the_order_that_it_learned():
    numbers = np.arange(12.0).reshape(6, 2) ** 2 / 1000
    scorer = get_scorer("neg_rmse")
    foreign = LinearRegression().fit(numbers, REVERSED)
    assert scorer(foreign, numbers, REVERSED) == scorer(foreign, numbers, REVERSED.to_numpy())


@pytest.mark.parametrize(
    "names",
    [[1, 2, 3], [0, 1, 2], ["1", "2", "3"], ["0", "1", "2"], [1.0, 2.0, 3.0], pd.CategoricalIndex(QUESTION.options)],
    ids=str,
)
def test_numbers_are_names_too(names):
    table = pd.DataFrame(Y, columns=names)
    model = MarginalRegressor(question=QUESTION)
    expected = model.fit(X, Y, N).predict(X)
    np.testing.assert_array_equal(model.fit(X, table, N).predict(X), expected)
    np.testing.assert_array_equal(model.fit(X, table[list(names)[::-1]], N).predict(X), expected)


def test_without_a_question_options_are_numbers():
    model = MarginalRegressor()
    expected = model.fit(X, Y, N).predict(X)
    table = pd.DataFrame(Y, columns=["1", "2", "3"])
    np.testing.assert_array_equal(model.fit(X, table[["2", "3", "1"]], N).predict(X), expected)
    with pytest.raises(ValueError, match=r'With question=None options are called "1"\.\."K": pass question='):
        model.fit(X, REVERSED, N)


def test_codes_of_the_data_file_are_names():
    coded = Question("?", ["no", "partly", "yes"], codes=[10, 20, 99])
    model = MarginalRegressor(question=coded)
    expected = model.fit(X, Y, N).predict(X)
    crossed = pd.DataFrame(Y, columns=[10, 20, 99])[[99, 10, 20]]
    np.testing.assert_array_equal(model.fit(X, crossed, N).predict(X), expected)


def test_codes_that_contradict_positions_are_refused():
    """As ``pandas.crosstab`` gives them, 1 2 3: the codes of yes, partly, no, or positions?"""
    model = MarginalRegressor(question=Question("?", ["no", "partly", "yes"], codes=[3, 2, 1]))
    with pytest.raises(ValueError, match=r"as their codes or texts, which say different"):
        model.fit(X, pd.DataFrame(Y, columns=[1, 2, 3]), N)
    unnamed = model.fit(X, pd.DataFrame(Y[:, [0, 1, 2]]), N)  # columns that pandas numbered by itself have no names
    np.testing.assert_array_equal(unnamed.predict(X), model.fit(X, Y, N).predict(X))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["no", "partly", "maybe"], r"no option is \['maybe'\], and \['yes'\] is missing"),
        (["p1", "p2", "p3"], r"are neither the question's options \['no', 'partly', 'yes'\] nor numbers 1\.\.3"),
        ([1, 2, 4], r"columns \[1, 2, 4\] are neither"),
        (["no", "no", "yes"], r"Y has more than one column 'no'"),
        (pd.MultiIndex.from_product([["share"], ["no", "partly", "yes"]]), "are neither the question's options"),
    ],
)
def test_other_names_are_refused(columns, message):
    table = pd.DataFrame(Y)
    table.columns = columns
    for model in (LogitRegressor(question=QUESTION), ZeroShotElicitor("nano", question=QUESTION)):
        with pytest.raises(ValueError, match=message):
            model.fit(X, table)


class TestSeveralQuestions:
    QUESTIONS = {
        "vote": Question("Will you vote?", ["no", "yes"]),
        "trust": Question("Do you trust the press?", ["yes", "a little", "no"]),  # the other way round
    }
    X = pd.DataFrame({"question": ["vote", "trust", "vote", "trust"], "age": ["young", "young", "old", "old"]})
    Y = np.array([[0.4, 0.6, np.nan], [0.5, 0.3, 0.2], [0.1, 0.9, np.nan], [0.6, 0.3, 0.1]])
    TABLE = pd.DataFrame(
        [[0.6, 0.4, np.nan], [0.5, 0.2, 0.3], [0.9, 0.1, np.nan], [0.6, 0.1, 0.3]], columns=["yes", "no", "a little"]
    )

    def test_a_name_is_each_rows_own_option(self):
        model = CellRegressor(question=self.QUESTIONS).fit(self.X, self.TABLE)
        np.testing.assert_allclose(model.predict(self.X), self.Y)
        assert model.score(self.X, self.TABLE) == pytest.approx(0, abs=1e-15)

    def test_options_of_other_questions_make_more_columns_than_the_longest_has(self):
        questions = {"vote": self.QUESTIONS["vote"], "more": Question("More?", ["less", "more"])}
        X = self.X.assign(question=["vote", "more"] * 2)
        table = pd.DataFrame([[np.nan, 0.6, 0.4, np.nan], [0.3, 0, 0, 0.7]] * 2, columns=["less", "yes", "no", "more"])
        model = CellRegressor(question=questions).fit(X, table)
        np.testing.assert_allclose(model.predict(X), [[0.4, 0.6], [0.3, 0.7]] * 2)

    def test_a_share_of_another_questions_option_is_refused(self):
        table = self.TABLE.copy()
        table.loc[2, "a little"] = 0.2
        with pytest.raises(ValueError, match=r"row 2 has 0\.2 in column 'a little', .* question 'vote'"):
            CellRegressor(question=self.QUESTIONS).fit(self.X, table)

    def test_numbered_columns_are_positions(self):
        model = CellRegressor(question=self.QUESTIONS).fit(self.X, pd.DataFrame(self.Y, columns=[1, 2, 3])[[3, 1, 2]])
        np.testing.assert_allclose(model.predict(self.X), self.Y)


class TestElicited:
    TABLE = pd.DataFrame(P, columns=QUESTION.options)[["partly", "yes", "no"]]

    def test_recordings_are_matched_by_name(self):
        recorded = RecordedElicitor(X, self.TABLE, question=QUESTION).fit(X, Y)
        np.testing.assert_array_equal(recorded.predict(X), P)
        with pytest.raises(ValueError, match=r"P_recorded: columns \['a', 'b', 'c'\] are neither"):
            RecordedElicitor(X, self.TABLE.set_axis(list("abc"), axis=1), question=QUESTION).fit(X, Y)

    def test_what_an_estimator_predicts_is_matched_by_name(self):
        class Foreign(RegressorMixin, BaseEstimator):
            def fit(self, X, Y):
                self.fitted_ = True
                return self

            def predict(self, rows):
                return TestElicited.TABLE.iloc[: len(rows)]

        for model, twin in ((FusedRegressor(Foreign(), question=QUESTION), FusedRegressor(SAID, question=QUESTION)),):
            np.testing.assert_allclose(model.fit(X, Y, N).predict(X), twin.fit(X, Y, N).predict(X))

    def test_anchors_are_matched_by_name(self):
        known = X[:3]
        models = [
            CalibratedElicitor(SAID, anchor=Anchor({"gender": "woman"}, known, truth)).fit(X, Y)
            for truth in (Y[:3], REVERSED[:3])
        ]
        np.testing.assert_array_equal(models[0].predict(X), models[1].predict(X))

    def test_examples_shown_to_a_model_are_matched_by_name(self):
        model = ZeroShotElicitor("nano", question=QUESTION, examples=(X, REVERSED)).fit(X)
        np.testing.assert_array_equal(model._shown_cells().Y, Y)

    def test_calibrators_match_truth_to_what_was_said(self):
        calibrator = DistributionCalibrator("linear", gate=False)
        expected = calibrator.fit(P[:, [1, 2, 0]], Y[:, [1, 2, 0]]).predict(self.TABLE.to_numpy())
        np.testing.assert_array_equal(calibrator.fit(self.TABLE, REVERSED).predict(self.TABLE), expected)
        with pytest.raises(ValueError, match="in a different order than at fit"):
            calibrator.predict(self.TABLE[["no", "partly", "yes"]])
        with pytest.raises(ValueError, match=r"P has columns .* but Y has no such names"):
            calibrator.fit(self.TABLE, Y)


def test_metrics_match_two_tables_and_refuse_one():
    said = pd.DataFrame(P, columns=QUESTION.options)
    for metric in (js_divergence, wasserstein):
        assert metric(REVERSED[["no", "partly", "yes"]], said[["yes", "no", "partly"]]) == metric(Y, P)
    with pytest.raises(ValueError, match=r"Y_true has columns \['yes', 'partly', 'no'\], but Y_pred has no such names"):
        js_divergence(REVERSED, P)
    with pytest.raises(ValueError, match="both need the same columns"):
        js_divergence(REVERSED, said.rename(columns={"no": "never"}))
    assert js_divergence(pd.DataFrame(Y, columns=[1, 2, 3])[[3, 2, 1]], P) == js_divergence(Y, P)


def test_tables_of_polars_are_matched_by_name():
    polars = pytest.importorskip("polars")
    table = polars.DataFrame({name: REVERSED[name].to_numpy() for name in REVERSED.columns})
    model = MarginalRegressor(question=QUESTION)
    np.testing.assert_array_equal(model.fit(X, table).predict(X), model.fit(X, Y).predict(X))


@pytest.mark.parametrize("dtype", ["Float64", "float32", object])
def test_number_types_of_tables(dtype):
    model = MarginalRegressor(question=QUESTION)
    expected = model.fit(X, Y).predict(X)
    np.testing.assert_allclose(model.fit(X, REVERSED.astype(dtype)).predict(X), expected, atol=1e-7)
