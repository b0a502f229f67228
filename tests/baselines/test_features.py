"""Backgrounds as numbers: levels, linear scores, pairs, and what training did not show."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from surveysim.baselines.features import BackgroundEncoder
from surveysim.levels import MISSING, UNSEEN, LevelIndex


def encode(train, *, linear=True, pairs=False, ask=None):
    encoder = BackgroundEncoder(linear=linear, pairs=pairs).fit(train)
    design = encoder.transform(train if ask is None else ask)
    return encoder, pd.DataFrame(design.matrix, columns=encoder.names), design.unseen


def ordered(values, categories):
    return pd.Categorical(values, categories, ordered=True)


def test_levels_of_text_are_one_hot_in_alphabetical_order():
    _, terms, unseen = encode(pd.DataFrame({"race": ["white", "black", "white"]}))
    assert terms.columns.tolist() == ["race=black", "race=white"]
    assert terms.to_numpy().tolist() == [[0, 1], [1, 0], [0, 1]]
    assert not unseen.any()


def test_an_ordered_categorical_has_levels_in_its_order_and_a_score_standardised_over_distinct_backgrounds():
    age = ordered(["old", "young", "middle", "old"], ["young", "middle", "old"])
    _, terms, _ = encode(pd.DataFrame({"age": age}))
    assert terms.columns.tolist() == ["age=young", "age=middle", "age=old", "age (linear)"]
    # ranks 0, 1, 2 over the three distinct backgrounds: mean 1, standard deviation sqrt(2 / 3)
    np.testing.assert_allclose(terms["age (linear)"], np.array([1, -1, 0, 1]) / np.sqrt(2 / 3))


def test_a_rank_counts_all_categories_so_that_a_level_left_out_keeps_its_place():
    levels = ["18-29", "30-44", "45-64", "65+"]
    train = pd.DataFrame({"age": ordered(["18-29", "45-64", "65+"], levels)})
    ask = pd.DataFrame({"age": ordered(["30-44"], levels)})
    encoder, terms, unseen = encode(train, ask=ask)
    assert terms[["age=18-29", "age=45-64", "age=65+"]].to_numpy().tolist() == [[0, 0, 0]]
    ranks = np.array([0, 2, 3])
    assert terms["age (linear)"].item() == pytest.approx((1 - ranks.mean()) / ranks.std())
    assert dict(zip([block.kind for block in encoder.blocks], unseen[0].tolist(), strict=True)) == {
        "levels": True,
        "linear": False,
    }


def test_two_levels_have_no_score_and_one_level_has_no_terms():
    frame = pd.DataFrame({"sex": [0, 1, 1], "wave": ["a", "a", "a"], "half": ordered(["x", "y", "x"], ["x", "y"])})
    _, terms, _ = encode(frame)
    assert terms.columns.tolist() == ["sex=0", "sex=1", "half=x", "half=y"]


def test_a_number_of_few_values_has_levels_and_a_score():
    _, terms, _ = encode(pd.DataFrame({"children": [0, 1, 3]}))
    assert terms.columns.tolist() == ["children=0", "children=1", "children=3", "children (linear)"]


def test_a_quantity_has_six_groups_of_equally_many_distinct_values_and_a_score():
    years = np.r_[np.arange(18, 90), np.full(100, 40)]
    _, terms, _ = encode(pd.DataFrame({"age": years}))
    groups = terms.filter(regex=r"\.\.")
    assert groups.columns.tolist() == [
        "age=..29.5",
        "age=29.5..41.5",
        "age=41.5..53.5",
        "age=53.5..65.5",
        "age=65.5..77.5",
        "age=77.5..",
    ]
    assert groups.iloc[:72].sum().tolist() == [12] * 6
    assert (groups.sum(axis=1) == 1).all()


def test_a_quantity_beyond_training_belongs_to_the_outer_group():
    train = pd.DataFrame({"age": np.arange(20, 50)})
    _, terms, unseen = encode(train, ask=pd.DataFrame({"age": [5, 99]}))
    assert terms.iloc[0, 0] == 1
    assert terms.iloc[1, 5] == 1
    assert not unseen.any()


def test_missing_is_a_level_with_a_neutral_score():
    _, terms, unseen = encode(pd.DataFrame({"income": [1.0, 2.0, 4.0, np.nan]}))
    assert terms.columns[3] == f"income={MISSING}"
    assert terms.iloc[3].tolist() == [0, 0, 0, 1, 0]
    assert not unseen.any()


def test_missing_that_training_did_not_show_is_unseen():
    train = pd.DataFrame({"income": [1.0, 2.0, 4.0], "race": ["a", "b", "c"]})
    _, terms, unseen = encode(train, ask=pd.DataFrame({"income": [np.nan], "race": [None]}))
    assert (terms == 0).all(axis=None)
    assert unseen.all()


def test_without_linear_there_are_levels_only():
    age = ordered(["a", "b", "c"], ["a", "b", "c"])
    encoder, _, _ = encode(pd.DataFrame({"age": age, "n": [1, 2, 3]}), linear=False)
    assert [block.kind for block in encoder.blocks] == ["levels", "levels"]


def test_pairs_are_those_seen_together():
    train = pd.DataFrame({"sex": ["f", "f", "m"], "region": ["n", "s", "n"]})
    ask = pd.DataFrame({"sex": ["m", "f", "x"], "region": ["s", "n", "n"]})
    encoder, terms, unseen = encode(train, pairs=True, ask=ask)
    pairs = terms[["sex=f x region=n", "sex=f x region=s", "sex=m x region=n"]]
    assert pairs.to_numpy().tolist() == [[0, 0, 0], [1, 0, 0], [0, 0, 0]]
    assert [block.name for block in encoder.blocks] == ["sex", "region", "sex x region"]
    assert unseen.tolist() == [[False, False, True], [False, False, False], [True, False, True]]


def test_a_column_may_change_its_type_between_fit_and_predict():
    train = pd.DataFrame({"a": pd.Categorical([1, 2, 3]), "b": [1, 2, 3], "c": ["x", "y", "z"]})
    ask = pd.DataFrame({"a": [1.0, 3.0], "b": pd.array([2, 3], dtype="Int64"), "c": pd.Categorical(["z", "x"])})
    _, terms, unseen = encode(train, ask=ask)
    assert not unseen.any()
    assert terms.filter(regex="^a=").to_numpy().tolist() == [[1, 0, 0], [0, 0, 1]]
    assert terms.filter(regex="^c=").to_numpy().tolist() == [[0, 0, 1], [1, 0, 0]]


def test_an_object_column_of_numbers_is_a_number():
    _, terms, _ = encode(pd.DataFrame({"n": pd.Series([1, 2.5, None, 3], dtype=object)}))
    assert "n (linear)" in terms


def test_codes_tell_text_from_numbers_and_sort_what_cannot_be_compared():
    index = LevelIndex(pd.Series(["1", 1, 2.0, True, None], dtype=object))
    assert len(index) == 4  # True equals 1
    codes = index.codes(pd.Series(["1", 1, 2, None, "2"], dtype=object))
    assert len(set(codes[:4].tolist())) == 4
    assert codes[4] == UNSEEN


@pytest.mark.parametrize("kind", [object, "category"])
def test_texts_that_read_like_an_order_have_a_score(kind):
    frame = pd.DataFrame({"age": pd.Series(["65 or older", "18-29", "30-64", None], dtype=kind)})
    design = BackgroundEncoder(linear=True, pairs=False).fit(frame)
    assert design.names == ["age=18-29", "age=30-64", "age=65 or older", "age=<missing>", "age (linear)"]
    scores = design.transform(frame).matrix[:, -1]
    np.testing.assert_allclose(scores, np.array([1, -1, 0, 0]) * np.sqrt(1.5))
    # a level that is no part of the order that training showed has no place in it
    assert design.transform(pd.DataFrame({"age": ["90+"]})).matrix[0, -1] == 0


def test_other_texts_have_none():
    frame = pd.DataFrame({"region": ["east", "north", "south"], "code": ["1", "2", "3"]})
    names = BackgroundEncoder(linear=True, pairs=False).fit(frame).names
    assert not any("linear" in name for name in names)
