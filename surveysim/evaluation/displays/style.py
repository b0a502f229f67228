"""The look of all pictures: few colours, no frames, direct labels."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["BARS", "CHARACTER", "COLORS", "INK", "SOFT", "bare", "label_ends", "new_axes", "pyplot", "whole_words"]

INK, SOFT, BARS = "#22272e", "#6e7781", "#dfe3e8"
COLORS = ("#c2255c", "#0b6bcb", "#9a6700", "#2b8a3e", "#7048e8", "#0c8599")
"""Of what is compared, in order; they differ in lightness too."""

MARKERS = ("o", "s", "D", "^", "v", "P")


CHARACTER = 0.6
"""Mean width of a character, in sizes of the font."""


def pyplot() -> Any:
    """matplotlib.pyplot, or an error that says how to get it.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise ImportError("pictures need matplotlib: pip install 'surveysim[plot]'") from None
    return plt


def new_axes(ax: Axes | None, width: float, height: float) -> Axes:
    """The axes that were passed, or those of a new figure."""
    if ax is not None:
        return ax
    _, ax = pyplot().subplots(figsize=(width, height), layout="constrained")
    return ax


def bare(ax: Axes, *, grid: Literal["x", "y"] | None = "y") -> None:
    """No frame, a light grid."""
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    ax.spines["bottom"].set_color(SOFT)
    ax.tick_params(which="both", length=0, colors=INK)
    if grid:
        ax.grid(axis=grid, color=BARS, lw=0.6, zorder=0)
    ax.set_axisbelow(True)


def label_ends(ax: Axes, x: float, ends: Sequence[tuple[float, str, str]], *, gap: float = 0.055) -> None:
    """Names to the right of lines' ends, in lines of 2 inches, moved apart where they would meet.

    Parameters
    ----------
    ax : Axes
    x : float
        Where the lines end.
    ends : sequence of (y, text, color)
    gap : float
        Smallest distance, as a share of the axes' height.
    """
    to_axes = ax.transData + ax.transAxes.inverted()
    heights = np.array([to_axes.transform((x, y))[1] for y, _, _ in ends])
    order = np.argsort(heights)
    placed = np.clip(heights, 0.0, 1.0)[order]
    lines = [whole_words(ends[i][1], 2.0, 10).count("\n") + 1 for i in order]
    gaps = [gap * (one + other) / 2 for one, other in itertools.pairwise(lines)]
    for i in range(1, len(placed)):
        placed[i] = max(placed[i], placed[i - 1] + gaps[i - 1])
    surplus = placed[-1] - 1.0 if len(placed) else 0.0
    if surplus > 0:  # push down what would leave the top
        placed[-1] -= surplus
        for i in range(len(placed) - 2, -1, -1):
            placed[i] = min(placed[i], placed[i + 1] - gaps[i])
    for place, i in zip(placed, order, strict=True):
        text, color = whole_words(ends[i][1], 2.0, 10), ends[i][2]
        ax.text(1.02, place, text, color=color, transform=ax.transAxes, va="center", ha="left", fontsize=10)


def whole_words(text: str, inches: float, points: float) -> str:
    """Text in lines of at most so many inches, words whole, nothing left out; a longer word stays on a line of its own.

    Parameters
    ----------
    text : str
    inches : float
        Room for a line.
    points : float
        Size of the font.
    """
    characters = max(4, int(inches * 72 / (CHARACTER * points)))
    lines = textwrap.wrap(text, characters, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines)
