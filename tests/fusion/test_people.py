"""`FusedRegressor` with people who were asked elsewhere: what is believed, what it was worth, and odd input."""

from __future__ import annotations

import datetime
import pickle
import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from sklearn.base import clone

from surveysim import FusedRegressor, Question
from surveysim.baselines import LogitRegressor
from surveysim.contrasts import option_contrasts
from surveysim.metrics import js_divergence
from surveysim.sources import Wave
from tests.fusion.test_estimator import OPTIONS, said, sample, world


def wave(X, P, questions, n=200, seed=7, **parameters):
    Y = sample(P, n, seed)
    return Wave(SimpleNamespace(X=X, Y=Y, n=np.full(len(X), float(n)), questions=questions), **parameters)


def moved(X, P, size, seed=3):
    """Shares after each question's level moved."""
    contrasts, _ = option_contrasts(np.arange(1.0, 5.0))
    names = X["question"].to_numpy()
    generator = np.random.default_rng(seed)
    drift = {name: size * generator.normal(size=3) * [1.0, 0.5, 0.2] for name in dict.fromkeys(names)}
    return softmax(np.log(P) + np.array([drift[name] for name in names]) @ contrasts, axis=1)


def fused(sources, X, P, questions, n=15, **parameters):
    model = FusedRegressor(sources, question=questions, random_state=0, **parameters)
    return model.fit(X, sample(P, n), np.full(len(X), float(n)))


def divergence(model, X, P):
    return js_divergence(P, model.predict(X))


def test_a_wave_without_drift_is_believed_at_once():
    X, P, questions = world()
    earlier = wave(X, P, questions)
    alone = LogitRegressor(question=questions).fit(X, sample(P, 200, 7), np.full(len(X), 200.0))
    model = fused({"2023": earlier}, X, P, questions, n=10)
    assert divergence(model, X, P) < 1.05 * divergence(alone, X, P)
    drift = model.drift_.set_index("of")
    assert drift["slope"].between(0.8, 1.2).all()
    assert drift.loc["level", "degree 1"] < 0.1
    (source,) = model.sources_.to_dict("records")
    assert (source["source"], source["kind"]) == ("2023", "people")
    assert source["alone"] == source["given others"] > 50
    assert model.model_worth_ > 50


def test_where_opinions_moved_it_is_better_than_both_and_says_how_far():
    X, P, questions = world()
    earlier = moved(X, P, 0.4)
    model = fused({"2023": wave(X, earlier, questions)}, X, P, questions, n=40)
    fresh = fused(None, X, P, questions, n=40)
    assert divergence(model, X, P) < 0.85 * divergence(fresh, X, P)
    assert divergence(model, X, P) < 0.85 * js_divergence(P, earlier)
    drift = model.drift_.set_index("of")
    assert drift.loc["level", "degree 1"] == pytest.approx(0.4, abs=0.12)
    assert drift.loc["party", "degree 1"] < 0.2


def test_a_source_of_other_questions_is_let_go():
    X, P, questions = world()
    wrong = P.reshape(30, 4, 4)[np.roll(np.arange(30), 7)].reshape(-1, 4)
    for n in (8, 60):
        model = fused({"wrong": wave(X, wrong, questions)}, X, P, questions, n=n)
        assert divergence(model, X, P) < 1.05 * divergence(fused(None, X, P, questions, n=n), X, P)
    assert model.drift_.set_index("of").loc["level", "slope"] < 0.5
    assert model.model_worth_ < 10


def test_one_question_that_moved_far_is_let_go_and_the_others_are_kept():
    X, P, questions = world()
    first = (X["question"] == "q0").to_numpy()
    earlier = P.copy()
    earlier[first] = P[first][:, ::-1] ** 2 / (P[first][:, ::-1] ** 2).sum(axis=1, keepdims=True)
    model = fused({"2023": wave(X, earlier, questions)}, X, P, questions, n=40)
    fresh = fused(None, X, P, questions, n=40)
    assert js_divergence(P[first], model.predict(X[first])) < 2.0 * js_divergence(P[first], fresh.predict(X[first]))
    assert js_divergence(P[~first], model.predict(X[~first])) < 0.6 * js_divergence(P[~first], fresh.predict(X[~first]))


