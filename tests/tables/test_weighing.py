"""Weights of respondents: by hand, against closed forms, and with what they cost."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surveysim import Question, rake, tabulate
from surveysim.tables import weigh_respondents

SEX = {"sex": {"f": 0.5, "m": 0.5}}
AGE = {"age": {"young": 0.3, "middle": 0.3, "old": 0.4}}


def survey(n=400, seed=0):
    """More women and old people than there are."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "sex": rng.choice(["f", "m"], n, p=[0.65, 0.35]),
            "age": rng.choice(["young", "middle", "old"], n, p=[0.15, 0.25, 0.6]),
            "w": rng.uniform(0.5, 2.0, n),
        }
    )


def margins_of(data, weight):
    return {
        column: data.assign(weight=np.asarray(weight)).groupby(column)["weight"].sum() / np.sum(weight)
        for column in ("sex", "age")
    }


class TestMethods:
    @pytest.mark.parametrize(
        ("method", "bounds"),
        [("raking", None), ("linear", None), ("linear", (0.3, 3)), ("logit", None), ("logit", (0.2, 4))],
    )
    def test_margins_are_reached(self, method, bounds):
        data = survey()
        result = weigh_respondents(data, SEX | AGE, method=method, bounds=bounds, weights="w")
        reached = margins_of(data, result.weights)
        for column, target in (SEX | AGE).items():
            for level, share in target.items():
                assert reached[column][level] == pytest.approx(share, abs=1e-6)
        assert result.weights.mean() == pytest.approx(1)
        factor = result.weights / (data["w"] / data["w"].mean())
        low, high = bounds or ((0.2, 5) if method == "logit" else (0, np.inf))
        assert factor.between(low - 1e-9, high + 1e-9).all()

    def test_raking_keeps_odds_ratios(self):
        data = survey()
        weight = weigh_respondents(data, SEX | AGE).weights
        raked = data.assign(weight=weight).groupby(["sex", "age"])["weight"].sum().unstack()
        before = data.groupby(["sex", "age"]).size().unstack()

        def odds(table):
            return table.loc["f", "young"] * table.loc["m", "old"] / table.loc["f", "old"] / table.loc["m", "young"]

        assert odds(raked) == pytest.approx(odds(before))

    def test_raking_weights_are_the_joint_table_raked(self):
        # the sample's own crossing as a seed gives the same cells
        data = survey()
        weight = weigh_respondents(data, SEX | AGE).weights
        cells = data.assign(share=np.asarray(weight) / len(data)).groupby(["sex", "age"])["share"].sum()
        seed = data.groupby(["sex", "age"]).size().rename("n").reset_index()
        joint = rake(SEX | AGE, seed=seed).set_index(["sex", "age"])["share"]
        pd.testing.assert_series_equal(cells.sort_index(), joint.sort_index(), atol=1e-5)

    def test_poststratification_by_hand(self):
        data = pd.DataFrame({"sex": ["f", "f", "f", "m"]})
        weights = weigh_respondents(data, SEX, method="poststratification").weights
        np.testing.assert_allclose(weights, [2 / 3, 2 / 3, 2 / 3, 2])

    def test_linear_is_the_regression_estimator(self):
        # sum w y = N (mean y + (population x - mean x)' b), b by least squares on the indicators
        data = survey()
        y = np.random.default_rng(1).normal(size=len(data))
        weights = weigh_respondents(data, SEX | AGE, method="linear").weights
        X = (
            np.column_stack([data["sex"] == "f", data["age"] == "young", data["age"] == "old", np.ones(len(data))])
            * 1.0
        )
        b, *_ = np.linalg.lstsq(X, y, rcond=None)
        expected = y.mean() + (np.array([0.5, 0.3, 0.4, 1.0]) - X.mean(axis=0)) @ b
        assert np.average(y, weights=weights) == pytest.approx(expected)

    @settings(max_examples=20)
    @given(seed=st.integers(0, 500))
    def test_what_already_fits_is_left_alone(self, seed):
        data = survey(seed=seed)
        own = {column: (data[column].value_counts() / len(data)).to_dict() for column in ("sex", "age")}
        np.testing.assert_allclose(weigh_respondents(data, own, method="logit").weights, 1.0, atol=1e-4)


