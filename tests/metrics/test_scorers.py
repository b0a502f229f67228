"""Scorers inside scikit-learn: weights routed to the metric, the question found, nominal questions refused."""

import copy
import inspect
import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    cross_val_score,
    cross_validate,
    learning_curve,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from surveysim import metrics
from surveysim.metrics import (
    get_scorer,
    js_divergence,
    kl_divergence,
    opinion_alignment,
    opinion_alignment_scorer,
    scorer_names,
    wasserstein,
)
from surveysim.questions import Question

nan = np.nan
SCALE = Question("How far do you agree?", ["disagree", "neither", "agree", "don't know"], pinned=["don't know"])
PARTY = Question("Which party?", ["red", "green", "blue", "none"], ordinal=False)
UNEVEN = Question("How often?", ["never", "yearly", "monthly", "daily"], values=[0, 1, 12, 365])
SHORT = Question("Yes?", ["no", "yes"])


class MeanRegressor(RegressorMixin, BaseEstimator):
    """Predicts the weighted mean distribution, mixed with the uniform one."""

    def __init__(self, question=None, question_column="question", uniform=0.0):
        self.question = question
        self.question_column = question_column
        self.uniform = uniform

    def fit(self, X, Y, sample_weight=None):
        mean = np.average(Y, axis=0, weights=sample_weight)
        self.mean_ = (1 - self.uniform) * mean + self.uniform / len(mean)
        self.n_predict_ = 0
        return self

    def predict(self, X):
        self.n_predict_ += 1
        return np.tile(self.mean_, (len(X), 1))


class Wrapper(BaseEstimator):
    """Keeps another estimator, as the project's and scikit-learn's meta-estimators do."""

    def __init__(self, estimator):
        self.estimator = estimator

    def fit(self, X, Y):
        self.estimator_ = clone(self.estimator).fit(X, Y)
        return self

    def predict(self, X):
        return self.estimator_.predict(X)


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


@pytest.fixture(autouse=True)
def module_scorers_as_imported():
    """What one test requests of a scorer, the next must not see: `set_score_request` changes it in place."""
    scorers = {name: getattr(metrics, f"{name}_scorer") for name in scorer_names()}
    states = {name: dict(vars(scorer)) for name, scorer in scorers.items()}
    yield
    for name, scorer in scorers.items():
        vars(scorer).clear()
        vars(scorer).update(states[name])


@pytest.fixture
def cells():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"age": np.arange(24) % 4, "region": np.arange(24) // 4})
    Y = rng.dirichlet([4, 3, 2, 1], 24)
    n = rng.integers(2, 60, 24).astype(float)
    return X, Y, n


FOLDS = KFold(3, shuffle=True, random_state=0)


def scores_by_hand(metric, X, Y, fit_weight=None, cv=FOLDS, **per_row):
    """What cross_val_score must return, with `per_row` keywords cut to the test rows."""
    scores = []
    for train, test in cv.split(X):
        weight = None if fit_weight is None else fit_weight[train]
        prediction = MeanRegressor().fit(X.iloc[train], Y[train], weight).predict(X.iloc[test])
        scores.append(metric(Y[test], prediction, **{name: numbers[test] for name, numbers in per_row.items()}))
    return np.array(scores)


# The list of scorers


def test_names_and_what_the_package_exports():
    assert scorer_names() == sorted(scorer_names())
    for name in scorer_names():
        scorer = getattr(metrics, f"{name}_scorer")
        assert repr(get_scorer(name)) == repr(scorer)
    losses = {name.removeprefix("neg_") for name in scorer_names() if name.startswith("neg_")}
    assert losses == {
        "js_divergence",
        "js_distance",
        "kl_divergence",
        "total_variation",
        "wasserstein",
        "rmse",
        "cross_entropy",
    }
    with pytest.raises(ValueError, match=r"there is no scorer 'js', expected one of \['neg_cross_entropy'"):
        get_scorer("js")


