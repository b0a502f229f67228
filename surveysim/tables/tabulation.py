"""From a survey file, one row per respondent, to cells: distributions of answers by background."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from surveysim.errors import warn
from surveysim.questions import Question
from surveysim.tables.answers import CodedAnswers
from surveysim.tables.backgrounds import combine, level_codes
from surveysim.tables.cell_tables import CellTable, list_excluded, tabulate_question
from surveysim.tables.cells import QUESTION_COLUMN, Cells
from surveysim.tables.columns import check_columns, check_names, code_questions, read_backgrounds
from surveysim.tables.design import FinitePopulation, LonelyUnits, SampleDesign, read_design
from surveysim.tables.design_effects import check_deff, design_effects
from surveysim.tables.folds import Folds, assign_folds, read_folds
from surveysim.tables.missing import MISSING_KINDS, Missing, MissingCodes, as_missing
from surveysim.tables.replicates import Replicates, ReplicateWeights, read_replicates
from surveysim.tables.respondents import PerRespondent, read_weights
from surveysim.tables.share_variance import DomainAnswers

__all__ = ["tabulate"]


def tabulate(
    data: pd.DataFrame,
    backgrounds: Sequence[str],
    answers: Mapping[str, Question] | Question,
    *,
    weights: PerRespondent | None = None,
    labels: Mapping[str, Mapping[Hashable, str | None]] | None = None,
    missing: str | MissingCodes | Missing = "drop",
    strata: PerRespondent | None = None,
    cluster: PerRespondent | None = None,
    fpc: FinitePopulation = None,
    lonely: LonelyUnits = "centre",
    replicate_weights: ReplicateWeights | None = None,
    deff: float | Mapping[str, float] | None = None,
    folds: Folds = None,
) -> Cells:
    """Tabulate answers by background: the X, Y and n that estimators are fitted on.

    Parameters
    ----------
    data : DataFrame of shape (n_respondents, n_columns)
        The survey file, one row per respondent.
    backgrounds : list of str
        Columns that describe a respondent. Their dtypes are kept; an ordered categorical stays ordered. Missing
        values are a level of their own ("not stated").
    answers : mapping of str to Question
        The column of each question. An answer matches an option's text (case and spacing apart), else one of the
        question's codes, else, where it has no codes, the integers 1..K; 3, 3.0 and "3" are the same. A single Question
        is accepted if `data` has just one column that is not named elsewhere.
    weights : str or array of shape (n_respondents,), optional
        Survey weights, at least 0, on any scale.
    labels : mapping of str to mapping, optional
        For coded backgrounds: code to label, ``{"educ": {1: "low", 2: "middle", 3: "high", 9: None}}``. The
        background becomes a categorical in this order, ordered unless the column is an unordered categorical
        (``data["region"].astype("category")``: levels without an order). Codes labelled None are missing.
    missing : {"drop", "option", "error"}, mapping or Missing, default="drop"
        What happens to missing answers. Blanks count as "not asked". Numbers that mean "no answer" have to be
        declared, ``{-1: "skipped", 98: "don't know", 99: "refused"}``, with a policy: ``Missing("option", {...})``;
        text that says so ("Don't know", "Refusal", "No answer", "Not applicable") is understood.
    strata, cluster : str or array of shape (n_respondents,), optional
        The sample's strata and clusters (primary sampling units, taken as numbered within their stratum). The design
        effect is estimated from them, unless `deff` is given, and folds keep clusters whole.
    fpc : number, mapping of stratum to number, str or array of shape (n_respondents,), optional
        Sampling units in the population, for the finite population correction; or the sampled fraction, where no
        value is above 1.
    lonely : {"centre", "certainty", "fail"}, default="centre"
        What happens to strata with a single sampling unit: centred at the mean of all units, which errs on the safe
        side; taken as drawn with certainty; or refused.
    replicate_weights : ReplicateWeights, optional
        The design effect is estimated from these, in place of strata and clusters.
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
    surveysim.survey_estimates : Shares, means and differences with design-based intervals.

    Notes
    -----
    With weights w_i, the cell's n is Kish's (sum w)^2 / sum w^2 (Kish 1965, Survey Sampling, section 11.7), divided
    by the design effect. From `strata`, `cluster`, `fpc` or `replicate_weights` that is estimated per question on the
    whole sample by Taylor linearisation or replication, pooled over the options and relative to Kish's n (found in
    ``design_effect`` of the result). A cell with many respondents has its own; to small ones it is transferred by
    Kish's rate of homogeneity: a cell with few respondents per cluster loses little. Where strata were drawn
    disproportionately, Kish's n is too small, since it takes weights to be unrelated to the answers: name the strata.
    The formulas are in ``surveysim.tables.design_effects``.

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim import Question, tabulate
    >>> survey = pd.DataFrame(
    ...     {"sex": ["f", "f", "f", "m"], "weight": [1.0, 1.0, 2.0, 1.0], "happy": [1, 1, 2, 2]}
    ... )
    >>> cells = tabulate(
    ...     survey,
    ...     ["sex"],
    ...     {"happy": Question("Are you happy?", ["yes", "no"])},
    ...     weights="weight",
    ... )
    >>> cells.X["sex"].tolist()
    ['f', 'm']
    >>> cells.Y
    array([[0.5, 0.5],
           [0. , 1. ]])
    >>> cells.n.round(2)
    array([2.67, 1.  ])
    """
    policy = as_missing(missing)
    named = [weights, strata, cluster, fpc, folds]
    backgrounds, questions = check_columns(data, backgrounds, answers, named)
    check_names(policy, labels, backgrounds, questions)
    sample = _read_sample(data, questions, weights, (strata, cluster, fpc, lonely), replicate_weights, deff, folds)
    data = data.loc[sample.kept, [*backgrounds, *questions]]
    respondents = read_backgrounds(data, backgrounds, labels)
    background, first = combine([level_codes(respondents[column]) for column in backgrounds])
    coded = code_questions(data, questions, policy)
    width = max(answer.question.n_options for answer in coded.values())

    tables: dict[str, CellTable] = {}
    effects: dict[str, float] = {}
    for name, answer in coded.items():
        answered = DomainAnswers(answer.option, background, sample.weight, len(first), answer.question.n_options)
        effects[name], of_cells = sample.effects(name, answered)
        tables[name] = tabulate_question(answer, answered, of_cells, sample.fold, sample.n_folds, width)
    _report_unanswered(tables)
    by_background = respondents.iloc[first].reset_index(drop=True)
    return _join(coded, tables, by_background, effects, list_excluded(tables, int((~sample.kept).sum())))


@dataclass(frozen=True)
class _Sample:
    """Weights, design and folds of the respondents with a positive weight (`kept`, boolean over all rows)."""

    kept: np.ndarray
    weight: np.ndarray
    design: SampleDesign | Replicates | None
    deff: dict[str, float] | None
    fold: np.ndarray | None
    n_folds: int

    def effects(self, question: str, answers: DomainAnswers) -> tuple[float, np.ndarray]:
        """The design effect of a question, and of each of its cells."""
        if self.deff is not None:
            return self.deff[question], np.full(answers.n_domains, self.deff[question])
        if self.design is None:
            return 1.0, np.ones(answers.n_domains)
        return design_effects(answers, self.design)


def _read_sample(
    data: pd.DataFrame,
    questions: Mapping[str, Question],
    weights: PerRespondent | None,
    drawn: tuple[PerRespondent | None, PerRespondent | None, FinitePopulation, LonelyUnits],
    replicate_weights: ReplicateWeights | None,
    deff: float | Mapping[str, float] | None,
    folds: Folds,
) -> _Sample:
    """The parameters that describe how respondents were drawn, read and without the respondents of weight 0."""
    given_deff = check_deff(deff, questions)
    weight = read_weights(data, weights)
    kept = weight > 0
    design = read_design(data, *drawn)
    replicates = read_replicates(data, replicate_weights, weight)
    if replicates is not None and weights is None:
        raise ValueError("replicate_weights need weights=, the survey weight that they are replicates of")
    fold_ids = read_folds(data, folds)
    if isinstance(fold_ids, pd.Series):
        fold_ids = fold_ids[kept]
    if design is not None:
        design = design.subset(kept)
    fold, n_folds = (None, 0) if fold_ids is None else assign_folds(fold_ids, design, int(kept.sum()))
    source = design if replicates is None else replicates.subset(kept)
    return _Sample(kept, weight[kept], source, given_deff, fold, n_folds)


def _join(
    coded: Mapping[str, CodedAnswers],
    tables: Mapping[str, CellTable],
    by_background: pd.DataFrame,
    effects: dict[str, float],
    excluded: pd.DataFrame,
) -> Cells:
    """The tables of all questions as one `Cells`."""
    parts = list(tables.values())
    X = by_background.iloc[np.concatenate([table.cell for table in parts])].reset_index(drop=True)
    if len(tables) > 1:
        names = np.repeat(np.array(list(tables), dtype=object), [len(table.cell) for table in parts])
        X.insert(0, QUESTION_COLUMN, names)
    folds = [table.folds for table in parts if table.folds is not None]
    return Cells(
        X=X,
        Y=np.concatenate([table.Y for table in parts]),
        n=np.concatenate([table.n for table in parts]),
        questions={name: answer.question for name, answer in coded.items()},
        n_raw=np.concatenate([table.n_raw for table in parts]),
        weight_sum=np.concatenate([table.weight_sum for table in parts]),
        missing=pd.DataFrame(np.concatenate([table.missing for table in parts]), columns=list(MISSING_KINDS)),
        excluded=excluded,
        folds=np.concatenate(folds) if folds else None,
        design_effect=effects,
        n_kish=np.concatenate([table.kish for table in parts]),
    )


def _report_unanswered(tables: Mapping[str, CellTable]) -> None:
    unanswered = [name for name, table in tables.items() if len(table.cell) == 0]
    if len(unanswered) == len(tables):
        raise ValueError(f"all answers are missing: nobody answered {unanswered}")
    if unanswered:
        warn(f"nobody answered {unanswered}: these questions have no cells")
