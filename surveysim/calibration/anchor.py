"""Anchoring: a known group's distribution, moved by what the model says about the difference between two groups."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from sklearn.base import BaseEstimator

from surveysim.calibration.examples import Examples
from surveysim.calibration.maps import SMALLEST_SHARE, as_distributions
from surveysim.calibration.objectives import SCALE, loss
from surveysim.calibration.priors import prior_of

Level: TypeAlias = str | float | bool | None
"""A value of a background; None is "not stated"."""

__all__ = ["Anchor", "Gaps", "KnownCells", "as_anchor", "fit_gaps", "log_shift", "move"]


class Anchor(BaseEstimator):
    """The group whose distributions are known, and these distributions.

    Parameters
    ----------
    group : mapping of str to a value
        The known group, attribute by attribute: ``{"sex": "Male"}``. A cell's anchor is the cell with these values in
        place of its own and everything else alike. An attribute that a cell does not state (missing) is left out, so
        that ``{"sex": "Male", "race": "White"}`` anchors tables of single attributes, too: women on men, Black on
        White respondents. The value None stands for "not stated", that is the total: ``{"sex": None}`` anchors both
        sexes on the published total.
    X, Y : DataFrame and array of shape (n_known, K), optional
        Known cells, with the columns of the X that is passed to `fit`. They add to the training cells of the group:
        needed for questions that have no training cells, such as those of a test fold.

    See Also
    --------
    surveysim.CalibratedElicitor : takes it, or just the mapping, as ``anchor=``.

    Examples
    --------
    >>> from surveysim.calibration import Anchor
    >>> Anchor({"sex": "Male"})
    Anchor(group={'sex': 'Male'})
    """

    def __init__(self, group: Mapping[str, Level], X: pd.DataFrame | None = None, Y: ArrayLike | None = None) -> None:
        self.group = group
        self.X = X
        self.Y = Y

    def check(self, backgrounds: list[str]) -> None:
        """Refuse what cannot be an anchor for cells with these columns.

        Parameters
        ----------
        backgrounds : list of str
            The background columns of X.

        Raises
        ------
        TypeError, ValueError
        """
        if not isinstance(self.group, Mapping) or not self.group:
            raise TypeError(
                "anchor must name the known group, a mapping from attributes to values such as {'sex': 'Male'}, got "
                f"{self.group!r}"
            )
        unknown = [name for name in self.group if name not in backgrounds]
        if unknown:
            raise ValueError(f"anchor names the attributes {unknown}, but X has only {backgrounds}")
        if (self.X is None) != (self.Y is None):
            raise ValueError(f"anchor: {'Y' if self.Y is None else 'X'} is missing; known cells need both X and Y")

    def partners(self, backgrounds: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
        """Each row's anchor.

        Parameters
        ----------
        backgrounds : DataFrame of n rows

        Returns
        -------
        partners : DataFrame of n rows
            The same rows with the anchor's values.
        changed : bool array of shape (n, n_attributes)
            Which of the anchor's attributes differ, in the order of `group`.
        member : bool array of shape (n,)
            Rows of the known group itself. A row that neither differs nor belongs states none of the attributes.
        """
        partners = backgrounds.astype(object).copy()
        changed = np.zeros((len(backgrounds), len(self.group)), dtype=bool)
        stated = np.zeros_like(changed)
        for number, (name, value) in enumerate(self.group.items()):
            total = _is_missing(value)
            given = backgrounds[name].notna().to_numpy()
            entries = zip(backgrounds[name].astype(object), given, strict=True)
            equal = np.array([bool(there and not total and entry == value) for entry, there in entries])
            stated[:, number] = True if total else given
            changed[:, number] = given & ~equal
            partners.loc[changed[:, number], name] = None if total else value
        member: np.ndarray = np.logical_and(stated.any(axis=1), ~changed.any(axis=1))
        return partners, changed, member


def as_anchor(anchor: Anchor | Mapping[str, Level]) -> Anchor:
    """The `anchor=` parameter as an object."""
    return anchor if isinstance(anchor, Anchor) else Anchor(anchor)


class KnownCells:
    """Elicited and observed distributions of the known group, found by question and background."""

    def __init__(self) -> None:
        self._place: dict[tuple[Hashable, ...], int] = {}
        self._P: list[np.ndarray] = []
        self._Y: list[np.ndarray] = []

    def __len__(self) -> int:
        return len(self._place)

    def add(self, backgrounds: pd.DataFrame, question: np.ndarray, P: np.ndarray, Y: np.ndarray) -> None:
        """Take up cells; those that are there already stay."""
        for key, p, y in zip(_keys(backgrounds, question), P, Y, strict=True):
            if key not in self._place:
                self._place[key] = len(self._P)
                self._P.append(p)
                self._Y.append(y)

    def find(self, backgrounds: pd.DataFrame, question: np.ndarray) -> np.ndarray:
        """Int array: each row's place, -1 where the cell is not known."""
        return np.array([self._place.get(key, -1) for key in _keys(backgrounds, question)], dtype=int)

    def elicited(self, places: np.ndarray) -> np.ndarray:
        """Elicited distributions at these places (n, K)."""
        return np.array(self._P)[places]

    def observed(self, places: np.ndarray) -> np.ndarray:
        """Observed distributions at these places (n, K)."""
        return np.array(self._Y)[places]


