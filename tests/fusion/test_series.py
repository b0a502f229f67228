"""What waves say of a survey's coefficients: against the whole Gaussian worked out at once."""

from __future__ import annotations

import numpy as np
import pytest

from surveysim.baselines.features import Block
from surveysim.baselines.priors import PriorTable
from surveysim.baselines.question_stacks import Quadratic
from surveysim.fusion.drift import Drift
from surveysim.fusion.series import Series

BLOCKS = [Block(("sex",), "levels", slice(0, 2), ("sex=f", "sex=m"))]
DEGREES = [np.array([1, 2])]
SIZE = 6  # two contrasts of a constant and two terms
SPREAD = np.array([0.7, 0.1, 0.1, 0.3, 0.02, 0.02])  # of a level and two terms, for contrasts of degrees 1 and 2
IS_LEVEL = np.array([1, 0, 0, 1, 0, 0], dtype=bool)


def known(seed, rank=SIZE):
    generator = np.random.default_rng(seed)
    root = generator.normal(size=(SIZE, rank))
    return Quadratic(root @ root.T, generator.normal(size=SIZE))


def drift(n_links, level=0.5, group=0.5):
    table = PriorTable.fixed(BLOCKS, ordered=True)
    start = Drift.start(table, np.array([0.7, 0.7, 0.3, 0.2]), n_links=n_links, n_questions=1)
    return start.with_shares(level, group)


def whole(series, one, center):
    """Precision and linear term of (target, newest wave, the one before), all of them at once."""
    n = len(series.names)
    precision, linear = np.zeros(((n + 1) * SIZE,) * 2), np.zeros((n + 1) * SIZE)
    place = [slice(i * SIZE, (i + 1) * SIZE) for i in range(n + 1)]
    for link in range(n):
        wave, after = place[n - link], place[n - link - 1]
        own = series.information[link][0]
        precision[wave, wave] += own.matrix
        linear[wave] += own.linear - own.matrix @ center
        share = np.where(IS_LEVEL, *one.shares[link, 0])
        weight = np.diag(1 / (share * SPREAD * series.gaps[link]))
        A = np.diag(np.sqrt(1 - share)) if link == n - 1 else np.eye(SIZE)
        precision[wave, wave] += weight
        precision[after, after] += A @ weight @ A
        precision[wave, after] -= weight @ A
        precision[after, wave] -= A @ weight
    return precision, linear


@pytest.mark.parametrize("n_waves", [1, 3])
def test_evidence_is_what_remains_when_the_waves_are_integrated_out(n_waves):
    series = Series(tuple("abc"[:n_waves]), np.array([2.0, 0.5, 1.5])[:n_waves], [[known(i)] for i in range(n_waves)])
    one = drift(n_waves, 0.5, 0.3).with_own(0, 0.8)
    center = np.array([0.3, 0, 0, -0.1, 0, 0])
    (found,) = series.evidence(one, DEGREES, [center])
    precision, linear = whole(series, one, center)
    target, rest = slice(0, SIZE), slice(SIZE, None)
    inverse = np.linalg.inv(precision[rest, rest])
    matrix = precision[target, target] - precision[target, rest] @ inverse @ precision[rest, target]
    np.testing.assert_allclose(found.matrix, matrix, atol=1e-8)
    expected = linear[target] - precision[target, rest] @ inverse @ linear[rest] + matrix @ center
    np.testing.assert_allclose(found.linear, expected, atol=1e-8)


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
    (same,) = series.evidence(drift(1, 1e-9, 1e-9), DEGREES, [np.zeros(SIZE)])
    np.testing.assert_allclose(same.matrix, known(0).matrix, rtol=1e-3, atol=1e-4)
    (gone,) = series.evidence(drift(1, 1.0, 1.0), DEGREES, [np.zeros(SIZE)])
    assert np.abs(gone.matrix).max() == 0


def test_where_a_wave_is_left_out_its_drift_is_not():
    two = drift(2, 0.1, 0.1).with_own(1, 0.6)
    assert two.of_links([0]).shares.tolist() == [[[0.6, 0.6]]]
    assert two.of_links([1]).shares.tolist() == [[[0.6, 0.6]]]
    assert two.of_links([0, 1]).shares.tolist() == two.shares.tolist()
