"""The sentences of a report: its limits, and a paragraph for the methods section, with the numbers filled in."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from surveysim.reporting.estimates import GroupEstimates
from surveysim.reporting.facts import ModelFacts, SampleFacts

__all__ = ["few_respondents", "limits", "methods_paragraph", "references"]

FEW = 30
"""Respondents below which a group is named among the limits."""


def few_respondents(estimates: GroupEstimates) -> list[str]:
    """Groups of fewer than `FEW` respondents, with their number."""
    first = estimates.drop_duplicates("group")
    small = first[first["respondents"] < FEW]
    return [f"{group} ({people:,.0f})" for group, people in zip(small["group"], small["respondents"], strict=True)]


def limits(
    model: ModelFacts, sample: SampleFacts, estimates: GroupEstimates, population: pd.DataFrame | None
) -> list[str]:
    """What readers must know before they quote a figure."""
    said = []
    if model.name == "sample":
        said.append(
            "Intervals cover only chance in sampling. Who was asked, who answered and how questions were worded may "
            "shift figures by more."
        )
    elif model.has_draws:
        said.append(
            "Intervals are for each group's share, given the model; who was asked, who answered and how questions "
            "were worded may shift figures by more. Each holds on its own: of many, some are wrong."
        )
    else:
        said.append(
            "These estimates have no intervals: nobody knows how far off they are. Say so wherever you quote them."
        )
    if not model.uses_answers:
        said.append(
            "The figures are what a language model says, not what people answered. Without respondents to compare them "
            "with they are a hypothesis."
        )
    elif model.name != "sample":
        said.append(
            "Small groups borrow from others that share attributes with them: what is peculiar to a combination of "
            "attributes shows only as far as its own respondents reveal it."
        )
    if model.language_model is not None:
        said.append(
            "A language model may have read about this survey, and it may be wrong in the same direction about all "
            "groups; its part is described above."
        )
    small = few_respondents(estimates)
    if small:
        listed = "; ".join(small[:12]) + (f" and {len(small) - 12} more" if len(small) > 12 else "")
        said.append(f"Groups of fewer than {FEW} respondents: {listed}.")
    if population is None:
        said.append(
            f"Groups are made up as in the {'weighted ' if sample.is_weighted else ''}sample, not as in the "
            "population: no population figures were used."
        )
    return said


def methods_paragraph(
    model: ModelFacts,
    sample: SampleFacts,
    breakdowns: Sequence[Sequence[str]],
    backgrounds: Sequence[str],
    *,
    level: float,
    population: pd.DataFrame | None,
    version: str,
) -> list[str]:
    """Sentences for the methods section of a paper or the notes below a table.

    Parameters
    ----------
    model, sample
        The facts.
    breakdowns : list of list of str
        What is shown.
    backgrounds : list of str
        What cells are made of.
    level : float
        Of the intervals.
    population : DataFrame or None
    version : str
        Of surveysim.
    """
    questions = sample.questions
    answered = _range(questions["answered"], "respondents")
    shown = "everybody" + "".join(f", by {' and '.join(item)}" for item in breakdowns)
    weights = ""
    if sample.is_weighted:
        weights = (
            f" Answers are weighted; after weighting they are worth {_range(questions['effective'], 'respondents')}."
        )
    several = len(questions) > 1
    text = [
        f"We estimated shares of answers to {f'{len(questions)} questions' if several else 'one question'} ({shown}) "
        f"from {answered}{' a question' if several else ''}, tabulated into {_range(questions['cells'], 'cells')} of "
        f"{', '.join(backgrounds)}.{weights}"
    ]
    if model.name == "sample":
        text.append("Figures are the sample's own shares.")
    else:
        with_model = f" Language model: {model.language_model}." if model.language_model else ""
        text.append(f"Estimates are from {model.kind} (surveysim {version}, {model.name}).{with_model}")
    text.append(
        "Cells were combined by their share of the population (post-stratification; Little 1993)."
        if population is not None
        else f"Cells were combined by their share of the {'weighted ' if sample.is_weighted else ''}sample."
    )
    if model.name == "sample":
        text.append(f"Intervals are Wilson's {100 * level:g}% intervals with effective numbers of respondents.")
    elif model.has_draws:
        text.append(f"Intervals are {100 * level:g}% intervals from 1,000 joint draws of all cells of a question.")
    else:
        text.append("No intervals are available.")
    return text


def references(model: ModelFacts, population: pd.DataFrame | None) -> list[str]:
    """What the paragraph cites."""
    listed = []
    if population is not None:
        listed.append(
            "Little, R. J. A. (1993). Post-stratification: a modeler's perspective. Journal of the American "
            "Statistical Association 88, 1001-1012."
        )
    if model.name == "DSARegressor":
        listed.append(
            "Huang, J., Li, M. and Shao, S. Distribution Shift Alignment Helps LLMs Simulate Survey Response "
            "Distributions. arXiv:2510.21977; Findings of ACL 2026."
        )
    listed.append(
        "Wilson, E. B. (1927). Probable inference, the law of succession, and statistical inference. Journal of the "
        "American Statistical Association 22, 209-212."
    )
    return listed


def _range(numbers: pd.Series, noun: str) -> str:
    low, high = numbers.min(), numbers.max()
    return f"{low:,.0f} {noun}" if round(low) == round(high) else f"{low:,.0f} to {high:,.0f} {noun}"
