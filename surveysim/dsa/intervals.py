"""How far off a prediction may be: refits without one group of respondents each, and what no refit shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm, t

from surveysim.baselines.logit import LogitRegressor
from surveysim.cells import PredictCells
from surveysim.dsa.fit import Training, make_trainer
from surveysim.dsa.fitted import FittedDSA, Member, TrainingCells, with_questions
from surveysim.dsa.inputs import RunOptions, recipe_of, trunk_inputs
from surveysim.dsa.progress import EpochBar
from surveysim.dsa.selection import split_respondents
from surveysim.models.loaded import LoadedModel
from surveysim.models.own_torch import own_torch

__all__ = [
    "Uncertainty",
    "combined_interval",
    "counts_without_each_group",
    "expected_variance",
    "jackknife_variance",
    "misfit",
    "refit_without_each_group",
    "widening",
]

N_GROUPS = 5
"""Random groups of respondents where the fit had no folds."""


@dataclass(frozen=True)
class Uncertainty:
    """What intervals need beside the fit.

    Attributes
    ----------
    refits : tuple of Member
        Trained without one group of respondents each.
    logit : LogitRegressor
        Fitted to the training cells.
    factor : float
        By how much left-out respondents say that the expected variance is too small; at least 1.
    typical : float
        Mean expected variance of the training cells' log-odds, for questions that the logit was not trained on.
    """

    refits: tuple[Member, ...]
    logit: LogitRegressor
    factor: float
    typical: float

    @classmethod
    def of(cls, fitted: FittedDSA, model: LoadedModel, options: RunOptions) -> Uncertainty:
        """Fit the logit to the training cells; left-out respondents say whether it expects errors of the right size.

        Parameters
        ----------
        fitted : FittedDSA
            The fit; refits that it has are not trained again.
        model : LoadedModel
            Its base model.
        options : RunOptions
            How cells are run.
        """
        training = fitted.training
        refits = fitted.refits or tuple(refit_without_each_group(fitted, model, options))
        reference = training.baseline(training.counts)
        variance = expected_variance(reference, training.cells, fitted.predict(model, options, training.cells))
        sums = np.zeros(3)
        found = fitted.predict_each(model, options, training.cells, refits)
        for P, counts in zip(found, counts_without_each_group(training), strict=True):
            sums += misfit(training.counts - counts, P, variance)
        return cls(refits, reference, widening(*sums.tolist()), float(np.nanmean(variance)))

    def interval(
        self, fitted: FittedDSA, model: LoadedModel, options: RunOptions, cells: PredictCells, level: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper ends (n, K) for cells; see `combined_interval`.

        Parameters
        ----------
        fitted, model, options
            As for `of`.
        cells : PredictCells
            What is predicted.
        level : float
            Nominal coverage.
        """
        center = fitted.predict(model, options, cells)
        refits = fitted.predict_each(model, options, cells, self.refits)
        variance = expected_variance(self.logit, cells, center)
        variance = np.where(np.isnan(variance), self.typical, variance)
        return combined_interval(center, refits, self.factor * variance, level)


def expected_variance(reference: LogitRegressor, cells: PredictCells, center: np.ndarray) -> np.ndarray:
    """Expected square (n, K) of a prediction's error in log-odds, by the logit's posterior; NaN where it knows nothing.

    ``Var(l) + (m - E(l))^2``, with l the true log-odds given the training cells, and m the prediction's: what the logit
    leaves open - its sample, its shrinkage, its unknown prior variances, cells that are no sums of effects - and what
    the prediction is away from it. A prediction that is nearer to the truth than the logit gets more than it needs.
    """
    X = with_questions(reference, cells)
    return reference._log_odds_variance(X) + (_log_odds(center) - _log_odds(reference.predict(X))) ** 2


def misfit(held_out: np.ndarray, P: np.ndarray, variance: np.ndarray) -> tuple[float, float, float]:
    """How far left-out respondents are from a prediction, next to what is expected of them.

    With y_i a respondent's answer (0 or 1) for an option of a cell and p the predicted share, the products
    ``(y_i - p) (y_j - p)`` of two respondents of one cell have the expectation ``(p_true - p)^2``, whatever the size of
    the sample. That is ``(p (1 - p))^2 v`` with v the variance of the error in log-odds. The products are summed with
    weights v, the best ones for small v.

    Parameters
    ----------
    held_out : array of shape (n, K)
        Respondents per option of each cell; the prediction has not seen them.
    P : array of shape (n, K)
        The prediction, NaN where there is no option.
    variance : array of shape (n, K)
        v; NaN where nothing is expected.

    Returns
    -------
    found, expected : float
        Weighted sums. Their ratio estimates the factor by which v is too small.
    noise : float
        The variance of `found` if all errors were 0. The options of a cell are not independent (two of them say the
        same): ``2 n (n - 1) sum_kl v_k v_l S_kl^2`` for each cell, S being the covariance of a respondent's answers.
    """
    n = held_out.sum(axis=1, keepdims=True)
    usable = ~np.isnan(P) & ~np.isnan(variance) & (n > 1.0)
    p, v = np.where(usable, P, 0.0), np.where(usable, variance, 0.0)
    # the sum over all pairs: the square of the sum less the sum of squares
    pairs = (held_out - n * p) ** 2 - (held_out * (1.0 - p) ** 2 + (n - held_out) * p**2)
    expected = v**2 * n * (n - 1.0) * (p * (1.0 - p)) ** 2
    # sum_kl v_k v_l S_kl^2: off the diagonal S_kl is -p_k p_l
    crossed = (v * p**2).sum(axis=1) ** 2 - (v**2 * p**4).sum(axis=1)
    noise = 2.0 * (expected.sum(axis=1) + (n * (n - 1.0))[:, 0] * crossed)
    return float(np.sum(v * pairs)), float(expected.sum()), float(noise.sum())


