"""What was measured on real surveys holds: the table of baselines, to 5%."""

from __future__ import annotations

import pytest

from benchmarks.baselines import BASELINES
from benchmarks.protocol import FLOOR, SAMPLE, run, summarise
from benchmarks.surveys import load_cces, load_fair, load_nonvoters

pytestmark = pytest.mark.realdata

EXPECTED = {
    "nonvoters": {
        SAMPLE: 0.083,
        "pooled marginal": 0.0211,
        "order-aware logit, fixed variances": 0.0107,
        "order-aware logit": 0.0104,
    },
    "cces": {
        SAMPLE: 0.229,
        "pooled marginal": 0.0276,
        "order-aware logit, fixed variances": 0.0167,
        "order-aware logit": 0.0155,
    },
}


@pytest.mark.parametrize(("load", "name"), [(load_nonvoters, "nonvoters"), (load_cces, "cces")])
def test_divergence_from_held_out_respondents_after_500(load, name, survey_data):
    models = {model: BASELINES[model] for model in EXPECTED[name] if model in BASELINES}
    js = summarise(run(load(survey_data), models, sizes=[500]))
    for model, expected in EXPECTED[name].items():
        assert js.loc[model].item() == pytest.approx(expected, rel=0.05), model


def test_every_level_and_the_cross_entropy_rank_the_models_on_fair():
    pytest.importorskip("statsmodels")
    results = run(
        load_fair(), {name: BASELINES[name] for name in ("pooled marginal", "order-aware logit")}, sizes=[500]
    )
    for value, level in [("js_debiased", "cells"), ("js_debiased", "groups"), ("cross_entropy", "cells")]:
        table = summarise(results, value, level).iloc[:, 0]
        assert table["order-aware logit"] < table["pooled marginal"], (value, level)
    debiased = summarise(results, "js_debiased").iloc[:, 0]
    raw = summarise(results, "js").iloc[:, 0]
    assert debiased[FLOOR] == 0
    assert raw[FLOOR] == pytest.approx(0.007, rel=0.1)
    assert raw["order-aware logit"] - debiased["order-aware logit"] == pytest.approx(raw[FLOOR], rel=0.3)
    # pooled over backgrounds the sample is its own margin
    population = summarise(results, "js", "population").iloc[:, 0]
    assert population[SAMPLE] == pytest.approx(population["pooled marginal"])
