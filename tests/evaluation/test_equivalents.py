"""Equivalent respondents: a survey of N respondents is worth N, and what cannot be told is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from surveysim.evaluation import EquivalentRespondents, NoisyTruthError, equivalent_respondents
from surveysim.evaluation.comparison import check_rows
from surveysim.evaluation.random_surveys import SURVEY_SIZES, respondents_for, survey_divergence
from surveysim.evaluation.resampling import drawn_truths
from surveysim.evaluation.worth_intervals import over_units
from surveysim.metrics import js_divergence

TRUTH = np.array([[0.2, 0.3, 0.5], [0.3, 0.3, 0.4], [0.4, 0.3, 0.3], [0.5, 0.3, 0.2]])
SHARE = np.array([0.05, 0.15, 0.3, 0.5])
X = pd.DataFrame({"age": ["young", "young", "old", "old"], "sex": ["f", "m", "f", "m"]})


def draw_surveys(size: int, n_surveys: int, seed: int = 0) -> np.ndarray:
    """Shares in drawn surveys (n_surveys, 4, 3): random group sizes, the margin where a group is empty."""
    rng = np.random.default_rng(seed)
    n = rng.multinomial(size, SHARE, size=n_surveys)
    counts = np.stack([rng.multinomial(n[:, g], TRUTH[g]) for g in range(4)], axis=1)
    margin = counts.sum(axis=1, keepdims=True) / size
    return np.where(n[..., None] > 0, counts / np.maximum(n[..., None], 1), margin)


@pytest.mark.parametrize("size", [3, 12, 60, 400])
def test_the_expected_divergence_of_surveys_is_that_of_simulated_ones(size: int) -> None:
    rest = (SHARE @ TRUTH - SHARE[:, None] * TRUTH) / (1 - SHARE[:, None])
    expected = survey_divergence(TRUTH, SHARE, rest=rest, sizes=np.array([float(size)]))[:, 0]
    surveys = draw_surveys(size, 10000)
    found = js_divergence(np.tile(TRUTH, (10000, 1)), surveys.reshape(-1, 3), average=False).reshape(10000, 4)
    assert (np.abs(found.mean(axis=0) - expected) < 4.5 * found.std(axis=0) / 100).all()


def test_large_groups_are_expanded_without_a_step() -> None:
    sizes = np.array([1022.0, 1023.0, 1024.0, 1025.0, 1026.0])  # half of them are in the group: 512 is where it changes
    scaled = sizes * survey_divergence(TRUTH[3:], SHARE[3:], rest=TRUTH[:1], sizes=sizes)[0]
    assert np.abs(np.diff(scaled)).max() < 5e-5 * scaled.mean()


@pytest.mark.parametrize(("level", "size"), [("cell", 300), ("attribute", 100), ("population", 50)])
def test_a_survey_is_worth_its_respondents(level: str, size: int) -> None:
    # One prediction from many surveys side by side: each survey answers its own question.
    n_surveys = 400
    surveys = draw_surveys(size, n_surveys).reshape(-1, 3)
    frame = pd.concat([X.assign(question=f"Q{i}") for i in range(n_surveys)], ignore_index=True)
    if level != "cell":  # a survey's pooled shares weigh cells by its own respondents, so pool before comparing
        rng = np.random.default_rng(1)
        n = rng.multinomial(size, SHARE, size=n_surveys)
        counts = np.stack([rng.multinomial(n[:, g], TRUTH[g]) for g in range(4)], axis=1)
        parts = [[0, 1], [2, 3], [0, 2], [1, 3]] if level == "attribute" else [[0, 1, 2, 3]]
        D = np.mean(
            [
                js_divergence(
                    np.tile(np.average(TRUTH[rows], axis=0, weights=SHARE[rows]), (n_surveys, 1)),
                    counts[:, rows].sum(axis=1) / np.maximum(n[:, rows].sum(axis=1), 1)[:, None],
                )
                for rows in parts
                if (n[:, rows].sum(axis=1) > 0).all()
            ]
        )
        exact = equivalent_respondents(TRUTH, TRUTH[:, ::-1], X=X, population=SHARE, level=level)
        share = np.array([SHARE[rows].sum() for rows in parts])
        pooled = np.array([np.average(TRUTH[rows], axis=0, weights=SHARE[rows]) for rows in parts])
        expected = survey_divergence(pooled, share, rest=pooled).mean(axis=0, keepdims=True)
        assert respondents_for(np.array([D]), expected)[0] == pytest.approx(size, rel=0.06)
        assert exact.level == level
        return
    worth = equivalent_respondents(
        np.tile(TRUTH, (n_surveys, 1)), surveys, X=frame, population=np.tile(SHARE, n_surveys)
    )
    assert worth.respondents == pytest.approx(size, rel=0.05)
    assert worth.low < size < worth.high
    assert worth.resampled == "questions"
    assert (worth.n_groups, worth.n_questions) == (4 * n_surveys, n_surveys)


def test_a_noisy_truth_gives_the_same_answer_as_an_exact_one() -> None:
    rng = np.random.default_rng(2)
    prediction = np.roll(TRUTH, 1, axis=0)
    exact = equivalent_respondents(TRUTH, prediction, population=[1, 1, 1, 1])
    found = []
    for _ in range(120):
        observed = rng.multinomial(400, TRUTH) / 400
        found.append(equivalent_respondents(observed, prediction, truth_respondents=400, n_draws=1).respondents)
    assert np.median(found) == pytest.approx(exact.respondents, rel=0.06)


def test_the_interval_over_respondents_holds_the_exact_value() -> None:
    rng = np.random.default_rng(3)
    prediction = np.roll(TRUTH, 1, axis=0)
    exact = equivalent_respondents(TRUTH, prediction).respondents
    held = 0
    for seed in range(50):
        observed = rng.multinomial(300, TRUTH) / 300
        worth = equivalent_respondents(observed, prediction, truth_respondents=300, n_draws=60, random_state=seed)
        assert worth.resampled == "respondents"
        held += worth.low <= exact <= worth.high
    assert 38 <= held <= 50  # 90% of 50 is 45


@pytest.mark.parametrize("n_questions", [5, 10, 20])
def test_the_interval_over_questions_holds_the_worth(n_questions: int) -> None:
    """Divergences are gamma over questions, a survey's falls as 2 / N: the worth is 2 / mean divergence = 200."""
    generator, expected = np.random.default_rng(n_questions), np.tile(2 / SURVEY_SIZES, (n_questions, 1))
    unit = np.arange(n_questions)
    ends, percentiles = [], []
    for _ in range(400):
        D = generator.gamma(1.2, 0.01 / 1.2, n_questions)
        ends.append(over_units(D, expected, unit, 0.9, 300, generator))
        drawn = D[generator.integers(n_questions, size=(300, n_questions))].mean(axis=1)
        percentiles.append(2 / np.quantile(drawn, [0.95, 0.05]))
    (low, high), (old_low, old_high) = np.transpose(ends), np.transpose(percentiles)
    covered = np.mean((low <= 200) & (high >= 200))
    assert 0.86 - 3 * 0.017 < covered < 0.94  # a share of 400 has a standard error of .017
    assert covered > np.mean((old_low <= 200) & (old_high >= 200))
    assert np.mean(low > 200) < np.mean(old_low > 200)  # too optimistic less often
    assert (low < high).all()


