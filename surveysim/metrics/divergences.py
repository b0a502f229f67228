"""Metrics that need no order of the options: divergences, distances, root mean squared error, cross-entropy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import rel_entr, xlogy

from surveysim.metrics.checks import Pairs, check_pairs, refuse_debiasing
from surveysim.metrics.jensen_shannon import MIN_ANSWERS, js_noise, js_terms, noise_carried

__all__ = ["cross_entropy", "js_distance", "js_divergence", "kl_divergence", "rmse", "total_variation"]


def js_divergence(
    Y_true: ArrayLike,
    Y_pred: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    average: bool = True,
    values: ArrayLike | None = None,
    truth_respondents: ArrayLike | None = None,
    base: float = 2.0,
) -> Any:
    r"""Jensen-Shannon divergence, 0 (equal) to 1 (no option in common) in base 2.

    With m = (p + q) / 2 for a prediction p and a truth q, the divergence is (KL(p || m) + KL(q || m)) / 2. This is
    the *square* of what `scipy.spatial.distance.jensenshannon` returns.

    Parameters
    ----------
    Y_true : array-like of shape (n, K)
        The truth, one distribution per row, NaN past the last option of a shorter question.
    Y_pred : array-like of shape (n, K)
        The predicted distributions, with the same options in each row. Surplus all-NaN columns are ignored.
    sample_weight : array-like of shape (n,), optional
        Weight of each row in the average, usually its respondents. Rows of weight 0 do not count.
    average : bool, default=True
        False returns one value per row (weights then play no part).
    values : ignored
        Accepted so that all metrics can be called alike; the order of the options plays no part.
    truth_respondents : float or array-like of shape (n,), optional
        How many respondents each row's truth rests on. Their sampling noise then no longer counts as the
        prediction's error: see Notes.
    base : float, default=2
        Base of the logarithm; 2 gives bits.

    Returns
    -------
    float, or float64 array of shape (n,)
        With `truth_respondents` it may be negative, and is never clipped, so that averages stay unbiased.

    Raises
    ------
    ValueError
        If an array is off the simplex, shapes or options differ, weights are negative, NaN or all 0, or
        `truth_respondents` is not positive. The message names the row.

    Notes
    -----
    *Debiasing.* Let the observed truth be the shares of a sample of n respondents from q. To second order around q,
    the expected divergence exceeds the divergence to q by half the trace of its Hessian in q times the covariance
    of the sample. The Hessian is diagonal, p_k / (2 q_k (p_k + q_k)), and the variance of a share is
    q_k (1 - q_k) / n, so that the excess is, in nats,

    .. math:: \frac{1}{4n} \sum_k c(n q_k) \frac{p_k (1 - q_k)}{p_k + q_k}

    with p the prediction, q the truth and c = 1; the observed shares stand in for q, and base 2 divides by ln 2.
    For a perfect prediction the excess is (K - 1) / (8 n ln 2) bits.

    The expansion holds for options that are chosen a few times, and a sample cannot tell an option that nobody would
    choose, which has no noise, from a rare one that it missed. So an option without an answer counts nothing,
    c(0) = 0, which is right for the former whatever the model says about it. For the latter, options with a single
    answer stand in, in the manner of Good and Turing [2]_: c(1) = 2, and c = 1 from two answers on. The mean of c over
    samples is 1 - exp(-m) (1 - m) at m expected answers: 1 at m = 1, and at most 1.14 above. Between whole numbers of
    answers (weighted samples) c is linear, so that the excess is continuous in p and q.

    What is left of the noise, by exact sums: with four common options 10% at n = 10 and 2% at n = 50; with an option
    that nobody would choose 1% from n = 10 on; with two unequal options a third at n = 10 and 2% at n = 50; with five
    options of which one has 0.2%, so that most samples miss it, up to 18% from n = 10 on. At n = 5 it is a quarter to a
    half, and more below, so a figure made only of such cells is not to be trusted. Effective respondents below 1 count
    as 1, the smallest sample.

    References
    ----------
    .. [1] J. Lin (1991), Divergence measures based on the Shannon entropy, IEEE Trans. Inf. Theory 37(1).
    .. [2] I. J. Good (1953), The population frequencies of species and the estimation of population parameters,
           Biometrika 40(3/4).

    Examples
    --------
    >>> from surveysim.metrics import js_divergence
    >>> js_divergence([[1.0, 0.0]], [[0.0, 1.0]])
    1.0
    >>> round(
    ...     js_divergence(
    ...         [[0.5, 0.5], [0.4, 0.6]], [[0.25, 0.75], [0.4, 0.6]], sample_weight=[30, 10]
    ...     ),
    ...     4,
    ... )
    0.0366
    """
    _check_base(base)
    pairs = check_pairs(
        Y_true, Y_pred, sample_weight=sample_weight, average=average, truth_respondents=truth_respondents
    )
    nats = _js_nats(pairs)
    if pairs.respondents is not None:
        nats = nats - js_noise(pairs.prediction, pairs.truth, pairs.respondents)
    return pairs.result(nats / math.log(base))


def js_distance(
    Y_true: ArrayLike,
    Y_pred: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    average: bool = True,
    values: ArrayLike | None = None,
    truth_respondents: None = None,
    base: float = 2.0,
) -> Any:
    """Jensen-Shannon distance, the square root of each row's divergence: a metric, 0 to 1 in base 2.

    Parameters
    ----------
    Y_true, Y_pred, sample_weight, average, values, base
        As in `js_divergence`. The average is that of the rows' distances.
    truth_respondents : None
        Refused: the root of a debiased divergence is not unbiased, and a negative one has no root.

    Returns
    -------
    float, or float64 array of shape (n,)

    Raises
    ------
    ValueError
        As in `js_divergence`, and if `truth_respondents` is given.

    References
    ----------
    D. M. Endres and J. E. Schindelin (2003), A new metric for probability distributions, IEEE Trans. Inf. Theory 49(7).

    Examples
    --------
    >>> from surveysim.metrics import js_distance
    >>> round(js_distance([[0.5, 0.5]], [[0.25, 0.75]]), 4)
    0.2209
    """
    _check_base(base)
    refuse_debiasing("js_distance", truth_respondents, "the root of an unbiased divergence is not unbiased")
    pairs = check_pairs(Y_true, Y_pred, sample_weight=sample_weight, average=average)
    return pairs.result(np.sqrt(_js_nats(pairs) / math.log(base)))


def kl_divergence(
    Y_true: ArrayLike,
    Y_pred: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    average: bool = True,
    values: ArrayLike | None = None,
    truth_respondents: ArrayLike | None = None,
) -> Any:
    """Kullback-Leibler divergence KL(truth || prediction) in bits, infinite where Y_pred = 0 < Y_true.

    Parameters
    ----------
    Y_true, Y_pred, sample_weight, average, values
        As in `js_divergence`.
    truth_respondents : float or array-like of shape (n,), optional
        Respondents that each row's truth rests on; the sampling noise's expected contribution, (K - 1) / (2 n ln 2)
        bits where every option has at least two answers, is then subtracted. The result may be negative and is never
        clipped.

    Returns
    -------
    float, or float64 array of shape (n,)

    Raises
    ------
    ValueError
        As in `js_divergence`.

    Notes
    -----
    *Debiasing.* The Hessian of sum q_k ln(q_k / p_k) in the truth q is diagonal, 1 / q_k, and a share's variance is
    q_k (1 - q_k) / n: half their product summed is (K - 1) / (2 n) nats, K being the options that the population
    chooses. That is the correction of Miller (1955) for the entropy. Options that nobody in the sample chose count
    nothing, those with a single answer twice, as in `js_divergence`.

    References
    ----------
    G. A. Miller (1955), Note on the bias of information estimates, in Information Theory in Psychology.

    Examples
    --------
    >>> from surveysim.metrics import kl_divergence
    >>> kl_divergence(
    ...     [[0.5, 0.5], [1.0, 0.0]], [[0.25, 0.75], [0.0, 1.0]], average=False
    ... ).round(4)
    array([0.2075,    inf])
    """
    pairs = check_pairs(
        Y_true, Y_pred, sample_weight=sample_weight, average=average, truth_respondents=truth_respondents
    )
    nats = np.maximum(rel_entr(pairs.truth, pairs.prediction).sum(axis=1), 0.0)  # rounding may leave -1e-17
    if pairs.respondents is not None:
        n = np.maximum(pairs.respondents, MIN_ANSWERS)
        nats = nats - ((1 - pairs.truth) * noise_carried(pairs.truth, n)).sum(axis=1) / (2 * n)
    return pairs.result(nats / math.log(2))


def total_variation(
    Y_true: ArrayLike,
    Y_pred: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    average: bool = True,
    values: ArrayLike | None = None,
    truth_respondents: None = None,
) -> Any:
    """Total variation, half the sum of absolute differences: the share of answers to move, 0 to 1.

    Parameters
    ----------
    Y_true, Y_pred, sample_weight, average, values
        As in `js_divergence`.
    truth_respondents : None
        Refused: an absolute value has no second derivative at 0, where good predictions are, so that its sampling
        noise has no expansion to subtract.

    Returns
    -------
    float, or float64 array of shape (n,)

    Raises
    ------
    ValueError
        As in `js_divergence`, and if `truth_respondents` is given.

    Examples
    --------
    >>> from surveysim.metrics import total_variation
    >>> total_variation([[0.5, 0.5]], [[0.25, 0.75]])
    0.25
    """
    refuse_debiasing("total_variation", truth_respondents, "an absolute value is not smooth where predictions are good")
    pairs = check_pairs(Y_true, Y_pred, sample_weight=sample_weight, average=average)
    return pairs.result(np.minimum(np.abs(pairs.truth - pairs.prediction).sum(axis=1) / 2, 1.0))


def rmse(
    Y_true: ArrayLike,
    Y_pred: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    average: bool = True,
    values: ArrayLike | None = None,
    truth_respondents: ArrayLike | None = None,
) -> Any:
    """Root mean squared error of the shares, 0 to 1: the root of the weighted mean of the rows' mean squares.

    Parameters
    ----------
    Y_true, Y_pred, sample_weight, average, values
        As in `js_divergence`. A row's mean square is taken over the options that its question has. With
        ``average=False`` each row's own root is returned; the average is *not* the mean of these.
    truth_respondents : float or array-like of shape (n,), optional
        Respondents that each row's truth rests on, more than 1. The sampling variance of the shares,
        sum_k q_k (1 - q_k) / (n - 1) for observed shares q, is subtracted from each row's sum of squares, which
        makes the mean square exactly unbiased under simple random sampling.

    Returns
    -------
    float, or float64 array of shape (n,)
        Where a debiased mean square is negative (the prediction is nearer to the sample than sampling noise
        explains), minus the root of its absolute value, so that nothing is clipped.

    Raises
    ------
    ValueError
        As in `js_divergence`, and if `truth_respondents` is 1 or less: one answer says nothing about the variance.

    Examples
    --------
    >>> from surveysim.metrics import rmse
    >>> rmse([[0.5, 0.5], [0.5, 0.5]], [[0.2, 0.8], [0.9, 0.1]], average=False)
    array([0.3, 0.4])
    >>> round(rmse([[0.5, 0.5], [0.5, 0.5]], [[0.2, 0.8], [0.9, 0.1]]), 4)
    0.3536
    """
    pairs = check_pairs(
        Y_true, Y_pred, sample_weight=sample_weight, average=average, truth_respondents=truth_respondents
    )
    squares = ((pairs.truth - pairs.prediction) ** 2).sum(axis=1)
    if pairs.respondents is not None:
        few = np.flatnonzero(pairs.respondents <= 1)
        if len(few):
            raise ValueError(
                f"rmse cannot be debiased from {pairs.respondents[few[0]]:g} respondent(s), as in row {few[0]} "
                f"({len(few)} such rows): one answer says nothing about the variance. Leave such cells out."
            )
        squares = squares - (pairs.truth * (1 - pairs.truth)).sum(axis=1) / (pairs.respondents - 1)
    mean_square = pairs.result(squares / pairs.exists.sum(axis=1))
    root = np.sign(mean_square) * np.sqrt(np.abs(mean_square))
    return float(root) if average else root


def cross_entropy(
    Y_true: ArrayLike,
    Y_pred: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    average: bool = True,
    values: ArrayLike | None = None,
    truth_respondents: ArrayLike | None = None,
) -> Any:
    """Cross-entropy in bits per answer, -sum_k truth_k log2 prediction_k; infinite where Y_pred = 0 < Y_true.

    Weighted by respondents, it is the mean surprise at one respondent's answer, so it makes sense over *all* cells,
    including those of one respondent. Its minimum is the truth's entropy, not 0.

    Parameters
    ----------
    Y_true, Y_pred, sample_weight, average, values
        As in `js_divergence`.
    truth_respondents : float or array-like of shape (n,), optional
        Checked, but nothing is subtracted: the cross-entropy is linear in the truth, hence already unbiased.

    Returns
    -------
    float, or float64 array of shape (n,)

    Raises
    ------
    ValueError
        As in `js_divergence`.

    Examples
    --------
    >>> from surveysim.metrics import cross_entropy
    >>> round(cross_entropy([[0.5, 0.5]], [[0.25, 0.75]]), 4)
    1.2075
    """
    pairs = check_pairs(
        Y_true, Y_pred, sample_weight=sample_weight, average=average, truth_respondents=truth_respondents
    )
    return pairs.result(-xlogy(pairs.truth, pairs.prediction).sum(axis=1) / math.log(2) + 0.0)  # no "-0.0"


def _js_nats(pairs: Pairs) -> np.ndarray:
    return np.minimum(js_terms(pairs.prediction, pairs.truth).sum(axis=1), math.log(2))


def _check_base(base: float) -> None:
    if not (isinstance(base, int | float) and base > 1 and math.isfinite(base)):
        raise ValueError(f"base must be a number above 1, got {base!r}")
