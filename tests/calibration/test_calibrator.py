"""DistributionCalibrator: kinds apart, the gate, rows without answers, and what it refuses."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from scipy.stats import t as student
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from surveysim.calibration import (
    CALIBRATORS,
    Calibrator,
    DistributionCalibrator,
    IdentityCalibrator,
    PriorCorrection,
    TemperedCalibrator,
)

NAN = np.nan


def _data(n_questions=10, cells=3, K=4, seed=0, power=0.4):
    """Elicited distributions that are too sharp, several cells a question."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(n_questions, 1, K)) + 0.3 * generator.normal(size=(n_questions, cells, K))
    P = softmax(2 * logits, axis=2).reshape(-1, K)
    Y = softmax(2 * power * logits + 0.1 * generator.normal(size=logits.shape), axis=2).reshape(-1, K)
    return P, Y, np.repeat(np.arange(n_questions), cells)


def _error(Q, Y):
    return np.abs(Q - Y).sum(axis=1).mean()


@pytest.mark.parametrize("name", CALIBRATORS)
def test_every_name_and_its_object_do_the_same(name):
    P, Y, groups = _data()
    by_name = DistributionCalibrator(name, gate=False).fit(P, Y, groups=groups).predict(P)
    by_object = DistributionCalibrator(CALIBRATORS[name](), gate=False).fit(P, Y, groups=groups).predict(P)
    np.testing.assert_array_equal(by_name, by_object)
    np.testing.assert_allclose(by_name.sum(axis=1), 1)
    if name != "identity":
        assert _error(by_name, Y) < 0.8 * _error(P, Y)


class Even(Calibrator):
    """A calibrator of somebody else's."""

    def fit(self, examples):
        return self

    def predict(self, examples):
        return np.where(examples.exists, 1 / examples.n_options[:, None], NAN)


def test_calibrators_of_ones_own():
    P, Y, groups = _data()
    np.testing.assert_allclose(DistributionCalibrator(Even(), gate=False).fit(P, Y, groups=groups).predict(P), 0.25)


def test_without_examples_the_prior_alone_corrects():
    P = np.array([[0.97, 0.02, 0.01], [0.5, 0.5, NAN]])
    np.testing.assert_array_equal(DistributionCalibrator(elicited_by="verbalized").fit().predict(P), P)
    np.testing.assert_array_equal(DistributionCalibrator().fit().predict(P), P)
    np.testing.assert_array_equal(DistributionCalibrator("identity", elicited_by="logprob").fit().predict(P), P)
    expected = P[0] ** 0.2 / (P[0] ** 0.2).sum()
    for name in ("tempered", "linear"):
        Q = DistributionCalibrator(name, elicited_by="logprob").fit().predict(P)
        np.testing.assert_allclose(Q[0], expected)


