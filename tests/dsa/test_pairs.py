"""Which cells are compared, and how cells are put into batches."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
import torch

from surveysim.dsa.batches import Batches
from surveysim.dsa.loop import Objective
from surveysim.dsa.pairs import background_codes, lines_of, pair_counts
from tests.simulated import QUESTIONS, simulate

NAMES = list(QUESTIONS)


class _Inputs:
    """Stands for trunk inputs: the trained blocks read which cells they are given."""

    room = 0

    def batch(self, rows):
        return torch.as_tensor(rows)


class _Head(torch.nn.Module):
    """Stands for the head: fixed logits per cell, and a bias per question."""

    def __init__(self, logits):
        super().__init__()
        self.logits = torch.nn.Parameter(logits)
        self.bias = torch.nn.Parameter(torch.zeros(len(QUESTIONS), logits.shape[1]))

    def forward(self, rows, question):
        return self.logits[rows] + self.bias[question]


def make_batches(survey, batch_size, seed=0):
    question_index = survey.X["question"].map(NAMES.index).to_numpy()
    return Batches(
        _Inputs(),
        survey.X.drop(columns="question"),
        question_index,
        list(QUESTIONS.values()),
        4,
        batch_size,
        np.random.default_rng(seed),
        torch.device("cpu"),
    )


def whole_objective(batches, objective, head):
    parts = [objective.loss(head, batch, batches) for batch in batches.parts]
    return [float(sum(part[i].detach() for part in parts)) for i in (0, 1)]


def test_missing_has_a_code_of_its_own():
    frame = pd.DataFrame({"age": ["old", None, "old", np.nan], "n": [1.0, np.nan, 1.0, 2.0], "b": [True, False] * 2})
    assert background_codes(frame).tolist() == [[0, 0, 0], [-1, -1, 1], [0, 0, 0], [-1, 1, 1]]


def test_a_background_that_comes_twice_is_not_compared_with_itself():
    frame = pd.DataFrame({"age": ["old", "old", "young"], "sex": ["man"] * 3})
    lines = lines_of(background_codes(frame), np.zeros(3, dtype=int))
    assert pair_counts([lines], 2).tolist() == [1, 0]


def test_cells_without_any_attribute_have_no_pairs():
    assert lines_of(background_codes(pd.DataFrame(index=range(3))), np.zeros(3, dtype=int)) == []


@pytest.mark.parametrize("batch_size", [1, 5, 12, 13, 24, 30, 36, 1000])
def test_batches_hold_every_cell_once_and_whole_questions_while_they_fit(batch_size):
    survey = simulate(QUESTIONS)
    batches = make_batches(survey, batch_size)
    rows = torch.cat([batch.rows for batch in batches.parts])
    assert sorted(rows.tolist()) == list(range(36))
    assert max(len(batch.rows) for batch in batches.parts) <= max(batch_size, 12)
    for batch in batches.parts:
        assert (torch.bincount(batch.question) % 12 == 0).all()
    assert len(batches.parts) == -(-36 // (max(batch_size, 12) // 12 * 12))


@pytest.mark.parametrize("levels", [True, False])
def test_losses_of_batches_add_up_to_the_whole_objective(levels):
    survey = simulate(QUESTIONS)
    generator = np.random.default_rng(1)
    exists = ~np.isnan(survey.Y)
    logits = torch.tensor(np.where(exists, generator.normal(size=exists.shape), -1e30), dtype=torch.float32)
    counts = torch.tensor(np.nan_to_num(survey.n[:, None] * survey.Y), dtype=torch.float32)
    reference = torch.tensor(np.where(exists, generator.normal(size=(3, *exists.shape)), 0.0), dtype=torch.float32)
    objective = Objective(counts, shift_weight=20.0, reference=reference, levels=levels)
    sizes = {size: make_batches(survey, size, seed=size) for size in (12, 24, 1000)}
    found = {size: whole_objective(batches, objective, _Head(logits)) for size, batches in sizes.items()}
    assert {len(batches.parts) for batches in sizes.values()} == {1, 2, 3}
    assert found[1000][1] > 0.01
    for losses in found.values():
        np.testing.assert_allclose(losses, found[1000], rtol=1e-5)


def test_cross_entropy_adds_up_when_very_large_questions_are_split(monkeypatch):
    monkeypatch.setattr("surveysim.dsa.batches.LARGEST_QUESTION", 4)
    survey = simulate(QUESTIONS)
    exists = ~np.isnan(survey.Y)
    logits = torch.tensor(np.where(exists, np.random.default_rng(1).normal(size=exists.shape), -1e30)).float()
    objective = Objective(torch.tensor(np.nan_to_num(survey.n[:, None] * survey.Y)).float(), levels=False)
    whole = whole_objective(make_batches(survey, 1000), objective, _Head(logits))[0]
    for size in (1, 5, 7):
        batches = make_batches(survey, size)
        assert len(batches.parts) > 3
        assert whole_objective(batches, objective, _Head(logits))[0] == pytest.approx(whole, rel=1e-5)


def test_the_weight_of_stage_2_counts_in_respondents():
    survey = simulate(QUESTIONS)
    batches = make_batches(survey, 1000)
    head = _Head(torch.tensor(np.random.default_rng(1).normal(size=(36, 4))).float())
    counts = torch.tensor(np.nan_to_num(survey.n[:, None] * survey.Y)).float()
    one = whole_objective(batches, Objective(counts, shift_weight=20.0), head)[1]
    # with twice the respondents the same weight matters half as much
    assert whole_objective(batches, Objective(2 * counts, shift_weight=20.0), head)[1] == pytest.approx(one / 2)
    assert whole_objective(batches, Objective(counts, shift_weight=40.0), head)[1] == pytest.approx(2 * one)


def test_pairs_are_those_of_the_crossed_table():
    survey = simulate(QUESTIONS)
    by_hand = [
        sum(
            1
            for i, j in itertools.combinations(range(36), 2)
            if (survey.X.iloc[i] != survey.X.iloc[j]).sum() == 1 and survey.X[name][i] != survey.X[name][j]
        )
        for name in ("age", "sex", "region")
    ]
    assert make_batches(survey, 1000).n_pairs.tolist() == by_hand == [36, 18, 18]
