"""The group report: figures worked out by hand, gaps and variances recovered, groups without respondents."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from surveysim import Question
from surveysim.evaluation import group_report
from surveysim.metrics import js_divergence

X = pd.DataFrame({"sex": ["f", "f", "m", "m"], "age": ["young", "old", "young", "old"]})
TRUTH = np.array([[0.1, 0.3, 0.6], [0.2, 0.3, 0.5], [0.4, 0.3, 0.3], [0.5, 0.3, 0.2]])
N = np.array([100, 300, 200, 400])


def by_group(report: pd.DataFrame) -> pd.DataFrame:
    return report.set_index("group")


def test_figures_by_hand() -> None:
    prediction = np.array([[0.2, 0.3, 0.5]] * 4)
    report = by_group(group_report(X, TRUTH, prediction, truth_respondents=N, n_draws=20))
    women = (100 * TRUTH[0] + 300 * TRUTH[1]) / 400
    row = report.loc["f"]
    assert row["respondents"] == 400
    assert row["n_questions"] == 1
    assert row["divergence"] == pytest.approx(js_divergence([women], prediction[:1]))
    assert row["divergence_debiased"] == pytest.approx(js_divergence([women], prediction[:1], truth_respondents=400))
    # cumulated shares differ by 0.2 - 0.175 and 0.5 - 0.475: each half of the scale is 1/2 long
    assert row["alignment"] == pytest.approx(100 * (1 - 0.025))
    assert row["floor"] == pytest.approx(2 / (8 * 400 * np.log(2)), rel=0.01)
    assert 96 < row["alignment_ceiling"] < 99.5
    positions = np.array([0, 0.5, 1])
    variance = [(p * positions**2).sum() - (p * positions).sum() ** 2 for p in (prediction[0], women)]
    assert row["variance_ratio"] == pytest.approx(variance[0] / (variance[1] * 400 / 399))
    assert np.isnan(row["gap_inflation"])  # no gap is predicted
    assert (report["resampled"] == "respondents").all()


def test_the_worst_group_is_first() -> None:
    prediction = TRUTH.copy()
    prediction[0] = [0.6, 0.3, 0.1]
    report = group_report(X, TRUTH, prediction, truth_respondents=N, n_draws=20)
    assert report["group"].tolist()[0] == "young"
    assert (np.diff(report["divergence_debiased"]) <= 0).all()
    attributes = group_report(X, TRUTH, prediction, truth_respondents=N, by="attribute", n_draws=20)
    assert attributes["attribute"].tolist() == ["age", "sex"]
    own = report[report["attribute"] == "age"]
    assert attributes["divergence"][0] == pytest.approx(own["divergence"].mean())


def make_questions(n_questions: int, slope: float, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Predicted gaps that people bear out to the share `slope`."""
    rng = np.random.default_rng(seed)
    frames, truths, predictions = [], [], []
    for q in range(n_questions):
        base, gap = np.array([0.3, 0.4, 0.3]), rng.normal(scale=0.04, size=(4, 3))
        gap -= gap.mean(axis=1, keepdims=True) + gap.mean(axis=0) - gap.mean()
        frames.append(X.assign(question=f"Q{q}"))
        predictions.append(base + gap)
        truths.append(base + slope * gap)
    return pd.concat(frames, ignore_index=True), np.vstack(truths), np.vstack(predictions)


@pytest.mark.parametrize("slope", [0.2, 1.0, 1.6])
def test_gap_inflation_is_the_share_borne_out_despite_noise(slope: float) -> None:
    frame, truth, prediction = make_questions(40, slope)
    exact = group_report(frame, truth, prediction, by="attribute", n_draws=10)
    np.testing.assert_allclose(exact["gap_inflation"], slope, rtol=1e-9)
    rng = np.random.default_rng(1)
    observed = rng.multinomial(400, truth) / 400
    noisy = group_report(frame, observed, prediction, truth_respondents=400, by="attribute", confidence=0.99)
    assert (np.abs(noisy["gap_inflation"] - slope) < 0.2).all()
    assert (noisy["gap_inflation_low"] < slope).all()
    assert (noisy["gap_inflation_high"] > slope).all()
    assert (noisy["resampled"] == "questions").all()


def test_the_variance_ratio_is_unbiased_by_the_truths_noise() -> None:
    frame, truth, _ = make_questions(200, 1.0)
    observed = np.random.default_rng(2).multinomial(8, truth) / 8
    report = group_report(frame, observed, truth, truth_respondents=8, n_draws=10)
    np.testing.assert_allclose(report["variance_ratio"], 1, atol=0.03)


