"""Docstring examples run as they stand, in every module of the package."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import matplotlib
import numpy as np
import pandas as pd
import pytest
import sklearn

import surveysim

OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def modules() -> list[str]:
    """Every module of the package."""
    return ["surveysim", *(info.name for info in pkgutil.walk_packages(surveysim.__path__, "surveysim."))]


@pytest.mark.parametrize("name", modules())
def test_examples_run(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    matplotlib.use("agg")
    module = importlib.import_module(name)
    tests = [
        test
        for test in doctest.DocTestFinder(exclude_empty=True).find(module, name)
        if test.examples and (test.filename or "").endswith(".py")
    ]
    monkeypatch.chdir(tmp_path)  # type: ignore[arg-type]
    for test in tests:
        report: list[str] = []
        with np.printoptions(), pd.option_context("display.width", 80), sklearn.config_context():
            found = doctest.DocTestRunner(optionflags=OPTIONS).run(test, out=report.append)
        assert found.failed == 0, "".join(report)
