"""Respondent curves in a table: means over questions and splits, and differences between models with intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd

from surveysim.evaluation.curves.truth_jackknife import WITHOUT
from surveysim.evaluation.report_levels import check_level
from surveysim.evaluation.resampling import (
    FEW_QUESTIONS,
    check_confidence,
    draw_respondents,
    draw_sums,
    percentile_interval,
)
from surveysim.interfaces import RandomState
from surveysim.parameters import as_generator, check_number

__all__ = ["VALUES", "compare_models", "curve_rows", "curve_unit", "summarise_curve"]

ROUNDING = 1e-12
"""Models are the same where their divergences differ by no more, relative to their size."""

VALUES = ("js", "js_debiased", "skill", "cross_entropy")


def summarise_curve(curve: pd.DataFrame, value: str = "js_debiased", level: str = "cell") -> pd.DataFrame:
    """Average over groups, questions and splits: a row per model, a column per training size.

    Parameters
    ----------
    curve : DataFrame
        From `respondent_curve`.
    value : {"js_debiased", "js", "skill", "cross_entropy"}, default="js_debiased"
    level : {"cell", "attribute", "population"}, default="cell"

    Returns
    -------
    DataFrame
        Divergences: every group of every question counts alike, then every split. Cross-entropy: every answer.

    Raises
    ------
    ValueError
        If columns are missing or the level was not measured.

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim.evaluation import summarise_curve
    >>> runs = [
    ...     (model, n, split, "cell", "Q1", 10, D / n)
    ...     for n in (200, 400)
    ...     for split in (0, 1)
    ...     for model, D in [("order-aware logit", 2 + split), ("mine", 1.6 + split)]
    ... ]
    >>> columns = ["model", "n", "split", "level", "question", "n_groups", "js_debiased"]
    >>> summarise_curve(pd.DataFrame(runs, columns=columns)).round(4)
    n                     200     400
    model
    order-aware logit  0.0125  0.0062
    mine               0.0105  0.0052
    """
    if value not in VALUES:
        raise ValueError(f"value must be one of {list(VALUES)}, got {value!r}")
    rows = curve_rows(curve, level)
    rows = rows[rows[value].notna()]
    weight = "respondents" if value == "cross_entropy" else "n_groups"
    products = rows.assign(product=rows[value] * rows[weight])
    sums = products.groupby(["model", "n", "split"], sort=False)[["product", weight]].sum()
    means = (sums["product"] / sums[weight]).groupby(["model", "n"], sort=False).mean()
    return means.unstack("n").reindex(list(dict.fromkeys(rows["model"])))


def compare_models(
    curve: pd.DataFrame,
    first: str,
    second: str,
    level: str = "cell",
    *,
    confidence: float = 0.9,
    n_draws: int = 2000,
    random_state: RandomState = 0,
) -> pd.DataFrame:
    """Compute the relative difference between two models' debiased divergences, with its interval.

    Parameters
    ----------
    curve : DataFrame
        From `respondent_curve`.
    first, second : str
        Names of models; the second is the one to beat.
    level : {"cell", "attribute", "population"}, default="cell"
    confidence : float, default=0.9
        Of the interval: a bootstrap over questions. With fewer than 5 questions it is over respondents: it adds up how
        much the splits differ, which are different samples to learn from, and a jackknife of the truth, which all
        splits share. A single split shows only the second. A curve without the jackknife's columns has a bootstrap over
        splits, which is too narrow. Ends are infinite where the second model's divergence could be 0.
    n_draws : int, default=2000
    random_state : int, RandomState, Generator or None, default=0

    Returns
    -------
    DataFrame
        A row per training size and one, "all", over all sizes; columns difference (D(first) / D(second) - 1:
        negative where the first is better), low, high, resampled.

    Raises
    ------
    ValueError
        If a model was not measured, or never on the same samples as the other.

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim.evaluation import compare_models
    >>> runs = [
    ...     (model, 200, 0, "cell", f"Q{q}", 10, D * (1 + q / 10))
    ...     for model, D in [("mine", 0.008), ("logit", 0.010)]
    ...     for q in range(6)
    ... ]
    >>> columns = ["model", "n", "split", "level", "question", "n_groups", "js_debiased"]
    >>> curve = pd.DataFrame(runs, columns=columns)
    >>> compare_models(curve, "mine", "logit").round(3)  # doctest: +NORMALIZE_WHITESPACE
         difference  low  high  resampled
    n
    200        -0.2 -0.2  -0.2  questions
    all        -0.2 -0.2  -0.2  questions
    """
    check_confidence(confidence)
    check_number("n_draws", n_draws, integer=True, low=1)
    rows = curve_rows(curve, level)
    for name in (first, second):
        if name not in set(rows["model"]):
            raise ValueError(f"the curve has no model {name!r}; it has {list(dict.fromkeys(rows['model']))}")
    rows = rows[rows["model"].isin([first, second])]
    # only runs that both have: models may have been measured at different sizes
    both = rows.groupby(["n", "split"])["model"].transform("nunique") == 2
    rows = rows[both]
    if rows.empty:
        raise ValueError(f"{first!r} and {second!r} were never measured on the same sample")
    unit = curve_unit(rows)
    column = "question" if unit == "questions" else "split"
    generator = as_generator(random_state)
    found = []
    for n, own in [*rows.groupby("n", sort=False), ("all", rows)]:
        totals = _totals(own, "js_debiased", column)[[first, second]].dropna()
        sums = totals.to_numpy().sum(axis=0)
        if unit == "respondents":
            kept = own[own[column].isin(totals.index)]
            without = np.array([_totals(kept, name, "level")[[first, second]].to_numpy()[0] for name in WITHOUT])
            drawn = draw_respondents(totals.to_numpy(), without, n_draws, generator)
        else:
            drawn = draw_sums(totals.to_numpy(), totals.index.to_numpy(), n_draws, generator)
        low, high = percentile_interval(_relative(drawn), confidence, None if unit == "respondents" else len(totals))
        difference = sums[0] / sums[1] - 1 if sums[1] > 0 else float("nan")
        found.append({"n": n, "difference": difference, "low": low, "high": high, "resampled": unit})
    return pd.DataFrame(found).set_index("n")


def _relative(drawn: np.ndarray) -> np.ndarray:
    """Relative differences (n_draws,) of two models' divergences (n_draws, 2).

    A debiased divergence of 0 or less is one that cannot be told from 0: the other is infinitely far above or below it.
    Leaving such draws out would end intervals where they have no end.
    """
    apart = drawn[:, 0] - drawn[:, 1]
    apart[np.abs(apart) <= ROUNDING * np.abs(drawn).sum(axis=1)] = 0.0
    unbounded = np.where(apart == 0, 0.0, np.copysign(np.inf, apart))
    return np.divide(apart, drawn[:, 1], out=unbounded, where=drawn[:, 1] > 0)


def curve_rows(curve: pd.DataFrame, level: str) -> pd.DataFrame:
    """The rows of a level, after a look at the columns."""
    check_level(level)
    if not isinstance(curve, pd.DataFrame):
        raise TypeError(f"curve must be the DataFrame of respondent_curve, got {type(curve).__name__}")
    needed = {"model", "n", "split", "level", "question", "n_groups", "js_debiased"}
    lacking = sorted(needed - set(curve.columns))
    if lacking:
        raise ValueError(f"curve lacks the columns {lacking}: it must be what respondent_curve returned")
    rows = curve[curve["level"] == level]
    if rows.empty:
        raise ValueError(f"the curve has no rows of level {level!r}; it has {sorted(set(curve['level']))}")
    return rows


def curve_unit(rows: pd.DataFrame) -> str:
    """What to resample: questions; where they are few, respondents, or splits in curves that do not tell those."""
    if rows["question"].nunique() >= FEW_QUESTIONS:
        return "questions"
    told = set(WITHOUT) <= set(rows.columns) and bool(rows[list(WITHOUT)].notna().all(axis=None))
    return "respondents" if told else "splits"


def _totals(rows: pd.DataFrame, value: str, unit: str) -> pd.DataFrame:
    """Sums of divergences over groups: a row per unit, a column per model."""
    return rows.assign(total=rows[value] * rows["n_groups"]).pivot_table(
        index=unit, columns="model", values="total", aggfunc="sum"
    )
