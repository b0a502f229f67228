"""For which groups predictions fail: a report by group or attribute, the worst first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from surveysim.evaluation.comparison import Rows, check_rows
from surveysim.evaluation.report_levels import groups_of
from surveysim.evaluation.reported_groups import COLUMNS, ReportedGroups
from surveysim.evaluation.resampling import check_confidence, choose_resampled, percentile_interval
from surveysim.evaluation.source_columns import sources_of_lines
from surveysim.interfaces import Predictor, RandomState
from surveysim.parameters import as_generator, check_number
from surveysim.questions import Question, as_questions

__all__ = ["group_report"]

FIGURES = {
    "alignment": ("alignment", "ordinal"),
    "divergence": ("raw", "one"),
    "divergence_debiased": ("debiased", "one"),
    "gap_inflation": ("gap_product", "gap_square"),
    "variance_ratio": ("variance_predicted", "variance_true"),
}
"""Each figure is a ratio of sums over questions (`COLUMNS`), so that one resampling serves them all."""

MAX_TRUTHS = 300
"""So many draws tell the ends of a 90% interval to a tenth of its width."""

BOUNDS = {"alignment": (0.0, 100.0), "divergence": (0.0, 1.0), "variance_ratio": (0.0, np.inf)}


def group_report(
    X: pd.DataFrame,
    Y_true: ArrayLike,
    Y_pred: ArrayLike,
    *,
    truth_respondents: ArrayLike | None = None,
    question: Question | Mapping[str, Question] | None = None,
    question_column: str = "question",
    population: ArrayLike | None = None,
    by: Literal["group", "attribute"] = "group",
    min_respondents: float = 1.0,
    confidence: float = 0.9,
    n_draws: int = 1000,
    random_state: RandomState = 0,
    model: Predictor | None = None,
) -> pd.DataFrame:
    r"""Report how well each group is predicted, the worst first.

    Parameters
    ----------
    X : DataFrame of shape (n_cells, n_columns)
        Backgrounds, and the question column if there are several questions.
    Y_true, Y_pred : array-like of shape (n_cells, K)
        Truth and prediction.
    truth_respondents : float or array-like of shape (n_cells,), optional
        Respondents that each row's truth rests on; rows with 0 have no truth and may hold NaN. None: it is exact.
    question : Question or mapping of str to Question, optional
        Which options lie on a scale, and where. None: every question is on an equally spaced scale.
    question_column : str, default="question"
    population : array-like of shape (n_cells,), optional
        People that each row stands for, by which cells are pooled; default `truth_respondents`.
    by : {"group", "attribute"}, default="group"
        A row per group of a single attribute (women), or per attribute (all groups of sex together).
    min_respondents : float, default=1
        Groups with fewer respondents on a question do not count there.
    confidence : float, default=0.9
        Confidence level of the intervals: a bootstrap over questions if there are at least 5, else over the truth's
        respondents, and none (NaN) if the truth is exact.
    n_draws : int, default=1000
    random_state : int, RandomState, Generator or None, default=0
    model : fitted `surveysim.FusedRegressor`, optional
        Whose sources are shown beside: what each was worth for the group. None: nothing of it.

    Returns
    -------
    DataFrame
        Sorted by ``divergence_debiased``, the largest first; groups without respondents last, with NaN.

        - ``attribute``, ``group`` (with ``by="group"``), ``n_questions``, ``respondents`` (mean per question; NaN where
          the truth is exact);
        - ``alignment``: opinion alignment, 0 to 100, over the ordinal questions, NaN without any; and
          ``alignment_ceiling``, that of a perfect prediction;
        - ``divergence``, ``divergence_debiased``, ``floor``: mean Jensen-Shannon divergence in bits, raw, without the
          truth's noise, and that of a perfect prediction;
        - ``gap_inflation``: the share of the predicted gap between the group and everybody that is borne out: 1 just
          right, 0.2 exaggerated fivefold, above 1 understated, negative in the wrong direction; as ``gap_inflation_``
          of the estimators. NaN where no gap is predicted, or the group is everybody;
        - ``variance_ratio``: variance of the predicted answers within the group over that of people's. Below 1 the
          group is made more uniform than it is;
        - ``<figure>_low``, ``<figure>_high``: interval of each, and ``resampled``: what it rests on;
        - with `model`, for each of its sources ``worth of <source>`` and ``worth of <source> alone``: as if so many
          more real respondents had answered in each of the group's training cells, given the other sources and without
          them. With ``by="attribute"`` also ``slope of <source>``, how much of what it says of the attribute's groups
          is believed, and for people ``drift of <source>``, how far these have moved since, apart from everybody (the
          standard deviation on the scale of logits for a step of typical length). NaN for a group that training did
          not have.

    Raises
    ------
    TypeError, ValueError
        If a row is not a distribution or lacks a prediction, X has no backgrounds, nobody has respondents, or `model`
        is no fitted fusion with sources.

    See Also
    --------
    SourceWorthDisplay : Draws what sources were worth.

    Notes
    -----
    Cells are pooled within each group and question, and figures averaged over questions. With d = q_g - q the observed
    and e = p_g - p the predicted gap of group g to everybody, as shares of options,

    .. math:: \text{gap inflation} = \frac{\sum_q \langle d_q, e_q \rangle}{\sum_q \langle e_q, e_q \rangle},

    the slope of the observed on the predicted, which the truth's noise does not bias (it would bias the reverse slope).
    It does assume that the prediction has not seen the truth's respondents. The variance is that of option positions,
    scaled to a range of 1, for ordinal questions, and :math:`1 - \sum_k p_k^2` for nominal ones; the truth's is
    multiplied by n / (n - 1).

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim.evaluation import group_report
    >>> X = pd.DataFrame({"sex": ["f", "m"]})
    >>> report = group_report(
    ...     X, [[0.2, 0.3, 0.5], [0.4, 0.3, 0.3]], [[0.2, 0.3, 0.5], [0.5, 0.3, 0.2]]
    ... )
    >>> report[["group", "alignment", "divergence", "gap_inflation", "variance_ratio"]].round(3)
      group  alignment  divergence  gap_inflation  variance_ratio
    0     m       90.0       0.011          0.667           0.884
    1     f      100.0       0.000          0.667           1.000
    """
    if by not in ("group", "attribute"):
        raise ValueError(f"by must be 'group' or 'attribute', got {by!r}")
    check_confidence(confidence)
    check_number("n_draws", n_draws, integer=True, low=1)
    check_number("min_respondents", min_respondents, low=0)
    if not isinstance(X, pd.DataFrame):
        raise TypeError(f"X must be a pandas DataFrame of backgrounds, got {type(X).__name__}")
    rows = check_rows(
        Y_true,
        Y_pred,
        truth_respondents=truth_respondents,
        X=X,
        question_column=question_column,
        population=population,
    )
    names = list(dict.fromkeys(rows.groups("attribute").question))
    reported = ReportedGroups.of(rows, by, as_questions(question), min_respondents)
    resampled = choose_resampled("auto", len(names), 1, exact_truth=rows.n is None)
    ends = _ends(reported, resampled, confidence, n_draws, as_generator(random_state))
    found = [line | _figures(reported, i) | ends[i] for i, line in enumerate(reported.lines)]
    found += _empty_groups(X, rows, question_column) if by == "group" else []
    report = pd.DataFrame(found)
    if model is not None:
        report = pd.concat([report, sources_of_lines(model, report)], axis=1)
    order = np.argsort(-report["divergence_debiased"].to_numpy(), kind="stable")  # NaN goes last
    return report.iloc[order].reset_index(drop=True)


def _figures(reported: ReportedGroups, number: int) -> dict[str, Any]:
    """The figures of one line, in the order in which they stand there."""
    own = reported.totals[number]
    at = {name: own[place] for place, name in enumerate(COLUMNS)}
    line: dict[str, Any] = {"n_questions": len(set(reported.groups.question[reported.told(number)]))}
    exact = reported.rows.n is None
    line["respondents"] = float("nan") if exact else _ratio(at["respondents"], at["one"])
    line |= {figure: _ratio(at[above], at[below]) for figure, (above, below) in FIGURES.items()}
    line["floor"], line["alignment_ceiling"] = reported.perfect(number)
    return line


def _ends(
    reported: ReportedGroups,
    resampled: str | None,
    confidence: float,
    n_draws: int,
    generator: np.random.Generator,
) -> list[dict[str, Any]]:
    """For each line the interval of each figure, and what it rests on."""
    n_lines = len(reported.lines)
    drawn = np.full((1, n_lines, len(COLUMNS)), np.nan)
    n_units = None
    if resampled == "questions":
        drawn = reported.draw_questions(n_draws, generator)
        n_units = len(set(reported.groups.question))
    elif resampled == "respondents":
        drawn = reported.draw_truths(min(n_draws, MAX_TRUTHS), generator)
    place = {name: i for i, name in enumerate(COLUMNS)}
    found: list[dict[str, Any]] = [{} for _ in range(n_lines)]
    for figure, (above, below) in FIGURES.items():
        total = drawn[..., place[below]]
        ratios = np.divide(drawn[..., place[above]], total, out=np.full(total.shape, np.nan), where=total > 0)
        lowest, highest = BOUNDS.get(figure, (-np.inf, np.inf))
        for line, own in zip(found, ratios.T, strict=True):
            low, high = percentile_interval(own, confidence, n_units)
            line[f"{figure}_low"], line[f"{figure}_high"] = max(low, lowest), min(high, highest)
    return [line | {"resampled": resampled or ""} for line in found]


def _empty_groups(X: pd.DataFrame, rows: Rows, question_column: str) -> list[dict[str, Any]]:
    """A line for each group of X of which the truth has nobody."""
    found = groups_of(X, len(X), "attribute", question_column=question_column)
    known = rows.groups("attribute")
    present = set(zip(known.attribute, known.label, strict=True))
    pairs = dict.fromkeys(zip(found.attribute, found.label, strict=True))
    return [
        {"attribute": attribute, "group": group, "n_questions": 0, "respondents": 0.0, "resampled": ""}
        for attribute, group in pairs
        if (attribute, group) not in present
    ]


def _ratio(above: float, below: float) -> float:
    return float(above / below) if below > 0 else float("nan")
