"""`DSARegressor` as its users meet it: bad input, unseen things, samples, intervals, scikit-learn."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy.stats import chisquare
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline

import surveysim.models
from surveysim import DSARegressor, Question, tabulate
from surveysim.dsa import search
from surveysim.dsa.intervals import combined_interval
from surveysim.models import ModelNotFoundError
from tests.simulated import AGES, HAPPY, QUESTIONS, quick, simulate


@pytest.fixture
def survey():
    return simulate(QUESTIONS)


@pytest.fixture(scope="module")
def fitted(tiny_folder):
    survey = simulate(QUESTIONS)
    return quick(tiny_folder, QUESTIONS, max_epochs=1).fit(survey.X, survey.Y, survey.n, folds=survey.folds)


@pytest.fixture
def no_model(monkeypatch):
    """Loading a model fails the test: what is wrong must be said before."""
    monkeypatch.setattr(surveysim.models, "load_model", lambda *args, **kwargs: pytest.fail("a model was loaded"))


# --- bad input --------------------------------------------------------------------------------------------------------


def _change(frame_or_array, row, value):
    changed = frame_or_array.copy()
    changed[row] = value
    return changed


BAD_DATA = {
    "off the simplex": (lambda s: {"Y": _change(s.Y, 4, [0.5, 0.5, 0.5, 0.5])}, r"Y: row 4 sums to 2"),
    "negative share": (lambda s: {"Y": _change(s.Y, 4, [-0.5, 0.5, 0.5, 0.5])}, r"row 4.*negative"),
    "NaN inside": (lambda s: {"Y": _change(s.Y, 4, [np.nan, 0.5, 0.25, 0.25])}, r"row 4.*NaN"),
    "labels": (lambda s: {"Y": np.arange(36) % 4}, r"(?s)Y.*(one column per option|distribution|2)"),
    "rows differ": (lambda s: {"Y": s.Y[:-1]}, r"X has 36 rows, but Y has 35"),
    "weights differ": (lambda s: {"sample_weight": s.n[:-1]}, r"sample_weight.shape == \(35,\), but X has 36 rows"),
    "NaN weight": (lambda s: {"sample_weight": _change(s.n, 7, np.nan)}, r"sample_weight: row 7 is NaN"),
    "negative weight": (lambda s: {"sample_weight": _change(s.n, 7, -1.0)}, r"sample_weight: row 7 is negative"),
    "no weight": (lambda s: {"sample_weight": 0 * s.n}, r"sample_weight is zero in every row"),
    "unknown question": (lambda s: {"X": s.X.replace({"question": {"vote": "veto"}})}, r"unknown question 'veto'"),
    "no question column": (lambda s: {"X": s.X.drop(columns="question")}, r"no column 'question'"),
    "K": (lambda s: {"Y": s.Y[:, :3]}, r"Y has 3 columns, but question 'happy' has 4 options"),
    "dates": (lambda s: {"X": s.X.assign(day=pd.Timestamp("2020-01-01"))}, r"column 'day' has dtype datetime64"),
    "infinite": (lambda s: {"X": s.X.assign(x=np.inf)}, r"column 'x' has an infinite value"),
    "folds shape": (lambda s: {"folds": s.folds[:, :, :3]}, r"folds must have shape \(36, n_folds >= 2, 4\)"),
    "one fold": (lambda s: {"folds": s.folds.sum(axis=1, keepdims=True)}, r"got \(36, 1, 4\)"),
    "negative folds": (lambda s: {"folds": _change(s.folds, 3, -1.0)}, r"folds: row 3 has a negative count"),
    "folds of others": (lambda s: {"folds": _change(s.folds, 3, 99.0)}, r"folds: row 3 adds up to 1980"),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data_is_refused_before_a_model_loads(case, survey, no_model):
    change, message = BAD_DATA[case]
    data = {"X": survey.X, "Y": survey.Y, "sample_weight": survey.n} | change(survey)
    model = DSARegressor("somebody/model", question=QUESTIONS)
    with pytest.raises((ValueError, TypeError), match=message):
        model.fit(**data)
    with pytest.raises(NotFittedError):
        model.predict(survey.X)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"tuning": "full"}, "tuning must be 'last-block' or 'lora', got 'full'"),
        ({"tuning": "lora", "n_blocks": 2}, "n_blocks=2 with tuning='lora': adapters tune all blocks"),
        ({"tuning": "lora", "trunk_cache": "there"}, "trunk_cache='there' with tuning='lora': adapters change every"),
        ({"init": "zero"}, "init must be 'marginal', 'baseline' or None, got 'zero'"),
        ({"shift_reference": "none"}, "shift_reference must be one of"),
        ({"shift_weight": -1}, "shift_weight must be a number of at least 0 or auto, got -1"),
        ({"shift_weight": "much"}, "shift_weight"),
        ({"n_blocks": 0}, "n_blocks must be a whole number of at least 1, got 0"),
        ({"n_members": 1.5}, "n_members must be a whole number"),
        ({"max_epochs": 0}, "max_epochs"),
        ({"learning_rate": 0.0}, "learning_rate must be a number above 0 or auto, got 0.0"),
        ({"batch_size": True}, "batch_size"),
        ({"validation_fraction": 0.9}, "validation_fraction must be a number of at least 0 and at most 0.5"),
        ({"device": "gpu"}, "device must be 'auto', 'cpu', 'cuda'"),
        ({"dtype": "int8"}, "dtype must be 'auto' or one of"),
        ({"template": "poetic"}, "poetic"),
        ({"trunk_cache": 3}, "trunk_cache must be a folder or None, got 3"),
        ({"random_state": "seed"}, "random_state must be None, a whole number"),
        ({"random_state": -1}, "random_state must not be negative"),
        ({"question_column": 5}, "question_column must be the name of a column"),
        ({"question": "How?"}, "question must be a Question or a mapping"),
    ],
)
def test_bad_parameters_are_refused_before_a_model_loads(parameters, message, survey, no_model):
    model = DSARegressor("somebody/model", **{"question": QUESTIONS, **parameters})
    with pytest.raises((ValueError, TypeError), match=message):
        model.fit(survey.X, survey.Y, survey.n)


def test_label_encoded_targets_name_the_trap(no_model):
    survey = simulate()
    with pytest.raises(ValueError, match=r"(?s)whole numbers.*cross_val_predict\(method=\"predict_proba\"\)"):
        cross_val_predict(DSARegressor("nano", question=HAPPY), survey.X, survey.Y, cv=3, method="predict_proba")


def test_a_single_question_and_a_question_column(survey, no_model):
    with pytest.raises(ValueError, match="X has a column 'question', but question= is not a mapping"):
        DSARegressor("somebody/model", question=HAPPY).fit(survey.X, survey.Y, survey.n)


def test_what_is_wrong_at_predict_is_said_before_a_model_loads(fitted, survey, no_model):
    with pytest.raises(ValueError, match="sex"):
        fitted.predict(survey.X.drop(columns="sex"))
    with pytest.raises(ValueError, match="unknown question 'veto'"):
        fitted.predict(survey.X.replace({"question": {"vote": "veto"}}))
    for level in (0, 1, 1.5, "high", True):
        with pytest.raises(ValueError, match="level must be a number between 0 and 1"):
            fitted.predict_interval(survey.X, level=level)
    for n in (0, 1.5, True):
        with pytest.raises(ValueError, match="n must be a positive whole number of draws"):
            fitted.sample(survey.X, n=n)


def test_no_model_at_that_folder(tmp_path, survey):
    model = DSARegressor(tmp_path / "nothing", question=QUESTIONS)
    with pytest.raises(ModelNotFoundError, match="nothing"):
        model.fit(survey.X, survey.Y, survey.n)
    with pytest.raises(NotFittedError):
        model.predict(survey.X)


def test_more_blocks_than_the_model_has(tiny_folder, survey):
    with pytest.raises(ValueError, match="n_blocks=9, but the model has 3 blocks"):
        quick(tiny_folder, QUESTIONS, n_blocks=9).fit(survey.X, survey.Y, survey.n)


# --- unseen things, all kinds of backgrounds --------------------------------------------------------------------------


@pytest.mark.parametrize("init", ["marginal", "baseline", None])
def test_unseen_questions_are_answered_with_a_warning_unless_made_for_it(tiny_folder, survey, init):
    seen = (survey.X["question"] != "vote").to_numpy()
    model = quick(tiny_folder, QUESTIONS, init=init, max_epochs=1)
    model.fit(survey.X[seen], survey.Y[seen], survey.n[seen])
    if init is None:
        P = model.predict(survey.X)  # warnings are errors
    else:
        with pytest.warns(UserWarning, match=r"no training cells for \['vote'\].*fit with init=None"):
            P = model.predict(survey.X)
    np.testing.assert_array_equal(np.isnan(P), np.isnan(survey.Y))
    np.testing.assert_allclose(np.nansum(P, axis=1), 1.0)


@pytest.mark.parametrize("init", ["marginal", "baseline"])
def test_unseen_backgrounds_missing_values_numbers_and_booleans(tiny_folder, init):
    survey = simulate()
    X = survey.X.assign(children=[0, 1, 2, 3] * 3, income=[1.5, np.nan, 2.0] * 4, member=[True, False] * 6)
    X["sex"] = X["sex"].where(X.index % 5 > 0)
    model = quick(tiny_folder, init=init, max_epochs=1, shift_weight=0).fit(X, survey.Y, survey.n)
    new = X.assign(children=7, sex="other", income=np.nan, region=None)
    P = model.predict(new)
    np.testing.assert_allclose(P.sum(axis=1), 1.0)
    assert np.abs(P[0] - P[-1]).max() > 0


def test_weight_zero_drops_rows(tiny_folder, survey):
    n = survey.n * (np.arange(36) % 4 > 0)
    folds = survey.folds * (n > 0)[:, None, None]
    model = quick(tiny_folder, QUESTIONS, max_epochs=1).fit(survey.X, survey.Y, n, folds=folds)
    kept = n > 0
    other = quick(tiny_folder, QUESTIONS, max_epochs=1)
    other.fit(survey.X[kept], survey.Y[kept], n[kept], folds=survey.folds[kept])
    assert model.n_dropped_ == 9
    np.testing.assert_array_equal(model.predict(survey.X), other.predict(survey.X))


def test_cells_of_tabulate_with_their_folds(tiny_folder):
    generator = np.random.default_rng(0)
    data = pd.DataFrame({"age": generator.choice(AGES, 300), "sex": generator.choice(["man", "woman"], 300)})
    data["happy"], data["vote"] = generator.choice(HAPPY.options, 300), generator.choice(["no", "yes"], 300)
    questions = {name: QUESTIONS[name] for name in ("happy", "vote")}
    cells = tabulate(data, ["age", "sex"], questions, folds=5)
    model = quick(tiny_folder, questions).fit(cells.X, cells.Y, sample_weight=cells.n, folds=cells.folds)
    np.testing.assert_allclose(np.nansum(model.predict(cells.X), axis=1), 1.0)
    assert "held_out" in model.history_


# --- samples and intervals --------------------------------------------------------------------------------------------


def test_samples_follow_the_predicted_distribution(fitted, survey):
    rows = survey.X.iloc[[0, 13, 30]]
    drawn = fitted.sample(rows, n=4000, random_state=0)
    assert list(drawn.columns) == [*survey.X.columns, "answer"]
    assert len(drawn) == 12_000
    for i, (P, name) in enumerate(zip(fitted.predict(rows), rows["question"], strict=True)):
        part = drawn.iloc[4000 * i : 4000 * (i + 1)]
        assert set(part["question"]) == {name}
        options = QUESTIONS[name].options
        found = part["answer"].value_counts().reindex(options, fill_value=0)
        assert found.sum() == 4000
        assert chisquare(found, 4000 * P[: len(options)]).pvalue > 0.001


def test_samples_follow_their_seed(fitted, survey):
    first, second = (fitted.sample(survey.X, n=3, random_state=1) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)
    assert (first["answer"] != fitted.sample(survey.X, n=3, random_state=2)["answer"]).any()


def test_a_column_called_answer_is_in_the_way(tiny_folder):
    survey = simulate()
    X = survey.X.rename(columns={"sex": "answer"})
    model = quick(tiny_folder, max_epochs=1).fit(X, survey.Y, survey.n)
    with pytest.raises(ValueError, match='X has a column "answer"'):
        model.sample(X)


def test_the_jackknife_by_hand():
    odds = np.array([0.1, 0.3, 0.2, 0.4, 0.0])  # sum of squares around .2: .1; variance .8 * .1
    refits = (1 / (1 + np.exp(-odds)))[:, None, None]
    lower, upper = combined_interval(np.array([[0.5]]), refits, np.zeros((1, 1)), 0.9)
    half = 2.13184679 * np.sqrt(0.08)  # Student's t, 4 degrees of freedom, 95%
    assert upper.item() == pytest.approx(1 / (1 + np.exp(-half)))
    assert lower.item() == pytest.approx(1 - upper.item())
    far = np.array([0, 1, 0, 1, 0.0])[:, None, None]
    lower, upper = combined_interval(np.array([[0.0]]), far, np.zeros((1, 1)), 0.9999)
    assert (lower.item(), upper.item()) == (pytest.approx(0.0), pytest.approx(1.0))


@pytest.mark.parametrize("init", ["marginal", "baseline"])
def test_intervals_bracket_the_prediction_and_widen_with_the_level(tiny_folder, survey, init):
    model = quick(tiny_folder, QUESTIONS, init=init).fit(survey.X, survey.Y, survey.n)
    P = model.predict(survey.X)
    narrow, wide = model.predict_interval(survey.X, level=0.5), model.predict_interval(survey.X, level=0.95)
    exists = ~np.isnan(survey.Y)
    for ends in (*narrow, *wide):
        np.testing.assert_array_equal(np.isnan(ends), ~exists)
    order = [wide[0], narrow[0], P, narrow[1], wide[1]]
    for lower, upper in itertools.pairwise(order):
        assert (lower[exists] < upper[exists]).all()
    assert (wide[0][exists] >= 0).all()
    assert (wide[1][exists] <= 1).all()


def test_the_baseline_alone_has_an_interval_too(tiny_folder, monkeypatch):
    """Each refit has a baseline of its own: with the fit's in all of them nothing would seem uncertain."""
    monkeypatch.setattr(search, "STACK_GRID", (0.0,))
    survey = simulate()
    model = quick(tiny_folder, init="baseline", max_epochs=1).fit(survey.X, survey.Y, survey.n)
    assert model.stack_weight_ == 0
    lower, upper = model.predict_interval(survey.X)
    assert (upper - lower).min() > 0.005


