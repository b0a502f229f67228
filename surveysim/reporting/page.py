"""`report`: one page with the tables, the pictures, and what they rest on."""

from __future__ import annotations

import html
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from surveysim.baselines import LogitRegressor
from surveysim.evaluation.displays.style import pyplot
from surveysim.interfaces import Predictor
from surveysim.progress import progress
from surveysim.reporting.breakdowns import Breakdown, as_breakdowns, stacked_estimates
from surveysim.reporting.estimates import GroupEstimates
from surveysim.reporting.facts import ModelFacts, SampleFacts, model_facts, sample_facts
from surveysim.reporting.pictures import picture
from surveysim.reporting.prose import limits, methods_paragraph, references
from surveysim.reporting.style import STYLE
from surveysim.tables import Cells
from surveysim.version import __version__

__all__ = ["report"]

SAMPLE, BASELINE = "sample", "statistical model"


def report(
    model: Predictor | None,
    cells: Cells,
    path: str | os.PathLike[str],
    *,
    by: Sequence[Breakdown] | str | None = None,
    level: float = 0.9,
    population: pd.DataFrame | None = None,
    title: str | None = None,
    name: str | None = None,
    decimals: int = 0,
    verbose: int = 0,
    random_state: int | None = 0,
) -> Path:
    """Write one page of HTML: estimates by group, what they rest on, and what to write in the methods section.

    The page is a single file. It needs no network and no JavaScript, is readable on phones, in dark mode and printed,
    and text from the survey is shown as text, whatever it contains.

    Parameters
    ----------
    model : fitted estimator or None
        As in `group_estimates`; None: the sample's own shares.
    cells : Cells
        The sample that the model was fitted on.
    path : path
        The file to write; an existing one is replaced.
    by : list, optional
        Breakdowns: an attribute, or a list of attributes for their combinations, ``["gender", ["gender", "age"]]``.
        None: each background that has at most 30 levels.
    level, population, random_state
        As in `group_estimates`.
    title : str, optional
        Default: the question, or the number of questions.
    name : str, optional
        What the page calls the model.
    decimals : int, default=0
        Decimals of percentages.
    verbose : int, default=0
        0: a progress bar in a terminal or notebook, if it takes over two seconds; 1: always; -1: never.

    Returns
    -------
    Path
        The path of the file.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        As `group_estimates`.

    Notes
    -----
    Beside a model's estimates the page shows the sample's own shares (without a population, or if the sample has
    somebody in each of its cells), and, unless the model is a `LogitRegressor`, the estimates of one fitted to the same
    cells: what a language model adds is the difference from it.

    Examples
    --------
    >>> from surveysim import report
    >>> from surveysim.datasets import load_fair
    >>> cells = load_fair().tabulate(["religiousness"], ["rate_marriage"])
    >>> path = report(None, cells, "marriage.html")
    >>> path.read_text(encoding="utf-8")[:15]
    '<!doctype html>'
    """
    pyplot()  # says what to install before anything is computed
    breakdowns = as_breakdowns(by, cells)
    facts, sample = model_facts(model), sample_facts(cells)
    called = name or (SAMPLE if model is None else facts.name)
    parameters = {"level": level, "population": population, "random_state": random_state}
    with progress(verbose, total=2 + len(sample.questions), desc="report", unit=" parts") as bar:
        main = stacked_estimates(model, cells, breakdowns, name=called, **parameters)
        bar.update()
        beside = _beside(model, cells, breakdowns, parameters)
        bar.update()
        page = _Page(main, beside, facts, sample, called, decimals)
        sections = []
        for question in sample.questions["name"]:
            sections.append(page.question(question))
            bar.update()
    heading = title or _heading(sample)
    paragraph = methods_paragraph(
        facts, sample, breakdowns, cells.backgrounds, level=level, population=population, version=__version__
    )
    said = limits(facts, sample, main, population)
    body = [
        page.opening(heading),
        *sections,
        page.sample_section(),
        page.worth_section(),
        _section("Limits", _list(said)),
        _section("For the methods section", f"<blockquote><p>{_text(' '.join(paragraph))}</p></blockquote>"
                 + _list(references(facts, population), kind="soft")),
        f"<footer><p>Made with surveysim {_text(__version__)}.</p></footer>",
    ]  # fmt: skip
    written = (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{_text(heading)}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n<main>\n" + "\n".join(body) + "\n</main>\n</body>\n</html>\n"
    )
    target = Path(path)
    target.write_text(written, encoding="utf-8")
    return target


