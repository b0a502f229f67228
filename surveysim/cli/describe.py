"""``surveysim describe``: what was understood of a file."""

from __future__ import annotations

import argparse
import textwrap
import warnings
from collections.abc import Iterable

import numpy as np
import pandas as pd

from surveysim.cli.reading import read
from surveysim.datasets import Survey, SurveyWarning

__all__ = ["describe"]

WIDTH = 100


def describe(chosen: argparse.Namespace) -> None:
    """Print questions, backgrounds, weights and doubts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SurveyWarning)  # the doubts are listed below
        survey = read(chosen)
    print("\n".join([*_head(survey), *_questions(survey), *_backgrounds(survey), *_doubts(survey)]))
    if chosen.all:
        print("\nall variables")
        print(survey.variables.to_string(index=False, max_colwidth=60))


def _head(survey: Survey) -> list[str]:
    weight = "none"
    if survey.weight is not None:
        weights = survey.data[survey.weight].to_numpy(dtype=float, na_value=np.nan)
        weights = weights[np.isfinite(weights)]
        worth = weights.sum() ** 2 / (weights**2).sum() if (weights > 0).any() else 0.0
        weight = (
            f"{survey.weight} ({weights.min():.2f} to {weights.max():.2f}; {len(weights):,} are worth {worth:,.0f})"
        )
    return [f"{survey.source}: {len(survey.data):,} respondents", f"weight: {weight}"]


def _questions(survey: Survey) -> list[str]:
    lines = ["", f"questions ({len(survey.questions):,})"]
    for name, question in survey.questions.items():
        answered = int(survey.data[name].isin(question.options).sum())
        order = "a scale" if question.ordinal else "without order"
        lines += [*_wrapped(f"{name}: {question.text}", 2), f"      {order}, {answered:,} answered"]
        lines += _wrapped(" | ".join(question.options), 6)
    return lines


def _backgrounds(survey: Survey) -> list[str]:
    lines = ["", f"backgrounds ({len(survey.backgrounds):,})"]
    for name in survey.backgrounds:
        counts = survey.data[name].value_counts(sort=False, dropna=False)
        if not isinstance(survey.data[name].dtype, pd.CategoricalDtype):
            counts = counts.sort_index()
        told = [f"{'not stated' if pd.isna(level) else level} ({count:,})" for level, count in counts.items() if count]
        more = f" and {len(told) - 12} more" if len(told) > 12 else ""
        lines += _wrapped(f"{name}: " + ", ".join(told[:12]) + more, 2)
    return lines


def _doubts(survey: Survey) -> list[str]:
    doubts = survey.report[survey.report["severity"] == "warning"]
    lines = ["", f"doubts ({len(doubts):,})" if len(doubts) else "no doubts"]
    for row in doubts.itertuples():
        people = f" ({row.respondents:,} respondents)" if row.respondents else ""
        detail = f": {row.detail}" if row.detail else ""
        lines += _wrapped(f"{f'{row.variable}: ' if row.variable else ''}{row.what}{people}{detail}", 2)
    notes = int((survey.report["severity"] == "note").sum())
    return [*lines, f"  ({notes} notes that need no attention)"] if notes else lines


def _wrapped(text: str, indent: int) -> Iterable[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=" " * indent, subsequent_indent=" " * (indent + 4), break_long_words=False
    )
