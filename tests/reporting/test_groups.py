"""`group_estimates`: shares, intervals and differences of groups, against figures by hand and other libraries'."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GridSearchCV
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from surveysim import FusedRegressor, Question, group_estimates, poststratify, tabulate
from surveysim.baselines import LogitRegressor, MarginalRegressor
from surveysim.datasets import make_survey
from surveysim.reporting import GroupEstimates
from surveysim.tables import Cells

CONTENT = Question("Content?", ["yes", "partly", "no"])
VOTE = Question("Will you vote?", ["no", "yes"], ordinal=False)


def respondents() -> pd.DataFrame:
    """12 women and 8 men, young and old, with weights."""
    rows = (
        [("woman", "young", "yes", 2.0)] * 3 + [("woman", "young", "no", 1.0)] * 3
        + [("woman", "old", "yes", 1.0)] * 2 + [("woman", "old", "partly", 1.0)] * 4
        + [("man", "young", "no", 1.0)] * 5 + [("man", "old", "partly", 3.0)] * 2 + [("man", "old", "yes", 1.0)]
    )  # fmt: skip
    frame = pd.DataFrame(rows, columns=["gender", "age", "content", "w"])
    frame["age"] = pd.Categorical(frame["age"], ["young", "old"], ordered=True)
    frame["vote"] = ["yes", "no"] * 10
    return frame


@pytest.fixture(scope="module")
def cells() -> Cells:
    return tabulate(respondents(), ["gender", "age"], {"content": CONTENT})


@pytest.fixture(scope="module")
def weighted() -> Cells:
    return tabulate(respondents(), ["gender", "age"], {"content": CONTENT}, weights="w")


class Fixed:
    """Predicts given distributions, and draws given ones."""

    def __init__(self, P: Any, draws: Any = None) -> None:
        self.P = np.asarray(P, dtype=float)
        if draws is not None:
            self.predict_draws = lambda X, n_draws, *, random_state: np.asarray(draws, dtype=float)

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return self.P


def shares(table: pd.DataFrame, group: str) -> list[float]:
    return table.loc[table["group"] == group, "share"].tolist()


# --- the sample -------------------------------------------------------------------------------------------------------


def test_a_sample_s_own_shares(cells: Cells) -> None:
    table = group_estimates(None, cells, by="gender")
    assert shares(table, "woman") == pytest.approx([500 / 12, 400 / 12, 300 / 12])  # 5, 4 and 3 of 12
    assert shares(table, "man") == pytest.approx([100 / 8, 200 / 8, 500 / 8])
    assert table["option"].tolist() == ["yes", "partly", "no"] * 2
    assert table["respondents"].tolist() == [8] * 3 + [12] * 3
    assert set(table["interval"]) == {"sampling"}
    assert set(table["source"]) == {"sample"}
    assert list(group_estimates(None, cells)["group"]) == ["everybody"] * 3
    assert shares(group_estimates(None, cells, by=[]), "everybody") == pytest.approx([30.0, 30.0, 40.0])
    crossed = group_estimates(None, cells, by=["age", "gender"])
    # in the order of the categories, then of the alphabet
    assert list(dict.fromkeys(crossed["group"])) == ["young, man", "young, woman", "old, man", "old, woman"]
    assert shares(crossed, "young, woman") == pytest.approx([50.0, 0.0, 50.0])


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95])
def test_a_sample_s_intervals_are_wilson_s(cells: Cells, level: float) -> None:
    table = group_estimates(None, cells, by="gender", level=level)
    lower, upper = proportion_confint([1, 2, 5, 5, 4, 3], [8] * 3 + [12] * 3, alpha=1 - level, method="wilson")
    np.testing.assert_allclose(table["lower"], 100 * lower)
    np.testing.assert_allclose(table["upper"], 100 * upper)


def test_weights_count_in_shares_and_in_effective_respondents(weighted: Cells) -> None:
    table = group_estimates(None, weighted, by="gender")
    assert shares(table, "woman") == pytest.approx([800 / 15, 400 / 15, 300 / 15])
    # Kish: (sum w)^2 / sum w^2, over all women: 15^2 / (3 * 4 + 9), over all men: 12^2 / (5 + 18 + 1)
    assert table["effective_respondents"].tolist() == pytest.approx([6.0] * 3 + [225 / 21] * 3)
    assert table["respondents"].tolist() == [8] * 3 + [12] * 3
    lower, upper = proportion_confint(8 / 15 * 225 / 21, 225 / 21, alpha=0.1, method="wilson")
    first = table[(table["group"] == "woman") & (table["option"] == "yes")].iloc[0]
    assert (first["lower"], first["upper"]) == (pytest.approx(100 * lower), pytest.approx(100 * upper))


def test_a_population_reweights_the_sample(cells: Cells) -> None:
    population = pd.DataFrame(
        {"gender": ["man", "man", "woman", "woman"], "age": ["old", "young"] * 2, "share": [0.1, 0.4, 0.3, 0.2]}
    )
    table = group_estimates(None, cells, by="gender", population=population)
    expected = poststratify(cells.Y, cells.X, population, by="gender")
    assert shares(table, "man") == pytest.approx(100 * expected.loc["man"])
    assert shares(table, "woman") == pytest.approx([100 * (0.6 * 2 / 6 + 0.4 * 3 / 6), 100 * 0.6 * 4 / 6, 20.0])
    # 1 / sum w^2 / n: the men are 0.2 old (3 people) and 0.8 young (5)
    assert table["effective_respondents"].iloc[0] == pytest.approx(1 / (0.2**2 / 3 + 0.8**2 / 5))
    more = pd.concat([population, pd.DataFrame({"gender": ["other"], "age": ["old"], "share": [0.0]})])
    assert shares(group_estimates(None, cells, population=more), "everybody") == pytest.approx(
        100 * poststratify(cells.Y, cells.X, population).loc["population"]
    )
    more["share"] = [0.1, 0.4, 0.3, 0.1, 0.1]
    with pytest.raises(ValueError, match=r"nobody in 1 cells of the population: \{'gender': 'other', 'age': 'old'\}"):
        group_estimates(None, cells, population=more)
    with pytest.raises(ValueError, match=r"population lacks the columns \['age'\]"):
        group_estimates(None, cells, population=population.drop(columns="age"))


def test_groups_of_the_population_may_be_told_apart_by_what_the_sample_does_not_know(cells: Cells) -> None:
    population = pd.concat(
        [cells.X.assign(region="north", n=[8, 0, 0, 0]), cells.X.assign(region="south", n=[0, 1, 1, 2])]
    )
    table = group_estimates(None, cells, by="region", population=population)
    np.testing.assert_allclose(shares(table, "north"), 100 * cells.Y[0])
    np.testing.assert_allclose(shares(table, "south"), 100 * (cells.Y[1] + cells.Y[2] + 2 * cells.Y[3]) / 4)
    assert table["respondents"].isna().all()  # nobody was asked where they live
    with pytest.raises(ValueError, match="'region' without a model: it is not a background"):
        group_estimates(None, cells, difference="region", population=population)


# --- models -----------------------------------------------------------------------------------------------------------


def test_a_model_s_cells_count_by_their_respondents_and_its_draws_give_the_intervals(cells: Cells) -> None:
    generator = np.random.default_rng(0)
    draws = generator.dirichlet([3.0, 2.0, 4.0], size=(400, 4))
    P = draws.mean(axis=0)
    table = group_estimates(Fixed(P, draws), cells, by="gender", level=0.8)
    men, women = slice(0, 2), slice(2, 4)  # men: 3 old, 5 young; women: 6 and 6. X is sorted by gender, then age
    assert cells.n.tolist() == [5.0, 3.0, 6.0, 6.0]
    np.testing.assert_allclose(shares(table, "man"), 100 * np.average(P[men], axis=0, weights=[5, 3]))
    pooled = np.average(draws[:, women], axis=1, weights=[6, 6])
    own = table[table["group"] == "woman"]
    np.testing.assert_allclose(own["lower"], 100 * np.quantile(pooled, 0.1, axis=0))
    np.testing.assert_allclose(own["upper"], 100 * np.quantile(pooled, 0.9, axis=0))
    assert set(table["interval"]) == {"posterior"}
    assert set(table["source"]) == {"Fixed"}


@pytest.mark.parametrize("model", [LogitRegressor(question=CONTENT), FusedRegressor(None, question=CONTENT)])
def test_a_fitted_model_agrees_with_poststratify(cells: Cells, model: Any) -> None:
    model = model.fit(cells.X, cells.Y, sample_weight=cells.n)
    population = cells.X.assign(n=[10, 20, 30, 40])
    table = group_estimates(model, cells, by="age", population=population, n_draws=200, random_state=3)
    expected = poststratify(model.predict(cells.X), cells.X, population, by="age")
    np.testing.assert_allclose(shares(table, "young"), 100 * expected.loc["young"])
    drawn = poststratify(model.predict_draws(cells.X, 200, random_state=3), cells.X, population, by="age")
    ends = 100 * drawn.xs("old", level="age").quantile([0.05, 0.95]).to_numpy()
    np.testing.assert_allclose(table.loc[table["group"] == "old", ["lower", "upper"]].to_numpy().T, ends)
    again = group_estimates(model, cells, by="age", population=population, n_draws=200, random_state=3)
    pd.testing.assert_frame_equal(table, again)


def test_a_search_gives_the_draws_of_its_best_estimator(cells: Cells) -> None:
    search = GridSearchCV(LogitRegressor(question=CONTENT), {"ordered": [True, False]}, cv=2).fit(cells.X, cells.Y)
    table = group_estimates(search, cells, by="age", name="search")
    expected = group_estimates(search.best_estimator_, cells, by="age", name="search")
    pd.testing.assert_frame_equal(table, expected)
    assert set(table["interval"]) == {"posterior"}


def test_a_model_predicts_cells_of_the_population_that_the_sample_lacks(cells: Cells) -> None:
    model = LogitRegressor(question=CONTENT).fit(cells.X, cells.Y, sample_weight=cells.n)
    X = pd.DataFrame(
        {"gender": ["man", "other"], "age": pd.Categorical(["old", "old"], ["young", "old"], ordered=True)}
    )
    table = group_estimates(model, cells, by="gender", population=X.assign(n=[1, 1]))
    np.testing.assert_allclose(shares(table, "other"), 100 * model.predict(X)[1])
    assert table["respondents"].tolist() == [3] * 3 + [0] * 3
    assert (table["lower"] < table["share"]).all()


def test_an_estimator_without_draws_has_no_interval(cells: Cells) -> None:
    model = MarginalRegressor(question=CONTENT).fit(cells.X, cells.Y, sample_weight=cells.n)
    table = group_estimates(model, cells, by="gender")
    assert table[["lower", "upper"]].isna().all(axis=None)
    assert set(table["interval"]) == {"none"}
    np.testing.assert_allclose(shares(table, "man"), [30.0, 30.0, 40.0])
    assert "–" not in table.to_markdown()  # nothing is written in place of an interval
    differences = group_estimates(model, cells, difference="gender")
    assert differences["lower"].isna().all()


def test_questions_of_different_length(cells: Cells) -> None:
    both = tabulate(respondents(), ["gender", "age"], {"content": CONTENT, "vote": VOTE})
    model = LogitRegressor(question=both.questions).fit(both.X, both.Y, sample_weight=both.n)
    table = group_estimates(model, both, by="gender")
    assert table["question"].tolist() == ["content"] * 6 + ["vote"] * 4
    assert table.loc[table["question"] == "vote", "option"].tolist() == ["no", "yes"] * 2
    assert table["share"].notna().all()
    for question, own in table.groupby("question"):
        assert own.groupby("group")["share"].sum().tolist() == pytest.approx([100.0, 100.0]), question
    with pytest.raises(ValueError, match="name one question"):
        table.of_question()
    with pytest.raises(ValueError, match="there is no question 'content2'"):
        table.of_question("content2")


def test_every_question_gets_the_draws_it_would_get_among_few(monkeypatch: pytest.MonkeyPatch) -> None:
    from surveysim.reporting import sources

    cells = make_survey(200, 2, 5, random_state=0).tabulate()
    model = LogitRegressor(question=cells.questions).fit(cells.X, cells.Y, sample_weight=cells.n)
    whole = group_estimates(model, cells, by="background 1", n_draws=300)
    monkeypatch.setattr(sources, "NUMBERS_AT_ONCE", 50_000)
    parts = group_estimates(model, cells, by="background 1", n_draws=300)
    np.testing.assert_array_equal(parts["share"], whole["share"])
    np.testing.assert_allclose(parts["upper"], whole["upper"], atol=4)  # draws of their own
    assert not np.array_equal(parts["upper"], whole["upper"])


# --- differences and means --------------------------------------------------------------------------------------------


def test_differences_of_a_sample_have_newcombe_s_interval(cells: Cells) -> None:
    table = group_estimates(None, cells, difference={"gender": ("woman", "man")})
    assert table["group"].tolist() == ["woman - man"] * 3
    assert table["share"].tolist() == pytest.approx([500 / 12 - 100 / 8, 400 / 12 - 200 / 8, 300 / 12 - 500 / 8])
    for row, (a, b) in zip(table.itertuples(), [(5, 1), (4, 2), (3, 5)], strict=True):
        ends = confint_proportions_2indep(a, 12, b, 8, method="newcomb", compare="diff", alpha=0.1)
        assert (row.lower, row.upper) == (pytest.approx(100 * ends[0]), pytest.approx(100 * ends[1]))
    assert table["respondents"].tolist() == [20] * 3
    assert table["effective_respondents"].tolist() == pytest.approx([4.8] * 3)  # 1 / (1/12 + 1/8)
    within = group_estimates(None, cells, by="age", difference="gender")
    assert within["group"].tolist() == ["young, woman - man"] * 3 + ["old, woman - man"] * 3
    assert within["share"].iloc[0] == pytest.approx(50.0)


def test_differences_of_a_model_come_from_the_same_draws(cells: Cells) -> None:
    generator = np.random.default_rng(1)
    shared = generator.uniform(0.1, 0.5, size=(500, 1, 1))
    draws = np.concatenate([shared, shared, 1 - 2 * shared], axis=2) + np.zeros((1, 4, 1))
    draws[:, 2:, 0] += 0.05
    draws[:, 2:, 2] -= 0.05
    table = group_estimates(Fixed(draws.mean(axis=0), draws), cells, difference={"gender": ("woman", "man")})
    # all that is uncertain moves men and women alike
    np.testing.assert_allclose(table[["share", "lower", "upper"]], [[5] * 3, [0] * 3, [-5] * 3], atol=1e-9)


def test_differences_between_waves(cells: Cells) -> None:
    later = respondents()
    later.loc[later["gender"] == "man", "content"] = ["yes"] * 4 + ["no"] * 4
    now = tabulate(later, ["gender", "age"], {"content": CONTENT})
    table = group_estimates(None, now, by="gender", difference=group_estimates(None, cells, by="gender"))
    man = table[(table["group"] == "man") & (table["option"] == "yes")].iloc[0]
    ends = confint_proportions_2indep(4, 8, 1, 8, method="newcomb", compare="diff", alpha=0.1)
    assert man["share"] == pytest.approx(37.5)
    assert (man["lower"], man["upper"]) == (pytest.approx(100 * ends[0]), pytest.approx(100 * ends[1]))
    assert man["source"] == "sample - sample"
    assert table.is_difference
    with pytest.raises(ValueError, match="different attributes"):
        group_estimates(None, now, by="age", difference=table)
    with pytest.raises(ValueError, match="different levels"):
        group_estimates(None, now, by="gender", level=0.5, difference=table)


def test_means(cells: Cells) -> None:
    table = group_estimates(None, cells, by="gender", statistic="mean")
    answers = np.repeat([1.0, 2.0, 3.0], [5, 4, 3])
    woman = table[table["group"] == "woman"].iloc[0]
    half = 1.6448536269514722 * answers.std(ddof=1) / np.sqrt(12)
    assert (woman["mean"], woman["lower"], woman["upper"]) == (
        pytest.approx(answers.mean()), pytest.approx(answers.mean() - half), pytest.approx(answers.mean() + half)
    )  # fmt: skip
    assert table["option"].tolist() == ["mean"] * 2
    draws = np.array([[[0.2, 0.3, 0.5]] * 4, [[0.4, 0.3, 0.3]] * 4])
    drawn = group_estimates(Fixed(draws[0], draws), cells, statistic="mean", level=0.5)
    assert drawn["mean"].tolist() == pytest.approx([2.3])
    assert drawn["lower"].tolist() == pytest.approx([1.9 + 0.25 * 0.4])
    unsure = Question("Content?", ["yes", "partly", "no"], pinned=["no"])
    pinned = tabulate(respondents(), ["gender"], {"content": unsure})
    assert group_estimates(None, pinned, statistic="mean")["mean"].tolist() == pytest.approx([1.5])  # 6 yes, 6 partly
    with pytest.raises(ValueError, match="'vote' is nominal"):
        group_estimates(None, tabulate(respondents(), ["gender"], {"vote": VOTE}), statistic="mean")


# --- what can be wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"by": "region"}, r"by names \['region'\]; the backgrounds are \['gender', 'age'\]"),
        ({"by": ["age", "age"]}, "names an attribute twice"),
        ({"level": 1.5}, "level must be between 0 and 1"),
        ({"statistic": "median"}, "statistic must be 'share' or 'mean'"),
        ({"difference": "region"}, r"by names \['region'\]"),
        ({"difference": {"gender": ("woman", "girl")}}, r"the levels \['girl'\] of 'gender'; it has \['man'"),
        ({"difference": {"gender": ("man", "man")}}, "needs two levels"),
        ({"difference": {"gender": ("man",)}}, "one attribute with two levels"),
    ],
)  # fmt: skip
def test_wrong_parameters_are_named(cells: Cells, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        group_estimates(None, cells, **parameters)


def test_what_is_no_model_or_no_cells_is_named(cells: Cells) -> None:
    with pytest.raises(TypeError, match="model must be a fitted estimator, or None"):
        group_estimates("nano", cells)
    with pytest.raises(TypeError, match="cells must be Cells"):
        group_estimates(None, cells.X)
    with pytest.raises(TypeError, match="difference must be an attribute"):
        group_estimates(None, cells, difference=3)
    with pytest.raises(ValueError, match="predicts 2 options, but question 'content' has 3"):
        group_estimates(Fixed([[0.5, 0.5]] * 4), cells)
    with pytest.raises(ValueError, match="no cells"):
        group_estimates(None, cells.subset([]))
    renamed = tabulate(respondents().rename(columns={"gender": "share"}), ["share"], {"content": CONTENT})
    with pytest.raises(ValueError, match=r"needs the column names \['share'\]"):
        group_estimates(None, renamed, by="share")


def test_the_result_is_a_frame(cells: Cells) -> None:
    table = group_estimates(None, cells, by="gender")
    assert isinstance(table, pd.DataFrame)
    assert isinstance(table, GroupEstimates)
    wide = table.pivot(index="group", columns="option", values="share")
    assert wide.loc["man", "no"] == pytest.approx(62.5)