class TestGate:
    def test_is_open_where_held_out_questions_are_better(self):
        P, Y, groups = _data()
        model = DistributionCalibrator(elicited_by="verbalized").fit(P, Y, groups=groups)
        gate = model.gates_["ordinal"]
        assert gate.open
        assert gate.needed == pytest.approx(student.ppf(0.84, 9))  # 1.05 standard errors
        assert gate.gain > gate.needed * gate.standard_error > 0
        assert gate.n_questions == 10
        assert isinstance(model.calibrators_["ordinal"], TemperedCalibrator)

    def test_keeps_the_prior_where_there_is_nothing_to_learn(self):
        P, _, groups = _data()
        right = DistributionCalibrator(elicited_by="verbalized").fit(P, P, groups=groups)
        assert not right.gates_["ordinal"].open
        np.testing.assert_array_equal(right.predict(P), P)
        fifth_root = P**0.2 / (P**0.2).sum(axis=1, keepdims=True)
        logprob = DistributionCalibrator("linear", elicited_by="logprob").fit(P, fifth_root, groups=groups)
        assert isinstance(logprob.calibrators_["ordinal"], PriorCorrection)
        np.testing.assert_allclose(logprob.predict(P), fifth_root, atol=2e-3)  # the floor's doing

    def test_gain_is_the_mean_over_questions_by_hand(self):
        # three questions with one cell each; "Even" needs no fit, so that holding out changes nothing
        P, Y = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6]]), np.array([[0.5, 0.5], [0.7, 0.3], [0.4, 0.6]])
        gate = DistributionCalibrator(Even()).fit(P, Y).gates_["ordinal"]
        gains = np.array([0.4 - 0.0, 0.1 - 0.2, 0.0 - 0.1])
        assert gate.gain == pytest.approx(gains.mean())
        assert gate.standard_error == pytest.approx(gains.std(ddof=1) / np.sqrt(3))
        assert not gate.open

    def test_holds_out_questions_not_cells(self):
        P, Y, groups = _data(n_questions=4, cells=10, seed=5)
        by_cell = DistributionCalibrator("isotonic").fit(P, Y).gates_["ordinal"]
        by_question = DistributionCalibrator("isotonic").fit(P, Y, groups=groups).gates_["ordinal"]
        assert (by_cell.n_questions, by_question.n_questions) == (40, 4)
        assert by_cell.standard_error < 0.5 * by_question.standard_error  # ten cells of a question are not ten times

    def test_does_not_judge_two_questions_and_can_be_left_out(self):
        P, Y, groups = _data(n_questions=2)
        few = DistributionCalibrator().fit(P, Y, groups=groups)
        assert few.gates_["ordinal"].open
        assert np.isnan(few.gates_["ordinal"].gain)
        assert DistributionCalibrator(gate=False).fit(P, Y, groups=groups).gates_ == {}

    @pytest.mark.parametrize("name", ["linear", "isotonic", "temperature"])
    def test_from_fewer_than_three_questions_maps_without_a_prior_learn_nothing(self, name):
        P, Y, groups = _data(n_questions=2)
        few = DistributionCalibrator(name, elicited_by="logprob").fit(P, Y, groups=groups)
        assert not few.gates_["ordinal"].open
        np.testing.assert_array_equal(few.predict(P), DistributionCalibrator(elicited_by="logprob").fit().predict(P))

    def test_maps_without_a_prior_need_a_quantile_of_student_at_95_percent(self):
        P, Y, groups = _data(n_questions=3)
        gate = DistributionCalibrator("isotonic").fit(P, Y, groups=groups).gates_["ordinal"]
        assert gate.needed == pytest.approx(2.92, abs=0.001)  # t with 2 degrees of freedom
        assert gate.open == (gate.gain > 2.92 * gate.standard_error)

    def test_linear_is_hardly_ever_used_where_people_differ_from_the_model_by_noise_alone(self):
        opened = 0
        for seed in range(60):
            P, _, groups = _data(n_questions=5, cells=1, seed=seed)
            generator = np.random.default_rng(seed)
            Y = np.array([generator.dirichlet(40 * p + 1e-3) for p in P])
            opened += DistributionCalibrator("linear").fit(P, Y, groups=groups).gates_["ordinal"].open
        assert opened <= 3 + 5  # 5% of 60, and three standard errors

    def test_the_identity_is_never_replaced(self):
        P, Y, groups = _data()
        model = DistributionCalibrator("identity", elicited_by="logprob").fit(P, Y, groups=groups)
        np.testing.assert_array_equal(model.predict(P), P)

    def test_repeats_itself_with_many_questions(self):
        P, Y, groups = _data(n_questions=30, cells=1)
        for seed in (3, None):
            first, second = (DistributionCalibrator(random_state=seed).fit(P, Y, groups=groups) for _ in range(2))
            assert first.gates_ == second.gates_
            np.testing.assert_array_equal(first.predict(P), second.predict(P))
        other = DistributionCalibrator(random_state=4).fit(P, Y, groups=groups)
        assert other.gates_["ordinal"].gain != first.gates_["ordinal"].gain  # a seed deals the questions out anew


class TestKinds:
    def test_ordinal_and_nominal_questions_are_corrected_apart(self):
        P, Y, groups = _data()
        values = np.where((groups < 5)[:, None], [1.0, 2, 3, 4], NAN)
        Y[groups < 5] = P[groups < 5]
        model = DistributionCalibrator("temperature", gate=False).fit(P, Y, groups=groups, values=values)
        assert model.n_questions_ == {"ordinal": 5, "nominal": 5}
        assert model.calibrators_["ordinal"].power_.log_t == pytest.approx(0, abs=0.02)
        assert model.calibrators_["nominal"].power_.log_t < -0.5
        Q = model.predict(P, values=values)
        assert np.abs(Q - P)[groups < 5].max() < 0.02 < np.abs(Q - P)[groups >= 5].max()

    def test_a_kind_without_examples_gets_the_prior(self):
        P, Y, groups = _data()
        model = DistributionCalibrator(elicited_by="verbalized").fit(P, Y, groups=groups)
        np.testing.assert_array_equal(model.predict(P, values=np.full(4, NAN)), P)

    def test_w1_refuses_nominal_questions(self):
        P, Y, _ = _data()
        with pytest.raises(ValueError, match='objective="w1" needs options on a scale'):
            DistributionCalibrator(objective="w1").fit(P, Y, values=np.full(4, NAN))

    def test_the_objective_is_what_gets_small(self):
        P, Y, groups = _data(n_questions=40, power=0.5)
        Y = 0.5 * Y + 0.5 * Y[:, ::-1]  # no power fits, so that objectives disagree
        from surveysim.metrics import kl_divergence, wasserstein

        fits = {
            objective: DistributionCalibrator("temperature", objective=objective, gate=False)
            .fit(P, Y, groups=groups).predict(P)
            for objective in ("kl", "w1")
        }  # fmt: skip
        assert kl_divergence(Y, fits["kl"]) < kl_divergence(Y, fits["w1"])
        assert wasserstein(Y, fits["w1"]) < wasserstein(Y, fits["kl"])


