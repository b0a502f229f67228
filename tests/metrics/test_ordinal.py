"""Wasserstein distance and opinion alignment: scales, pinned options, and independent oracles."""

import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from surveysim.distributions import pad_distributions
from surveysim.metrics import opinion_alignment, option_values, wasserstein
from surveysim.questions import Question

nan = math.nan


def oracle(truth, prediction, positions):
    """scipy, with positions as samples and distributions as their weights."""
    return scipy.stats.wasserstein_distance(positions, positions, truth, prediction) / np.ptp(positions)


def random_pairs(n=30, K=5, seed=0):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(K), n), rng.dirichlet(np.full(K, 0.5), n)


def test_by_hand():
    # half of the answers move by one step of the two: 1/2 * 1/2
    assert wasserstein([[0.5, 0.5, 0]], [[0.5, 0, 0.5]]) == 0.25
    assert opinion_alignment([[0.5, 0.5, 0]], [[0.5, 0, 0.5]]) == 75
    assert wasserstein([[1, 0, 0, 0]], [[0, 0, 0, 1]]) == 1
    # on the scale 0, 1, 4 the same half moves by 3 of 4
    assert wasserstein([[0.5, 0.5, 0]], [[0.5, 0, 0.5]], values=[0, 1, 4]) == 0.375


@pytest.mark.parametrize("values", [None, [0, 1, 2.5, 7, 8], [5, 4, 3, 1, -1]])
def test_against_scipy(values):
    Y, P = random_pairs()
    positions = np.arange(5.0) if values is None else np.array(values)
    expected = [oracle(t, p, positions) for t, p in zip(Y, P, strict=True)]
    np.testing.assert_allclose(wasserstein(Y, P, average=False, values=values), expected)
    assert opinion_alignment(Y, P, values=values) == pytest.approx(100 * (1 - np.mean(expected)))


def test_values_per_row_and_ragged_rows():
    rng = np.random.default_rng(1)
    scales = [[1, 2, 3], [0, 10], [3, 2, 1, 0.5, 0], [1, 5, 6]]
    truth, prediction = ([rng.dirichlet(np.ones(len(s))) for s in scales] for _ in range(2))
    expected = [oracle(t, p, s) for t, p, s in zip(truth, prediction, scales, strict=True)]
    Y, P, values = pad_distributions(truth), pad_distributions(prediction), pad_distributions(scales)
    np.testing.assert_allclose(wasserstein(Y, P, average=False, values=values), expected)
    np.testing.assert_allclose(wasserstein(Y, P, average=False, values=pad_distributions(scales, 8)), expected)
    # one scale for all: shorter rows use its beginning
    expected = [oracle(t, p, np.arange(len(t))) for t, p in zip(truth, prediction, strict=True)]
    np.testing.assert_allclose(wasserstein(Y, P, average=False), expected)
    np.testing.assert_allclose(wasserstein(Y, P, average=False, values=[1, 2, 3, 4, 5]), expected)


def test_pinned_options_are_left_out_wherever_they_stand():
    Y, P = random_pairs(K=5)
    for values in ([1, 2, 3, nan, nan], [nan, 1, 2, 4, nan]):
        inside = ~np.isnan(values)
        scale = np.array(values)[inside]
        expected = [oracle(t[inside], p[inside], scale) for t, p in zip(Y, P, strict=True)]
        np.testing.assert_allclose(wasserstein(Y, P, average=False, values=values), expected)
        np.testing.assert_allclose(wasserstein(Y, P, average=False, values=np.tile(values, (len(Y), 1))), expected)


def test_rows_whose_mass_is_pinned():
    Y = [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.5, 0.0, 0.5]]
    P = [[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 0.5, 0.5]]
    values = [1, 2, nan]
    np.testing.assert_array_equal(wasserstein(Y, P, average=False, values=values), [nan, 0.5, 1.0])
    np.testing.assert_array_equal(wasserstein(P, Y, average=False, values=values), [nan, 0.5, 1.0])
    assert wasserstein(Y, P, values=values, sample_weight=[5, 1, 3]) == pytest.approx((0.5 + 3) / 4)
    with pytest.raises(ValueError, match=r"Y_pred of row 0 puts its whole mass on options outside the order"):
        wasserstein(P, Y, values=values)
    assert opinion_alignment(P, Y, values=values, sample_weight=[0, 1, 1]) == 25
    with pytest.raises(ValueError, match="Y_true has no mass on an option within the order"):
        opinion_alignment(Y[:1], P[:1], values=values)
    with pytest.raises(ValueError, match="Y_true has no mass on an option within the order"):
        opinion_alignment(Y, P, values=values, sample_weight=[1, 0, 0])
    # pinned in both: left out like any row without ordinal truth
    assert wasserstein([Y[0], Y[1]], [Y[0], P[1]], values=values) == 0.5


