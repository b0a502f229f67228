"""Which variable is the survey weight, and what is said when that is a guess."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from surveysim.datasets import SurveyWarning, read_survey
from surveysim.datasets.weights import looks_like_weight

N = 120
RNG = np.random.default_rng(0)
SHARES, PEOPLE, BODIES = RNG.uniform(0.3, 2, N), RNG.integers(100, 900, N), RNG.uniform(58, 95, N)


def read(name: str, values: np.ndarray, label: str | None = None):
    table = pd.DataFrame({"q": ["yes", "no"] * (N // 2), name: values})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        survey = read_survey(table, variable_labels={name: label} if label else None)
    return survey.weight, "\n".join(str(warning.message) for warning in caught)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("weight", None), ("w_age_bel", None), ("ponde", None), ("pspwght", "Post-stratification weight"),
        ("v9", "Gewichtungsfaktor Ost-West"), ("v9", "Repräsentativgewicht"), ("v9", "Factor de ponderación"),
        ("v9", "Ponderación"), ("v9", "Pondération de redressement"), ("v9", "Peso amostral"), ("v9", "Waga"),
        ("v9", "加权"), ("v9", "Survey weight for wave 3"),
    ],
)  # fmt: skip
def test_weights(name, label):
    assert read(name, SHARES, label) == (name, "")


@pytest.mark.parametrize(
    ("name", "values", "label"),
    [
        ("wtsc", RNG.uniform(1, 5, N), "Willingness to self-censor, mean"),
        ("wtsc", RNG.uniform(1, 5, N), None),
        ("w_trust", RNG.uniform(1, 5, N), "Trust in institutions, wave mean"),
        ("weight", SHARES, "Body weight in kg"),
        ("bodyweight", SHARES, None),
        ("peso", BODIES, None),
        ("gewicht", BODIES, "Körpergewicht"),
    ],
)
def test_what_only_sounds_like_one(name, values, label):
    assert read(name, values, label)[0] is None


def test_a_body_weight_without_a_label_is_seen_by_its_values():
    weight, said = read("weight", BODIES)
    assert weight is None
    assert "called a weight, but with values like body weights" in said


@pytest.mark.parametrize(("name", "values"), [("fex", PEOPLE * 1.5), ("PONDERA", PEOPLE), ("fexp", PEOPLE)])
def test_one_guessed_by_its_name_alone_is_taken_and_said(name, values):
    weight, said = read(name, values)
    assert weight == name
    assert "a weight guessed from its name alone" in said
    assert f"weight='{name}' or weight=None" in said


def test_several_are_left_to_the_user():
    table = pd.DataFrame({"q": ["yes", "no"] * (N // 2), "ponde": SHARES, "peso": SHARES[::-1]})
    with pytest.warns(SurveyWarning, match=r"name one in weight=, of \['ponde', 'peso'\]"):
        assert read_survey(table).weight is None


def test_amounts_in_whole_numbers_need_a_name_that_says_so():
    assert looks_like_weight("pondera", None, pd.Series(PEOPLE))
    assert looks_like_weight("v1", "Factor de expansión", pd.Series(PEOPLE))
    assert not looks_like_weight("weight", None, pd.Series(PEOPLE))
