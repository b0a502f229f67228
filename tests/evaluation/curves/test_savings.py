"""Respondents saved: read off curves whose answers are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from surveysim.evaluation import FLOOR, respondents_saved
from surveysim.evaluation.curves.protocol import SURVEY_COLUMNS

LOGIT = "order-aware logit"


def make_curve(mine: float = 1.0, floor: float = 0.001, n_questions: int = 8) -> pd.DataFrame:
    """The logit has 2 / n, mine `mine` / n, and a random survey of N respondents 40 / N; questions differ in scale."""
    rows = []
    for q, scale in enumerate(np.linspace(0.6, 1.4, n_questions)):
        for n in (200, 400, 800):
            for model, D in {LOGIT: 2 / n, "mine": mine / n, FLOOR: 0.0}.items():
                row = {"model": model, "n": n, "split": 0, "level": "cell", "question": f"Q{q}", "n_groups": 10}
                row |= {"js_debiased": scale * D, "js": scale * D + floor}
                if model == FLOOR:
                    row |= {column: scale * 40 / size for column, size in SURVEY_COLUMNS.items()}
                rows.append(row)
    return pd.DataFrame(rows)


def test_half_the_divergence_saves_half_the_respondents() -> None:
    row = respondents_saved(200, make_curve(1.0), levels=["cell"]).iloc[0]
    assert row["needed"] == pytest.approx(400)
    assert row["saved"] == pytest.approx(0.5)
    assert row["low"] == pytest.approx(400)  # every question tells the same
    assert row["resampled"] == "questions"
    assert row["reference"] == LOGIT


def test_between_sizes_it_is_interpolated_in_logarithms() -> None:
    assert respondents_saved(200, make_curve(0.8), levels="cell")["needed"].item() == pytest.approx(500)


def test_a_worse_model_saves_less_than_nothing() -> None:
    row = respondents_saved(400, make_curve(3.0), levels="cell").iloc[0]
    assert row["needed"] == pytest.approx(800 / 3)
    assert row["saved"] == pytest.approx(-0.5)


@pytest.mark.parametrize(("mine", "note"), [(0.2, "more than 800"), (5.0, "fewer than 200")])
def test_outside_the_sizes_nothing_is_extrapolated(mine: float, note: str) -> None:
    row = respondents_saved(200, make_curve(mine, floor=0.0001), levels="cell").iloc[0]
    assert np.isnan(row["needed"])
    assert note in row["note"]
    assert (row["low"], row["high"]) == ((800, np.inf) if mine < 1 else (0, 200))


@pytest.mark.parametrize("n", [200, 400, 800])
def test_the_baseline_under_another_name_saves_nothing(n: int) -> None:
    curve = make_curve(2.0 * (1 + 1e-15), floor=0.0001)
    row = respondents_saved(n, curve, levels="cell").iloc[0]
    assert row["needed"] == pytest.approx(n)
    assert row["saved"] == pytest.approx(0, abs=1e-9)


def test_raw_cells_stand_beside_the_baseline_never_alone() -> None:
    saved = respondents_saved(200, make_curve(1.0), reference="cells", levels="cell")
    assert saved["reference"].tolist() == [LOGIT, "raw cells", "raw cells"]
    assert saved["model"].tolist() == ["mine", LOGIT, "mine"]
    raw = saved[saved["reference"] == "raw cells"].set_index("model")
    assert raw.loc["mine", "needed"] == pytest.approx(8000)
    assert raw.loc["mine", "saved"] == pytest.approx(1 - 200 / 8000)
    assert raw.loc[LOGIT, "needed"] == pytest.approx(4000)


def test_a_noisy_truth_is_said_so() -> None:
    row = respondents_saved(200, make_curve(1.0, floor=0.02), levels="cell").iloc[0]
    assert np.isnan(row["needed"])
    assert "over half" in row["note"]


def test_a_level_that_was_not_measured_is_said_so() -> None:
    saved = respondents_saved(200, make_curve())
    assert saved["level"].tolist() == ["cell", "attribute", "population"]
    assert saved.loc[saved["level"] == "population", "note"].item().startswith("no group of this level")


def test_a_curve_that_rises_is_made_to_fall() -> None:
    curve = make_curve(1.0)
    at = (curve["model"] == LOGIT) & (curve["n"] == 400)
    curve.loc[at, "js_debiased"] *= 2.2  # now above that of 200: both become their mean, 1.05 times 2 / 200
    row = respondents_saved(200, curve, levels="cell").iloc[0]
    # mine is half the logit at 200, so where the falling curve is half of 0.0105
    expected = np.exp(np.interp(-np.log(0.00525), -np.log([0.0105, 0.0025]), np.log([400, 800])))
    assert row["needed"] == pytest.approx(expected)


@pytest.mark.parametrize("n_train", [200, 400, 800])
def test_a_model_that_equals_the_baseline_saves_nothing_where_its_curve_rises(n_train: int) -> None:
    D = {200: 0.00298, 400: 0.00307, 800: 0.0017}
    row = {"split": 0, "level": "cell", "n_groups": 10}
    runs = [
        {**row, "model": model, "n": n, "question": f"Q{q}", "js": d + 0.0005, "js_debiased": d}
        for q in range(6)
        for n, d in D.items()
        for model in (LOGIT, "mine")
    ]
    runs += [{**row, "model": FLOOR, "n": n, "question": "Q0", "js": 0.0005, "js_debiased": 0.0} for n in D]
    saved = respondents_saved(n_train, pd.DataFrame(runs), levels="cell").iloc[0]
    assert saved["needed"] == pytest.approx(n_train)
    assert saved["saved"] == pytest.approx(0, abs=1e-9)
    assert (saved["low"], saved["high"]) == (pytest.approx(n_train), pytest.approx(n_train))


def test_a_baseline_that_cannot_be_told_from_0_at_one_size_is_moved_not_scaled() -> None:
    # at 400 it is below 0 by chance: falling curve (0.01, 0.0005, 0.0005), mine 0.0015 above it at 400
    curve = make_curve(1.0)
    logit, mine = (curve["model"] == LOGIT), (curve["model"] == "mine")
    for n, D in {200: 0.01, 400: -0.0015, 800: 0.0025}.items():
        curve.loc[logit & (curve["n"] == n), "js_debiased"] = D
    curve.loc[mine & (curve["n"] == 400), "js_debiased"] = 0.0
    row = respondents_saved(400, curve, levels="cell").iloc[0]
    expected = np.exp(np.interp(-np.log(0.002), -np.log([0.01, 0.0005]), np.log([200, 400])))
    assert row["needed"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_train": 300}, r"not measured at n_train=300; the curve has the sizes \[200, 400, 800\]"),
        ({"reference": "truth"}, "reference must be"),
        ({"models": "yours"}, r"no models \['yours'\]"),
        ({"baseline": "my logit"}, "the curve has no model 'my logit' to compare with"),
        ({"levels": "county"}, "level must be one of"),
    ],
)
def test_what_is_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        respondents_saved(**{"n_train": 200, "curve": make_curve(), **parameters})


def test_a_curve_of_one_size_is_refused() -> None:
    curve = make_curve()
    with pytest.raises(ValueError, match="measured at only 1 size"):
        respondents_saved(200, curve[curve["n"] == 200], levels="cell")
    with pytest.raises(ValueError, match="lacks the columns"):
        respondents_saved(200, curve.drop(columns="survey_16"), reference="cells", levels="cell")
