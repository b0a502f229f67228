"""The room as a whole: light to import, documented, listed; and the benchmark runs."""

from __future__ import annotations

import doctest
import importlib
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import surveysim.datasets
from benchmarks.tabulate import main
from tests import pages

PROJECT = Path(__file__).resolve().parents[2]


def test_importing_it_imports_no_readers():
    script = "import surveysim.datasets, sys, json; dir(surveysim.datasets); print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=PROJECT)
    loaded = set(json.loads(done.stdout))
    assert not {"pandas", "pyreadstat", "pooch", "statsmodels", "sklearn", "torch"} & loaded


def test_names():
    assert surveysim.datasets.__all__ == sorted(surveysim.datasets.__all__)
    for name in surveysim.datasets.__all__:
        assert getattr(surveysim.datasets, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'read_ses'"):
        surveysim.datasets.read_ses  # noqa: B018


@pytest.mark.parametrize("module", [m.name for m in pkgutil.iter_modules(surveysim.datasets.__path__)])
def test_examples_in_docstrings_run(module):
    result = doctest.testmod(importlib.import_module(f"surveysim.datasets.{module}"))
    assert result.failed == 0


@pytest.mark.parametrize("name", [n for n in surveysim.datasets.__all__ if n.startswith(("read_", "load_", "fetch_"))])
def test_readers_say_what_they_return_and_under_which_terms(name):
    text = getattr(surveysim.datasets, name).__doc__
    for heading in ("Parameters\n", "Returns\n", "Raises\n", "Examples\n"):
        assert heading in text or (heading == "Parameters\n" and name == "load_fair")
    assert "%parameters%" not in text
    if name != "read_survey":
        assert "erms" in text or "opyright" in text


def test_every_reader_is_in_the_guide():
    guide = pages.text_of("datasets") + pages.text_of("survey_readers")
    listing = (PROJECT / "docs" / "api" / "index.rst").read_text(encoding="utf-8")
    for name in surveysim.datasets.__all__:
        assert name in listing, name
        assert name in guide or name[0].isupper(), name


def test_the_benchmark_runs_on_a_small_survey(tmp_path, capsys):
    rows = main(
        ["--respondents", "500", "--questions", "3", "--backgrounds", "2", "--output", str(tmp_path / "b.json")]
    )
    assert len(rows) == 4
    assert json.loads((tmp_path / "b.json").read_text())["rows"] == rows
    assert "500 respondents x 3 questions x 2 backgrounds" in capsys.readouterr().out


@pytest.mark.slow
def test_the_example_runs(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", str(PROJECT / "examples" / "read_survey.py"), "--folder", str(tmp_path)],
        capture_output=True, text=True, check=False, cwd=PROJECT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "respondents" in done.stdout
    assert (tmp_path / "redbook.sav").exists()
