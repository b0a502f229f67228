"""SimBench: distributions of human answers of twenty data sets, by group, and recorded answers of models to them."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from surveysim.datasets.question_sets import (
    GroupAnswers,
    add_question,
    build_set,
    need_columns,
    parse_literal,
    read_table,
)
from surveysim.datasets.survey import QuestionSet, Report
from surveysim.questions import Question
from surveysim.tables import QUESTION_COLUMN

__all__ = ["read_simbench"]

COLUMNS = ["dataset_name", "group_prompt_template", "group_prompt_variable_map", "input_template", "human_answer",
           "group_size"]  # fmt: skip

RECORDED = "Response_Distribution"
"""Column in which SimBench's scripts write a model's distribution."""

GROUP = "group"
"""The column of X that holds the sentence that describes a group."""

OPTION = re.compile(r"^\s*\(?([A-Za-z0-9]+)\)\s*:?\s+(.+?)\s*$")
"""An option in a question: "(A): very satisfied"."""

TERMS = "CC BY-NC-SA 4.0; the terms of the twenty sources hold beside it."


def read_simbench(
    path: str | Path,
    *,
    datasets: Sequence[str] | None = None,
    backgrounds: Literal["auto", "group", "attributes"] = "auto",
) -> QuestionSet:
    """SimBench: how people answered 13,510 pairs of question and group, from 20 sets of social and behavioural data.

    Parameters
    ----------
    path : str or Path
        ``SimBenchPop.csv`` or ``SimBenchGrouped.csv``, or the same columns as Parquet, JSON or JSON Lines:
        ``dataset_name, group_prompt_template, group_prompt_variable_map, input_template, human_answer, group_size``. To
        get it: ``pitehu/SimBench`` on the Hugging Face hub. Terms: CC BY-NC-SA 4.0. The files that end in ``.pkl`` are
        not opened: a pickle can run any program.
    datasets : list of str, optional
        Names of source data sets ("OpinionQA", "ESS" ...); default: all.
    backgrounds : {"auto", "group", "attributes"}, default="auto"
        What X has beside the question: the sentence that describes the group, "You are from Kenya.", or a column for
        each variable in it. "auto": attributes where the file has any.

    Returns
    -------
    QuestionSet
        With, beside X, Y, n and questions, one entry for each row: `datasets` (the source), `groups` (the sentence),
        `attributes` (a DataFrame of what the sentence states) and `labels` (the letters of the options). `recorded` is
        an array like Y with a model's distributions, if the file has a column ``Response_Distribution``, else None;
        those that cannot be read are NaN.

    Raises
    ------
    ValueError
        If columns are missing, a data set is not in the file, or no row can be read; single rows that cannot be read
        are counted in the report.

    See Also
    --------
    surveysim.evaluation.simbench_score : The score of the benchmark, with its interval and without the noise.
    leave_out_overlapping : Which rows may be evidence for others.

    Notes
    -----
    *Unchecked*: written after the data set's card and its authors' scripts; no file was at hand. Dictionaries are read
    as JSON or as Python literals and never evaluated. Shares may be percentages; an option without a value (``None``)
    is one that the group was not offered. The texts of the options stand in the question ("(A): agree"), from where
    they are taken; where they cannot be found, options are called by their letters. A question is the same in two rows
    if data set, text and options are.

    References
    ----------
    Hu, T., Baumann, J., Lupo, L., Collier, N., Hovy, D. and Roettger, P. (2025). SimBench: Benchmarking the Ability of
    Large Language Models to Simulate Human Behaviors. arXiv:2510.17516.

    Examples
    --------
    >>> from surveysim.datasets import read_simbench
    >>> simbench = read_simbench(
    ...     "SimBenchGrouped.csv", datasets=["ESS", "OpinionQA"]
    ... )  # doctest: +SKIP
    """
    path = Path(path)
    if path.suffix.lower() in (".pkl", ".pickle"):
        raise ValueError(
            f"{path.name}: pickles are not opened, since they can run any program. The data set has the same tables as "
            "CSV; of results that you made yourself, write pandas.read_pickle(path).to_json(..., orient='records')"
        )
    if backgrounds not in ("auto", "group", "attributes"):
        raise ValueError(f"backgrounds must be 'auto', 'group' or 'attributes', got {backgrounds!r}")
    table = read_table(path)
    need_columns(path, table, COLUMNS)
    if datasets is not None:
        strange = sorted(set(datasets) - set(table["dataset_name"]))
        if strange:
            raise ValueError(f"{path.name} has no data sets {strange}; it has {sorted(set(table['dataset_name']))}")
        table = table[table["dataset_name"].isin(list(datasets))]
    report = Report()
    rows = _Rows(table, path.name, report)
    kind = backgrounds
    if kind == "auto":
        kind = "attributes" if any(rows.attributes) else "group"
    groups = rows.attributes if kind == "attributes" else [{GROUP: sentence} for sentence in rows.groups]
    marked = [
        GroupAnswers(key, {**group, _ROW: str(i)}, shares, n)
        for i, (key, group, shares, n) in enumerate(zip(rows.keys, groups, rows.shares, rows.sizes, strict=True))
    ]
    X, Y, n, questions = build_set(marked, rows.questions, report)
    order = X.pop(_ROW).astype(int).to_numpy()
    report.issue(f"SimBench, {path.name}")
    names = [column for column in X if column != QUESTION_COLUMN]
    return QuestionSet(
        X=X,
        Y=Y,
        n=n,
        questions=questions,
        backgrounds=names,
        n_is_assumed=False,
        datasets=np.array(rows.datasets, dtype=object)[order],
        groups=np.array(rows.groups, dtype=object)[order],
        attributes=pd.DataFrame([rows.attributes[i] for i in order], dtype=object),
        labels=[rows.labels[i] for i in order],
        recorded=None if RECORDED not in table else _recorded(rows, order, Y.shape[1]),
        report=report.frame(),
        DESCR=f"SimBench, {path.name}: {len(X):,} distributions of {len(questions):,} questions.",
        terms=TERMS,
    )


_ROW = "\0row"
"""A column that remembers which row of the file a distribution is; no attribute has this name."""


class _Rows:
    """The rows of a file that can be read, column by column."""

    def __init__(self, table: pd.DataFrame, file: str, report: Report) -> None:
        self.questions: dict[str, Question] = {}
        self.keys: list[str] = []
        self.datasets: list[str] = []
        self.groups: list[str] = []
        self.attributes: list[dict[str, str]] = []
        self.labels: list[list[str]] = []
        self.shares: list[list[float]] = []
        self.sizes: list[float] = []
        self.recorded: list[Any] = []
        numbers: dict[tuple[str, str], int] = {}
        for i, line in enumerate(table.to_dict("records")):
            name, text = str(line["dataset_name"]), str(line["input_template"])
            try:
                self._add(line, name, text, numbers, f"{file}, row {i}")
            except (ValueError, TypeError) as error:
                report.warn(name, "rows that cannot be read, left out", 0, str(error))

    def _add(
        self, line: Mapping[Hashable, Any], name: str, text: str, numbers: dict[tuple[str, str], int], where: str
    ) -> None:
        answers = {key: value for key, value in _as_dict(line["human_answer"], where, "human_answer").items()
                   if value is not None and value == value}  # fmt: skip
        labels = [str(key) for key in answers]
        if len(labels) < 2:
            raise ValueError(f"{where}: human_answer has {len(labels)} options")
        values = np.array([float(value) for value in answers.values()])
        if (values < 0).any() or values.sum() <= 0:
            raise ValueError(f"{where}: human_answer holds no shares: {values.tolist()}")
        variables = _as_dict(line["group_prompt_variable_map"], where, "group_prompt_variable_map")
        stem, texts = split_question(text, labels)
        # groups that were offered other options were asked another question
        number = numbers.setdefault((name, text + "\0" + "\0".join(labels)), len(numbers) + 1)
        key = f"{name} {number}"
        add_question(self.questions, key, stem, texts, None, None, where)
        self.keys.append(key)
        self.datasets.append(name)
        self.groups.append(_fill(str(line["group_prompt_template"]), variables))
        self.attributes.append({str(variable): str(value) for variable, value in variables.items()})
        self.labels.append(labels)
        self.shares.append((values / values.sum()).tolist())
        self.sizes.append(float(line["group_size"]))
        self.recorded.append(line.get(RECORDED))


def split_question(text: str, labels: Sequence[str]) -> tuple[str, list[str]]:
    """A question without its list of options, and their texts; the labels where not all of them are found.

    Parameters
    ----------
    text : str
        With a line "(A): text" for each option, perhaps after a line "Options:".
    labels : sequence of str

    Returns
    -------
    stem : str
    texts : list of str
    """
    lines = text.splitlines()
    found: dict[str, tuple[int, str]] = {}
    for i, line in enumerate(lines):
        match = OPTION.match(line)
        if match and match[1] in labels:
            found[match[1]] = i, match[2]
    texts = [found[label][1] for label in labels if label in found]
    if len(texts) < len(labels) or len(set(texts)) < len(texts):
        return text.strip(), list(labels)
    begin = min(i for i, _ in found.values())
    head = lines[:begin]
    while head and re.fullmatch(r"\s*(options?|choices|answers?)?\s*:?\s*", head[-1], flags=re.IGNORECASE):
        head.pop()
    return "\n".join(head).strip() or text.strip(), texts


def _as_dict(value: object, where: str, column: str) -> dict[Any, Any]:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return {}
    if isinstance(value, str):
        value = parse_literal(value, where, column) if value.strip() else {}
    if not isinstance(value, Mapping):
        raise ValueError(f"{where}: {column} is no dictionary: {str(value)[:60]!r}")
    return dict(value)


def _fill(template: str, variables: Mapping[str, object]) -> str:
    """The sentence of a group; plain replacement, since ``str.format`` reaches into objects."""
    for variable, value in variables.items():
        template = template.replace("{" + str(variable) + "}", str(value))
    return template.strip()


def _recorded(rows: _Rows, order: np.ndarray, width: int) -> np.ndarray:
    """A model's distributions: a list in the order of the options, or a dictionary by their letters."""
    P = np.full((len(order), width), np.nan)
    for place, i in enumerate(order):
        labels, value = rows.labels[i], rows.recorded[i]
        try:
            if isinstance(value, str):
                value = parse_literal(value, f"row {i}", RECORDED)
            given = [value.get(label, 0.0) for label in labels] if isinstance(value, Mapping) else list(value)
            shares = np.array(given, dtype=float)
        except (TypeError, ValueError):
            continue
        if shares.shape == (len(labels),) and np.isfinite(shares).all() and (shares >= 0).all() and shares.sum() > 0:
            P[place, : len(labels)] = shares / shares.sum()
    return P
