"""What comes to an estimator's door: identifiers, impossible weights, sparse and masked arrays."""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from surveysim import DSARegressor, FusedRegressor, Question, ZeroShotElicitor
from surveysim.baselines import CellRegressor, LogitRegressor, MarginalRegressor
from surveysim.errors import SurveysimWarning

X = pd.DataFrame({"sex": ["f", "m", "f"], "age": ["young", "young", "old"]})
Y = np.array([[0.5, 0.5], [0.2, 0.8], [0.6, 0.4]])
BASELINES = [MarginalRegressor, CellRegressor, LogitRegressor]


def identifiers(n: int) -> pd.DataFrame:
    return pd.DataFrame({"sex": ["f", "m"] * (n // 2), "person": [f"p{i}" for i in range(n)]})


@pytest.mark.parametrize("make", [LogitRegressor, lambda: FusedRegressor(None)], ids=["logit", "fused"])
def test_ten_thousand_levels_are_refused_at_once_where_each_has_a_coefficient(make: Any) -> None:
    start = time.process_time()
    with pytest.raises(
        ValueError, match=r"column 'person' has 10,000 different values in 10,000 rows.*no more than 1,000"
    ):
        make().fit(identifiers(10_000), np.full((10_000, 4), 0.25))
    assert time.process_time() - start < 10


@pytest.mark.parametrize("estimator", [MarginalRegressor, CellRegressor])
def test_where_they_cost_little_they_are_warned_of_with_number_and_column(estimator: Any) -> None:
    shares = np.random.default_rng(0).dirichlet(np.ones(4), 10_000)
    start = time.process_time()
    with pytest.warns(SurveysimWarning, match=r"column 'person' has 10,000 different values"):
        model = estimator().fit(identifiers(10_000), shares)
    assert model.predict(identifiers(10)).shape == (10, 4)
    assert time.process_time() - start < 30


def test_an_elicitor_warns_before_it_is_paid_for() -> None:
    question = Question("Content?", ["yes", "no"])
    with pytest.warns(SurveysimWarning, match=r"column 'person' has 2,000"):
        ZeroShotElicitor("nano", question=question).fit(identifiers(2000))


def test_a_thousand_levels_and_many_numbers_pass() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MarginalRegressor().fit(identifiers(1000), np.full((1000, 2), 0.5))


@pytest.mark.parametrize("estimator", [*BASELINES, lambda: DSARegressor("nano")])
@pytest.mark.parametrize("weights", [[1e300] * 3, [1e300, 1, 1], [1, 2, 3e12]])
def test_more_respondents_than_people_are_refused(estimator: Any, weights: list[float]) -> None:
    with pytest.raises(ValueError, match=r"sample_weight: row \d has .* respondents, more than 1e\+12"):
        estimator().fit(X, Y, sample_weight=weights)


def test_weights_that_add_up_to_nobody_are_refused() -> None:
    with pytest.raises(ValueError, match="adds up to 3e-300 respondents"):
        MarginalRegressor().fit(X, Y, sample_weight=[1e-300] * 3)


@pytest.mark.parametrize("kind", [sp.csr_matrix, sp.coo_matrix, sp.csr_array])
def test_sparse_X_and_Y_are_refused_with_what_to_do(kind: Any) -> None:
    with pytest.raises(TypeError, match=r"Sparse data was passed for X.*toarray"):
        MarginalRegressor().fit(kind(np.eye(3)), Y)
    with pytest.raises(TypeError, match=r"Y is sparse.*toarray"):
        MarginalRegressor().fit(X, kind(Y))


def test_sparse_columns_of_a_table_are_numbers() -> None:
    dense = pd.DataFrame(np.eye(3), columns=["a", "b", "c"])
    sparse = dense.astype(pd.SparseDtype(float, 0.0))
    P, Q = (LogitRegressor().fit(table, Y).predict(table) for table in (dense, sparse))
    np.testing.assert_allclose(P, Q)


@pytest.mark.parametrize(
    ("data", "missing"),
    [(["f", "m", "f"], None), ([1, 2, 1], np.nan), ([1.5, 2.5, 1.5], np.nan), ([True, False, True], np.nan)],
)
def test_what_is_masked_in_X_is_missing(data: list[Any], missing: Any) -> None:
    column = np.array(data)[:, None]
    masked = np.ma.masked_array(column, mask=[[False], [True], [False]])
    plain = column.astype(object if missing is None else float)
    plain[1] = missing
    np.testing.assert_array_equal(
        CellRegressor().fit(masked, Y).predict(masked), CellRegressor().fit(plain, Y).predict(plain)
    )
    assert not np.allclose(
        CellRegressor().fit(column, Y).predict(column)[1], CellRegressor().fit(masked, Y).predict(column[:1])
    )


def test_what_is_masked_in_Y_is_missing() -> None:
    two = {"long": Question("Q", ["a", "b", "c"]), "short": Question("R", ["a", "b"])}
    shares = np.ma.masked_array([[0.2, 0.3, 0.5], [0.4, 0.6, 7.0]], mask=[[0, 0, 0], [0, 0, 1]])
    rows = pd.DataFrame({"question": ["long", "short"], "sex": ["f", "f"]})
    P = CellRegressor(question=two).fit(rows, shares).predict(rows)
    np.testing.assert_allclose(P, [[0.2, 0.3, 0.5], [0.4, 0.6, np.nan]])
    with pytest.raises(ValueError, match="Y: row 1"):
        MarginalRegressor().fit(X, np.ma.masked_array(Y, mask=[[0, 0], [1, 1], [0, 0]]))


def test_a_masked_weight_is_an_error() -> None:
    with pytest.raises(ValueError, match="sample_weight: row 1 is NaN"):
        MarginalRegressor().fit(X, Y, sample_weight=np.ma.masked_array([1, 2, 3], mask=[0, 1, 0]))
