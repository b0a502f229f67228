"""Surveys in which the wording says how people answer, so that a model that reads can predict an unseen question."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from surveysim import Question, join_cells, train_bank
from surveysim.datasets import QuestionSet

THINGS = ["cats", "rain", "tea", "trains", "books", "snow", "bread", "music", "maths", "stars", "boats", "plums"]
OPTIONS = ["yes", "partly", "no"]
LIKED, HATED = (0.7, 0.2, 0.1), (0.1, 0.2, 0.7)


def topics(things: list[str], column: str = "age", context: str | None = None) -> QuestionSet:
    """Two questions on each thing, asked of two groups: whether people like it (most do), and hate it (few do)."""
    groups = {"age": ["18-29", "65+"], "sex": ["man", "woman"]}[column]
    questions, rows, Y = {}, [], []
    for thing in things:
        for verb, shares in (("like", LIKED), ("hate", HATED)):
            name = f"{verb} {thing}"
            questions[name] = Question(f"Do you {verb} {thing}?", OPTIONS, context=context)
            rows += [{"question": name, column: group} for group in groups]
            Y += [shares] * len(groups)
    return QuestionSet(X=pd.DataFrame(rows), Y=np.array(Y), n=np.full(len(rows), 200.0), questions=questions)


def joined(n: int = 9) -> Any:
    """Three surveys, one of them with other groups."""
    return join_cells(
        {"town": topics(THINGS[:n]), "club": topics(THINGS[n : n + 1], "sex"), "wave": topics(THINGS[n + 1 : n + 2])}
    )


def small_bank(model: Any, **parameters: Any) -> Any:
    """A bank that trains in a second: town and club train, wave is held out."""
    settings = {"held_out_surveys": ["wave"], "max_epochs": 6, "learning_rate": 0.01, "device": "cpu"}
    return train_bank(joined(), model, **{**settings, "random_state": 0, **parameters})
