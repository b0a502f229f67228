"""What a survey says on its own: shares, means, differences and trends with design-based intervals."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import pandas as pd

from surveysim.inference.groups import Groups, Pairs, as_columns, pair_groups, read_groups
from surveysim.inference.intervals import check_level, difference_interval, share_interval, symmetric_interval
from surveysim.questions import Question
from surveysim.tables.answers import CodedAnswers
from surveysim.tables.cells import QUESTION_COLUMN
from surveysim.tables.columns import check_columns, check_names, code_questions, read_backgrounds
from surveysim.tables.design import FinitePopulation, LonelyUnits, SampleDesign, read_design
from surveysim.tables.missing import Missing, MissingCodes, as_missing
from surveysim.tables.replicates import Replicates, ReplicateWeights, read_replicates
from surveysim.tables.respondents import PerRespondent, read_weights
from surveysim.tables.share_variance import DomainAnswers, linearised_deviations, linearised_variances

__all__ = ["survey_estimates"]

Statistic = Literal["share", "mean"]


def survey_estimates(
    data: pd.DataFrame,
    answers: Mapping[str, Question] | Question,
    *,
    by: str | Sequence[str] | None = None,
    statistic: Statistic = "share",
    difference: str | Mapping[str, tuple[object, object]] | None = None,
    weights: PerRespondent | None = None,
    strata: PerRespondent | None = None,
    cluster: PerRespondent | None = None,
    fpc: FinitePopulation = None,
    lonely: LonelyUnits = "fail",
    replicate_weights: ReplicateWeights | None = None,
    labels: Mapping[str, Mapping[Hashable, str | None]] | None = None,
    missing: str | MissingCodes | Missing = "drop",
    level: float = 0.9,
) -> pd.DataFrame:
    """Estimate shares, means, differences and trends from a survey, with standard errors that reflect its design.

    No model is involved: this is what the respondents themselves say, and how far it can be trusted.

    Parameters
    ----------
    data : DataFrame of shape (n_respondents, n_columns)
        One row per respondent. Make subgroups with `by`, not by leaving out rows: the whole design counts for a
        subgroup's variance.
    answers : mapping of str to Question, or Question
        As in `tabulate`.
    by : str or list of str, optional
        Columns whose crossing makes the groups, a wave among them; respondents who miss one are in no group.
    statistic : {"share", "mean"}, default="share"
        The share of each option; or the mean of the options' positions (1..K, or the question's `values`; pinned
        options are left out).
    difference : str or mapping of str to (level, level), optional
        Estimate differences, in points. A column of `by`: each of its levels minus the first, within groups of the
        other columns; ``{"gender": ("woman", "man")}``: woman minus man. Groups that share clusters or strata are
        correlated, and this is taken into account: with waves that were sampled separately, make strata of wave and
        stratum; in a panel, the person is the cluster.
    weights : str or array of shape (n_respondents,), optional
    strata, cluster : str or array of shape (n_respondents,), optional
        Strata, and clusters (primary sampling units) within them.
    fpc : number, mapping of stratum to number, str or array of shape (n_respondents,), optional
        Sampling units in the population, or sampled fractions (no value above 1).
    lonely : {"fail", "centre", "certainty"}, default="fail"
        A stratum with a single sampling unit is an error; or is centred at the mean of all units (conservative); or
        was certain to be drawn and adds no variance.
    replicate_weights : ReplicateWeights, optional
        In place of strata, clusters and fpc.
    labels, missing
        As in `tabulate`.
    level : float, default=0.9
        Confidence level.

    Returns
    -------
    DataFrame
        "question", the columns of `by`, "option" (with shares); "share" (percent, or the difference of two) or "mean",
        its standard error "se", "lower" and "upper", in the same unit; "respondents", how many answered;
        "effective_respondents", over the design effect "deff", the variance over that of simple random sampling of as
        many respondents. With `difference` the respondents are those of both groups, and there is neither deff nor
        effective_respondents.

    Raises
    ------
    ValueError
        As `tabulate`; if a stratum has a single unit (``lonely="fail"``), fpc is smaller than the sample, replicate
        weights are passed with strata or without weights, or the mean of a nominal question is asked for.

    See Also
    --------
    surveysim.tabulate : Cells, for models.
    surveysim.rectify : The same estimates with a model's help.

    Notes
    -----
    Linearised variances of ratios, with-replacement sampling of units within strata (Wolter 2007, Introduction to
    Variance Estimation, chapter 6), or replication. Intervals of shares are Wilson's at the effective number of
    respondents, of their differences Newcombe's from the two, of means symmetric; all with Student's t on units less
    strata that the group has members in (or the rank of the replicate weights less 1).

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim import Question
    >>> from surveysim.inference import survey_estimates
    >>> survey = pd.DataFrame(
    ...     {"sex": ["f", "m"] * 50, "happy": [1, 1, 2, 1] * 25, "town": [1, 2, 3, 4, 5] * 20}
    ... )
    >>> happy = {"happy": Question("Are you happy?", ["yes", "no"])}
    >>> shares = survey_estimates(survey, happy, by="sex", cluster="town")
    >>> shares[["sex", "option", "share", "respondents"]]
      sex option  share  respondents
    0   f    yes   50.0           50
    1   f     no   50.0           50
    2   m    yes  100.0           50
    3   m     no    0.0           50
    """
    if statistic not in get_args(Statistic):
        raise ValueError(f"statistic must be one of {list(get_args(Statistic))}, got {statistic!r}")
    level = check_level(level)
    if replicate_weights is not None and any(value is not None for value in (strata, cluster, fpc)):
        raise ValueError("replicate_weights hold the design: leave out strata, cluster and fpc")
    if replicate_weights is not None and weights is None:
        raise ValueError("replicate_weights need weights=, the survey weight that they are replicates of")
    columns, questions = check_columns(data, as_columns(by), answers, [weights, strata, cluster, fpc], name="by")
    _check_by(columns)
    check_names(as_missing(missing), labels, columns, questions)
    weight = read_weights(data, weights)
    kept = weight > 0
    design = read_design(data, strata, cluster, fpc, lonely, always=True)
    replicates = read_replicates(data, replicate_weights, weight)
    assert design is not None
    source = design.subset(kept) if replicates is None else replicates.subset(kept)
    chosen = data.loc[kept, [*columns, *questions]]
    groups = read_groups(read_backgrounds(chosen, columns, labels) if columns else chosen, columns)
    pairs = None if difference is None else pair_groups(groups, difference)
    tables = []
    for name, answer in code_questions(chosen, questions, as_missing(missing)).items():
        estimates = _estimate(name, answer, groups, weight[kept], source, statistic)
        tables.append(estimates.table(level) if pairs is None else estimates.differences(pairs, level))
    return pd.concat(tables, ignore_index=True)


@dataclass(frozen=True)
class _Estimates:
    """One question's estimates: a column per option, or one of the mean.

    Attributes
    ----------
    question : str
    options : list of str, or None for a mean
    groups : Groups
    values : float array (G, C)
    positions : float array (K, C), or None for shares
        What the options count for in a mean.
    simple : float array (G, C)
        The variance of a single respondent's answer.
    answers : DomainAnswers
    source : SampleDesign or Replicates
    """

    question: str
    options: list[str] | None
    groups: Groups
    values: np.ndarray
    positions: np.ndarray | None
    simple: np.ndarray
    answers: DomainAnswers
    source: SampleDesign | Replicates

    def deviations(self, groups: Sequence[int]) -> np.ndarray:
        """Deviations (M, len(groups), C), whose cross products are the covariances of some groups' estimates."""
        place = np.full(len(self.groups) + 1, -1)
        place[list(groups)] = np.arange(len(groups))
        some = replace(self.answers, domain=place[self.answers.domain], n_domains=len(groups))
        if isinstance(self.source, Replicates):
            found = self.source.deviations(some)
        else:
            found = linearised_deviations(some, self.source)
        return found if self.positions is None else found @ self.positions

    @cached_property
    def variance(self) -> np.ndarray:
        """Variances (G, C), group by group: deviations of all at once would not fit in memory."""
        if self.positions is None and isinstance(self.source, SampleDesign):
            return linearised_variances(self.answers, self.source)
        return np.stack([(self.deviations([group])[:, 0] ** 2).sum(axis=0) for group in range(len(self.groups))])

    @cached_property
    def freedom(self) -> np.ndarray:
        """Degrees of freedom of each group's variance, (G, 1)."""
        return np.array([[self.joint_freedom([group])] for group in range(len(self.groups))])

    def joint_freedom(self, groups: Sequence[int]) -> int:
        """Degrees of freedom of the variance of what is estimated of some groups together."""
        if isinstance(self.source, Replicates):
            return self.source.degrees_of_freedom
        return self.source.degrees_of_freedom(self.answers.counted & np.isin(self.answers.domain, groups))

    def interval(self, level: float) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper ends, (G, C)."""
        if self.options is None:
            return symmetric_interval(self.values, np.sqrt(self.variance), self.freedom, level)
        return share_interval(self.values, self._worth(self.variance), self.freedom, level)

    def table(self, level: float) -> pd.DataFrame:
        """A row per group and option."""
        respondents = self.answers.respondents
        srs = self.simple / np.maximum(respondents - 1, 1)[:, None]
        deff = np.divide(self.variance, srs, out=np.full(srs.shape, np.nan), where=srs > 0)
        errors, (lower, upper) = np.sqrt(self.variance), self.interval(level)
        scale = 1.0 if self.options is None else 100.0
        value = {"mean" if self.options is None else "share": scale * self.values}
        frame = _long(self.groups.frame, self.question, self.options, value | {"se": scale * errors})
        n = np.broadcast_to(respondents[:, None], self.values.shape)
        with np.errstate(divide="ignore"):
            further = {"lower": scale * lower, "upper": scale * upper, "respondents": n}
            further |= {"effective_respondents": n / deff, "deff": deff}
        return _answered(frame.assign(**{key: array.reshape(-1) for key, array in further.items()}), n > 0)

    def _worth(self, variance: np.ndarray) -> np.ndarray:
        """Effective respondents of each share; where its variance is 0, the group's pooled over the options."""
        pooled, kish = variance.sum(axis=1), self.answers.kish_variances
        effect = np.divide(pooled, kish, out=np.ones(len(kish)), where=(kish > 0) & (pooled > 0))
        fallback = np.broadcast_to((np.maximum(self.answers.kish, 1) / effect)[:, None], variance.shape)
        told = (variance > 1e-15) & (self.simple > 1e-12)
        return np.where(told, self.simple / np.where(told, variance, 1.0), fallback)

    def differences(self, pairs: Pairs, level: float) -> pd.DataFrame:
        """A row per pair of groups and option."""
        values = self.values[pairs.group] - self.values[pairs.reference]
        both = [self.deviations(pair) for pair in zip(pairs.group, pairs.reference, strict=True)]
        errors = np.sqrt([((found[:, 0] - found[:, 1]) ** 2).sum(axis=0) for found in both])
        if self.options is None:
            freedom = np.array([[self.joint_freedom(pair)] for pair in zip(pairs.group, pairs.reference, strict=True)])
            lower, upper = symmetric_interval(values, errors, freedom, level)
        else:
            ends = self.interval(level)
            own = [tuple(end[rows] for end in ends) for rows in (pairs.group, pairs.reference)]
            joint = np.array([(found[:, 0] * found[:, 1]).sum(axis=0) for found in both])
            product = np.sqrt(self.variance[pairs.group] * self.variance[pairs.reference])
            correlation = np.divide(joint, product, out=np.zeros_like(joint), where=product > 0)
            shares = (self.values[pairs.group], self.values[pairs.reference])
            lower, upper = difference_interval(shares, own[0], own[1], correlation)
        if self.options is not None:
            values, errors = 100 * values, 100 * errors
            lower, upper = np.maximum(100 * lower, -100), np.minimum(100 * upper, 100)
        respondents = self.answers.respondents[pairs.group] + self.answers.respondents[pairs.reference]
        columns = {"mean" if self.options is None else "share": values, "se": errors, "lower": lower, "upper": upper}
        frame = _long(pairs.frame, self.question, self.options, columns)
        told = (self.answers.respondents[pairs.group] > 0) & (self.answers.respondents[pairs.reference] > 0)
        frame["respondents"] = np.repeat(respondents, values.shape[1])
        return _answered(frame, np.repeat(told, values.shape[1]))