class TestLongTables:
    long = pd.DataFrame(
        [("sex", "f", 0.5), ("sex", "m", 0.5), ("age", "young", 0.3), ("age", "middle", 0.3), ("age", "old", 0.4)],
        columns=["variable", "level", "share"],
    )

    def test_the_same_as_a_mapping(self):
        expected = rake(SEX | AGE)
        pd.testing.assert_frame_equal(rake(self.long), expected)
        indexed = self.long.set_index(["variable", "level"])
        pd.testing.assert_frame_equal(rake(indexed), expected)
        pd.testing.assert_frame_equal(rake(indexed["share"]), expected)

    def test_counts(self):
        counts = self.long.assign(n=(self.long["share"] * 1000).astype(int)).drop(columns="share")
        np.testing.assert_allclose(rake(counts)["share"], rake(self.long)["share"])

    def test_what_is_wrong_with_it(self):
        with pytest.raises(ValueError, match="columns 'variable', 'level' and one of"):
            rake(self.long.rename(columns={"level": "category"}))
        with pytest.raises(ValueError, match="repeats 'f'"):
            rake(pd.concat([self.long, self.long[:1]]))
        with pytest.raises(ValueError, match="index of two levels"):
            rake(pd.Series([0.5, 0.5], index=["f", "m"]))


class TestCost:
    def test_kish_before_and_after(self):
        data = pd.DataFrame({"sex": ["f"] * 75 + ["m"] * 25})
        result = rake(SEX, respondents=data)
        # weights 2/3 and 2: 100^2 / (75 4/9 + 25 4) = 75
        assert result.n_before == pytest.approx(100)
        assert result.n_effective == pytest.approx(75)
        assert "worth 75 respondents, 100 before: loss 25%" in repr(result)
        table = result.margins.set_index("level")
        assert table.loc["f", ["target", "before", "after"]].tolist() == pytest.approx([50, 75, 50])

    def test_trimming_states_its_loss(self):
        rng = np.random.default_rng(0)
        data = survey(seed=3).assign(w=np.exp(rng.normal(0, 1.2, 400)))
        free = rake(SEX | AGE, respondents=data, weights="w")
        result = rake(SEX | AGE, respondents=data, weights="w", trim=4)
        assert free.weights.max() > 6
        assert result.weights.max() <= 4 + 1e-9
        assert result.n_trimmed > 0
        assert result.n_untrimmed == pytest.approx(free.n_effective)
        assert result.n_effective > free.n_effective
        assert result.largest_gap < 0.1  # the others take over what was cut off
        assert f"{result.n_trimmed} weights trimmed: worth {free.n_effective:,.0f} without" in repr(result)

    def test_a_cap_that_margins_do_not_allow(self):
        data = pd.DataFrame({"sex": ["f"] * 95 + ["m"] * 5})
        with pytest.warns(UserWarning, match=r"trimming leaves sex = '[fm]' at .*raise trim"):
            result = rake(SEX, respondents=data, trim=3)
        assert result.weights.max() <= 3 + 1e-9

    def test_tabulate_takes_them(self):
        data = survey().assign(q=1)
        weights = rake(SEX, respondents=data)
        question = {"q": Question("Yes?", ["yes", "no"])}
        one = tabulate(data, ["sex"], question, weights=weights)
        np.testing.assert_array_equal(one.n, tabulate(data, ["sex"], question, weights=weights.weights).n)


class TestBadInput:
    data = survey()

    @pytest.mark.parametrize(
        ("margins", "arguments", "message"),
        [
            ({"region": {"n": 1.0}}, {}, "lack the columns"),
            ({"sex": {"f": 0.5, "m": 0.4, "x": 0.1}}, {}, "nobody in the sample has sex = 'x'"),
            ({"sex": {"f": 1.0}}, {}, "levels of sex that the margins lack, such as 'm'"),
            ({"sex": {"f": 1.0, "m": 0.0}}, {}, "sex = 'm' has a share of 0"),
            (SEX | AGE, {"method": "poststratification"}, "2 margins are for raking"),
            (SEX, {"method": "greg"}, "method must be one of"),
            (SEX, {"bounds": (0.5, 2)}, "bounds belong to"),
            (SEX, {"method": "logit", "bounds": (1.5, 2)}, "below 1"),
            (SEX, {"method": "logit", "bounds": (0.9, 1.1)}, "cannot be reached .*widen the bounds"),
            (SEX, {"trim": 0.9}, "trim must be above 1"),
            ({"sex": {"f": 0.02, "m": 0.98}, "age": {"young": 0.98, "middle": 0.01, "old": 0.01}},
             {"method": "linear"}, "negative weights in rows"),
        ],
    )  # fmt: skip
    def test_says_what_is_wrong(self, margins, arguments, message):
        with pytest.raises(ValueError, match=message):
            weigh_respondents(self.data, margins, **arguments)

    def test_missing_levels(self):
        data = self.data.assign(sex=self.data["sex"].where(self.data.index != 7))
        with pytest.raises(ValueError, match="sex is missing in row 7: impute it, or give these weight 0"):
            weigh_respondents(data, SEX)
        data["w"] = (data.index != 7).astype(float)
        assert weigh_respondents(data, SEX, weights="w").weights[7] == 0

    def test_rake_takes_one_or_the_other(self):
        with pytest.raises(ValueError, match="give one of the two"):
            rake(SEX, respondents=self.data, seed=self.data)
        with pytest.raises(ValueError, match="need respondents="):
            rake(SEX, weights="w")
