"""What each source of a fusion was worth, in respondents per cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from surveysim.evaluation.displays.style import COLORS, INK, bare, new_axes
from surveysim.evaluation.report_levels import level_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["SourceWorthDisplay"]

COLUMNS = ("alone", "given others")


class SourceWorthDisplay:
    """A pair of bars for each source: the respondents per cell that it was worth alone, and given the others.

    Two sources that say the same are worth much alone and little given each other.

    Parameters
    ----------
    sources : DataFrame
        Columns source, kind, alone, given others: ``sources_`` of a `surveysim.FusedRegressor`; with a column group,
        as ``group_sources_`` has it, a pair of bars for each source and group.

    Attributes
    ----------
    figure_ : Figure
    ax_ : Axes
    bars_ : dict of str to BarContainer
        "alone" and "given others".

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim.evaluation import SourceWorthDisplay
    >>> worth = {
    ...     "source": ["wave 2023", "a model"],
    ...     "kind": ["people", "model"],
    ...     "alone": [52.0, 7.0],
    ... }
    >>> display = SourceWorthDisplay(pd.DataFrame(worth | {"given others": [47.0, 1.5]})).plot()
    >>> [float(bar.get_width()) for bar in display.bars_["given others"]]
    [47.0, 1.5]
    """

    def __init__(self, sources: pd.DataFrame) -> None:
        self.sources = sources

    @classmethod
    def from_estimator(cls, estimator: object, *, by: str | None = None, ax: Axes | None = None) -> SourceWorthDisplay:
        """Draw what the sources of a fitted fusion were worth.

        Parameters
        ----------
        estimator : fitted `surveysim.FusedRegressor`
        by : str, optional
            An attribute: what they were worth in the cells of each of its levels. None: in all cells.
        ax : Axes, optional

        Returns
        -------
        SourceWorthDisplay

        Raises
        ------
        ValueError
            If it has no sources, or `by` is none of its attributes.
        """
        sources = getattr(estimator, "sources_", None)
        if sources is None or sources.empty:
            raise ValueError(
                f"{type(estimator).__name__} has no sources: a fitted FusedRegressor with some is expected"
            )
        if by is not None:
            groups = getattr(estimator, "group_sources_", pd.DataFrame(columns=["attribute"]))
            sources = groups[groups["attribute"] == by].reset_index(drop=True)
            if sources.empty:
                raise ValueError(f"by must be an attribute, one of {groups['attribute'].unique().tolist()}, got {by!r}")
        return cls(sources).plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> SourceWorthDisplay:
        """Draw.

        Parameters
        ----------
        ax : Axes, optional

        Returns
        -------
        SourceWorthDisplay
        """
        self.ax_ = new_axes(ax, 6.4, 1.2 + 0.55 * len(self.sources))
        self.figure_ = self.ax_.figure
        places = np.arange(len(self.sources))
        self.bars_ = {
            column: self.ax_.barh(places + shift, self.sources[column], height=0.36, color=color, label=column)
            for column, shift, color in zip(COLUMNS, (-0.19, 0.19), COLORS, strict=False)
        }
        names = [f"{row['source'] or 'the source'} ({row['kind']})" for _, row in self.sources.iterrows()]
        if "group" in self.sources:
            names = [f"{group}: {name}" for group, name in zip(level_names(self.sources["group"]), names, strict=True)]
        self.ax_.set_yticks(places, names)
        self.ax_.invert_yaxis()
        self.ax_.axvline(0.0, color=INK, lw=0.8)
        self.ax_.set_xlabel("worth, respondents per cell", color=INK)
        self.ax_.legend(frameon=False, labelcolor=INK, fontsize=8.5)
        bare(self.ax_, grid="x")
        return self
