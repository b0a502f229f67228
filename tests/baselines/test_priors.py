"""Prior variances: which coefficient gets which, and learning them from data with a known answer."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from surveysim.baselines.features import BackgroundEncoder
from surveysim.baselines.priors import PriorTable


@pytest.fixture
def blocks():
    frame = pd.DataFrame({"age": [1, 2, 3], "sex": ["f", "m", "f"]})
    return BackgroundEncoder(linear=True, pairs=True).fit(frame).blocks


def test_every_coefficient_gets_the_variance_of_its_terms_and_degree(blocks):
    variance = 1 / PriorTable.fixed(blocks, ordered=True).precision(np.array([1, 2, 3, 4, 0]))
    levels, linear, pairs = slice(1, 6), slice(6, 7), slice(7, 10)
    np.testing.assert_allclose(variance[:, 0], 25)
    np.testing.assert_allclose(variance[:, levels], np.repeat([[0.1], [0.02], [0.005], [0.005], [0.1]], 5, axis=1))
    np.testing.assert_allclose(variance[:, linear], [[0.15], [0.02], [0.005], [0.005], [0.1]])
    np.testing.assert_allclose(variance[:, pairs], np.repeat([[0.01], [0.002], [0.0005], [0.0005], [0.01]], 3, axis=1))


def test_the_plain_logit_has_one_variance(blocks):
    singles = [block for block in blocks if block.kind == "levels"]
    variance = 1 / PriorTable.fixed(singles, ordered=False).precision(np.array([0, 0, 0]))
    np.testing.assert_allclose(variance[:, 1:], 0.1)


def test_add_up_sums_over_blocks_and_degrees(blocks):
    table = PriorTable.fixed(blocks, ordered=True)
    total = table.add_up(np.ones((5, 10)), np.array([1, 2, 3, 4, 0]))
    assert total.tolist() == [[3, 3, 3, 6], [2, 2, 2, 4], [1, 1, 1, 2], [3, 3, 3, 6]]


def test_the_table_can_be_read(blocks):
    frame = PriorTable.fixed(blocks, ordered=True).as_frame()
    assert frame["attribute"].tolist() == ["age", "sex", "age", "age x sex"]
    assert frame["terms"].tolist() == ["levels", "levels", "linear", "pair"]
    assert frame.loc[2, "degree 1"] == 0.15


def test_variances_are_drawn_around_the_table_and_certain_ones_stay(blocks):
    table = PriorTable.fixed(blocks[:1], ordered=True)
    generator = np.random.default_rng(0)
    degrees = np.array([[np.inf, 4.0, 10.0, 1e9]])
    drawn = np.array([table.drawn(degrees, generator).variances[0] for _ in range(4000)])
    np.testing.assert_array_equal(drawn[:, 0], table.variances[0, 0])
    # v / draw is chi2(m) / m: mean 1, variance 2 / m
    ratio = table.variances[0, 1:3] / drawn[:, 1:3]
    np.testing.assert_allclose(ratio.mean(axis=0), 1.0, atol=0.04)
    np.testing.assert_allclose(ratio.var(axis=0), [0.5, 0.2], rtol=0.15)
    np.testing.assert_allclose(drawn[:, 3], table.variances[0, 3], rtol=1e-3)
