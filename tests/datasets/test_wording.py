"""Labels of survey files: reasons for a missing answer, options outside a scale, scales."""

from __future__ import annotations

import pytest

from surveysim.datasets.no_answer import missing_kind
from surveysim.datasets.scales import is_neutral, scale_scores
from surveysim.datasets.wording import MISSING_TEXTS, outside_scale
from surveysim.tables.missing import kind_of_text


@pytest.mark.parametrize(
    ("label", "kind"),
    [
        ("Don't know", "don't know"),
        ("DON’T KNOW", "don't know"),
        ("98. (Don't know)", "don't know"),
        ("8 Don't know", "don't know"),
        ("DK/Refused", "don't know"),
        ("Can't choose", "don't know"),
        ("Weiß nicht", "don't know"),
        ("Ne sait pas", "don't know"),
        ("不知道", "don't know"),
        ("Не знаю", "don't know"),
        ("(VOL.) Don't know", "don't know"),
        ("Don´t know (volunteered)", "don't know"),
        ("I don't know", "don't know"),
        (".d:  Do not Know/Cannot Choose", "don't know"),
        ("[DO NOT READ] Refused", "refused"),
        ("Valid skip", "not asked"),
        ("Refusal", "refused"),
        ("[REFUSED]", "refused"),
        ("Prefer not to say", "refused"),
        ("Verweigert", "refused"),
        ("拒绝回答", "refused"),
        ("No answer", "skipped"),
        ("NA(n)", "skipped"),
        ("Missing; Unknown", "skipped"),
        ("Skipped on Web", "skipped"),
        ("Keine Angabe", "skipped"),
        ("缺失", "skipped"),
        ("Not applicable", "not asked"),
        ("IAP", "not asked"),
        ("Not asked in survey", "not asked"),
        ("Trifft nicht zu", "not asked"),
        ("不适用", "not asked"),
    ],
)
def test_reasons_for_a_missing_answer(label, kind):
    assert missing_kind(label) == kind


@pytest.mark.parametrize(
    "label",
    [
        "No",
        "Not at all",
        "Never",
        "Refused to pay",
        "Not interested",
        "Neither",
        "None",
        "9",
        "Unknown man",
        "I don't know many of them",
        "Voluntary (not paid)",
    ],
)
def test_answers_that_only_sound_like_one(label):
    assert missing_kind(label) is None


def test_what_is_written_into_the_data_is_understood_by_tabulate():
    assert {kind_of_text(text): kind for kind, text in MISSING_TEXTS.items()} == {kind: kind for kind in MISSING_TEXTS}


SCALES = [
    ["Agree strongly", "Agree", "Neither agree nor disagree", "Disagree", "Disagree strongly"],
    ["Very happy", "Pretty happy", "Not too happy"],
    ["Very important", "Rather important", "Not very important", "Not at all important"],
    ["No trust at all", "1", "2", "3", "4", "5", "6", "7", "8", "9", "Complete trust"],
    ["Left", "1", "2", "3", "Right"],
    ["Very poor", "Poor", "Fair", "Good", "Very good"],
    ["Less than $40k", "$40-75k", "$75-125k", "$125k or more"],
    ["18-29", "30-44", "45-64", "65 or older"],
    ["Every day", "Several times a week", "About once a week", "About once a month", "Less than once a month", "Never"],
    ["Too little", "About right", "Too much"],
    ["More excited than concerned", "Equally concerned and excited", "More concerned than excited"],
    ["Extremely liberal", "Liberal", "Slightly liberal", "Moderate, middle of the road", "Slightly conservative",
     "Conservative", "Extremely conservative"],
    ["Strong democrat", "Not very strong democrat", "Independent", "Not very strong republican", "Strong republican"],
    ["A significant impact", "Somewhat of an impact", "Just a slight impact", "No impact at all"],
    ["Top priority", "Some priority", "No priority"],
    ["High school or less", "Some college", "College"],
    ["Yes", "No"],
]  # fmt: skip


@pytest.mark.parametrize("labels", SCALES, ids=lambda labels: labels[0])
def test_scales_are_recognised_in_either_direction(labels):
    for shown in (labels, labels[::-1]):
        scores = scale_scores(shown)
        assert scores is not None
        assert scores in (sorted(scores), sorted(scores, reverse=True))


@pytest.mark.parametrize(
    "labels",
    [
        ["Protestant", "Catholic", "Orthodox"],
        ["Labour Party", "Green Party", "Conservative Party"],
        ["Donald Trump", "Joe Biden"],
        ["Male", "Female"],
        ["Party 1", "Party 2", "Party 3"],
        ["Widowed", "Married", "Divorced"],
        ["North", "South"],
    ],
)
def test_names_are_no_scale(labels):
    assert scale_scores(labels) is None


def test_beside_the_scale():
    assert outside_scale("Other (please specify)")
    assert outside_scale("None of these")
    assert outside_scale("It depends")
    assert not outside_scale("None at all")
    assert is_neutral("Neither a good thing or a bad thing")
    assert not is_neutral("Good")
