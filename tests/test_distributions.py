"""Arrays of distributions: what passes, what is refused with which words, and rows that may be missing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from surveysim.distributions import check_distributions, option_mask, pad_distributions, renormalize

NAN = np.nan


@st.composite
def ragged(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Distributions of 2 to 5 options side by side, and their numbers of options."""
    n_options = np.array(draw(st.lists(st.integers(2, 5), min_size=1, max_size=8)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return pad_distributions([rng.dirichlet(np.ones(k)) for k in n_options]), n_options


@given(ragged(), st.randoms(use_true_random=False))
def test_missing_rows_stay_and_the_others_are_checked_as_ever(made, random) -> None:
    P, n_options = made
    np.testing.assert_array_equal(check_distributions(P, n_options.tolist()), P)
    row = random.randrange(len(P))
    P[row] = NAN
    if (~np.isnan(P)).any():
        checked = check_distributions(P, n_options.tolist(), missing_rows=True)
        np.testing.assert_array_equal(checked, P)
        assert not np.shares_memory(checked, P)
    with pytest.raises(ValueError, match=f"Y: row {row} is all NaN"):
        check_distributions(P, n_options.tolist())


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([0.5, NAN, 0.5], "row 1 has NaN among its options"),
        ([0.5, 0.5, NAN], "row 1 has 2 options, but its question has 3"),
        ([0.5, 0.5, np.inf], "row 1 has an infinite entry"),
        ([0.5, 0.4, 0.2], "row 1 sums to 1.1"),
        ([1.2, -0.2, 0.0], "row 1 has a negative entry"),
        ([50, 30, 20], "whole numbers"),
        ([50.5, 29.5, 20], "look like percentages"),
    ],
)
def test_what_is_wrong_with_a_row_beside_a_missing_one(row: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=f"elicited: .*{message}"):
        check_distributions([[NAN] * 3, row], 3, "elicited", missing_rows=True)


def test_all_rows_may_be_missing() -> None:
    assert np.isnan(check_distributions([[NAN, NAN]], 2, missing_rows=True)).all()


def test_renormalize_keeps_padding_and_refuses_nothing_at_all() -> None:
    P = np.array([[2.0, 2.0, NAN], [1.0, 0.0, 3.0]])
    np.testing.assert_allclose(renormalize(P), [[0.5, 0.5, NAN], [0.25, 0, 0.75]])
    np.testing.assert_array_equal(option_mask(P), [[True, True, False], [True] * 3])
    with pytest.raises(ValueError, match="row 1 sums to zero"):
        renormalize(np.array([[1.0, 1.0], [0.0, 0.0]]))
