"""The noise floor: exact expectations against simulation, hand calculation and the first-order formula."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from surveysim import metrics
from surveysim.evaluation import noise_floor

P = np.array([[0.2, 0.3, 0.5], [0.05, 0.9, 0.05], [0.5, 0.5, np.nan], [1.0, 0.0, 0.0]])
N = np.array([7, 40, 3, 10])
EXACT = ["js_divergence", "kl_divergence", "total_variation", "wasserstein"]


def simulated(metric: str, n_draws: int = 20000) -> tuple[np.ndarray, np.ndarray]:
    """Mean of the metric over drawn samples, and its standard error."""
    rng = np.random.default_rng(1)
    shares = np.nan_to_num(P)
    drawn = rng.multinomial(N, shares, size=(n_draws, len(N))) / N[:, None]
    drawn = np.where(np.isnan(P), np.nan, drawn).reshape(-1, 3)
    values = getattr(metrics, metric)(drawn, np.tile(P, (n_draws, 1)), average=False).reshape(n_draws, -1)
    return values.mean(axis=0), values.std(axis=0) / math.sqrt(n_draws)


@pytest.mark.parametrize("metric", EXACT)
def test_the_exact_expectation_is_that_of_simulated_samples(metric: str) -> None:
    mean, error = simulated(metric)
    floor = noise_floor(P, N, metric, average=False)
    assert (np.abs(floor - mean) <= 4 * error + 1e-12).all()
    assert floor[3] == 0  # who all answer alike are sampled without noise


def test_one_answer_against_even_odds_by_hand() -> None:
    # JS((1/2, 1/2), (1, 0)) = H(3/4) - H(1/2) / 2
    entropy = -(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25))
    assert noise_floor([[0.5, 0.5]], 1) == pytest.approx(entropy - 0.5, abs=1e-14)
    assert noise_floor([[0.5, 0.5]], 1, "total_variation") == pytest.approx(0.5)
    assert noise_floor([[0.5, 0.5]], 1, "kl_divergence") == pytest.approx(1.0)
    # two answers: one each with chance 1/2, else as above
    assert noise_floor([[0.5, 0.5]], 2) == pytest.approx((entropy - 0.5) / 2, abs=1e-14)


def test_large_samples_follow_the_first_order_formula() -> None:
    q = [[0.1, 0.2, 0.3, 0.4]]
    for n in (2_000, 100_000):
        assert noise_floor(q, n) == pytest.approx(3 / (8 * n * math.log(2)), rel=20 / n)
        assert noise_floor(q, n, "kl_divergence") == pytest.approx(3 / (2 * n * math.log(2)), rel=20 / n)


def test_the_floor_of_rmse_is_the_root_of_the_mean_square() -> None:
    q = np.array([[0.2, 0.8], [0.5, 0.5]])
    variance = (q * (1 - q)).mean(axis=1) / [10, 20]
    np.testing.assert_allclose(noise_floor(q, [10, 20], "rmse", average=False), np.sqrt(variance))
    assert noise_floor(q, [10, 20], "rmse") == pytest.approx(math.sqrt(variance.mean()))


def test_the_cross_entropy_of_a_perfect_prediction_is_the_entropy() -> None:
    assert noise_floor([[0.5, 0.5]], 10, "cross_entropy") == pytest.approx(1.0)


def test_the_floor_of_alignment_is_a_ceiling() -> None:
    distance = noise_floor(P[:2], N[:2], "wasserstein")
    assert noise_floor(P[:2], N[:2], "opinion_alignment") == pytest.approx(100 * (1 - distance))


def test_the_distance_has_no_formula_and_is_simulated_with_its_seed() -> None:
    first, again = (noise_floor(P, N, "js_distance", random_state=3) for _ in range(2))
    assert first == again
    assert first != noise_floor(P, N, "js_distance", random_state=4)
    assert first < math.sqrt(noise_floor(P, N)) + 0.05  # Jensen: a root's mean is below the mean's root
    mean, error = simulated("js_distance")
    assert noise_floor(P, N, "js_distance") == pytest.approx(mean.mean(), abs=5 * error.mean() + 0.004)


def test_options_outside_the_order_are_simulated() -> None:
    q, values = np.array([[0.2, 0.3, 0.1, 0.4]]), [1, 2, 3, np.nan]
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(12, q[0], size=20000) / 12
    expected = np.nanmean(metrics.wasserstein(drawn, np.tile(q, (20000, 1)), values=values, average=False))
    assert noise_floor(q, 12, "wasserstein", values=values, n_draws=3000) == pytest.approx(expected, rel=0.04)


def test_a_function_is_simulated_as_a_metric() -> None:
    def squared(Y_true: Any, Y_pred: Any, *, values: Any, average: bool) -> np.ndarray:
        return ((Y_true - Y_pred) ** 2).sum(axis=1)

    assert noise_floor([[0.3, 0.7]], 10, squared, n_draws=4000) == pytest.approx(2 * 0.21 / 10, rel=0.1)


def test_a_fractional_number_lies_between_its_neighbours_and_less_than_one_counts_as_one() -> None:
    q = [[0.3, 0.7]]
    low, high = noise_floor(q, 5), noise_floor(q, 4)
    assert noise_floor(q, 4.25) == pytest.approx(0.75 * high + 0.25 * low)
    assert noise_floor(q, 0.4) == noise_floor(q, 1)


def test_weights_average_and_rows_without_weight_may_lack_respondents() -> None:
    rows = noise_floor(P[:2], N[:2], average=False)
    assert noise_floor(P[:2], N[:2], sample_weight=[3, 1]) == pytest.approx((3 * rows[0] + rows[1]) / 4)
    empty = np.vstack([P[:2], [[np.nan] * 3]])
    assert noise_floor(empty, [7, 40, 0], sample_weight=[1, 1, 0]) == pytest.approx(rows.mean())


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n": [0, 5, 5, 5]}, "n must be positive and finite, got 0.0 in row 0: a group without respondents"),
        ({"n": [5, 5]}, r"n must have one number per row of Y, shape \(4,\)"),
        ({"metric": "accuracy"}, "metric must be one of"),
        ({"metric": "wasserstein", "values": [np.nan] * 3}, "row 0 is nominal"),
        ({"metric": "opinion_alignment", "values": [np.nan] * 3}, "is nominal"),
        ({"sample_weight": [0, 0, 0, 0]}, "above 0 in at least one row"),
        ({"n_draws": 0}, "n_draws must be"),
    ],
)
def test_what_is_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        noise_floor(**{"Y": P, "n": N, **parameters})