@pytest.mark.parametrize("name", scorer_names())
def test_scorers_are_the_metrics_with_a_sign(name, cells):
    X, Y, n = cells
    model = MeanRegressor().fit(X, Y)
    metric = getattr(metrics, name.removeprefix("neg_"))
    sign = -1 if name.startswith("neg_") else 1
    scorer = get_scorer(name)
    expected = sign * metric(Y, model.predict(X))
    assert scorer(model, X, Y) == pytest.approx(expected)
    assert scorer(model, X, Y, sample_weight=n) == pytest.approx(sign * metric(Y, model.predict(X), sample_weight=n))
    np.testing.assert_allclose(
        cross_val_score(MeanRegressor(), X, Y, cv=FOLDS, scoring=scorer), sign * scores_by_hand(metric, X, Y)
    )
    for twin in (copy.deepcopy(scorer), pickle.loads(pickle.dumps(scorer))):
        assert twin(model, X, Y) == pytest.approx(expected)
    # better predictions score higher
    worse = MeanRegressor(uniform=0.5).fit(X, np.tile([[1.0, 0, 0, 0]], (len(X), 1)))
    assert scorer(worse, X, Y) < expected


def test_get_scorer_hands_out_copies(routing, cells):
    X, Y, n = cells
    mine = get_scorer("neg_js_divergence").set_score_request(sample_weight=True)
    metrics.neg_js_divergence_scorer.set_score_request(sample_weight=True)
    model = MeanRegressor().set_fit_request(sample_weight=True)
    weighted = cross_val_score(model, X, Y, cv=FOLDS, scoring=mine, params={"sample_weight": n})
    np.testing.assert_allclose(weighted, -scores_by_hand(js_divergence, X, Y, fit_weight=n, sample_weight=n))
    other = get_scorer("neg_js_divergence").set_score_request(sample_weight=False)
    unweighted = cross_val_score(model, X, Y, cv=FOLDS, scoring=other, params={"sample_weight": n})
    np.testing.assert_allclose(unweighted, -scores_by_hand(js_divergence, X, Y, fit_weight=n))
    again = cross_val_score(model, X, Y, cv=FOLDS, scoring=mine, params={"sample_weight": n})
    np.testing.assert_allclose(again, weighted)


# Weights routed


@pytest.mark.parametrize("name", scorer_names())
def test_routed_weights_reach_fit_and_metric(routing, cells, name):
    X, Y, n = cells
    scorer = getattr(metrics, f"{name}_scorer").set_score_request(sample_weight=True)
    metric = getattr(metrics, name.removeprefix("neg_"))
    sign = -1 if name.startswith("neg_") else 1
    model = MeanRegressor().set_fit_request(sample_weight=True)
    scores = cross_val_score(model, X, Y, cv=FOLDS, scoring=scorer, params={"sample_weight": n})
    by_hand = sign * scores_by_hand(metric, X, Y, fit_weight=n, sample_weight=n)
    np.testing.assert_allclose(scores, by_hand)
    assert not np.allclose(scores, sign * scores_by_hand(metric, X, Y, fit_weight=n))  # unweighted differs


def test_routed_respondents_debias(routing, cells):
    X, Y, n = cells
    model = MeanRegressor().set_fit_request(sample_weight=True)
    for name, metric in {"neg_js_divergence": js_divergence, "neg_kl_divergence": kl_divergence}.items():
        scorer = get_scorer(name).set_score_request(sample_weight=True, truth_respondents=True)
        params = {"sample_weight": n, "truth_respondents": n}
        scores = cross_val_score(model, X, Y, cv=FOLDS, scoring=scorer, params=params)
        by_hand = scores_by_hand(metric, X, Y, fit_weight=n, sample_weight=n, truth_respondents=n)
        np.testing.assert_allclose(scores, -by_hand)


def test_grid_search_with_weights(routing, cells):
    X, Y, n = cells
    scorer = get_scorer("neg_js_divergence").set_score_request(sample_weight=True)
    model = MeanRegressor().set_fit_request(sample_weight=True)
    search = GridSearchCV(model, {"uniform": [1.0, 0.0]}, scoring=scorer, cv=FOLDS).fit(X, Y, sample_weight=n)
    assert search.best_params_ == {"uniform": 0.0}
    expected = -scores_by_hand(js_divergence, X, Y, fit_weight=n, sample_weight=n).mean()
    assert search.best_score_ == pytest.approx(expected)
    weighted = -js_divergence(Y, search.predict(X), sample_weight=n)
    assert search.score(X, Y, sample_weight=n) == pytest.approx(weighted)
    # a search within a cross-validation
    nested = cross_val_score(search, X, Y, cv=FOLDS, scoring=scorer, params={"sample_weight": n})
    np.testing.assert_allclose(nested, -scores_by_hand(js_divergence, X, Y, fit_weight=n, sample_weight=n))


