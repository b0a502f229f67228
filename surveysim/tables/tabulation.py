"""From a survey file, one row a respondent, to cells: distributions of answers by background."""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from surveysim.errors import warn
from surveysim.questions import Question
from surveysim.tables.answers import CodedAnswers, UnknownAnswersError, code_answers
from surveysim.tables.backgrounds import apply_labels, blank_to_missing, combine, level_codes
from surveysim.tables.cells import QUESTION_COLUMN, Cells
from surveysim.tables.design import (
    Design,
    cell_design_effects,
    check_deff,
    read_weights,
    respondent_values,
    sample_design_effect,
)
from surveysim.tables.folds import assign_folds, read_folds
from surveysim.tables.missing import MISSING_KINDS, MISSING_OPTIONS, Missing, as_missing, kind_of_text

__all__ = ["tabulate"]


def tabulate(
    data: pd.DataFrame,
    backgrounds: Sequence[str],
    answers: Mapping[str, Question] | Question,
    *,
    weights: Any = None,
    labels: Mapping[str, Mapping[Hashable, str | None]] | None = None,
    missing: str | Mapping[Any, Any] | Missing = "drop",
    strata: Any = None,
    cluster: Any = None,
    deff: float | Mapping[str, float] | None = None,
    folds: Any = None,
) -> Cells:
    """Tabulate answers by background: the X, Y and n that estimators are fitted on.

    Parameters
    ----------
    data : DataFrame of shape (n_respondents, n_columns)
        The survey file, one row a respondent.
    backgrounds : list of str
        Columns that describe a respondent. Their dtypes are kept; an ordered categorical stays ordered. Missing
        values are a level of their own ("not stated").
    answers : mapping of str to Question
        The column of each question. An answer matches an option's text (case and spacing apart), else one of the
        question's codes, else, where it has no codes, the integers 1..K; 3, 3.0 and "3" are the same. A single
        Question is accepted where `data` has just one column that is not named otherwise.
    weights : str or array of shape (n_respondents,), optional
        Survey weights, at least 0, on any scale.
    labels : mapping of str to mapping, optional
        For coded backgrounds: code to label, ``{"educ": {1: "low", 2: "middle", 3: "high", 9: None}}``. The
        background becomes a categorical in this order, ordered unless the column is an unordered categorical
        (``data["region"].astype("category")``: levels without an order). Codes labelled None are missing.
    missing : {"drop", "option", "error"}, mapping or Missing, default="drop"
        What becomes of missing answers. Blanks count as "not asked". Numbers that mean "no answer" have to be
        declared, ``{-1: "skipped", 98: "don't know", 99: "refused"}``, with a policy: ``Missing("option", {...})``;
        text that says so itself ("Don't know", "Refusal", "No answer", "Not applicable") is understood.
    strata, cluster : str or array of shape (n_respondents,), optional
        The sample's strata and clusters (primary sampling units, taken as numbered within their stratum). The design
        effect is estimated from them, unless `deff` is given, and folds keep clusters whole.
    deff : float or mapping of str to float, optional
        Design effect *beyond weighting* by which every cell's n is divided (all questions, or each by name).
        The effect of weighting is in Kish's n already: do not pass a figure that includes it.
    folds : int, (int, int), str or int array of shape (n_respondents,), optional
        Split respondents at random into this many folds (seed 0; or pass the number and a seed), or by given ids.
        A respondent is in the same fold for all questions.

    Returns
    -------
    Cells
        Sorted by question, in the order of `answers`, then by background. ``X`` has the column ``"question"`` if
        there are several questions.

    Raises
    ------
    ValueError
        If columns are missing or repeated, a background is also a question or called "question", data are empty,
        weights are negative or missing, answers match no option (listed with counts), a missing code is an option's
        code, nobody answered anything, or (``missing="error"``) any answer is missing.
    TypeError
        If a parameter has the wrong type.

    Warns
    -----
    UserWarning
        If nobody answered one of the questions: it has no cells.

    See Also
    --------
    poststratify : Distributions for a population from those of the cells.

    Notes
    -----
    With weights w_i, the cell's n is Kish's (sum w)^2 / sum w^2 (Kish 1965, Survey Sampling, section 11.7), divided
    by the design effect. From `strata` and `cluster` that is estimated per question on the whole sample by Taylor
    linearisation, pooled over the options and relative to independent respondents with the same weights (found in
    ``design_effect`` of the result), and carried to each cell by Kish's rate of homogeneity: a cell with few
    respondents per cluster loses little. The formulas are in ``surveysim.tables.design``.

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim import Question, tabulate
    >>> survey = pd.DataFrame({"sex": ["f", "f", "f", "m"], "weight": [1.0, 1.0, 2.0, 1.0], "happy": [1, 1, 2, 2]})
    >>> cells = tabulate(survey, ["sex"], {"happy": Question("Are you happy?", ["yes", "no"])}, weights="weight")
    >>> cells.X["sex"].tolist()
    ['f', 'm']
    >>> cells.Y
    array([[0.5, 0.5],
           [0. , 1. ]])
    >>> cells.n.round(2)
    array([2.67, 1.  ])
    """
    policy = as_missing(missing)
    backgrounds, questions = _check_columns(data, backgrounds, answers, [weights, strata, cluster, folds])
    _check_names(policy, labels, backgrounds, questions)
    given_deff = check_deff(deff, questions)
    weight = read_weights(data, weights)
    stratum = None if strata is None else respondent_values(data, strata, "strata")
    unit = None if cluster is None else respondent_values(data, cluster, "cluster")
    fold_ids = read_folds(data, folds)
    data = data[[*backgrounds, *questions]]
    weightless = weight == 0
    if weightless.any():
        kept = ~weightless
        data, weight = data[kept], weight[kept]
        stratum, unit = (None if column is None else column[kept] for column in (stratum, unit))
        fold_ids = fold_ids[kept] if isinstance(fold_ids, pd.Series) else fold_ids
    design = Design.of(stratum, unit)
    fold, n_folds = (None, 0) if fold_ids is None else assign_folds(fold_ids, design, len(data))

    respondents = _read_backgrounds(data, backgrounds, labels)
    background, first = combine([level_codes(respondents[column]) for column in backgrounds])
    coded = _code_all(data, questions, policy)
    questions = {name: answer.question for name, answer in coded.items()}
    width = max(question.n_options for question in questions.values())

    tables = []
    effects = {}
    for name, answer in coded.items():
        n_options = answer.question.n_options
        effect: float | np.ndarray = 1.0
        effects[name] = 1.0
        if given_deff is not None:
            effect = effects[name] = given_deff[name]
        elif design is not None and (answer.option < n_options).any():
            effects[name] = sample_design_effect(answer.option, weight, n_options, design)
            answered = answer.option < n_options
            effect = cell_design_effects(effects[name], background, answered, weight, len(first), design)
        tables.append(_tabulate_one(answer, background, len(first), weight, effect, fold, n_folds, width))
    _report_unanswered(questions, tables)

    by_background = respondents.iloc[first].reset_index(drop=True)
    X = by_background.iloc[np.concatenate([table["cell"] for table in tables])].reset_index(drop=True)
    if len(questions) > 1:
        names = np.repeat(np.array(list(questions), dtype=object), [len(table["cell"]) for table in tables])
        X.insert(0, QUESTION_COLUMN, names)
    joined = {key: np.concatenate([table[key] for table in tables]) for key in ("Y", "n", "n_raw", "weight_sum")}
    return Cells(
        X=X,
        questions=questions,
        missing=pd.DataFrame(np.concatenate([table["missing"] for table in tables]), columns=list(MISSING_KINDS)),
        excluded=_excluded(list(questions), tables, int(weightless.sum())),
        folds=None if fold is None else np.concatenate([table["folds"] for table in tables]),
        design_effect=effects,
        **joined,
    )


