"""Alignment by group: for whom a prediction is good, the worst first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from surveysim.evaluation.displays.style import BARS, COLORS, INK, SOFT, bare, new_axes, whole_words
from surveysim.evaluation.reports import group_report
from surveysim.interfaces import Predictor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

__all__ = ["GroupAlignmentDisplay"]

PERFECT = {"alignment": "alignment_ceiling", "divergence": "floor"}
LABELS = {
    "alignment": "opinion alignment, 0 to 100",
    "divergence": "Jensen-Shannon divergence, bits",
    "divergence_debiased": "divergence less the noise of what was observed, bits",
    "gap_inflation": "share of the predicted gap that is borne out",
    "variance_ratio": "variance of answers, predicted over observed",
}


class GroupAlignmentDisplay:
    """One dot per group with its interval, and a tick where a perfect prediction would be.

    Parameters
    ----------
    report : DataFrame
        From `group_report`.
    value : {"alignment", "divergence", "divergence_debiased", "gap_inflation", "variance_ratio"}, default="alignment"

    Attributes
    ----------
    figure_ : Figure
    ax_ : Axes
    dots_, ticks_ : Line2D
        Groups, and perfect predictions (None where there is no such figure).
    intervals_ : LineCollection

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim.evaluation import GroupAlignmentDisplay
    >>> X = pd.DataFrame({"sex": ["f", "m"]})
    >>> display = GroupAlignmentDisplay.from_predictions(
    ...     X, [[0.2, 0.3, 0.5], [0.4, 0.3, 0.3]], [[0.2, 0.3, 0.5], [0.5, 0.3, 0.2]]
    ... )
    >>> [text.get_text() for text in display.ax_.get_yticklabels()]
    ['m', 'f']
    """

    def __init__(self, report: pd.DataFrame, *, value: str = "alignment") -> None:
        self.report = report
        self.value = value

    @classmethod
    def from_estimator(
        cls,
        estimator: Predictor,
        X: pd.DataFrame,
        Y: ArrayLike,
        *,
        value: str = "alignment",
        ax: Axes | None = None,
        **parameters: Any,
    ) -> GroupAlignmentDisplay:
        """Predict with a fitted estimator, report and draw.

        Parameters
        ----------
        estimator : fitted estimator
        X : DataFrame of shape (n_cells, n_columns)
        Y : array of shape (n_cells, K)
            The truth.
        value, ax
            As in the class and in `plot`.
        **parameters
            As in `group_report`.

        Returns
        -------
        GroupAlignmentDisplay
        """
        if parameters.get("question") is None:
            parameters["question"] = getattr(estimator, "question", None)
        return cls.from_predictions(X, Y, estimator.predict(X), value=value, ax=ax, **parameters)

    @classmethod
    def from_predictions(
        cls,
        X: pd.DataFrame,
        Y_true: ArrayLike,
        Y_pred: ArrayLike,
        *,
        value: str = "alignment",
        ax: Axes | None = None,
        **parameters: Any,
    ) -> GroupAlignmentDisplay:
        """Report and draw.

        Parameters
        ----------
        X, Y_true, Y_pred, **parameters
            As in `group_report`.
        value, ax
            As in the class and in `plot`.

        Returns
        -------
        GroupAlignmentDisplay
        """
        return cls(group_report(X, Y_true, Y_pred, **parameters), value=value).plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> GroupAlignmentDisplay:
        """Draw into given axes or a new figure.

        Parameters
        ----------
        ax : Axes, optional

        Returns
        -------
        GroupAlignmentDisplay
            Itself.

        Raises
        ------
        ValueError
            If the value is not one of those above, or no group has it.
        """
        report, heights, heads, end = self._rows()
        own_figure = ax is None
        labels = [whole_words(text, 2.6, 10) for text in report["group" if "group" in report else "attribute"]]
        tallest = max(label.count("\n") + 1 for label in labels)
        ax = new_axes(ax, 6.4, max(0.25, 0.17 * tallest) * end + 1.1)
        self.ax_, self.figure_ = ax, cast("Figure", ax.figure)
        low, high = (report[f"{self.value}_{side}"].to_numpy() for side in ("low", "high"))
        if self.value in ("gap_inflation", "variance_ratio"):
            ax.axvline(1, color=SOFT, lw=1.2, ls=(0, (4, 3)), zorder=1)
        self.intervals_ = ax.hlines(heights, low, high, color=COLORS[0], lw=4, alpha=0.3, zorder=2)
        values = report[self.value].to_numpy()
        self.dots_ = ax.plot(values, heights, "o", ms=6, color=COLORS[0], zorder=4, label="prediction")[0]
        self.ticks_ = self._perfect(ax, report, heights, own_figure)
        ax.set_yticks(heights, labels)
        for attribute, height in heads.items():
            _head(ax, attribute, height)
        ax.set_ylim(end - 0.3, -0.7)
        ax.set_xlabel(LABELS[self.value], color=INK)
        bare(ax, grid="x")
        ax.hlines(heights, *ax.get_xlim(), color=BARS, lw=0.4, zorder=0)
        return self

    def _rows(self) -> tuple[pd.DataFrame, np.ndarray, dict[str, float], float]:
        """Groups from worst to best, attributes by their worst group; heights, those of heads, and their end."""
        if self.value not in LABELS:
            raise ValueError(f"value must be one of {sorted(LABELS)}, got {self.value!r}")
        report = self.report[self.report[self.value].notna()]
        if report.empty:
            raise ValueError(f"no group has the figure {self.value!r}: opinion alignment needs ordinal questions")
        best_first = self.value == "alignment"
        worst = report.groupby("attribute")[self.value].agg("min" if best_first else "max")
        attributes = list(worst.sort_values(ascending=best_first).index)
        rank = report["attribute"].map(attributes.index)
        report = report.assign(rank=rank).sort_values(["rank", self.value], ascending=[True, best_first])
        report = report.reset_index(drop=True)
        heading = "group" in report and len(attributes) > 1
        y, heads = [], {}
        at = 0.0
        for i, attribute in enumerate(report["attribute"]):
            if heading and (i == 0 or attribute != report["attribute"][i - 1]):
                at += 0.4 if i else 0.0
                heads[attribute] = at
                at += 1.0
            y.append(at)
            at += 1.0
        return report, np.array(y), heads, at

    def _perfect(self, ax: Axes, report: pd.DataFrame, heights: np.ndarray, own_figure: bool) -> Line2D | None:
        """Ticks where a perfect prediction would be, with a legend below, where it meets no title."""
        perfect = PERFECT.get(self.value)
        if perfect not in report:
            return None
        ticks = ax.plot(
            report[perfect], heights, "|", ms=11, mew=1.8, color=SOFT, zorder=3, label="perfect prediction"
        )[0]
        style = {"frameon": False, "labelcolor": INK}
        if own_figure:
            ax.figure.legend(loc="outside lower left", ncols=2, **style)
        else:
            ax.legend(loc="best", **style)
        return ticks


def _head(ax: Axes, attribute: str, height: float) -> None:
    """An attribute's name above its groups."""
    ax.annotate(
        attribute,
        (0, height),
        (-4, 0),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha="right",
        va="center",
        color=INK,
        weight="bold",
        fontsize=10,
        annotation_clip=False,
    )
