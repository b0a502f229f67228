"""Whole respondents for groups, so that a budget buys the smallest variance."""

from __future__ import annotations

import heapq

import numpy as np

__all__ = ["allocate"]


def allocate(spread: np.ndarray, cost: np.ndarray, minimum: np.ndarray, budget: float) -> np.ndarray:
    """Whole numbers n_g that minimise sum_g spread_g^2 / n_g with sum_g cost_g n_g within the budget.

    Neyman's allocation, n_g proportional to spread_g / sqrt(cost_g), in whole numbers: one respondent after the other
    goes where the variance falls most for the money. With equal costs this is exact and uses the budget up (Wright
    2012, The equivalence of Neyman optimum allocation for sampling and equal proportions for apportioning the U.S.
    House of Representatives, The American Statistician 66, 217-224).

    Parameters
    ----------
    spread : float array of shape (G,)
        Share of the population times standard deviation (times the square root of the design effect).
    cost : float array of shape (G,)
        Of one respondent, positive.
    minimum : int array of shape (G,)
        At least 1.
    budget : float
        What all respondents may cost.

    Returns
    -------
    int array of shape (G,)

    Raises
    ------
    ValueError
        If the minimum alone costs more than the budget.

    Examples
    --------
    >>> allocate(np.array([0.6, 0.3]), np.ones(2), np.array([1, 1]), 9)
    array([6, 3])
    """
    n = minimum.astype(np.int64).copy()
    left = float(budget - (cost * n).sum())
    if left < -1e-9:
        raise ValueError(
            f"the minimum number of respondents in all groups costs {(cost * n).sum():g}, but the budget is {budget:g}"
        )
    queue = [(-(spread[g] ** 2) / (n[g] * (n[g] + 1)) / cost[g], g) for g in range(len(n))]
    heapq.heapify(queue)
    while queue:
        _, g = heapq.heappop(queue)
        if cost[g] > left + 1e-9:
            continue  # what is left of the budget may still buy a respondent elsewhere
        n[g] += 1
        left -= cost[g]
        heapq.heappush(queue, (-(spread[g] ** 2) / (n[g] * (n[g] + 1)) / cost[g], g))
    return n
