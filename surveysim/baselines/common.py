"""What the baselines share: the `unseen` parameter and pooled margins."""

from __future__ import annotations

import numpy as np
from scipy.special import softmax

from surveysim.base import DistributionRegressor
from surveysim.cells import FitCells, PredictCells

__all__ = ["BaselineRegressor", "softmax_padded", "uniform"]


class BaselineRegressor(DistributionRegressor):
    """A baseline: `unseen` says what to predict where training has nothing to say."""

    unseen: str

    def _check_unseen(self) -> None:
        if self.unseen not in ("error", "uniform"):
            raise ValueError(f"unseen must be 'error' or 'uniform', got {self.unseen!r}")

    def _margins(self, cells: FitCells) -> tuple[np.ndarray, np.ndarray]:
        """Per question the pooled distribution (Q, K), NaN-padded, and the respondents (Q,); all NaN without any."""
        margins = np.full((len(cells.questions), self.n_options_), np.nan)
        respondents = np.zeros(len(cells.questions))
        for index, _, question, rows in cells.by_question():
            counts = cells.counts[rows, : question.n_options].sum(axis=0)
            respondents[index] = cells.n[rows].sum()
            margins[index, : question.n_options] = counts / counts.sum()
        return margins, respondents

    def _refuse_unseen_questions(self, cells: PredictCells, seen: np.ndarray) -> None:
        """Raise for rows of a question without training cells, unless `unseen` is "uniform"."""
        if self.unseen == "uniform":
            return
        strange = np.flatnonzero(~seen[cells.question_index])
        if len(strange):
            raise ValueError(
                f"{type(self).__name__} saw no training cells of question {cells.question_names[strange[0]]!r} (row "
                f'{strange[0]} of X, {len(strange)} such rows) and cannot predict it; unseen="uniform" predicts equal '
                "shares instead."
            )


def uniform(cells: PredictCells, n_columns: int) -> np.ndarray:
    """Equal shares over each row's options, (n, n_columns), NaN-padded."""
    n_options = cells.n_options[:, None]
    return np.where(np.arange(n_columns) < n_options, 1.0 / n_options, np.nan)


def softmax_padded(logits: np.ndarray) -> np.ndarray:
    """Softmax of each row over its options; NaN padding stays."""
    absent = np.isnan(logits)
    P = softmax(np.where(absent, -np.inf, logits), axis=1)
    P[absent] = np.nan
    return P
