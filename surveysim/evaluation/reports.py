"""For which groups predictions fail: a report per group or attribute, the worst first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from surveysim.evaluation.comparison import Rows, check_rows
from surveysim.evaluation.floors import noise_floor
from surveysim.evaluation.levels import Groups, groups_of
from surveysim.evaluation.resampling import check_confidence, choose_resampled, draw_sums, percentile_interval
from surveysim.metrics import js_divergence, opinion_alignment
from surveysim.parameters import as_generator, check_number
from surveysim.questions import Question, as_questions

__all__ = ["group_report"]

# Each figure is a ratio of sums over questions, so that one resampling serves them all.
FIGURES = {
    "alignment": ("alignment_sum", "ordinal"),
    "divergence": ("raw", "one"),
    "divergence_debiased": ("debiased", "one"),
    "gap_inflation": ("gap_product", "gap_square"),
    "variance_ratio": ("variance_predicted", "variance_true"),
}

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
    by: str = "group",
    min_respondents: float = 1.0,
    confidence: float = 0.9,
    n_draws: int = 1000,
    random_state: Any = 0,
) -> pd.DataFrame:
    r"""How well each group is predicted, the worst first.

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
        Of the intervals: a bootstrap over questions from 5 questions on, else over the truth's respondents, and none
        (NaN) where the truth is exact.
    n_draws : int, default=1000
    random_state : int, RandomState, Generator or None, default=0

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
        - ``gap_inflation``: what share of the predicted gap between the group and everybody is borne out: 1 just right,
          0.2 exaggerated fivefold, above 1 understated, negative the wrong way round. The same meaning as
          ``gap_inflation_`` of the estimators. NaN where no gap is predicted, or the group is everybody;
        - ``variance_ratio``: variance of the predicted answers within the group over that of people's. Below 1 the
          group is made more uniform than it is;
        - ``<figure>_low``, ``<figure>_high``: interval of each, and ``resampled``: what it rests on.

    Raises
    ------
    ValueError
        If a row is no distribution or lacks a prediction, X has no backgrounds, or nobody has respondents.

    Notes
    -----
    Cells are pooled within each group and question, and figures averaged over questions. With d = q_g - q the observed
    and e = p_g - p the predicted gap of group g to everybody, as shares of options,

    .. math:: \text{gap inflation} = \frac{\sum_q \langle d_q, e_q \rangle}{\sum_q \langle e_q, e_q \rangle},

    the slope of the observed on the predicted, which the truth's noise does not bias (in the slope the other way round
    it would). It does assume that the prediction has not seen the truth's respondents. The variance is that of option
    positions, scaled to a range of 1, for ordinal questions, and :math:`1 - \sum_k p_k^2` for nominal ones;
    the truth's is multiplied by n / (n - 1).

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim.evaluation import group_report
    >>> X = pd.DataFrame({"sex": ["f", "m"]})
    >>> report = group_report(X, [[0.2, 0.3, 0.5], [0.4, 0.3, 0.3]], [[0.2, 0.3, 0.5], [0.5, 0.3, 0.2]])
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
    groups = rows.groups("attribute")
    values = _scales(groups, rows.Y.shape[1], question)
    sums = _sums(rows, groups, rows.Y, values, min_respondents)
    unit = np.array([f"{a}\n{g}" for a, g in zip(groups.attribute, groups.label, strict=True)], dtype=object)
    unit = groups.attribute if by == "attribute" else unit
    names = list(dict.fromkeys(unit))
    n_questions = len(set(groups.question))
    resampled = choose_resampled("auto", n_questions, 1, exact_truth=rows.n is None)
    draws = _draws(rows, groups, sums, unit, names, values, min_respondents, resampled, n_draws, random_state)
    floors, ceilings = np.zeros(len(groups)), np.full(len(groups), 100.0)
    respondents = rows.respondents(groups)
    if respondents is not None:
        truth = groups.pool(rows.Y, rows.population)
        floors = noise_floor(truth, respondents, average=False)
        ceilings = _ceilings(truth, respondents, values)
    found = []
    for i, name in enumerate(names):
        own = sums[unit == name].sum()
        attribute, _, group = name.partition("\n")
        line: dict[str, Any] = {"attribute": attribute}
        if by == "group":
            line["group"] = group
        count = own["one"]
        line["n_questions"] = len(set(groups.question[(unit == name) & (sums["one"] > 0).to_numpy()]))
        line["respondents"] = _ratio(own["respondents"], count) if respondents is not None else float("nan")
        for figure, (above, below) in FIGURES.items():
            line[figure] = _ratio(own[above], own[below])
        chosen = np.flatnonzero((unit == name) & (sums["one"] > 0).to_numpy())
        line["floor"] = floors[chosen].mean() if len(chosen) else float("nan")
        told = chosen[sums["ordinal"].to_numpy()[chosen] > 0]
        line["alignment_ceiling"] = ceilings[told].mean() if len(told) else float("nan")
        for figure in FIGURES:
            low, high = percentile_interval(draws[figure][:, i], confidence) if resampled else (np.nan, np.nan)
            lowest, highest = BOUNDS.get(figure, (-np.inf, np.inf))
            line[f"{figure}_low"], line[f"{figure}_high"] = max(low, lowest), min(high, highest)
        line["resampled"] = resampled or ""
        found.append(line)
    found += _empty_groups(X, rows, question_column) if by == "group" else []
    report = pd.DataFrame(found)
    order = np.argsort(-report["divergence_debiased"].to_numpy(), kind="stable")  # NaN goes last
    return report.iloc[order].reset_index(drop=True)