def _tabulate_one(
    answer: CodedAnswers,
    background: np.ndarray,
    n_backgrounds: int,
    weight: np.ndarray,
    effect: float | np.ndarray,
    fold: np.ndarray | None,
    n_folds: int,
    width: int,
) -> dict[str, Any]:
    """The cells of one question, and what was left out of them."""
    n_options, option = answer.question.n_options, answer.option
    n_outcomes = n_options + len(MISSING_KINDS)
    shape = (n_backgrounds, n_outcomes)
    flat = background * n_outcomes + option
    respondents = np.bincount(flat, minlength=n_backgrounds * n_outcomes).reshape(shape)
    weighted = np.bincount(flat, weights=weight, minlength=n_backgrounds * n_outcomes).reshape(shape)
    answered = option < n_options
    squares = np.bincount(background[answered], weights=weight[answered] ** 2, minlength=n_backgrounds)
    n_raw = respondents[:, :n_options].sum(axis=1)
    cell = np.flatnonzero(n_raw)
    weight_sum = weighted[cell, :n_options].sum(axis=1)
    n = weight_sum**2 / squares[cell] / (effect[cell] if isinstance(effect, np.ndarray) else effect)
    Y = np.full((len(cell), width), np.nan)
    Y[:, :n_options] = weighted[cell, :n_options] / weight_sum[:, None]
    table = {
        "cell": cell,
        "Y": Y,
        "n": n,
        "n_raw": n_raw[cell],
        "weight_sum": weight_sum,
        "missing": respondents[cell, n_options:],
        "left_out": respondents[:, n_options:].sum(axis=0),
        "left_out_weight": weighted[:, n_options:].sum(axis=0),
    }
    if fold is not None:
        row_of_cell = np.full(n_backgrounds, -1)
        row_of_cell[cell] = np.arange(len(cell))
        flat = (row_of_cell[background[answered]] * n_folds + fold[answered]) * width + option[answered]
        counts = np.bincount(flat, weights=weight[answered], minlength=len(cell) * n_folds * width)
        table["folds"] = counts.reshape(len(cell), n_folds, width) * (n / weight_sum)[:, None, None]
    return table


