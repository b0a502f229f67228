"""Levels that read like an order, as survey files write them, and those that only look like it."""

from __future__ import annotations

import random

import pytest

from surveysim.level_order import order_of

ORDERS = [
    ["18-29", "30-44", "45-64", "65+"],
    ["under 18", "18 to 29", "30 to 44", "65 or older"],
    ["18\u201329", "30\u201344", "45 and over"],
    ["Age 18-29", "Age 30-49", "Age 50 plus"],
    ["18-29 years", "30-49 years", "50 years and older"],
    ["<$20k", "$20-30k", "$30k to $1m", ">$1m"],
    ["Less than $40,000", "$40,000-$75,000", "$75,000-$125,000", "$125,000 or more"],
    ["none", "1-2", "3+"],
    ["0", "1", "2", "3 or more"],
    ["9-10", "11-12", "100-200"],
    ["low", "medium", "high"],
    ["Low income", "Middle income", "High income"],
    ["Never", "Rarely", "Sometimes", "Often"],
    ["High school or less", "Some college", "College"],
    ["less than high school", "high school", "some college", "bachelor\u2019s degree", "postgraduate"],
    ["Primary", "Secondary", "University"],
]


@pytest.mark.parametrize("levels", ORDERS, ids=lambda levels: levels[0])
def test_orders_are_read_whatever_the_levels_sequence(levels):
    shuffled = random.Random(0).sample([*levels, "Don't know"], len(levels) + 1)
    assert order_of(shuffled) == {level: rank for rank, level in enumerate(levels)}


@pytest.mark.parametrize(
    "levels",
    [
        ["18-29", "30-44"],  # two: an order says nothing
        ["1", "2", "3"],  # codes, for all we know
        ["18-29", "25-44", "45+"],  # overlapping
        ["18-29", "18 to 29", "30+"],  # twice the same
        ["18-29", "30-44", "students"],
        ["555-1234", "555-9876", "556-0000"],
        ["east", "north", "south"],
        ["low", "high", "green"],
        ["high school", "secondary", "university"],  # the first two mean the same
        ["Democrat", "Independent", "Republican"],
        ["low", "medium", 3],
        [1, 2, 3],
        ["refused", "don't know", "18-29", "30+"],
        [],
    ],
)
def test_everything_else_has_no_order(levels):
    assert order_of(levels) is None
