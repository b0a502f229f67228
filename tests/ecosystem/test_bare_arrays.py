"""An array has neither the names of columns nor the order of categories: those who need them are told."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import BaggingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from surveysim import DSARegressor, FusedRegressor, SimilarityElicitor, ZeroShotElicitor
from surveysim.baselines import CellRegressor, LogitRegressor, MarginalRegressor
from tests.ecosystem.data import QUESTION, N, X, Y

ELICITOR = ZeroShotElicitor("nano", method="logprob", question=QUESTION)


def silently(run):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return run()


@pytest.mark.parametrize(
    ("model", "shown"),
    [
        (make_pipeline(OrdinalEncoder(), ELICITOR), "x0: 0, x1: 0"),
        (make_pipeline(ColumnTransformer([("both", "passthrough", ["gender", "age"])]), ELICITOR), "x0: man, x1: 65"),
        (BaggingRegressor(ELICITOR, n_estimators=1, bootstrap=False), "x0: 65"),
        (make_pipeline(OrdinalEncoder(), SimilarityElicitor("nano", question=QUESTION)), "x0: 0, x1: 0"),
    ],
    ids=["encoder", "columns", "bagging", "similarity"],
)
def test_a_language_model_is_shown_columns_without_names(model, shown):
    with pytest.warns(UserWarning, match=f'a language model is shown "{shown}') as caught:
        model.fit(X, Y)
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_training_is_warned_of_too(tiny_folder):
    model = DSARegressor(str(tiny_folder), question=QUESTION, max_epochs=1, validation_fraction=0, shift_weight=0)
    with pytest.warns(UserWarning, match="which says nothing of people"):
        model.fit(X.to_numpy(), Y)


@pytest.mark.parametrize("names", [[0, 1], ["0", "1"], ["x0", "x1"]])
def test_numbers_are_no_names(names):
    with pytest.warns(UserWarning, match="the columns of X have no names"):
        ELICITOR.fit(X.set_axis(names, axis=1), Y)


def test_names_in_words_are_fine():
    silently(lambda: make_pipeline(ColumnTransformer([("all", "passthrough", ["age", "gender"])]), ELICITOR)
             .set_output(transform="pandas").fit(X, Y))  # fmt: skip
    silently(lambda: ELICITOR.fit(X.rename(columns={"age": "x0"}), Y))


def test_without_backgrounds_there_is_nothing_to_name():
    elicitor = ZeroShotElicitor("nano", question={"a": QUESTION})
    silently(lambda: elicitor.fit(pd.DataFrame({"question": ["a"] * 6}), Y))


def test_the_order_of_categories_is_lost_with_their_type():
    moods = dict(zip(X["age"].unique(), ["calm", "busy", "worn"], strict=True))  # words that do not read like an order
    ordered = X.assign(age=pd.Categorical(X["age"].map(moods), list(moods.values()), ordered=True))
    with_order = silently(lambda: LogitRegressor(question=QUESTION).fit(ordered, Y, N))
    with pytest.warns(UserWarning, match="an array, which keeps no order of categories: columns 'x0' are texts"):
        without = LogitRegressor(question=QUESTION).fit(ordered.to_numpy(), Y, N)
    assert np.abs(with_order.predict(ordered) - without.predict(ordered.to_numpy())).max() > 1e-3
    with pytest.warns(UserWarning, match="keeps no order of categories"):
        FusedRegressor(None, question=QUESTION).fit(ordered.to_numpy(), Y, N)


@pytest.mark.parametrize(
    ("model", "rows"),
    [
        (LogitRegressor(question=QUESTION), X),  # who passes texts in a frame says what they are
        (LogitRegressor(question=QUESTION, ordered=False), X.to_numpy()),
        (MarginalRegressor(question=QUESTION), X.to_numpy()),
        (CellRegressor(question=QUESTION), X.to_numpy()),
        (LogitRegressor(question=QUESTION), X[["gender"]].to_numpy()),  # two levels have no order to lose
        (LogitRegressor(question=QUESTION), np.arange(6.0)[:, None]),  # numbers have theirs
    ],
)
def test_where_no_order_can_be_missed_nothing_is_said(model, rows):
    silently(lambda: model.fit(rows, Y, N))
