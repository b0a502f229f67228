"""Wasserstein distances of the benchmarks' outputs: ordered options only, by hand and by scipy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import wasserstein_distance

from benchmarks.protocol import FLOOR, SAMPLE, make_splits, run, scale_distances, summarise
from benchmarks.surveys import Survey
from surveysim import Question
from surveysim.baselines import MarginalRegressor

QUESTIONS = {
    "trust": Question("Trust?", ["none", "some", "much"]),
    "party": Question("Party?", ["red", "blue"], ordinal=False),
}


@pytest.fixture(scope="module")
def survey() -> Survey:
    generator = np.random.default_rng(0)
    sex = generator.choice(["f", "m"], 900)
    trust = [
        generator.choice(["none", "some", "much"], p=(0.5, 0.3, 0.2) if s == "f" else (0.2, 0.3, 0.5)) for s in sex
    ]
    data = pd.DataFrame({"sex": sex, "trust": trust, "party": generator.choice(["red", "blue"], 900)})
    return Survey("made", data, ["sex"], QUESTIONS)


def test_distances_are_those_of_scipy_on_the_options_places(survey: Survey) -> None:
    (split,) = make_splits(survey, 300, 1)
    P = np.array([[0.6, 0.3, 0.1] if name == "trust" else [0.5, 0.5, np.nan] for name in split.truth.X["question"]])
    table = scale_distances(split, split.compare(P))
    assert set(table["question"]) == {"trust"}  # options without an order have no distances
    rows = np.flatnonzero(split.truth.X["question"] == "trust")
    by_hand = [wasserstein_distance([0, 1, 2], [0, 1, 2], split.truth.Y[row], P[row]) / 2 for row in rows]
    assert table.set_index("level")["w1"]["cell"] == pytest.approx(np.mean(by_hand))
    n, Y = split.truth.n[rows], split.truth.Y[rows]
    population = wasserstein_distance([0, 1, 2], [0, 1, 2], np.average(Y, axis=0, weights=n), P[rows[0]]) / 2
    assert table.set_index("level")["w1"]["population"] == pytest.approx(population)


def test_every_model_of_a_run_has_them_and_the_floor_is_what_sampling_makes(survey: Survey) -> None:
    factories = {"margin": lambda questions: MarginalRegressor(question=dict(questions))}
    lines: list[str] = []
    results = run(survey, factories, sizes=[300], n_splits=2, report=lines.append)
    assert [line.partition(":")[0] for line in lines] == [f"made n=300 split={split} margin" for split in (0, 1)]
    assert results["w1"].notna().equals(results["question"] == "trust")
    means = summarise(results, "w1").iloc[:, 0]
    assert means[FLOOR] < means[SAMPLE] < means["margin"]
    # Of n respondents the share that is below a cut has an error of sqrt(2 / pi) sqrt(F (1 - F) / n) on average; a
    # cell's distance is half the sum over the two cuts. F is .5 and .8 for women, .2 and .5 for men.
    errors = [np.sqrt(2 / np.pi) * np.sqrt(F * (1 - F) / 300) for F in (0.5, 0.8)]
    assert means[FLOOR] == pytest.approx(sum(errors) / 2, rel=0.2)
