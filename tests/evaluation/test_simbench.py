"""The SimBench score: equations 1 and 2 of the paper by hand, the debiased one against a known population."""

from __future__ import annotations

import numpy as np
import pytest

from surveysim.errors import SurveysimWarning
from surveysim.evaluation import noise_floor, simbench_score
from surveysim.metrics import total_variation

HUMAN = np.array([[0.9, 0.1, np.nan], [0.6, 0.4, np.nan], [0.5, 0.3, 0.2], [1 / 3, 1 / 3, 1 / 3]])
MODEL = np.array([[0.8, 0.2, np.nan], [0.5, 0.5, np.nan], [0.2, 0.3, 0.5], [0.5, 0.25, 0.25]])
NAMES = ["a", "a", "b", "b"]


def test_the_published_score_by_hand():
    """In a: distances .1 and .1, of equal shares .4 and .1, so 100 (1 - .1 / .25) = 60 twice.

    In b: distances .3 and 1/6, of equal shares 1/6 and 0, so 100 (1 - .3 / (1/12)) = -260 and 100 (1 - 2) = -100.
    """
    result = simbench_score(HUMAN, MODEL, NAMES)
    assert result.score == pytest.approx((60 + 60 - 260 - 100) / 4)
    assert result.by_dataset["score"].tolist() == pytest.approx([60.0, -180.0])
    assert result.by_dataset["uniform"].tolist() == pytest.approx([0.25, 1 / 12])
    assert np.isnan(result.debiased)
    assert result.n_rows == 4


def test_the_published_score_row_by_row():
    """An independent implementation of the authors' script."""
    rng = np.random.default_rng(0)
    P, Q = rng.dirichlet(np.ones(4), 60), rng.dirichlet(np.ones(4), 60)
    names = rng.choice(["x", "y", "z"], 60)
    tv, uniform = (total_variation(P, other, average=False) for other in (Q, np.full((60, 4), 0.25)))
    norm = {name: uniform[names == name].mean() for name in "xyz"}
    rows = [100 * (1 - d / norm[name]) for d, name in zip(tv, names, strict=True)]
    assert simbench_score(P, Q, names).score == pytest.approx(np.mean(rows))


def test_equal_shares_score_0_and_the_truth_100():
    equal = np.where(np.isnan(HUMAN), np.nan, 1 / (~np.isnan(HUMAN)).sum(axis=1, keepdims=True))
    assert simbench_score(HUMAN, equal, NAMES).score == pytest.approx(0)
    assert simbench_score(HUMAN, HUMAN, NAMES).score == pytest.approx(100)


@pytest.mark.parametrize(("n", "error", "tolerance"), [(50, 0.0, 3), (50, 0.3, 3), (200, 1.0, 3), (200, 0.1, 3)])
def test_the_debiased_score_is_that_against_the_population(n, error, tolerance):
    """Means over samples; a perfect prediction of groups of 50 scores 72 as published."""
    rng = np.random.default_rng(1)
    published, debiased, exact, ceiling = [], [], [], []
    for _ in range(6):
        P = rng.dirichlet(np.ones(5), 200)
        Q = np.exp(np.log(P + 1e-3) + rng.normal(0, error, P.shape)) if error else P
        Q = Q / Q.sum(axis=1, keepdims=True)
        sample = np.array([rng.multinomial(n, p) / n for p in P])
        result = simbench_score(sample, Q, group_size=n, n_draws=1)
        published.append(result.score)
        debiased.append(result.debiased)
        ceiling.append(result.ceiling)
        exact.append(simbench_score(P, Q, n_draws=1).score)
    assert np.mean(debiased) == pytest.approx(np.mean(exact), abs=tolerance)
    if error == 0:
        assert np.mean(published) == pytest.approx(np.mean(ceiling), abs=2)
        assert np.mean(published) < 80


def test_the_ceiling_is_the_noise_floor_on_the_score_s_scale():
    result = simbench_score(HUMAN[:2, :2], MODEL[:2, :2], group_size=[80, 120])
    floor = noise_floor(HUMAN[:2, :2], [80, 120], "total_variation")
    assert result.ceiling == pytest.approx(100 * (1 - floor / 0.25))


def test_an_exact_truth_is_not_debiased():
    result = simbench_score(HUMAN, MODEL, NAMES, group_size=[np.nan, np.nan, 1e9, np.nan])
    assert result.debiased == pytest.approx(result.score, abs=0.01)


def test_intervals_cover_other_questions():
    """90% intervals of the score of 60 questions, against that of all 3,000 of the data set."""
    rng = np.random.default_rng(2)
    P = rng.dirichlet(np.ones(3), 3000)
    Q = 0.7 * P + 0.3 * rng.dirichlet(np.ones(3), 3000)
    truth = simbench_score(P, Q, n_draws=1).score
    covered = 0
    for _ in range(200):
        rows = rng.choice(3000, 60, replace=False)
        low, high = simbench_score(P[rows], Q[rows], n_draws=200, random_state=rng).interval
        covered += low <= truth <= high
    assert 165 <= covered <= 195  # 180 +- 3.5 standard errors


def test_rows_of_a_question_are_drawn_together():
    P, Q = np.repeat(HUMAN[:2, :2], 50, axis=0), np.repeat(MODEL[:2, :2], 50, axis=0) * [[1.2, 1]]
    Q = Q / Q.sum(axis=1, keepdims=True)
    alone = simbench_score(P, Q).interval
    together = simbench_score(P, Q, questions=["first"] * 50 + ["second"] * 50).interval
    assert together[1] - together[0] > 3 * (alone[1] - alone[0])


def test_missing_predictions_are_left_out_as_published_and_said():
    with pytest.warns(SurveysimWarning, match="1 of 4 rows have no prediction"):
        result = simbench_score(HUMAN, np.where([[False], [True], [False], [False]], np.nan, MODEL), NAMES)
    # the data set's denominator keeps the row: 100 (1 - .1 / .25), and b as before
    assert result.score == pytest.approx((60 - 260 - 100) / 3)
    assert result.n_missing == 1
    assert "1 of 4 rows have no prediction" in str(result)


def test_what_it_says():
    text = str(simbench_score(HUMAN, MODEL, NAMES, group_size=200))
    assert text.startswith("SimBench score -60.00 (90% interval")
    assert "a perfect prediction would score" in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Y_pred": MODEL[:3]}, "Y_true has 4 rows, but Y_pred has 3"),
        ({"Y_pred": np.full((4, 3), 1 / 3)}, "row 0: Y_true has 2 options, Y_pred 3"),
        ({"datasets": ["a"]}, "datasets must have one entry for each of 4 rows"),
        ({"group_size": [1, 2, 3, 0]}, "group_size is 0.0 in row 3"),
        ({"Y_pred": np.full((4, 3), np.nan)}, "NaN in every row"),
        ({"confidence": 2}, "confidence must be between 0 and 1"),
    ],
)
def test_bad_input_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        simbench_score(**{"Y_true": HUMAN, "Y_pred": MODEL, **change})


def test_a_data_set_of_equal_shares_has_no_score():
    with pytest.raises(ValueError, match="not defined"):
        simbench_score(np.full((2, 2), 0.5), [[0.4, 0.6], [0.5, 0.5]])
