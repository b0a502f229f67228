"""`import surveysim` stays light: torch and transformers come in when they are first needed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import surveysim

PROJECT = Path(__file__).resolve().parents[1]
HEAVY = {"torch", "transformers", "statsmodels", "matplotlib", "peft", "safetensors", "pyreadstat", "tokenizers"}


def modules_after(code: str) -> set[str]:
    script = f"{code}\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=PROJECT)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "code",
    [
        "import surveysim; dir(surveysim); surveysim.Question",
        "import surveysim; surveysim.tabulate; surveysim.poststratify; surveysim.rake",
        "import surveysim.metrics, surveysim.baselines, surveysim.prompts, surveysim.base, surveysim.models",
        # a constructor stores, HTML and repr look at parameters: nothing loads
        "from surveysim import DSARegressor; m = DSARegressor('nano'); repr(m); m._repr_html_(); dir(m)",
        "import surveysim; surveysim.load",
    ],
)
def test_nothing_heavy_is_imported(code):
    assert not HEAVY & modules_after(code)


def test_names_are_listed_and_resolve():
    assert set(surveysim.__all__) <= set(dir(surveysim))
    for name in surveysim.__all__:
        assert getattr(surveysim, name) is not None
    assert {"DSARegressor", "Question", "tabulate", "poststratify", "rake", "load"} <= set(surveysim.__all__)


def test_unknown_names():
    with pytest.raises(AttributeError, match="no attribute 'DSARegresor'"):
        surveysim.DSARegresor  # noqa: B018
    with pytest.raises(ImportError, match="DSARegresor"):
        from surveysim import DSARegresor  # noqa: F401
