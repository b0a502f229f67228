"""How far waves drifted: the posterior of shares against the whole Gaussian, and what is concluded from it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from surveysim.baselines.question_stacks import Quadratic
from surveysim.fusion.agreement import AgreementOfWave
from surveysim.fusion.drift import GRID
from surveysim.fusion.series import Series
from surveysim.fusion.shares import OWN_PROBABILITY, AgreementOfSeries, learned_shares
from tests.fusion.test_series import DEGREES, IS_LEVEL, SIZE, SPREAD, drift, known

PAIRS = [(0.001, 0.001), (0.2, 0.01), (0.02, 0.9), (0.999, 0.999)]


def likelihoods(agreement, one, pairs=PAIRS):
    values = np.array([agreement(one.with_shares(*pair))[0] for pair in pairs])
    return values - values[0]


def test_agreement_is_the_density_of_the_wave_s_answers():
    """With an estimate y of variance W^-1 the answers' density is that of a Gaussian, up to what W alone says."""
    wave, rest, center = known(0), known(5), np.array([0.3, 0.1, 0, -0.1, 0, 0.2])
    series = Series(("a",), np.array([1.5]), [[wave]])
    estimate, noise = np.linalg.solve(wave.matrix, wave.linear), np.linalg.inv(wave.matrix)
    mean, covariance = np.linalg.solve(rest.matrix, rest.linear), np.linalg.inv(rest.matrix)
    expected = []
    for pair in PAIRS:
        share = np.where(IS_LEVEL, *pair)
        A = np.diag(np.sqrt(1 - share))
        of_wave = center + A @ (mean - center)
        scatter = A @ covariance @ A + np.diag(1.5 * share * SPREAD) + noise
        expected.append(multivariate_normal.logpdf(estimate, of_wave, scatter))
    found = likelihoods(AgreementOfWave(series, drift(1), [rest], DEGREES, [center]), drift(1))
    np.testing.assert_allclose(found, np.array(expected) - expected[0], rtol=1e-6, atol=1e-8)
    again = likelihoods(AgreementOfSeries(series, [rest], DEGREES, [center]), drift(1))
    np.testing.assert_allclose(again, found, rtol=1e-6, atol=1e-8)


def test_both_ways_agree_where_a_wave_knows_little():
    matrix = known(2, rank=2).matrix  # of two directions something, of four nothing
    series = Series(("a",), np.ones(1), [[Quadratic(matrix, matrix @ np.linspace(-0.5, 0.5, SIZE))]])
    told = series, [known(5)], DEGREES, [np.full(SIZE, 0.1)]
    found = likelihoods(AgreementOfWave(series, drift(1), *told[1:]), drift(1))
    np.testing.assert_allclose(found, likelihoods(AgreementOfSeries(*told), drift(1)), rtol=1e-5, atol=1e-7)


def survey_and_wave(share, n_questions=60, n_links=1, far=()):
    """Coefficients of a survey known well, and of waves; those of the questions `far` have nothing to do with it."""
    generator = np.random.default_rng(0)
    precise = 1e4 * np.eye(SIZE)
    rest, waves = [], [[] for _ in range(n_links)]
    for q in range(n_questions):
        own = 1.0 if q in far else share
        b = np.sqrt(SPREAD) * generator.normal(size=SIZE)
        rest.append(Quadratic(precise + np.diag(1 / SPREAD), precise @ b))
        state = np.sqrt(1 - own) * b
        for link in reversed(range(n_links)):
            state = state + np.sqrt(own * SPREAD) * generator.normal(size=SIZE)
            waves[link].append(Quadratic(precise, precise @ state))
    names = tuple("abc"[:n_links])
    return Series(names, np.ones(n_links), waves), rest


def learn(series, rest):
    n = len(rest)
    start = drift(len(series.names))
    start = type(start).start(start.spread, start.spread_levels, n_links=len(series.names), n_questions=n)
    return learned_shares(series, start, rest, DEGREES * n, [np.zeros(SIZE)] * n)


@pytest.mark.parametrize("n_links", [1, 2])
@pytest.mark.parametrize("share", [0.001, 0.07, 0.999])
def test_shares_are_found(share, n_links):
    found = learn(*survey_and_wave(share, n_links=n_links))
    assert (found.weights.argmax(axis=1) == np.abs(GRID - share).argmin()).all()
    assert found.own.sum(axis=2).mean() < 0.15
    drawn = found.drawn(np.random.default_rng(0))
    assert set(drawn.common) <= set(GRID)


def test_a_question_that_is_another_is_let_go_by_itself():
    found = learn(*survey_and_wave(0.005, far={7}))
    assert (found.common < 0.02).all()
    assert found.own.sum(axis=2)[0, 7] > 0.99
    assert (found.shares[0, 7] > 0.3).all()
    assert np.delete(found.shares[0], 7, axis=0).max() < 0.05
    drawn = [found.drawn(np.random.default_rng(seed)).shares[0, 7, 0] for seed in range(30)]
    assert len(set(drawn)) > 1


def test_where_nobody_answered_every_share_is_as_likely_as_before():
    nobody = Quadratic(np.zeros((SIZE, SIZE)), np.zeros(SIZE))
    found = learn(Series(("a",), np.ones(1), [[nobody]]), [known(5)])
    np.testing.assert_allclose(found.own.sum(), OWN_PROBABILITY, atol=1e-9)
    np.testing.assert_allclose(found.weights.sum(axis=1), 1.0)
    assert found.weights.min() > 0.03
