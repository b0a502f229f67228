"""Whatever a file holds: everybody is counted once, and what is proposed can be tabulated."""

from __future__ import annotations

import warnings

import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from surveysim.datasets import SurveyWarning, read_survey
from surveysim.datasets.no_answer import missing_kind

WORDS = [
    "Yes", "No", "Agree", "Disagree", "Other", "Don't know", "Refusal", "No answer", "Not applicable", "1", "5", "10",
    "Very good", "Neither good nor bad", "Reds", "Greens", "", " ", "None", "Never", "Often", "not asked", "99", "-1",
]  # fmt: skip
CODES = st.one_of(st.integers(-9, 12), st.sampled_from([66, 77, 88, 97, 98, 99, 999]), st.sampled_from([0.5, 2.5]))
SETTINGS = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
KINDS = ["answered", "don't know", "refused", "skipped", "not asked"]


@SETTINGS
@given(
    values=st.lists(st.one_of(st.none(), CODES), min_size=1, max_size=30),
    labels=st.dictionaries(CODES, st.sampled_from(WORDS), max_size=12),
    declared=st.dictionaries(st.integers(-9, 99), st.sampled_from(["don't know", "refused", "skipped"]), max_size=3),
)
def test_coded_variables(values, labels, declared):
    table = pd.DataFrame(
        {"q": pd.Series(values, dtype=float), "sex": ["f", "m"] * (len(values) // 2) + ["f"] * (len(values) % 2)}
    )
    check(table, {"q": labels} if labels else {}, {"q": declared} if declared else {})


@SETTINGS
@given(values=st.lists(st.one_of(st.none(), st.sampled_from(WORDS)), min_size=1, max_size=30))
def test_text(values):
    table = pd.DataFrame({"q": pd.Series(values, dtype=object), "sex": "f"})
    table["sex"] = ["f", "m"] * (len(values) // 2) + ["f"] * (len(values) % 2)
    check(table, {}, {})


def check(table: pd.DataFrame, labels: dict, missing: dict) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SurveyWarning)
        survey = read_survey(table, value_labels=labels, missing=missing)
    role = survey.variables.set_index("name").loc["q"]
    assert role["reason"]
    if "q" not in survey.questions:
        assert role["role"] == "other"
        pd.testing.assert_series_equal(survey.data["q"], table["q"])  # as it was
        return
    question = survey.questions["q"]
    assert role[KINDS].sum() == len(table)
    assert 2 <= question.n_options <= 20
    assert len(survey.backgrounds) == (1 if table["sex"].nunique() > 1 else 0)
    cells = survey.tabulate() if survey.backgrounds else read_all(survey)
    assert cells.n_raw.sum() == role["answered"]
    assert cells.excluded["respondents"].sum() == len(table) - role["answered"]
    by_kind = cells.excluded.set_index("reason")["respondents"].to_dict()
    assert by_kind == {kind: role[kind] for kind in KINDS[1:] if role[kind]}
    if len(question.options) > 2:
        assert not any(missing_kind(option) for option in question.options if option not in question.pinned)


def read_all(survey):
    survey.data["everybody"] = "x"
    return survey.tabulate(["everybody"])
