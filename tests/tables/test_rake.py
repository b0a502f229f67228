"""rake: margins met, the seed's odds ratios kept, contradictions named."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surveysim import rake

AGE = {"young": 0.4, "old": 0.6}
SEX = {"f": 0.52, "m": 0.48}


def test_without_a_seed_margins_are_independent():
    shares = rake({"age": AGE, "sex": SEX})
    assert list(shares.columns) == ["age", "sex", "share"]
    assert shares["age"].tolist() == ["young", "young", "old", "old"]
    np.testing.assert_allclose(shares["share"], [0.208, 0.192, 0.312, 0.288])


def test_percentages_counts_and_series():
    expected = rake({"age": AGE, "sex": SEX})
    percent = rake({"age": {"young": 40, "old": 60}, "sex": {"f": 52.0, "m": 48.0}})
    counts = rake({"age": pd.Series({"young": 4000, "old": 6000}), "sex": pd.Series({"f": 5200, "m": 4800})})
    pd.testing.assert_frame_equal(percent, expected)
    pd.testing.assert_frame_equal(counts, expected)


def test_rounded_shares_are_scaled_to_1():
    shares = rake({"g": {"a": 0.333, "b": 0.333, "c": 0.333}})
    np.testing.assert_allclose(shares["share"], 1 / 3)


def test_seed_by_hand():
    # a 2 x 2 table with odds ratio 4 and margins 1/2: x^2 / (1/2 - x)^2 = 4, so x = 1/3
    seed = pd.DataFrame({"age": ["young", "young", "old", "old"], "sex": ["f", "m", "f", "m"], "n": [40, 10, 30, 30]})
    half = {"age": {"young": 0.5, "old": 0.5}, "sex": {"f": 0.5, "m": 0.5}}
    shares = rake(half, seed=seed, tolerance=1e-12)
    np.testing.assert_allclose(shares["share"], [1 / 3, 1 / 6, 1 / 6, 1 / 3])


def test_joint_margins_are_kept_and_the_rest_is_independent_of_them():
    joint = {("young", "low"): 0.1, ("young", "high"): 0.3, ("old", "low"): 0.4, ("old", "high"): 0.2}
    shares = rake({("age", "educ"): joint, "sex": SEX})
    found = shares.set_index(["age", "educ", "sex"])["share"]
    for (age, educ), share in joint.items():
        for sex, margin in SEX.items():
            assert found[(age, educ, sex)] == pytest.approx(share * margin)


def test_a_joint_margin_as_a_series_in_any_order_of_columns():
    joint = pd.Series({("f", "old"): 0.32, ("f", "young"): 0.2, ("m", "old"): 0.28, ("m", "young"): 0.2})
    shares = rake({"age": AGE, ("sex", "age"): joint}).set_index(["age", "sex"])["share"]
    assert shares[("old", "f")] == pytest.approx(0.32)
    assert shares[("young", "m")] == pytest.approx(0.2)


def test_further_columns_of_the_seed_follow_the_seed():
    seed = pd.DataFrame({"sex": ["f", "f", "m"], "region": ["north", "south", "south"], "n": [1, 3, 4]})
    shares = rake({"sex": SEX}, seed=seed).set_index(["sex", "region"])["share"]
    assert shares[("f", "north")] == pytest.approx(0.52 / 4)
    assert shares[("f", "south")] == pytest.approx(0.52 * 3 / 4)
    assert shares[("m", "south")] == pytest.approx(0.48)
    assert ("m", "north") not in shares.index


def test_number_levels_stay_numbers():
    shares = rake({"educ": {1: 0.5, 2: 0.5}}, seed=pd.DataFrame({"educ": [1.0, 2.0, 2.0], "n": [1, 1, 1]}))
    assert shares["educ"].dtype.kind == "i"
    np.testing.assert_allclose(shares["share"], 0.5)


levels = st.integers(2, 4)


@settings(deadline=None, max_examples=60)
@given(shape=st.tuples(levels, levels, levels), seed=st.integers(0, 10_000))
def test_margins_are_met_and_odds_ratios_kept(shape, seed):
    rng = np.random.default_rng(seed)
    table = rng.uniform(0.2, 1, shape)
    table /= table.sum()
    names = ["a", "b", "c"]
    frame = pd.MultiIndex.from_product([range(k) for k in shape], names=names).to_frame(index=False)
    margins = {name: dict(enumerate(rng.dirichlet(np.full(k, 5.0)))) for name, k in zip(names, shape, strict=True)}
    shares = rake(margins, seed=frame.assign(share=table.ravel()), tolerance=1e-10)
    assert shares["share"].sum() == pytest.approx(1)
    for name, margin in margins.items():
        np.testing.assert_allclose(shares.groupby(name)["share"].sum(), list(margin.values()), atol=1e-9)
    raked = shares["share"].to_numpy().reshape(shape)

    def log_odds(x):
        return np.log(x[1:, 1:] * x[:1, :1] / (x[1:, :1] * x[:1, 1:]))

    np.testing.assert_allclose(log_odds(raked), log_odds(table), atol=1e-6)


class TestContradictions:
    def test_totals(self):
        with pytest.raises(ValueError, match="'sex' sums to 100, 'age' to 1000"):
            rake({"age": {"young": 400, "old": 600}, "sex": {"f": 52, "m": 48}})

    def test_joint_and_single(self):
        joint = {("young", "f"): 0.25, ("young", "m"): 0.25, ("old", "f"): 0.25, ("old", "m"): 0.25}
        with pytest.raises(ValueError, match=r"contradict each other.*after 1000 passes the margin of.*off by 0\.05"):
            rake({("age", "sex"): joint, "age": AGE})

    def test_rounding_can_be_allowed(self):
        joint = {("young", "f"): 0.2, ("young", "m"): 0.2, ("old", "f"): 0.3, ("old", "m"): 0.3}
        margins = {("age", "sex"): joint, "age": {"young": 0.402, "old": 0.598}}
        with pytest.raises(ValueError, match="raise tolerance"):
            rake(margins, max_iter=50)
        assert rake(margins, tolerance=0.005)["share"].sum() == pytest.approx(1)

    def test_levels(self):
        joint = {("young", "f"): 0.5, ("middle", "f"): 0.5}
        with pytest.raises(ValueError, match=r"column 'age' has levels \[\"'middle'\", \"'old'\"\] in one only"):
            rake({"age": AGE, ("age", "sex"): joint})

    def test_zeros_of_the_seed(self):
        seed = pd.DataFrame({"age": ["young", "old"], "sex": ["f", "m"], "n": [1, 1]})
        with pytest.raises(ValueError, match="seed's zeros"):  # young women and old men: both margins must be equal
            rake({"age": AGE, "sex": SEX}, seed=seed)

    def test_a_level_that_the_seed_lacks(self):
        seed = pd.DataFrame({"age": ["young", "young"], "sex": ["f", "m"], "n": [1, 1]})
        with pytest.raises(ValueError, match=r"margin of \['age'\] contradicts the seed"):
            rake({"age": AGE, "sex": SEX}, seed=seed)


@pytest.mark.parametrize(
    ("margins", "error", "message"),
    [
        ({}, ValueError, "margins is empty"),
        ([AGE], TypeError, "margins must be a mapping"),
        ({"age": [0.4, 0.6]}, TypeError, r"margins\['age'\] must be a mapping or Series"),
        ({"age": {"young": 0.4, "old": -0.6}}, ValueError, r"margins\['age'\]\['old'\] must be a share"),
        ({"age": {"young": 0.4, "old": np.nan}}, ValueError, r"margins\['age'\]\['old'\] must be a share"),
        ({"age": {"young": 0.4, "old": 0.3}}, ValueError, r"sums to 0\.7: shares must sum to 1"),
        ({"age": {"young": 0.9, "old": 0.6}}, ValueError, r"sums to 1\.5: shares must sum to 1"),
        ({"age": {"young": 0.0, "old": 0.0}}, ValueError, "sums to 0"),
        ({"age": {"young": 0.4, None: 0.6}}, ValueError, "missing level"),
        ({"age": {("young", "f"): 0.4, ("old", "f"): 0.6}}, ValueError, r"levels of \['age'\]"),
        ({("age", "sex"): AGE}, ValueError, r"levels of \['age', 'sex'\]"),
        ({("age", "age"): {("a", "b"): 1.0}}, ValueError, "columns must differ"),
        ({"share": {"a": 1.0}}, ValueError, "may be called 'share'"),
        ({"age": pd.Series([0.5, 0.5], index=["a", "a"])}, ValueError, "repeats 'a'"),
        ({f"v{i}": dict.fromkeys(range(100), 0.01) for i in range(5)}, ValueError, "10,000,000,000 cells"),
    ],
)
def test_refuses_margins(margins, error, message):
    with pytest.raises(error, match=message):
        rake(margins)


@pytest.mark.parametrize(
    ("seed", "error", "message"),
    [
        ([1], TypeError, "seed must be a pandas DataFrame"),
        (pd.DataFrame({"age": ["young"], "n": [1]}), ValueError, r"seed lacks the columns \['sex'\]"),
        (
            pd.DataFrame({"age": ["young"], "sex": ["x"], "n": [1]}),
            ValueError,
            "'x' in column 'sex', which is not a level",
        ),
        (pd.DataFrame({"age": ["young"], "sex": ["f"]}), ValueError, "one column 'share' or 'n'"),
        (
            pd.DataFrame({"age": ["young"], "sex": ["f"], "r": [None], "n": [1]}),
            ValueError,
            "missing values in column 'r'",
        ),
    ],
)
def test_refuses_seeds(seed, error, message):
    with pytest.raises(error, match=message):
        rake({"age": AGE, "sex": SEX}, seed=seed)


def test_refuses_settings():
    with pytest.raises(ValueError, match="tolerance must be positive"):
        rake({"age": AGE}, tolerance=0)
    with pytest.raises(ValueError, match="max_iter at least 1"):
        rake({"age": AGE}, max_iter=0)
