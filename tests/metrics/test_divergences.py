"""Divergences against hand-worked numbers, independent libraries and their defining properties."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from surveysim.distributions import pad_distributions
from surveysim.metrics import (
    cross_entropy,
    js_distance,
    js_divergence,
    kl_divergence,
    rmse,
    total_variation,
)

NOMINAL = [js_divergence, js_distance, kl_divergence, total_variation, rmse, cross_entropy]
SYMMETRIC = [js_divergence, js_distance, total_variation, rmse]
DISTANCES = [js_divergence, js_distance, kl_divergence, total_variation, rmse]


def random_pairs(n=40, K=5, seed=0):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(K), n), rng.dirichlet(np.full(K, 0.5), n)


@st.composite
def distributions(draw, n_rows=2, min_options=2, max_options=7):
    """`n_rows` distributions over the same options, zeros and equal rows included."""
    K = draw(st.integers(min_options, max_options))
    rows = []
    for _ in range(n_rows):
        counts = draw(st.lists(st.integers(0, 1000), min_size=K, max_size=K).filter(any))
        rows.append(np.array(counts) / sum(counts))
    return rows


# Numbers worked out by hand: truth (1/2, 1/2), prediction (1/4, 3/4), so m = (3/8, 5/8).


def test_js_divergence_by_hand():
    by_hand = 0.5 * (0.5 * math.log2(4 / 3) + 0.5 * math.log2(4 / 5)) + 0.5 * (
        0.25 * math.log2(2 / 3) + 0.75 * math.log2(6 / 5)
    )
    assert js_divergence([[0.5, 0.5]], [[0.25, 0.75]]) == pytest.approx(by_hand, abs=1e-15)
    assert by_hand == pytest.approx(0.0487949, abs=1e-7)


def test_base_of_js():
    Y, P = random_pairs()
    assert js_divergence(Y, P, base=math.e) == pytest.approx(js_divergence(Y, P) * math.log(2))
    assert js_distance(Y, P, base=4) == pytest.approx(js_distance(Y, P) / math.sqrt(2))
    for base in (1, 0.5, math.nan, math.inf, "2"):
        with pytest.raises(ValueError, match="base"):
            js_divergence(Y, P, base=base)


def test_kl_and_cross_entropy_by_hand():
    # 1/2 log2(2) + 1/2 log2(2/3)
    assert kl_divergence([[0.5, 0.5]], [[0.25, 0.75]]) == pytest.approx(1 - math.log2(3) / 2)
    # 1/2 * 2 + 1/2 * (2 - log2 3)
    assert cross_entropy([[0.5, 0.5]], [[0.25, 0.75]]) == pytest.approx(2 - math.log2(3) / 2)


def test_total_variation_and_rmse_by_hand():
    truth, prediction = [[0.2, 0.3, 0.5], [1, 0, 0]], [[0.5, 0.3, 0.2], [0, 0, 1]]
    assert total_variation(truth, prediction, average=False) == pytest.approx([0.3, 1.0])
    assert rmse(truth, prediction, average=False) == pytest.approx([math.sqrt(0.18 / 3), math.sqrt(2 / 3)])
    # the average is taken before the root, with the weights 3 and 1
    assert rmse(truth, prediction, sample_weight=[3, 1]) == pytest.approx(math.sqrt((3 * 0.06 + 2 / 3) / 4))


def test_zero_probability_is_infinitely_wrong():
    truth, prediction = [[0.5, 0.5], [1.0, 0.0]], [[1.0, 0.0], [0.5, 0.5]]
    assert kl_divergence(truth, prediction, average=False).tolist() == [math.inf, 1.0]
    assert cross_entropy(truth, prediction, average=False).tolist() == [math.inf, 1.0]
    assert kl_divergence(truth, prediction) == math.inf
    assert kl_divergence(truth, prediction, sample_weight=[0, 1]) == 1.0
    assert js_divergence(truth, prediction) < 1


def test_cross_entropy_of_the_truth_is_its_entropy():
    Y, P = random_pairs()
    np.testing.assert_allclose(cross_entropy(Y, Y, average=False), scipy.stats.entropy(Y, base=2, axis=1))
    np.testing.assert_allclose(
        cross_entropy(Y, P, average=False), kl_divergence(Y, P, average=False) + scipy.stats.entropy(Y, base=2, axis=1)
    )
    assert math.copysign(1, cross_entropy([[1.0, 0.0]], [[1.0, 0.0]])) == 1


# Independent libraries


def test_js_against_scipy():
    Y, P = random_pairs()
    scipy_distance = jensenshannon(Y, P, base=2, axis=1)
    np.testing.assert_allclose(js_divergence(Y, P, average=False), scipy_distance**2, rtol=1e-12)
    np.testing.assert_allclose(js_distance(Y, P, average=False), scipy_distance, rtol=1e-12)
    assert js_distance(Y, P) == pytest.approx(scipy_distance.mean())


def test_kl_against_scipy():
    Y, P = random_pairs()
    np.testing.assert_allclose(kl_divergence(Y, P, average=False), scipy.stats.entropy(Y, P, base=2, axis=1))


def test_js_of_nearly_equal_rows_is_accurate():
    """Where the sum of two divergences cancels to noise, the second-order expansion is the oracle: eps^2 / ln 2."""
    for eps in (1e-5, 1e-7, 1e-9):
        Y, P = [[0.5, 0.5]], [[0.5 + eps, 0.5 - eps]]
        assert js_divergence(Y, P) == pytest.approx(eps**2 / (2 * math.log(2)), rel=1e-4)
    equal = np.float32([[0.1, 0.2, 0.7]])
    assert 0 <= js_divergence(equal.astype(float), [[0.1, 0.2, 0.7]]) < 1e-13


# Properties


@settings(deadline=None)
@given(distributions())
def test_bounds_symmetry_and_identity(pair):
    p, q = (row[None] for row in pair)
    for metric in DISTANCES:
        assert metric(p, p) == 0
        assert (metric(p, q) == 0) == np.array_equal(p, q)
        assert metric(p, q) >= 0
    for metric in SYMMETRIC:
        assert metric(p, q) == pytest.approx(metric(q, p), abs=1e-15)
        assert metric(p, q) <= 1
    assert kl_divergence(p, q) >= 2 * total_variation(p, q) ** 2 / math.log(2) - 1e-12  # Pinsker
    assert js_divergence(p, q) <= total_variation(p, q) + 1e-12  # Lin 1991, theorem 3
    assert js_divergence(p, q) == pytest.approx(js_distance(p, q) ** 2)


@settings(deadline=None)
@given(distributions(), st.randoms(use_true_random=False))
def test_order_of_options_plays_no_part(pair, random):
    p, q = (row[None] for row in pair)
    order = list(range(p.shape[1]))
    random.shuffle(order)
    for metric in NOMINAL:
        assert metric(p[:, order], q[:, order]) == pytest.approx(metric(p, q), abs=1e-12)


@settings(deadline=None)
@given(distributions(n_rows=3))
def test_distances_obey_the_triangle_inequality(rows):
    p, q, r = (row[None] for row in rows)
    for metric in (js_distance, total_variation, rmse):
        assert metric(p, r) <= metric(p, q) + metric(q, r) + 1e-12


# Rows of different questions, weights, and what is in a row


@pytest.mark.parametrize("metric", NOMINAL)
def test_ragged_rows_equal_each_row_alone(metric):
    rng = np.random.default_rng(3)
    sizes = [2, 5, 3, 7, 2]
    truth, prediction = ([rng.dirichlet(np.ones(K)) for K in sizes] for _ in range(2))
    alone = [metric(t[None], p[None]) for t, p in zip(truth, prediction, strict=True)]
    np.testing.assert_allclose(metric(pad_distributions(truth), pad_distributions(prediction), average=False), alone)
    # surplus columns of NaN on one side only
    surplus = metric(pad_distributions(truth, 9), pad_distributions(prediction), average=False)
    np.testing.assert_allclose(surplus, alone)
    respondents = np.array([20.0, 30, 40, 50, 60])
    if metric in (js_divergence, kl_divergence, rmse):
        debiased = metric(
            pad_distributions(truth), pad_distributions(prediction), average=False, truth_respondents=respondents
        )
        alone = [
            metric(t[None], p[None], truth_respondents=n)
            for t, p, n in zip(truth, prediction, respondents, strict=True)
        ]
        np.testing.assert_allclose(debiased, alone)


@pytest.mark.parametrize("metric", NOMINAL)
def test_weights_are_respondents(metric):
    """A weight of 3 is the row three times, a weight of 0 no row."""
    Y, P = random_pairs(n=4)
    weighted = metric(Y, P, sample_weight=[3, 0, 1, 2])
    assert weighted == pytest.approx(metric(Y[[0, 0, 0, 2, 3, 3]], P[[0, 0, 0, 2, 3, 3]]))
    if metric is not rmse:
        assert metric(Y, P) == pytest.approx(metric(Y, P, average=False).mean())


def test_rows_of_weight_zero_may_be_empty_cells():
    Y, P = random_pairs(n=3)
    empty = Y.copy()
    empty[0] = np.nan
    n = [0, 30, 40]
    expected = js_divergence(Y[1:], P[1:], sample_weight=n[1:], truth_respondents=n[1:])
    assert js_divergence(empty, P, sample_weight=n, truth_respondents=n) == expected
    with pytest.raises(ValueError, match=r"Y_true: row 0 is all NaN"):
        js_divergence(empty, P, sample_weight=n, average=False)


def test_rounding_within_the_tolerance_is_no_divergence():
    assert kl_divergence([[0.5, 0.5]], [[0.5 + 4e-7, 0.5 + 4e-7]]) == 0


# Errors


@pytest.mark.parametrize("metric", NOMINAL)
def test_errors_name_the_array_the_row_and_the_reason(metric):
    Y, P = random_pairs(n=3, K=3)
    with pytest.raises(ValueError, match=r"Y_pred: row 1 sums to"):
        metric(Y, P * [[1], [0.9], [1]])
    with pytest.raises(ValueError, match=r"Y_true: row 2 has NaN among its options"):
        metric(np.where([[False] * 3, [False] * 3, [True, False, False]], np.nan, Y), P)
    with pytest.raises(ValueError, match=r"same rows, got 3 and 2"):
        metric(Y, P[:2])
    shorter = np.c_[P[:, :2] / P[:, :2].sum(1, keepdims=True), np.full(3, np.nan)]
    with pytest.raises(ValueError, match=r"row 0 has 3 options in Y_true but 2 in Y_pred \(3 such rows\)"):
        metric(Y, shorter)
    with pytest.raises(ValueError, match="sample_weight sums to 0"):
        metric(Y, P, sample_weight=[0, 0, 0])
    for weight in (-1, np.nan, np.inf):
        with pytest.raises(ValueError, match=r"sample_weight must be finite and not negative, got .* in row 1"):
            metric(Y, P, sample_weight=[1, weight, 1])
    with pytest.raises(ValueError, match=r"sample_weight must have one number per row, shape \(3,\), got shape \(2,\)"):
        metric(Y, P, sample_weight=[1, 1])
    # a row of weight 0 ahead does not shift the row's number
    with pytest.raises(ValueError, match=r"Y_pred: row 1 sums to"):
        metric(Y, P * [[1], [0.9], [1]], sample_weight=[0, 1, 1])
