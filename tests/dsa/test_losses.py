"""The two losses against scipy and against loops over explicit pairs."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import log_softmax, rel_entr, softmax

from surveysim import Question
from surveysim.dsa.losses import CONTRAST_WEIGHTS, cross_entropy, shift_contrasts, shift_loss
from surveysim.dsa.pairs import background_codes, lines_of, pair_counts
from surveysim.trunk.head import NO_OPTION

QUESTIONS = [
    Question("Happy?", ["very", "quite", "not very", "not at all"]),
    Question("Party?", ["Reds", "Greens", "Blues"], ordinal=False),
    Question("Trust?", ["no", "a little", "yes", "don't know"], pinned=["don't know"]),
    Question("Vote?", ["no", "yes"]),
]


def ragged_logits(question_index, seed=0):
    logits = np.random.default_rng(seed).normal(size=(len(question_index), 4))
    exists = np.arange(4) < np.array([question.n_options for question in QUESTIONS])[question_index][:, None]
    return np.where(exists, logits, NO_OPTION), exists


def test_cross_entropy_is_scipys():
    generator = np.random.default_rng(0)
    logits, counts = generator.normal(size=(6, 5)), generator.integers(0, 20, size=(6, 5))
    found = cross_entropy(torch.tensor(logits), torch.tensor(counts))
    assert float(found) == pytest.approx(-(counts * log_softmax(logits, axis=1)).sum())


def test_cross_entropy_less_the_datas_entropy_is_the_weighted_divergence():
    generator = np.random.default_rng(1)
    logits, n = generator.normal(size=(6, 5)), generator.integers(1, 50, size=6)
    q = generator.dirichlet(np.ones(5), size=6)
    found = float(cross_entropy(torch.tensor(logits), torch.tensor(n[:, None] * q))) / n.sum()
    entropy = -(n[:, None] * q * np.log(q)).sum() / n.sum()
    divergence = (n * rel_entr(q, softmax(logits, axis=1)).sum(axis=1)).sum() / n.sum()
    assert found - entropy == pytest.approx(divergence)


def test_options_that_do_not_exist_cost_nothing():
    logits = torch.tensor([[0.3, -0.2, NO_OPTION]], requires_grad=True)
    loss = cross_entropy(logits, torch.tensor([[3.0, 1.0, 0.0]]))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(-([3, 1] * log_softmax([0.3, -0.2])).sum(), rel=1e-6)
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[0, 2] == 0


def test_contrasts_are_orthogonal_weighted_by_degree_and_ignore_levels():
    weighted = shift_contrasts(QUESTIONS, 4)
    assert weighted.shape == (4, 3, 4)
    np.testing.assert_allclose(weighted @ np.ones(4), 0.0, atol=1e-12)
    # four ordered options: linear, quadratic, cubic
    gram = weighted[0] @ weighted[0].T
    np.testing.assert_allclose(gram, np.diag(np.square(CONTRAST_WEIGHTS)), atol=1e-12)
    # nominal: any orthonormal basis, so that all differences between options count alike
    np.testing.assert_allclose(weighted[1].T @ weighted[1], np.diag([1, 1, 1, 0]) - np.diag([1, 1, 1, 0]) @ np.full(
        (4, 4), 1 / 3) @ np.diag([1, 1, 1, 0]), atol=1e-12)  # fmt: skip
    # two options have one contrast, padded with zeros
    np.testing.assert_allclose(np.abs(weighted[3]), [[0.5**0.5, 0.5**0.5, 0, 0], [0] * 4, [0] * 4], atol=1e-12)
    # higher contrasts than named weigh as the last
    ten = shift_contrasts([Question("Scale?", [str(k) for k in range(10)])], 10)[0]
    np.testing.assert_allclose(np.linalg.norm(ten, axis=1), [1.0, 2.2] + [3.5] * 7)


# --- shifts -----------------------------------------------------------------------------------------------------------


def crossed():
    """Two attributes crossed over two questions, some cells left out, and rows that do not state an attribute."""
    rows = list(itertools.product([0, 1, 2, 3], ["young", "middle", "old", None], ["man", "woman", None]))
    frame = pd.DataFrame(rows, columns=["question", "age", "sex"])
    return frame[np.random.default_rng(3).random(len(frame)) < 0.8].reset_index(drop=True)


def single_attribute():
    """Rows of OpinionQA's kind: each states one attribute, one states none."""
    backgrounds = [("young", None, None), ("old", None, None), (None, "man", None), (None, "woman", None)]
    backgrounds += [(None, None, "north"), (None, None, None)]
    rows = [(q, *background) for q in (0, 1) for background in backgrounds]
    return pd.DataFrame(rows, columns=["question", "age", "sex", "region"])


