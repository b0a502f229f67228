"""Alignment by group: for whom the prediction is good, the worst first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from surveysim.evaluation.displays.style import BARS, COLORS, INK, SOFT, bare, new_axes
from surveysim.evaluation.reports import group_report

__all__ = ["GroupAlignmentDisplay"]

PERFECT = {"alignment": "alignment_ceiling", "divergence": "floor"}
LABELS = {
    "alignment": "opinion alignment, 0 to 100",
    "divergence": "Jensen-Shannon divergence, bits",
    "divergence_debiased": "divergence less the truth's noise, bits",
    "gap_inflation": "share of the predicted gap that is borne out",
    "variance_ratio": "variance of answers, predicted over true",
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
    ...     X, [[0.2, 0.3, 0.5], [0.4, 0.3, 0.3]], [[0.2, 0.3, 0.5], [0.5, 0.3, 0.2]])
    >>> [text.get_text() for text in display.ax_.get_yticklabels()]
    ['m', 'f']
    """

    def __init__(self, report: pd.DataFrame, *, value: str = "alignment") -> None:
        self.report = report
        self.value = value

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: pd.DataFrame,
        Y: ArrayLike,
        *,
        value: str = "alignment",
        ax: Any = None,
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
        ax: Any = None,
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

    def plot(self, ax: Any = None) -> GroupAlignmentDisplay:
        """Draw, into given axes or a new figure.

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
            If the value is none of those above, or no group has it.
        """
        if self.value not in LABELS:
            raise ValueError(f"value must be one of {sorted(LABELS)}, got {self.value!r}")
        report = self.report[self.report[self.value].notna()]
        if report.empty:
            raise ValueError(f"no group has the figure {self.value!r}: opinion alignment needs ordinal questions")
        by_group = "group" in report
        best_first = self.value == "alignment"
        # attributes by their worst group, groups within them from worst to best
        worst = report.groupby("attribute")[self.value].agg("min" if best_first else "max")
        attributes = list(worst.sort_values(ascending=best_first).index)
        rank = report["attribute"].map(attributes.index)
        report = report.assign(rank=rank).sort_values(["rank", self.value], ascending=[True, best_first])
        report = report.reset_index(drop=True)
        heading = by_group and len(attributes) > 1
        y, heads = [], {}
        at = 0.0
        for i, attribute in enumerate(report["attribute"]):
            if heading and (i == 0 or attribute != report["attribute"][i - 1]):
                at += 0.4 if i else 0.0
                heads[attribute] = at
                at += 1.0
            y.append(at)
            at += 1.0
        heights = np.array(y)
        ax = new_axes(ax, 6.4, 0.25 * at + 1.1)
        self.ax_, self.figure_ = ax, ax.figure
        values = report[self.value].to_numpy()
        low, high = (report[f"{self.value}_{end}"].to_numpy() for end in ("low", "high"))
        if self.value in ("gap_inflation", "variance_ratio"):
            ax.axvline(1, color=SOFT, lw=1.2, ls=(0, (4, 3)), zorder=1)
        self.intervals_ = ax.hlines(heights, low, high, color=COLORS[0], lw=4, alpha=0.3, zorder=2)
        self.dots_ = ax.plot(values, heights, "o", ms=6, color=COLORS[0], zorder=4, label="prediction")[0]
        self.ticks_ = None
        perfect = PERFECT.get(self.value)
        if perfect in report:
            self.ticks_ = ax.plot(
                report[perfect], heights, "|", ms=11, mew=1.8, color=SOFT, zorder=3, label="perfect prediction"
            )[0]
            ax.legend(
                frameon=False, labelcolor=INK, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2
            )
        ax.set_yticks(heights, report["group" if by_group else "attribute"])
        for attribute, height in heads.items():
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
        ax.set_ylim(at - 0.3, -0.7)
        ax.set_xlabel(LABELS[self.value], color=INK)
        bare(ax, grid="x")
        ax.hlines(heights, *ax.get_xlim(), color=BARS, lw=0.4, zorder=0)
        return self
