"""How many respondents a model saves: first against a statistical model, and only beside that against raw cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.interpolate import PchipInterpolator
from sklearn.isotonic import isotonic_regression

from surveysim.evaluation.curves.protocol import FLOOR, SAMPLE, SURVEY_COLUMNS
from surveysim.evaluation.curves.run import BASELINE
from surveysim.evaluation.curves.summaries import curve_rows, curve_unit
from surveysim.evaluation.curves.truth_jackknife import WITHOUT
from surveysim.evaluation.equivalents import is_too_noisy
from surveysim.evaluation.random_surveys import respondents_for
from surveysim.evaluation.report_levels import LEVELS, check_level
from surveysim.evaluation.resampling import check_confidence, draw_respondents, draw_sums, percentile_interval
from surveysim.interfaces import RandomState
from surveysim.parameters import as_generator, check_number

__all__ = ["respondents_saved"]

ROUNDING = 1e-9
"""A model that is the baseline itself, to rounding, needs as many respondents, at the smallest size too."""

SMALLEST = 1e-12
"""Of an expected divergence: draws from few splits have wide tails, which reach below 0."""

FINE_SIZES = np.exp(np.linspace(np.log(16.0), np.log(65536.0), 97))


def respondents_saved(
    n_train: int,
    curve: pd.DataFrame,
    *,
    models: str | Sequence[str] | None = None,
    reference: Literal["baseline", "cells"] = "baseline",
    baseline: str = BASELINE,
    levels: Sequence[str] = LEVELS,
    confidence: float = 0.9,
    n_draws: int = 1000,
    random_state: RandomState = 0,
) -> pd.DataFrame:
    """Find how many respondents a reference would need to come as close to the truth as a model trained on `n_train`.

    Parameters
    ----------
    n_train : int
        One of the curve's sizes.
    curve : DataFrame
        From `respondent_curve`, with the models, the baseline and several sizes around `n_train`.
    models : str or list of str, optional
        Default: all models of the curve but the baseline (with ``reference="cells"``, the baseline too).
    reference : {"baseline", "cells"}, default="baseline"
        "baseline": the order-aware logit fitted to a sample, as measured in the curve. That is what the language model
        saves. "cells" adds, *beside* these rows, the savings against raw cells, that is a random survey whose shares
        are taken as they are: the headline figure of papers, which any model with a little smoothing achieves.
    baseline : str, default="order-aware logit"
        Its name in the curve.
    levels : list of str, default=("cell", "attribute", "population")
    confidence : float, default=0.9
        Of the intervals: a bootstrap over questions; where there are fewer than 5, over respondents (see
        `compare_models`), or over splits, which is too narrow, if the curve does not tell those.
    n_draws : int, default=1000
    random_state : int, RandomState, Generator or None, default=0

    Returns
    -------
    DataFrame
        A row per reference, model and level: ``needed`` respondents, with ``low`` and ``high``; ``saved`` = 1 -
        n_train / needed, negative where the model needs more, with ``saved_low`` and ``saved_high``; ``resampled``; and
        ``note``, which gives the reason where ``needed`` is NaN: the truth is too noisy (its floor is over half of the
        divergence), or needed respondents outside the curve's sizes, which are not extrapolated. An interval that
        reaches beyond them ends in 0 or infinity.

    Raises
    ------
    ValueError
        If `n_train`, a model or the baseline is not in the curve, the baseline was measured at fewer than two sizes, or
        (``reference="cells"``) the floor's columns of random surveys are missing.

    Notes
    -----
    The baseline's debiased divergence is made to fall throughout (isotonic regression) and interpolated linearly in
    logarithms between measured sizes. `needed` is the size at which this curve is as many times its value at `n_train`
    as the model's divergence is the baseline's there, so that a model that equals the baseline needs `n_train`
    respondents although single points lie off the curve. Random surveys are as in `equivalent_respondents`.

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim.evaluation import respondents_saved
    >>> runs = [
    ...     (model, n, 0, "cell", f"Q{q}", 10, D / n + 0.001, D / n)
    ...     for q in range(6)
    ...     for model, n, D in [
    ...         ("logit", 200, 2),
    ...         ("logit", 400, 2),
    ...         ("mine", 200, 1.6),
    ...         ("floor", 200, 0),
    ...         ("floor", 400, 0),
    ...     ]
    ... ]
    >>> columns = ["model", "n", "split", "level", "question", "n_groups", "js", "js_debiased"]
    >>> saved = respondents_saved(
    ...     200, pd.DataFrame(runs, columns=columns), baseline="logit", levels=["cell"]
    ... )
    >>> saved[["model", "level", "needed", "saved"]].round(2)
      model level  needed  saved
    0  mine  cell   250.0    0.2
    """
    if reference not in ("baseline", "cells"):
        raise ValueError(f"reference must be 'baseline' or 'cells', got {reference!r}")
    check_confidence(confidence)
    check_number("n_draws", n_draws, integer=True, low=1)
    chosen_levels = [levels] if isinstance(levels, str) else list(levels)
    for level in chosen_levels:
        check_level(level)
    chosen = _choose_models(curve, models, baseline, reference)
    references = ["baseline"] if reference == "baseline" else ["baseline", "cells"]
    measured = set(curve["level"]) if isinstance(curve, pd.DataFrame) and "level" in curve else set()
    found = []
    for kind in references:
        for name in chosen:
            if kind == "baseline" and name == baseline:
                continue
            for level in chosen_levels:
                row: dict[str, Any] = {"reference": baseline if kind == "baseline" else "raw cells"}
                row |= {"model": name, "level": level, "n_train": n_train}
                if level in measured:
                    rows = curve_rows(curve, level)
                    row |= _save(rows, n_train, name, kind, baseline, confidence, n_draws, as_generator(random_state))
                else:
                    row |= _nothing("no group of this level had enough held-out respondents")
                found.append(row)
    return pd.DataFrame(found)


def _choose_models(curve: pd.DataFrame, models: str | Sequence[str] | None, baseline: str, reference: str) -> list[str]:
    present = list(dict.fromkeys(curve["model"])) if isinstance(curve, pd.DataFrame) and "model" in curve else []
    if baseline not in present:
        raise ValueError(
            f"the curve has no model {baseline!r} to compare with; it has {present}. respondent_curve adds the "
            "baselines unless baselines=False."
        )
    if models is None:
        return [name for name in present if name not in (SAMPLE, FLOOR) and (name != baseline or reference == "cells")]
    chosen = [models] if isinstance(models, str) else list(models)
    absent = [name for name in chosen if name not in present]
    if absent:
        raise ValueError(f"the curve has no models {absent}; it has {present}")
    return chosen


def _save(
    rows: pd.DataFrame,
    n_train: int,
    name: str,
    kind: str,
    baseline: str,
    confidence: float,
    n_draws: int,
    generator: np.random.Generator,
) -> dict[str, Any]:
    own = rows[(rows["model"] == name) & (rows["n"] == n_train)]
    if own.empty:
        known = sorted(set(rows.loc[rows["model"] == name, "n"]))
        raise ValueError(f"{name!r} was not measured at n_train={n_train!r}; the curve has the sizes {known}")
    noise = _mean(rows[(rows["model"] == FLOOR) & (rows["n"] == n_train)], "js")
    if is_too_noisy(_mean(own, "js"), noise):
        return _nothing("the truth's noise is over half of the divergence, so the figure cannot be determined")
    unit = curve_unit(rows[rows["model"].isin([name, baseline, FLOOR])])
    column = "question" if unit == "questions" else "split"
    reference_rows = rows[(rows["model"] == FLOOR) & (rows["n"] == n_train)] if kind == "cells" else rows
    sizes, k, units, numbers = _numbers(own, reference_rows, kind, baseline, column, "js_debiased")
    if unit == "respondents":
        parts = [_numbers(own, reference_rows, kind, baseline, column, value)[-1].sum(axis=0) for value in WITHOUT]
        drawn = draw_respondents(numbers, np.array(parts), n_draws, generator)
    else:
        drawn = draw_sums(numbers, units, n_draws, generator)
    drawn = np.vstack([numbers.sum(axis=0), drawn])
    own_mean = drawn[:, 0] / drawn[:, k]
    n_sizes = len(sizes)
    weights = drawn[:, k + 1 + n_sizes :]
    reference = drawn[:, k + 1 : k + 1 + n_sizes] / (weights if weights.shape[1] == n_sizes else weights[:, :1])
    if kind == "baseline":
        needed = _solve_measured(own_mean, reference, sizes, n_train)
    else:
        needed = _solve_survey(own_mean, reference, sizes)
    low, high = percentile_interval(needed[1:], confidence, None if unit == "respondents" else len(numbers))
    if kind == "baseline":  # what lies outside the measured sizes is only known to lie outside
        low, high = (sizes[-1] if low > sizes[-1] else low), (sizes[0] if high < sizes[0] else high)
    value, note = float(needed[0]), ""
    if kind == "baseline" and not sizes[0] <= value <= sizes[-1]:
        more = value > sizes[-1]
        note = f"{'more' if more else 'fewer'} than {sizes[-1] if more else sizes[0]:,.0f}: outside the curve's sizes"
        value = float("nan")
    with np.errstate(divide="ignore"):
        saved, saved_low, saved_high = (1 - n_train / np.array([value, low, high])).tolist()
    return {
        "needed": value,
        "low": low,
        "high": high,
        "saved": saved,
        "saved_low": saved_low,
        "saved_high": saved_high,
        "resampled": unit,
        "note": note,
    }


def _numbers(
    own: pd.DataFrame, other: pd.DataFrame, kind: str, baseline: str, column: str, value: str
) -> tuple[np.ndarray, int, np.ndarray, np.ndarray]:
    """The reference's sizes, and of each unit the model's total and groups, then the reference's at each size.

    The second is the place of the model's groups among the columns.
    """
    model = _sums(own, [value], column)
    if kind == "baseline":
        sizes, E, units = _baseline_sums(other, baseline, column, value)
    else:
        sizes = np.array(list(SURVEY_COLUMNS.values()), dtype=np.float64)
        absent = [survey for survey in SURVEY_COLUMNS if survey not in other.columns]
        if absent:
            raise ValueError(f"the curve lacks the columns {absent}: it must be what respondent_curve returned")
        table = _sums(other, list(SURVEY_COLUMNS), column)
        E, units = table.to_numpy(), table.index
    shared = model.index.intersection(units)
    D = model.loc[shared].to_numpy()
    return sizes, D.shape[1] - 1, shared.to_numpy(), np.column_stack([D, E[units.get_indexer(shared)]])


def _nothing(note: str) -> dict[str, Any]:
    numbers = dict.fromkeys(["needed", "low", "high", "saved", "saved_low", "saved_high"], float("nan"))
    return {**numbers, "resampled": "", "note": note}


def _mean(rows: pd.DataFrame, value: str) -> float:
    return float(np.average(rows[value], weights=rows["n_groups"])) if len(rows) else 0.0


def _sums(rows: pd.DataFrame, values: list[str], unit: str) -> pd.DataFrame:
    """Sums over the groups of each unit, and in the last column how many there are."""
    products = rows[values].mul(rows["n_groups"], axis=0).assign(groups=rows["n_groups"])
    return products.groupby(rows[unit]).sum()


def _baseline_sums(rows: pd.DataFrame, baseline: str, unit: str, value: str) -> tuple[np.ndarray, np.ndarray, pd.Index]:
    """Per unit the baseline's sums at each size, then its groups at each size."""
    own = rows[rows["model"] == baseline]
    sizes = np.array(sorted(set(own["n"])), dtype=np.float64)
    if len(sizes) < 2:
        raise ValueError(
            f"{baseline!r} was measured at only {len(sizes)} size: how many respondents it would need is read from "
            "its curve, so run respondent_curve with several sizes, some of them larger"
        )
    tables = [_sums(own[own["n"] == n], [value], unit) for n in sizes]
    joined = pd.concat([table[value] for table in tables] + [table["groups"] for table in tables], axis=1).dropna()
    return sizes, joined.to_numpy(), joined.index


