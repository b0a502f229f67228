"""Each calibrator against a hand solution or an independent implementation, and what all have in common."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import approx_fprime, minimize_scalar
from scipy.special import softmax
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LinearRegression

from surveysim.calibration import (
    CALIBRATORS,
    DirichletCalibrator,
    IdentityCalibrator,
    IsotonicCalibrator,
    LinearCalibrator,
    PriorCorrection,
    TemperatureCalibrator,
    TemperedCalibrator,
)
from surveysim.calibration.tempered import PowerSearch
from tests.calibration.conftest import make_examples

NAN = np.nan


def _random(n=12, K=4, seed=0, sharpness=2.0):
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(n, K))
    return softmax(sharpness * logits, axis=1), softmax(logits + 0.3 * generator.normal(size=(n, K)), axis=1)


class TestTemperature:
    def test_recovers_the_power_that_made_the_data(self):
        P, _ = _random()
        Y = P**0.4 / (P**0.4).sum(axis=1, keepdims=True)
        for objective in ("kl", "js", "tv", "w1"):
            model = TemperatureCalibrator(floor=1e-9).fit(make_examples(P, Y, objective=objective))
            assert np.exp(model.power_.log_t) == pytest.approx(0.4, abs=2e-3)

    def test_two_options_by_hand(self):
        # log odds of 4 log 2 become 2 log 2 by t = 1/2
        model = TemperatureCalibrator().fit(make_examples([[16 / 17, 1 / 17]], [[4 / 5, 1 / 5]]))
        assert model.power_.log_t == pytest.approx(np.log(0.5), abs=1e-3)

    def test_agrees_with_a_search_over_one_number(self):
        P, Y = _random(seed=3)
        rows = make_examples(P, Y)

        def cross_entropy(log_t):
            Q = softmax(np.exp(log_t) * np.log(P), axis=1)
            return -np.sum(Y * np.log(Q))

        best = minimize_scalar(cross_entropy, bounds=(-4, 2), method="bounded", options={"xatol": 1e-9}).x
        assert TemperatureCalibrator(floor=1e-9).fit(rows).power_.log_t == pytest.approx(best, abs=1e-4)

    def test_floors_what_the_model_thought_impossible(self):
        rows = make_examples([[1.0, 0.0]], [[0.5, 0.5]])
        Q = TemperatureCalibrator(floor=0.01).fit(rows).predict(rows)
        assert np.exp(-5) * np.log(100) > 0  # the bound of log t keeps t above 0
        np.testing.assert_allclose(Q, 0.5, atol=0.01)

    @pytest.mark.parametrize("floor", [0, 0.5, "a", -1])
    def test_bad_floor(self, floor):
        with pytest.raises((ValueError, TypeError), match="floor must be a number above 0"):
            TemperatureCalibrator(floor=floor).fit(make_examples([[0.5, 0.5]], [[0.5, 0.5]]))


class TestTempered:
    def test_the_gradient_of_the_search_is_right(self):
        P, Y = _random(n=9)
        P[:3], Y[:3] = [0.5, 0.3, 0.2, NAN], [0.2, 0.2, 0.6, NAN]
        features = np.eye(3)[np.arange(9) % 3]
        rows = make_examples(P, Y, features=features, objective="w1")
        shapes = [shape for shape, _ in rows.by_shape()]
        assert shapes == [(3,), (4,)]
        search = PowerSearch(rows, 1e-3, centre=-0.5, log_t_sd=0.5, bends=True, own_bias=shapes)
        theta = np.random.default_rng(0).normal(scale=0.2, size=len(search.precision))
        numerical = approx_fprime(theta, lambda t: search(t)[0], 1e-7)
        np.testing.assert_allclose(search(theta)[1], numerical, rtol=1e-4, atol=1e-3)

    def test_one_example_moves_it_less_than_many(self):
        P = np.tile([0.9, 0.05, 0.05], (30, 1))
        Y = np.tile([0.5, 0.3, 0.2], (30, 1))
        ts = [
            TemperedCalibrator().fit(make_examples(P[:n], Y[:n], elicited_by="verbalized")).power_.log_t
            for n in (1, 4, 30)
        ]
        assert 0 > ts[0] > ts[1] > ts[2] - 0.05

    def test_examples_without_weight_leave_the_prior(self):
        rows = make_examples([[0.9, 0.1]] * 6, [[0.1, 0.9]] * 6, weight=[1e-12] * 6, elicited_by="logprob")
        np.testing.assert_allclose(
            TemperedCalibrator().fit(rows).predict(rows), PriorCorrection().predict(rows), atol=1e-9
        )

    def test_the_bias_comes_with_the_fifth_question(self):
        P = np.full((5, 3), 1 / 3)
        Y = np.tile([0.2, 0.6, 0.2], (5, 1))
        four = TemperedCalibrator().fit(make_examples(P[:4], Y[:4]))
        np.testing.assert_allclose(four.predict(make_examples(P)), 1 / 3, atol=1e-9)
        five = TemperedCalibrator().fit(make_examples(P, Y))
        assert (five.predict(make_examples(P))[:, 1] > 0.4).all()
        twice = make_examples(np.tile(P[:1], (8, 1)), np.tile(Y[:1], (8, 1)), question=np.arange(8) // 2)
        assert not TemperedCalibrator().fit(twice).power_.bias  # eight cells, four questions

    def test_sizes_without_examples_share_t_and_the_bias_towards_the_ends(self):
        P = np.full((6, 3), 1 / 3)
        model = TemperedCalibrator().fit(make_examples(P, np.tile([0.45, 0.1, 0.45], (6, 1))))
        wide = model.predict(make_examples(np.full((1, 5), 0.2)))[0]
        assert wide[0] > wide[1] > wide[2]
        assert wide[0] == pytest.approx(wide[4], abs=1e-3)

    def test_cells_of_one_question_count_less_than_cells_of_many(self):
        P, Y = np.tile([0.9, 0.1], (4, 1)), np.tile([0.6, 0.4], (4, 1))
        same = TemperedCalibrator().fit(make_examples(P, Y, question=[0, 0, 0, 0]))
        many = TemperedCalibrator().fit(make_examples(P, Y))
        assert many.power_.log_t < same.power_.log_t < 0

    def test_nominal_options_are_treated_alike_in_any_order(self):
        P, Y = _random(n=4, K=5)
        nominal = np.full(P.shape, NAN)
        turned = np.array([3, 0, 4, 1, 2])
        one = TemperedCalibrator().fit(make_examples(P, Y, positions=nominal))
        other = TemperedCalibrator().fit(make_examples(P[:, turned], Y[:, turned], positions=nominal))
        Q = one.predict(make_examples(P, positions=nominal))
        np.testing.assert_allclose(
            other.predict(make_examples(P[:, turned], positions=nominal)), Q[:, turned], atol=1e-5
        )

    def test_a_scale_may_be_turned_round(self):
        P, Y = _random(n=8, K=4)
        one = TemperedCalibrator().fit(make_examples(P, Y, objective="w1"))
        other = TemperedCalibrator().fit(make_examples(P[:, ::-1], Y[:, ::-1], objective="w1"))
        Q = one.predict(make_examples(P))
        np.testing.assert_allclose(other.predict(make_examples(P[:, ::-1])), Q[:, ::-1], atol=1e-4)

    def test_features_move_t(self):
        P = np.tile([0.8, 0.2], (40, 1))
        group = np.arange(40) % 2
        Y = np.where(group[:, None] == 0, [0.8, 0.2], [0.6, 0.4])
        model = TemperedCalibrator().fit(make_examples(P, Y, features=np.eye(2)[group]))
        Q = model.predict(make_examples(P[:2], features=np.eye(2)))
        assert Q[0, 0] > Q[1, 0] + 0.02


class TestLinear:
    def test_is_least_squares_per_option_clipped_and_renormalised(self):
        P, Y = _random(n=20, K=3)
        rows = make_examples(P, Y, weight=np.linspace(0.2, 1, 20))
        expected = np.column_stack(
            [LinearRegression().fit(P[:, [k]], Y[:, k], sample_weight=rows.weight).predict(P[:, [k]]) for k in range(3)]
        ).clip(0, 1)
        expected /= expected.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(LinearCalibrator().fit(rows).predict(rows), expected, atol=1e-10)

    def test_one_example_predicts_that_example(self):
        model = LinearCalibrator().fit(make_examples([[0.9, 0.1]], [[0.4, 0.6]]))
        np.testing.assert_allclose(model.predict(make_examples([[0.2, 0.8]])), [[0.4, 0.6]])

    def test_a_large_ridge_leaves_the_mean(self):
        P, Y = _random(n=20, K=3)
        Q = LinearCalibrator(ridge=1e9).fit(make_examples(P, Y)).predict(make_examples(P))
        np.testing.assert_allclose(Q, np.tile(Y.mean(axis=0), (20, 1)), atol=1e-6)

    def test_features_are_further_regressors(self):
        P, Y = _random(n=20, K=3)
        features = np.random.default_rng(1).normal(size=(20, 2))
        rows = make_examples(P, Y, features=features)
        coefficients = LinearCalibrator().fit(rows).coefficients_[(3,)]
        expected = LinearRegression().fit(np.column_stack([P[:, 1], features]), Y[:, 1])
        np.testing.assert_allclose(coefficients[1], [expected.intercept_, *expected.coef_], atol=1e-10)

    def test_nothing_left_after_clipping_stays_as_it_came(self):
        # both lines fall steeply with the elicited share, so that an even split is below 0 on both
        P, Y = [[0.1, 0.9], [0.2, 0.8]], [[0.0, 1.0], [0.0, 1.0]]
        model = LinearCalibrator().fit(make_examples(P, Y))
        model.coefficients_[(2,)] = np.array([[-1.0, 0.0], [-1.0, 0.0]])
        np.testing.assert_array_equal(model.predict(make_examples([[0.5, 0.5]])), [[0.5, 0.5]])


class TestIsotonic:
    def test_is_scikit_learns_regression_on_all_options(self):
        P, Y = _random(n=15, K=3)
        rows = make_examples(P, Y)
        shares = IsotonicRegression(y_min=0, y_max=1).fit_transform(P.ravel(), Y.ravel()).reshape(P.shape)
        expected = shares / shares.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(IsotonicCalibrator().fit(rows).predict(rows), expected, atol=1e-12)

    def test_options_keep_their_order_by_size(self):
        P, Y = _random(n=15, K=4)
        Q = IsotonicCalibrator().fit(make_examples(P, Y)).predict(make_examples(P))
        ranked = np.take_along_axis(Q, np.argsort(P, axis=1), axis=1)
        assert (np.diff(ranked, axis=1) >= -1e-12).all()


class TestDirichlet:
    def test_learns_what_one_option_says_of_another(self):
        generator = np.random.default_rng(0)
        Y = softmax(generator.normal(size=(400, 3)), axis=1)
        W = np.array([[1.0, 0.4, 0.0], [0.0, 1.0, 0.4], [0.4, 0.0, 1.0]])
        log_p = np.linalg.solve(W, np.log(Y).T).T
        P = softmax(log_p, axis=1)
        rows = make_examples(P, Y)
        model = DirichletCalibrator(off_diagonal_sd=10, bias_sd=10, floor=1e-9).fit(rows)
        np.testing.assert_allclose(model.predict(rows), Y, atol=0.02)
        weak = TemperedCalibrator(floor=1e-9).fit(rows).predict(rows)
        assert np.abs(weak - Y).max() > 0.05

    def test_starts_at_the_prior(self):
        rows = make_examples([[0.9, 0.06, 0.04]], [[0.2, 0.2, 0.6]], weight=[1e-12], elicited_by="logprob")
        model = DirichletCalibrator().fit(rows)
        np.testing.assert_allclose(model.weights_[(3,)], 0.2 * np.eye(3), atol=1e-9)


# --- what all have in common ------------------------------------------------------------------------------------------

shares = arrays(np.float64, (9, 4), elements=st.floats(0, 1)).map(lambda a: a + np.eye(4)[np.arange(9) % 3] * 1e-3)


def _ragged(raw):
    P = raw.copy()
    P[6:, 3] = NAN
    return P / np.nansum(P, axis=1, keepdims=True)


@pytest.mark.parametrize("name", CALIBRATORS)
@pytest.mark.parametrize("objective", ["kl", "w1"])
@settings(max_examples=12, deadline=None)
@given(elicited=shares, observed=shares, new=shares)
def test_maps_keep_the_simplex_zeros_and_padding_included(name, objective, elicited, observed, new):
    P, Y, fresh = _ragged(elicited), _ragged(observed), _ragged(new)
    model = CALIBRATORS[name]().fit(make_examples(P, Y, objective=objective, elicited_by="logprob"))
    Q = model.predict(make_examples(fresh, objective=objective, elicited_by="logprob"))
    np.testing.assert_array_equal(np.isnan(Q), np.isnan(fresh))
    np.testing.assert_allclose(np.nansum(Q, axis=1), 1, atol=1e-9)
    assert np.nanmin(Q) >= 0


@pytest.mark.parametrize("name", ["linear", "isotonic", "dirichlet"])
def test_sizes_without_examples_get_the_prior_correction(name):
    P, Y = _random(n=10, K=3)
    model = CALIBRATORS[name]().fit(make_examples(P, Y, elicited_by="logprob"))
    new = make_examples([[0.9, 0.05, 0.03, 0.02]], elicited_by="logprob")
    np.testing.assert_array_equal(model.predict(new), PriorCorrection().predict(new))


def test_identity_and_the_identity_prior_return_what_came():
    P, _ = _random()
    P[0] = [1.0, 0.0, 0.0, 0.0]
    rows = make_examples(P, elicited_by="verbalized")
    np.testing.assert_array_equal(IdentityCalibrator().fit(rows).predict(rows), P)
    np.testing.assert_array_equal(PriorCorrection().fit(rows).predict(rows), P)


def test_the_prior_of_log_probabilities_is_the_fifth_root():
    Q = PriorCorrection().predict(make_examples([[32 / 33, 1 / 33]], elicited_by="logprob"))
    np.testing.assert_allclose(Q, [[2 / 3, 1 / 3]])
