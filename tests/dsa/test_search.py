"""What held-out respondents must say before the search leaves a default."""

from __future__ import annotations

import numpy as np
import pytest

from surveysim.dsa.search import REFERENCE_ERRORS, Search
from surveysim.dsa.trainer import Candidate


@pytest.mark.parametrize(
    ("gain", "n_errors", "leaves"), [(1.5, 1.0, True), (1.5, REFERENCE_ERRORS, False), (2.5, 2.0, True)]
)
def test_a_reference_needs_two_standard_errors_to_replace_the_baselines(gain, n_errors, leaves):
    default, other = Candidate("baseline", 1.5), Candidate("zero-shot", 1.5)
    noise = np.array([1.0, -1.0] * 5)
    error = noise.std(ddof=1) * np.sqrt(10)  # of a sum over ten questions
    search = Search.__new__(Search)
    search._train = lambda candidates: None  # both have been
    search._losses = {default: np.full((1, 10), 5.0), other: (5.0 - gain * error / 10 + noise)[None]}
    assert search._prefer(default, [other], n_errors) == (other if leaves else default)
