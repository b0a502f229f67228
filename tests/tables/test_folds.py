"""Folds of respondents: disjoint, complete, scaled to n, the same for all questions, clusters whole."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from surveysim import Question, tabulate
from surveysim.tables.design import SampleDesign
from surveysim.tables.folds import assign_folds

YES_NO = Question("Yes?", ["yes", "no"])
RATING = Question("How good?", ["bad", "fair", "good"])
ANSWERS = {"q": RATING, "p": YES_NO}


def make_survey(n=300, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "g": rng.choice(["a", "b", "c"], n),
            "q": rng.integers(1, 4, n),
            "p": rng.choice(["yes", "no", None], n),
            "w": rng.uniform(0.2, 4, n).round(2),
            "cluster": rng.integers(0, 30, n),
        }
    )


def test_by_hand():
    data = pd.DataFrame({"g": ["a", "a", "a", "b"], "q": [1, 2, 2, 3], "w": [1.0, 1.0, 2.0, 5.0]})
    cells = tabulate(data, ["g"], {"q": RATING}, weights="w", folds=[7, 7, 3, 3])
    # folds in ascending order of their ids; cell a: n = 16 / 6, weight sum 4
    scale = 16 / 6 / 4
    expected = [[[0, 2 * scale, 0], [scale, scale, 0]], [[0, 0, 1], [0, 0, 0]]]
    np.testing.assert_allclose(cells.folds, expected)


def check_folds(cells, n_folds):
    assert cells.folds.shape == (len(cells), n_folds, cells.Y.shape[1])
    assert (cells.folds >= 0).all()
    np.testing.assert_allclose(cells.folds.sum(axis=(1, 2)), cells.n)
    np.testing.assert_allclose(cells.folds.sum(axis=1) / cells.n[:, None], np.nan_to_num(cells.Y), atol=1e-12)


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 1000),
    n_folds=st.integers(2, 10),
    weights=st.sampled_from([None, "w"]),
    cluster=st.sampled_from([None, "cluster"]),
)
def test_sum_to_n_and_to_Y(seed, n_folds, weights, cluster):
    cells = tabulate(make_survey(seed=seed), ["g"], ANSWERS, weights=weights, cluster=cluster, folds=n_folds)
    check_folds(cells, n_folds)


def test_without_weights_folds_are_whole_counts_of_equal_size():
    cells = tabulate(make_survey(), ["g"], {"q": RATING}, folds=7)
    np.testing.assert_array_equal(cells.folds, cells.folds.round())
    sizes = cells.folds.sum(axis=(0, 2))
    assert sizes.sum() == 300
    assert sizes.max() - sizes.min() <= 1


def test_a_respondent_is_in_one_fold_for_all_questions():
    # each respondent is a background of its own, so that the folds of its cells can be seen
    data = make_survey(60).assign(person=np.arange(60))
    cells = tabulate(data, ["person"], ANSWERS, weights="w", folds=4)
    used = cells.folds.sum(axis=2) > 0
    assert (used.sum(axis=1) == 1).all()
    fold = pd.Series(used.argmax(axis=1)).groupby(cells.X["person"])
    assert (fold.nunique() == 1).all()
    assert (fold.size() == 2).any()


def test_deterministic_and_seeded():
    data = make_survey()
    fold = tabulate(data, ["g"], ANSWERS, folds=5).folds
    np.testing.assert_array_equal(fold, tabulate(data, ["g"], ANSWERS, folds=5).folds)
    np.testing.assert_array_equal(fold, tabulate(data, ["g"], ANSWERS, folds=(5, 0)).folds)
    assert not np.array_equal(fold, tabulate(data, ["g"], ANSWERS, folds=(5, 1)).folds)


def test_the_global_random_state_plays_no_part():
    np.random.seed(1)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    tabulate(make_survey(), ["g"], ANSWERS, folds=5)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_fold_ids_from_a_column_follow_their_respondents():
    data = make_survey().assign(fold=np.arange(300) % 3 + 10)
    shuffled = data.sample(frac=1, random_state=0)
    one = tabulate(data, ["g"], ANSWERS, weights="w", folds="fold")
    other = tabulate(shuffled, ["g"], ANSWERS, weights="w", folds="fold")
    check_folds(one, 3)
    np.testing.assert_allclose(one.folds, other.folds)


def test_respondents_of_weight_zero_are_in_no_fold():
    data = make_survey().assign(fold=np.arange(300) % 3)
    data.loc[data["fold"] == 2, "w"] = 0.0
    check_folds(tabulate(data, ["g"], ANSWERS, weights="w", folds="fold"), 2)


def test_clusters_stay_whole_and_folds_balanced():
    cluster = make_survey()["cluster"]
    fold, n_folds = assign_folds((5, 0), SampleDesign.of(None, cluster), 300)
    assert n_folds == 5
    assert (pd.Series(fold).groupby(cluster).nunique() == 1).all()
    sizes = np.bincount(fold)
    assert sizes.max() - sizes.min() <= cluster.value_counts().max()
    assert sizes.max() - sizes.min() <= 5


def test_strata_are_spread_over_folds():
    stratum = pd.Series(np.repeat([0, 1, 2], [50, 23, 7]))
    fold, _ = assign_folds((5, 3), SampleDesign.of(stratum, None), 80)
    counts = pd.crosstab(stratum, fold)
    assert (counts.max(axis=1) - counts.min(axis=1) <= 1).all()


def test_given_folds_may_not_split_a_cluster():
    data = make_survey()
    with pytest.raises(ValueError, match="folds splits a cluster: the respondent in row"):
        tabulate(data, ["g"], ANSWERS, cluster="cluster", folds=np.arange(300) % 2)
    cells = tabulate(data, ["g"], ANSWERS, cluster="cluster", folds=data["cluster"].to_numpy() % 3)
    check_folds(cells, 3)


def test_more_folds_than_clusters():
    with pytest.raises(ValueError, match="folds=40, but there are only 30 clusters"):
        tabulate(make_survey(), ["g"], ANSWERS, cluster="cluster", folds=40)


def test_scikit_learn_slices_folds_like_a_weight():
    cells = tabulate(make_survey(), ["g"], ANSWERS, weights="w", folds=5)
    _, test, _, n_test, _, folds_test = train_test_split(cells.X, cells.n, cells.folds, random_state=0)[0:6]
    np.testing.assert_allclose(folds_test.sum(axis=(1, 2)), n_test)
    assert len(test) == len(n_test)
