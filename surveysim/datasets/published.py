"""Readers of published question-level sets without counts: SubPOP and GlobalOpinionQA."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from surveysim.datasets.no_answer import missing_kind
from surveysim.datasets.question_sets import (
    SUM_TOLERANCE,
    GroupAnswers,
    add_question,
    as_list,
    assumed_respondents,
    finish_set,
    need_columns,
    parse_literal,
    read_table,
)
from surveysim.datasets.survey import QuestionSet, Report
from surveysim.questions import Question

__all__ = ["read_global_opinion_qa", "read_subpop"]


def read_subpop(
    path: str | Path,
    *,
    n: float | Mapping[Any, float] = 100.0,
    respondents: float | Mapping[str, float] | None = None,
    context: str | None = None,
) -> QuestionSet:
    """Read SubPOP: distributions of answers of 22 US subpopulations to questions of Pew's panel and the GSS.

    Parameters
    ----------
    path : str or Path
        A CSV, JSON, JSON Lines or Parquet file with the columns ``qkey, attribute, group, responses, refusal_rate,
        ordinal, question, options``, as written by the authors' pipeline (Suh et al. 2025, arXiv:2502.16761). To get
        it: accept the terms of ``jjssuh/subpop`` on the Hugging Face hub, or run the authors' code on Pew's and NORC's
        files. Terms: research only; those of Pew and NORC apply to what is derived from their data.
    n : float or mapping, default=100.0
        Respondents of each distribution: **the file has no counts**, so this is your assumption. A mapping gives it for
        each group, ``{("AGE", "18-29"): 450}``, or each question, ``{"HAPPY_W27": 300}``. A column ``n`` in the file
        takes precedence.
    respondents : float or mapping of question to float, optional
        Respondents of the survey: no group has more.
    context : str, optional
        For the prompt.

    Returns
    -------
    QuestionSet

    Raises
    ------
    ValueError
        If columns are missing, a list cannot be read, a question has several wordings, or n has no value for a row.

    Notes
    -----
    *Unchecked*: written from the authors' code, without a file. Shares are over the options without the refusal,
    which is the last option and whose rate is a column of its own. `ordinal` is a placeholder of ones in SubPOP-Train;
    where it is not strictly monotone the labels decide whether the options are a scale.

    Examples
    --------
    >>> from surveysim.datasets import read_subpop
    >>> subpop = read_subpop("SubPOP-train.csv", n=300)  # doctest: +SKIP
    """
    path = Path(path)
    table = read_table(path)
    need_columns(path, table, ["qkey", "attribute", "group", "responses", "question", "options"])
    report = Report()
    questions: dict[str, Question] = {}
    rows, assumed = [], False
    for i, line in enumerate(table.to_dict("records")):
        where = f"{path.name}, row {i}"
        shares = as_list(line["responses"], where, "responses")
        options = [str(option) for option in as_list(line["options"], where, "options")]
        key = str(line["qkey"])
        if len(options) == len(shares) + 1:
            options = options[:-1]  # the refusal
        positions = as_list(line["ordinal"], where, "ordinal") if "ordinal" in table else None
        add_question(questions, key, str(line["question"]), options, positions, context, where)
        attributes, groups = str(line["attribute"]), str(line["group"])
        if attributes.startswith("["):
            named = dict(zip(as_list(attributes, where, "attribute"), as_list(groups, where, "group"), strict=True))
        else:
            named = {attributes: groups}
        named = {name: group for name, group in named.items() if name != "Overall"}
        count = line.get("n")
        if count is None or count != count:
            count, assumed = assumed_respondents(n, key, tuple(named.items()), where), True
        rows.append(GroupAnswers(key, named, [float(share) for share in shares], float(count)))
    return finish_set(
        rows, questions, report, respondents, assumed,
        f"SubPOP, {path.name}", "Research only; the terms of Pew Research Center and NORC hold for derived data.",
    )  # fmt: skip


def read_global_opinion_qa(
    path: str | Path,
    *,
    n: float | Mapping[Any, float] = 1000.0,
    respondents: float | Mapping[str, float] | None = None,
    source: str | None = None,
) -> QuestionSet:
    """Read GlobalOpinionQA: answers by country to 2,556 questions of Pew's Global Attitudes and of the WVS.

    Parameters
    ----------
    path : str or Path
        ``global_opinions.csv`` with the columns ``question, selections, options, source``. To get it:
        ``Anthropic/llm_global_opinions`` on the Hugging Face hub. Terms: CC BY-NC-SA 4.0.
    n : float or mapping of country to float, default=1000.0
        Respondents of each country: **the file has no counts**, so this is your assumption (samples of these surveys
        are about 1,000 to 1,500 a country).
    respondents : float or mapping of question to float, optional
        Respondents of the survey: no country has more.
    source : str, optional
        ``"GAS"`` (Pew) or ``"WVS"`` alone.

    Returns
    -------
    QuestionSet
        One attribute, ``"country"``. Questions have no identifier in the file: they are called "GAS 1", "WVS 2" ..., by
        source and row.

    Raises
    ------
    ValueError
        If columns are missing or no line can be read; single lines that cannot be read are counted in the report.

    Notes
    -----
    *Unchecked*: written from the public format, without a file. ``selections`` is the text of a Python object,
    ``defaultdict(<class 'list'>, {'Japan': [0.1, ...]})``, which is parsed as a literal and never evaluated. The note
    that several countries carry, such as "(Non-national sample)", is kept: it is another group. Options that are
    reasons for no answer ("DK/Refused") are left out, and the shares of the others rescaled; the report counts them.

    Examples
    --------
    >>> from surveysim.datasets import read_global_opinion_qa
    >>> world = read_global_opinion_qa("global_opinions.csv", source="WVS")  # doctest: +SKIP
    """
    path = Path(path)
    table = read_table(path)
    need_columns(path, table, ["question", "selections", "options", "source"])
    report = Report()
    questions: dict[str, Question] = {}
    rows = []
    if source is not None and source not in set(table["source"]):
        raise ValueError(f"source={source!r} is not in {path.name}: it has {sorted(set(table['source'].astype(str)))}")
    for i, line in enumerate(table.to_dict("records")):
        if source is not None and line["source"] != source:
            continue
        where = f"{path.name}, row {i}"
        key = f"{line['source']} {i + 1}"
        text = re.sub(
            r"^defaultdict\(\s*<class '[\w.]+'>\s*,\s*(.*)\)\s*$", r"\1", str(line["selections"]).strip(), flags=re.S
        )
        try:
            selections = parse_literal(text, where, "selections")
            options = [str(option) for option in as_list(line["options"], where, "options")]
        except ValueError as error:  # one bad line of 2,556 is counted, not fatal
            report.warn(key, "lines that cannot be read, left out", 0, str(error))
            continue
        if not isinstance(selections, dict):
            report.warn(key, "lines that cannot be read, left out", 0, f"selections is not a mapping: {text[:60]!r}")
            continue
        keep = [k for k, option in enumerate(options) if missing_kind(option) is None]
        if len(keep) < 2 or len(set(options)) < len(options):
            report.note(key, "questions with fewer than two answers, or repeated options, left out", 0, str(options))
            continue
        dropped = [option for k, option in enumerate(options) if k not in keep]
        if dropped:
            report.note(key, "reasons for no answer, left out of the shares", 0, ", ".join(dropped))
        add_question(questions, key, str(line["question"]), [options[k] for k in keep], None, None, where)
        for country, shares in selections.items():
            try:
                values = [float(share) for share in shares]
            except (TypeError, ValueError):
                report.warn(
                    key, "distributions that are not lists of numbers, left out", 0, f"{country}: {shares!r}"[:80]
                )
                continue
            if len(values) != len(options):
                report.warn(
                    key, "distributions with another number of options, left out", 0, f"{country}: {len(values)}"
                )
                continue
            kept = np.array(values)[keep]
            whole = float(np.sum(values))
            kept = kept / kept.sum() if kept.sum() > 0 and abs(whole - 1) <= SUM_TOLERANCE else kept
            rows.append(
                GroupAnswers(key, {"country": str(country)}, kept.tolist(), assumed_respondents(n, key, country, where))
            )
    return finish_set(rows, questions, report, respondents, True, f"GlobalOpinionQA, {path.name}", "CC BY-NC-SA 4.0.")
