"""Few questions: intervals over respondents, those to learn from and those who are the truth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from surveysim import Question, tabulate
from surveysim.baselines import LogitRegressor
from surveysim.evaluation import FLOOR, compare_models, respondent_curve, respondents_saved
from surveysim.evaluation.curves.protocol import Protocol, evaluate
from surveysim.evaluation.curves.truth_jackknife import TRUTH_GROUPS, WITHOUT, group_numbers
from surveysim.evaluation.resampling import draw_respondents
from surveysim.metrics import js_divergence

BACKGROUNDS = ["age", "sex"]
WITHOUT_SHIFTS = np.linspace(-0.002, 0.002, TRUTH_GROUPS)


@pytest.fixture(scope="module")
def curve(respondents: pd.DataFrame, questions: dict[str, Question]) -> pd.DataFrame:
    return respondent_curve(
        {"the same again": LogitRegressor(unseen="uniform")},
        respondents,
        {"happy": questions["happy"]},
        BACKGROUNDS,
        [50, 100, 200],
        3,
    )


def test_leaving_out_a_group_of_respondents_is_a_tabulation_without_them(
    respondents: pd.DataFrame, questions: dict[str, Question]
) -> None:
    asked = {name: questions[name] for name in ("happy", "vote")}
    protocol = Protocol(respondents, asked, BACKGROUNDS)
    split = protocol.split(100, 3)
    order = np.random.default_rng(3).permutation(len(respondents))[100:]
    estimator = LogitRegressor(question=asked).fit(split.train.X, split.train.Y, split.train.n)
    table = evaluate(split, estimator.predict(split.truth.X)).set_index(["level", "question"])
    kept = split.truth.X[split.truth.n >= 50]
    for group in (0, 7):
        remaining = respondents.iloc[order[group_numbers(len(respondents))[order] != group]]
        cells = tabulate(remaining, BACKGROUNDS, asked)
        compared = cells.X.merge(kept.assign(kept=True), how="left")["kept"].notna().to_numpy()
        assert compared.sum() == len(kept)
        js = js_divergence(
            cells.Y[compared],
            estimator.predict(cells.X[compared]),
            truth_respondents=cells.n[compared],
            average=False,
        )
        expected = pd.Series(js).groupby(cells.X["question"].to_numpy()[compared]).mean()
        for question, value in expected.items():
            assert table.loc[("cell", question), f"without_{group}"] == pytest.approx(value, rel=1e-9)
        everybody = tabulate(remaining.assign(all="all"), ["all"], {"vote": asked["vote"]})
        P = estimator.predict(cells.X)
        rows = (cells.X["question"] == "vote").to_numpy()
        pooled = np.average(P[rows, :2], axis=0, weights=cells.n[rows])[None]
        value = js_divergence(everybody.Y, pooled, truth_respondents=everybody.n)
        assert table.loc[("population", "vote"), f"without_{group}"] == pytest.approx(value, rel=1e-9)


def test_groups_belong_to_respondents_and_not_to_splits() -> None:
    groups = group_numbers(605)
    np.testing.assert_array_equal(groups, group_numbers(605))
    assert set(np.bincount(groups)) == {30, 31}
    assert len(np.bincount(groups)) == TRUTH_GROUPS


def test_with_few_questions_differences_rest_on_respondents(curve: pd.DataFrame) -> None:
    found = compare_models(curve, "order-aware logit", "pooled marginal")
    assert (found["resampled"] == "respondents").all()
    assert (found["low"] < found["difference"]).all()
    assert (found["difference"] < found["high"]).all()
    alone = compare_models(curve.drop(columns=list(WITHOUT)), "order-aware logit", "pooled marginal", random_state=1)
    assert (alone["resampled"] == "splits").all()
    width, narrow = (table["high"] - table["low"] for table in (found, alone))
    assert (width > narrow).all()
    same = compare_models(curve, "the same again", "order-aware logit")
    assert same[["difference", "low", "high"]].to_numpy() == pytest.approx(0, abs=1e-9)


def test_a_difference_from_what_cannot_be_told_from_nothing_has_no_end() -> None:
    first, second = [0.03, 0.03, 0.01], [0.02, 0.001, 0.001]
    rows = [
        (model, 100, split, "cell", "Q", 10, D, *(WITHOUT_SHIFTS + D))
        for model, values in (("first", first), ("second", second))
        for split, D in enumerate(values)
    ]
    columns = ["model", "n", "split", "level", "question", "n_groups", "js_debiased", *WITHOUT]
    curve = pd.DataFrame(rows, columns=columns)
    difference, low, high = compare_models(curve, "first", "second")[["difference", "low", "high"]].to_numpy()[0]
    assert difference == pytest.approx(0.07 / 0.022 - 1)
    assert np.isfinite(low)
    assert high == np.inf  # the second's divergence may be 0


def test_with_few_questions_savings_rest_on_respondents(curve: pd.DataFrame) -> None:
    saved = respondents_saved(100, curve, models=["the same again"], reference="cells", levels=["attribute"])
    assert (saved["resampled"] == "respondents").all()
    against_logit, against_cells = saved.to_dict(orient="records")
    assert against_logit["needed"] == pytest.approx(100)
    assert against_logit["low"] <= 100 <= against_logit["high"]
    assert against_cells["low"] < against_cells["needed"] < against_cells["high"]
    floor = curve.loc[curve["model"] == FLOOR, list(WITHOUT)]
    assert (floor == 0).all(axis=None)


def test_savings_of_two_splits_that_differ_much_have_wide_intervals_and_no_error(curve: pd.DataFrame) -> None:
    two = curve[curve["split"] < 2].copy()
    surveys = [column for column in two.columns if column.startswith("survey_")]
    two.loc[two["split"] == 1, surveys] *= 5  # so that draws reach below 0
    saved = respondents_saved(200, two, reference="cells", levels=["attribute"])
    cells = saved[(saved["reference"] != saved["model"]) & saved["needed"].notna()]
    assert (cells["resampled"] == "respondents").all()
    assert len(cells)
    assert (cells["low"] <= cells["needed"]).all()
    assert (cells["needed"] <= cells["high"]).all()


def test_many_questions_and_small_truths_have_no_such_columns(
    respondents: pd.DataFrame, questions: dict[str, Question]
) -> None:
    many = {f"vote {i}": questions["vote"] for i in range(5)}
    data = respondents.assign(**dict.fromkeys(many, respondents["vote"]))
    assert Protocol(data, many, BACKGROUNDS).split(100, 0).truth.folds is None
    assert Protocol(respondents.iloc[:30], {"vote": questions["vote"]}, BACKGROUNDS).split(15, 0).truth.folds is None


def test_draws_have_the_variance_of_the_sum() -> None:
    """J splits' sum has variance J s^2 (with the tails of t), the jackknife (G - 1) / G times the sum of squares."""
    rng = np.random.default_rng(0)
    numbers, without = rng.normal(1, 0.1, (6, 1)), rng.normal(6, 0.01, (20, 1))
    fixed = np.full((20, 1), 6.0)
    splits = draw_respondents(numbers, fixed, 400_000, rng)[:, 0]
    assert splits.mean() == pytest.approx(numbers.sum(), abs=0.01)
    # quantiles of t with 5 degrees of freedom
    spread = np.sqrt(6 * numbers.var(ddof=1))
    assert np.quantile(splits, 0.95) - numbers.sum() == pytest.approx(2.015 * spread, rel=0.02)
    truth = draw_respondents(np.ones((6, 1)), without, 400_000, rng)[:, 0]
    assert truth.std() == pytest.approx(np.sqrt(19 / 20 * ((without - without.mean()) ** 2).sum()), rel=0.02)
    alone = draw_respondents(np.full((1, 1), 6.0), without, 1000, rng)
    assert alone.std() > 0
