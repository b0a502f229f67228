"""`benchmarks.simbench` on a file that the test makes: who scores what can be worked out."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from benchmarks.simbench import main, other_groups, score, simulated
from surveysim.baselines import MarginalRegressor
from surveysim.datasets import read_simbench

TEXT = "Question {q}?\nOptions:\n(A): yes\n(B): no"
GROUPS = [{"cntry": "Finland"}, {"cntry": "Kenya"}, {"cntry": "Finland", "sex": "female"}]
SHARES = [0.8, 0.6, 0.9]


@pytest.fixture
def file(tmp_path):
    rows = [
        {
            "dataset_name": "ESS" if q < 6 else "ISSP",
            "group_prompt_template": "You are from {cntry}.",
            "group_prompt_variable_map": str(group),
            "input_template": TEXT.format(q=q),
            "human_answer": str({"A": share, "B": 1 - share}),
            "group_size": size,
            "Response_Distribution": [0.7, 0.3],
        }
        for q in range(8)
        for group, share, size in zip(GROUPS, SHARES, [1000, 500, 400], strict=True)
    ]
    path = tmp_path / "grouped.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def test_scores_of_a_small_file(file, tmp_path, capsys):
    results = main([str(file), "--output", str(tmp_path / "out.json")])
    assert results["equal shares"].score == pytest.approx(0)
    # distances .1, .1, .2 of (.3 + .1 + .4) / 3 = .8 / 3, in both data sets
    assert results["recorded"].score == pytest.approx(100 * (1 - (0.4 / 3) / (0.8 / 3)))
    assert results["recorded"].interval == pytest.approx((50.0, 50.0))  # all questions are alike
    printed = capsys.readouterr().out
    assert "24 rows of 8 questions, 2 data sets" in printed
    assert "perfect (the noise floor)" in printed
    written = json.loads((tmp_path / "out.json").read_text())
    assert [line["prediction"] for line in written][-1] == "perfect (the noise floor)"


def test_other_groups_are_never_people_of_the_row(file):
    """Finland's women are in Finland, so that only Kenya tells of either; both tell of Kenya, by their sizes."""
    P, n_found = other_groups(read_simbench(file))
    np.testing.assert_allclose(P[:3, 0], [0.6, (1000 * 0.8 + 400 * 0.9) / 1400, 0.6])
    assert n_found == 24


def test_any_estimator_is_scored(file):
    simbench = read_simbench(file)
    model = MarginalRegressor(question=simbench.questions).fit(simbench.X, simbench.Y, simbench.n)
    assert 0 < score(simbench, model).score < 100


def test_the_debiased_score_is_near_the_exact_one():
    table = simulated(n_samples=1, n_rows=100)
    assert len(table) == 24
    off = (table["debiased"] - table["exact"]).abs()
    assert off.median() < 3
    assert off.median() < (table["published"] - table["exact"]).abs().median()


def test_a_sample_of_rows(file, capsys):
    main([str(file), "--rows", "10", "--datasets", "ESS"])
    assert "10 rows of" in capsys.readouterr().out