def _scales(groups: Groups, width: int, question: Question | Mapping[str, Question] | None) -> np.ndarray | None:
    """Positions of each group's options; a row of NaN where the question is nominal. None: equally spaced."""
    questions = as_questions(question)
    if questions is None:
        return None
    values = np.full((len(groups), width), np.nan)
    only = next(iter(questions.values())) if len(questions) == 1 else None
    for i, name in enumerate(groups.question):
        asked = only if only is not None and name in ("", *questions) else questions.get(name)
        if asked is None:
            raise ValueError(f"X names the question {name!r}, which question= does not have: {list(questions)}")
        values[i, : asked.n_options] = asked.positions[:width]
    return values


def _sums(
    rows: Rows, groups: Groups, truth: np.ndarray, values: np.ndarray | None, min_respondents: float
) -> pd.DataFrame:
    """What each group and question adds to the figures' numerators and denominators."""
    Y, P = groups.pool(truth, rows.population), groups.pool(rows.P, rows.population)
    n = rows.respondents(groups)
    counted = np.ones(len(groups), dtype=bool) if n is None else n >= min_respondents
    exists = ~np.isnan(Y)
    everybody = rows.groups("population")
    place = {name: i for i, name in enumerate(everybody.question)}
    whole = np.array([place[name] for name in groups.question])
    gap = np.nan_to_num(Y - everybody.pool(truth, rows.population)[whole])
    predicted = np.nan_to_num(P - everybody.pool(rows.P, rows.population)[whole])
    raw = js_divergence(Y, P, average=False)
    width = Y.shape[1]
    positions = np.where(exists, np.arange(1.0, width + 1), np.nan) if values is None else values
    ordinal = (~np.isnan(positions)).sum(axis=1) > 1
    alignment = np.full(len(groups), np.nan)
    if ordinal.any():
        alignment[ordinal] = opinion_alignment(Y[ordinal], P[ordinal], values=positions[ordinal], average=False)
    told = ordinal & ~np.isnan(alignment)
    scale = n / np.maximum(n - 1, 1e-9) if n is not None else np.ones(len(groups))
    if n is not None:
        scale = np.where(n > 1, scale, np.nan)  # one answer has no variance
    variance_true = _variance(Y, positions) * scale
    variance_predicted = _variance(P, positions)
    both = ~np.isnan(variance_true) & ~np.isnan(variance_predicted)
    square = (predicted**2).sum(axis=1)
    square = np.where(square > 1e-20, square, 0.0)  # the rest is rounding: everybody differs from nobody
    frame = pd.DataFrame(
        {
            "one": np.ones(len(groups)),
            "respondents": 0.0 if n is None else n,
            "raw": raw,
            "debiased": raw if n is None else js_divergence(Y, P, average=False, truth_respondents=n),
            "alignment_sum": np.where(told, alignment, 0.0),
            "ordinal": told.astype(float),
            "gap_product": (gap * predicted).sum(axis=1),
            "gap_square": square,
            "variance_predicted": np.where(both, variance_predicted, 0.0),
            "variance_true": np.where(both, variance_true, 0.0),
        }
    )
    frame.loc[~counted] = 0.0
    return frame


