"""`RecordedElicitor`: distributions that a language model gave elsewhere, looked up as if it were asked now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from surveysim.base import DistributionRegressor
from surveysim.cells import PredictCells
from surveysim.distributions import check_distributions
from surveysim.elicitation.methods import MethodName, OnFailure, check_elicited_by
from surveysim.interfaces import Table
from surveysim.levels import LevelIndex
from surveysim.questions import Question
from surveysim.validation import arrange_options, as_matrix, check_backgrounds, pair_questions

__all__ = ["RecordedElicitor"]

MAX_SHOWN = 200
"""How many characters of a background an error message shows."""

TOLERANCE = 1e-9
"""Rows that record the same cell must agree to this."""


class RecordedElicitor(DistributionRegressor):
    """Return distributions that were elicited elsewhere and recorded.

    Answers of any model, asked with any tool, become an estimator: `CalibratedElicitor` corrects them, `FusedRegressor`
    joins them with respondents, cross-validation and metrics take them like any other. No model is asked again.

    Parameters
    ----------
    X_recorded : DataFrame or array of shape (n_recorded, n_columns)
        The backgrounds that the model was asked about, with the question column if `question` is a mapping.
    P_recorded : array of shape (n_recorded, K)
        What it answered: one distribution per row, NaN past the last option of a shorter question. A row of only NaN is
        a cell without a usable answer. Columns of a DataFrame are matched to the options by name.
    question : Question, mapping of str to Question, or None
        What was asked. A mapping names several questions; None stands for options "1".."K".
    question_column : str, default="question"
        Column of X that names each row's question when `question` is a mapping.
    on_missing : {"raise", "nan"}, default="raise"
        What `predict` does for a cell that was not recorded or has no usable answer: raise an error, or return a row of
        NaN.
    elicited_by : {"logprob", "verbalized", "sampled", "paraphrased", "sequence"} or None, default=None
        How the model was asked, in the words of ``ZeroShotElicitor(method=...)``. Calibrators start from what is known
        of that method; None: nothing is assumed.

    Attributes
    ----------
    n_recorded_ : int
        Distinct cells with a usable answer.
    questions_, n_options_, backgrounds_, n_dropped_, n_features_in_, feature_names_in_
        As in every estimator of the library.

    See Also
    --------
    CalibratedElicitor : corrects what is recorded here on a few labelled cells.
    surveysim.calibration.DistributionCalibrator : the same on plain arrays.

    Notes
    -----
    Cells are matched by their values, whatever the order of rows and columns; missing values match missing values.
    `fit` learns nothing from Y.

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim.elicitation.recorded import RecordedElicitor
    >>> asked = pd.DataFrame({"age": ["18-29", "65+"]})
    >>> elicitor = RecordedElicitor(asked, [[0.7, 0.3], [0.2, 0.8]], elicited_by="verbalized")
    >>> elicitor.fit(asked[:1], [[0.5, 0.5]]).predict(pd.DataFrame({"age": ["65+", "18-29"]}))
    array([[0.2, 0.8],
           [0.7, 0.3]])
    """

    n_recorded_: int

    def __init__(
        self,
        X_recorded: Table,
        P_recorded: ArrayLike,
        *,
        question: Question | Mapping[str, Question] | None = None,
        question_column: str = "question",
        on_missing: OnFailure = "raise",
        elicited_by: MethodName | None = None,
    ) -> None:
        self.X_recorded = X_recorded
        self.P_recorded = P_recorded
        self.question = question
        self.question_column = question_column
        self.on_missing = on_missing
        self.elicited_by = elicited_by

    def fit(self, X: Table, Y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> RecordedElicitor:
        """Check the recordings and the cells; nothing is learned from Y.

        Parameters
        ----------
        X : DataFrame or array of shape (n, n_columns)
            Backgrounds, with the question column if `question` is a mapping.
        Y : array of shape (n, K), optional
            Observed distributions, NaN past the last option of a shorter question: checked, if they are given.
        sample_weight : array of shape (n,), optional
            Respondents per row.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If X, Y or the weights break the data contract, or the recordings do: columns other than X's, rows that are
            not distributions over their question's options, or a cell recorded twice with different distributions.
        """
        with self._atomic_fit():
            if self.on_missing not in ("raise", "nan"):
                raise ValueError(f"on_missing must be 'raise' or 'nan', got {self.on_missing!r}")
            check_elicited_by(self.elicited_by)
            self._validate_fit(X, self._any_targets(X) if Y is None else Y, sample_weight)
            self._index_recordings()
        return self

    def _any_targets(self, X: Table) -> np.ndarray:
        """Equal shares, as wide as the questions, or else as the recordings."""
        if self.question is not None:
            return self._equal_shares(X)
        P = as_matrix(self.P_recorded)
        n_options = P.shape[1] if P.ndim == 2 else 2  # a wrong shape is refused with the recordings
        return np.full((len(X), n_options), 1.0 / n_options)  # type: ignore[arg-type]

    def _index_recordings(self) -> None:
        named = isinstance(self.question, Mapping)
        frame = check_backgrounds(self.X_recorded)
        question_index = pair_questions(frame, self.questions_, self.question_column, named=named)
        recorded = [column for column in frame.columns if not (named and column == self.question_column)]
        if set(recorded) != set(self.backgrounds_):
            raise ValueError(
                f"X has the backgrounds {self.backgrounds_}, but X_recorded has {recorded}: cells are matched by all "
                "of them, so both must have the same columns"
            )
        P = self._check_recorded(len(frame), question_index)
        usable = ~np.isnan(P).all(axis=1)
        if not usable.any():
            raise ValueError("P_recorded is NaN in every row, so there is nothing to look up")
        self._levels = {name: LevelIndex(frame.loc[usable, name]) for name in self.backgrounds_}
        keys = self._keys(question_index, frame)
        self._place: dict[tuple[int, ...], int] = {}
        for row in np.flatnonzero(usable):
            first = self._place.setdefault(keys[row], int(row))
            if not np.allclose(P[row], P[first], rtol=0, atol=TOLERANCE, equal_nan=True):
                raise ValueError(
                    f"X_recorded: rows {first} and {row} record the same cell ({_shown(frame, int(row))}) with "
                    "different distributions. Average repeated samples first; keep models and methods in elicitors of "
                    "their own."
                )
        self._P = P
        self.n_recorded_ = len(self._place)

    def _check_recorded(self, n_rows: int, question_index: np.ndarray) -> np.ndarray:
        """P_recorded as float64 of `n_options_` columns; rows without any number stay NaN."""
        P = as_matrix(arrange_options(self.P_recorded, self.questions_, question_index, "P_recorded"))
        if P.ndim != 2 or len(P) != n_rows:
            raise ValueError(
                f"P_recorded must have one row per row of X_recorded ({n_rows}), got an array of shape {P.shape}"
            )
        try:
            P = P.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise TypeError(f"P_recorded must hold numbers: {error}") from None
        if P.shape[1] != self.n_options_:
            raise ValueError(
                f"P_recorded has {P.shape[1]} columns, but the longest question has {self.n_options_} options: one "
                "column per option is expected, NaN past the last option of shorter questions"
            )
        n_options = np.array([question.n_options for question in self.questions_.values()])[question_index]
        return check_distributions(P, n_options.tolist(), "P_recorded", missing_rows=True)

    def _keys(self, question_index: np.ndarray, backgrounds: pd.DataFrame) -> list[tuple[int, ...]]:
        codes = [index.codes(backgrounds[name]) for name, index in self._levels.items()]
        return list(map(tuple, np.column_stack([question_index, *codes]).tolist()))

    def _predict(self, cells: PredictCells) -> np.ndarray:
        place = np.array([self._place.get(key, -1) for key in self._keys(cells.question_index, cells.backgrounds)])
        absent = np.flatnonzero(place < 0)
        if len(absent) and self.on_missing == "raise":
            row = int(absent[0])
            name = cells.question_names[row]
            raise ValueError(
                f"RecordedElicitor has no recorded distribution for row {row} "
                f"({f'question {name!r}, ' if name else ''}{_shown(cells.backgrounds, row)}; {len(absent)} such rows). "
                'Record these cells too, leave them out, or pass on_missing="nan" to get NaN for them.'
            )
        P = self._P[place]
        P[absent] = np.nan
        return P

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = False
        return tags


def _shown(backgrounds: pd.DataFrame, row: int) -> str:
    text = ", ".join(f"{name}={value}" for name, value in backgrounds.iloc[row].items())
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + " ..."