def test_an_interval_over_questions_with_divergences_below_0_has_no_upper_end() -> None:
    D = np.array([0.01, -0.004, 0.002, -0.001, 0.003, -0.002])
    expected = np.tile(2 / SURVEY_SIZES, (6, 1))
    low, high = over_units(D, expected, np.arange(6), 0.9, 500, np.random.default_rng(0))
    assert 0 < low < 2 / D.mean()
    assert high == math.inf


@pytest.mark.parametrize("n_units", [2, 4])
def test_few_units_have_the_tails_of_student(n_units: int) -> None:
    D = np.linspace(0.008, 0.012, n_units)
    low, high = over_units(
        D, np.tile(2 / SURVEY_SIZES, (n_units, 1)), np.arange(n_units), 0.9, 10, np.random.default_rng(0)
    )
    width = student.ppf(0.95, n_units - 1) * D.std(ddof=1) / math.sqrt(n_units) / 0.01
    assert (low, high) == pytest.approx((200 * math.exp(-width), 200 * math.exp(width)), rel=1e-3)


def test_truths_drawn_anew_spread_as_truths_do() -> None:
    """Near the prediction; draws around the observed truth spread a quarter more than truths themselves."""
    generator, n = np.random.default_rng(1), 200
    q, p = np.array([[0.4, 0.3, 0.2, 0.1]]), np.array([[0.35, 0.29, 0.24, 0.12]])

    def divergences(truths: np.ndarray) -> np.ndarray:
        return js_divergence(truths, np.tile(p, (len(truths), 1)), average=False, truth_respondents=n)

    truths = generator.multinomial(n, q[0], size=2000) / n
    spread = divergences(truths).std()
    moved, around = [], []
    for Y in truths[:150]:
        share = float(divergences(Y[None])[0] / js_divergence(Y[None], p))
        for found, at in ((moved, share), (around, 1.0)):
            drawn = np.concatenate(list(drawn_truths(Y[None], p, np.array([n]), at, 200, generator)))
            found.append(divergences(drawn).var())
    assert math.sqrt(np.mean(moved)) == pytest.approx(spread, rel=0.1)
    assert math.sqrt(np.mean(around)) > 1.15 * spread


def test_per_group_is_first_order_for_small_divergences() -> None:
    off = np.array([[0.02, -0.02, 0], [0, 0.02, -0.02], [-0.02, 0, 0.02], [0.02, 0, -0.02]])
    worth = equivalent_respondents(TRUTH, TRUTH + off)
    assert worth.per_group == pytest.approx(2 / (8 * math.log(2) * worth.debiased), rel=0.01)
    assert float(worth) == worth.respondents
    assert "respondents" in str(worth)


