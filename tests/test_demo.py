"""The demo: that it runs, that its figures are what it says they are, and that its words follow its numbers."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from surveysim.metrics import js_divergence
from tests.tiny_models import make_tiny_model

PROJECT = Path(__file__).resolve().parents[1]

pytest.importorskip("statsmodels")
pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def demo() -> ModuleType:
    """The script as a module; it imports its neighbours, so their folder has to be on the path."""
    sys.path.insert(0, str(PROJECT / "examples"))
    try:
        return importlib.import_module("demo")
    finally:
        sys.path.remove(str(PROJECT / "examples"))


@pytest.fixture(scope="module")
def study(demo):
    """400 respondents with the baselines; no language model."""
    return demo.prepare(demo.parse([]), seed=0)


@pytest.mark.slow
def test_runs_from_the_command_line(tmp_path: Path) -> None:
    model = make_tiny_model(tmp_path / "model")
    picture = tmp_path / "new" / "demo.png"
    command = [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "examples/demo.py", "--quick"]
    run = subprocess.run(
        [*command, "--model", str(model), "--output", str(picture)],
        cwd=PROJECT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    for step in ("The survey", "Fine-tuning", "How far from the truth?", "What this means", "stage 1", "stage 2"):
        assert step in run.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_runs_where_the_terminal_knows_ascii_only(demo, capsys, monkeypatch) -> None:
    monkeypatch.setattr(demo.sys, "stdout", _Ascii())
    demo.say("▁█")
    assert demo.curve(np.array([2.0, 1.0, 1.5])).isascii()
    assert demo.sys.stdout.text == "??\n"


def test_training_and_truth_share_no_respondent_and_leave_none_out(study) -> None:
    assert study.train.n.sum() == 400
    assert study.truth.n.sum() == 6366 - 400
    counts = (study.train.Y * study.train.n[:, None]).sum(axis=0) + (study.truth.Y * study.truth.n[:, None]).sum(axis=0)
    np.testing.assert_allclose(counts, [99, 348, 993, 2242, 2684])  # the file's own frequencies


def test_levels_hold_the_same_respondents(demo, study) -> None:
    for level, attributes in ((demo.CELLS, 1), (demo.GROUPS, 3), (demo.POPULATION, 1)):
        assert study.levels[level]["n"].sum() == attributes * 5966


def test_the_margin_errs_alike_in_the_population_and_the_sample(demo, study) -> None:
    """For everybody together the sample says what its margin says."""
    assert demo.divergence(study, demo.SAMPLE, demo.POPULATION) == pytest.approx(
        demo.divergence(study, demo.MARGIN, demo.POPULATION)
    )


def test_sample_rows_are_the_sample_where_it_has_somebody(demo, study) -> None:
    predicted = study.predictions[demo.SAMPLE][demo.CELLS]
    own = demo.by_level(study.train, study.train.Y)[demo.CELLS]
    both = predicted.index.intersection(own.index)
    assert len(both) > 50
    np.testing.assert_allclose(predicted.loc[both].drop(columns="n"), own.loc[both].drop(columns="n"))
    margin = np.average(study.train.Y, axis=0, weights=study.train.n)
    nobody = predicted.index.difference(own.index)
    np.testing.assert_allclose(predicted.loc[nobody].drop(columns="n"), np.tile(margin, (len(nobody), 1)))


def test_the_floor_is_what_the_truth_would_show_against_itself(demo, study) -> None:
    """sum_k w_k (1 - p_k) / (8 n ln 2) bits for each group, averaged.

    An option that nobody chose counts w = 0, one with a single answer 2, one with two or more 1, linear in between.
    """
    truth, n = study.compared(demo.CELLS)
    raw, debiased = demo.divergence(study, demo.FLOOR, demo.CELLS)
    p = truth.to_numpy()
    weight = np.interp(p * np.asarray(n)[:, None], [0, 1, 2], [0, 2, 1])
    assert raw == pytest.approx(1000 * np.mean((weight * (1 - p)).sum(axis=1) / (8 * np.asarray(n) * np.log(2))))
    assert debiased == 0


def test_the_picture_shows_groups_from_the_lowest_to_the_highest_mean(demo, study, monkeypatch) -> None:
    monkeypatch.setitem(study.predictions, demo.BOTH, study.predictions[demo.LOGIT])
    panels = demo.panels(study)
    truth, _ = study.compared(demo.CELLS)
    means = [panel.truth @ np.arange(5) for panel in panels]
    assert means == sorted(means)
    assert means[0] == pytest.approx((truth.to_numpy() @ np.arange(5)).min())
    assert means[-1] == pytest.approx((truth.to_numpy() @ np.arange(5)).max())
    for panel in panels:
        assert list(panel.said)[-2:] == [demo.LOGIT, demo.BOTH]
        assert (demo.SAMPLE in panel.said) is not panel.remark.startswith("0 sampled")


def test_only_groups_with_enough_respondents_are_compared(demo, study) -> None:
    for level in study.levels:
        truth, n = study.compared(level)
        assert n.min() >= 50
        assert study.predicted(demo.LOGIT, level).shape == truth.shape


def test_difference_agrees_with_the_table_and_has_the_right_sign(demo, study) -> None:
    gain, error = demo.difference(study, demo.LOGIT, demo.MARGIN, seed=0)
    by_hand = demo.divergence(study, demo.MARGIN, demo.CELLS)[1] - demo.divergence(study, demo.LOGIT, demo.CELLS)[1]
    assert gain == pytest.approx(by_hand)
    assert 0 < error < gain
    back, _ = demo.difference(study, demo.MARGIN, demo.LOGIT, seed=0)
    assert back == pytest.approx(-gain)


def over_samples(demo, logit, margin) -> pd.DataFrame:
    """Divergences of two methods over the crossed cells of some samples."""
    columns = pd.MultiIndex.from_tuples([(demo.CELLS, demo.LOGIT), (demo.CELLS, demo.MARGIN)])
    return pd.DataFrame(np.column_stack([logit, margin]), columns=columns)


def test_words_follow_the_interval(demo, study) -> None:
    results = over_samples(demo, [10.0, 11.0, 12.0], [13.0, 14.0, 11.0])
    words = demo.compared_in_words(study, results, demo.LOGIT, demo.MARGIN, 0)
    assert ": a gain)" in words
    assert words.endswith("+1.67 over 3 samples (nearer in 2, farther in 1)")
    words = demo.compared_in_words(study, results, demo.MARGIN, demo.LOGIT, 0)
    assert ": a loss)" in words
    assert words.endswith("-1.67 over 3 samples (nearer in 1, farther in 2)")


def test_equal_predictions_are_no_difference(demo, study) -> None:
    results = over_samples(demo, [10.0], [10.0])
    assert demo.compared_in_words(study, results, demo.LOGIT, demo.LOGIT, 0) == "no difference in this sample"


def test_predictions_are_compared_with_the_group_they_were_made_for(demo, study) -> None:
    """A prediction that is the truth has divergence 0 at every level, whatever the order of the groups."""
    study.add("truth", study.truth.Y)
    try:
        for level in study.levels:
            truth, _ = study.compared(level)
            assert js_divergence(truth, study.predicted("truth", level)) == pytest.approx(0, abs=1e-12)
    finally:
        del study.predictions["truth"], study.bits_per_answer["truth"]


class _Ascii:
    """A terminal that knows ASCII only."""

    encoding = "ascii"

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text.encode("ascii").decode()

    def flush(self) -> None:
        """Nothing to do."""


def test_points_are_shares_on_a_wrong_option(demo, study) -> None:
    truth, _ = study.compared(demo.POPULATION)
    off = np.abs(truth.to_numpy() - study.predicted(demo.SAMPLE, demo.POPULATION)).sum() / 2
    assert demo.points(study, demo.SAMPLE, demo.POPULATION) == pytest.approx(100 * off)
    assert 0 < demo.points(study, demo.FLOOR, demo.POPULATION) < demo.points(study, demo.FLOOR, demo.CELLS)


def test_nano_searches_among_all_candidates_and_other_models_where_they_are_told_to(demo) -> None:
    assert demo.parse([]).search
    assert not demo.parse(["--model", "smollm2"]).search
    assert demo.parse(["--model", "smollm2", "--search"]).search


def test_without_a_search_the_weight_is_fixed_and_the_second_fit_takes_the_reference_of_the_first(demo, study) -> None:
    settings = sys.modules["study"].dsa_settings
    study.models[demo.BOTH] = SimpleNamespace(shift_reference_="zero")
    try:
        found = [settings(method, study, search=False) for method in (demo.STAGE1, demo.BOTH, demo.STACKED)]
    finally:
        del study.models[demo.BOTH]
    assert found == [
        {"shift_weight": 0},
        {"shift_weight": 1.5},
        {"init": "baseline", "shift_reference": "zero", "shift_weight": 1.5},
    ]


def test_a_search_leaves_the_defaults(demo, study) -> None:
    settings = sys.modules["study"].dsa_settings
    assert settings(demo.BOTH, study, search=True) == {}
    assert settings(demo.STACKED, study, search=True) == {"init": "baseline"}
