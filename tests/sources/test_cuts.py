"""Levels of two surveys: equal names, cuts of age within one another, what is listed rather than guessed."""

from __future__ import annotations

import pytest

from surveysim.level_order import range_of
from surveysim.sources.cuts import TargetLevels, match_levels

AGES = TargetLevels(["18-29", "30-44", "45-64", "65+"], is_closed=True, is_number=False)
SAMPLED = TargetLevels(["north", "south"], is_closed=False, is_number=False)
YEARS = TargetLevels([20.0, 40.0], is_closed=False, is_number=True)


def matched(theirs, target=AGES, mapping=None):
    return match_levels(theirs, target, mapping, "age")


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("18-29", (18, 29)),
        ("30 to 44", (30, 44)),
        ("65 or older", (65, float("inf"))),
        ("65+", (65, float("inf"))),
        ("over 64", (65, float("inf"))),
        ("at least 65", (65, float("inf"))),
        ("under 30", (float("-inf"), 29)),
        ("up to 29", (float("-inf"), 29)),
        ("<30", (float("-inf"), 29)),
        ("<=29", (float("-inf"), 29)),
        ("$20-30k", (20_000, 30_000)),
        ("under 2.5", (float("-inf"), 2.5)),
    ],
)
def test_a_range_is_read_with_both_ends_included(text, limits):
    assert range_of(text) == limits


def test_the_same_levels_in_another_spelling_match():
    theirs = ["18\u201329", "30 - 44", "45 to 64", "65 or older"]
    assert matched(theirs).ours == dict(zip(theirs, AGES.values, strict=True))


def test_a_finer_cut_nests_in_a_coarser_one():
    match = matched(["18-24", "25-29", "30 to 39", "40 to 44", "45-64", "65-74", "75 or older"])
    assert match.ours == {
        "18-24": "18-29", "25-29": "18-29", "30 to 39": "30-44", "40 to 44": "30-44", "45-64": "45-64",
        "65-74": "65+", "75 or older": "65+",
    }  # fmt: skip
    assert match.unmatched == {}


def test_the_oldest_group_may_end_where_the_source_does():
    assert matched(["18-29", "30-44", "45-64", "65-90"]).ours["65-90"] == "65+"


def test_a_cut_that_crosses_ours_is_listed_and_so_is_the_part_beside_it():
    match = matched(["18-24", "25-34", "35-44", "45-64", "65+"])
    assert match.ours == {"45-64": "45-64", "65+": "65+"}
    assert "only a part" in match.unmatched["18-24"]  # 25 to 29 are elsewhere
    assert "none of the target's levels" in match.unmatched["25-34"]


def test_single_years_fall_into_groups_whichever_occur():
    assert matched([18, 33.0, "70"]).ours == {18: "18-29", 33.0: "30-44", "70": "65+"}


def test_overlapping_cuts_are_not_nested():
    assert matched(["18-24", "18-29", "25-29"]).ours == {"18-29": "18-29"}


def test_what_a_level_of_the_same_name_is_is_not_added_to_it():
    match = matched(["30-44", "18-29", "45-64", "65+", "31-40"])
    assert "31-40" not in match.ours


def test_a_mapping_goes_first_and_merges():
    match = matched(["young", "old", "18-29"], mapping={"young": "18-29", "old": "65+", "18-29": None})
    assert match.ours == {"young": "18-29", "old": "65+"}
    assert match.left_out == ["18-29"]


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"ancient": "65+"}, r"levels\['age'\] names 'ancient', which the source does not have"),
        ({"old": "66+"}, r"levels\['age'\] maps 'old' to '66\+', which the target does not have"),
    ],
)
def test_levels_that_do_not_exist_are_refused(mapping, message):
    with pytest.raises(ValueError, match=message):
        matched(["young", "old"], mapping=mapping)


def test_a_level_that_a_small_sample_lacks_is_kept_where_all_others_are_the_same():
    match = matched(["North", "South", "West"], SAMPLED)
    assert match.ours == {"North": "north", "South": "south", "West": "West"}
    assert "no training cell has it" in match.notes["West"]


def test_levels_of_another_coding_are_not_kept():
    match = matched(["N", "S", "W"], SAMPLED)
    assert match.ours == {}
    assert set(match.unmatched) == {"N", "S", "W"}


def test_a_mapping_to_a_level_that_the_sample_lacks_is_noted():
    match = matched(["N", "S", "W"], SAMPLED, {"N": "north", "S": "south", "W": "west"})
    assert match.ours["W"] == "west"
    assert match.notes == {"W": "mapped to 'west', which no training cell has"}


def test_numbers_are_numbers_and_groups_of_them_are_none():
    match = matched(["20", 33, "18-29"], YEARS)
    assert match.ours == {"20": 20, 33: 33}
    assert "no number" in match.unmatched["18-29"]