def test_learning_curve_with_weights(routing, cells):
    X, Y, n = cells
    scorer = get_scorer("neg_js_divergence").set_score_request(sample_weight=True)
    model = MeanRegressor().set_fit_request(sample_weight=True)
    sizes, _, scores = learning_curve(
        model, X, Y, cv=FOLDS, scoring=scorer, train_sizes=[4, 16], params={"sample_weight": n}
    )
    assert sizes.tolist() == [4, 16]
    np.testing.assert_allclose(
        scores[1], -scores_by_hand(js_divergence, X, Y, fit_weight=n, sample_weight=n), rtol=1e-12
    )


def test_cross_validate_with_several_scorers_predicts_once(routing, cells):
    X, Y, n = cells
    scorers = {name: get_scorer(name).set_score_request(sample_weight=True) for name in scorer_names()}
    model = MeanRegressor(question=UNEVEN).set_fit_request(sample_weight=True)
    results = cross_validate(model, X, Y, cv=FOLDS, scoring=scorers, params={"sample_weight": n}, return_estimator=True)
    assert [fold.n_predict_ for fold in results["estimator"]] == [1, 1, 1]
    np.testing.assert_allclose(
        results["test_neg_rmse"], -scores_by_hand(metrics.rmse, X, Y, fit_weight=n, sample_weight=n)
    )
    values = np.tile(UNEVEN.positions, (len(X), 1))
    by_hand = scores_by_hand(opinion_alignment, X, Y, fit_weight=n, sample_weight=n, values=values)
    np.testing.assert_allclose(results["test_opinion_alignment"], by_hand)
    np.testing.assert_allclose(results["test_neg_wasserstein"], by_hand / 100 - 1)


def test_without_routing_several_scorers_work_unweighted(cells):
    X, Y, _ = cells
    results = cross_validate(
        MeanRegressor(), X, Y, cv=FOLDS, scoring={name: get_scorer(name) for name in scorer_names()}
    )
    np.testing.assert_allclose(results["test_neg_js_divergence"], -scores_by_hand(js_divergence, X, Y))


# Ordinal scorers read the question


def test_the_contract_with_scikit_learn_that_ordinal_scorers_stand_on():
    """They override `_score` of the class of make_scorer's result; if it goes, this says so first."""
    base = type(make_scorer(js_divergence))
    assert isinstance(opinion_alignment_scorer, base)
    parameters = list(inspect.signature(base._score).parameters)
    assert parameters == ["self", "method_caller", "estimator", "X", "y_true", "kwargs"]
    # bypassed, the scorer fails loudly instead of putting nominal options on a scale
    with pytest.raises(TypeError, match="values"):
        opinion_alignment_scorer._score_func([[0.5, 0.5]], [[0.5, 0.5]])


def test_positions_and_pinned_options_come_from_the_question(cells):
    X, Y, _ = cells
    for question in (SCALE, UNEVEN):
        model = MeanRegressor(question).fit(X, Y)
        expected = wasserstein(Y, model.predict(X), values=question.positions)
        assert get_scorer("neg_wasserstein")(model, X, Y) == pytest.approx(-expected)
        assert get_scorer("opinion_alignment")(model, X, Y) == pytest.approx(100 * (1 - expected))
        assert expected != pytest.approx(wasserstein(Y, model.predict(X)))


def test_each_row_has_its_own_question(cells):
    X, _, n = cells
    X = X.assign(item=["often", "scale", "short"] * 8)
    rng = np.random.default_rng(1)
    Y, P = (rng.dirichlet([4, 3, 2, 1], 24) for _ in range(2))
    for array in (Y, P):
        array[2::3, :2] = array[2::3, :2] / array[2::3, :2].sum(axis=1, keepdims=True)
        array[2::3, 2:] = nan
    questions = {"short": SHORT, "scale": SCALE, "often": UNEVEN}

    class Recorded(MeanRegressor):
        def predict(self, X):
            return P[X.index]

    model = Recorded(questions, question_column="item")
    model.mean_ = None
    values = np.array([UNEVEN.positions, SCALE.positions, [1, 2, nan, nan]] * 8)
    expected = opinion_alignment(Y, P, values=values, sample_weight=n)
    assert opinion_alignment_scorer(model, X, Y, sample_weight=n) == pytest.approx(expected)
    # the alignment is the mean of the three questions' own, each with its weight
    parts = [
        opinion_alignment(Y[i::3, :k], P[i::3, :k], values=values[i, :k], sample_weight=n[i::3])
        for i, k in enumerate([4, 4, 2])
    ]
    assert expected == pytest.approx(np.average(parts, weights=[n[i::3].sum() for i in range(3)]))
    with pytest.raises(ValueError, match="column 'item' names each row's question"):
        opinion_alignment_scorer(model, X.drop(columns="item"), Y)
    with pytest.raises(ValueError, match=r"column 'item' of X names \['other'\]"):
        opinion_alignment_scorer(model, X.assign(item="other"), Y)


