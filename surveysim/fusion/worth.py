"""What each source of a fusion was worth, in respondents per cell, and how far people moved since."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import pandas as pd

from surveysim.baselines.joint import QuestionData
from surveysim.baselines.lack_of_fit import score_covariances
from surveysim.baselines.learning import Hyperparameters
from surveysim.baselines.logit import LogitRegressor
from surveysim.baselines.optimum import Optimum
from surveysim.cells import FitCells
from surveysim.fusion.covariates import ElicitedParts, with_average
from surveysim.fusion.drift import GROUPS, LEVELS
from surveysim.fusion.drift import parts as drift_parts
from surveysim.fusion.family import FusedFamily, FusedHyperparameters, Kept, by_slopes
from surveysim.fusion.model import FusionModel, assemble
from surveysim.fusion.people import PeopleSeries
from surveysim.fusion.steps import expected_factors

__all__ = ["Precision", "Worth", "drift_frame", "worth_of_sources"]


@dataclass(frozen=True)
class Precision:
    """What a simple random sample of one respondent would leave open of each training cell, and what a fit leaves.

    Attributes
    ----------
    spread, error : float64 arrays of shape (n,)
        ``1 - sum_k p_k^2`` and the trace of the covariance of a cell's shares; 0 for questions without respondents.
    """

    spread: np.ndarray
    error: np.ndarray

    @classmethod
    def of(cls, cells: FitCells, questions: Sequence[QuestionData], optimum: Optimum) -> Precision:
        """Of the cells that questions were fitted to, in the order of the cells."""
        spread, error = np.zeros(len(cells)), np.zeros(len(cells))
        for q, (data, (*_, rows)) in enumerate(zip(questions, cells.by_question(), strict=True)):
            if not data.counts.any():
                continue
            P = data.probabilities(optimum.coefficients[q], optimum.slopes)
            slope = P[:, :, None] * (data.contrasts.T[None] - (P @ data.contrasts.T)[:, None, :])  # dp / dscore
            covariance = score_covariances(data, optimum, q)
            spread[rows] = 1.0 - (P**2).sum(axis=1)
            error[rows] = ((slope @ covariance) * slope).sum(axis=(1, 2))
        return cls(spread, error)

    def respondents(self, which: np.ndarray | None = None) -> float:
        """How many respondents of a simple random sample say as much of a cell as the posterior does, over all cells.

        ``sum_b (1 - sum_k p_bk^2) / sum_b trace(Cov(p_b))``: a sample of n has the trace ``(1 - sum_k p_k^2) / n``.
        NaN where no cell was asked.
        """
        rows = slice(None) if which is None else which
        error = float(self.error[rows].sum())
        return float(self.spread[rows].sum()) / error if error > 0 else float("nan")


@dataclass(frozen=True)
class Worth:
    """What the sources of a fusion were worth, in respondents per cell.

    Attributes
    ----------
    effective : float
        Effective respondents of the fusion.
    total : float
        What all sources were worth together.
    sources : DataFrame
        A row per source: source, kind, alone, given others.
    by_group : DataFrame
        The same for the cells of each level of each attribute: attribute, group, source, kind, alone, given others.
    """

    effective: float
    total: float
    sources: pd.DataFrame
    by_group: pd.DataFrame


def worth_of_sources(
    model: FusionModel,
    cells: FitCells,
    base: LogitRegressor,
    parts: Mapping[str, ElicitedParts],
    people: Sequence[PeopleSeries],
) -> Worth:
    """What each source was worth alone and given the others: effective respondents with it less those without it.

    Parameters
    ----------
    model : FusionModel
    cells : FitCells
        That it was trained on.
    base : LogitRegressor
    parts : mapping of str to ElicitedParts
        What each model said of the cells.
    people : sequence of PeopleSeries
        What people said elsewhere.

    Notes
    -----
    People are further answers, and are taken away with all variances as they were learned. What a language model says
    makes the remaining variances smaller, and that is all its worth: without it they are learned anew.
    """
    own = Precision.of(cells, model.family.problem.questions, model.fit.optimum)
    told = [name for series in people for name in series.names]
    pairs = {}
    refits = _Refits(model, cells, base, parts, people, own)
    for name in parts:
        others = [other for other in (*parts, *told) if other != name]
        pairs[name] = (refits([name]), refits([])), (own, refits(others))
    whole, without_all = [*parts, *told], own
    if told:
        without_all = _with(model, cells, base, {}, (), pooled=True)
    elif parts:
        without_all = refits([])
    if len(whole) == len(told) == 1:
        pairs[whole[0]] = (own, without_all), (own, without_all)
    elif told:
        nothing = _with(model, cells, base, parts, ())
        kept: Kept = {}
        everything = _with(model, cells, base, parts, whole, kept=kept)
        for name in told:
            alone = _with(model, cells, base, parts, [name], kept=kept)
            without = _with(model, cells, base, parts, [other for other in whole if other != name], kept=kept)
            pairs[name] = (alone, nothing), (everything, without)
    kinds = dict.fromkeys(parts, "model") | dict.fromkeys(told, "people")
    effective = own.respondents()
    sources, by_group = _frame(pairs, kinds, {}, None), _by_group(pairs, kinds, cells.backgrounds)
    return Worth(effective, effective - without_all.respondents(), sources, by_group)


@dataclass
class _Refits:
    """Fusions with some of the sources, each learned once."""

    model: FusionModel
    cells: FitCells
    base: LogitRegressor
    parts: Mapping[str, ElicitedParts]
    people: Sequence[PeopleSeries]
    own: Precision
    known: dict[frozenset[str], Precision] = field(default_factory=dict)

    def __call__(self, names: Sequence[str]) -> Precision:
        everybody = {*self.parts, *(name for series in self.people for name in series.names)}
        key = frozenset(names)
        if key == everybody:
            return self.own
        if key not in self.known:
            people = [series for series in self.people if key.issuperset(series.names)]
            # questions that only people know are nothing to a fusion without them
            rows = np.arange(len(self.cells)) if people else np.flatnonzero(self.cells.n > 0)
            parts = {name: _some_parts(own, rows) for name, own in self.parts.items() if name in key}
            cells = _some_cells(self.cells, rows)
            found = FusionModel.train(cells, self.base, parts, people)
            left = Precision.of(cells, found.family.problem.questions, found.fit.optimum)
            spread, error = np.zeros((2, len(self.cells)))
            spread[rows], error[rows] = left.spread, left.error
            self.known[key] = Precision(spread, error)
        return self.known[key]


def _some_cells(cells: FitCells, rows: np.ndarray) -> FitCells:
    return FitCells(
        backgrounds=cells.backgrounds.iloc[rows].reset_index(drop=True),
        question_index=cells.question_index[rows],
        questions=cells.questions,
        Y=cells.Y[rows],
        n=cells.n[rows],
        rows=cells.rows[rows],
    )


def _some_parts(parts: ElicitedParts, rows: np.ndarray) -> ElicitedParts:
    return ElicitedParts(parts.level[rows], parts.shifts[rows], parts.rest[rows], parts.has_level[rows])


Pairs: TypeAlias = Mapping[str, tuple[tuple[Precision, Precision], tuple[Precision, Precision]]]
"""For each source the fits with and without it: alone, and given the others."""


def _frame(
    pairs: Pairs, kinds: Mapping[str, str], labels: Mapping[str, object], which: np.ndarray | None
) -> pd.DataFrame:
    columns = ("alone", "given others")
    rows = [
        {**labels, "source": name, "kind": kind}
        | {column: one.respondents(which) - other.respondents(which)
           for column, (one, other) in zip(columns, pairs[name], strict=True)}
        for name, kind in kinds.items()
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=[*labels, "source", "kind", *columns])


def _by_group(pairs: Pairs, kinds: Mapping[str, str], backgrounds: pd.DataFrame) -> pd.DataFrame:
    frames = [_frame(pairs, kinds, {"attribute": "", "group": ""}, None).iloc[:0]]
    for attribute in backgrounds.columns:
        column = backgrounds[attribute].astype(object)
        for level in dict.fromkeys(column.where(column.notna(), None)):
            which = (column.isna() if level is None else column == level).to_numpy()
            frames.append(_frame(pairs, kinds, {"attribute": attribute, "group": level}, which))
    return pd.concat(frames[1:] or frames, ignore_index=True)


def _with(
    model: FusionModel,
    cells: FitCells,
    base: LogitRegressor,
    parts: Mapping[str, ElicitedParts],
    names: Collection[str],
    *,
    pooled: bool = False,
    kept: Kept | None = None,
) -> Precision:
    """What is known with some of the sources: the curvature after one Newton step from the fusion's optimum."""
    told = with_average({name: own for name, own in parts.items() if name in names})
    series, drifts = [], []
    if isinstance(model.family, FusedFamily):
        assert isinstance(model.fit.found, FusedHyperparameters)
        for one, drift in zip(model.family.series, model.fit.found.drifts, strict=True):
            left = one.only(names)
            if left is not None:
                whole = left.names == one.names
                series.append(left)
                drifts.append(drift if whole else drift.of_links([one.names.index(name) for name in left.names]))
    slopes, family = assemble(cells, base, told, model.encoder, series, prior=base.prior if pooled else "fixed")
    found: Hyperparameters = model.fit.found
    resemblance = found.resemblance if len(family.start.resemblance) else family.start.resemblance
    known = dict(zip(model.slopes.slopes, model.fit.optimum.slopes, strict=True))
    own = np.array([known.get(slope, 0.0) if slope.kind == "mean" else 0.0 for slope in slopes.slopes])
    found = Hyperparameters(found.table, found.levels, resemblance)
    if series:
        found = FusedHyperparameters(found.table, found.levels, resemblance, tuple(drifts), own)
        assert isinstance(family, FusedFamily)
        family.kept = kept
    optimum = family.problem.at([_less_means(model, q) for q in range(len(family.degrees))], own)
    return Precision.of(cells, family.problem.questions, family.problem.step(family.prior(found), optimum))