@dataclass(frozen=True)
class Gaps:
    """How much of the model's gaps between groups people bear out: the strength beta.

    Attributes
    ----------
    common : float
        Over all attributes; for those that no pair of cells was about.
    by_attribute : dict of str to float
        Of each attribute of the anchor.
    n_pairs : int
        Pairs of cells it was fitted on; 0: the elicitation method's prior alone.

    Examples
    --------
    >>> from surveysim.calibration import Gaps
    >>> Gaps(common=0.4, by_attribute={"sex": 0.3}, n_pairs=12).by_attribute["sex"]
    0.3
    """

    common: float
    by_attribute: dict[str, float]
    n_pairs: int

    def of_rows(self, changed: np.ndarray) -> np.ndarray:
        """Strength for each row: the mean over the attributes in which it differs from its anchor.

        Parameters
        ----------
        changed : bool array of shape (n, n_attributes)
            The attributes in which each row differs from its anchor.

        Returns
        -------
        float64 array of shape (n,)
        """
        return _shares(changed) @ np.array(list(self.by_attribute.values()))


def fit_gaps(
    examples: list[Examples], shifts: list[np.ndarray], bases: list[np.ndarray], changed: list[np.ndarray],
    names: list[str], elicited_by: str | None,
) -> Gaps:  # fmt: skip
    """Fit the strength of the model's gaps on pairs of cells, one of which is the other's anchor.

    The strengths of the attributes scatter around a common one, which scatters around the elicitation method's; none is
    negative.

    Parameters
    ----------
    examples : list of Examples
        The cells that are not the anchor's, of each kind of question (ordinal, nominal).
    shifts, bases : lists of float64 arrays of shape (n, K)
        For each kind the model's log-ratio to the anchor, and the anchor's observed log shares.
    changed : list of bool arrays of shape (n, n_attributes)
        In which attributes each cell differs from its anchor.
    names : list of str
        The attributes.
    elicited_by : str or None

    Returns
    -------
    Gaps
    """
    prior = prior_of(elicited_by)
    n_pairs = sum(map(len, examples))
    if n_pairs == 0:
        return Gaps(prior.gap, dict.fromkeys(names, prior.gap), 0)
    shares = [_shares(rows) for rows in changed]
    weights = [rows.evidence / SCALE[rows.objective] for rows in examples]

    def penalised(theta: np.ndarray) -> tuple[float, np.ndarray]:
        common, strengths = theta[0], theta[1:]
        apart = strengths - common
        value = 0.5 * ((common - prior.gap) ** 2 + apart @ apart) / prior.gap_sd**2
        gradient = np.concatenate([[common - prior.gap - apart.sum()], apart]) / prior.gap_sd**2
        for rows, shift, base, share, weight in zip(examples, shifts, bases, shares, weights, strict=True):
            losses, slopes = loss(base + (share @ strengths)[:, None] * shift, rows)
            value += weight @ losses
            gradient[1:] += share.T @ (weight * (slopes * shift).sum(axis=1))
        return float(value), gradient

    start = np.full(1 + len(names), prior.gap)
    found = minimize(penalised, start, jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * len(start)).x
    return Gaps(float(found[0]), dict(zip(names, found[1:].tolist(), strict=True)), n_pairs)


def log_shift(examples: Examples, known_P: np.ndarray, known_Y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The model's log-ratio of each row to its anchor, and the anchor's observed log shares, both (n, K)."""
    anchors = replace(examples, P=known_P)
    observed = np.log(np.maximum(np.where(examples.exists, known_Y, 1.0), SMALLEST_SHARE))
    return examples.log_p(SMALLEST_SHARE) - anchors.log_p(SMALLEST_SHARE), observed


def move(examples: Examples, known_P: np.ndarray, known_Y: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """q proportional to y_anchor (p / p_anchor)^beta.

    Parameters
    ----------
    examples : Examples
        The cells to predict.
    known_P, known_Y : float64 arrays of shape (n, K)
        What was elicited and observed for each one's anchor.
    strength : float64 array of shape (n,)
        beta.

    Returns
    -------
    float64 array of shape (n, K)
    """
    shift, base = log_shift(examples, known_P, known_Y)
    return as_distributions(base + strength[:, None] * shift, examples)


def _shares(changed: np.ndarray) -> np.ndarray:
    return changed / np.maximum(changed.sum(axis=1, keepdims=True), 1)


def _keys(backgrounds: pd.DataFrame, question: np.ndarray) -> Iterator[tuple[Hashable, ...]]:
    """A key per row; all missing values are one."""
    columns = [
        [None if absent else value for value, absent in zip(column.astype(object), column.isna(), strict=True)]
        for _, column in backgrounds.items()
    ]
    return zip(question.tolist(), *columns, strict=True)


def _is_missing(value: Level) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value))
