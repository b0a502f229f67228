"""What each source of a fusion was worth, in respondents per cell, and how far people moved since."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd

from surveysim.baselines.joint import QuestionData
from surveysim.baselines.lack_of_fit import score_covariances
from surveysim.baselines.learning import Hyperparameters
from surveysim.baselines.logit import LogitRegressor
from surveysim.baselines.optimum import Optimum
from surveysim.cells import FitCells
from surveysim.fusion.covariates import ElicitedParts, with_average
from surveysim.fusion.drift import parts as drift_parts
from surveysim.fusion.family import FusedFamily, FusedHyperparameters, Kept, by_slopes
from surveysim.fusion.model import FusionModel, assemble

__all__ = ["drift_frame", "effective_respondents", "sources_frame", "total_worth"]


def effective_respondents(questions: list[QuestionData], optimum: Optimum) -> float:
    """How many respondents of a simple random sample say as much of a cell as the posterior does, over all cells.

    ``sum_b (1 - sum_k p_bk^2) / sum_b trace(Cov(p_b))``: a sample of n has the trace ``(1 - sum_k p_k^2) / n``.
    """
    spread = error = 0.0
    for q, data in enumerate(questions):
        if not data.counts.any():
            continue
        P = data.probabilities(optimum.coefficients[q], optimum.slopes)
        slope = P[:, :, None] * (data.contrasts.T[None] - (P @ data.contrasts.T)[:, None, :])  # dp / dscore, (n, K, C)
        covariance = score_covariances(data, optimum, q)
        spread += float(np.sum(1.0 - (P**2).sum(axis=1)))
        error += float(np.sum((slope @ covariance) * slope))
    return spread / error


def total_worth(model: FusionModel, cells: FitCells, base: LogitRegressor) -> float:
    """Effective respondents of a fusion less those with the same variances and without its sources."""
    own = effective_respondents(model.family.problem.questions, model.fit.optimum)
    return own - _with(model, cells, base, {}, (), pooled=True)


def sources_frame(
    model: FusionModel,
    cells: FitCells,
    base: LogitRegressor,
    parts: Mapping[str, ElicitedParts],
    kinds: Mapping[str, str],
) -> pd.DataFrame:
    """A row per source: name, kind, and its worth in respondents per cell, alone and given the others.

    Effective respondents with the source less those without it, at the variances that were learned with all of them,
    and with each question by itself: what questions tell of each other counts for no source.

    Parameters
    ----------
    model : FusionModel
    cells : FitCells
        That it was trained on.
    base : LogitRegressor
    parts : mapping of str to ElicitedParts
        What each model said of the cells.
    kinds : mapping of str to {"model", "people"}
        By the source's name.
    """
    names = list(kinds)
    kept: Kept = {}
    nothing = _with(model, cells, base, parts, ())
    everything = _with(model, cells, base, parts, names, kept=kept)
    rows = []
    for name in names:
        alone = everything if len(names) == 1 else _with(model, cells, base, parts, [name], kept=kept)
        others = [other for other in names if other != name]
        without = nothing if not others else _with(model, cells, base, parts, others, kept=kept)
        rows.append(
            {"source": name, "kind": kinds[name], "alone": alone - nothing, "given others": everything - without}
        )
    return pd.DataFrame(rows, columns=["source", "kind", "alone", "given others"])


def _with(
    model: FusionModel,
    cells: FitCells,
    base: LogitRegressor,
    parts: Mapping[str, ElicitedParts],
    names: Collection[str],
    *,
    pooled: bool = False,
    kept: Kept | None = None,
) -> float:
    """Effective respondents with some of the sources: the curvature after one Newton step from the fusion's optimum."""
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
    return effective_respondents(family.problem.questions, family.problem.step(family.prior(found), optimum))


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
        for series, drift in zip(model.family.series, model.fit.found.drifts, strict=True):
            name = ", ".join(series.names)
            blocks = drift.table.blocks
            for place, part in enumerate(drift_parts(blocks)):
                own = [i for i, block in enumerate(blocks) if block.name == part]
                variances = drift.table.variances[own].mean(axis=0) if place else drift.levels
                rows.append([name, part, drift.slopes[place], *np.sqrt(variances)])
    return pd.DataFrame(rows, columns=columns)
