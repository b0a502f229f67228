"""How a sample was drawn: strata, clusters, sampled fractions, and the variance of totals that follows from them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeGuard, get_args

import numpy as np
import pandas as pd

from surveysim.tables.respondents import PerRespondent, respondent_values, rows_named

__all__ = ["FinitePopulation", "LonelyUnits", "SampleDesign", "read_design"]

LonelyUnits = Literal["fail", "centre", "certainty"]
"""What becomes of a stratum with a single sampling unit, of whose variance the data say nothing."""

FinitePopulation: TypeAlias = float | Mapping[Any, float] | PerRespondent | None
"""Sampling units in the population, or the sampled fraction: of all strata, of each, or by respondent."""


@dataclass(frozen=True)
class SampleDesign:
    """Strata, clusters and sampled fractions of the respondents.

    Attributes
    ----------
    unit : int array of shape (n_respondents,)
        The primary sampling unit: the cluster within its stratum, or the respondent where there are no clusters.
    stratum_of_unit : int array of shape (n_units,)
    clustered : bool
        Whether units are clusters.
    fraction : float array of shape (n_strata,) or None
        The share of the stratum's units that is in the sample; None: so small that it does not count.
    lonely : {"fail", "centre", "certainty"}
        A stratum with a single unit is refused, centred at the mean of all units (conservative, R's "adjust"), or
        taken to be drawn with certainty, so that it adds no variance.
    """

    unit: np.ndarray
    stratum_of_unit: np.ndarray
    clustered: bool
    fraction: np.ndarray | None = None
    lonely: LonelyUnits = "centre"

    @classmethod
    def of(
        cls,
        strata: pd.Series | None,
        cluster: pd.Series | None,
        *,
        fpc: pd.Series | Mapping[Hashable, float] | float | None = None,
        lonely: LonelyUnits = "centre",
        n_respondents: int | None = None,
    ) -> SampleDesign | None:
        """The design that columns describe; clusters are numbered anew within each stratum, as files often do.

        Parameters
        ----------
        strata, cluster : Series or None
        fpc : Series, mapping or number, optional
            Sampling units in the population, or the sampled fraction where no value is above 1: one for the whole
            sample, by stratum, or per respondent and constant within the stratum.
        lonely : {"fail", "centre", "certainty"}
        n_respondents : int, optional
            Makes a design of independent respondents where neither strata nor clusters are given.

        Returns
        -------
        SampleDesign, or None if nothing is given.

        Raises
        ------
        ValueError
            If a stratum or cluster is missing, there are fewer than two clusters, a stratum has one unit
            (``lonely="fail"``), or `fpc` is smaller than the sample.
        """
        if lonely not in get_args(LonelyUnits):
            raise ValueError(f"lonely must be one of {list(get_args(LonelyUnits))}, got {lonely!r}")
        given = [column for column in (strata, cluster, fpc) if isinstance(column, pd.Series)]
        if strata is None and cluster is None and fpc is None and n_respondents is None:
            return None
        n = len(given[0]) if given else n_respondents
        if n is None:
            raise ValueError("fpc alone does not describe a design: pass the number of respondents")
        stratum: np.ndarray = np.zeros(n, dtype=np.int64)
        names: list[Hashable] = ["the sample"]
        if strata is not None:
            stratum, names = _numbered(strata, "strata")
        if cluster is None:
            unit, stratum_of_unit = np.arange(n), stratum
        else:
            within, _ = _numbered(cluster, "cluster")
            _, first, unit = np.unique(stratum * (within.max() + 1) + within, return_index=True, return_inverse=True)
            if len(first) < 2:
                raise ValueError("cluster holds a single cluster: its design effect and folds need at least two")
            stratum_of_unit = stratum[first]
        sizes = np.bincount(stratum_of_unit, minlength=len(names))
        if lonely == "fail" and (sizes == 1).any():
            raise ValueError(
                f"strata with a single {'cluster' if cluster is not None else 'respondent'} have no variance: "
                f"{[names[h] for h in np.flatnonzero(sizes == 1)[:10]]}. Merge them with others, or choose "
                "lonely='centre' (conservative) or lonely='certainty' (they were certain to be drawn)."
            )
        fraction = None if fpc is None else _fractions(fpc, stratum, names, sizes)
        return cls(unit, stratum_of_unit, cluster is not None, fraction, lonely)

    @property
    def n_units(self) -> int:
        """Sampling units of all strata."""
        return len(self.stratum_of_unit)

    def factors(self, *, finite: bool = True) -> np.ndarray:
        """What a unit's squared deviation counts for, (n_units,): a_h / (a_h - 1) (1 - f_h), see `deviations`.

        Parameters
        ----------
        finite : bool, default=True
            Whether the finite population correction counts.
        """
        size = np.bincount(self.stratum_of_unit)
        factor = np.where(size > 1, size / np.maximum(size - 1, 1), 0.0 if self.lonely == "certainty" else 1.0)
        if finite and self.fraction is not None:
            factor = factor * (1.0 - self.fraction)
        return factor[self.stratum_of_unit]

    def deviations(self, scores: np.ndarray) -> np.ndarray:
        """Deviations of the units' totals whose cross products are the linearised covariance of the totals.

        V(sum_i z_i) = sum_h (1 - f_h) a_h / (a_h - 1) sum_j (z_hj - mean_j z_hj)^2 over strata h and their a_h units j
        (Binder 1983, International Statistical Review 51, 279-292; Wolter 2007, Introduction to Variance Estimation).

        Parameters
        ----------
        scores : float array of shape (n_respondents, n_estimates)
            What each respondent adds to each estimate; 0 for those outside a domain, who stay in the design.

        Returns
        -------
        float array of shape (n_units, n_estimates)
        """
        totals = np.zeros((self.n_units, scores.shape[1]))
        np.add.at(totals, self.unit, scores)
        size = np.bincount(self.stratum_of_unit)
        centre = np.zeros((len(size), scores.shape[1]))
        np.add.at(centre, self.stratum_of_unit, totals)
        centre /= size[:, None]
        centre[size == 1] = totals.mean(axis=0)
        return np.sqrt(self.factors())[:, None] * (totals - centre[self.stratum_of_unit])

    def degrees_of_freedom(self, members: np.ndarray) -> int:
        """Units with a member of a domain (boolean, n_respondents) less strata with one, at least 1."""
        units = np.unique(self.unit[members])
        return max(len(units) - len(np.unique(self.stratum_of_unit[units])), 1)

    def subset(self, kept: np.ndarray) -> SampleDesign:
        """The design of some respondents (boolean, n_respondents); units and strata without any are gone."""
        units, unit = np.unique(self.unit[kept], return_inverse=True)
        strata, stratum = np.unique(self.stratum_of_unit[units], return_inverse=True)
        fraction = None if self.fraction is None else self.fraction[strata]
        return SampleDesign(unit, stratum, self.clustered, fraction, self.lonely)


def read_design(
    data: pd.DataFrame,
    strata: PerRespondent | None,
    cluster: PerRespondent | None,
    fpc: FinitePopulation,
    lonely: LonelyUnits,
    *,
    always: bool = False,
) -> SampleDesign | None:
    """The design parameters of a public function as a `SampleDesign`; None where none is given, unless `always`."""
    return SampleDesign.of(
        None if strata is None else respondent_values(data, strata, "strata"),
        None if cluster is None else respondent_values(data, cluster, "cluster"),
        fpc=fpc if fpc is None or _is_number(fpc) or isinstance(fpc, Mapping) else respondent_values(data, fpc, "fpc"),
        lonely=lonely,
        n_respondents=len(data) if always or fpc is not None else None,
    )


def _numbered(column: pd.Series, name: str) -> tuple[np.ndarray, list[Hashable]]:
    codes, names = pd.factorize(column)
    if (codes < 0).any():
        raise ValueError(f"{name} is missing in {rows_named(column.to_frame(), codes < 0)}")
    return codes.astype(np.int64), names.tolist()


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _fractions(
    fpc: pd.Series | Mapping[Hashable, float] | float, stratum: np.ndarray, names: list[Hashable], sizes: np.ndarray
) -> np.ndarray:
    """The sampled fraction of each stratum from `fpc`, which is a population size or a fraction."""
    if isinstance(fpc, pd.Series):
        by_stratum = fpc.groupby(stratum)
        if by_stratum.nunique(dropna=False).max() > 1:
            h = int(np.flatnonzero(by_stratum.nunique(dropna=False).to_numpy() > 1)[0])
            raise ValueError(f"fpc differs within the stratum {names[h]!r}: it is one number per stratum")
        given = by_stratum.first().to_numpy(dtype=np.float64, na_value=np.nan)
    elif isinstance(fpc, Mapping):
        lacking = [name for name in names if name not in fpc]
        if lacking:
            raise ValueError(f"fpc lacks the strata {lacking[:10]}; it names {list(fpc)[:10]}")
        given = np.array([fpc[name] for name in names], dtype=np.float64)
    else:
        given = np.full(len(names), float(fpc))
    if not (np.isfinite(given).all() and (given > 0).all()):
        raise ValueError(f"fpc must be positive numbers, got {given[~(given > 0)][:5].tolist()}")
    fraction = given if (given <= 1).all() else sizes / given
    too_small = np.flatnonzero(fraction > 1)
    if len(too_small):
        h = int(too_small[0])
        raise ValueError(
            f"fpc says that the stratum {names[h]!r} has {given[h]:g} sampling units, but the sample has {sizes[h]} "
            "of them: fpc is the number in the population, which is at least as large"
        )
    return fraction