def _check_by(columns: list[str]) -> None:
    reserved = {
        "question",
        "option",
        "share",
        "mean",
        "se",
        "lower",
        "upper",
        "deff",
        "respondents",
        "effective_respondents",
    }
    taken = sorted(reserved.intersection(columns))
    if taken:
        raise ValueError(f"by: {taken} are names of columns of the result: rename them")


def _estimate(
    name: str,
    answer: CodedAnswers,
    groups: Groups,
    weight: np.ndarray,
    source: SampleDesign | Replicates,
    statistic: Statistic,
) -> _Estimates:
    """One question's estimates in all groups."""
    option, question = answer.option, answer.question
    positions = question.positions
    if statistic == "mean":
        if np.isnan(positions).all():
            raise ValueError(f"question {name!r} is nominal: its options have no positions to take a mean of")
        valued = np.append(~np.isnan(positions), np.zeros(max(int(option.max()) + 1, 0), dtype=bool))
        option = np.where(valued[option], option, question.n_options)
    answers = DomainAnswers(option, groups.of_row, weight, len(groups), question.n_options)
    p = answers.shares
    if statistic == "share":
        return _Estimates(name, list(question.options), groups, p, None, p * (1 - p), answers, source)
    at = np.nan_to_num(positions)[:, None]
    spread = p @ at**2 - (p @ at) ** 2
    return _Estimates(name, None, groups, p @ at, at, spread, answers, source)


def _answered(frame: pd.DataFrame, rows: np.ndarray) -> pd.DataFrame:
    """The rows of groups in which somebody answered: a question may have been asked in some waves only."""
    return frame[rows.reshape(-1)]


def _long(frame: pd.DataFrame, question: str, options: list[str] | None, values: dict[str, np.ndarray]) -> pd.DataFrame:
    """Question, group columns and option before some values (rows of `frame` x options)."""
    n_columns = 1 if options is None else len(options)
    table = frame.iloc[np.repeat(np.arange(len(frame)), n_columns)].reset_index(drop=True)
    table.insert(0, QUESTION_COLUMN, question)
    if options is not None:
        table["option"] = options * len(frame)
    return table.assign(**{key: array.reshape(-1) for key, array in values.items()})
