"""A language model that is asked about the groups and questions of recorded elicitations, as the recorded ones were.

One prompt a group and question, which names one attribute; the probabilities of the options' labels, averaged over the
orders in which options are shown. Nothing is tuned and nothing is chosen.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
import pandas as pd

from surveysim import Question, ZeroShotElicitor

__all__ = ["METHOD", "ask"]

METHOD = "model_logprobs"
"""What the recordings call it."""

NAMES = {"SEX": "gender", "RACE": "race", "POLPARTY": "political party", "EDUCATION": "education", "INCOME": "income",
         "CREGION": "region"}  # fmt: skip
"""The attributes in words that a prompt may use."""


def ask(model: str, X: pd.DataFrame, questions: Mapping[str, Question]) -> np.ndarray:
    """A model's distributions for the rows of X, (n, K), NaN past the last option of a shorter question.

    Parameters
    ----------
    model : str
        A name, a folder or a GGUF file.
    X : DataFrame of n rows
        The column question, and attributes by their recorded names; each row states one.
    questions : mapping of str to Question
    """
    elicitor = ZeroShotElicitor(model, method="logprob", question=dict(questions), random_state=0)
    with warnings.catch_warnings():  # a small model's label mass is low, and is what the table shows
        warnings.filterwarnings("ignore", message=".*label mass")
        P = elicitor.fit(X.rename(columns=NAMES)).predict(X.rename(columns=NAMES))
    return np.asarray(P, dtype=np.float64)
