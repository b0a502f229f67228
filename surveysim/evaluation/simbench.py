"""The SimBench score: as published, with an interval, and without the noise of the human answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from surveysim.distributions import check_distributions, option_mask
from surveysim.errors import warn
from surveysim.evaluation.expected import SHARE_TERMS, expected_terms
from surveysim.evaluation.resampling import check_confidence, draw_sums, percentile_interval
from surveysim.interfaces import RandomState
from surveysim.parameters import as_generator, check_number

__all__ = ["SimBenchScore", "simbench_score"]

COLUMNS = ("total_variation", "uniform", "debiased", "debiased_uniform", "floor")


@dataclass(frozen=True)
class SimBenchScore:
    """A score of SimBench and what it rests on.

    Attributes
    ----------
    score : float
        As published: 100 is a perfect prediction, 0 no better than equal shares, negative worse.
    interval : (float, float)
        For other questions of the same data sets.
    debiased : float
        The same without the noise of the human answers, which are samples; NaN where group sizes are not known.
    debiased_interval : (float, float)
    ceiling : float
        The published score that a perfect prediction would have, because of that noise; NaN likewise.
    by_dataset : DataFrame
        A row for each data set: rows, questions, mean total variation of the prediction and of equal shares, and the
        three scores with their intervals.
    n_rows, n_missing : int
        Rows that were scored, and rows without a prediction.
    confidence : float

    Examples
    --------
    >>> from surveysim.evaluation import simbench_score
    >>> human, model = (
    ...     [[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]],
    ...     [[0.8, 0.2], [0.5, 0.5], [0.3, 0.7]],
    ... )
    >>> result = simbench_score(human, model, group_size=100)
    >>> round(result.score, 1), round(result.ceiling, 1)
    (62.5, 88.2)
    """

    score: float
    interval: tuple[float, float]
    debiased: float
    debiased_interval: tuple[float, float]
    ceiling: float
    by_dataset: pd.DataFrame
    n_rows: int
    n_missing: int
    confidence: float

    def __str__(self) -> str:
        low, high = self.interval
        lines = [f"SimBench score {self.score:.2f} ({self.confidence:.0%} interval {low:.2f} to {high:.2f})"]
        if not np.isnan(self.debiased):
            low, high = self.debiased_interval
            lines.append(
                f"without the noise of the human answers {self.debiased:.2f} ({low:.2f} to {high:.2f}); as published, "
                f"a perfect prediction would score {self.ceiling:.2f}"
            )
        if self.n_missing:
            lines.append(f"{self.n_missing:,} of {self.n_rows + self.n_missing:,} rows have no prediction")
        return "\n".join(lines)


def simbench_score(
    Y_true: ArrayLike,
    Y_pred: ArrayLike,
    datasets: ArrayLike | None = None,
    *,
    questions: ArrayLike | None = None,
    group_size: ArrayLike | None = None,
    confidence: float = 0.9,
    n_draws: int = 2000,
    random_state: RandomState = 0,
) -> SimBenchScore:
    r"""The SimBench score of predicted distributions, as published and without the noise of the human answers.

    Parameters
    ----------
    Y_true : array-like of shape (n, K)
        Human answers, NaN past the last option of a shorter question.
    Y_pred : array-like of shape (n, K)
        Predictions. Rows of NaN only are missing: the published score leaves them out, and so they are counted.
    datasets : array-like of shape (n,), optional
        The data set of each row (``dataset_name``). None: all rows are of one.
    questions : array-like of shape (n,), optional
        The question of each row: rows of a question are drawn together. None: each row is a question of its own.
    group_size : float or array-like of shape (n,), optional
        Respondents behind each row's human answers. None, or NaN in a row: it counts as exact.
    confidence : float, default=0.9
        Of the intervals.
    n_draws : int, default=2000
        Of the bootstrap.
    random_state : int, RandomState, Generator or None, default=0

    Returns
    -------
    SimBenchScore

    Raises
    ------
    ValueError
        If a row is no distribution, arrays differ in length, a group size is not positive, or no row has a prediction.

    Warns
    -----
    SurveysimWarning
        If rows have no prediction.

    Notes
    -----
    *As published* (Hu et al. 2025, equations 1 and 2, and the authors' ``calculate_simbench_score.py``). With TV the
    total variation, P_i the human answers to row i, Q_i the prediction, U_i equal shares, and D the rows of the row's
    data set,

    .. math:: S_i = 100 \left(1 - \frac{TV(P_i, Q_i)}{\frac{1}{|D|} \sum_{j \in D} TV(P_j, U_j)}\right),

    and the score is the mean of S_i over all rows, so that large data sets count more. The denominator is the data
    set's, since for a single row it can be 0.

    *Debiased* (ours). Human answers are shares of a sample, which lie farther from any prediction than the population
    does: the score of a perfect prediction is not 100 but the `ceiling`. Total variation has no unbiased estimate, so
    the truth is moved towards the prediction, within each data set by the factor that leaves the mean squared distance
    that there is without sampling noise (which has an unbiased estimate), and what samples around it add on average,
    summed exactly over binomial counts, is subtracted from TV(P_i, Q_i); likewise for TV(P_i, U_i). It is not clipped.
    In 24 simulated settings (``python -m benchmarks.simbench --simulate``: five options, 50 to 1,000 respondents a
    group, predictions from perfect to worse than equal shares) it was 94 to 100 on average for perfect predictions,
    which scored 45 to 94 as published, and else within 2 points of the score against the population.

    *Intervals* draw the questions of each data set with replacement; data sets stay. They say how far the score would
    be off for other questions of the same surveys, not for other surveys.

    References
    ----------
    Hu, T., Baumann, J., Lupo, L., Collier, N., Hovy, D. and Roettger, P. (2025). SimBench: Benchmarking the Ability of
    Large Language Models to Simulate Human Behaviors. arXiv:2510.17516.

    Examples
    --------
    >>> from surveysim.evaluation import simbench_score
    >>> human, model = [[0.9, 0.1], [0.6, 0.4]], [[0.8, 0.2], [0.5, 0.5]]
    >>> result = simbench_score(
    ...     human, model, ["ESS", "ESS"]
    ... )  # 100 (1 - 0.1 / ((0.4 + 0.1) / 2)), twice
    >>> round(result.score, 6)
    60.0
    """
    check_confidence(confidence)
    check_number("n_draws", n_draws, integer=True, low=1)
    P = check_distributions(Y_true, name="Y_true")
    Q = check_distributions(Y_pred, name="Y_pred", missing_rows=True)
    P, Q, given = _aligned(P, Q)
    dataset = _per_row(datasets, len(P), "datasets", "")
    question = _per_row(questions, len(P), "questions", None)
    n = _sizes(group_size, len(P))
    if not given.all():
        warn(
            f"{int((~given).sum()):,} of {len(given):,} rows have no prediction: like the published score, this one is "
            "the mean over the others, which flatters a model that fails on hard questions"
        )
    numbers = _numbers(P, Q, given, n, dataset)
    generator = as_generator(random_state)
    table, draws = [], []
    for name in dict.fromkeys(dataset.tolist()):
        own = dataset == name
        table.append((name, numbers[own], given[own], question[own]))
        draws.append(draw_sums(_columns(numbers[own], given[own]), question[own], n_draws, generator))
    return _summary(table, draws, bool(np.isfinite(n).any()), confidence)


def _aligned(P: np.ndarray, Q: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both with as many columns, checked row by row; and which rows have a prediction."""
    if len(P) != len(Q):
        raise ValueError(f"Y_true has {len(P)} rows, but Y_pred has {len(Q)}")
    width = max(P.shape[1], Q.shape[1])
    P, Q = (np.pad(A, ((0, 0), (0, width - A.shape[1])), constant_values=np.nan) for A in (P, Q))
    given = ~np.isnan(Q).all(axis=1)
    if not given.any():
        raise ValueError("Y_pred is NaN in every row: there is nothing to score")
    wrong = np.flatnonzero(given & (option_mask(P) != option_mask(Q)).any(axis=1))
    if len(wrong):
        row = int(wrong[0])
        raise ValueError(
            f"row {row}: Y_true has {option_mask(P)[row].sum()} options, Y_pred {option_mask(Q)[row].sum()}"
        )
    return P, Q, given


def _per_row(values: ArrayLike | None, n_rows: int, name: str, default: str | None) -> np.ndarray:
    if values is None:
        return np.arange(n_rows) if default is None else np.full(n_rows, default, dtype=object)
    array = np.asarray(values, dtype=object)
    if array.shape != (n_rows,):
        raise ValueError(f"{name} must have one entry for each of {n_rows} rows, got shape {array.shape}")
    return array


def _sizes(group_size: ArrayLike | None, n_rows: int) -> np.ndarray:
    """Respondents of each row, infinite where they are not known."""
    if group_size is None:
        return np.full(n_rows, np.inf)
    n = np.asarray(group_size, dtype=float)
    n = np.full(n_rows, float(n)) if n.ndim == 0 else n
    if n.shape != (n_rows,):
        raise ValueError(f"group_size must have one number for each of {n_rows} rows, got shape {n.shape}")
    n = np.where(np.isnan(n), np.inf, n)
    wrong = np.flatnonzero(n <= 0)
    if len(wrong):
        raise ValueError(f"group_size is {n[wrong[0]]} in row {wrong[0]}: it must be positive")
    return np.maximum(n, 1.0)


def _numbers(P: np.ndarray, Q: np.ndarray, given: np.ndarray, n: np.ndarray, dataset: np.ndarray) -> np.ndarray:
    """For each row the total variations of `COLUMNS`, NaN where there is no prediction."""
    U = np.where(option_mask(P), 1.0 / option_mask(P).sum(axis=1, keepdims=True), np.nan)
    raw, uniform = _tv(P, Q), _tv(P, U)
    # a row without a prediction takes equal shares' place here, and none in the sums
    excess = _excess(P, np.where(given[:, None], Q, U), n, dataset)
    excess_uniform = _excess(P, U, n, dataset)
    known = np.isfinite(n)
    floor = np.zeros(len(P))
    floor[known] = _expected(P[known], P[known], n[known])
    return np.column_stack([raw, uniform, raw - excess, uniform - excess_uniform, floor])


def _tv(P: np.ndarray, Q: np.ndarray) -> np.ndarray:
    return np.asarray(np.abs(np.nan_to_num(P) - np.nan_to_num(Q)).sum(axis=1) / 2)


def _excess(P: np.ndarray, Q: np.ndarray, n: np.ndarray, dataset: np.ndarray) -> np.ndarray:
    """What sampling adds to the total variation between a sample and a prediction, on average."""
    gaps = np.nan_to_num(P - Q)
    squares = (gaps**2).sum(axis=1)
    q = np.nan_to_num(P)
    noise = np.where(n > 1, (q * (1 - q)).sum(axis=1) / np.maximum(n - 1, 1e-9), squares)
    result = np.zeros(len(P))
    for name in set(dataset.tolist()):
        rows = np.flatnonzero((dataset == name) & np.isfinite(n))
        if not len(rows) or squares[rows].sum() == 0:
            continue
        part = np.clip(1 - noise[rows].sum() / squares[rows].sum(), 0.0, 1.0)
        centre = np.nan_to_num(Q[rows]) + np.sqrt(part) * gaps[rows]
        result[rows] = _expected(centre, Q[rows], n[rows]) - _tv(centre, Q[rows])
    return result


def _expected(centre: np.ndarray, against: np.ndarray, n: np.ndarray) -> np.ndarray:
    """The mean total variation (m,) between `against` and samples of n from `centre`."""
    if not len(centre):
        return np.zeros(0)
    q = np.clip(np.nan_to_num(centre), 0.0, 1.0)
    terms = expected_terms(
        q.reshape(-1), np.repeat(n, q.shape[1]), SHARE_TERMS["total_variation"], np.nan_to_num(against).reshape(-1)
    )
    return np.asarray(terms.reshape(q.shape).sum(axis=1))


def _columns(numbers: np.ndarray, given: np.ndarray) -> np.ndarray:
    """What is summed in a draw: numerators over rows with a prediction, denominators over all, and both counts."""
    ours = np.where(given[:, None], numbers[:, [0, 2, 4]], 0.0)
    return np.column_stack([ours, numbers[:, [1, 3]], given, np.ones(len(given))])


def _scores(sums: np.ndarray) -> np.ndarray:
    """Published score, debiased score and ceiling of one data set, from sums (..., 7)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        means = sums[..., :3] / sums[..., 5:6]
        norms = sums[..., 3:5] / sums[..., 6:7]
        result = 100 * (1 - means / norms[..., [0, 1, 0]])
    return np.where(norms[..., [0, 1, 0]] > 0, result, np.nan)


def _summary(
    table: list[tuple[str, np.ndarray, np.ndarray, np.ndarray]], draws: list[np.ndarray], sized: bool, confidence: float
) -> SimBenchScore:
    names = ("score", "debiased", "ceiling")
    rows, weights, values, drawn = [], [], [], []
    for (name, numbers, given, question), sums in zip(table, draws, strict=True):
        own = _scores(_columns(numbers, given).sum(axis=0))
        n_questions = len(set(question.tolist()))
        row: dict[str, Any] = {"dataset": name, "rows": int(given.sum()), "questions": n_questions}
        row["total_variation"] = numbers[given, 0].mean() if given.any() else np.nan
        row["uniform"] = numbers[:, 1].mean()
        scores = _scores(sums)
        for k, what in enumerate(names):
            row[what] = own[k]
            if what != "ceiling":
                row[f"{what}_low"], row[f"{what}_high"] = percentile_interval(scores[:, k], confidence, n_questions)
        rows.append(row)
        weights.append(int(given.sum()))
        values.append(own)
        drawn.append(scores)
    frame = pd.DataFrame(rows)
    if not sized:
        frame.loc[:, ["debiased", "debiased_low", "debiased_high", "ceiling"]] = np.nan
    weight = np.array(weights, dtype=float)
    defined = (weight > 0) & np.isfinite(np.array(values)[:, 0])
    if not defined.any():
        raise ValueError("every data set's human answers are equal shares: the score is not defined")
    weight = weight[defined] / weight[defined].sum()
    total = weight @ np.array(values)[defined]
    spread = np.tensordot(weight, np.stack([d for d, is_defined in zip(drawn, defined, strict=True) if is_defined]), 1)
    units = int(frame["questions"].sum())
    intervals = [percentile_interval(spread[:, k], confidence, units) for k in range(2)]
    nothing = (float("nan"), float("nan"))
    return SimBenchScore(
        score=float(total[0]),
        interval=intervals[0],
        debiased=float(total[1]) if sized else float("nan"),
        debiased_interval=intervals[1] if sized else nothing,
        ceiling=float(total[2]) if sized else float("nan"),
        by_dataset=frame,
        n_rows=int(sum(weights)),
        n_missing=int(sum(len(given) for _, _, given, _ in table) - sum(weights)),
        confidence=confidence,
    )
