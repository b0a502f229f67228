"""A survey file as it is: codes, and what the file says about them."""

from __future__ import annotations

import importlib
from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

__all__ = ["ENCODINGS", "FORMATS", "RawSurvey", "require"]

FORMATS = {
    ".sav": "SPSS",
    ".zsav": "SPSS",
    ".por": "SPSS portable",
    ".dta": "Stata",
    ".sas7bdat": "SAS",
    ".xpt": "SAS transport",
    ".csv": "CSV",
    ".tsv": "CSV",
    ".tab": "CSV",
    ".xlsx": "Excel",
    ".parquet": "Parquet",
}
"""Formats by ending."""

ENCODINGS = "encoding='cp1252' (Western Europe), 'cp1250' (Central Europe), 'cp1251' (Cyrillic) or 'gb18030' (Chinese)"
"""To try where a file does not say its own."""


@dataclass
class RawSurvey:
    """A file as it is: codes, and what it says about them.

    Attributes
    ----------
    data : DataFrame
        One row per respondent; codes, not labels.
    variable_labels : dict of str to str
        Wording or description of each variable that has one.
    value_labels : dict of str to dict
        Code to label.
    missing_codes : dict of str to list
        Codes that the file declares missing: single codes, and (low, high) ranges.
    roles : dict of str to str
        Variables that are neither questions nor backgrounds, and why.
    findings : list of (variable, what, respondents, detail)
        What was odd and had to be changed on reading.
    """

    path: Path
    data: pd.DataFrame
    variable_labels: dict[str, str] = field(default_factory=dict)
    value_labels: dict[str, dict[Hashable, str]] = field(default_factory=dict)
    missing_codes: dict[str, list[Any]] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=dict)
    findings: list[tuple[str, str, int, str]] = field(default_factory=list)


def require(package: str, extra: str = "survey") -> Any:
    """Import an optional dependency, or say how to install it."""
    try:
        return importlib.import_module(package)
    except ImportError:
        raise ImportError(f"this needs {package}: pip install 'surveysim[{extra}]'") from None
