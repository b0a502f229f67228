"""Answers of simulated respondents, drawn from predicted distributions."""

from __future__ import annotations

import numpy as np
import pandas as pd

from surveysim.cells import PredictCells

__all__ = ["draw_answers"]


def draw_answers(
    P: np.ndarray, cells: PredictCells, frame: pd.DataFrame, n: int, generator: np.random.Generator
) -> pd.DataFrame:
    """Each row of a frame n times, with an answer drawn from its distribution.

    Parameters
    ----------
    P : array of shape (n_rows, K)
        Predicted distributions, NaN past the last option.
    cells : PredictCells
        Each row's question.
    frame : DataFrame of n_rows rows
        What the result repeats.
    n : int
        Draws per row.
    generator : numpy Generator
        Of the draws.

    Returns
    -------
    DataFrame of n_rows * n rows
        The frame's columns and ``"answer"``, the option's text.
    """
    thresholds = np.nan_to_num(P, nan=0.0).cumsum(axis=1).repeat(n, axis=0)
    thresholds /= thresholds[:, -1:]
    choice = (generator.random((len(thresholds), 1)) >= thresholds).sum(axis=1)
    questions = list(cells.questions.values())
    drawn = frame.iloc[np.repeat(np.arange(len(frame)), n)].reset_index(drop=True)
    question_index = np.repeat(cells.question_index, n)
    drawn["answer"] = [questions[q].options[k] for q, k in zip(question_index, choice, strict=True)]
    return drawn
