"""The picture of the demo: distributions of a few groups, and how far every method is from the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

INK, SOFT, BARS = "#22272e", "#8b949e", "#dfe3e8"
MARKS: tuple[dict[str, Any], ...] = (
    {"color": "#9a6700", "marker": "D", "ms": 5, "mfc": "white", "mew": 1.5, "ls": "", "clip_on": False, "zorder": 3},
    {"color": "#0b6bcb", "marker": "s", "ms": 5.5, "lw": 1.6, "zorder": 4},
    {"color": "#c2255c", "marker": "o", "ms": 6, "lw": 1.6, "zorder": 5},
)
"""How the compared methods are drawn, in their order."""


@dataclass(frozen=True)
class Panel:
    """One group: who they are, a remark, the true shares, and what each method says (not all know each group)."""

    who: str
    remark: str
    truth: np.ndarray
    said: Mapping[str, np.ndarray]


def draw(
    path: Path,
    title: str,
    options: Sequence[str],
    panels: Sequence[Panel],
    divergences: Mapping[str, pd.DataFrame],
    floor: str,
) -> None:
    """Draw and save the picture.

    Parameters
    ----------
    path : Path
        The image; its folder is made.
    title : str
        Above the distributions.
    options : sequence of str
        The answers.
    panels : sequence of Panel
        Six groups.
    divergences : mapping of str to DataFrame
        For each level, training samples by methods, the floor among the methods.
    floor : str
        Its name.
    """
    figure = Figure(figsize=(13, 6.9), layout="constrained", facecolor="white")
    figure.get_layout_engine().set(w_pad=0.04, h_pad=0.06, wspace=0.03, hspace=0.03)  # type: ignore[union-attr]
    left, right = figure.subfigures(1, 2, width_ratios=[1.45, 1])
    heading: dict[str, Any] = {"x": 0.01, "ha": "left", "fontsize": 13.5, "color": INK, "weight": "bold"}
    left.suptitle(title, **heading)
    n_samples = len(next(iter(divergences.values())))
    right.suptitle("Divergence from the truth" + (f", {n_samples} samples" if n_samples > 1 else ""), **heading)
    colors = _distributions(left, options, panels)
    _divergences(right, divergences, floor, colors)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=140)


def _distributions(figure: Any, options: Sequence[str], panels: Sequence[Panel]) -> dict[str, str]:
    """The truth as bars, methods as marks over them; returns the methods' colours."""
    axes = figure.subplots(2, -(-len(panels) // 2), sharex=True, sharey=True).ravel()
    x = np.arange(len(options))
    methods = list(dict.fromkeys(method for panel in panels for method in panel.said))
    marks = dict(zip(methods, MARKS, strict=True))
    beside = dict(zip(methods, (0.0, -0.1, 0.1), strict=True))  # so that equal shares do not hide each other
    handles: dict[str, Any] = {}
    for axis, panel in zip(axes, panels, strict=True):
        handles["truth (held out)"] = axis.bar(x, panel.truth, width=0.82, color=BARS, zorder=1)
        for method, shares in panel.said.items():
            handles[method] = axis.plot(x + beside[method], shares, **marks[method])[0]
        axis.set_title(panel.who, fontsize=11.5, color=INK, loc="left", linespacing=1.25)
        style: dict[str, Any] = {"va": "top", "fontsize": 10.5, "color": SOFT, "linespacing": 1.3}
        axis.text(0.02, 0.97, panel.remark, transform=axis.transAxes, **style)
        axis.set_xticks(x, [option.replace(" ", "\n") for option in options], fontsize=10.5, color=INK)
        _bare(axis)
    axes[0].set_ylim(0, 1.0)
    axes[0].set_yticks([0, 0.5, 1.0], ["0", "50%", "100%"])
    layout: dict[str, Any] = {"loc": "outside lower left", "ncols": 4, "handletextpad": 0.5, "columnspacing": 1.4}
    figure.legend(handles.values(), handles.keys(), frameon=False, fontsize=11.5, labelcolor=INK, **layout)
    return {method: mark["color"] for method, mark in marks.items()}


def _divergences(figure: Any, divergences: Mapping[str, pd.DataFrame], floor: str, colors: Mapping[str, str]) -> None:
    """The methods' means as dots, the single samples as small ones, the floor as a line; one column per level.

    The first method, the sample, can be so far off that the others would be a blot: it then stands at the edge.
    """
    axes = figure.subplots(1, len(divergences), sharey=True)
    methods = [method for method in next(iter(divergences.values())) if method != floor]
    heights = np.arange(len(methods))[::-1]
    right_of: dict[str, Any] = {"textcoords": "offset points", "va": "center"}
    for axis, (level, samples) in zip(axes, divergences.items(), strict=True):
        lowest, edge = samples[floor].mean(), 1.05 * samples[methods[1:]].to_numpy().max()
        axis.set_xlim(0, 1.4 * edge)  # room on the right for the numbers
        axis.axvline(lowest, color=INK, lw=1.2, ls=(0, (4, 3)), zorder=0)
        axis.annotate(f"floor {_short(lowest)}", (lowest, -0.75), (4, 0), fontsize=10, color=SOFT, **right_of)
        for height, method in zip(heights, methods, strict=True):
            color, values = colors.get(method, INK), samples[method]
            beyond = values.mean() > edge
            if beyond:
                axis.plot(edge, height, ">", ms=8, color=color)
            else:
                if len(values) > 1:
                    axis.plot(values, np.full(len(values), height), "o", ms=5, color=color, alpha=0.25, mew=0)
                axis.plot(values.mean(), height, "o", ms=8, color=color)
            end = edge if beyond else values.max()
            axis.annotate(
                _short(values.mean()), (min(end, edge), height), (8, 0), fontsize=10.5, color=color, **right_of
            )
        axis.set_title(level.replace(" (", "\n("), fontsize=11, color=INK, linespacing=1.25)
        axis.set_ylim(-1, len(methods) - 0.5)
        _bare(axis)
        axis.spines["bottom"].set_visible(False)
        axis.grid(visible=False)
        axis.axvline(0, color=BARS, lw=1.2, zorder=0)
        axis.set_xticks([])
    axes[0].set_yticks(heights, methods, fontsize=11, color=INK)
    figure.supxlabel("thousandths of a bit; left is better", fontsize=11, color=INK)


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 99.5 else f"{value:.1f}" if value >= 0.995 else f"{value:.2f}"


def _bare(axis: Any) -> None:
    """No frame, a light grid."""
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    axis.spines["bottom"].set_color(SOFT)
    axis.tick_params(length=0, labelsize=10.5, colors=INK)
    axis.grid(axis="y", color=BARS, lw=0.6, zorder=0)
    axis.set_axisbelow(True)
