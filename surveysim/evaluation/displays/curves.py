"""Respondent curves: the divergence of each model by the size of its sample, with the floor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from surveysim.evaluation.curves.protocol import FLOOR, SAMPLE
from surveysim.evaluation.curves.run import BASELINES, respondent_curve
from surveysim.evaluation.curves.summaries import VALUES, curve_rows, summarise_curve
from surveysim.evaluation.displays.style import (
    BARS,
    COLORS,
    INK,
    MARKERS,
    SOFT,
    bare,
    label_ends,
    new_axes,
    whole_words,
)
from surveysim.interfaces import Estimator
from surveysim.questions import Question

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.ticker import Locator

__all__ = ["RespondentCurveDisplay"]

NAMES = {
    "js": "Jensen-Shannon divergence from held-out respondents, bits",
    "js_debiased": "Divergence from held-out respondents less their noise, bits",
    "skill": "Skill over the pooled marginal",
    "cross_entropy": "Cross-entropy, bits per answer",
}
FLOOR_NAME = "floor: noise of the held-out respondents"

LEVEL_NAMES = {"cell": "crossed cells", "attribute": "single-attribute groups", "population": "population"}

GREYS = {"pooled marginal": "#adb5bd", "plain logit": "#868e96", "order-aware logit": INK}
"""Baselines are grey, the one to beat black."""


class RespondentCurveDisplay:
    """How close models come to the truth, by the number of respondents that they learn from.

    Parameters
    ----------
    curve : DataFrame
        From `respondent_curve`.
    level : {"cell", "attribute", "population"}, default="cell"
    value : {"js", "js_debiased", "skill", "cross_entropy"}, default="js"
        With "js" the floor is a dashed line, and the axis is logarithmic.
    models : list of str, optional
        Default: all.

    Attributes
    ----------
    figure_ : Figure
    ax_ : Axes
    lines_ : dict of str to Line2D
        A model's mean over splits; single splits are faint dots.

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim.evaluation import RespondentCurveDisplay
    >>> runs = [
    ...     (model, n, split, "cell", "Q1", 10, D / n + 0.006, D / n)
    ...     for n in (200, 500)
    ...     for split in (0, 1)
    ...     for model, D in [("order-aware logit", 2), ("mine", 1.6), ("floor", 0)]
    ... ]
    >>> columns = ["model", "n", "split", "level", "question", "n_groups", "js", "js_debiased"]
    >>> display = RespondentCurveDisplay.from_curve(pd.DataFrame(runs, columns=columns))
    >>> sorted(display.lines_)
    ['floor', 'mine', 'order-aware logit']
    """

    def __init__(
        self, curve: pd.DataFrame, *, level: str = "cell", value: str = "js", models: Sequence[str] | None = None
    ) -> None:
        self.curve = curve
        self.level = level
        self.value = value
        self.models = models

    @classmethod
    def from_estimator(
        cls,
        estimator: Estimator,
        data: pd.DataFrame,
        questions: Mapping[str, Question] | Question,
        backgrounds: Sequence[str],
        *,
        level: str = "cell",
        value: str = "js",
        name: str | None = None,
        ax: Axes | None = None,
        **parameters: Any,
    ) -> RespondentCurveDisplay:
        """Measure an unfitted estimator beside the baselines, and draw.

        Parameters
        ----------
        estimator : estimator
        data, questions, backgrounds
            As in `respondent_curve`.
        level, value, ax
            As in the class and in `plot`.
        name : str, optional
            What the estimator is called; default: its class.
        **parameters
            As in `respondent_curve`: sizes, n_splits, store and so on.

        Returns
        -------
        RespondentCurveDisplay
            Its `curve` has the figures.
        """
        named = {name or type(estimator).__name__: estimator}
        curve = respondent_curve(named, data, questions, backgrounds, **parameters)
        return cls.from_curve(curve, level=level, value=value, ax=ax)

    @classmethod
    def from_curve(
        cls,
        curve: pd.DataFrame,
        *,
        level: str = "cell",
        value: str = "js",
        models: Sequence[str] | None = None,
        ax: Axes | None = None,
    ) -> RespondentCurveDisplay:
        """Draw what `respondent_curve` returned.

        Parameters
        ----------
        curve : DataFrame
        level, value, models
            As in the class.
        ax : Axes, optional

        Returns
        -------
        RespondentCurveDisplay
        """
        return cls(curve, level=level, value=value, models=models).plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> RespondentCurveDisplay:
        """Draw into given axes or a new figure.

        Parameters
        ----------
        ax : Axes, optional

        Returns
        -------
        RespondentCurveDisplay
            Itself.

        Raises
        ------
        ValueError
            If the value is not one of the four, or a model is not in the curve.
        """
        table = self._table()
        sizes = table.columns.to_numpy(dtype=float)
        ax = new_axes(ax, 7.2, 4.2)
        self.ax_, self.figure_ = ax, cast("Figure", ax.figure)
        self.lines_: dict[str, Line2D] = {}
        ax.set_xscale("log")
        own = [name for name in table.index if name not in (SAMPLE, FLOOR)]
        self._limit(ax, table, own)
        self._draw_lines(ax, table, sizes, self._colors(own))
        ax.set_xticks(sizes, [f"{n:,.0f}" for n in sizes])
        ax.xaxis.set_minor_locator(_no_ticks())
        ax.set_xlabel("respondents trained on", color=INK)
        inches = self.figure_.get_size_inches()[0] - 1.0
        title = whole_words(f"{NAMES[self.value]}: {LEVEL_NAMES[self.level]}", inches, 11)
        ax.set_title(title, loc="left", fontsize=11, color=INK)
        bare(ax)
        ax.grid(axis="y", which="minor", color=BARS, lw=0.3)
        self._name_lines(ax, float(sizes[-1]))
        return self

    def _table(self) -> pd.DataFrame:
        """A row for each model to be drawn, a column for each size."""
        if self.value not in VALUES:
            raise ValueError(f"value must be one of {list(VALUES)}, got {self.value!r}")
        table = summarise_curve(self.curve, self.value, self.level)
        absent = [name for name in self.models or () if name not in table.index]
        if absent:
            raise ValueError(f"the curve has no models {absent}; it has {list(table.index)}")
        if self.models is not None:
            kept = [name for name in table.index if name in (*self.models, FLOOR)]
            table = table.loc[kept]
        return table if self.value == "js" else table.drop(index=FLOOR, errors="ignore")

    def _draw_lines(self, ax: Axes, table: pd.DataFrame, sizes: np.ndarray, colors: dict[str, str]) -> None:
        single = self._single(table)
        for i, name in enumerate(table.index):
            y = table.loc[name].to_numpy(dtype=float)
            if name == FLOOR:
                self.lines_[name] = ax.plot(sizes, y, color=SOFT, lw=1.2, ls=(0, (4, 3)), zorder=1)[0]
                continue
            color = COLORS[2] if name == SAMPLE else colors[name]
            if name in single.index.get_level_values(0):
                points = single.loc[name]
                ax.plot(points.index.to_numpy(dtype=float), points, "o", ms=3, color=color, alpha=0.3, mew=0, zorder=2)
            marker = "D" if name == SAMPLE else MARKERS[i % len(MARKERS)]
            style: dict[str, Any] = {"ls": "" if len(sizes) == 1 else ":" if name == SAMPLE else "-"}
            self.lines_[name] = ax.plot(sizes, y, color=color, lw=1.7, marker=marker, ms=5, zorder=3, **style)[0]

    def _name_lines(self, ax: Axes, x: float) -> None:
        low, high = sorted(ax.get_ylim())
        ends = []
        for name, line in self.lines_.items():
            last = float(np.asarray(line.get_ydata())[-1])
            text = FLOOR_NAME if name == FLOOR else name
            if name == SAMPLE and not low <= last <= high:
                text, last = f"{name}: off the scale", high if last > high else low
            ends.append((last, text, str(line.get_color())))
        label_ends(ax, x, ends)

    def _limit(self, ax: Axes, table: pd.DataFrame, own: list[str]) -> None:
        """Limits of the axis, which the sample does not decide: it may be ten times as far off as the rest."""
        rows = table.loc[[*own, FLOOR] if FLOOR in table.index and self.value == "js" else own].to_numpy(dtype=float)
        low, high = np.nanmin(rows), np.nanmax(rows)
        if self.value == "js" and low > 0:
            ax.set_yscale("log")
            ax.set_ylim(low * 0.8, high * 1.6)
            ax.yaxis.set_major_locator(_decimal_ticks())
            ax.yaxis.set_major_formatter(lambda y, _: f"{y:.5f}".rstrip("0"))
            ax.yaxis.set_minor_formatter(lambda y, _: "")
        else:
            room = 0.12 * max(high - low, 1e-9)
            ax.set_ylim(min(low - room, 0) if self.value == "js_debiased" else low - room, high + 2 * room)

    def _single(self, table: pd.DataFrame) -> pd.Series:
        """Each split's mean."""
        rows = curve_rows(self.curve, self.level)
        rows = rows[rows["model"].isin(table.index) & rows[self.value].notna()]
        weight = "respondents" if self.value == "cross_entropy" else "n_groups"
        sums = rows.assign(product=rows[self.value] * rows[weight]).groupby(["model", "n", "split"])[
            ["product", weight]
        ]
        total = sums.sum()
        means = total["product"] / total[weight]
        return means.droplevel("split") if rows["split"].nunique() > 1 else means.iloc[:0].droplevel("split")

    @staticmethod
    def _colors(own: list[str]) -> dict[str, str]:
        others = iter([COLORS[0], COLORS[1], *COLORS[3:]] * (len(own) // 5 + 1))
        return {name: GREYS[name] if name in BASELINES else next(others) for name in own}


def _no_ticks() -> Locator:
    from matplotlib.ticker import NullLocator

    return NullLocator()


def _decimal_ticks() -> Locator:
    from matplotlib.ticker import LogLocator

    return LogLocator(base=10, subs=(1.0, 1.5, 2.0, 3.0, 5.0, 7.0))