def ordinary():
    rows = list(itertools.product([0, 2], [18.0, 30.5], [True, False], ["a", "b"]))
    return pd.DataFrame(rows, columns=["question", "age", "children", "race"])


def explicit_pairs(frame):
    """For each attribute the pairs of rows of one question that differ in it alone; "not stated" is like nothing."""
    attributes = [column for column in frame.columns if column != "question"]
    missing = frame.isna()
    pairs = {attribute: [] for attribute in attributes}
    for i, j in itertools.combinations(range(len(frame)), 2):
        if frame["question"][i] != frame["question"][j] or (missing.loc[i] != missing.loc[j]).any():
            continue
        differ = [a for a in attributes if not missing.loc[i, a] and frame.loc[i, a] != frame.loc[j, a]]
        if len(differ) == 1:
            pairs[differ[0]].append((i, j))
    return pairs


def looped_loss(logits, contrasts, pairs, reference):
    """The shift loss as DESIGN writes it, pair by pair."""
    means = []
    for a, those in enumerate(pairs.values()):
        terms = []
        for i, j in those:
            shift = logits[i] - logits[j]
            if reference is not None:
                shift = shift - (reference[a, i] - reference[a, j])
            terms.append(((contrasts[i] @ shift) ** 2).sum())
        if terms:
            means.append(torch.stack(terms).mean())
    return torch.stack(means).mean()


@pytest.mark.parametrize("with_reference", [False, True])
@pytest.mark.parametrize("cells", [crossed, single_attribute, ordinary])
def test_shift_loss_and_gradient_are_those_of_explicit_pairs(cells, with_reference):
    frame = cells()
    question = np.array(frame["question"])
    codes = background_codes(frame.drop(columns="question"))
    values, exists = ragged_logits(question)
    reference = None
    if with_reference:
        drawn = np.random.default_rng(5).normal(size=(codes.shape[1], *values.shape))
        reference = torch.tensor(np.where(exists, drawn, 0.0))
    contrasts = torch.tensor(shift_contrasts(QUESTIONS, 4))[question]
    lines = lines_of(codes, question)
    n_pairs = pair_counts([lines], codes.shape[1])
    pairs = explicit_pairs(frame)
    assert n_pairs.tolist() == [len(those) for those in pairs.values()]
    assert max(n_pairs) > 1
    gradients, losses = [], []
    for compute in (
        lambda z: shift_loss(z, contrasts, lines, n_pairs, reference),
        lambda z: looped_loss(z, contrasts, pairs, reference),
    ):
        logits = torch.tensor(values, requires_grad=True)
        loss = compute(logits)
        loss.backward()
        losses.append(float(loss.detach()))
        gradients.append(logits.grad.numpy())
    assert losses[0] == pytest.approx(losses[1], rel=1e-9)
    assert losses[0] > 0.1
    np.testing.assert_allclose(gradients[0], gradients[1], atol=1e-9)


def test_shifts_that_equal_the_reference_cost_nothing():
    frame = crossed()
    question = np.array(frame["question"])
    codes = background_codes(frame.drop(columns="question"))
    values, exists = ragged_logits(question)
    # the same shifts at other levels: a constant per question, and one per cell that softmax ignores
    moved = np.where(exists, values + question[:, None] * np.arange(4) + np.arange(len(frame))[:, None], 0.0)
    reference = torch.tensor(np.stack([moved, moved]))
    lines = lines_of(codes, question)
    loss = shift_loss(
        torch.tensor(values),
        torch.tensor(shift_contrasts(QUESTIONS, 4))[question],
        lines,
        pair_counts([lines], 2),
        reference,
    )
    assert float(loss) == pytest.approx(0.0, abs=1e-12)


def test_without_pairs_the_loss_is_zero():
    codes, question = np.array([[0, 0], [1, 1]]), np.array([0, 0])
    assert lines_of(codes, question) == []
    loss = shift_loss(torch.zeros(2, 4), torch.zeros(2, 3, 4), [], torch.zeros(2), None)
    assert float(loss) == 0.0
