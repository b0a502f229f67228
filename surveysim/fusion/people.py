"""People who were asked elsewhere: from their cells to what these say of the target's coefficients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from surveysim.baselines.common import option_basis
from surveysim.baselines.features import BackgroundEncoder
from surveysim.baselines.learning import LogitFamily
from surveysim.baselines.priors import PriorTable
from surveysim.baselines.question_stacks import Quadratic, QuestionData, gather, stacks
from surveysim.cells import FitCells
from surveysim.fusion.series import Series
from surveysim.questions import Question
from surveysim.sources.evidence import Evidence

__all__ = ["PeopleSeries", "all_backgrounds", "information", "quadratics", "with_told_questions"]


@dataclass(frozen=True)
class PeopleSeries:
    """Waves in a row, in the target's words.

    Attributes
    ----------
    names : tuple of str
        From the farthest to the one next to the target.
    gaps : float64 array of shape (n_waves,)
        Time from each wave to the next, and of the last to the target; the unit is a typical gap.
    evidence : tuple of Evidence
        What each wave's people answered.
    """

    names: tuple[str, ...]
    gaps: np.ndarray
    evidence: tuple[Evidence, ...]

    def of_questions(
        self, names: Sequence[str], cells: FitCells, encoder: BackgroundEncoder, *, ordered: bool
    ) -> Series:
        """What the waves say of these questions' coefficients."""
        asked = {name: cells.questions[name] for name in names}
        found = []
        for one in self.evidence:
            told = information(one, encoder, cells.backgrounds, cells.n, asked, ordered=ordered)
            sizes = {name: (asked[name].n_options - 1) * (1 + encoder.n_columns) for name in names}
            nothing = {name: Quadratic(np.zeros((size, size)), np.zeros(size)) for name, size in sizes.items()}
            found.append([told.get(name, nothing[name]) for name in names])
        return Series(self.names, self.gaps, found)


def with_told_questions(cells: FitCells, evidence: Sequence[Evidence]) -> tuple[FitCells, bool]:
    """Training cells, and below them rows without respondents for questions that only sources know.

    Parameters
    ----------
    cells : FitCells
    evidence : sequence of Evidence

    Returns
    -------
    cells : FitCells
        The distinct training backgrounds stand for each such question.
    more : bool
        Whether there are any.
    """
    told = {name for one in evidence for name in np.asarray(one.question_names)[one.n > 0]}
    asked = set(np.unique(cells.question_index))
    new = [q for q, name in enumerate(cells.questions) if name in told and q not in asked]
    if not new:
        return cells, False
    distinct = cells.backgrounds.drop_duplicates()
    n_more = len(new) * len(distinct)
    more = FitCells(
        backgrounds=pd.concat([cells.backgrounds, *[distinct] * len(new)], ignore_index=True),
        question_index=np.r_[cells.question_index, np.repeat(new, len(distinct))],
        questions=cells.questions,
        Y=np.vstack([cells.Y, np.full((n_more, cells.Y.shape[1]), np.nan)]),
        n=np.r_[cells.n, np.zeros(n_more)],
        rows=np.r_[cells.rows, np.full(n_more, -1)],
    )
    return more, True


def all_backgrounds(backgrounds: pd.DataFrame, evidence: Sequence[Evidence]) -> pd.DataFrame:
    """The target's training backgrounds, and below them those that only sources have.

    A missing value of a source's row, which stands for the total over the attribute, is no level of its own: the
    commonest of the training backgrounds stands in its place, so that an encoder sees nothing new.
    """
    tables = [backgrounds]
    for one in evidence:
        frame = one.backgrounds[list(backgrounds.columns)].drop_duplicates().reset_index(drop=True)
        columns = {}
        for name in backgrounds.columns:
            column = frame[name].astype(object)
            common = backgrounds[name].dropna()
            if len(common):
                column = column.where(column.notna(), common.mode().iloc[0])
            columns[name] = column.astype(_common_dtype(backgrounds[name], column))
        tables.append(pd.DataFrame(columns))
    if len(tables) == 1:
        return backgrounds
    return pd.concat(tables, ignore_index=True)


def _common_dtype(target: pd.Series, column: pd.Series) -> Any:
    """The target's type, if it can hold the values."""
    if isinstance(target.dtype, pd.CategoricalDtype):
        known = column.isna() | column.isin(target.dtype.categories)
        return target.dtype if known.all() else object
    return target.dtype if pd.api.types.is_numeric_dtype(target.dtype) else object