@dataclass(frozen=True)
class _Page:
    """What the sections share."""

    main: GroupEstimates
    beside: dict[str, GroupEstimates]
    model: ModelFacts
    sample: SampleFacts
    called: str
    decimals: int

    def opening(self, heading: str) -> str:
        questions = self.sample.questions
        n = self.sample.most_respondents
        asked = "one question" if len(questions) == 1 else f"{len(questions)} questions"
        weighted = f", worth {questions['effective'].max():,.0f} after weighting" if self.sample.is_weighted else ""
        model = f" ({self.model.language_model})" if self.model.language_model else ""
        return (
            f"<h1>{_text(heading)}</h1>\n"
            f'<p class="lead">Estimated shares of answers to {asked}, by group, from {n:,} respondents{weighted}.</p>\n'
            f'<p class="soft">Estimates: {_text(self.model.kind)}{_text(model)}.</p>'
        )

    def question(self, name: str) -> str:
        """Table and picture of a question, then the same by what stands beside."""
        own = self.main.of_question(name)
        wording = self.main.attrs["questions"][name]
        parts = [f'<div class="wide">{own.to_html_table(decimals=self.decimals, wording=False)}</div>']
        drawn = pd.concat([*(table.of_question(name) for table in self.beside.values()), own], ignore_index=True)
        drawn.attrs = self.main.attrs
        description = (
            f"Estimated shares of the answers to: {wording}, by group, with intervals. The table has the figures."
        )
        parts.append(picture(drawn, name, description))
        for called, table in self.beside.items():
            other = table.of_question(name)
            parts.append(f"<h3>For comparison: {_text(called)}</h3>")
            parts.append(f'<div class="wide">{other.to_html_table(decimals=self.decimals, wording=False)}</div>')
        return _section(wording, "\n".join(parts))

    def sample_section(self) -> str:
        """How many respondents there were."""
        rows = [
            [
                str(row.text),
                f"{row.answered:,}",
                f"{row.effective:,.0f}",
                f"{row.cells:,}",
                f"{row.median:,.0f} ({row.least:,})",
                f"{row.missing:,}",
            ]
            for row in self.sample.questions.itertuples()
        ]
        heads = ["question", "respondents", "worth", "cells", "per cell: median (least)", "no answer or not asked"]
        worth = self.sample.questions["design_effect"].max()
        effect = f", after weighting and with a design effect of up to {worth:.2f}" if worth > 1 else ""
        note = (
            "<p>A cell is one group of respondents who are alike in all backgrounds. <em>Worth</em> is how many a "
            f"simple random sample would need to say as much{effect}.</p>"
        )
        return _section("What this rests on", f'{note}<div class="wide">{_table(heads, rows)}</div>')

    def worth_section(self) -> str:
        """What language models and people asked elsewhere did, and how far estimates are from those without them."""
        model, parts = self.model, []
        heading = "What other sources contributed" if model.people else "What a language model contributed"
        if model.language_model is None and not model.people:
            return _section(heading, "<p>Nothing: no language model was used.</p>")
        if model.language_model is not None:
            parts.append(f"<p>Language model: <code>{_text(model.language_model)}</code>.</p>")
        if model.people:
            parts.append(f"<p>What people answered elsewhere: {_text(', '.join(model.people))}.</p>")
        if model.worth:
            items = "".join(f"<li><strong>{_text(a)}</strong>: {_text(b)}</li>" for a, b in model.worth)
            parts.append(f"<ul>{items}</ul>")
        else:
            parts.append("<p>The estimator says nothing about what it was worth.</p>")
        if BASELINE in self.beside:
            without = "them" if model.people else "a language model"
            distance = np.abs(self.main["share"].to_numpy() - self.beside[BASELINE]["share"].to_numpy())
            parts.append(
                f"<p>On average its estimates are {np.nanmean(distance):.1f} percentage points from those of the "
                f"statistical model without {without}, at most {np.nanmax(distance):.1f}. Whether that is "
                "nearer to the truth or farther from it, only respondents who took no part in the fit can tell "
                "(<code>surveysim.evaluation.respondent_curve</code>).</p>"
            )
        return _section(heading, "\n".join(parts))


def _beside(
    model: Predictor | None, cells: Cells, breakdowns: Sequence[Sequence[str]], parameters: dict[str, Any]
) -> dict[str, GroupEstimates]:
    """The sample's own shares, and the logit's beside any other model."""
    found: dict[str, GroupEstimates] = {}
    if model is None:
        return found
    if parameters["population"] is None or _covers(cells, parameters["population"]):
        found[SAMPLE] = stacked_estimates(None, cells, breakdowns, **parameters)
    if type(model) is not LogitRegressor:
        logit = LogitRegressor(question=cells.questions).fit(cells.X, cells.Y, sample_weight=cells.n)
        found[BASELINE] = stacked_estimates(logit, cells, breakdowns, name=BASELINE, **parameters)
    return found


def _covers(cells: Cells, population: pd.DataFrame) -> bool:
    """Whether the sample has somebody in every cell of the population."""
    from surveysim.reporting.weights import groups_of_question

    for question in dict.fromkeys(cells.question_names):
        groups = groups_of_question(cells, question, [], population)
        if groups.without_sample.max() > 0:
            return False
    return True


def _heading(sample: SampleFacts) -> str:
    texts = list(sample.questions["text"])
    return texts[0] if len(texts) == 1 else f"Answers to {len(texts)} questions, by group"


def _text(text: object) -> str:
    return html.escape(str(text))


def _section(heading: str, body: str) -> str:
    return f"<section>\n<h2>{_text(heading)}</h2>\n{body}\n</section>"


def _list(sentences: Sequence[str], kind: str = "") -> str:
    attribute = f' class="{kind}"' if kind else ""
    return f"<ul{attribute}>" + "".join(f"<li>{_text(sentence)}</li>" for sentence in sentences) + "</ul>"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A small table, its first column text."""
    head = "".join(f'<th{_label(i)} scope="col">{_text(text)}</th>' for i, text in enumerate(heads))
    body = ""
    for row in rows:
        cells = "".join(f"<td>{_text(text)}</td>" for text in row[1:])
        body += f'<tr><th class="label" scope="row">{_text(row[0])}</th>{cells}</tr>'
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _label(column: int) -> str:
    return ' class="label"' if column == 0 else ""