def _solve_measured(D: np.ndarray, measured: np.ndarray, sizes: np.ndarray, n_train: int) -> np.ndarray:
    """The N at which a falling curve through the measured points is D / measured(n_train) of what it is at n_train.

    Parameters
    ----------
    D : float64 array of shape (n_draws,)
        The model's divergence.
    measured : float64 array of shape (n_draws, n_sizes)
        The baseline's.
    sizes : float64 array of shape (n_sizes,)
    n_train : int
        Where the curve is flat, the size nearest to it counts.

    Returns
    -------
    float64 array of shape (n_draws,)
        0 and infinite outside the sizes.
    """
    here = np.flatnonzero(sizes == n_train)
    result = np.empty(len(D))
    log_sizes = np.log(sizes)
    for i, (value, points) in enumerate(zip(D, measured, strict=True)):
        falling = isotonic_regression(points, increasing=False)
        if len(here):  # a baseline off its own falling curve must not count for or against the model beside it
            own, on_curve = points[here[0]], falling[here[0]]
            value = on_curve * value / own if own > 0 and on_curve > 0 else value - own + on_curve
        if value <= 0 or value < falling[-1] * (1 - ROUNDING):
            result[i] = np.inf
        elif value > falling[0] * (1 + ROUNDING):
            result[i] = 0.0
        else:
            positive = falling > 0
            at, sizes_at = np.log(falling[positive]), log_sizes[positive]
            at = np.where(np.abs(at - np.log(value)) <= ROUNDING, np.log(value), at)
            last = np.interp(-np.log(value), -at, sizes_at)  # of equal points interp takes the last
            first = np.interp(np.log(value), at[::-1], sizes_at[::-1])
            flat_here = first - ROUNDING <= np.log(n_train) <= last + ROUNDING
            nearest = n_train if flat_here else np.exp(first if np.log(n_train) < first else last)
            result[i] = np.clip(nearest, sizes[0], sizes[-1])
    return result


def _solve_survey(D: np.ndarray, expected: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The survey that is as far from the truth, on a finer grid than was kept."""
    expected = np.maximum(expected, SMALLEST)
    fine = np.exp(PchipInterpolator(np.log(sizes), np.log(expected), axis=1)(np.log(FINE_SIZES)))
    return respondents_for(D, fine, FINE_SIZES)
