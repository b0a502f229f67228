"""Draws docs/_static/card.png, the picture that links to the documentation carry: `python -m tools.card`."""

from __future__ import annotations

from pathlib import Path

import matplotlib

from surveysim import group_estimates
from surveysim.baselines import LogitRegressor
from surveysim.datasets import load_anes96

PROJECT = Path(__file__).resolve().parents[1]
CARD = PROJECT / "docs" / "_static" / "card.png"


def main() -> None:
    """Draw the landing page's table, large enough to be read in a thumbnail."""
    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    cells = load_anes96().tabulate(["age group", "education"], ["vote"])
    model = LogitRegressor(question=cells.questions).fit(cells.X, cells.Y, sample_weight=cells.n)
    table = group_estimates(model, cells, by="age group").query("option == 'Clinton'")
    figure = plt.figure(figsize=(12, 6.3), dpi=100, facecolor="white")
    figure.text(0.06, 0.83, "surveysim", fontsize=50, fontweight="bold", color="#1f4e79")
    figure.text(0.06, 0.73, "From a survey file to groups with intervals,", fontsize=23, color="#22272e")
    figure.text(0.06, 0.66, "with and without language models", fontsize=23, color="#22272e")
    axes = figure.add_axes((0.25, 0.1, 0.68, 0.42))
    places = range(len(table))[::-1]
    errors = [table["share"] - table["lower"], table["upper"] - table["share"]]
    axes.errorbar(table["share"], places, xerr=errors, fmt="o", color="#1f4e79", ms=14, lw=5)
    axes.set_ylim(-0.5, len(table) - 0.5)
    axes.set_title("Expected to vote for Clinton, US 1996, by age", fontsize=18, loc="left", color="#57606a")
    axes.set_yticks(places, table["age group"], fontsize=22)
    axes.set_xlim(40, 80)
    axes.set_xticks([40, 50, 60, 70, 80], [f"{share}%" for share in (40, 50, 60, 70, 80)], fontsize=20)
    axes.grid(axis="x", color="#dfe3e8")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0)
    figure.savefig(CARD)


if __name__ == "__main__":
    main()
