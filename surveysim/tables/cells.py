"""The cells of a survey: what `tabulate` returns and estimators are fitted on."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from surveysim.questions import Question

__all__ = ["QUESTION_COLUMN", "Cells"]

QUESTION_COLUMN = "question"
"""The column of X that names each row's question where there are several."""

SHOWN_CELLS, SHOWN_QUESTIONS = 10, 3
"""How many a notebook shows."""


@dataclass(frozen=True, eq=False, repr=False)
class Cells:
    """Distributions of answers, one row per cell: a background and a question.

    Attributes
    ----------
    X : DataFrame of shape (n_cells, n_backgrounds [+ 1])
        The background of each cell with the dtypes of the survey file, NaN where it was not stated; with several
        questions the first column, ``"question"``, names the question. Rows are sorted by question (in the order of
        the mapping), then by background.
    Y : float64 array of shape (n_cells, K)
        The weighted shares of the options, NaN past the last option of a shorter question.
    n : float64 array of shape (n_cells,)
        Respondents that each distribution is worth: Kish's effective number within the cell over the design effect.
    questions : dict of str to Question
        The questions by column, with the options that ``missing="option"`` added.
    n_raw : int64 array of shape (n_cells,)
        Respondents who answered.
    weight_sum : float64 array of shape (n_cells,)
        The sum of their weights.
    missing : DataFrame of shape (n_cells, 4)
        Respondents of the cell whose answer is missing and not an option, by kind (`MISSING_KINDS`), unweighted.
    excluded : DataFrame
        Everything left out: ``question`` ("" for all questions), ``reason`` (a kind of missing, or "weight 0"),
        ``respondents``, their ``weight_sum``, and ``outside_cells``: how many of them are not in `missing`, because
        nobody with their background answered the question, so that it is not a cell, or because their weight is 0.
    folds : float64 array of shape (n_cells, n_folds, K), or None
        Respondent-disjoint counts, scaled so that those of a cell sum to its n; 0 past the last option of a shorter
        question. ``folds.sum(axis=1) / n[:, None]`` is Y. scikit-learn can slice it by rows, like a weight.
    design_effect : dict of str to float
        The design effect beyond weighting for each question's whole sample (see `tabulate`); 1 where none was asked.
    n_kish : float64 array of shape (n_cells,), or None
        Kish's effective number of respondents, before the design effect.

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim import Question, tabulate
    >>> survey = pd.DataFrame({"sex": ["f", "f", "m", "m", "m"], "content": [1, 2, 1, 1, 2]})
    >>> cells = tabulate(survey, ["sex"], {"content": Question("Content?", ["yes", "no"])})
    >>> cells.X["sex"].tolist(), cells.n.tolist()
    (['f', 'm'], [2.0, 3.0])
    >>> cells.Y.round(2)
    array([[0.5 , 0.5 ],
           [0.67, 0.33]])
    >>> len(cells.subset(cells.n >= 3))
    1
    """

    X: pd.DataFrame
    Y: np.ndarray
    n: np.ndarray
    questions: Mapping[str, Question]
    n_raw: np.ndarray
    weight_sum: np.ndarray
    missing: pd.DataFrame
    excluded: pd.DataFrame
    folds: np.ndarray | None = None
    design_effect: Mapping[str, float] = field(default_factory=dict)
    n_kish: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.X)

    @property
    def question_names(self) -> np.ndarray:
        """Object array (n_cells,): the name of each cell's question, also where X has no question column."""
        if QUESTION_COLUMN in self.X:
            return self.X[QUESTION_COLUMN].to_numpy(dtype=object)
        return np.full(len(self), next(iter(self.questions)), dtype=object)

    @property
    def backgrounds(self) -> list[str]:
        """The background columns of X."""
        return [column for column in self.X.columns if column != QUESTION_COLUMN]

    def subset(self, mask: ArrayLike) -> Cells:
        """Select some of the cells, renumbered from 0.

        `questions`, `excluded` and `design_effect` stay those of the survey, so that K stays too.

        Parameters
        ----------
        mask : array of bool of shape (n_cells,), or array of int
            Which cells, or their positions.

        Returns
        -------
        Cells

        Raises
        ------
        ValueError
            If the length of a boolean mask is not the number of cells, or positions are not integers.
        IndexError
            If a position does not exist.
        """
        chosen = np.asarray(mask)
        if chosen.dtype == bool:
            if chosen.shape != (len(self),):
                raise ValueError(f"mask must have one entry per cell, {len(self)}, got shape {chosen.shape}")
            chosen = np.flatnonzero(chosen)
        elif chosen.ndim != 1 or not (np.issubdtype(chosen.dtype, np.integer) or chosen.size == 0):
            raise ValueError("mask must be a boolean array or a one-dimensional array of integer positions")
        chosen = chosen.astype(np.intp)
        return replace(
            self,
            X=self.X.iloc[chosen].reset_index(drop=True),
            Y=self.Y[chosen],
            n=self.n[chosen],
            n_raw=self.n_raw[chosen],
            weight_sum=self.weight_sum[chosen],
            missing=self.missing.iloc[chosen].reset_index(drop=True),
            folds=None if self.folds is None else self.folds[chosen],
            n_kish=None if self.n_kish is None else self.n_kish[chosen],
        )

    def to_frame(self) -> pd.DataFrame:
        """The cells as a long, tidy table: one row per cell and option.

        Returns
        -------
        DataFrame
            The columns of X (the question's name always first), then ``option`` (text), ``share``, ``n``,
            ``n_raw`` and ``weight_sum``.

        Raises
        ------
        ValueError
            If a background has the name of one of these columns.
        """
        taken = {"option", "share", "n", "n_raw", "weight_sum"}.intersection(self.backgrounds)
        if taken:
            raise ValueError(f"to_frame needs the column names {sorted(taken)}, which are backgrounds: rename them")
        cell, option = np.nonzero(~np.isnan(self.Y))
        names = self.question_names
        frame = self.X[self.backgrounds].iloc[cell].reset_index(drop=True)
        frame.insert(0, QUESTION_COLUMN, names[cell])
        frame["option"] = [self.questions[names[c]].options[k] for c, k in zip(cell, option.tolist(), strict=True)]
        frame["share"] = self.Y[cell, option]
        frame["n"] = self.n[cell]
        frame["n_raw"] = self.n_raw[cell]
        frame["weight_sum"] = self.weight_sum[cell]
        return frame

    def __repr__(self) -> str:
        head = _count(len(self), "cell")
        if len(self) == 0:
            return f"Cells({head})"
        n_backgrounds = len(self.X[self.backgrounds].drop_duplicates())
        lines = [
            f"Cells({head}: {_count(len(set(self.question_names)), 'question')}, {_count(n_backgrounds, 'background')} "
            f"of {', '.join(self.backgrounds)}",
            f"  answers {int(self.n_raw.sum()):,}, worth {self.n.sum():,.0f}; respondents n per cell: median "
            f"{np.median(self.n):.1f}, from {self.n.min():.1f} to {self.n.max():.1f}",
        ]
        left_out = self.missing.sum()
        listed = ", ".join(f"{kind} {count:,}" for kind, count in left_out.items() if count)
        lines.append(f"  missing answers in these cells: {listed or 'none'}")
        if self.folds is not None:
            lines.append(f"  {self.folds.shape[1]} folds of respondents")
        return "\n".join(lines) + ")"

    def _repr_html_(self) -> str:
        """The summary, then the first cells with their answers in percent under the options' own names."""
        parts = [f"<pre>{html.escape(repr(self))}</pre>"]
        names = self.question_names
        for name in list(dict.fromkeys(names))[:SHOWN_QUESTIONS]:
            own = np.flatnonzero(names == name)
            rows, options = own[:SHOWN_CELLS], self.questions[name].options
            shares = pd.DataFrame(100 * self.Y[rows, : len(options)], columns=list(options)).round(0).astype(int)
            own_levels = self.X[self.backgrounds].iloc[rows].reset_index(drop=True).astype(object)
            own_levels = own_levels.where(own_levels.notna(), np.nan)  # pandas 2 writes None as it is
            frame = pd.concat([own_levels, shares], axis=1)
            frame["respondents"] = self.n_raw[rows]
            more = f" (the first {len(rows)} of {len(own):,} cells)" if len(own) > len(rows) else ""
            text = html.escape(f"{name}: {self.questions[name].text}{more}, percent")
            table = frame.to_html(index=False, border=0, na_rep="not stated", notebook=True)
            parts.append(f"<p><strong>{text}</strong></p>{table}")
        left = len(set(names)) - SHOWN_QUESTIONS
        if left > 0:
            parts.append(f"<p>and {_count(left, 'more question')}</p>")
        return "".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
