"""How elicited distributions are taken apart into levels, shifts and what is left."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surveysim import Question
from surveysim.fusion.covariates import ElicitedShifts, elicited_logits

QUESTIONS = {"a": Question("A?", ["no", "perhaps", "yes"]), "b": Question("B?", ["no", "yes"])}


def from_logits(logits):
    """Shares whose elicited logits these are: the floor is taken off again."""
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True) * (1 + 0.01 * logits.shape[1])
    return shares - 0.01


def grid():
    X = pd.MultiIndex.from_product([["young", "old"], ["f", "m"]], names=["age", "sex"]).to_frame(index=False)
    age, sex = np.array([-0.5, 0.1, 0.4]), np.array([0.2, 0.0, -0.2])
    level = np.array([0.3, -0.1, -0.2])
    sign = {"young": -1.0, "old": 1.0, "f": 1.0, "m": -1.0}
    logits = level + np.array([sign[a] * age + sign[s] * sex for a, s in zip(X["age"], X["sex"], strict=True)])
    return X, logits, level, age, sex


def test_elicited_logits_by_hand():
    logits = elicited_logits(np.array([[0.0, 1.0, np.nan], [np.nan] * 3, [0.2, 0.3, 0.5]]))
    expected = np.log([0.01, 1.01])
    np.testing.assert_allclose(logits[0], [*(expected - expected.mean()), 0.0])
    assert np.isnan(logits[1]).all()
    np.testing.assert_allclose(logits[2].sum(), 0.0, atol=1e-12)


def test_an_additive_table_comes_apart_into_its_parts():
    X, logits, level, age, sex = grid()
    index = np.zeros(4, dtype=int)
    shifts = ElicitedShifts(QUESTIONS).fit(X, index, from_logits(logits), np.full(4, 10.0))
    parts = shifts.transform(X, index, from_logits(logits))
    np.testing.assert_allclose(parts.level, np.tile(level, (4, 1)), atol=1e-9)
    np.testing.assert_allclose(parts.shifts[0], [-age, sex], atol=1e-9)
    np.testing.assert_allclose(parts.rest, 0.0, atol=1e-9)
    assert parts.has_level.all()


def test_the_parts_of_any_crossed_table_add_up_to_its_logits():
    X, logits, *_ = grid()
    logits[0] += [0.3, -0.3, 0.0]
    index = np.zeros(4, dtype=int)
    n = np.array([5.0, 40.0, 10.0, 20.0])
    parts = ElicitedShifts(QUESTIONS).fit(X, index, from_logits(logits), n).transform(X, index, from_logits(logits))
    assert np.abs(parts.rest).max() > 0.01
    np.testing.assert_allclose(parts.level + parts.shifts.sum(axis=1) + parts.rest, logits, atol=1e-9)
    np.testing.assert_allclose(n @ logits / n.sum(), parts.level[0], atol=1e-9)


def test_in_a_table_of_single_attributes_the_stated_one_gets_the_whole_difference():
    X = pd.DataFrame({"age": ["young", "old", None, None], "sex": [None, None, "f", "m"]})
    logits = np.array([[-1.0, 0.0, 1.0], [0.5, 0.0, -0.5], [0.2, 0.0, -0.2], [0.1, 0.2, -0.3]])
    index = np.zeros(4, dtype=int)
    P = from_logits(logits)
    parts = ElicitedShifts(QUESTIONS).fit(X, index, P, np.ones(4)).transform(X, index, P)
    np.testing.assert_allclose(parts.level[0], logits.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(parts.shifts[:2, 0], (logits - logits.mean(axis=0))[:2], atol=1e-9)
    np.testing.assert_allclose(parts.shifts[:2, 1], 0.0)
    np.testing.assert_allclose(parts.rest, 0.0, atol=1e-9)


def test_a_new_value_takes_what_is_left_of_its_own_row():
    X, logits, level, _, sex = grid()
    index = np.zeros(4, dtype=int)
    shifts = ElicitedShifts(QUESTIONS).fit(X, index, from_logits(logits), np.ones(4))
    new = level + sex + np.array([0.6, 0.0, -0.6])
    one = pd.DataFrame({"age": ["middle"], "sex": ["f"]})
    parts = shifts.transform(one, np.zeros(1, dtype=int), from_logits(new[None]))
    np.testing.assert_allclose(parts.shifts[0, 0], [0.6, 0.0, -0.6], atol=1e-9)
    np.testing.assert_allclose(parts.rest, 0.0)
    nothing = shifts.transform(one, np.zeros(1, dtype=int), np.full((1, 3), np.nan))
    np.testing.assert_allclose(nothing.shifts[0, 0], 0.0)
    np.testing.assert_allclose(nothing.shifts[0, 1], sex, atol=1e-9)


def test_a_row_without_a_distribution_has_the_shifts_of_its_values_and_other_questions_are_untouched():
    X, logits, _, age, sex = grid()
    P = from_logits(logits)
    P[3] = np.nan  # old men
    index = np.zeros(4, dtype=int)
    shifts = ElicitedShifts(QUESTIONS).fit(X, index, P, np.ones(4))
    assert shifts.knows(0)
    assert not shifts.knows(1)
    parts = shifts.transform(X, index, P)
    difference = parts.shifts[3].sum(axis=0) - parts.shifts[0].sum(axis=0)
    np.testing.assert_allclose(difference, 2 * (age - sex), atol=1e-9)
    other = shifts.transform(X, np.ones(4, dtype=int), np.column_stack([np.full((4, 2), 0.5), np.full(4, np.nan)]))
    assert not other.has_level.any()
    assert (other.level == 0).all()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_neither_the_order_of_rows_nor_splitting_them_matters(seed):
    generator = np.random.default_rng(seed)
    X = pd.DataFrame({"age": generator.choice(["y", "m", "o"], 9), "sex": generator.choice(["f", "m"], 9)})
    P = generator.dirichlet(np.ones(3), 9)
    n = generator.uniform(1, 20, 9)
    index = np.zeros(9, dtype=int)
    parts = ElicitedShifts(QUESTIONS).fit(X, index, P, n).transform(X, index, P)
    order = np.r_[generator.permutation(9), 0]
    halved = np.where(order == 0, n[0] / 2, n[order])
    rows = X.iloc[order].reset_index(drop=True)
    again = ElicitedShifts(QUESTIONS).fit(rows, np.zeros(10, dtype=int), P[order], halved)
    moved = again.transform(X, index, P)
    for one, other in ((parts.level, moved.level), (parts.shifts, moved.shifts), (parts.rest, moved.rest)):
        np.testing.assert_allclose(one, other, atol=1e-8)


def test_numbers_and_categories_are_values_like_others():
    X = pd.DataFrame({"age": pd.Categorical(["y", "o"], ["y", "m", "o"], ordered=True), "years": [20.0, 70.0]})
    P = np.array([[0.2, 0.3, 0.5], [0.5, 0.3, 0.2]])
    index = np.zeros(2, dtype=int)
    shifts = ElicitedShifts(QUESTIONS).fit(X, index, P, np.ones(2))
    parts = shifts.transform(X, index, P)
    # age and years say the same: each gets half
    np.testing.assert_allclose(parts.shifts[:, 0], parts.shifts[:, 1], atol=1e-9)
    assert np.abs(parts.shifts).max() == pytest.approx(np.abs(elicited_logits(P)[0] - elicited_logits(P)[1]).max() / 4)