@st.composite
def ordered_triples(draw):
    K = draw(st.integers(2, 6))
    steps = draw(st.lists(st.integers(1, 20), min_size=K - 1, max_size=K - 1))
    rows = [np.array(draw(st.lists(st.integers(0, 99), min_size=K, max_size=K).filter(any))) for _ in range(3)]
    return np.cumsum([0, *steps]), [(row / row.sum())[None] for row in rows]


@settings(deadline=None)
@given(ordered_triples(), st.floats(0.1, 10), st.floats(-5, 5))
def test_properties(drawn, factor, shift):
    values, (p, q, r) = drawn
    distance = wasserstein(p, q, values=values)
    assert 0 <= distance <= 1
    assert (distance == 0) == np.array_equal(p, q)
    assert wasserstein(q, p, values=values) == pytest.approx(distance)
    assert wasserstein(p, r, values=values) <= distance + wasserstein(q, r, values=values) + 1e-12
    assert opinion_alignment(p, q, values=values) == pytest.approx(100 * (1 - distance))
    # the scale's unit, origin and direction do not matter, nor the order in which options are listed
    assert wasserstein(p, q, values=values * factor + shift) == pytest.approx(distance, abs=1e-9)
    assert wasserstein(p[:, ::-1], q[:, ::-1], values=values[::-1]) == pytest.approx(distance, abs=1e-9)
    assert wasserstein(p, q, values=-values) == pytest.approx(distance, abs=1e-9)


def test_values_errors():
    Y, P = random_pairs(n=2, K=3)
    with pytest.raises(ValueError, match=r"row 1 is nominal \(1 such rows\).*Use js_divergence"):
        wasserstein(Y, P, values=[[1, 2, 3], [nan] * 3])
    with pytest.raises(ValueError, match=r"row 0 is nominal"):
        opinion_alignment(Y, P, values=[nan] * 3)
    with pytest.raises(ValueError, match="at least two different positions, row 0 has only 2"):
        wasserstein(Y, P, values=[2, nan, 2])
    with pytest.raises(ValueError, match=r"shape \(3,\) or \(2, 3\), got shape \(2,\)"):
        wasserstein(Y, P, values=[1, 2])
    with pytest.raises(ValueError, match=r"got shape \(1, 3\)"):
        wasserstein(Y, P, values=[[1, 2, 3]])
    with pytest.raises(ValueError, match="values has 4 positions, but the longest row has 3 options"):
        wasserstein(Y, P, values=[1, 2, 3, 4])
    with pytest.raises(ValueError, match="values of row 1 gives positions to more options than the 3 of Y_true"):
        wasserstein(Y, P, values=[[1, 2, 3, nan], [1, 2, 3, 4]])
    with pytest.raises(ValueError, match="finite positions"):
        wasserstein(Y, P, values=[1, 2, np.inf])
    # rows of weight 0 break nothing
    nominal_row = [[1, 2, 3], [nan] * 3]
    assert wasserstein(Y, P, values=nominal_row, sample_weight=[1, 0]) == wasserstein(Y[:1], P[:1])


SCALE = Question("How far do you agree?", ["disagree", "neither", "agree", "don't know"], pinned=["don't know"])
PARTY = Question("Which party?", ["red", "green"], ordinal=False)
THERMOMETER = Question("How warm?", ["cold", "hot"], values=[0, 100])


def test_option_values_of_each_row():
    X = pd.DataFrame({"age": ["18-29"] * 3, "question": ["scale", "party", "warm"]})
    values = option_values({"scale": SCALE, "party": PARTY, "warm": THERMOMETER}, X)
    np.testing.assert_array_equal(values, [[1, 2, 3, nan], [nan] * 4, [0, 100, nan, nan]])
    renamed = X.rename(columns={"question": "item"})
    again = option_values({"scale": SCALE, "party": PARTY, "warm": THERMOMETER}, renamed, question_column="item")
    np.testing.assert_array_equal(again, values)
    one = option_values({"scale": SCALE}, X[["age"]])
    np.testing.assert_array_equal(one, [[1, 2, 3, nan]] * 3)
    np.testing.assert_array_equal(option_values(THERMOMETER, np.zeros((2, 1))), [[0, 100]] * 2)
    assert option_values(None, X) is None


def test_option_values_errors():
    X = pd.DataFrame({"age": ["18-29"], "question": ["other"]})
    with pytest.raises(ValueError, match=r"column 'question' of X names \['other'\], expected one of \['scale'"):
        option_values({"scale": SCALE, "party": PARTY}, X)
    with pytest.raises(ValueError, match="with 2 questions, X must be a DataFrame whose column 'question'"):
        option_values({"scale": SCALE, "party": PARTY}, X[["age"]])
    with pytest.raises(ValueError, match="got ndarray without it"):
        option_values({"scale": SCALE, "party": PARTY}, X.to_numpy())