def _check_columns(
    data: pd.DataFrame, backgrounds: Sequence[str], answers: Mapping[str, Question] | Question, others: list[Any]
) -> tuple[list[str], dict[str, Question]]:
    if not isinstance(data, pd.DataFrame):
        raise TypeError(f"data must be a pandas DataFrame, one row a respondent, got {type(data).__name__}")
    if isinstance(backgrounds, str) or not isinstance(backgrounds, Sequence | pd.Index | np.ndarray):
        raise TypeError(f"backgrounds must be a list of columns, got {backgrounds!r}")
    backgrounds = list(backgrounds)
    if not backgrounds:
        raise ValueError("backgrounds is empty: name at least one column that describes the respondents")
    named = {other for other in others if isinstance(other, str)}
    if isinstance(answers, Question):
        rest = [column for column in data.columns if column not in backgrounds and column not in named]
        if len(rest) != 1:
            raise ValueError(f"which column holds the answers? Write answers={{column: question}}; candidates: {rest}")
        answers = {rest[0]: answers}
    if not isinstance(answers, Mapping):
        raise TypeError(f"answers must be a mapping from columns to Question, got {answers!r}")
    if not answers:
        raise ValueError("answers is empty: name at least one column and its Question")
    for column, question in answers.items():
        if not isinstance(question, Question):
            raise TypeError(f"answers[{column!r}] must be a Question, got {question!r}")
    for parameter, columns in (("backgrounds", backgrounds), ("answers", list(answers))):
        for column in columns:
            if not isinstance(column, str):
                raise TypeError(f"{parameter} must be names of columns (str), got {column!r}")
            if column not in data.columns:
                close = difflib.get_close_matches(column, [str(c) for c in data.columns], n=3)
                raise ValueError(
                    f"{parameter}: data has no column {column!r}"
                    + (f"; did you mean {' or '.join(map(repr, close))}?" if close else f": it has {list(data)}")
                )
        repeated = sorted({column for column in columns if columns.count(column) > 1})
        if repeated:
            raise ValueError(f"{parameter} names {repeated} more than once")
    overlap = [column for column in backgrounds if column in answers]
    if overlap:
        raise ValueError(f"{overlap} are both backgrounds and answers: a question cannot be explained by itself")
    if QUESTION_COLUMN in backgrounds:
        raise ValueError(f"a background may not be called {QUESTION_COLUMN!r}, the column of X that names the question")
    used = {*backgrounds, *answers, *named}
    twice = [column for column in dict.fromkeys(data.columns[data.columns.duplicated()]) if column in used]
    if twice:
        raise ValueError(f"data has several columns called {twice}: rename them, so that it is clear which is meant")
    if len(data) == 0:
        raise ValueError("data is empty: it has no respondents")
    return backgrounds, dict(answers)


