"""What a design means for a sample's respondents: design effects of the whole sample and of each cell."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from surveysim.tables.design import SampleDesign
from surveysim.tables.replicates import Replicates
from surveysim.tables.share_variance import DomainAnswers, linearised_variances

__all__ = ["carried_to_cells", "check_deff", "design_effects"]

SMALLEST_CARRIED = 0.5
SMALLEST_OWN = 0.2
"""Design effects below these, carried to a cell or its own (strata that fix every answer, few respondents), would make
respondents out of nothing."""

PRIOR_DEGREES_OF_FREEDOM = 50
"""How many degrees of freedom a cell's own variance needs for half of the say.

A variance on d degrees of freedom has a relative variance of 2 / d; design effects of cells differ from what is carried
to them by about 20%, a variance of .04: 2 / .04 = 50.
"""


def check_deff(deff: float | Mapping[str, float] | None, questions: Mapping[str, object]) -> dict[str, float] | None:
    """The `deff=` parameter as one number per question, or None.

    Raises
    ------
    ValueError
        If a number is not positive, or a mapping names other questions than there are.
    """
    if deff is None:
        return None
    if isinstance(deff, Mapping):
        if set(deff) != set(questions):
            raise ValueError(f"deff must name each question once: expected {list(questions)}, got {list(deff)}")
        by_question = {name: deff[name] for name in questions}
    else:
        by_question = dict.fromkeys(questions, deff)
    for name, value in by_question.items():
        if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
            raise TypeError(f"deff must be a number or a mapping of question to number, got {value!r} for {name!r}")
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"deff must be positive, got {value!r} for question {name!r}")
    return {name: float(value) for name, value in by_question.items()}


def design_effects(answers: DomainAnswers, design: SampleDesign | Replicates) -> tuple[float, np.ndarray]:
    """The design effect of a question, in the whole sample and in each cell, over and above Kish's.

    The variance of the weighted shares p_k under the design over that of simple random sampling of Kish's number of
    respondents, each summed over the options:

        deff = sum_k V(p_k) / (sum_k p_k (1 - p_k) / n_Kish  m / (m - 1)),

    V by linearisation (`SampleDesign.deviations`) or from replicate weights, m those who answered. Kish's n is right
    where weights have nothing to do with the answers; where strata were drawn disproportionately, it takes the weights'
    variation between strata for noise, and the ratio is below 1. Clusters in which nobody answered count as zeros.

    A cell's own variance rests on few units. It has the say d / (d + 50) with d degrees of freedom
    (`PRIOR_DEGREES_OF_FREEDOM`); the rest has the figure that is carried to it: with replicate weights the ratio of
    all cells pooled (variances weighted by the cells' squared weights), else `carried_to_cells` times the pooled ratio
    of variances with the cells' weights to Kish's.

    Parameters
    ----------
    answers : DomainAnswers
        The domains are the cells.
    design : SampleDesign or Replicates

    Returns
    -------
    whole : float
        1 where all who answered agree, so that there is no variance to compare.
    cells : float64 array of shape (n_domains,)
        At least `SMALLEST_OWN`, and for small cells about `SMALLEST_CARRIED`.

    References
    ----------
    L. Kish (1965), Survey Sampling, sections 8.2 and 11.7; S. Gabler, S. Haeder and P. Lahiri (1999), Survey
    Methodology 25, 105-106.
    """
    everyone = np.where(answers.domain >= 0, 0, -1)
    whole = DomainAnswers(answers.option, everyone, answers.weight, 1, answers.n_options)
    if whole.counted.sum() < 2 or whole.kish_variances[0] <= 0:
        return 1.0, np.ones(answers.n_domains)
    effect = float(_variances(whole, design)[0] / whole.kish_variances[0])
    variances, kish = _variances(answers, design), answers.kish_variances
    squares = answers.weight_sums**2
    freedom = np.maximum(answers.respondents - 1, 0)
    if isinstance(design, Replicates):
        pooled = (squares * kish).sum()
        carried = np.full(answers.n_domains, (squares * variances).sum() / pooled if pooled > 0 else effect)
        freedom = np.minimum(freedom, design.degrees_of_freedom)
    else:
        alone, endless = answers.alone_variances(), linearised_variances(whole, design, finite=False).sum()
        of_design = float(endless / whole.alone_variances()[0])
        of_weights = (squares * alone).sum() / (squares * kish).sum() if (squares * kish).sum() > 0 else 1.0
        finite = float(_variances(whole, design)[0] / endless) if endless > 0 else 1.0
        carried = carried_to_cells(of_design, answers, design) * of_weights * finite
        freedom = np.minimum(freedom, _freedom(answers, design))
    own = np.divide(variances, kish, out=carried.copy(), where=kish > 0)
    say = np.where(kish > 0, freedom / (freedom + PRIOR_DEGREES_OF_FREEDOM), 0.0)
    own, carried = np.maximum(own, SMALLEST_OWN), np.maximum(carried, SMALLEST_CARRIED)
    return effect, say * own + (1.0 - say) * carried


def carried_to_cells(deff: float, answers: DomainAnswers, design: SampleDesign) -> np.ndarray:
    """What the design effect of a question, beyond its weights, means for each cell.

    A cell takes only a few respondents of each cluster, so that clustering costs it less than the whole sample. With
    b = sum_j (sum_(i in j) w_i)^2 / sum_i w_i^2, the (weighted) respondents per cluster, in the sample and b_c in
    the cell, Kish's synthetic rate of homogeneity roh = (deff - 1) / (b - 1) is taken to be the same in both:
    deff_c = 1 + roh (b_c - 1) (Kish, Groves and Krotki 1976, WFS Occasional Papers 11; with weights Gabler, Haeder
    and Lahiri 1999). Without clusters, deff_c = 1 + (deff - 1) m_c, m_c being the cell's share of the sample's
    weight: the gain of stratifying fades in groups that cut across the strata.

    Returns
    -------
    float64 array of shape (n_domains,)
    """
    domain, n_domains = answers.domain, answers.n_domains
    w = np.where(answers.counted, answers.weight, 0.0)
    if not design.clustered:
        return 1.0 + (deff - 1.0) * answers.weight_sums / w.sum()
    squares = np.bincount(domain, weights=w**2, minlength=n_domains)
    pair, where = np.unique(domain * design.n_units + design.unit, return_inverse=True)
    taken = np.bincount(where, weights=w) ** 2
    together = np.bincount(pair // design.n_units, weights=taken, minlength=n_domains)
    excess = np.divide(together, squares, out=np.ones(n_domains), where=squares > 0) - 1.0
    in_sample = (np.bincount(design.unit, weights=w) ** 2).sum() / squares.sum() - 1.0
    if in_sample < 1e-9:  # every cluster has a single respondent
        return np.ones(n_domains)
    return 1.0 + (deff - 1.0) * excess / in_sample


def _variances(answers: DomainAnswers, design: SampleDesign | Replicates) -> np.ndarray:
    """Variances summed over the options, (n_domains,)."""
    if isinstance(design, Replicates):
        return (design.deviations(answers) ** 2).sum(axis=(0, 2))
    return linearised_variances(answers, design).sum(axis=1)


def _freedom(answers: DomainAnswers, design: SampleDesign) -> np.ndarray:
    """Units less strata that a cell has members in, (n_domains,)."""
    rows = answers.counted
    n_strata = int(design.stratum_of_unit.max()) + 1
    units = np.unique(answers.domain[rows] * design.n_units + design.unit[rows])
    strata = np.unique(answers.domain[rows] * n_strata + design.stratum_of_unit[design.unit[rows]])
    return np.bincount(units // design.n_units, minlength=answers.n_domains) - np.bincount(
        strata // n_strata, minlength=answers.n_domains
    )
