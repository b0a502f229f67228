"""Pictures within a page: SVG in the page's colours, without anything from outside the page."""

from __future__ import annotations

import html
import io
import re
from typing import TYPE_CHECKING

from surveysim.evaluation.displays.style import BARS, INK, SOFT, pyplot
from surveysim.reporting.estimates import GroupEstimates

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["inline_svg", "picture"]


PIXELS = 110
"""To an inch of a picture, at most, on a page."""


def picture(estimates: GroupEstimates, question: str, description: str) -> str:
    """The estimates of a question, drawn, as an HTML figure that a screen reader can name."""
    plt = pyplot()
    with plt.rc_context({"svg.fonttype": "path", "svg.hashsalt": f"surveysim {question}"}):
        figure = estimates.plot(question=question).figure_
        figure.suptitle("")  # the page says it
        svg = inline_svg(figure, description)
        plt.close(figure)
    return f'<figure><div class="wide">{svg}</div></figure>'


def inline_svg(figure: Figure, description: str) -> str:
    """A figure as an SVG element: ink in the colour of the text, the background that of the page.

    Parameters
    ----------
    figure : matplotlib Figure
    description : str
        For who does not see it.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # lengths in points would fix its size; the viewBox stays
    opening, rest = svg.split(">", 1)
    opening = re.sub(r'\s(width|height)="[^"]*"', "", opening)
    label = html.escape(description, quote=True)
    widest = figure.get_size_inches()[0] * PIXELS
    svg = f'{opening} style="max-width: {widest:.0f}px" role="img" aria-label="{label}">{rest}'
    for color, instead in ((INK, "currentColor"), (BARS, "#8c95a04d"), (SOFT, "#7d8792")):
        svg = svg.replace(color, instead)
    return svg.strip()
