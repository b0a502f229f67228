"""Planning: Neyman's allocation by hand and by brute force, and precision against simulated surveys."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from surveysim import Question, tabulate
from surveysim.baselines import LogitRegressor
from surveysim.inference import plan_respondents
from surveysim.inference.allocation import allocate

YES_NO = {"y": Question("Yes?", ["yes", "no"])}


def pilot(n=10_000):
    """Half of the town and a tenth of the country say yes; towns are a fifth."""
    town, country = int(0.2 * n), int(0.8 * n)
    answers = [1, 2] * (town // 2) + ([1] + [2] * 9) * (country // 10)
    return pd.DataFrame({"place": ["town"] * town + ["country"] * country, "y": answers})


class TestAllocate:
    def test_best_of_all_whole_numbers(self):
        rng = np.random.default_rng(0)
        for _ in range(20):
            spread = rng.uniform(0.1, 1, 3)
            found = allocate(spread, np.ones(3), np.array([2, 1, 1]), 15)
            every = [n for n in product(range(1, 15), repeat=3) if sum(n) == 15 and n[0] >= 2]
            best = min(every, key=lambda n: float((spread**2 / np.array(n)).sum()))
            assert (spread**2 / found).sum() == pytest.approx((spread**2 / np.array(best)).sum())
            assert found.sum() == 15

    def test_dear_groups_get_fewer(self):
        n = allocate(np.array([1.0, 1.0]), np.array([4.0, 1.0]), np.array([1, 1]), 600)
        np.testing.assert_allclose(n, [100, 200], atol=1)  # n proportional to 1 / sqrt(cost)
        assert 600 - 1 < 4 * n[0] + n[1] <= 600

    def test_a_budget_below_the_minimum(self):
        with pytest.raises(
            ValueError, match="minimum number of respondents in all groups costs 20, but the budget is 15"
        ):
            allocate(np.ones(2), np.ones(2), np.array([10, 10]), 15)


class TestPlan:
    cells = tabulate(pilot(), ["place"], YES_NO)

    def test_neyman_by_hand(self):
        # .2 sqrt(.25) = .1 against .8 sqrt(.09) = .24
        plan = plan_respondents(self.cells, 340, by="place")
        assert plan.groups.set_index("place")["respondents"].to_dict() == {"country": 240, "town": 100}
        margin = 100 * norm.ppf(0.95) * np.sqrt(0.04 * 0.25 / 100 + 0.64 * 0.09 / 240)
        assert plan.precision["margin"].iloc[0] == pytest.approx(margin, rel=0.01)
        # in proportion the variance would be (.2 .25 + .8 .09) / m
        assert plan.equal_to == round(0.122 / (0.04 * 0.25 / 100 + 0.64 * 0.09 / 240))

    def test_groups_as_the_target(self):
        plan = plan_respondents(self.cells, 800, by="place", target="groups")
        assert plan.groups.set_index("place")["respondents"].to_dict() == {
            "country": 301,
            "town": 499,
        }  # sqrt(.09) to sqrt(.25)
        margins = plan.groups.set_index("place")["margin"]
        assert margins["town"] == pytest.approx(100 * norm.ppf(0.95) * np.sqrt(0.25 / 500), rel=0.01)

    def test_minimum_and_cost(self):
        plan = plan_respondents(self.cells, 500, by="place", cost={"town": 2.0}, minimum=150)
        assert plan.groups.set_index("place")["respondents"].to_dict() == {"country": 200, "town": 150}
        assert plan.spent == 500

    def test_can_300_replace_1000(self):
        plan = plan_respondents(self.cells, 300, by="place", compare=1000)
        assert plan.needed == pytest.approx(1000 * (0.1 + 0.24) ** 2 / 0.122, abs=2)
        assert "300 respondents: population ±" in repr(plan)
        assert f"cannot replace them for the population, which takes {plan.needed:,} respondents" in repr(plan)
        assert "can replace them" in repr(plan_respondents(self.cells, 980, by="place", compare=1000))

    def test_a_model_that_knows_saves_respondents(self):
        rng = np.random.default_rng(0)
        region = rng.integers(0, 20, 4000)
        answer = 2 - (rng.random(4000) < np.where(region < 10, 0.05, 0.95))
        data = pd.DataFrame({"region": region.astype(str), "y": answer})
        cells = tabulate(data, ["region"], YES_NO, folds=5)
        plan = plan_respondents(cells, 300, model=LogitRegressor(question=YES_NO), compare=1000)
        # of the variance .25 only .0475 are left: 300 are worth 1,579
        assert plan.equal_to == pytest.approx(300 * 0.25 / 0.0475, rel=0.1)
        assert plan.needed == pytest.approx(190, rel=0.1)
        assert plan.precision["margin"].iloc[0] < 0.5 * plan.precision["margin_sample"].iloc[0]
        # but not within a region, of which it knows one share
        cells_row = plan.precision.set_index("level").loc["cells"]
        assert cells_row["margin"] == cells_row["margin_sample"]

    def test_hard_questions_get_more_answers(self):
        data = pilot().assign(z=[1] * 9_900 + [2] * 100)
        answers = YES_NO | {"z": Question("Z?", ["yes", "no"])}
        plan = plan_respondents(tabulate(data, ["place"], answers), 1000, questions="apart")
        asked = plan.questions.set_index("question")["answers"]
        assert asked.sum() == 1000
        # sqrt of p (1 - p): y is .18 in all, z .01
        assert asked["y"] / asked["z"] == pytest.approx(np.sqrt(0.18 * 0.82 / (0.01 * 0.99)), rel=0.02)
        assert plan.unit == "answers"

    def test_weights_of_the_pilot_cost_respondents(self):
        data = pilot(1000).assign(w=np.repeat(np.tile([1.0, 3.0], 50), 10))
        plain = plan_respondents(tabulate(pilot(1000), ["place"], YES_NO), 300)
        weighted = plan_respondents(tabulate(data, ["place"], YES_NO, weights="w"), 300)
        # Kish: 1 + cv^2 = 1.25
        assert weighted.precision["margin"][0] == pytest.approx(plain.precision["margin"][0] * np.sqrt(1.25), rel=0.02)

    def test_margins_come_true(self):
        plan = plan_respondents(self.cells, 200, by="place")
        n = plan.groups.set_index("place")["respondents"]
        rng = np.random.default_rng(0)
        shares = 0.8 * rng.binomial(n["country"], 0.1, 4000) / n["country"]
        shares += 0.2 * rng.binomial(n["town"], 0.5, 4000) / n["town"]
        within = np.abs(shares - 0.18) <= plan.precision["margin"].iloc[0] / 100
        assert within.mean() == pytest.approx(0.9, abs=0.02)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"budget": 1}, "minimum number of respondents"),
            ({"cost": {"village": 2.0}}, r"cost names \['village'\]"),
            ({"cost": -1.0}, "cost must be positive"),
            ({"target": "cells"}, "target must be one of"),
            ({"minimum": 0}, "minimum must be at least 1"),
            ({"by": "sex"}, r"by names \['sex'\]"),
            ({"model": LogitRegressor(question=YES_NO)}, "folds=5"),
        ],
    )
    def test_bad_input(self, arguments, message):
        arguments = {"by": "place", "budget": 300} | arguments
        with pytest.raises(ValueError, match=message):
            plan_respondents(self.cells, **arguments)
