"""Readers of sets that hold one answer of one person a row: AlignSurvey and SocSci210."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from surveysim.datasets.instructions import YEAR, find_option, read_instruction
from surveysim.datasets.question_sets import (
    GroupAnswers,
    add_question,
    finish_set,
    need_columns,
    parse_literal,
    read_table,
)
from surveysim.datasets.survey import QuestionSet, Report
from surveysim.questions import Question

__all__ = ["read_align_survey", "read_socsci210"]

PERSONS = ("respondent_id", "person_id", "id")
"""Columns of AlignSurvey that may tell respondents apart."""

MOST_OPTIONS = 11
"""SocSci210 does not say what may be answered: whole numbers that span more than that are amounts, not options."""


@dataclass
class _Counts:
    """Answers counted by question, group and option."""

    attributes: Sequence[str]
    counts: dict[tuple[str, tuple[str | None, ...]], dict[int, int]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(int))
    )

    def add(self, question: str, person: Mapping[str, object], option: int) -> None:
        group = tuple(_stated(person.get(name)) for name in self.attributes)
        self.counts[question, group][option] += 1

    def rows(self, questions: Mapping[str, Question]) -> list[GroupAnswers]:
        rows = []
        for (name, group), counted in self.counts.items():
            total = sum(counted.values())
            shares = [counted.get(k, 0) / total for k in range(questions[name].n_options)]
            stated = {a: v for a, v in zip(self.attributes, group, strict=True) if v is not None}
            rows.append(GroupAnswers(name, stated, shares, float(total)))
        return rows


def _stated(value: object) -> str | None:
    """An attribute's value as text; None where it is not stated."""
    if value is None or value != value or str(value).strip() == "":
        return None
    return f"{value:g}" if isinstance(value, float) else str(value).strip()


def read_align_survey(path: str | Path, *, attributes: Sequence[str] = (), context: str | None = None) -> QuestionSet:
    """AlignSurvey: answers of respondents of CGSS, CSS, Pew's panel, ESS, GSS and CHIP, tabulated by group.

    Parameters
    ----------
    path : str or Path
        A JSON, JSON Lines, CSV or Parquet file of *survey response* records (task 4, and the quantitative foundation),
        English or Chinese, or of *attitude stance* records (task 3): ``instruction`` (with the person, the question and
        its options), ``output`` and, if it has them, ``respondent_id``, ``person_id`` or ``id``. To get it:
        ``PiLabZJU/AlignSurvey_Datasets`` on the Hugging Face hub, examples in the authors' repository. Terms: academic
        and non-commercial use; those of the sources hold.
    attributes : list of str, optional
        What groups are made of, in the words of the instruction without "your": ``["sex", "education"]``,
        ``["您的性别"]``.
        ``"year"`` is that of the survey, where it is told. They are crossed. Default: none, so that each question has
        one row, the total.
    context : str, optional
        For the prompt.

    Returns
    -------
    QuestionSet
        n counts respondents; the file has no weights.

    Raises
    ------
    ValueError
        If columns are missing, an attribute is in no instruction, or no record can be read; single records that cannot
        be read are counted in the report.

    Notes
    -----
    *Unchecked* beyond the examples in the authors' repository: no file of the data set was at hand. Records of one
    respondent to one question that occur again are left out; without a respondent's number they cannot be told. A
    stance is what the authors read in an interview, not an answer. Tasks 1 and 2 (guessing who somebody is from an
    interview, and going on with it) hold no answers to options, and are not read.

    References
    ----------
    Lin, C., Yuan, W., Jiang, Z., Huang, B., Zhang, R., Ge, J., Xu, Y. and Yu, J. (2025). AlignSurvey: A Comprehensive
    Benchmark for Human Preferences Alignment in Social Surveys. arXiv:2511.07871.

    Examples
    --------
    >>> from surveysim.datasets import read_align_survey
    >>> gss = read_align_survey("gss_task4.json", attributes=["sex"])  # doctest: +SKIP
    """
    path = Path(path)
    table = read_table(path)
    need_columns(path, table, ["instruction", "output"])
    report, counts = Report(), _Counts(list(attributes))
    questions: dict[str, Question] = {}
    keys: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    known: set[str] = set()
    years: dict[str, int] = defaultdict(int)
    for i, line in enumerate(table.to_dict("records")):
        where = f"{path.name}, record {i}"
        try:
            asked = read_instruction(str(line["instruction"]), where)
            person, chosen = asked.person, find_option(str(line["output"]), asked, where)
            # options are shuffled in some files: the order of the first record is kept
            key = keys.setdefault("\0".join([asked.question, *sorted(asked.options)]), f"q{len(keys) + 1}")
            if key not in questions:
                add_question(questions, key, asked.question, asked.options, None, context, where)
            option = questions[key].options.index(chosen)
        except ValueError as error:
            report.warn("", "records that cannot be read, left out", 1, str(error))
            continue
        who = next((line[name] for name in PERSONS if name in line), None)
        if who is not None and who == who:
            if (key, str(who)) in seen:
                report.note(key, "repeated records of a respondent, left out", 1)
                continue
            seen.add((key, str(who)))
        known |= set(person)
        if YEAR in person:
            years[person[YEAR]] += 1
        counts.add(key, person, option)
    if len(years) > 1 and YEAR not in attributes:
        report.warn("", "answers of several years, put together", sum(years.values()),
                    f"{', '.join(sorted(years))}; attributes=[..., {YEAR!r}] keeps them apart")  # fmt: skip
    strange = [name for name in attributes if known and name not in known]
    if strange:
        raise ValueError(f"{path.name}: no instruction states {strange}; they state {sorted(known)}")
    return finish_set(
        counts.rows(questions), questions, report, None, False, f"AlignSurvey, {path.name}",
        "Academic, non-commercial use; the terms of the source surveys hold.",
    )  # fmt: skip


