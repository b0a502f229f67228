"""Prompts of a joined table, and what a bank predicts for its cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from surveysim.bank.answerer import bank_head, bank_inputs, run_head
from surveysim.bank.bank import QuestionBank
from surveysim.cells import PredictCells
from surveysim.models.loaded import LoadedModel
from surveysim.models.own_torch import own_torch
from surveysim.prompts import Template
from surveysim.questions import Question
from surveysim.tables.joining import survey_of
from surveysim.trunk.encode import encode_cells
from surveysim.trunk.head import NO_OPTION
from surveysim.trunk.store import EncodedPrompts

__all__ = ["encode_by_survey", "predict_cells"]


def encode_by_survey(model: LoadedModel, template: Template, cells: PredictCells) -> EncodedPrompts:
    """The prompts of a joined table: each names the attributes that its own survey has, and no others.

    As they read where that survey is predicted by itself; else every prompt would list the attributes of all surveys
    as "not stated".

    Parameters
    ----------
    model : LoadedModel
    template : Template
    cells : PredictCells
    """
    survey = np.array([survey_of(name) for name in cells.question_names], dtype=object)
    prefixes: list[tuple[int, ...]] = []
    suffixes: list[tuple[int, ...]] = []
    group: list[np.ndarray] = []
    index = np.empty(len(cells), dtype=int)
    for name in dict.fromkeys(survey):
        rows = np.flatnonzero(survey == name)
        backgrounds = own_columns(cells.backgrounds.iloc[rows]).reset_index(drop=True)
        questions: list[Question] = list(cells.questions.values())
        part = encode_cells(model, template, backgrounds, cells.question_index[rows], questions)
        index[rows] = part.index + len(suffixes)
        group.append(part.group + len(prefixes))
        prefixes += part.prefixes
        suffixes += part.suffixes
    return EncodedPrompts(tuple(prefixes), np.concatenate(group), tuple(suffixes), index)


def own_columns(backgrounds: pd.DataFrame) -> pd.DataFrame:
    """The columns of which these rows state anything."""
    return backgrounds.loc[:, backgrounds.notna().any(axis=0).to_numpy()]


@own_torch()
def predict_cells(
    bank: QuestionBank, model: LoadedModel, cells: PredictCells, *, folder: Any = None, verbose: int = 0
) -> np.ndarray:
    """Distributions (n, K) of the cells of a joined table, NaN past the last option of a shorter question.

    Parameters
    ----------
    bank : QuestionBank
    model : LoadedModel
        The bank's.
    cells : PredictCells
    folder : path, optional
        Where trunk states are kept between processes.
    verbose : int, default=0
    """
    bank.check_model(model)
    head = bank_head(model, bank, [question.n_options for question in cells.questions.values()])
    prompts = encode_by_survey(model, bank.template, cells)
    inputs = bank_inputs(model, bank, prompts, folder=folder, verbose=verbose)
    logits = run_head(head, inputs, cells.question_index, verbose)
    exists = logits > NO_OPTION / 2
    powers = np.where(exists, np.exp(logits - logits.max(axis=1, keepdims=True)), 0.0)
    return np.where(exists, powers / powers.sum(axis=1, keepdims=True), np.nan)
