"""poststratify: by hand, against a pandas merge, with draws; and the populations it refuses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surveysim import Question, poststratify, rake, tabulate
from surveysim.baselines import LogitRegressor

X = pd.DataFrame({"age": ["young", "old", "young", "old"], "sex": ["f", "f", "m", "m"]})
P = np.array([[0.2, 0.8], [0.4, 0.6], [0.6, 0.4], [1.0, 0.0]])
POPULATION = X.assign(share=[0.1, 0.2, 0.3, 0.4])


def test_by_hand():
    result = poststratify(P, X, POPULATION)
    # .1 * .2 + .2 * .4 + .3 * .6 + .4 * 1
    np.testing.assert_allclose(result.to_numpy(), [[0.68, 0.32]])
    assert list(result.columns) == ["1", "2"]
    assert result.index.tolist() == ["population"]


def test_counts_and_percentages():
    counts = X.assign(n=[10, 20, 30, 40])
    percent = X.assign(share=[10.0, 20, 30, 40])
    np.testing.assert_allclose(poststratify(P, X, counts), [[0.68, 0.32]])
    np.testing.assert_allclose(poststratify(P, X, percent), [[0.68, 0.32]])


def test_by_group_shares_are_taken_within_the_group():
    result = poststratify(P, X, POPULATION, by="sex")
    assert result.index.name == "sex"
    # women: (.1 * .2 + .2 * .4) / .3; men: (.3 * .6 + .4) / .7
    np.testing.assert_allclose(result.loc["f"], [1 / 3, 2 / 3])
    np.testing.assert_allclose(result.loc["m"], [0.58 / 0.7, 0.12 / 0.7])


def test_by_all_backgrounds_gives_the_cells_back():
    result = poststratify(P, X, POPULATION, by=["sex", "age"])
    assert result.index.names == ["sex", "age"]
    np.testing.assert_allclose(result.loc[("f", "old")], P[1])
    np.testing.assert_allclose(result.loc[("m", "young")], P[2])


def test_by_a_column_that_only_the_population_has():
    population = pd.concat(
        [POPULATION.assign(region="north"), POPULATION.assign(region="south", share=[0.7, 0.1, 0.1, 0.1])]
    )
    population["share"] /= 2
    result = poststratify(P, X, population, by="region")
    np.testing.assert_allclose(result.loc["north"], [0.68, 0.32])
    np.testing.assert_allclose(result.loc["south"], [0.7 * 0.2 + 0.1 * 2, 0.7 * 0.8 + 0.1 * 1])
    # shares that sum to 1 in each region, as tables by region often do
    conditional = population.assign(share=population["share"] * 2)
    pd.testing.assert_frame_equal(poststratify(P, X, conditional, by="region"), result)


def test_groups_come_in_the_order_of_categories_else_as_listed():
    listed = poststratify(P, X, POPULATION.iloc[::-1], by="sex")
    assert listed.index.tolist() == ["m", "f"]
    categories = POPULATION.assign(age=pd.Categorical(POPULATION["age"], ["young", "middle", "old"], ordered=True))
    ordered = poststratify(P, X, categories.iloc[::-1], by="age")
    assert ordered.index.tolist() == ["young", "old"]


def test_questions_of_different_length():
    both = pd.concat([X.assign(question="b"), X.assign(question="a")], ignore_index=True)
    padded = np.vstack([np.column_stack([P, np.full(4, np.nan)]), np.full((4, 3), 1 / 3)])
    result = poststratify(padded, both, POPULATION)
    assert result.index.name == "question"
    assert result.index.tolist() == ["b", "a"]
    np.testing.assert_allclose(result.to_numpy(), [[0.68, 0.32, np.nan], [1 / 3, 1 / 3, 1 / 3]])
    by_sex = poststratify(padded, both, POPULATION, by="sex")
    assert by_sex.index.names == ["question", "sex"]
    np.testing.assert_allclose(by_sex.loc[("b", "f")], [1 / 3, 2 / 3, np.nan])


def test_draws():
    rng = np.random.default_rng(0)
    draws = rng.dirichlet([1, 1], size=(5, 4))
    result = poststratify(draws, X, POPULATION, by="sex")
    assert result.index.names == ["draw", "sex"]
    assert result.shape == (10, 2)
    for i, draw in enumerate(draws):
        np.testing.assert_allclose(result.loc[i], poststratify(draw, X, POPULATION, by="sex"))
    only = poststratify(draws, X, POPULATION)
    assert only.index.name == "draw"
    np.testing.assert_allclose(only.loc[3], poststratify(draws[3], X, POPULATION).loc["population"])


def test_draws_of_a_model():
    """As the docstring says: the draws are those of `predict_draws`; an interval's two ends are not draws."""
    model = LogitRegressor().fit(X, P, sample_weight=[20, 30, 40, 50])
    result = poststratify(model.predict_draws(X, 7, random_state=0), X, POPULATION)
    assert list(result.index) == list(range(7))
    assert "predict_draws" in poststratify.__doc__
    with pytest.raises(ValueError, match="row 0 sums to"):
        poststratify(model.predict_interval(X), X, POPULATION)


