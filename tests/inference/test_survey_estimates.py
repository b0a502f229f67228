"""Design-based estimates: against samplics (values kept here), formulas of textbooks, and simulated surveys."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from surveysim import Question
from surveysim.inference import survey_estimates
from surveysim.tables import ReplicateWeights

YES_NO = {"y": Question("Yes?", ["yes", "no"], codes=[1, 0])}
SCALE = {
    "q": Question("How much?", ["none", "some", "much", "don't know"], pinned=["don't know"], values=[0, 1, 4, None])
}


def small_survey():
    """60 respondents: 3 strata of 4 clusters of 5, weights that vary between and within strata."""
    stratum = np.repeat([1, 2, 3], 20)
    cluster = np.repeat(np.arange(12), 5)
    weight = np.array([1.0, 2.0, 4.0])[stratum - 1] * np.tile([1, 1.5, 0.5, 2, 1], 12)
    y = ((np.arange(60) * 7 + cluster * 3) % 5 < 2).astype(int)
    group = np.tile(["a", "b", "a"], 20)
    return pd.DataFrame({"stratum": stratum, "cluster": cluster, "w": weight, "y": y, "g": group})


def yes(table):
    """The rows of the option yes, in shares."""
    rows = table[table["option"] == "yes"]
    return rows.assign(**{name: rows[name] / 100 for name in ("share", "se", "lower", "upper") if name in rows})


class TestAgainstSamplics:
    """``TaylorEstimator(PopParam.mean)`` of samplics 0.6.1 on `small_survey`."""

    design = {"weights": "w", "strata": "stratum", "cluster": "cluster"}

    def test_everybody(self):
        row = yes(survey_estimates(small_survey(), YES_NO, **self.design)).iloc[0]
        assert row["share"] == pytest.approx(0.41369047619047616)
        assert row["se"] == pytest.approx(0.04555937501271839)

    def test_finite_population(self):
        row = yes(survey_estimates(small_survey(), YES_NO, fpc={1: 10, 2: 20, 3: 40}, **self.design)).iloc[0]
        assert row["se"] == pytest.approx(0.04248765993986411)
        fractions = survey_estimates(small_survey(), YES_NO, fpc={1: 0.4, 2: 0.2, 3: 0.1}, **self.design)
        assert yes(fractions).iloc[0]["se"] == pytest.approx(row["se"])

    def test_groups_keep_the_whole_design(self):
        rows = yes(survey_estimates(small_survey(), YES_NO, by="g", **self.design))
        np.testing.assert_allclose(rows["share"], [0.38009049773755654, 0.4782608695652174])
        np.testing.assert_allclose(rows["se"], [0.070747574272453, 0.12633257734046244])
        rows = yes(survey_estimates(small_survey(), YES_NO, by="g", fpc={1: 10, 2: 20, 3: 40}, **self.design))
        np.testing.assert_allclose(rows["se"], [0.06644142900328712, 0.11830592018499841])


class TestByHand:
    def test_simple_random_sample(self):
        data = pd.DataFrame({"y": [1] * 30 + [0] * 70})
        row = yes(survey_estimates(data, YES_NO)).iloc[0]
        assert row["se"] == pytest.approx(np.sqrt(0.3 * 0.7 / 99))
        assert row["deff"] == pytest.approx(1)
        assert row["effective_respondents"] == pytest.approx(100)
        q = t.ppf(0.95, 99) ** 2 / 99  # Wilson at p (1 - p) / variance = 99
        half = np.sqrt(q * (0.21 + q / 4)) / (1 + q)
        np.testing.assert_allclose([row["lower"], row["upper"]], (0.3 + q / 2) / (1 + q) + np.array([-half, half]))

    def test_stratified_with_finite_population(self):
        # Cochran's (5.10): V = sum W_h^2 (1 - f_h) p_h q_h / (n_h - 1)
        data = pd.DataFrame({"s": ["u"] * 10 + ["r"] * 20, "y": [1] * 4 + [0] * 6 + [1] * 15 + [0] * 5})
        data["w"] = np.where(data["s"] == "u", 30 / 10, 100 / 20)
        row = yes(survey_estimates(data, YES_NO, weights="w", strata="s", fpc={"u": 30, "r": 100})).iloc[0]
        u, r = 30 / 130, 100 / 130
        variance = u**2 * (1 - 1 / 3) * 0.4 * 0.6 / 9 + r**2 * (1 - 0.2) * 0.75 * 0.25 / 19
        assert row["se"] == pytest.approx(np.sqrt(variance))

    def test_independent_groups_differ_with_the_sum_of_variances(self):
        data = pd.DataFrame({"s": ["u"] * 40 + ["r"] * 60, "y": [1] * 10 + [0] * 30 + [1] * 45 + [0] * 15})
        row = survey_estimates(data, YES_NO, by="s", strata="s", difference={"s": ("r", "u")}).iloc[0]
        assert (row["s"], row["option"], row["respondents"]) == ("r - u", "yes", 100)
        assert row["share"] == pytest.approx(50)
        error = 100 * np.sqrt(0.25 * 0.75 / 39 + 0.75 * 0.25 / 59)
        assert row["se"] == pytest.approx(error)
        assert row["upper"] - row["lower"] == pytest.approx(2 * t.ppf(0.95, 98) * error, rel=0.03)

    def test_a_panel_knows_a_trend_better_than_two_samples(self):
        first = np.array([1] * 40 + [0] * 60)
        second = np.where(np.arange(100) < 10, 1 - first, first)  # ten change their minds
        data = pd.DataFrame({"wave": [2020] * 100 + [2024] * 100, "y": [*first, *second], "person": [*range(100)] * 2})
        panel = survey_estimates(data, YES_NO, by="wave", cluster="person", difference="wave").iloc[0]
        apart = survey_estimates(data, YES_NO, by="wave", difference="wave").iloc[0]
        assert panel["wave"] == "2024 - 2020"
        assert panel["share"] == pytest.approx(-10)
        assert panel["se"] == pytest.approx(100 * np.sqrt(0.1 * 0.9 / 99))
        assert apart["se"] > 2 * panel["se"]

    def test_differences_within_the_groups_of_another_column(self):
        data = pd.DataFrame({"wave": [1] * 40 + [2] * 40, "sex": ["f", "m"] * 40, "y": [1, 0] * 20 + [1, 1, 0, 0] * 10})
        table = survey_estimates(data, YES_NO, by=["sex", "wave"], difference="wave")
        rows = table[table["option"] == "yes"]
        assert rows[["sex", "wave"]].to_numpy().tolist() == [["f", "2 - 1"], ["m", "2 - 1"]]
        assert rows["share"].tolist() == pytest.approx([-50, 50])

    def test_mean_leaves_out_pinned_options(self):
        data = pd.DataFrame({"q": [1, 1, 2, 3, 4, 4]})
        row = survey_estimates(data, SCALE, statistic="mean").iloc[0]
        assert row["mean"] == pytest.approx(5 / 4)
        assert row["respondents"] == 4
        # in a sample of six, those of the group of four that have a position: sum (v - m)^2 / 4^2, 6 / 5
        assert row["se"] == pytest.approx(np.sqrt(((np.array([0, 0, 1, 4]) - 1.25) ** 2).sum() / 16 * 6 / 5))

    def test_a_difference_has_an_interval_where_all_agree(self):
        data = pd.DataFrame({"s": ["u"] * 20 + ["r"] * 20, "y": 1})
        row = survey_estimates(data, YES_NO, by="s", difference={"s": ("u", "r")}).iloc[0]
        q = t.ppf(0.95, 19) ** 2 / 20
        assert row["se"] == 0
        np.testing.assert_allclose([row["lower"], row["upper"]], [-100 * q / (1 + q), 100 * q / (1 + q)])

    def test_differences_of_small_groups_hold_what_they_say(self):
        rng = np.random.default_rng(0)
        held = []
        for _ in range(400):
            y = rng.random(40) < np.repeat([0.1, 0.3], 20)
            data = pd.DataFrame({"g": ["a"] * 20 + ["b"] * 20, "y": y.astype(int)})
            row = survey_estimates(data, YES_NO, by="g", difference="g").iloc[0]
            held.append(row["lower"] <= 20 <= row["upper"])
        assert 0.88 <= np.mean(held) <= 0.96  # somewhat wide

    def test_nobody_and_everybody_have_an_interval(self):
        table = survey_estimates(pd.DataFrame({"y": [1] * 50}), YES_NO)
        assert table["se"].tolist() == [0, 0]
        q = t.ppf(0.95, 49) ** 2 / 50
        np.testing.assert_allclose(table["lower"], [100 / (1 + q), 0])
        np.testing.assert_allclose(table["upper"], [100, 100 * q / (1 + q)])

    def test_questions_asked_in_one_wave_only(self):
        data = pd.DataFrame({"wave": [1, 1, 2, 2], "y": [1, 0, 1, 1], "z": [None, None, 1, 0]})
        answers = YES_NO | {"z": Question("Z?", ["yes", "no"], codes=[1, 0])}
        table = survey_estimates(data, answers, by="wave")
        assert table.groupby("question")["wave"].unique().map(list).to_dict() == {"y": [1, 2], "z": [2]}


class TestReplicates:
    """Each method on data whose variance is known in another way."""

    def test_delete_one_jackknife_of_a_mean(self):
        data = pd.DataFrame({"y": [1] * 12 + [0] * 28, "w": 1.0})
        replicates = (1 - np.eye(40)) * 40 / 39
        row = yes(survey_estimates(data, YES_NO, weights="w", replicate_weights=ReplicateWeights(replicates, "JK1")))
        assert row.iloc[0]["se"] == pytest.approx(np.sqrt(0.3 * 0.7 / 39))  # the jackknife of a mean is exact

    def test_stratified_jackknife(self):
        data = pd.DataFrame({"s": ["u"] * 10 + ["r"] * 20, "y": [1] * 4 + [0] * 6 + [1] * 15 + [0] * 5})
        data["w"] = np.where(data["s"] == "u", 3.0, 5.0)
        replicates = np.tile(data["w"].to_numpy()[:, None], 30)
        for r in range(30):
            own = (data["s"] == data["s"][r]).to_numpy()
            replicates[own, r] *= own.sum() / (own.sum() - 1)
            replicates[r, r] = 0
        rscales = np.where(data["s"] == "u", 9 / 10, 19 / 20)
        given = ReplicateWeights(replicates, "JKn", rscales=rscales)
        row = yes(survey_estimates(data, YES_NO, weights="w", replicate_weights=given)).iloc[0]
        linear = yes(survey_estimates(data, YES_NO, weights="w", strata="s")).iloc[0]
        assert row["se"] == pytest.approx(linear["se"])

    @pytest.mark.parametrize(("method", "rho"), [("BRR", None), ("Fay", 0.5)])
    def test_balanced_repeated_replication(self, method, rho):
        # 4 strata of 2 units with equal totals: the half-samples of a Hadamard matrix give the linearised variance
        hadamard = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]])
        data = pd.DataFrame({"s": np.repeat([0, 1, 2, 3], 2), "y": [1, 0, 1, 1, 0, 0, 1, 0], "w": 1.0})
        step = 1 - (rho or 0)
        replicates = np.ones((8, 4))
        for h in range(4):
            replicates[2 * h] += step * hadamard[:, h]
            replicates[2 * h + 1] -= step * hadamard[:, h]
        given = ReplicateWeights(replicates, method, fay_rho=rho)
        row = yes(survey_estimates(data, YES_NO, weights="w", replicate_weights=given)).iloc[0]
        linear = yes(survey_estimates(data, YES_NO, weights="w", strata="s")).iloc[0]
        assert row["se"] == pytest.approx(linear["se"])

    def test_bootstrap(self):
        rng = np.random.default_rng(0)
        data = pd.DataFrame({"y": [1] * 60 + [0] * 140, "w": 2.0})
        factors = rng.multinomial(200, np.full(200, 1 / 200), 2000).T
        given = ReplicateWeights(factors, "bootstrap", combined=False)
        row = yes(survey_estimates(data, YES_NO, weights="w", replicate_weights=given)).iloc[0]
        assert row["se"] == pytest.approx(np.sqrt(0.3 * 0.7 / 200), rel=0.05)

    def test_columns_by_pattern(self):
        data = pd.DataFrame({"y": [1, 0, 1, 0], "w": 1.0, "rep1": [0, 2, 0, 2], "rep2": [2, 0, 2, 0], "report": "x"})
        one = survey_estimates(data, YES_NO, weights="w", replicate_weights=ReplicateWeights("rep[0-9]*", "BRR"))
        other = survey_estimates(data, YES_NO, weights="w", replicate_weights=ReplicateWeights(["rep1", "rep2"], "BRR"))
        pd.testing.assert_frame_equal(one, other)
        assert one["se"].tolist() == [50, 50]


class TestCoverage:
    def test_small_clustered_samples(self):
        rng = np.random.default_rng(0)
        towns = rng.beta(3, 7, 500)
        held = []
        for _ in range(300):
            drawn = rng.choice(500, 15)
            data = pd.DataFrame({"town": np.repeat(np.arange(15), 10)})
            data["y"] = (rng.random(150) < np.repeat(towns[drawn], 10)).astype(int)
            row = yes(survey_estimates(data, YES_NO, cluster="town")).iloc[0]
            held.append(row["lower"] <= towns.mean() <= row["upper"])
        assert 0.87 <= np.mean(held) <= 0.94


class TestLonelyUnits:
    data = pd.DataFrame({"s": [1] * 10 + [2] * 10 + [3], "y": [1, 0] * 10 + [1]})

    def test_fail_is_the_default_and_names_them(self):
        with pytest.raises(ValueError, match=r"single respondent have no variance: \[3\].*lonely='centre'"):
            survey_estimates(self.data, YES_NO, strata="s")

    def test_certainty_adds_nothing_and_centre_something(self):
        p = 11 / 21
        parts = 2 * 10 / 9 * (5 * (1 - p) ** 2 + 5 * p**2 - 10 * (0.5 - p) ** 2)
        certain = yes(survey_estimates(self.data, YES_NO, strata="s", lonely="certainty")).iloc[0]
        centred = yes(survey_estimates(self.data, YES_NO, strata="s", lonely="centre")).iloc[0]
        assert certain["se"] == pytest.approx(np.sqrt(parts) / 21)
        assert centred["se"] == pytest.approx(np.sqrt(parts + (1 - p) ** 2) / 21)


class TestBadInput:
    data = small_survey()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (
                {"fpc": {1: 3, 2: 20, 3: 40}, "strata": "stratum", "cluster": "cluster"},
                "stratum 1 has 3 sampling units",
            ),
            ({"fpc": {1: 3}, "strata": "stratum"}, r"fpc lacks the strata \[2, 3\]"),
            ({"fpc": -1}, "positive"),
            ({"fpc": "w", "strata": "stratum"}, "fpc differs within the stratum 1"),
            ({"lonely": "adjust"}, "lonely must be one of"),
            ({"level": 90}, "level must be between 0 and 1"),
            ({"statistic": "median"}, "statistic must be one of"),
            ({"by": "nowhere"}, "by: data has no column 'nowhere'"),
            ({"by": "g", "difference": "stratum"}, "must be one of the columns of by"),
            ({"by": "g", "difference": {"g": ("a", "z")}}, "has no level 'z'"),
            ({"weights": "nowhere"}, "is not a column"),
            ({"replicate_weights": ReplicateWeights(np.ones((60, 4)), "BRR")}, "need weights="),
            (
                {"weights": "w", "strata": "stratum", "replicate_weights": ReplicateWeights(np.ones((60, 4)), "BRR")},
                "leave out strata",
            ),
            ({"weights": "w", "replicate_weights": ReplicateWeights(np.ones((59, 4)), "BRR")}, "59 rows, data has 60"),
            ({"weights": "w", "replicate_weights": ReplicateWeights("rw*", "BRR")}, "no column of data matches"),
            (
                {"weights": "w", "replicate_weights": ReplicateWeights(np.ones((60, 4)), "JKn", rscales=[1, 1])},
                "rscales must be 4",
            ),
        ],
    )
    def test_says_what_is_wrong(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            survey_estimates(self.data, YES_NO, **arguments)

    def test_replicate_weights_say_how_they_were_made(self):
        with pytest.raises(TypeError, match="ReplicateWeights"):
            survey_estimates(self.data, YES_NO, weights="w", replicate_weights=np.ones((60, 4)))
        with pytest.raises(ValueError, match="fay_rho"):
            ReplicateWeights("r*", "Fay")
        with pytest.raises(ValueError, match="needs rscales"):
            ReplicateWeights("r*", "JKn")

    def test_a_difference_is_of_two_levels(self):
        with pytest.raises(TypeError, match="two levels, the first less the second"):
            survey_estimates(self.data, YES_NO, by="g", difference={"g": "a"})
        with pytest.raises(TypeError, match="a column, or a mapping"):
            survey_estimates(self.data, YES_NO, by="g", difference=["g"])

    def test_means_need_an_order(self):
        nominal = {"y": Question("Yes?", ["yes", "no"], codes=[1, 0], ordinal=False)}
        with pytest.raises(ValueError, match="nominal"):
            survey_estimates(self.data, nominal, statistic="mean")