def test_people_and_a_model_are_joined_and_no_worse_than_either():
    X, P, questions = world()
    found = {"both": [], "2023": [], "model": []}
    for seed in (7, 8, 9):
        sources = {"2023": wave(X, moved(X, P, 0.3), questions, n=40, seed=seed), "model": said(X, P, questions)}
        model = fused(sources, X, P, questions)
        table = model.sources_.set_index("source")
        assert table["kind"].to_dict() == {"model": "model", "2023": "people"}
        assert table.loc["2023", "alone"] > 10
        assert table.loc["2023", "given others"] > 10
        assert set(model.elicitor_) == {"model"}
        found["both"].append(divergence(model, X, P))
        for name in sources:
            found[name].append(divergence(fused({name: sources[name]}, X, P, questions), X, P))
    means = {name: np.mean(values) for name, values in found.items()}
    assert means["both"] < 1.05 * min(means["2023"], means["model"])


def test_the_newest_wave_counts_most_whatever_the_order_they_are_given_in():
    X, P, questions = world()
    old, new = moved(X, P, 0.6, seed=4), moved(X, P, 0.2, seed=5)
    sources = {"2015": wave(X, old, questions, time=2015), "2022": wave(X, new, questions, seed=8, time=2022)}
    model = fused(sources, X, P, questions, time=2023)
    table = model.sources_.set_index("source")
    assert table.loc["2022", "given others"] > 2 * abs(table.loc["2015", "given others"])
    again = fused(dict(reversed(sources.items())), X, P, questions, time=2023)
    np.testing.assert_allclose(again.predict(X), model.predict(X), atol=1e-6)
    assert model.drift_["source"].unique().tolist() == ["2015, 2022"]


def test_dates_order_as_years_do():
    X, P, questions = world(n_questions=5)
    kinds = (
        [2019, 2021.5, 2023],
        [datetime.date(2019, 1, 1), datetime.date(2021, 7, 2), datetime.date(2023, 1, 1)],
    )
    found = []
    for first, second, now in kinds:
        sources = {"a": wave(X, P, questions, time=first), "b": wave(X, P, questions, seed=8, time=second)}
        found.append(fused(sources, X, P, questions, time=now).predict(X))
    np.testing.assert_allclose(*found, atol=1e-3)


def test_a_forecast_of_a_question_that_nobody_was_asked_again_is_wider_the_farther_it_is():
    X, P, questions = world(n_questions=12)
    waves = {
        str(year): wave(X, moved(X, P, 0.3, seed=year), questions, seed=year, time=year) for year in (2015, 2018, 2021)
    }
    new = (X["question"] == "q11").to_numpy()
    widths = []
    for year in (2022, 2030):
        model = FusedRegressor(waves, question=questions, time=year, random_state=0)
        model.fit(X[~new], sample(P, 15)[~new], np.full((~new).sum(), 15.0))
        lower, upper = model.predict_interval(X[new], n_draws=400)
        P_new = model.predict(X[new])
        assert ((lower <= P_new) & (P_new <= upper)).all()
        widths.append((upper - lower).mean())
    assert widths[1] > 1.2 * widths[0]


def test_totals_inform_where_groups_were_not_published():
    X, P, questions = world(n_questions=8)
    total = X.groupby("question", sort=False).size().index
    toplines = pd.DataFrame({"question": total})
    Y = P.reshape(8, 4, 4).mean(axis=1)
    published = Wave(SimpleNamespace(X=toplines, Y=Y, n=np.full(8, 1000.0), questions=questions))
    with warnings.catch_warnings():  # of what did not match, which is tested with the sources
        warnings.simplefilter("ignore", UserWarning)
        model = fused({"published": published}, X, P, questions, n=8)
    fresh = fused(None, X, P, questions, n=8)
    pooled = [m.predict(X).reshape(8, 4, 4).mean(axis=1) for m in (model, fresh)]
    assert js_divergence(Y, pooled[0]) < 0.3 * js_divergence(Y, pooled[1])


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    X, P, questions = world()
    held = []
    for n_waves in (1, 3):
        sources = {f"w{i}": wave(X, moved(X, P, 0.3, seed=i), questions, seed=20 + i) for i in range(n_waves)}
        lower, upper = fused(sources, X, P, questions).predict_interval(X, n_draws=400)
        held.append(((lower <= P) & (upper >= P)).mean())
    assert all(0.84 < share < 0.98 for share in held)