def test_nominal_questions_are_refused(cells):
    X, Y, _ = cells
    for name in ("neg_wasserstein", "opinion_alignment"):
        with pytest.raises(ValueError, match=rf"scorer of {name.removeprefix('neg_')} needs options on a scale.*party"):
            get_scorer(name)(MeanRegressor(PARTY).fit(X, Y), X, Y)
    mixed = MeanRegressor({"party": PARTY, "scale": SCALE}).fit(X, Y)
    with pytest.raises(ValueError, match=r"such as \['party'\]: score these separately, with neg_js_divergence_scorer"):
        opinion_alignment_scorer(mixed, X.assign(question=["scale", "party"] * 12), Y)
    # rows of ordinal questions alone are fine, and divergences always
    assert opinion_alignment_scorer(mixed, X.assign(question="scale"), Y) > 0
    assert get_scorer("neg_js_divergence")(mixed, X.assign(question="party"), Y) < 0


def test_question_of_another_length_is_an_error(cells):
    X, Y, _ = cells
    five = Question("Which of five?", list("abcde"))
    with pytest.raises(ValueError, match="values of row 0 gives positions to more options than the 4 of Y_true"):
        opinion_alignment_scorer(MeanRegressor(five).fit(X, Y), X, Y)


def in_pipeline(model):
    return make_pipeline(FunctionTransformer(), model)


def in_search(model):
    return GridSearchCV(model, {}, cv=FOLDS, scoring=get_scorer("neg_js_divergence"))


@pytest.mark.parametrize(
    "wrap",
    [
        in_pipeline,
        in_search,
        Wrapper,
        lambda model: in_pipeline(in_search(model)),
        lambda model: in_search(in_pipeline(model)),
        lambda model: Wrapper(in_pipeline(Wrapper(model))),
        lambda model: FrozenEstimator(model.fit(np.zeros((2, 1)), [[0.1, 0.2, 0.3, 0.4]] * 2)),
        lambda model: in_pipeline(FrozenEstimator(model.fit(np.zeros((2, 1)), [[0.1, 0.2, 0.3, 0.4]] * 2))),
    ],
)
def test_the_question_is_found_through_wrappers(cells, wrap):
    X, Y, _ = cells
    estimator = wrap(MeanRegressor(UNEVEN)).fit(X, Y)
    expected = opinion_alignment(Y, estimator.predict(X), values=UNEVEN.positions)
    assert opinion_alignment_scorer(estimator, X, Y) == pytest.approx(expected)
    with pytest.raises(ValueError, match="rows of nominal questions"):
        opinion_alignment_scorer(wrap(MeanRegressor(PARTY)).fit(X, Y), X, Y)


def test_without_a_question_options_are_equally_spaced(cells):
    X, Y, _ = cells
    model = MeanRegressor().fit(X, Y)
    assert opinion_alignment_scorer(model, X, Y) == pytest.approx(opinion_alignment(Y, model.predict(X)))
    assert opinion_alignment_scorer(Wrapper(MeanRegressor()).fit(X, Y), X, Y) == pytest.approx(
        opinion_alignment(Y, model.predict(X))
    )


def test_ordinal_scorers_in_a_routed_pipeline_search(routing, cells):
    X, Y, n = cells
    scorer = get_scorer("opinion_alignment").set_score_request(sample_weight=True)
    pipeline = make_pipeline(FunctionTransformer(), MeanRegressor(SCALE).set_fit_request(sample_weight=True))
    search = GridSearchCV(pipeline, {"meanregressor__uniform": [0.0, 0.9]}, scoring=scorer, cv=FOLDS)
    search.fit(X, Y, sample_weight=n)
    values = np.tile(SCALE.positions, (len(X), 1))
    by_hand = scores_by_hand(opinion_alignment, X, Y, fit_weight=n, sample_weight=n, values=values).mean()
    assert search.cv_results_["mean_test_score"][0] == pytest.approx(by_hand)
