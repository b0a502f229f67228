"""`make_survey`: the answers are drawn from the truth that it states."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from surveysim import rake, tabulate
from surveysim.baselines import LogitRegressor, MarginalRegressor
from surveysim.datasets import make_survey
from surveysim.metrics import js_divergence


def test_sizes():
    survey = make_survey(500, 2, 3, n_levels=[3, 4], n_options=[2, 5, 7], ordinal=[True, False, True], random_state=0)
    assert len(survey.data) == 500
    assert [question.n_options for question in survey.questions.values()] == [2, 5, 7]
    assert [question.ordinal for question in survey.questions.values()] == [True, False, True]
    assert [len(survey.data[b].cat.categories) for b in survey.backgrounds] == [3, 4]
    assert survey.truth_P.shape == (3 * 12, 7)
    assert survey.weight is None
    np.testing.assert_allclose(np.nansum(survey.truth_P, axis=1), 1)
    assert survey.truth_share[:12].sum() == pytest.approx(1)
    assert "Survey(500 respondents, 3 questions" in repr(survey)


@pytest.mark.parametrize(
    "parameters", [{}, {"noise": 0.5}, {"interaction": 0.5}, {"ordinal": False}, {"ordered": False}]
)
def test_answers_are_drawn_from_the_truth(parameters):
    """Pearson's chi-squared of all cells together is as large as it should be."""
    survey = make_survey(40_000, 2, 1, n_levels=3, n_options=4, random_state=1, **parameters)
    cells = survey.tabulate()
    expected = survey.truth.predict(cells.X) * cells.n_raw[:, None]
    statistic = ((cells.Y * cells.n_raw[:, None] - expected) ** 2 / expected).sum()
    assert stats.chi2.sf(statistic, df=len(cells) * 3) > 0.001


def test_the_table_of_the_truth_is_its_prediction():
    survey = make_survey(50, 3, 2, random_state=0)
    np.testing.assert_array_equal(survey.truth.predict(survey.truth_X), survey.truth_P)
    shuffled = survey.truth_X.sample(frac=1, random_state=0)
    np.testing.assert_array_equal(survey.truth.predict(shuffled), survey.truth_P[shuffled.index])


def test_weights_mend_unequal_sampling():
    survey = make_survey(60_000, 2, 1, n_levels=3, weighted=True, random_state=2)
    assert survey.data["weight"].mean() == pytest.approx(1)
    for name in survey.backgrounds:
        share = survey.data.groupby(name, observed=False)["weight"].sum() / survey.data["weight"].sum()
        plain = survey.data[name].value_counts(normalize=True).reindex(share.index)
        truth = survey.margins[name].to_numpy()
        assert np.abs(share - truth).max() < 0.01
        assert np.abs(plain - truth).max() > 0.02
    cells = survey.tabulate()
    assert (cells.n < cells.n_raw).all()
    population = rake(survey.margins)
    np.testing.assert_allclose(population["share"].to_numpy(), survey.truth_share, rtol=1e-6)


def test_unseen_levels_have_a_truth_and_no_respondents():
    survey = make_survey(5000, 2, 1, n_levels=4, unseen=2, random_state=0)
    last = survey.backgrounds[-1]
    assert survey.unseen == {last: ["level 3", "level 4"]}
    assert set(survey.data[last]) == {"level 1", "level 2"}
    here = survey.truth_X[last].isin(["level 3", "level 4"]).to_numpy()
    assert here.sum() == 8
    assert np.isfinite(survey.truth_P[here]).all()
    assert survey.report["what"].tolist() == ["levels that no respondent has, as asked for"]


def test_missing_answers():
    survey = make_survey(10_000, 1, 1, missing=0.2, random_state=0)
    cells = survey.tabulate(missing="option")
    assert cells.questions["q1"].options[-1] == "Don't know"
    total = (cells.Y * cells.n[:, None]).sum(axis=0) / cells.n.sum()
    assert total[-1] == pytest.approx(0.2, abs=0.02)


def test_effects_can_be_learned_and_noise_cannot():
    quiet = make_survey(3000, 3, 2, effect=0.6, random_state=0)
    cells = quiet.tabulate()
    truth = quiet.truth.predict(cells.X)
    errors = [
        js_divergence(
            truth, model(question=cells.questions).fit(cells.X, cells.Y, sample_weight=cells.n).predict(cells.X)
        )
        for model in (LogitRegressor, MarginalRegressor)
    ]
    assert errors[0] < 0.2 * errors[1]
    random = make_survey(3000, 3, 2, effect=0.6, noise=1.0, random_state=0)
    np.testing.assert_allclose(random.truth_P, 0.2)


def test_seeds():
    one, two, three = (make_survey(100, random_state=seed) for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(one.data, two.data)
    assert not one.data.equals(three.data)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    make_survey(100, random_state=0)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_large_surveys_have_a_truth_without_a_table():
    survey = make_survey(100, 12, 1, n_levels=5, random_state=0)
    assert survey.truth_X is None
    cells = tabulate(survey.data, survey.backgrounds, survey.questions)
    assert survey.truth.predict(cells.X).shape == (len(cells), 5)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_respondents": 0}, "n_respondents must be a whole number, at least 1"),
        ({"n_levels": 1}, "n_levels must be a whole number, at least 2"),
        ({"n_options": [2, 3]}, "n_options must be one value or one for each of 4"),
        ({"noise": 1.5}, "noise must be at least 0 and at most 1"),
        ({"missing": 1.0}, "missing must be"),
        ({"effect": -1}, "effect must be at least 0"),
        ({"unseen": 4}, "at least one must be seen"),
        ({"unseen": -1}, "unseen must be"),
    ],
)
def test_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        make_survey(**parameters)


def test_cells_that_the_truth_does_not_know():
    survey = make_survey(50, 2, 2, random_state=0)
    with pytest.raises(ValueError, match=r"lacks the backgrounds \['background 2'\]"):
        survey.truth.predict(survey.truth_X.drop(columns="background 2"))
    with pytest.raises(ValueError, match="lacks the column 'question'"):
        survey.truth.predict(survey.truth_X.drop(columns="question"))
    with pytest.raises(ValueError, match=r"unknown questions \['q9'\]"):
        survey.truth.predict(survey.truth_X.assign(question="q9"))
    with pytest.raises(ValueError, match=r"is 'x' in row 0, which is not a level"):
        survey.truth.predict(survey.truth_X.assign(**{"background 1": "x"}))
