"""Estimates as a picture: a panel for each option, a row for each group, a mark with its interval for each source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from surveysim.evaluation.displays.style import COLORS, INK, MARKERS, SOFT, bare, pyplot, whole_words
from surveysim.reporting.columns import is_difference, statistic_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["EstimatesDisplay"]

PANELS_ABREAST = 7
"""Options side by side; more go below."""

LABEL_ROOM = 2.1
"""Inches for the names of groups."""


class EstimatesDisplay:
    """Draw one question's estimates.

    Use ``estimates.plot()``.

    Parameters
    ----------
    estimates : GroupEstimates
        Of one question, from one or several sources.

    Attributes
    ----------
    figure_ : Figure
    axes_ : array of Axes
        One for each option.
    marks_ : list of dict of str to Line2D
        For each option the marks of each source.
    intervals_ : list of dict of str to LineCollection

    Examples
    --------
    >>> from surveysim import group_estimates
    >>> from surveysim.datasets import load_fair
    >>> cells = load_fair().tabulate(["religiousness"], ["rate_marriage"])
    >>> display = group_estimates(None, cells, by="religiousness").plot()
    >>> len(display.axes_)
    5
    """

    def __init__(self, estimates: pd.DataFrame) -> None:
        self.estimates = estimates
        self.options = list(dict.fromkeys(estimates["option"]))
        self.groups = list(dict.fromkeys(estimates["group"]))
        self.sources = list(dict.fromkeys(estimates["source"]))
        self._labels = [whole_words(group, LABEL_ROOM, 9.5) for group in self.groups]

    def plot(self, ax: Axes | Sequence[Axes] | np.ndarray | None = None) -> EstimatesDisplay:
        """Draw into given axes or a new figure.

        Parameters
        ----------
        ax : Axes, or array of Axes, optional
            Room for all panels, or axes for each option.

        Returns
        -------
        EstimatesDisplay
            Itself.

        Raises
        ------
        ValueError
            If there are fewer axes than options.
        """
        self.axes_, abreast = self._axes(ax)
        self.figure_ = self.axes_[0].figure
        self.marks_: list[dict[str, Any]] = []
        self.intervals_: list[dict[str, Any]] = []
        low, high = self._limits()
        for i, (axis, option) in enumerate(zip(self.axes_, self.options, strict=True)):
            self._panel(axis, option)
            axis.set_xlim(low, high)
            axis.set_ylim(len(self.groups) - 0.5, -0.5)
            axis.set_title(whole_words(option, self._room, 9.5), fontsize=9.5, color=INK, loc="left")
            leftmost = i % abreast == 0
            axis.set_yticks(range(len(self.groups)), self._labels, fontsize=9.5)
            axis.tick_params(labelleft=leftmost)
            bare(axis, grid="x")
        self._words(ax is None)
        return self

    def _axes(self, ax: Axes | Sequence[Axes] | np.ndarray | None) -> tuple[np.ndarray, int]:
        """An axes for each option, and how many stand side by side."""
        n = len(self.options)
        abreast = min(n, PANELS_ABREAST)
        self._room = self._panel_width(abreast)
        if ax is None:
            lines = -(-n // abreast)
            tallest = max(label.count("\n") + 1 for label in self._labels)
            row = max(0.26, 0.14 + 0.1 * len(self.sources), 0.17 * tallest + 0.05)
            height = lines * (row * len(self.groups) + 0.75) + 0.95
            width = LABEL_ROOM + 0.2 + abreast * self._room
            _, grid = pyplot().subplots(
                lines, abreast, figsize=(width, height), squeeze=False, layout="constrained", sharex=True
            )
            for spare in grid.ravel()[n:]:
                spare.set_visible(False)
            return grid.ravel()[:n], abreast
        axes = np.atleast_1d(np.asarray(ax, dtype=object)).ravel()
        if len(axes) == 1 and n > 1:
            return self._inset(axes[0]), n
        if len(axes) < n:
            raise ValueError(f"there are {n} options to draw, but {len(axes)} axes")
        return axes[:n], n

    def _inset(self, ax: Axes) -> np.ndarray:
        """Panels within one axes, with room for the names of groups, options and the unit."""
        ax.set_axis_off()
        box = np.asarray(ax.get_window_extent().size) / ax.figure.dpi
        longest = max(len(line) for label in self._labels for line in label.split("\n"))
        left, bottom, top = min(0.4, 0.08 * longest / box[0]), min(0.3, 0.45 / box[1]), min(0.3, 0.45 / box[1])
        share = (1.0 - left) / len(self.options)
        self._room = 0.9 * share * box[0]
        places = [(left + i * share, bottom, 0.92 * share, 1.0 - bottom - top) for i in range(len(self.options))]
        return np.array([ax.inset_axes(place) for place in places])

    def _panel_width(self, abreast: int) -> float:
        """Inches; room for the longest word of any option."""
        longest = max(len(word) for option in self.options for word in option.split())
        return max(8.4 / (abreast + 1), 1.15, 0.085 * longest)

    def _limits(self) -> tuple[float, float]:
        numbers = self.estimates[[statistic_of(self.estimates), "lower", "upper"]].to_numpy(dtype=float)
        low, high = float(np.nanmin(numbers)), float(np.nanmax(numbers))
        room = 0.06 * max(high - low, 1e-9)
        if is_difference(self.estimates):
            return min(low - room, 0.0), max(high + room, 0.0)
        return (0.0, high + room) if statistic_of(self.estimates) == "share" else (low - room, high + room)

    def _panel(self, axis: Axes, option: str) -> None:
        statistic = statistic_of(self.estimates)
        own = self.estimates[self.estimates["option"] == option]
        beside = np.linspace(-0.17, 0.17, len(self.sources)) if len(self.sources) > 1 else [0.0]
        if is_difference(self.estimates):
            axis.axvline(0.0, color=SOFT, lw=1.0, zorder=1)
        marks, intervals = {}, {}
        for i, source in enumerate(self.sources):
            rows = own[own["source"] == source]
            y = np.array([self.groups.index(group) for group in rows["group"]]) + beside[i]
            color = COLORS[i % len(COLORS)]
            known = rows["lower"].notna().to_numpy()
            ends = rows.loc[known, "lower"].to_numpy(), rows.loc[known, "upper"].to_numpy()
            intervals[source] = axis.hlines(y[known], *ends, color=color, lw=3.5, alpha=0.32, zorder=2)
            marks[source] = axis.plot(
                rows[statistic].to_numpy(), y, ls="", marker=MARKERS[i % len(MARKERS)], ms=5, color=color, zorder=3,
                label=source,
            )[0]  # fmt: skip
        self.marks_.append(marks)
        self.intervals_.append(intervals)

    def _words(self, own_figure: bool) -> None:
        """Heading, unit and legend."""
        name = self.estimates["question"].iloc[0]
        wording = self.estimates.attrs.get("questions", {}).get(name, name)
        unit = "mean" if statistic_of(self.estimates) == "mean" else "%"
        unit = "percentage points" if is_difference(self.estimates) and unit == "%" else unit
        level = self.estimates.attrs.get("level")
        if level is not None and self.estimates["lower"].notna().any():
            unit += f", with {100 * level:g}% intervals"
        several = len(self.sources) > 1
        if not own_figure:
            self.axes_[-1].set_xlabel(unit, color=INK)
            if several:
                self.axes_[-1].legend(frameon=False, labelcolor=INK, fontsize=8.5)
            return
        inches = self.figure_.get_size_inches()[0] - 0.3
        self.figure_.suptitle(whole_words(wording, inches, 11.5), x=0.01, ha="left", fontsize=11.5, color=INK)
        if several:  # the unit above the marks: a label of the axes would run into them
            legend = self.figure_.legend(
                self.marks_[0].values(), self.sources, loc="outside lower left", ncols=min(len(self.sources), 4),
                frameon=False, labelcolor=INK, fontsize=9.5, title=unit, title_fontsize=9.5, alignment="left",
            )  # fmt: skip
            legend.get_title().set_color(INK)
        else:
            self.figure_.supxlabel(unit, fontsize=9.5, color=INK)