def _check_names(
    missing: Missing, labels: Mapping[str, Any] | None, backgrounds: list[str], questions: Mapping[str, Question]
) -> None:
    unknown = [column for column in missing.question_columns() if column not in questions]
    if unknown:
        raise ValueError(f"missing declares codes for {unknown}, which are not questions: {list(questions)}")
    if labels is not None and not isinstance(labels, Mapping):
        raise TypeError(f"labels must be a mapping of backgrounds to {{code: label}}, got {labels!r}")
    unknown = [column for column in labels or () if column not in backgrounds]
    if unknown:
        raise ValueError(f"labels names {unknown}, which are not backgrounds: {backgrounds}")


def _read_backgrounds(data: pd.DataFrame, columns: list[str], labels: Mapping[str, Any] | None) -> pd.DataFrame:
    read = {}
    for column in columns:
        try:
            values = blank_to_missing(data[column])
        except TypeError as error:  # lists and other values that cannot be compared
            raise TypeError(f"background {column!r} must hold single values (text, numbers): {error}") from None
        read[column] = apply_labels(values, labels[column]) if labels and column in labels else values
    return pd.DataFrame(read)


def _code_all(data: pd.DataFrame, questions: Mapping[str, Question], missing: Missing) -> dict[str, CodedAnswers]:
    coded, unknown = {}, []
    for name, question in questions.items():
        try:
            coded[name] = code_answers(data[name], question, missing)
        except UnknownAnswersError as error:  # all of them at once: a codebook is read once, not question by question
            unknown.append(str(error))
    if unknown:
        raise ValueError(
            "answers that match no option. "
            + ". ".join(unknown[:5])
            + (f". And {len(unknown) - 5} more questions" if len(unknown) > 5 else "")
            + ". If they stand for a missing answer, declare them: missing={-1: 'skipped', 98: \"don't know\", "
            "99: 'refused'}; else give the Question codes."
        )
    if missing.policy == "option" and not any(
        kind_of_text(option) in MISSING_OPTIONS for answer in coded.values() for option in answer.question.options
    ):
        raise ValueError(
            'missing=\'option\' finds no "don\'t know" or "refused" answers to turn into options: declare their codes, '
            "missing=Missing('option', {98: \"don't know\"})"
        )
    if missing.policy == "error":
        found = []
        for name, answer in coded.items():
            counts = np.bincount(answer.option, minlength=answer.question.n_options + len(MISSING_KINDS))
            kinds = zip(MISSING_KINDS, counts[answer.question.n_options :], strict=True)
            found += [f"{name!r}: {kind} {count:,}" for kind, count in kinds if count]
        if found:
            raise ValueError(f"missing='error' and answers are missing: {'; '.join(found)}")
    return coded


def _report_unanswered(questions: Mapping[str, Question], tables: list[dict[str, Any]]) -> None:
    unanswered = [name for name, table in zip(questions, tables, strict=True) if len(table["cell"]) == 0]
    if len(unanswered) == len(tables):
        raise ValueError(f"all answers are missing: nobody answered {unanswered}")
    if unanswered:
        warn(f"nobody answered {unanswered}: these questions have no cells")


def _excluded(names: list[str], tables: list[dict[str, Any]], n_weightless: int) -> pd.DataFrame:
    rows: list[tuple[str, str, int, float, int]] = []
    if n_weightless:
        rows.append(("", "weight 0", n_weightless, 0.0, n_weightless))
    for name, table in zip(names, tables, strict=True):
        in_cells = table["missing"].sum(axis=0)
        for i, kind in enumerate(MISSING_KINDS):
            left_out = int(table["left_out"][i])
            if left_out:
                rows.append((name, kind, left_out, float(table["left_out_weight"][i]), left_out - int(in_cells[i])))
    return pd.DataFrame(rows, columns=["question", "reason", "respondents", "weight_sum", "outside_cells"])
