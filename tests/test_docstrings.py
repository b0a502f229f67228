"""Docstring examples run as they stand, in every module of the package, and every public object has one."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
import sklearn

import surveysim

PROJECT = Path(__file__).resolve().parents[1]
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


def documented() -> list[str]:
    """Classes and functions of the API reference, and all that `surveysim` exports."""
    index = (PROJECT / "docs" / "api" / "index.rst").read_text(encoding="utf-8")
    found = {f"surveysim.{name}" for name in surveysim.__all__ if name != "__version__"}
    for line in index.splitlines():
        if module := re.match(r"\.\. currentmodule:: (\S+)", line):
            place = module[1]
        elif name := re.fullmatch(r"   ([A-Za-z_]\w*)", line):
            found.add(f"{place}.{name[1]}")
    return sorted(found)


@pytest.mark.parametrize("path", documented())
def test_public_objects_have_an_example(path: str) -> None:
    """Exceptions need none: they are shown where they are raised."""
    module, _, name = path.rpartition(".")
    thing = getattr(importlib.import_module(module), name)
    if inspect.isclass(thing) and issubclass(thing, Exception):
        return
    assert ">>>" in (thing.__doc__ or "")


def public_methods(thing: type) -> list[str]:
    """What a class defines itself; what it inherits is checked where it is defined."""
    return sorted(name for name, value in vars(thing).items() if name[0] != "_" and not isinstance(value, property))


def own_parameters(thing: object) -> set[str]:
    """Names in the signature of something whose constructor or body is surveysim's own."""
    maker = vars(thing).get("__init__") if inspect.isclass(thing) else thing
    if not callable(maker):
        return set()
    parameters = inspect.signature(maker).parameters.values()
    return {parameter.name for parameter in parameters if parameter.kind != parameter.VAR_KEYWORD} - {"self", "cls"}


@pytest.mark.parametrize("path", sorted(set(documented())))
def test_parameters_are_described(path: str) -> None:
    """Among the parameters; the fields of results, which users read and do not pass, may be among the attributes."""
    docscrape = pytest.importorskip("numpydoc.docscrape")
    module, _, name = path.rpartition(".")
    thing = getattr(importlib.import_module(module), name)
    parts = {name: thing}
    if inspect.isclass(thing):
        parts |= {f"{name}.{method}": getattr(thing, method) for method in public_methods(thing)}
    missing = {}
    for part, described in parts.items():
        sections = docscrape.NumpyDocString(inspect.getdoc(described) or "")
        named = {
            one.strip() for found in sections["Parameters"] + sections["Attributes"] for one in found.name.split(",")
        }
        if lacking := own_parameters(described) - named:
            missing[part] = sorted(lacking)
    assert missing == {}


@pytest.mark.parametrize("place", sorted({path.rpartition(".")[0] for path in documented()} - {"surveysim.base"}))
def test_public_objects_are_in_the_reference(place: str) -> None:
    """What a module exports is documented, here or where it is better looked for; constants are named in its text."""
    shown = {
        getattr(importlib.import_module(path.rpartition(".")[0]), path.rpartition(".")[2]) for path in documented()
    }
    module = importlib.import_module(place)
    things = [getattr(module, name) for name in module.__all__]
    assert [thing for thing in things if inspect.isclass(thing) or inspect.isroutine(thing) if thing not in shown] == []


def test_docstrings_keep_numpydoc_rules() -> None:
    """Those of [tool.numpydoc_validation] in pyproject.toml, which the pre-commit hook reads, too."""
    hook = pytest.importorskip("numpydoc.hooks.validate_docstrings")
    config = hook.parse_config(str(PROJECT))
    assert len(config["checks"]) > 10
    found = [
        f"{path.relative_to(PROJECT)}:{line}: {check} {text}"
        for path in sorted((PROJECT / "surveysim").rglob("*.py"))
        for line, _, check, text in hook.process_file(str(path), config)
    ]
    assert found == []
