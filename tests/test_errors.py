"""One family of errors and warnings; warnings name the user's own line."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import cross_val_score

import surveysim
from surveysim.baselines import MarginalRegressor
from surveysim.errors import SurveysimError, SurveysimWarning, warn

CONTROL = {"Stop", "Stopped", "WorkStopped"}
"""Ends of a run that never reach a user."""


def own_classes(base: type) -> list[type]:
    """Exceptions that the package defines, of a base."""
    found = set()
    for info in pkgutil.walk_packages(surveysim.__path__, "surveysim."):
        for _, thing in inspect.getmembers(importlib.import_module(info.name), inspect.isclass):
            if issubclass(thing, base) and thing.__module__.startswith("surveysim"):
                found.add(thing)
    return sorted(found, key=lambda thing: thing.__qualname__)


def test_named_errors_are_of_the_family_and_of_a_built_in_kind():
    errors = [e for e in own_classes(BaseException) if not issubclass(e, Warning) and e.__name__ not in CONTROL]
    assert len(errors) > 5
    for error in errors:
        assert issubclass(error, SurveysimError), error
        assert error is SurveysimError or issubclass(error, ValueError | TypeError | RuntimeError), error


def test_warnings_are_of_the_family():
    assert len(own_classes(Warning)) > 2
    for warning in own_classes(Warning):
        assert issubclass(warning, SurveysimWarning), warning
        assert issubclass(warning, UserWarning), warning


def test_nothing_warns_in_another_way():
    package = Path(surveysim.__file__).parent
    strays = [path for path in package.rglob("*.py") if "warnings.warn(" in path.read_text(encoding="utf-8")]
    assert [path.name for path in strays] == ["errors.py"]


def test_a_warning_names_the_line_that_called_the_library():
    X, Y = pd.DataFrame({"age": ["young", "old"]}), [[0.5, 0.5], [0.4, 0.6]]
    with pytest.warns(SurveysimWarning, match="normalised") as found:
        MarginalRegressor().fit(X, Y, sample_weight=[0.9, 1.1])
    assert found[0].filename == __file__


def test_a_search_around_the_library_is_not_the_users_line():
    X = pd.DataFrame({"age": ["young", "old"] * 4})
    Y = np.tile([[0.5, 0.5], [0.4, 0.6]], (4, 1))
    with pytest.warns(SurveysimWarning, match="normalised") as found:
        cross_val_score(MarginalRegressor(), X, Y, cv=2, params={"sample_weight": np.full(8, 1.2)})
    assert {warning.filename for warning in found} == {__file__}


def test_outside_the_library_the_line_is_the_callers():
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        warn("look here")
    assert found[0].filename == __file__
    assert found[0].category is SurveysimWarning
