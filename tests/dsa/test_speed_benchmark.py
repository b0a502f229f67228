"""The speed benchmark: what it counts, and that every part of it runs."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.speed.__main__ import main
from benchmarks.speed.setting import Survey
from benchmarks.speed.trunk import operations
from surveysim.dsa import loop
from surveysim.trunk.store import EncodedPrompts

TINY = SimpleNamespace(shape="tiny", layers=4)


def test_operations_are_those_of_tokens_that_have_to_be_run():
    """Two questions: 3 shared tokens behind which 1 and 2 follow, and one prompt of 4 with nothing shared."""
    prompts = EncodedPrompts(((1, 2, 3), ()), np.array([0, 0, 1]), ((4,), (5, 6), (7, 8, 9, 10)), np.arange(3))
    products, attention = operations(prompts, TINY)
    width, q, kv, intermediate = 64, 4 * 16, 2 * 16, 192
    weights = width * q + 2 * width * kv + q * width + 3 * width * intermediate
    assert products == 2 * 3 * weights * (3 + 1 + 2 + 4)  # 3 of the 4 blocks are frozen
    seen = (1 + 2 + 3) + 4 + (4 + 5) + (1 + 2 + 3 + 4)  # positions that each token attends to
    assert attention == 2 * 2 * 3 * q * seen  # scores, and values


def test_a_part_of_a_survey_has_its_own_rows():
    survey = Survey(3, 8)
    part = survey.part(2, 3)
    assert part.X["question"].tolist() == ["q0"] * 3 + ["q1"] * 3
    np.testing.assert_array_equal(part.Y, survey.Y[[0, 1, 2, 8, 9, 10]])
    assert list(part.questions) == ["q0", "q1"]


@pytest.mark.slow
def test_every_part_runs_and_says_what_it_measured(tmp_path, monkeypatch):
    output = tmp_path / "speed.json"
    command = "speed --shape tiny --questions 4 --backgrounds 6 --epochs 2 --repeats 1 --device cpu --output"
    parts = ["trunk", "head", "fit", "growth", "memory", "defaults"]
    monkeypatch.setattr(sys, "argv", [*command.split(), str(output), "--only", *parts])
    monkeypatch.setattr(loop, "MIN_STEPS", loop.MIN_STEPS)
    main()
    result = json.loads(output.read_text(encoding="utf-8"))
    assert result.keys() == {"setting", *parts}
    assert result["setting"]["fewer layers than the shape has"] is False
    trunk, fit, memory = result["trunk"], result["fit"], result["memory"]
    assert trunk["tokens_run"] < trunk["tokens_in_prompts"]
    assert 0 < trunk["share_of_bare_products"] < trunk["share_of_bare_products_with_attention"]
    assert result["head"].keys() == {"whole_block", "last_positions", "shared_20_own_tokens", "shared_30_own_tokens"}
    assert fit["b_over_a"] == fit["b"] / fit["a"]
    assert fit["largest_difference_a_b"] < 0.01  # the target is 1e-4, at the width of a real model
    assert memory["allowed"] == memory["model"] + 1.2 * 2**30 + memory["trained_16_bytes_each"] + 2**29
    assert 0 < memory["peak"] == memory["peak_of_main_memory"]
    assert {"6 cells", "12 cells", "24 cells", "6 cells, 2 layers"} <= result["growth"].keys()
    assert result["defaults"]["seconds"] > 0
