"""`read_survey`: from the file that a survey gave to questions, backgrounds and weights that `tabulate` takes."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from surveysim.datasets.backgrounds import check_bands
from surveysim.datasets.files import open_survey
from surveysim.datasets.multiple import split_answers
from surveysim.datasets.proposal import AGE_BANDS, MAX_LEVELS, MAX_OPTIONS, Choices, build_survey, require_variables
from surveysim.datasets.raw import RawSurvey
from surveysim.datasets.survey import Report, Survey
from surveysim.questions import Question
from surveysim.tables.missing import MissingCodes, as_missing

__all__ = ["read_survey"]


def read_survey(
    path: str | Path | pd.DataFrame,
    *,
    questions: Sequence[str] | Mapping[str, Question | None] | None = None,
    backgrounds: Sequence[str] | Mapping[str, str] | None = None,
    weight: str | None = "auto",
    strata: str | None = None,
    cluster: str | None = None,
    missing: MissingCodes | None = None,
    ordinal: Mapping[str, bool] | None = None,
    age_bands: Sequence[float] = AGE_BANDS,
    variable_labels: Mapping[str, str] | None = None,
    value_labels: Mapping[str, Mapping[Hashable, str]] | None = None,
    context: str | None = None,
    max_options: int = MAX_OPTIONS,
    max_levels: int = MAX_LEVELS,
    columns: Sequence[str] | None = None,
    encoding: str | None = None,
    catalog: str | Path | None = None,
) -> Survey:
    """Read a survey file and propose its questions, backgrounds and weight.

    It proposes; you decide. ``survey.variables`` says for every variable what it was taken for and why, and the
    parameters below overrule it. Nothing is left out silently: ``survey.report`` lists and counts it.

    Parameters
    ----------
    path : str, Path or DataFrame
        SPSS (.sav, .zsav, .por), Stata (.dta), SAS (.sas7bdat, .xpt), CSV (.csv, .tsv, .tab), Excel (.xlsx) or Parquet;
        or a table that you have read yourself.
    questions : list of str or mapping of str to Question, optional
        Variables that are questions. None proposes every variable with value labels that is not a background, weight or
        identifier. In a mapping, a Question is taken as given and None is proposed.
    backgrounds : list of str or mapping of str to str, optional
        Variables that describe respondents; a mapping gives the names that `data` and the prompt should use,
        ``{"eisced": "education"}``. None proposes those recognised by their name or label.
    weight : str or None, default="auto"
        The survey weight. "auto" takes the only one that is recognised, and says so if only its name suggests it; with
        several candidates it takes none and says so.
    strata, cluster : str, optional
        Design variables, as for `tabulate`.
    missing : mapping, optional
        Codes that mean no answer, on top of what the file says: ``{-1: "skipped", "trust": {8: "don't know"}}``, as in
        `surveysim.tables.Missing`; None in place of a kind says that a code is an answer. Codes for all variables leave
        codes alone whose labels are answers.
    ordinal : mapping of str to bool, optional
        Whether the options of a question, or the levels of a background, have an order.
    age_bands : sequence of int, default=(30, 45, 65)
        Where age groups begin, the first apart: under 30, 30-44, 45-64, 65 or older.
    variable_labels : mapping of str to str, optional
        Wording of questions, on top of the file's.
    value_labels : mapping of str to mapping, optional
        Code to label, on top of the file's; for CSV and Parquet the only ones.
    context : str, optional
        Survey, country and year, for the prompt of every question.
    max_options : int, default=20
        A variable with more is not proposed as a question.
    max_levels : int, default=80
        A background with more is not proposed.
    columns : list of str, optional
        Variables to read; the others stay in the file.
    encoding : str, optional
        Encoding of the file's text, if the file does not say, or gives the wrong one.
    catalog : str or Path, optional
        The .sas7bcat file with the value labels of a .sas7bdat file.

    Returns
    -------
    Survey

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is truncated, encrypted, empty, in another encoding or another format; if a variable that you name
        does not exist or cannot have the role you give it; if the weight that you name is negative.
    ImportError
        If pyreadstat (SPSS, Stata, SAS), openpyxl (Excel) or pyarrow (Parquet) is not installed.

    Warns
    -----
    SurveyWarning
        Once, listing the kinds of anomalies: values without labels, labels without values, duplicated labels, weights
        of zero, and so on. Doubtful decisions are listed with the line of code that overrules them.

    See Also
    --------
    read_ess, read_wvs, read_gss : Readers that know the variables of a survey.
    surveysim.tabulate : What comes next.

    Notes
    -----
    *Missing answers.* A label such as "Don't know", "N.S./N.C." or "keine Angabe" (31 languages, in a table of the
    package) makes its code a missing answer of that kind, and so does your `missing`. Labels that may be either are
    decided by the place of their code: 8, 9, 88, 99, -1 after a gap, or beside other missing answers. A code that the
    file declares missing, with a label that gives no reason, counts as "no answer". They stay in `data` as text, so
    that ``tabulate(..., missing="option")`` can make options of "don't know" and "refused".

    *Order.* Options are in the order of their codes. Whether they are a scale is read from the labels: numbers, ladders
    of words ("never" to "always"), two poles with shades, shades of one word, in 29 languages. Where nothing is
    recognised the question is nominal. "Other" and "none of these" are pinned last.

    *Several answers.* Columns that are filled or blank, and texts that join choices, become a question for each choice,
    with the options "Not selected" and "Selected".

    *Backgrounds.* Age in years becomes an ordered categorical ``"age group"``; education, income and class are ordered
    by their codes; others keep the order of the codes without being ordered.

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim.datasets import read_survey
    >>> table = pd.DataFrame(
    ...     {"sex": ["f", "m", "f", "m"], "age": [20, 35, 50, 71], "trust": [1, 2, 8, 3]}
    ... )
    >>> survey = read_survey(
    ...     table,
    ...     variable_labels={"trust": "How much do you trust the parliament?"},
    ...     value_labels={"trust": {1: "a lot", 2: "some", 3: "not at all", 8: "Don't know"}},
    ... )
    >>> survey
    Survey(4 respondents, 1 questions
      backgrounds: sex, age group
      weight: none
      report: empty)
    >>> survey.questions["trust"]
    Question('How much do you trust the parliament?', ['a lot', 'some', 'not at all'], codes=[1, 2, 3])
    >>> survey.tabulate(["sex"]).n_raw
    array([1, 2])
    """
    raw, source = _open(path, columns, encoding, catalog)
    raw.variable_labels |= variable_labels or {}
    raw.value_labels |= {name: dict(labels) for name, labels in (value_labels or {}).items()}
    choices = Choices(
        questions=None if questions is None else _as_questions(questions),
        backgrounds=None if backgrounds is None else _as_names(backgrounds),
        weight=weight,
        strata=strata,
        cluster=cluster,
        missing=as_missing(dict(missing or {})),
        ordinal=dict(ordinal or {}),
        age_bands=check_bands(age_bands),
        variable_labels=raw.variable_labels,
        value_labels=raw.value_labels,
        context=context,
        max_options=max_options,
        max_levels=max_levels,
        believe_order=_orders_are_meant(raw.data),
    )
    split_answers(raw, _named(choices))
    named = [*(variable_labels or {}), *(value_labels or {}), *choices.ordinal]
    require_variables(list(dict.fromkeys(named)), raw.data, "variable_labels, value_labels or ordinal")
    require_variables(choices.missing.question_columns(), raw.data, "missing")
    report = Report()
    for variable, what, respondents, detail in raw.findings:
        report.warn(variable, what, respondents, detail)
    survey = build_survey(raw, choices, report)
    survey.DESCR = f"{source}: {len(survey.data):,} respondents, {raw.data.shape[1]:,} variables, read as it is."
    survey.terms = "The terms of whoever gave you the file."
    survey.source = source
    report.issue(source)
    return survey


def _open(
    path: str | Path | pd.DataFrame, columns: Sequence[str] | None, encoding: str | None, catalog: str | Path | None
) -> tuple[RawSurvey, str]:
    """The file, or the user's table, and what it is called in messages."""
    if not isinstance(path, pd.DataFrame):
        raw = open_survey(path, columns=columns, encoding=encoding, catalog=catalog)
        return raw, raw.path.name
    table = path.set_axis([str(column) for column in path.columns], axis=1)
    if columns is not None:
        require_variables(columns, table, "columns")
        table = table[list(columns)]
    twice = table.columns[table.columns.duplicated()].unique().tolist()
    if twice:
        raise ValueError(f"the table has several columns called {twice}: rename them")
    if len(table) == 0:
        raise ValueError("the table has no respondents")
    return RawSurvey(Path("data"), table), "the table"


