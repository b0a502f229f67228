"""The four objectives: what they measure, and that their gradients are right."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.special import softmax

from surveysim.calibration.objectives import KL_SHARE, OBJECTIVES, distance, loss
from surveysim.metrics import js_divergence, kl_divergence, total_variation, wasserstein

NAN = np.nan
Y = np.array([[0.1, 0.2, 0.3, 0.4], [0.5, 0.25, 0.25, NAN], [0.0, 1.0, NAN, NAN]])
Q = np.array([[0.4, 0.3, 0.2, 0.1], [0.2, 0.5, 0.3, NAN], [0.3, 0.7, NAN, NAN]])


@pytest.mark.parametrize(
    ("objective", "metric", "unit"),
    [("kl", kl_divergence, np.log(2)), ("tv", total_variation, 1), ("js", js_divergence, 1), ("w1", wasserstein, 1)],
)
def test_distances_are_those_of_the_metrics(objective, metric, unit, examples):
    rows = examples(Q, Y, objective=objective)
    np.testing.assert_allclose(distance(Q, rows), unit * metric(Y, Q, average=False), atol=1e-12)


def test_w1_by_hand_with_unequal_positions_in_any_order(examples):
    # along 0, 1, 3: cumulative differences .3 over a gap of 1 and .1 over a gap of 2, of a length of 3
    truth, predicted = np.array([[0.2, 0.5, 0.3]]), np.array([[0.5, 0.3, 0.2]])
    rows = examples(predicted, truth, positions=[[0, 1, 3]], objective="w1")
    assert distance(predicted, rows)[0] == pytest.approx((0.3 * 1 + 0.1 * 2) / 3)
    turned = [1, 2, 0]
    rows = examples(predicted[:, turned], truth[:, turned], positions=[[1, 3, 0]], objective="w1")
    assert distance(predicted[:, turned], rows)[0] == pytest.approx((0.3 * 1 + 0.1 * 2) / 3)


def test_w1_counts_options_outside_the_order_by_their_share(examples):
    # among the ordered options both are even; "don't know" has .2 instead of .5
    truth, predicted = np.array([[0.25, 0.25, 0.5]]), np.array([[0.4, 0.4, 0.2]])
    rows = examples(predicted, truth, positions=[[1, 2, NAN]], objective="w1")
    assert distance(predicted, rows)[0] == pytest.approx(0.15)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("pinned", [False, True])
def test_gradients_match_finite_differences(objective, pinned, examples):
    positions = np.where(np.isnan(Y), NAN, np.arange(1.0, 5))
    if pinned:
        positions[0, 3] = NAN
    rows = examples(Q, Y, positions=positions, objective=objective)
    logits = np.random.default_rng(0).normal(size=Y.shape)
    _, gradient = loss(logits, rows)
    numerical = approx_fprime(logits.ravel(), lambda z: loss(z.reshape(Y.shape), rows)[0].sum(), 1e-7)
    np.testing.assert_allclose(gradient.ravel(), numerical, atol=2e-5)
    assert (gradient[np.isnan(Y)] == 0).all()


def test_what_is_minimised_is_the_distance_up_to_smoothing_and_the_share_of_kl(examples):
    logits = np.log(np.where(np.isnan(Q), 1.0, Q))
    shares = {"kl": 0.0, "js": 0.0, "w1": KL_SHARE, "tv": KL_SHARE}
    kl = distance(Q, examples(Q, Y, objective="kl"))
    for objective, share in shares.items():
        rows = examples(Q, Y, objective=objective)
        expected = (1 - share) * distance(Q, rows) + share * kl
        np.testing.assert_allclose(loss(logits, rows)[0], expected, atol=3e-3)


def test_the_truth_itself_has_no_loss(examples):
    P = softmax(np.random.default_rng(1).normal(size=(5, 4)), axis=1)
    for objective in OBJECTIVES:
        rows, gradient = loss(np.log(P), examples(P, P, objective=objective))
        np.testing.assert_allclose(rows, 0, atol=1e-12)
        np.testing.assert_allclose(gradient, 0, atol=1e-9)