def read_socsci210(
    path: str | Path,
    *,
    studies: Sequence[str] | None = None,
    attributes: Sequence[str] = (),
    ordinal: bool = True,
) -> QuestionSet:
    """SocSci210: answers of participants of 210 experiments of the social sciences, tabulated by group.

    Parameters
    ----------
    path : str or Path
        A Parquet, JSON, JSON Lines or CSV file with the columns ``study_id, condition_num, task_num, participant,
        demographic, stimuli, response``. To get it: ``socratesft/SocSci210`` on the Hugging Face hub. Terms: those of
        its page, and of the studies (TESS) that it was made from.
    studies : list of str, optional
        Default: all of the file.
    attributes : list of str, optional
        Keys of ``demographic`` that groups are made of, crossed: ``["sex", "party_id"]``. Default: none, so that each
        question has one row, the total.
    ordinal : bool, default=True
        Whether the numbers that were answered are a scale. **The file does not say**: many are, "1 = support, 2 =
        oppose, 3 = neither" is not.

    Returns
    -------
    QuestionSet
        A question is a task under one condition of a study, ``"9nphm condition 0 task 1"``: under another condition
        people read something else. n counts participants; the file has no weights. Options are called by the whole
        numbers from the smallest to the largest that was answered.

    Raises
    ------
    ValueError
        If columns are missing, a study or attribute is not in the file, or nothing can be read.

    Notes
    -----
    *Unchecked*: written after public descriptions of the columns; no file was at hand. Tasks whose answers are no whole
    numbers, or span more than 11 of them (amounts, percentages), are left out and counted. Answers of one participant
    to one question that occur again are left out.

    References
    ----------
    Kolluri, A., Wu, S., Park, J. S. and Bernstein, M. S. (2025). Finetuning LLMs for Human Behavior Prediction in
    Social Science Experiments. arXiv:2509.05830.

    Examples
    --------
    >>> from surveysim.datasets import read_socsci210
    >>> study = read_socsci210(
    ...     "train.parquet", studies=["9nphm"], attributes=["sex"]
    ... )  # doctest: +SKIP
    """
    path = Path(path)
    table = read_table(path)
    need_columns(
        path, table, ["study_id", "condition_num", "task_num", "participant", "demographic", "stimuli", "response"]
    )
    if studies is not None:
        strange = sorted(set(studies) - set(table["study_id"].astype(str)))
        if strange:
            raise ValueError(f"{path.name} has no studies {strange}; it has {sorted(set(table['study_id']))[:12]}")
        table = table[table["study_id"].astype(str).isin(list(studies))]
    report, counts = Report(), _Counts(list(attributes))
    questions: dict[str, Question] = {}
    known: set[str] = set()
    names = table["study_id"].astype(str) + " condition " + table["condition_num"].astype(str)
    names = names + " task " + table["task_num"].astype(str)
    repeated = table.assign(question=names).duplicated(["question", "participant"])
    if repeated.any():
        report.note("", "repeated answers of a participant, left out", int(repeated.sum()))
    for key, part in table[~repeated].groupby(names[~repeated], sort=False):
        name = str(key)
        answers = pd.to_numeric(part["response"], errors="coerce")
        low, high = answers.min(), answers.max()
        if answers.isna().any() or (answers % 1 != 0).any() or not 1 <= high - low < MOST_OPTIONS:
            report.note(name, "tasks whose answers are not a few whole numbers, left out", len(part))
            continue
        if part["stimuli"].nunique() > 1:
            report.warn(name, "tasks with several texts, of which the question has the first", len(part),
                        "participants may have read different things")  # fmt: skip
        options = [f"{value:g}" for value in range(int(low), int(high) + 1)]
        questions[name] = Question(str(part["stimuli"].iloc[0]), options, ordinal=ordinal)
        for who, answer in zip(part["demographic"], answers, strict=True):
            person = _demographic(who, path.name)
            known |= set(person)
            counts.add(name, person, int(answer - low))
    strange = [name for name in attributes if known and name not in known]
    if strange:
        raise ValueError(f"{path.name}: demographic has no {strange}; it has {sorted(known)}")
    return finish_set(
        counts.rows(questions), questions, report, None, False, f"SocSci210, {path.name}",
        "The terms of socratesft/SocSci210, and those of the studies that it was made from.",
    )  # fmt: skip


def _demographic(value: object, file: str) -> dict[str, object]:
    if isinstance(value, str):
        value = parse_literal(value, file, "demographic") if value.strip() else {}
    return {str(key): own for key, own in value.items()} if isinstance(value, Mapping) else {}