def widening(found: float, expected: float, noise: float) -> float:
    """The factor for expected variances: 1, unless left-out respondents say more by over one standard error.

    A few hundred respondents hardly tell (on `cces_2016` with 500 respondents the standard error is 0.5): so intervals
    are widened by as much as is clear, ``(found - sqrt(noise)) / expected``, and never narrowed.
    """
    if expected <= 0.0:
        return 1.0
    return max(1.0, (found - float(np.sqrt(noise))) / expected)


@own_torch()
def refit_without_each_group(fitted: FittedDSA, model: LoadedModel, options: RunOptions) -> list[Member]:
    """Members trained without each respondent fold in turn, everything else as in the fit.

    Parameters
    ----------
    fitted : FittedDSA
        The fit.
    model : LoadedModel
        Its base model.
    options : RunOptions
        How cells are run.
    """
    training = fitted.training
    how = Training(fitted.part, fitted.settings, options, fitted.template, fitted.bank)
    members = []
    with EpochBar(options.verbose) as bar:
        recipe = recipe_of(model, fitted.part, fitted.bank)
        inputs = trunk_inputs(model, fitted.part, options, fitted.template, training.cells)
        trainer = make_trainer(model, how, recipe, inputs, training.cells, training.seed, bar=bar)
        for counts in counts_without_each_group(training):
            trainer.generator.manual_seed(training.seed)  # the same batches in the same order as in the fit
            members.append(Member.of(trainer.train(counts, training.plan)))
    return members


def counts_without_each_group(training: TrainingCells) -> list[np.ndarray]:
    """Respondents per option of each cell (n, K) without each fold, or each random group, in turn."""
    folds = training.folds
    if folds is None:
        folds = _random_groups(training.counts, np.random.default_rng(training.seed))
    return [np.maximum(training.counts - folds[:, group], 0.0) for group in range(folds.shape[1])]


def jackknife_variance(refits: np.ndarray) -> np.ndarray:
    """Delete-a-group jackknife variance (n, K) of each share's log-odds.

    ``(G - 1) / G * sum_g (l_g - mean(l))^2`` over the log-odds l_g of the G refits' predictions (G, n, K).
    """
    n_groups = len(refits)
    odds = _log_odds(refits)
    return (n_groups - 1) / n_groups * ((odds - odds.mean(axis=0)) ** 2).sum(axis=0)


def combined_interval(
    center: np.ndarray, refits: np.ndarray, variance: np.ndarray, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Interval around a prediction, symmetric in the log-odds of each share.

    The wider of two: of the jackknife, with the quantile of Student's t with G - 1 degrees of freedom, and of the
    expected variance, with the normal one. The expected variance has the noise of a simple random sample in it already;
    the jackknife's is the one of the sample at hand, with its clusters and weights, and of the training.

    Parameters
    ----------
    center : array of shape (n, K)
        The prediction.
    refits : array of shape (G, n, K)
        The refits' predictions.
    variance : array of shape (n, K)
        Expected square of the error in log-odds.
    level : float
        Nominal coverage.

    Returns
    -------
    lower, upper : arrays of shape (n, K)
    """
    sampled = t.ppf(0.5 + level / 2, len(refits) - 1) * np.sqrt(jackknife_variance(refits))
    half = np.maximum(sampled, norm.ppf(0.5 + level / 2) * np.sqrt(variance))
    middle = _log_odds(center)
    return np.minimum(expit(middle - half), center), np.maximum(expit(middle + half), center)


def _log_odds(P: np.ndarray) -> np.ndarray:
    return logit(np.clip(P, 1e-9, 1 - 1e-9))


def _random_groups(counts: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Counts (n, N_GROUPS, K): each respondent in one group at random; fractions of respondents go with the first."""
    rest, groups = counts, []
    for group in range(N_GROUPS - 1):
        parts = split_respondents(rest, None, 1.0 / (N_GROUPS - group), 1, generator)
        groups.append(parts[0].held_out if parts else np.zeros_like(rest))
        rest = parts[0].train if parts else rest
    return np.stack([rest, *groups], axis=1)
