"""The scales of `benchmarks.scales`: shift losses of plain logits and of probabilities, against sums over pairs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from benchmarks.scales import OnPlainLogits, OnProbabilities, plain_shift_loss, probability_shift_loss
from surveysim import DSARegressor, Question
from surveysim.dsa import loop
from surveysim.dsa.losses import shift_contrasts, shift_loss
from surveysim.dsa.pairs import background_codes, lines_of, pair_counts
from surveysim.trunk.head import NO_OPTION

QUESTIONS = [Question("a", ["x", "y", "z"]), Question("b", ["1", "2", "3", "4"])]
QUESTION = np.array([0] * 4 + [1] * 4)
EXISTS = torch.tensor(np.arange(4) < np.array([3, 4])[QUESTION, None])
CODES = background_codes(pd.DataFrame({"sex": ["f", "m"] * 4, "age": ["1", "1", "2", "2"] * 2}))


def over_pairs(values: Tensor, reference: Tensor) -> float:
    """Mean over both attributes of the mean over pairs of squared distances."""
    means = []
    for attribute in (0, 1):
        other = 1 - attribute
        distances = [
            float((((values[i] - values[j]) - (reference[attribute, i] - reference[attribute, j])) ** 2).sum())
            for i in range(8)
            for j in range(i)
            if QUESTION[i] == QUESTION[j]
            and CODES[i, other] == CODES[j, other]
            and CODES[i, attribute] != CODES[j, attribute]
        ]
        means.append(np.mean(distances))
    return float(np.mean(means))


def centred(logits: Tensor) -> Tensor:
    kept = torch.where(EXISTS, logits, 0.0)
    return torch.where(EXISTS, logits - kept.sum(-1, keepdim=True) / EXISTS.sum(-1, keepdim=True), 0.0)


def test_both_scales_are_sums_over_pairs() -> None:
    lines = lines_of(CODES, QUESTION)
    n_pairs = pair_counts([lines], 2)
    contrasts = torch.tensor(shift_contrasts(QUESTIONS, 4), dtype=torch.float32)[QUESTION]
    generator = torch.Generator().manual_seed(0)
    logits = torch.where(EXISTS, torch.randn(8, 4, generator=generator), NO_OPTION)
    reference = torch.where(EXISTS, torch.randn(2, 8, 4, generator=generator), 0.0)
    plain = plain_shift_loss(logits, contrasts, lines, n_pairs, reference)
    assert float(plain) == pytest.approx(over_pairs(centred(logits), centred(reference)), rel=1e-5)
    shares, expected = logits.softmax(-1), torch.where(EXISTS, reference, NO_OPTION).softmax(-1)
    found = probability_shift_loss(logits, contrasts, lines, n_pairs, reference)
    assert float(found) == pytest.approx(over_pairs(shares, expected), rel=1e-5)
    nothing = probability_shift_loss(logits, contrasts, lines, n_pairs, None)
    assert float(nothing) == pytest.approx(over_pairs(shares, torch.zeros_like(reference)), rel=1e-5)


def test_the_loss_is_exchanged_during_a_fit_only() -> None:
    X = pd.DataFrame({"age": ["18-29", "30-64", "65+"] * 2, "sex": ["f"] * 3 + ["m"] * 3})
    Y = [[0.5, 0.3, 0.2], [0.4, 0.3, 0.3], [0.3, 0.3, 0.4], [0.4, 0.4, 0.2], [0.3, 0.4, 0.3], [0.2, 0.4, 0.4]]
    predictions = [
        kind("nano", shift_weight=20, shift_reference="zero", validation_fraction=0, max_epochs=2, random_state=0)
        .fit(X, Y, [40, 50, 30, 40, 50, 30])
        .predict(X)
        for kind in (DSARegressor, OnPlainLogits, OnProbabilities, DSARegressor)
    ]
    assert loop.shift_loss is shift_loss
    np.testing.assert_array_equal(predictions[0], predictions[3])
    for other in predictions[1:3]:
        assert np.abs(other - predictions[0]).max() > 1e-4