def _named(choices: Choices) -> set[str]:
    """Variables that the user wants as they are."""
    design = {choices.weight, choices.strata, choices.cluster} - {None}
    return {*(choices.questions or {}), *(choices.backgrounds or {}), *map(str, design)}


def _orders_are_meant(data: pd.DataFrame) -> bool:
    """Whether ordered categoricals were ordered by somebody: `pd.read_stata` orders every variable with labels."""
    categoricals = [dtype for dtype in data.dtypes if isinstance(dtype, pd.CategoricalDtype)]
    return not categoricals or not all(dtype.ordered for dtype in categoricals)


def _as_questions(questions: Sequence[str] | Mapping[str, Question | None]) -> dict[str, Question | None]:
    if isinstance(questions, str):
        raise TypeError(f"questions must be a list of variables or a mapping, got {questions!r}")
    if isinstance(questions, Mapping):
        for name, question in questions.items():
            if question is not None and not isinstance(question, Question):
                raise TypeError(f"questions[{name!r}] must be a Question or None, got {question!r}")
        return dict(questions)
    return dict.fromkeys(questions)


def _as_names(backgrounds: Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    if isinstance(backgrounds, str):
        raise TypeError(f"backgrounds must be a list of variables or a mapping, got {backgrounds!r}")
    return dict(backgrounds) if isinstance(backgrounds, Mapping) else {name: name for name in backgrounds}
