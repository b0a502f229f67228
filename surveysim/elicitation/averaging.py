"""From answers to distributions: each answer is read once, and a cell's readings are averaged."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from surveysim.asking.asks import Answer
from surveysim.cells import PredictCells
from surveysim.elicitation.ask_plans import Asked
from surveysim.elicitation.methods import Method
from surveysim.elicitation.parsing import parse_label, parse_labels
from surveysim.elicitation.percentages import parse_percentages
from surveysim.elicitation.refusing import is_refusal, is_refusal_option
from surveysim.elicitation.result import Elicitation
from surveysim.elicitation.texts import without_thoughts
from surveysim.questions import Question

__all__ = ["Averaging", "Reading", "average_answers", "average_readings", "read_answer", "refusal_mask"]


@dataclass(frozen=True)
class Averaging:
    """How readings become a distribution.

    Attributes
    ----------
    method : Method
    temperature : float
        Of label probabilities.
    smoothing : float
        Pseudo-draws per option, for the methods that count draws.
    keep_refusals : bool
        Whether refusing counts as an option.
    """

    method: Method
    temperature: float
    smoothing: float
    keep_refusals: bool


@dataclass(frozen=True)
class Reading:
    """What one answer says.

    Attributes
    ----------
    shares : float64 array of shape (K,) or None
        A distribution in the question's order of options.
    draws : int
        How many draws it is made of.
    refused : bool
        Whether the model declined.
    label_mass : float
        NaN where unknown.
    failure : str or None
        Why nothing could be read.
    """

    shares: np.ndarray | None = None
    draws: int = 0
    refused: bool = False
    label_mass: float = math.nan
    failure: str | None = None


def refusal_mask(question: Question) -> np.ndarray:
    """Boolean array (K,): the options that stand for refusing to answer."""
    return np.array([is_refusal_option(option) for option in question.options])


def read_answer(
    answer: Answer, method: Method, question: Question, order: Sequence[int], labels: Sequence[str], temperature: float
) -> Reading:
    """Read one answer.

    Parameters
    ----------
    answer : Answer
    method : Method
    question : Question
    order : sequence of int
        The option shown at each place.
    labels : sequence of str
        The label shown at each place.
    temperature : float
        Applied to label probabilities.
    """
    if answer.failure is not None:
        return Reading(failure=answer.failure)
    if answer.ended == "refusal":
        return Reading(refused=True, draws=1)
    options = [question.options[k] for k in order]
    by_place: np.ndarray | None = None
    draws, mass = 1, math.nan
    if method.kind == "label":
        if answer.label_logprobs is None:
            return Reading(failure="the model did not give label probabilities")
        logprobs = np.asarray(answer.label_logprobs, dtype=np.float64)
        mass = min(1.0, float(np.exp(logprobs).sum()))
        if not np.isfinite(logprobs.max()):
            return Reading(label_mass=0.0, failure="no label has a probability")
        by_place = np.exp((logprobs - logprobs.max()) / temperature)
        by_place /= by_place.sum()
    else:
        text = without_thoughts(answer.text or "")
        if text is None:
            return Reading(failure="the text ended before the model stopped reasoning")
        cut = answer.ended == "length"
        if method.name == "verbalized":
            by_place = parse_percentages(text, labels, options, cut=cut)
        elif method.name == "sequence":
            places = parse_labels(text, labels, options, cut=cut)
            draws = len(places)
            if places:
                by_place = np.bincount(places, minlength=len(labels)) / len(places)
        else:
            place = parse_label(text, labels, options, cut=cut)
            if place is not None:
                by_place = np.eye(len(labels))[place]
        if by_place is None or (method.name == "sequence" and draws == 1 and is_refusal(text)):
            if is_refusal(text):
                return Reading(refused=True, draws=1)
            wanted = {"verbalized": "distribution", "sequence": "labels"}.get(method.name, "single label")
            return Reading(failure=f"no {wanted} found in the text" if text.strip() else "the text is empty")
    shares = np.zeros(question.n_options)
    shares[list(order)] = by_place
    return Reading(shares=shares, draws=draws, label_mass=mass)


def average_answers(
    cells: PredictCells, asked: Asked, answers: Sequence[Answer], averaging: Averaging, n_columns: int
) -> Elicitation:
    """The distributions of cells from the answers to their asks."""
    readings = [
        read_answer(answer, averaging.method, question, order, ask.labels, averaging.temperature)
        for answer, question, order, ask in zip(answers, asked.questions, asked.orders, asked.asks, strict=True)
    ]
    return average_readings(cells, asked, answers, readings, averaging, n_columns)


def average_readings(
    cells: PredictCells,
    asked: Asked,
    answers: Sequence[Answer],
    readings: Sequence[Reading],
    averaging: Averaging,
    n_columns: int,
) -> Elicitation:
    """The distributions of cells from what was read in the answers to their asks.

    Within one prompt readings are averaged by the draws they stand for; prompts (orders of options, wordings) count
    alike. A cell without any usable reading gets a row of NaN.
    """
    n = len(cells)
    P = np.full((n, n_columns), np.nan)
    label_mass, refusals = np.full(n, np.nan), np.full(n, np.nan)
    failures = np.zeros(n, dtype=np.int64)
    for _, _, question, rows in cells.by_question():
        refusing = refusal_mask(question)
        for row in rows:
            own = asked.cells[row]
            failures[row] = sum(readings[ask].failure is not None for ask in own)
            masses = [readings[ask].label_mass for ask in own if not math.isnan(readings[ask].label_mass)]
            label_mass[row] = np.mean(masses) if masses else np.nan
            prompts: dict[Any, list[Reading]] = defaultdict(list)
            for ask in own:
                prompts[asked.templates[ask], asked.orders[ask]].append(readings[ask])
            shares, refusals[row] = _average(list(prompts.values()), refusing, averaging)
            if shares is not None:
                P[row, : question.n_options] = shares
    frame = _frame(cells, asked, answers, readings, averaging.method)
    return Elicitation(P, label_mass, failures, refusals, frame, averaging.method.name)


def _average(
    prompts: list[list[Reading]], refusing: np.ndarray, averaging: Averaging
) -> tuple[np.ndarray | None, float]:
    """One cell's distribution, if there is one, and the share that refused."""
    means, refused = [], []
    n_draws = 0.0
    for readings in prompts:
        usable = [reading for reading in readings if reading.shares is not None]
        declined = sum(reading.refused for reading in readings)
        weight = [reading.draws for reading in usable]
        if not usable and not declined:
            continue
        total = np.zeros(len(refusing))
        for reading, draws in zip(usable, weight, strict=True):
            assert reading.shares is not None
            total += draws * reading.shares
        n = sum(weight) + declined
        refused.append((total[refusing].sum() + declined) / n)
        if averaging.keep_refusals:
            # Who declines to choose takes the option of refusing, where there is one; declining to give percentages
            # says nothing about how many people would.
            if refusing.any() and averaging.method.sampling:
                total[np.flatnonzero(refusing)[0]] += declined
        else:
            total[refusing] = 0.0
        if total.sum() > 0:
            means.append(total / total.sum())
            n_draws += total.sum()
    share_refused = float(np.mean(refused)) if refused else math.nan
    if not means:
        return None, share_refused
    mean = np.mean(means, axis=0)
    if averaging.method.sampling and averaging.smoothing:
        options = np.ones(len(mean)) if averaging.keep_refusals else ~refusing
        mean = (n_draws * mean + averaging.smoothing * options) / (n_draws + averaging.smoothing * options.sum())
    return mean / mean.sum(), share_refused


