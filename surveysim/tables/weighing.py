"""Weights that give a sample the margins of its population: raking, post-stratification, calibration, trimming."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from surveysim.errors import warn
from surveysim.tables.calibrated_weights import Distance, calibrate
from surveysim.tables.margins import Margins, read_margins
from surveysim.tables.poststratification import matching_codes
from surveysim.tables.respondent_weights import RespondentWeights, kish_respondents
from surveysim.tables.respondents import PerRespondent, read_weights, rows_named

__all__ = ["weigh_respondents"]

WeighingMethod = Literal["raking", "poststratification", "linear", "logit"]


def weigh_respondents(
    respondents: pd.DataFrame,
    margins: Margins,
    *,
    method: WeighingMethod = "raking",
    weights: PerRespondent | None = None,
    bounds: tuple[float, float] | None = None,
    trim: float | None = None,
    tolerance: float = 1e-6,
    max_iter: int = 1000,
) -> RespondentWeights:
    """Weigh respondents so that their margins are the population's.

    Parameters
    ----------
    respondents : DataFrame of shape (n_respondents, n_columns)
        With the columns of the margins, nothing missing in them.
    margins : mapping or long table
        As in `rake`; a tuple of columns has a joint margin.
    method : {"raking", "poststratification", "linear", "logit"}, default="raking"
        All change the weights as little as possible, each by its own measure of distance. Raking multiplies (weights
        stay positive, and may become large); post-stratification is its special case of one margin, joint over all
        columns; "linear" is the generalised regression estimator (GREG), whose weights may become negative, which is an
        error, unless they are bounded; "logit" keeps the factors within `bounds`.
    weights : str or array of shape (n_respondents,), optional
        Weights to start from, such as design weights.
    bounds : (float, float), optional
        Smallest and largest factor of "linear" and "logit", around 1; default for "logit" (0.2, 5).
    trim : float, optional
        Cap on the final weights, as a multiple of their mean, such as 5. What is cut off is spread over the others, as
        far as the margins allow.
    tolerance : float, default=1e-6
        Largest difference between a margin and its target, as a share.
    max_iter : int, default=1000

    Returns
    -------
    RespondentWeights
        ``.weights``, effective respondents before and after, and the margins reached.

    Raises
    ------
    ValueError
        If columns are missing or have missing values, levels differ from the margins', nobody has a level that the
        population has, margins cannot be reached (within `bounds`), or a weight would be negative.

    Warns
    -----
    SurveysimWarning
        If trimming leaves a margin off by more than half a point.

    See Also
    --------
    adjust_nonresponse : Weights for those who answered, from what is known about those who did not.

    Notes
    -----
    J.-C. Deville and C.-E. Särndal (1992), Calibration estimators in survey sampling, JASA 87, 376-382. Variances that
    take these weights as given (`survey_estimates`) are somewhat too large for questions that the
    margins explain.

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim.tables import weigh_respondents
    >>> survey = pd.DataFrame(
    ...     {"sex": ["f", "f", "f", "m"], "age": ["old", "young", "old", "young"]}
    ... )
    >>> weighted = weigh_respondents(survey, {"sex": {"f": 50, "m": 50}})
    >>> weighted.weights.round(3).tolist()
    [0.667, 0.667, 0.667, 2.0]
    >>> weighted
    RespondentWeights of 4 respondents, from 0.67 to 2.00
      worth 3 respondents, 4 before: loss 25%
    """
    _check_options(method, bounds, trim, tolerance, max_iter)
    if not isinstance(respondents, pd.DataFrame):
        raise TypeError(f"respondents must be a pandas DataFrame, got {type(respondents).__name__}")
    base = read_weights(respondents, weights)
    kept = base > 0
    base = np.where(kept, base / base[kept].mean(), 0.0)
    given = read_margins(margins)
    if method == "poststratification" and len(given) > 1:
        raise ValueError(
            "post-stratification has one margin, joint over all its columns: {('sex', 'age'): {('f', 'young'): ...}}; "
            f"{len(given)} margins are for raking"
        )
    codes = _Codes.of(respondents, given, kept)
    distance: Distance = "raking" if method == "poststratification" else method
    if method == "logit" and bounds is None:
        bounds = (0.2, 5.0)
    final = np.zeros(len(base))
    final[kept] = calibrate(base[kept], codes.members[kept], codes.targets, distance, bounds, tolerance, max_iter)
    if (final < 0).any():
        raise ValueError(
            f"method='linear' gives negative weights in {rows_named(respondents, final < 0)}: choose raking, or "
            "bounds, such as (0.2, 5)"
        )
    untrimmed, trimmed = final, 0
    if trim is not None:
        final = _trim(final, kept, codes, trim, tolerance, max_iter)
        trimmed = int((final[kept] >= trim * (1 - 1e-9)).sum()) if final.max() < untrimmed.max() - 1e-12 else 0
    result = RespondentWeights(
        weights=pd.Series(final, index=respondents.index, name="weight"),
        n_before=kish_respondents(base),
        n_effective=kish_respondents(final),
        n_untrimmed=kish_respondents(untrimmed),
        n_trimmed=trimmed,
        margins=codes.table(base, final),
    )
    _warn_of_gap(result)
    return result


@dataclass(frozen=True)
class _Codes:
    """Who has which level of which margin.

    Attributes
    ----------
    members : bool array of shape (n_respondents, n_levels)
    targets : float array of shape (n_levels,)
    names : list of (variable, level)
    """

    members: np.ndarray
    targets: np.ndarray
    names: list[tuple[str, Any]]

    @classmethod
    def of(
        cls, respondents: pd.DataFrame, given: dict[tuple[str, ...], dict[Hashable, float]], kept: np.ndarray
    ) -> _Codes:
        members, targets, names = [], [], []
        for columns, margin in given.items():
            lacking = [column for column in columns if column not in respondents.columns]
            if lacking:
                raise ValueError(f"respondents lack the columns {lacking} of the margins: {list(respondents.columns)}")
            variable = " x ".join(columns)
            level_of = _match_levels(respondents, columns, list(margin), kept)
            for number, (level, share) in enumerate(margin.items()):
                has = level_of == number
                shown = level[0] if len(columns) == 1 else level  # type: ignore[index]
                if share > 0 and not has[kept].any():
                    raise ValueError(
                        f"nobody in the sample has {variable} = {shown!r}, which is {share:.1%} of the population: "
                        "merge it with a level that somebody has"
                    )
                if share == 0 and has[kept].any():
                    raise ValueError(f"{variable} = {shown!r} has a share of 0, but {has[kept].sum():,} respondents")
                members.append(has)
                targets.append(share)
                names.append((variable, shown))
        return cls(np.stack(members, axis=1), np.array(targets), names)

    def table(self, before: np.ndarray, after: np.ndarray) -> pd.DataFrame:
        """Margins in percent."""
        reached = {name: 100 * weight @ self.members / weight.sum() for name, weight in (("b", before), ("a", after))}
        return pd.DataFrame(
            {
                "variable": [variable for variable, _ in self.names],
                "level": [level for _, level in self.names],
                "target": 100 * self.targets,
                "before": reached["b"],
                "after": reached["a"],
            }
        )


def _match_levels(
    respondents: pd.DataFrame, columns: tuple[str, ...], levels: list[Hashable], kept: np.ndarray
) -> np.ndarray:
    """The number of each respondent's level."""
    variable = " x ".join(columns)
    missing = respondents[list(columns)].isna().any(axis=1).to_numpy() & kept
    if missing.any():
        raise ValueError(
            f"{variable} is missing in {rows_named(respondents, missing)}: impute it, or give these weight 0"
        )
    frame = pd.DataFrame(levels, columns=list(columns))
    place: dict[tuple[int, ...], int] = {}
    coded = [matching_codes(respondents[column], frame[column]) for column in columns]
    for number, key in enumerate(zip(*(known.tolist() for _, known in coded), strict=True)):
        place[key] = number
    found = np.array([place.get(key, -1) for key in zip(*(codes.tolist() for codes, _ in coded), strict=True)])
    unknown = (found < 0) & kept
    if unknown.any():
        row = int(np.flatnonzero(unknown)[0])
        value = respondents[list(columns)].iloc[row].tolist()
        shown = value[0] if len(columns) == 1 else tuple(value)
        raise ValueError(
            f"{unknown.sum():,} respondents have levels of {variable} that the margins lack, such as {shown!r}"
        )
    return found


