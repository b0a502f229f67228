"""Design effects: by hand, against statsmodels' cluster-robust variances, and as carried to cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from surveysim import Question, tabulate
from surveysim.tables import ReplicateWeights
from surveysim.tables.design import SampleDesign
from surveysim.tables.design_effects import carried_to_cells, design_effects
from surveysim.tables.share_variance import DomainAnswers, linearised_deviations, linearised_variances

YES_NO = Question("Yes?", ["yes", "no"])
RATING = Question("How good?", ["bad", "fair", "good"])


def clustered_survey(n=600, n_clusters=40, seed=0, effect=1.5):
    """Respondents of clusters that differ in their answers."""
    rng = np.random.default_rng(seed)
    cluster = rng.integers(0, n_clusters, n)
    latent = effect * rng.normal(size=n_clusters)[cluster] + rng.normal(size=n)
    return pd.DataFrame(
        {
            "all": "everyone",
            "group": rng.choice(["a", "b", "c"], n),
            "q": np.digitize(latent, [-0.5, 0.8]) + 1,
            "w": rng.uniform(0.3, 3.0, n),
            "cluster": cluster,
            "stratum": cluster % 5,
        }
    )


def all_answered(background):
    """Respondents of equal weight, all of whom answered."""
    return DomainAnswers(np.zeros(len(background), dtype=int), background, np.ones(len(background)), 2, 2)


class TestGivenDeff:
    data = pd.DataFrame({"g": ["a", "a", "b"], "q": [1, 2, 1], "p": [1, 1, 2], "w": [1.0, 3.0, 1.0]})
    answers = {"q": YES_NO, "p": YES_NO}

    def test_divides_every_cells_n(self):
        cells = tabulate(self.data, ["g"], self.answers, weights="w", deff=2)
        np.testing.assert_allclose(cells.n, [0.8, 0.5, 0.8, 0.5])
        assert cells.design_effect == {"q": 2.0, "p": 2.0}

    def test_by_question(self):
        cells = tabulate(self.data, ["g"], self.answers, weights="w", deff={"p": 1.6, "q": np.float64(1)})
        np.testing.assert_allclose(cells.n, [1.6, 1.0, 1.0, 0.625])

    def test_goes_before_clusters(self):
        data = clustered_survey()
        with_clusters = tabulate(data, ["group"], {"q": RATING}, weights="w", cluster="cluster", deff=1.5)
        without = tabulate(data, ["group"], {"q": RATING}, weights="w")
        np.testing.assert_allclose(with_clusters.n, without.n / 1.5)

    def test_is_1_when_nothing_is_said(self):
        assert tabulate(self.data, ["g"], self.answers).design_effect == {"q": 1.0, "p": 1.0}


class TestSampleDesignEffect:
    def test_by_hand(self):
        # Four clusters of two, y = (1,1), (1,0), (0,0), (1,1), p = 5/8. Cluster sums of y - p: 3/4, -1/4, -5/4, 3/4,
        # squares 9 + 1 + 25 + 9 = 44 / 16, times 4/3; simple 8 (3/8) (5/8) = 15/8, times 8/7.
        data = pd.DataFrame({"g": "a", "c": [1, 1, 2, 2, 3, 3, 4, 4], "q": [1, 1, 1, 2, 2, 2, 1, 1]})
        cells = tabulate(data, ["g"], {"q": YES_NO}, cluster="c")
        expected = (44 / 16 * 4 / 3) / (15 / 8 * 8 / 7)
        assert cells.design_effect["q"] == pytest.approx(expected)
        np.testing.assert_allclose(cells.n, 8 / expected)

    @pytest.mark.parametrize("weights", [None, "w"])
    def test_clusters_against_statsmodels(self, weights):
        data = clustered_survey()
        cells = tabulate(data, ["all"], {"q": RATING}, weights=weights, cluster="cluster")
        w = data["w"] if weights else np.ones(len(data))
        robust = 0.0
        for option in (1, 2, 3):
            model = sm.WLS((data["q"] == option).astype(float), np.ones(len(data)), weights=w)
            robust += model.fit(cov_type="cluster", cov_kwds={"groups": data["cluster"]}).bse.iloc[0] ** 2
        kish = w.sum() ** 2 / (w**2).sum()
        simple = (cells.Y * (1 - cells.Y)).sum() / kish * 600 / 599
        assert cells.design_effect["q"] == pytest.approx(robust / simple, rel=1e-9)
        assert cells.design_effect["q"] > 2  # the survey was made with strong clusters
        np.testing.assert_allclose(cells.n, kish * simple / (robust))

    def test_strata_by_the_textbook_formula(self):
        # proportionate strata: V = sum_h W_h^2 p_h (1 - p_h) / (n_h - 1) against p (1 - p) / (n - 1)
        data = pd.DataFrame({"g": "a", "s": ["u"] * 10 + ["r"] * 30, "q": [1] * 8 + [2] * 2 + [1] * 6 + [2] * 24})
        cells = tabulate(data, ["g"], {"q": YES_NO}, strata="s")
        stratified = (1 / 4) ** 2 * 0.8 * 0.2 / 9 + (3 / 4) ** 2 * 0.2 * 0.8 / 29
        simple = (14 / 40) * (26 / 40) / 39
        assert cells.design_effect["q"] == pytest.approx(stratified / simple)
        assert cells.design_effect["q"] < 1
        np.testing.assert_allclose(cells.n, 40 * simple / stratified)

    @settings(deadline=None, max_examples=40)
    @given(seed=st.integers(0, 10_000), n_strata=st.integers(1, 4), lonely=st.booleans())
    def test_strata_and_clusters_against_plain_loops(self, seed, n_strata, lonely):
        rng = np.random.default_rng(seed)
        n = 60
        cluster = rng.integers(0, 12, n)
        stratum = cluster % n_strata
        if lonely:
            stratum[cluster == 0] = 9
        option = rng.integers(0, 4, n)  # 3 is a missing answer
        weight = rng.uniform(0.5, 2, n)
        design = SampleDesign.of(pd.Series(stratum), pd.Series(cluster))
        answered = option < 3
        W = weight[answered].sum()
        variance = 0.0
        for k in range(3):
            p = weight[option == k].sum() / W
            residual = np.where(answered, weight * ((option == k) - p), 0.0) / W
            totals = {
                h: [residual[(stratum == h) & (cluster == c)].sum() for c in np.unique(cluster[stratum == h])]
                for h in np.unique(stratum)
            }
            everything = np.concatenate(list(totals.values()))
            for z in totals.values():
                if len(z) > 1:
                    variance += len(z) / (len(z) - 1) * ((z - np.mean(z)) ** 2).sum()
                else:
                    variance += (z[0] - everything.mean()) ** 2
            shares = np.array([weight[option == k].sum() for k in range(3)]) / W
        kish = W**2 / (weight[answered] ** 2).sum()
        simple = answered.sum() / (answered.sum() - 1) * (shares * (1 - shares)).sum() / kish
        answers = DomainAnswers(option, np.zeros(n, dtype=int), weight, 1, 3)
        whole, cells = design_effects(answers, design)
        assert whole == pytest.approx(variance / simple)
        if variance / simple > 0.5:
            np.testing.assert_allclose(cells, variance / simple)
        else:  # held up, as far as few clusters are not to be trusted
            assert max(variance / simple, 0.2) < cells[0] <= 0.5

    def test_everyone_entered_twice_is_worth_half(self):
        data = clustered_survey(n=400, effect=0.0).assign(person=np.arange(400))
        once = tabulate(data, ["group"], {"q": RATING})
        twice = tabulate(pd.concat([data, data]), ["group"], {"q": RATING}, cluster="person")
        # up to the degrees of freedom, (2m - 1) / (m - 1) instead of 2
        assert twice.design_effect["q"] == pytest.approx(799 / 399, rel=1e-12)
        np.testing.assert_allclose(twice.n, once.n, rtol=0.01)

    def test_clusters_without_meaning_cost_nothing(self):
        data = clustered_survey(n=4000, n_clusters=400, effect=0.0)
        cells = tabulate(data, ["group"], {"q": RATING}, cluster="cluster")
        assert cells.design_effect["q"] == pytest.approx(1.0, abs=0.1)

    def test_no_variance_no_effect(self):
        data = clustered_survey().assign(q=2)
        cells = tabulate(data, ["group"], {"q": RATING}, cluster="cluster")
        assert cells.design_effect["q"] == 1.0
        np.testing.assert_allclose(cells.n, cells.n_raw)

    def test_cluster_numbers_start_anew_in_each_stratum(self):
        data = clustered_survey()
        renumbered = data["cluster"] // 5  # distinct within a stratum only
        one = tabulate(data, ["group"], {"q": RATING}, strata="stratum", cluster="cluster")
        other = tabulate(data, ["group"], {"q": RATING}, strata="stratum", cluster=renumbered.to_numpy())
        assert one.design_effect["q"] == pytest.approx(other.design_effect["q"], rel=1e-12)


class TestCells:
    def test_few_respondents_per_cluster_lose_less(self):
        data = clustered_survey(n=3000)
        kish = tabulate(data, ["group"], {"q": RATING}, weights="w").n
        cells = tabulate(data, ["group"], {"q": RATING}, weights="w", cluster="cluster")
        in_cell = kish / cells.n
        assert (in_cell > 1).all()
        # the cells cut the clusters in three, and so, about, what the clusters cost
        np.testing.assert_allclose(in_cell - 1, (cells.design_effect["q"] - 1) / 3, rtol=0.15)

    def test_by_hand(self):
        # clusters of 2, 1 and 1 respondents of the cell "a", of 1, 1 and 2 of the cell "b"; all in all 3 each
        unit = np.array([0, 0, 0, 1, 1, 2, 2, 2])
        background = np.array([0, 0, 1, 0, 1, 0, 1, 1])
        design = SampleDesign(unit, np.zeros(3, dtype=int), clustered=True)
        # b = (9 + 4 + 9) / 8 = 2.75; b_a = (4 + 1 + 1) / 4 = 1.5 = b_b
        effects = carried_to_cells(4.5, all_answered(background), design)
        np.testing.assert_allclose(effects, 1 + 3.5 / 1.75 * 0.5)

    def test_one_respondent_per_cluster_loses_nothing(self):
        design = SampleDesign(np.array([0, 1, 0, 1]), np.zeros(2, dtype=int), clustered=True)
        effects = carried_to_cells(1.8, all_answered(np.array([0, 0, 1, 1])), design)
        np.testing.assert_allclose(effects, 1.0)

    def test_clusters_of_one_have_no_effect(self):
        design = SampleDesign(np.arange(4), np.zeros(4, dtype=int), clustered=True)
        effects = carried_to_cells(1.3, all_answered(np.array([0, 0, 1, 1])), design)
        np.testing.assert_array_equal(effects, 1.0)

    def test_the_gain_of_strata_fades_with_the_cell(self):
        design = SampleDesign(np.arange(8), np.repeat([0, 1], 4), clustered=False)
        background = np.array([0, 1, 1, 1, 0, 1, 1, 1])
        effects = carried_to_cells(0.6, all_answered(background), design)
        np.testing.assert_allclose(effects, [0.9, 0.7])

    def test_strata_that_fix_the_answer_do_not_make_respondents_without_end(self):
        data = pd.DataFrame({"g": "a", "s": [1, 1, 2, 2], "q": [1, 1, 2, 2]})
        cells = tabulate(data, ["g"], {"q": YES_NO}, strata="s")
        assert cells.design_effect["q"] == 0.0
        # its own design effect 0 counts as .2 and has a say of 2 / 52, the rest is .5: hardly more than two for one
        np.testing.assert_allclose(cells.n, 4 / (0.2 * 2 / 52 + 0.5 * 50 / 52))

    def test_a_question_nobody_answered_has_no_effect(self):
        data = clustered_survey().assign(p=None)
        with pytest.warns(UserWarning, match="nobody answered"):
            cells = tabulate(data, ["group"], {"q": RATING, "p": YES_NO}, cluster="cluster")
        assert cells.design_effect["p"] == 1.0


class TestDisproportionateStrata:
    """A large stratum in which nearly all agree, thinly sampled, and a small one that is split, densely sampled."""

    population = np.array([40_000, 10_000])
    yes = np.array([0.95, 0.5])
    drawn = np.array([100, 150])

    def surveys(self, n):
        rng = np.random.default_rng(1)
        stratum = np.repeat([0, 1], self.drawn)
        weight = (self.population / self.drawn)[stratum]
        for _ in range(n):
            answer = np.where(rng.random(len(stratum)) < self.yes[stratum], 1, 2)
            half = rng.choice(["left", "right"], len(stratum))
            yield pd.DataFrame({"all": "everyone", "half": half, "s": stratum, "w": weight, "q": answer})

    def test_whole_sample(self):
        # by hand: V = .8^2 .95 .05 / 100 + .2^2 .25 / 150 = .000371, p = .86, n = .1204 / .000371 = 325 (Kish 150)
        p, share = 0.8 * 0.95 + 0.2 * 0.5, self.population / 50_000
        true = p * (1 - p) / (share**2 * self.yes * (1 - self.yes) / self.drawn).sum()
        assert true == pytest.approx(325, abs=1)
        surveys = list(self.surveys(200))
        kish = tabulate(surveys[0], ["all"], {"q": YES_NO}, weights="w").n[0]
        assert kish == pytest.approx(150)
        known = [1 / tabulate(data, ["all"], {"q": YES_NO}, weights="w", strata="s").n[0] for data in surveys]
        assert 1 / np.mean(known) == pytest.approx(true, rel=0.05)

    def test_cells(self):
        surveys = list(self.surveys(400))
        cells = [tabulate(data, ["half"], {"q": YES_NO}, weights="w", strata="s") for data in surveys]
        shares = np.array([cell.Y[:, 0] for cell in cells])
        true = 0.86 * 0.14 / shares.var(axis=0).mean()  # the halves are alike
        kish = np.mean([tabulate(data, ["half"], {"q": YES_NO}, weights="w").n for data in surveys])
        known = 1 / np.mean([1 / cell.n for cell in cells])
        assert kish < 0.6 * true
        assert known == pytest.approx(true, rel=0.1)


class TestOtherDesigns:
    """Finite populations, lonely units and replicate weights in `tabulate`."""

    def test_a_finite_population_leaves_less_variance(self):
        data = clustered_survey(n=400, effect=0.0)
        all_of_it = tabulate(data, ["group"], {"q": RATING}, fpc=800)
        np.testing.assert_allclose(all_of_it.design_effect["q"], 0.5)
        np.testing.assert_allclose(all_of_it.n, 2 * all_of_it.n_raw, rtol=0.05)

    def test_lonely_units(self):
        data = clustered_survey(n=200).assign(stratum=[9] + [1] * 199)
        for lonely in ("centre", "certainty"):
            assert tabulate(data, ["group"], {"q": RATING}, strata="stratum", lonely=lonely).n.sum() > 150
        with pytest.raises(ValueError, match=r"single respondent have no variance: \[9\]"):
            tabulate(data, ["group"], {"q": RATING}, strata="stratum", lonely="fail")

    def test_a_jackknife_of_the_clusters_is_linearisation(self):
        data = clustered_survey()
        clusters = data["cluster"].unique()
        factors = np.array([(data["cluster"] != c) * len(clusters) / (len(clusters) - 1) for c in clusters]).T
        replicates = ReplicateWeights(factors * data["w"].to_numpy()[:, None], "JK1")
        jackknife = tabulate(data, ["group"], {"q": RATING}, weights="w", replicate_weights=replicates)
        linear = tabulate(data, ["group"], {"q": RATING}, weights="w", cluster="cluster")
        assert jackknife.design_effect["q"] == pytest.approx(linear.design_effect["q"], rel=0.1)
        np.testing.assert_allclose(jackknife.n, linear.n, rtol=0.25)
        again = ReplicateWeights(factors, "JK1", combined=False)
        same = tabulate(data, ["group"], {"q": RATING}, weights="w", replicate_weights=again)
        np.testing.assert_allclose(same.n, jackknife.n)

    def test_replicates_need_weights(self):
        data = clustered_survey()
        with pytest.raises(ValueError, match="need weights="):
            tabulate(data, ["group"], {"q": RATING}, replicate_weights=ReplicateWeights(np.ones((600, 3)), "BRR"))

    def test_kish_is_kept_beside(self):
        cells = tabulate(clustered_survey(), ["group"], {"q": RATING}, weights="w", cluster="cluster")
        plain = tabulate(clustered_survey(), ["group"], {"q": RATING}, weights="w")
        np.testing.assert_allclose(cells.n_kish, plain.n)
        np.testing.assert_allclose(cells.subset([1]).n_kish, plain.n[1:2])


class TestDomainVariances:
    @settings(deadline=None, max_examples=40)
    @given(
        seed=st.integers(0, 10_000),
        clustered=st.booleans(),
        lonely=st.sampled_from(["centre", "certainty"]),
        finite=st.booleans(),
    )
    def test_both_ways_agree(self, seed, clustered, lonely, finite):
        rng = np.random.default_rng(seed)
        n = 50
        stratum = np.append(rng.integers(0, 3, n - 1), 7)
        cluster = pd.Series(rng.integers(0, 4, n)) if clustered else None
        design = SampleDesign.of(pd.Series(stratum), cluster, fpc=200.0 if finite else None, lonely=lonely)
        answers = DomainAnswers(rng.integers(0, 4, n), rng.integers(-1, 4, n), rng.uniform(0.5, 2, n), 4, 3)
        dense = (linearised_deviations(answers, design) ** 2).sum(axis=0)
        np.testing.assert_allclose(linearised_variances(answers, design), dense, atol=1e-12)