def _ceilings(Y: np.ndarray, n: np.ndarray, values: np.ndarray | None) -> np.ndarray:
    """The alignment that a perfect prediction would have with a truth of n respondents; NaN for nominal questions."""
    ordinal = np.ones(len(Y), dtype=bool) if values is None else (~np.isnan(values)).sum(axis=1) > 1
    result = np.full(len(Y), np.nan)
    if ordinal.any():
        positions = None if values is None else values[ordinal]
        result[ordinal] = noise_floor(
            Y[ordinal], n[ordinal], "opinion_alignment", values=positions, average=False, n_draws=200
        )
    return result


def _variance(P: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Variance of the answers: of positions on a scale of length 1, or 1 - sum of squares without a scale."""
    on_scale = ~np.isnan(positions)
    nominal = on_scale.sum(axis=1) < 2
    shares = np.where(on_scale, np.nan_to_num(P), 0.0)
    mass = shares.sum(axis=1, keepdims=True)
    shares = np.divide(shares, mass, out=np.full_like(shares, np.nan), where=mass > 0)
    x = np.nan_to_num(positions)
    length = np.ptp(np.where(on_scale, positions, x[:, :1]), axis=1) if len(P) else np.zeros(0)
    mean = (shares * x).sum(axis=1, keepdims=True)
    spread = (shares * (x - mean) ** 2).sum(axis=1) / np.where(length > 0, length, 1.0) ** 2
    return np.where(nominal, 1 - (np.nan_to_num(P) ** 2).sum(axis=1), spread)


def _draws(
    rows: Rows,
    groups: Groups,
    sums: pd.DataFrame,
    unit: np.ndarray,
    names: list[str],
    values: np.ndarray | None,
    min_respondents: float,
    resampled: str | None,
    n_draws: int,
    random_state: Any,
) -> dict[str, np.ndarray]:
    """Each figure in each draw, arrays (n_draws, n_units)."""
    generator = as_generator(random_state)
    columns = sorted({column for pair in FIGURES.values() for column in pair})
    if resampled is None:
        return {}
    number = np.array([names.index(name) for name in unit])
    if resampled == "questions":
        wide = np.zeros((len(sums), len(names), len(columns)))
        wide[np.arange(len(sums)), number] = sums[columns].to_numpy()
        drawn = draw_sums(wide, groups.question, n_draws, generator)
    else:
        drawn = _redrawn(rows, groups, number, len(names), columns, values, min_respondents, n_draws, generator)
        own = np.zeros((len(names), len(columns)))
        np.add.at(own, number, sums[columns].to_numpy())
        drawn += own - drawn.mean(axis=0)  # a sample of a sample has its noise twice
    at = {column: i for i, column in enumerate(columns)}
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            figure: np.where(drawn[..., at[below]] > 0, drawn[..., at[above]] / drawn[..., at[below]], np.nan)
            for figure, (above, below) in FIGURES.items()
        }


def _redrawn(
    rows: Rows,
    groups: Groups,
    number: np.ndarray,
    n_units: int,
    columns: list[str],
    values: np.ndarray | None,
    min_respondents: float,
    n_draws: int,
    generator: np.random.Generator,
) -> np.ndarray:
    """The sums for truths drawn anew, with replacement, within each cell."""
    assert rows.n is not None
    size = np.maximum(np.round(rows.n), 1).astype(np.int64)
    exists = ~np.isnan(rows.Y)
    shares = np.nan_to_num(rows.Y)
    shares = shares / shares.sum(axis=1, keepdims=True)
    drawn = np.zeros((min(n_draws, 300), n_units, len(columns)))  # 300 tell a 90% interval to a tenth of its width
    for draw in drawn:
        truth = np.where(exists, generator.multinomial(size, shares) / size[:, None], np.nan)
        np.add.at(draw, number, _sums(rows, groups, truth, values, min_respondents)[columns].to_numpy())
    return drawn


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