def _frame(
    cells: PredictCells, asked: Asked, answers: Sequence[Answer], readings: Sequence[Reading], method: Method
) -> pd.DataFrame:
    per_ask = pd.DataFrame(
        {
            "template": asked.templates,
            "order": _objects(asked.orders),
            "sample": [ask.sample for ask in asked.asks],
            "text": _objects([answer.text for answer in answers]),
            "label_logprobs": _objects([answer.label_logprobs for answer in answers]),
            "shares": _objects([None if r.shares is None else tuple(r.shares.tolist()) for r in readings]),
            "draws": [reading.draws for reading in readings],
            "label_mass": [reading.label_mass for reading in readings],
            "censored_mass": [answer.censored_mass for answer in answers],
            "refused": [reading.refused for reading in readings],
            "failure": _objects([reading.failure for reading in readings]),
        }
    )
    row = np.repeat(np.arange(len(cells)), [len(own) for own in asked.cells])
    ask = np.array([number for own in asked.cells for number in own], dtype=np.int64)
    frame = per_ask.iloc[ask].reset_index(drop=True)
    frame.insert(0, "method", method.name)
    frame.insert(0, "ask", ask)
    frame.insert(0, "question", cells.question_names[row])
    frame.insert(0, "row", row)
    return frame


def _objects(values: Sequence[object]) -> pd.Series:
    """A column of objects: pandas would make a table of tuples, and NaN of None."""
    column = np.empty(len(values), dtype=object)
    for i, value in enumerate(values):
        column[i] = value
    return pd.Series(column, dtype=object)