def test_one_model_in_a_mapping_predicts_as_it_does_by_itself():
    X, P, questions = world(n_questions=6)
    alone = fused(said(X, P, questions), X, P, questions)
    named = fused({"gpt": said(X, P, questions)}, X, P, questions)
    np.testing.assert_array_equal(named.predict(X), alone.predict(X))
    assert alone.sources_["alone"].item() == alone.model_worth_


def test_what_sources_were_worth_does_not_depend_on_what_is_computed_once_for_all_of_them():
    X, P, questions = world(n_questions=6)
    sources = {"2023": wave(X, P, questions), "panel": wave(X, moved(X, P, 0.4), questions, seed=8)}
    names = list(sources)
    both = fused(sources, X, P, questions)
    swapped = fused({name: sources[name] for name in reversed(names)}, X, P, questions)
    found, again = (model.sources_.set_index("source")[["alone", "given others"]] for model in (both, swapped))
    # drifts are learned one after the other, until they hardly move
    np.testing.assert_allclose(found.loc[names], again.loc[names], rtol=0.01)
    assert found.loc["2023", "given others"] > found.loc["panel", "given others"]
    assert both._model.family.kept is None  # nothing of it is pickled


def test_beside_people_the_base_pools_questions():
    X, P, questions = world(n_questions=6)
    sources = {"2023": wave(X, P, questions)}
    model, pooled, learned = (
        fused(sources, X, P, questions, base=base).predict(X)
        for base in (None, LogitRegressor(), LogitRegressor(prior="eb"))
    )
    assert np.array_equal(model, pooled)
    assert np.abs(model - learned).max() > 1e-4
    assert FusedRegressor(sources).set_params(base__interactions=True).base.prior == "auto"


def test_copies_and_pickles_predict_the_same():
    X, P, questions = world(n_questions=4)
    model = fused({"2023": wave(X, P, questions)}, X, P, questions)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    np.testing.assert_array_equal(again.predict_draws(X, 5), model.predict_draws(X, 5))
    refit = clone(model).fit(X, sample(P, 15), np.full(len(X), 15.0))
    np.testing.assert_allclose(refit.predict(X), model.predict(X))


def test_odd_sources_are_refused():
    X, P, questions = world(n_questions=4)
    a, b = wave(X, P, questions, time=2019), wave(X, P, questions, seed=8, time=2021)
    for sources, time, message in (
        ({}, None, "mapping without sources"),
        ({"a": a, "b": wave(X, P, questions, seed=8, time=2019)}, None, "'a' and 'b' have the same time"),
        ({"a": a, "b": b}, 2021, "wave 'b' has the time of the survey itself"),
        ({"a": a}, datetime.date(2021, 1, 1), "times do not order"),
        ({"a": a, "b": wave(X, P, questions, time=2021)}, None, "'a' and 'b' hold the same respondents"),
    ):
        with pytest.raises(ValueError, match=message):
            fused(sources, X, P, questions, time=time)
    with pytest.raises(ValueError, match="holds the respondents of fit themselves"):
        fused({"a": wave(X, P, questions, n=15, seed=1)}, X, P, questions, n=15)
    other = {"z": Question("Something else?", OPTIONS)}
    frame = X.iloc[:4].assign(question="z")
    with pytest.raises(ValueError, match="in common"):
        fused({"a": wave(frame, P[:4], other)}, X, P, questions)
    with pytest.raises(ValueError, match="'all models' is what the average of several models is called"):
        fused({"all models": said(X, P, questions), "b": said(X, P, questions)}, X, P, questions)
    with pytest.raises(TypeError, match="names of sources must be texts"):
        fused({1: a}, X, P, questions)
    a.kind = "oracle"
    with pytest.raises(ValueError, match='kind must be "model" or "people"'):
        fused({"a": a}, X, P, questions)
