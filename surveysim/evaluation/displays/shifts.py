"""Shifts: how groups differ from everybody, as predicted and as observed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from surveysim.evaluation.comparison import MIN_RESPONDENTS, check_rows
from surveysim.evaluation.displays.style import COLORS, INK, MARKERS, SOFT, bare, new_axes
from surveysim.interfaces import Predictor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

__all__ = ["ShiftDisplay"]


class ShiftDisplay:
    """Each dot is one option in one group: its share there minus its share among everybody, predicted and observed.

    On the diagonal the predicted shift has the right size. Dots on a flatter line mean that gaps are exaggerated; the
    slope of each attribute is its `gap_inflation` (see `group_report`).

    Parameters
    ----------
    shifts : DataFrame
        Columns attribute, group, question, option (number), predicted, observed.

    Attributes
    ----------
    slopes_ : dict of str to float
        For each attribute the share of predicted gaps that is borne out; NaN where none is predicted.
    figure_ : Figure
    ax_ : Axes
    dots_, lines_ : dict of str to Line2D

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim.evaluation import ShiftDisplay
    >>> X = pd.DataFrame({"sex": ["f", "m"]})
    >>> display = ShiftDisplay.from_predictions(
    ...     X, [[0.2, 0.3, 0.5], [0.4, 0.3, 0.3]], [[0.1, 0.3, 0.6], [0.5, 0.3, 0.2]]
    ... )
    >>> round(display.slopes_["sex"], 3)
    0.5
    """

    def __init__(self, shifts: pd.DataFrame) -> None:
        self.shifts = shifts

    @classmethod
    def from_estimator(
        cls, estimator: Predictor, X: pd.DataFrame, Y: ArrayLike, *, ax: Axes | None = None, **parameters: Any
    ) -> ShiftDisplay:
        """Predict with a fitted estimator and draw.

        Parameters
        ----------
        estimator : fitted estimator
        X : DataFrame of shape (n_cells, n_columns)
        Y : array of shape (n_cells, K)
            The truth.
        ax : Axes, optional
        **parameters
            As in `from_predictions`.

        Returns
        -------
        ShiftDisplay
        """
        return cls.from_predictions(X, Y, estimator.predict(X), ax=ax, **parameters)

    @classmethod
    def from_predictions(
        cls,
        X: pd.DataFrame,
        Y_true: ArrayLike,
        Y_pred: ArrayLike,
        *,
        truth_respondents: ArrayLike | None = None,
        question_column: str = "question",
        population: ArrayLike | None = None,
        min_respondents: float = MIN_RESPONDENTS,
        ax: Axes | None = None,
    ) -> ShiftDisplay:
        """Pool to groups of a single attribute and draw.

        Parameters
        ----------
        X : DataFrame of shape (n_cells, n_columns)
        Y_true, Y_pred : array-like of shape (n_cells, K)
        truth_respondents, question_column, population
            As in `group_report`.
        min_respondents : float, default=50
            Groups with fewer respondents are not drawn.
        ax : Axes, optional

        Returns
        -------
        ShiftDisplay
        """
        rows = check_rows(
            Y_true,
            Y_pred,
            truth_respondents=truth_respondents,
            X=X,
            question_column=question_column,
            population=population,
        )
        compared = rows.compare("attribute", min_respondents)
        everybody = rows.groups("population")
        place = {name: i for i, name in enumerate(everybody.question)}
        whole = np.array([place[name] for name in compared.question])
        observed = compared.Y - everybody.pool(rows.Y, rows.population)[whole]
        predicted = compared.P - everybody.pool(rows.P, rows.population)[whole]
        group, option = np.nonzero(~np.isnan(observed))
        kept = compared.kept[group]
        return cls(
            pd.DataFrame(
                {
                    "attribute": compared.groups.attribute[kept],
                    "group": compared.groups.label[kept],
                    "question": compared.groups.question[kept],
                    "option": option,
                    "predicted": predicted[group, option],
                    "observed": observed[group, option],
                }
            )
        ).plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> ShiftDisplay:
        """Draw into given axes or a new figure.

        Parameters
        ----------
        ax : Axes, optional

        Returns
        -------
        ShiftDisplay
            Itself.
        """
        ax = new_axes(ax, 5.4, 5.2)
        self.ax_, self.figure_ = ax, cast("Figure", ax.figure)
        self.dots_: dict[str, Any] = {}
        self.lines_: dict[str, Line2D] = {}
        self.slopes_: dict[str, float] = {}
        points = 100 * self.shifts[["predicted", "observed"]].to_numpy()
        reach = 1.08 * max(np.abs(points).max(), 0.1)
        ax.plot([-reach, reach], [-reach, reach], color=SOFT, lw=1.2, ls=(0, (4, 3)), zorder=1)
        ax.axhline(0, color=SOFT, lw=0.5, zorder=0)
        ax.axvline(0, color=SOFT, lw=0.5, zorder=0)
        size = 5 if len(points) < 200 else 3.5
        for i, (attribute, own) in enumerate(self.shifts.groupby("attribute", sort=False)):
            color, marker = COLORS[i % len(COLORS)], MARKERS[i % len(MARKERS)]
            x, y = 100 * own["predicted"].to_numpy(), 100 * own["observed"].to_numpy()
            square = float(x @ x)
            slope = float(x @ y) / square if square > 1e-16 else float("nan")
            self.slopes_[str(attribute)] = slope
            borne_out = f"{attribute}: {slope:.2f}" if np.isfinite(slope) else f"{attribute}: no shift predicted"
            self.dots_[str(attribute)] = ax.plot(
                x, y, ls="", marker=marker, ms=size, color=color, alpha=0.55, mew=0, zorder=3, label=borne_out
            )[0]
            if np.isfinite(slope):
                ends = np.array([x.min(), x.max()])
                self.lines_[str(attribute)] = ax.plot(ends, slope * ends, color=color, lw=1.8, zorder=4)[0]
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        ax.set_xlabel("predicted shift from everybody, percentage points", color=INK)
        ax.set_ylabel("observed shift", color=INK)
        legend = ax.legend(
            title="slope: borne out of\nthe predicted shift", frameon=False, labelcolor=INK, loc="upper left",
            fontsize=9, title_fontsize=9, alignment="left", markerscale=1.4,
        )  # fmt: skip
        legend.get_title().set_color(INK)
        bare(ax, grid=None)
        return self
