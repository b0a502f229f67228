"""Estimates as readers see them: options side by side, in Markdown and in HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from surveysim.reporting.columns import attributes_of, is_difference, statistic_of

__all__ = ["WideTable", "html_table", "markdown_table", "number", "wide_table"]

STYLE = (
    "<style>.surveysim-estimates table{border-collapse:collapse;margin:0 0 1em}.surveysim-estimates caption"
    "{text-align:left;font-weight:600;padding:.3em 0}.surveysim-estimates :is(th,td){padding:.25em .7em;"
    "text-align:right;vertical-align:baseline;border-bottom:1px solid #8884}.surveysim-estimates .label"
    "{text-align:left}.surveysim-estimates .interval{font-size:85%;opacity:.7;white-space:nowrap}</style>"
)
"""For notebooks, which have no style sheet of ours; works on light and dark."""


@dataclass(frozen=True)
class WideTable:
    """A question's table, a row for each group (and source).

    Attributes
    ----------
    caption : str
        The question's wording, and what the figures are.
    heads : list of str
        Heads of the label columns.
    labels : list of list of str
        One list for each row.
    options : list of str
    figures, intervals : list of list of str
        One text for each option; an empty interval is unknown.
    respondents : list of str
    """

    caption: str
    heads: list[str]
    labels: list[list[str]]
    options: list[str]
    figures: list[list[str]]
    intervals: list[list[str]]
    respondents: list[str]


def wide_table(estimates: pd.DataFrame, decimals: int, *, wording: bool = True) -> WideTable:
    """One question's estimates with the options side by side; the caption with the question's `wording` or without."""
    statistic, attributes = statistic_of(estimates), attributes_of(estimates)
    places = decimals if statistic == "share" else decimals + 2
    sources = list(dict.fromkeys(estimates["source"]))
    options = list(dict.fromkeys(estimates["option"]))
    signed = is_difference(estimates)
    heads = list(attributes) or ["group"]
    rows: dict[tuple[str, ...], dict[str, tuple[str, str]]] = {}
    people: dict[tuple[str, ...], str] = {}
    # groups in their order, with the sources of each below each other
    order = {group: i for i, group in enumerate(dict.fromkeys(estimates["group"]))}
    for _, row in sorted(estimates.iterrows(), key=lambda pair: order[pair[1]["group"]]):
        key = (*(str(row[head]) for head in heads), str(row["source"]))
        figure = number(row[statistic], places, signed=signed)
        rows.setdefault(key, {})[row["option"]] = figure, _interval(row["lower"], row["upper"], places, signed=signed)
        people[key] = "–" if np.isnan(row["respondents"]) else f"{row['respondents']:,.0f}"
    if len(sources) > 1:
        heads.append("estimate")
    unknown = ("–", "")
    return WideTable(
        caption=_caption(estimates, statistic, wording=wording),
        heads=heads,
        labels=[list(key if len(sources) > 1 else key[:-1]) for key in rows],
        options=options,
        figures=[[found.get(option, unknown)[0] for option in options] for found in rows.values()],
        intervals=[[found.get(option, unknown)[1] for option in options] for found in rows.values()],
        respondents=[people[key] for key in rows],
    )


def number(value: float, places: int, *, signed: bool = False) -> str:
    """A number with so many places, a typographic minus, and no minus before zero; "–" where there is none."""
    if np.isnan(value):
        return "–"
    text = f"{value:.{places}f}"
    if float(text) == 0.0:
        return text.lstrip("-")
    return text.replace("-", "−") if value < 0 else ("+" if signed else "") + text


def _interval(lower: float, upper: float, places: int, *, signed: bool) -> str:
    if np.isnan(lower) or np.isnan(upper):
        return ""
    return (" to " if signed else "–").join(number(end, places, signed=signed) for end in (lower, upper))


def _caption(estimates: pd.DataFrame, statistic: str, *, wording: bool) -> str:
    name = estimates["question"].iloc[0]
    unit = "mean" if statistic == "mean" else "percentage points" if is_difference(estimates) else "percent"
    said = ("difference, " if is_difference(estimates) else "") + unit
    level = estimates.attrs.get("level")
    if level is not None and estimates["lower"].notna().any():
        said += f", {100 * level:g}% intervals"
    return f"{estimates.attrs.get('questions', {}).get(name, name)} ({said})" if wording else said.capitalize()


def markdown_table(tables: Sequence[WideTable], *, intervals: bool) -> str:
    """Markdown; a caption above each table where there are several."""
    written = []
    for table in tables:
        head = [*table.heads, *table.options, "respondents"]
        lines = [_line(head), "|" + ":--|" * len(table.heads) + "--:|" * (len(table.options) + 1)]
        for labels, figures, ends, people in zip(
            table.labels, table.figures, table.intervals, table.respondents, strict=True
        ):
            shown = [
                f"{figure} ({end})" if intervals and end else figure for figure, end in zip(figures, ends, strict=True)
            ]
            lines.append(_line([*labels, *shown, people]))
        caption = [f"**{_escaped(table.caption)}**", ""] if len(tables) > 1 else []
        written.append("\n".join([*caption, *lines]))
    return "\n\n".join(written)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_escaped(cell) for cell in cells) + " |"


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is."""
    text = " ".join(html.escape(text, quote=False).split())
    return "".join("\\" + character if character in "|*_`[]\\" else character for character in text)


def html_table(tables: Sequence[WideTable], *, intervals: bool, styled: bool = False) -> str:
    """HTML, every text escaped; `styled` adds what a notebook needs."""
    written = []
    for table in tables:
        heads = [f'<th class="label" scope="col">{html.escape(head)}</th>' for head in table.heads]
        heads += [f'<th scope="col">{html.escape(option)}</th>' for option in table.options]
        heads.append('<th scope="col">respondents</th>')
        rows = []
        for labels, figures, ends, people in zip(
            table.labels, table.figures, table.intervals, table.respondents, strict=True
        ):
            cells = [f'<th class="label" scope="row">{html.escape(label)}</th>' for label in labels]
            for figure, end in zip(figures, ends, strict=True):
                behind = f' <span class="interval">{end}</span>' if intervals and end else ""
                cells.append(f"<td>{figure}{behind}</td>")
            rows.append(f"<tr>{''.join(cells)}<td>{people}</td></tr>")
        written.append(
            f'<table class="surveysim"><caption>{html.escape(table.caption)}</caption>'
            f"<thead><tr>{''.join(heads)}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        )
    body = "\n".join(written)
    return f'{STYLE}<div class="surveysim-estimates">{body}</div>' if styled else body