def test_more_respondents_make_narrower_intervals(tiny_folder):
    widths = []
    for n in (40, 1000):
        survey = simulate(n=n)
        model = quick(tiny_folder, init="baseline").fit(survey.X, survey.Y, survey.n, folds=survey.folds)
        lower, upper = model.predict_interval(survey.X)
        widths.append((upper - lower).mean())
    assert widths[1] < 0.6 * widths[0]


# --- scikit-learn -----------------------------------------------------------------------------------------------------


def test_repr_html_dir_and_properties_load_nothing(fitted, no_model):
    for model in (DSARegressor("nano", question=HAPPY), fitted):
        assert "DSARegressor" in repr(model)
        assert "DSARegressor" in model._repr_html_()
        for name in dir(model):
            getattr(model, name, None)


def test_weights_and_folds_are_routed_through_cross_validation(tiny_folder, survey):
    cv = KFold(3, shuffle=True, random_state=0)
    with sklearn.config_context(enable_metadata_routing=True):
        model = quick(tiny_folder, QUESTIONS, max_epochs=1)
        model = model.set_fit_request(sample_weight=True, folds=True).set_score_request(sample_weight=True)
        params = {"sample_weight": survey.n, "folds": survey.folds}
        scores = cross_val_score(model, survey.X, survey.Y, cv=cv, params=params)
    train, test = next(cv.split(survey.X))
    by_hand = quick(tiny_folder, QUESTIONS, max_epochs=1)
    by_hand.fit(survey.X.iloc[train], survey.Y[train], survey.n[train], folds=survey.folds[train])
    assert scores[0] == pytest.approx(by_hand.score(survey.X.iloc[test], survey.Y[test], survey.n[test]))


def test_grid_search_over_the_weight_of_stage_2(tiny_folder):
    survey = simulate()
    search = GridSearchCV(quick(tiny_folder, max_epochs=1), {"shift_weight": [0.0, 20.0]}, cv=KFold(2))
    search.fit(survey.X, survey.Y)
    assert search.best_params_["shift_weight"] in (0.0, 20.0)
    assert search.predict(survey.X).shape == (12, 4)


def test_pipeline_and_cross_val_predict(tiny_folder, survey):
    pipeline = make_pipeline("passthrough", quick(tiny_folder, QUESTIONS, max_epochs=1))
    P = cross_val_predict(pipeline, survey.X, survey.Y, cv=KFold(2, shuffle=True, random_state=0))
    np.testing.assert_array_equal(np.isnan(P), np.isnan(survey.Y))


def test_options_without_a_question(tiny_folder):
    X = pd.DataFrame({"age": AGES})
    model = DSARegressor(tiny_folder, max_epochs=1, random_state=0).fit(X, [[0.2, 0.8]] * 3, [50] * 3)
    assert model.questions_[""] == Question("Question", ["1", "2"])
    assert set(model.sample(X, n=20, random_state=0)["answer"]) == {"1", "2"}