def information(
    evidence: Evidence,
    encoder: BackgroundEncoder,
    backgrounds: pd.DataFrame,
    respondents: np.ndarray,
    questions: Mapping[str, Question],
    *,
    ordered: bool,
) -> dict[str, Quadratic]:
    """For each question that the source has what its respondents say of the coefficients, by a Gaussian.

    The log likelihood of the source's cells around its largest value under the fixed prior; the prior itself is not in
    it. A row that is a total over attributes has the mean of the terms over the training respondents who share its
    stated values (over all of them where nobody does).

    Parameters
    ----------
    evidence : Evidence
    encoder : BackgroundEncoder
        Of the target.
    backgrounds : DataFrame
        The target's training backgrounds.
    respondents : float64 array
        Behind each of them.
    questions : mapping of str to Question
        Of the target.
    ordered : bool
        Whether the order of options counts.
    """
    terms = _terms(evidence.backgrounds, encoder, backgrounds, respondents)
    counts = evidence.n[:, None] * np.nan_to_num(evidence.Y, nan=0.0)
    names, data, degrees = [], [], []
    alike: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}
    places = pd.Series(np.arange(len(evidence))).groupby(np.asarray(evidence.question_names)).indices
    nowhere = np.empty(0, dtype=int)
    for name, question in questions.items():
        rows = places.get(name, nowhere)
        if not counts[rows].any():
            continue
        contrasts, degree = option_basis(question, ordered)
        names.append(name)
        degrees.append(degree)
        data.append(_pooled(terms[rows], counts[rows, : question.n_options], contrasts, alike))
    if not data:
        return {}
    table = PriorTable.fixed(encoder.blocks, ordered=ordered)
    return dict(zip(names, quadratics(data, degrees, table), strict=True))


def quadratics(
    questions: Sequence[QuestionData],
    degrees: Sequence[np.ndarray],
    table: PriorTable,
    *,
    levels: Sequence[float] | None = None,
) -> list[Quadratic]:
    """Minus the log likelihood of each question's coefficients, by a Gaussian around its largest value with a prior.

    Covariates are left out: the coefficients are those of the terms alone. With `levels`, prior variances of the
    levels by class of degree, the value stays finite where nobody chose an option: around shares of nearly 0 a
    Gaussian would say that nothing is known.
    """
    data = [QuestionData.without_covariates(one.design, one.counts, one.contrasts) for one in questions]
    if levels is None:
        family = LogitFamily(data, degrees, table, prior="fixed")
    else:
        known = [True] * len(data)
        family = LogitFamily(data, degrees, table, prior="fixed", has_level=known, levels=levels)
    coefficients = family.solve(family.start).coefficients
    found: list[Quadratic | None] = [None] * len(data)
    for stack in stacks(data, [np.zeros(B.shape, dtype=bool) for B in coefficients]):
        B = gather(coefficients, stack)
        gradients, hessians = stack.derivatives(B, np.zeros(0))
        for i, q in enumerate(stack.which):
            found[q] = Quadratic(hessians[i], hessians[i] @ B[i].ravel() - gradients[i])
    return [one for one in found if one is not None]


def _pooled(
    terms: np.ndarray, counts: np.ndarray, contrasts: np.ndarray, alike: dict[bytes, tuple[np.ndarray, np.ndarray]]
) -> QuestionData:
    """A question's data, rows with equal terms added up; `alike` keeps which they are for the next question."""
    key = terms.tobytes()
    if key not in alike:
        distinct, place = np.unique(terms, axis=0, return_inverse=True)
        alike[key] = distinct, place.ravel()
    distinct, place = alike[key]
    added = np.zeros((len(distinct), counts.shape[1]))
    np.add.at(added, place, counts)
    return QuestionData.without_covariates(distinct, added, contrasts)


def _terms(
    rows: pd.DataFrame, encoder: BackgroundEncoder, backgrounds: pd.DataFrame, respondents: np.ndarray
) -> np.ndarray:
    """Terms of a source's rows, the constant first; missing values are totals unless the target has missing, too."""
    names = list(backgrounds.columns)
    totals = [name for name in names if not backgrounds[name].isna().any()]
    distinct = rows[names].drop_duplicates().reset_index(drop=True)
    filled = all_backgrounds(backgrounds, [Evidence(distinct, np.empty(0), np.empty(0), np.empty(0), distinct)])
    design = encoder.transform(filled.iloc[len(backgrounds) :]).with_constant
    own = encoder.transform(backgrounds).with_constant
    missing = distinct[totals].isna().to_numpy()
    for i in np.flatnonzero(missing.any(axis=1)):
        gone = {name for name, absent in zip(totals, missing[i], strict=True) if absent}
        stated = [name for name in names if name not in gone]
        alike = np.ones(len(backgrounds), dtype=bool)
        for name in stated:
            value = distinct[name].iloc[i]
            alike &= (backgrounds[name].isna() if pd.isna(value) else backgrounds[name] == value).to_numpy()
        weights = np.where(alike, respondents, 0.0) if alike.any() else respondents
        mean = weights @ own / weights.sum()
        for block in encoder.blocks:
            if gone & set(block.attributes):
                columns = slice(1 + block.columns.start, 1 + block.columns.stop)
                design[i, columns] = mean[columns]
    keys = pd.MultiIndex.from_frame(distinct.astype(object).where(distinct.notna(), None))
    of_rows = rows[names].astype(object)
    return design[keys.get_indexer(pd.MultiIndex.from_frame(of_rows.where(of_rows.notna(), None)))]