def _less_means(model: FusionModel, q: int) -> np.ndarray:
    """A question's coefficients with what elicited covariates add to them."""
    slopes = model.fit.optimum.slopes
    elicited = np.array([slope.kind != "mean" for slope in model.slopes.slopes], dtype=bool)
    B = model.fit.optimum.coefficients[q]
    return B + (by_slopes(model.family.problem.questions[q]) @ np.where(elicited, slopes, 0.0)).reshape(B.shape)


def drift_frame(model: FusionModel) -> pd.DataFrame:
    """How far each series of waves is from the survey: a row for the level and each attribute.

    Columns: source (names of its waves), of, slope, and per class of degree the standard deviation of the drift in one
    step of typical length, on the scale of logits.
    """
    columns = ["source", "of", "slope", "no order", "degree 1", "degree 2", "degree 3+"]
    rows: list[list[object]] = []
    if isinstance(model.family, FusedFamily):
        assert isinstance(model.fit.found, FusedHyperparameters)
        for s, (series, drift) in enumerate(zip(model.family.series, model.fit.found.drifts, strict=True)):
            name = ", ".join(series.names)
            factors = expected_factors(model.family.step_weights(model.fit, s))
            blocks = drift.table.blocks
            for place, part in enumerate(drift_parts(blocks)):
                own = [i for i, block in enumerate(blocks) if block.name == part]
                variances = drift.table.variances[own].mean(axis=0) if place else drift.levels
                variances = variances * factors[GROUPS if place else LEVELS]
                rows.append([name, part, drift.slopes[place], *np.sqrt(variances)])
    return pd.DataFrame(rows, columns=columns)
