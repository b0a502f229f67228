"""What waves say of a survey's coefficients: against the whole Gaussian worked out at once."""

from __future__ import annotations

import numpy as np
import pytest

from surveysim.baselines.features import Block
from surveysim.baselines.question_stacks import Quadratic
from surveysim.fusion.drift import Drift
from surveysim.fusion.series import Series

BLOCKS = [Block(("sex",), "levels", slice(0, 2), ("sex=f", "sex=m"))]
DEGREES = [np.array([1, 2])]
SIZE = 6  # two contrasts of a constant and two terms


def known(seed, rank=SIZE):
    generator = np.random.default_rng(seed)
    root = generator.normal(size=(SIZE, rank))
    return Quadratic(root @ root.T, generator.normal(size=SIZE))


def drift(n_links, slope=1.0, scale=1.0):
    start = Drift.start(BLOCKS, ordered=True, n_links=n_links, n_questions=1).seen(slope, 40.0, np.ones(1))
    start.scales[:] = scale
    return start


def whole(series, one, center):
    """Precision and linear term of (target, newest wave, the one before), all of them at once."""
    n = len(series.names)
    D = one.variances(DEGREES[0]).ravel()
    precision, linear = np.zeros(((n + 1) * SIZE,) * 2), np.zeros((n + 1) * SIZE)
    place = [slice(i * SIZE, (i + 1) * SIZE) for i in range(n + 1)]
    for link in range(n):
        wave, after = place[n - link], place[n - link - 1]
        own = series.information[link][0]
        precision[wave, wave] += own.matrix
        linear[wave] += own.linear - own.matrix @ center
        weight = np.diag(1 / (D * series.gaps[link] * one.scales[link, 0]))
        A = np.diag(np.tile(one.slope_of_terms(), 2)) if link == n - 1 else np.eye(SIZE)
        precision[wave, wave] += weight
        precision[after, after] += A @ weight @ A
        precision[wave, after] -= weight @ A
        precision[after, wave] -= A @ weight
    return precision, linear


@pytest.mark.parametrize("n_waves", [1, 3])
def test_evidence_is_what_remains_when_the_waves_are_integrated_out(n_waves):
    series = Series(tuple("abc"[:n_waves]), np.array([2.0, 0.5, 1.5])[:n_waves], [[known(i)] for i in range(n_waves)])
    one = drift(n_waves, slope=0.7, scale=1.3)
    center = np.array([0.3, 0, 0, -0.1, 0, 0])
    (found,) = series.evidence(one, DEGREES, [center])
    precision, linear = whole(series, one, center)
    target, rest = slice(0, SIZE), slice(SIZE, None)
    inverse = np.linalg.inv(precision[rest, rest])
    matrix = precision[target, target] - precision[target, rest] @ inverse @ precision[rest, target]
    np.testing.assert_allclose(found.matrix, matrix, atol=1e-8)
    expected = linear[target] - precision[target, rest] @ inverse @ linear[rest] + matrix @ center
    np.testing.assert_allclose(found.linear, expected, atol=1e-8)


def test_moments_are_those_of_the_whole_posterior():
    series = Series(("a", "b"), np.array([2.0, 1.5]), [[known(0)], [known(1)]])
    one, center = drift(2, slope=0.7), np.zeros(SIZE)
    precision, linear = whole(series, one, center)
    own = known(5)  # what the survey's own respondents say
    precision[:SIZE, :SIZE] += own.matrix
    linear[:SIZE] += own.linear
    covariance = np.linalg.inv(precision)
    mean = covariance @ linear
    moments = series.moments(one, DEGREES, [center], [mean[:SIZE]], [covariance[:SIZE, :SIZE]])
    A = np.diag(np.tile(one.slope_of_terms(), 2))
    nothing = np.zeros((SIZE, SIZE))
    one_less = -np.eye(SIZE)
    for link, moves in ((1, np.hstack([A, one_less, nothing])), (0, np.hstack([nothing, -one_less, one_less]))):
        np.testing.assert_allclose(moments[link].square[0].ravel(), (moves @ mean) ** 2, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(moments[link].variance[0].ravel(), np.diag(moves @ covariance @ moves.T), rtol=1e-6)
    product = mean[:SIZE] * mean[SIZE : 2 * SIZE] + np.diag(covariance[:SIZE, SIZE : 2 * SIZE])
    np.testing.assert_allclose(moments[1].product[0].ravel(), product, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(moments[1].target[0].ravel(), mean[:SIZE] ** 2 + np.diag(covariance)[:SIZE], rtol=1e-6)


def test_a_wave_that_asked_nobody_says_nothing_and_leaving_one_out_joins_the_gaps():
    nobody = Quadratic(np.zeros((SIZE, SIZE)), np.zeros(SIZE))
    series = Series(("a", "b"), np.array([2.0, 1.5]), [[known(0)], [nobody]])
    (both,) = series.evidence(drift(2), DEGREES, [np.zeros(SIZE)])
    left = series.only(["a"])
    assert left is not None
    assert left.gaps.tolist() == [3.5]
    (alone,) = left.evidence(drift(1), DEGREES, [np.zeros(SIZE)])
    np.testing.assert_allclose(both.matrix, alone.matrix, atol=1e-9)
    np.testing.assert_allclose(both.linear, alone.linear, atol=1e-9)
    assert series.only(["c"]) is None


def test_where_nothing_drifts_a_wave_is_worth_its_respondents_and_where_all_does_nothing():
    series = Series(("a",), np.ones(1), [[known(0)]])
    start = Drift.start(BLOCKS, ordered=True, n_links=1, n_questions=1)
    (same,) = series.evidence(start.seen(1.0, 1e-6, np.ones(1)), DEGREES, [np.zeros(SIZE)])
    np.testing.assert_allclose(same.matrix, known(0).matrix, rtol=1e-3, atol=1e-4)
    (gone,) = series.evidence(start.seen(1.0, 1e9, np.ones(1)), DEGREES, [np.zeros(SIZE)])
    assert np.abs(gone.matrix).max() < 1e-5
    (unlike,) = series.evidence(start.seen(0.0, 1.0, np.ones(1)), DEGREES, [np.zeros(SIZE)])
    assert np.abs(unlike.matrix).max() == 0
