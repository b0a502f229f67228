"""`Wave`: an earlier wave, another survey or published toplines, as a source for a new sample."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Literal

import numpy as np
import pandas as pd

from surveysim.questions import Question, as_questions
from surveysim.sources.evidence import UNMATCHED_COLUMNS, Evidence

__all__ = ["Wave"]


class Wave:
    """What people answered elsewhere: cells of an earlier wave, another survey, or published toplines."""

    kind: Literal["people"] = "people"

    def __init__(
        self,
        cells: Any,
        *,
        estimator: Any = None,
        questions: Mapping[str, str | None] | None = None,
        attributes: Mapping[str, str | None] | None = None,
        levels: Mapping[str, Mapping[Any, Any]] | None = None,
        options: Mapping[str, Mapping[str, Any]] | None = None,
        time: float | date | None = None,
        population: pd.DataFrame | None = None,
        name: str | None = None,
    ) -> None:
        self.cells = cells
        self.estimator = estimator
        self.questions = questions
        self.attributes = attributes
        self.levels = levels
        self.options = options
        self.time = time
        self.population = population
        self.name = name

    def evidence(self, questions: Mapping[str, Question] | Question, backgrounds: pd.DataFrame) -> Evidence:
        """The answers in the target's words."""
        targets = as_questions(questions)
        assert targets is not None
        names = self.cells.question_names
        if list(targets) == [""] and len(set(names)) == 1:
            names = np.full(len(names), "", dtype=object)
        kept = np.isin(names, list(targets))
        if not kept.any():
            raise ValueError(f"the wave has no question in common: it has {sorted(set(names))}")
        width = max(question.n_options for question in targets.values())
        Y = np.full((int(kept.sum()), width), np.nan)
        own = self.cells.Y[kept][:, :width]
        Y[:, : own.shape[1]] = own
        frame = self.cells.X.loc[kept].reset_index(drop=True).reindex(columns=list(backgrounds.columns))
        unmatched = pd.DataFrame(columns=list(UNMATCHED_COLUMNS))
        return Evidence(frame, names[kept], Y, self.cells.n[kept], unmatched)

    def __sklearn_clone__(self) -> Wave:
        """Nothing is learned: `sklearn.clone` may hand out the same wave."""
        return self

    def __repr__(self) -> str:
        return f"Wave({len(self.cells):,} cells)"
