"""Option contrasts against textbook tables of orthogonal polynomials, and their defining properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from surveysim.contrasts import option_contrasts
from surveysim.questions import Question

# Fisher and Yates, Statistical Tables, table XXIII: integer coefficients of orthogonal polynomials
FISHER_YATES = {
    2: [[-1, 1]],
    3: [[-1, 0, 1], [1, -2, 1]],
    4: [[-3, -1, 1, 3], [1, -1, -1, 1], [-1, 3, -3, 1]],
    5: [[-2, -1, 0, 1, 2], [2, -1, -2, -1, 2], [-1, 2, 0, -2, 1], [1, -4, 6, -4, 1]],
}


def assert_basis(contrasts: np.ndarray, n_options: int) -> None:
    """Orthonormal rows that, with the constant, span everything."""
    assert contrasts.shape == (n_options - 1, n_options)
    np.testing.assert_allclose(contrasts @ contrasts.T, np.eye(n_options - 1), atol=1e-10)
    np.testing.assert_allclose(contrasts.sum(axis=1), 0, atol=1e-10)


@pytest.mark.parametrize("n_options", FISHER_YATES)
def test_equally_spaced_options_have_the_polynomials_of_the_tables(n_options):
    contrasts, degree = option_contrasts(np.arange(1.0, n_options + 1))
    expected = np.array(FISHER_YATES[n_options], dtype=float)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(contrasts, expected, atol=1e-12)
    np.testing.assert_array_equal(degree, range(1, n_options))


def test_unequal_spacing_by_hand():
    # positions 0, 1, 3: centred -4/3, -1/3, 5/3; the quadratic is orthogonal to (1, 1, 1) and (-4, -1, 5): (2, -3, 1)
    contrasts, _ = option_contrasts(np.array([0.0, 1.0, 3.0]))
    np.testing.assert_allclose(contrasts[0], np.array([-4, -1, 5]) / np.sqrt(42), atol=1e-12)
    np.testing.assert_allclose(contrasts[1], np.array([2, -3, 1]) / np.sqrt(14), atol=1e-12)


def test_falling_positions_turn_the_linear_contrast_round():
    rising, _ = option_contrasts(np.array([1.0, 2.0, 3.0, 4.0]))
    falling, _ = option_contrasts(np.array([4.0, 3.0, 2.0, 1.0]))
    np.testing.assert_allclose(falling[0], -rising[0], atol=1e-12)
    np.testing.assert_allclose(falling[1], rising[1], atol=1e-12)


def test_pinned_options_take_no_part_in_the_polynomials():
    question = Question("Q?", ["a", "b", "c", "don't know", "refused"], pinned=["don't know", "refused"])
    contrasts, degree = option_contrasts(question.positions)
    assert_basis(contrasts, 5)
    np.testing.assert_array_equal(degree, [1, 2, 0, 0])
    np.testing.assert_allclose(contrasts[:2, :3], option_contrasts(np.arange(1.0, 4.0))[0], atol=1e-12)
    np.testing.assert_allclose(contrasts[:2, 3:], 0)


def test_nominal_options_know_no_order():
    contrasts, degree = option_contrasts(np.full(4, np.nan))
    assert_basis(contrasts, 4)
    np.testing.assert_array_equal(degree, 0)


@given(
    gaps=st.lists(st.floats(0.5, 3.0), min_size=1, max_size=10),
    start=st.floats(-1000, 1000),
    falls=st.booleans(),
    pinned=st.integers(0, 3),
)
def test_always_an_orthonormal_basis(gaps, start, falls, pinned):
    scale = start + np.concatenate([[0.0], np.cumsum(gaps)])
    positions = np.concatenate([scale[::-1] if falls else scale, np.full(pinned, np.nan)])
    contrasts, degree = option_contrasts(positions)
    assert_basis(contrasts, len(positions))
    np.testing.assert_array_equal(degree, [*range(1, len(scale)), *[0] * pinned])


@given(n_options=st.integers(2, 12), shift=st.floats(-100, 100), stretch=st.floats(0.1, 10))
def test_units_of_the_scale_do_not_matter(n_options, shift, stretch):
    positions = np.arange(1.0, n_options + 1)
    np.testing.assert_allclose(
        option_contrasts(positions)[0], option_contrasts(shift + stretch * positions)[0], atol=1e-6
    )


def test_a_distribution_linear_in_the_positions_has_only_the_linear_contrast():
    positions = np.array([0.0, 1.0, 2.5, 7.0])
    contrasts, _ = option_contrasts(positions)
    components = contrasts @ (3.0 + 2.0 * positions)
    assert components[0] > 0
    np.testing.assert_allclose(components[1:], 0, atol=1e-10)
