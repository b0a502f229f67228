"""Anchoring: who is whose anchor, how strongly the model's gaps are believed, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import approx_fprime
from sklearn.base import clone
from sklearn.model_selection import GroupKFold, cross_val_predict

from surveysim import CalibratedElicitor, Question
from surveysim.calibration import Anchor
from surveysim.calibration.anchor import fit_gaps, log_shift, move
from surveysim.calibration.priors import prior_of
from surveysim.elicitation.recorded import RecordedElicitor
from tests.calibration.conftest import make_examples

SCALE = ["no", "rather no", "rather yes", "yes"]


class TestPartners:
    def test_crossed_cells_keep_everything_else(self):
        X = pd.DataFrame({"sex": ["f", "m", "f"], "age": ["young", "old", "old"]})
        partners, changed, member = Anchor({"sex": "m"}).partners(X)
        assert partners.to_dict("list") == {"sex": ["m", "m", "m"], "age": ["young", "old", "old"]}
        assert changed[:, 0].tolist() == [True, False, True]
        assert member.tolist() == [False, True, False]

    def test_tables_of_single_attributes(self):
        X = pd.DataFrame({"sex": ["f", "m", None, None, None], "race": [None, None, "black", "white", None]})
        partners, changed, member = Anchor({"sex": "m", "race": "white"}).partners(X)
        assert partners["sex"].tolist()[:2] == ["m", "m"]
        assert partners["race"].tolist()[2:4] == ["white", "white"]
        assert partners["race"].isna()[:2].all()
        assert changed.any(axis=1).tolist() == [True, False, True, False, False]
        assert member.tolist() == [False, True, False, True, False]  # the last states neither

    @pytest.mark.parametrize("total", [None, np.nan, pd.NA])
    def test_the_total_as_anchor(self, total):
        X = pd.DataFrame({"sex": ["f", None], "age": ["young", "young"]})
        partners, changed, member = Anchor({"sex": total}).partners(X)
        assert partners["sex"].isna().all()
        assert changed[:, 0].tolist() == [True, False]
        assert member.tolist() == [False, True]

    def test_categoricals_and_numbers(self):
        X = pd.DataFrame({"sex": pd.Categorical(["f", "m"]), "wave": [1.0, 2.0]})
        partners, changed, _ = Anchor({"sex": "m", "wave": 2}).partners(X)
        assert partners.iloc[0].tolist() == ["m", 2]
        assert changed.tolist() == [[True, True], [False, False]]


class TestStrength:
    def _pairs(self, beta, n=30, seed=0):
        generator = np.random.default_rng(seed)
        P, known_P, known_Y = (generator.dirichlet([4, 4, 4, 4], size=n) for _ in range(3))
        rows = make_examples(P)
        Y = move(rows, known_P, known_Y, np.full(n, beta))
        return make_examples(P, Y, objective="w1"), known_P, known_Y

    def test_moves_by_the_ratio_to_the_power_beta(self):
        rows = make_examples([[0.6, 0.4]])
        moved = move(rows, np.array([[0.2, 0.8]]), np.array([[0.5, 0.5]]), np.array([0.5]))
        odds = (1.0) * np.sqrt((0.6 / 0.4) / (0.2 / 0.8))
        np.testing.assert_allclose(moved, [[odds / (1 + odds), 1 / (1 + odds)]])

    def test_strength_zero_is_the_anchor_and_one_the_whole_shift(self):
        rows, known_P, known_Y = self._pairs(0.5)
        np.testing.assert_allclose(move(rows, known_P, known_Y, np.zeros(30)), known_Y)
        np.testing.assert_allclose(move(rows, known_P, known_P, np.ones(30)), rows.P)

    def test_recovers_the_strength_that_made_the_data(self):
        rows, known_P, known_Y = self._pairs(0.7)
        shift, base = log_shift(rows, known_P, known_Y)
        gaps = fit_gaps([rows], [shift], [base], [np.ones((30, 1), dtype=bool)], ["sex"], "verbalized")
        assert gaps.n_pairs == 30
        assert gaps.by_attribute["sex"] == pytest.approx(0.7, abs=0.02)
        assert 0.3 < gaps.common < 0.7

    def test_few_pairs_are_shrunk_and_none_leave_the_prior(self):
        prior = prior_of("logprob").gap
        none = fit_gaps([], [], [], [], ["sex", "race"], "logprob")
        assert none.by_attribute == {"sex": prior, "race": prior}
        rows, known_P, known_Y = self._pairs(0.9)
        strengths = []
        for n in (1, 4, 30):
            few = rows.rows(np.arange(n))
            shift, base = log_shift(few, known_P[:n], known_Y[:n])
            changed = np.tile([True, False], (n, 1))
            gaps = fit_gaps([few], [shift], [base], [changed], ["sex", "race"], "logprob")
            assert prior < gaps.by_attribute["race"] < gaps.by_attribute["sex"]  # learns from the other, less
            strengths.append(gaps.by_attribute["sex"])
        assert prior < strengths[0] < strengths[1] < strengths[2] < 0.9

    def test_is_never_negative(self):
        rows, known_P, known_Y = self._pairs(-0.5)
        shift, base = log_shift(rows, known_P, known_Y)
        gaps = fit_gaps([rows], [shift], [base], [np.ones((30, 1), dtype=bool)], ["sex"], None)
        assert gaps.by_attribute["sex"] == 0.0

    def test_several_differences_at_once_take_the_mean(self):
        gaps = fit_gaps([], [], [], [], ["sex", "race"], None)
        object.__setattr__(gaps, "by_attribute", {"sex": 0.2, "race": 0.6})
        changed = np.array([[True, False], [False, True], [True, True]])
        np.testing.assert_allclose(gaps.of_rows(changed), [0.2, 0.6, 0.4])

    def test_the_optimum_has_no_slope(self):
        rows, known_P, known_Y = self._pairs(0.6, n=8)
        shift, base = log_shift(rows, known_P, known_Y)
        changed = np.arange(16).reshape(8, 2) % 3 == 0
        changed[:, 0] |= ~changed.any(axis=1)
        from surveysim.calibration.objectives import SCALE as UNITS
        from surveysim.calibration.objectives import loss

        gaps = fit_gaps([rows], [shift], [base], [changed], ["a", "b"], "verbalized")
        prior = prior_of("verbalized")
        share = changed / changed.sum(axis=1, keepdims=True)

        def penalised(theta):
            values, _ = loss(base + (share @ theta[1:])[:, None] * shift, rows)
            prior_cost = (theta[0] - prior.gap) ** 2 + ((theta[1:] - theta[0]) ** 2).sum()
            return rows.evidence @ values / UNITS["w1"] + prior_cost / (2 * prior.gap_sd**2)

        theta = np.array([gaps.common, *gaps.by_attribute.values()])
        np.testing.assert_allclose(approx_fprime(theta, penalised, 1e-6), 0, atol=0.05)


# --- in CalibratedElicitor --------------------------------------------------------------------------------------------

QUESTIONS = {f"q{i}": Question(f"Question {i}?", SCALE) for i in range(6)}


def _survey(seed=0, beta=0.5):
    """Single-attribute cells of men and women; women differ from men as the model says, to the power beta."""
    generator = np.random.default_rng(seed)
    X = pd.DataFrame({"question": np.repeat(list(QUESTIONS), 2), "sex": ["m", "f"] * 6})
    P, Y = generator.dirichlet([3] * 4, size=12), generator.dirichlet([3] * 4, size=12)
    women = Y[::2] * (P[1::2] / P[::2]) ** beta
    Y[1::2] = women / women.sum(axis=1, keepdims=True)
    return X, P, Y


def _model(X, P, anchor, **params):
    elicitor = RecordedElicitor(X, P, question=QUESTIONS, elicited_by="verbalized")
    return CalibratedElicitor(elicitor, anchor=anchor, random_state=0, **params)


def test_known_cells_come_back_and_the_others_are_moved():
    X, P, Y = _survey()
    men, women = np.arange(0, 12, 2), np.arange(1, 12, 2)
    train = np.concatenate([men, women[:3]])
    model = _model(X, P, {"sex": "m"}).fit(X.iloc[train], Y[train])
    Q = model.predict(X)
    np.testing.assert_allclose(Q[men], Y[men])
    assert model.gaps_.n_pairs == 3
    assert 0.3 < model.gaps_.by_attribute["sex"] < 0.55
    strength = model.gaps_.by_attribute["sex"]
    expected = Y[men] * (P[women] / P[men]) ** strength
    np.testing.assert_allclose(Q[women], expected / expected.sum(axis=1, keepdims=True), atol=2e-3)
    assert np.abs(Q - Y)[women[3:]].mean() < 0.5 * np.abs(P - Y)[women[3:]].mean()


def test_known_cells_of_unlabelled_questions_come_with_the_anchor():
    X, P, Y = _survey()
    men = np.arange(0, 12, 2)
    anchor = Anchor({"sex": "m"}, X.iloc[men], Y[men])
    with_pairs = _model(X, P, anchor).fit(X[1:4:2], Y[1:4:2])
    assert with_pairs.gaps_.n_pairs == 2
    without = _model(X, P, anchor).fit(X[1:2])  # no labelled cell at all
    assert without.gaps_.n_pairs == 0
    assert without.gaps_.by_attribute == {"sex": prior_of("verbalized").gap}
    for model in (with_pairs, without):
        np.testing.assert_allclose(model.predict(X)[men], Y[men])
        np.testing.assert_allclose(model.predict(X).sum(axis=1), 1)


def test_cross_validation_by_question_with_an_anchor():
    X, P, Y = _survey()
    men, women = np.arange(0, 12, 2), np.arange(1, 12, 2)
    model = _model(X, P, Anchor({"sex": "m"}, X.iloc[men], Y[men]))
    Q = cross_val_predict(model, X.iloc[women], Y[women], cv=GroupKFold(3), groups=X["question"].iloc[women])
    raw, moved = np.abs(P - Y)[women].mean(), np.abs(Q - Y[women]).mean()
    assert moved < 0.5 * raw
    assert clone(model).anchor.group == {"sex": "m"}
    assert model.get_params()["anchor__group"] == {"sex": "m"}


def test_cells_that_do_not_state_the_attribute_are_calibrated():
    X, P, Y = _survey()
    X = X.assign(age=None)
    X.loc[10:, ["sex", "age"]] = [[None, "young"], [None, "old"]]
    anchored = _model(X, P, {"sex": "m"}).fit(X, Y)
    plain = _model(X, P, None).fit(X, Y)
    np.testing.assert_array_equal(anchored.predict(X)[10:], plain.predict(X)[10:])
    assert plain.gaps_ is None


def test_a_missing_anchor_is_an_error_that_names_the_cell():
    X, P, Y = _survey()
    with pytest.raises(ValueError, match="no labelled cell belongs to this group"):
        _model(X, P, {"sex": "m"}).fit(X[1::2], Y[1::2])
    model = _model(X, P, {"sex": "m"}).fit(X[:4], Y[:4])
    with pytest.raises(ValueError, match=r"the anchor of row 1 of X is not known: question 'q2', \{'sex': 'm'\}"):
        model.predict(X.iloc[[1, 5]])
    with pytest.raises(ValueError, match="anchor of row 0"):
        model.predict(X.iloc[[4]])  # the known group itself, on another question


def test_cells_without_an_answer_stay_nan():
    X, P, Y = _survey()
    P = P.copy()
    P[0], P[3] = np.nan, np.nan  # a man and a woman, of different questions
    elicitor = RecordedElicitor(X, P, question=QUESTIONS, elicited_by="verbalized", on_missing="nan")
    model = CalibratedElicitor(elicitor, anchor={"sex": "m"}).fit(X, Y)
    Q = model.predict(X)
    assert model.gaps_.n_pairs == 4
    np.testing.assert_allclose(Q[0], Y[0])  # known, whatever the model says
    assert np.isnan(Q[[1, 3]]).all()
    assert np.isfinite(Q[[2, *range(4, 12)]]).all()


@pytest.mark.parametrize(
    ("anchor", "error", "message"),
    [
        ("men", TypeError, "anchor must name the known group, a mapping"),
        ({}, TypeError, "anchor must name the known group"),
        ({"gender": "m"}, ValueError, r"anchor names the attributes \['gender'\], but X has only \['sex'\]"),
        (Anchor({"sex": "m"}, X=_survey()[0]), ValueError, "anchor: Y is missing"),
        (Anchor({"sex": "m"}, _survey()[0], _survey()[2]), ValueError, "row 1 of X does not belong to the known group"),
        (Anchor({"sex": "m"}, _survey()[0][::2], _survey()[2][::2] * 2), ValueError, "Y: row 0 sums to 2"),
        (Anchor({"sex": "m"}, _survey()[0][::2], _survey()[2][:2]), ValueError, "X has 6 rows, but Y has 2"),
    ],
)
def test_bad_anchors(anchor, error, message):
    X, P, Y = _survey()
    with pytest.raises(error, match=message):
        _model(X, P, anchor).fit(X, Y)
