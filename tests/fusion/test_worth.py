"""What sources were worth: one scale for all of them, alone, given the others, together and by group."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from surveysim.evaluation import group_report
from tests.fusion.test_estimator import said, world
from tests.fusion.test_people import fused, moved, wave

FIGURES = ["alone", "given others"]


@pytest.fixture(scope="module")
def data():
    return world(n_questions=8)


@pytest.fixture(scope="module")
def both(data):
    X, P, questions = data
    sources = {
        "2015": wave(X, moved(X, P, 0.5, seed=4), questions, time=2015),
        "2022": wave(X, moved(X, P, 0.2, seed=5), questions, seed=8, time=2022),
        "gpt": said(X, P, questions),
    }
    return fused(sources, X, P, questions, time=2023)


def test_a_single_source_is_worth_what_all_together_are(data):
    X, P, questions = data
    for source in (wave(X, moved(X, P, 0.3), questions), said(X, P, questions)):
        for sources in (source, {"one": source}):
            model = fused(sources, X, P, questions)
            np.testing.assert_allclose(model.sources_[FIGURES].to_numpy(), model.model_worth_, rtol=1e-6)


def test_people_are_worth_about_the_respondents_that_they_are(data):
    """200 in each cell that have not moved, beside 15: not more than that, but for what questions tell each other."""
    X, P, questions = data
    model = fused({"wave": wave(X, P, questions, n=200)}, X, P, questions, n=15)
    assert 100 < model.model_worth_ < 300
    fewer = fused({"wave": wave(X, P, questions, n=40)}, X, P, questions, n=15)
    assert fewer.model_worth_ < 0.6 * model.model_worth_


def test_all_together_lie_between_what_sources_add_and_what_they_are_alone(both):
    table = both.sources_.set_index("source")
    waves = table.loc[["2015", "2022"]]
    assert waves["given others"].sum() < both.model_worth_ < waves["alone"].sum()
    assert waves.loc["2022", "given others"] > waves.loc["2015", "given others"]


def test_a_model_is_not_worth_less_because_it_stands_in_a_mapping(data, both):
    """What it says makes the variances smaller: without it these are learned anew."""
    X, P, questions = data
    alone = fused(said(X, P, questions), X, P, questions).model_worth_
    assert alone > 2
    assert both.sources_.set_index("source").loc["gpt", "alone"] == pytest.approx(alone, rel=0.6)


def test_two_models_that_say_the_same_are_worth_little_given_each_other(data):
    X, P, questions = data
    model = fused({"a": said(X, P, questions), "b": said(X, P, questions)}, X, P, questions)
    assert (model.sources_["alone"] > 2).all()
    assert (model.sources_["given others"].abs() < 0.25 * model.sources_["alone"]).all()


def test_a_source_is_worth_something_to_the_groups_that_it_asked(data):
    X, P, questions = data
    young = (X["age"] == "young").to_numpy()
    source = wave(X[young].reset_index(drop=True), P[young], questions, n=300)
    model = fused({"youth": source}, X, P, questions)
    table = model.group_sources_.set_index(["attribute", "group"])["given others"]
    assert table["age", "young"] > 1.5 * table["age", "old"]
    assert table["party", "left"] == pytest.approx(table["party", "right"], rel=0.5)


# --- beside a group report --------------------------------------------------------------------------------------------


def test_a_group_report_shows_what_each_source_was_worth(data, both):
    X, P, questions = data
    report = group_report(X, P, both.predict(X), question=questions, model=both)
    plain = group_report(X, P, both.predict(X), question=questions)
    pd.testing.assert_frame_equal(report[plain.columns], plain)
    by_group = both.group_sources_.set_index(["attribute", "group", "source"])
    for row in report.to_dict("records"):
        for source in ("2015", "2022", "gpt"):
            own = by_group.loc[(row["attribute"], row["group"], source)]
            assert row[f"worth of {source}"] == own["given others"]
            assert row[f"worth of {source} alone"] == own["alone"]
    assert not any(column.startswith(("slope", "drift")) for column in report)


def test_by_attribute_it_shows_slopes_and_drift_too(data, both):
    X, P, questions = data
    report = group_report(X, P, both.predict(X), question=questions, by="attribute", model=both).set_index("attribute")
    drift, worth = both.drift_.set_index("of"), both.sources_.set_index("source")
    for attribute in ("party", "age"):
        row = report.loc[attribute]
        for source in ("2015", "2022"):  # one walk
            assert row[f"slope of {source}"] == drift.loc[attribute, "slope"]
            assert row[f"drift of {source}"] == drift.loc[attribute, "degree 1"]
        assert row["slope of gpt"] == both.gap_inflation_[attribute]
        assert row["worth of gpt"] == worth.loc["gpt", "given others"]
    assert "drift of gpt" not in report


def test_groups_that_training_did_not_have_are_blank(data):
    X, P, questions = data
    model = fused({"w": wave(X, P, questions)}, X, P, questions)
    other = X.assign(party=X["party"].replace({"left": "green"}))
    report = group_report(other, P, P, question=questions, model=model).set_index("group")
    assert np.isnan(report.loc["green", "worth of w"])
    assert report.loc["right", "worth of w"] > 10


def test_levels_that_are_numbers_or_missing_are_found():
    X, P, questions = world(n_questions=6)
    X = X.assign(age=X["age"].map({"young": 20.0, "old": np.nan}), party=X["party"] == "left")
    model = fused({"gpt": said(X, P, questions)}, X, P, questions)
    report = group_report(X, P, P, question=questions, model=model).set_index("group")
    assert set(report.index) == {"20", "not stated", "True", "False"}
    assert report["worth of gpt"].notna().all()


def test_a_report_needs_a_fusion_with_sources(data):
    X, P, questions = data
    for model in (fused(None, X, P, questions), said(X, P, questions)):
        with pytest.raises(TypeError, match="model must be a fitted FusedRegressor with sources, got"):
            group_report(X, P, P, question=questions, model=model)


def test_an_unnamed_source_is_called_the_source(data):
    X, P, questions = data
    model = fused(said(X, P, questions), X, P, questions)
    report = group_report(X, P, P, question=questions, by="attribute", model=model)
    assert {"worth of the source", "worth of the source alone", "slope of the source"} <= set(report.columns)
