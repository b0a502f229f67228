"""What a variable is for, guessed from its name and label."""

from __future__ import annotations

import pandas as pd
import pytest

from surveysim.datasets.roles import background_kind, looks_like_id
from surveysim.datasets.weights import looks_like_weight


@pytest.mark.parametrize(
    ("name", "label", "kind"),
    [
        ("agea", None, "age"),
        ("v1", "Age of respondent, calculated", "age"),
        ("F_AGECAT", None, "age group"),
        ("v2", "Sex of respondent", "gender"),
        ("v2", "Respondent’s gender", "gender"),
        ("v3", "Highest level of education, ES - ISCED", "education"),
        ("v4", "Household's total net income, all sources", "income"),
        ("v4", "Scale of incomes (recoded)", "income"),
        ("v5", "Domicile, respondent's description", "urban"),
        ("cntry", None, "country"),
        ("v6", "Race of respondent", "race"),
        ("v7", "Legal marital status", "marital status"),
        ("v8", "Number of children", "children"),
        ("subjective_class", None, "class"),
    ],
)
def test_backgrounds(name, label, kind):
    guess = background_kind(name, label)
    assert guess is not None
    assert guess.kind == kind
    assert kind in guess.reason


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("q5", "Age discrimination is a problem"),
        ("q6", "How much do you trust people of your age?"),
        ("q7", "Income differences should be reduced"),
        ("hincfel", "Feeling about household's income nowadays"),
        ("q8", "Gender equality"),
        ("q9", "Partner's highest level of education"),
        ("q10", "Father's age"),
        ("q11", "race relations"),
        ("sexeduc", "Sex education in public schools"),
        ("racerare", None),
        ("q1", "State of health services nowadays"),
        ("q2", "State of the economy"),
        ("q3", "Region should have more power"),
        ("q4", "Country is going in the right direction"),
        ("q12", "Religion and politics"),
        ("q13", "Rural development is important"),
        ("hincsrca", "Main source of household income"),
        ("income_source", None),
        ("income", "How satisfied are you with your income?"),
        ("income_equality", "Incomes should be more equal"),
        ("q14", "Number of children is a private matter"),
        ("q15", "Education nowadays"),
        ("q262", None),
        ("trust", None),
    ],
)
def test_questions_that_sound_like_one(name, label):
    assert background_kind(name, label) is None


def test_weights_have_fractions_and_are_not_kilograms():
    fractions, whole = pd.Series([0.5, 1.2]), pd.Series([1, 2])
    assert looks_like_weight("pspwght", None, fractions)
    assert looks_like_weight("WEIGHT_W92", None, fractions)
    assert looks_like_weight("wtssps", None, fractions)
    assert looks_like_weight("v9", "Post-stratification weight", fractions)
    assert not looks_like_weight("weight", None, whole)
    assert not looks_like_weight("weight", "Body weight in kg", fractions)
    assert not looks_like_weight("trust", None, fractions)
    assert not looks_like_weight("weight", None, pd.Series(["a", "b"]))


def test_identifiers():
    assert looks_like_id("idno", pd.Series([3, 3]))
    assert looks_like_id("serial_number", pd.Series([1, 2]))
    assert looks_like_id("x", pd.Series(range(200)))
    assert not looks_like_id("x", pd.Series([1, 2, 1]))
    assert not looks_like_id("x", pd.Series([0.5] * 200).cumsum())
