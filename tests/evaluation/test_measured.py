"""On a real survey: what 200 respondents are worth when a logit has learned from them, at three levels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.protocol import survey_missing
from benchmarks.surveys import load_nonvoters
from surveysim.baselines import LogitRegressor
from surveysim.evaluation import equivalent_respondents, respondent_curve, respondents_saved
from surveysim.evaluation.curves.protocol import Protocol, asked, fit_predict

pytestmark = pytest.mark.realdata


@pytest.mark.slow
def test_the_logit_saves_respondents_in_small_groups_and_none_for_the_population(survey_data: Path) -> None:
    survey = load_nonvoters(survey_data)
    protocol = Protocol(survey.data, survey.questions, survey.backgrounds, missing=survey_missing(survey))
    worth: dict[str, list[tuple[float, float, float, float]]] = {}
    for seed in range(2):
        split = protocol.split(200, seed)
        model = asked(LogitRegressor(unseen="uniform"), split.train.questions)
        P = fit_predict(model, split)
        for level in ("cell", "attribute", "population"):
            found = equivalent_respondents(
                split.truth.Y, P, truth_respondents=split.truth.n, X=split.truth.X, level=level, n_draws=200
            )
            assert found.resampled == "questions"
            assert found.low < found.respondents < found.high
            first_order = 3 / (8 * np.log(2) * found.debiased)  # about 4 options a question
            assert found.per_group == pytest.approx(first_order, rel=0.35)
            numbers = (found.respondents, found.per_group, found.low, found.high)
            worth.setdefault(level, []).append(numbers)
    total, per_group, low, high = (dict(zip(worth, values, strict=True)) for values in _means(worth))
    # The plan of this library has 58, 118 and 199 per group, by the first-order formula over five splits.
    assert per_group["cell"] == pytest.approx(62, rel=0.2)
    assert per_group["attribute"] == pytest.approx(118, rel=0.2)
    assert per_group["population"] == pytest.approx(199, rel=0.35)
    assert total["cell"] > 10 * 200
    assert 2 * 200 < total["attribute"] < 5 * 200
    assert low["population"] < 200 < high["population"] * 1.3  # no saving to speak of
    assert total["population"] < 1.5 * 200


def _means(worth: dict[str, list[tuple[float, float, float, float]]]) -> list[list[float]]:
    return np.array([np.mean(values, axis=0) for values in worth.values()]).T.tolist()


@pytest.mark.slow
def test_savings_from_the_curve_agree_with_the_direct_figure(survey_data: Path) -> None:
    survey = load_nonvoters(survey_data)
    few = {name: survey.questions[name] for name in list(survey.questions)[:6]}
    curve = respondent_curve(
        None, survey.data, few, survey.backgrounds, [200, 500], 1, missing=survey_missing(survey), folds=None
    )
    saved = respondents_saved(200, curve, reference="cells", models="order-aware logit")
    split = Protocol(survey.data, few, survey.backgrounds, missing=survey_missing(survey)).split(200, 0)
    P = fit_predict(asked(LogitRegressor(unseen="uniform"), split.train.questions), split)
    for level in ("cell", "attribute", "population"):
        direct = equivalent_respondents(
            split.truth.Y, P, truth_respondents=split.truth.n, X=split.truth.X, level=level, n_draws=10
        )
        row = saved[(saved["level"] == level) & (saved["reference"] == "raw cells")]
        assert row["needed"].item() == pytest.approx(direct.respondents, rel=0.02)
        assert row["saved"].item() == pytest.approx(1 - 200 / row["needed"].item())
