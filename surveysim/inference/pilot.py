"""What a pilot says about the variance that a respondent brings, by group and question."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from surveysim.inference.groups import Groups
from surveysim.inference.intervals import t_quantile
from surveysim.inference.population import Population, groups_of_rows
from surveysim.inference.rectified_shares import GroupMoments, learn_power
from surveysim.tables.cells import Cells

__all__ = ["Pilot", "read_pilot"]

POOLED_RESPONDENTS = 20.0
"""Pilot respondents at which a group's own variance has half of the say, the pooled one the other half."""


@dataclass(frozen=True)
class Pilot:
    """Variances of one respondent's contribution, times design effects, by group g and question q.

    Attributes
    ----------
    questions : list of str
    shares : float array of shape (G,)
        Of the population.
    variances, own : float arrays of shape (G, Q)
        Mean over the options of the residual variance with the model, and of p (1 - p) without.
    power : float array of shape (Q,)
    cell_shares : float array of shape (n_people,)
        Population shares of the crossed cells.
    group_of_cell : int array of shape (n_people,)
    """

    questions: list[str]
    shares: np.ndarray
    variances: np.ndarray
    own: np.ndarray
    power: np.ndarray
    cell_shares: np.ndarray
    group_of_cell: np.ndarray

    def spread(self, of_population: bool, apart: bool) -> np.ndarray:
        """What Neyman's rule is proportional to: (G, Q) for questions apart, else (G, 1)."""
        variance = self.variances if apart else self.variances.mean(axis=1, keepdims=True)
        return np.asarray(np.sqrt(variance) * (self.shares[:, None] if of_population else 1.0))

    def population_variances(self, n: np.ndarray, *, rectified: bool) -> np.ndarray:
        """Variance of the population's share with n (G, Q) respondents, (Q,), mean over options."""
        variance = self.variances if rectified else self.own
        return np.asarray((self.shares[:, None] ** 2 * variance / n).sum(axis=0))

    def population_margins(self, n: np.ndarray, level: float, *, rectified: bool) -> np.ndarray:
        """Margins of error (Q,), as shares."""
        freedom = np.maximum(n.sum(axis=0) - 2, 1)
        return np.asarray(t_quantile(level, freedom) * np.sqrt(self.population_variances(n, rectified=rectified)))

    def group_margins(self, n: np.ndarray, level: float, *, rectified: bool) -> np.ndarray:
        """Margins of error (G, Q)."""
        variance = self.variances if rectified else self.own
        return np.asarray(t_quantile(level, np.maximum(n - 2, 1)) * np.sqrt(variance / n))

    def cell_margins(self, n: np.ndarray, level: float) -> np.ndarray:
        """Margins of error (n_people, Q) of cells, each with its share of the group's respondents."""
        group = self.group_of_cell
        expected = n[group] * (self.cell_shares / self.shares[group])[:, None]
        margins = t_quantile(level, np.maximum(n[group] - 2, 1)) * np.sqrt(self.own[group] / expected)
        return np.minimum(margins, 1.0)

    def equivalent(self, n: np.ndarray) -> int:
        """Respondents alone, in proportion to the population, who give the same variance for the population."""
        one = np.repeat(self.shares[:, None], n.shape[1], axis=1)
        alone = self.population_variances(one, rectified=False).mean()
        return round(alone / self.population_variances(n, rectified=True).mean())

    def needed(self, n: np.ndarray, compare: np.ndarray) -> int:
        """Respondents (a question), divided as in n, who give the variance of `compare` respondents alone."""
        ratio = self.population_variances(n, rectified=True).mean()
        ratio /= self.population_variances(compare, rectified=False).mean()
        return int(np.ceil(n.sum(axis=0).mean() * ratio - 1e-9))


def read_pilot(cells: Cells, people: Population, groups: Groups, moments: dict[str, dict[int, GroupMoments]]) -> Pilot:
    """Learn the variances from a pilot.

    Parameters
    ----------
    cells : Cells
    people : Population
    groups : Groups
        Of `people`.
    moments : dict of str to dict of int to GroupMoments
        By question and group.

    Raises
    ------
    ValueError
        If nobody answered a question.
    """
    inside = groups.of_row >= 0
    shares = np.bincount(groups.of_row[inside], weights=people.shares[inside], minlength=len(groups))
    shape = (len(groups), len(moments))
    variances, own, power = np.zeros(shape), np.zeros(shape), np.zeros(len(moments))
    for q, (name, of_groups) in enumerate(moments.items()):
        if not of_groups:
            raise ValueError(f"nobody in the population's groups answered question {name!r}")
        power[q] = learn_power(list(of_groups.values()))
        loss = _design_losses(cells, name, groups, of_groups)
        for result, with_power in ((variances, power[q]), (own, 0.0)):
            pooled = _pooled(of_groups, with_power)
            for g in range(len(groups)):
                mine = of_groups.get(g)
                n = 0.0 if mine is None else mine.n
                found = 0.0 if mine is None else mine.residual_variances(with_power).mean() * n / max(n - 1, 1)
                say = n / (n + POOLED_RESPONDENTS)
                result[g, q] = (say * found + (1 - say) * pooled) * loss[g]
    kept = inside & (people.shares > 0)
    return Pilot(
        questions=list(moments),
        shares=shares / shares.sum(),
        variances=variances,
        own=own,
        power=power,
        cell_shares=people.shares[kept] / shares.sum(),
        group_of_cell=groups.of_row[kept],
    )


def _pooled(groups: dict[int, GroupMoments], power: float) -> float:
    """The variance within groups, mean over options, of all groups together."""
    size = sum(group.n for group in groups.values())
    return float(sum(group.n * group.residual_variances(power).mean() for group in groups.values()) / size)


def _design_losses(cells: Cells, question: str, groups: Groups, moments: dict[int, GroupMoments]) -> np.ndarray:
    """Respondents over effective respondents of the pilot, by group, at least 1; groups without any have the mean."""
    rows = np.flatnonzero(cells.question_names == question)
    of_row = groups_of_rows(groups, cells.X.iloc[rows])
    n_raw = np.bincount(of_row[of_row >= 0], weights=cells.n_raw[rows][of_row >= 0], minlength=len(groups))
    n = np.array([moments[g].n if g in moments else 0.0 for g in range(len(groups))])
    mean = max(float(n_raw.sum() / n.sum()), 1.0)
    return np.maximum(np.divide(n_raw, n, out=np.full(len(groups), mean), where=n > 0), 1.0)