class TestRows:
    def test_cells_without_an_answer_are_left_out_and_stay_nan(self):
        P, Y, groups = _data()
        expected = DistributionCalibrator().fit(P[3:], Y[3:], groups=groups[3:])
        P[:3] = NAN
        model = DistributionCalibrator().fit(P, Y, groups=groups)
        assert model.n_dropped_ == 3
        assert np.isnan(model.predict(P)[:3]).all()
        np.testing.assert_array_equal(model.predict(P)[3:], expected.predict(P[3:]))

    def test_weights_of_zero_drop_rows_whatever_they_hold(self):
        P, Y, groups = _data()
        n = np.full(len(P), 100.0)
        n[:3] = 0
        Y[0] = NAN
        model = DistributionCalibrator().fit(P, Y, groups=groups, sample_weight=n)
        expected = DistributionCalibrator().fit(P[3:], Y[3:], groups=groups[3:], sample_weight=n[3:])
        np.testing.assert_array_equal(model.predict(P), expected.predict(P))

    def test_more_respondents_move_it_further(self):
        P, Y, _ = _data(n_questions=1)
        moved = [
            np.abs(DistributionCalibrator().fit(P, Y, sample_weight=np.full(3, n)).predict(P) - P).max()
            for n in (10, 100, 1e6)
        ]
        assert moved[0] < moved[1] < moved[2]

    def test_ragged_rows_and_zeros(self):
        P = np.array([[1.0, 0.0, 0.0], [0.7, 0.3, NAN], [0.0, 1.0, 0.0]])
        Y = np.array([[0.6, 0.3, 0.1], [0.5, 0.5, NAN], [0.2, 0.6, 0.2]])
        Q = DistributionCalibrator(elicited_by="logprob").fit(P, Y).predict(P)
        assert (Q[~np.isnan(P)] > 0).all()
        np.testing.assert_allclose(np.nansum(Q, axis=1), 1)

    def test_unseen_sizes_are_predicted(self):
        P, Y, groups = _data(K=4)
        Q = DistributionCalibrator().fit(P, Y, groups=groups).predict([[0.9, 0.05, 0.03, 0.01, 0.01]])
        assert Q.shape == (1, 5)
        assert Q[0, 0] < 0.85

    def test_groups_may_be_names(self):
        P, Y, groups = _data()
        names = np.array([f"q{g}" for g in groups])
        np.testing.assert_array_equal(
            DistributionCalibrator().fit(P, Y, groups=groups).predict(P),
            DistributionCalibrator().fit(P, Y, groups=pd.Series(names)).predict(P),
        )


