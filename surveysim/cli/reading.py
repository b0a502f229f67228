"""The survey file that a command names."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from surveysim.datasets import Survey, read_survey

__all__ = ["as_code", "read"]


def read(chosen: argparse.Namespace, **parameters: Any) -> Survey:
    """Read the file with what the command line says about it."""
    weight = "auto" if chosen.weights is None else None if chosen.weights.lower() == "none" else chosen.weights
    return read_survey(
        chosen.file, weight=weight, encoding=chosen.encoding, missing=_missing(chosen.missing), **parameters
    )


def _missing(codes: Sequence[str]) -> dict[Any, str] | None:
    return {as_code(code): "no answer" for code in codes} or None


def as_code(text: str) -> int | float | str:
    """A code as a file holds it: a number if it is one."""
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if number.is_integer() else number
