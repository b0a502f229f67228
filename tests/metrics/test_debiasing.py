"""`truth_respondents`: formulas, simulations of the sampling noise, and the metrics that refuse it; skill."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import multinomial
from sklearn.exceptions import UndefinedMetricWarning

from surveysim.metrics import (
    cross_entropy,
    js_distance,
    js_divergence,
    kl_divergence,
    opinion_alignment,
    rmse,
    skill,
    total_variation,
    wasserstein,
)

TRUTH = np.array([0.1, 0.25, 0.3, 0.35])
PREDICTIONS = {"wrong": np.array([0.3, 0.3, 0.2, 0.2]), "perfect": TRUTH, "near": np.array([0.12, 0.25, 0.33, 0.3])}


def polls(n, size, seed=0, truth=TRUTH):
    """Shares in `size` polls of n respondents each."""
    return np.random.default_rng(seed).multinomial(n, truth, size=size) / n


def test_js_contribution_by_hand():
    # truth q = (0.5, 0.5), prediction p = (0.25, 0.75): 0.125 / 0.75 + 0.375 / 1.25 = 7/15, over 4 n ln 2
    raw = js_divergence([[0.5, 0.5]], [[0.25, 0.75]])
    debiased = js_divergence([[0.5, 0.5]], [[0.25, 0.75]], truth_respondents=10)
    assert raw - debiased == pytest.approx(7 / 15 / (40 * math.log(2)))
    # the two arguments play different parts: truth (0.25, 0.75), prediction (0.5, 0.5)
    debiased = js_divergence([[0.25, 0.75]], [[0.5, 0.5]], truth_respondents=10)
    assert raw - debiased == pytest.approx((0.5 * 0.75 / 0.75 + 0.5 * 0.25 / 1.25) / (40 * math.log(2)))
    # in another base the noise is measured in that base's unit
    nats = js_divergence([[0.5, 0.5]], [[0.25, 0.75]], truth_respondents=10, base=math.e)
    assert nats == pytest.approx((raw - 7 / 15 / (40 * math.log(2))) * math.log(2))


def test_js_contribution_is_the_hessian_of_the_divergence():
    """Half the trace of (numerical Hessian in the truth) x (covariance of a share), an oracle free of our algebra."""
    p, q, n, h = PREDICTIONS["wrong"], TRUTH, 100, 1e-4

    def nats(q):
        m = (p + q) / 2  # also off the simplex, as the expansion needs it
        return 0.5 * np.sum(p * np.log(p / m)) + 0.5 * np.sum(q * np.log(q / m))

    def second_derivative(a, b):
        return (nats(q + a + b) - nats(q + a - b) - nats(q - a + b) + nats(q - a - b)) / (4 * h * h)

    hessian = np.array([[second_derivative(a, b) for a in h * np.eye(4)] for b in h * np.eye(4)])
    covariance = (np.diag(q) - np.outer(q, q)) / n
    expected = np.trace(hessian @ covariance) / 2 / math.log(2)
    raw, debiased = (js_divergence([q], [p], truth_respondents=m) for m in (None, n))
    assert raw - debiased == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", PREDICTIONS)
@pytest.mark.parametrize("metric", [js_divergence, kl_divergence])
def test_debiased_mean_is_the_value_at_infinite_n(metric, name):
    n, size = 300, 20_000
    shares = polls(n, size)
    P = np.tile(PREDICTIONS[name], (size, 1))
    at_infinity = metric([TRUTH], [PREDICTIONS[name]])
    debiased = metric(shares, P, average=False, truth_respondents=n)
    standard_error = debiased.std() / math.sqrt(size)
    assert abs(debiased.mean() - at_infinity) < 4 * standard_error
    # the test can tell: the raw figure is many standard errors off
    assert metric(shares, P) - at_infinity > 15 * standard_error
    assert metric(shares, P, truth_respondents=n) == pytest.approx(debiased.mean())


@pytest.mark.parametrize("n", [2, 5, 300])
def test_debiased_mean_square_is_exactly_unbiased(n):
    size = 40_000
    shares = polls(n, size)
    P = np.tile(PREDICTIONS["near"], (size, 1))
    roots = rmse(shares, P, average=False, truth_respondents=n)
    squares = np.sign(roots) * roots**2
    at_infinity = rmse([TRUTH], [PREDICTIONS["near"]]) ** 2
    assert abs(squares.mean() - at_infinity) < 4 * squares.std() / math.sqrt(size)
    pooled = rmse(shares, P, truth_respondents=n)
    assert np.sign(pooled) * pooled**2 == pytest.approx(squares.mean())


@pytest.mark.parametrize("metric", [js_divergence, kl_divergence])
def test_small_cells_are_mostly_corrected(metric):
    """Ten respondents per cell: what is left of the noise is of order 1/n^2, a fifth of it at most."""
    shares = polls(10, 40_000)
    P = np.tile(PREDICTIONS["wrong"], (len(shares), 1))
    at_infinity = metric([TRUTH], [PREDICTIONS["wrong"]])
    assert abs(metric(shares, P, truth_respondents=10) - at_infinity) < (metric(shares, P) - at_infinity) / 5


def noise_left(n, truth, prediction, metric=js_divergence):
    """Mean of the debiased metric over all samples, less its value at the truth; and the noise that it started from."""
    shares = np.array(list(itertools.product(range(n + 1), repeat=len(truth) - 1)))
    shares = np.column_stack([shares, n - shares.sum(axis=1)])
    shares = shares[shares[:, -1] >= 0]
    chance = multinomial.pmf(shares, n, truth)
    P = np.tile(prediction, (len(shares), 1))
    right = metric([truth], [prediction])
    raw = chance @ metric(shares / n, P, average=False)
    return chance @ metric(shares / n, P, average=False, truth_respondents=n) - right, raw - right


@pytest.mark.parametrize("metric", [js_divergence, kl_divergence])
@pytest.mark.parametrize("tiny", [1e-9, 0.01, 0.2])
def test_an_option_that_nobody_would_choose_has_no_noise(metric, tiny):
    """By exact sums over all samples; it was over-corrected by 76 to 200% of the noise."""
    for n in (10, 20, 50):
        left, noise = noise_left(n, [0.5, 0.5, 0.0], [0.5 - tiny, 0.5, tiny], metric)
        assert abs(left) < 0.05 * noise


def test_writing_zero_or_nearly_zero_is_the_same():
    zero = js_divergence([[0.5, 0.5, 0]], [[0.5, 0.5, 0]], truth_respondents=50)
    nearly = js_divergence([[0.5, 0.5, 0]], [[0.5, 0.5 - 1e-9, 1e-9]], truth_respondents=50)
    assert nearly == pytest.approx(zero, rel=1e-5)
    assert zero == pytest.approx(-2 * 0.25 / (4 * 50 * math.log(2)))  # two options of p (1 - q) / (p + q) = 1/4

    # and in the truth: a hundredth of an answer adds a fiftieth of an option's noise
    def noise(truth):
        return js_divergence([truth], [[0.4, 0.4, 0.2]]) - js_divergence(
            [truth], [[0.4, 0.4, 0.2]], truth_respondents=50
        )

    assert noise([0.5, 0.4998, 0.0002]) - noise([0.5, 0.5, 0]) == pytest.approx(0.02 / (200 * math.log(2)), rel=0.02)


def test_a_model_that_writes_zeros_is_not_penalised():
    """Two models that agree where people answer, one of which spreads nothing over an option nobody would choose."""
    shares = polls(50, 20_000, truth=[0.5, 0.5, 0.0])
    zeros, cautious = (
        js_divergence(shares, np.tile(p, (len(shares), 1)), average=False, truth_respondents=50)
        for p in ([0.5, 0.5, 0.0], [0.5, 0.5 - 1e-9, 1e-9])
    )
    assert abs(zeros.mean()) < 4 * zeros.std() / math.sqrt(len(zeros))
    assert abs(cautious.mean()) < 4 * cautious.std() / math.sqrt(len(cautious))
    assert zeros.mean() <= cautious.mean()


@pytest.mark.parametrize(("n", "before"), [(10, 0.36), (50, 0.39), (100, 0.26)])
def test_rare_options_leave_less_than_they_did(n, before):
    """A share of 0.2% among five options: counting every option alike over-corrects by `before` of the noise."""
    truth, size = [0.25, 0.25, 0.25, 0.248, 0.002], 40_000
    shares = polls(n, size, truth=truth)
    P = np.tile(truth, (size, 1))
    debiased = js_divergence(shares, P, average=False, truth_respondents=n)
    noise = js_divergence(shares, P)
    alike = noise - (P * (1 - shares) / (P + shares)).sum(axis=1).mean() / (4 * n * math.log(2))
    assert alike == pytest.approx(-before * noise, abs=0.02 * noise)
    assert abs(debiased.mean()) < 0.18 * noise + 4 * debiased.std() / math.sqrt(size)


def test_single_answers_count_twice_and_unchosen_options_nothing():
    # q = (0, 0.1, 0.9) of 10 respondents, p = (0.2, 0.3, 0.5): 2 * 0.3 * 0.9 / 0.4 + 0.5 * 0.1 / 1.4, over 4 n ln 2
    truth, prediction = [[0.0, 0.1, 0.9]], [[0.2, 0.3, 0.5]]
    noise = js_divergence(truth, prediction) - js_divergence(truth, prediction, truth_respondents=10)
    assert noise == pytest.approx((2 * 0.3 * 0.9 / 0.4 + 0.5 * 0.1 / 1.4) / (40 * math.log(2)))
    noise = kl_divergence(truth, prediction) - kl_divergence(truth, prediction, truth_respondents=10)
    assert noise == pytest.approx((2 * 0.9 + 0.1) / (20 * math.log(2)))


@pytest.mark.parametrize("metric", [js_divergence, kl_divergence])
def test_less_than_one_respondent_counts_as_one(metric):
    truth, prediction = [[0.25, 0.75]], [[0.5, 0.5]]
    one = metric(truth, prediction, truth_respondents=1)
    assert metric(truth, prediction, truth_respondents=0.01) == one
    assert metric([[1.0, 0.0]], prediction, truth_respondents=0.01) == metric([[1.0, 0.0]], prediction)


def test_cells_of_different_size_average_to_the_truth():
    rng = np.random.default_rng(5)
    truth, prediction = rng.dirichlet(np.full(5, 4.0), 400), rng.dirichlet(np.full(5, 4.0), 400)
    n = rng.integers(20, 200, 400)
    shares = np.array([rng.multinomial(m, t) / m for m, t in zip(n, truth, strict=True)])
    expected = js_divergence(truth, prediction, sample_weight=n)
    raw = js_divergence(shares, prediction, sample_weight=n)
    debiased = js_divergence(shares, prediction, sample_weight=n, truth_respondents=n)
    assert abs(debiased - expected) < 0.25 * (raw - expected)


def test_negative_values_are_kept():
    shares = [[0.5, 0.5], [0.4, 0.6]]
    for metric in (js_divergence, kl_divergence, rmse):
        assert (metric(shares, shares, average=False, truth_respondents=10) < 0).all()
        assert metric(shares, shares, truth_respondents=10) < 0


def test_infinitely_many_respondents_have_no_noise():
    for metric in (js_divergence, kl_divergence, rmse, cross_entropy):
        raw = metric([[0.5, 0.5]], [[0.25, 0.75]])
        assert metric([[0.5, 0.5]], [[0.25, 0.75]], truth_respondents=math.inf) == raw


def test_options_without_mass_in_truth_and_prediction_add_nothing():
    without = js_divergence([[0.5, 0.5]], [[0.25, 0.75]], truth_respondents=10)
    assert js_divergence([[0.5, 0.5, 0]], [[0.25, 0.75, 0]], truth_respondents=10) == pytest.approx(without)


def test_cross_entropy_needs_no_correction():
    shares = polls(20, 20_000)
    P = np.tile(PREDICTIONS["wrong"], (len(shares), 1))
    bits = cross_entropy(shares, P, average=False, truth_respondents=20)
    at_infinity = cross_entropy([TRUTH], [PREDICTIONS["wrong"]])
    assert abs(bits.mean() - at_infinity) < 4 * bits.std() / math.sqrt(len(bits))


@pytest.mark.parametrize("metric", [total_variation, wasserstein, opinion_alignment, js_distance])
def test_metrics_that_cannot_be_debiased_say_so(metric):
    with pytest.raises(ValueError, match=rf"{metric.__name__} cannot be debiased: .*Leave out truth_respondents"):
        metric([[0.5, 0.5]], [[0.25, 0.75]], truth_respondents=10)


@pytest.mark.parametrize("metric", [js_divergence, kl_divergence, rmse, cross_entropy])
def test_respondents_must_be_positive(metric):
    Y = [[0.5, 0.5], [0.25, 0.75]]
    for wrong in (0, -3, math.nan):
        with pytest.raises(ValueError, match=r"truth_respondents must be positive, got .* in row 1"):
            metric(Y, Y, truth_respondents=[5, wrong])
    with pytest.raises(ValueError, match=r"truth_respondents must have one number per row, shape \(2,\)"):
        metric(Y, Y, truth_respondents=[5, 5, 5])
    assert metric(Y, Y, sample_weight=[1, 0], truth_respondents=[5, 0]) == metric(Y[:1], Y[:1], truth_respondents=5)


def test_one_respondent_says_nothing_of_variance():
    with pytest.raises(ValueError, match=r"rmse cannot be debiased from 1 respondent\(s\), as in row 1"):
        rmse([[0.5, 0.5], [1, 0]], [[0.5, 0.5], [1, 0]], truth_respondents=[10, 1])


# skill


def test_skill_by_hand():
    truth, model, marginal = [[0.2, 0.8], [0.6, 0.4]], [[0.3, 0.7], [0.6, 0.4]], [[0.4, 0.6], [0.4, 0.6]]
    assert skill(truth, model, marginal, metric="total_variation") == pytest.approx(0.75)
    assert skill(truth, model, marginal, metric="wasserstein", values=[0, 1]) == pytest.approx(0.75)
    # weights 3 and 1: (0.3 + 0) / (0.6 + 0.2)
    weighted = skill(truth, model, marginal, metric="total_variation", sample_weight=[3, 1])
    assert weighted == pytest.approx(1 - 0.3 / 0.8)
    assert skill(truth, truth, marginal) == 1
    assert skill(truth, marginal, marginal) == 0
    assert skill(truth, marginal, model) < 0
    ratio = js_divergence(truth, model, truth_respondents=40) / js_divergence(truth, marginal, truth_respondents=40)
    assert skill(truth, model, marginal, truth_respondents=40) == pytest.approx(1 - ratio)


def test_debiased_skill_of_a_perfect_model_is_one():
    rng = np.random.default_rng(2)
    truth = rng.dirichlet(np.full(4, 5.0), 2000)
    shares = np.array([rng.multinomial(50, t) / 50 for t in truth])
    marginal = np.tile(truth.mean(0), (2000, 1))
    assert skill(shares, truth, marginal) < 0.9
    assert skill(shares, truth, marginal, truth_respondents=50) == pytest.approx(1, abs=0.01)


def test_skill_against_a_perfect_reference_is_undefined():
    truth = [[0.2, 0.8], [0.6, 0.4]]
    with pytest.warns(UndefinedMetricWarning, match="the reference's js_divergence is 0: skill is undefined"):
        assert math.isnan(skill(truth, [[0.5, 0.5]] * 2, truth))
    with pytest.warns(UndefinedMetricWarning, match="the reference's kl_divergence is inf"):
        assert math.isnan(skill(truth, truth, [[1, 0], [1, 0]], metric="kl_divergence"))


def test_skill_errors():
    truth = [[0.2, 0.8]]
    with pytest.raises(ValueError, match=r"metric must be one of \[.*'js_divergence'.*got 'opinion_alignment'"):
        skill(truth, truth, truth, metric="opinion_alignment")
    with pytest.raises(ValueError, match="total_variation cannot be debiased"):
        skill(truth, truth, truth, metric="total_variation", truth_respondents=10)
    with pytest.raises(ValueError, match=r"Y_reference .*row 0 sums to 0\.9"):
        skill(truth, truth, [[0.2, 0.7]])