def test_nominal_questions_have_no_alignment_but_a_variance() -> None:
    party = Question("Which party?", ["a", "b", "c"], ordinal=False)
    report = by_group(group_report(X, TRUTH, TRUTH[::-1], question=party))
    assert report["alignment"].isna().all()
    assert report["alignment_ceiling"].isna().all()
    pooled = TRUTH[[0, 1]].mean(axis=0)
    other = TRUTH[[3, 2]].mean(axis=0)
    assert report.loc["f", "variance_ratio"] == pytest.approx((1 - (other**2).sum()) / (1 - (pooled**2).sum()))
    both = {"x": Question("a?", ["1", "2", "3"]), "y": party}
    frame = pd.concat([X.assign(question="x"), X.assign(question="y")], ignore_index=True)
    mixed = by_group(group_report(frame, np.vstack([TRUTH, TRUTH]), np.vstack([TRUTH, TRUTH[::-1]]), question=both))
    assert (mixed["alignment"] == 100).all()  # of the ordinal question, which is right
    with pytest.raises(ValueError, match="names the question 'y', which question= does not have"):
        group_report(frame, np.vstack([TRUTH, TRUTH]), np.vstack([TRUTH, TRUTH]), question={"x": both["x"], "z": party})


def test_pinned_options_are_outside_the_scale() -> None:
    question = Question("a?", ["no", "yes", "don't know"], pinned=["don't know"])
    truth, prediction = np.array([[0.4, 0.4, 0.2]]), np.array([[0.8, 0.0, 0.2]])
    report = group_report(pd.DataFrame({"sex": ["f"]}), truth, prediction, question=question)
    assert report["alignment"].item() == pytest.approx(50)
    assert report["variance_ratio"].item() == 0


def test_a_single_group_has_no_gap() -> None:
    report = group_report(X[["sex"]].iloc[:2], TRUTH[:2], TRUTH[2:])
    assert report["gap_inflation"].isna().all()
    assert report["divergence"].item() > 0


def test_an_exact_truth_of_few_questions_has_no_interval() -> None:
    report = group_report(X, TRUTH, TRUTH[::-1])
    assert report["divergence_low"].isna().all()
    assert report["respondents"].isna().all()
    assert (report["floor"] == 0).all()
    assert (report["resampled"] == "").all()


def test_truth_equal_to_prediction_is_a_documented_value() -> None:
    report = group_report(X, TRUTH, TRUTH, truth_respondents=N, n_draws=20)
    assert (report["divergence"] == 0).all()
    np.testing.assert_allclose(-report["divergence_debiased"], report["floor"], rtol=0.02)  # nearer than noise allows
    np.testing.assert_allclose(report["gap_inflation"], 1)


def test_groups_without_respondents_stand_last() -> None:
    frame = pd.concat([X, pd.DataFrame({"sex": ["other"], "age": ["old"]})], ignore_index=True)
    truth = np.vstack([TRUTH, np.full((1, 3), np.nan)])
    report = group_report(frame, truth, truth, truth_respondents=[*N, 0], n_draws=20)
    last = report.iloc[-1]
    assert (last["group"], last["respondents"], last["n_questions"]) == ("other", 0, 0)
    assert np.isnan(last["divergence_debiased"])
    assert report.loc[report["group"] == "old", "respondents"].item() == 700


def test_the_interval_over_respondents_covers() -> None:
    rng = np.random.default_rng(5)
    prediction = np.roll(TRUTH, 1, axis=1)
    exact = by_group(group_report(X, TRUTH, prediction, population=N)).loc["m"]
    held = 0
    for seed in range(25):
        observed = np.array([rng.multinomial(n, q) / n for n, q in zip(N, TRUTH, strict=True)])
        found = by_group(group_report(X, observed, prediction, truth_respondents=N, n_draws=40, random_state=seed))
        row = found.loc["m"]
        held += row["divergence_debiased_low"] <= exact["divergence"] <= row["divergence_debiased_high"]
    assert 18 <= held <= 25  # 90% of 25 is 22.5


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"by": "cell"}, ValueError, "by must be"),
        ({"X": TRUTH}, TypeError, "X must be a pandas DataFrame"),
        ({"X": X.iloc[:3]}, ValueError, "X has 3 rows"),
        ({"X": X[[]]}, ValueError, "X has no background columns"),
        ({"Y_pred": np.full((4, 3), np.nan)}, ValueError, "no prediction for row 0"),
        ({"truth_respondents": 0}, ValueError, "no row has respondents"),
        ({"confidence": 90}, ValueError, "confidence must be between"),
    ],
)
def test_what_is_refused(parameters: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        group_report(**{"X": X, "Y_true": TRUTH, "Y_pred": TRUTH, **parameters})