def test_columns_of_a_frame_are_kept():
    result = poststratify(pd.DataFrame(P, columns=["yes", "no"]), X, POPULATION)
    assert list(result.columns) == ["yes", "no"]


@pytest.mark.parametrize(
    "change",
    [
        lambda values: pd.Categorical(values, ["young", "old"], ordered=True),
        lambda values: np.array(values, dtype=object),
        lambda values: pd.array(values, dtype="string"),
    ],
)
def test_dtypes_need_not_agree(change):
    result = poststratify(P, X.assign(age=change(X["age"])), POPULATION)
    np.testing.assert_allclose(result, [[0.68, 0.32]])


def test_numbers_and_missing_values_match():
    cells = pd.DataFrame({"educ": pd.array([1, 2, None], dtype="Int64")})
    population = pd.DataFrame({"educ": [np.nan, 2.0, 1.0], "n": [1, 1, 2]})
    np.testing.assert_allclose(poststratify([[1, 0], [0.5, 0.5], [0, 1]], cells, population), [[0.625, 0.375]])


def test_cells_that_the_population_lacks_get_no_weight():
    population = POPULATION.iloc[:2].assign(share=[0.5, 0.5])
    np.testing.assert_allclose(poststratify(P, X, population), [[0.3, 0.7]])


def test_rows_of_the_same_background_add_up():
    split = pd.concat([POPULATION.assign(share=POPULATION["share"] / 2)] * 2)
    np.testing.assert_allclose(poststratify(P, X, split), [[0.68, 0.32]])


def test_what_the_sample_says_of_itself():
    # cells weighted by their own weight sums are the weighted margin of the sample
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"g": rng.choice(list("abc"), 200), "h": rng.integers(0, 3, 200), "q": rng.integers(1, 4, 200)})
    data["w"] = rng.uniform(0.5, 2, 200)
    cells = tabulate(data, ["g", "h"], {"q": Question("Q?", ["x", "y", "z"])}, weights="w")
    result = poststratify(cells.Y, cells.X, cells.X.assign(n=cells.weight_sum))
    expected = data.groupby("q")["w"].sum() / data["w"].sum()
    np.testing.assert_allclose(result.to_numpy()[0], expected)


def test_works_on_raked_shares():
    population = rake({"age": {"young": 0.4, "old": 0.6}, "sex": {"f": 0.5, "m": 0.5}})
    expected = 0.2 * P[0] + 0.3 * P[1] + 0.2 * P[2] + 0.3 * P[3]
    np.testing.assert_allclose(poststratify(P, X, population).to_numpy()[0], expected)


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), n_options=st.integers(2, 5))
def test_against_a_pandas_merge(seed, n_options):
    rng = np.random.default_rng(seed)
    cells = pd.MultiIndex.from_product([range(3), list("ab"), list("xyz")], names=["i", "j", "k"]).to_frame(index=False)
    cells = cells.sample(frac=1, random_state=seed, ignore_index=True)
    distributions = rng.dirichlet(np.ones(n_options), len(cells))
    population = cells.sample(frac=0.8, random_state=seed + 1)
    population = population.assign(n=rng.integers(1, 50, len(population)))
    merged = population.merge(cells.assign(row=np.arange(len(cells))), on=["i", "j", "k"])
    result = poststratify(distributions, cells, population, by="k")
    for level, group in merged.groupby("k"):
        expected = np.average(distributions[group["row"]], axis=0, weights=group["n"])
        np.testing.assert_allclose(result.loc[level], expected)
    np.testing.assert_allclose(result.sum(axis=1), 1)


