"""Distributions side by side: observed shares, sample, prediction and its intervals, one panel per group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from surveysim.distributions import check_distributions
from surveysim.evaluation.displays.rows import choose_rows, remarks_of, rows_said, titles_and_options
from surveysim.evaluation.displays.style import BARS, CHARACTER, COLORS, INK, SOFT, bare, pyplot, whole_words
from surveysim.interfaces import Predictor
from surveysim.option_columns import by_position
from surveysim.questions import Question

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["DistributionDisplay"]

POINTS = 8.5
"""Size of the options' names."""

WIDEST = 14.0
"""Inches of a figure."""


class DistributionDisplay:
    """Observed shares as bars and predictions as marks, for a few groups.

    Use `from_estimator` or `from_predictions` rather than the constructor.

    Parameters
    ----------
    truth : float64 array of shape (n_rows, K)
        What predictions are compared with: observed shares of respondents who took no part in the fit, or a known
        truth.
    said : mapping of str to float64 array of shape (n_rows, K)
        What is compared with the truth, by name; rows of NaN are not drawn.
    titles : list of str
        Who each row is.
    options : list of list of str
        Each row's options.
    remarks : list of str, optional
        A line below each title.
    interval : tuple of two arrays of shape (n_rows, K), optional
        Ends of the intervals of the first of `said`.
    truth_name : str, default="observed"
        What the bars are called. Shares of a sample are not the truth; write "truth" where they are.

    Attributes
    ----------
    figure_ : Figure
    axes_ : array of Axes
    bars_ : list of BarContainer
    lines_ : list of dict of str to Line2D

    See Also
    --------
    RespondentCurveDisplay : models by the size of their sample.
    GroupAlignmentDisplay : any figure of the group report, the worst first.
    ShiftDisplay : predicted against observed shifts.
    TrainingHistoryDisplay : what was tried on held-out respondents, and the final training.

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim import Question
    >>> from surveysim.evaluation import DistributionDisplay
    >>> question = Question("Should shops close on Sundays?", ["no", "it depends", "yes"])
    >>> X = pd.DataFrame({"age": ["18-29", "65+"]})
    >>> truth, prediction = (
    ...     [[0.6, 0.2, 0.2], [0.1, 0.3, 0.6]],
    ...     [[0.5, 0.3, 0.2], [0.2, 0.3, 0.5]],
    ... )
    >>> display = DistributionDisplay.from_predictions(
    ...     truth, prediction, X=X, question=question
    ... )
    >>> display.axes_.shape
    (2,)
    """

    def __init__(
        self,
        truth: np.ndarray,
        said: Mapping[str, np.ndarray],
        titles: Sequence[str],
        options: Sequence[Sequence[str]],
        *,
        remarks: Sequence[str] | None = None,
        interval: tuple[np.ndarray, np.ndarray] | None = None,
        truth_name: str = "observed",
    ) -> None:
        self.truth = truth
        self.said = said
        self.titles = titles
        self.options = options
        self.remarks = remarks
        self.interval = interval
        self.truth_name = truth_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Predictor,
        X: pd.DataFrame,
        Y: ArrayLike,
        *,
        level: float | None = 0.9,
        name: str | None = None,
        random_state: int | np.random.Generator | None = None,
        **parameters: Any,
    ) -> DistributionDisplay:
        """Predict with a fitted estimator and draw.

        Parameters
        ----------
        estimator : fitted estimator
        X : DataFrame of shape (n_rows, n_columns)
        Y : array of shape (n_rows, K)
            The truth.
        level : float or None, default=0.9
            Of the intervals, if the estimator has ``predict_interval``; None: no intervals.
        name : str, optional
            What the legend calls the estimator; default: its class.
        random_state : int, Generator or None, default=None
            For the draws behind the intervals; None: the estimator's own, where it has one.
        **parameters
            As in `from_predictions`.

        Returns
        -------
        DistributionDisplay
        """
        chosen = choose_rows(parameters.pop("rows", None), len(X), parameters.get("truth_respondents"))
        some = X.iloc[chosen]
        P = np.asarray(estimator.predict(some))
        whole = np.full((len(X), P.shape[1]), np.nan)
        whole[chosen] = P
        interval = None
        if level is not None and hasattr(estimator, "predict_interval"):
            ends = [np.full_like(whole, np.nan) for _ in range(2)]
            drawn = {} if random_state is None else {"random_state": random_state}
            for end, values in zip(ends, estimator.predict_interval(some, level=level, **drawn), strict=True):
                end[chosen] = values
            interval = (ends[0], ends[1])
        if parameters.get("question") is None:
            parameters["question"] = getattr(estimator, "question", None)
        return cls.from_predictions(
            Y, whole, X=X, rows=chosen.tolist(), interval=interval, name=name or type(estimator).__name__, **parameters
        )

    @classmethod
    def from_predictions(
        cls,
        Y_true: ArrayLike,
        Y_pred: ArrayLike,
        *,
        X: pd.DataFrame | None = None,
        question: Question | Mapping[str, Question] | None = None,
        question_column: str = "question",
        truth_respondents: ArrayLike | None = None,
        Y_sample: ArrayLike | None = None,
        sample_respondents: ArrayLike | None = None,
        interval: tuple[ArrayLike, ArrayLike] | None = None,
        others: Mapping[str, ArrayLike] | None = None,
        rows: Sequence[int] | None = None,
        name: str = "prediction",
        truth_name: str = "observed",
        ax: Axes | None = None,
        n_columns: int = 3,
    ) -> DistributionDisplay:
        """Draw predictions.

        Parameters
        ----------
        Y_true, Y_pred : array-like of shape (n_rows, K)
        X : DataFrame of shape (n_rows, n_columns), optional
            Backgrounds, for the titles.
        question : Question or mapping of str to Question, optional
            For the options' names.
        question_column : str, default="question"
        truth_respondents, sample_respondents : array-like of shape (n_rows,), optional
            Shown in each panel.
        Y_sample : array-like of shape (n_rows, K), optional
            The training sample's shares; rows of NaN where it has no respondents.
        interval : tuple (lower, upper) of arrays of shape (n_rows, K), optional
        others : mapping of str to array of shape (n_rows, K), optional
            More predictions, such as the baseline's.
        rows : sequence of int, optional
            Which rows to draw; default: the 6 with the most respondents.
        name : str, default="prediction"
        truth_name : str, default="observed"
            What the bars are called.
        ax : Axes or array of Axes, optional
            One for each row drawn.
        n_columns : int, default=3

        Returns
        -------
        DistributionDisplay
        """
        truth = np.asarray(by_position(Y_true, "Y_true"), dtype=np.float64)
        chosen = choose_rows(rows, len(truth), truth_respondents)
        arrays = {name: Y_pred, **(others or {})}
        if Y_sample is not None:
            arrays["sample"] = Y_sample
        said = {}
        for key, values in arrays.items():
            array = np.asarray(by_position(values, key), dtype=np.float64)
            if len(array) != len(truth):
                raise ValueError(f"{key!r} has {len(array)} rows, the truth has {len(truth)}")
            said[key] = rows_said(array, chosen, key, may_lack=key == "sample")
        titles, options = titles_and_options(X, len(truth), chosen, truth, question, question_column)
        display = cls(
            check_distributions(truth[chosen], name="Y_true"),
            said,
            titles,
            options,
            remarks=remarks_of(len(truth), chosen, truth_respondents, sample_respondents, truth_name),
            interval=None if interval is None else (np.asarray(interval[0])[chosen], np.asarray(interval[1])[chosen]),
            truth_name=truth_name,
        )
        return display.plot(ax=ax, n_columns=n_columns)

    def plot(self, ax: Axes | None = None, *, n_columns: int = 3) -> DistributionDisplay:
        """Draw into given axes or a new figure.

        Parameters
        ----------
        ax : Axes or array of Axes, optional
            One for each row.
        n_columns : int, default=3
            Panels side by side in a new figure, fewer where long words need wide panels.

        Returns
        -------
        DistributionDisplay
            Itself.

        Raises
        ------
        ValueError
            If there are fewer axes than rows.
        """
        n_rows = len(self.truth)
        if ax is None:
            width = self._panel_width()
            n_columns = max(1, min(n_columns, n_rows, int(WIDEST / width)))
            n_lines = -(-n_rows // n_columns)
            height = (1.95 + 0.13 * self._label_lines(width)) * n_lines + 0.7
            figure, grid = pyplot().subplots(
                n_lines,
                n_columns,
                figsize=(width * n_columns, height),
                sharey=True,
                squeeze=False,
                layout="constrained",
            )
            axes = grid.ravel()
            for spare in axes[n_rows:]:
                spare.set_visible(False)
        else:
            axes = np.atleast_1d(np.asarray(ax, dtype=object)).ravel()
            figure = axes[0].figure
        if len(axes) < n_rows:
            raise ValueError(f"there are {n_rows} rows to draw, but {len(axes)} axes")
        self.figure_, self.axes_ = figure, axes[:n_rows]
        self.bars_: list[Any] = []
        self.lines_: list[dict[str, Any]] = []
        for row, axis in enumerate(self.axes_):
            self._panel(axis, row)
        top = max(np.nanmax(self.truth), *(np.nanmax(P) for P in self.said.values() if not np.isnan(P).all()))
        if self.interval is not None:
            top = max(top, np.nanmax(self.interval[1]))
        for axis in self.axes_:
            axis.set_ylim(0, min(1.0, 1.2 * top) if self.remarks is None else 1.25 * top)
            axis.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
        handles = {self.truth_name: self.bars_[0]}
        for lines in self.lines_:
            handles |= lines
        if ax is None:
            figure.legend(
                handles.values(), handles.keys(), loc="outside lower left", ncols=4, frameon=False, labelcolor=INK
            )
        else:
            self.axes_[0].legend(handles.values(), handles.keys(), frameon=False, labelcolor=INK, loc="best")
        return self

    def _panel_width(self) -> float:
        """Inches that a panel needs so that the longest words below it do not meet."""
        needed = 3.3
        for options in self.options:
            longest = max(len(word) for option in options for word in option.split())
            needed = max(needed, len(options) * (longest + 1.5) * CHARACTER * POINTS / 72 + 0.5)
        return needed

    def _label_lines(self, width: float) -> int:
        """Lines of the longest label below panels of a width."""
        return max(
            whole_words(option, (width - 0.5) / len(options), POINTS).count("\n") + 1
            for options in self.options
            for option in options
        )

    def _panel(self, axis: Axes, row: int) -> None:
        options = self.options[row]
        x = np.arange(len(options))
        self.bars_.append(axis.bar(x, self.truth[row, : len(x)], width=0.82, color=BARS, zorder=1))
        drawn = [name for name, P in self.said.items() if not np.isnan(P[row]).all()]
        beside = np.linspace(-0.14, 0.14, len(self.said)) if len(self.said) > 1 else np.zeros(1)
        lines = {}
        for i, (name, P) in enumerate(self.said.items()):
            if name not in drawn:
                continue
            color, at = COLORS[i % len(COLORS)], x + beside[i]
            if i == 0 and self.interval is not None:
                low, high = (end[row, : len(x)] for end in self.interval)
                axis.vlines(at, low, high, color=color, lw=4, alpha=0.3, zorder=3)
            hollow = name == "sample"
            lines[name] = axis.plot(
                at,
                P[row, : len(x)],
                ls="" if hollow else "-",
                lw=1.3,
                marker="D" if hollow else "osv^"[i % 4],
                ms=5,
                color=color,
                mfc="white" if hollow else color,
                mew=1.3,
                clip_on=False,
                zorder=5 - 0.1 * i,
            )[0]
        self.lines_.append(lines)
        remark = f"\n{self.remarks[row]}" if self.remarks else ""
        axis.set_title(f"{self.titles[row]}", loc="left", fontsize=10, color=INK)
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}  # the grid does not strike it through
        axis.text(0.01, 0.98, remark.strip(), transform=axis.transAxes, va="top", fontsize=8.5, color=SOFT, bbox=box)
        inches = (axis.get_window_extent().width / axis.figure.dpi - 0.1) / len(x)
        axis.set_xticks(x, [whole_words(option, inches, POINTS) for option in options], fontsize=POINTS)
        bare(axis)
