"""Rectified estimates: respondent by respondent, and in simulated surveys, whatever the model."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator

from surveysim import Question, RecordedElicitor, tabulate
from surveysim.baselines import CellRegressor, LogitRegressor
from surveysim.inference import rectify, survey_estimates
from surveysim.inference.rectified_shares import GroupMoments, RectifiedShares, learn_power
from surveysim.inference.simplex import nearest_distribution

QUESTION = Question("How much?", ["none", "some", "much"])
AGES = ["young", "middle", "old"]
TRUTH = np.array([[0.7, 0.2, 0.1], [0.3, 0.4, 0.3], [0.1, 0.2, 0.7]])
POPULATION = pd.DataFrame({"age": AGES, "share": [0.5, 0.3, 0.2]})


def draw(age, rng):
    """Answers 1 to 3 of people of these ages."""
    return 1 + (rng.random(len(age))[:, None] > TRUTH[age].cumsum(axis=1)).sum(axis=1)


def respondents(n, rng):
    """A random sample of the population."""
    age = rng.choice(3, n, p=POPULATION["share"])
    return pd.DataFrame({"age": pd.Categorical.from_codes(age, AGES), "q": draw(age, rng)})


def recorded(P):
    """A model that says P for the three ages."""
    X = pd.DataFrame({"age": AGES})
    return RecordedElicitor(X, P).fit(X, P)


def recorded_often(P, n_questions):
    """A model that says P for the three ages, whichever of several questions is asked."""
    questions = {f"q{i}": QUESTION for i in range(n_questions)}
    X = pd.DataFrame({"question": np.repeat(list(questions), 3), "age": AGES * n_questions})
    P = np.tile(P, (n_questions, 1))
    return RecordedElicitor(X, P, question=questions).fit(X, P)


GOOD, USELESS, WRONG = TRUTH, np.tile([0.2, 0.5, 0.3], (3, 1)), TRUTH[[2, 0, 1]]


class TestArithmetic:
    def moments(self, seed=0, n=400, spread=0.0):
        """Random moments, and the respondents that they summarise: options and predictions."""
        rng = np.random.default_rng(seed)
        rows = rng.integers(0, 6, n)
        predicted = rng.dirichlet(np.ones(3), 6) - rng.dirichlet(np.ones(3))
        y = 1 * (rng.random(n) < 0.3 + 0.4 * (predicted[rows, 1] > 0)) + (rng.random(n) < 0.2)
        counts = np.zeros((6, 3))
        np.add.at(counts, (rows, y), 1.0)
        return GroupMoments(counts, predicted, float(n), np.full(3, spread)), np.eye(3)[y], predicted[rows]

    def test_moments_respondent_by_respondent(self):
        moments, y, d = self.moments()
        np.testing.assert_allclose(moments.shares, y.mean(axis=0))
        np.testing.assert_allclose(moments.gap, d.mean(axis=0))
        np.testing.assert_allclose(moments.variances, d.var(axis=0))
        np.testing.assert_allclose(moments.residual_variances(0.7), (y - 0.7 * d).var(axis=0))

    def test_power_is_the_least_squares_slope_less_its_noise(self):
        moments, y, d = self.moments()
        centred = d - d.mean(axis=0)
        slope = (centred * y).sum() / (centred**2).sum()
        score = (centred * (y - y.mean(axis=0) - slope * centred)).sum(axis=1)
        se = np.sqrt((score**2).mean() / 400) / (centred**2).sum(axis=1).mean()
        assert 0 < slope < 2
        assert learn_power([moments]) == pytest.approx(slope * (1 - (se / slope) ** 2))

    def test_estimate_and_error(self):
        moments, y, d = self.moments()
        rectified = RectifiedShares(moments, 0.8)
        np.testing.assert_allclose(rectified.difference_estimates, (y - 0.8 * d).mean(axis=0))
        own = y.var(axis=0)
        plain = np.sqrt((y - 0.8 * d).var(axis=0) / own)
        np.testing.assert_allclose(rectified.errors / np.sqrt(own / 399), plain, rtol=0.05)  # small options are pooled
        assert rectified.worth == pytest.approx(400 / (plain**2 @ own / own.sum()), rel=0.02)

    def test_a_sample_in_place_of_a_population_adds_its_noise(self):
        moments, _, _ = self.moments(spread=1e-4)
        known, _, _ = self.moments()
        np.testing.assert_allclose(
            moments.residual_variances(0.5) - known.residual_variances(0.5), np.full(3, 0.25 * 400 * 1e-4)
        )
        assert learn_power([moments]) < learn_power([known])

    def test_against_the_grain_is_not_used(self):
        moments, _, _ = self.moments()
        assert learn_power([GroupMoments(moments.counts, -moments.predicted, 400.0, np.zeros(3))]) == 0.0

    def test_nothing_predicted_is_the_sample(self):
        moments, y, _ = self.moments()
        rectified = RectifiedShares(GroupMoments(moments.counts, np.zeros((6, 3)), 400.0, np.zeros(3)), 0.0)
        np.testing.assert_allclose(rectified.shares, y.mean(axis=0))
        np.testing.assert_allclose(rectified.errors, np.sqrt(y.var(axis=0) / 399))
        assert rectified.worth == pytest.approx(400)


class TestNearestDistribution:
    def test_by_hand(self):
        np.testing.assert_allclose(nearest_distribution(np.array([[1.2, -0.2], [0.5, 0.5]])), [[1, 0], [0.5, 0.5]])

    @given(seed=st.integers(0, 1000), K=st.integers(2, 6))
    def test_no_distribution_gets_further_away(self, seed, K):
        rng = np.random.default_rng(seed)
        raw = rng.dirichlet(np.ones(K)) + rng.normal(0, 0.3, K)
        raw += (1 - raw.sum()) / K
        near, truth = nearest_distribution(raw[None])[0], rng.dirichlet(np.ones(K))
        assert near.min() >= 0
        assert near.sum() == pytest.approx(1)
        assert ((near - truth) ** 2).sum() <= ((raw - truth) ** 2).sum() + 1e-12


class TestValidity:
    """With 100 and 300 respondents and models that are good, useless or wrong: never worse, and intervals that hold."""

    @pytest.mark.parametrize("n", [100, 300])
    @pytest.mark.parametrize("P", [GOOD, USELESS, WRONG], ids=["good", "useless", "wrong"])
    def test_coverage_and_error(self, n, P):
        rng = np.random.default_rng(n)
        truth = POPULATION["share"].to_numpy() @ TRUTH
        model = recorded_often(P, 20)
        held, rectified, alone = [], [], []
        for _ in range(25):
            age = rng.choice(3, n, p=POPULATION["share"])
            names = model.question
            answers = {name: draw(age, rng) for name in names}
            data = pd.DataFrame({"age": pd.Categorical.from_codes(age, AGES), **answers})
            table = rectify(model, tabulate(data, ["age"], names), POPULATION, refit=False)
            right = np.tile(truth, 20)
            held.append((table["lower"] / 100 <= right) & (right <= table["upper"] / 100))
            rectified.append((table["share"] / 100 - right) ** 2)
            alone.append((table["sample"] / 100 - right) ** 2)
        assert 0.87 <= np.mean(held) <= 0.93
        ratio = np.mean(rectified) / np.mean(alone)
        assert ratio <= 1.01
        if P is GOOD:
            # age explains that share of the answers' variance
            between = (POPULATION["share"].to_numpy() @ (TRUTH - truth) ** 2).sum()
            assert ratio == pytest.approx(1 - between / (truth * (1 - truth)).sum(), abs=0.1)

    def test_groups(self):
        rng = np.random.default_rng(1)
        X = pd.DataFrame({"age": AGES * 2, "sex": ["f"] * 3 + ["m"] * 3})
        population = X.assign(share=[0.25, 0.15, 0.1] * 2)
        model = RecordedElicitor(X, np.tile(TRUTH, (2, 1))).fit(X, np.tile(TRUTH, (2, 1)))
        truth = np.tile(POPULATION["share"].to_numpy() @ TRUTH, 2)
        held = []
        for _ in range(60):
            data = respondents(200, rng).assign(sex=rng.choice(["f", "m"], 200))
            table = rectify(model, tabulate(data, ["age", "sex"], {"q": QUESTION}), population, by="sex", refit=False)
            held.append((table["lower"] / 100 <= truth) & (truth <= table["upper"] / 100))
        assert table["sex"].tolist() == ["f"] * 3 + ["m"] * 3
        assert 0.86 <= np.mean(held) <= 0.94

    def test_a_model_that_learns_by_heart_is_cross_fitted(self):
        # 60 backgrounds of noise: fitted on the respondents, the cells' shares are their own answers
        rng = np.random.default_rng(0)
        data = pd.DataFrame({"town": rng.integers(0, 60, 120), "q": rng.integers(1, 4, 120)})
        cells = tabulate(data, ["town"], {"q": QUESTION}, folds=5)
        population = pd.DataFrame({"town": range(60), "n": 1})
        model = CellRegressor(question=QUESTION, shrinkage=1.0, unseen="uniform")
        honest = rectify(model, cells, population)
        fooled = rectify(model.fit(cells.X, cells.Y, sample_weight=cells.n), cells, population, refit=False)
        assert (honest["power"] < 0.2).all()
        assert (honest["worth"] < 150).all()
        assert (fooled["worth"] > 170).all()


class TestUse:
    cells = tabulate(respondents(500, np.random.default_rng(5)), ["age"], {"q": QUESTION}, folds=5)

    def test_cross_fitted_logit(self):
        table = rectify(LogitRegressor(question=QUESTION), self.cells, POPULATION)
        assert list(table.columns) == [
            "question", "option", "share", "se", "lower", "upper", "sample", "respondents", "effective_respondents",
            "worth", "power",
        ]  # fmt: skip
        assert table["share"].sum() == pytest.approx(100)
        assert table["respondents"].tolist() == [500] * 3
        assert (table["worth"] > 550).all()

    def test_respondents_alone_are_what_the_survey_says(self):
        data = respondents(300, np.random.default_rng(2)).assign(w=np.tile([1.0, 2.0, 3.0], 100))
        cells = tabulate(data, ["age"], {"q": QUESTION}, weights="w", folds=5)
        table = rectify(recorded(USELESS), cells, POPULATION, refit=False)
        alone = survey_estimates(data, {"q": QUESTION}, weights="w")
        assert (table["power"] == 0).all()
        np.testing.assert_allclose(table["share"], alone["share"])
        np.testing.assert_allclose(table["se"], alone["se"], rtol=0.06)

    def test_people_without_answers_are_a_sample(self):
        people = POPULATION.loc[np.repeat([0, 1, 2], [50, 30, 20]), ["age"]]
        many = rectify(recorded(GOOD), self.cells, pd.concat([people] * 1000), refit=False)
        few = rectify(recorded(GOOD), self.cells, people, refit=False)
        known = rectify(recorded(GOOD), self.cells, POPULATION, refit=False)
        np.testing.assert_allclose(many["se"], known["se"], rtol=1e-2)
        assert (few["se"] > 1.02 * known["se"]).all()

    def test_clusters_widen_intervals(self):
        data = respondents(300, np.random.default_rng(2))
        twice = pd.concat([data, data]).assign(person=[*range(300)] * 2)
        once = rectify(recorded(GOOD), tabulate(data, ["age"], {"q": QUESTION}), POPULATION, refit=False)
        copied = tabulate(twice, ["age"], {"q": QUESTION}, cluster="person")
        np.testing.assert_allclose(
            rectify(recorded(GOOD), copied, POPULATION, refit=False)["se"], once["se"], rtol=0.01
        )

    def test_several_questions(self):
        rng = np.random.default_rng(3)
        data = respondents(300, rng).assign(r=rng.integers(1, 3, 300))
        questions = {"q": QUESTION, "r": Question("Rain?", ["yes", "no"])}
        cells = tabulate(data, ["age"], questions, folds=3)
        table = rectify(LogitRegressor(question=questions), cells, POPULATION, by="age")
        assert table.groupby("question", sort=False).size().tolist() == [9, 6]
        np.testing.assert_allclose(table.groupby(["age", "question"], observed=True)["share"].sum(), 100)


class TestBadInput:
    cells = tabulate(respondents(60, np.random.default_rng(0)), ["age"], {"q": QUESTION})

    def test_folds_are_needed(self):
        with pytest.raises(ValueError, match=r"tabulate\(\.\.\., folds=5\)"):
            rectify(LogitRegressor(question=QUESTION), self.cells, POPULATION)

    def test_population(self):
        with pytest.raises(ValueError, match=r"population lacks the backgrounds \['age'\]"):
            rectify(recorded(GOOD), self.cells, pd.DataFrame({"sex": ["f"]}), refit=False)
        with pytest.raises(ValueError, match=r"sums to 0\.9"):
            rectify(recorded(GOOD), self.cells, POPULATION.assign(share=0.3), refit=False)
        with pytest.raises(TypeError, match="DataFrame"):
            rectify(recorded(GOOD), self.cells, [0.5, 0.5], refit=False)

    def test_by(self):
        with pytest.raises(ValueError, match=r"by names \['sex'\]"):
            rectify(recorded(GOOD), self.cells, POPULATION, by="sex", refit=False)

    def test_cells(self):
        with pytest.raises(TypeError, match="Cells that tabulate returns"):
            rectify(recorded(GOOD), self.cells.X, POPULATION, refit=False)

    def test_groups_in_which_nobody_answered_are_left_out(self):
        old = self.cells.X["age"] == "old"
        with pytest.warns(UserWarning, match=r"nobody answered in 1 groups.*'old'"):
            table = rectify(recorded(GOOD), self.cells.subset(~old.to_numpy()), POPULATION, by="age", refit=False)
        assert table["age"].unique().tolist() == ["young", "middle"]


class Watching(BaseEstimator):
    """Predicts equal shares, and remembers what it was fitted on."""

    seen: ClassVar[list] = []

    def fit(self, X, Y, sample_weight=None, folds=None):
        self.seen.append((X, Y, sample_weight, folds))
        return self

    def predict(self, X):
        return np.full((len(X), 3), 1 / 3)


def test_no_model_sees_the_fold_that_it_predicts():
    Watching.seen.clear()
    cells = tabulate(respondents(90, np.random.default_rng(0)), ["age"], {"q": QUESTION}, folds=3)
    rectify(Watching(), cells, POPULATION)
    assert len(Watching.seen) == 3
    for fold, (X, Y, n, folds) in enumerate(Watching.seen):
        others = np.delete(cells.folds, fold, axis=1)
        assert X["age"].tolist() == cells.X["age"].tolist()
        np.testing.assert_allclose(n, others.sum(axis=(1, 2)))
        np.testing.assert_allclose(Y * n[:, None], others.sum(axis=1))
        np.testing.assert_allclose(folds, others)  # so that a model may choose on them, as DSARegressor does
