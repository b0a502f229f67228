"""Held-out respondents: who is held out, how a prediction of them is scored, and when a candidate is preferred."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax

from surveysim.dsa.selection import clearly_better, held_out_losses, split_respondents
from tests.simulated import QUESTIONS, simulate


def test_folds_are_held_out_in_turn_and_share_no_respondent():
    folds = simulate().folds
    counts = folds.sum(axis=1)
    splits = split_respondents(counts, folds, 0.2, 3, np.random.default_rng(0))
    assert len(splits) == 3
    for number, split in enumerate(splits):
        np.testing.assert_allclose(split.held_out, folds[:, number])
        np.testing.assert_allclose(split.train + split.held_out, counts)


def test_the_fraction_decides_how_many_folds_are_held_out_at_a_time():
    folds = simulate().folds
    splits = split_respondents(folds.sum(axis=1), folds, 0.4, 9, np.random.default_rng(0))
    np.testing.assert_allclose([split.held_out for split in splits], [folds[:, :2].sum(1), folds[:, 2:4].sum(1)])


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.5])
def test_thinning_holds_out_whole_respondents_and_the_right_share(fraction):
    counts = np.random.default_rng(1).uniform(0, 30, size=(200, 4))
    (split,) = split_respondents(counts, None, fraction, 1, np.random.default_rng(0))
    np.testing.assert_allclose(split.train + split.held_out, counts)
    assert (split.train >= 0).all()
    part = split.held_out[split.held_out < counts]
    np.testing.assert_array_equal(part, np.round(part))
    assert split.held_out.sum() / counts.sum() == pytest.approx(fraction, rel=0.1)


def test_fractions_of_respondents_are_held_out_as_often_as_their_size():
    counts = np.full((20_000, 1), 0.4)
    (split,) = split_respondents(counts, None, 0.5, 1, np.random.default_rng(0))
    assert (split.held_out > 0).mean() == pytest.approx(0.2, abs=0.015)


def test_splits_differ_and_follow_the_generator():
    counts = simulate().folds.sum(axis=1)
    first, second = split_respondents(counts, None, 0.2, 2, np.random.default_rng(0))
    again, _ = split_respondents(counts, None, 0.2, 2, np.random.default_rng(0))
    assert (first.held_out != second.held_out).any()
    np.testing.assert_array_equal(first.held_out, again.held_out)


@pytest.mark.parametrize(("fraction", "share"), [(0.2, 1 / 5), (0.5, 1 / 2), (0.33, 1 / 3)])
def test_whole_cells_are_held_out(fraction, share):
    counts = np.arange(1.0, 121.0).reshape(60, 2)
    splits = split_respondents(counts, None, fraction, 9, np.random.default_rng(0), by_cell=True)
    held = np.array([split.held_out.sum(axis=1) > 0 for split in splits])
    assert held.mean(axis=1) == pytest.approx(share)
    assert held.sum(axis=0).max() == 1
    for split in splits:
        np.testing.assert_array_equal(split.train + split.held_out, counts)


@pytest.mark.parametrize("by_cell", [True, False])
def test_nobody_is_held_out_of_a_single_respondent(by_cell):
    """Somebody must be left to learn from, and somebody to judge by: otherwise there is no split."""
    counts = np.array([[1.0, 0.0, 0.0]])
    for seed in range(20):
        splits = split_respondents(counts, None, 0.5, 1, np.random.default_rng(seed), by_cell=by_cell)
        assert splits == []


def test_losses_of_held_out_respondents_are_scipys():
    survey = simulate(QUESTIONS)
    generator = np.random.default_rng(1)
    logits = np.where(np.isnan(survey.Y), np.nan, generator.normal(size=survey.Y.shape))
    held_out = np.nan_to_num(survey.folds[:, 0])
    unit = np.repeat([0, 1, 2], 12)
    found = held_out_losses(logits, held_out, unit)
    expected = np.zeros(3)
    for row in range(36):
        k = int((~np.isnan(logits[row])).sum())
        expected[unit[row]] -= (held_out[row, :k] * log_softmax(logits[row, :k])).sum()
    np.testing.assert_allclose(found, expected / held_out.sum())


def test_one_standard_error():
    default = np.array([1.0, 1.0, 1.0, 1.0])
    # differences .4 .2 .4 .2: sum 1.2, standard error of the sum 2 * .1155
    assert clearly_better(default - [0.4, 0.2, 0.4, 0.2], default)
    # differences 1 -1 1 -.5: sum .5, standard error 2 * 1.03
    assert not clearly_better(default - [1.0, -1.0, 1.0, -0.5], default)
    difference = np.array([0.5, 0.1, 0.5, 0.1])  # 1.2 in all, standard error 0.231 * 2 = 0.462
    assert clearly_better(default - difference, default, n_errors=2.5)
    assert not clearly_better(default - difference, default, n_errors=2.7)
    splits = np.array([[0.5, 0.5], [-0.4, -0.4], [0.3, 0.3]])  # questions agree, respondents do not
    assert not clearly_better(1.0 - splits, np.ones((3, 2)))
    assert clearly_better(1.0 - np.abs(splits), np.ones((3, 2)))
    # gains 1.0, 0.8, 0.6: mean 0.8, standard error 0.115; two errors are 4.53 of them with 2 degrees of freedom
    gains = np.array([[0.5, 0.5], [0.4, 0.4], [0.3, 0.3]])
    assert clearly_better(1.0 - gains, np.ones((3, 2)), n_errors=2.0)
    assert not clearly_better(0.7 - gains, np.full((3, 2), 0.4), n_errors=2.0)  # gains 0.4, 0.2, 0.0
    assert clearly_better(0.7 - gains, np.full((3, 2), 0.4), n_errors=1.0)
    assert not clearly_better(default, default)
    assert clearly_better(np.array([0.9]), np.array([1.0]))
    assert not clearly_better(np.array([1.0]), np.array([1.0]))
