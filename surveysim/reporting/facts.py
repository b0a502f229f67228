"""What a report says about the sample and the model, as numbers with their words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from surveysim.interfaces import Predictor
from surveysim.reporting.written import number
from surveysim.tables import Cells

__all__ = ["ModelFacts", "SampleFacts", "model_facts", "sample_facts"]

KINDS = {
    "DSARegressor": "a language model's last block, fine-tuned to the sample by distribution shift alignment",
    "FusedRegressor": "a Bayesian order-aware multinomial logit with a language model's distributions as covariates",
    "LogitRegressor": "a penalised, order-aware multinomial logit model without a language model",
    "CellRegressor": "each cell's own shares, shrunk towards those of everybody",
    "MarginalRegressor": "everybody's shares for each group",
    "ZeroShotElicitor": "distributions that a language model gives when it is asked; no respondent's answer was used",
    "SimilarityElicitor": "free answers of a language model, mapped to the options by similarity",
    "RecordedElicitor": "distributions recorded from a language model; no respondent's answer was used",
    "CalibratedElicitor": "a language model's distributions, corrected on examples",
}
"""Estimators in words."""


@dataclass(frozen=True)
class SampleFacts:
    """Figures of a sample.

    Attributes
    ----------
    questions : DataFrame
        A row for each question: name, text, answered, effective (respondents), cells, median and least respondents per
        cell, missing (those whose answer is missing), design_effect.
    is_weighted : bool
    """

    questions: pd.DataFrame
    is_weighted: bool

    @property
    def most_respondents(self) -> int:
        """Respondents of the question that most people answered."""
        return int(self.questions["answered"].max())


def sample_facts(cells: Cells) -> SampleFacts:
    """Count respondents, cells and missing answers by question."""
    rows = []
    names = cells.question_names
    for name in dict.fromkeys(names):
        own = names == name
        weight, n = cells.weight_sum[own], cells.n[own]
        excluded = cells.excluded
        lost = excluded.loc[excluded["question"] == name, "respondents"].sum() if len(excluded) else 0
        rows.append(
            {
                "name": name,
                "text": cells.questions[name].text,
                "answered": int(cells.n_raw[own].sum()),
                "effective": float(weight.sum() ** 2 / np.sum(weight**2 / n)),
                "cells": int(own.sum()),
                "median": float(np.median(cells.n_raw[own])),
                "least": int(cells.n_raw[own].min()),
                "missing": int(lost),
                "design_effect": float(cells.design_effect.get(name, 1.0)),
            }
        )
    return SampleFacts(pd.DataFrame(rows), bool(not np.allclose(cells.weight_sum, cells.n_raw)))


@dataclass(frozen=True)
class ModelFacts:
    """What is known about a model.

    Attributes
    ----------
    name : str
        Its class; "sample" without one.
    kind : str
        In words.
    language_model : str or None
        Which, if it has one.
    worth : list of (str, str)
        Figures about what the language model contributed, and what they mean.
    has_draws : bool
    uses_answers : bool
        Whether it learned from respondents.
    people : list of str
        Its sources that are people who were asked elsewhere.
    """

    name: str
    kind: str
    language_model: str | None
    worth: list[tuple[str, str]]
    has_draws: bool
    uses_answers: bool
    people: list[str] = field(default_factory=list)


def model_facts(model: Predictor | None) -> ModelFacts:
    """Read a fitted estimator's public attributes."""
    if model is None:
        return ModelFacts("sample", "the sample's own shares (direct estimates)", None, [], False, True)
    name = type(model).__name__
    inner = getattr(model, "elicitor_", None) or getattr(model, "estimator_", None) or model
    asked = getattr(inner, "model", None)
    language_model = None if asked is None else str(asked)
    if isinstance(inner, Mapping):  # a fusion's models by name
        language_model = ", ".join(inner)
    if language_model is None and (inner is not model or name == "RecordedElicitor"):
        by = getattr(inner, "elicited_by", None)
        language_model = "its answers were recorded elsewhere" + (f" ({by})" if by else "")
    learned = name not in ("ZeroShotElicitor", "RecordedElicitor", "SimilarityElicitor")
    kind = KINDS.get(name, f"an estimator of the class {name}")
    if name == "FusedRegressor" and language_model is None:
        kind = "a Bayesian, order-aware multinomial logit without a language model"
    people = _people(model)
    if people and name == "FusedRegressor":
        where = ", ".join(filter(None, people))
        kind += ", joined with what people answered elsewhere" + (f" ({where})" if where else "")
    worth = [] if language_model is None and not people else _worth(model)
    named = [source or "people asked elsewhere" for source in people]
    return ModelFacts(name, kind, language_model, worth, hasattr(model, "predict_draws"), learned, named)


def _people(model: object) -> list[str]:
    """The names of a fusion's sources that are people."""
    sources = getattr(model, "sources_", None)
    return [] if sources is None else sources.loc[sources["kind"] == "people", "source"].tolist()


def _sources(model: object) -> list[tuple[str, str]]:
    """What each of several sources was worth."""
    sources = getattr(model, "sources_", None)
    if sources is None or (len(sources) < 2 and not _people(model)):
        return []
    return [
        (
            f"{number(row['given others'], 1, signed=True)} respondents per cell",
            f"what {row['source'] or 'the source'} ({row['kind']}) was worth given the others "
            f"({number(row['alone'], 1, signed=True)} alone).",
        )
        for _, row in sources.iterrows()
    ]


def _worth(model: Any) -> list[tuple[str, str]]:
    """Each fitted attribute that says what the language model was worth, with its meaning."""
    found = []
    worth = getattr(model, "model_worth_", None)
    if worth is not None:
        meaning = "as if so many more had answered" if worth >= 0 else "it added more doubt than knowledge"
        told = f"{number(worth, 1, signed=True)} respondents per cell"
        whose = "the sources were" if _sources(model) else "the language model was"
        found.append((told, f"what {whose} worth: {meaning}."))
        found.append(
            (f"{model.effective_respondents_:.1f} respondents per cell", "what an estimate rests on altogether.")
        )
    found += _sources(model)
    stack = getattr(model, "stack_weight_", None)
    if stack is not None and getattr(model, "init", None) == "baseline":
        meaning = (
            "0: held-out respondents were not predicted better with it, and it was left out"
            if stack == 0
            else ("0 is the statistical model alone, 1 its logits in full")
        )
        found.append((f"{stack:.2f}", f"weight of the language model beside the statistical model ({meaning})."))
    if getattr(model, "shift_reference_", None) is not None:
        found.append(
            (
                f"{model.shift_weight_:g} respondents per cell",
                f'weight of the shifts between groups (reference "{model.shift_reference_}").',
            )
        )
    for attribute, share in (getattr(model, "gap_inflation_", None) or {}).items():
        found.append(
            (f"{share:.2f}", f"of the differences by {attribute} that the language model expects is borne out.")
        )
    mass = getattr(model, "label_mass_", None)
    if isinstance(mass, float):
        remark = "below 0.5 it does not follow the prompt" if mass < 0.5 else "it follows the prompt"
        found.append((f"{mass:.2f}", f"of the language model's probability is on the options' labels ({remark})."))
    return found
