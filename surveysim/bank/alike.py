"""Margins of similar questions: turned where their scales run the other way, weighed, and how sharply chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np

from surveysim.questions import Question

__all__ = ["PLAIN", "SHARES", "SHARPNESS", "Choice", "FoundMargins", "choose", "turned_order", "weigh"]

SHARPNESS = (5.0, 10.0, 20.0, 40.0)
"""Multiples of the cosine in a weight's exponent, among which training questions choose."""

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares of the weighted mean beside the plain one."""

ERRORS = 2.0
"""Standard errors by which a choice must beat the plain mean: it is the best of twenty, and one would too often find
something where there is nothing."""

FEWEST_QUESTIONS = 20
"""With fewer training questions the plain mean is kept: there would be more choices than questions to choose by."""

FEWEST_SHARE = 1e-3
"""Shares are at least this before a logarithm is taken."""


class Choice(NamedTuple):
    """How other questions are used.

    Attributes
    ----------
    sharpness : float
        Weights are ``exp(sharpness * cosine)``.
    share : float
        Of the weighted mean; the rest is the plain one.
    turns : bool
        Whether scales that read better from the other end are turned.
    """

    sharpness: float
    share: float
    turns: bool


PLAIN = Choice(0.0, 0.0, False)
"""The mean of the questions as they are: kept unless training questions are predicted clearly better."""


def turned_order(question: Question) -> np.ndarray:
    """Positions (K,) of the options when the scale is read from its other end; pinned options stay."""
    order = np.arange(question.n_options)
    scale = np.flatnonzero(~question.pinned_mask)
    order[scale] = scale[::-1]
    return order


@dataclass(frozen=True)
class FoundMargins:
    """The training questions as every question reads them.

    Attributes
    ----------
    likeness : array of shape (n_questions, n_questions)
        Cosines of the questions' texts.
    options : list of arrays of shape (K, d)
        The vectors of each question's options.
    turned : list of int arrays of shape (K,)
        See `turned_order`.
    margins : dict of int to array of shape (K,)
        Of the training questions, by number.
    """

    likeness: np.ndarray
    options: list[np.ndarray]
    turned: list[np.ndarray]
    margins: dict[int, np.ndarray]

    def of(
        self, number: int, others: Sequence[int] | None = None, *, turns: bool = True
    ) -> tuple[np.ndarray, np.ndarray]:
        """What other questions with as many options say of one.

        Parameters
        ----------
        number : int
            The question.
        others : sequence of int, optional
            Training questions that may be used; None: all but itself.
        turns : bool, default=True
            Turn scales that read better from the other end.

        Returns
        -------
        likeness : array of shape (n,)
        margins : array of shape (n, K)
            In the order of the question's own options.
        """
        own = self.options[number]
        allowed = [other for other in self.margins if other != number] if others is None else others
        used = [other for other in allowed if len(self.margins[other]) == len(own)]
        rows = [self.margins[other][self._reading(own, other)] if turns else self.margins[other] for other in used]
        return self.likeness[number, used], np.array(rows).reshape(len(used), len(own))

    def _reading(self, own: np.ndarray, other: int) -> np.ndarray:
        """The order in which the other question's options read more like one's own; as it is where that is equal."""
        options, turned = self.options[other], self.turned[other]
        straight, reverse = float((own * options).sum()), float((own * options[turned]).sum())
        return turned if reverse > straight + 1e-9 * len(own) else np.arange(len(own))

    def predict(self, number: int, choice: Choice) -> np.ndarray:
        """The distribution (K,) of a question; equal shares where no other has as many options."""
        return weigh(*self.of(number, turns=choice.turns), choice.sharpness, choice.share)


def weigh(likeness: np.ndarray, margins: np.ndarray, sharpness: float, share: float) -> np.ndarray:
    """The mean of margins (n, K) weighed by exp(sharpness * likeness), mixed with their plain mean."""
    if not len(margins):
        return np.full(margins.shape[1], 1 / margins.shape[1])
    weights = np.exp(sharpness * (likeness - likeness.max()))
    return np.asarray(share * (weights @ margins) / weights.sum() + (1 - share) * margins.mean(axis=0))


def choose(found: FoundMargins, questions: Sequence[Question]) -> Choice:
    """What predicts training questions best from those with another wording.

    `PLAIN` with fewer than `FEWEST_QUESTIONS`, and unless the best of all others is better by more than `ERRORS`
    standard errors over questions. A question that another survey asks in the same words would be found at once, and
    would tell nothing of new ones.

    Parameters
    ----------
    found : FoundMargins
    questions : sequence of Question
        All of them, by number.
    """
    if len(found.margins) < FEWEST_QUESTIONS:
        return PLAIN
    choices = [Choice(sharpness, share, True) for sharpness, share in product(SHARPNESS, SHARES)]
    wording = [" ".join(question.text.casefold().split()) for question in questions]
    losses = np.zeros((len(found.margins), 1 + len(choices)))
    for row, (number, margin) in enumerate(found.margins.items()):
        others = [other for other in found.margins if wording[other] != wording[number]]
        straight, turned = found.of(number, others, turns=False), found.of(number, others)
        for column, choice in enumerate((PLAIN, *choices)):
            P = weigh(*(turned if choice.turns else straight), choice.sharpness, choice.share)
            losses[row, column] = -margin @ np.log(np.maximum(P, FEWEST_SHARE))
    best = int(losses.sum(axis=0).argmin())
    gain = losses[:, 0] - losses[:, best]
    if gain.mean() <= ERRORS * gain.std(ddof=1) / np.sqrt(len(gain)):
        return PLAIN
    return choices[best - 1]