class TestRefuses:
    @pytest.mark.parametrize(
        ("population", "message"),
        [
            (POPULATION.drop(columns="sex"), r"lacks the backgrounds \['sex'\].*joint shares"),
            (POPULATION.drop(columns="share"), "one column 'share' or 'n'.*neither"),
            (POPULATION.assign(n=1), "both"),
            (POPULATION.assign(share=[0.1, 0.2, 0.3, -0.4]), r"-0\.4 in row 3"),
            (POPULATION.assign(share=[0.1, np.nan, 0.3, 0.4]), "nan in row 1"),
            (POPULATION.assign(share=[0.1, 0.2, 0.3, 0.1]), r"sums to 0\.7, not to 1"),
            (POPULATION.assign(share=0.0), "0 in every row"),
            (POPULATION[:0], "population is empty"),
            (POPULATION.assign(question="q"), "column 'question'"),
            (pd.concat([POPULATION, POPULATION[["age"]]], axis=1), "repeated columns"),
        ],
    )
    def test_population(self, population, message):
        with pytest.raises(ValueError, match=message):
            poststratify(P, X, population)

    def test_backgrounds_without_a_cell_are_listed(self):
        population = POPULATION.assign(age=["young", "OLD", "young", "OLD"])
        with pytest.raises(ValueError, match=r"lacks 2 cells of the population: \{'age': 'OLD', 'sex': 'f'\}"):
            poststratify(P, X, population)

    def test_a_background_without_a_cell_for_one_question_only(self):
        both = pd.concat([X.assign(question="a"), X.iloc[:3].assign(question="b")], ignore_index=True)
        with pytest.raises(ValueError, match=r"lacks 1 cells of the population for question 'b': \{'age': 'old'"):
            poststratify(np.vstack([P, P[:3]]), both, POPULATION)

    def test_backgrounds_without_a_share_need_no_cell(self):
        population = pd.concat([POPULATION, pd.DataFrame({"age": ["none"], "sex": ["f"], "share": [0.0]})])
        np.testing.assert_allclose(poststratify(P, X, population), [[0.68, 0.32]])

    def test_a_group_without_a_share(self):
        population = POPULATION.assign(share=[0.5, 0.5, 0, 0])
        with pytest.raises(ValueError, match=r"\{'sex': 'm'\} has no share"):
            poststratify(P, X, population, by="sex")

    def test_repeated_cells(self):
        with pytest.raises(ValueError, match=r"{'age': 'young', 'sex': 'f'} more than once \(row 0\)"):
            poststratify(np.vstack([P, P[:1]]), pd.concat([X, X[:1]]), POPULATION)

    @pytest.mark.parametrize(
        ("distributions", "message"),
        [
            (P[:3], "P has 3 cells, X has 4"),
            (P * 2, "P: row 0 sums to 2"),
            (np.stack([P, P * 2]), r"P\[1\]: row 0 sums to 2"),
            (P[:, 0], "must have shape"),
            (np.empty((0, 4, 2)), "no draws"),
            ([[0.2, 0.8, np.nan], [0.4, 0.3, 0.3], [0.6, 0.4, np.nan], [1, 0, np.nan]], "rows 0 and 1 of the question"),
        ],
    )
    def test_distributions(self, distributions, message):
        with pytest.raises(ValueError, match=message):
            poststratify(distributions, X, POPULATION)

    @pytest.mark.parametrize(
        ("by", "message"),
        [("region", r"by names \['region'\]"), (["sex", "sex"], "twice"), ("question", r"by names \['question'\]")],
    )
    def test_by(self, by, message):
        with pytest.raises(ValueError, match=message):
            poststratify(P, X, POPULATION, by=by)

    def test_types(self):
        with pytest.raises(TypeError, match="X must be a pandas DataFrame"):
            poststratify(P, X.to_numpy(), POPULATION)
        with pytest.raises(TypeError, match="population must be a pandas DataFrame"):
            poststratify(P, X, {"age": 1})
        with pytest.raises(TypeError, match="must be numbers"):
            poststratify(P, X, X.assign(share=["a", "b", "c", "d"]))

    def test_a_question_that_is_not_named(self):
        with pytest.raises(ValueError, match="no question in row 1"):
            poststratify(P, X.assign(question=["a", None, "a", "a"]), POPULATION)

    def test_nothing_to_match_on(self):
        with pytest.raises(ValueError, match="no background columns"):
            poststratify(P[:1], pd.DataFrame({"question": ["a"]}), POPULATION)
