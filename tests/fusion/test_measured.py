"""What was measured of fusion on recorded answers of language models holds."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.fusion import LOGIT, NO_MODEL, baselines, fuse, read_recorded
from benchmarks.intervals import ranks
from surveysim.metrics import js_divergence

pytestmark = pytest.mark.realdata


def test_gpt_4_by_party_is_within_the_target_and_better_than_any_model_without_it(survey_data):
    recorded = read_recorded(survey_data)["express_distribution", "gpt-4", "POLPARTY"]
    assert len(recorded.questions) == 98
    for n, target in ((10, 0.025), (20, 0.016), (50, 0.0075)):
        P, about = fuse(recorded, n, draw=1)
        js = js_divergence(recorded.human, P)
        without = baselines(recorded, n, draw=1)
        assert js < 1.03 * target  # the target is for the mean of three draws
        assert js < js_divergence(recorded.human, without[LOGIT])
        assert js < js_divergence(recorded.human, without[NO_MODEL])
        assert 0.7 < about["gap_inflation"] < 1.1
        assert about["worth"] > 2


def test_log_probabilities_are_believed_less_than_verbalised_answers(survey_data):
    everything = read_recorded(survey_data)
    slopes = {
        method: fuse(everything[method, "gpt-4", "SEX"], 20, draw=1)[1]["gap_inflation"]
        for method in ("express_distribution", "model_logprobs")
    }
    assert slopes["model_logprobs"] < 0.5 * slopes["express_distribution"]


def test_cells_without_usable_answers_are_left_empty(survey_data):
    recorded = read_recorded(survey_data)["express_distribution", "anthropic_opus", "POLPARTY"]
    empty = np.isnan(recorded.elicited).all(axis=1)
    assert 20 < empty.sum() < 60
    np.testing.assert_allclose(np.nansum(recorded.elicited[~empty], axis=1), 1.0)


def test_ranks_of_a_perfect_model_are_uniform():
    generator = np.random.default_rng(0)
    P = generator.dirichlet(np.ones(4), 300)
    n = generator.integers(50, 90, 300)
    Y = np.array([generator.multinomial(size, p) / size for size, p in zip(n, P, strict=True)])
    u = ranks(np.repeat(P[None], 200, axis=0), Y, n, generator)
    assert ((u >= 0.05) & (u <= 0.95)).mean() == pytest.approx(0.9, abs=0.02)
    assert u.mean() == pytest.approx(0.5, abs=0.03)