def test_a_single_group_is_a_plain_sample() -> None:
    worth = equivalent_respondents([[0.3, 0.7]], [[0.4, 0.6]])
    assert worth.respondents == pytest.approx(worth.per_group, rel=0.01)
    assert worth.resampled is None
    assert math.isnan(worth.low)


def test_an_exact_truth_that_is_met_is_worth_infinitely_many() -> None:
    assert equivalent_respondents(TRUTH, TRUTH).respondents == math.inf


def test_a_sampled_truth_that_is_met_is_refused() -> None:
    with pytest.raises(NoisyTruthError, match="equals the truth, which is itself a sample"):
        equivalent_respondents(TRUTH, TRUTH, truth_respondents=100)


def test_a_floor_over_half_is_refused() -> None:
    near = np.roll(TRUTH, 1, axis=0)
    assert equivalent_respondents(TRUTH, near, truth_respondents=300).floor > 0
    with pytest.raises(NoisyTruthError, match="over half of the divergence found"):
        equivalent_respondents(TRUTH, 0.9 * TRUTH + 0.1 * near, truth_respondents=100)


def test_hopeless_predictions_are_worth_nobody() -> None:
    worth = equivalent_respondents([[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]])
    assert worth.respondents == 0


def test_groups_without_respondents_are_left_out_and_may_be_nan() -> None:
    truth = np.vstack([TRUTH, np.full((1, 3), np.nan)])
    prediction = np.vstack([np.roll(TRUTH, 1, axis=0), np.full((1, 3), np.nan)])
    worth = equivalent_respondents(truth, prediction, truth_respondents=[400, 400, 400, 400, 0])
    assert worth.n_groups == 4
    with pytest.raises(ValueError, match="no row has respondents"):
        equivalent_respondents(TRUTH, TRUTH, truth_respondents=0)


def test_a_missing_prediction_is_named() -> None:
    prediction = TRUTH.copy()
    prediction[2] = np.nan
    with pytest.raises(ValueError, match="Y_pred has no prediction for row 2"):
        equivalent_respondents(TRUTH, prediction)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"level": "county"}, "level must be one of"),
        ({"level": "population"}, "pass X, the table of backgrounds"),
        ({"truth_respondents": 20}, "no group of level 'cell' has 50 respondents in the truth; the largest has 20"),
        ({"truth_respondents": -1}, "truth_respondents must be finite and not negative"),
        ({"resample": "cells"}, "resample must be one of"),
        ({"resample": "respondents"}, "needs truth_respondents"),
        ({"resample": "questions"}, "needs at least two questions"),
        ({"confidence": 1.5}, "confidence must be between 0 and 1"),
        ({"X": X.iloc[:2]}, "X has 2 rows"),
        ({"population": [1, 2]}, "population must be one number, or one per row"),
    ],
)
def test_what_is_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        equivalent_respondents(TRUTH, np.roll(TRUTH, 1, axis=0), **parameters)


def test_the_last_crossing_counts() -> None:
    expected = np.array([[0.1, 0.3, 0.2, 0.1, 0.05]])
    sizes = np.array([1.0, 2, 4, 8, 16])
    assert respondents_for(np.array([0.15]), expected, sizes)[0] == pytest.approx(
        4 * 2 ** (math.log(4 / 3) / math.log(2))
    )
    assert respondents_for(np.array([0.4]), expected, sizes)[0] == 0
    assert respondents_for(np.array([0.025]), expected, sizes)[0] == 32
    assert respondents_for(np.array([0.0]), expected, sizes)[0] == math.inf


def test_more_people_are_worth_less_divergence() -> None:
    rest = np.roll(TRUTH, 1, axis=0)
    expected = survey_divergence(TRUTH, SHARE, rest=rest)
    at = np.searchsorted(SURVEY_SIZES, 100)
    assert (np.diff(expected[:, at:], axis=1) < 0).all()


def test_the_result_is_frozen() -> None:
    worth = equivalent_respondents(TRUTH, np.roll(TRUTH, 1, axis=0))
    assert isinstance(worth, EquivalentRespondents)
    with pytest.raises(AttributeError):
        worth.respondents = 1  # type: ignore[misc]


def test_cells_that_are_weighed_unlike_their_respondents_lose_effective_respondents() -> None:
    pair = pd.DataFrame({"sex": ["f", "m"]})
    rows = check_rows([[0.2, 0.8], [0.6, 0.4]], [[0.5, 0.5]] * 2, truth_respondents=[10, 10], X=pair, population=[1, 3])
    everybody = rows.groups("population")
    assert everybody.pool(rows.Y, rows.population)[0] == pytest.approx([0.5, 0.5])
    pooled = rows.respondents(everybody)
    assert pooled is not None
    assert pooled[0] == pytest.approx(4**2 / (1 / 10 + 9 / 10))  # Kish: 16, not 20
    compared = rows.compare("cell", 1)
    np.testing.assert_allclose(compared.share, [0.25, 0.75])
    np.testing.assert_allclose(compared.rest, [[0.6, 0.4], [0.2, 0.8]])