def _trim(
    final: np.ndarray, kept: np.ndarray, codes: _Codes, trim: float, tolerance: float, max_iter: int
) -> np.ndarray:
    """Hold weights at the cap and rake the others to what is left of the margins, until nothing is above it.

    Where the margins cannot be kept, the cap goes first.
    """
    weight, members = final[kept], codes.members[kept]
    total, at_cap = weight.sum(), np.zeros(len(weight), dtype=bool)
    while (weight > trim * (1 + 1e-9)).any():
        at_cap |= weight > trim * (1 + 1e-9)
        rest = total - trim * at_cap.sum()
        left = codes.targets * total - trim * members[at_cap].sum(axis=0)
        weight = np.where(at_cap, trim, weight)
        if at_cap.all() or rest <= 0 or (left < 0).any():
            break
        others = weight[~at_cap] * rest / weight[~at_cap].sum()
        try:
            weight[~at_cap] = calibrate(others, members[~at_cap], left / rest, "raking", None, tolerance, max_iter)
        except ValueError:
            break
    trimmed = np.zeros(len(final))
    trimmed[kept] = np.minimum(weight / weight.mean(), trim)
    return trimmed


def _warn_of_gap(result: RespondentWeights) -> None:
    if result.largest_gap <= 0.5:
        return
    gaps = (result.margins["after"] - result.margins["target"]).abs()
    worst = result.margins.to_dict("records")[int(gaps.to_numpy().argmax())]
    warn(
        f"trimming leaves {worst['variable']} = {worst['level']!r} at {worst['after']:.1f}%, but the population has "
        f"{worst['target']:.1f}%: raise trim, or merge levels"
    )


def _check_options(
    method: str, bounds: tuple[float, float] | None, trim: float | None, tolerance: float, max_iter: int
) -> None:
    if method not in get_args(WeighingMethod):
        raise ValueError(f"method must be one of {list(get_args(WeighingMethod))}, got {method!r}")
    if bounds is not None:
        if method not in ("linear", "logit"):
            raise ValueError(f"bounds belong to method='linear' and 'logit', not {method!r}; trim caps any weights")
        low, high = bounds
        if not 0 <= low < 1 < high:
            raise ValueError(f"bounds must be a smallest factor below 1 and a largest above, got {bounds!r}")
    if trim is not None and not trim > 1:
        raise ValueError(f"trim must be above 1, a multiple of the mean weight, got {trim!r}")
    if tolerance <= 0 or max_iter < 1:
        raise ValueError(f"tolerance must be positive and max_iter at least 1, got {tolerance} and {max_iter}")