class TestBackgrounds:
    def test_let_the_correction_depend_on_the_group(self):
        P, Y, groups = _data(n_questions=40, cells=2)
        X = pd.DataFrame({"sex": np.tile(["f", "m"], 40)})
        Y[::2] = P[::2]  # the model is right on women
        model = DistributionCalibrator(gate=False).fit(P, Y, groups=groups, backgrounds=X)
        Q = model.predict(P, backgrounds=X)
        plain = DistributionCalibrator(gate=False).fit(P, Y, groups=groups).predict(P)
        assert np.abs(Q - P)[::2].mean() < np.abs(plain - P)[::2].mean()
        assert np.isfinite(model.predict(P[:1], backgrounds=pd.DataFrame({"sex": ["other"]}))).all()

    def test_have_to_come_in_both_or_neither(self):
        P, Y, groups = _data()
        X = pd.DataFrame({"sex": ["f", "m", "f"] * 10})
        with pytest.raises(ValueError, match="predict must be given them, too"):
            DistributionCalibrator().fit(P, Y, groups=groups, backgrounds=X).predict(P)
        with pytest.raises(ValueError, match="predict must be given none"):
            DistributionCalibrator().fit(P, Y, groups=groups).predict(P, backgrounds=X)
        with pytest.raises(ValueError, match="backgrounds has 29 rows, but P has 30"):
            DistributionCalibrator().fit(P, Y, groups=groups, backgrounds=X[1:])

    @pytest.mark.parametrize("name", ["isotonic", "dirichlet", "identity"])
    def test_are_refused_where_they_would_be_ignored(self, name):
        P, Y, _ = _data()
        with pytest.raises(ValueError, match="does not use backgrounds"):
            DistributionCalibrator(name).fit(P, Y, backgrounds=pd.DataFrame({"sex": ["f"] * 30}))


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"calibrator": "platt"}, ValueError, "calibrator must be one of .*'tempered'.* got 'platt'"),
        ({"calibrator": TemperedCalibrator}, TypeError, "calibrator must be one of .* or a Calibrator object"),
        ({"objective": "mse"}, ValueError, "objective must be 'auto' or one of .* got 'mse'"),
        ({"elicited_by": "guess"}, ValueError, "elicited_by must be one of .* or None, got 'guess'"),
        ({"gate": "no"}, TypeError, "gate must be True or False"),
        ({"random_state": "a"}, ValueError, "random_state"),
        ({"calibrator": TemperedCalibrator(bias_questions=0)}, ValueError, "bias_questions must be a whole number"),
    ],
)
def test_bad_parameters(params, error, message):
    P, Y, _ = _data()
    with pytest.raises(error, match=message):
        DistributionCalibrator(**params).fit(P, Y)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"Y": None}, ValueError, "both P and Y, or neither .* Y is None"),
        ({"P": None}, ValueError, "both P and Y, or neither .* P is None"),
        ({"Y": [[0.5, 0.5]]}, ValueError, "Y must have the shape of P"),
        ({"Y": [[0.5, 0.5], [0.5]]}, TypeError, "Y must be an array of numbers"),
        ({"Y": [[0.5, 0.5], [0.5, 0.6]]}, ValueError, "Y: row 1 sums to 1.1"),
        ({"P": [[0.5, 0.5], [0.5, 0.6]]}, ValueError, "P: row 1 sums to 1.1"),
        ({"P": [[0.5, 0.5], [NAN, 1.0]]}, ValueError, "P: row 1 has NaN among its options"),
        ({"P": [[NAN, NAN], [NAN, NAN]]}, ValueError, "P has no usable row"),
        ({"P": [0.5, 0.5]}, ValueError, "P must be two-dimensional"),
        ({"P": [["a", "b"], ["c", "d"]]}, TypeError, "P must hold numbers"),
        ({"P": [[50, 50], [30, 70]]}, ValueError, "P: row 0 sums to 100"),
        ({"groups": [1, 2, 3]}, ValueError, "groups must name the question of each row"),
        ({"sample_weight": [1, -1]}, ValueError, "sample_weight: row 1 is negative"),
        ({"values": [1, 2, 3]}, ValueError, "values must hold a position per option"),
        ({"values": [1, 1]}, ValueError, "values: row 0 gives two options the same position"),
        ({"values": [1, np.inf]}, ValueError, "values must be finite"),
        ({"values": [1, NAN]}, ValueError, "row 0 has a single option on its scale"),
    ],
)
def test_bad_data(change, error, message):
    data = {"P": [[0.5, 0.5], [0.2, 0.8]], "Y": [[0.5, 0.5], [0.2, 0.8]], **change}
    model = DistributionCalibrator()
    with pytest.raises(error, match=message):
        model.fit(data.pop("P"), data.pop("Y"), **data)
    with pytest.raises(NotFittedError):
        model.predict([[0.5, 0.5]])


def test_a_failed_second_fit_keeps_the_first():
    P, Y, groups = _data()
    model = DistributionCalibrator().fit(P, Y, groups=groups)
    before = model.predict(P)
    with pytest.raises(ValueError, match="groups"):
        model.fit(P, Y, groups=[1])
    np.testing.assert_array_equal(model.predict(P), before)


def test_clone_pickle_and_input_left_alone():
    P, Y, groups = _data()
    kept = P.copy(), Y.copy()
    model = clone(DistributionCalibrator(TemperedCalibrator(bias_questions=3), elicited_by="logprob"))
    assert model.calibrator.bias_questions == 3
    model.fit(P, Y, groups=groups)
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        np.testing.assert_array_equal(other.predict(P), model.predict(P))
    np.testing.assert_array_equal(P, kept[0])
    np.testing.assert_array_equal(Y, kept[1])
    assert not hasattr(model.calibrator, "power_")  # the object that was passed stays unfitted
    assert isinstance(DistributionCalibrator("identity").fit(P, Y).calibrators_["nominal"], IdentityCalibrator)
